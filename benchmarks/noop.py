"""A server that reads what it is sent and throws it away, behind the same uvicorn as minitrace: what HTTP alone costs.

`ingest.py` starts it. It prints its address as minitrace does.
"""

from __future__ import annotations

import asyncio

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minitrace import server


async def _read(request: Request) -> Response:
    await request.body()
    return Response(media_type="application/x-protobuf")


def main() -> None:
    """Serve on a free port until told to stop."""
    sockets = server.bind("127.0.0.1", 0)
    print(f"open http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
    app = Starlette(routes=[Route("/v1/traces", _read, methods=["POST"])])
    config: uvicorn.Config = server._uvicorn_config(app)
    asyncio.run(server.Server(config, lambda: None, lambda: None).serve(sockets=sockets))


if __name__ == "__main__":
    main()
