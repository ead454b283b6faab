"""Why a query found nothing: its clauses, each asked alone.

```
of 5 spans, asked for each clause alone:
  name = "SELECT users"  → 0 spans  ← nothing matches this
  status = error         → 1 span   SELECT item
  closest names: SELECT orders, SELECT item
```

The clauses of a filter are what its && joins; of filters joined by an operator, each of these; of a pipeline, its
stages up to the one that lets nothing through. Where each clause alone matches something, it says what meets all but
one of them, and what that has instead. What there is instead of what a clause asks for is told by `alternatives`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial, reduce
from itertools import islice
from typing import NamedTuple

from minitrace import present
from minitrace.analysis.drawing import cells, fitted, one_line
from minitrace.model import Trace
from minitrace.testing.finding import run
from minitrace.testing.reasons.alternatives import alternatives, shown, value_text, values_of
from minitrace.traceql.ast import (
    COMPARISONS,
    LOGIC,
    Aggregate,
    Attribute,
    Binary,
    Field,
    Intrinsic,
    Node,
    Pipeline,
    ScalarFilter,
    ScalarPipeline,
    SpansetFilter,
    SpansetOperation,
    Stage,
    Static,
)
from minitrace.traceql.ast import Spanset as Operand
from minitrace.traceql.evaluate import Program, Spanset, chained
from minitrace.traceql.fields import Row, operands
from minitrace.traceql.parser import parse
from minitrace.traceql.values import known

MOST_LINES = 16
MOST_CLAUSES = 8
NAMED = 3  # of the spans that a clause matches
LONGEST_CLAUSE, LONGEST_NAME = 60, 40
AND = partial(Binary, "&&")
MARK = "← nothing matches this"
RELATIONS = {
    ">": "a child of",
    ">>": "below",
    "<": "the parent of",
    "<<": "above",
    "~": "a sibling of",
}  # of what is found, on the right, to what is on the left


def near_misses(query: str, traces: Sequence[Trace]) -> list[str]:
    """Lines for people on what a query, which finds nothing, nearly finds; [] where nothing helps.

    Raises:
        TraceQLError: it cannot be read.
    """
    root = parse(query).root
    if not isinstance(root, Pipeline) or not any(trace.spans for trace in traces):
        return []
    told = islice(filter(None, _Misses(traces).of_pipeline(root, ())), MOST_LINES)  # no more are made
    return [f"  {present.plain(line)}" for line in dict.fromkeys(told)]


class Clause(NamedTuple):
    """A part of a query, what it finds alone, the names of that, and a remark."""

    text: str
    found: str
    names: str
    mark: str


Stages = tuple[Stage, ...]


class _Misses:
    """Asks the traces for parts of a query. `before` are the stages that something passed."""

    def __init__(self, traces: Sequence[Trace]) -> None:
        self._traces = traces

    def of_pipeline(self, pipeline: Pipeline, before: Stages) -> Iterator[str]:
        """About the first stage that lets nothing through."""
        for stage in pipeline.stages:
            if not self._rows((*before, stage)):
                yield from self._of_spanset(stage, before)
                return
            before = (*before, stage)

    def _of_spanset(self, stage: Stage | Pipeline, before: Stages) -> Iterator[str]:
        match stage:
            case Pipeline():
                yield from self.of_pipeline(stage, before)
            case SpansetFilter(condition) if condition is not None:
                yield from self._of_filter(condition, before)
            case SpansetOperation():
                yield from self._of_operation(stage, before)
            case ScalarFilter():
                yield from self._of_numbers(stage, before)

    # A filter

    def _of_filter(self, condition: Field, before: Stages) -> Iterator[str]:
        joined = condition if isinstance(condition, Binary) and condition.operator in LOGIC else None
        parts = operands(joined) if joined else [condition]
        is_and = joined is not None and joined.operator == "&&"
        found = [self._rows((*before, SpansetFilter(part))) for part in parts]
        if joined:
            yield self._head("clause", before)
            yield from _table([_clause(str(part), rows, not rows) for part, rows in zip(parts, found, strict=True)])
        for at, (part, rows) in enumerate(zip(parts, found, strict=True)):
            others = [*parts[:at], *parts[at + 1 :]] if is_and else []
            nearly = self._rows((*before, SpansetFilter(reduce(AND, others)))) if others else []
            if nearly:
                yield f"without {shown(part)} it would find {_names(nearly)}{_instead(part, nearly)}"
            if not rows:
                yield from alternatives(part, self._rows(before), are_values_told=bool(nearly))

    # Filters joined by operators

    def _of_operation(self, operation: SpansetOperation, before: Stages) -> Iterator[str]:
        first, rest = chained(operation)
        parts = [first, *(operand for _, operand in rest)]
        found = [self._rows(_after(before, part)) for part in parts]
        # What stands to the left of !>> need not match.
        optional = max((at for at, (operator, _) in enumerate(rest) if operator[0] == "!"), default=-1)
        missing = [part for part, rows in list(zip(parts, found, strict=True))[optional + 1 :] if not rows]
        yield self._head("filter", before)
        clauses = [_clause(str(part), rows, part in missing) for part, rows in zip(parts, found, strict=True)]
        yield from _table(clauses)
        for part in dict.fromkeys(missing):
            yield from self._of_spanset(part, before)
        if not missing:
            yield from self._of_relations(first, rest, before)

    def _of_relations(self, left: Operand, rest: Sequence[tuple[str, Operand]], before: Stages) -> Iterator[str]:
        """About the first operator whose sides are there, and stand in another relation than it says."""
        for operator, right in rest:
            joined = SpansetOperation(operator, left, right)
            if not self._rows((*before, joined)):
                yield self._of_relation(joined, before)
                return
            left = joined

    def _of_relation(self, joined: SpansetOperation, before: Stages) -> str:
        relation = joined.operator.lstrip("&!")
        left, right = self._rows(_after(before, joined.left)), self._rows(_after(before, joined.right))
        if not self._rows((*before, replace(joined, operator="&&"))):
            return "no trace has both" if left and right else ""
        if joined.operator[0] == "!":
            return f"each {_names(right)} is {RELATIONS[relation]} a span of the first filter"
        for other in sorted(RELATIONS, key=lambda one: one[0] != relation[0]):
            if rows := self._rows((*before, replace(joined, operator=other))):
                instead = f"{_names(rows)} {_are(rows)} {RELATIONS[other]} {_names(left)}"
                return f"{instead}, not {RELATIONS[relation]} it: {other} would match"
        return f"{_names(right)} {_are(right)} not {RELATIONS[relation]} {_names(left)}"

    # Numbers

    def _of_numbers(self, stage: ScalarFilter, before: Stages) -> Iterator[str]:
        """About a comparison of aggregates: what they are."""
        rows = self._rows(before)
        yield self._head("stage", ())
        numbers = [self._number(one, before) for one in _aggregates(stage)]
        yield from _table(
            [
                _clause(" | ".join(map(str, before)), rows),
                Clause(str(stage), "; ".join(filter(None, numbers)), "", "← this does not hold"),
            ]
        )
        if len(self._traces) > 1:
            yield f"it must hold within one trace; there are {present.integer(len(self._traces))}"

    def _number(self, one: Aggregate | ScalarPipeline, before: Stages) -> str:
        """What an aggregate is, of each spanset."""
        stages = (*before, *one.pipeline.stages) if isinstance(one, ScalarPipeline) else before
        aggregate = one.aggregate if isinstance(one, ScalarPipeline) else one
        itself = ScalarFilter("=", aggregate, aggregate)  # which holds wherever there is a number
        found = [spanset.attributes[str(aggregate)] for spanset in self._spansets((*stages, itself))]
        name = shown(one, LONGEST_CLAUSE)
        if not found:
            return f"{name} is 0" if aggregate.operand is None else f"{name} is not there: no span has a number for it"
        values = list(dict.fromkeys(map(value_text, found)))
        return f"{name} is {', '.join(values[:NAMED])}{' …' if len(values) > NAMED else ''}"

    # Asking

    def _spansets(self, stages: Stages) -> list[Spanset]:
        return run(Program(Pipeline(stages)), self._traces)

    def _rows(self, stages: Stages) -> list[Row]:
        """The spans that stages find, each once."""
        return list({id(row.span): row for spanset in self._spansets(stages) for row in spanset.rows}.values())

    def _head(self, noun: str, before: Stages) -> str:
        spans = present.count(len(self._rows(before)), "span")
        of = f"{spans} found by {' | '.join(map(str, before))}" if before else spans
        return f"of {of}, each {noun} alone matches:"


def _after(before: Stages, spanset: Operand) -> Stages:
    return (*before, *spanset.stages) if isinstance(spanset, Pipeline) else (*before, spanset)


def _clause(text: str, rows: Sequence[Row], is_missing: bool = False) -> Clause:
    return Clause(text, present.count(len(rows), "span"), _names(rows), MARK if is_missing else "")


def _table(clauses: Sequence[Clause]) -> Iterator[str]:
    """The clauses in columns."""
    texts = [one_line(clause.text, LONGEST_CLAUSE) for clause in clauses[:MOST_CLAUSES]]
    widths = max(map(cells, texts)), max(len(clause.found) for clause in clauses)
    for text, clause in zip(texts, clauses, strict=False):
        yield f"  {fitted(text, widths[0])}  → {fitted(clause.found, widths[1])}  {clause.names}{clause.mark}".rstrip()
    if len(clauses) > MOST_CLAUSES:
        yield f"  … {len(clauses) - MOST_CLAUSES} more"


def _names(rows: Iterable[Row]) -> str:
    """The names of spans, those that are there most first."""
    counts = Counter(one_line(row.span.name, LONGEST_NAME) or "(no name)" for row in rows)
    named = [f"{name} ×{count}" if count > 1 else name for name, count in counts.most_common(NAMED)]
    return ", ".join([*named, "…"] if len(counts) > NAMED else named)


def _are(rows: Sequence[Row]) -> str:
    return "is" if len(rows) == 1 else "are"


def _instead(part: Field, rows: Sequence[Row]) -> str:
    """What rows have in the field that a comparison is about."""
    match part:
        case Binary(_, Intrinsic("name"), _):
            return ""  # it was named
        case Binary(operator, (Attribute() | Intrinsic()) as field, Static()) if operator in COMPARISONS:
            values = list(dict.fromkeys(value_text(known(value)) for value in values_of(field, rows)))
            said = ", ".join(values[:NAMED])
            return f", where {shown(field)} is {said}" if values else f", which has no {shown(field)}"
    return ""


def _aggregates(stage: ScalarFilter) -> Iterator[Aggregate | ScalarPipeline]:
    stack: list[Node] = [stage.right, stage.left]
    while stack:
        node = stack.pop()
        if isinstance(node, Aggregate | ScalarPipeline):
            yield node
        else:
            stack.extend(reversed(list(node.parts())))
