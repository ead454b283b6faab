"""The syntax tree of TraceQL. `str()` of any part of it is TraceQL again, and parses back to the same tree.

```
Query
├── Pipeline            stages, from left to right, each on what the one before let through
│   ├── SpansetFilter   { field }
│   ├── SpansetOperation  spanset && spanset, spanset >> spanset; either may be a Pipeline in parentheses
│   ├── ScalarFilter    count() > 2
│   ├── GroupBy         by(field)
│   ├── Coalesce        coalesce()
│   └── Select          select(attribute, …)
└── Metrics             what gives series over time
    ├── MetricsPipeline   pipeline | rate() by(attribute, …) | topk(3)
    └── MetricsOperation  (metrics) / (metrics), (metrics) * 100

field:  Static, Attribute, Intrinsic, Unary, Binary
scalar: Static, Aggregate, ScalarPipeline, Unary, Binary
```

All parts are immutable and compare by what they say: where they stood in the text, `at`, does not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Union

from minitrace.model import Kind, StatusCode
from minitrace.traceql.names import attribute_text, duration_text, string_text


class Duration(int):
    """Nanoseconds that TraceQL knows to be a duration; as a number it is an int."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Duration({int(self)})"


# What a field of a span can be. None is nil, and what is missing; lists are arrays of one type.
Value = Union[str, bool, int, float, Duration, StatusCode, Kind, None, list["Value"]]  # noqa: UP007 (recursive)

# Binary operators of fields by how tightly they bind; ^ alone groups from the right.
FIELD_PRECEDENCE = {
    "&&": 1, "||": 1,
    "=": 2, "!=": 2, "<": 2, "<=": 2, ">": 2, ">=": 2, "=~": 2, "!~": 2,
    "+": 3, "-": 3,
    "*": 5, "/": 5, "%": 5,
    "^": 6,
}  # fmt: skip
UNARY_PRECEDENCE = {"-": 3, "!": 4}  # -.a * 2 is -(.a * 2); !.a = 1 is (!.a) = 1
COMPARISONS = frozenset(("=", "!=", "<", "<=", ">", ">=", "=~", "!~"))
ARITHMETIC = frozenset(("+", "-", "*", "/", "%", "^"))
LOGIC = frozenset(("&&", "||"))

# Operators of spansets: the structural ones bind more tightly.
SPANSET_PRECEDENCE = {
    "&&": 1, "||": 1,
    ">": 2, ">>": 2, "<": 2, "<<": 2, "~": 2,
    "!>": 2, "!>>": 2, "!<": 2, "!<<": 2, "!~": 2,
    "&>": 2, "&>>": 2, "&<": 2, "&<<": 2, "&~": 2,
}  # fmt: skip
METRICS_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}

MIN_INT, MAX_INT = -(2**63), 2**63 - 1
SCOPES = ("span", "resource", "event", "link", "instrumentation")


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a query. `at` are the characters of the text it was read from, first and behind the last."""

    at: tuple[int, int] = field(default=(0, 0), compare=False, repr=False, kw_only=True)

    def parts(self) -> Iterator[Node]:
        """The nodes directly below this one, from left to right."""
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, Node):
                yield value
            elif isinstance(value, tuple):
                yield from (item for item in value if isinstance(item, Node))

    def walk(self) -> Iterator[Node]:
        """This node and all below it, parents first, from left to right."""
        stack: list[Node] = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(list(node.parts())))


# Fields


@dataclass(frozen=True, slots=True)
class Static(Node):
    """A value that stands in the query. nil is None."""

    value: Value

    def __eq__(self, other: object) -> bool:  # 1, 1.0, true and 1ns are equal in Python, and different queries
        return isinstance(other, Static) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[type, str]:
        return type(self.value), repr(self.value)

    def __str__(self) -> str:
        return static_text(self.value)


@dataclass(frozen=True, slots=True)
class Attribute(Node):
    """``span.http.route``; `scope` is None for ``.http.route``: the span's, else its resource's.

    `of_parent`: of the span that is this one's parent, as in ``parent.span.http.route``.
    """

    scope: str | None
    name: str
    of_parent: bool = False

    def __str__(self) -> str:
        prefix = "parent." if self.of_parent else ""
        scope = f"{self.scope}." if self.scope else ("" if self.of_parent else ".")
        return f"{prefix}{scope}{attribute_text(self.name, in_quotes=self._reads_otherwise())}"

    def _reads_otherwise(self) -> bool:
        """Whether its text without quotes would be a number, or a name in another scope."""
        if self.scope is not None:
            return False
        return self.name.startswith(("span.", "resource.")) if self.of_parent else self.name[:1] in set("0123456789")


@dataclass(frozen=True, slots=True)
class Intrinsic(Node):
    """What every span has: ``duration``, ``kind``. `name` is the canonical one: ``span:kind`` is ``kind``."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """``-field`` or ``!field``."""

    operator: str
    operand: Field

    def __str__(self) -> str:
        is_compound = isinstance(self.operand, Unary | Binary) or str(self.operand).startswith("-")
        return f"{self.operator}({self.operand})" if is_compound else f"{self.operator}{self.operand}"


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """A comparison, arithmetic, or && and || of two fields."""

    operator: str
    left: Field
    right: Field

    def __str__(self) -> str:
        own = FIELD_PRECEDENCE[self.operator]
        from_right = self.operator == "^"
        left, right = _within(self.left, own + from_right), _within(self.right, own + (not from_right))
        return f"{left} {self.operator} {right}"


@dataclass(frozen=True, slots=True)
class Aggregate(Node):
    """``count()``, or ``max(field)`` over the spans of a spanset; min, max, avg and sum."""

    function: str
    operand: Field | None = None

    def __str__(self) -> str:
        return f"{self.function}({'' if self.operand is None else self.operand})"


@dataclass(frozen=True, slots=True)
class ScalarPipeline(Node):
    """``({ … } | count())``: one number for a trace."""

    pipeline: Pipeline
    aggregate: Aggregate

    def __str__(self) -> str:
        return f"({self.pipeline} | {self.aggregate})"


Field = Static | Attribute | Intrinsic | Unary | Binary | Aggregate | ScalarPipeline


# Spansets and stages


@dataclass(frozen=True, slots=True)
class SpansetFilter(Node):
    """``{ field }``: the spans for which it is true; all of them for ``{ }``."""

    condition: Field | None = None

    def __str__(self) -> str:
        return "{ }" if self.condition is None else f"{{ {self.condition} }}"


@dataclass(frozen=True, slots=True)
class SpansetOperation(Node):
    """Two spansets of one trace, joined: ``{ … } && { … }``, ``{ … } >> { … }``."""

    operator: str
    left: Spanset
    right: Spanset

    def __str__(self) -> str:
        own = SPANSET_PRECEDENCE[self.operator]
        return f"{_spanset_within(self.left, own)} {self.operator} {_spanset_within(self.right, own + 1)}"


@dataclass(frozen=True, slots=True)
class ScalarFilter(Node):
    """``count() > 2``: spansets for which the comparison holds."""

    operator: str
    left: Field
    right: Field

    def __str__(self) -> str:
        return f"{self.left} {self.operator} {self.right}"


@dataclass(frozen=True, slots=True)
class GroupBy(Node):
    """``by(field)``: each spanset is split by the values of a field."""

    field: Field

    def __str__(self) -> str:
        return f"by({self.field})"


@dataclass(frozen=True, slots=True)
class Coalesce(Node):
    """``coalesce()``: all spansets of a trace become one."""

    def __str__(self) -> str:
        return "coalesce()"


@dataclass(frozen=True, slots=True)
class Select(Node):
    """``select(span.http.route, name)``: also show these of every span that is found."""

    attributes: tuple[Attribute | Intrinsic, ...]

    def __str__(self) -> str:
        return f"select({_list(self.attributes)})"


@dataclass(frozen=True, slots=True)
class Pipeline(Node):
    """Stages, the first on all spans of a trace. It is in parentheses where it is an operand."""

    stages: tuple[Stage, ...]

    def __str__(self) -> str:
        return " | ".join(map(str, self.stages))


Spanset = SpansetFilter | SpansetOperation | Pipeline
Stage = SpansetFilter | SpansetOperation | ScalarFilter | GroupBy | Coalesce | Select


# Metrics


@dataclass(frozen=True, slots=True)
class MetricsFunction(Node):
    """``rate() by(resource.service.name)``, ``quantile_over_time(duration, 0.5, 0.9)``.

    `name` is rate, count_over_time, or min, max, avg, sum, histogram or quantile and ``_over_time``; all
    but the first two have an `attribute`, and the last one or more `quantiles` from 0 to 1.
    """

    name: str
    attribute: Attribute | Intrinsic | None = None
    quantiles: tuple[float, ...] = ()
    by: tuple[Attribute | Intrinsic, ...] = ()

    def __str__(self) -> str:
        arguments = [] if self.attribute is None else [str(self.attribute)]
        arguments += [static_text(quantile) for quantile in self.quantiles]
        by = f" by({_list(self.by)})" if self.by else ""
        return f"{self.name}({', '.join(arguments)}){by}"


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """``compare({ selection }, top_n, start_ns, end_ns)``: how the selected spans differ from the others."""

    selection: SpansetFilter
    top_n: int | None = None
    start_ns: int | None = None
    end_ns: int | None = None

    def __str__(self) -> str:
        numbers = [str(number) for number in (self.top_n, self.start_ns, self.end_ns) if number is not None]
        return f"compare({', '.join([str(self.selection), *numbers])})"


@dataclass(frozen=True, slots=True)
class TopK(Node):
    """``topk(k)`` or ``bottomk(k)``: at each moment the `limit` largest or smallest series."""

    function: str
    limit: int

    def __str__(self) -> str:
        return f"{self.function}({self.limit})"


@dataclass(frozen=True, slots=True)
class Threshold(Node):
    """``> 10``: only the samples for which this holds. A duration means its seconds."""

    operator: str
    value: Static

    def __str__(self) -> str:
        return f"{self.operator} {self.value}"


@dataclass(frozen=True, slots=True)
class MetricsPipeline(Node):
    """Spans to series. `pipeline` gives the spans, `function` counts them, `then` is applied to the series."""

    pipeline: Pipeline
    function: MetricsFunction | Compare
    then: tuple[TopK | Threshold, ...] = ()

    def __str__(self) -> str:
        return f"{self.pipeline} | {self.function}{_then(self.then)}"


@dataclass(frozen=True, slots=True)
class MetricsOperation(Node):
    """Arithmetic of series that have the same labels, or of series and a number."""

    operator: str
    left: Metrics | Static
    right: Metrics | Static

    def __str__(self) -> str:
        own = METRICS_PRECEDENCE[self.operator]
        return f"{_metrics_within(self.left, own)} {self.operator} {_metrics_within(self.right, own + 1)}"


Metrics = MetricsPipeline | MetricsOperation


@dataclass(frozen=True, slots=True)
class Query(Node):
    """A whole query. `then` is applied to the series of a `MetricsOperation`; `hints` are those of ``with(…)``."""

    root: Pipeline | MetricsPipeline | MetricsOperation
    then: tuple[TopK | Threshold, ...] = ()
    hints: tuple[tuple[str, Static], ...] = ()

    @property
    def is_metrics(self) -> bool:
        """Whether it gives series over time, and not traces."""
        return not isinstance(self.root, Pipeline)

    def hint(self, name: str) -> Value:
        """What ``with(name=…)`` says, None if it says nothing."""
        return dict(self.hints)[name].value if name in dict(self.hints) else None

    def __str__(self) -> str:
        text = f"{self.root}{_then(self.then)}"
        hints = ", ".join(f"{name}={value}" for name, value in self.hints)
        return f"{text} with({hints})" if hints else text


def static_text(value: Value) -> str:
    """A value as it stands in a query. Lists, NaN and infinity cannot."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, StatusCode | Kind):
        return value.name.lower()
    if isinstance(value, Duration):
        return duration_text(value)
    if isinstance(value, str):
        return string_text(value)
    return "minInt" if type(value) is int and value == MIN_INT else repr(value)  # without its sign it is too large


def _within(node: Field, precedence: int) -> str:
    """A field, in parentheses if it binds less tightly than this."""
    if isinstance(node, Binary):
        own = FIELD_PRECEDENCE[node.operator]
    elif isinstance(node, Unary):
        own = UNARY_PRECEDENCE[node.operator]
    elif isinstance(node, Static) and str(node).startswith("-"):
        own = UNARY_PRECEDENCE["-"]
    else:
        return str(node)
    return f"({node})" if own < precedence else str(node)


def _spanset_within(node: Spanset, precedence: int) -> str:
    if isinstance(node, Pipeline):
        return f"({node})"
    if isinstance(node, SpansetOperation) and SPANSET_PRECEDENCE[node.operator] < precedence:
        return f"({node})"
    return str(node)


def _metrics_within(node: Metrics | Static, precedence: int) -> str:
    if isinstance(node, MetricsPipeline):
        return f"({node})"
    if isinstance(node, MetricsOperation) and METRICS_PRECEDENCE[node.operator] < precedence:
        return f"({node})"
    return str(node)


def _then(stages: tuple[TopK | Threshold, ...]) -> str:
    return "".join(f" | {stage}" if isinstance(stage, TopK) else f" {stage}" for stage in stages)


def _list(nodes: tuple[Attribute | Intrinsic, ...]) -> str:
    return ", ".join(map(str, nodes))
