"""Request headers as one text each, and the headers that every response carries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
PREFLIGHT_MAX_AGE_S = 7200  # the longest that Chromium keeps one
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def joined(headers: Headers, name: str) -> str | None:
    """The header's lines as one text, or None without any.

    A header that came twice equals none of the values we look for, so it is never taken for one.
    """
    lines = headers.getlist(name)
    return ", ".join(lines) if lines else None


def readable_by(origin: str) -> dict[str, str]:
    """The headers by which pages of this origin may read the response."""
    return {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": "Retry-After",
        # Beacons, as Zipkin's exporter sends, do not ask for leave to read: browsers would call the answer an error.
        "cross-origin-resource-policy": "cross-origin",
    }


def preflight(origin: str, asked_headers: str) -> dict[str, str]:
    """The headers by which pages of this origin may POST with the request headers they ask for."""
    names = [name.strip() for name in asked_headers.split(",")]
    allowed = ", ".join(name for name in names if _HEADER_NAME.fullmatch(name))
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "POST, OPTIONS",
        "access-control-max-age": str(PREFLIGHT_MAX_AGE_S),
    } | ({"access-control-allow-headers": allowed} if allowed else {})


def protected(send: Send, sharing: Mapping[str, str]) -> Send:
    """A `send` that puts the security headers on the response, and those of `sharing`.

    The app has no say in who may read: Access-Control-* headers of its own are dropped.
    """

    async def protected_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": _protected(message.get("headers", ()), sharing)}
        await send(message)

    return protected_send


def _protected(lines: Iterable[tuple[bytes, bytes]], sharing: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    lowered = [(name.lower(), value) for name, value in lines]
    headers = MutableHeaders(raw=[line for line in lowered if not line[0].startswith(b"access-control-")])
    headers.update(SECURITY_HEADERS)
    headers.setdefault("cache-control", "no-store")
    if sharing:
        headers.update(sharing)
        headers.add_vary_header("Origin")
    return headers.raw
