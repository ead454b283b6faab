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
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from minitrace.config import Config, is_everywhere
from minitrace.errors import MinitraceError
from minitrace.live import Live
from minitrace.store.retention import Limits
from minitrace.store.store import Store
from minitrace.web import (
    compare_pages,
    complete,
    exports,
    grpc,
    grpc_answers,
    health,
    importing,
    jaeger,
    jaeger_metrics,
    jaeger_thrift,
    jaeger_v3,
    live_pages,
    log_pages,
    map_pages,
    otlp,
    pages,
    prometheus,
    receiver,
    receiver_pages,
    red_pages,
    removal,
    runs,
    runs_page,
    search_exports,
    search_pages,
    searches,
    span_pages,
    static,
    tempo,
    tempo_metrics,
    tempo_search,
    tempo_tags,
    trace_pages,
    why_page,
    zipkin,
)
from minitrace.web.choices import Choices
from minitrace.web.comparing import Comparisons
from minitrace.web.guard import Guard
from minitrace.web.opened import OpenedTraces
from minitrace.web.tail import Tail
from minitrace.web.uploads import Uploads

_ROUTED = (
    otlp,
    grpc,
    zipkin,
    jaeger_thrift,
    health,
    prometheus,
    tempo,
    jaeger,
    jaeger_v3,
    jaeger_metrics,
    tempo_search,
    tempo_tags,
    tempo_metrics,
    static,
    pages,
    live_pages,
    log_pages,
    receiver_pages,
    red_pages,
    trace_pages,
    span_pages,
    compare_pages,
    exports,
    search_exports,
    importing,
    removal,
    searches,
    runs,
    runs_page,
    map_pages,
    why_page,
    search_pages,
    complete,
)
_RECEIVERS = (otlp, grpc, zipkin, jaeger_thrift)


def create_app(
    config: Config | None = None, *, store: Store | None = None, live: Live | None = None, port: int | None = None
) -> Guard:
    """minitrace as an ASGI application.

    It opens the store at `config.path` in its lifespan, unless one is given, which is then the caller's
    to close; closing `live` ends the streams of its pages. `port` is where it is reached, if that is not
    `config.port`.
    """
    config = config or Config()
    return _guarded(_application(config, store, live or Live()), config, port if port is not None else config.port)


def _application(config: Config, store: Store | None, live: Live) -> Starlette:
    """The routes, and what they share."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, object]]:
        if store is None:
            _use(app, await open_store(config, config.path))
        try:
            yield {"live": live, "max_body_bytes": config.max_body_bytes}  # for server.Connection, which sees no app
        finally:
            live.close()
            await app.state.choices.close()
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
    app.state.opened = OpenedTraces()
    app.state.removal = None
    app.state.uploads = Uploads()
    app.state.comparisons = Comparisons()
    app.state.choices = Choices()
    if store is not None:
        _use(app, store)
    return app


def _use(app: Starlette, store: Store) -> None:
    app.state.store = store
    app.state.tail = Tail(store, app.state.live)


def _guarded(app: Starlette, config: Config, port: int) -> Guard:
    return Guard(
        app,
        port=port,
        # One app answers at all of the addresses, so what one of them may be called, all may.
        host=next(filter(is_everywhere, config.hosts), config.host),
        allow_host=[*config.allow_host, *(host for host in config.hosts if not is_everywhere(host))],
        allow_origin=config.allow_origin,
        token=config.token,
        ingest_token=config.ingest_token,
        ingest=is_ingest,
        refused=partial(receiver.note_refused, app.state.live),
    )


def is_ingest(method: str, path: str) -> bool:
    """Whether a request brings telemetry, from clients that are no browsers showing our pages."""
    return any(module.is_ingest(method, path) for module in _RECEIVERS)


async def open_store(config: Config, path: Path) -> Store:
    """The store in a file, with what the settings say of it. Raises StoreError."""
    limits = Limits(config.max_size_bytes, config.max_age_ns, config.max_spans or None)
    return await Store.open(
        path,
        durability=config.durability,
        query_timeout_s=config.query_timeout_s,
        limits=limits,
        metrics_dimensions=config.metrics_dimension,
    )


async def _error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code in (404, 405) and request.method == "POST":
        receiver.note_refused(request.app.state.live, request.scope, error.status_code, "nothing is taken at this path")
    if grpc_answers.is_call(request.scope):
        return grpc_answers.refused(request.scope, error)
    if tempo.is_api(request.url.path):
        return await tempo.error(request, error)
    return await pages.error_page(request, error)
