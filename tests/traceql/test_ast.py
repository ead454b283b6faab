"""The text of any syntax tree is a query, and that query the tree."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minitrace.model import Kind, StatusCode
from minitrace.traceql import ast
from minitrace.traceql.ast import (
    MAX_INT,
    MIN_INT,
    SCOPES,
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
    SpansetFilter,
    SpansetOperation,
    Stage,
    Static,
    Threshold,
    TopK,
    Unary,
)
from minitrace.traceql.folding import folded
from minitrace.traceql.lexer import tokens
from minitrace.traceql.names import INTRINSICS
from minitrace.traceql.parser import Parser, parse

floats = st.floats(allow_nan=False, allow_infinity=False)
durations = st.integers(-MAX_INT, MAX_INT).map(Duration)
ORDER = sorted(ast.COMPARISONS - {"=~", "!~"})

statics = st.one_of(
    st.text(max_size=8), st.booleans(), st.integers(MIN_INT, MAX_INT), floats, durations,
    st.sampled_from(StatusCode), st.sampled_from(Kind), st.none(),
).map(Static)  # fmt: skip
names = st.one_of(
    st.text(min_size=1, max_size=8), st.from_regex(r"(span\.|resource\.|[0-9])?[a-z.\-/]+", fullmatch=True)
)
attributes = st.one_of(
    st.builds(Attribute, st.sampled_from([None, *SCOPES]), names),
    st.builds(Attribute, st.sampled_from([None, "span", "resource"]), names, st.just(True)),
    st.sampled_from(sorted(INTRINSICS)).map(Intrinsic),
)
attribute_lists = st.lists(attributes, min_size=1, max_size=3).map(tuple)


def operations(operators: list[str], operands: st.SearchStrategy[Field]) -> st.SearchStrategy[Field]:
    return st.builds(Binary, st.sampled_from(operators), operands, operands).map(folded)


field = st.recursive(
    statics | attributes,
    lambda inner: st.one_of(
        operations(sorted(ast.FIELD_PRECEDENCE), inner),
        st.builds(Unary, st.sampled_from("-!"), inner).map(folded),
    ),
    max_leaves=8,
)
filters = st.builds(SpansetFilter, st.none() | field)
spansets = st.recursive(
    filters,
    lambda inner: st.builds(SpansetOperation, st.sampled_from(sorted(ast.SPANSET_PRECEDENCE)), inner, inner),
    max_leaves=5,
)

aggregates = st.just(Aggregate("count")) | st.builds(Aggregate, st.sampled_from(["min", "max", "avg", "sum"]), field)
numbers = st.one_of(st.integers(MIN_INT, MAX_INT), floats).map(Static)


def scalars(leaves: st.SearchStrategy[Field]) -> st.SearchStrategy[Field]:
    """Calculations with at least one of `leaves`; each of them on the left, numbers also on the right."""
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(Binary, st.sampled_from("+-*/%^"), inner, inner | numbers),
            st.builds(Binary, st.sampled_from("+-*/%^"), numbers, inner),
            st.builds(Unary, st.just("-"), inner),
        ),
        max_leaves=4,
    )


def comparisons(leaves: st.SearchStrategy[Field]) -> st.SearchStrategy[ScalarFilter]:
    literals = numbers | durations.map(Static)
    return st.builds(ScalarFilter, st.sampled_from(ORDER), scalars(leaves), scalars(leaves) | literals) | st.builds(
        ScalarFilter, st.sampled_from(ORDER), literals, scalars(leaves)
    )


first_stages: st.SearchStrategy[Stage] = st.one_of(
    spansets, comparisons(aggregates), st.builds(GroupBy, field), st.builds(Select, attribute_lists)
)
pipelines = st.builds(
    lambda first, more: Pipeline((first, *more)),
    first_stages,
    st.lists(first_stages | st.just(Coalesce()), max_size=2),
)
several_stages = st.builds(lambda pipeline, last: Pipeline((*pipeline.stages, last)), pipelines, first_stages)
joined_pipelines = st.recursive(
    several_stages,
    lambda inner: st.builds(SpansetOperation, st.sampled_from(sorted(ast.SPANSET_PRECEDENCE)), inner, inner),
    max_leaves=4,
)
whole_pipelines = st.one_of(
    pipelines,
    joined_pipelines.map(lambda joined: joined if isinstance(joined, Pipeline) else Pipeline((joined,))),
    comparisons(st.builds(ScalarPipeline, pipelines, aggregates)).map(lambda scalar: Pipeline((scalar,))),
)

functions = st.one_of(
    st.builds(MetricsFunction, st.sampled_from(["rate", "count_over_time"]), by=st.just(()) | attribute_lists),
    st.builds(MetricsFunction, st.sampled_from(["min_over_time", "histogram_over_time"]), attributes,
              by=st.just(()) | attribute_lists),
    st.builds(MetricsFunction, st.just("quantile_over_time"), attributes,
              st.lists(st.floats(0, 1), min_size=1, max_size=3).map(tuple)),
    st.builds(Compare, filters, st.none() | st.integers(0, 99)),
    st.builds(Compare, filters, st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)),
)  # fmt: skip
second_stages = st.lists(
    st.builds(TopK, st.sampled_from(["topk", "bottomk"]), st.integers(0, 99))
    | st.builds(Threshold, st.sampled_from(ORDER), numbers | durations.map(Static)),
    max_size=2,
).map(tuple)
series: st.SearchStrategy[Metrics] = st.recursive(
    st.builds(MetricsPipeline, pipelines, functions, second_stages),
    lambda inner: (
        st.builds(MetricsOperation, st.sampled_from("+-*/"), inner, inner | numbers)
        | st.builds(MetricsOperation, st.sampled_from("+-*/"), numbers, inner)
    ),
    max_leaves=3,
)
literals = statics.filter(lambda static: static.value is not None and not str(static).startswith("-"))
hints = st.lists(st.tuples(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), literals), max_size=2).map(tuple)


def query_of(
    root: Pipeline | Metrics, then: tuple[TopK | Threshold, ...], hints: tuple[tuple[str, Static], ...]
) -> Query:
    return Query(root, then if isinstance(root, MetricsOperation) else (), hints)


queries = st.builds(query_of, whole_pipelines | series, second_stages, hints)


@given(queries)
def test_the_text_of_a_tree_is_read_back_as_that_tree(query: Query) -> None:
    text = str(query)
    assert Parser(text, tokens(text)).query() == query


@given(queries)
def test_equal_trees_have_equal_hashes_and_texts(query: Query) -> None:
    again = Parser(str(query), tokens(str(query))).query()
    assert hash(again) == hash(query)
    assert str(again) == str(query)


def test_places_do_not_count_when_trees_are_compared() -> None:
    assert parse("{.a=1}") == parse("  { .a  =  1 }")


def test_literals_of_other_types_are_other_literals() -> None:
    found = {Static(1), Static(1.0), Static(True), Static(Duration(1)), Static(StatusCode.OK), Static(Kind.INTERNAL)}
    assert len(found) == 6


def test_a_walk_meets_parents_first_and_goes_from_left_to_right() -> None:
    texts = [str(node) for node in parse("{ .a = 1 } && { .b } | max(.c) > 2").walk()][2:]
    assert texts == [
        "{ .a = 1 } && { .b }", "{ .a = 1 }", ".a = 1", ".a", "1", "{ .b }", ".b", "max(.c) > 2", "max(.c)", ".c", "2",
    ]  # fmt: skip


def test_a_hint_is_known_by_its_name() -> None:
    query = parse("{ } with(most_recent=true, exemplars=5)")
    assert (query.hint("most_recent"), query.hint("exemplars"), query.hint("sample")) == (True, 5, None)
