"""Counters of a process's life: equal to what was stored, whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitrace.model import Kind, Link, Span, Status, StatusCode
from minitrace.store import edge_counters, tally
from minitrace.store.edge_counters import Edge
from minitrace.store.retention import Limits
from minitrace.store.store import Store
from tests.samples import TRACE, span, span_id, trace_id

pytestmark = pytest.mark.anyio

Counts = Counter[tuple[str, str, int, int]]
Step = list[Span] | str | tuple[str, str]


async def counted(store: Store) -> Counts:
    """The spans that were counted, by their labels."""
    found = await store.tally(60)
    return Counter({labels[:4]: timings.count for labels, timings in found.spans.series.items()})


async def edges(store: Store) -> dict[Edge, tuple[int, int]]:
    """The calls that were counted, and how many failed."""
    found = await store.tally(60)
    return {edge: (one.server.count, one.failed) for edge, one in found.edges.edges.items()}


def labels_of(one: Span) -> tuple[str, str, int, int]:
    return one.service, one.name, one.kind, one.status.code


async def test_spans_that_were_there_before_are_not_counted(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db") as store:
        await store.add([span("before")])
    async with await Store.open(tmp_path / "a.db") as store:
        await store.add([span("after")])
        assert [name for _, name, *_ in await counted(store)] == ["after"]


async def test_a_span_that_was_sent_twice_is_counted_once(store: Store) -> None:
    await store.add([span("a")])
    assert (await counted(store)).total() == 1
    await store.add([span("a"), span("b")])
    assert (await counted(store)).total() == 2


async def test_names_that_are_alike_for_500_characters_are_one_series(store: Store) -> None:
    await store.add([span("a" * 500 + end, id=end) for end in "bc"])
    assert [(name, count) for (_, name, *_), count in (await counted(store)).items()] == [("a" * 500, 2)]


async def test_what_leaves_between_two_scrapes_was_counted_before(store: Store) -> None:
    await counted(store)
    await store.add([span("a", trace="gone"), span("b", trace="stays")])
    await store.delete([trace_id("gone")])
    await store.add([span("c", trace="all")])
    await store.clear()
    assert (await counted(store)).total() == 3


async def test_a_span_that_was_added_while_others_leave_is_counted(store: Store) -> None:
    await counted(store)
    await store.add([span("a", trace="gone")])
    await asyncio.gather(store.delete([trace_id("gone")]), store.add([span("b", trace="gone")]))
    assert (await counted(store)).total() == 2


@pytest.mark.parametrize("is_scraped_before", [True, False])
async def test_pinned_spans_that_move_are_counted_once(store: Store, is_scraped_before: bool) -> None:
    if is_scraped_before:
        await counted(store)
    await store.add([span("a", trace="pinned"), span("b", trace="gone")])
    await store.pin(trace_id("pinned"))
    await store.clear()
    await store.add([span("c")])
    names = [name for _, name, *_ in (await counted(store)).elements()]
    assert sorted(names) == (["a", "b", "c"] if is_scraped_before else ["a", "c"])


async def test_pinned_spans_of_before_that_move_are_not_counted(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db") as store:
        await store.add([span("before", trace="pinned")])
        await store.pin(trace_id("pinned"))
    async with await Store.open(tmp_path / "a.db") as store:
        await store.clear()
        await store.add([span("after", trace="pinned")])
        assert [name for _, name, *_ in await counted(store)] == ["after"]


async def test_what_is_not_counted_in_time_is_counted_by_itself(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "SPANS_PER_PIECE", 2)
    await store.add([span(str(number)) for number in range(20)])
    assert (await store.tally(0)).place < 20
    assert (await counted(store)).total() == 20


SPANS = st.builds(
    span,
    st.sampled_from("ab"),
    trace=st.sampled_from("xyz"),
    id=st.sampled_from("1234"),
    service=st.sampled_from(["shop", "pay"]),
    kind=st.sampled_from(Kind),
    status=st.builds(Status, st.sampled_from(StatusCode)),
    duration_ms=st.sampled_from([0, 1, 2, 3, 100_000]),
)
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.lists(SPANS, min_size=1, max_size=8),
    st.sampled_from(["scrape", "clear", "retain"]),
    st.tuples(st.sampled_from(["delete", "pin"]), st.sampled_from("xyz")),
)


@settings(max_examples=30)
@given(steps=st.lists(STEPS, max_size=12))
async def test_counters_are_what_was_stored_whatever_became_of_it(
    steps: list[Step], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("tally") / "a.db"
    expected: Counts = Counter()
    before: Counts = Counter()
    async with await Store.open(path, query_timeout_s=60, limits=Limits(max_spans=16)) as store:
        await counted(store)
        for step in steps:
            match step:
                case list():
                    new = await new_of(store, step)
                    await store.add(new)
                    expected.update(map(labels_of, new))
                case "scrape":
                    now = await counted(store)
                    assert now >= before
                    before = now
                case "clear":
                    await store.clear()
                case "retain":
                    await store.keep_within_limits()
                case ("delete", trace):
                    await store.delete([trace_id(trace)])
                case ("pin", trace) if await store.known([trace_id(trace)]):
                    await store.pin(trace_id(trace))
        assert await counted(store) == expected


async def new_of(store: Store, spans: list[Span]) -> list[Span]:
    """Those that are not stored, each once."""
    different: list[Span] = []
    for one in spans:
        if one not in different:
            different.append(one)
    return await store.unknown(different)


async def test_a_call_is_counted_with_both_durations(store: Store) -> None:
    await store.add([
        span("GET", kind=Kind.CLIENT, duration_ms=300),
        span("serve", parent="GET", kind=Kind.SERVER, service="pay", duration_ms=100, status=Status(StatusCode.ERROR)),
    ])  # fmt: skip
    assert await edges(store) == {Edge("shop", "pay", ""): (1, 1)}
    timings = (await store.tally(60)).edges.edges[Edge("shop", "pay", "")]
    assert (timings.server.total_s, timings.client.total_s) == (0.1, 0.3)


async def test_a_call_whose_caller_comes_later_is_counted_then(store: Store) -> None:
    await store.add([span("serve", parent="GET", kind=Kind.SERVER, service="pay")])
    assert await edges(store) == {}
    await store.add([span("GET", kind=Kind.CLIENT, attributes={"server.address": "pay.test"})])
    assert await edges(store) == {Edge("shop", "pay", ""): (1, 0)}


async def test_a_message_whose_consumer_left_before_its_producer_came_is_none(store: Store) -> None:
    await counted(store)
    await store.add([span("receive", kind=Kind.CONSUMER, links=[Link(trace_id("2"), span_id("send"))])])
    await counted(store)
    await store.delete([TRACE])
    await store.add([span("send", trace="2", kind=Kind.PRODUCER, service="mail")])
    assert await edges(store) == {}


async def test_a_client_that_nobody_answers_in_time_called_a_leaf(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.add([
        span("query", kind=Kind.CLIENT, attributes={"db.system": "postgresql", "db.name": "orders"}),
        span("send", kind=Kind.PRODUCER, attributes={"messaging.system": "kafka"}),
        span("GET", kind=Kind.CLIENT, attributes={"server.address": "bank.test"}),
    ])  # fmt: skip
    assert await edges(store) == {}
    monkeypatch.setattr(edge_counters, "ANSWER_S", 0)
    found = await edges(store)
    assert found == {
        Edge("shop", "postgresql orders", "database"): (1, 0),
        Edge("shop", "kafka", "messaging_system"): (1, 0),
        Edge("shop", "bank.test", "virtual_node"): (1, 0),
    }
    await store.add([span("serve", parent="GET", kind=Kind.SERVER, service="bank")])
    assert await edges(store) == {**found, Edge("shop", "bank", ""): (1, 0)}


async def test_a_client_that_is_answered_from_another_piece_is_no_leaf(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_counters, "ANSWER_S", 0)
    monkeypatch.setattr(tally, "SPANS_PER_PIECE", 1)
    client = span("GET", kind=Kind.CLIENT, attributes={"server.address": "pay.test"})
    await store.add([client, span("serve", parent="GET", kind=Kind.SERVER, service="pay")])
    assert await edges(store) == {Edge("shop", "pay", ""): (1, 0)}
    other = span("GET", trace="other", kind=Kind.CLIENT, attributes={"server.address": "pay.test"})
    await store.add([span("serve", parent="GET", trace="other", kind=Kind.SERVER, service="pay"), other])
    assert await edges(store) == {Edge("shop", "pay", ""): (2, 0)}
