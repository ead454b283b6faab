"""What a store does by itself: it keeps within its limits, rolls up, and counts ahead what pages show first."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from minitrace.store import rolling, traces
from minitrace.store.database import Readers
from minitrace.store.filling import Filling
from minitrace.store.ingest import Request, export_of, log_export_of
from minitrace.store.layout import Batch
from minitrace.store.log_rows import LogLoader
from minitrace.store.retention import Leaving, Retention
from minitrace.store.tally import Tally, parted
from minitrace.store.writer import Writer
from minitrace.store.writing import Writing

KEEP_EVERY_S = 1.0  # how soon after a write the limits are looked at
KEEP_AT_LEAST_S = 60.0  # and how often without one, for the sake of --max-age

log = logging.getLogger(__name__)


class Upkeep:
    """Takes spans and log records away, and writes again what has to stay. Who lets anything leave has the lock."""

    def __init__(
        self, path: Path, writer: Writer, writing: Writing, readers: Readers, filling: Filling, retention: Retention,
        tally: Tally,
    ) -> None:  # fmt: skip
        self.lock = asyncio.Lock()
        self._path = path
        self._writer = writer
        self._writing = writing
        self._readers = readers
        self._filling = filling
        self._retention = retention
        self._tally = tally
        self._task: asyncio.Task[None] | None = None

    def start(self, count_ahead: Callable[[], Awaitable[None]]) -> None:
        """Do all of it, again and again, and `count_ahead` in between, until closed."""
        self._task = asyncio.create_task(self._keep(count_ahead), name="minitrace upkeep")

    async def close(self) -> None:
        """Stop where it is; what is left is done by who opens the file next."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def keep_within_limits(self) -> None:
        """Take away the oldest segments that are too much; not what this writes again, if that alone is too much."""
        async with self.lock:
            newest = self._filling.segment.number
            while leaving := await self._writing.run(self._retention.due, time.time_ns()):
                if leaving.segment > newest:
                    break
                if leaving.segment >= self._filling.segment.number:
                    await self._writing.run(self._filling.next_segment)
                await self.let_go(leaving)
            while await self._writing.run(self._retention.shrink):
                pass

    async def roll_up(self) -> None:
        """Roll up what has no roll-up: an older minitrace wrote it, or spans have left."""
        is_left = True
        while is_left and not self._writing.is_closing:
            async with self.lock:  # a piece at a time: nobody who deletes has to wait for all
                is_left = await self._writing.run(self._roll_up_next)

    async def let_go(self, leaving: Leaving) -> None:
        """Take a segment away, step by step, so that batches are written in between."""
        is_left = True
        while is_left:
            await self._tally.reach(leaving.last_span)
            if pinned := await self._writing.run(self._retention.pinned, leaving):
                await self._move(pinned)
            elif records := await self._writing.run(self._retention.pinned_logs, leaving):
                await self._move_logs(records)
            else:
                is_left = await self._writing.run_changing(self._retention.step, leaving)
        await self._tally.forget(leaving.last_span)

    async def _keep(self, count_ahead: Callable[[], Awaitable[None]]) -> None:
        grown = self._writing.grown
        while not self._writing.is_closing:
            await self._attempt(self.roll_up, "roll up the spans of")
            with suppress(Exception):  # what is left out is counted next time, or when asked for
                await count_ahead()
            with suppress(TimeoutError):
                async with asyncio.timeout(KEEP_AT_LEAST_S):
                    await grown.wait()
            grown.clear()
            await self._attempt(self.keep_within_limits, "make room in")
            await asyncio.sleep(KEEP_EVERY_S)

    async def _attempt(self, action: Callable[[], Awaitable[None]], what: str) -> None:
        try:
            await action()
        except Exception as error:  # a full disk, a foreign lock: the next round may do better
            log.warning("could not %s %s: %s", what, self._path, error)

    def _roll_up_next(self) -> bool:
        piece = rolling.without(self._writer.connection)  # first: most often there is none, and nothing to write
        if piece:
            with self._writer.transaction():
                rolling.roll_up(self._writer.connection, piece)
        return piece is not None

    async def _move(self, rows: list[int]) -> None:
        """Write spans again, into the newest segment, in place of these rows."""
        async with self._readers.snapshot() as reader:
            spans = await traces.Loader(reader).spans(rows)
        async with self._tally.moving() as moved:
            for part, is_counted in zip(parted(rows, self._tally.place), (True, False), strict=True):
                own = [spans[row] for row in part]
                batch: Batch = await self._writing.add(Request(partial(export_of, own), replaces=part))
                if is_counted:
                    moved += batch.rows

    async def _move_logs(self, rows: list[int]) -> None:
        """The same with log records."""
        async with self._readers.snapshot() as reader:
            records = await LogLoader(reader).records(rows)
        await self._writing.add(Request(lambda: log_export_of(list(records.values()), rows[0]), replaces=rows))
