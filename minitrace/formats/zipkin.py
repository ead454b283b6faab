"""Zipkin's spans, version 2, as spans: JSON here, and `zipkin_protobuf` what says the same in protobuf.

| Zipkin                       | a span                                                             |
|------------------------------|--------------------------------------------------------------------|
| `traceId` of 16 or 32 digits | the trace id; 64 bits are its lower half                           |
| `timestamp`, `duration`      | in microseconds; without a time it began when it arrived           |
| `localEndpoint`              | the resource's `service.name`; `network.local.address`, `….port`   |
| `remoteEndpoint`             | `peer.service`, `network.peer.address`, `….port`                   |
| `annotations`                | events, with attributes as OpenTelemetry's exporters write them    |
| `tags`                       | attributes, all strings; some are resource, scope, status or links |

With B3 headers a server goes on with its client's id: both spans are kept, and `model.calls` tells them apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

from minitrace.errors import DecodeError
from minitrace.formats import conventions, fields
from minitrace.model import Attributes, Event, Kind, Link, Resource, Scope, Span

NO_TIME = "otel.zipkin.absentField.startTime"  # the Collector's name for it
RESOURCE_KEYS = tuple(
    f"{group}."
    for group in ("service", "telemetry", "host", "process", "os", "k8s", "container", "cloud", "deployment")
)
_MAX_LINKS = 128
_KINDS = {kind.name: kind for kind in (Kind.CLIENT, Kind.SERVER, Kind.PRODUCER, Kind.CONSUMER)}


def read_spans(body: bytes, *, now_ns: int) -> list[Span]:
    """The spans of a JSON list. `now_ns` is when those began that have no time.

    Raises:
        DecodeError: it is no such list, or a span in it is wrong; says which one, and what would be right.
    """
    if not body.strip():
        return []
    with fields.within("the body"):
        documents = fields.sequence(fields.parsed(body), "it")
    return read_documents(documents, now_ns=now_ns)


def read_documents(documents: list[Any], *, now_ns: int, problems: list[str] | None = None) -> list[Span]:
    """The spans of a list that was JSON, and is taken apart.

    With `problems`, what is wrong with a span is added there, and the span is left out. Raises DecodeError.
    """
    return list(fields.each(documents, "span", _Reader(now_ns).span, problems))


class _Reader:
    """Reads one request: spans of one origin share their resource and scope, as those of OTLP do."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self._resources: dict[tuple[Any, ...], Resource] = {}
        self._scopes: dict[tuple[str, str], Scope] = {}

    def span(self, document: dict[str, Any]) -> Span:
        if "binaryAnnotations" in document:
            raise DecodeError("this is Zipkin's version 1 (binaryAnnotations); send version 2, to /api/v2/spans")
        span_id = fields.needed(document, "id", 8)
        attributes = _tags(document)
        events = fields.children(document, "annotations", "annotation", _event)
        start_ns = fields.integer(document, "timestamp") * 1000 or self._start(events, attributes)
        parent_id = fields.hex_id(document, "parentId", 8)
        return Span(
            trace_id=fields.needed(document, "traceId", 16),
            span_id=span_id,
            parent_id=parent_id if parent_id != span_id else b"",
            name=fields.text(document, "name"),
            kind=_kind(document, attributes),
            start_ns=start_ns,
            end_ns=fields.end(start_ns, fields.integer(document, "duration")),
            resource=self._resource(document, attributes),
            scope=self._scope(attributes),
            status=conventions.take_status(attributes),
            trace_state=conventions.take_trace_state(attributes),
            **conventions.take_dropped(attributes),
            links=list(_take_links(attributes)),
            events=events,
            attributes=_endpoints(document) | attributes,
        )

    def _start(self, events: list[Event], attributes: Attributes) -> int:
        """When a span began that does not say so."""
        attributes[NO_TIME] = True
        return min((event.time_ns for event in events if event.time_ns), default=self._now_ns)

    def _resource(self, document: dict[str, Any], attributes: Attributes) -> Resource:
        keys = [key for key in attributes if key.startswith(RESOURCE_KEYS)]
        own = {key: attributes.pop(key) for key in keys}
        if service := fields.text(fields.mapping(document.get("localEndpoint"), "localEndpoint"), "serviceName"):
            own["service.name"] = service
        return self._resources.setdefault(tuple(own.items()), Resource(own))

    def _scope(self, attributes: Attributes) -> Scope:
        scope = conventions.take_scope(attributes)
        return self._scopes.setdefault((scope.name, scope.version), scope)


def _kind(document: dict[str, Any], attributes: Attributes) -> int:
    name = fields.text(document, "kind")
    if not name:
        is_internal = attributes.get("span.kind") == "internal"
        if is_internal:
            del attributes["span.kind"]
        return Kind.INTERNAL if is_internal else Kind.UNSPECIFIED
    if name.upper() not in _KINDS:
        raise DecodeError(f"kind is none of {', '.join(_KINDS)} but {fields.shown(name)}")
    return _KINDS[name.upper()]


def _tags(document: dict[str, Any]) -> Attributes:
    """Tags are strings; a number, which some clients send all the same, is made one."""
    tags = fields.mapping(document.get("tags"), "tags")
    attributes: Attributes = {}
    for key, value in tags.items():
        if isinstance(value, str):
            attributes[fields.encodable(key)] = fields.encodable(value)
        elif isinstance(value, bool | int | float):
            attributes[fields.encodable(key)] = json.dumps(value)
        elif value is not None:
            raise DecodeError(f"tag {key[:40]} is not a string but {fields.shown(value)}")
    return attributes


def _endpoints(document: dict[str, Any]) -> Attributes:
    attributes: Attributes = {}
    for key, side in (("localEndpoint", "local"), ("remoteEndpoint", "peer")):
        endpoint = fields.mapping(document.get(key), key)
        if not endpoint:
            continue
        with fields.within(key):
            if address := fields.text(endpoint, "ipv4") or fields.text(endpoint, "ipv6"):
                attributes[f"network.{side}.address"] = address
            if port := fields.integer(endpoint, "port", 0, 65535):
                attributes[f"network.{side}.port"] = port
            if side == "peer" and (service := fields.text(endpoint, "serviceName")):
                attributes["peer.service"] = service
    return attributes


def _event(document: dict[str, Any]) -> Event:
    """An annotation; OpenTelemetry's exporters write an event's attributes into its text, see `_named`."""
    time_ns = fields.integer(document, "timestamp") * 1000
    value = fields.text(document, "value")
    return Event(time_ns, *(_named(value) or (value,)))


def _named(value: str) -> tuple[str, Attributes] | tuple[str, Attributes, int] | None:
    """The name, the attributes and how many more were dropped, of an event written as one text.

    | exporter  | writes                      |
    |-----------|-----------------------------|
    | Python    | `{"name": {"key": 1}}`      |
    | Java      | `"name":{"key":1}`          |
    | Go        | `name: {"key":1}`           |
    | Collector | `name|{"key":1}|0`          |
    """
    if value.startswith("{"):
        named = list((_attributes(value) or {}).items())
        is_one = len(named) == 1 and isinstance(named[0][1], dict)
        return (named[0][0], cast(Attributes, named[0][1])) if is_one else None
    name, brace, rest = value.partition("{")
    if name.endswith("|") and (said := _counted(brace + rest)):
        return name[:-1], *said
    attributes = _attributes(brace + rest) if name.rstrip().endswith(":") else None
    return None if attributes is None else (name.rstrip(": ").strip('"'), attributes)


def _take_links(attributes: Attributes) -> Iterator[Link]:
    """The Collector's links: tags `otlp.link.0` and so on, each `trace id|span id|trace state|{attributes}|dropped`."""
    for number in range(_MAX_LINKS):
        value = attributes.get(key := f"otlp.link.{number}")
        parts = value.split("|", 3) if isinstance(value, str) else []
        if len(parts) < 4 or not (said := _counted(parts[3])):
            return
        ids = {"traceId": parts[0], "spanId": parts[1]}
        with suppress(DecodeError):  # no link's: it stays a tag
            yield Link(fields.needed(ids, "traceId", 16), fields.needed(ids, "spanId", 8), parts[2], *said)
            del attributes[key]


def _counted(text: str) -> tuple[Attributes, int] | None:
    """What the Collector writes as `{attributes}|dropped`; None for any other text."""
    content, _, dropped = text.rpartition("|")
    attributes, count = _attributes(content), fields.whole(dropped)
    return None if attributes is None or count is None else (attributes, min(max(count, 0), 2**32 - 1))


def _attributes(text: str) -> Attributes | None:
    """Attributes written as a JSON object; None for any other text."""
    if not text.startswith("{"):
        return None
    try:
        attributes = fields.attribute(json.loads(text))
    except (ValueError, RecursionError):
        return None
    return attributes if isinstance(attributes, dict) else None
