"""From an export of log records to rows, in memory; as `layout.py` does with spans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError as ProtobufError

from minitrace.model import MAX_TIME_NS, named_severity
from minitrace.otlp import messages
from minitrace.otlp.decode import MAX_ATTRIBUTES, read_value
from minitrace.otlp.log_records import LogExport, RawLogs, dropped_count, read_link, read_time
from minitrace.store import values
from minitrace.store.segment import MAX_VALUES, Segment

_LAID_OUT = (None, 0)


@dataclass(slots=True)
class LogPart:
    """Records for one segment: the rows of `logs`, with a 0 for their ids, which the writer counts from `first_log`."""

    segment: Segment
    rows: list[list[Any]] = field(default_factory=list)
    first_log: int = 0
    record_count: int = 0

    @property
    def logs(self) -> range:
        """The ids of its records; known to the writer."""
        return range(self.first_log, self.first_log + self.record_count)

    def let_go(self) -> None:
        """Forget the rows, a part at a time, so that other threads need not wait until all are freed."""
        while self.rows:
            del self.rows[-1000:]


@dataclass(slots=True)
class LogBatch:
    """What one request brought, ready to be written.

    `replaces` are the ids of rows of `logs` that these records take the place of. `added` records were new, which the
    writer knows.
    """

    parts: list[LogPart] = field(default_factory=list)
    rejected: int = 0
    reason: str = ""
    trace_ids: list[bytes] = field(default_factory=list)
    replaces: list[int] = field(default_factory=list)
    added: int = 0

    @property
    def record_count(self) -> int:
        """How many records there are to write."""
        return sum(part.record_count for part in self.parts)

    @property
    def rows(self) -> list[range]:
        """Where they are once written, as of a `Batch`."""
        return [part.logs for part in self.parts if part.record_count]

    @property
    def row_count(self) -> int:
        """The same, as of a `Batch`."""
        return self.record_count


def lay_out_logs(export: LogExport, segment: Segment, next_segment: Callable[[], Segment]) -> LogBatch:
    """The rows of an export's records; `next_segment` is asked for another segment when one is crowded.

    Records that turn out to be broken are rejected in the batch, beside those of the export, which is used up.
    """
    batch = LogBatch([LogPart(segment)])
    trace_ids: dict[bytes, None] = {}
    for group in export.groups:
        records = group.records
        while records:
            try:
                done = _lay_out_group(group, records, batch.parts[-1], export, trace_ids)
            except ProtobufError as error:
                export.reject(f"resource or scope: {error}", len(records))
                break
            records = records[done:]
            if records:
                batch.parts.append(LogPart(next_segment()))
    batch.rejected, batch.reason, batch.trace_ids = export.rejected, export.reason or export.warning, list(trace_ids)
    return batch


def _lay_out_group(
    group: RawLogs, records: list[tuple[Any, int]], part: LogPart, export: LogExport, trace_ids: dict[bytes, None]
) -> int:
    """Lay out records of one resource and scope until the segment is crowded; returns how many were done."""
    segment = part.segment
    resource, service = segment.resource(group.resource, group.resource_schema_url)
    scope = segment.scope(group.scope, group.scope_schema_url)
    token_of, severity_texts, event_names = (
        known.__getitem__ for known in (segment.log_values, segment.severity_texts, segment.log_event_names)
    )
    received_ns, value_of, add_row = export.received_ns, messages.AnyValue.FromString, part.rows.append
    done = 0
    for message, checksum in records:
        if segment.value_count >= MAX_VALUES and done:
            break
        records[done] = _LAID_OUT  # as in layout.py
        done += 1
        try:
            attributes = " ".join(map(token_of, message.attributes[:MAX_ATTRIBUTES]))
            body_type, body = None, value_of(message.body).string_value  # nearly all
            if not body:
                body_type, body = _other_body(message.body)
        except ProtobufError as error:
            export.reject(f"log record: {error}")
            continue
        severity, text, event_name = message.severity_number, message.severity_text, message.event_name
        more = severity_texts(text) if text else ""
        if event_name:
            more = f"{more} {event_names(event_name)}"
        trace_id, span_id = read_link(message)
        if trace_id:
            trace_ids[trace_id] = None
        time_ns, observed_ns = read_time(message, received_ns), message.observed_time_unix_nano
        add_row([
            0, trace_id or None, span_id or None, checksum, resource, scope, service, min(time_ns, MAX_TIME_NS),
            min(observed_ns, MAX_TIME_NS), severity or named_severity(text), message.flags, body_type, body, more,
            attributes, _details(message, time_ns, observed_ns),
        ])  # fmt: skip
    segment.row_count += done
    part.record_count = len(part.rows)
    return done


def _other_body(raw: bytes) -> tuple[str | None, values.Column]:
    """The type and the column of a body that is an empty string, or none. Raises ProtobufError."""
    body = read_value(raw)
    kind = values.type_of(body)
    return None if kind == values.STRING else kind, values.to_column(body)


def _details(message: Any, time_ns: int, observed_ns: int) -> bytes | None:
    """What has no column of its own, as a LogRecord without the rest. If it has a text, the severity had no number."""
    dropped = dropped_count(message)
    is_named = not message.severity_number and named_severity(message.severity_text)
    if not (dropped or is_named or time_ns > MAX_TIME_NS or observed_ns > MAX_TIME_NS):
        return None
    content: bytes = messages.RawLogRecord(
        time_unix_nano=time_ns if time_ns > MAX_TIME_NS else 0,
        observed_time_unix_nano=observed_ns if observed_ns > MAX_TIME_NS else 0,
        severity_text=message.severity_text if is_named else "",
        dropped_attributes_count=dropped,
    ).SerializeToString()
    return content
