"""uvicorn in front of the app: sockets, signals, and what the first bytes of a connection say.

`serve` is the whole life of the process: bind, open the store, answer, and on Ctrl-C or SIGTERM finish
what was begun, write what waits, checkpoint and return.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import itertools
import logging
import secrets
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from minitrace.config import MEMORY, Config
from minitrace.errors import ConfigError
from minitrace.live import Live
from minitrace.store.store import Store
from minitrace.web.app import create_app, open_store

GRACE_S = 4  # for requests that are being answered when told to stop
MAX_HEAD_BYTES = 4 << 20  # of a request: a query in the URL that is much too long is to be told so, not cut off
# SDKs export every 5 s on a kept connection: uvicorn's own 5 s would close it just as they write.
KEEP_ALIVE_S = 75
GARBAGE_EVERY_S = 20
NEVER = 1_000_000_000
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# With Python's own 5 ms the store's writer, back from a statement in SQLite, waits that long for Python's lock while
# another thread decodes. Measured: 1.5 times the spans a second.
SWITCH_INTERVAL_S = 1e-4
GRPC_HINT = (
    "a gRPC client connected, but this port speaks OTLP over HTTP: "
    "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf in the application"
)


@dataclass(frozen=True)
class Listening:
    """A server that is ready: where, with which token, storing where.

    A token that was made up is shown once, at the start; one that was given stays out of every log.
    """

    url: str
    token: str
    path: Path
    is_temporary: bool = False
    is_token_new: bool = False

    @property
    def ui_url(self) -> str:
        """The address to open; with the token, which the browser then keeps, if it was made up."""
        return f"{self.url}/?token={quote(self.token, safe='')}" if self.is_token_new else self.url


class Connection(H11Protocol):
    """uvicorn's connection, which also tells a gRPC client what is wrong.

    A gRPC client on an OTLP/HTTP port is the commonest reason why nothing arrives: Python's SDK speaks
    gRPC unless told otherwise. Its first bytes are HTTP/2's preface.
    """

    _first: bytes | None = b""

    def data_received(self, data: bytes) -> None:
        """Bytes of the connection; the first ones are held back until they cannot be the preface."""
        if self._first is not None:
            data, self._first = self._first + data, None
            if data.startswith(HTTP2_PREFACE):
                self._refuse_http2()
                return
            if HTTP2_PREFACE.startswith(data):
                self._first = data
                return
        super().data_received(data)

    def _should_upgrade(self) -> bool:
        """Never: Java's HTTP client offers "Upgrade: h2c" with every request, and goes on without an answer to that."""
        return False

    def _refuse_http2(self) -> None:
        """Say why in HTTP/2: an empty SETTINGS frame, then GOAWAY with HTTP_1_1_REQUIRED and our words.

        See RFC 9113, sections 4.1, 6.5 and 6.8. gRPC libraries put the words into their own error.
        """
        live = self.app_state.get("live")
        if isinstance(live, Live):
            live.note(GRPC_HINT, warn=True)
        payload = (0).to_bytes(4) + (0xD).to_bytes(4) + GRPC_HINT.encode()
        goaway = len(payload).to_bytes(3) + b"\x07\x00" + bytes(4) + payload
        self.transport.write(bytes(3) + b"\x04\x00" + bytes(4) + goaway)
        self.transport.close()


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
    sockets = bind(config.host, config.port)
    url = _url(config.host, sockets[0].getsockname()[1])
    is_token_new = config.token != asked.token
    switch_interval_s, garbage_thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_INTERVAL_S)  # here only: whoever embeds the app has settings of their own
    try:
        if config.db != MEMORY:
            ready = Listening(url, config.token, config.path, is_token_new=is_token_new)
            asyncio.run(_serve(config, sockets, ready, on_ready))
            return
        with tempfile.TemporaryDirectory(prefix="minitrace-") as folder:
            ready = Listening(url, config.token, Path(folder) / "minitrace.db", True, is_token_new)
            asyncio.run(_serve(config, sockets, ready, on_ready))
    finally:
        sys.setswitchinterval(switch_interval_s)
        gc.set_threshold(*garbage_thresholds)
        gc.unfreeze()
        for open_socket in sockets:
            open_socket.close()


def with_token(config: Config) -> Config:
    """The settings with a token made up if others can reach us and none was given."""
    if config.token or config.is_local or config.dangerously_no_auth:
        return config
    return replace(config, token=secrets.token_urlsafe(32))


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on an address; for 127.0.0.1 also on ::1, as "localhost" may mean either.

    Raises:
        ConfigError: the port is taken, or the address is not ours; says what to do.
    """
    host = "127.0.0.1" if host.lower() == "localhost" else host
    try:
        first = _listen(host, port)
    except OSError as error:
        raise ConfigError(_bind_problem(host, port, error)) from None
    if host != "127.0.0.1":
        return [first]
    try:
        return [first, _listen("::1", first.getsockname()[1])]
    except OSError:  # no IPv6 on this machine, or the port is somebody else's there
        return [first]


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows, where SO_REUSEADDR would share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(128)  # now, so that a second server fails here and not later
    except BaseException:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _bind_problem(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} is taken, perhaps by another minitrace or a Collector: "
            "stop that one, or start with --port 0 for a free port"
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights than this user has: start with --port 4318 or another above 1023"
    return f"cannot listen on {host}: {error.strerror}. Start with --host 127.0.0.1"


async def _serve(
    config: Config, sockets: list[socket.socket], ready: Listening, on_ready: Callable[[Listening], None]
) -> None:
    async with await open_store(config, ready.path) as store:
        live = Live()
        app = create_app(config, store=store, live=live, port=sockets[0].getsockname()[1])
        server = Server(_uvicorn_config(app), lambda: on_ready(ready), live.close)
        collecting = asyncio.create_task(_collect_garbage(store), name="minitrace garbage")
        try:
            await server.serve(sockets=sockets)
        finally:
            collecting.cancel()


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


def _url(host: str, port: int) -> str:
    name = "localhost" if host in ("127.0.0.1", "0.0.0.0", "::", "::1") else host  # noqa: S104 (a comparison)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
