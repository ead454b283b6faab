"""Traces that were found, as lines for people."""

from __future__ import annotations

from collections.abc import Sequence

from minitrace import present
from minitrace.analysis.drawing import one_line
from minitrace.asking.ids import LEAST_DIGITS
from minitrace.asking.source import Found
from minitrace.cli import terminal

HEAD = ("STARTED", "DURATION", "SPANS", "ERRORS", "TRACE", "ROOT")
RIGHT = (1, 2, 3)
_WIDTHS = (12, 8, 5, 6)  # of the columns before the id, in a line that stands alone


def lines(traces: Sequence[Found], now_ns: int, *, width: int = 0) -> list[str]:
    """A table with a head. Ids are as short as `minitrace trace` takes them, and whole where there is no width."""
    digits = _digits(traces) if width else 32
    rows = [HEAD, *(cells(found, now_ns, digits) for found in traces)]
    return list(terminal.table(rows, RIGHT, width))


def line(found: Found | None, now_ns: int, *, width: int = 0) -> str:
    """A line alone, aligned with those before and after; the head for None."""
    digits = LEAST_DIGITS if width else 32
    *front, root = cells(found, now_ns, digits) if found else HEAD
    padded = [
        text.rjust(wide) if number in RIGHT else text.ljust(wide)
        for number, (text, wide) in enumerate(zip(front, (*_WIDTHS, digits), strict=True))
    ]
    return next(terminal.table([["  ".join(padded), root]], (), width))


def cells(found: Found, now_ns: int, digits: int) -> tuple[str, ...]:
    """What the table says of a trace."""
    name = one_line(f"{found.service}: {found.name}" if found.name else found.service)
    duration = present.duration(found.duration_ms * 1_000_000) if found.duration_ms else "< 1 ms"
    figures = (present.moment(found.start_ns, now_ns), duration, str(found.span_count), str(found.error_count or ""))
    return (*map(present.plain, figures), found.trace_id.hex()[:digits], name)


def _digits(traces: Sequence[Found]) -> int:
    """How many digits tell these ids apart: those of some services begin with the time."""
    ids = {found.trace_id.hex() for found in traces}
    return next((n for n in range(LEAST_DIGITS, 32) if len({id_[:n] for id_ in ids}) == len(ids)), 32)
