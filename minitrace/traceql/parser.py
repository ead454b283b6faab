"""Tokens to syntax tree.

```
query       = sequence second* hints*
sequence    = stage ("|" stage)* ["|" metrics]
stage       = spansets | scalars comparison scalars | "by" "(" field ")" | "select" "(" attributes ")"
            | "coalesce" "(" ")"                                  not as the first
spansets    = "{" [field] "}" | "(" sequence ")" | spansets operator spansets
scalars     = number | aggregate | "(" sequence "|" aggregate ")" | "-" scalars | scalars ("+" … "^") scalars
aggregate   = "count" "(" ")" | ("min" | "max" | "avg" | "sum") "(" field ")"

metrics     = ("rate" | "count_over_time") "(" ")" [by] second*
            | ("min" | "max" | "avg" | "sum" | "histogram") "_over_time" "(" attribute ")" [by] second*
            | "quantile_over_time" "(" attribute ("," number)+ ")" [by] second*
            | "compare" "(" "{" [field] "}" ["," integer ["," integer "," integer]] ")"
second      = "|" ("topk" | "bottomk") "(" integer ")" | comparison number
series      = "(" sequence "|" metrics ")" | series ("+" | "-" | "*" | "/") series     one of them may be a number
hints       = "with" "(" word "=" literal ("," word "=" literal)* ")"
```

Operators bind as `ast.FIELD_PRECEDENCE` and `ast.SPANSET_PRECEDENCE` say. `&&` and `||` bind alike and group from
the left: ``{a} || {b} && {c}`` is ``({a} || {b}) && {c}``. One operand with stages in its parentheses wants all in
parentheses: ``({a} | count() > 1) && ({b})``. Spansets, scalars and series share their operators, so outside
braces all three are read by one `expression`, and `_joined` looks at what came out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from minitrace.errors import TraceQLError
from minitrace.traceql import hints
from minitrace.traceql.ast import (
    ARITHMETIC,
    COMPARISONS,
    FIELD_PRECEDENCE,
    METRICS_PRECEDENCE,
    SPANSET_PRECEDENCE,
    Aggregate,
    Attribute,
    Binary,
    Coalesce,
    Compare,
    Duration,
    Field,
    GroupBy,
    Intrinsic,
    Metrics,
    MetricsFunction,
    MetricsOperation,
    MetricsPipeline,
    Pipeline,
    Query,
    ScalarFilter,
    ScalarPipeline,
    Select,
    Spanset,
    SpansetFilter,
    SpansetOperation,
    Stage,
    Static,
    Threshold,
    TopK,
    Unary,
)
from minitrace.traceql.check import check
from minitrace.traceql.folding import folded
from minitrace.traceql.lexer import Token, tokens
from minitrace.traceql.reader import Reader
from minitrace.traceql.values import is_number

_TRACE_ID = re.compile(r"\s*([0-9a-fA-F]{16,32})\s*")
_PRECEDENCE = FIELD_PRECEDENCE | SPANSET_PRECEDENCE
_ORDER = COMPARISONS - {"=~", "!~"}
_A_FILTER = f"a filter such as {hints.EXAMPLE}"

Part = Spanset | Stage | Field | Metrics  # what can stand outside braces


def parse(text: str) -> Query:
    """Read a query. The empty text is ``{ }``, and a bare trace id a search for that trace.

    Raises:
        TraceQLError: it is not a query, or one that cannot mean anything; the error says where and what would do.
    """
    if trace_id := _TRACE_ID.fullmatch(text):
        at = trace_id.span(1)
        condition = Binary("=", Intrinsic("trace:id", at=at), Static(trace_id[1], at=at), at=at)
        return Query(Pipeline((SpansetFilter(condition, at=at),), at=at), at=at)
    parser = Parser(text, tokens(text))
    query = parser.query()
    check(query, text)
    return query


class Parser(Reader):
    """Reads what stands outside braces, too."""

    def query(self) -> Query:
        root = self.root()
        then = self.second_stages() if isinstance(root, MetricsPipeline | MetricsOperation) else ()
        if then and isinstance(root, MetricsPipeline):  # it was in parentheses
            root, then = replace(root, then=root.then + then, at=(root.at[0], self.end)), ()
        found: tuple[tuple[str, Static], ...] = ()
        while self.token.text == "with":
            found = self.with_hints()
        if self.token.kind != "end":
            raise self.unexpected('"|" or the end of the query')
        return Query(root, then, found, at=(0, len(self.text)))

    def root(self) -> Pipeline | Metrics:
        if self.token.kind == "end":
            return Pipeline((SpansetFilter(),))
        part = self.sequence()
        if isinstance(part, Pipeline | MetricsPipeline | MetricsOperation):
            return part
        if isinstance(part, SpansetFilter | SpansetOperation):
            return Pipeline((part,), at=part.at)
        if self.token.kind != "end":
            raise self.unexpected("a comparison such as > 2")
        raise self.uncompared(part)

    def sequence(self) -> Part:
        """Stages and what they end in; a single spanset, scalar or series as it is."""
        start = self.token.start
        first = self.expression()
        if isinstance(first, ScalarFilter | GroupBy | Select) or (self.token.kind == "|" and not _is_series(first)):
            return self.pipeline(self.stage(first), start)
        return first

    def pipeline(self, first: Stage, start: int) -> Part:
        """The stages behind the first one, and what they end in."""
        stages, depth = [first], self.depth
        while self.accept("|"):
            if self.token.text in hints.METRICS:
                return self.metrics(Pipeline(tuple(stages), at=(start, stages[-1].at[1])), start)
            part = self.coalesce() if self.token.text == "coalesce" else self.expression()
            self.depth = depth = max(depth, self.depth)
            if isinstance(part, Aggregate) and self.token.kind == ")" and self.nesting:
                pipeline = Pipeline(tuple(stages), at=(start, stages[-1].at[1]))
                return ScalarPipeline(pipeline, part, at=(start, self.end))
            stages.append(self.stage(part))
        return Pipeline(tuple(stages), at=(start, self.end))

    def stage(self, part: Part) -> Stage:
        """What was read, as a stage."""
        if isinstance(part, SpansetFilter | ScalarFilter | GroupBy | Select | Coalesce):
            return part
        if isinstance(part, SpansetOperation) and not any(isinstance(one, Pipeline) for one in _operands(part)):
            return part
        if isinstance(part, Pipeline | SpansetOperation):
            raise self.error("what follows this by | must stand in its parentheses", part.at)
        if isinstance(part, MetricsPipeline | MetricsOperation):
            raise self.error("series are no stage: calculate with them as in ({ } | rate()) / ({ } | rate())", part.at)
        raise self.uncompared(part)

    def uncompared(self, part: Part) -> TraceQLError:
        if isinstance(part, Static):
            return self.error(f"expected {_A_FILTER}, not a number alone", part.at)
        return self.error(f"expected a comparison such as > 2 after {hints.shortened(str(part))}", part.at)

    def expression(self, minimum: int = 1) -> Part:
        """Spansets, scalars or series whose operators bind at least as tightly as `minimum`."""
        start = self.token.start
        left = self.term()
        while (binds := _PRECEDENCE.get(self.token.kind, 0)) >= minimum and _is_operand(left, self.token.kind):
            sign = self.advance()
            depth = self.depth
            right = self.right_of(sign.kind, self.expression, binds)
            self.deeper(depth)
            left = self.joined(sign, left, right, (start, self.end))
        return self.settled(left) if minimum == 1 else left

    def term(self) -> Part:
        token = self.token
        if token.kind == "{":
            return self.spanset_filter()
        if token.kind == "(":
            return self.group()
        if token.kind == "-":
            return self.prefixed(self.scalar, FIELD_PRECEDENCE["^"])  # -100 * (series) must not be -(100 * series)
        if isinstance(token.node, Static) and is_number(token.node.value):
            self.advance()
            self.depth = 0
            return token.node
        if token.text in hints.AGGREGATES:
            return self.aggregate()
        if token.text == "by":
            return self.group_by()
        if token.text == "select":
            self.advance()
            return Select(self.attributes(), at=(token.start, self.end))
        raise self.unexpected(_A_FILTER)

    def scalar(self, minimum: int) -> Field:
        start = self.token.start
        part = self.expression(minimum)
        if not isinstance(part, Static | Unary | Binary | Aggregate | ScalarPipeline):
            raise self.error("expected a number or an aggregate such as count()", (start, self.end))
        return part

    def spanset_filter(self) -> SpansetFilter:
        start = self.enter("{")
        condition = None if self.token.kind == "}" else self.field()
        self.leave("}", 'an operator or "}"')
        return SpansetFilter(condition, at=(start, self.end))

    def group(self) -> Part:
        """Something in parentheses. Spansets come as a `Pipeline`, which `settled` takes off where it is not needed."""
        start = self.enter("(")
        part = self.sequence()
        self.leave(")", 'an operator, "|" or ")"')
        if isinstance(part, SpansetFilter | SpansetOperation) and _is_plain(part):
            return Pipeline((part,), at=(start, self.end))
        return part

    def aggregate(self) -> Aggregate:
        name = self.advance()
        self.enter("(")
        operand = None if name.text == "count" else self.field()
        self.leave(")", 'an operator or ")"' if operand else '")": count() takes nothing, it counts spans')
        return Aggregate(name.text, operand, at=(name.start, self.end))

    def group_by(self) -> GroupBy:
        start = self.advance().start
        self.enter("(")
        field = self.field()
        self.leave(")", 'an operator or ")"')
        return GroupBy(field, at=(start, self.end))

    def coalesce(self) -> Coalesce:
        start = self.advance().start
        self.enter("(")
        self.leave(")")
        return Coalesce(at=(start, self.end))

    def joined(self, sign: Token, left: Part, right: Part, at: tuple[int, int]) -> Part:
        """Two operands and what is between them, if that means something."""
        kind = sign.kind
        if isinstance(left, _SPANSETS) and isinstance(right, _SPANSETS) and kind in SPANSET_PRECEDENCE:
            return SpansetOperation(kind, left, right, at=at)
        if isinstance(left, _SCALARS) and isinstance(right, _SCALARS) and kind in ARITHMETIC | _ORDER:
            return self.calculated(kind, left, right, at)
        if isinstance(left, _SERIES) and isinstance(right, (*_SERIES, Static)) and kind in METRICS_PRECEDENCE:
            return MetricsOperation(kind, left, right, at=at)
        if isinstance(left, Static) and isinstance(right, _SERIES) and kind in METRICS_PRECEDENCE:
            return MetricsOperation(kind, left, right, at=at)
        message = f"{sign.text} cannot stand between {_called(left)} and {_called(right)}"
        if isinstance(left, _SPANSETS) and isinstance(right, Static) and kind in _ORDER:
            message += f": count the spans with | count() {kind} {right}"
        raise self.error(message, (sign.start, sign.end))

    def calculated(self, kind: str, left: Field, right: Field, at: tuple[int, int]) -> Part:
        if isinstance(left, Static) and isinstance(right, Static):
            if kind in _ORDER:
                raise self.error("only numbers are compared: one side must be an aggregate such as count()", at)
            if Duration in (type(left.value), type(right.value)):
                raise self.error("durations are not calculated with outside braces: write the result", at)
        if kind in _ORDER:
            return ScalarFilter(kind, left, right, at=at)
        return folded(Binary(kind, left, right, at=at))

    def settled(self, part: Part) -> Part:
        """A spanset without the parentheses it does not need.

        Raises:
            TraceQLError: an operand has stages in its parentheses, and another has no parentheses.
        """
        if isinstance(part, SpansetFilter) or not isinstance(part, _SPANSETS):
            return part
        operands = list(_operands(part))
        if all(map(_is_plain, operands)):
            return _unwrapped(part)
        for operand in operands:
            if isinstance(operand, SpansetFilter):
                message = f"the other operand has stages, so this one needs parentheses: ({operand})"
                raise self.error(message, operand.at)
        return part

    # Metrics

    def metrics(self, pipeline: Pipeline, start: int) -> MetricsPipeline:
        depth = self.depth
        function = self.compare() if self.token.text == "compare" else self.metrics_function()
        then = self.second_stages()
        self.depth = max(depth, self.depth)
        return MetricsPipeline(pipeline, function, then, at=(start, self.end))

    def metrics_function(self) -> MetricsFunction:
        name = self.advance()
        self.enter("(")
        attribute = None if name.text in ("rate", "count_over_time") else self.attribute()
        quantiles: list[float] = []
        while name.text == "quantile_over_time" and (not quantiles or self.token.kind == ","):
            self.expect(",", "a comma and a quantile such as 0.9")
            quantiles.append(float(self.number(int, float)))
        self.leave(")", '")"' if attribute else f'")": {name.text}() takes nothing, it counts spans')
        by: tuple[Attribute | Intrinsic, ...] = ()
        if self.token.text == "by":
            self.advance()
            by = self.attributes()
        return MetricsFunction(name.text, attribute, tuple(quantiles), by, at=(name.start, self.end))

    def compare(self) -> Compare:
        name = self.advance()
        self.enter("(")
        selection = self.spanset_filter()
        numbers: list[int] = []
        while len(numbers) < 3 and (self.accept(",") or len(numbers) == 2):
            numbers.append(int(self.number(int)))
        self.leave(")", 'a comma or ")"')
        return Compare(selection, *numbers, at=(name.start, self.end))

    def second_stages(self) -> tuple[TopK | Threshold, ...]:
        found: list[TopK | Threshold] = []
        while self.token.kind == "|" or self.token.kind in _ORDER:
            found.append(self.ranking() if self.token.kind == "|" else self.threshold())
        return tuple(found)

    def ranking(self) -> TopK:
        self.advance()
        if self.token.text not in hints.RANKINGS:
            raise self.unexpected("topk or bottomk")
        name = self.advance()
        self.enter("(")
        limit = int(self.number(int))
        self.leave(")")
        return TopK(name.text, limit, at=(name.start, self.end))

    def threshold(self) -> Threshold:
        sign = self.advance()
        value = self.expression(_PRECEDENCE[sign.kind] + 1)
        if not isinstance(value, Static):
            raise self.error("series are compared with a number, not with more than that", value.at)
        return Threshold(sign.kind, value, at=(sign.start, self.end))

    def number(self, *types: type) -> float:
        """A literal number of one of these types, without a sign."""
        node = self.token.node
        if isinstance(node, Static) and isinstance(node.value, int | float) and type(node.value) in types:
            self.advance()
            return node.value
        raise self.unexpected("a number" if float in types else "a whole number")

    def with_hints(self) -> tuple[tuple[str, Static], ...]:
        self.advance()
        self.enter("(")
        found = [self.hint()]
        while self.accept(","):
            found.append(self.hint())
        self.leave(")", 'a comma or ")"')
        return tuple(found)

    def hint(self) -> tuple[str, Static]:
        name = self.expect("word", "a hint such as most_recent=true").text
        self.expect("=")
        if not isinstance(self.token.node, Static) or self.token.node.value is None:
            raise self.unexpected("a literal")
        return name, self.advance().node  # type: ignore[return-value]


_SPANSETS = (SpansetFilter, SpansetOperation, Pipeline)
_SCALARS = (Static, Unary, Binary, Aggregate, ScalarPipeline)
_SERIES = (MetricsPipeline, MetricsOperation)


def _is_series(part: Part) -> bool:
    return isinstance(part, _SERIES)


def _is_operand(part: Part, sign: str) -> bool:
    """Whether an operator may follow. One that compares a series is a `Threshold`, which is read elsewhere."""
    if isinstance(part, _SERIES):
        return sign not in _ORDER
    return isinstance(part, (*_SPANSETS, *_SCALARS))


def _called(part: Part) -> str:
    if isinstance(part, _SPANSETS):
        return "a filter"
    if isinstance(part, _SERIES):
        return "series"
    if isinstance(part, ScalarFilter):
        return "a comparison"
    return "a number" if isinstance(part, _SCALARS) else "a stage"


def _operands(spanset: Spanset) -> Iterator[SpansetFilter | Pipeline]:
    """What is joined by operators, from left to right."""
    stack: list[Spanset] = [spanset]
    while stack:
        node = stack.pop()
        if isinstance(node, SpansetOperation):
            stack += (node.right, node.left)
        else:
            yield node


def _is_plain(spanset: Spanset) -> bool:
    """Whether it is made of filters alone, without stages."""
    if isinstance(spanset, Pipeline):
        stage = spanset.stages[0]
        return len(spanset.stages) == 1 and isinstance(stage, SpansetFilter | SpansetOperation) and _is_plain(stage)
    return isinstance(spanset, SpansetFilter) or not any(isinstance(one, Pipeline) for one in _operands(spanset))


def _unwrapped(spanset: Spanset) -> SpansetFilter | SpansetOperation:
    """Plain spansets without the pipelines that stand for their parentheses."""
    while isinstance(spanset, Pipeline):
        stage = spanset.stages[0]
        assert isinstance(stage, SpansetFilter | SpansetOperation)
        spanset = stage
    if isinstance(spanset, SpansetFilter):
        return spanset
    return replace(spanset, left=_unwrapped(spanset.left), right=_unwrapped(spanset.right))
