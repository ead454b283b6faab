"""Store: the SQLite file as a list of verbs.

One task writes. `add` puts spans in its queue and returns when the transaction that holds them is
committed; all that waits goes into one transaction. Readers work beside it on connections of their own
and never wait for it, nor it for them: WAL.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiosqlite

from minitrace.errors import StoreBusy
from minitrace.model import Span, Trace
from minitrace.store import traces
from minitrace.store.database import Readers, make_private, open_writer
from minitrace.store.insert import Inserter
from minitrace.store.lock import Lock
from minitrace.store.search import Filter, SearchResult, search

MAX_WAITING_SPANS = 200_000
MAX_GROUP_SPANS = 20_000  # spans of one transaction: about a second of work, so that nobody waits long
RECENT_SPANS = 20_000  # how far back `operations` looks

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stats:
    """How much is stored; `size_bytes` counts the file and its write-ahead log."""

    span_count: int
    trace_count: int
    size_bytes: int


@dataclass(slots=True)
class _Batch:
    spans: Sequence[Span]
    stored: asyncio.Future[int]


class Store:
    """One database file, open for writing by this process alone.

    ``async with await Store.open(path) as store`` closes it; so does `close`.
    """

    def __init__(self, path: Path, lock: Lock, writer: aiosqlite.Connection, readers: Readers) -> None:
        self.path = path
        self._lock = lock
        self._writer = writer
        self._readers = readers
        self._inserter = Inserter(writer)
        self._queue: asyncio.Queue[_Batch | None] = asyncio.Queue()
        self._waiting_spans = 0
        self._closing = False
        self._task = asyncio.create_task(self._write_all(), name="minitrace writer")

    @classmethod
    async def open(cls, path: Path | str, *, durability: str = "normal", query_timeout_s: float = 5.0) -> Store:
        """Open or create the file, bringing it to our schema.

        Raises:
            StoreLocked: another minitrace has it open.
            SchemaError: it is newer than this minitrace, or not one of ours.
            StoreError: it cannot be written, or is no SQLite database.
        """
        path = Path(path)
        make_private(path)
        lock = Lock(path)
        try:
            writer = await open_writer(path, durability)
            readers = await Readers.open(path, query_timeout_s)
        except BaseException:
            lock.release()
            raise
        return cls(path, lock, writer, readers)

    async def __aenter__(self) -> Store:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def is_busy(self) -> bool:
        """Whether `add` would refuse: too much waits for the writer, or the store is closing."""
        return self._closing or self._waiting_spans >= MAX_WAITING_SPANS

    async def add(self, spans: Sequence[Span]) -> int:
        """Store spans; returns, after the commit, how many were new.

        Raises:
            StoreBusy: too much waits already, or the transaction failed; nothing was stored.
        """
        if self.is_busy:
            raise StoreBusy("the store is closing" if self._closing else "too many spans wait to be written")
        if not spans:
            return 0
        batch = _Batch(spans, asyncio.get_running_loop().create_future())
        self._waiting_spans += len(spans)
        self._queue.put_nowait(batch)
        return await batch.stored

    async def trace(self, trace_id: bytes) -> Trace:
        """A trace with all its stored spans. Raises TraceNotFound, QueryTimeout."""
        async with self._readers.reader() as reader:
            return await traces.load(reader, trace_id)

    async def search(
        self, filter: Filter, *, limit: int = 20, spans_per_trace: int = 3, before: str | None = None
    ) -> SearchResult:
        """The newest traces that match; `before` is the `next` of an earlier result. Raises DecodeError."""
        async with self._readers.reader() as reader:
            return await search(reader, filter, limit=limit, spans_per_trace=spans_per_trace, before=before)

    async def services(self) -> list[str]:
        """The names of all services, in the order of their first appearance."""
        async with self._readers.reader() as reader:
            return [row[0] for row in await reader.rows("SELECT name FROM services ORDER BY id")]

    async def operations(self, service: str | None = None) -> list[str]:
        """The names among the latest spans, of one service or of all, in alphabetical order."""
        sql = """
            SELECT DISTINCT recent.name
            FROM (SELECT name, resource FROM spans ORDER BY id DESC LIMIT ?) AS recent
            JOIN resources ON resources.id = recent.resource
            JOIN services ON services.id = resources.service
            WHERE ? IS NULL OR services.name = ?
            ORDER BY recent.name
            LIMIT 1000
        """
        async with self._readers.reader() as reader:
            return [row[0] for row in await reader.rows(sql, (RECENT_SPANS, service, service))]

    async def known(self, trace_ids: Sequence[bytes]) -> list[bytes]:
        """Those of the traces that are stored, in the order given."""
        marks = ", ".join("?" * len(trace_ids))
        async with self._readers.reader() as reader:
            rows = await reader.rows(f"SELECT trace_id FROM traces WHERE trace_id IN ({marks})", trace_ids)
        stored = {row[0] for row in rows}
        return [trace_id for trace_id in trace_ids if trace_id in stored]

    async def stats(self) -> Stats:
        """How much is stored."""
        async with self._readers.reader() as reader:
            rows = await reader.rows("SELECT coalesce(sum(span_count), 0), count(*) FROM traces")
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        span_count, trace_count = rows[0]
        return Stats(span_count, trace_count, sum(file.stat().st_size for file in files if file.exists()))

    async def close(self) -> None:
        """Write what waits, checkpoint, and let go of the file. Twice is fine."""
        if self._closing:
            return
        self._closing = True
        self._queue.put_nowait(None)
        await self._task
        await self._readers.close()  # first: a reader's snapshot would keep the checkpoint from the whole log
        try:
            await self._writer.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            log.warning("the write-ahead log stays beside %s, and is read again with it: %s", self.path, error)
        finally:
            await self._writer.close()  # a connection left open would keep the interpreter alive
            self._lock.release()

    async def _write_all(self) -> None:
        """Until told to stop: take all batches that wait, commit them together, wake those who sent them."""
        while (batch := await self._queue.get()) is not None:
            group, stop = self._group(batch)
            await self._write(group)
            if stop:
                return

    def _group(self, first: _Batch) -> tuple[list[_Batch], bool]:
        """The batch and those behind it, as far as one transaction should take them; and whether to stop after."""
        group, size = [first], len(first.spans)
        while size < MAX_GROUP_SPANS and not self._queue.empty():
            batch = self._queue.get_nowait()
            if batch is None:
                return group, True
            group.append(batch)
            size += len(batch.spans)
        return group, False

    async def _write(self, group: list[_Batch]) -> None:
        """Store the batches and wake those who sent them; never raises, so that the writer goes on."""
        try:
            counts = await self._commit(group)
        except sqlite3.Error as error:
            # Full disk, I/O error, foreign lock: the client keeps its spans and tries again.
            log.error("could not store %d spans: %s", sum(len(batch.spans) for batch in group), error)
            self._refuse(group, StoreBusy(f"the database could not be written: {error}"))
        except Exception as error:
            # Spans that cannot be bound to SQL, from a caller's own code: the other batches must not suffer.
            if len(group) == 1:
                self._refuse(group, error)
            for batch in group if len(group) > 1 else []:
                await self._write([batch])
        else:
            for batch, count in zip(group, counts, strict=True):
                self._waiting_spans -= len(batch.spans)
                if not batch.stored.done():  # its client may have gone
                    batch.stored.set_result(count)

    def _refuse(self, group: list[_Batch], error: Exception) -> None:
        for batch in group:
            self._waiting_spans -= len(batch.spans)
            if not batch.stored.done():
                batch.stored.set_exception(error)

    async def _commit(self, group: list[_Batch]) -> list[int]:
        received_ns = time.time_ns()
        await self._writer.execute("BEGIN IMMEDIATE")
        try:
            counts = [await self._inserter.insert(batch.spans, received_ns) for batch in group]
            await self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:  # SQLITE_FULL has rolled back already
                await self._writer.execute("ROLLBACK")
            self._inserter.forget()
            raise
        return counts
