"""What a span has, as TraceQL."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.model import Resource, Status, StatusCode, Value
from minitrace.traceql.ast import SCOPES, Attribute, Binary, Pipeline, Query, SpansetFilter, Static
from minitrace.traceql.parser import parse
from minitrace.web.queries import MAX_LENGTH, alike, comparison
from tests.samples import span

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("scope", "key", "value", "query"),
    [
        ("span", "http.route", "/cart", '{ span.http.route = "/cart" }'),
        ("resource", "process.pid", 7, "{ resource.process.pid = 7 }"),
        ("event", "a b", True, '{ event."a b" = true }'),
        ("link", "share", 0.5, "{ link.share = 0.5 }"),
        ("span", "no", "7", '{ span.no = "7" }'),
        ("instrumentation", "q", 'a"b\n', '{ instrumentation.q = "a\\"b\\n" }'),
    ],
)
def test_a_value_is_a_literal_of_its_type(scope: str, key: str, value: Value, query: str) -> None:
    assert comparison(scope, key, "=", value) == query


@pytest.mark.parametrize(
    ("key", "value"),
    [("", "a"), ("a", None), ("a", b"a"), ("a", ["a"]), ("a", {"a": 1}), ("a", math.nan), ("a", math.inf),
     ("a", "x" * (MAX_LENGTH + 1)), ("x" * (MAX_LENGTH + 1), "a")],
)  # fmt: skip
def test_what_traceql_has_no_word_for_is_not_asked_for(key: str, value: Value) -> None:
    assert comparison("span", key, "=", value) == ""


@given(
    st.sampled_from(SCOPES),
    TEXTS.filter(bool),
    st.sampled_from(["=", "!="]),
    TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False),
)
def test_every_comparison_reads_back(scope: str, key: str, operator: str, value: str | bool | int | float) -> None:
    meant = SpansetFilter(Binary(operator, Attribute(scope, key), Static(value)))
    assert parse(comparison(scope, key, operator, value)) == Query(Pipeline((meant,)))


def test_spans_alike_are_those_of_the_operation() -> None:
    assert alike(span("charge", service="pay")) == '{ resource.service.name = "pay" && name = "charge" }'
    failed = span("charge", service="pay", status=Status(StatusCode.ERROR))
    assert alike(failed) == '{ resource.service.name = "pay" && name = "charge" && status = error }'
    assert alike(span("charge", resource=Resource())) == '{ name = "charge" }'
    assert alike(span("x" * 1001)) == ""
