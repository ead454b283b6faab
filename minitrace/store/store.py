"""Store: the SQLite file as a list of verbs; those that only read are `questions.py`'s.

One thread writes, and does all that comes before: it takes the requests that wait, decodes them, and commits them in
one transaction (`ingest.py`). Then those who sent them are woken. Readers work beside it on connections of their own,
and wait for it as little as it does for them: WAL.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from minitrace.errors import TraceNotFound
from minitrace.model import LogRecord, Span
from minitrace.otlp.decode import Export, decode_traces
from minitrace.otlp.log_records import LogExport
from minitrace.store import deletion, runs, saved_searches
from minitrace.store.database import Readers, make_private, open_writer
from minitrace.store.deletion import Removed
from minitrace.store.filling import Filling
from minitrace.store.ingest import Ingest, Request, export_of, log_export_of
from minitrace.store.layout import Batch
from minitrace.store.lock import Lock
from minitrace.store.log_layout import LogBatch
from minitrace.store.matching import count_ahead
from minitrace.store.questions import Questions
from minitrace.store.retention import Limits, Retention
from minitrace.store.runs import Run
from minitrace.store.saved_searches import SavedSearch
from minitrace.store.tally import Tally
from minitrace.store.timings import Timings
from minitrace.store.upkeep import Upkeep
from minitrace.store.writer import Writer
from minitrace.store.writing import Writing

log = logging.getLogger(__name__)


class Store(Questions):
    """One database file, open for writing by this process alone.

    ``async with await Store.open(path) as store`` closes it; so does `close`.
    """

    def __init__(
        self,
        path: Path,
        lock: Lock,
        connection: sqlite3.Connection,
        readers: Readers,
        limits: Limits,
        metrics_dimensions: Sequence[str],
    ) -> None:
        super().__init__(path, readers)
        self._lock = lock
        self._filling = Filling(connection, limits)
        self._writer = Writer(connection, self._filling.services)
        self._writing = Writing(self._writer, Ingest(self._filling, self._writer), self._forget_recent)
        self._retention = Retention(self._writer, path, limits)
        self._tally = Tally(readers, self._writer.last_span(), metrics_dimensions, lambda: self.is_storing)
        self._upkeep = Upkeep(path, self._writer, self._writing, readers, self._filling, self._retention, self._tally)
        self._deleted_count = 0  # spans, one by one
        self._upkeep.start(self._count_ahead)

    @classmethod
    async def open(
        cls,
        path: Path | str,
        *,
        durability: str = "normal",
        query_timeout_s: float = 2.0,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
        metrics_dimensions: Sequence[str] = (),
    ) -> Store:
        """Open or create the file, bringing it to our schema. `tally` tells attributes apart that are dimensions.

        Raises:
            StoreLocked: another minitrace has it open.
            SchemaError: it is newer than this minitrace, or not one of ours.
            StoreError: it cannot be written, or is no SQLite database.
        """
        path = Path(path)
        make_private(path)
        lock = Lock(path)
        connection = None
        try:
            connection = await asyncio.to_thread(open_writer, path, durability)
            readers = await Readers.open(path, query_timeout_s)
        except BaseException:
            if connection:
                connection.close()
            lock.release()
            raise
        return cls(path, lock, connection, readers, limits, metrics_dimensions)

    async def __aenter__(self) -> Store:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def is_busy(self) -> bool:
        """Whether nothing more is taken: too much waits for the writer, or the store is closing."""
        return self._writing.is_busy

    @property
    def waiting_bytes(self) -> int:
        """How many bytes of requests wait for the writer, or are in its hands."""
        return self._writing.waiting_bytes

    @property
    def removed_count(self) -> int:
        """How many spans have left since the store was opened: by limits, or because somebody said so."""
        return self._retention.removed_count + self._deleted_count

    @property
    def query_timings(self) -> Timings:
        """How long questions to the file took since the store was opened."""
        return self._readers.timings

    @property
    def is_storing(self) -> bool:
        """Whether a request waits for the writer, or is in its hands."""
        return self._writing.waiting_bytes > 0

    async def ingest(self, body: bytes, *, is_json: bool) -> Batch:
        """Store an ExportTraceServiceRequest; returns, after the commit, what was stored and what rejected.

        Raises:
            DecodeError, TooLarge: as `decode_traces`.
            StoreBusy: too much waits already, or the transaction failed; nothing was stored.
        """
        return await self.take(partial(decode_traces, body, is_json=is_json), len(body))

    async def take(self, decode: Callable[[], Export], size_bytes: int) -> Batch:
        """Store what `decode` gives; it is called in the writer's thread, and has `size_bytes` wait for it.

        Raises:
            StoreBusy: too much waits already, or the transaction failed; nothing was stored.
            What `decode` raises.
        """
        self._writing.refuse_if_busy()
        batch: Batch = await self._writing.add(Request(decode, size_bytes))
        return batch

    async def take_logs(self, decode: Callable[[], LogExport], size_bytes: int) -> LogBatch:
        """The same with log records; in the same queue, so that what was sent first is committed first."""
        self._writing.refuse_if_busy()
        batch: LogBatch = await self._writing.add(Request(decode, size_bytes))
        return batch

    async def add(self, spans: Sequence[Span]) -> int:
        """Store spans; returns, after the commit, how many were new.

        Raises:
            StoreBusy: too much waits already, or the transaction failed; nothing was stored.
            ValueError: a span has ids or texts that OTLP cannot carry.
        """
        self._writing.refuse_if_busy()
        batch: Batch = await self._writing.add(Request(lambda: export_of(spans)))
        return batch.added

    async def add_logs(self, records: Sequence[LogRecord]) -> int:
        """Store log records; returns, after the commit, how many were new. Raises as `add` does."""
        return (await self.take_logs(lambda: log_export_of(records), 0)).added

    async def pin(self, trace_id: bytes, is_pinned: bool = True) -> None:
        """Keep a trace whatever the limits say, or no longer. Raises TraceNotFound, StoreBusy."""

        def set_pin(connection: sqlite3.Connection) -> int:
            sql = "UPDATE traces SET is_pinned = ? WHERE trace_id = ?"
            return connection.execute(sql, (is_pinned, trace_id)).rowcount

        if not await self._writing.change(set_pin):
            raise TraceNotFound(f"no span of trace {trace_id.hex()} is stored")

    async def begin_run(self, run: Run) -> None:
        """Keep a run, in place of one with its id. Raises StoreBusy."""
        await self._writing.change(runs.begin, run)

    async def end_run(self, run_id: str, exit_code: int | None, ended_ns: int) -> bool:
        """Note how and when a run ended; False if there is none with this id. Raises StoreBusy."""
        return await self._writing.change(runs.end, run_id, exit_code, ended_ns)

    async def save_search(self, search: SavedSearch) -> None:
        """Keep a search; one of the same name gives way. Raises StoreBusy."""
        await self._writing.change(saved_searches.save, search)

    async def forget_search(self, name: str) -> None:
        """Keep the search of this name no longer, if there is one. Raises StoreBusy."""
        await self._writing.change(saved_searches.forget, name)

    async def delete(self, trace_ids: Sequence[bytes]) -> Removed:
        """Take traces away for good, unless they are pinned.

        Raises:
            StoreBusy: a part of them may be gone.
        """
        async with self._upkeep.lock:
            removed = await self._delete(deletion.steps, trace_ids)
            await self._delete_logs(deletion.log_steps, trace_ids)
        return removed

    async def take_back(self, rows: Sequence[range], log_rows: Sequence[range] = ()) -> Removed:
        """Take spans and log records away that were stored in these rows, but for those of pinned traces.

        See `Batch.rows`, `LogBatch.rows`.

        Raises:
            StoreBusy: a part of them may be gone.
        """
        async with self._upkeep.lock:
            log_count = await self._delete_logs(deletion.log_steps_back, log_rows)
            return replace(await self._delete(deletion.steps_back, rows), log_count=log_count)

    async def clear(self, report: Callable[[int], None] = lambda spans: None) -> Removed:
        """Take all traces away for good that are not pinned. `report` is told how many spans were removed so far.

        Raises:
            StoreBusy: a part of them may be gone.
        """
        async with self._upkeep.lock:
            removed = await self._writing.written(deletion.clearable, self._writer.connection)
            await self._writing.run(self._filling.next_segment)
            gone = 0
            for leaving in await self._writing.run(self._retention.all):
                self._writing.refuse_if_closing()
                if leaving.segment < self._filling.segment.number:
                    await self._upkeep.let_go(leaving)
                    gone += leaving.last_span - leaving.first_span + 1
                    report(min(gone, removed.span_count))
            await self._writing.change(deletion.forget_removed)
        return removed

    async def keep_within_limits(self) -> None:
        """Take away the oldest segments that are too much. The store does it by itself; this waits for it."""
        await self._upkeep.keep_within_limits()

    async def roll_up(self) -> None:
        """Roll up what has no roll-up: an older minitrace wrote it, or spans have left. The store does it by itself."""
        await self._upkeep.roll_up()

    async def tally(self, patience_s: float) -> Tally:
        """Counters of what was stored since the store was opened; what they lack after so long, they have later."""
        await self._tally.catch_up(patience_s)
        return self._tally

    async def close(self) -> None:
        """Write what waits, checkpoint, and let go of the file. Twice is fine."""
        if self._writing.is_closing:
            return
        self._writing.is_closing = True
        await self._tally.close()
        await self._upkeep.close()
        await self._writing.finish()
        await self._readers.close()  # first: a reader's snapshot would keep the checkpoint from the whole log
        connection = self._writer.connection
        try:
            await self._writing.run(lambda: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        except sqlite3.Error as error:
            log.warning("the write-ahead log stays beside %s, and is read again with it: %s", self.path, error)
        finally:
            self._writing.close()
            connection.close()
            self._lock.release()

    async def _delete(self, steps: Callable[..., tuple[list[list[int]], Removed]], what: object) -> Removed:
        last = 0
        try:
            parts, removed = await self._writing.written(steps, self._writer.connection, what)
            last = max((max(part) for part in parts), default=0)
            await self._tally.reach(last)
            for part in parts:
                await self._writing.written(deletion.step, self._writer, part)
                self._deleted_count += len(part)
        finally:
            self.forget_counts()
            await self._tally.forget(last)
            self._writing.grown.set()  # for `roll_up`
        return removed

    async def _delete_logs(self, steps: Callable[..., list[list[int]]], what: object) -> int:
        parts = await self._writing.written(steps, self._writer.connection, what)
        for part in parts:
            await self._writing.written(deletion.log_step, self._writer, part)
        return sum(map(len, parts))

    def _forget_recent(self) -> None:
        """The file may have changed: answers of before are good no longer."""
        self._memory.recent.clear()

    async def _count_ahead(self) -> None:
        """Sum up what the search page shows first. Raises QueryTimeout."""
        async with self._readers.snapshot() as reader:
            await count_ahead(reader, self._memory)
