"""The form's fields as TraceQL, and back to a URL."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.store.plan import plan
from minitrace.traceql.ast import MAX_INT
from minitrace.traceql.parser import parse
from minitrace.web.forms import CONDITIONS, SearchForm, read_form

NOW = 1_700_000_000_000_000_000


def form(**fields: str) -> SearchForm:
    """A form in which these fields are set."""
    return read_form(fields, NOW)


def of(url: str) -> dict[str, str]:
    """The form's fields in a URL."""
    return dict(parse_qsl(urlsplit(url).query))


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        ({}, ""),
        ({"text": "declined"}, ""),
        ({"text": "{ status = error }"}, ""),
        ({"since": "1h", "limit": "7"}, ""),
        ({"service": "shop"}, '{ resource.service.name = "shop" }'),
        ({"name": 'say "hi"'}, '{ name = "say \\"hi\\"" }'),
        ({"status": "unset"}, "{ status = unset }"),
        ({"status": "purple"}, "{ }"),
        ({"min": "1.5s", "max": "2m"}, "{ duration >= 1s500ms && duration <= 2m }"),
        ({"attributes": "a=1 span.b>=2.5 event.c=x"}, '{ .a = 1 && span.b >= 2.5 && event.c = "x" }'),
        ({"attributes": "url~a.b"}, '{ .url =~ "(?i).*a\\\\.b.*" }'),
        ({"text": "declined", "status": "error"}, "{ status = error }"),
        ({"text": "{ }", "status": "error"}, "{ status = error }"),
        ({"text": "{ .a = 1 && .b = 2 }", "status": "error"}, "{ .a = 1 && .b = 2 && status = error }"),
        ({"text": "{ .a = 1 || .b = 2 }", "status": "error"}, "{ status = error && (.a = 1 || .b = 2) }"),
        ({"text": "{ .a } >> { .b }", "status": "error"}, "{ .a } >> { .b } | { status = error }"),
        ({"text": "count() > 3", "status": "error"}, "count() > 3 | { status = error }"),
        ({"text": "{ } with(most_recent=true)", "min": "0"}, "{ duration >= 0s } with(most_recent=true)"),
        (
            {"service": "unknown_service", "status": "ok"},
            '{ status = ok && (resource.service.name = "unknown_service" || !(resource.service.name != "")) }',
        ),
    ],
)
def test_fields_are_written_as_traceql(fields: dict[str, str], written: str) -> None:
    assert form(**fields).written == written


TEXTS = st.text(min_size=1).filter(str.strip)
DURATIONS = st.integers(0, MAX_INT).map(lambda ns: f"{ns}ns")
VALUES = st.tuples(TEXTS, st.sampled_from(["=", ">", "<=", "~"]), st.text())


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "text": st.sampled_from(["{ .a || .b }", "{ .a } > { .b }", "by(name)", "declined"]),
            "service": TEXTS | st.just("unknown_service"),
            "name": TEXTS,
            "status": st.sampled_from(["error", "ok", "unset"]),
            "min": DURATIONS,
            "attributes": st.lists(VALUES, max_size=3).map(
                lambda terms: " ".join(f"{_quoted(key)}{sign}{_quoted(value)}" for key, sign, value in terms)
            ),
        },
    )
)
def test_what_is_shown_is_what_is_searched(fields: dict[str, str]) -> None:
    asked = form(**fields)
    assert asked.problems == {}
    assert asked.search.pipeline == asked.query.root
    if asked.written:
        assert parse(asked.written) == asked.query
    assert plan(asked.search.pipeline, asked.search.words).is_exact or not asked.search.words


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_words_are_searched_beside_the_fields() -> None:
    search = form(text="card declined", status="error").search
    assert (str(search.pipeline), search.words) == ("{ status = error }", ("card", "declined"))


def test_words_are_not_searched_with_what_only_whole_traces_tell() -> None:
    assert form(text="declined", attributes="event.a=1").problems == {}
    problems = form(text="declined", attributes="event.a=1 event.b=2").problems
    assert problems == {"attributes": "With words in the box, only one attribute of events or links can be asked for."}


def test_a_query_that_takes_no_filter_says_so() -> None:
    asked = form(text="({ } | count()) > ({ .a = 1 } | count())", status="error")
    assert asked.problems == {
        "text": "together with the fields below this is no query: a comparison of pipelines must be the whole query"
    }
    assert asked.written == ""


def test_too_many_attributes_are_refused() -> None:
    asked = form(attributes=" ".join(f"a{n}=1" for n in range(300)))
    assert asked.problems["attributes"].startswith("together with the fields below this is no query: ")


def test_a_mistake_in_the_box_is_a_problem_and_the_fields_stand() -> None:
    asked = form(text="{ name = }", status="error", min="soon")
    assert asked.problems.keys() == {"text", "min"}
    assert asked.written == ""
    assert asked.values["status"] == "error"


def test_the_query_takes_the_place_of_the_fields_and_the_time_stays() -> None:
    fields = dict.fromkeys(CONDITIONS, "1s") | {"text": "x", "since": "6h", "limit": "7"}
    assert of(form(**fields).query_url("{ .a = 1 }")) == {"text": "{ .a = 1 }", "since": "6h", "limit": "7"}


def test_a_query_in_the_box_finds_what_the_fields_found() -> None:
    fields = form(service="shop", attributes="url~a.b retries>=3", min="1ms")
    box = read_form(of(fields.query_url(fields.written)), NOW)
    assert box.search == fields.search


def test_times_bound_the_search() -> None:
    asked = form(**{"from": "2023-11-14T22:14:00Z", "to": "2023-11-14T22:15:00Z"}).search
    assert (asked.start_ns, asked.end_ns) == (1_700_000_040_000_000_000, 1_700_000_100_000_000_000)
    assert form(since="15m").search.start_ns == NOW - 15 * 60 * 10**9
    assert form().search.start_ns is None
