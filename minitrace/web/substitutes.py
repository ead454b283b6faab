"""Spans for readers that do not know every value that OTLP has: with texts in place of the others.

Grafana writes attributes as JSON, which has no NaN, and fails at it; Jaeger's newer UI fails at nil as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from minitrace.model import Attributes, Resource, Scope, Span, Value

Substitute = Callable[[Value], Value]


def finite(value: Value) -> Value:
    """A number that is none as protobuf's JSON writes it, within lists and maps, too."""
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case list():
            return list(map(finite, value))
        case dict():
            return _with(value, finite)
    return value


def typed(value: Value) -> Value:
    """The same, and nil as an empty text."""
    match value:
        case None:
            return ""
        case list():
            return list(map(typed, value))
        case dict():
            return _with(value, typed)
    return finite(value)


def substituted(spans: Iterable[Span], substitute: Substitute) -> Iterator[Span]:
    """The spans with other values, wherever they have any. Those that shared a resource or a scope still do."""
    resources: dict[int, Resource] = {}
    scopes: dict[int, Scope] = {}
    for span in spans:
        resource, scope = resources.get(id(span.resource)), scopes.get(id(span.scope))
        if resource is None:
            resource = replace(span.resource, attributes=_with(span.resource.attributes, substitute))
            resources[id(span.resource)] = resource
        if scope is None:
            scope = replace(span.scope, attributes=_with(span.scope.attributes, substitute))
            scopes[id(span.scope)] = scope
        yield replace(
            span,
            resource=resource,
            scope=scope,
            attributes=_with(span.attributes, substitute),
            events=[replace(event, attributes=_with(event.attributes, substitute)) for event in span.events],
            links=[replace(link, attributes=_with(link.attributes, substitute)) for link in span.links],
        )


def _with(attributes: Attributes, substitute: Substitute) -> Attributes:
    return {key: substitute(value) for key, value in attributes.items()}
