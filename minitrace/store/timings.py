"""Durations in buckets that are the same for ever, as Prometheus counts them, with a span to look at in each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

NS = 1_000_000_000
MOST_CHARACTERS = 500  # of a label; those that are alike up to there are one
MOST_LABEL_BYTES = 1 << 20  # of all labels of all series, whose text repeats them in each of twenty lines


def label(text: str) -> str:
    """A text as a label, which is not endless."""
    return text[:MOST_CHARACTERS]


def size_bytes(labels: Iterable[str]) -> int:
    """How long labels are in the text."""
    return sum(len(text.encode()) for text in labels)


@dataclass(slots=True)
class Exemplar:
    """A span that was counted: its row in `spans`, and when it was counted. Its ids are looked up by the tally."""

    span: int
    duration_ns: int
    time_ns: int
    trace_id: bytes = b""
    span_id: bytes = b""


def bounds_ns(least_ns: int, number: int) -> tuple[int, ...]:
    """Upper bounds of buckets: so many, each twice the one before; what is longer has a bucket of its own."""
    return tuple(least_ns << power for power in range(number))


def bucket_sql(column: str, bounds: Sequence[int]) -> str:
    """An SQL expression for the bucket of a duration. A bound belongs to the bucket below it."""
    cases = " ".join(f"WHEN {column} <= {bound} THEN {bucket}" for bucket, bound in enumerate(bounds))
    return f"CASE {cases} ELSE {len(bounds)} END"


@dataclass(slots=True)
class Timings:
    """How many durations lie in each bucket, what they add up to, and of each bucket a span that came lately."""

    bounds: Sequence[int]
    counts: list[int] = field(init=False)
    total_s: float = 0.0
    exemplars: dict[int, Exemplar] = field(default_factory=dict)  # by bucket

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    @property
    def count(self) -> int:
        """How many durations there are."""
        return sum(self.counts)

    @property
    def cumulated(self) -> list[int]:
        """How many there are up to the bound of each bucket."""
        return list(accumulate(self.counts))

    @property
    def latest(self) -> Exemplar | None:
        """The exemplar that was noted last, and of those at once the slowest."""
        return max(self.exemplars.values(), key=lambda one: (one.time_ns, one.duration_ns), default=None)

    def add(self, bucket: int, count: int, total_ns: float, slowest: Exemplar) -> bool:
        """Count durations of one bucket. Whether the slowest of them is its exemplar from now on."""
        self.counts[bucket] += count
        self.total_s += total_ns / NS
        known = self.exemplars.get(bucket)
        if known is not None and (slowest.time_ns, slowest.duration_ns) <= (known.time_ns, known.duration_ns):
            return False
        self.exemplars[bucket] = slowest
        return True

    def count_one(self, duration_ns: int) -> None:
        """Count a duration of no span."""
        self.counts[bisect_left(self.bounds, duration_ns)] += 1
        self.total_s += duration_ns / NS

    def add_one(self, one: Exemplar) -> bool:
        """Count the duration of a span. Whether it is an exemplar from now on."""
        return self.add(bisect_left(self.bounds, one.duration_ns), 1, one.duration_ns, one)

    def forget(self, last_span: int) -> None:
        """Forget the exemplars among the rows up to one: they may have left."""
        self.exemplars = {bucket: one for bucket, one in self.exemplars.items() if one.span > last_span}
