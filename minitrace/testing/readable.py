"""The SDK's ReadableSpan to our Span: what the OTLP exporter would have sent, without the trip.

Reads the SDK's objects by their public attributes and imports none of it. The SDK checks neither names nor times nor
kinds, so a program may have given it anything: what no exporter could send is read as what comes nearest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from minitrace.model import Attributes, Event, Link, Resource, Scope, Span, Status, Value

HAS_IS_REMOTE, IS_REMOTE = 0x100, 0x200  # SpanFlags of trace.proto

Part = TypeVar("Part", Resource, Scope)


class Reader:
    """Reads spans; those of one resource, or scope, share one object."""

    def __init__(self) -> None:
        self._resources: dict[int, tuple[Any, Resource]] = {}  # by identity: the SDK hashes a resource by its JSON
        self._scopes: dict[int, tuple[Any, Scope]] = {}

    def span(self, readable: Any) -> Span:
        """One ended span of the SDK, as it would be decoded from OTLP."""
        context = readable.context
        parent = readable.parent
        status = readable.status
        return Span(
            trace_id=context.trace_id.to_bytes(16, "big"),
            span_id=context.span_id.to_bytes(8, "big"),
            parent_id=parent.span_id.to_bytes(8, "big") if parent else b"",
            name=_text(readable.name),
            start_ns=int(readable.start_time or 0),
            end_ns=int(readable.end_time or 0),
            kind=readable.kind.value + 1 if readable.kind else 0,  # the SDK counts from INTERNAL, OTLP from UNSPECIFIED
            status=Status(status.status_code.value, _text(status.description or "")),
            attributes=read_attributes(readable.attributes),
            events=[_event(event) for event in readable.events],
            links=[_link(link) for link in readable.links],
            trace_state=_trace_state(context),
            flags=_flags(parent),
            dropped_attributes=readable.dropped_attributes,
            dropped_events=readable.dropped_events,
            dropped_links=readable.dropped_links,
            resource=self._shared(self._resources, readable.resource, _resource),
            scope=self._shared(self._scopes, readable.instrumentation_scope, _scope),
        )

    def _shared(self, known: dict[int, tuple[Any, Part]], source: Any, read: Callable[[Any], Part]) -> Part:
        if id(source) not in known:
            known[id(source)] = source, read(source)  # the source is kept, or its id would be another's some day
        return known[id(source)][1]


def _resource(resource: Any) -> Resource:
    return Resource(read_attributes(resource.attributes), schema_url=resource.schema_url or "")


def _scope(scope: Any) -> Scope:
    if scope is None:
        return Scope()
    attributes = getattr(scope, "attributes", None)  # since SDK 1.25
    return Scope(scope.name or "", scope.version or "", read_attributes(attributes), schema_url=scope.schema_url or "")


def read_attributes(attributes: Mapping[str, Any] | None) -> Attributes:
    """Attributes as plain values, tuples as lists, without those that exporters cannot send."""
    return {_text(key): _value(value) for key, value in attributes.items() if _fits(value)} if attributes else {}


def _fits(value: Any) -> bool:
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def _value(value: Any) -> Value:
    match value:
        case str():
            return _text(value)
        case bool() | int() | float() | bytes() | None:
            return value
        case Mapping():
            return {str(key): _value(item) for key, item in value.items()}
        case Sequence():
            return [_value(item) for item in value]
        case _:
            return str(value)


def _text(text: Any) -> str:
    """A plain string, also of an enum's; half a surrogate pair cannot be stored, and is a question mark."""
    if not isinstance(text, str):
        return _text(str(text))
    return str.__str__(text) if text.isascii() else text.encode(errors="replace").decode()


def _event(event: Any) -> Event:
    return Event(int(event.timestamp), _text(event.name), read_attributes(event.attributes), _dropped(event))


def _link(link: Any) -> Link:
    context = link.context
    return Link(
        context.trace_id.to_bytes(16, "big"),
        context.span_id.to_bytes(8, "big"),
        attributes=read_attributes(link.attributes),
        dropped_attributes=_dropped(link),
        flags=_flags(context),
    )


def _dropped(thing: Any) -> int:
    return getattr(thing, "dropped_attributes", 0)


def _flags(context: Any) -> int:
    return HAS_IS_REMOTE | (IS_REMOTE if context is not None and context.is_remote else 0)


def _trace_state(context: Any) -> str:
    return ",".join(f"{key}={value}" for key, value in context.trace_state.items()) if context.trace_state else ""
