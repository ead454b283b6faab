"""What pipelines find in a trace."""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.model import Kind, StatusCode
from minitrace.traceql.ast import Attribute, Duration, Intrinsic, Pipeline, ScalarFilter, Static, Value
from minitrace.traceql.evaluate import Program, is_never
from minitrace.traceql.parser import parse
from minitrace.traceql.structure import TraceRows
from tests.samples import span
from tests.traceql.building import found, spansets, trace

SHOP = trace("""
checkout took=100ms
  charge service=pay a=1 took=30ms status=error
    db service=pay a=3 b=0.5 took=20ms kind=client
  ship a=2 took=40ms
    db a=4 b=1.5 took=10ms kind=client
""")


def attributes(query: str) -> list[dict[str, Value]]:
    return [spanset.attributes for spanset in spansets(query, SHOP)]


def program(query: str) -> Program:
    root = parse(query).root
    assert isinstance(root, Pipeline)
    return Program(root)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("{ }", "checkout charge db ship db"),
        ("{ .a > 1 }", "db ship db"),
        ("{ .a > 1 } | { .b > 1 }", "db"),
        ("{ .a = 4 } || { .a = 1 }", "charge db"),  # in order of start
        ("{ .a > 1 } && { .a < 3 }", "charge db ship db"),  # each span once
        ("{ .a > 1 } && { .a > 9 }", ""),
        ("{ .a > 9 } || { .a > 1 }", "db ship db"),
        ("{ .a = 9 }", ""),
        ("{ name = `checkout` } > { } > { .b > 1 }", "db"),
        ("{ } | { .a > 9 } | count() = 0", ""),
        ("{ .a > 0 } | select(name, .b)", "charge db ship db"),
    ],
)
def test_a_pipeline_finds_these_spans(query: str, names: str) -> None:
    assert found(query, SHOP) == names


def test_no_spans_give_no_spansets() -> None:
    assert spansets("{ }", []) == []


# Aggregates


@pytest.mark.parametrize(
    ("query", "key", "value"),
    [
        ("{ } | count() = 5", "count()", 5),
        ("{ } | sum(.a) = 10", "sum(.a)", 10),
        ("{ } | avg(.a) = 2.5", "avg(.a)", 2.5),
        ("{ } | min(.b) < 1", "min(.b)", 0.5),
        ("{ } | max(.a) >= 4", "max(.a)", 4),
        ("{ } | max(duration) = 100ms", "max(duration)", Duration(100_000_000)),
        ("{ .a > 0 } | avg(duration) = 25ms", "avg(duration)", Duration(25_000_000)),
        ("{ } | sum(.a * 2) > 0", "sum(.a * 2)", 20),
        ("{ } | 4 < count()", "count()", 5),
        ("count() > 1", "count()", 5),
    ],
)
def test_an_aggregate_is_noted_with_its_type(query: str, key: str, value: Value) -> None:
    (spanset,) = spansets(query, SHOP)
    assert spanset.attributes == {key: value}
    assert spanset.scalar == value
    assert type(spanset.scalar) is type(value)


@pytest.mark.parametrize("query", ["{ } | avg(.missing) != 0", "{ } | max(.service.name) != 0", "{ } | count() > 5"])
def test_a_spanset_without_the_number_drops(query: str) -> None:
    assert spansets(query, SHOP) == []


def test_aggregates_can_be_computed_with_and_compared() -> None:
    assert attributes("{ } | max(.a) - min(.a) = 3") == [{"max(.a)": 4, "min(.a)": 1}]
    assert attributes("{ } | sum(.b) < max(.a)") == [{"sum(.b)": 2.0, "max(.a)": 4}]
    assert attributes("{ } | -max(.a) = -4") == [{"max(.a)": 4}]
    assert attributes("{ } | count() / 0 > 0") == []


def test_the_last_aggregate_is_the_scalar_and_earlier_ones_stay_noted() -> None:
    (spanset,) = spansets("{ } | count() > 1 | max(.a) > 1", SHOP)
    assert (spanset.scalar, spanset.attributes) == (4, {"count()": 5, "max(.a)": 4})


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("({ .a > 2 } | count()) = ({ .b > 0 } | count())", "db db"),
        ("({ .a < 3 } | count()) >= ({ .b > 0 } | count())", "charge db ship db"),
        ("({ .a < 3 } | max(duration)) > 1s", ""),
        ("({ .a < 3 } | max(duration)) > 1ms", "charge ship"),
        ("({ .a > 2 } | count()) > ({ .a > 9 } | count())", "db db"),  # nothing counts 0
        ("({ .a > 2 } | count()) > ({ .a > 9 } | max(.a))", ""),  # nothing has no largest
    ],
)
def test_numbers_of_two_pipelines_compare_and_their_spans_are_found(query: str, names: str) -> None:
    assert found(query, SHOP) == names


def test_a_field_of_a_span_is_no_number_of_a_spanset() -> None:
    with pytest.raises(TypeError, match=r"\.a"):
        Program(Pipeline((ScalarFilter("=", Attribute(None, "a"), Static(1)),)))


# by() and coalesce()


def test_by_splits_by_value_and_what_lacks_it_is_one_group() -> None:
    assert found("{ } | by(.a > 2)", SHOP) == "checkout charge ship | db db"
    assert attributes("{ name != `db` } | by(.a)") == [{"by(.a)": None}, {"by(.a)": 1}, {"by(.a)": 2}]


def test_by_again_splits_further_and_counts_are_per_group() -> None:
    assert attributes("{ } | by(resource.service.name) | by(kind) | count() > 1") == [
        {"by(resource.service.name)": "shop", "by(kind)": Kind.INTERNAL, "count()": 2},
    ]


def test_by_tells_values_of_different_types_apart() -> None:
    spans = [span(str(at), attributes={"x": value}) for at, value in enumerate([1, 1.0, True, "1", [1], b"1", {}])]
    assert [len(spanset.rows) for spanset in spansets("{ } | by(.x)", spans)] == [1, 1, 1, 1, 1, 2]


def test_coalesce_makes_one_spanset_and_forgets_what_was_noted() -> None:
    (spanset,) = spansets("{ } | by(name) | count() > 1 | coalesce()", SHOP)
    assert ([one.name for one in spanset.spans], spanset.attributes, spanset.scalar) == (["db", "db"], {}, None)


def test_later_filters_keep_what_was_noted() -> None:
    (spanset,) = spansets("{ } | by(name) | count() > 1 | { .a = 3 }", SHOP)
    assert (len(spanset.rows), spanset.attributes) == (1, {"by(name)": "db", "count()": 2})


def test_pipelines_can_be_operands_and_what_they_noted_is_dropped() -> None:
    (spanset,) = spansets("({ .a > 0 } | count() > 2) > ({ } | by(name) | count() > 1)", SHOP)
    assert ([one.name for one in spanset.spans], spanset.attributes) == (["db", "db"], {})


def test_operators_work_within_each_group() -> None:
    assert found("{ } | by(resource.service.name) | { } > { }", SHOP) == "ship db | db"


@given(st.lists(st.one_of(st.none(), st.integers(0, 2), st.booleans(), st.sampled_from(["a", "b"]))), st.integers(1, 3))
def test_by_and_count_are_what_a_counter_counts(values: list[Value], least: int) -> None:
    given = [{} if value is None else {"x": value} for value in values]
    spans = [span(str(at), attributes=one) for at, one in enumerate(given)]
    counts = Counter((type(value), value) for value in values)
    groups = spansets(f"{{ }} | by(.x) | count() >= {least}", spans)
    assert {(type(group.attributes["by(.x)"]), group.attributes["by(.x)"]): group.scalar for group in groups} == {
        key: count for key, count in counts.items() if count >= least
    }


# Depth


@contextmanager
def few_frames(count: int) -> Iterator[None]:
    """Within this, code that nests more calls than that raises a RecursionError."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + count)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize(
    "query",
    [
        " >> ".join(["{ .a > 0 }"] * 150),
        " && ".join(["{ .a > 0 }"] * 150),
        "{ " + "".join(f".a = {at} {'&&' if at % 2 else '||'} " for at in range(150)) + ".a = 1 }",
        "{ " + " + ".join([".a"] * 150) + " = 150 }",
    ],
    ids=["chain", "union", "conditions", "sum"],
)
def test_long_queries_leave_room_on_the_stack(query: str) -> None:
    one = program(query)
    with few_frames(300):
        one.run(SHOP)


# What is shown


def test_a_program_shows_what_is_named_or_selected_once_in_order() -> None:
    query = "{ .a > 1 && resource.b = 2 } | by(kind) | max(.a) > 1 | select(status, name, kind)"
    assert program(query).shown == (
        Attribute(None, "a"),
        Attribute("resource", "b"),
        Intrinsic("kind"),
        Intrinsic("status"),
        Intrinsic("name"),
    )


def test_spans_show_what_they_have_without_scopes_and_without_what_results_say_anyway() -> None:
    query = (
        "{ duration > 0 && name != `` } "
        "| select(span.a, resource.service.name, .missing, status, span:id, trace:id, rootName, parent.a, event:name)"
    )
    spans = trace("top a=7\n  one a=1 status=error event=retry raw=1")
    one = TraceRows(spans).rows[1]
    assert program(query).values(one) == {
        "a": 1,
        "service.name": "shop",
        "status": StatusCode.ERROR,
        "parent.a": 7,
        "event:name": "retry",
    }


def test_of_two_scopes_with_one_name_the_first_that_has_it_is_shown() -> None:
    (row,) = TraceRows(trace("one resource.x=2 x=1")).rows
    assert program("{ } | select(resource.x, span.x)").values(row) == {"x": 2}


def test_bytes_are_not_shown() -> None:
    (row,) = TraceRows([span("one", attributes={"raw": b"x"})]).rows
    assert program("{ .raw != nil }").values(row) == {}


def test_a_program_runs_on_many_traces() -> None:
    one = program("{ .a = 1 }")
    assert [len(one.run(spans)) for spans in (SHOP, trace("a"), SHOP)] == [1, 0, 1]


# Never


@pytest.mark.parametrize(
    ("query", "never"),
    [
        ("{ false }", True),
        ("{ nil = nil }", True),
        ("{ nil != nil }", True),
        ("{ 1 = 2 }", True),
        ("{ .a = 1 && false }", True),
        ("{ .a = 1 || false }", False),
        ("{ false || false }", True),
        ("{ true }", False),
        ("{ }", False),
        ("{ 1 / 0 = 1 }", False),  # not known before it is computed
        ("{ } | { false }", True),
        ("{ false } && { }", True),
        ("{ false } || { }", False),
        ("{ false } || { false }", True),
        ("{ } >> { false }", True),
        ("{ false } &>> { }", True),
        ("{ false } !>> { }", False),
        ("({ false } | count() > 1) && ({ })", True),
        ("{ } | count() > 2", False),
    ],
)
def test_what_can_find_nothing_is_known_before(query: str, never: bool) -> None:
    root = parse(query).root
    assert isinstance(root, Pipeline)
    assert is_never(root) is never
    if never:
        assert spansets(query, SHOP) == []
