"""Series over time: counts, distributions, second stages and arithmetic."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.model import Span
from minitrace.traceql.ast import Attribute, Intrinsic, MetricsFunction, MetricsPipeline, Value
from minitrace.traceql.evaluate import Program
from minitrace.traceql.metrics import (
    Exemplar,
    Range,
    Series,
    Tally,
    bound_of,
    metrics_pipelines,
    quantile,
    run_metrics,
)
from minitrace.traceql.parser import parse
from minitrace.traceql.series import in_order
from tests.samples import T0, span
from tests.traceql.building import SECOND, measured, seconds, table, trace

# Four spans in the first second, none in the next, two in the third
TRACES = [
    trace("a starts=100 took=1ms n=1\n  b starts=200 took=3ms n=2 service=pay", "first"),
    trace("a starts=300 took=5ms n=3.5\n  b starts=1000 took=7ms n=x", "second"),
    trace("a starts=2500 took=100ms n=4 n2=1\nb starts=3000 took=9ms service=pay", "third"),
]
THREE = seconds(0, 3)


# The range


def test_a_range_is_on_whole_steps_and_has_a_bucket_before_its_start() -> None:
    range = Range.aligned(12, 31, 10)
    assert (range.start_ns, range.end_ns) == (10, 40)
    assert range.stamps_ns == [10, 20, 30, 40]
    assert (range.first_ns, range.last_ns) == (1, 40)


@pytest.mark.parametrize(("time_ns", "bucket"), [(0, None), (1, 0), (10, 0), (11, 1), (20, 1), (40, 3), (41, None)])
def test_a_bucket_has_its_right_edge(time_ns: int, bucket: int | None) -> None:
    assert Range(12, 31, 10).bucket(time_ns) == bucket


@pytest.mark.parametrize(("time_ns", "bucket"), [(11, None), (12, 0), (31, 0), (32, None)])
def test_an_instant_range_is_one_bucket_with_both_edges(time_ns: int, bucket: int | None) -> None:
    range = Range(12, 31, 0, is_instant=True)
    assert (range.stamps_ns, range.bucket(time_ns)) == ([31], bucket)


@given(st.integers(0, 10**6), st.integers(0, 10**4), st.integers(1, 500), st.integers(0, 2 * 10**6))
def test_every_time_that_counts_lies_in_the_step_before_its_stamp(
    start: int, length: int, step: int, time: int
) -> None:
    range = Range.aligned(start, start + length, step)
    bucket = range.bucket(time)
    assert (bucket is not None) == (range.first_ns <= time <= range.last_ns)
    if bucket is not None:
        assert range.stamps_ns[bucket] - step < time <= range.stamps_ns[bucket]


# Functions


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("count_over_time()", {"__name__=count_over_time": [0, 4, 0, 2]}),
        ("rate()", {"__name__=rate": [0, 4.0, 0, 2.0]}),
        ("sum_over_time(.n)", {"__name__=sum_over_time": [None, 6.5, None, 4]}),
        ("avg_over_time(.n)", {"__name__=avg_over_time": [None, 6.5 / 3, None, 4.0]}),
        ("min_over_time(.n)", {"__name__=min_over_time": [None, 1, None, 4]}),
        ("max_over_time(.n)", {"__name__=max_over_time": [None, 3.5, None, 4]}),
        ("max_over_time(duration)", {"__name__=max_over_time": [None, 0.007, None, 0.1]}),
        ("sum_over_time(duration)", {"__name__=sum_over_time": [None, 0.016, None, 0.109]}),
        ("min_over_time(traceDuration)", {"__name__=min_over_time": [None, 0.103, None, 0.509]}),
        ("sum_over_time(.missing)", {}),
        ("histogram_over_time(.n)", {"__bucket=2.0": [0, 1, 0, 0], "__bucket=4.0": [0, 0, 0, 1]}),
        ("quantile_over_time(.n, 1)", {"p=1.0": [0, 2.0, 0, 4.0]}),
        ("quantile_over_time(.missing, 0.5)", {}),
        ("count_over_time() by(name)", {"name=a": [0, 2, 0, 1], "name=b": [0, 2, 0, 1]}),
        (
            "count_over_time() by(resource.service.name, .n2)",
            {
                "resource.service.name=pay": [0, 1, 0, 1],
                "resource.service.name=shop": [0, 3, 0, 0],
                "resource.service.name=shop .n2=1": [0, 0, 0, 1],
            },
        ),
        ("rate() by(.n2, .n3)", {".n2=None": [0, 4.0, 0, 1.0], ".n2=1": [0, 0, 0, 1.0]}),
        ("count_over_time() by(kind)", {"kind=internal": [0, 4, 0, 2]}),
        (
            "histogram_over_time(.n) by(name)",
            {"name=a __bucket=4.0": [0, 0, 0, 1], "name=b __bucket=2.0": [0, 1, 0, 0]},
        ),
    ],
)
def test_a_function_gives_these_series(function: str, expected: dict[str, list[Any]]) -> None:
    assert measured(f"{{ }} | {function}", TRACES, THREE) == expected


def test_a_histogram_of_durations_has_bounds_in_seconds() -> None:
    assert measured("{ name = `a` } | histogram_over_time(duration)", TRACES, THREE) == {
        "__bucket=0.001048576": [0, 1, 0, 0],
        "__bucket=0.008388608": [0, 1, 0, 0],
        "__bucket=0.134217728": [0, 0, 0, 1],
    }


def test_only_the_spans_that_a_pipeline_finds_are_counted() -> None:
    query = "{ .n != nil } | by(name) | count() > 0 | count_over_time()"
    assert measured(query, TRACES, THREE) == {"__name__=count_over_time": [0, 4, 0, 1]}


def test_counts_without_groups_are_there_when_nothing_is() -> None:
    assert measured("{ false } | rate()", TRACES, THREE) == {"__name__=rate": [0, 0, 0, 0]}
    assert measured("{ false } | rate() by(name)", TRACES, THREE) == {}


def test_spans_outside_the_range_do_not_count() -> None:
    assert measured("{ } | count_over_time()", TRACES, seconds(2, 2.5, 0.5)) == {"__name__=count_over_time": [0, 1]}


def test_an_instant_rate_is_over_the_whole_range() -> None:
    range = Range(T0, T0 + 4 * SECOND, 0, is_instant=True)
    assert measured("{ } | rate()", TRACES, range) == {"__name__=rate": [1.5]}


def test_values_that_json_cannot_say_are_no_samples() -> None:
    spans = [span("a", attributes={"n": math.inf}), span("b", attributes={"n": math.nan})]
    assert measured("{ } | max_over_time(.n)", [spans], seconds(0, 1)) == {}


# Distributions


@pytest.mark.parametrize(
    ("value", "bound"),
    [(2, 2), (3, 4), (4, 4), (5, 8), (2**62 + 1, 2**63), (1, None), (0, None), (-4, None), (2.5, None), (True, None),
     ("8", None), (None, None)],
)  # fmt: skip
def test_a_value_counts_to_the_power_of_two_at_or_above_it(value: Value, bound: int | None) -> None:
    assert bound_of(value) == bound


@pytest.mark.parametrize(
    ("bounds", "share", "expected"),
    [
        ({}, 0.5, 0),
        ({8: 1}, 0.5, 8),
        ({8: 4}, 0.5, 2**2.5),  # half way from 4 to 8, exponentially
        ({8: 4}, 1, 8),
        ({8: 4}, 0, 2**2.25),  # the first value
        ({2: 1, 16: 2}, 1 / 3, 2),
        ({2: 1, 16: 2}, 2 / 3, 2**2.5),  # from 2 to 16: from the bound before
    ],
)
def test_a_quantile_lies_within_its_power_of_two(bounds: dict[int, int], share: float, expected: float) -> None:
    assert quantile(bounds, share) == pytest.approx(expected)


@given(st.lists(st.integers(2, 2**40), min_size=1), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_grow_and_stay_within_a_factor_of_the_values(values: list[int], one: float, other: float) -> None:
    bounds: dict[int, int] = {}
    for value in values:
        bound = bound_of(value)
        assert bound is not None
        bounds[bound] = bounds.get(bound, 0) + 1
    low, high = quantile(bounds, min(one, other)), quantile(bounds, max(one, other))
    assert min(values) / 2 <= low <= high <= max(values) * 2
    assert quantile(bounds, 1) == max(bounds)


# Second stages


def counted(query: str, **counts: list[int]) -> dict[str, list[Any]]:
    """What a second stage leaves of series with these counts, one a second."""
    spans = [
        span(name, id=f"{name}{second}{at}", start_ms=1000 * second + 1, duration_ms=1000)
        for name, per_second in counts.items()
        for second, count in enumerate(per_second)
        for at in range(count)
    ]
    series = measured(query, [[one] for one in spans], seconds(0, len(next(iter(counts.values())))))
    return {labels: samples[1:] for labels, samples in series.items()}


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("| topk(1)", {"name=a": [5, None], "name=c": [None, 9]}),
        ("| bottomk(1)", {"name=a": [None, 0], "name=c": [1, None]}),
        ("| topk(2)", {"name=a": [5, None], "name=b": [3, 1], "name=c": [None, 9]}),
        ("| topk(3)", {"name=a": [5, 0], "name=b": [3, 1], "name=c": [1, 9]}),
        ("> 3", {"name=a": [5, None], "name=c": [None, 9]}),
        ("= 9", {"name=c": [None, 9]}),
        ("> 3s", {"name=a": [5, None], "name=c": [None, 9]}),
        ("> 99", {}),
        ("> 1 | topk(1)", {"name=a": [5, None], "name=c": [None, 9]}),
    ],
)
def test_second_stages_keep_these_samples(stage: str, expected: dict[str, list[Any]]) -> None:
    series = counted(f"{{ }} | count_over_time() by(name) {stage}", a=[5, 0], b=[3, 1], c=[1, 9])
    assert series == expected


def test_of_equal_samples_those_whose_labels_come_first_are_kept() -> None:
    assert counted("{ } | rate() by(name) | topk(1)", b=[2], a=[2], c=[1]) == {"name=a": [2.0]}


# Arithmetic


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("({ } | count_over_time()) * 2", {"__name__=count_over_time": [16, 2]}),
        ("1 - ({ } | count_over_time())", {"__name__=count_over_time": [-7, 0]}),
        ("10 / ({ name = `a` } | count_over_time())", {"__name__=count_over_time": [2.0, None]}),
        ("({ name = `b` } | rate()) / ({ } | rate())", {"__name__=(rate / rate)": [3 / 8, 1.0]}),
        (
            "({ } | rate() by(name)) / ({ } | count_over_time())",
            {"name=a": [5 / 8, 0.0], "name=b": [3 / 8, 1.0]},
        ),
        (
            "({ } | count_over_time()) - ({ } | count_over_time() by(name))",
            {"name=a": [3, 1], "name=b": [5, 0]},
        ),
        (
            "({ } | rate() by(name)) + ({ name = `b` } | rate() by(name))",
            {"name=b": [6.0, 2.0]},
        ),
        (
            "(({ } | count_over_time() by(name)) + 1) * ({ } | count_over_time() by(name)) | topk(1)",
            {"name=a": [30, None], "name=b": [None, 2]},
        ),
        ("({ } | count_over_time() by(name) > 4) * 10", {"name=a": [50, None]}),
        ("({ } | count_over_time())" + " * 9000000000000000000" * 20, {"__name__=count_over_time": [None, None]}),
    ],
)
def test_series_are_computed_with(query: str, expected: dict[str, list[Any]]) -> None:
    assert counted(query, a=[5, 0], b=[3, 1]) == expected


def test_each_distinct_pipeline_is_counted_once() -> None:
    query = parse("({ .a } | rate() > 1) / ({ .a } | rate()) + ({ .b } | rate())")
    asked: list[MetricsPipeline] = []

    def tally(pipeline: MetricsPipeline) -> Tally:
        asked.append(pipeline)
        return Tally(pipeline.function, THREE)

    run_metrics(query, THREE, tally)
    assert [str(pipeline.pipeline) for pipeline in asked] == ["{ .a }", "{ .b }"]
    assert asked == metrics_pipelines(query)


# Tallies


FUNCTIONS = [
    MetricsFunction("rate"),
    MetricsFunction("count_over_time", by=(Attribute("span", "x"), Intrinsic("name"))),
    *(
        MetricsFunction(f"{name}_over_time", value, by=(Attribute("span", "x"),))
        for name in ("min", "max", "sum", "avg")
        for value in (Attribute("span", "n"), Intrinsic("duration"))
    ),
]
BOUNDING = [
    MetricsFunction("histogram_over_time", Intrinsic("duration"), by=(Attribute("span", "x"),)),
    MetricsFunction("quantile_over_time", Attribute("span", "n"), (0.5, 0.9)),
]


@st.composite
def found_spans(draw: st.DrawFn) -> list[Span]:
    fields = st.fixed_dictionaries(
        {}, optional={"x": st.sampled_from([1, True, "1"]), "n": st.integers(-5, 50) | st.floats(0, 9) | st.just("?")}
    )
    starts = st.lists(st.integers(-500, 3500), max_size=12)
    return [
        span("ab"[at % 2], id=str(at), start_ms=start, duration_ms=at, attributes=draw(fields))
        for at, start in enumerate(draw(starts))
    ]


def key_and_value(function: MetricsFunction, one: Span) -> tuple[tuple[Value, ...], Any]:
    """What a store would read from its columns."""
    fields: dict[str, Any] = {**one.attributes, "name": one.name, "duration": one.duration_ns}
    value = None if function.attribute is None else fields.get(function.attribute.name)
    return tuple(fields.get(by.name) for by in function.by), value


def added(function: MetricsFunction, spans: list[Span]) -> list[Series]:
    tally = Tally(function, THREE)
    root: Any = parse("{ }").root
    tally.add(Program(root).run(spans))
    return tally.series()


@given(spans=found_spans())
@pytest.mark.parametrize("function", FUNCTIONS, ids=str)
def test_spans_counted_elsewhere_give_the_same_series(function: MetricsFunction, spans: list[Span]) -> None:
    tally = Tally(function, THREE)
    for one in sorted(spans, key=lambda one: (one.start_ns, one.span_id)):
        key, value = key_and_value(function, one)
        bucket = THREE.bucket(one.start_ns)
        if bucket is None:
            continue
        if function.attribute is None:
            tally.add_group(key, bucket, 1)
        elif isinstance(value, int | float):
            tally.add_group(key, bucket, 1, value, value, value)
    assert table(tally.series()) == table(added(function, spans))


@given(spans=found_spans())
@pytest.mark.parametrize("function", BOUNDING, ids=str)
def test_values_counted_elsewhere_give_the_same_distribution(function: MetricsFunction, spans: list[Span]) -> None:
    tally = Tally(function, THREE)
    for one in spans:
        key, value = key_and_value(function, one)
        bucket, bound = THREE.bucket(one.start_ns), bound_of(value)
        if bucket is not None and bound is not None:
            tally.add_bounds(key, bucket, bound, 1)
    assert table(tally.series()) == table(added(function, spans))


def test_groups_that_are_added_in_parts_are_one() -> None:
    tally = Tally(MetricsFunction("avg_over_time", Intrinsic("duration")), seconds(0, 1))
    tally.add_group((), 1, 2, 3 * SECOND, 1 * SECOND, 2 * SECOND)
    tally.add_group((), 1, 1, 6 * SECOND, 6 * SECOND, 6 * SECOND)
    assert table(tally.series()) == {"__name__=avg_over_time": [None, 3.0]}


def test_series_are_in_order_of_labels_with_numbers_as_numbers() -> None:
    series = [Series((("x", value),), []) for value in ("b", 10, "a", None, 9)]
    assert [dict(one.labels)["x"] for one in in_order(series)] == [None, 9, 10, "a", "b"]


# Exemplars


def exemplars(function: MetricsFunction, count: int) -> list[Exemplar]:
    tally = Tally(function, seconds(0, 10), count)
    spans = [
        span("a", id=str(at), start_ms=at * 100, duration_ms=250, attributes={"x": 1, "raw": b""}) for at in range(100)
    ]
    root: Any = parse("{ }").root
    tally.add(Program(root).run(spans))
    (series,) = tally.series()
    return series.exemplars


def test_exemplars_are_few_and_spread_over_the_range() -> None:
    found = exemplars(MetricsFunction("rate"), 5)
    assert len(found) == 5
    assert max(one.time_ns for one in found) - min(one.time_ns for one in found) > 6 * SECOND


def test_none_are_kept_unless_they_are_asked_for() -> None:
    assert exemplars(MetricsFunction("rate"), 0) == []


def test_an_exemplar_says_which_span_it_is_and_its_value_in_seconds() -> None:
    first = exemplars(MetricsFunction("max_over_time", Intrinsic("duration")), 1)[0]
    labels = dict(first.labels)
    assert (labels["trace:id"], labels["name"], labels["span.x"]) == ("61207472616365206f66207465737473", "a", 1)
    assert "span.raw" not in labels
    assert (first.value, first.time_ns) == (0.25, T0)
    assert exemplars(MetricsFunction("rate"), 1)[0].value is None


def test_series_by_lists_of_several_types_have_an_order_too() -> None:
    labels: list[Value] = [["x"], [1], [True]]
    series = in_order([Series((("span.k", value),), [1]) for value in labels])
    assert [one.labels[0][1] for one in series] == [["x"], [1], [True]]
