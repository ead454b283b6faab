"""A trace to the rows of its waterfall: how deep each name stands, where each bar starts and ends.

```
checkout  POST /pay      ██████████████████████  1.24 s
├ cart      GetCart      ██                        84 ms
└ payment   POST /charge     ███████████████▾▾    881 ms
```

Positions are per cent of the trace's duration, always finite and within 0 to 100, whatever times
the spans claim.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from minitrace import present
from minitrace.model import Event, Node, Span, Trace, usable_time

PAGE_ROWS = 1000
MAX_INDENT = 24
_TICK_STEP = 0.2  # per cent: about a pixel; nearer events are drawn as one tick


@dataclass(frozen=True, slots=True)
class Tick:
    """One or more events at one place of a bar."""

    left: float
    names: str
    is_exception: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One span in the waterfall. `has_bar` is false where its times cannot be drawn."""

    node: Node
    number: int
    left: float
    width: float
    has_bar: bool
    ticks: list[Tick]

    @property
    def span(self) -> Span:
        """The span itself."""
        return self.node.span

    @property
    def indent(self) -> int:
        """The depth to draw."""
        return min(self.node.depth, MAX_INDENT)


@dataclass(frozen=True, slots=True)
class Waterfall:
    """One page of a trace's rows. `page` counts from 1; `first` and `last` are row numbers."""

    rows: list[Row]
    page: int
    pages: int
    ruler: list[str]

    @property
    def first(self) -> int:
        """The number of the first row shown."""
        return self.rows[0].number if self.rows else 0

    @property
    def last(self) -> int:
        """The number of the last row shown."""
        return self.rows[-1].number if self.rows else 0


def waterfall(trace: Trace, page: int | None = None, selected: bytes | None = None) -> Waterfall:
    """The rows of one page: the one asked for, else the one with the selected span, else the first."""
    nodes = list(trace.rows())
    pages = max(1, -(-len(nodes) // PAGE_ROWS))
    if page is None:
        page = _page_of(nodes, selected)
    page = min(max(page, 1), pages)
    begin = (page - 1) * PAGE_ROWS
    shown = nodes[begin : begin + PAGE_ROWS]
    start_ns, duration_ns = trace.start_ns, trace.duration_ns
    rows = [_row(node, begin + i, start_ns, duration_ns) for i, node in enumerate(shown, 1)]
    return Waterfall(rows, page, pages, _ruler(duration_ns))


def notes(trace: Trace) -> list[str]:
    """What is odd about a trace as a whole, in sentences; an empty list for a complete one."""
    notes = []
    if removed := trace.removed_count:
        verb = "was" if removed == 1 else "were"
        notes.append(
            f"{present.count(removed, 'span')} of this trace {verb} removed to make room; pin a trace to keep it."
        )
    orphans = sum(bool(top.span.parent_id) for top in trace.tops)
    roots = len(trace.tops) - orphans
    if not roots:
        notes.append("The root span is not here.")
    elif roots > 1:
        notes.append(f"{roots} spans are roots.")
    if orphans:
        notes.append(f"{_spans_have(orphans)} no parent here.")
    copies = Counter(span.span_id for span in trace.spans)
    if shared := sum(number for number in copies.values() if number > 1):
        notes.append(f"{present.integer(shared)} spans share their id with another.")
    if odd := sum(_has_odd_times(span) for span in trace.spans):
        notes.append(f"{_spans_have(odd)} odd times.")
    return notes


def is_whole(trace: Trace) -> bool:
    """Whether there is a root, and every parent that a span names."""
    stored = {span.span_id for span in trace.spans}
    parents = {span.parent_id for span in trace.spans}
    return b"" in parents and parents - {b""} <= stored


def first_error(trace: Trace) -> Span | None:
    """The first span with an error, as the rows stand."""
    return next((node.span for node in trace.rows() if node.span.is_error), None)


def _spans_have(number: int) -> str:
    return "1 span has" if number == 1 else f"{present.integer(number)} spans have"


def _has_odd_times(span: Span) -> bool:
    return not (usable_time(span.start_ns) and usable_time(span.end_ns)) or span.end_ns < span.start_ns


def _page_of(nodes: list[Node], selected: bytes | None) -> int:
    place = next((i for i, node in enumerate(nodes) if node.span.span_id == selected), 0)
    return place // PAGE_ROWS + 1


def _row(node: Node, number: int, start_ns: int, duration_ns: int) -> Row:
    span = node.span
    left = _position(span.start_ns, start_ns, duration_ns)
    right = _position(span.start_ns + span.duration_ns, start_ns, duration_ns)
    ticks = _ticks(span.events, start_ns, duration_ns)
    return Row(node, number, left, right - left, usable_time(span.start_ns), ticks)


def _position(time_ns: int, start_ns: int, duration_ns: int) -> float:
    if duration_ns <= 0 or time_ns <= start_ns:
        return 0.0
    return min(time_ns - start_ns, duration_ns) / duration_ns * 100


def _ticks(events: list[Event], start_ns: int, duration_ns: int) -> list[Tick]:
    places: dict[int, list[Event]] = {}
    for event in events:
        if usable_time(event.time_ns):
            left = _position(event.time_ns, start_ns, duration_ns)
            places.setdefault(round(left / _TICK_STEP), []).append(event)
    return [
        Tick(place * _TICK_STEP, ", ".join(event.name for event in near[:5]), any(e.name == "exception" for e in near))
        for place, near in sorted(places.items())
    ]


def _ruler(duration_ns: int) -> list[str]:
    """Five labels, from the start of the trace to its end."""
    return ["0", *(present.duration(duration_ns * quarter // 4) for quarter in (1, 2, 3, 4))] if duration_ns else ["0"]
