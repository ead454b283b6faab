"""`minitrace search`."""

from __future__ import annotations

import json
import time
from argparse import Namespace

from minitrace.asking.source import Answer
from minitrace.cli import asked, found, terminal
from minitrace.cli.exits import NOTHING_FOUND
from minitrace.web.lookup import find_ids


def run(parsed: Namespace) -> int:
    """List traces that match. Returns the exit code."""
    now_ns = time.time_ns()
    parameters = {**asked.query(parsed), **asked.times(parsed, now_ns), "limit": str(parsed.limit), "sort": parsed.sort}
    with asked.source(parsed) as source:
        answer = source.search(parameters)
    if parsed.json:
        print(json.dumps(answer.document, ensure_ascii=False))
    elif answer.traces:
        print("\n".join(found.lines(answer.traces, now_ns, width=terminal.width())))
    _tell(parsed, answer)
    return 0 if answer.traces else NOTHING_FOUND


def _tell(parsed: Namespace, answer: Answer) -> None:
    """What is not in the table: that it is empty, or not all."""
    if not answer.is_complete:
        asked.note("there was no time to look at all traces: give a shorter time with --since, or ask for more")
    if len(answer.traces) == parsed.limit and not parsed.json:
        asked.note(f"the first {parsed.limit}; --limit shows more")
    if not answer.traces:
        ids = find_ids(" ".join(parsed.query))
        remedy = f"; for one trace: minitrace trace {ids[0].trace_id.hex()}" if ids else ""
        asked.note(f"no trace matches{remedy}")
