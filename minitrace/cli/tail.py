"""`minitrace tail`."""

from __future__ import annotations

import json
import time
from argparse import Namespace

from minitrace.asking.arrivals import arrivals
from minitrace.cli import asked, found, terminal


def run(parsed: Namespace) -> int:
    """Print traces as they come, until Ctrl-C."""
    since_ns = time.time_ns() - parsed.since if parsed.since else None
    parameters = asked.query(parsed)
    with asked.source(parsed, is_watched=True) as source:
        if not parsed.json:
            asked.note(f"waiting for traces in {source.name}; Ctrl-C ends it")
            print(found.line(None, 0, width=terminal.width()), flush=True)
        for one in arrivals(source, parameters, since_ns):
            line = found.line(one, time.time_ns(), width=terminal.width())
            print(json.dumps(one.document, ensure_ascii=False) if parsed.json else line, flush=True)
    return 0
