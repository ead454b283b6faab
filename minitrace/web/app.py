"""The ASGI application: routes, the guard in front of them, and the store they share.

`create_app` is also how to embed minitrace in another application:

```python
app = create_app(Config(db="traces.db"))
outer.mount("/minitrace", app)  # and run its lifespan
```
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from minitrace.config import Config, is_name
from minitrace.errors import MinitraceError
from minitrace.live import Live
from minitrace.store.retention import Limits
from minitrace.store.store import Store
from minitrace.web import exports, otlp, pages, span_pages, static, tempo, tempo_metrics, trace_pages
from minitrace.web.guard import Guard
from minitrace.web.opened import OpenedTraces

_ROUTED = (otlp, tempo, tempo_metrics, static, pages, trace_pages, span_pages, exports)


def create_app(
    config: Config | None = None, *, store: Store | None = None, live: Live | None = None, port: int | None = None
) -> Guard:
    """minitrace as an ASGI application.

    It opens the store at `config.path` in its lifespan, unless one is given, which is then the caller's
    to close; closing `live` ends the streams of its pages. `port` is where it is reached, if that is not
    `config.port`.
    """
    config = config or Config()
    live = live or Live()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, object]]:
        if store is None:
            app.state.store = await open_store(config, config.path)
        try:
            yield {"live": live}  # for server.Connection, which sees no app
        finally:
            live.close()
            if store is None:
                await app.state.store.close()

    app = Starlette(
        routes=[route for module in _ROUTED for route in module.routes],
        exception_handlers={HTTPException: _error, MinitraceError: _error, Exception: _error},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.config = config
    app.state.live = live
    app.state.store = store
    app.state.opened = OpenedTraces()
    return Guard(
        app,
        port=port if port is not None else config.port,
        host=config.host,
        allow_host=[*config.allow_host, *([config.host] if is_name(config.host) else [])],
        allow_origin=config.allow_origin,
        token=config.token,
        ingest_token=config.ingest_token,
        ingest=otlp.is_ingest,
    )


async def open_store(config: Config, path: Path) -> Store:
    """The store in a file, with what the settings say of it. Raises StoreError."""
    limits = Limits(config.max_size_bytes, config.max_age_ns, config.max_spans or None)
    return await Store.open(path, durability=config.durability, query_timeout_s=config.query_timeout_s, limits=limits)


async def _error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code in (404, 405) and request.method == "POST":
        live: Live = request.app.state.live
        paths = ", ".join(otlp.PATHS)
        live.note(f"POST {request.url.path} {error.status_code}: telemetry goes to {paths}", warn=True)
    if tempo.is_api(request.url.path):
        return await tempo.error(request, error)
    return await pages.error_page(request, error)
