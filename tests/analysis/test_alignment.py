"""Two traces as one tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.analysis.alignment import Aligned, Difference, align
from minitrace.analysis.tree import Tree, tree
from minitrace.model import Attributes, Kind, Resource, Span, Status, StatusCode, Trace
from tests.analysis.alike import alike_trees
from tests.analysis.growing import MANY, chain, fan, grown
from tests.effort import growth
from tests.samples import MS, TRACE, span

FAILED = Status(StatusCode.ERROR)


def drawn(rows: list[Aligned]) -> list[str]:
    """The rows as text: what there is of each on both sides."""
    return [f"{'  ' * row.depth}{row.label} {len(row.a.rows)}:{len(row.b.rows)}" for row in rows]


def family(*children: str, root: str = "pay") -> Tree:
    """A root and its children in order; the same name may come again."""
    below = [span(name, root, id=f"{place}", start_ms=place, duration_ms=1) for place, name in enumerate(children, 1)]
    return grown(span(root, duration_ms=100), *below)


def query(text: str, number: int, parent: str = "pay", **fields: Any) -> Span:
    """A database statement, right below the root."""
    attributes: Attributes = {"db.query.text": text, "db.system.name": "postgresql"}
    return span("query", parent, id=f"{number}", start_ms=number, kind=Kind.CLIENT, attributes=attributes, **fields)


# Who meets whom


def test_alike_siblings_are_one_row_with_counts_of_both() -> None:
    assert drawn(align(family("get", "ask"), family("get", "get", "get"))) == ["pay 1:1", "  get 1:3", "  ask 1:0"]


def test_what_stands_below_alike_siblings_meets_across_them() -> None:
    a = grown(span("pay"), span("get", "pay"), span("read", "get"))
    b = grown(span("pay"), *[span("get", "pay", id=f"get{n}") for n in "12"], span("read", "get2"))
    assert drawn(align(a, b)) == ["pay 1:1", "  get 1:2", "    read 1:1"]


def test_the_order_is_that_of_both_with_what_is_new_behind_what_is_gone() -> None:
    rows = align(family("a", "gone", "b", "c"), family("a", "new", "b", "c", "last"))
    assert [row.label for row in rows[1:]] == ["a", "gone", "new", "b", "c", "last"]


def test_siblings_that_changed_places_still_meet() -> None:
    assert drawn(align(family("a", "b", "c"), family("b", "c", "a")))[1:] == ["  a 1:1", "  b 1:1", "  c 1:1"]


def test_one_that_moved_does_not_take_the_new_ones_along() -> None:
    rows = align(family("a", "b", "c", "d"), family("d", "a", "b", "new", "c"))
    assert [row.label for row in rows[1:]] == ["a", "b", "new", "c", "d"]


def test_a_query_that_was_rewritten_meets_the_one_to_the_same_table() -> None:
    a = grown(span("pay"), query("SELECT * FROM stock WHERE sku IN (1, 2)", 1), query("SELECT 1 FROM goods", 2))
    b = grown(span("pay"), *[query("SELECT * FROM stock WHERE sku = 1", n) for n in range(1, 15)])
    assert drawn(align(a, b)) == ["pay 1:1", "  SELECT stock 1:14", "  SELECT goods 1:0"]


def test_spans_of_another_service_or_kind_do_not_meet() -> None:
    a = grown(span("pay"), span("get", "pay", service="cart"), span("put", "pay", kind=Kind.CLIENT))
    b = grown(span("pay"), span("get", "pay", service="stock"), span("put", "pay", kind=Kind.PRODUCER))
    assert sorted(drawn(align(a, b))) == ["  get 0:1", "  get 1:0", "  put 0:1", "  put 1:0", "pay 1:1"]


def test_two_roots_meet_whatever_they_are_called() -> None:
    rows = align(family("get", root="GET /cart"), family("get", root="GET /v2/cart"))
    assert drawn(rows) == ["GET /cart 1:1", "  get 1:1"]


def test_a_trace_against_none_is_all_on_one_side() -> None:
    assert drawn(align(family("get"), grown())) == ["pay 1:0", "  get 1:0"]
    assert align(grown(), grown()) == []


# Figures


def test_each_side_has_the_sums_of_its_spans() -> None:
    a = grown(span("pay", duration_ms=10), span("get", "pay", duration_ms=4), span("read", "get", duration_ms=1))
    failed = span("get", "pay", id="again", start_ms=6, duration_ms=3, status=FAILED)
    b = grown(span("pay", duration_ms=10), span("get", "pay", duration_ms=4), failed)
    get = align(a, b)[1]
    assert (get.a.total_ns, get.a.own_ns, get.a.error_count) == (4 * MS, 3 * MS, 0)
    assert (get.b.rows, get.b.total_ns, get.b.own_ns, get.b.error_count) == ((1, 2), 7 * MS, 7 * MS, 1)


# Attributes


def described(*each: Attributes, service: Attributes | None = None) -> Tree:
    """A root with one child for each of these attributes."""
    resource = Resource({"service.name": "shop", **(service or {})})
    children = [span("get", "pay", id=f"{n}", attributes=own, resource=resource) for n, own in enumerate(each)]
    return grown(span("pay", resource=resource), *children)


def test_attributes_that_differ_are_named_with_both_values() -> None:
    a, b = described({"status": 200, "same": 1, "gone": None}), described({"status": 500, "same": 1, "new": [1]})
    assert align(a, b)[1].differences == [
        Difference("span", "status", (200,), (500,)),
        Difference("span", "gone", (None,), ()),
        Difference("span", "new", (), ([1],)),
    ]


def test_values_of_several_spans_are_compared_as_sets() -> None:
    a, b = described({"s": 200}, {"s": 200}), described({"s": 200}, {"s": 500}, {"s": 200})
    assert align(a, b)[1].differences == [Difference("span", "s", (200,), (200, 500))]
    assert align(described({"s": 1}, {"s": 2}), described({"s": 2}, {"s": 1}))[1].differences == []


def test_what_differs_everywhere_is_left_out_and_ids_come_last() -> None:
    a = described({"thread.id": 1, "order.id": "1", "tier": "gold", "client.port": 5001})
    b = described({"thread.id": 2, "order.id": "2", "tier": "none", "client.port": 5002})
    assert [difference.key for difference in align(a, b)[1].differences] == ["tier", "order.id"]


def test_resources_are_compared_once_a_service() -> None:
    a, b = (described({"n": 1}, service={"service.version": version}) for version in ("1.0", "1.1"))
    assert [row.differences for row in align(a, b)] == [
        [Difference("resource", "service.version", ("1.0",), ("1.1",))],
        [],
    ]


# Any two traces


def both(rows: list[Aligned]) -> tuple[list[int], list[int]]:
    return sorted(row for each in rows for row in each.a.rows), sorted(row for each in rows for row in each.b.rows)


@given(alike_trees())
def test_a_trace_differs_nowhere_from_itself(one: Tree) -> None:
    assert all(row.a == row.b and row.differences == [] for row in align(one, one))


@given(alike_trees(), alike_trees())
def test_each_row_of_each_trace_is_there_once(a: Tree, b: Tree) -> None:
    assert both(align(a, b)) == (list(range(len(a))), list(range(len(b))))


@given(alike_trees(), alike_trees())
def test_parents_of_what_is_aligned_are_aligned(a: Tree, b: Tree) -> None:
    rows = align(a, b)
    for place, row in enumerate(rows):
        below = [lower for lower in rows[place + 1 : place + row.size] if lower.depth == row.depth + 1]
        for parent, lower in ((row.a, [low.a for low in below]), (row.b, [low.b for low in below])):
            of = a if parent is row.a else b
            children = sorted(child for one in parent.rows for child in of.children(one))
            assert sorted(child for side in lower for child in side.rows) == children


@given(alike_trees(), alike_trees())
def test_sizes_and_depths_agree(a: Tree, b: Tree) -> None:
    rows = align(a, b)
    for place, row in enumerate(rows):
        inside = rows[place + 1 : place + row.size]
        assert all(lower.depth > row.depth for lower in inside)
        assert place + row.size == len(rows) or rows[place + row.size].depth <= row.depth


@given(alike_trees(), alike_trees())
def test_swapped_traces_give_swapped_sides(a: Tree, b: Tree) -> None:
    def sides(rows: list[Aligned], *, swapped: bool) -> list[tuple[Any, ...]]:
        pairs = [(row.b, row.a) if swapped else (row.a, row.b) for row in rows]
        return sorted((left.rows, right.rows, left.own_ns, right.own_ns) for left, right in pairs)

    assert sides(align(a, b), swapped=False) == sides(align(b, a), swapped=True)


@given(alike_trees(), st.data())
def test_a_span_that_was_taken_away_is_missing_on_that_side_alone(one: Tree, data: st.DataObject) -> None:
    leaves = [row for row, size in enumerate(one.sizes) if size == 1]
    if not leaves:
        return
    gone = data.draw(st.sampled_from(leaves))
    kept = [node.span for row, node in enumerate(one.nodes) if row != gone]
    rows = align(one, tree(Trace(TRACE, kept)))
    (short,) = [row for row in rows if len(row.a.rows) != len(row.b.rows)]
    assert gone in short.a.rows
    assert len(short.a.rows) == len(short.b.rows) + 1


# Large ones


def strangers(count: int) -> list[Tree]:
    """Two families none of whose children are called alike."""
    return [family(*[f"{letter}x{number}" for number in range(count)]) for letter in "ab"]


def test_chains_and_fans_of_20_000_are_aligned() -> None:
    assert len(align(tree(chain()), tree(chain()))) == MANY
    assert [len(row.b.rows) for row in align(tree(fan()), tree(fan()))] == [1, MANY]
    assert len(align(*strangers(MANY))) == 2 * MANY + 1


@pytest.mark.parametrize(
    "pair", [lambda n: [tree(chain(n))] * 2, lambda n: [tree(fan(n))] * 2, strangers], ids=["chain", "fan", "strangers"]
)
def test_eight_times_the_spans_take_about_eight_times_as_long(pair: Callable[[int], list[Tree]]) -> None:
    def aligning(count: int) -> Callable[[], object]:
        trees = pair(count)
        return lambda: align(*trees)

    assert growth(aligning, 500, 8) < 24  # squares would be 64


def test_only_roots_meet_whatever_they_are_called() -> None:
    assert drawn(align(family("get", root="pay"), family("put", root="order"))) == ["pay 1:1", "  get 1:0", "  put 0:1"]


def test_what_is_new_stays_where_most_of_both_orders_have_it() -> None:
    rows = align(family("x", "y", "z"), family("x", "new", "z", "y"))
    assert [row.label for row in rows[1:]] == ["x", "new", "y", "z"]


def test_queries_that_were_rewritten_meet_in_their_order() -> None:
    a = grown(span("pay"), query("SELECT a FROM stock", 1), query("SELECT b FROM stock", 2))
    b = grown(span("pay"), query("SELECT c FROM stock", 1), query("SELECT d FROM stock", 2))
    assert [(row.a.rows, row.b.rows) for row in align(a, b)[1:]] == [((1,), (1,)), ((2,), (2,))]


def test_a_query_that_stayed_is_not_taken_for_one_that_was_rewritten() -> None:
    a = grown(span("pay"), query("SELECT a FROM stock", 1), query("SELECT b FROM stock", 2))
    b = grown(span("pay"), query("SELECT b FROM stock", 1), query("SELECT c FROM stock", 2))
    assert sorted((row.a.rows, row.b.rows) for row in align(a, b)[1:]) == [((1,), (2,)), ((2,), (1,))]


def test_an_attribute_with_many_values_on_a_side_differs_by_itself() -> None:
    def asking(*numbers: int) -> Tree:
        asked = [span("get", "pay", id=f"{n}", start_ms=n, attributes={"sku": n}) for n in numbers]
        return grown(span("pay"), *asked)

    assert align(asking(*range(1, 6)), asking(9))[1].differences != []
    assert align(asking(*range(1, 7)), asking(9))[1].differences == []
