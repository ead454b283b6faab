"""What is loaded of traces, and what is asked about one span of them, over files of several segments."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest

from minitrace.errors import QueryTimeout, TraceNotFound
from minitrace.model import Event, Link, Span, Status, StatusCode
from minitrace.store import peers, traces
from minitrace.store.database import Reader
from minitrace.store.links import MOST_LINKING, SpanRef
from minitrace.store.retention import Limits
from minitrace.store.store import Store
from minitrace.store.traces import Wanted
from tests.samples import MS, T0, TRACE, draw, span, span_id, trace_id
from tests.store.asking import wanted

SERVICE = ("resource", "service.name")
FAILED = Status(StatusCode.ERROR, "declined")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store with ten spans in each segment, that keeps 160 of them."""
    async with await Store.open(tmp_path / "test.db", limits=Limits(max_spans=160)) as opened:
        yield opened


async def add_each(store: Store, spans: list[Span]) -> None:
    """Store spans in requests of ten: each fills a segment."""
    for start in range(0, len(spans), 10):
        await store.add(spans[start : start + 10])


def rich(number: int) -> Span:
    """A span with some of everything, and more of it than others have."""
    return span(
        f"s{number}",
        f"s{number // 2}" if number else "",
        service=f"service {number // 15}",
        start_ms=number,
        status=FAILED if number % 4 == 1 else Status(),
        attributes={"n": number, "half": number // 2, "same": "always", "list": [number, None]},
        events=[Event(T0 + number, "retry", {"n": number})] if number % 5 == 1 else [],
        links=[Link(trace_id("far"), span_id("away"))] if number % 7 == 1 else [],
    )


RICH = [rich(number) for number in range(45)]


@pytest.mark.parametrize("at_once", [1, 3, 10, 1000])
async def test_a_trace_in_several_segments_comes_back_as_it_was_sent(
    store: Store, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(traces, "SPANS_AT_ONCE", at_once)
    await add_each(store, RICH)
    await store.add([span("another", trace="other")])
    assert (await store.trace(TRACE)).spans == RICH
    with closing(sqlite3.connect(f"file:{store.path}?mode=ro", uri=True)) as connection:
        assert connection.execute("SELECT span_count FROM segments").fetchall() == [(10,)] * 4 + [(6,)]


async def test_a_trace_has_more_time_to_be_loaded_the_larger_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "SPANS_PER_S", 10)
    async with await Store.open(tmp_path / "large.db") as store:
        await store.add([span(f"s{n}", attributes={"n": n}) for n in range(1000)])
        reader = await Reader.open(store.path)
        try:
            reader.deadline = time.monotonic()
            assert len((await traces.load(reader, TRACE)).spans) == 1000
            reader.deadline = time.monotonic() - 1000
            with pytest.raises(QueryTimeout):
                await traces.load(reader, TRACE)
        finally:
            await reader.close()


@pytest.mark.parametrize("names", [(), ("n",), ("half", "list"), ("not there",)])
async def test_spans_are_loaded_with_the_attributes_that_are_wanted_and_no_others(
    store: Store, names: tuple[str, ...]
) -> None:
    await add_each(store, RICH)
    found = await store.trace(TRACE, Wanted(frozenset({SERVICE, *(("span", name) for name in names)})))
    expected = [{name: item.attributes[name] for name in names if name in item.attributes} for item in RICH]
    assert [{name: item.attributes[name] for name in sorted(item.attributes)} for item in found.spans] == expected
    assert [item.service for item in found.spans] == [item.service for item in RICH]
    assert [item.events for item in found.spans] == [item.events for item in RICH]


async def test_without_attributes_and_details_the_tree_and_each_status_stay(store: Store) -> None:
    await add_each(store, RICH)
    whole = await store.trace(TRACE)
    found = await store.trace(TRACE, Wanted(frozenset({SERVICE}), details=False))
    assert draw(found) == draw(whole)
    assert [item.status.code for item in found.spans] == [item.status.code for item in RICH]
    assert {item.status.message for item in found.spans} == {""}
    assert not any(item.attributes or item.events or item.links for item in found.spans)


async def test_the_attributes_of_a_resource_are_left_out_unless_wanted(store: Store) -> None:
    await store.add([span("a", attributes={"k": "v"})])
    (found,) = (await store.trace(TRACE, Wanted(frozenset({("span", "k")})))).spans
    assert (found.attributes, found.resource.attributes, found.scope.name) == ({"k": "v"}, {}, "tests")


async def test_what_is_done_to_one_span_that_was_loaded_is_not_done_to_others(store: Store) -> None:
    await store.add([span("a"), span("b")])
    first, second = (await store.trace(TRACE, Wanted(frozenset({SERVICE})))).spans
    first.attributes["k"] = "v"
    first.events.append(Event(T0, "e"))
    first.links.append(Link(TRACE, span_id("b")))
    assert (second.attributes, second.events, second.links) == ({}, [], [])


async def test_one_span_is_found_whole(store: Store) -> None:
    await add_each(store, RICH)
    assert await store.spans(TRACE, span_id("s36")) == [RICH[36]]


async def test_all_spans_with_one_id_are_found_in_the_order_of_their_arrival(store: Store) -> None:
    alike = [span("late", id="x", start_ms=5), span("early", id="x"), span("elsewhere", id="x", trace="other")]
    await add_each(store, [alike[0], *RICH[:15], alike[1], alike[2]])
    assert await store.spans(TRACE, span_id("x")) == alike[:2]


async def test_no_span_is_found_for_an_id_or_a_trace_that_is_not_there(store: Store) -> None:
    await store.add([span("a"), span("b", trace="other")])
    asked = [(TRACE, "b"), (trace_id("none"), "a"), (TRACE, "")]
    assert [await store.spans(trace, span_id(name)) for trace, name in asked] == [[], [], []]


async def test_a_summary_is_the_one_that_a_search_shows(store: Store) -> None:
    await add_each(store, RICH)
    await store.add([span("orphan", "nobody", trace="rootless"), span("a", trace="b", start_ns=0, end_ns=0)])
    await store.add([span("root", trace="waits"), span("child", "missing", trace="waits", status=FAILED)])
    await store.pin(trace_id("b"))
    shown = [match.summary for match in (await store.search(wanted(limit=10))).matches]
    assert [await store.summary(summary.trace_id) for summary in shown] == shown
    assert len(shown) == 4


async def test_a_trace_that_lost_spans_says_so_in_its_summary_and_does_not_find_them(store: Store) -> None:
    await store.add([span("root", trace="long"), span("one", "root", trace="long")])
    await add_each(store, [span(f"op {n}", trace=f"t{n}") for n in range(100)])
    await store.add([span("two", trace="long")])
    await add_each(store, [span(f"op {n}", trace=f"t{n}") for n in range(100, 160)])
    await store.keep_within_limits()
    summary = await store.summary(trace_id("long"))
    assert (summary.span_count, summary.removed_count, summary.is_complete) == (1, 2, False)
    assert await store.spans(trace_id("long"), span_id("one")) == []
    assert [item.name for item in await store.spans(trace_id("long"), span_id("two"))] == ["two"]


async def test_a_trace_that_is_not_stored_has_no_summary(store: Store) -> None:
    with pytest.raises(TraceNotFound, match="no span of trace 6120747261636520"):
        await store.summary(TRACE)


CALLS = [  # of two services that share a name, in four segments
    span(f"op {n % 3}", id=f"{n}", service="ab"[n // 5 % 2], duration_ms=n + 1, trace=f"t{n % 11}") for n in range(40)
]


@pytest.mark.parametrize("limit", [1, 4, 1000])
@pytest.mark.parametrize("most_terms", [0, 400])  # that the index is asked for
async def test_the_peers_of_an_operation_are_its_newest_spans(
    store: Store, monkeypatch: pytest.MonkeyPatch, limit: int, most_terms: int
) -> None:
    monkeypatch.setattr(peers, "MOST_TERMS", most_terms)
    await add_each(store, CALLS)
    for service, name in product(("a", "b"), ("op 0", "op 1", "op 2")):
        durations = [item.duration_ns for item in CALLS if (item.service, item.name) == (service, name)]
        assert Counter(await store.peers(service, name, limit)) == Counter(durations[-limit:])


async def test_an_operation_that_nothing_is_known_of_has_no_peers(store: Store) -> None:
    await add_each(store, CALLS)
    asked = [("a", "op"), ("c", "op 0"), ("", ""), ("a", 'op 0" OR "op 1')]
    assert [await store.peers(*operation) for operation in asked] == [[], [], [], []]


async def test_the_peers_of_a_service_without_a_name_are_found_too(store: Store) -> None:
    await store.add([span("a", service="", duration_ms=3)])
    assert await store.peers("unknown_service", "a") == [3 * MS]


async def test_peers_that_were_removed_do_not_count(store: Store) -> None:
    await add_each(store, [span("op", trace=f"t{n}", duration_ms=n + 1) for n in range(200)])
    await store.keep_within_limits()
    count = (await store.stats()).span_count
    assert count < 200
    assert sorted(await store.peers("shop", "op")) == [(n + 1) * MS for n in range(200 - count, 200)]


def pointing(name: str, *targets: tuple[str, str], start_ms: float = 0) -> Span:
    """A span of a trace of its own, with links to spans of other traces."""
    links = [Link(trace_id(trace), span_id(target)) for trace, target in targets]
    return span(name, trace=f"of {name}", service="worker", links=links, start_ms=start_ms)


async def linking(store: Store, trace: str, name: str) -> list[str]:
    return [found.name for found in await store.linking(trace_id(trace), span_id(name))]


async def test_the_spans_that_link_to_one_are_found_in_all_segments_newest_first(store: Store) -> None:
    await add_each(
        store,
        [
            pointing("first", ("far", "a"), start_ms=1),
            pointing("third", ("far", "a"), start_ms=3),
            *RICH[:12],
            pointing("second", ("else", "x"), ("far", "a"), start_ms=2),
        ],
    )
    assert await linking(store, "far", "a") == ["third", "second", "first"]
    newest = (await store.linking(trace_id("far"), span_id("a")))[0]
    assert newest == SpanRef(trace_id("of third"), span_id("third"), "worker", "third", T0 + 3 * MS)


async def test_a_link_to_another_span_is_none_to_this_one(store: Store) -> None:
    await store.add([
        pointing("same trace", ("far", "b")),
        pointing("same id", ("else", "a")),
        pointing("both, but not together", ("far", "b"), ("else", "a")),
        span("has the id", trace="far", id="a", attributes={"link:traceID": trace_id("far").hex()}),
    ])  # fmt: skip
    assert await linking(store, "far", "a") == []


async def test_of_many_spans_that_link_to_one_those_that_came_last_are_found(store: Store) -> None:
    await add_each(store, [pointing(f"{n}", ("far", "a"), start_ms=n) for n in range(MOST_LINKING + 5)])
    found = await linking(store, "far", "a")
    assert found == [f"{n}" for n in range(MOST_LINKING + 4, 4, -1)]


async def test_while_nothing_has_links_nothing_links_to_a_span(store: Store) -> None:
    await store.add([span("a")])
    assert await store.linking(TRACE, span_id("a")) == []
