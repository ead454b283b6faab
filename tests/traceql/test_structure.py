"""A trace's nested sets, and how its spans are related."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.model import Span, Trace
from minitrace.traceql.structure import Row, TraceRows, related, union
from tests.samples import TRACE, span
from tests.traceql.building import found, trace

SHOP = trace("""
checkout
  charge
    db
  ship
""")
RELATIONS = (">", ">>", "<", "<<", "~")


def numbers(spans: list[Span]) -> dict[str, tuple[int, int, int]]:
    return {row.span.name: (row.left, row.right, row.parent_left) for row in TraceRows(spans).rows}


def test_a_row_lies_between_the_numbers_of_what_it_is_below() -> None:
    assert numbers(SHOP) == {"checkout": (1, 8, -1), "charge": (2, 5, 1), "db": (3, 4, 2), "ship": (6, 7, 1)}


def test_further_roots_continue_the_numbers_in_order_of_start() -> None:
    assert numbers(trace("b starts=2\na starts=1")) == {"a": (1, 2, -1), "b": (3, 4, -1)}


@pytest.mark.parametrize(
    "drawing",
    [
        "root\nlost parent=missing\n  below",
        "root\nlost parent=lost\n  below",
        "root\nlost parent=below\n  below",
    ],
    ids=["missing parent", "own parent", "cycle"],
)
def test_what_no_root_leads_to_has_zeros(drawing: str) -> None:
    assert numbers(trace(drawing)) == {"root": (1, 2, -1), "lost": (0, 0, 0), "below": (0, 0, 0)}


def test_a_server_that_shares_its_id_is_the_child_of_the_client() -> None:
    spans = trace("""
    root
      client kind=client id=call
      server kind=server id=call
    db parent=call starts=9
    """)
    assert numbers(spans) == {"root": (1, 8, -1), "client": (2, 7, 1), "server": (3, 6, 2), "db": (4, 5, 3)}


def test_children_of_others_that_share_an_id_are_the_first_ones() -> None:
    spans = trace("root\n  second id=same starts=2\n  first id=same starts=1\nchild parent=same starts=9")
    assert numbers(spans)["child"][2] == numbers(spans)["first"][0]


def test_of_an_id_that_three_spans_have_only_roots_are_told() -> None:
    spans = trace("root\n  a id=same\n  b id=same\n  c id=same")
    assert numbers(spans) == {"root": (0, 0, -1), "a": (0, 0, 0), "b": (0, 0, 0), "c": (0, 0, 0)}
    assert found("{ } >> { }", spans) == ""


def test_a_chain_of_50_000_spans_is_no_recursion() -> None:
    spans = [span(str(at), parent=str(at - 1) if at else "", start_ms=at) for at in range(50_000)]
    rows = TraceRows(spans).rows
    assert (rows[0].left, rows[0].right, rows[-1].left, rows[-1].right) == (1, 100_000, 50_000, 50_001)
    assert len(related("<<", rows[-1:], rows)) == 49_999


def test_root_and_duration_are_those_of_the_model() -> None:
    spans = trace("late starts=5\nearly starts=2 took=1ms\nnever starts=0")
    spans[2].start_ns = 0
    rows = TraceRows(spans)
    model = Trace(TRACE, spans)
    assert model.root is not None
    assert rows.root is not None
    assert (rows.root.name, rows.duration_ns) == (model.root.span.name, model.duration_ns)


def test_a_trace_without_times_took_none() -> None:
    assert TraceRows([span("a", start_ns=0)]).duration_ns == 0


def test_a_parent_is_found_where_no_root_is() -> None:
    spans = trace("lost parent=missing\n  below")
    lost, below = TraceRows(spans).rows
    assert below.parent is lost
    assert lost.parent is None


# The relations, on one trace and against an oracle


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ('{ name = "checkout" } > { }', "charge ship"),
        ('{ name = "checkout" } >> { }', "charge db ship"),
        ('{ name = "db" } < { }', "charge"),
        ('{ name = "db" } << { }', "checkout charge"),
        ('{ name = "charge" } ~ { }', "ship"),
        ("{ } ~ { }", "charge ship"),
        ("{ } !< { }", "db ship"),  # leaves
        ("{ } !> { }", "checkout"),
        ('{ name = "db" } !<< { }', "db ship"),
        ('{ name = "checkout" } !>> { }', "checkout"),
        ('{ name = "ship" } !~ { }', "checkout db ship"),
        ("{ false } !> { }", "checkout charge db ship"),
        ("{ } !> { false }", ""),
        ('{ name = "db" || name = "ship" } &< { }', "checkout charge db ship"),
        ('{ name = "checkout" } &>> { name = "db" }', "checkout db"),
        ('{ name = "ship" } &~ { }', "charge ship"),
        ('{ name = "ship" } &> { }', ""),
    ],
)
def test_relations_find_the_right_side(query: str, names: str) -> None:
    assert found(query, SHOP) == names


def test_roots_are_siblings() -> None:
    assert found("{ } ~ { }", trace("a\n  b\nc")) == "a c"


def test_a_span_that_no_root_leads_to_is_in_no_relation_but_can_lack_one() -> None:
    spans = trace("root\nlost parent=missing\n  below")
    assert found("{ } > { }", spans) == ""
    assert found("{ } !> { }", spans) == "root lost below"


@st.composite
def forests(draw: st.DrawFn) -> list[Span]:
    """Spans whose parents are any of the others, themselves, missing or none."""
    count = draw(st.integers(1, 12))
    parents = draw(st.lists(st.integers(-2, count - 1), min_size=count, max_size=count))
    starts = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    names = {-2: "missing", -1: ""}
    return [
        span(str(at), parent=names.get(parent, str(parent)), start_ms=starts[at]) for at, parent in enumerate(parents)
    ]


def ancestors(row: Row, rows: list[Row]) -> list[Row]:
    """From its parent to its root; none if no root is reached."""
    by_id = {other.span.span_id: other for other in rows}
    path: list[Row] = []
    while row.span.parent_id:
        parent = by_id.get(row.span.parent_id)
        if parent is None or len(path) > len(rows):
            return []
        path.append(row := parent)
    return path


def is_related(operator: str, left: Row, right: Row, rows: list[Row]) -> bool:
    """Whether ``left operator right``, by walking from child to parent."""
    if operator == "~":
        is_root = not left.span.parent_id and not right.span.parent_id
        is_placed = bool(ancestors(left, rows)) and left.span.parent_id == right.span.parent_id
        return left is not right and (is_root or is_placed)
    if operator in ("<", "<<"):
        return is_related({"<": ">", "<<": ">>"}[operator], right, left, rows)
    path = ancestors(right, rows)
    return left in (path[:1] if operator == ">" else path)


@given(spans=forests(), sides=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=12, max_size=12))
@pytest.mark.parametrize("operator", RELATIONS)
def test_relations_are_what_walking_to_the_parents_finds(
    operator: str, spans: list[Span], sides: list[tuple[bool, bool]]
) -> None:
    rows = TraceRows(spans).rows
    left = [row for row in rows if sides[row.at][0]]
    right = [row for row in rows if sides[row.at][1]]
    pairs = [(one, other) for one in left for other in right if is_related(operator, one, other, rows)]
    ends = {other.at for _, other in pairs}
    assert related(operator, left, right) == [row for row in right if row.at in ends]
    assert related("!" + operator, left, right) == [row for row in right if row.at not in ends]
    assert related("&" + operator, left, right) == union(*pairs)


@given(forests())
def test_a_span_without_a_parent_is_always_told(spans: list[Span]) -> None:
    repeated = [*spans, *(span("same", parent="x", id="same") for _ in range(3))]
    for row in [*TraceRows(spans).rows, *TraceRows(repeated).rows]:
        assert (row.parent_left == -1) == (row.span.parent_id == b"")


@given(forests().flatmap(lambda spans: st.tuples(st.just(spans), st.permutations(spans))))
def test_the_order_in_which_spans_came_does_not_matter(spans: tuple[list[Span], list[Span]]) -> None:
    assert numbers(spans[0]) == numbers(spans[1])


def test_every_span_is_in_a_union_once_in_order_of_start() -> None:
    first, second, third, _ = TraceRows(SHOP).rows
    assert union([third, first], [], [second, first]) == [first, second, third]


def test_orphans_can_count_as_roots() -> None:
    lost = trace("lost parent=missing\n  below\nlater parent=missing starts=9")
    rows = TraceRows(lost, orphans_are_roots=True)
    assert [(row.span.name, row.left, row.right, row.parent_left) for row in rows.rows] == [
        ("lost", 1, 4, -1),
        ("below", 2, 3, 1),
        ("later", 5, 6, -1),
    ]
    assert rows.root is lost[0]
    assert TraceRows(lost).root is None


def test_where_there_is_a_root_no_orphan_is_the_root_of_the_trace() -> None:
    spans = trace("lost parent=missing\nroot starts=5")
    assert TraceRows(spans, orphans_are_roots=True).root is spans[1]
