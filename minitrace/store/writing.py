"""The writer's thread, and the requests that wait for it.

```
add ──→ the queue ──→ all that waits, in as few transactions as possible ──→ who waits is told what was stored
run ───────────────→ between two groups
```
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from minitrace.errors import StoreBusy
from minitrace.store.ingest import Ingest, Request
from minitrace.store.layout import Batch
from minitrace.store.log_layout import LogBatch
from minitrace.store.writer import Writer

MAX_WAITING_BYTES = 64 << 20  # of requests, unpacked and not decoded yet

T = TypeVar("T")


@dataclass(slots=True)
class _Waiting:
    """A request in the queue."""

    request: Request
    stored: asyncio.Future[Any]  # its batch


class Writing:
    """Carries out what changes the file, one after the other. `changed` is called whenever it may have changed."""

    def __init__(self, writer: Writer, ingest: Ingest, changed: Callable[[], None]) -> None:
        self.grown = asyncio.Event()  # something was stored, or left
        self.is_closing = False
        self._is_finishing = False
        self.waiting_bytes = 0  # of requests that wait, or are being stored
        self._writer = writer
        self._ingest = ingest
        self._changed = changed
        self._thread = ThreadPoolExecutor(1, "minitrace writer")
        self._queue: asyncio.Queue[_Waiting | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._write_all(), name="minitrace writer")

    @property
    def is_busy(self) -> bool:
        """Whether nothing more is taken: too much waits, or all is closing."""
        return self.is_closing or self.waiting_bytes >= MAX_WAITING_BYTES

    def refuse_if_busy(self) -> None:
        """Raise StoreBusy if nothing more is taken."""
        if self.is_busy:
            self.refuse_if_closing()
            raise StoreBusy("too much waits to be written")

    def refuse_if_closing(self) -> None:
        """Raise StoreBusy if all is closing."""
        if self.is_closing:
            raise StoreBusy("the store is closing")

    async def add(self, request: Request) -> Any:
        """Store a request; returns its batch after the commit. Raises what went wrong with it, or StoreBusy."""
        if self._is_finishing:  # nobody would answer
            raise StoreBusy("the store is closing")
        waiting = _Waiting(request, asyncio.get_running_loop().create_future())
        self.waiting_bytes += request.size_bytes
        self._queue.put_nowait(waiting)
        return await waiting.stored

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """What a function gives in the writer's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def run_changing(self, function: Callable[..., T], *arguments: object) -> T:
        """The same for what changes the file."""
        try:
            return await self.run(function, *arguments)
        finally:
            self._changed()

    async def written(self, function: Callable[..., T], *arguments: object) -> T:
        """The same for somebody who asks for it. Raises StoreBusy: the file cannot be written now."""
        self.refuse_if_closing()
        try:
            return await self.run_changing(function, *arguments)
        except sqlite3.Error as error:
            raise StoreBusy(f"the database could not be written: {error}") from error

    async def change(self, function: Callable[..., T], *arguments: object) -> T:
        """What a function does with the writing connection, in a transaction of its own. Raises StoreBusy."""

        def change() -> T:
            with self._writer.transaction():
                return function(self._writer.connection, *arguments)

        return await self.written(change)

    async def finish(self) -> None:
        """Store what waits, and take no more requests; functions can still be run."""
        self._is_finishing = True
        self._queue.put_nowait(None)
        await self._task

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    async def _write_all(self) -> None:
        """Until told to stop: let the thread store all requests that wait, and wake those who sent them."""
        while (waiting := await self._queue.get()) is not None:
            group = [waiting]
            stop = False
            while not self._queue.empty() and not stop:
                following = self._queue.get_nowait()
                if following is None:
                    stop = True
                else:
                    group.append(following)
            outcomes = await self.run_changing(self._ingest.store, [waiting.request for waiting in group])
            for waiting, outcome in zip(group, outcomes, strict=True):
                self.waiting_bytes -= waiting.request.size_bytes
                _wake(waiting, outcome)
            self.grown.set()
            if stop:
                return


def _wake(waiting: _Waiting, outcome: Batch | LogBatch | Exception) -> None:
    if waiting.stored.done():  # its client has gone
        return
    if isinstance(outcome, Exception):
        waiting.stored.set_exception(outcome)
    else:
        waiting.stored.set_result(outcome)
