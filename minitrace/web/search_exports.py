"""What a search finds, to take along: ``GET /search/export?format=otlp&q=…``, with the parameters of the search page.

All that matches, in the order of the page, and not only what it shows; but `MOST_TRACES` at most, of which the page
tells. Which traces these are is known before the answer begins, so that a search that takes too long is an error and
not a file without some of them. Then they are loaded and sent one by one: no more than one is in memory.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from minitrace.errors import QueryTimeout
from minitrace.present import plain
from minitrace.store.search import Search
from minitrace.store.store import Store
from minitrace.web import forms, pieces
from minitrace.web.documents import Document, Format
from minitrace.web.named import store_of
from minitrace.web.wanted import while_wanted

MOST_TRACES = 1000
TRACES_AT_ONCE = 500  # of a search
SEARCHES = 10  # that may end at their deadline before it is said that there is no time


@while_wanted
async def search_export(request: Request) -> Response:
    """What the form finds, as a file."""
    form = forms.read_form(request.query_params, time.time_ns())
    if form.problems:
        raise HTTPException(422, plain(" ".join(form.problems.values())))
    format = _format(request.query_params.get("format", Format.OTLP))
    store = store_of(request)
    traces = await found(store, form.search)
    headers = {"Content-Disposition": f'attachment; filename="traces.{format.ending}"'}
    return StreamingResponse(_pieces(store, traces, format), media_type=format.media_type, headers=headers)


async def found(store: Store, search: Search) -> list[bytes]:
    """The traces that match. Raises QueryTimeout."""
    traces: dict[bytes, None] = {}
    search = replace(search, spans_per_set=0, before=None)
    for _ in range(SEARCHES + MOST_TRACES // TRACES_AT_ONCE):
        result = await store.search(replace(search, limit=min(TRACES_AT_ONCE, MOST_TRACES - len(traces))))
        traces |= dict.fromkeys(match.summary.trace_id for match in result.matches)
        if len(traces) >= MOST_TRACES or (result.complete and result.next is None):
            return list(traces)
        if result.next is None:
            break
        search = replace(search, before=result.next)
    raise QueryTimeout("there was no time to look at all traces: search a shorter time, then export")


async def _pieces(store: Store, traces: list[bytes], format: Format) -> AsyncIterator[str]:
    """The document; traces that were deleted meanwhile are left out."""
    document = Document(format)
    yield document.head
    async for piece in pieces.of_traces(store, traces, document.trace):
        yield piece
    yield document.tail


def _format(text: str) -> Format:
    try:
        return Format(text)
    except ValueError:
        raise HTTPException(400, f"format={text[:40]!r} is none: use {', '.join(Format)}") from None


routes = [Route("/search/export", search_export)]
