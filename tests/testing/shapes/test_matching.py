"""Which spans are of which shape, and what is said of those that are not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minitrace.errors import TraceQLError
from minitrace.model import Node, Status, Trace
from minitrace.testing.failures import TracesFailure
from minitrace.testing.shapes.matching import assert_shape
from minitrace.testing.shapes.outline import outline
from minitrace.testing.shapes.shape import SpanShape, span
from tests import samples
from tests.effort import growth
from tests.testing.forests import trace

ORDER = """
POST /orders       0-100
  SELECT stock     1-5     db.rows=3
  charge           6-50    amount=7 currency=EUR
    HTTP POST      7-20
    HTTP POST      21-30   !
  SELECT orders    51-60   db.rows=0
"""


def has_shape(shape: str | SpanShape, *traces: Trace, root: str | None = None, strict: bool = False) -> bool:
    try:
        assert_shape(traces, shape, root=root, strict=strict)
    except TracesFailure:
        return False
    return True


@pytest.mark.parametrize(
    ("shape", "holds"),
    [
        # Names
        ("POST /orders", True),
        ("GET /orders", False),
        ("POST /orders\n  charge", True),
        ("POST /orders\n  HTTP POST x2", False),  # that is two levels down
        ("POST /orders\n  SELECT *", False),  # one of them
        ("POST /orders\n  SELECT * x2", True),
        ("POST /orders\n  SELECT ?tock", True),
        ("POST /orders\n  select stock", False),
        ("POST /orders\n  shop: charge", True),
        ("POST /orders\n  cart: charge", False),
        ('POST /orders\n  "SELECT *" x2', False),  # in quotes a star is a star
        # Order
        ("POST /orders\n  SELECT orders\n  charge\n  SELECT stock", True),
        ("POST /orders (in order)\n  SELECT stock\n  charge\n  SELECT orders", True),
        ("POST /orders (in order)\n  SELECT orders\n  charge\n  SELECT stock", False),
        ("POST /orders (in order)\n  SELECT stock\n  SELECT orders", True),
        # Optional, counts
        ("POST /orders\n  ? send email", True),
        ("POST /orders\n  ? charge", True),
        ("POST /orders\n  send email", False),
        ("POST /orders\n  send email x0", True),
        ("POST /orders\n  charge x0", False),
        ("POST /orders\n  charge\n    HTTP POST", False),  # there are two
        ("POST /orders\n  charge\n    HTTP POST x1..2", True),
        ("POST /orders\n  charge\n    HTTP POST x3..4", False),
        ("POST /orders\n  charge\n    HTTP POST x2..", True),
        ("POST /orders\n  charge\n    HTTP POST x0..1", False),
        ("POST /orders\n  ? charge\n    HTTP POST", False),  # it may be missing, but not be different
        # A line that the first span fits, too, is left for the one that fits no other
        ("POST /orders\n  SELECT *\n  SELECT stock\n  charge", True),
        ("POST /orders\n  *\n  SELECT *\n  SELECT stock", True),
        # Filters and attributes
        ("POST /orders\n  charge { span.amount > 0 }", True),
        ("POST /orders\n  charge { span.amount > 7 }", False),
        ("POST /orders\n  * { span.amount > 0 }", True),
        ("POST /orders\n  charge\n    HTTP POST\n    HTTP POST { status = error }", True),
        ("POST /orders\n  charge\n    HTTP POST { status = unset }\n    HTTP POST { status = error }", True),
        ("POST /orders\n  { span.amount > 0 }", True),
        ("POST /orders\n  ? { span.amount > 7 }", True),
        ("POST /orders\n  charge amount=7 currency=EUR", True),
        ("POST /orders\n  charge amount=8", False),
        ("POST /orders\n  charge colour=red", False),
        ("POST /orders\n  SELECT * db.rows=3\n  SELECT * db.rows=0", True),
        ("POST /orders service.name=shop", True),
    ],
)
def test_a_shape_holds(shape: str, holds: bool) -> None:
    assert has_shape(shape, trace(ORDER)) == holds


@pytest.mark.parametrize(
    ("shape", "holds"),
    [
        ("POST /orders", False),
        ("POST /orders\n  ...", True),
        ("POST /orders\n  SELECT * x2\n  charge\n    HTTP POST x2", True),
        ("POST /orders\n  SELECT * x2\n  charge", False),
        ("POST /orders\n  SELECT * x2\n  charge\n    ...", True),
        ("POST /orders\n  SELECT stock\n  charge\n    HTTP POST x2", False),
        ("POST /orders (in order)\n  charge\n    ...\n  SELECT orders\n  ...", True),
        ("POST /orders (in order)\n  SELECT stock\n  charge\n    HTTP POST x2\n  ? email\n  SELECT *", True),
        ("...\nGET /nothing x0", True),
    ],
)
def test_strict_forbids_what_is_not_named(shape: str, holds: bool) -> None:
    assert has_shape(shape, trace(ORDER), strict=True) == holds


TWO = (trace("GET /a\n  query", name="a"), trace("GET /a\n  query\n  query", name="b"), trace("GET /b", name="c"))


@pytest.mark.parametrize(
    ("shape", "root", "strict", "holds"),
    [
        ("GET /a\n  query x2", None, False, True),  # some root
        ("GET /a", None, False, True),
        ("GET /a x2", None, False, True),
        ("GET /a x3", None, False, False),
        ("GET /a x2\n  query x1..2\nGET /b", None, True, True),
        ("GET /a x2\n  query x1..2", None, True, False),
        ("GET /a x2\n  query x1..2\n...", None, True, True),
        ("GET /b\nGET /a", None, False, True),
        ("GET /b\nGET /c", None, False, False),
        ("* x2\n  ...", "GET /a", True, True),
        ("*", "GET /?", False, True),
        ("GET /b", "GET /a", False, False),
        ("query x3", "query", True, True),  # none of that name is at the top
        ("GET /b", "{ nestedSetParent < 0 && name = `GET /b` }", True, True),
    ],
)
def test_several_traces_are_one_forest(shape: str, root: str | None, strict: bool, holds: bool) -> None:
    assert has_shape(shape, *TWO, root=root, strict=strict) == holds


def test_a_root_below_the_top_counts_only_if_none_is_at_the_top() -> None:
    nested = trace("GET /a\n  GET /a")
    assert has_shape("GET /a\n  GET /a", nested, root="GET /a", strict=True)


def test_a_span_whose_parent_is_missing_stands_at_the_top() -> None:
    orphan = [samples.span("charge", parent="gone"), samples.span("HTTP POST", parent="charge")]
    assert has_shape("charge\n  HTTP POST", Trace(samples.TRACE, orphan), strict=True)
    assert has_shape("charge { nestedSetParent < 0 }\n  * { nestedSetParent > 0 }", Trace(samples.TRACE, orphan))


def test_children_may_lie_outside_of_their_parent() -> None:
    skewed = trace("client 1000-1010\n  server 3-9\n    query 5000-5001")
    assert has_shape("client (in order)\n  server\n    query", skewed, strict=True)


@pytest.mark.parametrize(("start", "end"), [(0, 0), (5, 0), (0, 5), (9, 5), (2**64 - 1, 2**64 - 1)])
def test_times_may_be_missing(start: int, end: int) -> None:
    spans = [samples.span(n, p, start_ns=start, end_ns=end) for n, p in (("a", ""), ("b", "a"), ("c", "a"))]
    timeless = Trace(samples.TRACE, spans)
    assert has_shape("a (in order)\n  b\n  c", timeless, strict=True)
    assert outline([timeless]) == "a\n  b\n  c\n"


def test_children_that_began_in_one_tick_of_the_clock_are_in_any_order() -> None:
    coarse = trace("a 0-9\n  second 1-1\n  first 1-2")
    assert has_shape("a (in order)\n  first\n  second", coarse)
    assert has_shape("a (in order)\n  second\n  first", coarse)


def test_attributes_may_be_any_objects_with_an_equality() -> None:
    shape = span("POST /orders", children=[span("charge", attrs={"amount": pytest.approx(6.9, abs=0.2), "tip": None})])
    assert has_shape(shape, trace(ORDER))
    assert not has_shape(span("charge", attrs={"amount": pytest.approx(6.9)}), trace(ORDER), root="charge")


def test_an_attribute_that_is_missing_is_equal_to_none_alone() -> None:
    class Anything:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    assert has_shape(span("charge", attrs={"amount": Anything()}), trace(ORDER), root="charge")
    assert not has_shape(span("charge", attrs={"tip": Anything()}), trace(ORDER), root="charge")


def test_what_is_asked_of_a_span_is_asked_in_its_own_trace() -> None:
    traces = trace("GET /a\n  query", name="a"), trace("GET /b\n  query", name="b")
    assert has_shape("GET /b\n  query { rootName = `GET /b` }", *traces)
    assert not has_shape("GET /a\n  query { rootName = `GET /b` }", *traces)


def test_a_root_that_is_no_query_is_refused() -> None:
    with pytest.raises(TraceQLError, match="series"):
        assert_shape([trace(ORDER)], "a", root="{ } | rate()")


NAMES = ["a", "b", "c", "d"]
trees = st.recursive(st.sampled_from(NAMES).map(lambda name: (name, ())), lambda t: st.tuples(
    st.sampled_from(NAMES), st.lists(t, max_size=4).map(tuple)), max_leaves=6)  # fmt: skip
counts = st.sampled_from([1, 1, 2, 0, None, range(2), range(1, 3), range(2, 4)])


@st.composite
def shapes(draw: st.DrawFn, depth: int = 2) -> SpanShape:
    children = draw(st.lists(shapes(depth - 1), max_size=3)) if depth else []
    more = [...] if draw(st.booleans()) else []
    name = draw(st.sampled_from([*NAMES, "*", "[ab]"]))
    return span(name, times=draw(counts), children=[*children, *more], ordered=draw(st.booleans()))


def forest(tops: Sequence[tuple[str, Sequence[object]]]) -> Trace:
    """Nested names to a trace in which everything comes one after the other."""
    spans, numbers = [], itertools.count()

    def add(tree: tuple[str, Sequence[object]], parent: str) -> None:
        number = next(numbers)
        spans.append(samples.span(tree[0], parent, id=f"{number}", start_ms=number, duration_ms=0.5))
        for child in tree[1]:
            add(child, f"{number}")  # type: ignore[arg-type]

    for top in tops:
        add(top, "")
    return Trace(samples.TRACE, spans)


def oracle(line: SpanShape, nodes: Sequence[Node], strict: bool) -> bool:
    """Every way to give each child to a line or to none, tried."""
    lines = line.children
    choices: list[list[int | None]] = []
    for node in nodes:
        suits = [at for at, child in enumerate(lines) if node.span.name == child.name or child.name == "*"
                 or (child.name == "[ab]" and node.span.name in "ab")]  # fmt: skip
        fits: list[int | None] = [at for at in suits if oracle(lines[at], node.children, strict)]
        choices.append([None] if not suits and (not strict or line.has_more) else fits)
    return any(_is_right(line, way) for way in itertools.product(*choices))


def _is_right(line: SpanShape, way: Sequence[int | None]) -> bool:
    given = [at for at in way if at is not None]
    enough = all(
        child.least <= given.count(at) <= (len(way) if child.most is None else child.most)
        for at, child in enumerate(line.children)
    )
    return enough and (not line.is_ordered or given == sorted(given))


@given(st.lists(trees, min_size=1, max_size=3), st.lists(shapes(), min_size=1, max_size=2), st.booleans())
def test_matching_is_what_trying_all_ways_finds(
    tops: list[tuple[str, Sequence[object]]], lines: list[SpanShape], strict: bool
) -> None:
    # The top has a rule of its own where it is not strict: a span around everything is looked at.
    whole = forest([("all", tops)])
    assert has_shape(span("all", children=[*lines, ...]), whole, strict=strict) == oracle(
        span("all", children=[*lines, ...]), whole.tops[0].children, strict
    )


@given(st.lists(trees, min_size=1, max_size=3), st.lists(shapes(), min_size=1, max_size=3), st.booleans())
def test_whatever_does_not_match_is_told_with_a_line_that_differs(
    tops: list[tuple[str, Sequence[object]]], lines: list[SpanShape], strict: bool
) -> None:
    whole = forest(tops)
    for line in lines:
        try:
            assert_shape([whole], line, strict=strict)
        except TracesFailure as failure:
            marked = [text for text in str(failure).split("\n")[1:] if text[2:3] in ("~", "-", "+")]
            assert marked


HARD_NAMES = [
    *[
        "",
        " ",
        "?",
        "? a",
        "?a",
        "...",
        "# a",
        "a # b",
        "#a",
        '"',
        '"a"',
        'a "b"',
        "a\\b",
        "x3",
        "a x3",
        "a x1..2",
        "a x..",
    ],
    *[
        "a {b}",
        "a { b",
        "{ a }",
        "GET /{id}",
        "?{ a }",
        "a ×2",
        "a (in order)",
        "(in order)",
        "a=1",
        "a b=1",
        "a b.c=1 d",
    ],
    *["a*", "[a]", "[!a]*", "a\nb", "a\tb", " a", "a ", "a  b", "naïve ✓", "\u202eabc", "s: a", "\x00", "a\u2009b"],
    *["a\x85b", "a\u2028b", "a x3 # b", "a  x3", "a b=", "... x2", "#", "a #"],
]
hard_values = st.one_of(
    st.sampled_from(HARD_NAMES),
    st.text(),
    st.integers(),
    st.floats(allow_nan=False),
    st.booleans(),
    st.lists(st.text(), max_size=2),
    st.binary(),
)


@st.composite
def hard_forests(draw: st.DrawFn) -> list[Trace]:
    """Traces of spans whose names and values look like parts of a shape."""
    spans = [
        samples.span(
            draw(st.sampled_from(HARD_NAMES) | st.text()),
            str(draw(st.integers(0, number - 1))) if number and draw(st.integers(0, 3)) else "",
            id=str(number),
            start_ms=draw(st.integers(0, 9)),
            duration_ms=draw(st.integers(-1, 9)),
            service=draw(st.sampled_from(["s", "shop: x"])),
            attributes={"a": draw(hard_values)} if draw(st.booleans()) else {},
            status=Status(draw(st.integers(0, 2))),
        )
        for number in range(draw(st.integers(1, 8)))
    ]
    return [Trace(samples.TRACE, spans)]


@given(hard_forests(), st.booleans(), st.booleans())
@example([Trace(samples.TRACE, [samples.span(name, id=str(at)) for at, name in enumerate(HARD_NAMES)])], True, True)
def test_what_an_outline_shows_is_the_strict_shape_of_it(traces: list[Trace], collapse: bool, services: bool) -> None:
    assert_shape(traces, outline(traces, attrs=["a"], collapse=collapse, services=services), strict=True)


def test_twice_the_lines_and_siblings_take_about_four_times_as_long() -> None:
    def comparing(count: int) -> Callable[[], None]:
        names = "\n".join(f"  q{at % count} {at * 2 + 1}-{at * 2 + 2}\n    row" for at in range(10 * count))
        wide = trace(f"list 0-1000\n{names}")
        lines = "\n".join(["  q* x10\n    row"] * count)

        def compare() -> None:
            assert has_shape(f"list\n{lines}", wide, strict=True)
            assert not has_shape(f"list\n{lines}\n  q* x1\n    row", wide, strict=True)
            assert has_shape(f"list (in order)\n{lines}", wide, strict=True)

        return compare

    assert growth(comparing, 10, 2) < 16  # all ways would be thousands of times as many


def failure(shape: str | SpanShape, *traces: Trace, root: str | None = None, strict: bool = False) -> str:
    with pytest.raises(TracesFailure) as raised:
        assert_shape(traces, shape, root=root, strict=strict)
    return str(raised.value)


SHAPE = """
    POST /orders
      SELECT stock
      charge { span.amount > 7 }
        HTTP POST x3
      ? send email
      audit
"""


def test_a_failure_shows_line_by_line_what_differs() -> None:
    assert (
        failure(SHAPE, trace(ORDER))
        == """\
the spans are not of this shape: line 3, charge { span.amount > 7 }: span.amount is 7
    POST /orders
      SELECT stock
  ~   charge { span.amount > 7 }   # span.amount is 7
  ~     HTTP POST x3   # there 2 times
      ? send email
  -   audit
      # others here: SELECT orders"""
    )


def test_a_strict_failure_shows_what_is_too_much() -> None:
    assert (
        failure("POST /orders\n  SELECT stock\n  SELECT orders", trace(ORDER), strict=True)
        == """\
the spans are not of this shape: charge below POST /orders: not in the shape
    POST /orders
      SELECT stock
      SELECT orders
  +   charge
  +     HTTP POST
  +     HTTP POST { status = error }"""
    )


def test_a_failure_of_order_shows_what_comes_too_late() -> None:
    assert (
        failure("POST /orders (in order)\n  charge\n  SELECT stock", trace(ORDER))
        == """\
the spans are not of this shape: line 2, charge: comes after SELECT stock
    POST /orders (in order)
  ~   charge   # comes after SELECT stock
      SELECT stock"""
    )


def test_of_several_traces_the_nearest_is_compared() -> None:
    traces = [
        trace(f"GET /a\n  query\n{more}", name=name) for name, more in (("a", ""), ("b", "  audit n=1"), ("c", ""))
    ]
    assert (
        failure("GET /a\n  query\n  audit n=2", *traces)
        == f"""\
the spans are not of this shape: line 3, audit n=2: n is 1
the nearest of 3 traces is {traces[1].trace_id.hex()}:
    GET /a
      query
  ~   audit n=2   # n is 1"""
    )


def test_spans_that_differ_alike_are_shown_once() -> None:
    jobs = trace("a\n  job n=1\n    query\n  job n=1\n  job n=2\n    query\n  job n=1")
    assert (
        failure("a\n  job x4\n    query", jobs)
        == """\
the spans are not of this shape: line 3, query: missing
    a
      job x4   # 2 of 4
  -     query"""
    )


def test_what_suits_a_line_that_has_enough_is_counted_for_it() -> None:
    twice = trace("a\n  charge\n    HTTP POST\n  charge")
    assert (
        failure("a\n  charge\n    HTTP POST", twice)
        == """\
the spans are not of this shape: line 2, charge: there 2 times
    a
  ~   charge   # there 2 times
        HTTP POST"""
    )


def test_what_is_too_much_is_counted_for_a_line_that_it_fits() -> None:
    text = failure("top\n  ? a\n    b\n  a", trace("top\n  a\n  a"))
    assert text.startswith("the spans are not of this shape: line 4, a: there 2 times\n")


def test_objects_are_shown_as_they_are() -> None:
    shape = span("a", children=[span("b", attrs={"n": "1"}, times=None)])
    assert (
        failure(shape, trace("a\n  b  n=1"))
        == """\
the spans are not of this shape: b n='1' x1.. below a: n is 1
    a
  ~   b n='1' x1..   # n is 1"""
    )


def test_a_shape_that_stands_further_down_is_found() -> None:
    assert (
        failure("charge\n  HTTP POST x2", trace(ORDER))
        == """\
the spans are not of this shape: line 1, charge: missing
  - charge
  -   HTTP POST x2
    # others here: POST /orders
a span below the top is of this shape: begin there with root='charge'"""
    )


def test_without_spans_nothing_is_compared() -> None:
    assert failure("a") == "the spans are not of this shape: no span was captured"
    assert failure("a", trace("b"), root="c") == "root='c' is no span here; at the top: b"


def test_the_names_that_are_nearest_to_a_missing_one_come_first() -> None:
    names = "\n".join(f"  {name}" for name in ("a", "b", "c", "d", "SELECT stocks", "e", "f", "g", "g"))
    assert "others here: SELECT stocks, c, a, b, d, e, 2 more names" in failure(
        "top\n  SELECT stock", trace(f"top\n{names}")
    )


def test_a_long_failure_is_cut_around_the_first_difference() -> None:
    wide = trace("top\n" + "\n".join(f"  a{at}" for at in range(200)))
    lines = failure("top\n" + "\n".join(f"  a{at}" for at in range(100)) + "\n  b\n  c", wide).split("\n")
    assert lines[:3] == ["the spans are not of this shape: line 102, b: missing", "  …", "      a88"]
    assert lines[-3].strip("- ") == "b"
    lines = failure("top\n  b\n" + "\n".join(f"  a{at}" for at in range(100)), wide).split("\n")
    assert len(lines) < 55
    assert lines[-1] == "  … 53 more lines"
