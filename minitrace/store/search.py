"""Find traces: newest first, in two phases.

SQL picks candidate traces by their summaries, newest first, in chunks that grow; a second query finds
the spans of a chunk that match. It stops at the limit or at the deadline, with what was found so far:
`SearchResult.complete` and `looked_back_to_ns` say how far it came.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from minitrace.errors import DecodeError, QueryTimeout
from minitrace.store.database import Reader

FIRST_CHUNK = 64
LARGEST_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Filter:
    """What to look for: every condition must hold on one and the same span.

    `start_ns` (included) and `end_ns` (not included) bound the start of the trace. `text` is words, all of
    which must occur in the span: its name, its status message, its events, or any of its attributes or
    its resource's, keys and values, in any case of ASCII letters.
    """

    service: str | None = None
    name: str | None = None
    status: int | None = None
    kind: int | None = None
    min_duration_ns: int | None = None
    max_duration_ns: int | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    text: str | None = None


@dataclass(slots=True)
class ServiceCount:
    """How many spans of a trace a service has, and how many of them failed."""

    name: str
    span_count: int
    error_count: int


@dataclass(slots=True)
class TraceSummary:
    """A trace in one line. `root_service` and `root_name` are None while the root has not been received."""

    trace_id: bytes
    start_ns: int
    duration_ns: int
    root_service: str | None
    root_name: str | None
    span_count: int
    error_count: int
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
    result = SearchResult()
    place = _Place.read(before) if before else None
    chunk_size = FIRST_CHUNK
    try:
        while result.next is None:
            candidates = await _candidates(reader, wanted, place, chunk_size)
            matched = await _matching(reader, wanted, [row[0] for row in candidates], spans_per_trace)
            for row in candidates:
                if row[0] in matched and len(result.matches) == limit:
                    result.next = str(place)  # only now is it known that there is more
                    break
                place = _Place(row[2], row[0])
                result.inspected += 1
                result.looked_back_to_ns = row[2]
                if row[0] in matched:
                    result.matches.append(TraceMatch(_summary(row), *matched[row[0]]))
            if len(candidates) < chunk_size:
                break
            chunk_size = min(chunk_size * 4, LARGEST_CHUNK)
    except QueryTimeout:
        result.complete = False
        result.next = str(place) if place else None
        reader.deadline = time.monotonic() + 1.0  # to fill in what was found
    await _add_services(reader, result)
    return result


async def _candidates(reader: Reader, wanted: Filter, place: _Place | None, size: int) -> list[Any]:
    conditions: list[str] = []
    parameters: list[Any] = []
    if wanted.start_ns is not None:
        conditions.append("start_ns >= ?")
        parameters.append(wanted.start_ns)
    if wanted.end_ns is not None:
        conditions.append("start_ns < ?")
        parameters.append(wanted.end_ns)
    if place:
        conditions.append("(start_ns, traces.id) < (?, ?)")
        parameters += [place.start_ns, place.trace]
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    return await reader.rows(
        f"""
        SELECT traces.id, trace_id, start_ns, end_ns, span_count, error_count, services.name, root_name
        FROM traces LEFT JOIN services ON services.id = root_service
        {where}
        ORDER BY start_ns DESC, traces.id DESC
        LIMIT ?
        """,
        (*parameters, size),
    )


async def _matching(
    reader: Reader, wanted: Filter, traces: list[int], spans_per_trace: int
) -> dict[int, tuple[list[SpanMatch], int]]:
    """Of these traces those with a span that matches: the first of its matching spans, and their number."""
    if not traces:
        return {}
    condition, parameters = _span_condition(wanted)
    rows = await reader.rows(
        f"""
        SELECT trace, span_id, name, service, start_ns, duration_ns, status, matched
        FROM (
            SELECT trace, span_id, spans.name, services.name AS service, start_ns, duration_ns, status,
                count(*) OVER (PARTITION BY trace) AS matched,
                row_number() OVER (PARTITION BY trace ORDER BY start_ns, spans.id) AS place
            FROM spans
            JOIN resources ON resources.id = spans.resource
            JOIN services ON services.id = resources.service
            WHERE trace IN ({", ".join("?" * len(traces))}) AND {condition}
        )
        WHERE place <= ?
        ORDER BY trace, place
        """,
        (*traces, *parameters, max(1, spans_per_trace)),
    )
    found: dict[int, tuple[list[SpanMatch], int]] = {}
    for trace, span_id, name, service, start_ns, duration_ns, status, matched in rows:
        spans, _ = found.setdefault(trace, ([], matched))
        spans.append(SpanMatch(span_id, name, service, start_ns, duration_ns, status == 2))
    return found


def _span_condition(wanted: Filter) -> tuple[str, list[Any]]:
    """The filter's conditions on a span as SQL, and what is bound in it."""
    conditions = ["1"]
    parameters: list[Any] = []
    for column, value in (
        ("services.name = ?", wanted.service),
        ("spans.name = ?", wanted.name),
        ("status = ?", wanted.status),
        ("kind = ?", wanted.kind),
        ("duration_ns >= ?", wanted.min_duration_ns),
        ("duration_ns <= ?", wanted.max_duration_ns),
    ):
        if value is not None:
            conditions.append(column)
            parameters.append(value)
    columns = ("spans.name", "status_message", "spans.attributes", "events", "resources.attributes")
    for word in (wanted.text or "").split():
        conditions.append(f"({' OR '.join(f'{column} LIKE ? ESCAPE char(92)' for column in columns)})")
        parameters += [_pattern(word, in_json="attributes" in column or column == "events") for column in columns]
    return " AND ".join(conditions), parameters


def _pattern(word: str, *, in_json: bool) -> str:
    """A LIKE pattern for a word; in JSON columns a quote or backslash of it is escaped as JSON escapes it."""
    text = word.replace("\\", "\\\\").replace('"', '\\"') if in_json else word
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _summary(row: Any) -> TraceSummary:
    _, trace_id, start_ns, end_ns, span_count, error_count, root_service, root_name = row
    return TraceSummary(trace_id, start_ns, end_ns - start_ns, root_service, root_name, span_count, error_count)


async def _add_services(reader: Reader, result: SearchResult) -> None:
    """Fill in the services of every trace found, most spans first."""
    by_id = {match.summary.trace_id: match.summary for match in result.matches}
    rows = await reader.rows(
        f"""
        SELECT traces.trace_id, services.name, trace_services.span_count, trace_services.error_count
        FROM traces
        JOIN trace_services ON trace_services.trace = traces.id
        JOIN services ON services.id = trace_services.service
        WHERE traces.trace_id IN ({", ".join("?" * len(by_id))})
        ORDER BY trace_services.span_count DESC, services.id
        """,
        tuple(by_id),
    )
    for trace_id, *counts in rows:
        by_id[trace_id].services.append(ServiceCount(*counts))
