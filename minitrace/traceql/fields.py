"""Fields of a query to functions of a row.

A field gives a value; a condition gives true or false. What is missing is None, and no comparison with it holds,
not even ``!=``; where a condition needs a truth (``&&``, ``||``, ``!``) it is false.

A span has many events: a condition on them holds if some event meets it. Conditions that are joined by ``&&`` must
meet on one event, so they are sought together:

```
{ event:name = "retry" && event.attempt > 2 && .a = 1 || event.b = 3 }
  └───────── one event ─────────────────┘                └─ another ┘
```

The same holds for links. Elsewhere, as in ``by(event.x)``, an event's field is that of the first event that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from minitrace.model import Kind, Span, StatusCode
from minitrace.traceql import values
from minitrace.traceql.ast import (
    ARITHMETIC,
    COMPARISONS,
    LOGIC,
    Attribute,
    Binary,
    Duration,
    Field,
    Intrinsic,
    Static,
    Unary,
    Value,
)
from minitrace.traceql.structure import Row
from minitrace.traceql.values import always, compile_test, never

__all__ = ["Condition", "Row", "ValueOf", "compile_condition", "compile_field", "compile_test"]

ValueOf = Callable[[Row], Value]
Condition = Callable[[Row], bool]
_Found = Callable[[Row], Any]  # a ValueOf that may also find bytes and maps: they are there, and nothing else holds

NO_ROOT = "<root span not yet received>"  # Tempo's words


# Values


def compile_field(field: Field) -> ValueOf:
    """A function that gives a row's value of a field; None where it is missing."""
    match field:
        case Static(value):
            return lambda row: value
        case Attribute():
            return _attribute(field)
        case Intrinsic(name):
            return _INTRINSICS[name]
        case Unary("-", operand):
            negated = compile_field(operand)
            return lambda row: values.negate(negated(row))
        case Binary(operator, left, right) if operator in ARITHMETIC:
            left_of, right_of = compile_field(left), compile_field(right)
            return lambda row: values.calculate(operator, left_of(row), right_of(row))
        case Unary() | Binary():
            return compile_condition(field)
    raise TypeError(f"{field} is no field of a span")


def _attribute(field: Attribute) -> ValueOf:
    name = field.name
    if field.of_parent:
        inner = _attribute(Attribute(field.scope, name))
        return lambda row: None if (parent := row.parent) is None else inner(parent)
    return _SCOPES[field.scope](name)


def _unscoped(name: str) -> _Found:
    def value(row: Row) -> Any:
        span = row.span
        own = span.attributes.get(name)
        return span.resource.attributes.get(name) if own is None else own

    return value


def _of_event(name: str) -> _Found:
    def value(row: Row) -> Any:
        if row.event is not None:
            return row.event.attributes.get(name)
        return _first(event.attributes.get(name) for event in row.span.events)

    return value


def _of_link(name: str) -> _Found:
    def value(row: Row) -> Any:
        if row.link is not None:
            return row.link.attributes.get(name)
        return _first(link.attributes.get(name) for link in row.span.links)

    return value


def _first(found: Iterable[Any]) -> Any:
    return next((value for value in found if value is not None), None)


_SCOPES: dict[str | None, Callable[[str], _Found]] = {
    None: _unscoped,
    "span": lambda name: lambda row: row.span.attributes.get(name),
    "resource": lambda name: lambda row: row.span.resource.attributes.get(name),
    "instrumentation": lambda name: lambda row: row.span.scope.attributes.get(name),
    "event": _of_event,
    "link": _of_link,
}
_STATUSES = {code.value: code for code in StatusCode}
_KINDS = {kind.value: kind for kind in Kind}


def trace_id_text(trace_id: bytes) -> str:
    """A trace's id as TraceQL has it: without leading zeros."""
    return trace_id.hex().lstrip("0")


def _event_name(row: Row) -> Value:
    return row.event.name if row.event else _first(event.name for event in row.span.events)


def _time_since_start(row: Row) -> Value:
    events = [row.event] if row.event else row.span.events[:1]
    return Duration(events[0].time_ns - row.span.start_ns) if events else None


def _linked_trace(row: Row) -> Value:
    links = [row.link] if row.link else row.span.links[:1]
    return trace_id_text(links[0].trace_id) if links else None


def _linked_span(row: Row) -> Value:
    links = [row.link] if row.link else row.span.links[:1]
    return links[0].span_id.hex() if links else None


def _of_root(value: Callable[[Span], str]) -> ValueOf:
    return lambda row: NO_ROOT if (root := row.trace.root) is None else value(root)


_INTRINSICS: dict[str, ValueOf] = {
    "duration": lambda row: Duration(row.span.duration_ns),
    "name": lambda row: row.span.name,
    "status": lambda row: _STATUSES.get(row.span.status.code, StatusCode.UNSET),
    "statusMessage": lambda row: row.span.status.message,
    "kind": lambda row: _KINDS.get(row.span.kind, Kind.UNSPECIFIED),
    "rootName": _of_root(lambda root: root.name),
    "rootServiceName": _of_root(lambda root: root.service),
    "traceDuration": lambda row: Duration(row.trace.duration_ns),
    "nestedSetLeft": lambda row: row.left,
    "nestedSetRight": lambda row: row.right,
    "nestedSetParent": lambda row: row.parent_left,
    "trace:id": lambda row: trace_id_text(row.span.trace_id),
    "span:id": lambda row: row.span.span_id.hex(),
    "span:parentID": lambda row: row.span.parent_id.hex(),
    "span:childCount": lambda row: row.child_count,
    "event:name": _event_name,
    "event:timeSinceStart": _time_since_start,
    "link:traceID": _linked_trace,
    "link:spanID": _linked_span,
    "instrumentation:name": lambda row: row.span.scope.name,
    "instrumentation:version": lambda row: row.span.scope.version,
}
_TRACE_IDS, _SPAN_IDS = ("trace:id", "link:traceID"), ("span:id", "span:parentID", "link:spanID")


# Conditions


def compile_condition(field: Field | None) -> Condition:
    """A function that says whether a row meets the condition of a `SpansetFilter`; every row meets none."""
    match field:
        case None:
            return always
        case Binary("||"):
            return _any_of([compile_condition(operand) for operand in operands(field)])
        case Binary("&&"):
            return _conjunction(operands(field))
        case Unary("!", operand) if _is_condition(operand):
            inner = compile_condition(operand)
            return lambda row: not inner(row)
        case _:
            return _conjunction([field])


def _conjunction(fields: list[Field]) -> Condition:
    """All of the fields; those that are about events are met by one event, those about links by one link."""
    alone: list[Condition] = []
    of_events: list[Condition] = []
    of_links: list[Condition] = []
    for field in fields:
        if _is_joined(field):
            alone.append(compile_condition(field))
        elif _is_about("event", field):
            test = _test(field)
            of_events.append(_some_link(test) if _is_about("link", field) else test)
        elif _is_about("link", field):
            of_links.append(_test(field))
        else:
            alone.append(_test(field))
    if of_events:
        alone.append(_some_event(_all_of(of_events)))
    if of_links:
        alone.append(_some_link(_all_of(of_links)))
    return _all_of(alone)


def _some_event(test: Condition) -> Condition:
    return lambda row: any(test(row.with_event(event)) for event in row.span.events)


def _some_link(test: Condition) -> Condition:
    return lambda row: any(test(row.with_link(link)) for link in row.span.links)


def _test(field: Field) -> Condition:
    """Whether a row meets a comparison, or has a field that is true or false, at the event and link it looks at."""
    match field:
        case Binary(operator, left, right) if operator in COMPARISONS:
            return _comparison(operator, left, right)
        case Unary("!", operand):
            negated = compile_field(operand)
            return lambda row: negated(row) is False
    value_of = compile_field(field)
    return lambda row: value_of(row) is True


def _comparison(operator: str, left: Field, right: Field) -> Condition:
    if isinstance(left, Static) and not isinstance(right, Static):
        left, right, operator = right, left, values.FLIPPED[operator]
    value_of = compile_field(left)
    if not isinstance(right, Static):
        other_of = compile_field(right)
        return lambda row: values.compare(operator, value_of(row), other_of(row))
    if right.value is None and operator == "=":
        return never if isinstance(left, Static) else _missing(value_of)  # nil = nil is false, as is nil != nil
    if right.value is None:
        return _present(value_of)
    test = compile_test(operator, _id_text(left, right.value, operator))
    return lambda row: test(value_of(row))


def _present(value_of: ValueOf) -> Condition:
    return lambda row: value_of(row) is not None


def _missing(value_of: ValueOf) -> Condition:
    return lambda row: value_of(row) is None


def _id_text(field: Field, literal: Value, operator: str) -> Value:
    """An id that a field is compared with as the field has it; any case and padding are accepted."""
    if not isinstance(field, Intrinsic) or type(literal) is not str or operator in ("=~", "!~"):
        return literal
    digits = literal.lower().lstrip("0")
    if field.name in _SPAN_IDS:
        return digits and digits.zfill(16)  # "" is the parent of a root
    return digits if field.name in _TRACE_IDS else literal


def _all_of(tests: list[Condition]) -> Condition:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:  # deep conditions are made of pairs: spare them the generator's frame
        first, second = tests
        return lambda row: first(row) and second(row)
    return lambda row: all(test(row) for test in tests)


def _any_of(tests: list[Condition]) -> Condition:
    if len(tests) == 2:
        first, second = tests
        return lambda row: first(row) or second(row)
    return lambda row: any(test(row) for test in tests)


def operands(field: Binary) -> list[Field]:
    """What is joined by the same && or ||, from left to right."""
    found: list[Field] = []
    stack: list[Field] = [field]
    while stack:
        one = stack.pop()
        if isinstance(one, Binary) and one.operator == field.operator:
            stack += [one.right, one.left]
        else:
            found.append(one)
    return found


def _is_condition(field: Field) -> bool:
    """Whether it has a truth of its own, as comparisons have, and attributes have not."""
    if isinstance(field, Unary):
        return field.operator == "!"
    return isinstance(field, Binary) and field.operator not in ARITHMETIC


def _is_joined(field: Field) -> bool:
    """Whether it is made of conditions, which seek events on their own."""
    if isinstance(field, Unary):
        return field.operator == "!" and _is_condition(field.operand)
    return isinstance(field, Binary) and field.operator in LOGIC


def _is_about(scope: str, field: Field) -> bool:
    """Whether a value or comparison names an event, or a link. Conditions that it compares seek their own."""
    match field:
        case Attribute():
            return field.scope == scope
        case Intrinsic(name):
            return name.startswith(f"{scope}:")
        case Unary(_, operand):
            return _is_value_about(scope, operand)
        case Binary(_, left, right):
            return _is_value_about(scope, left) or _is_value_about(scope, right)
    return False


def _is_value_about(scope: str, field: Field) -> bool:
    return not _is_condition(field) and _is_about(scope, field)
