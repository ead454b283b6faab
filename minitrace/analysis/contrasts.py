"""One operation on two sides, be they two traces or two sets of them: what findings are judged by."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import cast

from minitrace.analysis.alignment import Aligned, Side
from minitrace.analysis.operations import Change, OperationFigures, Spread
from minitrace.analysis.signatures import shortened

RARE = 0.2  # of the traces of its root operation
SIGMAS = 3.0  # two shares further apart than that are no chance


@dataclass(frozen=True, slots=True)
class Half:
    """An operation on one side, where `trace_count` traces could have it: they have its root operation.

    `share` of them do, and in `error_share` of them it failed. `calls` are in one of those traces, `calls_per_trace` is
    the mean of that; `own_ns` and `duration_ns`, a median, are of one call.
    """

    trace_count: int
    share: float = 0.0
    calls_per_trace: float = 0.0
    calls: Spread = Spread(0, 0, 0, 0)
    own_ns: Spread = Spread(0, 0, 0, 0)
    duration_ns: int = 0
    error_share: float = 0.0

    @property
    def total_ns(self) -> float:
        """What all its calls in a trace take, with all below them."""
        return self.calls_per_trace * self.duration_ns


@dataclass(frozen=True, slots=True)
class Contrast:
    """An operation on both sides. `row` is its place among what is compared, `above` that of its parent, -1 for a top.

    `longest_ns` is how long its root operation takes, where it takes longer.
    """

    row: int
    above: int
    title: str
    is_leaf: bool
    longest_ns: int
    a: Half
    b: Half
    is_of_sets: bool

    @property
    def is_there_otherwise(self) -> bool:
        """Whether it is there in more, or in fewer, of the traces than chance would have it."""
        return differ(self.a.share, self.a.trace_count, self.b.share, self.b.trace_count)

    @property
    def fails_otherwise(self) -> bool:
        """Whether it fails in more, or in fewer, of the traces than chance would have it."""
        return differ(self.a.error_share, self.a.trace_count, self.b.error_share, self.b.trace_count)


def contrasts(compared: Sequence[Aligned] | Sequence[Change]) -> list[Contrast]:
    """What is compared, those above before those below.

    Left out is what some traces of one set alone have, where that is chance: of traces no two of which are alike, there
    is as much of it as spans.
    """
    if compared and isinstance(compared[0], Change):
        return list(_of_sets(cast("Sequence[Change]", compared)))
    return list(_of_traces(cast("Sequence[Aligned]", compared)))


def origins(contrasts: Mapping[int, Contrast], failing: AbstractSet[int]) -> set[int]:
    """Of the rows that fail those that have none below that does: the others are their echo."""
    echoes: set[int] = set()
    for row in failing:
        above = contrasts[row].above
        while above >= 0 and above not in echoes:
            echoes.add(above)
            above = contrasts[above].above
    return set(failing) - echoes


def differ(a: float, a_count: int, b: float, b_count: int) -> bool:
    """Whether two shares, seen in so many traces each, differ by more than chance.

    All against none is always a difference; otherwise it is the two-proportion z-test.
    """
    if not (a_count and b_count):
        return False
    if abs(a - b) == 1:
        return True
    both = (a * a_count + b * b_count) / (a_count + b_count)
    sigma = math.sqrt(both * (1 - both) * (1 / a_count + 1 / b_count))
    return abs(a - b) > SIGMAS * sigma


def apart(a: Spread, b: Spread) -> bool:
    """Whether two medians differ by more than chance."""
    return a.high < b.low or b.high < a.low


def _of_traces(rows: Sequence[Aligned]) -> Iterator[Contrast]:
    longest_ns = max((max(row.a.total_ns, row.b.total_ns) for row in rows if not row.depth), default=0)
    above: list[int] = []
    for place, row in enumerate(rows):
        del above[row.depth :]
        title = f"{shortened(row.service)}: {row.label}"
        parent = above[-1] if above else -1
        yield Contrast(place, parent, title, row.size == 1, longest_ns, _half(row.a), _half(row.b), is_of_sets=False)
        above.append(place)


def _half(side: Side) -> Half:
    count = len(side.rows)
    if not count:
        return Half(1)
    own = side.own_ns // count
    calls, owns = Spread(count, count, count, count), Spread(own, own, own, own)
    return Half(1, 1.0, count, calls, owns, side.total_ns // count, float(side.error_count > 0))


def _of_sets(changes: Sequence[Change]) -> Iterator[Contrast]:
    places = {change.path: place for place, change in enumerate(changes)}
    inner = {change.path[:-1] for change in changes}
    for change in sorted(changes, key=lambda change: len(change.path)):
        path, root = change.path, changes[places[change.path[:1]]]
        if _is_rare(change, root):
            continue
        longest_ns = max(figures.p50_ns for figures in (root.a, root.b) if figures)
        title = f"{shortened(change.service)}: {change.name}"
        halves = _half_of_set(change.a, root.a), _half_of_set(change.b, root.b)
        above = places.get(path[:-1], -1)
        yield Contrast(places[path], above, title, path not in inner, longest_ns, *halves, is_of_sets=True)


def _is_rare(change: Change, root: Change) -> bool:
    """Whether few traces of one set have it, and by chance none of the other. What is below it is no less rare."""
    if change.a and change.b:
        return False
    own, other = (change.a, root.b) if change.a else (change.b, root.a)
    assert own
    share = own.trace_count / own.root_count
    return share <= RARE and not differ(share, own.root_count, 0, other.root_count if other else 0)


def _half_of_set(figures: OperationFigures | None, root: OperationFigures | None) -> Half:
    if figures is None:
        return Half(root.root_count if root else 0)
    return Half(
        figures.root_count,
        figures.trace_count / figures.root_count,
        figures.calls_per_trace,
        figures.calls,
        figures.own_ns,
        figures.p50_ns,
        figures.failed_count / figures.root_count,
    )
