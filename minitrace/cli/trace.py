"""`minitrace trace`."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator

from minitrace import present
from minitrace.analysis import repeats
from minitrace.analysis.drawing import draw, one_line, title
from minitrace.analysis.skeleton import CHARACTERS_PER_TOKEN, skeleton
from minitrace.analysis.skew import shifts
from minitrace.analysis.summary import exception
from minitrace.analysis.tree import Tree, tree
from minitrace.analysis.verdict import verdict
from minitrace.asking import ids
from minitrace.cli import asked, terminal
from minitrace.cli.exits import NOTHING_FOUND
from minitrace.errors import TraceNotFound
from minitrace.web.documents import traces_json

WIDTH = 100  # where there is no terminal
MOST_ERRORS = 10
LONGEST_MESSAGE = 300


def run(parsed: Namespace) -> int:
    """Show one trace. Returns the exit code."""
    with asked.source(parsed) as source:
        try:
            trace = ids.find(source, " ".join(parsed.id))
        except TraceNotFound as error:
            asked.note(str(error))
            return NOTHING_FOUND
        address = source.page(trace.trace_id)
    if parsed.json:
        sys.stdout.writelines(traces_json(trace.spans))
        return 0
    rows = tree(trace, shifts(trace))
    if parsed.budget is not None:
        text = skeleton(rows, parsed.budget * CHARACTERS_PER_TOKEN)
        sys.stdout.write(f"{text}\n" if text else "")
        return 0
    print("\n".join(_lines(rows, parsed.width or terminal.width() or WIDTH)))
    print(f"\ntrace {trace.trace_id.hex()}" + (f"  {address}" if address else ""))
    return 0


def _lines(rows: Tree, width: int) -> Iterator[str]:
    runs = repeats.runs(rows)
    claims = verdict(rows, runs)
    yield from present.plain(" · ".join(one_line(claim.text) for claim in claims)).splitlines()
    yield ""
    yield draw(rows, width=width, runs=runs)
    failed = next((claim.rows for claim in claims if claim.kind == "error"), ())
    if failed:
        yield "\nErrors:"
        yield from (f"  {_error(rows, row)}" for row in failed[:MOST_ERRORS])
    if len(failed) > MOST_ERRORS:
        yield f"  {present.plain(present.integer(len(failed) - MOST_ERRORS))} more"


def _error(rows: Tree, row: int) -> str:
    said = ": ".join(one_line(text, LONGEST_MESSAGE) for text in exception(rows.span(row)) if text)
    return f"{title(rows, row)}  {said}".rstrip()
