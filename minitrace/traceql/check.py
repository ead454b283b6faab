"""What can be read and yet means nothing: types that do not go together, arguments out of range.

A field has a type: string, bool, int, float, duration, status, kind, nil, or unknown for an attribute, which goes
with everything. Operators take operands of one type; int, float and duration count as one here.

```
&& ||            bool
= !=             any
< <= > >=        numbers, strings
=~ !~            strings; the right one is a literal
+ - * / % ^      numbers
```
"""

from __future__ import annotations

from dataclasses import dataclass

from minitrace.errors import TraceQLError
from minitrace.model import Kind, StatusCode
from minitrace.traceql import hints
from minitrace.traceql.ast import (
    ARITHMETIC,
    LOGIC,
    Aggregate,
    Attribute,
    Binary,
    Compare,
    Duration,
    Field,
    GroupBy,
    Intrinsic,
    MetricsFunction,
    MetricsOperation,
    MetricsPipeline,
    Node,
    Pipeline,
    Query,
    ScalarFilter,
    ScalarPipeline,
    Spanset,
    SpansetFilter,
    SpansetOperation,
    Stage,
    Static,
    Threshold,
    TopK,
    Unary,
    Value,
)
from minitrace.traceql.names import INTRINSICS
from minitrace.traceql.patterns import PatternError, compile_pattern

MAX_GROUPS = 5  # attributes in by() of a metrics function; each one multiplies the series
MAX_TOP = 1_000  # values of an attribute that compare() can show

NUMBERS = frozenset(("int", "float", "duration"))
_TYPES = {
    str: "string", bool: "bool", int: "int", float: "float", Duration: "duration", StatusCode: "status", Kind: "kind",
    type(None): "nil",
}  # fmt: skip
_NEEDS = {
    **dict.fromkeys(LOGIC, frozenset(("bool",))),
    **dict.fromkeys(("<", "<=", ">", ">="), NUMBERS | {"string"}),
    **dict.fromkeys(("=~", "!~"), frozenset(("string",))),
    **dict.fromkeys(ARITHMETIC, NUMBERS),
}
_CALLED = {
    "string": "text", "bool": "a boolean", "int": "a number", "float": "a number", "duration": "a duration",
    "status": "a status", "kind": "a kind", "nil": "no value",
}  # fmt: skip
_SERVICE = Attribute("resource", "service.name")
_MAY_BE_EMPTY = (_SERVICE, *map(Intrinsic, ("name", "statusMessage", "rootName", "rootServiceName", "event:name")))
KNOWN_HINTS = ("most_recent", "exemplars", "sample", "trace_sample", "span_sample", "extrapolate")


@dataclass(frozen=True, slots=True)
class Warning:
    """Something that can be asked, and is probably not meant. `at` are characters of the query."""

    message: str
    at: tuple[int, int]


def check(query: Query, text: str) -> None:
    """Look for what means nothing.

    Raises:
        TraceQLError: it does; `text` is what the query was read from.
    """
    Checker(text).query(query)


def warnings(query: Query) -> list[Warning]:
    """What in a query is probably not meant: attributes with the name of an intrinsic, hints that nothing reads."""
    found = [
        Warning(f"no hint {name}: it is ignored; there are {', '.join(KNOWN_HINTS)}", value.at)
        for name, value in query.hints
        if name not in KNOWN_HINTS
    ]
    attributes = (node for node in query.walk() if isinstance(node, Attribute))
    return [
        Warning(f"{attribute} is an attribute; did you mean {attribute.name}, which every span has?", attribute.at)
        for attribute in attributes
        if attribute.name in INTRINSICS and not attribute.of_parent and attribute.scope in (None, "span", "resource")
    ] + found


class Checker:
    """Checks the parts of one query, from the outside to the inside."""

    def __init__(self, text: str) -> None:
        self.text = text

    def refuse(self, message: str, node: Node) -> TraceQLError:
        return TraceQLError(message, self.text, *node.at)

    def query(self, query: Query) -> None:
        if isinstance(query.root, Pipeline):
            self.pipeline(query.root, is_whole=True)
        else:
            self.metrics(query.root, query.then)

    # Stages

    def pipeline(self, pipeline: Pipeline, is_whole: bool = False) -> None:
        for stage in pipeline.stages:
            self.stage(stage)
            if isinstance(stage, ScalarFilter) and not (is_whole and len(pipeline.stages) == 1):
                self.refuse_inner_pipelines(stage)

    def stage(self, stage: Stage) -> None:
        if isinstance(stage, SpansetFilter | SpansetOperation):
            self.spanset(stage)
        elif isinstance(stage, ScalarFilter):
            self.scalar_filter(stage)
        elif isinstance(stage, GroupBy):
            self.type_of(stage.field)
            if not _reads_span(stage.field):
                raise self.refuse("by() needs something of the span, such as by(resource.service.name)", stage)

    def spanset(self, spanset: Spanset) -> None:
        if isinstance(spanset, Pipeline):
            self.pipeline(spanset)
        elif isinstance(spanset, SpansetOperation):
            self.spanset(spanset.left)
            self.spanset(spanset.right)
        elif spanset.condition is not None:
            self.condition(spanset.condition)

    def condition(self, field: Field) -> None:
        """A field that must be true or false."""
        if isinstance(field, Intrinsic) and field.name.startswith("instrumentation:"):
            return  # as in Tempo; it finds nothing
        found = self.type_of(field)
        if found in ("bool", "unknown"):
            return
        if isinstance(field, Intrinsic):
            raise self.refuse(f"{field} alone is no condition: compare it, as in {field} = …", field)
        raise self.refuse(f"{hints.shortened(str(field))} is {_CALLED[found]}, not a condition", field)

    def scalar_filter(self, stage: ScalarFilter) -> None:
        self.type_of(Binary(stage.operator, stage.left, stage.right, at=stage.at))

    def refuse_inner_pipelines(self, stage: ScalarFilter) -> None:
        for node in stage.walk():
            if isinstance(node, ScalarPipeline):
                raise self.refuse("a comparison of pipelines must be the whole query", node)

    # Fields

    def type_of(self, field: Field) -> str:
        """The type of a field, whose parts must go together."""
        if isinstance(field, Static):
            return _TYPES[type(field.value)]
        if isinstance(field, Attribute):
            return "unknown"
        if isinstance(field, Intrinsic):
            return INTRINSICS[field.name].type
        if isinstance(field, Binary):
            return self.binary(field)
        if isinstance(field, Unary):
            return self.unary(field)
        if isinstance(field, ScalarPipeline):
            self.pipeline(field.pipeline)
            return self.aggregate(field.aggregate)
        return self.aggregate(field)

    def aggregate(self, aggregate: Aggregate) -> str:
        if aggregate.operand is None:
            return "int"
        found = self.type_of(aggregate.operand)
        if found not in NUMBERS and found != "unknown":
            message = f"{aggregate.function}() needs a number: {hints.shortened(str(aggregate.operand))} is"
            raise self.refuse(f"{message} {_CALLED[found]}", aggregate.operand)
        if not _reads_span(aggregate.operand):
            message = f"{aggregate.function}() needs something of the span, such as {aggregate.function}(duration)"
            raise self.refuse(message, aggregate.operand)
        return found

    def unary(self, unary: Unary) -> str:
        found = self.type_of(unary.operand)
        suits = found in NUMBERS if unary.operator == "-" else found == "bool"
        if suits or found == "unknown":
            return found
        wanted = "a number" if unary.operator == "-" else "a condition"
        raise self.refuse(f"{unary.operator} needs {wanted}, not {_CALLED[found]}", unary)

    def binary(self, binary: Binary) -> str:
        left, right = self.type_of(binary.left), self.type_of(binary.right)
        if not _match(left, right):
            raise self.refuse(_mismatch(binary, left, right), binary)
        self.operator(binary, left, right)
        if binary.operator in ("=~", "!~"):
            self.pattern(binary)
        if binary.operator == "=" and "nil" in (left, right):
            self.absence(binary)
        if binary.operator not in ARITHMETIC:
            return "bool"
        return right if left == "unknown" else left

    def operator(self, binary: Binary, left: str, right: str) -> None:
        needed = _NEEDS.get(binary.operator)
        wrong = next((found for found in (left, right) if needed and found not in needed and found != "unknown"), None)
        if wrong is None or needed is None:
            return
        if wrong in ("status", "kind", "nil"):
            message = f"{wrong} has no order: only = and != compare it" if wrong != "nil" else "nil takes only = and !="
        else:
            wanted = " or ".join(sorted({_CALLED[one] for one in needed if one not in ("float", "duration")}))
            message = f"{binary.operator} needs {wanted}, not {_CALLED[wrong]}"
        raise self.refuse(message, binary)

    def pattern(self, binary: Binary) -> None:
        right = binary.right
        if not isinstance(right, Static) or not isinstance(right.value, str):
            raise self.refuse(f'the pattern behind {binary.operator} must be text in quotes, as in "GET|POST"', right)
        try:
            compile_pattern(right.value)
        except PatternError as error:
            raise self.refuse(str(error), right) from None

    def absence(self, binary: Binary) -> None:
        for side in (binary.left, binary.right):
            if isinstance(side, Intrinsic) or side == _SERVICE:
                message = f"every span has {side}, so = nil finds nothing"
                if side in _MAY_BE_EMPTY:
                    message += f': write {side} = "" for an empty one'
                raise self.refuse(message, binary)

    # Metrics

    def metrics(self, root: MetricsPipeline | MetricsOperation, then: tuple[TopK | Threshold, ...] = ()) -> None:
        stack: list[MetricsPipeline | MetricsOperation | Static] = [root]
        for second in then:
            self.second(second)
        while stack:
            node = stack.pop()
            if isinstance(node, MetricsOperation):
                stack += (node.right, node.left)
            elif isinstance(node, Static):
                if isinstance(node.value, Duration):
                    raise self.refuse("series are not calculated with durations: write the number of seconds", node)
            else:
                self.metrics_pipeline(node, is_alone=node is root)

    def metrics_pipeline(self, metrics: MetricsPipeline, is_alone: bool) -> None:
        self.pipeline(metrics.pipeline)
        if isinstance(metrics.function, MetricsFunction):
            self.metrics_function(metrics.function)
        else:
            self.compare(metrics.function)
            if metrics.then or not is_alone:
                raise self.refuse("nothing can be done with the series of compare()", metrics.function)
        for second in metrics.then:
            self.second(second)

    def metrics_function(self, function: MetricsFunction) -> None:
        has_buckets = function.name in ("quantile_over_time", "histogram_over_time", "avg_over_time")
        limit = MAX_GROUPS - has_buckets
        if len(function.by) > limit:
            raise self.refuse(f"by() of {function.name}() takes up to {limit} attributes", function.by[limit])
        for quantile in function.quantiles:
            if not 0 <= quantile <= 1:
                raise self.refuse(f"a quantile is between 0 and 1, not {quantile:g}", function)

    def compare(self, compare: Compare) -> None:
        self.spanset(compare.selection)
        if compare.top_n is not None and not 1 <= compare.top_n <= MAX_TOP:
            raise self.refuse(f"compare() shows 1 to {MAX_TOP} values, not {compare.top_n}", compare)
        if compare.start_ns is not None and compare.end_ns is not None and not 0 < compare.start_ns < compare.end_ns:
            raise self.refuse("compare() needs a start after 0 and an end after the start, in nanoseconds", compare)

    def second(self, second: TopK | Threshold) -> None:
        if isinstance(second, TopK) and second.limit < 1:
            raise self.refuse(f"{second.function}() needs at least 1, not {second.limit}", second)


def _match(left: str, right: str) -> bool:
    return left == right or (left in NUMBERS and right in NUMBERS) or not {"unknown", "nil"}.isdisjoint((left, right))


def _reads_span(field: Field) -> bool:
    return any(isinstance(node, Attribute | Intrinsic) for node in field.walk())


def _mismatch(binary: Binary, left: str, right: str) -> str:
    """Why the operands do not go together, and what was probably meant."""
    shown = hints.shortened(str(binary.left)), hints.shortened(str(binary.right))
    if not isinstance(binary.right, Static) or isinstance(binary.left, Static):
        return f"{shown[0]} is {_CALLED[left]} and {shown[1]} {_CALLED[right]}: they do not go together"
    write = f"write {shown[0]} {binary.operator}"
    value = binary.right.value
    if left in ("status", "kind"):
        return f"{shown[0]} is one of {', '.join(_names(left))}, not {shown[1]}{_keyword(left, value, write)}"
    message = f"{shown[0]} is {_CALLED[left]}, not {_CALLED[right]}"
    if left == "string":
        return f'{message}: {write} "{shown[1]}"'
    if isinstance(value, str) and value[:1].isdigit():
        return f"{message}: {write} {hints.shortened(value)}, without quotes"
    return message


def _names(enum: str) -> list[str]:
    return [one.name.lower() for one in (StatusCode if enum == "status" else Kind)]


def _keyword(enum: str, value: Value, write: str) -> str:
    """The keyword that a number of OTLP, or text, stands for."""
    names = _names(enum)
    if isinstance(value, str) and (near := hints.nearest(value, names)):
        return f": {write} {near}, without quotes"
    return f": {write} {names[value]}" if type(value) is int and 0 <= value < len(names) else ""
