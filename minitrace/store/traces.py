"""Rows to spans: one trace, whole."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from minitrace.errors import TraceNotFound
from minitrace.model import Attributes, Resource, Scope, Span, Status, Trace, Value
from minitrace.otlp import messages
from minitrace.otlp.decode import read_details
from minitrace.store import tokens, values
from minitrace.store.database import Reader, work
from minitrace.store.segment import TOKENS_OF_SCOPE

_TRACE = "SELECT id, removed_count, is_pinned FROM traces WHERE trace_id = ?"
_SEGMENTS = "SELECT id, first_span, last_span FROM segments ORDER BY id"
_SPANS = """
    SELECT id, span_id, parent_id, resource, scope, name, kind, status, start_ns, duration_ns, flags, attributes,
        details
    FROM spans
    WHERE {these}
    ORDER BY id
"""
_RESOURCES = "SELECT id, attributes, dropped_attributes, schema_url, entities FROM resources WHERE id IN ({ids})"
_SCOPES = "SELECT id, name, version, attributes, dropped_attributes, schema_url FROM scopes WHERE id IN ({ids})"
_TYPES = "SELECT number, name, type FROM keys WHERE segment = ?"

_row_id = itemgetter(0)
Known = dict[str, tuple[str, Value]]  # key and value, by token


async def load(reader: Reader, trace_id: bytes) -> Trace:
    """All stored spans of a trace; they share their Resource and Scope objects.

    Raises:
        TraceNotFound: none is stored.
    """
    found = await reader.rows(_TRACE, (trace_id,))
    rows = await reader.rows(_SPANS.format(these="trace = ?"), (found[0][0],)) if found else []
    if not rows:
        raise TraceNotFound(f"no span of trace {trace_id.hex()} is stored")
    spans = await _spans(reader, rows, trace_id)
    return Trace(trace_id, spans, removed_count=found[0][1], is_pinned=bool(found[0][2]))


async def load_some(reader: Reader, trace_id: bytes, span_rows: Iterable[int]) -> list[Span]:
    """Those spans of a trace that have these ids in `spans`."""
    ids = ", ".join(map(str, span_rows))
    return await _spans(reader, await reader.rows(_SPANS.format(these=f"id IN ({ids})")), trace_id)


async def _spans(reader: Reader, rows: list[Any], trace_id: bytes) -> list[Span]:
    spans: list[Span] = []
    for segment, first, last in await reader.rows(_SEGMENTS):
        own = rows[bisect_left(rows, first, key=_row_id) : bisect_right(rows, last, key=_row_id)]
        if own:
            spans += await _segment_spans(reader, segment, own, trace_id)
    return spans


async def _segment_spans(reader: Reader, segment: int, rows: list[Any], trace_id: bytes) -> list[Span]:
    resource_rows = await reader.rows(_RESOURCES.format(ids=_ids(segment, {row[3] for row in rows})))
    scope_rows = await reader.rows(_SCOPES.format(ids=_ids(segment, {row[4] for row in rows})))
    wanted: set[str] = set()
    for text in (*(row[11] for row in rows), *(row[1] for row in resource_rows), *(row[3] for row in scope_rows)):
        wanted.update(text.split())
    wanted.update(f"e{row[5]}" for row in rows)
    by_id = tokens.ids_of(segment, wanted)
    ids = ", ".join(map(str, sorted(by_id)))
    types = {number: (name, type_) for number, name, type_ in await reader.rows(_TYPES, (segment,))}
    value_rows = await reader.rows(f"SELECT id, value FROM dictionary WHERE id IN ({ids})")

    def build() -> list[Span]:
        known = _known(value_rows, by_id, types)
        resources = {row[0] - tokens.numbered_id(segment, 0): _resource(row, known) for row in resource_rows}
        scopes = {row[0] - tokens.numbered_id(segment, 0): _scope(row, known) for row in scope_rows}
        return [_span(row, trace_id, known, resources[row[3]], scopes[row[4]]) for row in rows]

    return await work(build, size=len(rows))


def _known(value_rows: list[Any], by_id: dict[int, str], types: dict[int, tuple[str, str]]) -> Known:
    """What tokens stand for: key and value."""
    known: Known = {}
    for value_id, column in value_rows:
        name, type_ = types[tokens.key_of(value_id)]
        known[by_id[value_id]] = (name, column if type_ == values.STRING else values.from_column(type_, column))
    return known


def _ids(segment: int, numbers: Iterable[int]) -> str:
    return ", ".join(str(tokens.numbered_id(segment, number)) for number in numbers)


def _span(row: Any, trace_id: bytes, known: Known, resource: Resource, scope: Scope) -> Span:
    _, span_id, parent_id, _, _, name, kind, status, start_ns, duration_ns, flags, attributes, details = row
    return Span(
        trace_id,
        span_id,
        str(known[f"e{name}"][1]),
        parent_id=parent_id or b"",
        kind=kind,
        attributes=_attributes(attributes.split(), known),
        flags=flags,
        resource=resource,
        scope=scope,
        **read_rest(status, start_ns, duration_ns, details),
    )


def read_rest(status: int, start_ns: int, duration_ns: int, details: bytes | None) -> dict[str, Any]:
    """The fields of a `Span` that stand in these columns; what is in `details` is the exact value."""
    if not details:
        return {"status": Status(status), "start_ns": start_ns, "end_ns": start_ns + duration_ns}
    message = messages.RawSpan.FromString(details)
    times = message.start_time_unix_nano, message.end_time_unix_nano
    start_ns, end_ns = times if any(times) else (start_ns, start_ns + duration_ns)
    return {**read_details(message), "start_ns": start_ns, "end_ns": end_ns}


def _attributes(wanted: Iterable[str], known: Known) -> Attributes:
    return dict(map(known.__getitem__, wanted))


def _resource(row: Any, known: Known) -> Resource:
    _, attributes, dropped_attributes, schema_url, entities = row
    return Resource(
        _attributes(attributes.split(), known), dropped_attributes, schema_url, values.load_entities(entities)
    )


def _scope(row: Any, known: Known) -> Scope:
    _, name, version, attributes, dropped_attributes, schema_url = row
    own = attributes.split()[:-TOKENS_OF_SCOPE]
    return Scope(name, version, _attributes(own, known), dropped_attributes, schema_url)
