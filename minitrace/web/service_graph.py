"""The services of a trace as a drawing: boxes in columns, callers left of what they call, and an arrow for all calls
between two of them. Lengths are in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minitrace.analysis.calls import Call, CallGraph, ServiceNode, calls
from minitrace.analysis.tree import Tree
from minitrace.web.layers import Place, layout
from minitrace.web.statistics import read_criterion

MAX_DRAWN = 60
WIDTH, HEIGHT = 176, 46  # of a box
GAP, ROW = 104, 66  # between columns; from one row to the next
MARGIN = 8
HEAD = 7  # of an arrow
_BACK = 12  # how far below the others an arrow runs that leads back to the left
_LABEL_AT = 0.6  # of the curve into the box: arrows from one box, and those into one, are apart there


@dataclass(frozen=True, slots=True)
class ServiceBox:
    """A service; `query` finds its spans."""

    name: str
    node: ServiceNode
    x: float
    y: float
    query: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """The calls from one service to another: a path, its head, and where the number of calls stands."""

    call: Call
    path: str
    head: str
    label_x: float
    label_y: float
    width: float


@dataclass(frozen=True, slots=True)
class ServiceGraph:
    """The drawing, and every call as a row, the most frequent first. Of more than `MAX_DRAWN` services the largest are
    drawn; `total` counts all.
    """

    boxes: list[ServiceBox]
    arrows: list[Arrow]
    calls: list[Call]
    width: float
    height: float
    total: int
    own_ns: int


def service_graph(tree: Tree) -> ServiceGraph:
    """The services of a trace, and the calls between them."""
    graph = calls(tree)
    drawn = sorted(graph.services, key=lambda name: -graph.services[name].span_count)[:MAX_DRAWN]
    shown = [name for name in graph.services if name in set(drawn)]  # callers come before what they call
    edges = {(call.caller, call.callee): call for call in graph.edges if {call.caller, call.callee} <= set(shown)}
    places = layout(shown, edges)
    return ServiceGraph(
        _boxes(graph, places.nodes),
        [_arrow(edges[edge], route) for edge, route in places.routes.items()],
        sorted(graph.edges, key=lambda call: -call.count),
        2 * MARGIN + places.columns * (WIDTH + GAP) - GAP,
        2 * MARGIN + places.rows * ROW,
        len(graph.services),
        sum(node.own_ns for node in graph.services.values()),
    )


def _boxes(graph: CallGraph, places: Mapping[str, Place]) -> list[ServiceBox]:
    of_service = read_criterion("service")
    return [
        ServiceBox(name, graph.services[name], _left(place), _middle(place) - HEIGHT / 2, of_service.query(name))
        for name, place in places.items()
    ]


def _arrow(call: Call, route: Sequence[Place]) -> Arrow:
    """An arrow along a route, straight through the columns and in curves between them."""
    is_back = route[0].column > route[-1].column
    forward = 1 if not is_back else -1
    down = _BACK if is_back else 0
    # Each place is passed from the side of the caller to that of the callee
    begins = [(_left(place) + (WIDTH if is_back else 0), _middle(place) + down) for place in route]
    ends = [(_left(place) + (0 if is_back else WIDTH), _middle(place) + down) for place in route]
    tip_x, tip_y = begins[-1]
    begins[-1] = tip_x - forward * HEAD, tip_y
    parts = [f"M{ends[0][0]:g} {ends[0][1]:g}"]
    for i, (x, y) in enumerate(begins[1:], 1):
        from_x, from_y = ends[i - 1]
        bend = (x - from_x) / 2
        parts.append(f"C{from_x + bend:g} {from_y:g} {x - bend:g} {y:g} {x:g} {y:g}")
        if i < len(route) - 1:
            parts.append(f"H{ends[i][0]:g}")
    label_x, label_y = _on_curve(ends[-2], begins[-1])
    head = f"M{tip_x:g} {tip_y:g}l{-forward * HEAD} -4v8Z"
    return Arrow(call, "".join(parts), head, label_x, label_y, round(1 + math.log10(call.count), 2))


def _on_curve(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """Where the label of a curve stands that begins and ends level."""
    t = _LABEL_AT
    along = t**3 - 1.5 * t**2 + 1.5 * t
    across = t**2 * (3 - 2 * t)
    return round(start[0] + (end[0] - start[0]) * along, 1), round(start[1] + (end[1] - start[1]) * across, 1)


def _left(place: Place) -> float:
    return MARGIN + place.column * (WIDTH + GAP)


def _middle(place: Place) -> float:
    return MARGIN + round(place.row * ROW, 1)
