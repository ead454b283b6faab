"""The first-run page: how to send a span, and the news when one arrives.

The stream sends the page's block `arrivals` whenever it would look different: the first trace, its
further spans, and what the receiver saw.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from minitrace.errors import QueryTimeout
from minitrace.live import Live
from minitrace.store.matches import TraceSummary
from minitrace.store.search import Search
from minitrace.store.store import Store
from minitrace.web import events, receiver_pages
from minitrace.web.render import env, go_to, render

STEP_S = 0.25  # how often the page may change, and how soon it shows a note
MOST_REQUESTS = 8


async def page(request: Request) -> Response:
    """How to begin, while nothing is stored; else on to the search."""
    state = request.app.state
    if (await state.store.stats()).span_count:
        return go_to(request, "/search")
    return await render(
        request,
        "welcome.html",
        endpoint=str(request.base_url).rstrip("/"),
        needs_token=bool(state.config.token),
        **_news(None, state.live),
    )


async def stream(request: Request) -> Response:
    """The block `arrivals` as server-sent events, until the server stops or the browser leaves."""
    state = request.app.state
    root = request.scope.get("root_path", "")
    return events.stream(request, messages(state.store, state.live, root))


async def messages(store: Store, live: Live, root: str = "") -> AsyncIterator[str]:
    """The messages of the stream: one at once, then one for each change."""
    watch = live.changes()
    change = asyncio.ensure_future(anext(watch, None))  # before the first look, so that nothing is missed
    latest = await _latest(store)
    shown, silent_s = "", 0.0
    try:
        while True:
            html = arrivals(latest, live, root)
            if html != shown:
                shown, silent_s = html, 0.0
                yield events.message(html)
            elif silent_s >= events.PING_S:
                silent_s = 0.0
                yield events.PING
            await asyncio.wait({change}, timeout=STEP_S)
            silent_s += STEP_S
            if change.done():
                if change.result() is None:
                    return
                await asyncio.sleep(STEP_S)  # its other spans are often just behind
                change = asyncio.ensure_future(anext(watch, None))
                latest = await _latest(store)
    finally:
        change.cancel()


async def _latest(store: Store) -> TraceSummary | None:
    """The newest trace, if there is any."""
    try:
        result = await store.search(Search(limit=1))
    except QueryTimeout:  # too many at once; the next change asks again
        return None
    return result.matches[0].summary if result.matches else None


def arrivals(latest: TraceSummary | None, live: Live, root: str) -> str:
    """The block that says what has arrived, with the newest trace if there is one."""
    template = env.get_template("welcome.html")
    return "".join(template.blocks["arrivals"](template.new_context({"root": root, **_news(latest, live)})))


def _news(latest: TraceSummary | None, live: Live) -> dict[str, Any]:
    return {"latest": latest, "requests": live.requests.latest()[:MOST_REQUESTS], "line": receiver_pages.line}
