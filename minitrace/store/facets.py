"""Facets: what the spans that match have in common, as the commonest values of some fields."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from minitrace.errors import QueryTimeout
from minitrace.store.database import IN_THREAD, Reader, work
from minitrace.store.matching import Counts, Matching, Tally
from minitrace.store.pieces import OF_ROOT, Node, Pieces
from minitrace.store.plan import is_about_trace, wanted_by
from minitrace.store.resolve import Inexpressible
from minitrace.store.traces import Loader
from minitrace.traceql.ast import Value
from minitrace.traceql.structure import TraceRows
from minitrace.traceql.values import identified

MOST_VALUES = 50
FACETS_S = 0.4  # then the page should come: the first time, and where a condition on traces cuts through all pieces
FEW_TRACES = 1_000  # whose spans are looked at as quickly without the index
MOST_LOADED = 4_000  # of the newest spans, for a field that SQL cannot count: 50 ms


@dataclass(slots=True)
class FacetValue:
    """A value, and how many of the matching spans have it."""

    value: Value
    count: int


@dataclass(slots=True)
class Facet:
    """The commonest values of a field among the matching spans, the commonest first.

    `more` further distinct values are not listed; 0 if that is not known, or there are none. `complete` is False if
    only some of the spans were counted, which are the newest.
    """

    field: Node
    values: list[FacetValue]
    more: int = 0
    complete: bool = True


async def facets(
    reader: Reader, found: Matching, fields: Sequence[Node], trace_count: int, oldest_ns: int
) -> list[Facet]:
    """The facets of so many traces, the oldest of which starts then; of the newest spans, if the time is up.

    What was counted is kept all the same: the next time there will be more.
    """
    if found.spans is None:
        return [_facet(node, found.counts.get(node, Counter()), found.complete and _is_told(node)) for node in fields]
    counts: dict[Node, Counts] = {}
    reader.deadline = min(reader.deadline, time.monotonic() + FACETS_S)
    try:
        if found.is_narrowed and trace_count <= FEW_TRACES:
            found.spans.narrow_to_few(found.where, found.bound)
        elif found.is_narrowed:
            await found.spans.narrow(found.where, found.bound, oldest_ns, found.span)
        counts |= await found.spans.counts()
    except QueryTimeout:
        found.spans.is_complete = False
    return [await _of_spans(reader, found, node, counts) for node in fields]


async def _of_spans(reader: Reader, found: Matching, node: Node, counts: dict[Node, Counts]) -> Facet:
    assert found.spans is not None
    is_complete = found.complete
    try:
        if node not in counts:
            counts[node] = await found.spans.counts_by(node)
        is_complete &= found.spans.is_complete
    except Inexpressible:
        counts[node], is_all = await _loaded(reader, found.spans, node)
        is_complete &= is_all
    except QueryTimeout:
        is_complete = False
    return _facet(node, counts.get(node, Counter()), is_complete)


async def _loaded(reader: Reader, spans: Pieces, node: Node) -> tuple[Counts, bool]:
    """The values of a field in the newest of some spans, which are loaded; and whether that is all there is."""
    tally = Tally([node])
    if is_about_trace(node):
        return Counter(), False
    ids = await spans.newest(MOST_LOADED)
    loaded = await Loader(reader, wanted_by(node)).spans(ids)

    def count() -> None:
        for span in loaded.values():
            tally.add(TraceRows([span]).rows, None)

    await work(count, size=IN_THREAD if ids else 0)
    return tally.counts[node], len(ids) < MOST_LOADED


def _is_told(node: Node) -> bool:
    """Whether spans that were evaluated alone tell a field, or their trace's row does."""
    return not is_about_trace(node) or node in OF_ROOT


def _facet(node: Node, counts: Counts, is_complete: bool) -> Facet:
    listed = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:MOST_VALUES]
    values = [FacetValue(identified(identity), count) for identity, count in listed]
    return Facet(node, values, len(counts) - len(values), is_complete)
