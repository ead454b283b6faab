"""Which Host headers this server answers to.

authority = host [":" digits]
host      = name | IPv4 | "[" IPv6 "]"

A web page can point a name of its own at 127.0.0.1 and then reads us as its own origin (DNS
rebinding). The Host header still says that name, so names are listed and nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple
from urllib.parse import unquote

from starlette.types import Scope

from minitrace.errors import ConfigError

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
HOST_PATTERN = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]"
PORT_PATTERN = r"[0-9]{1,5}"
_HOST = re.compile(HOST_PATTERN)
_AUTHORITY = re.compile(f"(?P<host>{HOST_PATTERN})(?::(?P<port>{PORT_PATTERN}))?")


class Authority(NamedTuple):
    """Where a request goes, lower case; the port is None where none was written."""

    host: str
    port: int | None


class AllowedHosts:
    """The Host headers to answer to; ``header in allowed`` asks.

    Args:
        bound: the address the server listens on.
        named: what was given with ``--allow-host``.
        has_token: whether requests carry a token. With one, a server that listens on every
            address answers to every address; never to every name, as rebinding needs a name.

    Raises:
        ConfigError: a name is not one that a Host header could carry.
    """

    def __init__(self, bound: str, named: Sequence[str], *, has_token: bool) -> None:
        address = read_address(bound)
        everywhere = address is not None and address.is_unspecified
        self._hosts = LOCAL_HOSTS | {_read_name(name) for name in named}
        if address and not everywhere:
            self._hosts |= {_as_host(address)}
        self._any_address = everywhere and has_token

    def __contains__(self, header: str) -> bool:
        authority = read_authority(header)
        if authority is None:
            return False
        return authority.host in self._hosts or (self._any_address and _is_address(authority.host))


def read_authority(text: str) -> Authority | None:
    """The host and port of a Host header, or None if it has anything more or less."""
    match = _AUTHORITY.fullmatch(text.lower())
    if match is None:
        return None
    return Authority(match["host"], int(match["port"]) if match["port"] else None)


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address in ``127.0.0.1``, ``::1``, ``[::1]`` or ``fe80::1%eth0``; None for a name."""
    try:
        # the zone is this machine's own affair: clients leave it out of the Host header
        return ip_address(text.removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return None


def in_origin_form(scope: Scope) -> Scope:
    """The scope of ``GET http://host/path`` as that of ``GET /path`` with that host in place of its Host header.

    In the absolute form the target's host counts, and the header is ignored (RFC 9112, 3.2.2).
    """
    target = scope.get("raw_path", b"").decode("latin-1")
    if not target.lower().startswith(("http://", "https://")):
        return scope
    authority, _, path = target.partition("://")[2].partition("/")
    headers = [(b"host", authority.encode("latin-1"))]
    headers += [header for header in scope["headers"] if header[0] != b"host"]
    return {**scope, "path": "/" + unquote(path), "raw_path": b"/" + path.encode("latin-1"), "headers": headers}


def _as_host(address: IPv4Address | IPv6Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)


def _is_address(host: str) -> bool:
    address = read_address(host)
    return address is not None and (address.version == 6) == host.startswith("[")


def _read_name(text: str) -> str:
    if address := read_address(text):
        return _as_host(address)
    if not _HOST.fullmatch(text.lower()):
        raise ConfigError(f"--allow-host {text!r} is not a host name: leave out scheme, port and wildcards")
    return text.lower()
