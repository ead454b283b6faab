"""Spans to OTLP: for the demo, the HTTP API and every kind of export.

`decode_traces(encode_export(spans))` gives the same spans again, grouped by resource and scope.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minitrace.model import Attributes, Event, Link, Resource, Scope, Span, Value
from minitrace.otlp import messages


def encode_export(spans: Sequence[Span]) -> bytes:
    """The bytes of an ExportTraceServiceRequest; TracesData is the same on the wire."""
    content: bytes = traces_data(spans).SerializeToString()
    return content


def traces_data(spans: Sequence[Span]) -> Any:
    """A TracesData message: spans in their order, under their resource and scope."""
    data = messages.TracesData()
    groups: dict[int, Any] = {}
    scopes: dict[tuple[int, int], Any] = {}
    # Spans of one batch share their Resource and Scope objects; equal ones from elsewhere are merged too.
    resources = _Interned()
    instrumentation = _Interned()
    for span in spans:
        resource, scope = resources.index(span.resource), instrumentation.index(span.scope)
        if resource not in groups:
            groups[resource] = data.resource_spans.add()
            _fill_resource(groups[resource], span.resource)
        if (resource, scope) not in scopes:
            scopes[resource, scope] = groups[resource].scope_spans.add()
            _fill_scope(scopes[resource, scope], span.scope)
        _fill_span(scopes[resource, scope].spans.add(), span)
    return data


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
