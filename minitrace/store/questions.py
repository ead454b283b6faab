"""What can be asked of the file: the verbs that only read, each on a connection of its own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from minitrace.errors import TraceNotFound
from minitrace.model import MAX_TIME_NS, LogRecord, Span, Trace
from minitrace.store import arrivals, crossing_sums, dependencies, runs, saved_searches, service_map, traces
from minitrace.store.arrivals import Arrivals
from minitrace.store.database import Readers, log_of
from minitrace.store.dependencies import Dependency
from minitrace.store.dictionary import AttributeKey, attribute_keys
from minitrace.store.groups import Groups, groups
from minitrace.store.links import SpanRef, linking
from minitrace.store.log_rows import load_logs_after
from minitrace.store.logs import (
    LogMark,
    LogResult,
    LogSearch,
    count_of_trace,
    logs_of_trace,
    marks_of_trace,
    search_logs,
    unknown_logs,
)
from minitrace.store.matches import SearchResult, TraceSummary
from minitrace.store.matching import Memory
from minitrace.store.metrics import MetricsResult, query_range
from minitrace.store.orders import Order
from minitrace.store.overview import Overview, overview
from minitrace.store.peers import peers
from minitrace.store.population import ATTRIBUTES, NAMES, Sample, population, sample, typical
from minitrace.store.red import RedAnswer, RedQuestion, red
from minitrace.store.rollups import Rollups
from minitrace.store.runs import Run
from minitrace.store.saved_searches import SavedSearch
from minitrace.store.search import Search, search
from minitrace.store.service_map import ServiceMap
from minitrace.store.sorting import sorted_search
from minitrace.store.tags import MOST_VALUES, Among, Found, tag_counts, tag_values, tags, value_counts
from minitrace.store.traces import EVERYTHING, Wanted
from minitrace.traceql.ast import Attribute, Intrinsic, Query, Value
from minitrace.traceql.metrics import Range

IDS_AT_ONCE = 10_000  # SQLite binds three times as many values
COMPARE_S = 30.0  # for what is no page: traces of 50 000 spans take 2 s


@dataclass(frozen=True, slots=True)
class Stats:
    """How much is stored; `size_bytes` counts the file and its write-ahead log, which has `wal_bytes`.

    `oldest_ns` is when the oldest of it came, or a little before; 0 if there is nothing.
    """

    span_count: int
    trace_count: int
    size_bytes: int
    log_count: int = 0
    wal_bytes: int = 0
    oldest_ns: int = 0


class Questions:
    """One database file, to read. What was counted of full segments is remembered for the next question.

    A verb takes what is remembered before its snapshot: what it counts in an older one ends with that.
    """

    def __init__(self, path: Path, readers: Readers) -> None:
        self.path = path
        self._readers = readers
        self.forget_counts()

    def forget_counts(self) -> None:
        """Segments that get no more spans have fewer now: count them again."""
        self._rollups = Rollups()
        self._memory = Memory()
        self._calls: dependencies.Kept = {}
        self._crossings = crossing_sums.Kept()

    async def trace(self, trace_id: bytes, wanted: Wanted = EVERYTHING) -> Trace:
        """A trace with all its stored spans, and what is wanted of them. Raises TraceNotFound, QueryTimeout."""
        async with self._readers.snapshot() as reader:
            return await traces.load(reader, trace_id, wanted)

    async def spans(self, trace_id: bytes, span_id: bytes) -> list[Span]:
        """All spans of a trace with this id, whole, as they arrived; none if there is none."""
        async with self._readers.snapshot() as reader:
            return await traces.load_spans(reader, trace_id, span_id)

    async def spans_after(self, place: int) -> tuple[int, list[Span]]:
        """The next spans of all traces behind a place, 0 at first; and the place to go on. None at the end."""
        async with self._readers.snapshot() as reader:
            return await traces.load_after(reader, place)

    async def logs(self, wanted: LogSearch) -> LogResult:
        """A page of the log records that fit. Raises DecodeError for a place to continue from that is none."""
        async with self._readers.snapshot() as reader:
            return await search_logs(reader, wanted)

    async def trace_logs(self, trace_id: bytes, span_id: bytes = b"") -> list[LogRecord]:
        """The log records of a trace, or of one of its spans, oldest first. Raises QueryTimeout."""
        async with self._readers.snapshot() as reader:
            return await logs_of_trace(reader, trace_id, span_id)

    async def log_count(self, trace_id: bytes) -> int:
        """How many log records a trace has."""
        async with self._readers.reader() as reader:
            return await count_of_trace(reader, trace_id)

    async def log_marks(self, trace_id: bytes) -> list[LogMark]:
        """The log records of a trace, in a word, oldest first. Raises QueryTimeout."""
        async with self._readers.reader() as reader:
            return await marks_of_trace(reader, trace_id)

    async def logs_after(self, place: int) -> tuple[int, list[LogRecord]]:
        """As `spans_after`, with log records."""
        async with self._readers.snapshot() as reader:
            return await load_logs_after(reader, place)

    async def summary(self, trace_id: bytes) -> TraceSummary:
        """A trace in one line. Raises TraceNotFound."""
        async with self._readers.snapshot() as reader:
            return await traces.load_summary(reader, trace_id)

    async def orphans(self, trace_ids: Sequence[bytes]) -> dict[bytes, int]:
        """How many spans of each trace name a parent that is not stored; traces without such are left out."""
        async with self._readers.reader() as reader:
            return await traces.count_orphans(reader, trace_ids)

    async def peers(self, service: str, name: str, limit: int = 1000) -> list[int]:
        """The durations, in nanoseconds, of the newest spans of an operation, in no order. Raises QueryTimeout."""
        async with self._readers.snapshot() as reader:
            return await peers(reader, service, name, limit)

    async def linking(self, trace_id: bytes, span_id: bytes) -> list[SpanRef]:
        """The spans, of any trace, that have a link to this one, newest first; at most 100. Raises QueryTimeout."""
        async with self._readers.snapshot() as reader:
            return await linking(reader, trace_id, span_id)

    async def typical(self, trace_id: bytes) -> bytes | None:
        """The other trace of its root operation that has the median duration, of those without errors if there are any.

        None if there is no other. Raises QueryTimeout.
        """
        async with self._readers.snapshot() as reader:
            return await typical(reader, trace_id)

    async def population(self, trace_id: bytes, limit: int = 200, wanted: Wanted = ATTRIBUTES) -> Sample:
        """The newest other traces of its root operation, newest first. Raises QueryTimeout."""
        async with self._readers.snapshot() as reader:
            return await population(reader, trace_id, limit, wanted)

    async def sample(self, search: Search, wanted: Wanted = NAMES) -> Sample:
        """The newest traces that match, as many as its limit, with what is wanted of them. Raises QueryTimeout."""
        memory = self._memory
        async with self._readers.snapshot() as reader:
            return await sample(reader, memory.kept, search, wanted)

    async def search(self, wanted: Search) -> SearchResult:
        """A page of the traces that match. Raises DecodeError for a place to continue from that is none."""
        memory = self._memory
        async with self._readers.snapshot() as reader:
            if wanted.order is Order.NEWEST:
                return await search(reader, wanted)
            return await sorted_search(reader, memory, wanted)

    async def overview(self, wanted: Search, fields: Sequence[Attribute | Intrinsic] = ()) -> Overview:
        """All that matches, in figures: its limit, order and place do not matter. Facets of `fields` come last."""
        memory = self._memory
        async with self._readers.snapshot() as reader:
            return await overview(reader, memory, wanted, fields)

    async def groups(self, wanted: Search) -> Groups:
        """All that matches, by root operation: limit, order and place do not matter."""
        memory = self._memory
        async with self._readers.snapshot() as reader:
            return await groups(reader, memory, wanted)

    async def place(self) -> int:
        """Behind the last span of the file: where `arrivals` can go on from."""
        async with self._readers.reader() as reader:
            return await arrivals.place(reader)

    async def arrivals(self, wanted: Search, after: int, until: int) -> Arrivals:
        """The traces that got spans between two places, as far as they match. Raises QueryTimeout."""
        async with self._readers.snapshot() as reader:
            return await arrivals.arrivals(reader, wanted, after, until)

    async def metrics(self, query: Query, range: Range, max_exemplars: int = 0) -> MetricsResult:
        """The series of a metrics query."""
        rollups = self._rollups
        async with self._readers.snapshot() as reader:
            return await query_range(reader, rollups, query, range, max_exemplars)

    async def dependencies(self, start_ns: int = 0, end_ns: int = MAX_TIME_NS) -> list[Dependency]:
        """Which services call which, by spans that start in a time. Raises QueryTimeout."""
        calls = self._calls
        async with self._readers.snapshot() as reader:
            return await dependencies.dependencies(reader, calls, start_ns, end_ns)

    async def red(self, question: RedQuestion) -> RedAnswer:
        """Rate, errors and durations over time, by service or by operation."""
        async with self._readers.snapshot() as reader:
            return await red(reader, question)

    async def service_map(
        self, start_ns: int = 0, end_ns: int = MAX_TIME_NS, patience_s: float = float("inf")
    ) -> ServiceMap:
        """Services and what they call, by spans that start in a time; what is left out for want of patience, it says.

        Raises QueryTimeout.
        """
        kept = self._crossings
        async with kept.lock, self._readers.snapshot() as reader:
            return await service_map.service_map(reader, kept, start_ns, end_ns, patience_s)

    async def services(self) -> list[str]:
        """The names of all services that have spans, in the order of their first appearance."""
        sql = """
            SELECT name FROM services
            WHERE EXISTS (SELECT 1 FROM operations WHERE service = services.id)
            ORDER BY id
        """
        async with self._readers.reader() as reader:
            return [row[0] for row in await reader.rows(sql)]

    async def log_services(self) -> list[str]:
        """The names of all services that have sent something, spans or log records, in the same order."""
        sql = "SELECT name FROM services WHERE id IN (SELECT service FROM resources) ORDER BY id"
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

    async def tag_counts(self, among: Among = Among()) -> AsyncGenerator[Counter[tuple[str, str]]]:  # noqa: B008 (frozen)
        """How many of the newest spans have each attribute, by scope and name; more and more of it."""
        async with self._readers.snapshot() as reader:
            async for found in tag_counts(reader, among):
                yield found

    async def value_counts(
        self,
        field: Attribute | Intrinsic,
        among: Among = Among(),  # noqa: B008 (frozen)
        *,
        limit: int = MOST_VALUES,
    ) -> AsyncGenerator[Found]:
        """How many spans have each value of an attribute or intrinsic, by type and value; more and more of it."""
        async with self._readers.snapshot() as reader:
            async for found in value_counts(reader, field, among, limit):
                yield found

    async def known(self, trace_ids: Sequence[bytes]) -> list[bytes]:
        """Those of the traces that are stored, in the order given."""
        marks = ", ".join("?" * len(trace_ids))
        async with self._readers.reader() as reader:
            rows = await reader.rows(f"SELECT trace_id FROM traces WHERE trace_id IN ({marks})", trace_ids)
        stored = {row[0] for row in rows}
        return [trace_id for trace_id in trace_ids if trace_id in stored]

    async def unknown(self, spans: Sequence[Span]) -> list[Span]:
        """Those of the spans that are not stored, in their order. Raises QueryTimeout.

        What is compared is all that they say. The store itself knows a span again by its bytes, of which there may be
        several for the same: exporters differ in what they leave out.
        """
        stored: dict[tuple[bytes, bytes], list[Span]] = {}
        ids = list(dict.fromkeys(span.trace_id for span in spans))
        known = [one for at in range(0, len(ids), IDS_AT_ONCE) for one in await self.known(ids[at : at + IDS_AT_ONCE])]
        async with self._readers.snapshot() as reader:
            reader.deadline = time.monotonic() + COMPARE_S
            for trace_id in known:
                with suppress(TraceNotFound):  # it was deleted meanwhile
                    for span in (await traces.load(reader, trace_id, EVERYTHING)).spans:
                        stored.setdefault((trace_id, span.span_id), []).append(span)
        return [span for span in spans if span not in stored.get((span.trace_id, span.span_id), ())]

    async def unknown_logs(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        """The same of log records: what is stored once is known once. Raises QueryTimeout."""
        async with self._readers.snapshot() as reader:
            reader.deadline = time.monotonic() + COMPARE_S
            return await unknown_logs(reader, records)

    async def stats(self) -> Stats:
        """How much is stored."""
        sql = """
            SELECT coalesce(sum(span_count), 0), coalesce(sum(log_count), 0), (SELECT count(*) FROM traces),
                coalesce(min(iif(span_count + log_count, first_received_ns, NULL)), 0)
            FROM segments
            WHERE state = 0
        """
        async with self._readers.reader() as reader:
            ((span_count, log_count, trace_count, oldest_ns),) = await reader.rows(sql)
        size_bytes, wal_bytes = (file.stat().st_size if file.exists() else 0 for file in (self.path, log_of(self.path)))
        return Stats(span_count, trace_count, size_bytes + wal_bytes, log_count, wal_bytes, oldest_ns)

    async def runs(self, limit: int = 100) -> list[Run]:
        """The newest runs, newest first."""
        async with self._readers.reader() as reader:
            return await runs.load_runs(reader, limit)

    async def run(self, run_id: str) -> Run | None:
        """The run with this id."""
        async with self._readers.reader() as reader:
            return await runs.load_run(reader, run_id)

    async def saved_searches(self) -> list[SavedSearch]:
        """The searches that have a name, in alphabetical order."""
        async with self._readers.reader() as reader:
            return await saved_searches.saved_searches(reader)
