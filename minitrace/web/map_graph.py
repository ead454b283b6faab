"""A service map as a drawing: what is near the focus, the busiest of it, and the rest as one box.

Lengths are in pixels.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from minitrace.store.figures import Figures
from minitrace.store.service_map import MapEdge, MapNode, NodeId
from minitrace.web import boxes
from minitrace.web.layers import Place, layout

MAX_BOXES = 40  # besides the one of all others
MAX_ARROWS = 100  # a layout of more takes long, and shows nothing
REST = NodeId("rest", "")


@dataclass(slots=True)
class Box:
    """A node; `count` nodes for the rest."""

    node: MapNode
    x: float
    y: float
    count: int = 1


@dataclass(slots=True)
class Arrow:
    """All that goes from one box to another: `edges`, and the sum of their figures."""

    caller: NodeId
    callee: NodeId
    edges: list[MapEdge]
    figures: Figures = field(default_factory=Figures)
    curve: boxes.Curve | None = None
    width: float = 1

    @property
    def is_message(self) -> bool:
        """Whether only messages go there."""
        return all(edge.is_message for edge in self.edges)


@dataclass(slots=True)
class MapGraph:
    """The drawing. `left_out` are arrows that are not drawn: the rarest."""

    boxes: list[Box]
    arrows: list[Arrow]
    width: float
    height: float
    left_out: int


def near(nodes: list[MapNode], edges: list[MapEdge], focus: NodeId, depth: int) -> tuple[list[MapNode], list[MapEdge]]:
    """What is at most so many calls away from a node, in either direction."""
    neighbours: dict[NodeId, set[NodeId]] = defaultdict(set)
    for edge in edges:
        neighbours[edge.caller].add(edge.callee)
        neighbours[edge.callee].add(edge.caller)
    reached = outermost = {focus}
    for _ in range(depth):
        outermost = {other for one in outermost for other in neighbours[one]} - reached
        reached = reached | outermost
    return (
        [node for node in nodes if node.id in reached],
        [edge for edge in edges if edge.caller in reached and edge.callee in reached],
    )


def map_graph(nodes: list[MapNode], edges: list[MapEdge], metric: str, focus: NodeId | None = None) -> MapGraph:
    """The drawing of nodes and edges, both the busiest first. The focus is drawn in any case."""
    drawn = sorted(nodes, key=lambda node: node.id != focus)[:MAX_BOXES]
    shown = {node.id for node in drawn}
    rest = [node for node in nodes if node.id not in shown]
    arrows = _arrows(edges, shown)
    kept = sorted(arrows.values(), key=lambda arrow: -arrow.figures.count)[:MAX_ARROWS]
    by_name = {str(place): node for place, node in enumerate([*drawn, *([_rest(rest)] if rest else [])])}
    name_of = {node.id: name for name, node in by_name.items()}
    by_pair = {(name_of[arrow.caller], name_of[arrow.callee]): arrow for arrow in kept}
    places = layout(_in_order(by_name, by_pair), by_pair)
    weigh = _WEIGHTS[metric]
    largest = max((weigh(arrow.figures) for arrow in kept), default=0)
    routed = {pair: arrow for pair, arrow in by_pair.items() if pair in places.routes}  # the busiest first
    for arrow, curve in zip(routed.values(), boxes.curves(places.routes[pair] for pair in routed), strict=True):
        arrow.curve = curve
        arrow.width = _width(weigh(arrow.figures), largest)
    return MapGraph(
        [_box(by_name[name], place, len(rest)) for name, place in places.nodes.items()],
        [arrow for arrow in kept if arrow.curve],
        *boxes.size(places),
        len(arrows) - len(kept),
    )


def _box(node: MapNode, place: Place, rest: int) -> Box:
    return Box(node, *boxes.corner(place), rest if node.id == REST else 1)


def _arrows(edges: list[MapEdge], shown: set[NodeId]) -> dict[tuple[NodeId, NodeId], Arrow]:
    """All edges between two boxes as one; those within the rest are none."""
    arrows: dict[tuple[NodeId, NodeId], Arrow] = {}
    for edge in edges:
        pair = (edge.caller if edge.caller in shown else REST, edge.callee if edge.callee in shown else REST)
        if pair[0] == pair[1]:
            continue
        arrow = arrows.setdefault(pair, Arrow(*pair, []))
        arrow.edges.append(edge)
        arrow.figures.add(edge.figures)
    return arrows


def _rest(nodes: list[MapNode]) -> MapNode:
    rest = MapNode(REST)
    for node in nodes:
        rest.figures.add(node.figures)
    return rest


def _in_order(nodes: Mapping[str, MapNode], pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Those that nobody calls first, then as they were: cycles are cut where a person would begin to read."""
    called = {callee for _, callee in pairs}
    return sorted(nodes, key=lambda name: name in called)


def _width(weight: float, largest: float) -> float:
    """Of an arrow, from 1 to 4."""
    return round(1 + 3 * math.log1p(weight) / math.log1p(largest), 2) if largest > 0 else 1


_WEIGHTS: dict[str, Callable[[Figures], float]] = {
    "rate": lambda figures: figures.count,
    "err": lambda figures: 100 * figures.error_share,
    "p95": lambda figures: figures.p95_ns / 1000,
}
