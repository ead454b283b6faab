"""Watchers hear of every change once, and of the end; notes are short, countable and harmless."""

from __future__ import annotations

import asyncio
import logging

import pytest

from minitrace.live import NOTE_CHARACTERS, NOTES, Live


async def turn() -> None:
    """Let every task that can run do so."""
    await asyncio.sleep(0)


async def test_every_watcher_hears_of_a_change() -> None:
    live = Live()
    heard = [asyncio.ensure_future(anext(live.changes())) for _ in range(3)]
    await turn()
    live.publish([b"a", b"b", b"a"])
    assert await asyncio.gather(*heard) == [{b"a", b"b"}] * 3


async def test_a_slow_watcher_gets_what_it_missed_at_once_and_once() -> None:
    live = Live()
    changes = live.changes()
    first = asyncio.ensure_future(anext(changes))
    await turn()
    live.publish([b"1"])
    assert await first == {b"1"}
    live.publish([b"2"])
    live.publish([b"3"])
    assert await anext(changes) == {b"2", b"3"}
    live.publish([b"4"])
    assert await anext(changes) == {b"4"}


async def test_closing_ends_every_watch_also_those_to_come() -> None:
    live = Live()
    watching = asyncio.ensure_future(anext(live.changes(), None))
    await turn()
    live.close()
    assert await watching is None
    assert [changed async for changed in live.changes()] == []


async def test_a_watcher_that_leaves_is_forgotten() -> None:
    live = Live()
    changes = live.changes()
    first = asyncio.ensure_future(anext(changes))
    await turn()
    live.publish([b"1"])
    await first
    await changes.aclose()  # type: ignore[attr-defined]
    assert live._watchers == set()


def test_a_repeated_note_is_counted_and_the_newest_comes_first() -> None:
    live = Live()
    for text in ("a", "b", "a"):
        live.note(text)
    assert [(note.text, note.times) for note in live.notes] == [("a", 2), ("b", 1)]


def test_only_the_latest_notes_are_kept() -> None:
    live = Live()
    for number in range(NOTES + 5):
        live.note(str(number))
    assert [note.text for note in live.notes] == [str(number) for number in reversed(range(5, NOTES + 5))]


def test_a_warning_is_logged_the_first_time_only(caplog: pytest.LogCaptureFixture) -> None:
    live = Live()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            live.note("gRPC on the port", warn=True)
        live.note("quiet")
    assert caplog.messages == ["gRPC on the port"]


def test_what_a_client_sent_cannot_reach_the_terminal(caplog: pytest.LogCaptureFixture) -> None:
    live = Live()
    live.note("POST /\x1b[2J\nWARNING forged\u202e" + "x" * 1000, warn=True)
    assert live.notes[0].text.startswith("POST /\\x1b[2J WARNING forged\\u202e")
    assert len(live.notes[0].text) == NOTE_CHARACTERS
    assert "\x1b" not in caplog.text
