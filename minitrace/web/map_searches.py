"""The searches that the nodes and edges of a service map stand for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import reduce
from urllib.parse import urlencode

from minitrace.model import Kind
from minitrace.store.crossing_sums import OTHERS
from minitrace.store.leaves import Condition, is_url
from minitrace.store.service_map import SERVICE, MapEdge, MapNode
from minitrace.traceql.ast import (
    Attribute,
    Binary,
    Field,
    Intrinsic,
    Pipeline,
    Query,
    SpansetFilter,
    SpansetOperation,
    Static,
)
from minitrace.web.fields import of_service
from minitrace.web.queries import MAX_LENGTH

MOST_EDGES = 50  # of a search; the address of more would be too long, and the query too deep to be written
_CALLING = (Kind.CLIENT, Kind.PRODUCER)
_SERVING = (Kind.SERVER, Kind.CONSUMER)
_IS_ROOT = Binary("<", Intrinsic("nestedSetParent"), Static(0))


def of_node(node: MapNode, times: Mapping[str, str]) -> str:
    """The search for what a service served, or started; "" for what is none, or cannot be asked for."""
    if node.id.kind != SERVICE or node.id.name == OTHERS:
        return ""
    told = [_IS_ROOT] if node.started else [_any(map(_is, _SERVING))] if node.figures.count else []
    return _url(SpansetFilter(_all([of_service(node.id.name), *told])), times)


def of_edges(edges: Iterable[MapEdge], times: Mapping[str, str]) -> str:
    """The search for the traces of some edges between the same nodes; "" where it cannot be asked for."""
    asked = [_of_edge(edge) for edge in edges if OTHERS not in (edge.caller.name, edge.callee.name)]
    if not 0 < len(asked) <= MOST_EDGES:
        return ""
    return _url(reduce(lambda left, right: SpansetOperation("||", left, right), dict.fromkeys(asked)), times)


def _of_edge(edge: MapEdge) -> SpansetFilter | SpansetOperation:
    caller = of_service(edge.caller.name)
    if edge.conditions:
        known = [_all(map(_condition, one)) for one in sorted(edge.conditions)]
        return SpansetFilter(_all([caller, _any(map(_is, _CALLING)), _any(known)]))
    is_message = Binary("=" if edge.is_message else "!=", Intrinsic("kind"), Static(Kind.CONSUMER))
    called = SpansetFilter(_all([of_service(edge.callee.name), is_message]))
    if edge.linked:  # the other end may be in another trace
        return called
    return SpansetOperation(">", SpansetFilter(caller), called)


def _is(kind: Kind) -> Field:
    return Binary("=", Intrinsic("kind"), Static(kind))


def _condition(one: Condition) -> Field:
    name, value = one
    attribute = Attribute("span", name)
    if is_url(name):
        return Binary("=~", attribute, Static(f"[^/]*//([^/]*@)?{re.escape(value)}([:/?#].*)?"))
    return Binary("=", attribute, Static(value))


def _all(conditions: Iterable[Field]) -> Field:
    return reduce(lambda left, right: Binary("&&", left, right), conditions)


def _any(conditions: Iterable[Field]) -> Field:
    return reduce(lambda left, right: Binary("||", left, right), conditions)


def _url(spans: SpansetFilter | SpansetOperation, times: Mapping[str, str]) -> str:
    query = str(Query(Pipeline((spans,))))
    return f"/search?{urlencode({'q': query, **times})}" if len(query) <= 2 * MAX_LENGTH else ""
