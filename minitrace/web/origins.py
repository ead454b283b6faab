"""Which web pages a request may come from.

origin = scheme "://" host [":" digits]

Telemetry may come from pages on this machine and from those given with ``--allow-origin``. Everything
else is for our own pages. Browsers say in Sec-Fetch-Site how the page relates to us; "same-site" is
foreign too, because http://localhost:3000 is same-site to http://localhost:4318.

See https://fetch.spec.whatwg.org/#origin-header and https://w3c.github.io/webappsec-fetch-metadata/
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from starlette.datastructures import Headers

from minitrace.errors import ConfigError
from minitrace.web.headers import joined
from minitrace.web.hosts import HOST_PATTERN, LOCAL_HOSTS, PORT_PATTERN, read_authority

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
DEFAULT_PORTS = {"http": 80, "https": 443}
_ORIGIN = re.compile(f"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>{HOST_PATTERN})(?::(?P<port>{PORT_PATTERN}))?")


class Origin(NamedTuple):
    """A web origin, lower case, its default port filled in."""

    scheme: str
    host: str
    port: int | None


class AllowedOrigins:
    """The web pages that may send telemetry.

    Raises:
        ConfigError: what was given with ``--allow-origin`` is not an origin.
    """

    def __init__(self, named: Sequence[str]) -> None:
        self._named = {_read_named(text) for text in named}

    def allows(self, header: str, host: str) -> bool:
        """Whether the page of this Origin header may send telemetry to this Host."""
        origin = read_origin(header)
        if origin is None:
            return False
        return origin in self._named or _is_local(origin) or _is_own(origin, host)


def read_origin(text: str) -> Origin | None:
    """The origin in an Origin header; None for ``null``, a list, or a URL with a path."""
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        return None
    port = int(match["port"]) if match["port"] else DEFAULT_PORTS.get(match["scheme"])
    return Origin(match["scheme"], match["host"], port)


def from_own_page(headers: Headers) -> bool:
    """Whether the request comes from a page of ours, the address bar, or no browser at all.

    Where Sec-Fetch-Site is there, Origin has no say: under our ``Referrer-Policy: no-referrer``
    a form of our own is sent with ``Origin: null``.
    """
    site = joined(headers, "sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    header = joined(headers, "origin")
    if header is None:
        return True
    origin = read_origin(header)
    return origin is not None and _is_own(origin, headers["host"])


def may_open_page(method: str, headers: Headers) -> bool:
    """Whether a page or its data may be asked for like this; a link on a foreign page may be followed."""
    if from_own_page(headers):
        return True
    return (
        method in SAFE_METHODS
        and joined(headers, "sec-fetch-site") in ("cross-site", "same-site")
        and joined(headers, "sec-fetch-mode") == "navigate"
        and joined(headers, "sec-fetch-dest") == "document"
    )


def _is_local(origin: Origin) -> bool:
    if origin.scheme not in DEFAULT_PORTS:
        return False
    return origin.host in LOCAL_HOSTS or origin.host.endswith(".localhost")


def _is_own(origin: Origin, host: str) -> bool:
    """Whether the origin is the one we are reached under.

    Behind a proxy that speaks TLS the page is https and we see http, so only host and port are
    compared; a Host without a port has the default one of the page's scheme.
    """
    authority = read_authority(host)
    if authority is None or origin.scheme not in DEFAULT_PORTS:
        return False
    port = DEFAULT_PORTS[origin.scheme] if authority.port is None else authority.port
    return (authority.host, port) == (origin.host, origin.port)


def _read_named(text: str) -> Origin:
    origin = read_origin(text)
    if origin is None:
        raise ConfigError(
            f"--allow-origin {text!r} is not an origin: use scheme://host or scheme://host:port and no more"
        )
    return origin
