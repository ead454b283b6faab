"""Where nodes and edges of a graph are put."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.web.layers import PASSING, Layout, Place, layout

NODES = list("abcdefgh")
graphs = st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), max_size=20)


def draw(nodes: str, edges: str) -> Layout:
    """The layout of nodes with one letter, and edges with two: ``ab bc``."""
    return layout(list(nodes), [(edge[0], edge[1]) for edge in edges.split()])


def columns(found: Layout) -> str:
    """The nodes of each column from top to bottom: ``a bc d``."""
    placed = sorted(found.nodes, key=lambda node: (found.nodes[node].column, found.nodes[node].row))
    names = [[node for node in placed if found.nodes[node].column == column] for column in range(found.columns)]
    return " ".join(map("".join, names))


def test_a_node_stands_right_of_all_that_lead_to_it() -> None:
    assert columns(draw("abcd", "ab bc ac cd")) == "a b c d"


def test_a_node_that_nothing_leads_to_stands_right_before_its_first_target() -> None:
    assert columns(draw("abcx", "ab bc xc")) == "a bx c"


def test_an_edge_back_is_turned_round_for_the_layout_and_still_leads_back() -> None:
    found = draw("abc", "ab bc ca")
    assert columns(found) == "a b c"
    assert [place.column for place in found.routes["c", "a"]] == [2, 1, 0]


def test_a_graph_without_a_beginning_has_a_layout() -> None:
    assert columns(draw("ab", "ab ba")) == "a b"


def test_columns_are_sorted_so_that_edges_need_not_cross() -> None:
    assert columns(draw("abcdxy", "ad bc cx dy")) in ("ab dc yx", "ba cd xy")


def test_a_chain_is_a_straight_line() -> None:
    found = draw("abcx", "ab bc ax")
    assert found.nodes["b"].row == found.nodes["c"].row


def test_an_edge_over_a_column_has_a_place_beside_its_nodes() -> None:
    found = draw("abc", "ab bc ac")
    start, passing, end = found.routes["a", "c"]
    assert (start.column, passing.column, end.column) == (0, 1, 2)
    assert abs(passing.row - found.nodes["b"].row) == pytest.approx((1 + PASSING) / 2)


def test_nothing_has_a_layout() -> None:
    assert layout([], []) == Layout({}, {}, 0, 0)


def test_an_edge_to_itself_is_left_out() -> None:
    assert draw("a", "aa") == Layout({"a": Place(0, 0.5)}, {}, 1, 1)


@given(graphs)
def test_every_node_has_room_and_every_edge_goes_from_node_to_node(edges: list[tuple[str, str]]) -> None:
    found = layout(NODES, edges)
    assert set(found.nodes) == set(NODES)
    assert set(found.routes) == {(source, target) for source, target in edges if source != target}
    for column in range(found.columns):
        rows = sorted(place.row for place in found.nodes.values() if place.column == column)
        assert all(other - one > 0.999 for one, other in pairwise(rows))
        assert all(0.499 < row < found.rows - 0.499 for row in rows)
    for (source, target), route in found.routes.items():
        assert (route[0], route[-1]) == (found.nodes[source], found.nodes[target])
        assert {abs(one.column - other.column) for one, other in pairwise(route)} == {1}


@given(graphs)
def test_without_cycles_every_edge_leads_to_the_right(edges: list[tuple[str, str]]) -> None:
    forward = [(source, target) for source, target in edges if source < target]
    found = layout(NODES, forward)
    assert all(found.nodes[source].column < found.nodes[target].column for source, target in forward)
