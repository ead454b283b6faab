"""Spans to what tells some of them from the others: ``compare({ status = error })``.

For every field, the spans are counted by its value: the selected ones, which meet the condition, and the baseline,
all the others. The labels of the series say which they are of:

```
__meta_type="selection"        resource.service.name="db"    selected spans of the service db
__meta_type="baseline"         resource.service.name="db"    the others
__meta_type="selection_total"  resource.service.name=nil     selected spans that have a service name
__meta_error="__too_many_values__"  span.url=nil             not all values were counted
```
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from minitrace.traceql import values
from minitrace.traceql.ast import Compare, Intrinsic, Value
from minitrace.traceql.fields import Row, compile_condition, compile_field
from minitrace.traceql.series import Range, Series, in_order

TOP_VALUES = 10  # of a field, unless the query says how many
VALUES_COUNTED = 1000  # of a field; an id or a URL in each span must not fill the memory
SIDES = ("baseline", "selection")

# Fields that differ for nearly every span, such as ids and durations, would say nothing.
_ALWAYS, _WHERE_SAID = (
    [(name, compile_field(Intrinsic(name))) for name in names]
    for names in (
        ("name", "kind", "status", "rootName", "rootServiceName"),
        ("statusMessage", "instrumentation:name", "instrumentation:version"),  # "" says nothing
    )
)


@dataclass(slots=True)
class _Counts:
    """Of one field of one side, in sparse buckets."""

    total: Counter[int] = field(default_factory=Counter)
    values: dict[Hashable, tuple[Value, Counter[int]]] = field(default_factory=dict)
    are_cut: bool = False

    def add(self, value: Value, bucket: int, count: int) -> None:
        self.total[bucket] += count
        identity = values.identity(value)
        if identity not in self.values:
            if len(self.values) >= VALUES_COUNTED:
                self.are_cut = True
                return
            self.values[identity] = (value, Counter())
        self.values[identity][1][bucket] += count

    def top(self, limit: int) -> list[tuple[Value, Counter[int]]]:
        return sorted(self.values.values(), key=lambda one: (-one[1].total(), str(one[0])))[:limit]


class Comparison:
    """The counts that ``compare()`` makes of spans."""

    def __init__(self, compare: Compare, range: Range) -> None:
        self._compare = compare
        self._condition = compile_condition(compare.selection.condition)
        self._bucket_count = len(range.stamps_ns)
        self._counts: dict[tuple[str, str], _Counts] = {}

    def add(self, row: Row, bucket: int) -> None:
        """Count the fields of a span."""
        side = SIDES[self._is_selected(row)]
        for name, value in _fields(row):
            self.count(side, name, value, bucket)

    def count(self, side: str, name: str, value: Value, bucket: int, count: int = 1) -> None:
        """Count spans of a side, ``baseline`` or ``selection``, that have this value of a field."""
        key = (side, name)
        if key not in self._counts:
            self._counts[key] = _Counts()
        self._counts[key].add(value, bucket, count)

    def series(self) -> list[Series]:
        """The most frequent values of each field and side, the totals, and which fields had too many values."""
        limit = TOP_VALUES if self._compare.top_n is None else self._compare.top_n
        found: list[Series] = []
        for (side, name), counts in self._counts.items():
            found += [self._series("__meta_type", side, name, *one) for one in counts.top(limit)]
            found.append(self._series("__meta_type", f"{side}_total", name, None, counts.total))
        cut = {name for (_, name), counts in self._counts.items() if counts.are_cut}
        found += [self._series("__meta_error", "__too_many_values__", name, None, Counter()) for name in cut]
        return in_order(found)

    def _series(self, label: str, meaning: str, name: str, value: Value, counts: Counter[int]) -> Series:
        return Series(((label, meaning), (name, value)), [counts[bucket] for bucket in range(self._bucket_count)])

    def _is_selected(self, row: Row) -> bool:
        first, last = self._compare.start_ns, self._compare.end_ns
        if first is not None and last is not None and not first < row.span.start_ns <= last:
            return False
        return self._condition(row)


def _fields(row: Row) -> Iterator[tuple[str, Value]]:
    """Every field of a span that can be compared, each value of it once."""
    span = row.span
    yield from ((name, value_of(row)) for name, value_of in _ALWAYS)
    yield from ((name, value) for name, value_of in _WHERE_SAID if (value := value_of(row)))
    for scope, holder in (("span", span), ("resource", span.resource), ("instrumentation", span.scope)):
        known = ((name, values.known(value)) for name, value in holder.attributes.items())
        yield from ((f"{scope}.{name}", value) for name, value in known if value is not None)
    yield from _distinct(_fields_of_events(row))


def _fields_of_events(row: Row) -> Iterator[tuple[str, Value]]:
    for event in row.span.events:
        yield "event:name", event.name
        yield from ((f"event.{name}", values.known(value)) for name, value in event.attributes.items())
    for link in row.span.links:
        yield from ((f"link.{name}", values.known(value)) for name, value in link.attributes.items())


def _distinct(fields: Iterator[tuple[str, Value]]) -> Iterator[tuple[str, Value]]:
    seen: set[Hashable] = set()
    for name, value in fields:
        key = (name, values.identity(value))
        if value is not None and key not in seen:
            seen.add(key)
            yield name, value
