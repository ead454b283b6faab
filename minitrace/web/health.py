"""Whether we are well, for whoever keeps servers running."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route


async def healthz(request: Request) -> Response:
    """Whether the process answers."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """Whether telemetry would be taken now."""
    if request.app.state.store.is_busy:
        return PlainTextResponse("the writer cannot take more now\n", 503, headers={"Retry-After": "1"})
    return PlainTextResponse("ready\n")


async def zipkin_health(request: Request) -> Response:
    """Whether the process answers, as Zipkin's clients and probes ask."""
    return JSONResponse({"status": "UP"})


routes = [
    Route("/healthz", healthz),
    Route("/readyz", readyz),
    Route("/ready", readyz),  # Tempo's name for it
    Route("/health", zipkin_health),
]
