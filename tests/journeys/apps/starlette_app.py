"""A shop in Starlette that knows nothing of tracing; prints its address. SIGINT ends it."""

from __future__ import annotations

import logging
import socket
from contextlib import suppress

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def order(request: Request) -> JSONResponse:
    """One order."""
    number: int = request.path_params["number"]
    logging.warning("order %d is looked at", number)
    return JSONResponse({"total": 100 * number})


def main() -> None:
    """Serve on a free port."""
    app = Starlette(routes=[Route("/orders/{number:int}", order)])
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    with listener, suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn.Config(app, log_config=None)).run([listener])


if __name__ == "__main__":
    main()
