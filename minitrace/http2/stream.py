"""One request over HTTP/2 and its answer: frames on one side, ASGI's messages on the other."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from h2.errors import ErrorCodes
from starlette.types import ASGIApp, Message, Scope

Headers = list[tuple[bytes, bytes]]
# They are about one connection of HTTP/1.1, and HTTP/2 knows none of them (RFC 9113, 8.2.2).
_HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}

log = logging.getLogger(__name__)


class Wire(Protocol):
    """What a stream asks of its connection. After the stream or the connection ended, all of it does nothing."""

    def send_headers(self, stream_id: int, headers: Headers, *, is_end: bool) -> None:
        """Send the head of an answer, or its trailers."""

    async def send_data(self, stream_id: int, content: bytes, *, is_end: bool) -> None:
        """Send a part of the body, as quickly as the client takes it."""

    def acknowledge(self, stream_id: int, size: int) -> None:
        """Let the client send as many bytes more."""

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        """End the stream before its time."""


class Stream:
    """A request: what has come of it and was not yet read, and how far its answer is."""

    def __init__(self, wire: Wire, stream_id: int, scope: Scope, default_headers: Headers) -> None:
        self.is_gone = False  # the client no longer waits for an answer
        self.size_bytes = 0  # of the body, as far as it has come
        self._wire = wire
        self._id = stream_id
        self._scope = scope
        self._default_headers = default_headers
        self._parts: list[bytes] = []
        self._unread = 0  # bytes as flow control counts them, with padding
        self._has_come = False  # the request, all of it
        self._is_read = False  # all of it by the app, too
        self._has_begun = self._has_ended = self._has_trailers = False  # the answer
        self._is_waiting_to_send = (b"expect", b"100-continue") in scope["headers"]
        self._news = asyncio.Event()

    async def run(self, app: ASGIApp) -> None:
        """Have the app answer. An error in it is logged, and answered 500 if nothing was yet."""
        try:
            await app(self._scope, self._receive, self._send)
        except Exception:
            log.exception("Exception in ASGI application")
            await self._fail()
        finally:
            self._end()

    def take(self, content: bytes, size: int) -> None:
        """Keep a part of the body until the app asks for it; `size` is what it counts for flow control."""
        if self._has_ended:
            self._wire.acknowledge(self._id, size)  # the answer did not need it
            return
        self.size_bytes += len(content)
        self._parts.append(content)
        self._unread += size
        self._news.set()

    def finish(self) -> None:
        """The request has come to its end."""
        self._has_come = True
        self._news.set()

    def lose(self) -> None:
        """The client, or the connection, is gone."""
        self.is_gone = True
        self._news.set()

    async def _receive(self) -> Message:
        if self._is_waiting_to_send:
            self._is_waiting_to_send = False
            self._wire.send_headers(self._id, [(b":status", b"100")], is_end=False)
        while not (self._parts or self._has_ended or self.is_gone or (self._has_come and not self._is_read)):
            self._news.clear()
            await self._news.wait()
        if self._has_ended or self.is_gone:
            return {"type": "http.disconnect"}
        self._is_read = self._has_come
        return {"type": "http.request", "body": self._read(), "more_body": not self._has_come}

    def _read(self) -> bytes:
        content = b"".join(self._parts)
        self._wire.acknowledge(self._id, self._unread)
        self._parts, self._unread = [], 0
        return content

    async def _send(self, message: Message) -> None:
        if self.is_gone:
            return
        if message["type"] == "http.response.start":
            self._begin(message)
        elif message["type"] == "http.response.body":
            await self._send_body(message)
        elif message["type"] == "http.response.trailers":
            self._wire.send_headers(self._id, _plain(message["headers"]), is_end=True)
            self._has_ended = True

    def _begin(self, message: Message) -> None:
        self._has_begun = True
        self._has_trailers = message.get("trailers", False)
        headers = [(b":status", b"%d" % message["status"]), *self._default_headers, *_plain(message["headers"])]
        self._wire.send_headers(self._id, headers, is_end=False)

    async def _send_body(self, message: Message) -> None:
        content = b"" if self._scope["method"] == "HEAD" else message.get("body", b"")
        is_end = not message.get("more_body", False) and not self._has_trailers
        if content or is_end:
            await self._wire.send_data(self._id, content, is_end=is_end)
        self._has_ended = is_end

    async def _fail(self) -> None:
        if not self._has_begun:
            head = [(b"content-type", b"text/plain; charset=utf-8")]
            await self._send({"type": "http.response.start", "status": 500, "headers": head})
            await self._send({"type": "http.response.body", "body": b"Internal Server Error"})

    def _end(self) -> None:
        if not self._has_ended:
            self._wire.reset(self._id, ErrorCodes.INTERNAL_ERROR)
        elif not self._has_come:  # told in good time that the rest is not needed (RFC 9113, 8.1)
            self._wire.reset(self._id, ErrorCodes.NO_ERROR)
        self._has_ended = True
        self._read()


def _plain(headers: Headers) -> Headers:
    return [header for header in headers if header[0] not in _HOP_BY_HOP]
