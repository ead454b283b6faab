"""What a half-typed query already says."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.traceql.lenient import lenient
from tests.traceql.test_corpus import lines


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ('{ resource.cluster = "eu" && name = }', 'resource.cluster = "eu"'),
        ('{ name =~ && resource.cluster = "eu" }', 'resource.cluster = "eu"'),
        ("{ .a = 1 && resource.clu }", ".a = 1"),
        ("{ .a = 1 && sta }", ".a = 1"),
        ("{ .a = 1 && .b = 2 || .c = 3 }", ".a = 1 && .b = 2 || .c = 3"),
        ("{ (.a = 1 || .b = 2) && .c = }", ".a = 1 || .b = 2"),
        ("{ (.a = 1 && .b = ) && (.c = 3) }", ".a = 1 && .c = 3"),
        ("{ .a = 1 && !(.b = ) }", ".a = 1"),
        ("{ .a = 1 && !(.b = 2) }", ".a = 1 && !(.b = 2)"),
        ("{ .a = 1 && .b = 'x' }", ".a = 1"),
        ('{ .a = 1 && .b =~ "(" }', ".a = 1"),
        ("{ .a = 1 && status > ok }", ".a = 1"),
        ("{ nestedSetParent < 0 && true }", "nestedSetParent < 0"),
        ("{ .a = 1 } | count() >", ".a = 1"),
        ("{ .a = 1 } && { .b", ".a = 1"),
    ],
)
def test_what_cannot_be_read_is_left_out(text: str, condition: str) -> None:
    assert str(lenient(text)) == condition


@pytest.mark.parametrize(
    "text",
    ["", "{", "{ }", "{ .a = 1", "}{", "{ .a = }", "{ .a = 1 || .b = }", "{ (.a = 1 && .b = }", "name = 1", "{ .a }",
     "{ && }", "{ ( ) }", "{ !!! }"],
)  # fmt: skip
def test_what_says_nothing_yet_is_no_condition(text: str) -> None:
    assert lenient(text) is None


@given(st.sampled_from(lines("valid") + lines("invalid")), st.data())
def test_no_beginning_of_a_query_is_too_little(query: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(query)))
    for text in (query[:cut], query[:cut] + " }", "{ " + query[cut:]):
        condition = lenient(text)
        assert condition is None or str(lenient(f"{{ {condition} }}")) == str(condition)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 60_000,
        "{ " + "!" * 60_000 + "}",
        "{ " + "(" * 2000 + ")" * 2000 + "}",
        "{ " + ".a = 1 && " * 1000 + "}",
        "/*" * 30_000,
        '"\\' * 30_000,
        "'" * 60_000,
        "{" * 10**6,
    ],
    ids=lambda text: text[:6],
)
def test_hostile_text_is_no_condition(text: str) -> None:
    start = time.perf_counter()
    assert lenient(text) is None
    assert time.perf_counter() - start < 2  # some 20 ms; minutes if it were quadratic
