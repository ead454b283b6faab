"""A Guard with a trivial app behind it, asked one request at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from minitrace.web.guard import Guard

HOST = "127.0.0.1:4318"
TOKEN = "jX3-secret"
INGEST_TOKEN = "only-for-telemetry"
TELEMETRY = "/v1/traces"


@dataclass
class Answer:
    """What came back; ``reached`` says whether the app behind the guard was asked."""

    status: int
    lines: list[tuple[str, str]]
    text: str
    reached: bool

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.lines if key == name]

    def __getitem__(self, name: str) -> str | None:
        return ", ".join(self.all(name)) or None

    @property
    def shared(self) -> dict[str, str]:
        return {key: value for key, value in self.lines if key.startswith("access-control-")}


def says(status: int = 200, lines: Sequence[tuple[str, str]] = ()) -> ASGIApp:
    """An app that answers everything with this status, these headers and the body it was sent."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.encode(), value.encode()) for name, value in lines]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": (await receive())["body"]})

    return app


def guard(app: ASGIApp, **settings: Any) -> Guard:
    defaults: dict[str, Any] = {
        "port": 4318,
        "host": "127.0.0.1",
        "allow_host": [],
        "allow_origin": [],
        "token": "",
        "ingest_token": "",
        "ingest": lambda method, path: path.rstrip("/") == TELEMETRY,
    }
    return Guard(app, **defaults | settings)


def ask(
    method: str,
    target: str,
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    *,
    app: ASGIApp | None = None,
    scheme: str = "http",
    root_path: str = "",
    body: bytes = b"",
    **settings: Any,
) -> Answer:
    """The answer to one request; a dict of headers gets a good Host, a list is sent as it is."""
    reached = False
    inner = app or says()

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal reached
        reached = True
        await inner(scope, receive, send)

    pairs = [*({"Host": HOST} | (headers or {})).items()] if not isinstance(headers, list) else headers
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "scheme": scheme,
        "method": method,
        "root_path": root_path,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs],
    }
    start, *rest = drive(guard(watched, **settings), scope, body)
    return Answer(
        status=start["status"],
        lines=[(name.decode(), value.decode()) for name, value in start["headers"]],
        text=b"".join(message["body"] for message in rest).decode(),
        reached=reached,
    )


def drive(app: ASGIApp, scope: Scope, body: bytes = b"") -> list[Message]:
    """Everything the app sends for a scope."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    async def run() -> None:
        await app(scope, receive, send)

    asyncio.run(run())
    return messages
