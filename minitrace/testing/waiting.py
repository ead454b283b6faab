"""Waiting for spans, until they are there and no longer. Nothing sleeps and nothing polls: an arrival wakes.

What is asked for is looked for once among what is there, then after arrivals, and only once for all that came while
it was looked for last.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Protocol, TypeVar

from minitrace import model
from minitrace.testing.capturing import Capture, Snapshot
from minitrace.testing.clock import now
from minitrace.testing.failures import TracesFailure
from minitrace.testing.processes import receiver
from minitrace.testing.readable import HAS_IS_REMOTE, IS_REMOTE

Find = Callable[[Snapshot], list[model.Span]]
Found = TypeVar("Found")

QUIET_DELAYS = 3  # how often an exporter could have sent what it holds, until no more is expected
REMOTE = HAS_IS_REMOTE | IS_REMOTE  # a span's flags, where its parent is in another process
MOST_NAMES = 5
MANY_SPANS = 1_000  # to look among them takes some 5 ms; an event loop should not stand still for longer


def wait_for(capture: Capture, find: Find, count: int, timeout_s: float) -> list[model.Span] | None:
    """What `find` finds, as soon as that is `count` spans or more; None if it is not in time.

    Raises:
        TracesFailure: it would block the event loop of this thread.
    """
    deadline = now() + timeout_s
    while True:
        snapshot = capture.snapshot()
        found = find(snapshot)
        if len(found) >= count:
            return found
        refuse_to_block("wait_for_async")
        if not _arrival(capture, snapshot, deadline - now()):
            return None


async def wait_for_async(capture: Capture, find: Find, count: int, timeout_s: float) -> list[model.Span] | None:
    """`wait_for`, while the event loop goes on: asyncio's or Trio's."""
    deadline = now() + timeout_s
    with _bell(capture) as bell:
        while True:
            snapshot = capture.snapshot()
            is_quick = len(snapshot.seen) < MANY_SPANS
            found = find(snapshot) if is_quick else await bell.aside(partial(find, snapshot))
            if len(found) >= count:
                return found
            if now() >= deadline:
                return None
            await bell.wait(deadline - now())


def wait_complete(capture: Capture, timeout_s: float) -> list[str]:
    """Return when nothing more is to be expected: [], or what is missing still after the time, in words.

    Raises:
        TracesFailure: it would block the event loop of this thread.
    """
    deadline = now() + timeout_s
    while True:
        snapshot = capture.snapshot()
        missing, pause_s = _missing(capture, snapshot)
        if not missing or now() >= deadline:
            return missing
        refuse_to_block("wait_complete_async")
        _arrival(capture, snapshot, min(pause_s, deadline - now()))


async def wait_complete_async(capture: Capture, timeout_s: float) -> list[str]:
    """`wait_complete`, while the event loop goes on."""
    deadline = now() + timeout_s
    with _bell(capture) as bell:
        while True:
            missing, pause_s = _missing(capture, capture.snapshot())
            if not missing or now() >= deadline:
                return missing
            await bell.wait(min(pause_s, deadline - now()))


def refuse_to_block(instead: str) -> None:
    """Raise TracesFailure within a task: all that its event loop runs would stand still, also what should send spans.

    A loop alone is no reason. Playwright's sync API leaves one behind that runs only within its own calls.
    """
    with suppress(RuntimeError):  # there is no loop
        if asyncio.current_task():
            raise TracesFailure(f"this would stop the event loop of the test: use await traces.{instead}(…)")


def _arrival(capture: Capture, snapshot: Snapshot, timeout_s: float) -> bool:
    """Whether something arrived after a snapshot; waits for it."""
    with capture.condition:
        return capture.condition.wait_for(lambda: capture.snapshot().version != snapshot.version, max(0, timeout_s))


class Bell(Protocol):
    """Something that any thread may ring, to wake a task."""

    def ring(self) -> None:
        """Wake the one that waits, or will."""

    async def wait(self, timeout_s: float) -> None:
        """Until it rings, or the time is over."""

    async def aside(self, act: Callable[[], Found]) -> Found:
        """Do something in a thread."""


class AsyncioBell:
    """For a task of asyncio."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()

    def ring(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._rung.set)

    async def wait(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._rung.wait(), max(0, timeout_s))
        self._rung.clear()

    async def aside(self, act: Callable[[], Found]) -> Found:
        return await asyncio.to_thread(act)


class TrioBell:
    """For a task of Trio, where anyio's tests run as well."""

    def __init__(self, trio: Any) -> None:
        self._trio = trio
        self._token = trio.lowlevel.current_trio_token()
        self._rung = trio.Event()

    def ring(self) -> None:
        with suppress(self._trio.RunFinishedError):
            self._token.run_sync_soon(self._set)

    def _set(self) -> None:
        self._rung.set()

    async def wait(self, timeout_s: float) -> None:
        with self._trio.move_on_after(max(0, timeout_s)):
            await self._rung.wait()
        self._rung = self._trio.Event()

    async def aside(self, act: Callable[[], Found]) -> Found:
        found: Found = await self._trio.to_thread.run_sync(act)
        return found


@contextmanager
def _bell(capture: Capture) -> Iterator[Bell]:
    """A bell that every arrival rings."""
    trio: Any = sys.modules.get("trio")
    bell: Bell = TrioBell(trio) if trio and trio.lowlevel.in_trio_run() else AsyncioBell()
    capture.listeners.add(bell.ring)
    try:
        yield bell
    finally:
        capture.listeners.discard(bell.ring)


def _missing(capture: Capture, snapshot: Snapshot) -> tuple[list[str], float]:
    """What is still expected, in words; and for how many seconds that stays so if nothing arrives."""
    quiet_s = QUIET_DELAYS * capture.bsp_delay_ms / 1e3
    expected = [f"{name} has not ended" for name in snapshot.open]
    expected += [f"the parent of {name} has not arrived" for name in _without_parent(snapshot.spans)]
    if len(expected) > MOST_NAMES:
        expected[MOST_NAMES:] = [f"… and {len(expected) - MOST_NAMES} more"]
    if receiver.in_flight():
        return [*expected, "an exporter's request is on its way"], quiet_s
    since_s = now() - capture.arrived_at
    if since_s < quiet_s:
        return [*expected, f"spans came {since_s * 1e3:.0f} ms ago, and more may follow"], quiet_s - since_s
    return expected, threading.TIMEOUT_MAX


def _without_parent(spans: Sequence[model.Span]) -> list[str]:
    """Names of spans whose parent must come: it is none outside of what is captured."""
    here = {(span.trace_id, span.span_id) for span in spans}
    return [
        span.name
        for span in spans
        if span.parent_id and span.flags & REMOTE != REMOTE and (span.trace_id, span.parent_id) not in here
    ]
