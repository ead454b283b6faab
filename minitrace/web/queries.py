"""What a span has, to TraceQL that finds the spans that have it too, or that do not."""

from __future__ import annotations

from math import isfinite

from minitrace.model import UNKNOWN_SERVICE, Kind, Span, StatusCode, Value
from minitrace.traceql.ast import Attribute, Binary, Field, Intrinsic, Pipeline, Query, SpansetFilter, Static
from minitrace.traceql.names import string_text
from minitrace.web.fields import of_service

_SERVICE = Attribute("resource", "service.name")
_ENUMERATED = (Intrinsic("kind"), Intrinsic("status"))
MAX_LENGTH = 1000  # characters of a value; a longer one makes an address that browsers and proxies refuse


def comparison(scope: str | None, key: str, operator: str, value: Value) -> str:
    """``{ span.http.route = "/cart" }``; "" where TraceQL has no word for the value: lists, maps, bytes, NaN."""
    found = condition(Attribute(scope, key), operator, value) if key and value is not None else None
    return _filter(found) if found else ""


def condition(field: Attribute | Intrinsic, operator: str, value: object) -> Field | None:
    """``span.http.route = "/cart"``, or nil for None; None where TraceQL has no word for the value."""
    if field == _SERVICE and operator == "=" and value in (None, UNKNOWN_SERVICE):
        return of_service(UNKNOWN_SERVICE)
    if field in _ENUMERATED and not isinstance(value, Kind | StatusCode):  # a number newer than we are
        return None
    if not isinstance(value, str | bool | int | float | None) or (isinstance(value, float) and not isfinite(value)):
        return None
    if len(str(field)) > MAX_LENGTH or (isinstance(value, str) and len(value) > MAX_LENGTH):
        return None
    return Binary(operator, field, Static(value))


def alike(span: Span) -> str:
    """The spans of the same operation, only those that failed for one that did; "" where its name is too long."""
    if len(span.name) + len(span.service) > MAX_LENGTH:
        return ""
    wanted: Field = Binary("=", Intrinsic("name"), Static(span.name))
    if span.service != UNKNOWN_SERVICE:
        service = Binary("=", Attribute("resource", "service.name"), Static(span.service))
        wanted = Binary("&&", service, wanted)
    if span.is_error:
        wanted = Binary("&&", wanted, Binary("=", Intrinsic("status"), Static(StatusCode.ERROR)))
    return _filter(wanted)


def with_root(service: str, name: str) -> str:
    """The traces whose root is of this service and name."""
    return f"{{ trace:rootService = {string_text(service)} && trace:rootName = {string_text(name)} }}"


def _filter(condition: Field) -> str:
    return str(Query(Pipeline((SpansetFilter(condition),))))
