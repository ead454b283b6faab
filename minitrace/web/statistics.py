"""A trace's time by what its spans have in common: their service, name, kind, status or an attribute.

| by                                    | is                                              |
|---------------------------------------|-------------------------------------------------|
| `service`, `name`, `kind`, `status`   | what every span has                             |
| `span.http.route`, `resource.host.id` | an attribute of the span, or of what produced it |
| `http.route`                          | the span's, or else the resource's              |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from minitrace import present
from minitrace.analysis.breakdown import Group, breakdown
from minitrace.analysis.tree import Tree
from minitrace.model import Kind, Span, StatusCode, Value
from minitrace.traceql.ast import Attribute, Binary, Intrinsic, SpansetFilter, Static
from minitrace.web.fields import of_service
from minitrace.web.queries import MAX_LENGTH, comparison
from minitrace.web.span_table import Order, read_order

MAX_GROUPS = 200
ORDERS = ("key", "count", "total", "own", "p50", "p95", "errors")
BY_OWN = Order("own", is_descending=True)
_SCOPES = ("span", "resource", "instrumentation")


@dataclass(frozen=True, slots=True)
class Criterion:
    """What spans are grouped by: `text` as an address has it, `field` in TraceQL, `value` of a span."""

    text: str
    field: Attribute | Intrinsic
    value: Callable[[Span], Value]

    @property
    def attributes(self) -> frozenset[tuple[str, str]]:
        """The scopes and names of the attributes that it looks at."""
        if not isinstance(self.field, Attribute):
            return frozenset()
        scopes = (self.field.scope,) if self.field.scope else ("span", "resource")
        return frozenset((scope, self.field.name) for scope in scopes)

    def key(self, span: Span) -> str | None:
        """The group of a span, as text; None for those without."""
        value = self.value(span)
        return None if value is None else present.value(value)

    def query(self, value: Value) -> str:
        """The TraceQL that finds the spans with this value; "" where it cannot say so."""
        if self.text == "service":
            return str(SpansetFilter(of_service(str(value))))
        if value is None:
            return str(SpansetFilter(Binary("=", self.field, Static(None))))
        if isinstance(self.field, Attribute):
            return comparison(self.field.scope, self.field.name, "=", value)
        literal = _literal(self.field, value)
        return "" if literal is None else str(SpansetFilter(Binary("=", self.field, Static(literal))))


@dataclass(frozen=True, slots=True)
class StatisticsRow:
    """A group, and the query for its spans."""

    group: Group
    query: str


@dataclass(frozen=True, slots=True)
class Statistics:
    """The first `MAX_GROUPS` groups in an order; `own_ns` is that of all, and `total` how many there are."""

    rows: list[StatisticsRow]
    criterion: Criterion
    order: Order
    total: int
    own_ns: int


def statistics(tree: Tree, criterion: Criterion, sort: str = "") -> Statistics:
    """The groups of a trace's spans."""
    groups = breakdown(tree, criterion.key)
    order = read_order(sort, ORDERS, BY_OWN)
    shown = sorted(groups, key=_KEYS[order.name], reverse=order.is_descending)[:MAX_GROUPS]
    values = {criterion.key(node.span): criterion.value(node.span) for node in tree.nodes}
    rows = [StatisticsRow(group, criterion.query(values[group.key])) for group in shown]
    return Statistics(rows, criterion, order, len(groups), sum(group.own_ns for group in groups))


def read_criterion(text: str) -> Criterion:
    """What an address asks for; by service if it does not say."""
    text = text.strip(" ").removeprefix(".")
    if not text or text == "service":
        return Criterion("service", Attribute("resource", "service.name"), lambda span: span.service)
    if text in _INTRINSICS:
        return Criterion(text, Intrinsic(text), _INTRINSICS[text])
    scope, dot, name = text.partition(".")
    if dot and name and scope in _SCOPES:
        return Criterion(text, Attribute(scope, name), _OF_SCOPE[scope](name))
    return Criterion(text, Attribute(None, text), _of_span_or_resource(text))


def _of_span_or_resource(name: str) -> Callable[[Span], Value]:
    def value(span: Span) -> Value:
        own = span.attributes.get(name)
        return span.resource.attributes.get(name) if own is None else own

    return value


def _literal(field: Intrinsic, value: Value) -> str | Kind | StatusCode | None:
    """What every span has as TraceQL writes it; None where it has no word for it."""
    if isinstance(value, str):
        return value if len(value) <= MAX_LENGTH else None
    names = Kind if field.name == "kind" else StatusCode
    return next((name for name in names if name == value), None)


_INTRINSICS: dict[str, Callable[[Span], Value]] = {
    "name": lambda span: span.name,
    "kind": lambda span: span.kind,
    "status": lambda span: span.status.code,
}
_OF_SCOPE: dict[str, Callable[[str], Callable[[Span], Value]]] = {
    "span": lambda name: lambda span: span.attributes.get(name),
    "resource": lambda name: lambda span: span.resource.attributes.get(name),
    "instrumentation": lambda name: lambda span: span.scope.attributes.get(name),
}
_KEYS: dict[str, Callable[[Group], int | str]] = {
    "key": lambda group: group.key or "",
    "count": lambda group: group.count,
    "total": lambda group: group.total_ns,
    "own": lambda group: group.own_ns,
    "p50": lambda group: group.p50_ns,
    "p95": lambda group: group.p95_ns,
    "errors": lambda group: group.error_count,
}
