"""Deleting what a search finds, or everything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import httpx
import pytest

from minitrace.errors import MinitraceError
from minitrace.model import Status, StatusCode
from minitrace.store.deletion import Removed
from minitrace.store.store import Store
from minitrace.web import removal
from minitrace.web.removal import Removal
from tests.samples import span, trace_id
from tests.store.asking import wanted
from tests.web.pagetext import HTML, ended, get, plain

FAILED = "status=error"


@pytest.fixture
async def traces(store: Store) -> None:
    """Five traces, two of them failed, one of these pinned."""
    failed = Status(StatusCode.ERROR)
    await store.add(
        [span("GET /cart", trace=f"t{n}", start_ms=n, status=failed if n < 2 else Status()) for n in range(5)]
    )
    await store.pin(trace_id("t0"))


async def left(store: Store) -> list[bytes]:
    return [match.summary.trace_id for match in (await store.search(wanted(limit=100))).matches]


async def begin(client: httpx.AsyncClient, search: str, word: str = "delete", **more: str) -> httpx.Response:
    fields = {"search": search, "word": word, **more}
    return await client.post("/delete", content=urlencode(fields), headers=HTML, follow_redirects=True)


async def confirm(client: httpx.AsyncClient, search: str, word: str = "delete", **more: str) -> httpx.Response:
    """The page once the deletion, if one has begun, has ended."""
    return await ended(client, await begin(client, search, word, **more))


@pytest.mark.usefixtures("traces")
async def test_the_page_says_what_would_go_and_changes_nothing(client: httpx.AsyncClient, store: Store) -> None:
    page = await get(client, f"/delete?{FAILED}")
    assert "Delete 2 traces?" in plain(page.text)
    assert "cannot be undone" in page.text
    assert len(await left(store)) == 5


@pytest.mark.usefixtures("traces")
async def test_what_matches_is_deleted_and_pinned_traces_stay(client: httpx.AsyncClient, store: Store) -> None:
    answer = await confirm(client, FAILED)
    assert answer.url.path == "/removal"
    assert "1 trace with 1 span. 1 pinned trace stayed." in plain(answer.text)
    assert await left(store) == [trace_id(f"t{n}") for n in (4, 3, 2, 0)]


@pytest.mark.usefixtures("traces")
@pytest.mark.parametrize("word", ["", "yes", "delete all"])
async def test_without_the_word_nothing_is_deleted(client: httpx.AsyncClient, store: Store, word: str) -> None:
    answer = await confirm(client, FAILED, word)
    assert (answer.status_code, "Nothing was deleted" in answer.text) == (422, True)
    assert len(await left(store)) == 5


@pytest.mark.usefixtures("traces")
async def test_the_word_may_be_written_as_one_likes(client: httpx.AsyncClient, store: Store) -> None:
    await confirm(client, FAILED, " Delete ")
    assert len(await left(store)) == 4


@pytest.mark.usefixtures("traces")
async def test_what_arrives_after_the_page_was_shown_stays(client: httpx.AsyncClient, store: Store) -> None:
    page = await get(client, "/delete?status=error")
    until = page.one("input", name="until").attributes["value"]
    await store.add([span("later", trace="later", status=Status(StatusCode.ERROR))])
    await confirm(client, FAILED, until=until)
    assert trace_id("later") in await left(store)


@pytest.mark.usefixtures("traces")
async def test_everything_goes_but_what_is_pinned(client: httpx.AsyncClient, store: Store) -> None:
    assert "Delete all traces?" in plain((await get(client, "/delete?everything=1")).text)
    await confirm(client, "everything=1")
    assert await left(store) == [trace_id("t0")]


@pytest.mark.usefixtures("traces")
async def test_a_search_for_everything_in_parts_is_deleted_part_by_part(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "TRACES_AT_ONCE", 2)
    await confirm(client, "")
    assert await left(store) == [trace_id("t0")]


@pytest.mark.usefixtures("traces")
async def test_a_search_that_cannot_be_read_deletes_nothing(client: httpx.AsyncClient, store: Store) -> None:
    for answer in (await confirm(client, "min=abc"), await client.get("/delete?min=abc", headers=HTML)):
        assert (answer.status_code, "250ms" in answer.text) == (422, True)
    assert len(await left(store)) == 5


async def test_where_nothing_matches_there_is_nothing_to_confirm(client: httpx.AsyncClient) -> None:
    page = await get(client, f"/delete?{FAILED}")
    assert "nothing to delete" in page.text
    assert not page.all("input", name="word")


async def test_before_any_deletion_its_page_says_so(client: httpx.AsyncClient) -> None:
    assert "Nothing was deleted" in plain((await get(client, "/removal")).text)


@pytest.mark.usefixtures("traces")
async def test_the_confirmation_leads_back_to_the_search(client: httpx.AsyncClient) -> None:
    answer = await confirm(client, "q=declined&since=1h")
    assert 'href="/search?q=declined&amp;since=1h"' in answer.text


@pytest.mark.usefixtures("traces")
async def test_one_deletion_waits_for_the_end_of_another(client: httpx.AsyncClient, store: Store) -> None:
    blocked = threading.Event()
    blocking = asyncio.create_task(store._writing.run(blocked.wait))
    await begin(client, "everything=1")
    answer = await begin(client, FAILED)
    blocked.set()
    await blocking
    assert (answer.status_code, "Another deletion goes on" in answer.text) == (422, True)


@pytest.mark.usefixtures("traces")
async def test_a_later_page_in_another_order_is_deleted_from_its_beginning(
    client: httpx.AsyncClient, store: Store
) -> None:
    page = await store.search(wanted(limit=2))
    assert page.next
    await confirm(client, urlencode({"sort": "-duration", "before": page.next}))
    assert await left(store) == [trace_id("t0")]


async def test_what_could_not_be_looked_at_is_not_passed_over(store: Store) -> None:
    await store.add([span("s", trace=f"{n}", start_ms=n) for n in range(20_000)])
    store._readers._timeout_s = 0.002
    ended = Removal("/search", 1)
    await ended.run(removal._matching(store, wanted("{ duration > 1us } >> { kind = unspecified }")))
    assert ended.problem.startswith("Not all could be looked at: ")


async def test_a_deletion_that_fails_says_why_and_how_far_it_came() -> None:
    async def parts() -> AsyncIterator[Removed]:
        yield Removed(1, 2)
        raise MinitraceError("the query ran past 5 s")

    ended = Removal("/search", 5)
    await ended.run(parts())
    assert (ended.removed, ended.problem, ended.is_done) == (Removed(1, 2), "the query ran past 5 s", True)
