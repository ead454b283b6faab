"""Spans and log records to OTLP: for the demo, the HTTP API and every kind of export.

`decode_traces(encode_export(spans))` gives the same spans again, grouped by resource and scope; so does
`decode_logs(encode_logs(records))`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minitrace.model import Attributes, Event, Link, LogRecord, Resource, Scope, Span, Value
from minitrace.otlp import messages


def encode_export(spans: Sequence[Span]) -> bytes:
    """The bytes of an ExportTraceServiceRequest; TracesData is the same on the wire."""
    content: bytes = traces_data(spans).SerializeToString()
    return content


def encode_field(number: int, content: bytes) -> bytes:
    """A field of a message, up to number 15, that is text or a message: for messages that have no class here."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """A number as protobuf writes it: seven bits a byte, lowest first, the eighth says that more follow."""
    groups = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def encode_logs(records: Sequence[LogRecord]) -> bytes:
    """The bytes of an ExportLogsServiceRequest; LogsData is the same on the wire."""
    content: bytes = logs_data(records).SerializeToString()
    return content


def traces_data(spans: Sequence[Span]) -> Any:
    """A TracesData message: spans in their order, under their resource and scope."""
    data = messages.TracesData()
    groups = _Groups(data.resource_spans, "scope_spans")
    for span in spans:
        _fill_span(groups.of(span.resource, span.scope).spans.add(), span)
    return data


def logs_data(records: Sequence[LogRecord]) -> Any:
    """A LogsData message: records in their order, under their resource and scope."""
    data = messages.LogsData()
    groups = _Groups(data.resource_logs, "scope_logs")
    for record in records:
        _fill_record(groups.of(record.resource, record.scope).log_records.add(), record)
    return data


class _Groups:
    """The messages that hold what came from one resource and scope, each made when it is first asked for.

    What comes in one batch shares its Resource and Scope objects; equal ones from elsewhere are merged too.
    """

    def __init__(self, data: Any, below: str) -> None:
        self._data = data
        self._below = below
        self._resources, self._scopes = _Interned(), _Interned()
        self._groups: dict[int, Any] = {}
        self._within: dict[tuple[int, int], Any] = {}

    def of(self, resource: Resource, scope: Scope) -> Any:
        """The message below this resource and scope."""
        key = self._resources.index(resource), self._scopes.index(scope)
        if key not in self._within:
            if key[0] not in self._groups:
                self._groups[key[0]] = self._data.add()
                _fill_resource(self._groups[key[0]], resource)
            self._within[key] = getattr(self._groups[key[0]], self._below).add()
            _fill_scope(self._within[key], scope)
        return self._within[key]


class _Interned:
    """Numbers equal objects alike; unhashable ones too, by identity first and a scan after."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._kept: list[Resource | Scope] = []

    def index(self, thing: Resource | Scope) -> int:
        if id(thing) not in self._seen:
            if thing in self._kept:
                position = self._kept.index(thing)
            else:
                position = len(self._kept)
                self._kept.append(thing)
            self._seen[id(thing)] = position
        return self._seen[id(thing)]


def _fill_resource(group: Any, resource: Resource) -> None:
    group.schema_url = resource.schema_url
    group.resource.SetInParent()
    _fill_attributes(group.resource.attributes, resource.attributes)
    group.resource.dropped_attributes_count = resource.dropped_attributes
    for entity in resource.entities:
        group.resource.entity_refs.add(
            schema_url=entity.schema_url,
            type=entity.type,
            id_keys=entity.id_keys,
            description_keys=entity.description_keys,
        )


def _fill_scope(scope_spans: Any, scope: Scope) -> None:
    scope_spans.schema_url = scope.schema_url
    scope_spans.scope.SetInParent()
    scope_spans.scope.name = scope.name
    scope_spans.scope.version = scope.version
    _fill_attributes(scope_spans.scope.attributes, scope.attributes)
    scope_spans.scope.dropped_attributes_count = scope.dropped_attributes


def _fill_span(message: Any, span: Span) -> None:
    message.trace_id = span.trace_id
    message.span_id = span.span_id
    message.parent_span_id = span.parent_id
    message.trace_state = span.trace_state
    message.flags = span.flags
    message.name = span.name
    message.kind = span.kind
    message.start_time_unix_nano = span.start_ns
    message.end_time_unix_nano = span.end_ns
    _fill_attributes(message.attributes, span.attributes)
    message.dropped_attributes_count = span.dropped_attributes
    for event in span.events:
        _fill_event(message.events.add(), event)
    message.dropped_events_count = span.dropped_events
    for link in span.links:
        _fill_link(message.links.add(), link)
    message.dropped_links_count = span.dropped_links
    message.status.SetInParent()
    message.status.code = span.status.code
    message.status.message = span.status.message


def _fill_record(message: Any, record: LogRecord) -> None:
    message.time_unix_nano = record.time_ns
    message.observed_time_unix_nano = record.observed_ns
    message.severity_number = record.severity
    message.severity_text = record.severity_text
    if record.body is not None:
        _fill_value(message.body, record.body)
    _fill_attributes(message.attributes, record.attributes)
    message.dropped_attributes_count = record.dropped_attributes
    message.flags = record.flags
    message.trace_id = record.trace_id
    message.span_id = record.span_id
    message.event_name = record.event_name


def _fill_event(message: Any, event: Event) -> None:
    message.time_unix_nano = event.time_ns
    message.name = event.name
    _fill_attributes(message.attributes, event.attributes)
    message.dropped_attributes_count = event.dropped_attributes


def _fill_link(message: Any, link: Link) -> None:
    message.trace_id = link.trace_id
    message.span_id = link.span_id
    message.trace_state = link.trace_state
    _fill_attributes(message.attributes, link.attributes)
    message.dropped_attributes_count = link.dropped_attributes
    message.flags = link.flags


def _fill_attributes(target: Any, attributes: Attributes) -> None:
    for key, value in attributes.items():
        _fill_value(target.add(key=key).value, value)


def _fill_value(message: Any, value: Value) -> None:
    match value:
        case None:
            message.SetInParent()
        case bool():
            message.bool_value = value
        case str():
            message.string_value = value
        case int():
            message.int_value = value
        case float():
            message.double_value = value
        case bytes():
            message.bytes_value = value
        case list():
            message.array_value.SetInParent()
            for item in value:
                _fill_value(message.array_value.values.add(), item)
        case dict():
            message.kvlist_value.SetInParent()
            _fill_attributes(message.kvlist_value.values, value)
