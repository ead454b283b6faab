"""Sets of traces, by the paths that their spans were reached on: how often, how long, how many failed.

```
traces of a                              operations                        traces  calls  p50
frontend GET /cart                       frontend GET /cart                   200    200   31 ms
├── cart GetCart                         └── cart GetCart                     200    200    2 ms
│   └── cart HGETALL                         └── cart HGETALL                 198    198  0.4 ms
…
```

A name counts without the ids in it. Below 100 levels all spans of one service and name count together, as recursion
has no end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from minitrace.analysis.breakdown import rank
from minitrace.analysis.signatures import shortened, without_ids
from minitrace.analysis.timing import own_times
from minitrace.analysis.tree import Tree

DEEPEST = 100
CERTAIN = 1.29  # times the root of n: so many places from the middle the true median is, in 99 of 100 samples

Path = tuple[tuple[str, str], ...]  # services and names, from a top down


class Spread(NamedTuple):
    """Where the figures of a sample lie.

    `low` to `high` is where the true median is with 99 % certainty, by order statistics; of few traces that is from the
    least to the greatest.
    """

    p50: int
    p95: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class OperationFigures:
    """One operation in one set of traces.

    `trace_count` traces have it, out of `root_count` that have its top; `calls` are in one of those, 0 in some.
    `duration_ns` and `own_ns` are of one call. `error_count` calls failed, in `failed_count` traces.
    """

    trace_count: int
    root_count: int
    call_count: int
    error_count: int
    failed_count: int
    calls: Spread
    duration_ns: Spread
    own_ns: Spread

    @property
    def calls_per_trace(self) -> float:
        """How often it is called in a trace of its root operation, on average."""
        return self.call_count / self.root_count

    @property
    def p50_ns(self) -> int:
        """The median of its durations."""
        return self.duration_ns.p50

    @property
    def p95_ns(self) -> int:
        """The 95th percentile of its durations."""
        return self.duration_ns.p95

    @property
    def own_p50_ns(self) -> int:
        """The median of its own times."""
        return self.own_ns.p50

    @property
    def own_p95_ns(self) -> int:
        """The 95th percentile of its own times."""
        return self.own_ns.p95


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations of a set of traces, by path, those above before those below."""

    trace_count: int
    figures: dict[Path, OperationFigures]


@dataclass(frozen=True, slots=True)
class Change:
    """An operation in two sets of traces; None for a set that does not have it.

    `impact_ns` is how much longer its calls' own work takes in a trace of b than in one of a, to judge by the medians.
    """

    path: Path
    service: str
    name: str
    a: OperationFigures | None
    b: OperationFigures | None
    impact_ns: int


@dataclass(slots=True)
class Samples:
    """What was seen of one path; `calls` are counted by trace, those that have none left out."""

    error_count: int = 0
    failed_count: int = 0
    calls: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    owns: list[int] = field(default_factory=list)
    last_trace: int = -1
    last_failed: int = -1


def operations(trees: Iterable[Tree]) -> Operations:
    """The operations of these traces."""
    tally = Tally()
    for tree in trees:
        tally.take(tree)
    return tally.operations()


def changes(a: Operations, b: Operations) -> list[Change]:
    """The operations of both sets, those with the largest impact first."""
    found = [_change(path, a.figures.get(path), b.figures.get(path)) for path in {**a.figures, **b.figures}]
    return sorted(found, key=lambda change: (-abs(change.impact_ns), change.path))


def name(text: str) -> str:
    """An operation's name: a span's, without ids, on one line of up to 60 characters."""
    return shortened(without_ids(text))


class Paths:
    """Numbers for paths, in order of appearance: to make the path of each span, and look it up, takes far longer."""

    def __init__(self) -> None:
        self.all: list[Path] = []  # by number
        self._numbers: dict[Path, int] = {}
        self._known: dict[tuple[int, str, str], int] = {}  # numbers by that of the path above, service and span name

    def of(self, tree: Tree) -> list[int]:
        """The number of each row's path."""
        numbers: list[int] = []
        known = self._known
        for node, parent in zip(tree.nodes, tree.parents, strict=True):
            span = node.span
            key = numbers[parent] if parent >= 0 else -1, span.service, span.name
            number = known.get(key)
            if number is None:
                number = known[key] = self._number(*key)
            numbers.append(number)
        return numbers

    def _number(self, above: int, service: str, span_name: str) -> int:
        """The number of a path that was not met before, or not with this span name."""
        lead = self.all[above][: DEEPEST - 1] if above >= 0 else ()
        path = (*lead, (service, name(span_name)))
        number = self._numbers.setdefault(path, len(self.all))
        if number == len(self.all):
            self.all.append(path)
        return number


class Tally:
    """Samples of traces, one by one."""

    def __init__(self) -> None:
        self.trace_count = 0
        self.paths = Paths()
        self.samples: list[Samples] = []  # by the number of the path

    def take(self, tree: Tree) -> list[int]:
        """Add a trace; returns the numbers of its rows' paths."""
        self.trace_count += 1
        numbers = self.paths.of(tree)
        self.samples += [Samples() for _ in range(len(self.paths.all) - len(self.samples))]
        own = own_times(tree)
        for row, number in enumerate(numbers):
            samples = self.samples[number]
            if samples.last_trace != self.trace_count:
                samples.last_trace = self.trace_count
                samples.calls.append(0)
            samples.calls[-1] += 1
            samples.durations.append(tree.ends[row] - tree.begins[row])
            samples.owns.append(own[row])
            if tree.nodes[row].span.is_error:
                samples.error_count += 1
                samples.failed_count += samples.last_failed != self.trace_count
                samples.last_failed = self.trace_count
        return numbers

    def operations(self) -> Operations:
        """The figures of all that was taken."""
        all_ = list(zip(self.paths.all, self.samples, strict=False))  # paths of a tree that was not taken come last
        roots: dict[Path, int] = {path: len(samples.calls) for path, samples in all_ if len(path) == 1}
        return Operations(self.trace_count, {path: _figures(samples, roots[path[:1]]) for path, samples in all_})


def _figures(samples: Samples, root_count: int) -> OperationFigures:
    trace_count = len(samples.calls)
    return OperationFigures(
        trace_count,
        root_count,
        len(samples.durations),
        samples.error_count,
        samples.failed_count,
        _spread(samples.calls, root_count, zeros=root_count - trace_count),
        _spread(samples.durations, trace_count),
        _spread(samples.owns, trace_count),
    )


def _spread(values: list[int], trace_count: int, zeros: int = 0) -> Spread:
    """The spread of values and so many zeros. Calls of one trace are alike: traces make the median certain."""
    count = len(values) + zeros
    if count == 1:
        return Spread(*values * 4)
    ordered = sorted(values)
    middle, away = count / 2, CERTAIN * count / math.sqrt(trace_count)
    low, high = max(math.floor(middle - away), 0), min(math.ceil(middle + away), count - 1)
    places = rank(count, 50), rank(count, 95), low, high
    return Spread(*[0 if place < zeros else ordered[place - zeros] for place in places])


def _change(path: Path, a: OperationFigures | None, b: OperationFigures | None) -> Change:
    return Change(path, *path[-1], a, b, _work(b) - _work(a))


def _work(figures: OperationFigures | None) -> int:
    """How long an operation works itself in a trace, to judge by the median."""
    return round(figures.calls_per_trace * figures.own_p50_ns) if figures else 0
