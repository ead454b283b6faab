"""Store: the SQLite file as a list of verbs.

One thread writes, and does all that comes before: it takes the requests that wait, decodes them, and commits them in
one transaction (`ingest.py`). Then those who sent them are woken. Readers work beside it on connections of their own,
and wait for it as little as it does for them: WAL.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from minitrace.errors import StoreBusy, TraceNotFound
from minitrace.model import Span, Trace
from minitrace.otlp.decode import Export, decode_traces
from minitrace.otlp.encode import encode_export
from minitrace.store import traces
from minitrace.store.database import Readers, make_private, open_writer
from minitrace.store.dictionary import AttributeKey, attribute_keys
from minitrace.store.filling import Filling
from minitrace.store.ingest import Ingest, Request
from minitrace.store.layout import Batch
from minitrace.store.links import SpanRef, linking
from minitrace.store.lock import Lock
from minitrace.store.matches import SearchResult, TraceSummary
from minitrace.store.metrics import MetricsResult, query_range
from minitrace.store.peers import peers
from minitrace.store.retention import Leaving, Limits, Retention
from minitrace.store.rollups import Rollups
from minitrace.store.search import Search, search
from minitrace.store.tags import MOST_VALUES, Among, tag_values, tags
from minitrace.store.traces import EVERYTHING, Wanted
from minitrace.store.writer import Writer
from minitrace.traceql.ast import Attribute, Intrinsic, Query, Value
from minitrace.traceql.metrics import Range

MAX_WAITING_BYTES = 64 << 20  # of requests, unpacked and not decoded yet
KEEP_EVERY_S = 1.0  # how soon after a write the limits are looked at
KEEP_AT_LEAST_S = 60.0  # and how often without one, for the sake of --max-age

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stats:
    """How much is stored; `size_bytes` counts the file and its write-ahead log."""

    span_count: int
    trace_count: int
    size_bytes: int


@dataclass(slots=True)
class _Waiting:
    """A request in the writer's queue."""

    request: Request
    stored: asyncio.Future[Batch]


class Store:
    """One database file, open for writing by this process alone.

    ``async with await Store.open(path) as store`` closes it; so does `close`.
    """

    def __init__(
        self, path: Path, lock: Lock, connection: sqlite3.Connection, readers: Readers, limits: Limits
    ) -> None:
        self.path = path
        self._lock = lock
        self._readers = readers
        self._filling = Filling(connection, limits)
        self._writer = Writer(connection, self._filling.services)
        self._ingest = Ingest(self._filling, self._writer)
        self._rollups = Rollups()
        self._retention = Retention(self._writer, path, limits)
        self._thread = ThreadPoolExecutor(1, "minitrace writer")
        self._queue: asyncio.Queue[_Waiting | None] = asyncio.Queue()
        self._waiting_bytes = 0
        self._closing = False
        self._grown = asyncio.Event()
        self._keeping = asyncio.Lock()
        self._write_task = asyncio.create_task(self._write_all(), name="minitrace writer")
        self._keep_task = asyncio.create_task(self._keep_within_limits(), name="minitrace retention")

    @classmethod
    async def open(
        cls,
        path: Path | str,
        *,
        durability: str = "normal",
        query_timeout_s: float = 2.0,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
    ) -> Store:
        """Open or create the file, bringing it to our schema.

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
        return cls(path, lock, connection, readers, limits)

    async def __aenter__(self) -> Store:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def is_busy(self) -> bool:
        """Whether nothing more is taken: too much waits for the writer, or the store is closing."""
        return self._closing or self._waiting_bytes >= MAX_WAITING_BYTES

    @property
    def is_storing(self) -> bool:
        """Whether a request waits for the writer, or is in its hands."""
        return self._waiting_bytes > 0

    async def ingest(self, body: bytes, *, is_json: bool) -> Batch:
        """Store an ExportTraceServiceRequest; returns, after the commit, what was stored and what rejected.

        Raises:
            DecodeError, TooLarge: as `decode_traces`.
            StoreBusy: too much waits already, or the transaction failed; nothing was stored.
        """
        self._refuse_if_busy()
        return await self._add(Request(lambda: decode_traces(body, is_json=is_json), len(body)))

    async def add(self, spans: Sequence[Span]) -> int:
        """Store spans; returns, after the commit, how many were new.

        Raises:
            StoreBusy: too much waits already, or the transaction failed; nothing was stored.
            ValueError: a span has ids or texts that OTLP cannot carry.
        """
        self._refuse_if_busy()
        return (await self._add(Request(lambda: _export(spans)))).added

    async def trace(self, trace_id: bytes, wanted: Wanted = EVERYTHING) -> Trace:
        """A trace with all its stored spans, and what is wanted of them. Raises TraceNotFound, QueryTimeout."""
        async with self._readers.snapshot() as reader:
            return await traces.load(reader, trace_id, wanted)

    async def spans(self, trace_id: bytes, span_id: bytes) -> list[Span]:
        """All spans of a trace with this id, whole, as they arrived; none if there is none."""
        async with self._readers.snapshot() as reader:
            return await traces.load_spans(reader, trace_id, span_id)

    async def summary(self, trace_id: bytes) -> TraceSummary:
        """A trace in one line. Raises TraceNotFound."""
        async with self._readers.snapshot() as reader:
            return await traces.load_summary(reader, trace_id)

    async def peers(self, service: str, name: str, limit: int = 1000) -> list[int]:
        """The durations, in nanoseconds, of the newest spans of an operation, in no order. Raises QueryTimeout."""
        async with self._readers.snapshot() as reader:
            return await peers(reader, service, name, limit)

    async def linking(self, trace_id: bytes, span_id: bytes) -> list[SpanRef]:
        """The spans, of any trace, that have a link to this one, newest first; at most 100. Raises QueryTimeout."""
        async with self._readers.snapshot() as reader:
            return await linking(reader, trace_id, span_id)

    async def search(self, wanted: Search) -> SearchResult:
        """The newest traces that match. Raises DecodeError for a place to continue from that is none."""
        async with self._readers.snapshot() as reader:
            return await search(reader, wanted)

    async def metrics(self, query: Query, range: Range, max_exemplars: int = 0) -> MetricsResult:
        """The series of a metrics query."""
        async with self._readers.snapshot() as reader:
            return await query_range(reader, self._rollups, query, range, max_exemplars)

    async def services(self) -> list[str]:
        """The names of all services that have spans, in the order of their first appearance."""
        sql = """
            SELECT name FROM services
            WHERE EXISTS (SELECT 1 FROM operations WHERE service = services.id)
            ORDER BY id
        """
        async with self._readers.reader() as reader:
            return [row[0] for row in await reader.rows(sql)]

    async def operations(self, service: str | None = None, *, limit: int = 1000) -> list[str]:
        """Span names of one service or of all, in alphabetical order."""
        sql = """
            SELECT DISTINCT name
            FROM operations
            WHERE service = (SELECT id FROM services WHERE services.name = ?)
            LIMIT ?
        """
        if service is None:
            sql = "SELECT DISTINCT name FROM operations LIMIT ?"
        bound = (limit,) if service is None else (service, limit)
        async with self._readers.reader() as reader:
            return sorted(row[0] for row in await reader.rows(sql, bound))

    async def attribute_keys(self) -> list[AttributeKey]:
        """Every key that attributes have, by scope and type, with how many distinct values it has."""
        async with self._readers.reader() as reader:
            return await attribute_keys(reader)

    async def tags(self, among: Among = Among()) -> dict[str, list[str]]:  # noqa: B008 (frozen)
        """The names of attributes by scope, in alphabetical order."""
        async with self._readers.snapshot() as reader:
            return await tags(reader, among)

    async def tag_values(
        self,
        field: Attribute | Intrinsic,
        among: Among = Among(),  # noqa: B008 (frozen)
        *,
        limit: int = MOST_VALUES,
    ) -> list[Value]:
        """The values of an attribute or intrinsic, the commonest first."""
        async with self._readers.snapshot() as reader:
            return await tag_values(reader, field, among, limit)

    async def known(self, trace_ids: Sequence[bytes]) -> list[bytes]:
        """Those of the traces that are stored, in the order given."""
        marks = ", ".join("?" * len(trace_ids))
        async with self._readers.reader() as reader:
            rows = await reader.rows(f"SELECT trace_id FROM traces WHERE trace_id IN ({marks})", trace_ids)
        stored = {row[0] for row in rows}
        return [trace_id for trace_id in trace_ids if trace_id in stored]

    async def stats(self) -> Stats:
        """How much is stored."""
        sql = (
            "SELECT (SELECT coalesce(sum(span_count), 0) FROM segments WHERE state = 0), (SELECT count(*) FROM traces)"
        )
        async with self._readers.reader() as reader:
            ((span_count, trace_count),) = await reader.rows(sql)
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return Stats(span_count, trace_count, sum(file.stat().st_size for file in files if file.exists()))

    async def pin(self, trace_id: bytes, is_pinned: bool = True) -> None:
        """Keep a trace whatever the limits say, or no longer. Raises TraceNotFound, StoreBusy."""

        def set_pin() -> int:
            with self._writer.transaction():
                sql = "UPDATE traces SET is_pinned = ? WHERE trace_id = ?"
                return self._writer.connection.execute(sql, (is_pinned, trace_id)).rowcount

        try:
            changed = await self._in_writer(set_pin)
        except sqlite3.Error as error:
            raise StoreBusy(f"the database could not be written: {error}") from error
        if not changed:
            raise TraceNotFound(f"no span of trace {trace_id.hex()} is stored")

    async def keep_within_limits(self) -> None:
        """Take away the oldest segments that are too much. The store does it by itself; this waits for it."""
        async with self._keeping:
            while leaving := await self._in_writer(self._retention.due, time.time_ns()):
                if leaving.segment >= self._filling.segment.number:
                    await self._in_writer(self._filling.next_segment)
                await self._let_go(leaving)
            while await self._in_writer(self._retention.shrink):
                pass

    async def close(self) -> None:
        """Write what waits, checkpoint, and let go of the file. Twice is fine."""
        if self._closing:
            return
        self._closing = True
        self._keep_task.cancel()
        with suppress(asyncio.CancelledError):
            await self._keep_task
        self._queue.put_nowait(None)
        await self._write_task
        await self._readers.close()  # first: a reader's snapshot would keep the checkpoint from the whole log
        connection = self._writer.connection
        try:
            await self._in_writer(lambda: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        except sqlite3.Error as error:
            log.warning("the write-ahead log stays beside %s, and is read again with it: %s", self.path, error)
        finally:
            self._thread.shutdown()
            connection.close()
            self._lock.release()

    def _refuse_if_busy(self) -> None:
        if self.is_busy:
            raise StoreBusy("the store is closing" if self._closing else "too much waits to be written")

    async def _in_writer(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def _add(self, request: Request) -> Batch:
        waiting = _Waiting(request, asyncio.get_running_loop().create_future())
        self._waiting_bytes += request.size_bytes
        self._queue.put_nowait(waiting)
        return await waiting.stored

    async def _write_all(self) -> None:
        """Until told to stop: let the writer's thread store all requests that wait, and wake those who sent them."""
        while (waiting := await self._queue.get()) is not None:
            group = [waiting]
            stop = False
            while not self._queue.empty() and not stop:
                following = self._queue.get_nowait()
                if following is None:
                    stop = True
                else:
                    group.append(following)
            outcomes = await self._in_writer(self._ingest.store, [waiting.request for waiting in group])
            for waiting, outcome in zip(group, outcomes, strict=True):
                self._waiting_bytes -= waiting.request.size_bytes
                self._wake(waiting, outcome)
            self._grown.set()
            if stop:
                return

    def _wake(self, waiting: _Waiting, outcome: Batch | Exception) -> None:
        if waiting.stored.done():  # its client has gone
            return
        if isinstance(outcome, Exception):
            waiting.stored.set_exception(outcome)
        else:
            waiting.stored.set_result(outcome)

    async def _keep_within_limits(self) -> None:
        while not self._closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(KEEP_AT_LEAST_S):
                    await self._grown.wait()
            self._grown.clear()
            try:
                await self.keep_within_limits()
            except Exception as error:  # a full disk, a foreign lock: the next round may do better
                log.warning("could not make room in %s: %s", self.path, error)
            await asyncio.sleep(KEEP_EVERY_S)

    async def _let_go(self, leaving: Leaving) -> None:
        """Take a segment away, step by step, so that batches are written in between."""
        is_left = True
        while is_left:
            if pinned := await self._in_writer(self._retention.pinned, leaving):
                await self._move(pinned)
            else:
                is_left = await self._in_writer(self._retention.step, leaving)

    async def _move(self, rows: list[int]) -> None:
        """Write spans again, into the newest segment, in place of these rows."""
        async with self._readers.snapshot() as reader:
            spans = await traces.Loader(reader).spans(rows)
        await self._add(Request(lambda: _export(list(spans.values())), replaces=rows))


def _export(spans: Sequence[Span]) -> Export:
    export = decode_traces(encode_export(spans), is_json=False)
    if export.rejected:
        raise ValueError(export.reason)
    return export
