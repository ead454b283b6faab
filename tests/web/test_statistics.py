"""Groups of a trace's spans, and the queries that find them."""

from __future__ import annotations

import pytest

from minitrace.analysis.tree import Tree, tree
from minitrace.model import Kind, Resource, Span, Status, StatusCode, Trace, Value
from minitrace.traceql.evaluate import evaluate
from minitrace.traceql.parser import parse
from minitrace.web.statistics import MAX_GROUPS, read_criterion, statistics
from tests.samples import TRACE, span

SPANS = [
    span("checkout", duration_ms=100, service="shop", kind=Kind.SERVER),
    span("charge", "checkout", start_ms=10, duration_ms=60, service="payment", attributes={"http.route": "/charge"}),
    span("retry", "charge", start_ms=20, duration_ms=20, service="payment", status=Status(StatusCode.ERROR)),
    span("log", "checkout", resource=Resource({"http.route": "/log", "host": "web-1"}), duration_ms=0),
]
CHECKOUT = tree(Trace(TRACE, SPANS))


def groups(by: str, sort: str = "", of: Tree = CHECKOUT) -> list[str | None]:
    return [row.group.key for row in statistics(of, read_criterion(by), sort).rows]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("", ["payment", "shop", "unknown_service"]),
        ("service", ["payment", "shop", "unknown_service"]),
        ("name", ["checkout", "charge", "retry", "log"]),
        ("kind", ["0", "2"]),
        ("status", ["0", "2"]),
        ("http.route", [None, "/charge", "/log"]),
        (".http.route", [None, "/charge", "/log"]),
        ("span.http.route", [None, "/charge"]),
        ("resource.http.route", [None, "/log"]),
        ("host", [None, "web-1"]),
        ("no.such.key", [None]),
    ],
)
def test_spans_are_grouped_by_what_the_address_says(by: str, expected: list[str | None]) -> None:
    assert groups(by) == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("key", ["payment", "shop", "unknown_service"]),
        ("-count", ["payment", "shop", "unknown_service"]),
        ("total", ["unknown_service", "payment", "shop"]),
        ("-p95", ["shop", "payment", "unknown_service"]),
        ("-errors", ["payment", "shop", "unknown_service"]),
        ("own", ["unknown_service", "shop", "payment"]),
    ],
)
def test_groups_are_sorted_by_what_the_address_says(sort: str, expected: list[str]) -> None:
    assert groups("service", sort) == expected


@pytest.mark.parametrize(
    "by", ["service", "name", "kind", "status", "http.route", "span.http.route", "resource.http.route", "host"]
)
def test_the_query_of_a_group_finds_its_spans_and_no_others(by: str) -> None:
    criterion = read_criterion(by)
    for row in statistics(CHECKOUT, criterion).rows:
        found = [span for spanset in evaluate(parse(row.query), SPANS) for span in spanset.spans]
        assert {span.name for span in found} == {span.name for span in SPANS if criterion.key(span) == row.group.key}


@pytest.mark.parametrize(
    ("value", "query"),
    [
        ("/a", '{ .key = "/a" }'),
        ('say "a"', '{ .key = "say \\"a\\"" }'),
        (True, "{ .key = true }"),
        (7, "{ .key = 7 }"),
        (1.5, "{ .key = 1.5 }"),
        (float("nan"), ""),
        ([1, 2], ""),
        (b"bytes", ""),
        ("x" * 5000, ""),
    ],
)
def test_a_value_has_a_query_where_traceql_has_a_word_for_it(value: Value, query: str) -> None:
    one = tree(Trace(TRACE, [span("a", attributes={"key": value})]))
    assert [row.query for row in statistics(one, read_criterion("key")).rows] == [query]


def test_kinds_newer_than_we_are_have_no_query() -> None:
    one = tree(Trace(TRACE, [span("a", kind=9)]))
    assert [row.query for row in statistics(one, read_criterion("kind")).rows] == [""]


def test_a_name_too_long_for_an_address_has_no_query() -> None:
    one = tree(Trace(TRACE, [span("x" * 5000)]))
    assert [row.query for row in statistics(one, read_criterion("name")).rows] == [""]


def test_of_many_groups_the_first_are_shown_and_all_are_counted() -> None:
    spans: list[Span] = [span(f"{n}", duration_ms=n) for n in range(MAX_GROUPS + 5)]
    found = statistics(tree(Trace(TRACE, spans)), read_criterion("name"))
    assert (len(found.rows), found.total) == (MAX_GROUPS, MAX_GROUPS + 5)
    assert found.rows[0].group.key == f"{MAX_GROUPS + 4}"
    assert found.own_ns == sum(range(MAX_GROUPS + 5)) * 1_000_000


def test_only_what_is_grouped_by_is_asked_for() -> None:
    assert read_criterion("http.route").attributes == {("span", "http.route"), ("resource", "http.route")}
    assert read_criterion("resource.host").attributes == {("resource", "host")}
    assert read_criterion("kind").attributes == frozenset()
