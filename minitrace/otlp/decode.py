"""OTLP export requests, protobuf or JSON, to spans.

What cannot be kept is counted, never silently lost: a span with an unusable id is rejected by itself,
as OTLP's partial success, and the other 511 of its batch are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Export:
    """What one request held: `spans` to store, and how many were not usable, with the first reason."""

    spans: list[Span] = field(default_factory=list)
    rejected: int = 0
    reason: str = ""

    def reject(self, reason: str) -> None:
        """Count one span as rejected."""
        self.rejected += 1
        self.reason = self.reason or reason


def decode_traces(body: bytes, *, is_json: bool) -> Export:
    """The spans of an ExportTraceServiceRequest.

    Raises:
        DecodeError: the body is not such a request.
        TooLarge: it has more than `MAX_SPANS` spans.
    """
    request = _parse(messages.ExportTraceServiceRequest, body, is_json)
    total = sum(len(scope_spans.spans) for group in request.resource_spans for scope_spans in group.scope_spans)
    if total > MAX_SPANS:
        raise TooLarge(f"{total} spans in one request; the limit is {MAX_SPANS}: send smaller batches")
    export = Export()
    position = 0
    for group in request.resource_spans:
        resource = _resource(group)
        for scope_spans in group.scope_spans:
            scope = _scope(scope_spans)
            for message in scope_spans.spans:
                if problem := _id_problem(message):
                    export.reject(f"span {position} ({_clipped(message.name)}): {problem}")
                else:
                    export.spans.append(_span(message, resource, scope))
                position += 1
    return export


def count_logs(body: bytes, *, is_json: bool) -> int:
    """How many log records an ExportLogsServiceRequest holds. Raises DecodeError."""
    request = _parse(messages.ExportLogsServiceRequest, body, is_json)
    return sum(len(scope.log_records) for group in request.resource_logs for scope in group.scope_logs)


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
    attributes = message.attributes
    parent_id = message.parent_span_id
    links = [link for link in message.links if _is_link(link)]
    return Span(
        trace_id=message.trace_id,
        span_id=message.span_id,
        parent_id=b"" if parent_id == _ZERO_SPAN else parent_id,
        trace_state=message.trace_state,
        flags=message.flags,
        name=message.name,
        kind=message.kind,
        start_ns=message.start_time_unix_nano,
        end_ns=message.end_time_unix_nano,
        attributes=_attributes(attributes),
        dropped_attributes=message.dropped_attributes_count + max(0, len(attributes) - MAX_ATTRIBUTES),
        events=[_event(event) for event in message.events],
        dropped_events=message.dropped_events_count,
        links=[_link(link) for link in links],
        dropped_links=message.dropped_links_count + len(message.links) - len(links),
        status=Status(message.status.code, message.status.message),
        resource=resource,
        scope=scope,
    )


def _is_link(message: Any) -> bool:
    ids = message.trace_id, message.span_id
    return len(ids[0]) == 16 and len(ids[1]) == 8 and ids[0] != _ZERO_TRACE and ids[1] != _ZERO_SPAN


def _event(message: Any) -> Event:
    return Event(
        message.time_unix_nano,
        message.name,
        _attributes(message.attributes),
        message.dropped_attributes_count,
    )


def _link(message: Any) -> Link:
    return Link(
        trace_id=message.trace_id,
        span_id=message.span_id,
        trace_state=message.trace_state,
        attributes=_attributes(message.attributes),
        dropped_attributes=message.dropped_attributes_count,
        flags=message.flags,
    )


def _resource(group: Any) -> Resource:
    message = group.resource
    return Resource(
        attributes=_attributes(message.attributes),
        dropped_attributes=message.dropped_attributes_count,
        schema_url=group.schema_url,
        entities=[
            Entity(ref.type, list(ref.id_keys), list(ref.description_keys), ref.schema_url)
            for ref in message.entity_refs
        ],
    )


def _scope(scope_spans: Any) -> Scope:
    message = scope_spans.scope
    return Scope(
        name=message.name,
        version=message.version,
        attributes=_attributes(message.attributes),
        dropped_attributes=message.dropped_attributes_count,
        schema_url=scope_spans.schema_url,
    )


def _attributes(key_values: Sequence[Any], depth: int = 0) -> Attributes:
    """Key to value; of a key that comes twice the last one counts."""
    kept = key_values if len(key_values) <= MAX_ATTRIBUTES else key_values[:MAX_ATTRIBUTES]
    return {key_value.key: _value(key_value.value, depth) for key_value in kept}


def _value(message: Any, depth: int) -> Value:
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
