"""Which traces to look at: newest first, those that have what a plan says they must.

Two ways lead to them, and one search may take both, one after the other:

- The index of each segment, newest first, is asked for the spans that meet a need, as long as they are not many. The
  traces they belong to are looked at in order of their start.
- From where the index would have too much to say, and so there is a lot to find, traces are looked at as they are,
  newest first, in chunks that grow.

Either way the spans' rows are looked at again before anything is said about them. Where the traces are known, as those
that just arrived, they are looked at right away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from minitrace.errors import DecodeError
from minitrace.model import MAX_TIME_NS
from minitrace.store.conditions import ALL, OfTrace
from minitrace.store.database import IN_THREAD, Reader, work
from minitrace.store.plan import Plan
from minitrace.store.resolve import COLUMNS, OF_TRACE, TRACES, Conditions, read_trace_id
from minitrace.store.segments import Segment, Segments
from minitrace.traceql.ast import Value
from minitrace.traceql.fields import NO_ROOT, compile_test, trace_id_text

FEW_SPANS = 2_000  # of one segment, that the index is asked for without a second thought
MANY_SPANS = 20_000  # of one segment; 1 µs each to find their traces
COMMON = 5  # times as many traces as are wanted, among few spans, are found as quickly without the index
SMALLEST_CHUNK = 16  # traces
FIRST_CHUNK = 64
LARGEST_CHUNK = 4096
LOOKED_AT_ONCE = 20_000  # spans: 50 ms, in which nobody sees to the deadline
TRACE_COLUMNS = """
    traces.id, trace_id, start_ns, end_ns, span_count, error_count, services.name, root_name, removed_count, is_pinned
"""
PATTERNS = ("=~", "!~")
TEXT_OF_TRACE: dict[str, Callable[[Any], Value]] = {  # in a row of `TRACE_COLUMNS`
    "trace:id": lambda row: trace_id_text(row[1]),
    "rootServiceName": lambda row: NO_ROOT if row[7] is None else row[6],
    "rootName": lambda row: NO_ROOT if row[7] is None else row[7],
}

Rows = list[Any]


@dataclass(slots=True, order=True)
class Place:
    """A position in the order of traces: start, then row; or of log records. The text of it is the cursor in URLs."""

    time_ns: int
    row: int

    def __str__(self) -> str:
        return f"{self.time_ns}-{self.row}"

    @classmethod
    def read(cls, text: str) -> Place:
        time_ns, _, row = text.partition("-")
        if len(text) > 100 or not (time_ns.isascii() and time_ns.isdigit() and row.isascii() and row.isdigit()):
            raise DecodeError(f"{text[:100]!r} is not a place to continue from")
        return cls(min(int(time_ns), 2**63 - 1), min(int(row), 2**63 - 1))


class Candidates:
    """The traces that overlap a time and have what a plan needs, behind a place in the order of traces.

    Rows of traces have `TRACE_COLUMNS`. Who asks says in `matched` how many of them were what it looks for, out of
    `limit`: by that the chunks grow.
    """

    def __init__(
        self,
        reader: Reader,
        plan: Plan,
        *,
        start_ns: int | None,
        end_ns: int | None,
        place: Place | None,
        limit: int,
        received: tuple[int, int] | None = None,
        traces: Sequence[int] | None = None,
    ) -> None:
        self.matched = 0
        self.place = place
        self._reader = reader
        self._plan = plan
        self._start_ns, self._end_ns, self._received = start_ns, end_ns, received
        self._limit = limit
        self._among = traces
        self._part = min(limit + 1, FIRST_CHUNK)  # traces of the index that are looked at together; each time more
        self._patterns = [one for one in plan.of_trace if one.operator in PATTERNS]  # SQL says the others
        self._fits = _test_of_trace(self._patterns)

    async def parts(self) -> AsyncGenerator[tuple[Rows, dict[int, Rows]]]:
        """Rows of traces in order; and by trace, for those that have what they need, the rows of the spans wanted.

        Where the plan needs nothing of a span, or wants the trace whole, there are none. Raises QueryTimeout.
        """
        await self._read_segments()
        if self._plan.is_never:
            return
        if self._among is not None:
            async for part in self._these(self._among):
                yield part
            return
        if self._plan.needs == (ALL,):
            async for part in self._all(MAX_TIME_NS):
                yield part
            return
        driver = await self._rarest()
        segments = sorted(self.segments.all, key=lambda segment: segment.newest_start_ns, reverse=True)
        spans: dict[int, list[int]] = {}  # that may match, by trace
        for number, segment in enumerate(segments, start=1):
            floor_ns = segments[number].newest_start_ns if number < len(segments) else -1
            if not await self._ask_index(driver, segment, spans):
                async for part in self._of(spans, segment.newest_start_ns):
                    yield part
                async for part in self._all(segment.newest_start_ns):
                    yield part
                return
            if floor_ns < 0 or len(spans) >= COMMON * self._limit:
                async for part in self._of(spans, floor_ns):
                    yield part

    async def these(self, rows: Rows) -> AsyncGenerator[tuple[Rows, dict[int, Rows]]]:
        """As `parts`, of traces that are known to match, in the order they are given in."""
        await self._read_segments()
        async for part in self._whole(rows, {row[0] for row in rows}):
            yield part

    async def _read_segments(self) -> None:
        self.segments = await Segments.read(self._reader)
        self._needs = [Conditions(self._reader, self.segments, need) for need in self._plan.needs]
        if self._plan.spans in self._plan.needs:
            self._spans = self._needs[self._plan.needs.index(self._plan.spans)]
        elif self._plan.spans is not None:
            self._spans = Conditions(self._reader, self.segments, self._plan.spans)

    async def fitting(self) -> Rows:
        """All traces of which holds what is asked of the trace as a whole."""
        return await self._fitting(await self._traces("1", -1))

    async def _rarest(self) -> Conditions:
        """Of what a trace needs, that which the fewest spans have, to judge from the newest segment."""
        if len(self._needs) == 1 or not self.segments.all:
            return self._needs[0]
        counts = [await need.estimate(self.segments.all[-1]) for need in self._needs]
        return self._needs[counts.index(min(counts))]

    async def _ask_index(self, driver: Conditions, segment: Segment, spans: dict[int, list[int]]) -> bool:
        """Add the spans of a segment that may match; False if it is quicker to look at its traces."""
        query = await driver.index_query(segment)
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
            spans.setdefault(trace, []).append(span)
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

    async def _of(self, spans: dict[int, list[int]], floor_ns: int) -> AsyncGenerator[tuple[Rows, dict[int, Rows]]]:
        """Those of the traces of some spans that start after the floor."""
        ids = ", ".join(map(str, spans))
        rows = await self._traces(f"traces.id IN ({ids}) AND +start_ns > {floor_ns}", -1)
        while rows:
            part, rows = rows[: self._part], rows[self._part :]
            self._part = min(self._part * 2, LARGEST_CHUNK)
            fitting = [row[0] for row in await self._fitting(part)]
            if len(self._needs) == 1 and self._plan.spans in (*self._plan.needs, None):
                own = ", ".join(str(span) for trace in fitting for span in spans[trace])
                yield part, await self._fulfilling(f"spans.id IN ({own})")
            else:
                async for few in self._whole(part, set(fitting)):
                    yield few

    async def _all(self, floor_ns: int) -> AsyncGenerator[tuple[Rows, dict[int, Rows]]]:
        """All traces, from those that start at the floor on backwards."""
        size = FIRST_CHUNK
        while True:
            rows = await self._traces(f"start_ns <= {floor_ns}", size)
            fitting = {row[0] for row in await self._fitting(rows)}
            before = self.matched
            async for few in self._whole(rows, fitting):
                yield few
            if len(rows) < size:
                return
            # if as many match as did so far, and a few more
            expected = (self._limit + 1 - self.matched) * size * 5 // (4 * (self.matched - before) or 1)
            size = min(max(SMALLEST_CHUNK, expected), size * 4, LARGEST_CHUNK)

    async def _these(self, traces: Sequence[int]) -> AsyncGenerator[tuple[Rows, dict[int, Rows]]]:
        """Traces that are known already: the few that just arrived."""
        rows = await self._traces(f"traces.id IN ({', '.join(map(str, traces))})", -1)
        async for few in self._whole(rows, {row[0] for row in await self._fitting(rows)}):
            yield few

    async def _whole(self, rows: Rows, fitting: set[int]) -> AsyncGenerator[tuple[Rows, dict[int, Rows]]]:
        """These traces, in parts of a few thousand spans: all of them are looked at, of those that are fitting."""
        if self._plan.needs == (ALL,):
            yield rows, {trace: [] for trace in fitting}
            return
        for part in split(rows, LOOKED_AT_ONCE):
            these = ", ".join(str(row[0]) for row in part if row[0] in fitting)
            yield part, await self._fulfilling(f"trace IN ({these})")

    async def _fitting(self, rows: Rows) -> Rows:
        """The traces whose roots, or ids, the patterns fit."""
        if not self._patterns:
            return rows
        return await work(lambda: list(filter(self._fits, rows)), size=IN_THREAD)

    async def _fulfilling(self, these: str) -> dict[int, Rows]:
        """Of the traces of these spans those that have what they need, each with the spans that are wanted of it."""
        is_one = len(self._needs) == 1 and self._plan.spans in (*self._plan.needs, None)
        columns, parameters = self._needs[0].on_columns() if is_one else ("1", [])
        sql = f"SELECT {', '.join(COLUMNS)} FROM spans WHERE {these} AND {columns}"
        rows = await self._reader.rows(sql, parameters)
        kept: dict[Conditions, Rows] = {}
        for need in self._needs:
            kept[need] = await need.filter(rows, columns_hold=is_one)
            traces = {row[1] for row in kept[need]}
            rows = [row for row in rows if row[1] in traces]
        distinct = Counter(trace for _, trace in {(row[0], row[1]) for own in kept.values() for row in own})
        found: dict[int, Rows] = {row[1]: [] for row in rows if distinct[row[1]] >= self._plan.least}
        if self._plan.spans is None:
            return found
        spans = kept[self._spans] if self._spans in kept else await self._spans.filter(rows, columns_hold=False)
        for row in sorted(spans, key=lambda row: (row[5], row[0])):
            if row[1] in found:
                found[row[1]].append(row)
        return found

    async def _traces(self, condition: str, size: int) -> Rows:
        """The newest traces behind the place we are at; all for a size of -1. They are where we are then."""
        about, parameters = about_trace(self._plan, self._start_ns, self._end_ns, self._received)
        conditions = [condition, *about]
        if self.place:
            conditions.append("(start_ns, traces.id) < (?, ?)")
            parameters += [self.place.time_ns, self.place.row]
        rows = await self._reader.rows(
            f"""
            SELECT {TRACE_COLUMNS}
            FROM {TRACES}
            WHERE {" AND ".join(conditions)}
            ORDER BY start_ns DESC, traces.id DESC
            LIMIT ?
            """,
            (*parameters, size),
        )
        if rows:
            self.place = Place(rows[-1][2], rows[-1][0])
        return rows


def about_trace(
    plan: Plan, start_ns: int | None, end_ns: int | None, received: tuple[int, int] | None
) -> tuple[list[str], list[Any]]:
    """What must hold of a row of TRACES, as SQL, and what is bound in it; without patterns, which SQL cannot say."""
    conditions, parameters = list[str](), list[Any]()
    for text, value in (("end_ns >= ?", start_ns), ("start_ns <= ?", end_ns)):
        if value is not None:
            conditions.append(text)
            parameters.append(value)
    if received is not None:
        conditions.append("received_ns >= ? AND received_ns < ?")
        parameters += received
    for one in plan.of_trace:
        if one.operator not in PATTERNS:
            conditions.append(f"{OF_TRACE[one.intrinsic]} {one.operator} ?")
            parameters.append(read_trace_id(one.literal) if one.intrinsic == "trace:id" else one.literal.value)
    return conditions, parameters


def _test_of_trace(patterns: Sequence[OfTrace]) -> Callable[[Any], bool]:
    """Whether what patterns say of a trace holds for its row."""
    tests = [(TEXT_OF_TRACE[one.intrinsic], compile_test(one.operator, one.literal.value)) for one in patterns]
    return lambda row: all(test(value_of(row)) for value_of, test in tests)


def split(rows: Sequence[Any], size: int, found: dict[int, Rows] | None = None) -> Iterator[Rows]:
    """The rows of traces in parts of about so many spans: of all that they have, or of those found in them."""
    part: Rows = []
    spans = 0
    for row in rows:
        part.append(row)
        spans += row[4] if found is None else len(found.get(row[0], ()))
        if spans >= size:
            yield part
            part, spans = [], 0
    if part:
        yield part
