"""What an import asks of a store: which spans it does not have yet, and to take back what it was given."""

from __future__ import annotations

import pytest

from minitrace.errors import TraceNotFound
from minitrace.model import Resource, Span
from minitrace.otlp.encode import traces_data
from minitrace.store.ingest import export_of
from minitrace.store.integrity import check
from minitrace.store.layout import Batch
from minitrace.store.store import Store
from tests.samples import TRACE, span, trace_id
from tests.store.summing import expected_summaries, found_summaries

HERE = [span("GET /"), span("charge", "GET /", attributes={"n": 1})]


async def take(store: Store, spans: list[Span]) -> Batch:
    """Store spans, and say where."""
    return await store.take(lambda: export_of(spans), 0)


async def names(store: Store, trace: bytes = TRACE) -> list[str]:
    return sorted(span.name for span in (await store.trace(trace)).spans)


async def test_spans_are_known_again_by_all_that_they_say(store: Store) -> None:
    await store.add(HERE)
    other = span("charge", "GET /", attributes={"n": 2})
    elsewhere = span("GET /", trace="elsewhere")
    renamed = span("GET /", resource=Resource({"service.name": "bank"}))
    assert await store.unknown([HERE[1], other, elsewhere, renamed, HERE[0]]) == [other, elsewhere, renamed]


async def test_a_span_is_known_again_whatever_its_exporter_left_out(store: Store) -> None:
    data = traces_data(HERE[:1])
    data.resource_spans[0].scope_spans[0].spans[0].ClearField("status")  # as some SDKs write "unset"
    await store.ingest(data.SerializeToString(), is_json=False)
    assert data.SerializeToString() != traces_data(HERE[:1]).SerializeToString()
    assert await store.unknown(HERE) == HERE[1:]


async def test_nothing_is_known_in_an_empty_store(store: Store) -> None:
    assert await store.unknown(HERE) == HERE
    assert await store.unknown([]) == []


async def test_only_what_was_new_is_taken_back(store: Store) -> None:
    await store.add(HERE[:1])
    batch = await take(store, [*HERE, HERE[1], span("b", trace="b")])
    assert batch.added == 2
    await store.add([span("later")])
    removed = await store.take_back(batch.rows)
    assert (removed.trace_count, removed.span_count, removed.kept_count) == (2, 2, 0)
    assert await names(store) == ["GET /", "later"]
    assert await store.known([trace_id("b")]) == []
    assert await found_summaries(store) == expected_summaries([HERE[0], span("later")])
    assert (await store.take_back(batch.rows)).span_count == 0
    await store.close()
    assert check(store.path).problems == []


async def test_pinned_traces_stay_when_the_others_are_taken_back(store: Store) -> None:
    batch = await take(store, [*HERE, span("b", trace="b")])
    await store.pin(TRACE)
    removed = await store.take_back(batch.rows)
    assert (removed.trace_count, removed.span_count, removed.kept_count) == (1, 1, 1)
    assert await names(store) == ["GET /", "charge"]


async def test_what_was_taken_back_can_be_stored_again(store: Store) -> None:
    await store.take_back((await take(store, HERE)).rows)
    with pytest.raises(TraceNotFound):
        await store.trace(TRACE)
    assert (await take(store, HERE)).added == 2
