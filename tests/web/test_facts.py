"""What a query found out, as short texts."""

from __future__ import annotations

import pytest

from minitrace.model import Kind, StatusCode
from minitrace.store.matches import SpanMatch
from minitrace.traceql.ast import Duration, Value
from minitrace.web.facts import facts, facts_of_span
from tests.web.pagetext import plain


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("by(name)", "GET", 'by(name) = "GET"'),
        ("by(.gone)", None, "by(.gone) = nil"),
        ("count()", 12345, "count() = 12 345"),
        ("order.id", 12345, "order.id = 12345"),
        ("avg(.size)", 10 / 3, "avg(.size) = 3.33333"),
        ("avg(duration)", Duration(1_500_000), "avg(duration) = 1.5 ms"),
        ("status", StatusCode.ERROR, "status = error"),
        ("kind", Kind.SERVER, "kind = server"),
        ("is.retry", True, "is.retry = true"),
        ("tags", ["a", "b"], 'tags = ["a", "b"]'),
        ("a\u202eb", "c\u202ed", 'a\\u202eb = "c\\u202ed"'),
        ("long", "x" * 500, f'long = "{"x" * 78}…'),
    ],
)
def test_a_fact_is_written_like_its_query(name: str, value: Value, text: str) -> None:
    assert [plain(fact) for fact in facts({name: value})] == [text]


def test_what_stands_beside_a_span_is_not_repeated() -> None:
    attributes: dict[str, Value] = {"service.name": "shop", "status": StatusCode.ERROR, "http.route": "/x"}
    failed = SpanMatch(b"12345678", "GET", "shop", 0, 1, True, attributes)
    assert facts_of_span(failed) == ['http.route = "/x"']
    renamed: dict[str, Value] = {"service.name": "of the span", "status": StatusCode.OK}
    other = SpanMatch(b"12345678", "GET", "shop", 0, 1, False, renamed)
    assert facts_of_span(other) == ['service.name = "of the span"', "status = ok"]
