"""What a span has, to TraceQL that finds the spans that have it too, or that do not."""

from __future__ import annotations

from math import isfinite

from minitrace.model import UNKNOWN_SERVICE, Span, StatusCode, Value
from minitrace.traceql.ast import Attribute, Binary, Field, Intrinsic, Pipeline, Query, SpansetFilter, Static

MAX_LENGTH = 1000  # characters of a value; a longer one makes an address that browsers and proxies refuse


def comparison(scope: str | None, key: str, operator: str, value: Value) -> str:
    """``{ span.http.route = "/cart" }``; "" where TraceQL has no word for the value: lists, maps, bytes, NaN."""
    if not key or not isinstance(value, str | bool | int | float):
        return ""
    if isinstance(value, float) and not isfinite(value):
        return ""
    if len(key) > MAX_LENGTH or (isinstance(value, str) and len(value) > MAX_LENGTH):
        return ""
    return _filter(Binary(operator, Attribute(scope, key), Static(value)))


def alike(span: Span) -> str:
    """The spans of the same operation, only those that failed for one that did; "" where its name is too long."""
    if len(span.name) + len(span.service) > MAX_LENGTH:
        return ""
    condition: Field = Binary("=", Intrinsic("name"), Static(span.name))
    if span.service != UNKNOWN_SERVICE:
        service = Binary("=", Attribute("resource", "service.name"), Static(span.service))
        condition = Binary("&&", service, condition)
    if span.is_error:
        condition = Binary("&&", condition, Binary("=", Intrinsic("status"), Static(StatusCode.ERROR)))
    return _filter(condition)


def _filter(condition: Field) -> str:
    return str(Query(Pipeline((SpansetFilter(condition),))))
