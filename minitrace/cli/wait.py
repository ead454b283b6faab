"""`minitrace wait`."""

from __future__ import annotations

import json
import time
from argparse import Namespace

from minitrace.asking.arrivals import arrivals
from minitrace.asking.source import Source
from minitrace.cli import asked, found, terminal
from minitrace.cli.exits import NOTHING_FOUND
from minitrace.model import MAX_TIME_NS

SHOWN = 5  # traces that came instead


def run(parsed: Namespace) -> int:
    """Wait until a trace matches. Returns the exit code."""
    deadline_s = time.monotonic() + parsed.timeout
    began_ns = time.time_ns()
    since_ns = began_ns - parsed.since if parsed.since else None
    parameters = asked.query(parsed)
    with asked.source(parsed, is_watched=True) as source:
        one = next(arrivals(source, parameters, since_ns, deadline_s), None)
        if one is None:
            asked.note(_instead(source, since_ns or began_ns, parsed.timeout))
            return NOTHING_FOUND
    line = "\n".join(found.lines([one], time.time_ns(), width=terminal.width()))
    print(json.dumps(one.document, ensure_ascii=False) if parsed.json else line)
    return 0


def _instead(source: Source, since_ns: int, timeout_s: float) -> str:
    """That nothing matched, and what came meanwhile."""
    said = f"no trace matched within {timeout_s:g} s"
    traces = source.search({"start": str(since_ns), "end": str(MAX_TIME_NS), "limit": str(SHOWN)}).traces
    if not traces:
        return f"{said}, and no other came; --since 1m counts those that came before"
    return "\n  ".join([f"{said}; the newest that came:", *found.lines(traces, time.time_ns(), width=terminal.width())])
