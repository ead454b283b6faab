"""What a command line asks, and whom."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from minitrace.asking.places import Place
from minitrace.asking.source import Source
from minitrace.errors import MinitraceError
from minitrace.model import MAX_TIME_NS
from minitrace.web.box import read_box
from minitrace.web.parameters import read_time


def note(text: str) -> None:
    """Say something beside the answer."""
    print(f"minitrace: {text}", file=sys.stderr)


def place(parsed: Namespace) -> Place:
    """The place that the flags and the environment name."""
    return Place(parsed.server, parsed.token, parsed.db, os.environ)


@contextmanager
def source(parsed: Namespace, *, is_watched: bool = False) -> Iterator[Source]:
    """The place to ask, open. Raises MinitraceError."""
    opened = place(parsed).open(note, is_watched=is_watched)
    try:
        yield opened
    finally:
        opened.close()


def query(parsed: Namespace) -> dict[str, str]:
    """The parameters of the API for the query on the command line. Raises MinitraceError where it is none."""
    box = read_box(text := " ".join(parsed.query))
    if box.problem:
        meant = f"\ntry: {box.suggestion}" if box.suggestion else ""
        raise MinitraceError("\n".join(filter(None, (box.problem, box.drawing))) + meant)
    for warning in box.warnings:
        note(warning)
    if box.suggestion:
        note(f"this is looked for as words; as a query it would be '{box.suggestion}'")
    return {"q": text} if box.query else {"words": text} if box.words else {}


def times(parsed: Namespace, now_ns: int) -> dict[str, str]:
    """The parameters of the API for `--since`, `--from` and `--to`. Raises MinitraceError."""
    if parsed.since and (parsed.start or parsed.end):
        raise MinitraceError("--since does not go together with --from or --to: give one of them")
    if not (parsed.since or parsed.start or parsed.end):
        return {}
    named = {"--from": parsed.start, "--to": parsed.end}
    start_ns = now_ns - parsed.since if parsed.since else read_time(named, "--from") or 0
    end_ns = read_time(named, "--to")
    return {"start": str(start_ns), "end": str(MAX_TIME_NS if end_ns is None else end_ns)}
