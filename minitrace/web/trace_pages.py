"""The page of a trace, and what its modules ask for.

| address                       | answers                                                         |
|-------------------------------|-----------------------------------------------------------------|
| `/trace/{trace_id}`           | the page; its parameters are in `address.py`, read by `view.py` |
| `/trace/{trace_id}/rows.json` | the rows as columns                                             |
| `/trace/{trace_id}/find?q=`   | the ids of the spans that a text finds                          |
| `/trace/{trace_id}/logs.json` | its log records in a word, for the lane above the rows          |
| `/trace/{trace_id}/stream`    | server-sent events: spans arrived                               |
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from minitrace.errors import DecodeError, MinitraceError, QueryTimeout, TraceQLError
from minitrace.live import Live
from minitrace.model import Kind, Trace
from minitrace.present import printable
from minitrace.store.dictionary import AttributeKey
from minitrace.store.logs import LogMark
from minitrace.store.matches import TraceSummary
from minitrace.store.store import Store
from minitrace.web import events, finding, span_pages, static, views
from minitrace.web.address import Address
from minitrace.web.lines import sheet
from minitrace.web.lookup import read_id
from minitrace.web.named import address_of, store_of, trace_id_of
from minitrace.web.opened import Opened, OpenedTraces
from minitrace.web.queries import with_root
from minitrace.web.render import render
from minitrace.web.rows import CRITICAL, ERROR, NO_SPAN, SLOW, Rows
from minitrace.web.view import VIEWS, View, read_view
from minitrace.web.wanted import while_wanted

MOST_INLINE = 2000  # rows whose columns stand in the page
PIECE_BYTES = 256 * 1024
STEP_S = 0.25  # how often the page hears of news at most


@while_wanted
async def trace_page(request: Request) -> Response:
    """A trace in one of its views; with ``?span=`` that span beside it."""
    store, trace_id = store_of(request), trace_id_of(request)
    summary = await store.summary(trace_id)
    address = address_of(request, trace_id)
    view = read_view(address.pairs)
    opened = seen = await _open(request, summary, view)
    if opened.rows.cut:  # what is below the view's root may be among what was left out
        seen = await _open(request, summary, view, with_root=True)
    found = await _found(store, trace_id, view.find)
    span_id = read_id(request.query_params.get("span", ""), 16)
    return await render(
        request,
        "trace.html",
        trace_hex=trace_id.hex(),
        base=address.base,
        url=address.url,
        given=address.given,
        likes=with_root(*opened.headline.root) if opened.headline.root else "",
        views=VIEWS,
        log_count=opened.log_count,
        view=view,
        headline=opened.headline,
        summary=summary,
        is_pinned=summary.is_pinned,
        asked_span=request.query_params.get("span", ""),
        **(await _shown(request, view, address, seen, found)),
        **(await span_pages.span_context(request, trace_id, span_id, summary)),
    )


@while_wanted
async def rows_json(request: Request) -> Response:
    """The rows of a trace as columns; 304 while no span has come or gone."""
    summary = await store_of(request).summary(trace_id_of(request))
    view = read_view(request.query_params.multi_items())
    logs = await store_of(request).log_count(summary.trace_id)
    counts = summary.span_count, summary.removed_count, summary.start_ns, logs  # a test may send the same id again
    tag = f'"{static.VERSION}-{"-".join(map(str, counts))}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if request.headers.get("If-None-Match") == tag:
        return Response(status_code=304, headers=headers)
    opened = await _open(request, summary, view, with_root=True)
    body = await asyncio.to_thread(opened.rows.json)
    headers["Content-Length"] = str(len(body))
    return StreamingResponse(_pieces(body), media_type="application/json", headers=headers)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    """Megabytes written at once would keep others waiting for 20 ms."""
    for place in range(0, len(body), PIECE_BYTES):
        yield body[place : place + PIECE_BYTES]
        await asyncio.sleep(0)


@while_wanted
async def find(request: Request) -> Response:
    """The ids of the spans that ``q`` finds, in the order of the trace's rows."""
    store, trace_id = store_of(request), trace_id_of(request)
    try:
        ids = await _find(store, trace_id, request.query_params.get("q", ""))
    except (TraceQLError, DecodeError) as error:
        problem = error.message if isinstance(error, TraceQLError) else str(error)
        return JSONResponse({"problem": problem, "drawing": getattr(error, "drawing", "")}, 422)
    return JSONResponse({"ids": "".join(map(bytes.hex, ids))})


@while_wanted
async def logs_json(request: Request) -> Response:
    """The log records of a trace, oldest first, as far as the lane shows them.

    ```
    {"start": ns, "total": how many there are, "services": [name, …], "spans": [id, …],
     "records": [[ns since the start, severity number, number of the span or -1, number of the service, text], …]}
    ```
    """
    store, trace_id = store_of(request), trace_id_of(request)
    marks, total = await store.log_marks(trace_id), await store.log_count(trace_id)
    return JSONResponse(await asyncio.to_thread(_lane, marks) | {"total": total})


def _lane(marks: Sequence[LogMark]) -> dict[str, Any]:
    start_ns = marks[0].time_ns if marks else 0
    services = {name: number for number, name in enumerate(dict.fromkeys(mark.service for mark in marks))}
    spans = {id_: number for number, id_ in enumerate(dict.fromkeys(mark.span_id for mark in marks if mark.span_id))}
    return {
        "start": str(start_ns),
        "services": list(services),
        "spans": [id_.hex() for id_ in spans],
        "records": [
            [
                mark.time_ns - start_ns,
                mark.severity,
                spans.get(mark.span_id, -1),
                services[mark.service],
                printable(mark.text),
            ]
            for mark in marks
        ],
    }


async def stream(request: Request) -> Response:
    """Server-sent events: `changed` whenever spans of the trace have arrived, until the browser leaves."""
    state = request.app.state
    return events.stream(request, news(state.store, state.live, trace_id_of(request)))


async def news(store: Store, live: Live, trace_id: bytes) -> AsyncIterator[str]:
    """The messages of the stream, until the server stops."""
    watch = live.changes()
    change = asyncio.ensure_future(anext(watch, None))
    try:
        yield ": here\n\n"
        while True:
            await asyncio.wait({change}, timeout=events.PING_S)
            if not change.done():
                yield events.PING
                continue
            changed = change.result()
            if changed is None:
                return
            if trace_id in changed and (message := await _changed(store, trace_id)):
                yield message
                await asyncio.sleep(STEP_S)  # what comes meanwhile is one more message
            change = asyncio.ensure_future(anext(watch, None))
    finally:
        change.cancel()


async def _changed(store: Store, trace_id: bytes) -> str:
    """How many spans a trace has now, as a message; "" where it left meanwhile, or the store is busy."""
    try:
        span_count = (await store.summary(trace_id)).span_count
    except MinitraceError:
        return ""
    return events.message(json.dumps({"spans": span_count}), event="changed")


async def _open(request: Request, summary: TraceSummary, view: View, *, with_root: bool = False) -> Opened:
    opened: OpenedTraces = request.app.state.opened
    store = store_of(request)
    return await opened.open(
        store,
        summary,
        has_runs=view.has_runs,
        is_adjusted=view.is_adjusted,
        root=view.root if with_root else None,
    )


async def _found(store: Store, trace_id: bytes, text: str) -> tuple[set[bytes], str]:
    """What a text finds, and what is wrong with it."""
    try:
        return set(await _find(store, trace_id, text)) if text else set(), ""
    except (TraceQLError, DecodeError) as error:
        return set(), error.message if isinstance(error, TraceQLError) else str(error)


async def _find(store: Store, trace_id: bytes, text: str) -> list[bytes]:
    trace = await store.trace(trace_id)
    keys = await _attribute_keys(store)
    return await asyncio.to_thread(_ids, trace, text, keys)


def _ids(trace: Trace, text: str, keys: Sequence[AttributeKey]) -> list[bytes]:
    """The ids of the spans that a text finds, in the order of rows. The trace is forgotten."""
    try:
        found = finding.find(trace.spans, text, keys)
        return [node.span.span_id for node in trace.rows() if node.span.span_id in found]
    finally:
        trace.let_go()  # the event loop would stand still while a large one is freed at once


async def _attribute_keys(store: Store) -> list[AttributeKey]:
    try:
        return await store.attribute_keys()
    except QueryTimeout:  # then numbers are compared as they are written
        return []


async def _shown(
    request: Request, view: View, address: Address, opened: Opened, found: tuple[set[bytes], str]
) -> dict[str, Any]:
    """What the view's template shows."""
    if view.view != "timeline":
        parameters = request.query_params
        shown = await views.context(store_of(request), opened.rows.trace_id, view.view, parameters, address.url)
        return {"shown": shown}
    rows, (ids, problem) = opened.rows, found
    is_span = [not flags & NO_SPAN for flags in rows.flags]
    matches = {row for row in range(len(rows)) if is_span[row] and rows.id(row) in ids} if ids else set()
    page, selected = _number(request.query_params.get("page", "")), read_id(request.query_params.get("span", ""), 16)
    lines = await asyncio.to_thread(sheet, rows, view, page, selected, matches)
    return {
        "sheet": lines,
        "rows_query": _rows_query(address),
        "span_hex": selected.hex() if selected else "",
        "find_problem": problem,
        "counts": _counts(rows),
        "kinds": sorted(set(rows.kind)),
        "inline": rows.json().decode() if max(len(rows), rows.total) <= MOST_INLINE else "",
        "kind_names": {kind.value: kind.name.lower() for kind in Kind},
    }


def _rows_query(address: Address) -> str:
    """What `trace.js` asks for the rows with."""
    return urlencode([(name, address.given(name)) for name in ("runs", "skew") if address.given(name)])


def _counts(rows: Rows) -> dict[str, int]:
    """How many spans each pill shows."""
    bits = {"errors": ERROR, "critical": CRITICAL, "slow": SLOW}
    return {name: sum(1 for flags in rows.flags if flags & bit) for name, bit in bits.items()}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


routes = [
    Route("/trace/{trace_id}", trace_page),
    Route("/trace/{trace_id}/rows.json", rows_json),
    Route("/trace/{trace_id}/find", find),
    Route("/trace/{trace_id}/logs.json", logs_json),
    Route("/trace/{trace_id}/stream", stream),
]
