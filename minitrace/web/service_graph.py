"""The services of a trace as a drawing: boxes in columns, callers left of what they call, and an arrow for all calls
between two of them. Lengths are in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from minitrace.analysis.calls import Call, CallGraph, ServiceNode, calls
from minitrace.analysis.tree import Tree
from minitrace.web import boxes
from minitrace.web.layers import Place, layout
from minitrace.web.statistics import read_criterion

MAX_DRAWN = 60


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
    """The calls from one service to another; their number is the label of the curve."""

    call: Call
    curve: boxes.Curve
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
        [
            Arrow(edges[edge], curve, round(1 + math.log10(edges[edge].count), 2))
            for edge, curve in zip(places.routes, boxes.curves(places.routes.values()), strict=True)
        ],
        sorted(graph.edges, key=lambda call: -call.count),
        *boxes.size(places),
        len(graph.services),
        sum(node.own_ns for node in graph.services.values()),
    )


def _boxes(graph: CallGraph, places: Mapping[str, Place]) -> list[ServiceBox]:
    of_service = read_criterion("service")
    return [
        ServiceBox(name, graph.services[name], *boxes.corner(place), of_service.query(name))
        for name, place in places.items()
    ]
