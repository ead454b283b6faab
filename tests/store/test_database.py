"""Readers: their deadlines, and what becomes of a query that nobody waits for."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from minitrace.errors import QueryTimeout
from minitrace.store.database import Reader, Readers
from minitrace.store.store import Store
from tests.samples import span
from tests.store.asking import wanted

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT begun() UNION ALL SELECT 1 FROM n) SELECT count(*) FROM n"


async def begins_endless(reader: Reader) -> asyncio.Event:
    """Let `ENDLESS` be asked of a reader; set when its thread works on it."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()

    def begun() -> int:
        loop.call_soon_threadsafe(event.set)
        return 1

    await reader._connection.create_function("begun", 0, begun)
    return event


async def test_a_query_past_its_deadline_ends_and_the_reader_goes_on(store: Store) -> None:
    store._readers._timeout_s = 0.05
    async with store._readers.reader() as reader:
        await begins_endless(reader)
        with pytest.raises(QueryTimeout, match="took too long"):
            await reader.rows(ENDLESS)
    async with store._readers.reader() as reader:
        assert await reader.rows("SELECT 1") == [(1,)]


@pytest.mark.parametrize("has_begun", [False, True])
async def test_a_query_that_is_cancelled_stops_working(store: Store, has_begun: bool) -> None:
    async with store._readers.reader() as reader:
        reader.deadline = float("inf")
        begun = await begins_endless(reader)
        asked = asyncio.ensure_future(reader.rows(ENDLESS))
        await (begun.wait() if has_begun else asyncio.sleep(0))
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asked, 10)
    assert await asyncio.wait_for(store.services(), 10) == []


async def test_more_queries_than_readers_wait_for_their_turn(store: Store) -> None:
    assert await asyncio.gather(*(store.services() for _ in range(20))) == [[]] * 20


async def test_who_waits_too_long_for_a_reader_is_told(store: Store) -> None:
    store._readers._timeout_s = 0.05
    async with store._readers.reader(), store._readers.reader(), store._readers.reader():
        with pytest.raises(QueryTimeout, match="too many queries at once"):
            await store.services()


async def test_a_snapshot_that_is_cancelled_at_its_beginning_leaves_the_reader_free(store: Store) -> None:
    for turns in range(20):
        asked = asyncio.ensure_future(store.search(wanted()))
        for _ in range(turns % 5):  # up to the moment at which it waits for its snapshot
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])  # it may have been done before
    await store.add([span("new")])
    for _ in range(5):
        assert len((await store.search(wanted())).matches) == 1


async def test_who_is_cancelled_as_a_reader_becomes_free_hears_of_it_and_leaves_the_reader(store: Store) -> None:
    readers, taken = store._readers, []
    async with contextlib.AsyncExitStack() as held:
        while not readers._free.empty():
            taken.append(await held.enter_async_context(readers.reader()))
        waiting = asyncio.create_task(borrow(readers))
        await asyncio.sleep(0)
        await held.aclose()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert readers._free.qsize() == len(taken)


async def borrow(readers: Readers) -> None:
    async with readers.reader():
        pass
