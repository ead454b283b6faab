"""The rows that are seen, as the template prints them: a page of them, each with its bar and its addresses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from minitrace.web.bars import Axis, Bar
from minitrace.web.rows import CRITICAL, CUT, ERROR, MISSING, RUN, Rows
from minitrace.web.view import Sight, View, fold_key

PAGE_ROWS = 100  # the module takes over from here; without it there are further pages
MAX_INDENT = 24
DIGITS = 8  # of an id in an address


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the waterfall.

    `number` counts rows that are seen, from 1; `errors_below` are folded away; `fold` is the parameter `x` with this
    row toggled.
    """

    number: int
    depth: int
    service: str
    slot: int
    name: str
    kind: int
    length_ns: int
    flags: int
    hex: str
    bar: Bar
    is_context: bool
    is_folded: bool
    is_match: bool
    has_children: bool
    errors_below: int
    fold: str
    more: Mapping[str, Any]

    @property
    def indent(self) -> int:
        """The depth to draw."""
        return min(self.depth, MAX_INDENT)

    @property
    def is_error(self) -> bool:
        """Whether the span has failed."""
        return bool(self.flags & ERROR)

    @property
    def is_critical(self) -> bool:
        """Whether it is on the critical path."""
        return bool(self.flags & CRITICAL)

    @property
    def what(self) -> str:
        """What kind of row it is: span, run, missing or cut."""
        return (
            "run" if self.flags & RUN else "missing" if self.flags & MISSING else "cut" if self.flags & CUT else "span"
        )


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page of the rows that are seen. `found` counts the rows that match."""

    lines: list[Line]
    seen: int
    page: int
    pages: int
    labels: list[str]
    found: int

    @property
    def first(self) -> int:
        """The number of the first row on the page."""
        return self.lines[0].number if self.lines else 0

    @property
    def last(self) -> int:
        """The number of the last row on the page."""
        return self.lines[-1].number if self.lines else 0


def sheet(rows: Rows, view: View, page: int | None, selected: bytes | None, matches: Collection[int] = ()) -> Sheet:
    """The page of rows asked for, else the one with the selected span, else the first."""
    sight = Sight(rows, view, matches)
    pages = max(1, -(-len(sight.shown) // PAGE_ROWS))
    if page is None:
        chosen = rows.find(selected) if selected else None
        page = sight.shown.index(chosen) // PAGE_ROWS + 1 if chosen in sight.shown else 1
    page = min(max(page, 1), pages)
    axis = Axis(rows, view.window)
    begin = (page - 1) * PAGE_ROWS
    lines = [
        _line(rows, view, sight, axis, number, row, row in matches)
        for number, row in enumerate(sight.shown[begin : begin + PAGE_ROWS], begin + 1)
    ]
    return Sheet(lines, len(sight.shown), page, pages, axis.labels, len(matches))


def _line(rows: Rows, view: View, sight: Sight, axis: Axis, number: int, row: int, is_match: bool) -> Line:
    service, slot = rows.services[rows.service[row]]
    is_folded = sight.is_folded(row)
    return Line(
        number=number,
        depth=rows.depth[row] - sight.top,
        service=service,
        slot=slot,
        name=rows.names[rows.name[row]],
        kind=rows.kind[row],
        length_ns=rows.length[row],
        flags=rows.flags[row],
        hex=rows.id(row).hex(),
        bar=axis.bar(row, has_gaps=view.has_gaps),
        is_context=sight.is_context(row),
        is_folded=is_folded,
        is_match=is_match,
        has_children=rows.size[row] > 1,
        errors_below=_errors(rows, row) if is_folded else 0,
        fold=_toggled(rows, row, view) if rows.size[row] > 1 else "",
        more=rows.more.get(row, {}),
    )


def _errors(rows: Rows, row: int) -> int:
    """How many of the rows below one are errors."""
    return sum(flags & ERROR for flags in rows.flags[row + 1 : row + rows.size[row]])


def _toggled(rows: Rows, row: int, view: View) -> str:
    """The parameter `x` by which the row is folded, or unfolded again."""
    key = fold_key(rows, row)
    others = {one for one in view.toggled if not key.startswith(one)}
    changed = others if len(others) < len(view.toggled) else {*others, key[: DIGITS + key.startswith("r")]}
    return ",".join(sorted(changed))
