"""Series over time, and what can be made of them: the largest, those past a threshold, their quotient.

A series has labels and a sample for each stamp of a range, None where there is none. Samples are always finite.
"""

from __future__ import annotations

import math
import operator as python
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from minitrace.traceql import values
from minitrace.traceql.ast import Duration, Threshold, TopK, Value
from minitrace.traceql.values import Number

SECOND_NS = 1_000_000_000
NAME = "__name__"  # the label of a series that has no other

Labels = tuple[tuple[str, Value], ...]
Sample = Number | None


@dataclass(frozen=True, slots=True)
class Range:
    """The times that are counted, in buckets of a step.

    A bucket is stamped with its right edge, which belongs to it: spans that started in (stamp - step, stamp]. The
    first stamp is the start, rounded down to a step; so the first bucket lies before it. An instant range is one
    bucket from start to end, both within it.
    """

    start_ns: int
    end_ns: int
    step_ns: int
    is_instant: bool = False

    @classmethod
    def aligned(cls, start_ns: int, end_ns: int, step_ns: int) -> Range:
        """The same times, with start and end on whole steps."""
        return cls(start_ns // step_ns * step_ns, -(-end_ns // step_ns) * step_ns, step_ns)

    @property
    def first_ns(self) -> int:
        """The earliest start of a span that counts."""
        return self.start_ns if self.is_instant else (self.start_ns // self.step_ns - 1) * self.step_ns + 1

    @property
    def last_ns(self) -> int:
        """The latest start of a span that counts."""
        return self.end_ns if self.is_instant else -(-self.end_ns // self.step_ns) * self.step_ns

    @property
    def bucket_s(self) -> float:
        """How long a bucket is, in seconds."""
        return max(1, self.end_ns - self.start_ns if self.is_instant else self.step_ns) / SECOND_NS

    @property
    def stamps_ns(self) -> list[int]:
        """The stamps of all buckets."""
        if self.is_instant:
            return [self.end_ns]
        return list(range(self.first_ns + self.step_ns - 1, self.last_ns + 1, self.step_ns))

    def bucket(self, time_ns: int) -> int | None:
        """Which bucket, from 0, a time is in; None if it does not count."""
        if not self.first_ns <= time_ns <= self.last_ns:
            return None
        return 0 if self.is_instant else (time_ns - self.first_ns) // self.step_ns


@dataclass(slots=True)
class Exemplar:
    """A span that was counted: its fields, its value (None if only its being was counted) and its start."""

    labels: Labels
    value: Sample
    time_ns: int


@dataclass(slots=True)
class Series:
    """Samples, one for each stamp of a range."""

    labels: Labels
    samples: list[Sample]
    exemplars: list[Exemplar] = field(default_factory=list)


def in_order(series: Sequence[Series]) -> list[Series]:
    """By their labels: names, then values; numbers as numbers."""
    return sorted(series, key=_order)


def finite(sample: Sample) -> Sample:
    """The sample; None for infinity and NaN, which JSON cannot say."""
    return sample if sample is not None and math.isfinite(sample) else None


def with_samples(series: Sequence[Series]) -> list[Series]:
    """Those that have any."""
    return [one for one in series if any(sample is not None for sample in one.samples)]


# Second stages


def apply_stage(stage: TopK | Threshold, series: Sequence[Series]) -> list[Series]:
    """The series without the samples that ``topk(k)``, ``bottomk(k)`` or a threshold drops."""
    return with_samples(_ranked(stage, series)) if isinstance(stage, TopK) else _past(stage, series)


def _ranked(stage: TopK, series: Sequence[Series]) -> list[Series]:
    """At each stamp its own; of equal samples those whose labels come first."""
    if len(series) <= stage.limit:
        return list(series)
    ordered, sign = in_order(series), -1 if stage.function == "topk" else 1
    kept: list[list[Sample]] = [[None] * len(one.samples) for one in ordered]
    for at in range(len(ordered[0].samples)):
        present = [(sign * sample, rank) for rank, one in enumerate(ordered) if (sample := one.samples[at]) is not None]
        for _, rank in sorted(present)[: stage.limit]:
            kept[rank][at] = ordered[rank].samples[at]
    return [replace(one, samples=samples) for one, samples in zip(ordered, kept, strict=True)]


def _past(stage: Threshold, series: Sequence[Series]) -> list[Series]:
    limit = stage.value.value
    test = values.compile_test(stage.operator, limit / SECOND_NS if isinstance(limit, Duration) else limit)
    return each(series, lambda sample: sample if test(sample) else None)


# Arithmetic


_OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": python.add, "-": python.sub, "*": python.mul, "/": python.truediv,
}  # fmt: skip


def calculate(operator: str, left: Sample, right: Sample) -> Sample:
    """``left operator right``; None where one is missing, or there is no such number, as in ``1 / 0``."""
    if left is None or right is None or (operator == "/" and right == 0):
        return None
    return finite(_OPERATORS[operator](float(left), float(right)))  # ints could grow without bound


def each(series: Sequence[Series], change: Callable[[Sample], Sample]) -> list[Series]:
    """The series with every sample changed; those that have none left drop."""
    return with_samples([replace(one, samples=list(map(change, one.samples))) for one in series])


def join(operator: str, left: Sequence[Series], right: Sequence[Series]) -> list[Series]:
    """``left operator right`` for each two series with the same labels; the others drop.

    Where a side is one series without labels, it is joined to each of the other side's.
    """
    return with_samples([_joined(operator, *pair) for pair in _pairs(left, right)])


def _joined(operator: str, left: Series, right: Series) -> Series:
    samples = map(calculate, [operator] * len(left.samples), left.samples, right.samples)
    return Series(_joined_labels(operator, left, right), list(samples))


def _pairs(left: Sequence[Series], right: Sequence[Series]) -> list[tuple[Series, Series]]:
    if _is_unlabelled(right):
        return [(one, right[0]) for one in left]
    if _is_unlabelled(left):
        return [(left[0], one) for one in right]
    others = {_identity(one): one for one in right}
    return [(one, others[_identity(one)]) for one in left if _identity(one) in others]


def _is_unlabelled(side: Sequence[Series]) -> bool:
    return len(side) == 1 and not _own_labels(side[0])


def _own_labels(series: Series) -> Labels:
    return tuple(label for label in series.labels if label[0] != NAME)


def _joined_labels(operator: str, left: Series, right: Series) -> Labels:
    own = _own_labels(left) or _own_labels(right)
    if own:
        return own
    return ((NAME, f"({dict(left.labels)[NAME]} {operator} {dict(right.labels)[NAME]})"),)


def _identity(series: Series) -> frozenset[object]:
    return frozenset((name, values.identity(value)) for name, value in _own_labels(series))


def _order(series: Series) -> tuple[tuple[str, str, Value], ...]:
    return tuple(
        # elements of lists may not compare
        (name, type(value).__name__, repr(value) if isinstance(value, list) else value)
        for name, value in series.labels
    )
