"""The live tail: what arrives is told once, to everybody who asks for it, from wherever they go on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx
import pytest

from minitrace.errors import QueryTimeout
from minitrace.live import Live
from minitrace.model import Span, Status, StatusCode
from minitrace.store.search import Search
from minitrace.store.store import Store
from minitrace.web import events, live_pages, tail
from minitrace.web.tail import Round, Tail
from tests.samples import span, span_id, trace_id
from tests.web.pagetext import Page, plain

ALL = Search(limit=500)
HTML = {"Accept": "text/html"}


@asynccontextmanager
async def rounds(watched: Tail, question: Search, after: int) -> AsyncIterator[AsyncGenerator[Round]]:
    found = watched.rounds(question, after)
    assert isinstance(found, AsyncGenerator)
    async with aclosing(found):
        yield found


async def send(store: Store, live: Live, *spans: Span) -> None:
    await store.add(spans)
    live.publish({span.trace_id for span in spans})


def traces_of(found: Round) -> list[bytes]:
    return [match.summary.trace_id for match in found.arrivals.matches]


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns that nobody waits for."""
    monkeypatch.setattr(tail, "TURN_S", 0.01)


async def test_a_trace_is_told_when_it_arrives_and_again_when_more_of_it_does(store: Store, live: Live) -> None:
    async with rounds(Tail(store, live), ALL, 0) as found:
        waiting = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0)
        await send(store, live, span("checkout", trace="a"))
        assert traces_of(await waiting) == [trace_id("a")]
        await send(store, live, span("charge", "checkout", trace="a"), span("cart", trace="b"))
        assert set(traces_of(await anext(found))) == {trace_id("a"), trace_id("b")}
        await send(store, live, span("stock", trace="c"))
        assert traces_of(await anext(found)) == [trace_id("c")]


async def test_who_goes_on_from_a_place_gets_what_arrived_since_and_nothing_twice(store: Store, live: Live) -> None:
    watched = Tail(store, live)
    await send(store, live, span("a", trace="a"))
    async with rounds(watched, ALL, 0) as found:
        place = (await anext(found)).arrivals.place
    await send(store, live, span("b", trace="b"))
    async with rounds(watched, ALL, place) as found:
        assert traces_of(await anext(found)) == [trace_id("b")]


async def test_who_begins_now_gets_nothing_of_what_came_while_nobody_watched(store: Store, live: Live) -> None:
    watched = Tail(store, live)
    await send(store, live, span("a", trace="a"))
    async with rounds(watched, ALL, 0) as found:
        await anext(found)
    await send(store, live, span("b", trace="b"))
    async with rounds(watched, ALL, await store.place()) as found:
        waiting = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0)
        await send(store, live, span("c", trace="c"))
        assert traces_of(await waiting) == [trace_id("c")]


async def test_many_watchers_of_one_question_ask_it_once(store: Store, live: Live) -> None:
    watched = Tail(store, live)
    await send(store, live, span("a", trace="a"))
    watching = [watched.rounds(ALL, 0) for _ in range(20)]
    told = await asyncio.gather(*(anext(found) for found in watching))
    assert len({id(one) for one in told}) == 1
    for found in watching:
        await found.aclose()  # type: ignore[attr-defined]
    assert watched._turn is None


async def test_while_nothing_matches_a_round_tells_the_place(
    store: Store, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "QUIET_S", 0.0)
    await send(store, live, span("a"))
    async with rounds(Tail(store, live), Search(words=("nowhere",)), 0) as found:
        while (told := await anext(found)).arrivals.place == 0:
            pass
    assert (told.arrivals.has_news, told.arrivals.place) == (False, 1)


async def test_a_busy_store_is_asked_again_and_nothing_is_lost(
    store: Store, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [QueryTimeout("too many at once")]
    asked = Store.arrivals

    async def arrivals(self: Store, wanted: Search, after: int, until: int) -> object:
        if answers:
            raise answers.pop()
        return await asked(self, wanted, after, until)

    monkeypatch.setattr(Store, "arrivals", arrivals)
    await send(store, live, span("a", trace="a"))
    async with rounds(Tail(store, live), ALL, 0) as found:
        assert traces_of(await anext(found)) == [trace_id("a")]


async def test_the_end_of_the_server_ends_every_watch(store: Store, live: Live) -> None:
    async with rounds(Tail(store, live), ALL, 0) as found:
        watching = asyncio.ensure_future(anext(found, None))
        await asyncio.sleep(0)
        live.close()
        assert await watching is None


# Pages and streams


async def test_the_page_shows_the_newest_traces_and_where_to_go_on(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a"), span("cart", trace="b", start_ms=5)])
    html = (await client.get("/live?q=%7B%20name%20%3D%20%22cart%22%20%7D", headers=HTML)).text
    assert f'data-trace="{trace_id("b").hex()}"' in html
    assert f'data-trace="{trace_id("a").hex()}"' not in html
    assert 'data-place="2"' in html
    assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in html
    assert 'href="/live?q=%7B+name+%3D+%22cart%22+%7D&amp;paused=1"' in html


async def test_a_paused_page_does_not_load_itself_again(client: httpx.AsyncClient) -> None:
    html = (await client.get("/live?paused=1", headers=HTML)).text
    assert "refresh" not in html
    assert "Resume" in html


async def test_a_mistake_in_the_query_is_drawn_and_opens_no_stream(client: httpx.AsyncClient) -> None:
    answer = await client.get("/live?q=%7B%20status%20%3D", headers=HTML)
    assert answer.status_code == 422
    assert "hx-sse:connect" not in answer.text
    assert (await client.get("/live/stream?q=%7B%20status%20%3D")).status_code == 400


async def test_words_are_looked_for_in_what_arrives(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a"), span("cart", trace="b", status=Status(StatusCode.ERROR))])
    assert (await client.get("/live/count.json?after=0&q=checkout")).json() == {"traces": 1, "errors": 0}
    assert (await client.get("/live/count.json?after=0")).json() == {"traces": 2, "errors": 1}
    assert (await client.get("/live/count.json")).json() == {"traces": 0, "errors": 0}


async def test_an_id_in_the_box_is_that_of_a_trace(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a"), span("cart", trace="b")])
    for text in (trace_id("a").hex(), f"00-{trace_id('a').hex()}-{span_id('checkout').hex()}-01"):
        assert (await client.get("/live/count.json", params={"after": "0", "q": text})).json()["traces"] == 1


async def streamed(client: httpx.AsyncClient, live: Live, path: str, headers: dict[str, str] | None = None) -> str:
    """What a stream has to tell at once; it ends there, as the server does."""
    live.close()
    return (await client.get(path, headers=headers)).text


async def test_the_stream_has_rows_with_the_place_as_their_id(
    client: httpx.AsyncClient, store: Store, live: Live
) -> None:
    await store.add([span("checkout", trace="a")])
    await store.add([span("cart", trace="b")])
    text = await streamed(client, live, "/live/stream?after=0", {"Last-Event-ID": "1"})
    assert "id: 2\ndata: " in text
    assert [row.attributes["data-trace"] for row in Page(text).elements if row.tag == "tbody"] == [trace_id("b").hex()]


async def test_lines_are_as_in_the_search_and_say_where_to_go_on(
    client: httpx.AsyncClient, store: Store, live: Live
) -> None:
    await store.add([span("checkout", trace="a"), span("cart", trace="b", start_ms=5)])
    found = (await client.get("/api/search")).json()["traces"]
    text = await streamed(client, live, "/live/traces.ndjson?last=0")
    assert [json.loads(line) for line in text.splitlines() if line] == [
        found[1] | {"last": "0"},  # who stops here gets the rest, and this one again
        found[0] | {"last": "2"},
    ]


async def test_what_was_missed_is_said_with_a_link_to_its_time(
    client: httpx.AsyncClient, store: Store, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_pages, "MOST_AT_ONCE", 2)
    await store.add([span("a", trace=str(number)) for number in range(5)])
    text = await streamed(client, live, "/live/stream?after=0&q=a")
    assert "Some were missed: 3 traces" in plain(text)
    link = '/search?q=a&amp;from=2023-11-14T22%3A13%3A20.000000Z&amp;to=2023-11-14T22%3A13%3A21.010000Z"'
    assert link in text


async def test_too_many_streams_are_told_to_come_later(
    client: httpx.AsyncClient, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_STREAMS", 0)
    answer = await client.get("/live/stream")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "close one of them" in answer.text


async def test_a_stream_that_ended_counts_no_longer(client: httpx.AsyncClient, live: Live) -> None:
    await streamed(client, live, "/live/stream")
    assert live.stream_count == 0


async def test_what_was_too_much_to_look_at_is_told_although_nothing_matches(
    store: Store, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minitrace.store.arrivals.MOST_TRACES", 1)
    async with rounds(Tail(store, live), Search(words=("declined",), limit=500), 0) as found:
        await send(store, live, *(span("checkout", trace=f"{n}") for n in range(3)))
        told = (await anext(found)).arrivals
    assert told.missed
    assert (told.matches, told.missed.trace_count) == ([], 2)
