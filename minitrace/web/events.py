"""Answers that go on: server-sent events and other streams, as many as the server can serve beside everything else."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from minitrace.live import Live

EVENTS = "text/event-stream"
MAX_STREAMS = 64  # open at once
RETRY_AFTER_S = 5
PING_S = 15.0  # whatever is in between must not take silence for the end
PING = ": ping\n\n"


def message(text: str, *, id: str = "", event: str = "") -> str:
    """A server-sent event; the `id` is what a client that comes back says it had last."""
    fields = (f"id: {id}\n" if id else "") + (f"event: {event}\n" if event else "")
    return fields + "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"


def stream(request: Request, parts: AsyncIterator[str], media_type: str = EVENTS) -> Response:
    """An answer that is sent as its parts come, or 503 if too many are open.

    A part is only made when the one before has been sent: a client that reads slowly costs no memory.
    """
    live: Live = request.app.state.live
    if live.stream_count >= MAX_STREAMS:
        text = f"{MAX_STREAMS} pages and commands are watching already: close one of them, or try again later\n"
        return PlainTextResponse(text, 503, {"Retry-After": str(RETRY_AFTER_S)})
    return StreamingResponse(_counted(live, parts), media_type=media_type)


async def _counted(live: Live, parts: AsyncIterator[str]) -> AsyncIterator[str]:
    live.stream_count += 1
    try:
        async for part in parts:
            yield part
    finally:
        live.stream_count -= 1
