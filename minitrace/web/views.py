"""The other views of a trace: what each shows, from the parameters of an address.

| view       | shows                                                            | module             |
|------------|------------------------------------------------------------------|--------------------|
| `flame`    | where the time went, by call path; `at=` is looked at            | `flame.py`         |
| `table`    | every span; `sort=`, `page=`                                     | `span_table.py`    |
| `stats`    | groups of spans; `by=`, `sort=`                                  | `statistics.py`    |
| `services` | who called whom                                                  | `service_graph.py` |
| `logs`     | its log records, oldest first; `level=`                          | `log_lines.py`     |
| `json`     | the beginning of the trace as OTLP/JSON                          | here               |

With `root=` all but the last two are about that span's subtree; `skew=raw` leaves clocks as they are. All of them work
without scripts.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from minitrace.analysis.skew import shifts
from minitrace.analysis.tree import Tree, tree
from minitrace.errors import QueryTimeout
from minitrace.model import Severity, Trace
from minitrace.otlp import json as otlp_json
from minitrace.otlp.encode import traces_data
from minitrace.store.store import Store
from minitrace.store.traces import Wanted
from minitrace.web.address import Address
from minitrace.web.boxes import HEIGHT, WIDTH
from minitrace.web.flame import flame
from minitrace.web.log_form import LEVELS
from minitrace.web.log_lines import lines
from minitrace.web.lookup import read_id
from minitrace.web.service_graph import service_graph
from minitrace.web.span_table import span_table
from minitrace.web.statistics import read_criterion, statistics

MAX_JSON = 100_000  # characters shown
MAX_SUGGESTIONS = 300  # attribute keys
MAX_RECORDS = 1_000  # log records shown
_SERVICE = ("resource", "service.name")
_LEAST_JSON = 150  # characters a span takes at least, indented

Url = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Json:
    """The beginning of a trace as OTLP/JSON; `is_cut` where there is more."""

    text: str
    is_cut: bool


async def context(store: Store, trace_id: bytes, view: str, parameters: QueryParams, url: Url) -> dict[str, Any]:
    """What ``_view_{view}.html`` shows; `url` is the address of the page with other parameters.

    Raises:
        TraceNotFound: the trace is not stored.
    """
    return await _VIEWS[view](store, trace_id, parameters)


async def _flame(store: Store, trace_id: bytes, parameters: QueryParams) -> dict[str, Any]:
    trace = await store.trace(trace_id, _wanted())
    at = read_id(parameters.get("at", ""), 16)
    found = await asyncio.to_thread(lambda: flame(_tree(trace, parameters), at))
    return {"flame": found}


async def _table(store: Store, trace_id: bytes, parameters: QueryParams) -> dict[str, Any]:
    trace = await store.trace(trace_id, _wanted())
    page, selected = _number(parameters.get("page", "")), read_id(parameters.get("span", ""), 16)
    sort = parameters.get("sort", "")
    return {"table": await asyncio.to_thread(lambda: span_table(_tree(trace, parameters), sort, page, selected))}


async def _stats(store: Store, trace_id: bytes, parameters: QueryParams) -> dict[str, Any]:
    criterion = read_criterion(parameters.get("by", ""))
    trace = await store.trace(trace_id, _wanted(*criterion.attributes))
    sort = parameters.get("sort", "")
    return {
        "stats": await asyncio.to_thread(lambda: statistics(_tree(trace, parameters), criterion, sort)),
        "attributes": await _keys(store),
        "kept": [pair for pair in Address("", parameters.multi_items()).pairs if pair[0] not in ("by", "sort", "page")],
    }


async def _services(store: Store, trace_id: bytes, parameters: QueryParams) -> dict[str, Any]:
    trace = await store.trace(trace_id, _wanted())
    graph = await asyncio.to_thread(lambda: service_graph(_tree(trace, parameters)))
    return {"graph": graph, "box_width": WIDTH, "box_height": HEIGHT}


async def _logs(store: Store, trace_id: bytes, parameters: QueryParams) -> dict[str, Any]:
    records = await store.trace_logs(trace_id)
    level = LEVELS.get(parameters.get("level", ""), Severity.UNSPECIFIED)
    wanted = [record for record in records if record.level >= level]
    return {
        "lines": lines(wanted[:MAX_RECORDS]),
        "is_cut": len(wanted) > MAX_RECORDS or len(records) < await store.log_count(trace_id),
        "total": len(records),
        "levels": Counter(record.level.name.lower() for record in records if record.level),
        "level": level.name.lower() if level else "",
        "start_ns": (await store.summary(trace_id)).start_ns,
    }


async def _json(store: Store, trace_id: bytes, parameters: QueryParams) -> dict[str, Any]:
    trace = await store.trace(trace_id)
    return {"json": await asyncio.to_thread(_beginning, trace)}


def _beginning(trace: Trace) -> Json:
    """The first lines of a trace as OTLP/JSON. Spans that cannot be among them are not even encoded."""
    spans = trace.spans[: MAX_JSON // _LEAST_JSON + 1]
    text = json.dumps(otlp_json.dump(traces_data(spans)), indent=2, ensure_ascii=False)
    is_cut = len(text) > MAX_JSON
    return Json(text[: text.rfind("\n", 0, MAX_JSON)] if is_cut else text, is_cut)


def _wanted(*attributes: tuple[str, str]) -> Wanted:
    """What is loaded of spans: their service, and these attributes."""
    return Wanted(frozenset((_SERVICE, *attributes)), details=False)


def _tree(trace: Trace, parameters: QueryParams) -> Tree:
    """The rows that an address is about."""
    whole = tree(trace, None if parameters.get("skew") == "raw" else shifts(trace))
    root = read_id(parameters.get("root", ""), 16)
    row = next((row for row, node in enumerate(whole.nodes) if node.span.span_id == root), None) if root else None
    return whole if row is None else subtree(whole, row)


def subtree(tree: Tree, row: int) -> Tree:
    """A row and all below it as a tree. Times are still since the start of the whole."""
    end = row + tree.sizes[row]
    inside = range(row, end)
    return Tree(
        tree.trace,
        tree.nodes[row:end],
        [-1, *(parent - row for parent in tree.parents[row + 1 : end])],
        tree.sizes[row:end],
        tree.begins[row:end],
        tree.ends[row:end],
        tree.start_ns,
        tree.duration_ns,
        {moved - row: shift for moved, shift in tree.shifts.items() if moved in inside},
        frozenset(timeless - row for timeless in tree.timeless if timeless in inside),
    )


async def _keys(store: Store) -> list[str]:
    """The attributes to suggest; none is better than an error page."""
    try:
        keys = await store.attribute_keys()
    except QueryTimeout:
        return []
    names = {key.name for key in keys if key.scope in ("span", "resource")}
    return sorted(names)[:MAX_SUGGESTIONS]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


_VIEWS: dict[str, Callable[[Store, bytes, QueryParams], Awaitable[dict[str, Any]]]] = {
    "flame": _flame,
    "table": _table,
    "stats": _stats,
    "services": _services,
    "logs": _logs,
    "json": _json,
}
