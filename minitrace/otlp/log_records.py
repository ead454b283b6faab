"""OTLP export requests, protobuf or JSON, to log records; as `decode.py` does with spans.

`decode_logs` opens a request as far as the records' own fields; bodies and attributes stay encoded in a `LogExport`, as
the store takes them like that. `LogExport.records` decodes them all.

A record that is broken is rejected by itself. One with an unusable trace or span id is kept, with no link: what it says
is worth as much without.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from google.protobuf.message import DecodeError as ProtobufError

from minitrace import present
from minitrace.errors import TooLarge
from minitrace.model import LogRecord, Resource, Scope
from minitrace.otlp import json as otlp_json
from minitrace.otlp import messages
from minitrace.otlp.decode import (
    MAX_ATTRIBUTES,
    RequestContent,
    read_attributes,
    read_raw,
    read_resource,
    read_scope,
    read_value,
)

MAX_RECORDS = 200_000  # as MAX_SPANS


@dataclass(frozen=True, slots=True)
class RawLogs:
    """Records of one resource and scope, both still encoded.

    Each record is a RawLogRecord and the CRC-32 of all of it, resource and scope included. Of records that are the same
    in everything each has a CRC of its own: one request does not say a thing twice, but a program may.
    """

    resource: bytes
    resource_schema_url: str
    scope: bytes
    scope_schema_url: str
    records: list[tuple[Any, int]]


@dataclass
class LogExport(RequestContent):
    """The log records of a request; `unlinked` of them have a trace or span id that is none, and are kept without."""

    groups: list[RawLogs] = field(default_factory=list)
    unlinked: int = 0
    received_ns: int = field(default_factory=time.time_ns)

    @property
    def warning(self) -> str:
        """What the sender may want to know of records that are kept; "" if there is nothing."""
        if not self.unlinked:
            return ""
        count = present.plain(present.count(self.unlinked, "log record"))
        return f"a trace or span id of {count} is not hex or has the wrong length; stored without it"

    @cached_property
    def records(self) -> list[LogRecord]:
        """All of it decoded; those of one resource share it."""
        return list(self._decoded())

    def _decoded(self) -> Iterator[LogRecord]:
        for group in self.groups:
            try:
                resource = read_resource(group.resource, group.resource_schema_url)
                scope = read_scope(group.scope, group.scope_schema_url)
            except ProtobufError as error:
                self.reject(f"resource or scope: {error}", len(group.records))
                continue
            for message, _ in group.records:
                try:
                    yield _record(message, resource, scope, self.received_ns)
                except ProtobufError as error:
                    self.reject(f"log record: {error}")


def decode_logs(body: bytes, *, is_json: bool) -> LogExport:
    """An ExportLogsServiceRequest.

    Raises:
        DecodeError: the body is not such a request.
        TooLarge: it has more than `MAX_RECORDS` records.
    """
    request, size_bytes = read_raw(messages.RawLogsData, messages.ExportLogsServiceRequest, body, is_json)
    total = sum(len(scope_logs.log_records) for group in request.resource_logs for scope_logs in group.scope_logs)
    if total > MAX_RECORDS:
        raise TooLarge(f"{total} log records in one request; the limit is {MAX_RECORDS}: send smaller batches")
    export = LogExport(size_bytes)
    seen: dict[int, int] = {}
    position = 0
    for group in request.resource_logs:
        for scope_logs in group.scope_logs:
            origin = zlib.crc32(scope_logs.scope, zlib.crc32(group.resource))
            records = _usable(scope_logs.log_records, origin, position, export, seen)
            export.groups.append(
                RawLogs(group.resource, group.schema_url, scope_logs.scope, scope_logs.schema_url, records)
            )
            position += len(scope_logs.log_records)
    return export


def decode_log_document(document: dict[str, Any]) -> LogExport:
    """An ExportLogsServiceRequest that was JSON, and is taken apart. Raises DecodeError, TooLarge."""
    message = messages.ExportLogsServiceRequest()
    otlp_json.fill(message, document)
    return decode_logs(message.SerializeToString(), is_json=False)


def _usable(
    raw_records: Sequence[bytes], origin: int, position: int, export: LogExport, seen: dict[int, int]
) -> list[tuple[Any, int]]:
    """The records that can be parsed, with their checksums; the others are rejected in the export."""
    usable = []
    parse = messages.RawLogRecord.FromString
    for number, raw in enumerate(raw_records, start=position):
        try:
            message = parse(raw)
        except ProtobufError as error:
            export.reject(f"log record {number}: {error}")
            continue
        checksum = zlib.crc32(raw, origin)
        times = seen[checksum] = seen.get(checksum, 0) + 1
        export.unlinked += has_broken_id(message)
        usable.append((message, checksum if times == 1 else zlib.crc32(times.to_bytes(4), checksum)))
    return usable


def _record(message: Any, resource: Resource, scope: Scope, received_ns: int) -> LogRecord:
    trace_id, span_id = read_link(message)
    return LogRecord(
        time_ns=read_time(message, received_ns),
        observed_ns=message.observed_time_unix_nano,
        severity=message.severity_number,
        severity_text=message.severity_text,
        body=read_value(message.body),
        attributes=read_attributes(message.attributes),
        dropped_attributes=dropped_count(message),
        flags=message.flags,
        trace_id=trace_id,
        span_id=span_id,
        event_name=message.event_name,
        resource=resource,
        scope=scope,
    )


def read_time(message: Any, received_ns: int) -> int:
    """When a RawLogRecord happened: the time it tells, else that of its observation, else that of its arrival."""
    return message.time_unix_nano or message.observed_time_unix_nano or received_ns


def dropped_count(message: Any) -> int:
    """How many attributes of a RawLogRecord were dropped, before it came or as it has too many; what OTLP can say."""
    count: int = message.dropped_attributes_count + max(0, len(message.attributes) - MAX_ATTRIBUTES)
    return min(count, 2**32 - 1)


def has_broken_id(message: Any) -> bool:
    """Whether a RawLogRecord has a trace or span id of a wrong length; one of zeros is a way to say it has none."""
    return len(message.trace_id) not in (0, 16) or len(message.span_id) not in (0, 8)


def read_link(message: Any) -> tuple[bytes, bytes]:
    """A RawLogRecord's trace and span id, ``b""`` for each that is no usable one; no span without its trace."""
    trace_id, span_id = message.trace_id, message.span_id
    if len(trace_id) != 16 or not any(trace_id):
        return b"", b""
    return trace_id, span_id if len(span_id) == 8 and any(span_id) else b""
