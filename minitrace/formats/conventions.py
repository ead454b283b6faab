"""What only OpenTelemetry's spans have, and the attributes that carry it through formats of other systems.

| attribute                                          | of a span            |
|----------------------------------------------------|----------------------|
| `otel.scope.name`, `otel.scope.version`            | scope                |
| `otel.library.name`, `otel.library.version`        | scope, before 2022   |
| `otel.status_code`, `otel.status_description`      | status               |
| `error`                                            | status               |
| `w3c.tracestate`                                   | trace state          |
| `otel.dropped_attributes_count`, `…events…`, `…links…` | what was dropped |

See https://opentelemetry.io/docs/specs/otel/common/mapping-to-non-otlp/
"""

from __future__ import annotations

from collections.abc import Iterator

from minitrace.formats.fields import whole
from minitrace.model import Attributes, Scope, Span, Status, StatusCode, Value

SCOPE_NAME, SCOPE_VERSION = "otel.scope.name", "otel.scope.version"
STATUS_CODE, STATUS_MESSAGE, ERROR = "otel.status_code", "otel.status_description", "error"
TRACE_STATE = "w3c.tracestate"
DROPPED = {
    "dropped_attributes": "otel.dropped_attributes_count",
    "dropped_events": "otel.dropped_events_count",
    "dropped_links": "otel.dropped_links_count",
}
_LIBRARY_NAME, _LIBRARY_VERSION = "otel.library.name", "otel.library.version"
_CODES = {"OK": StatusCode.OK, "ERROR": StatusCode.ERROR, "UNSET": StatusCode.UNSET}


def status_tags(span: Span) -> Iterator[tuple[str, Value]]:
    """A span's status as tags: none if it is unset."""
    if span.status.code in (StatusCode.OK, StatusCode.ERROR):
        yield STATUS_CODE, StatusCode(span.status.code).name
    if span.is_error:
        yield ERROR, True
    if span.status.message:
        yield STATUS_MESSAGE, span.status.message


def dropped_tags(span: Span) -> Iterator[tuple[str, Value]]:
    """How much of a span was dropped, where something was."""
    for field, key in DROPPED.items():
        if count := getattr(span, field):
            yield key, count


def take_scope(attributes: Attributes) -> Scope:
    """The scope that attributes tell, which leave them."""
    old = _take_text(attributes, _LIBRARY_NAME), _take_text(attributes, _LIBRARY_VERSION)
    new = _take_text(attributes, SCOPE_NAME), _take_text(attributes, SCOPE_VERSION)
    return Scope(*(new if any(new) else old))


def take_status(attributes: Attributes) -> Status:
    """The status that attributes tell, which leave them.

    An `error` with words is the message where nothing else is. It stays an attribute where it was not OpenTelemetry
    that made it.
    """
    said = _CODES.get(_take_text(attributes, STATUS_CODE).upper().removeprefix("STATUS_CODE_"))
    message = _take_text(attributes, STATUS_MESSAGE)
    error = attributes.get(ERROR, False)
    code = (StatusCode.UNSET if error in (False, "false") else StatusCode.ERROR) if said is None else said
    if code != StatusCode.ERROR:
        return Status(code, message)
    if error in (True, "true", ""):
        del attributes[ERROR]
    elif isinstance(error, str) and not message:
        message = error
        if said is not None:
            del attributes[ERROR]
    return Status(code, message)


def take_trace_state(attributes: Attributes) -> str:
    """The trace state that attributes tell, which leave them."""
    return _take_text(attributes, TRACE_STATE)


def take_dropped(attributes: Attributes) -> dict[str, int]:
    """What attributes tell to have been dropped, as fields of `Span`; they leave them."""
    counts = {field: whole(attributes.get(key)) for field, key in DROPPED.items() if key in attributes}
    usable = {field: count for field, count in counts.items() if count is not None and 0 <= count < 2**32}
    for field in usable:
        del attributes[DROPPED[field]]
    return usable


def _take_text(attributes: Attributes, key: str) -> str:
    """A string attribute, which leaves; "" for none, and for another type's, which stays."""
    value = attributes.get(key)
    if not isinstance(value, str):
        return ""
    del attributes[key]
    return value
