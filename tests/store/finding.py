"""What searches find, the plain way: every trace evaluated, everything counted in Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from minitrace.analysis.breakdown import percentile
from minitrace.model import Span
from minitrace.store.facets import Facet
from minitrace.store.groups import Groups
from minitrace.store.matches import TraceSummary
from minitrace.store.orders import Order
from minitrace.store.overview import Overview
from minitrace.store.search import Search
from minitrace.store.store import Store
from minitrace.traceql.ast import Attribute, Intrinsic
from minitrace.traceql.evaluate import Program
from minitrace.traceql.fields import Row, compile_field
from minitrace.traceql.values import identity, known

FIELDS: tuple[Attribute | Intrinsic, ...] = (
    Attribute("resource", "service.name"), Intrinsic("name"), Intrinsic("status"), Intrinsic("kind"),
    Attribute(None, "k"), Attribute("span", "n"), Attribute("event", "k"), Intrinsic("rootName"),
)  # fmt: skip


class Found:
    """Everything that a search finds among some spans, with the summaries that a store has of their traces."""

    def __init__(self, search: Search, spans: Iterable[Span], summaries: dict[bytes, TraceSummary]) -> None:
        traces: dict[bytes, list[Span]] = {}
        for item in spans:
            traces.setdefault(item.trace_id, []).append(item)
        self.rows: dict[bytes, list[Row]] = {}
        program = Program(search.pipeline)
        for trace, own in traces.items():
            rows = {row.at: row for spanset in program.run(own) for row in spanset.rows}
            if rows and _overlaps(summaries[trace], search):
                self.rows[trace] = list(rows.values())
        self.traces = [summaries[trace] for trace in self.rows]

    def figures(self) -> tuple[Any, ...]:
        """The figures of its overview."""
        starts = [one.start_ns for one in self.traces] or [0]
        durations = [one.duration_ns for one in self.traces] or [0]
        return (
            len(self.traces), sum(one.error_count > 0 for one in self.traces),
            min(starts), max(starts), min(durations), max(durations),
        )  # fmt: skip

    def counts(self, field: Attribute | Intrinsic) -> Counter[Hashable]:
        """How many of the spans have each value of a field."""
        value_of = compile_field(field)
        values = [known(value_of(row)) for rows in self.rows.values() for row in rows]
        return Counter(identity(value) for value in values if value is not None)

    def groups(self) -> set[tuple[Any, ...]]:
        """Its groups: service, name, traces, errors, percentiles, the longest, the newest."""
        roots = {(one.root_service, one.root_name) for one in self.traces}
        return {self._group(root) for root in roots}

    def _group(self, root: tuple[str | None, str | None]) -> tuple[Any, ...]:
        own = [one for one in self.traces if (one.root_service, one.root_name) == root]
        durations = sorted(one.duration_ns for one in own)
        errors = sum(one.error_count > 0 for one in own)
        newest = max(one.start_ns for one in own)
        return *root, len(own), errors, percentile(durations, 50), percentile(durations, 95), durations[-1], newest


def figures(found: Overview) -> tuple[Any, ...]:
    """As `Found.figures`."""
    return (
        found.trace_count, found.error_count, found.start_ns, found.end_ns, found.shortest_ns, found.longest_ns,
    )  # fmt: skip


def counts(facet: Facet) -> Counter[Hashable]:
    """As `Found.counts`."""
    return Counter({identity(one.value): one.count for one in facet.values})


def groups(found: Groups) -> set[tuple[Any, ...]]:
    """As `Found.groups`."""
    return {
        (
            one.service, one.name, one.trace_count, one.error_count, one.p50_ns, one.p95_ns, one.longest_ns,
            one.newest_ns,
        )
        for one in found.rows
    }  # fmt: skip


async def summaries(store: Store) -> dict[bytes, TraceSummary]:
    """All traces of a store."""
    found = await store.search(Search(limit=10_000))
    return {match.summary.trace_id: match.summary for match in found.matches}


async def pages(store: Store, search: Search) -> list[TraceSummary]:
    """The traces of all pages of a search."""
    found: list[TraceSummary] = []
    before = None
    while True:
        page = await store.search(replace(search, before=before))
        found += [match.summary for match in page.matches]
        if page.next is None:
            return found
        before = page.next


SORT_KEYS: dict[Order, Callable[[TraceSummary], Any]] = {
    Order.NEWEST: lambda one: -one.start_ns,
    Order.OLDEST: lambda one: one.start_ns,
    Order.LONGEST: lambda one: (-one.duration_ns, -one.start_ns),
    Order.SHORTEST: lambda one: (one.duration_ns, -one.start_ns),
    Order.MOST_SPANS: lambda one: (-one.span_count, -one.start_ns),
    Order.FEWEST_SPANS: lambda one: (one.span_count, -one.start_ns),
    Order.MOST_ERRORS: lambda one: (-one.error_count, -one.start_ns),
    Order.NAME: lambda one: (one.root_name is None, one.root_service or "", one.root_name or "", -one.start_ns),
}


def is_sorted(traces: Sequence[TraceSummary], order: Order) -> bool:
    """Whether traces come in an order."""
    keys = list(map(SORT_KEYS[order], traces))
    return keys == sorted(keys)


def _overlaps(trace: TraceSummary, search: Search) -> bool:
    return (search.start_ns is None or trace.start_ns + trace.duration_ns >= search.start_ns) and (
        search.end_ns is None or trace.start_ns <= search.end_ns
    )
