"""The settings to sockets that listen: ``--port``, ``--grpc-port`` and each ``--listen``, all of them alike."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from minitrace.config import Config
from minitrace.errors import ConfigError


@dataclass(frozen=True)
class Bound:
    """Sockets that listen and their addresses, that of ``--port`` first; and what to know about them."""

    sockets: list[socket.socket]
    urls: tuple[str, ...]
    remark: str = ""


def bind_all(config: Config) -> Bound:
    """Listen wherever the settings say.

    gRPC's port is no more than a convenience, and often a Collector's: if it is taken, that is a remark.

    Raises:
        ConfigError: another port is taken, or an address is not ours; says what to do.
    """
    sockets = bind(config.host, config.port)
    urls = [_url(config.host, sockets[0].getsockname()[1])]
    try:
        for host, port in dict.fromkeys(config.listeners):
            if (host, port) != (config.host, config.port):
                sockets += _bind_further(host, port)
                urls.append(_url(host, port))
    except ConfigError:
        for opened in sockets:
            opened.close()
        raise
    grpc_port = config.wanted_grpc_port
    if not grpc_port or (config.host, grpc_port) in ((config.host, config.port), *config.listeners):
        return Bound(sockets, tuple(urls))
    try:
        sockets += _bind(config.host, grpc_port)
    except OSError:
        return Bound(sockets, tuple(urls), f"port {grpc_port} is taken: send gRPC to {urls[0]}, too")
    return Bound(sockets, (*urls, _url(config.host, grpc_port)))


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on an address; for 127.0.0.1 also on ::1, as "localhost" may mean either.

    Raises:
        ConfigError: the port is taken, or the address is not ours; says what to do.
    """
    try:
        return _bind(host, port)
    except OSError as error:
        raise ConfigError(_bind_problem(host, port, error)) from None


def _bind(host: str, port: int) -> list[socket.socket]:
    host = "127.0.0.1" if host.lower() == "localhost" else host
    first = _listen(host, port)
    if host != "127.0.0.1":
        return [first]
    try:
        return [first, _listen("::1", first.getsockname()[1])]
    except OSError:  # no IPv6 on this machine, or the port is somebody else's there
        return [first]


def _bind_further(host: str, port: int) -> list[socket.socket]:
    try:
        return _bind(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            problem = f"port {port} is taken: stop the program that listens there, or leave out --listen"
        else:
            problem = f"cannot listen on {host} port {port}: {error.strerror}. Leave out --listen, or change it"
        raise ConfigError(problem) from None


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


def _url(host: str, port: int) -> str:
    name = "localhost" if host in ("127.0.0.1", "0.0.0.0", "::", "::1") else host  # noqa: S104 (a comparison)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
