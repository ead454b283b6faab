"""A span of HTTP to a command for a shell that asks the same again, as far as the span tells.

What stands in a span was written by a stranger, and this is pasted into a shell: only http and https, every part
quoted, and nothing where a control character could end a line.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from minitrace import present
from minitrace.model import Attributes, Kind, Span

MAX_LENGTH = 8192  # characters
_URL = re.compile(r"https?://[^\s/?#]", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")  # a method or the name of a header: neither an option nor "@file"
_HEADER = "http.request.header."
_OF_THE_CONNECTION = frozenset(("host", "content-length", "connection", "transfer-encoding", "accept-encoding"))
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def command(span: Span) -> str | None:
    """``curl -X POST https://…`` for a client's or server's request of HTTP, without its body; None for others."""
    if span.kind not in (Kind.CLIENT, Kind.SERVER):
        return None
    method = _first(span.attributes, "http.request.method", "http.method").upper()
    url = _url(span.attributes)
    if not _TOKEN.fullmatch(method) or not _URL.match(url):
        return None
    words = ["curl", *_options(method, url)]
    for name, value in _headers(span.attributes):
        words += ["-H", f"{name}: {value}"]
    text = " ".join(shlex.quote(word) for word in [*words, url])
    return text if len(text) <= MAX_LENGTH and text.isprintable() else None


def _options(method: str, url: str) -> list[str]:
    chosen = {"GET": [], "HEAD": ["-I"]}.get(method, ["-X", method])
    return [*chosen, "-g"] if set(url) & set("[]{}") else chosen  # -g: they are no patterns


def _url(attributes: Attributes) -> str:
    """The address as a whole, or put together as a server knows it; "" where there is not enough."""
    whole = _first(attributes, "url.full", "http.url")
    if not whole:
        scheme = _first(attributes, "url.scheme", "http.scheme") or "http"
        target = _first(attributes, "url.path", "http.target")
        query = _first(attributes, "url.query").removeprefix("?")
        place = _place(attributes, scheme)
        whole = f"{scheme}://{place}{target}{'?' if query else ''}{query}" if place and target[:1] == "/" else ""
    return whole.replace(" ", "%20")


def _place(attributes: Attributes, scheme: str) -> str:
    """Host and port, the port only where it is not the usual one."""
    if with_port := _first(attributes, "http.host"):
        return with_port
    host = _first(attributes, "server.address", "net.host.name", "net.peer.name")
    port = _first(attributes, "server.port", "net.host.port", "net.peer.port")
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"{host}:{port}" if host and port and port != _DEFAULT_PORTS.get(scheme) else host


def _headers(attributes: Attributes) -> Iterator[tuple[str, str]]:
    """Headers that were recorded; not those that curl sets by itself."""
    for key, value in attributes.items():
        name = key.removeprefix(_HEADER)
        if key.startswith(_HEADER) and _TOKEN.fullmatch(name) and name.lower() not in _OF_THE_CONNECTION:
            yield from ((name, present.value(item)) for item in (value if isinstance(value, list) else [value]))


def _first(attributes: Attributes, *keys: str) -> str:
    """The first of these attributes that says something, as text."""
    return next((present.value(attributes[key]) for key in keys if attributes.get(key) not in (None, "")), "")
