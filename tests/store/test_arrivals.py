"""What arrived since a place: each trace once, if it matches, and what was too much is counted."""

from __future__ import annotations

import pytest

from minitrace.store import arrivals
from minitrace.store.search import Search
from minitrace.store.store import Store
from minitrace.traceql.ast import Pipeline
from minitrace.traceql.parser import parse
from tests.samples import MS, T0, span, trace_id


def asked(query: str, **fields: object) -> Search:
    root = parse(query).root
    assert isinstance(root, Pipeline)
    return Search(root, **fields)  # type: ignore[arg-type]


async def arrived(store: Store, query: str, after: int, **fields: object) -> list[bytes]:
    found = await store.arrivals(asked(query, **fields), after, await store.place())
    return [match.summary.trace_id for match in found.matches]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("{ }", ["c", "b"]),
        ('{ resource.service.name = "shop" }', ["c", "b"]),
        ('{ name = "checkout" }', ["b"]),
        ('{ name =~ "check.*" }', ["b"]),
        ('{ rootName =~ "p.y" }', ["c"]),
        ('{ name = "checkout" } >> { name = "charge" }', ["b"]),
        ("{ } | count() > 1", ["b"]),
        ('{ name = "old" }', []),
    ],
)
async def test_only_traces_with_spans_behind_the_place_are_found(store: Store, query: str, names: list[str]) -> None:
    await store.add([span("old", trace="a")])
    place = await store.place()
    await store.add([span("checkout", trace="b", start_ms=1), span("charge", "checkout", trace="b", start_ms=2)])
    await store.add([span("pay", trace="c", start_ms=5)])
    assert await arrived(store, query, place) == [trace_id(name) for name in names]


async def test_a_trace_is_found_again_when_more_of_it_arrives(store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    place = await store.place()
    assert await arrived(store, "{ }", place) == []
    await store.add([span("charge", "checkout", trace="a")])
    assert await arrived(store, "{ }", place) == [trace_id("a")]


async def test_a_span_that_was_sent_twice_is_no_news(store: Store) -> None:
    await store.add([span("checkout")])
    place = await store.place()
    await store.add([span("checkout")])
    assert await arrived(store, "{ }", place) == []


async def test_what_was_more_than_is_shown_is_counted_with_its_time(store: Store) -> None:
    await store.add([span("a", trace=str(number), start_ms=number) for number in range(10)])
    found = await store.arrivals(asked("{ }", limit=3), 0, await store.place())
    assert len(found.matches) == 3
    assert found.missed == arrivals.Missed(7, T0, T0 + 19 * MS)


async def test_what_is_too_much_to_look_at_is_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MOST_TRACES", 4)
    await store.add([span("a", trace=str(number), start_ms=number) for number in range(10)])
    found = await store.arrivals(asked('{ name = "b" }'), 0, await store.place())
    assert found.missed
    assert (found.matches, found.missed.trace_count) == ([], 6)


async def test_a_place_of_a_longer_file_is_its_beginning(store: Store) -> None:
    await store.add([span("a")])
    assert len(await arrived(store, "{ }", 1_000)) == 1


async def test_of_too_many_traces_the_latest_are_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MOST_TRACES", 2)
    for number in range(4):
        await store.add([span("a", trace=str(number), start_ms=-number)])
    assert await arrived(store, "{ }", 0) == [trace_id("2"), trace_id("3")]


async def test_of_too_many_spans_the_latest_are_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MOST_SPANS", 2)
    await store.add([span("a", trace=str(number), start_ms=number) for number in range(4)])
    assert await arrived(store, "{ }", 0) == [trace_id("3"), trace_id("2")]


async def test_the_page_of_a_search_does_not_matter_to_what_arrives(store: Store) -> None:
    await store.add([span("a", trace=str(number), start_ms=number) for number in range(3)])
    page = await store.search(asked("{ }", limit=2))
    assert len(await arrived(store, "{ }", 0, before=page.next)) == 3
