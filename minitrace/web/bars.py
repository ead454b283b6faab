"""Rows to what is drawn of them on the time axis, in per cent of the part of the trace that is shown.

The page's module draws the same in pixels; this is what is there before it, and without it. Positions are always
finite and within 0 to 100, whatever times the spans claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from minitrace import present
from minitrace.web.rows import MISSING, OUTLIVES, RUN, TIMELESS, Rows

LEAST = 0.1  # per cent: what is nearer to each other is drawn as one
TICK_STEP = 0.2  # per cent: about a pixel

Piece = tuple[float, float]  # from the left, and how wide


@dataclass(frozen=True, slots=True)
class Tick:
    """One or more events at one place of a bar."""

    left: float
    names: str
    is_exception: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """What the time cell of a row shows; without `span` nothing of it lies in the window."""

    span: Piece | None
    own: list[Piece]
    critical: list[Piece]
    over: Piece | None
    members: list[Piece]
    gaps: list[tuple[float, float, str]]
    ticks: list[Tick]


class Axis:
    """The time axis of a page: a trace's rows, and the window that is looked at."""

    def __init__(self, rows: Rows, window: tuple[int, int] | None = None) -> None:
        self._rows = rows
        self.begin, self.end = window or (0, rows.duration_ns)
        self._critical: dict[int, list[tuple[int, int]]] = {}
        numbers = iter(rows.critical)
        for row, begin, end in zip(numbers, numbers, numbers, strict=True):
            self._critical.setdefault(row, []).append((begin, end))

    @property
    def labels(self) -> list[str]:
        """Five labels, from the start of the window to its end."""
        width = self.end - self.begin
        times = [self.begin + width * quarter // 4 for quarter in range(5)] if width else [self.begin]
        return [present.duration(time) if time else "0" for time in times]

    def bar(self, row: int, *, has_gaps: bool = True) -> Bar:
        """What to draw of a row."""
        rows, flags, more = self._rows, self._rows.flags[row], self._rows.more.get(row, {})
        begin, end = rows.begin[row], rows.begin[row] + rows.length[row]
        if flags & TIMELESS:
            return Bar(None, [], [], None, [], [], [])
        is_group = bool(flags & (RUN | MISSING))
        below = [] if is_group else _covered(rows, row)
        return Bar(
            self._piece(begin, end),
            [] if is_group else self._pieces(_uncovered(begin, end, below)),
            self._pieces(self._critical.get(row, ())),
            self._over(row) if flags & OUTLIVES else None,
            self._pieces(_extents(rows, rows.children(row))) if is_group else [],
            [gap for times in more.get("gaps", ()) if (gap := self._gap(*times))] if has_gaps else [],
            list(self._ticks(more.get("ticks", ()))),
        )

    def _place(self, time_ns: int) -> float:
        if self.end <= self.begin or time_ns <= self.begin:
            return 0.0
        return min(time_ns - self.begin, self.end - self.begin) / (self.end - self.begin) * 100

    def _piece(self, begin: int, end: int) -> Piece | None:
        if begin > self.end or end < self.begin:
            return None
        left = self._place(begin)
        return left, self._place(end) - left

    def _pieces(self, extents: Iterable[tuple[int, int]]) -> list[Piece]:
        """The pieces of several extents, in order of their beginning; near ones are one."""
        pieces: list[Piece] = []
        for begin, end in extents:
            piece = self._piece(begin, end)
            if piece is None:
                continue
            if pieces and piece[0] - sum(pieces[-1]) < LEAST:
                left = pieces[-1][0]
                pieces[-1] = left, max(sum(pieces[-1]), sum(piece)) - left
            else:
                pieces.append(piece)
        return pieces

    def _over(self, row: int) -> Piece | None:
        """The part of a row after the end of its parent."""
        rows, parent = self._rows, self._rows.parent(row)
        while parent >= 0 and rows.flags[parent] & RUN:
            parent = rows.parent(parent)
        if parent < 0:
            return None
        return self._piece(
            max(rows.begin[parent] + rows.length[parent], rows.begin[row]), rows.begin[row] + rows.length[row]
        )

    def _gap(self, begin: int, end: int) -> tuple[float, float, str] | None:
        piece = self._piece(begin, end)
        return (*piece, f"{present.duration(end - begin)} untraced") if piece and piece[1] > 8 else None

    def _ticks(self, events: Iterable[tuple[int, str, int]]) -> Iterator[Tick]:
        places: dict[int, list[tuple[int, str, int]]] = {}
        for event in events:
            if self.begin <= event[0] <= self.end or self.begin == self.end:
                places.setdefault(round(self._place(event[0]) / TICK_STEP), []).append(event)
        for place, near in sorted(places.items()):
            yield Tick(place * TICK_STEP, ", ".join(name for _, name, _ in near[:5]), any(bad for _, _, bad in near))


def _extents(rows: Rows, some: Iterable[int]) -> list[tuple[int, int]]:
    """When rows begin and end, in order of beginning; those without a time are left out."""
    timed = (row for row in some if not rows.flags[row] & TIMELESS)
    return sorted((rows.begin[row], rows.begin[row] + rows.length[row]) for row in timed)


def _covered(rows: Rows, row: int) -> list[tuple[int, int]]:
    """When a child is running, in order of beginning; a run's spans count as its parent's children."""
    members = [child for child in rows.children(row) if not rows.flags[child] & RUN]
    for child in rows.children(row):
        if rows.flags[child] & RUN:
            members += rows.children(child)
    return _extents(rows, members)


def _uncovered(begin: int, end: int, covered: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What is left of an extent beside those that cover it, which come in order of beginning."""
    for from_, to in covered:
        if min(from_, end) > begin:
            yield begin, min(from_, end)
        begin = max(begin, to)
    if begin < end:
        yield begin, end
