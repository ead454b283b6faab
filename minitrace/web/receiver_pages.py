"""What the receiver saw lately, as a page that changes by itself and as JSON.

| page                       | shows                                               |
|----------------------------|-----------------------------------------------------|
| `/_/receiver?trouble=1`    | the latest requests; of trouble only                |
| `/_/receiver/stream`       | server-sent events: the page's list when it changes |
| `/_/receiver.json`         | the same requests for programs                      |
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from minitrace import present
from minitrace.live import Live, Received
from minitrace.web import events, receiver
from minitrace.web.render import env, render

STEP_S = 0.5  # how often the page may change


async def page(request: Request) -> Response:
    """The latest requests to the receiver."""
    endpoint = str(request.base_url).rstrip("/")
    return await render(request, "receiver.html", endpoint=endpoint, **_shown(_live(request), _only_trouble(request)))


async def stream(request: Request) -> Response:
    """The block `requests` as server-sent events."""
    root = request.scope.get("root_path", "")
    return events.stream(request, messages(_live(request), root, _only_trouble(request)))


async def document(request: Request) -> Response:
    """The latest requests, the newest first."""
    latest = _live(request).requests.latest(only_trouble=_only_trouble(request))
    return JSONResponse({"requests": list(map(receiver.answer, latest))})


async def messages(live: Live, root: str, only_trouble: bool) -> AsyncIterator[str]:
    """The messages of the stream: one at once, then one when there were more requests."""
    count, silent_s = -1, 0.0
    while not live.is_closed:
        if live.requests.count != count:
            count, silent_s = live.requests.count, 0.0
            template = env.get_template("receiver.html")
            context = template.new_context({"root": root, **_shown(live, only_trouble)})
            yield events.message("".join(template.blocks["requests"](context)))
        elif silent_s >= events.PING_S:
            silent_s = 0.0
            yield events.PING
        await asyncio.sleep(STEP_S)
        silent_s += STEP_S


def line(request: Received) -> str:
    """A request and what became of it, in a line."""
    return f"{request.name}: {request.problem or outcome(request)}"


def outcome(request: Received) -> str:
    """What became of a request that was taken."""
    if request.path.startswith(("/v1/metrics", "MetricsService/")):
        return f"{present.count(request.other_count, 'data point')}: accepted and counted, not stored"
    if request.path.startswith(("/v1/logs", "LogsService/")):
        stored = present.count(request.record_count, "log record")
    else:
        stored = f"{present.count(request.span_count, 'span')} in {present.count(request.trace_count, 'trace')}"
    return stored + (f", {present.integer(request.duplicates)} sent before" if request.duplicates else "")


def rate(request: Received) -> str:
    """How often a request came."""
    if request.times == 1:
        return ""
    often = f"{request.rate:.1f}/s" if request.rate >= 1 else f"{request.rate * 60:.0f}/min" if request.rate else ""
    return f"× {present.integer(request.times)}" + (f", {often}" if often else "")


def _shown(live: Live, only_trouble: bool) -> dict[str, Any]:
    return {
        "requests": live.requests.latest(only_trouble=only_trouble),
        "has_any": live.requests.count > 0,
        "only_trouble": only_trouble,
        "outcome": outcome,
        "rate": rate,
    }


def _only_trouble(request: Request) -> bool:
    return request.query_params.get("trouble") == "1"


def _live(request: Request) -> Live:
    live: Live = request.app.state.live
    return live


routes = [
    Route("/_/receiver", page),
    Route("/_/receiver/stream", stream),
    Route("/_/receiver.json", document),
]
