"""The spans of one trace to the spansets a query finds in it.

A pipeline starts with one spanset, all spans of the trace, and each stage makes spansets of spansets:

```
{ … }, { … } >> { … }   keeps the spans of each that match; empty spansets vanish
count() > 2             keeps the spansets for which it holds, and notes the number
by(field)               splits each by the values of the field
coalesce()              makes one of all
select(…)               changes nothing but what is shown
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from minitrace.model import Span
from minitrace.traceql import ast, values
from minitrace.traceql.ast import (
    Aggregate,
    Attribute,
    Binary,
    Field,
    Intrinsic,
    Pipeline,
    Query,
    Stage,
    Static,
    Unary,
    Value,
)
from minitrace.traceql.fields import Row, compile_condition, compile_field
from minitrace.traceql.structure import TraceRows, related, union

# What a result says of each span or trace anyway
_SHOWN_ANYWAY = {"name", "duration", "traceDuration", "rootName", "rootServiceName", "trace:id", "span:id"}


@dataclass
class Spanset:
    """Spans of one trace that belong together, in order of start.

    `attributes` are what `by()` and aggregates found: ``{"by(name)": "db", "count()": 3}``; `scalar` is the last
    aggregate's value.
    """

    rows: list[Row]
    attributes: dict[str, Value] = field(default_factory=dict)
    scalar: Value = None

    @property
    def spans(self) -> list[Span]:
        """Its spans."""
        return [row.span for row in self.rows]


Step = Callable[[list[Spanset]], list[Spanset]]
Scalar = Callable[["_Found"], Value]


class Program:
    """A pipeline, compiled once to be run on many traces.

    `shown` are the fields that it names or selects, each once, in order.

    Raises:
        PatternError: a regular expression is none of RE2.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._step = _compile_pipeline(pipeline)
        named = (node for node in pipeline.walk() if isinstance(node, Attribute | Intrinsic))
        self.shown: tuple[Attribute | Intrinsic, ...] = tuple(dict.fromkeys(named))
        self._values = [(_key(one), compile_field(one)) for one in self.shown if str(one) not in _SHOWN_ANYWAY]

    def run(self, spans: Sequence[Span], *, orphans_are_roots: bool = False) -> list[Spanset]:
        """The spansets found in one trace, none of them empty; see `TraceRows` for orphans."""
        rows = TraceRows(spans, orphans_are_roots=orphans_are_roots).rows
        return self._step([Spanset(rows)]) if rows else []

    def values(self, row: Row) -> dict[str, Value]:
        """What is shown of a span that was found, by name without a scope; only what it has.

        Not what a result shows of every span: its name, duration and ids, and its trace's.
        """
        found: dict[str, Value] = {}
        for key, value_of in self._values:
            if key not in found and (value := values.known(value_of(row))) is not None:
                found[key] = value
        return found


def evaluate(query: Query, spans: Sequence[Span]) -> list[Spanset]:
    """The spansets that a query finds in one trace; see `Program` to run it on many."""
    assert isinstance(query.root, Pipeline), "metrics are for metrics.metrics()"
    return Program(query.root).run(spans)


def _key(shown: Attribute | Intrinsic) -> str:
    if isinstance(shown, Intrinsic):
        return shown.name
    return f"parent.{shown.name}" if shown.of_parent else shown.name


# Stages


def _compile_pipeline(pipeline: Pipeline) -> Step:
    steps = [_compile_stage(stage) for stage in pipeline.stages]

    def run(spansets: list[Spanset]) -> list[Spanset]:
        for step in steps:
            if spansets:
                spansets = step(spansets)
        return spansets

    return run


def _compile_stage(stage: Stage | Pipeline) -> Step:
    match stage:
        case Pipeline():
            return _compile_pipeline(stage)
        case ast.SpansetFilter(condition):
            return _filter(condition)
        case ast.SpansetOperation():
            return _operation(stage)
        case ast.ScalarFilter():
            return _scalar_filter(stage)
        case ast.GroupBy():
            return _group_by(stage)
        case ast.Coalesce():
            return lambda spansets: [Spanset(_rows(spansets))]
        case ast.Select():
            return lambda spansets: spansets


def _filter(condition: Field | None) -> Step:
    if condition is None:
        return lambda spansets: spansets
    test = compile_condition(condition)
    return lambda spansets: _with_rows((spanset, list(filter(test, spanset.rows))) for spanset in spansets)


def _operation(operation: ast.SpansetOperation) -> Step:
    """All operands see the same spanset. What `by()` and aggregates say of an operand is dropped."""
    first, rest = chained(operation)
    start, steps = _compile_stage(first), [(operator, _compile_stage(operand)) for operator, operand in rest]

    def find(spanset: Spanset) -> list[Row]:
        rows = _rows(start([spanset]))
        for operator, step in steps:
            rows = _join(operator, rows, _rows(step([spanset])))
        return rows

    return lambda spansets: _with_rows((spanset, find(spanset)) for spanset in spansets)


def chained(operation: ast.SpansetOperation) -> tuple[ast.Spanset, list[tuple[str, ast.Spanset]]]:
    """``a > b > c`` is a, then b and c with the operator before them: long chains need no recursion."""
    rest: list[tuple[str, ast.Spanset]] = []
    first: ast.Spanset = operation
    while isinstance(first, ast.SpansetOperation):
        rest.append((first.operator, first.right))
        first = first.left
    return first, rest[::-1]


def _join(operator: str, left: list[Row], right: list[Row]) -> list[Row]:
    if operator == "||" or (operator == "&&" and left and right):
        return union(left, right)
    return [] if operator == "&&" else related(operator, left, right)


def _group_by(stage: ast.GroupBy) -> Step:
    value_of, key = compile_field(stage.field), str(stage)

    def split(spanset: Spanset) -> Iterable[Spanset]:
        groups: dict[object, Spanset] = {}
        for row in spanset.rows:
            value = values.known(value_of(row))
            identity = values.identity(value)
            if identity not in groups:
                groups[identity] = replace(spanset, rows=[], attributes={**spanset.attributes, key: value})
            groups[identity].rows.append(row)
        return groups.values()

    return lambda spansets: [group for spanset in spansets for group in split(spanset)]


def _with_rows(found: Iterable[tuple[Spanset, list[Row]]]) -> list[Spanset]:
    return [replace(spanset, rows=rows) for spanset, rows in found if rows]


def _rows(spansets: list[Spanset]) -> list[Row]:
    return spansets[0].rows if len(spansets) == 1 else union(*(spanset.rows for spanset in spansets))


# Scalars


@dataclass
class _Found:
    """What the two sides of a scalar filter are computed from, and what they note while they are.

    `spansets` are those that pipelines within the scalars found; they become the result.
    """

    spanset: Spanset
    attributes: dict[str, Value] = field(default_factory=dict)
    spansets: list[Spanset] = field(default_factory=list)


def _scalar_filter(stage: ast.ScalarFilter) -> Step:
    left, right = _compile_scalar(stage.left), _compile_scalar(stage.right)
    has_pipelines = any(isinstance(node, ast.ScalarPipeline) for node in stage.walk())

    def keep(spanset: Spanset) -> Iterable[Spanset]:
        found = _Found(spanset)
        if not values.compare(stage.operator, left(found), right(found)):
            return
        rows = _rows(found.spansets) if has_pipelines else spanset.rows
        scalar = list(found.attributes.values())[-1] if found.attributes else None
        if rows:
            yield Spanset(rows, {**spanset.attributes, **found.attributes}, scalar)

    return lambda spansets: [kept for spanset in spansets for kept in keep(spanset)]


def _compile_scalar(scalar: Field) -> Scalar:
    """A function that gives a number of a spanset; None where there is none."""
    match scalar:
        case Static(value):
            return lambda found: value
        case Aggregate():
            return _aggregate(scalar)
        case ast.ScalarPipeline(pipeline, aggregate):
            return _pipeline_scalar(_compile_pipeline(pipeline), _aggregate_of(aggregate))
        case Unary(_, operand):
            inner = _compile_scalar(operand)
            return lambda found: values.negate(inner(found))
        case Binary(operator, left, right):
            left_of, right_of = _compile_scalar(left), _compile_scalar(right)
            return lambda found: values.calculate(operator, left_of(found), right_of(found))
    raise TypeError(f"{scalar} is no number of a spanset")


def _aggregate(aggregate: Aggregate) -> Scalar:
    compute, key = _aggregate_of(aggregate), str(aggregate)

    def scalar(found: _Found) -> Value:
        value = found.attributes[key] = compute(found.spanset.rows)
        return value

    return scalar


def _pipeline_scalar(step: Step, compute: Callable[[list[Row]], Value]) -> Scalar:
    def scalar(found: _Found) -> Value:
        spansets = step([found.spanset])
        found.spansets += spansets
        return compute(_rows(spansets))

    return scalar


def _aggregate_of(aggregate: Aggregate) -> Callable[[list[Row]], Value]:
    """A function of spans. Where all of them lack a number there is no value, and no comparison holds."""
    if aggregate.operand is None:
        return len
    value_of, reduce = compile_field(aggregate.operand), _REDUCTIONS[aggregate.function]

    def compute(rows: list[Row]) -> Value:
        numbers = [value for row in rows if values.is_number(value := value_of(row))]
        return reduce(numbers) if numbers else None

    return compute


_REDUCTIONS: dict[str, Callable[..., Value]] = {"min": min, "max": max, "sum": values.total, "avg": values.mean}


# What can be said without a trace


def is_never(pipeline: Pipeline) -> bool:
    """Whether a pipeline can find nothing in any trace, such as ``{ false }``, or ``{ 1 = 2 }`` once it is parsed."""
    return any(map(_never_finds, pipeline.stages))


def _never_finds(stage: Stage | Pipeline) -> bool:
    match stage:
        case Pipeline():
            return is_never(stage)
        case ast.SpansetFilter(condition):
            return condition is not None and _never_holds(condition)
        case ast.SpansetOperation("||", left, right):
            return _never_finds(left) and _never_finds(right)
        case ast.SpansetOperation(operator, left, right):
            return _never_finds(right) or (operator[0] != "!" and _never_finds(left))
    return False


def _never_holds(condition: Field) -> bool:
    match condition:
        case Static(value):
            return value is not True
        case Binary("&&", left, right):
            return _never_holds(left) or _never_holds(right)
        case Binary("||", left, right):
            return _never_holds(left) and _never_holds(right)
    return False
