"""Who called whom within a trace: its services, and the calls between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minitrace.analysis.timing import own_times
from minitrace.analysis.tree import Tree


@dataclass(slots=True)
class ServiceNode:
    """What one service did in a trace."""

    span_count: int = 0
    error_count: int = 0
    own_ns: int = 0


@dataclass(slots=True)
class Call:
    """Spans of `callee` right below spans of `caller`, another service; `total_ns` is the sum of their durations."""

    caller: str
    callee: str
    count: int = 0
    error_count: int = 0
    total_ns: int = 0


@dataclass(frozen=True, slots=True)
class CallGraph:
    """Services by name, and the calls between them; both in order of first appearance. There may be cycles."""

    services: dict[str, ServiceNode]
    edges: list[Call]


def calls(tree: Tree, own: Sequence[int] | None = None) -> CallGraph:
    """The services of a trace and their calls. `own` are the rows' own times, where they are known."""
    own = own_times(tree) if own is None else own
    names = [node.span.service for node in tree.nodes]
    failed = [node.span.is_error for node in tree.nodes]
    services = {name: ServiceNode() for name in dict.fromkeys(names)}
    edges: dict[tuple[str, str], Call] = {}
    for row, (name, parent) in enumerate(zip(names, tree.parents, strict=True)):
        service = services[name]
        service.span_count += 1
        service.error_count += failed[row]
        service.own_ns += own[row]
        if parent >= 0 and names[parent] != name:
            call = edges.get((names[parent], name))
            if call is None:
                call = edges[names[parent], name] = Call(names[parent], name)
            call.count += 1
            call.error_count += failed[row]
            call.total_ns += tree.ends[row] - tree.begins[row]
    return CallGraph(services, list(edges.values()))
