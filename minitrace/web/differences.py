"""What was compared, as the rows that a page shows: figures of both sides, their difference, and a bar for it.

```
                      calls       A        B         Δ     B faster | B slower
POST /pay                      84 ms   212 ms   +128 ms             |██████
  SELECT stock       1 → 14    20 ms   260 ms   +240 ms             |████████████
−   GET /rates                 31 ms             −31 ms           ██|
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from minitrace import present
from minitrace.analysis.alignment import Aligned, Difference, Side
from minitrace.analysis.operations import Change, OperationFigures
from minitrace.model import Value
from minitrace.web.comparing import ComparedTraces

PAGE_ROWS = 300
MOST_CHANGES = 300
LONGEST_VALUE = 300  # characters
DEEPEST = 24  # levels that are indented
NOTABLE = 0.1  # of the longer side: what differs by less counts as the same
NOTABLE_OF_ALL = 0.005  # of the longest row

METRICS: dict[str, Callable[[Side], int]] = {
    "total": lambda side: side.total_ns,
    "self": lambda side: side.own_ns,
    "count": lambda side: len(side.rows),
}


@dataclass(frozen=True, slots=True)
class Delta:
    """By how much b differs from a. `bar` is from the left and how wide, in per cent; the middle is no difference."""

    amount: int
    ratio: str  # "×14", where both are something and it says more than the amount
    bar: tuple[float, float]

    @property
    def direction(self) -> str:
        """Which side it is on: "more", "less" or "same"."""
        return "more" if self.amount > 0 else "less" if self.amount < 0 else "same"


@dataclass(frozen=True, slots=True)
class Line:
    """A row of two traces. `only` is "a" or "b" where the other has nothing; spans are the longest of each side."""

    number: int
    aligned: Aligned
    only: str
    a: int
    b: int
    delta: Delta
    is_changed: bool
    a_span: str
    b_span: str

    @property
    def indent(self) -> int:
        """Levels to indent it by."""
        return min(self.aligned.depth, DEEPEST)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page of lines: `above` leads to the first of them; `total` counts the lines of all `pages`, `hidden` others."""

    lines: list[Line]
    above: list[Aligned]
    page: int
    pages: int
    total: int
    hidden: int


def sheet(compared: ComparedTraces, metric: str, *, only_changed: bool, page: int) -> Sheet:
    """The lines of two traces, by a metric; with `only_changed` those that differ, and what they stand below."""
    rows = compared.rows
    shown = shown_rows(rows, metric) if only_changed else list(range(len(rows)))
    pages = max(1, -(-len(shown) // PAGE_ROWS))
    page = min(max(page, 1), pages)
    numbers = shown[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
    figure = METRICS[metric]
    most = max((abs(figure(row.b) - figure(row.a)) for row in rows), default=0)
    least_ns = _least_ns(rows)
    lines = [_line(compared, number, metric, most, least_ns) for number in numbers]
    above = list(_above(rows, numbers[0])) if page > 1 else []
    return Sheet(lines, above, page, pages, len(shown), len(rows) - len(shown))


def page_of(compared: ComparedTraces, metric: str, row: int, *, only_changed: bool) -> int | None:
    """The page that a row is on; None where it is not shown."""
    shown = shown_rows(compared.rows, metric) if only_changed else range(len(compared.rows))
    return shown.index(row) // PAGE_ROWS + 1 if row in shown else None


def shown_rows(rows: Sequence[Aligned], metric: str) -> list[int]:
    """The rows that differ, and those above them."""
    least_ns = _least_ns(rows)
    shown: set[int] = set()
    above: list[int] = []
    for number, row in enumerate(rows):
        del above[row.depth :]
        above.append(number)
        if differs(row, metric, least_ns):
            shown.update(above)
    return sorted(shown)


def differs(row: Aligned, metric: str, least_ns: float = 0) -> bool:
    """Whether calls, errors or times are not the same; times that are about the same are."""
    if len(row.a.rows) != len(row.b.rows) or row.a.error_count != row.b.error_count:
        return True
    figure = METRICS["total" if metric == "count" else metric]
    a, b = figure(row.a), figure(row.b)
    return abs(b - a) >= max(NOTABLE * max(a, b), least_ns, 1)


def _least_ns(rows: Sequence[Aligned]) -> float:
    return NOTABLE_OF_ALL * max((max(row.a.total_ns, row.b.total_ns) for row in rows), default=0)


def _line(compared: ComparedTraces, number: int, metric: str, most: int, least_ns: float) -> Line:
    row, figure = compared.rows[number], METRICS[metric]
    a, b = figure(row.a), figure(row.b)
    only = "a" if not row.b.rows else "b" if not row.a.rows else ""
    a_span, b_span = compared.a.slowest(row.a.rows), compared.b.slowest(row.b.rows)
    return Line(number, row, only, a, b, delta(a, b, most), differs(row, metric, least_ns), a_span, b_span)


def delta(a: int, b: int, most: int) -> Delta:
    """The difference of two figures, on a scale that ends at `most` on either side."""
    amount = b - a
    width = 50 * abs(amount) / most if most else 0.0
    return Delta(amount, ratio(a, b), (50.0 if amount > 0 else 50 - width, width))


def ratio(a: float, b: float) -> str:
    """``×14`` or ``÷3.1``; "" where one is nothing, or it is less than half as much again."""
    low, high = sorted((a, b))
    if low <= 0 or high < 1.5 * low:
        return ""
    return f"{'×' if b > a else '÷'}{f'{high / low:.{0 if high >= 9.95 * low else 1}f}'.removesuffix('.0')}"


def _above(rows: Sequence[Aligned], number: int) -> Iterator[Aligned]:
    """The rows that lead to a row, from the top."""
    path: list[Aligned] = []
    for row in rows[:number]:
        del path[row.depth :]
        path.append(row)
    yield from path[: rows[number].depth]


# Attributes


@dataclass(frozen=True, slots=True)
class ShownDifference:
    """An attribute that differs, its values as texts, long ones cut."""

    scope: str
    key: str
    a: str
    b: str


def shown_differences(differences: Sequence[Difference]) -> list[ShownDifference]:
    """The attributes of a row that differ."""
    return [ShownDifference(one.scope, one.key, _text(one.a), _text(one.b)) for one in differences]


def _text(values: Sequence[Value]) -> str:
    text = ", ".join(present.value(value) for value in values)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


@dataclass(frozen=True, slots=True)
class AttributeLine:
    """A row with attributes that differ."""

    number: int
    aligned: Aligned
    differences: list[ShownDifference]

    @property
    def page(self) -> int:
        """The page of all rows that it is on."""
        return self.number // PAGE_ROWS + 1


def attribute_lines(rows: Sequence[Aligned], most: int) -> list[AttributeLine]:
    """The rows with attributes that differ, until these are `most`."""
    lines: list[AttributeLine] = []
    for number, row in enumerate(rows):
        if row.differences and most > 0:
            lines.append(AttributeLine(number, row, shown_differences(row.differences[:most])))
            most -= len(row.differences)
    return lines


# Sets


@dataclass(frozen=True, slots=True)
class OperationLine:
    """An operation of two sets. `above` is the path to it; `impact` is by how much longer it works in a trace of b."""

    number: int
    change: Change
    above: str
    only: str
    impact: Delta
    p50: Delta | None
    calls_ratio: str


def operation_lines(changes: Sequence[Change]) -> list[OperationLine]:
    """The first `MOST_CHANGES` operations."""
    most = max((abs(change.impact_ns) for change in changes), default=0)
    return [_operation_line(number, change, most) for number, change in enumerate(changes[:MOST_CHANGES])]


def _operation_line(number: int, change: Change, most: int) -> OperationLine:
    a, b = change.a, change.b
    above = " › ".join(name for _, name in change.path[:-1])
    return OperationLine(
        number,
        change,
        above,
        "" if a and b else "a" if a else "b",
        delta(0, change.impact_ns, most),
        delta(a.p50_ns, b.p50_ns, 0) if a and b else None,
        ratio(a.calls_per_trace, b.calls_per_trace) if a and b else "",
    )


def rounded(number: float) -> str:
    """A count per trace: ``1``, ``14``, ``0.33``."""
    return f"{number:.0f}" if number >= 99.5 else f"{number:.3g}"


# For programs


def plain(row: Aligned) -> dict[str, Any]:
    """A row of two traces."""
    return {
        "depth": row.depth,
        "service": row.service,
        "label": row.label,
        "a": _plain_side(row.a),
        "b": _plain_side(row.b),
        "differences": [_plain_difference(one) for one in row.differences],
    }


def _plain_side(side: Side) -> dict[str, int] | None:
    if not side.rows:
        return None
    return {"calls": len(side.rows), "total_ns": side.total_ns, "self_ns": side.own_ns, "errors": side.error_count}


def _plain_difference(one: Difference) -> dict[str, Any]:
    texts = {side: [present.value(value) for value in values] for side, values in (("a", one.a), ("b", one.b))}
    return {"scope": one.scope, "key": one.key, **texts}


def plain_change(change: Change) -> dict[str, Any]:
    """An operation of two sets."""
    return {
        "path": [{"service": service, "name": name} for service, name in change.path],
        "impact_ns": change.impact_ns,
        "a": _plain_figures(change.a),
        "b": _plain_figures(change.b),
    }


def _plain_figures(figures: OperationFigures | None) -> dict[str, float] | None:
    if figures is None:
        return None
    return {
        "traces": figures.trace_count,
        "calls": figures.call_count,
        "calls_per_trace": figures.calls_per_trace,
        "p50_ns": figures.p50_ns,
        "p95_ns": figures.p95_ns,
        "errors": figures.error_count,
    }
