"""One condition more or less, and what the query finds then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.traceql.ast import Field, Pipeline, Query, SpansetFilter
from minitrace.traceql.evaluate import evaluate
from minitrace.traceql.parser import parse
from minitrace.web.refining import added, conditions, has, removed
from tests.traceql.building import trace

SPANS = trace("""
    checkout service=shop a=1 status=error took=30ms
      charge a=1 b=x
        db b=x kind=client
      stock service=store a=2 status=error took=5ms
        db2 service=store
""")
WORDS = [".b != nil", ".a = 1", '.b = "x"', "status = error", "duration > 9ms", ".a = 1 || .a = 2", "!(.a = 2)"]


def condition(text: str) -> Field:
    """A condition as it stands in a filter."""
    query = parse(f"{{ {text} }}")
    assert isinstance(query.root, Pipeline)
    stage = query.root.stages[0]
    assert isinstance(stage, SpansetFilter)
    assert stage.condition is not None
    return stage.condition


def found(query: Query) -> set[str]:
    """The names of the spans that a query finds in `SPANS`."""
    return {span.name for spanset in evaluate(query, SPANS) for span in spanset.spans}


@pytest.mark.parametrize(
    ("query", "narrower"),
    [
        ("{ }", "{ status = error }"),
        ("{ .a = 1 }", "{ .a = 1 && status = error }"),
        ("{ .a = 1 || .b = 2 }", "{ status = error && (.a = 1 || .b = 2) }"),
        ("{ .a } >> { .b }", "{ .a } >> { .b } | { status = error }"),
        ("{ .a } >> { .b } | { .c }", "{ .a } >> { .b } | { .c && status = error }"),
        ("{ .a } | by(name)", "{ .a && status = error } | by(name)"),
        ("{ .a } | select(.b)", "{ .a && status = error } | select(.b)"),
        ("{ .a } | by(name) | coalesce()", "{ .a && status = error } | by(name) | coalesce()"),
        ("{ .a } | count() > 3", "{ .a } | count() > 3 | { status = error }"),
        ("{ .a && status = error }", "{ .a && status = error }"),
        ("{ .a } with(most_recent=true)", "{ .a && status = error } with(most_recent=true)"),
    ],
)
def test_a_condition_goes_where_it_changes_nothing_else(query: str, narrower: str) -> None:
    assert str(added(parse(query), condition("status = error"))) == narrower


@pytest.mark.parametrize(
    ("query", "wider"),
    [
        ("{ status = error }", "{ }"),
        ("{ .a = 1 && status = error && .b = 2 }", "{ .a = 1 && .b = 2 }"),
        ("{ status = error } | count() > 3", "{ } | count() > 3"),
        ("{ .a } >> { .b } | { status = error }", "{ .a } >> { .b }"),
        ("{ .a } >> { status = error }", "{ .a } >> { status = error }"),
        ("{ status = error || .a = 1 }", "{ status = error || .a = 1 }"),
        ("{ .a = 1 }", "{ .a = 1 }"),
    ],
)
def test_a_condition_is_taken_from_the_filter_that_has_it(query: str, wider: str) -> None:
    assert str(removed(parse(query), condition("status = error"))) == wider


def test_conditions_are_those_that_every_span_fulfils() -> None:
    query = parse("{ .a = 1 && (.b || .c) } | count() > 1 | { status = error }")
    assert list(map(str, conditions(query))) == [".a = 1", ".b || .c", "status = error"]
    assert conditions(parse("{ .a } >> { .b }")) == []


def test_several_conditions_at_once_are_there_if_all_of_them_are() -> None:
    both = condition(".a = 1 && .b = 2")
    assert has(parse("{ .b = 2 && .c && .a = 1 }"), both)
    assert not has(parse("{ .a = 1 }"), both)
    assert str(added(parse("{ .a = 1 }"), both)) == "{ .a = 1 && .b = 2 }"
    assert str(removed(parse("{ .a = 1 && .b = 2 && .c }"), both)) == "{ .c }"


CONDITIONS = st.sampled_from(WORDS).map(condition)
FILTERS = st.lists(st.sampled_from(WORDS), max_size=3).map(
    lambda all_: "{ " + " && ".join(f"({one})" for one in all_) + " }"
)
STAGES = st.sampled_from(["by(name)", "coalesce()", "select(.b)", "count() > 1", "{ .a = 1 }", "{ status = error }"])
QUERIES = st.builds(
    lambda first, rest: parse(" | ".join([first, *rest])),
    FILTERS | st.sampled_from(["{ .a } >> { }", "{ .a } || { .b }"]),
    st.lists(STAGES, max_size=3),
)


@given(QUERIES, CONDITIONS)
def test_a_narrower_query_finds_those_spans_that_fulfil_the_condition_too(query: Query, one: Field) -> None:
    narrower = added(query, one)
    alone = Query(Pipeline((SpansetFilter(one),)))
    assert found(narrower) == found(query) & found(alone)
    assert has(narrower, one)
    assert added(narrower, one) == narrower


@given(QUERIES, CONDITIONS)
def test_what_was_added_can_be_taken_away(query: Query, one: Field) -> None:
    wider = removed(added(query, one), one)
    assert not has(wider, one)
    assert sorted(map(str, conditions(wider))) == sorted(str(part) for part in conditions(query) if part != one)
    if not has(query, one):
        assert found(wider) == found(query)


@given(QUERIES, CONDITIONS)
def test_what_is_written_reads_back(query: Query, one: Field) -> None:
    for refined in (added(query, one), removed(query, one)):
        assert conditions(parse(str(refined))) == conditions(refined)
        assert found(parse(str(refined))) == found(refined)
