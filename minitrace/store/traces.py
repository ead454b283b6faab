"""Rows to spans: one trace, whole."""

from __future__ import annotations

from typing import Any

from minitrace.errors import TraceNotFound
from minitrace.model import Resource, Scope, Span, Status, Trace
from minitrace.store import values
from minitrace.store.database import Reader

_SPANS = """
    SELECT span_id, parent_id, resource, scope, name, kind, status, start_ns, end_ns, status_message, trace_state,
        flags, attributes, dropped_attributes, events, dropped_events, links, dropped_links, raw_times
    FROM spans
    WHERE trace = (SELECT id FROM traces WHERE trace_id = ?)
    ORDER BY id
"""
_RESOURCES = """
    SELECT id, attributes, dropped_attributes, schema_url, entities
    FROM resources
    WHERE id IN (SELECT resource FROM spans WHERE trace = (SELECT id FROM traces WHERE trace_id = ?))
"""
_SCOPES = """
    SELECT id, name, version, attributes, dropped_attributes, schema_url
    FROM scopes
    WHERE id IN (SELECT scope FROM spans WHERE trace = (SELECT id FROM traces WHERE trace_id = ?))
"""


async def load(reader: Reader, trace_id: bytes) -> Trace:
    """All stored spans of a trace; they share their Resource and Scope objects.

    Raises:
        TraceNotFound: none is stored.
    """
    rows = await reader.rows(_SPANS, (trace_id,))
    if not rows:
        raise TraceNotFound(f"no span of trace {trace_id.hex()} is stored")
    # Read after the spans: what they refer to is committed with them, or before.
    resources = {row[0]: _resource(row) for row in await reader.rows(_RESOURCES, (trace_id,))}
    scopes = {row[0]: _scope(row) for row in await reader.rows(_SCOPES, (trace_id,))}
    return Trace(trace_id, [_span(row, trace_id, resources, scopes) for row in rows])


def _span(row: Any, trace_id: bytes, resources: dict[int, Resource], scopes: dict[int, Scope]) -> Span:
    (
        span_id, parent_id, resource, scope, name, kind, status, start_ns, end_ns, status_message, trace_state,
        flags, attributes, dropped_attributes, events, dropped_events, links, dropped_links, raw_times,
    ) = row  # fmt: skip
    if raw_times:
        start_ns, end_ns = (int(number) for number in raw_times.split())
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id or b"",
        name=name,
        kind=kind,
        status=Status(status, status_message),
        start_ns=start_ns,
        end_ns=end_ns,
        attributes=values.load_attributes(attributes),
        events=values.load_events(events),
        links=values.load_links(links),
        trace_state=trace_state,
        flags=flags,
        dropped_attributes=dropped_attributes,
        dropped_events=dropped_events,
        dropped_links=dropped_links,
        resource=resources[resource],
        scope=scopes[scope],
    )


def _resource(row: Any) -> Resource:
    _, attributes, dropped_attributes, schema_url, entities = row
    return Resource(values.load_attributes(attributes), dropped_attributes, schema_url, values.load_entities(entities))


def _scope(row: Any) -> Scope:
    _, name, version, attributes, dropped_attributes, schema_url = row
    return Scope(name, version, values.load_attributes(attributes), dropped_attributes, schema_url)
