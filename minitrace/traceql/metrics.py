"""The spans that a query finds to series over time.

```
({ .a = 1 } | rate() by(name)) / ({ } | rate()) | topk(3)
 └────┬───┘   └───────┬──────┘ │ └──────┬─────┘   └──┬──┘
   Program          Tally     join     …         apply_stage
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from minitrace.model import Span
from minitrace.traceql.ast import (
    Compare,
    Metrics,
    MetricsFunction,
    MetricsOperation,
    MetricsPipeline,
    Pipeline,
    Query,
    Static,
    Threshold,
    TopK,
)
from minitrace.traceql.evaluate import Program
from minitrace.traceql.series import Exemplar, Range, Series, apply_stage, calculate, each, join
from minitrace.traceql.tally import Tally, bound_of, quantile
from minitrace.traceql.values import Number

__all__ = [
    "Exemplar",
    "Range",
    "Series",
    "Tally",
    "bound_of",
    "metrics",
    "metrics_pipelines",
    "quantile",
    "run_metrics",
]


def metrics_pipelines(query: Query) -> list[MetricsPipeline]:
    """The pipelines whose spans must be counted for a query: of those that count the same, one."""
    found = [node for node in query.walk() if isinstance(node, MetricsPipeline)]
    return list({_counted(pipeline): pipeline for pipeline in found}.values())


def run_metrics(query: Query, range: Range, tally_of: Callable[[MetricsPipeline], Tally]) -> list[Series]:
    """The series of a metrics query over a range. `tally_of` is asked once for each of `metrics_pipelines`."""
    counted = {}
    for pipeline in metrics_pipelines(query):
        tally = tally_of(pipeline)
        assert tally.range == range, "all parts of a query are counted over one range"
        counted[_counted(pipeline)] = tally.series()

    def compute(part: Metrics) -> list[Series]:
        match part:
            case MetricsPipeline():
                return _applied(part.then, counted[_counted(part)])
            case MetricsOperation(operator, Static() as left, right):
                return each(operand(right), partial(calculate, operator, _number(left)))
            case MetricsOperation(operator, left, Static() as right):
                number = _number(right)
                return each(operand(left), lambda sample: calculate(operator, sample, number))
            case MetricsOperation(operator, left, right):
                return join(operator, operand(left), operand(right))

    def operand(part: Metrics | Static) -> list[Series]:
        assert not isinstance(part, Static), "the parser computes what has only numbers"
        return compute(part)

    assert not isinstance(query.root, Pipeline), "it gives spans, not series"
    return _applied(query.then, compute(query.root))


def metrics(query: Query, traces: Iterable[Sequence[Span]], range: Range) -> list[Series]:
    """The series of a metrics query over traces that are in memory."""
    counting = [
        (_counted(pipeline), Program(pipeline.pipeline), Tally(pipeline.function, range))
        for pipeline in metrics_pipelines(query)
    ]
    for spans in traces:
        for _, program, tally in counting:
            tally.add(program.run(spans))
    tallies = {counted: tally for counted, _, tally in counting}
    return run_metrics(query, range, lambda pipeline: tallies[_counted(pipeline)])


def _counted(pipeline: MetricsPipeline) -> tuple[Pipeline, MetricsFunction | Compare]:
    return pipeline.pipeline, pipeline.function


def _number(static: Static) -> Number:
    assert isinstance(static.value, int | float), "check() lets only numbers stand here"
    return static.value


def _applied(stages: Iterable[TopK | Threshold], series: list[Series]) -> list[Series]:
    for stage in stages:
        series = apply_stage(stage, series)
    return series
