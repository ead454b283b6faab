"""Waits end when what they wait for is there, and not later; or when their time is over."""

from __future__ import annotations

import asyncio
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from minitrace import model
from minitrace.testing import TracesFailure
from minitrace.testing.capturing import Capture, Snapshot, activated
from minitrace.testing.processes import receiver
from minitrace.testing.readable import HAS_IS_REMOTE, IS_REMOTE
from minitrace.testing.waiting import wait_complete, wait_complete_async, wait_for, wait_for_async
from tests.samples import span, span_id

LONG_S = 30.0
QUIET_S = 0.03  # of the captures here


@pytest.fixture
def own() -> Iterator[Capture]:
    capture = Capture(bsp_delay_ms=10)
    with activated(capture):
        yield capture


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


class Named:
    """Finds the spans with a name, and says when it first looked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.has_looked = threading.Event()
        self.looks = 0

    def __call__(self, snapshot: Snapshot) -> list[model.Span]:
        self.looks += 1
        self.has_looked.set()
        return [one for one in snapshot.spans if one.name == self.name]


def names(spans: list[model.Span] | None) -> list[str] | None:
    return None if spans is None else [one.name for one in spans]


def timed(act: Callable[[], object]) -> float:
    """How many seconds it takes."""
    start = time.monotonic()
    act()
    return time.monotonic() - start


def key(one: model.Span) -> tuple[bytes, bytes]:
    return one.trace_id, one.span_id


class TestWaitFor:
    def test_what_is_there_already_is_found_without_waiting(self, own: Capture) -> None:
        own.arrived([span("charge")], "otlp")
        assert names(wait_for(own, Named("charge"), 1, 0)) == ["charge"]

    def test_an_arrival_ends_the_wait(self, own: Capture, threads: ThreadPoolExecutor) -> None:
        charge = Named("charge")
        waiting = threads.submit(wait_for, own, charge, 1, LONG_S)
        charge.has_looked.wait(LONG_S)
        own.arrived([span("email")], "otlp")
        own.arrived([span("charge")], "otlp")
        assert names(waiting.result(LONG_S)) == ["charge"]

    def test_a_span_of_this_process_ends_it_too(self, own: Capture, threads: ThreadPoolExecutor) -> None:
        charge = Named("charge")
        waiting = threads.submit(wait_for, own, charge, 1, LONG_S)
        charge.has_looked.wait(LONG_S)
        own.started(key(span("charge")), "charge")
        own.ended(span("charge"))
        assert names(waiting.result(LONG_S)) == ["charge"]

    def test_it_waits_for_as_many_as_it_should(self, own: Capture, threads: ThreadPoolExecutor) -> None:
        item = Named("item")
        waiting = threads.submit(wait_for, own, item, 3, LONG_S)
        item.has_looked.wait(LONG_S)
        for number in range(3):
            assert not waiting.done()
            own.arrived([span("item", id=f"{number}")], "otlp")
        assert names(waiting.result(LONG_S)) == ["item"] * 3

    def test_two_who_wait_for_one_span_both_get_it(self, own: Capture, threads: ThreadPoolExecutor) -> None:
        finds = [Named("charge"), Named("charge")]
        waiting = [threads.submit(wait_for, own, find, 1, LONG_S) for find in finds]
        for find in finds:
            find.has_looked.wait(LONG_S)
        own.arrived([span("charge")], "otlp")
        assert [names(one.result(LONG_S)) for one in waiting] == [["charge"], ["charge"]]

    def test_after_its_time_it_gives_up(self, own: Capture) -> None:
        started = time.monotonic()
        assert wait_for(own, Named("charge"), 1, 0.1) is None
        assert 0.1 <= time.monotonic() - started < 0.2 + 1  # a busy machine is late

    def test_nothing_is_looked_for_twice_while_nothing_arrives(self, own: Capture) -> None:
        charge = Named("charge")
        wait_for(own, charge, 1, 0.1)
        assert charge.looks == 1

    def test_it_wakes_within_milliseconds(self, own: Capture, threads: ThreadPoolExecutor) -> None:
        delays = []
        for number in range(20):
            find = Named(f"span {number}")

            def woken(find: Named = find) -> float:
                wait_for(own, find, 1, LONG_S)
                return time.monotonic()

            waiting = threads.submit(woken)
            find.has_looked.wait(LONG_S)
            own.arrived([span(find.name)], "otlp")
            stored = time.monotonic()
            delays.append(waiting.result(LONG_S) - stored)
        assert statistics.median(delays) < 0.005

    def test_frozen_time_does_not_hold_it(self, own: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(time, "monotonic", lambda: 0.0)  # as freezegun does
        assert wait_for(own, Named("charge"), 1, 0.1) is None

    async def test_it_refuses_to_stop_the_loop_that_should_bring_the_span(self, own: Capture) -> None:
        with pytest.raises(TracesFailure, match=r"use await traces\.wait_for_async"):
            wait_for(own, Named("charge"), 1, LONG_S)

    async def test_in_a_loop_it_finds_what_is_there(self, own: Capture) -> None:
        own.arrived([span("charge")], "otlp")
        assert names(wait_for(own, Named("charge"), 1, LONG_S)) == ["charge"]

    async def test_outside_of_tasks_a_loop_is_no_obstacle(self, own: Capture) -> None:
        """As with Playwright's sync API, whose loop counts as running while the test does something else."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[object] = loop.create_future()

        def wait() -> None:
            try:
                done.set_result(wait_for(own, Named("charge"), 1, 0.01))
            except TracesFailure as failure:
                done.set_result(failure)

        loop.call_soon(wait)
        assert await done is None


class TestWaitForAsync:
    async def test_the_loop_goes_on_while_it_waits(self, own: Capture) -> None:
        gaps = []

        async def tick() -> None:
            while True:
                start = time.monotonic()
                await asyncio.sleep(0.01)
                gaps.append(time.monotonic() - start)

        ticking = asyncio.create_task(tick())
        assert await wait_for_async(own, Named("charge"), 1, 0.3) is None
        ticking.cancel()
        assert len(gaps) > 5
        assert statistics.median(gaps) < 0.05

    async def test_an_arrival_on_any_thread_ends_the_wait(self, own: Capture, threads: ThreadPoolExecutor) -> None:
        charge = Named("charge")

        def arrive() -> None:
            charge.has_looked.wait(LONG_S)
            own.arrived([span("charge")], "otlp")

        started = time.monotonic()
        arriving = threads.submit(arrive)
        assert names(await wait_for_async(own, charge, 1, LONG_S)) == ["charge"]
        assert time.monotonic() - started < LONG_S / 2  # it was woken, and not by the end of its time
        arriving.result(LONG_S)

    async def test_among_many_spans_it_looks_in_a_thread(self, own: Capture) -> None:
        own.arrived([span("item", id=f"{number}") for number in range(1000)], "otlp")
        looked_in = []

        def find(snapshot: Snapshot) -> list[model.Span]:
            looked_in.append(threading.current_thread())
            return snapshot.spans

        assert len(await wait_for_async(own, find, 1000, LONG_S) or []) == 1000
        assert looked_in != [threading.current_thread()]

    async def test_a_task_of_the_same_loop_may_bring_it(self, own: Capture) -> None:
        async def charge() -> None:
            own.arrived([span("charge")], "otlp")

        waiting = asyncio.create_task(wait_for_async(own, Named("charge"), 1, LONG_S))
        await asyncio.sleep(0)
        await charge()
        assert names(await waiting) == ["charge"]

    async def test_two_who_wait_for_one_span_both_get_it(self, own: Capture) -> None:
        waiting = [asyncio.create_task(wait_for_async(own, Named("charge"), 1, LONG_S)) for _ in range(2)]
        await asyncio.sleep(0)
        own.arrived([span("charge")], "otlp")
        assert [names(found) for found in await asyncio.gather(*waiting)] == [["charge"], ["charge"]]

    async def test_afterwards_nothing_of_it_is_left(self, own: Capture) -> None:
        await wait_for_async(own, Named("charge"), 1, 0)
        assert own.listeners == set()


class TestWaitComplete:
    def test_with_nothing_open_and_nothing_from_elsewhere_it_returns_at_once(self, own: Capture) -> None:
        assert wait_complete(own, 0) == []

    def test_an_open_span_is_waited_for(self, own: Capture, threads: ThreadPoolExecutor) -> None:
        own.started(key(span("charge")), "charge")
        assert wait_complete(own, 0.01) == ["charge has not ended"]
        waiting = threads.submit(wait_complete, own, LONG_S)
        own.ended(span("charge"))
        assert waiting.result(LONG_S) == []

    def test_a_parent_is_waited_for(self, own: Capture, threads: ThreadPoolExecutor) -> None:
        own.arrived([span("SELECT", parent="checkout")], "otlp")
        assert wait_complete(own, 2 * QUIET_S) == ["the parent of SELECT has not arrived"]
        waiting = threads.submit(wait_complete, own, LONG_S)
        own.arrived([span("checkout")], "otlp")
        assert waiting.result(LONG_S) == []

    def test_a_parent_in_another_process_may_be_outside_of_the_test(self, own: Capture) -> None:
        own.arrived([span("POST /checkout", parent="browser", flags=HAS_IS_REMOTE | IS_REMOTE)], "otlp")
        assert wait_complete(own, LONG_S) == []

    def test_the_parent_that_a_test_handed_out_is_no_span(self, own: Capture) -> None:
        trace_id, parent_id = own.remote_parent()
        own.arrived([span("POST /checkout", trace=trace_id, parent_id=parent_id)], "otlp")
        assert wait_complete(own, LONG_S) == []

    def test_after_spans_of_another_process_it_is_quiet_for_a_while(self, own: Capture) -> None:
        own.arrived([span("charge")], "otlp")
        assert timed(lambda: wait_complete(own, LONG_S)) >= QUIET_S
        own.arrived([span("email")], "otlp")
        [missing] = wait_complete(own, 0)
        assert "more may follow" in missing

    def test_of_many_names_some_are_said(self, own: Capture) -> None:
        for number in range(8):
            own.started((span("x").trace_id, span_id(f"{number}")), f"span {number}")
        assert wait_complete(own, 0) == [*(f"span {number} has not ended" for number in range(5)), "… and 3 more"]

    async def test_it_refuses_to_stop_a_loop(self, own: Capture) -> None:
        own.started(key(span("charge")), "charge")
        with pytest.raises(TracesFailure, match=r"use await traces\.wait_complete_async"):
            wait_complete(own, LONG_S)

    async def test_the_loop_goes_on_while_it_waits(self, own: Capture) -> None:
        own.started(key(span("charge")), "charge")
        waiting = asyncio.create_task(wait_complete_async(own, LONG_S))
        await asyncio.sleep(0)
        own.ended(span("charge"))
        assert await waiting == []


def test_what_came_for_a_capture_within_may_be_followed_by_more_for_the_one_around(own: Capture) -> None:
    Capture(enclosing=own).arrived([span("a")], "otlp")
    [missing] = wait_complete(own, 0)
    assert "more may follow" in missing


def test_a_request_that_has_begun_is_waited_for(own: Capture) -> None:
    address = urlsplit(receiver.endpoint())
    head = "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), LONG_S) as client:
        client.sendall(head.encode())
        assert b"100" in client.recv(100)  # so the head was read
        assert wait_complete(own, 0) == ["an exporter's request is on its way"]


async def test_an_asynchronous_wait_looks_once_for_an_arrival_and_ends_in_time(own: Capture) -> None:
    find = Named("charge")
    started = time.monotonic()
    waiting = asyncio.create_task(wait_for_async(own, find, 1, 0.2))
    await asyncio.sleep(0)
    own.arrived([span("email")], "otlp")
    assert await waiting is None
    assert find.looks <= 3  # at first, after the arrival, at the end
    assert 0.2 <= time.monotonic() - started < 1
