"""The head of a request over HTTP/2 as ASGI's scope, as over HTTP/1.1: ``:authority`` is its Host."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from starlette.types import Scope
from uvicorn.protocols.utils import get_local_addr, get_remote_addr


class Unfit(Exception):
    """A head that no client of good will sends; its stream is reset."""


def scope_of(headers: Iterable[tuple[bytes, bytes]], transport: asyncio.Transport, state: dict[str, Any]) -> Scope:
    """ASGI's scope of a request. Raises Unfit."""
    lines = [(bytes(name), bytes(value)) for name, value in headers]
    said = {name: value for name, value in lines if name.startswith(b":")}
    target = said.get(b":path", b"")
    # The absolute form of HTTP/1.1, which names a Host of its own, is none of HTTP/2's (RFC 9113, 8.3.1).
    method = said.get(b":method", b"")
    if not (target + method).isascii() or not target.startswith((b"/", b"*")):
        raise Unfit(target)
    path, _, query = target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "2",
        "server": get_local_addr(transport),
        "client": get_remote_addr(transport),
        "scheme": "http",
        "method": method.decode("ascii"),
        "root_path": "",
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "headers": _with_host(lines, said.get(b":authority")),
        "state": state.copy(),
        "extensions": {"http.response.trailers": {}},
    }


def _with_host(lines: list[tuple[bytes, bytes]], authority: bytes | None) -> list[tuple[bytes, bytes]]:
    plain = [line for line in lines if not line[0].startswith(b":")]
    if authority is None:
        return plain
    return [(b"host", authority), *(line for line in plain if line[0] != b"host")]
