"""`GET /metrics`: what minitrace counts, for Prometheus.

OpenMetrics, with exemplars, for who accepts it, as Prometheus does; its older text format otherwise.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minitrace.web.named import store_of

PATIENCE_S = 0.05  # what is not counted by then is in the next answers


async def metrics(request: Request) -> Response:
    """All metrics."""
    from minitrace.web import exposition  # here: it takes a tenth of a second, and most servers are never scraped

    form = exposition.wanted(request.headers.get("accept", ""))
    store = store_of(request)
    tally = await store.tally(PATIENCE_S)
    stats = await store.stats()
    async with tally.lock:
        content = await asyncio.to_thread(form.render, tally, store, stats, request.app.state.live)
    return Response(content, media_type=form.content_type)


routes = [Route("/metrics", metrics)]
