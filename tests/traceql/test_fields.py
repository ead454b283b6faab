"""What a field is worth for a span, and which spans meet a condition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.model import Kind, Span, Status, StatusCode
from minitrace.traceql.ast import Aggregate, Attribute, Binary, Duration, Field, Intrinsic, SpansetFilter, Static, Value
from minitrace.traceql.fields import NO_ROOT, compile_condition, compile_field
from minitrace.traceql.parser import parse
from minitrace.traceql.structure import TraceRows
from tests.samples import MS, span, span_id, trace_id
from tests.traceql.building import found, trace

ONE = trace("""
one a=1 n=2.5 s=x yes=true tags=["x","y"] resource.a=9 resource.r=1 instrumentation.i=7 status=error message=late
""")[0]


def condition(query: str) -> Field | None:
    """The condition of a query that is one filter."""
    (only,) = (node for node in parse(query).walk() if isinstance(node, SpansetFilter))
    return only.condition


def holds(condition_text: str, *spans: Span) -> bool:
    """Whether the first span of a trace meets a condition."""
    test = compile_condition(condition(f"{{ {condition_text} }}"))
    return test(next(row for row in TraceRows(spans).rows if row.span is spans[0]))


def value(field: Field, *spans: Span) -> Value:
    """A field of the first span of a trace."""
    return compile_field(field)(next(row for row in TraceRows(spans).rows if row.span is spans[0]))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (Attribute(None, "a"), 1),
        (Attribute("span", "a"), 1),
        (Attribute("resource", "a"), 9),
        (Attribute(None, "r"), 1),
        (Attribute("span", "r"), None),
        (Attribute("instrumentation", "i"), 7),
        (Attribute(None, "i"), None),
        (Intrinsic("name"), "one"),
        (Intrinsic("duration"), Duration(10 * MS)),
        (Intrinsic("traceDuration"), Duration(10 * MS)),
        (Intrinsic("status"), StatusCode.ERROR),
        (Intrinsic("statusMessage"), "late"),
        (Intrinsic("kind"), Kind.INTERNAL),
        (Intrinsic("rootName"), "one"),
        (Intrinsic("rootServiceName"), "shop"),
        (Intrinsic("nestedSetLeft"), 1),
        (Intrinsic("nestedSetRight"), 2),
        (Intrinsic("nestedSetParent"), -1),
        (Intrinsic("span:childCount"), 0),
        (Intrinsic("span:id"), span_id("one").hex()),
        (Intrinsic("span:parentID"), ""),
        (Intrinsic("instrumentation:name"), "tests"),
        (Intrinsic("instrumentation:version"), "1.0"),
        (Intrinsic("event:name"), None),
        (Intrinsic("event:timeSinceStart"), None),
        (Intrinsic("link:spanID"), None),
        (Intrinsic("link:traceID"), None),
        (Binary("+", Attribute(None, "a"), Attribute(None, "n")), 3.5),
        (Binary(">", Attribute(None, "a"), Static(0)), True),
    ],
)
def test_a_field_has_this_value(field: Field, expected: Value) -> None:
    assert value(field, ONE) == expected
    assert type(value(field, ONE)) is type(expected)


def test_a_trace_without_a_root_says_so() -> None:
    lost = span("lost", parent="missing")
    assert value(Intrinsic("rootName"), lost) == value(Intrinsic("rootServiceName"), lost) == NO_ROOT


def test_numbers_of_status_and_kind_that_are_newer_than_we_are_count_as_none() -> None:
    newer = span("newer", kind=9, status=Status(7))
    assert value(Intrinsic("kind"), newer) is Kind.UNSPECIFIED
    assert value(Intrinsic("status"), newer) is StatusCode.UNSET


def test_children_are_counted_by_the_parent_they_name() -> None:
    spans = trace("a\n  b\n  c\n    d")
    assert value(Intrinsic("span:childCount"), *spans) == 2


@pytest.mark.parametrize(
    "text",
    [
        ".a = 1",
        "resource.a = 9",
        ".a != 2",
        ".yes",
        "!(.a = 2)",
        "!(.missing = 1)",
        ".missing || .a = 1",
        ".a = 1 && (.b = 1 || .n > 2)",
        "1 = .a",
        "2 > .a",
        '.tags = "y"',
        '"y" = .tags',
        ".missing = nil",
        "nil = .missing",
        ".a != nil",
        "name != nil",
        ".n - .a = 1.5",
        "-.a = -1",
        ".a = resource.r",
        "duration = 10000000",
        "duration > 9.9ms",
        "(.a = 1) = true",
        "(.missing = 1) = false",
        '.s =~ "x|z"',
        ".missing = nil && !(.missing != nil)",
    ],
)
def test_these_conditions_hold(text: str) -> None:
    assert holds(text, ONE)


@pytest.mark.parametrize(
    "text",
    [
        "resource.a = 1",
        ".a",  # no boolean
        "!.a",
        "!.yes",
        "!.missing",
        "!(.missing)",
        "!.missing = 1",
        ".missing != 1",
        '.missing !~ "x"',
        '.a != "1"',
        '!(.s =~ "x")',
        ".yes && .missing",
        ".missing && .yes",
        "nil = nil",
        "nil != nil",
        ".a = nil",
        ".a / 0 = 1",
        "-.s = 1",
        ".tags + 1 = 2",
        ".tags = .tags",
    ],
)
def test_these_do_not(text: str) -> None:
    assert not holds(text, ONE)


def test_presence_on_the_span_decides_not_the_match() -> None:
    assert not holds(".a = 9", ONE)


def test_attributes_of_other_kinds_are_there_and_match_nothing() -> None:
    odd = span("odd", attributes={"raw": b"x", "map": {"a": 1}, "mixed": [1, "x"]})
    assert [key for key in ("raw", "map", "mixed") if holds(f".{key} != nil", odd)] == ["raw", "map", "mixed"]
    assert not any(holds(f'.{key} != "y" || .{key} = 1', odd) for key in ("raw", "map", "mixed"))


# Ids


@pytest.mark.parametrize(
    ("text", "is_met"),
    [
        ('trace:id = "abc"', True),
        ('trace:id = "00000000000000000000000000000ABC"', True),
        ('trace:id != "0abc"', False),
        ('span:id = "d"', True),
        ('span:id = "000000000000000D"', True),
        ('span:id =~ "0+d"', True),
        ('span:parentID = ""', True),
        ('span:parentID = "0000000000000000"', True),
        ('link:spanID = "0E"', True),
        ('link:traceID = "f"', True),
    ],
)
def test_ids_are_met_in_any_case_and_padding(text: str, is_met: bool) -> None:
    one = trace("one link=other")[0]
    one.trace_id, one.span_id = bytes.fromhex(f"{0xABC:032x}"), bytes.fromhex(f"{0xD:016x}")
    one.links[0].trace_id, one.links[0].span_id = bytes.fromhex(f"{0xF:032x}"), bytes.fromhex(f"{0xE:016x}")
    assert holds(text, one) is is_met


def test_spans_can_be_found_by_their_parents_id() -> None:
    spans = trace("a\n  b\n  c")
    assert found(f'{{ span:parentID = "{span_id("a").hex().upper()}" }}', spans) == "b c"


# Events and links


EVENTS = trace("""
one a=1 event=retry event.n=1 event=retry event.n=3 event.slow=true event=done link=x link.k=1 link=y link.k=2
""")[0]


@pytest.mark.parametrize(
    "text",
    [
        'event:name = "done"',
        'event:name != "done"',  # some event's is another
        'event:name =~ "re.*" && event.n = 3',
        "event.n = 3 && .a = 1 && event.slow",
        'event.n = 1 || event:name = "none"',
        "event.n = nil",  # some event has no n
        "event.n != nil",
        "event:timeSinceStart = 3ms",
        "!(event.n = 4)",
        "link.k = 2 && event.n = 1",
        f'link:spanID = "{span_id("y").hex()}" && link.k = 2',
        f'link:traceID = "{trace_id("x").hex()}"',
        "event.n < link.k",  # 1 and 2, of the second link
        "(event.n = 3) = true",
        "(event.n = 3) = (link.k = 2)",  # some event, and some link
        "(event.n = 1) = (event.slow)",  # each its own event
        "(event.n = 1 || event.n = 9) && event.n = 3",  # not joined by && alone: two events
    ],
)
def test_some_event_and_some_link_meet_these(text: str) -> None:
    assert holds(text, EVENTS)


@pytest.mark.parametrize(
    "text",
    [
        'event:name = "done" && event.n = 3',
        "event.n = 1 && .a = 1 && event.slow",
        "event.n = 1 && (event:timeSinceStart > 1ms && event.slow)",
        'event:name =~ "x"',
        f'link:spanID = "{span_id("x").hex()}" && link.k = 2',
        "!(event.n = 3)",
        "!event.slow",
        "(event.n = 1 && event.slow) = true",
    ],
)
def test_no_single_event_or_link_meets_these(text: str) -> None:
    assert not holds(text, EVENTS)


def test_a_span_without_events_lacks_no_field_of_them() -> None:
    assert not holds("event.n = nil", ONE)
    assert not holds("link.k = nil", ONE)


def test_outside_conditions_an_event_is_the_first_that_has_the_field() -> None:
    assert value(Attribute("event", "slow"), EVENTS) is True
    assert value(Intrinsic("event:name"), EVENTS) == "retry"
    assert value(Attribute("link", "k"), EVENTS) == 1


def test_a_condition_that_is_a_value_seeks_its_events_too() -> None:
    assert value(Binary("=", Attribute("event", "n"), Static(3)), EVENTS) is True


def test_a_condition_that_is_a_value_is_false_where_there_are_no_events() -> None:
    assert holds("(event.n = 3) = false", ONE)


def test_a_literal_compares_as_any_value() -> None:
    assert compile_condition(Binary("!=", Static(1), Static(None)))(TraceRows([ONE]).rows[0])
    assert not compile_condition(Binary("=", Static(1), Static(None)))(TraceRows([ONE]).rows[0])


def test_an_aggregate_is_no_field_of_a_span() -> None:
    with pytest.raises(TypeError, match="count"):
        compile_field(Aggregate("count"))


# Parents


def test_the_fields_of_a_parent_are_those_of_its_span_else_its_resource() -> None:
    spans = trace("a x=1 resource.y=2\n  b x=5 resource.y=6\n    c")
    assert found("{ parent.x = 1 }", spans) == "b"
    assert found("{ parent.y = 6 && parent.span.y = nil }", spans) == "c"
    assert found("{ parent.resource.y = 2 }", spans) == "b"


def test_a_span_without_a_parent_here_has_no_fields_of_one() -> None:
    assert found("{ parent.service.name = nil }", trace("a\n  b\nlost parent=missing")) == "a lost"


# Truth


TRUTHS = st.sampled_from(["yes", "no", "missing", "text"])


@given(left=TRUTHS, right=TRUTHS)
def test_what_is_not_true_is_false_to_and_or_and_not(left: str, right: str) -> None:
    one = span("one", attributes={"yes": True, "no": False, "text": "x"})
    is_left, is_right = left == "yes", right == "yes"
    assert holds(f".{left} && .{right}", one) == (is_left and is_right)
    assert holds(f".{left} || .{right}", one) == (is_left or is_right)
    assert holds(f"!(.{left} && .{right})", one) != (is_left and is_right)


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_many_conditions_are_joined_as_two_are(truths: list[bool]) -> None:
    one = span("one", attributes={"True": True, "False": False})
    assert holds(" && ".join(f".{truth}" for truth in truths), one) == all(truths)
    assert holds(" || ".join(f".{truth}" for truth in truths), one) == any(truths)
