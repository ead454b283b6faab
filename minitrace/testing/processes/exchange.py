"""HTTP/1.1 with one client: h11 reads its requests from a stream, and writes the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import h11

from minitrace.config import Config
from minitrace.errors import MinitraceError, TooLarge
from minitrace.otlp import http2

MAX_BODY_BYTES: int = Config.max_body_bytes
MAX_HEAD_BYTES = 32 << 10
_PIECE_BYTES = 64 << 10
_TLS_HANDSHAKE = b"\x16"


class Refused(MinitraceError):
    """A request is answered with an error; the text says what would do."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class NotHttp(MinitraceError):
    """What came is no request of HTTP/1.1; the text says what would do, and the client was told."""


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body. Names of headers are in small letters; one that came twice is joined by commas."""

    method: str
    path: str
    headers: Mapping[str, str]

    def header(self, name: str) -> str:
        """A header in small letters, as those compared with anything are; "" where it is missing."""
        return self.headers.get(name, "").strip().lower()


@dataclass(frozen=True, slots=True)
class Answer:
    """A response."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""


class Exchange:
    """What is said on one connection: `head`, `body` and `answer`, request after request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._beginning = b""  # of all that came

    async def head(self) -> Head:
        """The next request's head.

        Raises:
            EOFError: the connection ends here.
            NotHttp: it begins otherwise than HTTP/1.1, as gRPC and TLS do.
        """
        try:
            event = await self._event()
        except h11.RemoteProtocolError as error:
            raise await self._not_http(error) from None
        if isinstance(event, h11.ConnectionClosed):
            raise EOFError
        if event.method == b"PRI":
            self._writer.write(http2.refusal())
            raise NotHttp(http2.GRPC_HINT)
        return Head(event.method.decode(), event.target.decode("latin-1"), _joined(event.headers))

    async def _not_http(self, error: h11.RemoteProtocolError) -> NotHttp:
        if self._beginning.startswith(_TLS_HANDSHAKE):
            return NotHttp("a client began with TLS: the address here begins with http://, not https://")
        await self.answer(Answer(error.error_status_hint))
        return NotHttp(f"a request was not HTTP: {error}")

    async def body(self, head: Head) -> bytes:
        """A request's body as it was sent, maybe compressed.

        Raises:
            EOFError: the connection ends within it.
            Refused: it is not in the form that the head says.
            TooLarge: it has more than `MAX_BODY_BYTES`.
        """
        pieces, left = [], MAX_BODY_BYTES - int(head.headers.get("content-length", "0"))
        if left >= 0:
            left = MAX_BODY_BYTES
        try:
            while left >= 0 and not isinstance(event := await self._event(), h11.EndOfMessage):
                pieces.append(bytes(event.data))
                left -= len(event.data)
        except h11.RemoteProtocolError as error:
            if self._reader.at_eof():
                raise EOFError from None
            raise Refused(400, f"the body is not HTTP: {error}") from None
        if left < 0:
            raise TooLarge(f"the body has more than {MAX_BODY_BYTES} bytes: send smaller batches")
        return b"".join(pieces)

    async def answer(self, answer: Answer) -> bool:
        """Send it. Returns whether another request may follow: not after a body that was not read."""
        headers = {"Content-Length": str(len(answer.content)), **answer.headers}
        if self._http.their_state is not h11.DONE:
            headers["Connection"] = "close"
        reason = HTTPStatus(answer.status).phrase
        self._write(h11.Response(status_code=answer.status, headers=list(headers.items()), reason=reason))
        if answer.content:
            self._write(h11.Data(answer.content))
        self._write(h11.EndOfMessage())
        await self._writer.drain()
        if self._http.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            return False
        self._http.start_next_cycle()
        return True

    async def _event(self) -> Any:
        """What the client says next."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._write(h11.InformationalResponse(status_code=100, headers=[]))
            piece = await self._reader.read(_PIECE_BYTES)
            self._beginning = self._beginning or piece[:1]
            self._http.receive_data(piece)
        return event

    def _write(self, event: Any) -> None:
        self._writer.write(self._http.send(event) or b"")


def _joined(headers: Any) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        joined[key] = f"{joined[key]}, {text}" if key in joined else text
    return joined
