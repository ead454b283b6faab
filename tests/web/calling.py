"""A call as a gRPC client makes it, to the app without a network: what goes in, and the trailers that come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message

SERVICE = "/opentelemetry.proto.collector.{}.v1.{}Service/Export"
TRACES, LOGS, METRICS = (SERVICE.format(name.lower(), name) for name in ("Trace", "Logs", "Metrics"))


@dataclass(frozen=True)
class Called:
    """What came of a call. `message` is None where there was none."""

    http_status: int
    headers: dict[str, str]
    body: bytes
    trailers: dict[str, str]

    @property
    def status(self) -> int:
        """gRPC's status; -1 where the answer is none of gRPC's."""
        return int(self.trailers.get("grpc-status", "-1"))

    @property
    def text(self) -> str:
        """What went wrong."""
        return unquote(self.trailers.get("grpc-message", ""))

    @property
    def message(self) -> bytes | None:
        """The message that was answered."""
        return self.body[5:] if self.body else None


def packed(message: bytes, *, flag: int = 0) -> bytes:
    """A message as it stands in a call."""
    return bytes([flag]) + len(message).to_bytes(4) + message


async def call(
    app: ASGIApp,
    path: str,
    body: bytes,
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    http_version: str = "2",
) -> Called:
    """Make a call with these bytes as its body."""
    given = {"host": "localhost:4318", "content-type": "application/grpc", "te": "trailers"} | (headers or {})
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": http_version,
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "extensions": {"http.response.trailers": {}} if http_version == "2" else {},
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = sent[0]
    parts = [message.get("body", b"") for message in sent if message["type"] == "http.response.body"]
    last = [message for message in sent if message["type"] == "http.response.trailers"]
    assert bool(last) == start.get("trailers", False)
    trailers = _decoded(last[0]["headers"]) if last else {}
    return Called(start["status"], _decoded(start["headers"]), b"".join(parts), trailers)


def _decoded(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}
