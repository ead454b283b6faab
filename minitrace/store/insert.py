"""Spans to rows: what one transaction of the writer does.

Everything is idempotent. ``INSERT OR IGNORE`` keeps a span that came before, rowids ascend, and so
"the rows above the last id" are exactly the new spans, from which the summaries of `traces` are brought
up to date. The same spans in any order, in any batches, sent any number of times, end in the same rows.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import aiosqlite

from minitrace.model import MAX_TIME_NS, Resource, Scope, Span
from minitrace.store import values

_SPANS = """
    INSERT OR IGNORE INTO spans (
        trace, span_id, checksum, parent_id, resource, scope, name, kind, status, start_ns, end_ns, duration_ns,
        status_message, trace_state, flags, attributes, dropped_attributes, events, dropped_events,
        links, dropped_links, raw_times
    ) VALUES ((SELECT id FROM traces WHERE trace_id = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
# A trace without one usable time is listed by when it came.
_TRACES = """
    INSERT OR IGNORE INTO traces (trace_id, received_ns, start_ns, end_ns, span_count, error_count, has_time)
    VALUES (?, ?, ?, ?, 0, 0, 0)
"""
_USABLE = f"start_ns > 0 AND start_ns < {MAX_TIME_NS}"
_SUMMARIES = f"""
    WITH new AS (
        SELECT
            trace,
            count(*) AS span_count,
            sum(status = 2) AS error_count,
            min(CASE WHEN {_USABLE} THEN start_ns END) AS start_ns,
            max(CASE WHEN {_USABLE} THEN start_ns + duration_ns END) AS end_ns
        FROM spans
        WHERE id > ?
        GROUP BY trace
    )
    UPDATE traces
    SET span_count = traces.span_count + new.span_count,
        error_count = traces.error_count + new.error_count,
        start_ns = CASE
            WHEN new.start_ns IS NULL THEN traces.start_ns
            WHEN traces.has_time THEN min(traces.start_ns, new.start_ns)
            ELSE new.start_ns END,
        end_ns = CASE
            WHEN new.start_ns IS NULL THEN traces.end_ns
            WHEN traces.has_time THEN max(traces.end_ns, new.end_ns)
            ELSE new.end_ns END,
        has_time = traces.has_time OR new.start_ns IS NOT NULL
    FROM new
    WHERE traces.id = new.trace
"""
# Of the new roots of a trace the earliest, if it is earlier than the one known.
_ROOTS = """
    UPDATE traces
    SET root_start_ns = new.start_ns, root_span_id = new.span_id, root_service = new.service, root_name = new.name
    FROM (
        SELECT trace, start_ns, span_id, resources.service, name,
            row_number() OVER (PARTITION BY trace ORDER BY start_ns, span_id, name) AS place
        FROM spans JOIN resources ON resources.id = spans.resource
        WHERE spans.id > ? AND parent_id IS NULL
    ) AS new
    WHERE traces.id = new.trace AND new.place = 1
        AND (
            traces.root_start_ns IS NULL
            OR (new.start_ns, new.span_id, new.name) < (traces.root_start_ns, traces.root_span_id, traces.root_name)
        )
"""
_TRACE_SERVICES = """
    INSERT INTO trace_services (trace, service, span_count, error_count)
    SELECT trace, service, count(*), sum(status = 2)
    FROM spans JOIN resources ON resources.id = spans.resource
    WHERE spans.id > ?
    GROUP BY trace, service
    ON CONFLICT (trace, service) DO UPDATE
    SET span_count = span_count + excluded.span_count, error_count = error_count + excluded.error_count
"""

MAX_REMEMBERED = 4096  # of each; every process of a service is a resource of its own, of about a kilobyte

Row = tuple[Any, ...]


class Inserter:
    """Adds spans through the writing connection, remembering the ids of resources and scopes it has seen."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._resources: dict[Row, int] = {}
        self._scopes: dict[Row, int] = {}

    async def insert(self, spans: Sequence[Span], received_ns: int) -> int:
        """Add spans within the transaction that is open; returns how many were new."""
        last_id = await self._number("SELECT coalesce(max(id), 0) FROM spans")
        traces = dict.fromkeys(span.trace_id for span in spans)
        await self._connection.executemany(_TRACES, [(trace_id, *[received_ns] * 3) for trace_id in traces])
        await self._connection.executemany(_SPANS, await self._rows(spans))
        for statement in (_SUMMARIES, _ROOTS, _TRACE_SERVICES):
            await self._connection.execute(statement, (last_id,))
        return await self._number("SELECT count(*) FROM spans WHERE id > ?", last_id)

    def forget(self) -> None:
        """Drop remembered ids: the transaction that made them was rolled back."""
        self._resources.clear()
        self._scopes.clear()

    async def _rows(self, spans: Sequence[Span]) -> list[Row]:
        resources = {id(span.resource): span.resource for span in spans}
        scopes = {id(span.scope): span.scope for span in spans}
        resource_ids = {key: await self._resource(resource) for key, resource in resources.items()}
        scope_ids = {key: await self._scope(scope) for key, scope in scopes.items()}
        return [_row(span, resource_ids[id(span.resource)], scope_ids[id(span.scope)]) for span in spans]

    async def _resource(self, resource: Resource) -> int:
        content: Row = (
            values.dump_attributes(resource.attributes),
            resource.dropped_attributes,
            resource.schema_url,
            values.dump_entities(resource.entities),
        )
        if content not in self._resources:
            self._make_room(self._resources)
            await self._connection.execute("INSERT OR IGNORE INTO services (name) VALUES (?)", (resource.service,))
            service = await self._number("SELECT id FROM services WHERE name = ?", resource.service)
            columns = "attributes, dropped_attributes, schema_url, entities"
            self._resources[content] = await self._intern("resources", columns, content, ("service", service))
        return self._resources[content]

    async def _scope(self, scope: Scope) -> int:
        content: Row = (
            scope.name,
            scope.version,
            values.dump_attributes(scope.attributes),
            scope.dropped_attributes,
            scope.schema_url,
        )
        if content not in self._scopes:
            self._make_room(self._scopes)
            columns = "name, version, attributes, dropped_attributes, schema_url"
            self._scopes[content] = await self._intern("scopes", columns, content)
        return self._scopes[content]

    def _make_room(self, remembered: dict[Row, int]) -> None:
        if len(remembered) >= MAX_REMEMBERED:
            remembered.clear()  # the next use of each costs two statements more

    async def _intern(self, table: str, columns: str, content: Row, extra: tuple[str, int] | None = None) -> int:
        """The id of the row with this content, added if there is none."""
        names, row = (f"{columns}, {extra[0]}", (*content, extra[1])) if extra else (columns, content)
        marks = ", ".join("?" * len(row))
        await self._connection.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", row)
        same = ", ".join("?" * len(content))
        return await self._number(f"SELECT id FROM {table} WHERE ({columns}) = ({same})", *content)

    async def _number(self, sql: str, *parameters: Any) -> int:
        rows = list(await self._connection.execute_fetchall(sql, parameters))
        return int(rows[0][0])


def _row(span: Span, resource: int, scope: int) -> Row:
    start_ns, end_ns = min(span.start_ns, MAX_TIME_NS), min(span.end_ns, MAX_TIME_NS)
    overflows = max(span.start_ns, span.end_ns) > MAX_TIME_NS
    content = (
        span.parent_id or None,
        resource,
        scope,
        span.name,
        span.kind,
        span.status.code,
        start_ns,
        end_ns,
        span.duration_ns,
        span.status.message,
        span.trace_state,
        span.flags,
        values.dump_attributes(span.attributes),
        span.dropped_attributes,
        values.dump_events(span.events),
        span.dropped_events,
        values.dump_links(span.links),
        span.dropped_links,
        f"{span.start_ns} {span.end_ns}" if overflows else None,
    )
    return (span.trace_id, span.span_id, zlib.crc32(repr(content).encode()), *content)
