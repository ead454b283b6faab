"""Arrows between boxes: where their labels stand."""

from __future__ import annotations

from itertools import combinations

from minitrace.web.boxes import LABEL_HEIGHT, LABEL_WIDTH, Curve, curves
from minitrace.web.layers import Place


def lie_apart(one: Curve, other: Curve) -> bool:
    return abs(one.label_x - other.label_x) >= LABEL_WIDTH or abs(one.label_y - other.label_y) >= LABEL_HEIGHT


def test_labels_of_arrows_into_one_box_and_out_of_one_lie_apart() -> None:
    into = [(Place(0, row), Place(1, 2.5)) for row in range(6)]
    out = [(Place(0, 2), Place(1, row)) for row in range(6)]
    assert all(lie_apart(one, other) for one, other in combinations(curves(into), 2))
    assert all(lie_apart(one, other) for one, other in combinations(curves(out), 2))


def test_labels_of_arrows_that_cross_lie_apart() -> None:
    assert lie_apart(*curves([(Place(0, 0.2), Place(1, 1)), (Place(0, 1), Place(1, 0.9))]))


def test_a_label_that_has_room_is_where_it_would_be_alone() -> None:
    routes = [(Place(0, row), Place(1, row + 1)) for row in range(3)]
    assert curves(routes) == [curve for route in routes for curve in curves([route])]


def test_where_there_is_no_room_a_label_stands_on_its_own_arrow_nevertheless() -> None:
    first, *_, last = curves([(Place(0, 1), Place(1, 1))] * 9)
    assert (last.label_x, last.label_y) == (first.label_x, first.label_y)
