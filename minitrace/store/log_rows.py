"""Rows to log records; as `traces.py` does with spans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minitrace.model import LogRecord
from minitrace.otlp import messages
from minitrace.store import values
from minitrace.store.database import Reader, work
from minitrace.store.segment import EVENT_NAME, SEVERITY_TEXT
from minitrace.store.traces import EVERYTHING, SegmentReader

RECORDS_AT_ONCE = 2_000
# Resource, scope and attributes stand where `SegmentReader` reads them.
_RECORDS = """
    SELECT id, trace_id, span_id, time_ns, resource, scope, observed_ns, severity, flags, body_type, body, more,
        details, attributes
    FROM logs
    WHERE id IN (SELECT value FROM json_each(?))
    ORDER BY id
"""
_SEGMENTS = "SELECT id, first_log, last_log FROM segments WHERE last_log >= first_log ORDER BY id"


class LogLoader:
    """Loads log records. What it has read of a segment it remembers for the next ones."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._segments: list[_LogSegment] | None = None

    async def records(self, ids: Iterable[int]) -> dict[int, LogRecord]:
        """The records that have these ids in `logs`, by them, in the order given."""
        wanted = list(ids)
        rows = await self._reader.rows(_RECORDS, (str(wanted),))
        if self._segments is None:
            found = await self._reader.rows(_SEGMENTS)
            self._segments = [_LogSegment(self._reader, EVERYTHING, *row) for row in found]
        records: dict[int, LogRecord] = {}
        for segment in self._segments:
            own = [row for row in rows if segment.first <= row[0] <= segment.last]
            for first in range(0, len(own), RECORDS_AT_ONCE):
                part = own[first : first + RECORDS_AT_ONCE]
                records.update(zip((row[0] for row in part), await segment.records(part), strict=True))
        return {id_: records[id_] for id_ in wanted if id_ in records}


class _LogSegment(SegmentReader):
    """A segment, for its log records."""

    async def records(self, rows: list[Any]) -> list[LogRecord]:
        """The records of rows of this segment."""
        own = await self.read(rows, {token for row in rows for token in row[11].split()})
        return await work(self._records, rows, own, size=len(rows))

    def _records(self, rows: Sequence[Any], own: list[list[str]]) -> list[LogRecord]:
        known = self._known.__getitem__
        records = []
        for row, each in zip(rows, own, strict=True):
            _, trace_id, span_id, time_ns, resource, scope, observed_ns, severity, flags, *rest = row
            body_type, body, more, details, _ = rest
            texts = dict(map(known, more.split()))
            severity_text, event_name = str(texts.get(SEVERITY_TEXT, "")), str(texts.get(EVENT_NAME, ""))
            time_ns, observed_ns, severity, dropped = read_rest(time_ns, observed_ns, severity, details)
            records.append(LogRecord(
                time_ns, observed_ns, severity, severity_text, values.from_column(body_type or values.STRING, body),
                dict(map(known, each)), dropped, flags, trace_id or b"", span_id or b"", event_name,
                self._resources[resource], self._scopes[scope],
            ))  # fmt: skip
        return records


def read_rest(time_ns: int, observed_ns: int, severity: int, details: bytes | None) -> tuple[int, int, int, int]:
    """What these columns say, and how many attributes were dropped; what is in `details` is the exact value."""
    if not details:
        return time_ns, observed_ns, severity, 0
    rest = messages.RawLogRecord.FromString(details)
    return (
        rest.time_unix_nano or time_ns,
        rest.observed_time_unix_nano or observed_ns,
        0 if rest.severity_text else severity,
        rest.dropped_attributes_count,
    )


async def load_logs_after(reader: Reader, place: int) -> tuple[int, list[LogRecord]]:
    """As `traces.load_after`, with log records."""
    if not await reader.rows("SELECT 1 FROM sqlite_master WHERE name = 'logs'"):  # an older file, which is only read
        return place, []
    rows = await reader.rows("SELECT id FROM logs WHERE id > ? ORDER BY id LIMIT ?", (place, RECORDS_AT_ONCE))
    if not rows:
        return place, []
    found = await LogLoader(reader).records(row[0] for row in rows)
    return rows[-1][0], list(found.values())
