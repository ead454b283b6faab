"""`/map`: services and what they call, drawn or as tables.

htmx asks for the block "map" when a field changes, and while older spans are still being counted.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minitrace.store.orders import Order
from minitrace.store.service_map import MapNode, ServiceMap
from minitrace.store.store import Store
from minitrace.web import boxes, map_searches
from minitrace.web.map_form import DEPTHS, METRICS, MapForm, focus_of, read_form
from minitrace.web.map_graph import map_graph, near
from minitrace.web.named import slots_of, store_of
from minitrace.web.render import render, target
from minitrace.web.times import PERIODS, USUAL_PERIOD
from minitrace.web.wanted import while_wanted

PATIENCE_S = 0.5  # then the page shows what it has after the next piece, and asks again
MOST_ROWS = 200


@while_wanted
async def map_page(request: Request) -> Response:
    """The map of a range of time."""
    store = store_of(request)
    form = read_form(request.query_params, time.time_ns())
    address = form.address(request.scope.get("root_path", ""))
    context = {} if form.problems else await _context(store, form)
    response = await render(
        request,
        "map.html",
        422 if form.problems else 200,
        form=form,
        url=address.url,
        periods=PERIODS,
        usual_period=USUAL_PERIOD,
        metrics=METRICS,
        depths=DEPTHS,
        **{"found": None, "focus": None, "graph": None, "node_count": 0, **context},
    )
    if target(request) and not form.problems:
        response.headers["HX-Replace-Url"] = address.url()
    return response


async def _context(store: Store, form: MapForm) -> dict[str, Any]:
    # As buckets of time are: what starts at the very beginning belongs to the time before
    found = await store.service_map(form.start_ns + 1, form.end_ns, PATIENCE_S)
    focus = focused(found, form.focus)
    nodes, edges = found.nodes, found.edges
    by_id = {node.id: node for node in nodes}
    if focus:
        nodes, edges = near(nodes, edges, focus.id, form.depth)
    # Who looks at durations wants to see the longest.
    sort = {"sort": str(Order.LONGEST)} if form.metric == "p95" else {}
    return {
        "found": found,
        "focus": focus,
        "focus_of": focus_of,
        "nodes": nodes[:MOST_ROWS],
        "edges": edges[:MOST_ROWS],
        "node_count": len(nodes),
        "edge_count": len(edges),
        "graph": None if form.is_table else map_graph(nodes, edges, form.metric, focus.id if focus else None),
        "box": boxes,
        "slots": await slots_of(store),
        "node_url": lambda id: map_searches.of_node(by_id[id], form.times),
        "edge_url": partial(map_searches.of_edges, times=form.times | sort),
    }


def focused(found: ServiceMap, text: str) -> MapNode | None:
    """The node that an address names."""
    return next((node for node in found.nodes if text and focus_of(node.id) == text), None)


routes = [Route("/map", map_page)]
