"""What a text in the search box is taken for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.traceql.parser import parse
from minitrace.web.box import EXAMPLES, read_box


@pytest.mark.parametrize(
    "text",
    [
        "{ }",
        "  { status = error }",
        "({ .a = 1 }) >> { .b = 2 }",
        "count() > 3",
        "3 < count()",
        "by(name)",
        "{ } | select(name) with(most_recent=true)",
        '{ "GET" = name }',
        '{ trace:id = "4bf92f3577b34da6a3ce929d0e0e4736" }',
    ],
)
def test_a_query_is_read(text: str) -> None:
    box = read_box(text)
    assert (box.query, box.words, box.problem, box.suggestion) == (parse(text), (), "", "")


@pytest.mark.parametrize(
    "text",
    [
        "declined",
        "two words",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        '{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "msg": "x"}',
        "{'trace_id': '4bf92f3577b34da6a3ce929d0e0e4736'}",
        "(main) INFO card declined",
        "500",
        "GET /p/{sku}",
        "sum of all",
        "f(x) failed",
    ],
)
def test_all_else_is_words(text: str) -> None:
    box = read_box(text)
    assert (box.query, box.words, box.problem) == (None, tuple(text.split()), "")


@pytest.mark.parametrize(
    ("text", "problem", "drawing"),
    [
        ("{ name = }", 'expected a value after "="', "  { name = }\n           ^"),
        ("{", "this { is not closed", "  {\n  ^"),
        ("( { } ", "this ( is not closed", "  ( { } \n  ^"),
        ("sum(", "this ( is not closed", "  sum(\n     ^"),
    ],
)
def test_what_begins_like_a_query_is_one_with_a_mistake(text: str, problem: str, drawing: str) -> None:
    box = read_box(text)
    assert (box.problem, box.drawing) == (problem, drawing)
    assert (box.query, box.words) == (None, ())


@pytest.mark.parametrize(
    ("text", "name", "search"),
    [
        ("{ status = error } | rate() by(name)", "rate()", "{ status = error }"),
        ("{ } | count() > 2 | count_over_time() | topk(3)", "count_over_time()", "{ } | count() > 2"),
        ("({ .a = 1 } | rate()) / ({ } | rate())", "rate()", "{ .a = 1 }"),
        ("{ } | compare({ status = error })", "compare()", "{ }"),
    ],
)
def test_metrics_are_told_where_to_go_and_what_can_be_searched(text: str, name: str, search: str) -> None:
    box = read_box(text)
    assert box.query is None
    assert box.problem.startswith(f"{name} gives series over time: ask /api/metrics/query_range")
    assert box.suggestion == search


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("status = error", "{ status = error }"),
        ("status=error", "{ status = error }"),
        ("duration > 1s && kind = server", "{ duration > 1s && kind = server }"),
        ("duration>1s kind=server", "{ duration > 1s && kind = server }"),
        ("duration > 1s and kind = server", "{ duration > 1s && kind = server }"),
        ('service.name = "x"', '{ .service.name = "x" }'),
        ("service=checkout", '{ resource.service.name = "checkout" }'),
        ("resource.service.name=checkout", '{ resource.service.name = "checkout" }'),
        ("http.response.status_code>=500", "{ .http.response.status_code >= 500 }"),
        ("http.route==/cart", '{ .http.route = "/cart" }'),
        ("status=500", "{ .status = 500 }"),
        ("name=checkout", '{ name = "checkout" }'),
        ('msg="a \\"b\\""', '{ .msg = "a \\"b\\"" }'),
        ("error=true, retries=3", "{ .error = true && .retries = 3 }"),
        ("a=1 b=2 c=3 d=4", ""),
        ("card declined", ""),
        ("card status=error", ""),
        ("https://shop/?q=1", ""),
        ("YWJj==", ""),
        ("a=b=c", ""),
        ("a=" + "b" * 300, ""),
        ("checkout", ""),
        ("status", ""),
        ("7", ""),
    ],
)
def test_conditions_without_braces_are_words_that_suggest_a_query(text: str, meant: str) -> None:
    box = read_box(text)
    assert (box.words, box.suggestion) == (tuple(text.split()), meant)


def test_what_is_probably_not_meant_is_a_warning() -> None:
    (warning,) = read_box("{ span.kind = client }").warnings
    assert "span.kind is an attribute" in warning


@pytest.mark.parametrize("text", [query for query, _ in EXAMPLES])
def test_every_example_is_a_query_without_warnings(text: str) -> None:
    box = read_box(text)
    assert (str(box.query), box.warnings) == (text, ())


@given(st.text(st.sampled_from("{}()=<>~&|!\"'.ab1 \\") | st.characters(codec="utf-8")))
def test_any_text_is_one_thing(text: str) -> None:
    box = read_box(text)
    assert [box.query is not None, bool(box.problem), box.words != ()].count(True) == bool(text.strip())
    if box.suggestion:
        assert str(parse(box.suggestion)) == box.suggestion
