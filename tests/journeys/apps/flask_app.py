"""A shop in Flask that knows nothing of tracing; prints its address. SIGINT ends it."""

from __future__ import annotations

import logging

from flask import Flask
from werkzeug.serving import make_server

app = Flask("shop")
logging.getLogger("werkzeug").setLevel(logging.ERROR)  # its line per request would be on stderr


@app.get("/orders/<int:number>")
def order(number: int) -> dict[str, int]:
    """One order."""
    app.logger.warning("order %d is looked at", number)
    return {"total": 100 * number}


def main() -> None:
    """Serve on a free port."""
    server = make_server("127.0.0.1", 0, app)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
