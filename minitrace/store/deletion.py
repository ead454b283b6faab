"""Deletion: traces leave because somebody says so, from wherever they are in the file, and their log records with them.

Retention takes whole segments; here single spans leave theirs. Their tokens leave the index with them: FTS5 takes back
a row of a contentless table if it is told what the row said
(https://sqlite.org/fts5.html#the_delete_command), and `spans` still knows. Values stay in the dictionary until
their segment leaves; no span leads to them any more. Like retention it goes step by step, so that batches are written
in between.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from minitrace.store import rolling, summaries
from minitrace.store.writer import LOG_WORDS, TOKENS, Writer

SPANS_PER_STEP = 1_000  # about 20 ms
LOGS_PER_STEP = 1_000
_THESE = "(SELECT value FROM json_each(?))"
_NONE = "[]"  # of a segment, which may be leaving, and have no index any more


@dataclass(frozen=True, slots=True)
class Removed:
    """What a deletion took away, and from how many traces; `kept_count` traces were pinned, and stay.

    `log_count` is known where records were meant, and not only what belongs to traces.
    """

    trace_count: int = 0
    span_count: int = 0
    kept_count: int = 0
    log_count: int = 0

    def __add__(self, other: Removed) -> Removed:
        return Removed(
            self.trace_count + other.trace_count,
            self.span_count + other.span_count,
            self.kept_count + other.kept_count,
            self.log_count + other.log_count,
        )


def steps(connection: sqlite3.Connection, trace_ids: Sequence[bytes]) -> tuple[list[list[int]], Removed]:
    """The spans of these traces in steps, pinned ones left out; and what will have been removed with the last step."""
    marks = ", ".join("?" * len(trace_ids))
    sql = f"SELECT id, is_pinned FROM traces WHERE trace_id IN ({marks})"
    traces = connection.execute(sql, trace_ids).fetchall()
    leaving = [id_ for id_, is_pinned in traces if not is_pinned]
    sql = f"SELECT id FROM spans WHERE trace IN {_THESE} ORDER BY trace, id"
    spans = [row[0] for row in connection.execute(sql, (json.dumps(leaving),))]
    return _parts(spans), Removed(len(leaving), len(spans), len(traces) - len(leaving))


def steps_back(connection: sqlite3.Connection, rows: Sequence[range]) -> tuple[list[list[int]], Removed]:
    """The same for spans by their rows, wherever these are still there: of all traces but the pinned ones."""
    sql = """
        SELECT spans.id, trace, is_pinned
        FROM spans JOIN traces ON traces.id = trace
        WHERE spans.id BETWEEN ? AND ?
        ORDER BY spans.id
    """
    found = [row for part in rows for row in connection.execute(sql, (part.start, part.stop - 1))]
    spans = [span for span, _, is_pinned in found if not is_pinned]
    leaving, kept = ({trace for _, trace, pinned in found if pinned == is_pinned} for is_pinned in (0, 1))
    return _parts(spans), Removed(len(leaving), len(spans), len(kept))


def step(writer: Writer, spans: Sequence[int]) -> None:
    """Take these spans away, in one transaction, and bring the summaries of their traces up to date."""
    these = (json.dumps(spans),)
    connection = writer.connection
    with writer.transaction():
        sql = f"SELECT DISTINCT trace FROM spans WHERE id IN {_THESE}"
        traces = [row[0] for row in connection.execute(sql, these)]
        for segment, first, last in connection.execute("SELECT id, first_span, last_span FROM segments").fetchall():
            own = json.dumps([span for span in spans if first <= span <= last])
            if own == _NONE:
                continue
            connection.execute(
                f"INSERT INTO postings_{segment} (postings_{segment}, rowid, tokens) "
                f"SELECT 'delete', id, {TOKENS} FROM spans WHERE id IN {_THESE}",
                (own,),
            )
            sql = f"""
                UPDATE segments
                SET span_count = span_count - (SELECT count(*) FROM spans WHERE id IN {_THESE})
                WHERE id = ?
            """
            connection.execute(sql, (own, segment))
        rolling.forget(connection, spans)
        connection.execute(f"DELETE FROM spans WHERE id IN {_THESE}", these)
        summaries.recompute(connection, traces)
    writer.forget()


def log_steps(connection: sqlite3.Connection, trace_ids: Sequence[bytes]) -> list[list[int]]:
    """The log records of these traces in steps, those of pinned traces left out."""
    marks = ", ".join("?" * len(trace_ids))
    pinned = f"SELECT trace_id FROM traces WHERE is_pinned AND trace_id IN ({marks})"
    sql = f"SELECT id FROM logs WHERE trace_id IN ({marks}) AND trace_id NOT IN ({pinned}) ORDER BY id"
    logs = [row[0] for row in connection.execute(sql, (*trace_ids, *trace_ids))]
    return [logs[first : first + LOGS_PER_STEP] for first in range(0, len(logs), LOGS_PER_STEP)]


def log_steps_back(connection: sqlite3.Connection, rows: Sequence[range]) -> list[list[int]]:
    """The same for log records by their rows, wherever these are still there."""
    pinned = "SELECT trace_id FROM traces WHERE is_pinned"
    sql = f"SELECT id FROM logs WHERE id BETWEEN ? AND ? AND (trace_id IS NULL OR trace_id NOT IN ({pinned}))"
    logs = [row[0] for part in rows for row in connection.execute(sql, (part.start, part.stop - 1))]
    return [logs[first : first + LOGS_PER_STEP] for first in range(0, len(logs), LOGS_PER_STEP)]


def log_step(writer: Writer, logs: Sequence[int]) -> None:
    """Take these log records away, in one transaction."""
    connection = writer.connection
    segments = "SELECT id, first_log, last_log FROM segments WHERE last_log >= first_log"
    with writer.transaction():
        for segment, first, last in connection.execute(segments).fetchall():
            own = json.dumps([log for log in logs if first <= log <= last])
            if own == _NONE:
                continue
            connection.execute(
                f"INSERT INTO logwords_{segment} (logwords_{segment}, rowid, words) "
                f"SELECT 'delete', id, {LOG_WORDS} FROM logs WHERE id IN {_THESE}",
                (own,),
            )
            count = f"SELECT count(*) FROM logs WHERE id IN {_THESE}"
            connection.execute(f"UPDATE segments SET log_count = log_count - ({count}) WHERE id = ?", (own, segment))
        connection.execute(f"DELETE FROM logs WHERE id IN {_THESE}", (json.dumps(logs),))


def clearable(connection: sqlite3.Connection) -> Removed:
    """What there is to take away, and what is pinned."""
    sql = "SELECT is_pinned, count(*), sum(span_count) FROM traces GROUP BY is_pinned"
    found = {is_pinned: (traces, spans) for is_pinned, traces, spans in connection.execute(sql)}
    return Removed(*found.get(0, (0, 0)), found.get(1, (0, 0))[0])


def forget_removed(connection: sqlite3.Connection) -> None:
    """Do not remember which traces there were: if more of their spans come, they are new."""
    connection.execute("DELETE FROM removed_traces")


def _parts(spans: list[int]) -> list[list[int]]:
    return [spans[first : first + SPANS_PER_STEP] for first in range(0, len(spans), SPANS_PER_STEP)]
