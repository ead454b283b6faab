"""`minitrace demo`."""

from __future__ import annotations

import os
import threading
from argparse import Namespace

from minitrace import demo


def run(parsed: Namespace) -> int:
    """Send the shop's traces to a running server."""
    stop = threading.Event()
    extra = demo.read_attributes(os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    try:
        demo.send(
            parsed.endpoint,
            count=parsed.count,
            rate=parsed.rate,
            backfill=parsed.backfill,
            token=parsed.token,
            stop=stop,
            release=demo.Release(parsed.regressed, extra),
        )
    except KeyboardInterrupt:
        stop.set()
    return 0
