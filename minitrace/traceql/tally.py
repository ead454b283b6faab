"""The spans found in each trace to the counts of a metrics function, by group and by bucket of time.

```
{ … } | sum_over_time(.n) by(name)     name=a   bucket 0: 2 spans, 7 in all, 3 the lowest
                                                bucket 4: …
                                       name=b   …
```

A `Tally` can be fed spansets, or spans that SQL has counted already; both give the same series.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from minitrace.traceql import values
from minitrace.traceql.ast import Attribute, Compare, Intrinsic, MetricsFunction, Value
from minitrace.traceql.compare import Comparison
from minitrace.traceql.evaluate import Spanset
from minitrace.traceql.fields import Row, compile_field, trace_id_text
from minitrace.traceql.names import INTRINSICS
from minitrace.traceql.series import (
    NAME,
    SECOND_NS,
    Exemplar,
    Labels,
    Range,
    Sample,
    Series,
    finite,
    in_order,
    with_samples,
)
from minitrace.traceql.values import Number

Key = tuple[Value, ...]  # the values of the `by` fields


@dataclass(slots=True)
class _Cell:
    """What one bucket of one group has. `bounds` counts values by the power of two at or above them."""

    count: int = 0
    total: Number = 0
    low: Number | None = None
    high: Number | None = None
    bounds: dict[int, int] = field(default_factory=dict)

    def add(self, count: int, total: Number, low: Number | None, high: Number | None) -> None:
        self.count += count
        self.total += total
        if low is not None:
            self.low = low if self.low is None else min(low, self.low)
        if high is not None:
            self.high = high if self.high is None else max(high, self.high)


@dataclass(slots=True)
class _Group:
    """The spans with the same values of the `by` fields."""

    key: Key
    cells: dict[int, _Cell] = field(default_factory=dict)
    exemplars: list[Exemplar] = field(default_factory=list)


# What a function makes of a bucket that has spans; rates and counts are 0 of one that has none, others have no sample.
_SAMPLES: dict[str, Callable[[_Cell, Range], Sample]] = {
    "rate": lambda cell, range: cell.count / range.bucket_s,
    "count_over_time": lambda cell, range: cell.count,
    "min_over_time": lambda cell, range: cell.low,
    "max_over_time": lambda cell, range: cell.high,
    "sum_over_time": lambda cell, range: cell.total,
    "avg_over_time": lambda cell, range: cell.total / cell.count,
}
_COUNTING = ("rate", "count_over_time")
_BOUNDING = ("histogram_over_time", "quantile_over_time")


class Tally:
    """What one metrics function counts. Spans that start outside the range do not count.

    Durations are added in nanoseconds, and come out in seconds. At most `max_exemplars` spans are kept to be shown,
    spread over the range.
    """

    def __init__(self, function: MetricsFunction | Compare, range: Range, max_exemplars: int = 0) -> None:
        self.range = range
        self._counts: Comparison | _Groups
        if isinstance(function, Compare):
            self._counts = Comparison(function, range)
        else:
            self._counts = _Groups(function, range, max_exemplars)

    def add(self, spansets: Iterable[Spanset]) -> None:
        """Count what was found in one trace."""
        for spanset in spansets:
            for row in spanset.rows:
                bucket = self.range.bucket(row.span.start_ns)
                if bucket is not None:
                    self._counts.add(row, bucket)

    def add_group(
        self,
        key: Key,
        bucket: int,
        count: int,
        total: Number = 0,
        low: Number | None = None,
        high: Number | None = None,
    ) -> None:
        """Count spans that have these values of the `by` fields, and together this total, lowest and highest value.

        For rate and count_over_time, and for min, max, sum and avg_over_time, where `count` are spans with a number.
        """
        self._groups.cell(key, bucket).add(count, total, low, high)

    def add_bounds(self, key: Key, bucket: int, bound: int, count: int) -> None:
        """Count values whose `bound_of` is `bound`, for histogram_over_time and quantile_over_time."""
        self._groups.add_bounds(key, bucket, bound, count)

    def show(self, rows: Iterable[Row]) -> None:
        """Keep some of these spans, which are counted as groups, as exemplars."""
        for row in rows:
            self._groups.show(row)

    def series(self) -> list[Series]:
        """What was counted, in order of labels; no series without a sample."""
        return with_samples(in_order(self._counts.series()))

    @property
    def _groups(self) -> _Groups:
        assert isinstance(self._counts, _Groups), "compare() counts spans one by one"
        return self._counts


class _Groups:
    """The counts of every function but compare()."""

    def __init__(self, function: MetricsFunction, range: Range, max_exemplars: int) -> None:
        self._function = function
        self._range = range
        self._key_of = [compile_field(by) for by in function.by]
        self._value_of = None if function.attribute is None else compile_field(function.attribute)
        self._unit = SECOND_NS if _is_duration(function.attribute) else 1
        self._max_exemplars = max_exemplars
        self._exemplar_slots: set[int] = set()
        self._groups: dict[object, _Group] = {}

    def add(self, row: Row, bucket: int) -> None:
        key, value = self._read(row)
        if self._function.name in _BOUNDING:
            bound = bound_of(value)
            if bound is None:
                return
            self.add_bounds(key, bucket, bound, 1)
        elif self._value_of is None:
            self.cell(key, bucket).count += 1
        elif isinstance(value, int | float) and values.is_number(value):
            self.cell(key, bucket).add(1, value, value, value)
        else:
            return
        if self._max_exemplars:
            self._keep_exemplar(key, row, value)

    def show(self, row: Row) -> None:
        key, value = self._read(row)
        if self._value_of is None or values.is_number(value):
            self._keep_exemplar(key, row, value)

    def _read(self, row: Row) -> tuple[Key, Value]:
        """The values of the `by` fields, and that of the field the function is about."""
        key = tuple(values.known(value_of(row)) for value_of in self._key_of)
        return key, None if self._value_of is None else self._value_of(row)

    def add_bounds(self, key: Key, bucket: int, bound: int, count: int) -> None:
        bounds = self.cell(key, bucket).bounds
        bounds[bound] = bounds.get(bound, 0) + count

    def cell(self, key: Key, bucket: int) -> _Cell:
        group = self._group(key)
        if bucket not in group.cells:
            group.cells[bucket] = _Cell()
        return group.cells[bucket]

    def series(self) -> list[Series]:
        if self._function.name in _COUNTING and not self._function.by:
            self._group(())  # there is a series even where nothing was found
        return [one for group in self._groups.values() for one in self._series(group)]

    def _series(self, group: _Group) -> list[Series]:
        if self._function.name == "histogram_over_time":
            found = self._histogram(group)
        elif self._function.name == "quantile_over_time":
            found = self._quantiles(group)
        else:
            found = [self._samples(group)]
        found[0].exemplars = group.exemplars
        return found

    def _samples(self, group: _Group) -> Series:
        sample_of = _SAMPLES[self._function.name]
        samples = self._samples_of(group, lambda cell: self._in_unit(sample_of(cell, self._range)))
        return Series(self._labels(group.key) or ((NAME, self._function.name),), samples)

    def _histogram(self, group: _Group) -> list[Series]:
        bounds = sorted({bound for cell in group.cells.values() for bound in cell.bounds})
        return [
            Series(
                (*self._labels(group.key), ("__bucket", bound / self._unit)),
                self._samples_of(group, partial(_count_at, bound)),
            )
            for bound in bounds
        ]

    def _quantiles(self, group: _Group) -> list[Series]:
        return [
            Series(
                (*self._labels(group.key), ("p", float(share))),
                self._samples_of(group, partial(self._quantile, share)),
            )
            for share in self._function.quantiles
        ]

    def _in_unit(self, sample: Sample) -> Sample:
        return sample if sample is None or self._unit == 1 else sample / self._unit

    def _quantile(self, share: float, cell: _Cell) -> float:
        return quantile(cell.bounds, share) / self._unit

    def _samples_of(self, group: _Group, sample_of: Callable[[_Cell], Sample]) -> list[Sample]:
        has_zeros = self._function.name in (*_COUNTING, *_BOUNDING)
        samples: list[Sample] = [0 if has_zeros else None] * len(self._range.stamps_ns)
        for bucket, cell in group.cells.items():
            samples[bucket] = finite(sample_of(cell))
        return samples

    def _labels(self, key: Key) -> Labels:
        """Those of the `by` fields that are there; if none is, the first is nil."""
        labels = tuple((str(by), value) for by, value in zip(self._function.by, key, strict=True))
        return tuple(label for label in labels if label[1] is not None) or labels[:1]

    def _group(self, key: Key) -> _Group:
        identity = values.identity(list(key))
        if identity not in self._groups:
            self._groups[identity] = _Group(key)
        return self._groups[identity]

    def _keep_exemplar(self, key: Key, row: Row, value: Value) -> None:
        """Keep the first span of each of `max_exemplars` equal parts of the range."""
        range = self._range
        slot = (row.span.start_ns - range.first_ns) * self._max_exemplars // (range.last_ns - range.first_ns + 1)
        if slot not in self._exemplar_slots:
            self._exemplar_slots.add(slot)
            shown = value / self._unit if isinstance(value, int | float) else None
            self._group(key).exemplars.append(Exemplar(_exemplar_labels(row), shown, row.span.start_ns))


def _count_at(bound: int, cell: _Cell) -> int:
    return cell.bounds.get(bound, 0)


def _is_duration(attribute: Attribute | Intrinsic | None) -> bool:
    return isinstance(attribute, Intrinsic) and INTRINSICS[attribute.name].type == "duration"


def _exemplar_labels(row: Row) -> Labels:
    span = row.span
    own = ((f"span.{name}", values.known(value)) for name, value in span.attributes.items())
    return (
        ("trace:id", trace_id_text(span.trace_id)),
        ("span:id", span.span_id.hex()),
        ("name", span.name),
        ("resource.service.name", span.service),
        *((name, value) for name, value in own if value is not None),
    )


# Distributions


def bound_of(value: Value) -> int | None:
    """The power of two at or above a value; None for what histograms leave out: floats, and what is below 2."""
    if not isinstance(value, int) or type(value) not in values.NUMBERS or value < 2:
        return None
    return 1 << (int(value) - 1).bit_length()


def quantile(bounds: Mapping[int, int], share: float) -> float:
    """The value below which a share of the values lies, from 0 to 1, where `bounds` counts them by `bound_of`.

    Where in its power of two it lies is interpolated exponentially, as Tempo does it. 0 if there are no values.
    """
    wanted = max(1, math.ceil(share * sum(bounds.values())))
    seen, lower = 0, None
    for bound, count in sorted(bounds.items()):
        if seen + count == wanted:
            return float(bound)
        if seen + count > wanted:
            low, high = math.log2(bound / 2 if lower is None else lower), math.log2(bound)
            return float(2 ** (low + (high - low) * (wanted - seen) / count))
        seen, lower = seen + count, bound
    return 0.0
