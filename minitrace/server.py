"""uvicorn in front of the app: sockets, signals, and what the first bytes of a connection say.

`serve` is the whole life of the process: bind, open the store, answer, and on Ctrl-C or SIGTERM finish
what was begun, write what waits, checkpoint and return.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from minitrace.config import MEMORY, Config
from minitrace.errors import StoreBusy
from minitrace.git import checkout
from minitrace.http2 import connection as http2
from minitrace.live import Live
from minitrace.otlp.http2 import PREFACE
from minitrace.sockets import bind_all
from minitrace.store.runs import Run, RunKind
from minitrace.store.store import Store
from minitrace.web import receiver
from minitrace.web.app import create_app, open_store

GRACE_S = 4  # for requests that are being answered when told to stop
MAX_HEAD_BYTES = 4 << 20  # of a request: a query in the URL that is much too long is to be told so, not cut off
# SDKs export every 5 s on a kept connection: uvicorn's own 5 s would close it just as they write.
KEEP_ALIVE_S = 75
TLS = b"\x16\x03"  # what its handshake begins with (RFC 8446, 5.1); no request does
BODIES = 4  # of the largest size, that one connection may send at once
GARBAGE_EVERY_S = 20
NEVER = 1_000_000_000
# With Python's own 5 ms the store's writer, back from a statement in SQLite, waits that long for Python's lock while
# another thread decodes. Measured: 1.5 times the spans a second.
SWITCH_INTERVAL_S = 1e-4


@dataclass(frozen=True)
class Listening:
    """A server that is ready: where, with which token, storing where; and at which other addresses.

    A token that was made up is shown once, at the start; one that was given stays out of every log.
    """

    url: str
    token: str
    path: Path
    is_temporary: bool = False
    is_token_new: bool = False
    more_urls: tuple[str, ...] = ()
    remark: str = ""

    @property
    def ui_url(self) -> str:
        """The address to open; with the token, which the browser then keeps, if it was made up."""
        return f"{self.url}/?token={quote(self.token, safe='')}" if self.is_token_new else self.url


class Connection(H11Protocol):
    """uvicorn's connection, which hands over to one of HTTP/2 where the first bytes say that, and knows TLS."""

    _first: bytes | None = b""

    def data_received(self, data: bytes) -> None:
        """Bytes of the connection; the first ones are held back until they cannot be the preface."""
        if self._first is not None:
            data, self._first = self._first + data, None
            if data.startswith(TLS):
                receiver.note_tls(self.app_state["live"])
                self.transport.close()
                return
            if data.startswith(PREFACE):
                self._hand_over(data)
                return
            if PREFACE.startswith(data):
                self._first = data
                return
        super().data_received(data)

    def _should_upgrade(self) -> bool:
        """Never: Java's HTTP client offers "Upgrade: h2c" with every request, and goes on without an answer to that."""
        return False

    def _hand_over(self, data: bytes) -> None:
        self.connections.discard(self)
        connection = http2.Connection(
            self.app,
            app_state=self.app_state,
            connections=self.connections,
            tasks=self.tasks,
            default_headers=lambda: self.server_state.default_headers,
            most_body_bytes=BODIES * self.app_state["max_body_bytes"],
            idle_s=KEEP_ALIVE_S,
        )
        self.transport.set_protocol(connection)
        connection.connection_made(self.transport)
        connection.data_received(data)


class Server(uvicorn.Server):
    """uvicorn's server, which returns when told to stop instead of dying of the signal."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None], on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what was begun, and let the app end too: uvicorn forgets it when told to stop twice."""
        for server in self.servers:
            server.close()
        if self.force_exit:
            self._cut_off()
        await super().shutdown(sockets)
        if self.force_exit:
            await self.lifespan.shutdown()

    def stop(self) -> None:
        """Finish what was begun, then return from `serve`; told a second time, cut it off."""
        if self.should_exit:
            self.force_exit = True
            self._cut_off()
        self.should_exit = True
        self._on_stop()

    def _cut_off(self) -> None:
        """Drop every connection; from Python 3.12 on, the end waits for them otherwise."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at Ctrl-C, SIGTERM and SIGHUP. uvicorn's own would raise them again after the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
        before = {
            name: signal.signal(getattr(signal, name), lambda *_: loop.call_soon_threadsafe(self.stop))
            for name in names
        }
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(getattr(signal, name), handler)


class _WithoutCancelled(logging.Filter):
    """Drops the traceback of a request that was cut off because the server stops: it is no mistake."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def serve(config: Config, on_ready: Callable[[Listening], None] = lambda listening: None) -> None:
    """Serve until told to stop; `on_ready` is called once, when requests are answered.

    Raises:
        ConfigError: the port is taken, or the address is not ours.
        StoreError: the database file cannot be used.
    """
    logging.getLogger("uvicorn.error").addFilter(_WithoutCancelled())
    asked, config = config, with_token(config)
    bound = bind_all(config)
    ready = Listening(
        bound.urls[0], config.token, config.path, False, config.token != asked.token, bound.urls[1:], bound.remark
    )
    switch_interval_s, garbage_thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_INTERVAL_S)  # here only: whoever embeds the app has settings of their own
    try:
        if config.db != MEMORY:
            asyncio.run(_serve(config, bound.sockets, ready, on_ready))
            return
        with tempfile.TemporaryDirectory(prefix="minitrace-") as folder:
            ready = replace(ready, path=Path(folder) / "minitrace.db", is_temporary=True)
            asyncio.run(_serve(config, bound.sockets, ready, on_ready))
    finally:
        sys.setswitchinterval(switch_interval_s)
        gc.set_threshold(*garbage_thresholds)
        gc.unfreeze()
        for open_socket in bound.sockets:
            open_socket.close()


def with_token(config: Config) -> Config:
    """The settings with a token made up if others can reach us and none was given."""
    if config.token or config.is_local or config.dangerously_no_auth:
        return config
    return replace(config, token=secrets.token_urlsafe(32))


async def _serve(
    config: Config, sockets: list[socket.socket], ready: Listening, on_ready: Callable[[Listening], None]
) -> None:
    async with await open_store(config, ready.path) as store:
        live = Live()
        app = create_app(config, store=store, live=live, port=sockets[0].getsockname()[1])
        server = Server(_uvicorn_config(app), lambda: on_ready(ready), live.close)
        collecting = asyncio.create_task(_collect_garbage(store), name="minitrace garbage")
        try:
            async with _run(store):
                await server.serve(sockets=sockets)
        finally:
            collecting.cancel()


@asynccontextmanager
async def _run(store: Store) -> AsyncIterator[None]:
    """Keep what goes on inside as a run. Nobody waits for git, or fails because a run could not be kept."""
    run = Run(secrets.token_hex(8), RunKind.SERVER, "minitrace serve", str(Path.cwd()), time.time_ns())

    async def begin() -> None:
        await store.begin_run(run)
        found = await asyncio.to_thread(checkout, Path(run.directory))
        if found.commit:
            known = replace(run, git_commit=found.commit, git_branch=found.branch, is_dirty=found.is_dirty)
            await store.begin_run(known)

    beginning = asyncio.create_task(begin(), name="minitrace run")
    try:
        yield
    finally:
        with suppress(StoreBusy):
            await beginning
            await store.end_run(run.id, 0, time.time_ns())


async def _collect_garbage(store: Store) -> None:
    """Look for cycles among old objects while nothing is stored, or at least now and then.

    Decoding makes objects by the million and no cycles. Python would look through all of them, again and again: up to
    0.1 s at a time, in which nobody is answered.
    """
    gc.freeze()  # what has been imported stays
    gc.set_threshold(*gc.get_threshold()[:2], NEVER)
    for rounds in itertools.count(1):
        await asyncio.sleep(GARBAGE_EVERY_S)
        if not store.is_storing or rounds % 10 == 0:
            gc.collect()


def _uvicorn_config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
