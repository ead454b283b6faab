"""What a query that finds nothing nearly finds."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.model import Span, Trace
from minitrace.testing.capturing import Seen, Snapshot
from minitrace.testing.finding import find
from minitrace.testing.reasons.clauses import MARK, near_misses
from minitrace.traceql.parser import parse
from tests.store.queries import PIPELINES, STRUCTURES, spans
from tests.traceql.building import trace
from tests.traceql.test_corpus import lines

ORDERS = trace("""
    GET./orders kind=server http.response.status_code=200 http.route="/orders" took=20ms
      SELECT.orders kind=client db.system.name=sqlite took=10ms
      SELECT.item kind=client db.system.name=sqlite took=3ms status=error
        fetch service=disk
      render cached=true retries=2 event=exception event.exception.type=KeyError
""")


def told(query: str, *traces: list[Span]) -> list[str]:
    """The near misses of a query in traces, without their indentation."""
    return [line.removeprefix("  ") for line in near_misses(query, of(traces or (ORDERS,)))]


def of(traces: tuple[list[Span], ...]) -> list[Trace]:
    return [Trace(one[0].trace_id, one) for one in traces]


def test_each_clause_is_asked_alone_and_the_one_that_nothing_matches_is_marked() -> None:
    assert told('{ name = "SELECT.users" && status = error }') == [
        "of 5 spans, each clause alone matches:",
        '  name = "SELECT.users"  → 0 spans  ← nothing matches this',
        "  status = error         → 1 span   SELECT.item",
        'without name = "SELECT.users" it would find SELECT.item',
        "closest names: SELECT.orders, SELECT.item",
    ]


@pytest.mark.parametrize(
    ("query", "line"),
    [
        # Attributes by another name, in another place
        ("{ span.http.status_code = 200 }",
         "no span has span.http.status_code: there is span.http.response.status_code"),
        ('{ span.db.system = "sqlite" }', "no span has span.db.system: there is span.db.system.name"),
        ("{ span.status_code = 200 }", "no span has span.status_code: there is span.http.response.status_code"),
        ('{ span.service.name = "disk" }', "no span has span.service.name: there is resource.service.name"),
        ("{ span.retrys > 1 }", "no span has span.retrys: there is span.retries"),
        ('{ .duration > 1s }', ".duration is an attribute, which no span has: write duration for what every span has"),
        ("{ resource.host.name != nil }", "no span has resource.host.name; there is resource.service.name"),
        ("{ link.x = 1 }", "no span has link.x"),
        ("{ span.tags }", "no span has span.tags; there is span.db.system.name, span.http.response.status_code, "
         "span.http.route, span.cached, span.retries"),
        # Values of another type
        ('{ span.http.response.status_code = "200" }', "span.http.response.status_code is a number: "
         "write span.http.response.status_code = 200, without quotes"),
        ("{ span.db.system.name = 1 }", 'span.db.system.name is text: write span.db.system.name = "1"'),
        ('{ span.cached = "true" }', "span.cached is true or false: write span.cached = true, without quotes"),
        ('{ span.retries = "two" }', "span.retries is a number, not text: 2"),
        # Other values
        ('{ name = "render page" }', "closest names: render"),
        ('{ resource.service.name = "disc" }', "closest services: disk"),
        ('{ event.exception.type = "KeyErorr" }', "closest values of event.exception.type: KeyError"),
        ("{ status = ok }", "status is unset ×4, error"),
        ('{ resource.service.name = "payment" }', 'resource.service.name is "shop" ×4, "disk"'),
        ("{ span.http.response.status_code = 201 }", "span.http.response.status_code is 200"),
        ("{ duration > 1s }", "duration is 20 ms at most (GET./orders)"),
        ("{ duration < 1ms }", "duration is 3 ms at least (SELECT.item)"),
        ("{ 1s < duration }", "duration is 20 ms at most (GET./orders)"),
        ("{ span.retries != 2 }", "span.retries is 2 wherever there is one"),
        ('{ name =~ "SELECT" }', 'a pattern must match all of a value: write =~ ".*SELECT.*" for "SELECT.orders"'),
        # Structure
        ('{ name = "GET./orders" } > { name = "fetch" }',
         "fetch is below GET./orders, not a child of it: >> would match"),
        ('{ name = "fetch" } >> { name = "render" }', "render is not below fetch"),
        ('{ name = "render" } >> { kind = server }',
         "GET./orders is the parent of render, not below it: < would match"),
        ('{ kind = server } !> { name = "render" }', "each render is a child of a span of the first filter"),
        # Numbers
        ("{ kind = client } | count() > 2", "  count() > 2        → count() is 2  ← this does not hold"),
        ("{ kind = client } | max(duration) > 1s",
         "  max(duration) > 1s  → max(duration) is 10 ms  ← this does not hold"),
        ("{ } | avg(span.absent) > 1", "  avg(span.absent) > 1  → avg(span.absent) is not there: no span has a number "
         "for it  ← this does not hold"),
    ],
)  # fmt: skip
def test_what_there_is_instead_is_told(query: str, line: str) -> None:
    assert line in told(query)


def test_where_each_clause_matches_alone_it_says_what_misses_which() -> None:
    assert told('{ kind = client && duration > 15ms && name =~ "SELECT.*" }') == [
        "of 5 spans, each clause alone matches:",
        "  kind = client       → 2 spans  SELECT.orders, SELECT.item",
        "  duration > 15ms     → 1 span   GET./orders",
        '  name =~ "SELECT.*"  → 2 spans  SELECT.orders, SELECT.item',
        "without duration > 15ms it would find SELECT.orders, SELECT.item, where duration is 10 ms, 3 ms",
    ]


def test_a_filter_of_alternatives_has_a_line_for_each() -> None:
    assert told('{ name = "a" || status = ok }')[:3] == [
        "of 5 spans, each clause alone matches:",
        '  name = "a"   → 0 spans  ← nothing matches this',
        "  status = ok  → 0 spans  ← nothing matches this",
    ]


def test_of_filters_joined_the_empty_one_is_explained_and_the_left_of_a_negation_is_not_blamed() -> None:
    lines_ = told('{ name = "nobody" } !>> { name = "rendr" }')
    assert lines_[1:] == [
        '  { name = "nobody" }  → 0 spans',
        '  { name = "rendr" }   → 0 spans  ← nothing matches this',
        "closest names: render",
    ]


def test_filters_that_match_in_different_traces_never_meet() -> None:
    other = trace("pack", "another")
    assert told('{ name = "render" } && { name = "pack" }', ORDERS, other)[-1] == "no trace has both"
    assert told('{ name = "render" } >> { name = "pack" }', ORDERS, other)[-1] == "no trace has both"


def test_numbers_are_of_one_trace_each() -> None:
    other = trace("pack", "another")
    lines_ = told("{ } | count() > 5", ORDERS, other)
    assert lines_[-2:] == [
        "  count() > 5  → count() is 5, 1  ← this does not hold",
        "it must hold within one trace; there are 2",
    ]


def test_the_stage_that_lets_nothing_through_is_asked_of_what_came_to_it() -> None:
    assert told('{ kind = client } | { status = error && name = "render" }')[0] == (
        "of 2 spans found by { kind = client }, each clause alone matches:"
    )


@pytest.mark.parametrize("query", ["{ } | rate()", '{ name = "a" }'])
def test_without_spans_or_for_series_nothing_is_near(query: str) -> None:
    assert near_misses(query, []) == []


def test_values_of_thousands_of_characters_stay_on_their_line() -> None:
    long = trace(f"GET sql={'x' * 5000} other=1")
    assert max(map(len, told('{ span.sql = "y" }', long))) < 120


CORPUS = [*lines("valid"), *(line.split(" ⇒ ")[0] for line in lines("canonical"))]


def grouped(found: list[Span]) -> list[Trace]:
    by_trace: dict[bytes, list[Span]] = defaultdict(list)
    for span in found:
        by_trace[span.trace_id].append(span)
    return [Trace(*one) for one in by_trace.items()]


@given(st.sampled_from(CORPUS) | PIPELINES | STRUCTURES, spans())
def test_whatever_is_asked_of_any_trace_what_is_marked_matches_nothing(query: str, found: list[Span]) -> None:
    snapshot = Snapshot(tuple(Seen(span, "otlp", None) for span in found), 0, (), 1)
    if parse(query).is_metrics or find(snapshot, query):
        return
    before = ""
    for line in near_misses(query, grouped(found)):
        if line.startswith("  of "):
            before = line.partition(" found by ")[2].rpartition(", each ")[0]
        clause, is_clause, _ = line.partition("  → ")
        if MARK in line and is_clause and "…" not in before + clause:
            own = clause.strip() if clause.strip()[0] in "{(" else f"{{ {clause.strip()} }}"
            assert find(snapshot, f"{before} | {own}" if before else own) == []
