"""Tokens to syntax tree: shapes, places, limits, and errors that show where."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.errors import TraceQLError
from minitrace.model import StatusCode
from minitrace.traceql.ast import (
    Aggregate,
    Attribute,
    Binary,
    Compare,
    Duration,
    Intrinsic,
    MetricsFunction,
    MetricsOperation,
    MetricsPipeline,
    Pipeline,
    Query,
    ScalarFilter,
    ScalarPipeline,
    SpansetFilter,
    SpansetOperation,
    Static,
    Threshold,
    TopK,
)
from minitrace.traceql.parser import parse
from minitrace.traceql.reader import MAX_DEPTH, MAX_NESTING
from tests.traceql.test_corpus import lines

A, B, EVERY = SpansetFilter(Attribute(None, "a")), SpansetFilter(Attribute(None, "b")), SpansetFilter()
RATE = MetricsPipeline(Pipeline((EVERY,)), MetricsFunction("rate"))
ABOVE_1 = ScalarFilter(">", Aggregate("count"), Static(1))


def refusal(query: str) -> TraceQLError:
    with pytest.raises(TraceQLError) as refused:
        parse(query)
    return refused.value


def outcome(query: str) -> Query | TraceQLError:
    try:
        return parse(query)
    except TraceQLError as error:
        return error


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", Query(Pipeline((EVERY,)))),
        (" // nothing", Query(Pipeline((EVERY,)))),
        ("{ } | { .a }", Query(Pipeline((EVERY, A)))),
        ("({ .a } | { .b })", Query(Pipeline((A, B)))),
        ("({ .a }) && ({ .b })", Query(Pipeline((SpansetOperation("&&", A, B),)))),
        (
            "({ .a } | count() > 1) && ({ .b })",
            Query(Pipeline((SpansetOperation("&&", Pipeline((A, ABOVE_1)), Pipeline((B,))),))),
        ),
        (
            "({ .a } | count()) > 1",
            Query(Pipeline((ScalarFilter(">", ScalarPipeline(Pipeline((A,)), Aggregate("count")), Static(1)),))),
        ),
        ("{ } | rate()", Query(RATE)),
        (
            "({ } | rate()) > 2 | topk(3)",
            Query(MetricsPipeline(RATE.pipeline, RATE.function, (Threshold(">", Static(2)), TopK("topk", 3)))),
        ),
        ("({ } | rate()) / 2 > 3", Query(MetricsOperation("/", RATE, Static(2)), (Threshold(">", Static(3)),))),
        (
            "{ } | compare({ .a }, 5, 6, 7)",
            Query(MetricsPipeline(Pipeline((EVERY,)), Compare(A, 5, 6, 7))),
        ),
        (
            "{ } | quantile_over_time(span:duration, 1) by(.a)",
            Query(
                MetricsPipeline(
                    Pipeline((EVERY,)),
                    MetricsFunction("quantile_over_time", Intrinsic("duration"), (1.0,), (Attribute(None, "a"),)),
                )
            ),
        ),
        ("{ } with(a=1) with(b=ok)", Query(Pipeline((EVERY,)), hints=(("b", Static(StatusCode.OK)),))),
    ],
)
def test_a_query_has_this_shape(text: str, query: Query) -> None:
    assert parse(text) == query


@pytest.mark.parametrize("text", ["5b8efff798038103", " 5B8EFFF798038103d269b633813fc60c\n", "1234567890123456"])
def test_a_bare_trace_id_asks_for_that_trace(text: str) -> None:
    condition = Binary("=", Intrinsic("trace:id"), Static(text.strip()))
    assert parse(text) == Query(Pipeline((SpansetFilter(condition),)))


@pytest.mark.parametrize("text", ["5b8efff79803810", "5b8efff798038103d269b633813fc60c0", "5b8efff798038103 > 2"])
def test_other_lengths_are_no_trace_id(text: str) -> None:
    refusal(text)


def test_durations_calculate_as_floats_and_keep_their_type_with_a_sign() -> None:
    assert parse("{ .a = 1s + 1s }") == parse("{ .a = 2000000000.0 }")
    assert Static(Duration(-1_000_000_000)) in set(parse("{ .a = -1s }").walk())


@pytest.mark.parametrize(
    "text", ["1 / 0", "1 % 0", "0. / 0", "1. / 0", "1e308 * 10", "2. ^ 99999", "9 ^ 99999999999", "(0 - 8) ^ .5"]
)
def test_what_has_no_value_is_left_as_it_is(text: str) -> None:
    operators = [node.operator for node in parse(f"{{ .a = {text} }}").walk() if isinstance(node, Binary)]
    assert len(operators) == 2


def test_no_integer_is_beyond_64_bits() -> None:
    assert parse("{ .a = maxInt + 1 }") == parse("{ .a = 9223372036854775808.0 }")


@pytest.mark.parametrize("query", [*lines("valid"), *(line.split(" ⇒ ")[0] for line in lines("canonical"))])
def test_every_part_knows_where_it_stands(query: str) -> None:
    for node in parse(query).walk():
        start, end = node.at
        assert 0 <= start <= end <= len(query)
        for part in node.parts():
            assert start <= part.at[0]
            assert part.at[1] <= end
        if isinstance(node, Attribute) or (isinstance(node, Intrinsic) and start < end != len(query.strip())):
            assert parse(f"{{ {query[start:end]} != nil }}") == parse(f"{{ {node} != nil }}")


@pytest.mark.parametrize(
    "opening", ["{ (", "(", "{ !", "{ -", "{ .a ^ ", "({ } | count() > 1) && (", "-", "count() ^ "]
)
def test_deep_nesting_is_refused_and_not_a_recursion_error(opening: str) -> None:
    prefix, repeated = ("{ ", opening[2:]) if opening.startswith("{ ") else ("", opening)
    assert "nested too deeply" in refusal(prefix + repeated * 300).message


def test_nesting_up_to_the_limit_is_fine() -> None:
    depth = MAX_NESTING - 1
    assert parse("{ " + "(" * depth + ".a" + ")" * depth + " }") == parse("{ .a }")
    assert parse("(" * depth + "{ .a }" + ")" * depth) == parse("{ .a }")


def test_some_two_hundred_conditions_are_fine() -> None:
    query = parse("{ .a = 0" + "".join(f" || .a = {n}" for n in range(1, MAX_DEPTH)) + " }")
    assert parse(str(query)) == query
    assert hash(parse(str(query))) == hash(query)


def test_stages_one_behind_the_other_are_not_deep() -> None:
    query = parse("{ }" + " | { .a && .b } | count() > 1 | by(.c)" * 150)
    assert parse(str(query)) == query


@pytest.mark.parametrize(
    "query",
    [
        "{ .a = 1" + " && .a = 1" * 5000 + " }",
        "{ .a = 1" + " && .a = 1" * 300 + " }",
        "{ }" + " && { }" * 300,
        "({ } | rate())" + " + 1" * 300,
        "{ }" + " | { }" * 3000,
        "{ " + "(" * 30 + ".a" + " && .b)" * 30 + " && .c" * 190 + " }",
        "{ " + "!(" * 31 + ".a" + " && .b" * 190 + ")" * 31 + " }",
        "{ " + ".a = 1 && " * 10_000 + " }",
    ],
)
def test_too_many_operators_are_refused_with_another_way_to_ask(query: str) -> None:
    message = refusal(query).message
    assert '=~ "x|y|z"' in message
    assert "several filters" in message


@pytest.mark.parametrize(
    "query",
    ["(" * 10_000, "{" * 10_000, "{ " + "!" * 10_000, "a " * 20_000, ")" * 60_000, "{ .a = 1 } " * 3_000,
     "{} | " * 12_000, "((((" + "{} && " * 10_000, "{ .a =~ `" + "(" * 50_000 + "` }", "=" * 10**6],
    ids=lambda query: query[:8],
)  # fmt: skip
def test_hostile_queries_are_refused_in_linear_time(query: str) -> None:
    start = time.perf_counter()
    error = refusal(query)
    assert len(str(error)) < 1000
    assert time.perf_counter() - start < 2  # some 20 ms; minutes if it were quadratic


@given(st.lists(st.sampled_from(
    ["{", "}", "(", ")", ".a", "=", ">", "1", '"x"', "&&", ">>", "|", "count", "()", "rate", "by", "!", "-", "name",
     "with", ",", "^", "`", '"', "'", "/*", "//", "\\", "1h", "topk", "foo", "compare", "nil", "error", "."]
), max_size=30).map(" ".join))  # fmt: skip
def test_any_words_are_a_query_or_refused(text: str) -> None:
    found = outcome(text)
    if isinstance(found, TraceQLError):
        assert 0 <= found.start <= found.end <= len(text) + 1
    else:
        assert parse(str(found)) == found


@given(st.sampled_from(lines("valid")), st.data())
def test_a_query_with_one_wrong_character_is_a_query_or_refused(query: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(query)))
    other = data.draw(st.sampled_from(["", " ", "x", "5", ".", '"', "(", ")", "{", "}", "|", "&", "=", "!", ":", "é"]))
    found = outcome(query[:at] + other + query[at + 1 :])
    if isinstance(found, TraceQLError):
        assert 0 < len(found.message) < 300
    else:
        assert parse(str(found)) == found


def test_an_error_draws_the_line_with_a_caret_under_the_place() -> None:
    assert str(refusal('{ .a = 1 &&\n  service.name = "x" }')) == (
        "attributes start with a dot or a scope: write resource.service.name or .service.name\n"
        '    service.name = "x" }\n'
        "    ^^^^^^^^^^^^"
    )


def test_an_unclosed_bracket_is_pointed_at_and_not_the_end() -> None:
    error = refusal("{ .a } | { .b && (.c = 1 }")
    assert (error.start, error.message) == (17, "this ( is not closed before the }")
