"""The form's fields as TraceQL, and back to a URL."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.model import StatusCode
from minitrace.store.dictionary import AttributeKey
from minitrace.store.orders import Order
from minitrace.store.plan import plan
from minitrace.traceql.ast import MAX_INT, Binary, Intrinsic, Static
from minitrace.traceql.parser import parse
from minitrace.web.fields import FIELDS
from minitrace.web.forms import SearchForm, read_form

NOW = 1_700_000_000_000_000_000


def form(**fields: str) -> SearchForm:
    """A form in which these fields are set."""
    return read_form(fields, NOW)


def of(url: str) -> dict[str, str]:
    """The form's fields in a URL."""
    return dict(parse_qsl(urlsplit(url).query))


@pytest.mark.parametrize(
    ("fields", "q"),
    [
        ({}, None),
        ({"q": "declined"}, "declined"),
        ({"q": "{ status = error }"}, "{ status = error }"),
        ({"service": "shop"}, '{ resource.service.name = "shop" }'),
        ({"name": 'say "hi"'}, '{ name = "say \\"hi\\"" }'),
        ({"status": "unset"}, "{ status = unset }"),
        ({"status": "purple"}, None),
        ({"min": "1.5s", "max": "2m"}, "{ duration >= 1s500ms && duration <= 2m }"),
        ({"attributes": "a=1 span.b>=2.5 event.c=x"}, '{ .a = 1 && span.b >= 2.5 && event.c = "x" }'),
        ({"attributes": "url~a.b"}, '{ .url =~ "(?i).*a\\\\.b.*" }'),
        ({"q": "{ }", "status": "error"}, "{ status = error }"),
        ({"q": "{ .a = 1 && .b = 2 }", "status": "error"}, "{ .a = 1 && .b = 2 && status = error }"),
        ({"q": "{ .a = 1 || .b = 2 }", "status": "error"}, "{ status = error && (.a = 1 || .b = 2) }"),
        ({"q": "{ .a } >> { .b }", "status": "error"}, "{ .a } >> { .b } | { status = error }"),
        ({"q": "count() > 3", "status": "error"}, "count() > 3 | { status = error }"),
        ({"q": "{ } with(most_recent=true)", "min": "0"}, "{ duration >= 0s } with(most_recent=true)"),
        (
            {"service": "unknown_service", "status": "ok"},
            '{ status = ok && (resource.service.name = "unknown_service" || !(resource.service.name != "")) }',
        ),
    ],
)
def test_fields_are_written_into_the_box(fields: dict[str, str], q: str | None) -> None:
    asked = form(**fields)
    assert of(asked.url()) == ({} if q is None else {"q": q})
    assert asked.text == (q or "")


def test_words_leave_the_fields_in_the_address() -> None:
    asked = form(q="declined", status="error", min="1.5s", since="1h", sort="-duration")
    assert of(asked.url()) == {"q": "declined", "status": "error", "min": "1.5s", "since": "1h", "sort": "-duration"}


TEXTS = st.text(min_size=1).filter(str.strip)
DURATIONS = st.integers(0, MAX_INT).map(lambda ns: f"{ns}ns")
VALUES = st.tuples(TEXTS, st.sampled_from(["=", ">", "<=", "~"]), st.text())


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "q": st.sampled_from(["{ .a || .b }", "{ .a } > { .b }", "by(name)", "declined"]),
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
    if not asked.box.words and asked.text:
        assert parse(asked.text) == asked.query
    assert plan(asked.search.pipeline, asked.search.words).is_exact or not asked.search.words


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_words_are_searched_beside_the_fields() -> None:
    search = form(q="card declined", status="error").search
    assert (str(search.pipeline), search.words) == ("{ status = error }", ("card", "declined"))


def test_words_are_not_searched_with_what_only_whole_traces_tell() -> None:
    assert form(q="declined", attributes="event.a=1").problems == {}
    problems = form(q="declined", attributes="event.a=1 event.b=2").problems
    assert problems == {"attributes": "With words in the box, only one attribute of events or links can be asked for."}


def test_a_query_that_takes_no_filter_says_so() -> None:
    asked = form(q="({ } | count()) > ({ .a = 1 } | count())", status="error")
    assert asked.problems == {
        "q": "together with the fields below this is no query: a comparison of pipelines must be the whole query"
    }
    assert asked.text == "({ } | count()) > ({ .a = 1 } | count())"


def test_too_many_attributes_are_refused() -> None:
    asked = form(attributes=" ".join(f"a{n}=1" for n in range(300)))
    assert asked.problems["attributes"].startswith("together with the fields below this is no query: ")


def test_a_mistake_in_the_box_is_a_problem_and_the_fields_stand() -> None:
    asked = form(q="{ name = }", status="error", min="soon")
    assert asked.problems.keys() == {"q", "min"}
    assert (asked.text, asked.controls["status"], asked.controls["min"]) == ("{ name = }", "error", "soon")


def test_the_query_takes_the_place_of_the_fields_and_the_time_stays() -> None:
    fields = dict.fromkeys(FIELDS, "1s") | {"q": "x", "since": "6h", "limit": "7"}
    assert of(form(**fields).query_url("{ .a = 1 }")) == {"q": "{ .a = 1 }", "since": "6h", "limit": "7"}


def test_a_query_in_the_box_finds_what_the_fields_found() -> None:
    fields = form(service="shop", attributes="url~a.b retries>=3", min="1ms")
    assert read_form(of(fields.url()), NOW).search == fields.search


# The box and the fields, changed by turns


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("{ }", {}),
        ('{ resource.service.name = "shop" && name = "GET /" }', {"service": "shop", "name": "GET /"}),
        (
            "{ duration >= 1s500ms && duration <= 2m && status = error }",
            {"min": "1s500ms", "max": "2m", "status": "error"},
        ),
        ('{ .a = 1 && span.b = "x y" && event.c =~ "(?i).*q.*" }', {"attributes": 'a=1 span.b="x y" event.c~q'}),
        ('{ .zip = "01234" && .on = true }', {"attributes": 'zip="01234" on=true'}),
        ('{ name = "a" && name = "b" }', {"name": "a"}),
        (
            '{ resource.service.name = "a" && resource.service.name = "b" }',
            {"service": "a", "attributes": "resource.service.name=b"},
        ),
        ("{ status = error } | count() > 2", {"status": "error"}),
        ("{ .a = 1 || .b = 2 }", {}),
        ("{ status = error } >> { .a = 1 }", {}),
        ('{ duration > 1s && status != error && .a != 1 && .b =~ "x|y" && parent.a = 1 }', {}),
        ('{ name = "two\\nlines" }', {}),
        ('{ resource.service.name = "" }', {"attributes": 'resource.service.name=""'}),
    ],
)
def test_the_fields_show_what_they_can_say_of_the_query(query: str, shown: dict[str, str]) -> None:
    assert {name: text for name, text in form(q=query).controls.items() if text} == shown


@pytest.mark.parametrize(
    ("was", "box", "fields", "q"),
    [
        ("", "", {"status": "error"}, "{ status = error }"),
        ("{ status = error }", "{ status = error }", {}, ""),
        ("{ status = error }", "{ status = error }", {"status": "ok"}, "{ status = ok }"),
        ("{ status = error }", "{ .a = 1 && status = error }", {"status": "ok"}, "{ .a = 1 && status = ok }"),
        ("{ status = error }", "{ .a = 1 }", {"status": "error"}, "{ .a = 1 }"),
        ("{ status = error }", "{ status = unset }", {"status": "ok"}, "{ status = ok }"),
        ("{ status = error }", "", {"status": "error"}, ""),
        ("{ status = error }", "{ .b }", {"status": "error", "min": "1s"}, "{ .b && duration >= 1s }"),
        ("{ .a = 1 && .b = 2 }", "{ .a = 1 && .b = 2 }", {"attributes": "a=1 c=3"}, "{ .a = 1 && .c = 3 }"),
        ("{ duration >= 1s500ms }", "{ duration >= 1s500ms && .a }", {"min": "1.5s"}, "{ duration >= 1s500ms && .a }"),
        ("{ .a } >> { .b }", "{ .a } >> { .b }", {"status": "ok"}, "{ .a } >> { .b } | { status = ok }"),
        ("{ .a } >> { .b } | { status = ok }", "{ .a } >> { .b } | { status = ok }", {}, "{ .a } >> { .b }"),
        ("declined", "{ .a }", {"status": "ok"}, "{ .a && status = ok }"),
    ],
)
def test_changes_of_the_fields_are_made_to_the_box(was: str, box: str, fields: dict[str, str], q: str) -> None:
    asked = form(was=was, q=box, **fields)
    assert (asked.text, asked.was, asked.problems) == (q, q, {})


def test_words_in_place_of_a_query_leave_what_it_said_behind() -> None:
    asked = form(was="{ status = error && .a = 1 }", q="declined", status="error", attributes="a=1", min="1s")
    assert of(asked.url()) == {"q": "declined", "min": "1s"}


def test_a_change_waits_until_the_box_can_be_read() -> None:
    broken = form(was="{ .a = 1 }", q="{ .a = ", attributes="a=1", status="error")
    assert (broken.was, broken.controls["status"]) == ("{ .a = 1 }", "error")
    assert form(was=broken.was, q="{ .a = 2 }", attributes="a=1", status="error").text == "{ .a = 2 && status = error }"


def test_what_was_typed_stays_in_its_field() -> None:
    assert form(min="1500ms").controls["min"] == "1500ms"
    keys = [AttributeKey("span", "zip", "string", 1)]
    asked = read_form({"attributes": "zip=01234"}, NOW, keys)
    assert (asked.text, asked.controls["attributes"]) == ('{ .zip = "01234" }', "zip=01234")
    again = read_form({"q": asked.text, "was": asked.was, **asked.controls, "status": "ok"}, NOW, keys)
    assert again.text == '{ .zip = "01234" && status = ok }'


def test_a_text_that_stays_means_what_it_meant() -> None:
    keys = [AttributeKey("span", "a", "string", 1)]
    asked = read_form({"q": "{ .a = 5 }", "was": "{ .a = 5 }", "attributes": "a=5 b=1"}, NOW, keys)
    assert asked.text == "{ .a = 5 && .b = 1 }"


QUERIES = st.lists(
    st.sampled_from(
        [".a = 1", '.b = "x y"', "status = error", "duration >= 5ms", 'name = "n"', ".c || .d", "kind = server"]
    ),
    unique=True,
).map(lambda all_: "{ " + " && ".join(f"({one})" for one in all_) + " }")
EDITS = st.dictionaries(st.sampled_from(FIELDS), st.just(""), max_size=3) | st.fixed_dictionaries(
    {},
    optional={
        "service": st.sampled_from(["", "shop"]),
        "min": st.sampled_from(["", "5ms", "1s"]),
        "status": st.just("ok"),
    },
)


@given(QUERIES, QUERIES, EDITS)
def test_what_nobody_touched_changes_nothing(was: str, box: str, edits: dict[str, str]) -> None:
    page = form(q=was)
    assert form(was=page.was, q=box, **page.controls).text == form(q=box).text
    edited = form(was=page.was, q=box, **{**page.controls, **edits})
    sent_again = form(was=edited.was, q=edited.text, **edited.controls)
    assert (sent_again.url(), sent_again.query) == (edited.url(), edited.query)
    assert all(edited.controls[name] == text for name, text in edits.items() if text and page.controls[name] != text)


def test_conditions_are_toggled() -> None:
    error = Binary("=", Intrinsic("status"), Static(StatusCode.ERROR))
    asked = form(q="{ .a = 1 }", since="6h", sort="-duration")
    assert of(asked.toggled(error)) == {"q": "{ .a = 1 && status = error }", "since": "6h", "sort": "-duration"}
    assert of(read_form(of(asked.toggled(error)), NOW).toggled(error)) == {**of(asked.url())}
    assert of(form(q="{ status = error }").toggled(error)) == {}


def test_conditions_stand_beside_words_where_a_field_can_say_them() -> None:
    error = Binary("=", Intrinsic("status"), Static(StatusCode.ERROR))
    assert of(form(q="declined", min="1s").toggled(error)) == {"q": "declined", "min": "1s", "status": "error"}
    assert of(form(q="declined", status="error").toggled(error)) == {"q": "declined"}
    assert form(q="declined").toggled(Binary("!=", Intrinsic("name"), Static("x"))) == ""


# What is shown, and in which order


def test_the_order_and_the_columns_are_part_of_the_search() -> None:
    asked = form(sort="-duration", cols="started,trace,http.route,name", pin="b,span.c")
    assert asked.search.order == Order.LONGEST
    assert str(asked.search.pipeline) == "{ } | select(.http.route, name)"
    assert list(map(str, asked.pins)) == [".b", "span.c"]
    assert of(asked.url()) == {"sort": "-duration", "cols": "started,trace,.http.route,name", "pin": ".b,span.c"}


def test_what_cannot_be_shown_is_left_out_of_the_address() -> None:
    assert form(sort="-start", cols="started,trace,duration,spans,errors,services", since="2y").url() == "/search"


def test_times_bound_the_search() -> None:
    asked = form(**{"from": "2023-11-14T22:14:00Z", "to": "2023-11-14T22:15:00Z"}).search
    assert (asked.start_ns, asked.end_ns) == (1_700_000_040_000_000_000, 1_700_000_100_000_000_000)
    assert form(since="15m").search.start_ns == NOW - 15 * 60 * 10**9
    assert form().search.start_ns is None
    moment = form(**{"from": "2023-11-14T22:14:00.250Z"}).search
    assert moment.start_ns == 1_700_000_040_250_000_000


def test_a_moment_goes_before_a_period() -> None:
    asked = form(since="15m", **{"from": "2023-11-14T22:10:00Z"}).search
    assert asked.start_ns == 1_699_999_800_000_000_000


def test_the_shortest_may_be_the_longest() -> None:
    assert form(min="1s", max="1000ms").problems == {}


def test_a_field_that_cannot_be_read_leaves_what_it_said() -> None:
    asked = form(was="{ duration >= 1s }", q="{ duration >= 1s }", min="abc")
    assert str(asked.query) == "{ duration >= 1s }"
    assert list(asked.problems) == ["min"]


def test_a_condition_with_a_line_break_stands_beside_words() -> None:
    broken = Binary("=", Intrinsic("name"), Static("two\nlines"))
    assert of(form(q="declined").toggled(broken)) == {"q": "declined", "name": "two\nlines"}


def test_a_duration_that_no_field_takes_is_shown_in_none() -> None:
    assert form(q="{ duration >= -1s }").controls["min"] == ""
