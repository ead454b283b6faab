"""OTLP export requests, protobuf or JSON, to spans.

`decode_traces` opens a request as far as the spans' own fields; attributes, events and links stay encoded in
an `Export`. The store takes them like that, as it has seen nine of ten attributes before; `Export.spans` decodes
them all.

What cannot be kept is counted, never silently lost: a span with an unusable id or a broken string is rejected by
itself, as OTLP's partial success, and the other 511 of its batch are stored.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from google.protobuf.message import DecodeError as ProtobufError

from minitrace.errors import DecodeError, TooLarge
from minitrace.model import Attributes, Entity, Event, Link, Resource, Scope, Span, Status, Value
from minitrace.otlp import json as otlp_json
from minitrace.otlp import messages

MAX_SPANS = 200_000  # a megabyte of spans takes 2 kB when compressed: a limit on bytes alone is none
MAX_ATTRIBUTES = 10_000  # per span; a million took 1.1 s and 267 MB
MAX_VALUE_DEPTH = 32  # arrays and maps within each other; the binary parser gives up at 48

_ZERO_TRACE = bytes(16)
_ZERO_SPAN = bytes(8)


@dataclass(frozen=True, slots=True)
class RawSpans:
    """Spans of one resource and scope, both still encoded.

    Each span is a RawSpan and the CRC-32 of all of it, resource and scope included.
    """

    resource: bytes
    resource_schema_url: str
    scope: bytes
    scope_schema_url: str
    spans: list[tuple[Any, int]]


@dataclass
class RequestContent:
    """A request of `size_bytes`: how many of its spans, or log records, were not usable, with the first reason."""

    size_bytes: int = 0
    rejected: int = 0
    reason: str = ""

    def reject(self, reason: str, count: int = 1) -> None:
        """Count some as rejected."""
        self.rejected += count
        self.reason = self.reason or reason


@dataclass
class Export(RequestContent):
    """The spans of a request. Of those that were rejected `without_ids` have ids that cannot be any."""

    groups: list[RawSpans] = field(default_factory=list)
    without_ids: int = 0

    def reject_broken(self, name: str, error: Exception) -> None:
        """Count a span whose attributes, events or links cannot be decoded."""
        self.reject(f"span {_clipped(name)}: {error}")

    @cached_property
    def spans(self) -> list[Span]:
        """All of it decoded; those of one resource share it."""
        return list(self._decoded())

    def _decoded(self) -> Iterator[Span]:
        for group in self.groups:
            try:
                resource = read_resource(group.resource, group.resource_schema_url)
                scope = read_scope(group.scope, group.scope_schema_url)
            except ProtobufError as error:
                self.reject(f"resource or scope: {error}", len(group.spans))
                continue
            for message, _ in group.spans:
                try:
                    yield _span(message, resource, scope)
                except ProtobufError as error:
                    self.reject_broken(message.name, error)


def decode_traces(body: bytes, *, is_json: bool) -> Export:
    """An ExportTraceServiceRequest.

    Raises:
        DecodeError: the body is not such a request.
        TooLarge: it has more than `MAX_SPANS` spans.
    """
    request, size_bytes = read_raw(messages.RawTracesData, messages.ExportTraceServiceRequest, body, is_json)
    total = sum(len(scope_spans.spans) for group in request.resource_spans for scope_spans in group.scope_spans)
    if total > MAX_SPANS:
        raise TooLarge(f"{total} spans in one request; the limit is {MAX_SPANS}: send smaller batches")
    export = Export(size_bytes)
    position = 0
    for group in request.resource_spans:
        for scope_spans in group.scope_spans:
            origin = zlib.crc32(scope_spans.scope, zlib.crc32(group.resource))
            spans = _usable(scope_spans.spans, origin, position, export)
            export.groups.append(
                RawSpans(group.resource, group.schema_url, scope_spans.scope, scope_spans.schema_url, spans)
            )
            position += len(scope_spans.spans)
    return export


def decode_document(document: dict[str, Any]) -> Export:
    """An ExportTraceServiceRequest that was JSON, and is taken apart. Raises DecodeError, TooLarge."""
    message = messages.ExportTraceServiceRequest()
    otlp_json.fill(message, document)
    return decode_traces(message.SerializeToString(), is_json=False)


def read_raw(raw_class: Any, message_class: Any, body: bytes, is_json: bool) -> tuple[Any, int]:
    """A request as one of the `Raw…` classes, and its bytes in protobuf. Raises DecodeError: no `message_class`."""
    if is_json:
        body = _parse(message_class, body, is_json).SerializeToString()
    try:
        return raw_class.FromString(body), len(body)
    except ProtobufError as error:
        raise DecodeError(f"the body is not a protobuf {message_class.DESCRIPTOR.name}: {error}") from None


def count_metrics(body: bytes, *, is_json: bool) -> int:
    """How many data points an ExportMetricsServiceRequest holds. Raises DecodeError."""
    request = _parse(messages.ExportMetricsServiceRequest, body, is_json)
    metrics = (m for group in request.resource_metrics for scope in group.scope_metrics for m in scope.metrics)
    return sum(len(getattr(metric, kind).data_points) for metric in metrics if (kind := metric.WhichOneof("data")))


def _parse(message_class: Callable[[], Any], body: bytes, is_json: bool) -> Any:
    message = message_class()
    if is_json:
        otlp_json.parse(body, message)
        return message
    try:
        message.ParseFromString(body)
    except ProtobufError as error:
        name = message.DESCRIPTOR.name
        raise DecodeError(f"the body is not a protobuf {name}: {error}") from None
    return message


def _usable(raw_spans: Sequence[bytes], origin: int, position: int, export: Export) -> list[tuple[Any, int]]:
    """The spans that can be parsed and have ids; the others are rejected in the export."""
    usable = []
    parse, checksum = messages.RawSpan.FromString, zlib.crc32
    for raw in raw_spans:
        try:
            message = parse(raw)
        except ProtobufError as error:
            export.reject(f"span {position}: {error}")
        else:
            if problem := _id_problem(message):
                export.without_ids += 1
                export.reject(f"span {position} ({_clipped(message.name)}): {problem}")
            else:
                usable.append((message, checksum(raw, origin)))
        position += 1
    return usable


def _id_problem(message: Any) -> str:
    """Why a span cannot be stored under its ids; "" if it can. The rule is W3C's: right length, not zero."""
    trace_id, span_id = message.trace_id, message.span_id
    if len(trace_id) != 16 or trace_id == _ZERO_TRACE:
        return f"trace id {trace_id.hex() or 'missing'} is not 16 bytes with one that is not zero"
    if len(span_id) != 8 or span_id == _ZERO_SPAN:
        return f"span id {span_id.hex() or 'missing'} is not 8 bytes with one that is not zero"
    if len(message.parent_span_id) not in (0, 8):
        return f"parent span id {message.parent_span_id.hex()} is not 8 bytes"
    return ""


def _span(message: Any, resource: Resource, scope: Scope) -> Span:
    return Span(
        trace_id=message.trace_id,
        span_id=message.span_id,
        parent_id=read_parent(message) or b"",
        name=message.name,
        kind=message.kind,
        start_ns=message.start_time_unix_nano,
        end_ns=message.end_time_unix_nano,
        flags=message.flags,
        attributes=read_attributes(message.attributes),
        resource=resource,
        scope=scope,
        **read_details(message),
    )


def read_parent(message: Any) -> bytes | None:
    """A RawSpan's parent; None for a root, which some clients say with eight zeros."""
    parent_id: bytes = message.parent_span_id
    return None if not parent_id or parent_id == _ZERO_SPAN else parent_id


def read_details(message: Any) -> dict[str, Any]:
    """What few spans have, as fields of `Span`: status, events, links, trace state, and what was dropped.

    Raises:
        google.protobuf.message.DecodeError: a part of it is broken.
    """
    status = messages.SpanStatus.FromString(message.status)
    links = list(read_links(message))
    return {
        "status": Status(status.code, status.message),
        "events": [_event(messages.RawEvent.FromString(raw)) for raw in message.events],
        "links": [_link(link) for link in links],
        "trace_state": message.trace_state,
        "dropped_attributes": message.dropped_attributes_count + max(0, len(message.attributes) - MAX_ATTRIBUTES),
        "dropped_events": message.dropped_events_count,
        "dropped_links": message.dropped_links_count + len(message.links) - len(links),
    }


def read_links(message: Any) -> Iterator[Any]:
    """A RawSpan's links that lead somewhere, as RawLinks."""
    for raw in message.links:
        link = messages.RawLink.FromString(raw)
        ids = link.trace_id, link.span_id
        if len(ids[0]) == 16 and len(ids[1]) == 8 and ids[0] != _ZERO_TRACE and ids[1] != _ZERO_SPAN:
            yield link


def _event(message: Any) -> Event:
    return Event(
        message.time_unix_nano,
        message.name,
        read_attributes(message.attributes),
        message.dropped_attributes_count,
    )


def _link(message: Any) -> Link:
    return Link(
        trace_id=message.trace_id,
        span_id=message.span_id,
        trace_state=message.trace_state,
        attributes=read_attributes(message.attributes),
        dropped_attributes=message.dropped_attributes_count,
        flags=message.flags,
    )


def read_resource(raw: bytes, schema_url: str) -> Resource:
    """A serialized Resource. Raises google.protobuf.message.DecodeError."""
    message = messages.Resource.FromString(raw)
    return Resource(
        attributes=_attributes(message.attributes),
        dropped_attributes=message.dropped_attributes_count,
        schema_url=schema_url,
        entities=[
            Entity(ref.type, list(ref.id_keys), list(ref.description_keys), ref.schema_url)
            for ref in message.entity_refs
        ],
    )


def read_scope(raw: bytes, schema_url: str) -> Scope:
    """A serialized InstrumentationScope. Raises google.protobuf.message.DecodeError."""
    message = messages.InstrumentationScope.FromString(raw)
    return Scope(
        name=message.name,
        version=message.version,
        attributes=_attributes(message.attributes),
        dropped_attributes=message.dropped_attributes_count,
        schema_url=schema_url,
    )


def read_attributes(raw: Sequence[bytes]) -> Attributes:
    """Serialized KeyValues; of a key that comes twice the last one counts.

    Raises:
        google.protobuf.message.DecodeError: one of them is broken.
    """
    return dict(map(read_attribute, raw[:MAX_ATTRIBUTES]))


def read_attribute(raw: bytes) -> tuple[str, Value]:
    """One serialized KeyValue. Raises google.protobuf.message.DecodeError."""
    message = messages.KeyValue.FromString(raw)
    return message.key, _value(message.value, 0)


def read_value(raw: bytes) -> Value:
    """One serialized AnyValue. Raises google.protobuf.message.DecodeError."""
    return _value(messages.AnyValue.FromString(raw), 0)


def _attributes(key_values: Iterable[Any], depth: int = 0) -> Attributes:
    return {key_value.key: _value(key_value.value, depth) for key_value in key_values}


def _value(message: Any, depth: int) -> Value:
    text: str = message.string_value
    if text:  # nearly all, and quicker than asking which one it is
        return text
    kind = message.WhichOneof("value")
    if kind is None or kind == "string_value_strindex":  # the latter belongs to profiles: "treat as absent"
        return None
    if kind in ("array_value", "kvlist_value"):
        return _nested(message, kind, depth + 1)
    value: Value = getattr(message, kind)
    return value


def _nested(message: Any, kind: str, depth: int) -> Value:
    if depth > MAX_VALUE_DEPTH:
        return f"[nested deeper than {MAX_VALUE_DEPTH} levels]"
    if kind == "array_value":
        return [_value(item, depth) for item in message.array_value.values]
    return _attributes(message.kvlist_value.values, depth)


def _clipped(name: str) -> str:
    return repr(name if len(name) <= 40 else name[:39] + "…")
