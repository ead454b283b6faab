"""Trace summaries: the rows of `traces`, `trace_services` and `awaited`, kept true to `spans`.

Two ways lead to the same rows: `add` brings them up to date with spans that are new, from sums that the layout
made on the way; `recompute` makes them anew, for traces that lost spans or got some twice. Tests with random spans
hold both against a plain recomputation.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from minitrace.model import MAX_TIME_NS
from minitrace.store.tokens import COUNT_BITS, KEY_BITS, NAME

MAX_REMOVED = 10_000  # traces without spans that are remembered
_USABLE = f"start_ns > 0 AND start_ns < {MAX_TIME_NS}"
# What is added to a trace and to a service's part of it. Times are 0 where no span has a usable one.
_SUMS = f"""
    SELECT trace, service, count(*) AS span_count, sum(status = 2) AS error_count,
        coalesce(min(CASE WHEN {_USABLE} THEN start_ns END), 0) AS start_ns,
        coalesce(max(CASE WHEN {_USABLE} THEN start_ns + duration_ns END), 0) AS end_ns
    FROM spans
    WHERE {{these}}
    GROUP BY trace, service
"""
_COUNTS = """
    UPDATE traces
    SET span_count = traces.span_count + new.span_count,
        error_count = traces.error_count + new.error_count,
        start_ns = CASE
            WHEN NOT new.start_ns THEN traces.start_ns
            WHEN traces.has_time THEN min(traces.start_ns, new.start_ns)
            ELSE new.start_ns END,
        end_ns = CASE
            WHEN NOT new.start_ns THEN traces.end_ns
            WHEN traces.has_time THEN max(traces.end_ns, new.end_ns)
            ELSE new.end_ns END,
        has_time = traces.has_time OR new.start_ns
    FROM (
        SELECT trace, sum(span_count) AS span_count, sum(error_count) AS error_count,
            coalesce(min(nullif(start_ns, 0)), 0) AS start_ns, max(end_ns) AS end_ns
        FROM temp.sums
        GROUP BY trace
    ) AS new
    WHERE traces.id = new.trace
"""
_SERVICES = """
    INSERT INTO trace_services (trace, service, span_count, error_count)
    SELECT trace, service, span_count, error_count FROM temp.sums WHERE true
    ON CONFLICT (trace, service) DO UPDATE
    SET span_count = span_count + excluded.span_count, error_count = error_count + excluded.error_count
"""
# A span's name is counted within its segment, the last one that begins before it.
_NAME_ID = f"""
    ((SELECT id FROM segments WHERE first_span <= spans.id ORDER BY id DESC LIMIT 1) << {KEY_BITS} | {NAME})
    << {COUNT_BITS} | spans.name
"""
# Of the new roots of a trace the earliest, if it is earlier than the one known.
_ROOTS = f"""
    UPDATE traces
    SET root_start_ns = new.start_ns, root_span_id = new.span_id, root_service = new.service, root_name = new.name
    FROM (
        SELECT trace, start_ns, span_id, service, value AS name,
            row_number() OVER (PARTITION BY trace ORDER BY start_ns, span_id, value) AS place
        FROM spans JOIN dictionary ON dictionary.id = {_NAME_ID}
        WHERE {{these}} AND parent_id IS NULL
    ) AS new
    WHERE traces.id = new.trace AND new.place = 1
        AND (
            traces.root_start_ns IS NULL
            OR (new.start_ns, new.span_id, new.name) < (traces.root_start_ns, traces.root_span_id, traces.root_name)
        )
"""
_AWAIT = """
    INSERT OR IGNORE INTO awaited (trace, span_id)
    SELECT trace, parent_id
    FROM spans
    WHERE {these} AND parent_id IS NOT NULL
        AND NOT EXISTS (
            SELECT 1 FROM spans AS parent WHERE parent.trace = spans.trace AND parent.span_id = spans.parent_id
        )
"""
_ARRIVED = "DELETE FROM awaited WHERE (trace, span_id) IN (SELECT trace, span_id FROM spans WHERE {these})"
_FORGET = """
    UPDATE traces
    SET start_ns = received_ns, end_ns = received_ns, has_time = 0, span_count = 0, error_count = 0,
        root_start_ns = NULL, root_span_id = NULL, root_service = NULL, root_name = NULL
    WHERE id IN (SELECT value FROM json_each(?))
"""
_PINNED = "SELECT id FROM traces WHERE is_pinned"
_REMOVED = """
    UPDATE traces SET removed_count = removed_count + removed.number
    FROM (SELECT trace, count(*) AS number FROM spans WHERE id BETWEEN ? AND ? GROUP BY trace) AS removed
    WHERE traces.id = removed.trace AND NOT is_pinned
"""

_RELATIONS = (_ROOTS, _AWAIT, _ARRIVED)


def prepare(connection: sqlite3.Connection) -> None:
    """Make the temporary table that sums pass through. It lives in memory, as long as the connection."""
    connection.execute(
        "CREATE TEMP TABLE sums (trace INTEGER, service INTEGER, span_count INTEGER, error_count INTEGER, "
        "start_ns INTEGER, end_ns INTEGER)"
    )


def add(connection: sqlite3.Connection, first_span: int) -> None:
    """Count the spans with ids from `first_span` on, all of them new; their sums are in ``temp.sums``."""
    _add_sums(connection)
    for statement in _RELATIONS:
        connection.execute(statement.format(these="spans.id >= ?"), (first_span,))


def recompute(connection: sqlite3.Connection, traces: Iterable[int]) -> None:
    """Make the summaries of these traces from the spans they have; a trace without spans is deleted."""
    ids = (json.dumps(list(traces)),)
    within = "(SELECT value FROM json_each(?))"
    these = f"spans.trace IN {within}"
    connection.execute(_FORGET, ids)
    connection.execute(f"DELETE FROM trace_services WHERE trace IN {within}", ids)
    connection.execute(f"DELETE FROM awaited WHERE trace IN {within}", ids)
    connection.execute("DELETE FROM temp.sums")
    connection.execute("INSERT INTO temp.sums " + _SUMS.format(these=these), ids)
    _add_sums(connection)
    for statement in _RELATIONS:
        connection.execute(statement.format(these=these), ids)
    connection.execute(
        "INSERT OR REPLACE INTO removed_traces (trace_id, removed_count) SELECT trace_id, removed_count FROM traces "
        f"WHERE span_count = 0 AND removed_count > 0 AND id IN {within}",
        ids,
    )
    connection.execute(f"DELETE FROM traces WHERE span_count = 0 AND id IN {within}", ids)
    connection.execute(
        "DELETE FROM removed_traces WHERE id <= (SELECT max(id) FROM removed_traces) - ?", (MAX_REMOVED,)
    )


def recall(connection: sqlite3.Connection, traces: Sequence[int]) -> None:
    """Say of traces that are new how many spans they have lost before."""
    if not connection.execute("SELECT 1 FROM removed_traces LIMIT 1").fetchone():
        return
    ids = (json.dumps(traces),)
    within = "(SELECT value FROM json_each(?))"
    connection.execute(
        "UPDATE traces SET removed_count = removed_traces.removed_count FROM removed_traces "
        f"WHERE removed_traces.trace_id = traces.trace_id AND traces.id IN {within}",
        ids,
    )
    connection.execute(
        f"DELETE FROM removed_traces WHERE trace_id IN (SELECT trace_id FROM traces WHERE id IN {within})", ids
    )


def _add_sums(connection: sqlite3.Connection) -> None:
    connection.execute(_COUNTS)
    connection.execute(_SERVICES)
    connection.execute("DELETE FROM temp.sums")


def remove(connection: sqlite3.Connection, first_span: int, last_span: int) -> list[int]:
    """Delete the spans of this range, unless their trace is pinned, and count them on their traces as removed.

    Returns these traces, whose summaries have to be recomputed.
    """
    bounds = (first_span, last_span)
    rows = connection.execute(_REMOVED + " RETURNING id", bounds).fetchall()
    connection.execute(f"DELETE FROM spans WHERE id BETWEEN ? AND ? AND trace NOT IN ({_PINNED})", bounds)
    return [row[0] for row in rows]
