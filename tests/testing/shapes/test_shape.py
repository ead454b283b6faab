"""Shapes are read from text, and what cannot be read is shown with what would do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.errors import MinitraceError, ShapeError, TraceQLError
from minitrace.testing.shapes.notation import readable
from minitrace.testing.shapes.parser import parse
from minitrace.testing.shapes.shape import SpanShape, span

AWKWARD = r"""{ span.b = `}` && span.c = "} x3 # \"" }"""


def only(text: str) -> SpanShape:
    """The shape in a text that has one top."""
    [top] = parse(text).children
    return top


def test_what_is_indented_is_below() -> None:
    text = """
        POST /orders
          SELECT stock

          # a remark
          charge
              HTTP POST
        GET /orders
    """
    assert parse(text).children == (
        span("POST /orders", children=[span("SELECT stock"), span("charge", children=[span("HTTP POST")])]),
        span("GET /orders"),
    )


def test_a_tab_is_as_wide_as_spaces_up_to_it() -> None:
    assert only("\ta\n\t\tb\n                c") == span("a", children=[span("b"), span("c")])


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("GET /items/{id}", span("GET /items/{id}")),
        ("OrdersController#show", span("OrdersController#show")),
        ("embed x4", span("embed", times=4)),
        ("embed ×4", span("embed", times=4)),
        ("embed x2..", SpanShape("embed", 2, None)),
        ("embed x1..3 # why", span("embed", times=range(1, 4))),
        ("embed x..", span("embed x..")),
        ("x4", span("x4")),
        ("? embed", span("embed", optional=True)),
        ("?embed x1..3", span("embed", times=range(1, 4), optional=True)),
        ("embed (in order)", span("embed", ordered=True)),
        ("embed\n  ...", span("embed", children=[...])),
        ("embed\n  ...\n  a  # b", span("embed", children=[span("a"), ...])),
        ("a { span.b = 1 } x2", span("a", where="{ span.b = 1 }", times=2)),
        (f"a {AWKWARD}", span("a", where=AWKWARD)),
        ("{ span.b = 1 }", span("*", where="{ span.b = 1 }")),
        ('"? a x3 # \\"b\\" { c }" x2', SpanShape('? a x3 # "b" { c }', 2, 2, is_exact=True)),
    ],
)  # fmt: skip
def test_a_line_is_read(text: str, shape: SpanShape) -> None:
    assert only(text) == shape


signs = st.lists(
    st.sampled_from([*' \t\n"{}?#x3.=a*[]', "...", " x2", "x1..", " { .a = 1 }", " (in order)", " b=1", "\n  ", "``"])
)


@given(signs.map("".join) | st.text())
def test_any_text_is_a_shape_or_says_what_is_wrong_with_it(text: str) -> None:
    try:
        shape = parse(text)
    except MinitraceError as error:
        assert str(error)  # noqa: PT017 (it may as well be a shape)
    else:
        for line in shape.children:
            assert str(only(str(line))) == str(line)


def test_attributes_are_equal_to_what_reads_like_them() -> None:
    wanted = only('GET code=201 ok=true route="/a b" tags=["x"]').attrs
    assert wanted == {"code": 201, "ok": True, "route": "/a b", "tags": ["x"]}
    assert wanted != {"code": 202, "ok": True, "route": "/a b", "tags": ["x"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the shape is empty: write the name of a span, and those below it indented"),
        ("\n  # nothing\n", "the shape is empty: write the name of a span, and those below it indented"),
        ("a\n   b\n  c", "line 3: this is 2 columns in, what it stands beside 3: indent them alike\n    c\n    ^"),
        ("  a\n b", "line 2: this is 1 columns in, what it stands beside 2: indent them alike\n   b\n   ^"),
        ("\n\n  a\n    ...\n      b", 'line 3: nothing can stand below "...": indent this like the line above'),
        ("a x3..1", "line 1: no number is 3 or more and 1 or less: try x1..3\n  a x3..1\n     ^^^^"),
        ("? a x4", "line 1: 'a' is optional, and wanted 4 times or more: for none, some or all say x0..4"),
        ("? a x2..", "line 1: 'a' is optional, and wanted 2 times or more: for none, some or all say x0.."),
        ('"a', 'line 1: the name has no closing "\n  "a\n  ^'),
        (
            '"a\\q"',
            'line 1: what stands in quotes is a JSON string: \\" and \\\\ stand for " and \\ there\n  "a\\q"\n  ^^^^^',
        ),
        ('a b="c\\q"', "line 1: what stands in quotes is a JSON string"),
        (
            "\n".join(" " * at + "a" for at in range(101)),
            "line 101: this is more than 100 levels down: begin further down",
        ),
        ('"a" b', "line 1: a name in quotes is followed by key=value, { filter }, a count (x3, x1..3) or nothing"),
        ("a { b", 'line 1: the filter has no closing "}"; a name with " {" in it stands in quotes\n  a { b\n    ^^^'),
        ("a { .b = 1 } c", "line 1: a filter is followed by a count (x3, x1..3), (in order) or nothing"),
        (
            "a x2 { .b = 1 }",
            "line 1: a count, and then (in order), are last in a line; a name that ends like this stands in "
            "quotes\n  a x2 { .b = 1 }\n    ^^",
        ),
        ("a (in order) x2", "line 1: a count, and then (in order), are last"),
        ("a x2..3 b=1", "line 1: a count, and then (in order), are last"),
        ("?", "line 1: a line begins with a name\n  ?\n  ^"),
    ],
)
def test_a_shape_that_cannot_be_read_says_why(text: str, message: str) -> None:
    with pytest.raises(ShapeError) as raised:
        parse(text)
    assert str(raised.value).startswith(message)


def test_a_wrong_filter_is_shown_in_its_line() -> None:
    with pytest.raises(TraceQLError) as raised:
        parse("POST /orders\n  charge { span.amount => 0 }")
    assert str(raised.value) == (
        "line 2: write >= for at least, not =>\n    charge { span.amount => 0 }\n                         ^^"
    )


@pytest.mark.parametrize(
    ("times", "optional", "message"),
    [
        (-1, False, "times=-1 of 'a' is no number of spans: try 3, or range(1, 4) for one to three"),
        (range(3, 3), False, "times=range(3, 3) of 'a' is no number of spans"),
        (range(0, 9, 2), False, "times=range(0, 9, 2) of 'a' is no number of spans"),
        (2, True, "'a' is optional, and wanted 2 times or more: for none, some or all say x0..2"),
    ],
)
def test_a_span_that_makes_no_sense_is_refused(times: int | range, optional: bool, message: str) -> None:
    with pytest.raises(ShapeError) as raised:
        span("a", times=times, optional=optional)
    assert str(raised.value).startswith(message)


def test_a_wrong_query_is_refused_where_it_is_written() -> None:
    with pytest.raises(TraceQLError, match="write >="):
        span("a", where="{ span.amount => 0 }")


def test_a_shape_is_written_as_it_is_read() -> None:
    text = """\
POST /orders status=201 (in order)
  ? send email
  "SELECT *" { span.db.rows > 0 } x1..3
    a x2..
    b x0..
  c x0
  ..."""
    assert str(only(text)) == text


def test_names_are_in_quotes_where_they_would_be_read_as_something_else() -> None:
    plain = ["GET /items/{id}", "SELECT *", "a: b", "a=1 b", "x3", "a#b", "naïve"]
    assert [readable(name) for name in plain] == plain
    others = ["", "? a", "a x3", "a { b }", "a # b", "...", " a", "UPDATE t SET b=1"]
    assert [readable(name) for name in others] == [f'"{name}"' for name in others]
    assert readable("a\nb") == '"a\\nb"'
    assert readable("a\u202eb") == '"a\\u202eb"'  # it would turn the line around


def test_a_shape_error_is_one_that_minitrace_explains() -> None:
    with pytest.raises(MinitraceError):
        parse("")
