"""Readers: their deadlines, and what becomes of a query that nobody waits for."""

from __future__ import annotations

import asyncio

import pytest

from minitrace.errors import QueryTimeout
from minitrace.store.store import Store

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


async def test_a_query_past_its_deadline_ends_and_the_reader_goes_on(store: Store) -> None:
    store._readers._timeout_s = 0.05
    async with store._readers.reader() as reader:
        with pytest.raises(QueryTimeout, match="took too long"):
            await reader.rows(ENDLESS)
    async with store._readers.reader() as reader:
        assert await reader.rows("SELECT 1") == [(1,)]


@pytest.mark.parametrize("turns", [0, 0.01])  # before its thread begins, and after
async def test_a_query_that_is_cancelled_stops_working(store: Store, turns: float) -> None:
    async with store._readers.reader() as reader:
        reader.deadline = float("inf")
        asked = asyncio.ensure_future(reader.rows(ENDLESS))
        await asyncio.sleep(turns)
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
