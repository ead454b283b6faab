"""The panel of a span, beside its trace or alone.

| address                                      | answers                                        |
|----------------------------------------------|------------------------------------------------|
| `/trace/{trace_id}/span/{span_id}`           | the span, or all that share the id             |
| `/trace/{trace_id}/span/{span_id}/otlp.json` | the same as OTLP JSON, as it could be sent again |

Nothing here loads a whole trace: a span of a large one is shown as soon as that of a small one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from itertools import islice
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minitrace.errors import QueryTimeout
from minitrace.model import Span, calls
from minitrace.otlp import json as otlp_json
from minitrace.otlp.encode import traces_data
from minitrace.store.matches import TraceSummary
from minitrace.store.store import Store
from minitrace.web.details import MAX_LINKS, Around, Detail, detail
from minitrace.web.lookup import read_id
from minitrace.web.named import address_of, slots_of, store_of, trace_id_of
from minitrace.web.render import render
from minitrace.web.wanted import while_wanted

T = TypeVar("T")

MAX_ALIKE = 10  # spans with one id that are shown
MAX_TARGETS = 8  # links whose spans are looked up: each costs a query


@while_wanted
async def span_page(request: Request) -> Response:
    """One span, or all that share the id."""
    trace_id, span_id = trace_id_of(request), read_id(request.path_params["span_id"], 16)
    summary = await store_of(request).summary(trace_id)
    context = await span_context(request, trace_id, span_id, summary)
    if not context["spans"]:
        raise _not_there(request)
    address = address_of(request, trace_id)
    return await render(
        request,
        "span.html",
        trace_hex=trace_id.hex(),
        base=address.base,
        url=address.url,
        summary=summary,
        **context,
    )


@while_wanted
async def otlp(request: Request) -> Response:
    """The span, or all that share the id, as OTLP JSON for people to read."""
    span_id = read_id(request.path_params["span_id"], 16)
    spans = await store_of(request).spans(trace_id_of(request), span_id) if span_id else []
    if not spans:
        raise _not_there(request)
    document = otlp_json.dump(traces_data(spans))
    return Response(json.dumps(document, indent=2, ensure_ascii=False), media_type="application/json")


async def span_context(
    request: Request, trace_id: bytes, span_id: bytes | None, summary: TraceSummary
) -> dict[str, Any]:
    """What ``_span.html`` shows, besides the trace's `summary`, `trace_hex`, `base` and `url`.

    `spans` are the spans with the id, as `Detail`; of many that share it the first, and `alike_count` says how many.
    """
    store = store_of(request)
    found = await store.spans(trace_id, span_id) if span_id else []
    slots, linking, *details = await asyncio.gather(
        slots_of(store),
        _in_time(store.linking(trace_id, found[0].span_id), []) if found else _nothing(),
        *(_detail(store, span, found) for span in found[:MAX_ALIKE]),
    )
    return {"span_id": span_id, "spans": details, "alike_count": len(found), "linking": linking, "slots": slots}


async def _detail(store: Store, span: Span, alike: list[Span]) -> Detail:
    around = await asyncio.gather(
        _parent(store, span, alike),
        _in_time(store.peers(span.service, span.name), []),
        _targets(store, span),
        _known(store, span),
        _in_time(store.trace_logs(span.trace_id, span.span_id), []),
    )
    return detail(span, Around(*around))


async def _parent(store: Store, span: Span, alike: list[Span]) -> Span | None:
    """The parent, as the tree has it: of those with its id the server of a call, or the earliest.

    Of a server that shares its client's id that client, which is among those `alike`.
    """
    client, server = calls(alike).get(span.span_id, (0, 0))
    if client != server and alike[server] is span:
        return alike[client]
    found = await store.spans(span.trace_id, span.parent_id) if span.parent_id else []
    if call := calls(found).get(span.parent_id):
        return found[call[1]]
    return min(found, key=lambda one: one.start_ns, default=None)


async def _targets(store: Store, span: Span) -> dict[tuple[bytes, bytes], Span]:
    """The spans that the first links lead to, as far as they are stored."""
    wanted = islice(dict.fromkeys((link.trace_id, link.span_id) for link in span.links), MAX_TARGETS)
    found = await asyncio.gather(*(store.spans(*ids) for ids in wanted))
    return {(one.trace_id, one.span_id): one for spans in found for one in spans[:1]}


async def _known(store: Store, span: Span) -> list[bytes]:
    """Which traces that the links lead to are stored."""
    traces = dict.fromkeys(link.trace_id for link in span.links[:MAX_LINKS])
    return await store.known(list(traces)) if traces else []


async def _in_time(answer: Awaitable[list[T]], otherwise: list[T]) -> list[T]:
    """An answer that the panel can do without."""
    try:
        return await answer
    except QueryTimeout:
        return otherwise


async def _nothing() -> list[Any]:
    return []


def _not_there(request: Request) -> HTTPException:
    return HTTPException(404, f"This trace has no span {request.path_params['span_id']}.")


routes = [
    Route("/trace/{trace_id}/span/{span_id}", span_page),
    Route("/trace/{trace_id}/span/{span_id}/otlp.json", otlp),
]
