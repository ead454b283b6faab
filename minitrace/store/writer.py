"""The transactions that add spans and log records: a few large statements each, in the writer's own thread.

sqlite3 gives up Python's lock for every row it steps over, and must win it back from threads that decode:
`executemany` beside a busy thread took 13 times as long. So each statement carries many rows, and the transaction is
one plain function.

Everything is idempotent. ``INSERT OR IGNORE`` keeps a span that came before, rowids ascend, and so "the rows from the
first new id on" are exactly the new spans, from which the summaries are brought up to date. The same spans in any
order, in any batches, sent any number of times, end in the same summaries.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Protocol, TypeVar

from minitrace.model import MAX_TIME_NS
from minitrace.store import rolling, summaries
from minitrace.store.layout import Batch, Part
from minitrace.store.log_layout import LogBatch, LogPart
from minitrace.store.segment import MAX_INDEXED, Pending, Segment, Services
from minitrace.store.tokens import LOG_SIGN

AnyPart = TypeVar("AnyPart", Part, LogPart)


class _Batch(Protocol[AnyPart]):
    """A `Batch` or a `LogBatch`."""

    parts: list[AnyPart]


ROWS_PER_STATEMENT = 256
MAX_REMEMBERED = 50_000  # traces whose row is known without asking

# What each segment has beside its ranges of `spans` and `logs`; retention drops them in this order.
SEGMENT_TABLES = {
    "counts": "CREATE VIRTUAL TABLE counts_{segment} USING fts5vocab (postings_{segment}, row)",
    "postings": """
        CREATE VIRTUAL TABLE postings_{segment}
        USING fts5 (tokens, content='', columnsize=0, detail=none, tokenize='ascii')
    """,
    "words": """
        CREATE VIRTUAL TABLE words_{segment}
        USING fts5 (words, content='', columnsize=0, detail=none, tokenize='unicode61')
    """,
}
_SPANS = """spans (
    id, trace, span_id, checksum, parent_id, resource, scope, service, name, kind, status, start_ns, duration_ns,
    flags, attributes, more, details
)"""
_START = 11  # its place among them
# All tokens of a span; see tokens.py. In SQL, as SQLite works without Python's lock.
TOKENS = """
    attributes || ' a' || resource || ' b' || scope || ' e' || name
    || ' d' || (length(duration_ns) + 10) || substr(duration_ns, 1, 1)
    || CASE status WHEN 0 THEN '' ELSE ' c' || (status & 65535) END
    || coalesce(' ' || more, '')
"""
_POSTINGS = f"INSERT INTO postings_{{segment}} (rowid, tokens) SELECT id, {TOKENS} FROM spans WHERE id BETWEEN ? AND ?"
_NOTE_SEGMENT = """
    UPDATE segments
    SET last_span = ?, span_count = span_count + ?, last_received_ns = max(last_received_ns, ?),
        newest_start_ns = max(newest_start_ns, ?)
    WHERE id = ?
"""


_LOGS = """logs (
    id, trace_id, span_id, checksum, resource, scope, service, time_ns, observed_ns, severity, flags, body_type, body,
    more, attributes, details
)"""
_TIME = 7  # its place among them
# The same for records, made with a segment's first one: who sends none has no such tables.
LOG_TABLES = {
    "logterms": "CREATE VIRTUAL TABLE logterms_{segment} USING fts5vocab (logwords_{segment}, row)",
    "logwords": """
        CREATE VIRTUAL TABLE logwords_{segment}
        USING fts5 (words, content='', columnsize=0, detail=none, tokenize='unicode61')
    """,
}
# What can be found of a record: the words of its body, and its tokens behind their sign. SQLite ends a text at a NUL.
_BODY = "CASE WHEN typeof(body) = 'blob' THEN '' WHEN instr(body, char(0)) THEN without_nul(body) ELSE body END"
LOG_WORDS = f"""
    replace(coalesce(substr({_BODY}, 1, {MAX_INDEXED}), ''), '{LOG_SIGN}', ' ')
    || ' {LOG_SIGN}a' || resource || ' {LOG_SIGN}b' || scope || ' {LOG_SIGN}c' || severity || ' {LOG_SIGN}d' || service
    || iif(attributes || more = '', '', replace(' ' || trim(attributes || ' ' || more), ' ', ' {LOG_SIGN}'))
"""
_INDEX_LOGS = (
    f"INSERT INTO logwords_{{segment}} (rowid, words) SELECT id, {LOG_WORDS} FROM logs WHERE id BETWEEN ? AND ?"
)
_NOTE_LOGS = """
    UPDATE segments
    SET last_log = ?, log_count = log_count + ?, last_received_ns = max(last_received_ns, ?),
        oldest_log_ns = min(oldest_log_ns, ?), newest_log_ns = max(newest_log_ns, ?)
    WHERE id = ?
"""


class Writer:
    """Adds batches through the writing connection."""

    def __init__(self, connection: sqlite3.Connection, services: Services) -> None:
        self.connection = connection
        self._services = services
        self._ended = {"last_span": 0, "last_log": 0}
        summaries.prepare(connection)
        connection.create_function("without_nul", 1, lambda text: text.replace("\0", " "), deterministic=True)
        self.forget()
        self._note_end()

    def forget(self) -> None:
        """Drop what is remembered of the file: a transaction was rolled back, or traces were deleted."""
        self._traces: dict[bytes, int] = {}
        segments = self.connection.execute("SELECT id, last_log >= first_log FROM segments").fetchall()
        self._segments = {id_ for id_, _ in segments}
        self._log_segments = {id_ for id_, has_logs in segments if has_logs}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done inside, or nothing of it."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:  # SQLITE_FULL has rolled back already
                self.connection.execute("ROLLBACK")
            self.forget()
            raise

    def write(self, batches: Sequence[Batch | LogBatch], received_ns: int) -> None:
        """Store batches in one transaction, and note in each how many of its spans or records were new.

        Raises:
            sqlite3.Error: nothing was stored.
        """
        spans = [batch for batch in batches if isinstance(batch, Batch)]
        logs = [batch for batch in batches if isinstance(batch, LogBatch)]
        with self.transaction():
            self._insert("services (id, name)", self._services.pending)
            traces = self._trace_rows(dict.fromkeys(id_ for batch in spans for id_ in batch.trace_ids), received_ns)
            self._make_room([span for batch in spans for span in batch.replaces])
            self._make_room_for_logs([log for batch in logs for log in batch.replaces])
            first_span, first_log = self._next("last_span"), self._next("last_log")
            for segment in dict.fromkeys(part.segment for batch in batches for part in batch.parts):
                self._write_definitions(segment.number, segment.pending, received_ns)
                if parts := _parts_for(segment, spans):
                    self._write_spans(segment.number, parts, traces, received_ns)
                    rolling.roll_up_full(self.connection, segment.number, first_span)
                self._write_logs(segment.number, _parts_for(segment, logs), received_ns)
            self._sum_up(spans, traces, first_span)
            self._count_logs(logs, first_log)
        self._note_end()
        self._services.pending.clear()
        for batch in batches:
            for part in batch.parts:
                part.segment.pending.clear()
                part.let_go()

    def _count_logs(self, batches: Sequence[LogBatch], first: int) -> None:
        """Note in each batch how many of its records are stored, those from `first` on being new."""
        if not batches:
            return
        stored = {row[0] for row in self._rows("SELECT id FROM logs WHERE id >= ?", (first,))}
        for batch in batches:
            batch.added = sum(len(stored.intersection(part.logs)) for part in batch.parts)

    def _write_logs(self, segment: int, parts: list[LogPart], received_ns: int) -> None:
        rows = list(chain.from_iterable(part.rows for part in parts))
        if not rows:
            return
        first = next_log = self._next("last_log")
        if segment not in self._log_segments:
            for statement in LOG_TABLES.values():
                self.connection.execute(statement.format(segment=segment))
            self.connection.execute("UPDATE segments SET first_log = ? WHERE id = ?", (first, segment))
            self._log_segments.add(segment)
        for part in parts:
            part.first_log = next_log
            next_log += len(part.rows)
        for log, row in enumerate(rows, start=first):
            row[0] = log
        added = self._insert(_LOGS, rows)
        self.connection.execute(_INDEX_LOGS.format(segment=segment), (first, next_log - 1))
        times = [row[_TIME] for row in rows]
        self.connection.execute(_NOTE_LOGS, (next_log - 1, added, received_ns, min(times), max(times), segment))

    def _make_room_for_logs(self, logs: list[int]) -> None:
        """Delete rows of `logs` that others take the place of."""
        if logs:
            these = "(SELECT value FROM json_each(?))"
            self.connection.execute(
                f"UPDATE segments SET log_count = log_count - (SELECT count(*) FROM {these} "
                "WHERE value BETWEEN first_log AND last_log)",
                (str(logs),),
            )
            self.connection.execute(f"DELETE FROM logs WHERE id IN {these}", (str(logs),))

    def _make_room(self, spans: list[int]) -> None:
        """Delete rows that others take the place of."""
        if not spans:
            return
        these = "(SELECT value FROM json_each(?))"
        self.connection.execute(
            f"UPDATE segments SET span_count = span_count - (SELECT count(*) FROM {these} "
            "WHERE value BETWEEN first_span AND last_span)",
            (str(spans),),
        )
        rolling.forget(self.connection, spans)
        self.connection.execute(f"DELETE FROM spans WHERE id IN {these}", (str(spans),))

    def _sum_up(self, batches: Sequence[Batch], traces: dict[bytes, int], first: int) -> None:
        """Bring the summaries up to date with the spans from `first` on, and count them."""
        stored = {row[0] for row in self._rows("SELECT id FROM spans WHERE id >= ?", (first,))}
        is_all_new = len(stored) == sum(batch.span_count for batch in batches)
        if is_all_new and not any(batch.replaces for batch in batches):
            sums = [
                (traces[trace_id], service, *values)
                for batch in batches
                for part in batch.parts
                for (trace_id, service), values in part.sums.items()
            ]
            self._insert("temp.sums", sums)
            summaries.add(self.connection, first)
        else:
            summaries.recompute(self.connection, traces.values())
        for batch in batches:
            batch.added = sum(len(stored.intersection(part.spans)) for part in batch.parts)

    def _write_definitions(self, segment: int, pending: Pending, received_ns: int) -> None:
        """What the segment has numbered since its last transaction."""
        if segment not in self._segments:
            self._add_segment(segment, received_ns)
        values = list(pending.values_by_id())  # FTS5 wants its rowids to ascend: 4 times as quick
        self._insert("keys (segment, number, scope, name, type)", pending.keys)
        self._insert("dictionary (id, value)", [row[:2] for row in values])
        self._insert(f"words_{segment} (rowid, words)", [(row[0], row[2]) for row in values if row[2]])
        columns = "id, service, attributes, dropped_attributes, schema_url, entities"
        self._insert(f"resources ({columns})", pending.resources)
        columns = "id, name, version, attributes, dropped_attributes, schema_url"
        self._insert(f"scopes ({columns})", pending.scopes)
        self._insert("operations (service, name, segment)", pending.operations)

    def _add_segment(self, segment: int, received_ns: int) -> None:
        for statement in SEGMENT_TABLES.values():
            self.connection.execute(statement.format(segment=segment))
        columns = "id, first_span, last_span, span_count, first_received_ns, last_received_ns, newest_start_ns"
        first = self._next("last_span")
        self._insert(f"segments ({columns})", [(segment, first, first - 1, 0, received_ns, received_ns, 0)])
        self._segments.add(segment)

    def _write_spans(self, segment: int, parts: list[Part], traces: dict[bytes, int], received_ns: int) -> None:
        first = next_span = self._next("last_span")
        for part in parts:
            part.first_span = next_span
            next_span += len(part.rows)
        rows = list(chain.from_iterable(part.rows for part in parts))
        for span, row in enumerate(rows, start=first):
            row[0], row[1] = span, traces[row[1]]
        added = self._insert(_SPANS, rows)
        self.connection.execute(_POSTINGS.format(segment=segment), (first, next_span - 1))
        starts = [row[_START] for row in rows]
        has_times = all(0 < start < MAX_TIME_NS for start in starts)  # else a trace may be listed by when it came
        newest_ns = max(starts, default=0) if has_times else MAX_TIME_NS
        self.connection.execute(_NOTE_SEGMENT, (next_span - 1, added, received_ns, newest_ns, segment))

    def _trace_rows(self, trace_ids: Iterable[bytes], received_ns: int) -> dict[bytes, int]:
        """The rows of `traces` for these ids, made where there is none."""
        known = self._traces
        if len(known) > MAX_REMEMBERED:
            known.clear()
        unknown = [trace_id for trace_id in trace_ids if trace_id not in known]
        for part in _parts(unknown):
            known.update(self._rows(f"SELECT trace_id, id FROM traces WHERE trace_id IN ({_marks(len(part))})", part))
        new = [trace_id for trace_id in unknown if trace_id not in known]
        (last,) = self._rows("SELECT coalesce(max(id), 0) FROM traces")
        known.update(zip(new, range(last[0] + 1, last[0] + 1 + len(new)), strict=True))
        columns = "id, trace_id, received_ns, start_ns, end_ns"
        self._insert(f"traces ({columns})", [(known[key], key, received_ns, received_ns, received_ns) for key in new])
        summaries.recall(self.connection, [known[key] for key in new])
        return {trace_id: known[trace_id] for trace_id in trace_ids}

    def last_span(self) -> int:
        """The last row of spans there ever was; 0 if there was none."""
        return self._next("last_span") - 1

    def _next(self, last: str) -> int:
        """The id of the next span or record; ids are not used again, as the index or the tally may still know them."""
        ((number,),) = self._rows(f"SELECT coalesce(max({last}), 0) FROM segments")
        return max(int(number), self._ended[last]) + 1

    def _note_end(self) -> None:
        """Remember where the file ends: all segments may leave before it goes on."""
        self._ended = {last: self._next(last) - 1 for last in self._ended}

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return self.connection.execute(sql, parameters).fetchall()

    def _insert(self, target: str, rows: Sequence[Sequence[Any]]) -> int:
        """Insert rows, many with a statement; returns how many were added."""
        added = 0
        for part in _parts(rows):
            one = f"({_marks(len(part[0]))})"
            sql = f"INSERT OR IGNORE INTO {target} VALUES {', '.join([one] * len(part))}"
            added += self.connection.execute(sql, list(chain.from_iterable(part))).rowcount
        return added


def _parts_for(segment: Segment, batches: Iterable[_Batch[AnyPart]]) -> list[AnyPart]:
    return [part for batch in batches for part in batch.parts if part.segment is segment]


def _parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The rows in parts of 256, then of 128, 64 …: a few sizes, so that their statements are prepared once."""
    first, size = 0, ROWS_PER_STATEMENT
    while first < len(rows):
        while size > len(rows) - first:
            size //= 2
        yield rows[first : first + size]
        first += size


def _marks(number: int) -> str:
    return ", ".join("?" * number)
