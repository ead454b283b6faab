"""The other end of a link: which spans point at a span. The file has only the end that a link starts from.

The index knows which traces a span's links lead to; which spans, its `details` tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minitrace.otlp import messages
from minitrace.otlp.decode import read_links
from minitrace.store import tokens
from minitrace.store.database import IN_THREAD, Reader, work
from minitrace.store.dictionary import Key, keys_named, tokens_with
from minitrace.store.segments import Segments

MOST_LINKING = 100

_LINKED_TRACE = "link:traceID"
_SPANS = """
    SELECT traces.trace_id, spans.span_id, services.name, dictionary.value, spans.start_ns, spans.details
    FROM postings_{segment} CROSS JOIN spans ON spans.id = postings_{segment}.rowid
    JOIN traces ON traces.id = spans.trace
    JOIN services ON services.id = spans.service
    JOIN dictionary ON dictionary.id = spans.name + ?
    WHERE postings_{segment} MATCH ? AND instr(spans.details, ?)
    ORDER BY postings_{segment}.rowid DESC
    LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class SpanRef:
    """A span, as far as another one needs it to point there."""

    trace_id: bytes
    span_id: bytes
    service: str
    name: str
    start_ns: int


async def linking(reader: Reader, trace_id: bytes, span_id: bytes) -> list[SpanRef]:
    """The spans with a link to this one, newest first: of those that arrived last, at most `MOST_LINKING`.

    Raises:
        QueryTimeout: the deadline passed first.
    """
    keys = await keys_named(reader, [_LINKED_TRACE])
    found: list[SpanRef] = []
    for segment in reversed((await Segments.read(reader)).all):
        for key in keys.get((segment.id, _LINKED_TRACE), []):
            rows = await _rows(reader, segment.id, key, trace_id, span_id, MOST_LINKING - len(found))
            found += await work(_pointing, rows, (trace_id, span_id), size=IN_THREAD if rows else 0)
    return sorted(found, key=lambda ref: ref.start_ns, reverse=True)


async def _rows(reader: Reader, segment: int, key: Key, trace_id: bytes, span_id: bytes, limit: int) -> list[Any]:
    """The spans of a segment that link to the trace, and have the span's id among their details."""
    linked = await tokens_with(reader, segment, key, "=", trace_id.hex())
    if not linked or not limit:
        return []
    names = tokens.first_id(segment, tokens.NAME)
    bound = (names, " OR ".join(sorted(linked)), span_id, limit)
    return await reader.rows(_SPANS.format(segment=segment), bound)


def _pointing(rows: list[Any], target: tuple[bytes, bytes]) -> list[SpanRef]:
    """Those that have both ids in one link."""
    return [
        SpanRef(*row[:-1])
        for row in rows
        if any((link.trace_id, link.span_id) == target for link in read_links(messages.RawSpan.FromString(row[-1])))
    ]
