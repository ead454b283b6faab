"""Jaeger's JSON to spans, and back: what its query API answers with, and its UI keeps as files.

```
trace   = {"traceID", "spans": [span…], "processes": {"p1": {"serviceName", "tags"}}, "warnings"}
span    = {"traceID", "spanID", "operationName", "references", "startTime", "duration", "tags", "logs", "processID"}
```

Times are whole microseconds, and a link has no attributes: both are lost on the way. What else Jaeger has no field for
travels as tags (`conventions`). A parent is the first CHILD_OF within the trace, or else the first reference within it.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from minitrace import present
from minitrace.errors import DecodeError
from minitrace.formats import conventions, fields
from minitrace.formats.shared_spans import parted
from minitrace.model import UNKNOWN_SERVICE, Attributes, Event, Kind, Link, Resource, Span, Value

CHILD_OF, FOLLOWS_FROM = "CHILD_OF", "FOLLOWS_FROM"
REFERENCE_TYPE = "opentracing.ref_type"  # of a link: child_of, or follows_from, which is understood
SPAN_KIND, EVENT = "span.kind", "event"
NO_SERVICE = (UNKNOWN_SERVICE, "OTLPResourceNoServiceName", "")
SPANS_A_PIECE = 200  # of JSON: 5 ms of work
_LARGEST_EXACT = 2**53 - 1  # JavaScript's
_KINDS = {kind.name.lower(): kind for kind in Kind if kind}


def trace_json(spans: Sequence[Span]) -> dict[str, Any]:
    """The spans of one trace as Jaeger's trace."""
    processes = _Processes()
    spans = parted(spans)
    rows = [_span(span, processes.id_of(span.resource)) for span in spans]
    trace_id = spans[0].trace_id.hex() if spans else ""
    return {"traceID": trace_id, "spans": rows, "processes": processes.by_id, "warnings": None}


def pieces(spans: Sequence[Span]) -> Iterator[str]:
    """`trace_json` as text, piece by piece: 50 000 spans at once would hold Python's lock for a second."""
    processes = _Processes()
    spans = parted(spans)
    yield f'{{"traceID":"{spans[0].trace_id.hex() if spans else ""}","spans":['
    for at in range(0, len(spans), SPANS_A_PIECE):
        rows = (_span(span, processes.id_of(span.resource)) for span in spans[at : at + SPANS_A_PIECE])
        yield ("," if at else "") + ",".join(map(_json, rows))
    yield f'],"processes":{_json(processes.by_id)},"warnings":null}}'


class _Processes:
    """Jaeger's processes: one for each service with its attributes, numbered in order of appearance."""

    def __init__(self) -> None:
        self.by_id: dict[str, Any] = {}
        self._seen: dict[int, str] = {}  # spans of one batch share their Resource
        self._ids: dict[str, str] = {}

    def id_of(self, resource: Resource) -> str:
        known = self._seen.get(id(resource))
        if known is None:
            known = self._seen[id(resource)] = self._added(resource)
        return known

    def _added(self, resource: Resource) -> str:
        tags = [_tag(key, value) for key, value in resource.attributes.items() if key != "service.name"]
        process = {"serviceName": resource.service, "tags": tags}
        process_id = self._ids.setdefault(_json(process), f"p{len(self._ids) + 1}")
        self.by_id.setdefault(process_id, process)
        return process_id


def _span(span: Span, process_id: str) -> dict[str, Any]:
    return {
        "traceID": span.trace_id.hex(),
        "spanID": span.span_id.hex(),
        "operationName": span.name,
        "references": _references(span),
        "startTime": span.start_ns // 1000,
        "duration": span.duration_ns // 1000,
        "tags": [_tag(key, value) for key, value in _tags(span)],
        "logs": [_log(event) for event in span.events],
        "processID": process_id,
        "warnings": None,
    }


def _tags(span: Span) -> Iterator[tuple[str, Value]]:
    if span.scope.name:
        yield conventions.SCOPE_NAME, span.scope.name
    if span.scope.version:
        yield conventions.SCOPE_VERSION, span.scope.version
    yield from span.attributes.items()
    if span.kind in _KINDS.values():
        yield SPAN_KIND, present.kind(span.kind)
    yield from conventions.status_tags(span)
    if span.trace_state:
        yield conventions.TRACE_STATE, span.trace_state
    yield from conventions.dropped_tags(span)


def _references(span: Span) -> list[dict[str, str]]:
    """The parent first. A link to it only says what kind of parent it is."""
    types = {(link.trace_id, link.span_id): _reference_type(link) for link in span.links}
    references = dict.fromkeys([(span.trace_id, span.parent_id)], CHILD_OF) if span.parent_id else {}
    references.update(types)
    return [{"refType": type_, "traceID": ids[0].hex(), "spanID": ids[1].hex()} for ids, type_ in references.items()]


def _reference_type(link: Link) -> str:
    return CHILD_OF if link.attributes.get(REFERENCE_TYPE) == "child_of" else FOLLOWS_FROM


def _log(event: Event) -> dict[str, Any]:
    name = {} if EVENT in event.attributes or not event.name else {EVENT: event.name}
    return {
        "timestamp": event.time_ns // 1000,
        "fields": [_tag(key, value) for key, value in {**name, **event.attributes}.items()],
    }


def _tag(key: str, value: Value) -> dict[str, Any]:
    type_, said = _typed(value)
    return {"key": key, "type": type_, "value": said}


def _typed(value: Value) -> tuple[str, Any]:
    match value:
        case bool():
            return "bool", value
        case int():
            return "int64", value if abs(value) <= _LARGEST_EXACT else str(value)
        case float() if math.isfinite(value):
            return "float64", value
        case bytes():
            return "binary", base64.b64encode(value).decode()
        case None:
            return "string", ""
        case _:
            return "string", present.value(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def read_spans(document: Any, *, problems: list[str] | None = None) -> list[Span]:
    """The spans of Jaeger's JSON: an answer of its API (``{"data": […]}``), a trace, or a list of traces.

    With `problems`, what is wrong with a span is added there, and the span is left out.

    Raises:
        DecodeError: it is none of these, or a span is wrong; says which one.
    """
    spans: list[Span] = []
    for number, trace in enumerate(_traces(document)):
        with fields.within(f"trace {number + 1}"):
            spans += _read_trace(fields.mapping(trace, "it"), problems)
    return spans


def _traces(document: Any) -> list[Any]:
    if isinstance(document, dict) and "data" in document:
        document = document["data"]
    return [document] if isinstance(document, dict) else fields.sequence(document, "Jaeger's data")


def _read_trace(trace: dict[str, Any], problems: list[str] | None) -> list[Span]:
    if "spans" not in trace:
        raise DecodeError('there is no "spans" in it')
    processes = fields.mapping(trace.get("processes"), "processes")
    resources = {key: _read_process(fields.mapping(process, key)) for key, process in processes.items()}
    spans = fields.sequence(trace["spans"], "spans")
    return list(fields.each(spans, "span", lambda span: _read_span(span, resources), problems))


def _read_process(process: dict[str, Any]) -> Resource:
    service = fields.text(process, "serviceName")
    named: Attributes = {} if service in NO_SERVICE else {"service.name": service}
    return Resource(named | _read_tags(process, "tags"))


def _read_span(document: dict[str, Any], resources: dict[str, Resource]) -> Span:
    start_ns = fields.integer(document, "startTime") * 1000
    return assembled(
        fields.needed(document, "traceID", 16),
        fields.needed(document, "spanID", 8),
        fields.text(document, "operationName"),
        start_ns,
        fields.end(start_ns, fields.integer(document, "duration")),
        attributes=_read_tags(document, "tags"),
        references=fields.children(document, "references", "reference", _read_reference),
        parent_id=fields.hex_id(document, "parentSpanID", 8),
        events=fields.children(document, "logs", "log", _read_log),
        resource=_resource(document, resources),
    )


def _resource(document: dict[str, Any], resources: dict[str, Resource]) -> Resource:
    """That of a span's process, which stands in the trace, or in the span itself."""
    if document.get("process") is not None:
        return _read_process(fields.mapping(document["process"], "process"))
    process_id = fields.text(document, "processID")
    if process_id and process_id not in resources:
        raise DecodeError(f"processID {fields.shown(process_id)} is not among the trace's processes")
    return resources.get(process_id) or Resource()


def assembled(
    trace_id: bytes,
    span_id: bytes,
    name: str,
    start_ns: int,
    end_ns: int,
    *,
    attributes: Attributes,
    references: list[tuple[str, bytes, bytes]],
    parent_id: bytes,
    events: list[Event],
    resource: Resource,
) -> Span:
    """A span from what Jaeger says of it: what its tags and references stand for is where it belongs.

    A reference is its type, a trace id and a span id; `parent_id` is b"" where only they tell.
    """
    parent_id = parent_id or _parent(trace_id, references)
    kind = _KINDS.get(str(attributes.get(SPAN_KIND)), Kind.UNSPECIFIED)
    if kind:
        del attributes[SPAN_KIND]
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id,
        name=name,
        kind=kind,
        start_ns=start_ns,
        end_ns=end_ns,
        scope=conventions.take_scope(attributes),
        status=conventions.take_status(attributes),
        trace_state=conventions.take_trace_state(attributes),
        **conventions.take_dropped(attributes),
        attributes=attributes,
        events=events,
        links=list(_links(references, (CHILD_OF, trace_id, parent_id))),
        resource=resource,
    )


def _parent(trace_id: bytes, references: list[tuple[str, bytes, bytes]]) -> bytes:
    within = [reference for reference in references if reference[1] == trace_id]
    first = next((reference for reference in within if reference[0] == CHILD_OF), None)
    return (first or within[0])[2] if within else b""


def _links(references: list[tuple[str, bytes, bytes]], parent: tuple[str, bytes, bytes]) -> Iterator[Link]:
    for reference in references:
        type_, trace_id, span_id = reference
        if trace_id and span_id and reference != parent:
            attributes: Attributes = {REFERENCE_TYPE: "child_of"} if type_ == CHILD_OF else {}
            yield Link(trace_id, span_id, attributes=attributes)


def _read_reference(document: dict[str, Any]) -> tuple[str, bytes, bytes]:
    ids = fields.hex_id(document, "traceID", 16), fields.hex_id(document, "spanID", 8)
    return fields.text(document, "refType"), *ids


def _read_log(document: dict[str, Any]) -> Event:
    return event(fields.integer(document, "timestamp") * 1000, _read_tags(document, "fields"))


def event(time_ns: int, attributes: Attributes) -> Event:
    """A log, whose field `event` is its name; where there is none, `message`, as OpenTelemetry's Python wrote it."""
    key = EVENT if EVENT in attributes else "message"
    name = attributes.get(key)
    if not isinstance(name, str):
        return Event(time_ns, "", attributes)
    del attributes[key]
    return Event(time_ns, name, attributes)


def _read_tags(document: dict[str, Any], name: str) -> Attributes:
    return dict(fields.children(document, name, "tag", _read_tag))


def _read_tag(tag: dict[str, Any]) -> tuple[str, Value]:
    return fields.text(tag, "key"), _read_value(tag)


def _read_value(tag: dict[str, Any]) -> Value:
    value = tag.get("value")
    match tag.get("type"), value:
        case "int64", _:
            return fields.integer(tag, "value", -(2**63), 2**63 - 1)
        case "float64", int() | float():
            return float(value)
        case "bool", "true" | "false":
            return bool(value == "true")
        case "binary", str():
            return _binary(value)
    return fields.attribute(value)


def _binary(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise DecodeError(f"value is not base64: {fields.shown(text)}") from None
