"""``python -m shop``: serve at a free port of this machine, and print the address."""

from __future__ import annotations

import tempfile
from pathlib import Path

from werkzeug.serving import make_server

from shop import telemetry
from shop.bank import sandbox
from shop.jobs import Jobs
from shop.web import create_app

telemetry.start("shop")
with tempfile.TemporaryDirectory() as folder:
    server = make_server("127.0.0.1", 0, create_app(sandbox(), Jobs(Path(folder) / "jobs.db")), threaded=True)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()
