"""Find traces: newest first, by tokens.

Within a segment every condition becomes a set of tokens (`conditions.py`), and a span fulfils it if it has one of
them. Two ways lead to the spans, and one search may take both, one after the other:

- The index of each segment, newest first, is asked for the spans that have what all conditions want, as long as
  they are not many. The traces they belong to are looked at in order of their start.
- From where the index would have too much to say, and so there is a lot to find, traces are looked at as they are,
  newest first, in chunks that grow.

Either way the spans' rows are looked at again before anything is said about them. A search stops at the limit or
at the deadline, with what was found so far: `SearchResult.complete` and `looked_back_to_ns` say how far it came.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from minitrace.errors import DecodeError, QueryTimeout
from minitrace.model import MAX_TIME_NS
from minitrace.store import tokens
from minitrace.store.conditions import Conditions, Filter, Segment
from minitrace.store.database import Reader

FEW_SPANS = 2_000  # of one segment, that the index is asked for without a second thought
MANY_SPANS = 20_000  # of one segment; 1 µs each to find their traces
COMMON = 5  # times as many traces as are wanted, among few spans, are found as quickly without the index
SMALLEST_CHUNK = 16  # traces
FIRST_CHUNK = 64
LARGEST_CHUNK = 4096


@dataclass(slots=True)
class ServiceCount:
    """How many spans of a trace a service has, and how many of them failed."""

    name: str
    span_count: int
    error_count: int


@dataclass(slots=True)
class TraceSummary:
    """A trace in one line.

    `root_service` and `root_name` are None while the root has not been received. `is_complete` if there is a root
    and every parent that a span names. `removed_count` spans were taken away to make room.
    """

    trace_id: bytes
    start_ns: int
    duration_ns: int
    root_service: str | None
    root_name: str | None
    span_count: int
    error_count: int
    is_complete: bool = True
    removed_count: int = 0
    is_pinned: bool = False
    services: list[ServiceCount] = field(default_factory=list)


@dataclass(slots=True)
class SpanMatch:
    """A span that matches, in one line."""

    span_id: bytes
    name: str
    service: str
    start_ns: int
    duration_ns: int
    is_error: bool


@dataclass(slots=True)
class TraceMatch:
    """A trace with spans that match: the first few, and how many there are."""

    summary: TraceSummary
    spans: list[SpanMatch]
    matched: int


@dataclass(slots=True)
class SearchResult:
    """Traces that match, newest first.

    `complete` is False if the deadline came before the limit and before the oldest trace. `inspected` counts
    the traces looked at. `looked_back_to_ns` is the start of the oldest of them. `next` continues
    after the last match, None when there is nothing older.
    """

    matches: list[TraceMatch] = field(default_factory=list)
    complete: bool = True
    inspected: int = 0
    looked_back_to_ns: int | None = None
    next: str | None = None


@dataclass(slots=True, order=True)
class _Place:
    """A position in the order of traces: start, then row. The text of it is the cursor in URLs."""

    start_ns: int
    trace: int

    def __str__(self) -> str:
        return f"{self.start_ns}-{self.trace}"

    @classmethod
    def read(cls, text: str) -> _Place:
        start_ns, _, trace = text.partition("-")
        if not (start_ns.isascii() and start_ns.isdigit() and trace.isascii() and trace.isdigit()):
            raise DecodeError(f"{text!r} is not a place to continue from")
        return cls(min(int(start_ns), 2**63 - 1), min(int(trace), 2**63 - 1))


async def search(
    reader: Reader, wanted: Filter, *, limit: int, spans_per_trace: int, before: str | None
) -> SearchResult:
    """The newest traces with a matching span, at most `limit` of them, older than the cursor `before`.

    Raises:
        DecodeError: `before` is not a cursor of ours.
    """
    finder = _Finder(reader, wanted, limit, _Place.read(before) if before else None)
    try:
        await finder.find()
    except QueryTimeout:
        finder.result.complete = False
        finder.result.next = str(finder.place) if finder.place else None
        reader.deadline = time.monotonic() + 1.0  # to fill in what was found
    await finder.describe(spans_per_trace)
    return finder.result


class _Finder:
    """One search: what was found so far, and how far it came."""

    def __init__(self, reader: Reader, wanted: Filter, limit: int, place: _Place | None) -> None:
        self.result = SearchResult()
        self.place = place
        self._reader = reader
        self._wanted = wanted
        self._limit = limit
        self._found: dict[int, list[Any]] = {}  # the rows of spans that match, by trace
        self._conditions = Conditions(reader, wanted)

    async def find(self) -> None:
        """Fill the result's traces, without their details."""
        await self._conditions.prepare()
        if not self._conditions.are_any:
            await self._look_at_all(MAX_TIME_NS)
            return
        segments = sorted(self._conditions.segments, key=lambda segment: segment.newest_start_ns, reverse=True)
        candidates: dict[int, list[int]] = {}  # spans that may match, by trace
        for number, segment in enumerate(segments, start=1):
            floor_ns = segments[number].newest_start_ns if number < len(segments) else -1
            if self._wanted.start_ns is not None and segment.newest_start_ns < self._wanted.start_ns:
                floor_ns = -1
            elif not await self._ask_index(segment, candidates):
                await self._look_at(candidates, segment.newest_start_ns)
                await self._look_at_all(segment.newest_start_ns)
                return
            if floor_ns < 0 or len(candidates) >= COMMON * self._limit:
                await self._look_at(candidates, floor_ns)
            if floor_ns < 0 or self.result.next is not None:
                return

    async def _ask_index(self, segment: Segment, candidates: dict[int, list[int]]) -> bool:
        """Add the spans of a segment that may match; False if it is quicker to look at its traces."""
        query = await self._conditions.index_query(segment)
        if query is None:  # nothing in this segment
            return True
        if not query:  # the index cannot tell
            return False
        rows = await self._postings(segment, query, FEW_SPANS + 1)
        if len(rows) > FEW_SPANS:
            if len({row[1] for row in rows}) > COMMON * self._limit:
                return False
            rows = await self._postings(segment, query, MANY_SPANS + 1)  # much of it in few traces
        for span, trace in rows:
            candidates.setdefault(trace, []).append(span)
        return len(rows) <= MANY_SPANS

    async def _postings(self, segment: Segment, query: str, limit: int) -> list[Any]:
        """The newest spans that the index of a segment has for a query, each with its trace."""
        index = f"postings_{segment.id}"
        sql = f"""
            SELECT spans.id, spans.trace
            FROM (SELECT rowid FROM {index} WHERE {index} MATCH ? ORDER BY rowid DESC LIMIT ?) AS found
            CROSS JOIN spans ON spans.id = found.rowid
        """
        return await self._reader.rows(sql, (query, limit))

    async def _look_at(self, candidates: dict[int, list[int]], floor_ns: int) -> None:
        """Add those of the traces that start after the floor, and do match."""
        ids = ", ".join(map(str, candidates))
        rows = await self._traces(f"traces.id IN ({ids}) AND +start_ns > {floor_ns}", -1)
        size = self._limit + 1
        while rows and self.result.next is None:
            part, rows = rows[:size], rows[size:]
            spans = ", ".join(str(span) for row in part for span in candidates[row[0]])
            self._take(part, await self._matching(f"spans.id IN ({spans})"))
            size *= 2

    async def _look_at_all(self, floor_ns: int) -> None:
        """Add the traces that match, from those that start at the floor on backwards."""
        size = FIRST_CHUNK
        while self.result.next is None:
            rows = await self._traces(f"start_ns <= {floor_ns}", size)
            matching: dict[int, list[Any]] = {row[0]: [] for row in rows}
            if self._conditions.are_any:
                matching = await self._matching(f"trace IN ({', '.join(map(str, matching))})")
            self._take(rows, matching)
            if len(rows) < size:
                return
            missing = self._limit + 1 - len(self.result.matches)
            expected = missing * size * 5 // (4 * len(matching) or 1)  # if as many match as did so far, and a few more
            size = min(max(SMALLEST_CHUNK, expected), size * 4, LARGEST_CHUNK)

    def _take(self, rows: list[Any], matching: dict[int, list[Any]]) -> None:
        """Add traces to the result until the limit."""
        for row in rows:
            if row[0] in matching:
                if len(self.result.matches) == self._limit:
                    self.result.next = str(self.place)  # only now is it known that there is more
                    return
                self._found[row[0]] = matching[row[0]]
                self.result.matches.append(TraceMatch(_summary(row), [], len(matching[row[0]])))
            self.place = _Place(row[2], row[0])
            self.result.looked_back_to_ns = row[2]
            self.result.inspected += 1

    async def _traces(self, condition: str, size: int) -> list[Any]:
        """The newest traces behind the place we are at; all for a size of -1."""
        conditions, parameters = [condition], []
        if self._wanted.start_ns is not None:
            conditions.append("start_ns >= ?")
            parameters.append(self._wanted.start_ns)
        if self._wanted.end_ns is not None:
            conditions.append("start_ns < ?")
            parameters.append(self._wanted.end_ns)
        if self.place:
            conditions.append("(start_ns, traces.id) < (?, ?)")
            parameters += [self.place.start_ns, self.place.trace]
        return await self._reader.rows(
            f"""
            SELECT traces.id, trace_id, start_ns, end_ns, span_count, error_count, services.name, root_name,
                removed_count, is_pinned,
                root_span_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM awaited WHERE trace = traces.id)
            FROM traces LEFT JOIN services ON services.id = root_service
            WHERE {" AND ".join(conditions)}
            ORDER BY start_ns DESC, traces.id DESC
            LIMIT ?
            """,
            (*parameters, size),
        )

    async def _matching(self, these: str) -> dict[int, list[Any]]:
        """Of these spans those that fulfil all conditions, by trace: id, trace, span_id, name, service, start …"""
        columns, parameters = self._conditions.on_columns()
        rows = await self._reader.rows(
            f"""
            SELECT id, trace, span_id, name, service, start_ns, duration_ns, status, resource, scope, attributes, more
            FROM spans
            WHERE {these} AND {columns}
            """,
            parameters,
        )
        found: dict[int, list[Any]] = {}
        for row in sorted(await self._conditions.filter(rows), key=lambda row: (row[5], row[0])):
            found.setdefault(row[1], []).append(row)
        return found

    async def describe(self, spans_per_trace: int) -> None:
        """Fill in names and services of what was found."""
        if not self.result.matches:
            return
        services = {row[0]: row[1] for row in await self._reader.rows("SELECT id, name FROM services")}
        shown = await self._shown(spans_per_trace)
        names = await self._names(row for rows in shown.values() for row in rows)
        ids = ", ".join(map(str, self._found))
        counts: dict[int, list[ServiceCount]] = {trace: [] for trace in self._found}
        sql = f"SELECT * FROM trace_services WHERE trace IN ({ids}) ORDER BY span_count DESC, service"
        for trace, service, *numbers in await self._reader.rows(sql):
            counts[trace].append(ServiceCount(services[service], *numbers))
        for match, trace in zip(self.result.matches, self._found, strict=True):
            match.matched = match.matched or match.summary.span_count
            match.summary.services = counts[trace]
            match.spans = [
                SpanMatch(row[2], names[row[0]], services[row[4]], row[5], row[6], row[7] == 2) for row in shown[trace]
            ]

    async def _shown(self, number: int) -> dict[int, list[Any]]:
        """The first matching spans of each trace; its first spans where there was nothing to match."""
        if self._conditions.are_any or not number:
            return {trace: rows[:number] for trace, rows in self._found.items()}
        ids = ", ".join(map(str, self._found))
        sql = f"""
            SELECT *
            FROM (
                SELECT id, trace, span_id, name, service, start_ns, duration_ns, status,
                    row_number() OVER (PARTITION BY trace ORDER BY start_ns, id) AS place
                FROM spans
                WHERE trace IN ({ids})
            )
            WHERE place <= ?
            ORDER BY trace, place
        """
        shown: dict[int, list[Any]] = {trace: [] for trace in self._found}
        for row in await self._reader.rows(sql, (number,)):
            shown[row[1]].append(row)
        return shown

    async def _names(self, rows: Iterable[Any]) -> dict[int, str]:
        """The names of spans, by their ids."""
        by_name: dict[int, list[int]] = {}
        for row in rows:
            segment = self._conditions.segment_of(row[0])
            by_name.setdefault(tokens.first_id(segment.id, tokens.NAME) + row[3], []).append(row[0])
        ids = ", ".join(map(str, by_name))
        found = await self._reader.rows(f"SELECT id, value FROM dictionary WHERE id IN ({ids})")
        return {span: name for value_id, name in found for span in by_name[value_id]}


def _summary(row: Any) -> TraceSummary:
    _, trace_id, start_ns, end_ns, span_count, error_count, root_service, root_name, removed, pinned, complete = row
    return TraceSummary(
        trace_id, start_ns, end_ns - start_ns, root_service, root_name, span_count, error_count,
        bool(complete) and not removed, removed, bool(pinned),
    )  # fmt: skip
