"""What has arrived since a place in the file, and which of it matches.

Spans are numbered in the order in which they were committed, without gaps: the number of the last one is a place to go
on from, after a restart too. The traces of the spans behind a place are looked at as any search looks at traces.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from minitrace.store.database import Reader
from minitrace.store.matches import TraceMatch
from minitrace.store.search import Search, search

MOST_TRACES = 5_000  # that are looked at, the latest ones
MOST_SPANS = 1_000_000  # among which they are found, and others counted: half a second


@dataclass(frozen=True, slots=True)
class Missed:
    """Traces that arrived and were not looked at: how many, and when the first of them starts and the last ends."""

    trace_count: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The traces with spans that arrived before `place` and match, newest first; `missed` if there were too many."""

    place: int
    matches: list[TraceMatch] = field(default_factory=list)
    missed: Missed | None = None

    @property
    def has_news(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.matches or self.missed)


async def place(reader: Reader) -> int:
    """Behind the last span of the file."""
    ((last,),) = await reader.rows("SELECT coalesce(max(last_span), 0) FROM segments")
    return int(last)


async def arrivals(reader: Reader, wanted: Search, after: int, until: int) -> Arrivals:
    """The traces that got spans behind one place and up to another, as far as they match; `limit` of them at most.

    A place behind the end is of a file that was emptied since: all of what is there has arrived.
    """
    after = max(after if after <= until else 0, until - MOST_SPANS)
    traces = await _traces(reader, after, until)
    result = await search(reader, replace(wanted, traces=tuple(traces), before=None))
    is_all = len(traces) < MOST_TRACES and result.complete and result.next is None
    missed = None if is_all else await _missed(reader, after, until, result.inspected)
    return Arrivals(until, result.matches, missed)


async def _traces(reader: Reader, after: int, until: int) -> list[int]:
    """The rows of the traces with the latest spans."""
    sql = """
        SELECT trace FROM spans WHERE id > ? AND id <= ?
        GROUP BY trace
        ORDER BY max(id) DESC
        LIMIT ?
    """
    return [row[0] for row in await reader.rows(sql, (after, until, MOST_TRACES))]


async def _missed(reader: Reader, after: int, until: int, inspected: int) -> Missed | None:
    sql = """
        SELECT count(*), min(start_ns), max(end_ns) FROM traces
        WHERE id IN (SELECT trace FROM spans WHERE id > ? AND id <= ?)
    """
    ((trace_count, start_ns, end_ns),) = await reader.rows(sql, (after, until))
    return Missed(trace_count - inspected, start_ns, end_ns) if trace_count > inspected else None
