"""Answers are made only while somebody waits for them.

Whoever types in the search box leaves a request behind with every pause. A search over a large file would go
on for seconds for nobody, and hold one of the few readers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response

CLIENT_CLOSED_REQUEST = 499  # nginx's number; nobody receives it

Handler = Callable[[Request], Awaitable[Response]]


def while_wanted(handler: Handler) -> Handler:
    """The handler of a GET request, cancelled when the client goes away; a query it runs is interrupted."""

    @wraps(handler)
    async def wanted(request: Request) -> Response:
        work = asyncio.ensure_future(handler(request))
        gone = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else Response(status_code=CLIENT_CLOSED_REQUEST)
        finally:
            work.cancel()
            gone.cancel()

    return wanted


async def _gone(request: Request) -> None:
    """Returns when the client has gone. Reads the body away: only for requests without one."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
