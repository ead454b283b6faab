"""Watchers hear of every change once, and of the end; requests that are alike are counted, and harmless."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from minitrace.live import ALIKE_NS, MOST_REQUESTS, TEXT_CHARACTERS, Live, Received, Requests, shown


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


SECOND_NS = 10**9


def received(path: str = "/v1/traces", at_s: float = 0, **fields: Any) -> Received:
    return Received("POST", path, status=200, time_ns=ALIKE_NS + round(at_s * SECOND_NS), **fields)


def test_requests_that_are_alike_are_one_with_their_rate_and_the_newest_comes_first() -> None:
    requests = Requests()
    for path, at_s in (("/a", 0), ("/b", 1), ("/a", 2), ("/a", 4)):
        requests.add(received(path, at_s, span_count=2, size_bytes=10))
    assert [(one.path, one.times, one.span_count, one.size_bytes) for one in requests.latest()] == [
        ("/a", 3, 6, 30),
        ("/b", 1, 2, 10),
    ]
    assert [one.rate for one in requests.latest()] == [0.5, 0.0]


def test_after_a_silence_a_request_counts_from_one_again() -> None:
    requests = Requests()
    for at_s in (0, 1, 61):
        requests.add(received(at_s=at_s))
    assert [one.times for one in requests.latest()] == [1]


def test_only_the_latest_requests_are_kept() -> None:
    requests = Requests()
    for number in range(MOST_REQUESTS + 5):
        requests.add(received(str(number)))
    assert [one.path for one in requests.latest()] == [str(number) for number in reversed(range(5, MOST_REQUESTS + 5))]
    assert requests.count == MOST_REQUESTS + 5


def test_trouble_can_be_asked_for_alone() -> None:
    requests = Requests()
    requests.add(received("/a"))
    requests.add(received("/b", problem="nothing is taken at this path"))
    assert [one.path for one in requests.latest(only_trouble=True)] == ["/b"]


def test_trouble_is_logged_the_first_time_only(caplog: pytest.LogCaptureFixture) -> None:
    requests = Requests()
    with caplog.at_level(logging.WARNING):
        for at_s in (0, 1, 100):
            requests.add(Received("POST", "/x", status=404, problem="wrong", time_ns=ALIKE_NS + at_s * SECOND_NS))
        requests.add(received())
    assert caplog.messages == ["POST /x 404: wrong"]


def test_what_a_client_sent_cannot_reach_the_terminal() -> None:
    text = shown("POST /\x1b[2J\nWARNING forged\u202e" + "x" * 1000)
    assert text.startswith("POST /\\x1b[2J WARNING forged\\u202e")
    assert len(text) == TEXT_CHARACTERS
