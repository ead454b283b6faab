"""Retention: the oldest segments leave when the file grows beyond what was asked for.

A segment leaves in many short transactions, so that whoever sends spans meanwhile waits for none of them: first its
spans, a slice at a time, with the summaries of their traces, and its log records; then its dictionary; then its virtual
tables. `state` in its row says how far it is, and a process that was killed goes on where it stopped. Spans and records
of pinned traces are never deleted here: the store moves them to the newest segment first.

Pages that become free are used again. Only when many are, the file is made shorter.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from minitrace.store import rolling, summaries
from minitrace.store.database import BUSY_TIMEOUT_MS
from minitrace.store.tokens import first_id, numbered_id
from minitrace.store.writer import LOG_TABLES, SEGMENT_TABLES, Writer

SPANS_PER_STEP = 1_500  # about 20 ms with their summaries
VALUES_PER_STEP = 8_000
PAGES_PER_STEP = 400  # of the file's end, moved into free pages: about 20 ms
FREE_SHARE = 0.1  # of the file may be free before it is made shorter
FULL_SHARE = 0.97  # of the size limit: the rest is for what comes while a segment leaves
LOGS_PER_STEP = 2_000
SEGMENT_ROWS = 131_072  # spans and log records; at 300 bytes a span, 40 MB
SEGMENTS_PER_LIMIT = 16  # a limit is kept to about a sixteenth


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept; None for no limit. A span's age counts from its arrival. A log record counts as a span."""

    max_size_bytes: int | None = None
    max_age_ns: int | None = None
    max_spans: int | None = None

    @property
    def segment_rows(self) -> int:
        """How many spans and log records a segment takes."""
        return min(SEGMENT_ROWS, max(1, (self.max_spans or SEGMENT_ROWS * SEGMENTS_PER_LIMIT) // SEGMENTS_PER_LIMIT))

    @property
    def segment_bytes(self) -> float:
        """How many bytes of requests a segment takes."""
        return self.max_size_bytes / SEGMENTS_PER_LIMIT if self.max_size_bytes else float("inf")

    @property
    def segment_age_ns(self) -> float:
        """How long a segment takes spans."""
        return self.max_age_ns / SEGMENTS_PER_LIMIT if self.max_age_ns else float("inf")


@dataclass(frozen=True, slots=True)
class Leaving:
    """A segment that has to go."""

    segment: int
    first_span: int
    last_span: int
    state: int
    last_received_ns: int = 0
    first_log: int = 1
    last_log: int = 0


class Retention:
    """Takes segments away; its methods run in the writer's thread, each for at most some 50 ms."""

    def __init__(self, writer: Writer, path: Path, limits: Limits) -> None:
        self._writer = writer
        self._connection = writer.connection
        self._path = path
        self._limits = limits
        self.removed_count = 0  # spans, since the start

    def due(self, now_ns: int) -> Leaving | None:
        """The segment to take away next, or to go on with."""
        oldest = next(iter(self.all()), None)
        if oldest and (oldest.state or self._is_too_much(now_ns, oldest.last_received_ns)):
            return oldest
        return None

    def all(self) -> list[Leaving]:
        """All segments, the oldest first."""
        rows = self._connection.execute(
            "SELECT id, first_span, last_span, state, last_received_ns, first_log, last_log FROM segments ORDER BY id"
        )
        return [Leaving(*row) for row in rows.fetchall()]

    def _is_too_much(self, now_ns: int, oldest_received_ns: int) -> bool:
        limits = self._limits
        if limits.max_age_ns is not None and oldest_received_ns < now_ns - limits.max_age_ns:
            return True
        if limits.max_spans is not None:
            (count,) = self._connection.execute(
                "SELECT sum(span_count + log_count) FROM segments WHERE state = 0"
            ).fetchone()
            if (count or 0) > limits.max_spans:
                return True
        if limits.max_size_bytes is None or self._used_bytes() <= limits.max_size_bytes * FULL_SHARE:
            return False
        self._truncate_log()  # it counts, and holds nothing that the file could not
        return self._used_bytes() > limits.max_size_bytes * FULL_SHARE

    def pinned(self, leaving: Leaving) -> list[int]:
        """Spans of pinned traces in the segment, up to `SPANS_PER_STEP` / 3 of their ids."""
        bounds = leaving.first_span, leaving.last_span
        return self._pinned("spans ON spans.trace = traces.id", "spans.id", *bounds, SPANS_PER_STEP // 3)

    def pinned_logs(self, leaving: Leaving) -> list[int]:
        """Log records of pinned traces in the segment, up to `LOGS_PER_STEP` / 3 of their ids."""
        bounds = leaving.first_log, leaving.last_log
        return self._pinned("logs ON logs.trace_id = traces.trace_id", "logs.id", *bounds, LOGS_PER_STEP // 3)

    def _pinned(self, joined: str, id_: str, first: int, last: int, most: int) -> list[int]:
        sql = f"SELECT {id_} FROM traces CROSS JOIN {joined} WHERE is_pinned AND {id_} BETWEEN ? AND ?"
        rows = self._connection.execute(f"{sql} ORDER BY traces.id LIMIT ?", (first, last, most)).fetchall()
        return [row[0] for row in rows]

    def step(self, leaving: Leaving) -> bool:
        """Take a part of the segment away; False when nothing of it is left."""
        with self._writer.transaction():
            if leaving.state < 2 and (self._remove_spans(leaving) or self._remove_logs(leaving)):
                return True
            self._connection.execute("UPDATE segments SET state = 2 WHERE id = ?", (leaving.segment,))
            return self._remove_values(leaving.segment) or self._remove_tables(leaving.segment)

    def shrink(self) -> bool:
        """Make the file a little shorter if too much of it is free; False when it is short enough."""
        pages, free = self._pragma("page_count"), self._pragma("freelist_count")
        limit = self._limits.max_size_bytes
        is_too_long = limit is not None and self._file_bytes() > limit
        if not free or (free < pages * FREE_SHARE and not is_too_long):
            return False
        # execute() would step over it once, which frees one page
        self._connection.executescript(f"PRAGMA incremental_vacuum({PAGES_PER_STEP})")
        self._truncate_log()  # only now is the file shorter
        return self._pragma("freelist_count") < free

    def _remove_spans(self, leaving: Leaving) -> bool:
        bounds = (leaving.first_span, leaving.last_span)
        rows = self._connection.execute(
            "SELECT id FROM spans WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?", (*bounds, SPANS_PER_STEP)
        ).fetchall()
        if not rows:
            return False
        self._connection.execute("UPDATE segments SET state = 1 WHERE id = ?", (leaving.segment,))
        first, last = rows[0][0], rows[-1][0]
        rolling.forget(self._connection, [row[0] for row in rows])
        traces = summaries.remove(self._connection, first, last)
        # One with more spans behind these is brought up to date when the last of them goes.
        rest = self._connection.execute(
            "SELECT id FROM traces WHERE id IN (SELECT value FROM json_each(?)) AND NOT EXISTS "
            "(SELECT 1 FROM spans WHERE trace = traces.id AND id BETWEEN ? AND ?)",
            (str(traces), last + 1, leaving.last_span),
        )
        summaries.recompute(self._connection, [row[0] for row in rest.fetchall()])
        self._writer.forget()
        self.removed_count += len(rows)
        return True

    def _remove_logs(self, leaving: Leaving) -> bool:
        rows = "SELECT id FROM logs WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"
        removed = self._connection.execute(
            f"DELETE FROM logs WHERE id IN ({rows})", (leaving.first_log, leaving.last_log, LOGS_PER_STEP)
        ).rowcount
        if not removed:
            return False
        self._connection.execute("UPDATE segments SET state = 1 WHERE id = ?", (leaving.segment,))
        self._writer.forget()
        return True

    def _remove_values(self, segment: int) -> bool:
        removed = self._connection.execute(
            "DELETE FROM dictionary WHERE id IN (SELECT id FROM dictionary WHERE id BETWEEN ? AND ? LIMIT ?)",
            (first_id(segment), first_id(segment + 1) - 1, VALUES_PER_STEP),
        ).rowcount
        return removed > 0

    def _remove_tables(self, segment: int) -> bool:
        for table in (*SEGMENT_TABLES, *LOG_TABLES):
            name = f"{table}_{segment}"
            if self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone():
                self._connection.execute(f"DROP TABLE {name}")
                return True
        for table in ("resources", "scopes"):
            bounds = (numbered_id(segment, 0), numbered_id(segment + 1, 0) - 1)
            self._connection.execute(f"DELETE FROM {table} WHERE id BETWEEN ? AND ?", bounds)
        for table in ("operations", "keys"):
            self._connection.execute(f"DELETE FROM {table} WHERE segment = ?", (segment,))
        rolling.forget_segment(self._connection, segment)
        self._connection.execute("DELETE FROM segments WHERE id = ?", (segment,))
        return False

    def _truncate_log(self) -> None:
        """Write the log into the file and empty it, unless a reader still needs it."""
        self._connection.execute("PRAGMA busy_timeout = 0")  # or it would wait for readers, and batches for it
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")

    def _used_bytes(self) -> int:
        """What the file and its write-ahead log hold, without free pages."""
        return self._file_bytes() - self._pragma("freelist_count") * self._pragma("page_size")

    def _file_bytes(self) -> int:
        log = self._path.with_name(self._path.name + "-wal")
        return self._pragma("page_count") * self._pragma("page_size") + (log.stat().st_size if log.exists() else 0)

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
