"""Jaeger's Thrift, a Batch in the binary protocol, to spans: what Jaeger's own clients sent before OpenTelemetry's.

Names and numbers are those of ``jaeger.thrift``. An id is a signed 64-bit number, a trace id two of them. What the tags
and references stand for is told in `jaeger`, which has the same ones.
"""

from __future__ import annotations

from typing import Any

from minitrace.errors import DecodeError
from minitrace.formats import fields, jaeger, thrift
from minitrace.formats.thrift import BINARY, BOOL, DOUBLE, I32, I64, Struct
from minitrace.model import Attributes, Event, Resource, Span, Value

_TAG = Struct(
    {
        1: ("key", BINARY),
        2: ("type", I32),
        3: ("text", BINARY),
        4: ("double", DOUBLE),
        5: ("bool", BOOL),
        6: ("long", I64),
        7: ("binary", BINARY),
    }
)
_LOG = Struct({1: ("timestamp", I64), 2: ("fields", [_TAG])})
_REFERENCE = Struct({1: ("type", I32), 2: ("trace_low", I64), 3: ("trace_high", I64), 4: ("span", I64)})
_SPAN = Struct(
    {
        1: ("trace_low", I64),
        2: ("trace_high", I64),
        3: ("span", I64),
        4: ("parent", I64),
        5: ("name", BINARY),
        6: ("references", [_REFERENCE]),
        8: ("start", I64),
        9: ("duration", I64),
        10: ("tags", [_TAG]),
        11: ("logs", [_LOG]),
    }
)
_PROCESS = Struct({1: ("service", BINARY), 2: ("tags", [_TAG])})
_BATCH = Struct({1: ("process", _PROCESS), 2: ("spans", [_SPAN])})

_VALUES = ("text", "double", "bool", "long", "binary")  # in the order of TagType
_OUR_NAMES = {"hostname": "host.name", "ip": "host.ip"}  # of what Jaeger's clients say of their process
# and of an exception, as OpenTracing told them; see OpenTelemetry's "OpenTracing Compatibility"
_OF_EXCEPTIONS = {
    "error.kind": "exception.type",
    "message": "exception.message",
    "stack": "exception.stacktrace",
}


def read_spans(body: bytes) -> list[Span]:
    """The spans of a Batch, alone or as the argument of ``emitBatch``. Raises DecodeError, TooLarge."""
    batch = thrift.read_struct(body, _BATCH)
    if "process" not in batch or "spans" not in batch:
        raise DecodeError("the body is not a Batch of jaeger.thrift: it has no process, or no spans")
    resource = _resource(batch["process"])
    return list(fields.each(batch["spans"], "span", lambda span: _span(span, resource)))


def _resource(process: dict[str, Any]) -> Resource:
    service = _text(process.get("service", b""))
    named: Attributes = {} if service in jaeger.NO_SERVICE else {"service.name": service}
    tags = _attributes(process.get("tags", []))
    return Resource(named | {_OUR_NAMES.get(key, key): value for key, value in tags.items()})


def _span(span: dict[str, Any], resource: Resource) -> Span:
    trace_id, span_id = _trace_id(span), _id(span.get("span", 0))
    if not any(trace_id) or not any(span_id):
        raise DecodeError("its trace id or span id is missing, or zero")
    start_ns = fields.integer(span, "start") * 1000
    return jaeger.assembled(
        trace_id,
        span_id,
        _text(span.get("name", b"")),
        start_ns,
        fields.end(start_ns, max(0, span.get("duration", 0))),
        attributes=_attributes(span.get("tags", [])),
        references=[_reference(reference) for reference in span.get("references", [])],
        parent_id=_id(span["parent"]) if span.get("parent") else b"",
        events=[_event(log) for log in span.get("logs", [])],
        resource=resource,
    )


def _reference(reference: dict[str, Any]) -> tuple[str, bytes, bytes]:
    type_ = jaeger.FOLLOWS_FROM if reference.get("type") else jaeger.CHILD_OF
    return type_, _trace_id(reference), _id(reference.get("span", 0))


def _event(log: dict[str, Any]) -> Event:
    event = jaeger.event(fields.integer(log, "timestamp") * 1000, _attributes(log.get("fields", [])))
    if event.name == "error":
        event.name = "exception"
        event.attributes = {_OF_EXCEPTIONS.get(key, key): value for key, value in event.attributes.items()}
    return event


def _attributes(tags: list[dict[str, Any]]) -> Attributes:
    return {_text(tag.get("key", b"")): _value(tag) for tag in tags}


def _value(tag: dict[str, Any]) -> Value:
    type_ = tag.get("type", 0)
    if not 0 <= type_ < len(_VALUES):
        raise DecodeError(f"tag {fields.shown(_text(tag.get('key', b'')))} has type {type_}; there are 0 to 4")
    value: Value | bytes = tag.get(_VALUES[type_])
    return _text(value) if isinstance(value, bytes) and type_ == 0 else value


def _trace_id(struct: dict[str, Any]) -> bytes:
    return _id(struct.get("trace_high", 0)) + _id(struct.get("trace_low", 0))


def _id(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
