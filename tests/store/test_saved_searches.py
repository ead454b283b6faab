"""Searches that somebody gave a name."""

from __future__ import annotations

from pathlib import Path

from minitrace.store.saved_searches import SavedSearch
from minitrace.store.store import Store


async def test_saved_searches_outlive_the_process_in_alphabetical_order(tmp_path: Path) -> None:
    slow, failed = SavedSearch("slow", "q=%7B%7D&min=1s", 1), SavedSearch("Failed", "status=error", 2)
    async with await Store.open(tmp_path / "a.db") as store:
        await store.save_search(slow)
        await store.save_search(failed)
    async with await Store.open(tmp_path / "a.db") as store:
        assert await store.saved_searches() == [failed, slow]


async def test_a_search_of_the_same_name_gives_way(store: Store) -> None:
    await store.save_search(SavedSearch("slow", "min=1s", 1))
    await store.save_search(SavedSearch("slow", "min=2s", 2))
    assert await store.saved_searches() == [SavedSearch("slow", "min=2s", 2)]


async def test_a_search_can_be_forgotten(store: Store) -> None:
    await store.save_search(SavedSearch("slow", "min=1s", 1))
    await store.forget_search("slow")
    await store.forget_search("never saved")
    assert await store.saved_searches() == []


async def test_saved_searches_stay_when_everything_else_is_cleared(store: Store) -> None:
    await store.save_search(SavedSearch("slow", "min=1s", 1))
    await store.clear()
    assert len(await store.saved_searches()) == 1
