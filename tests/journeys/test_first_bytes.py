"""What a connection begins with: HTTP/2, which gRPC speaks, or HTTP/1.1."""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from minitrace.otlp.encode import encode_export
from minitrace.otlp.http2 import PREFACE as HTTP2_PREFACE
from tests.journeys.asking import search
from tests.running import Program, Server
from tests.samples import span

pytestmark = pytest.mark.journey

Sender = Callable[[Server, bytes], bytes]

GRPC_APP = Path(__file__).parent / "apps" / "grpc_app.py"
# RFC 9113, 4.1: length in 3 bytes, type, flags, stream in 4 bytes
EMPTY_SETTINGS = bytes.fromhex("000000 04 00 00000000")
DATA_OF_NO_STREAM = bytes.fromhex("000000 00 00 00000000")  # which ends the connection
GOAWAY_PROTOCOL_ERROR = bytes.fromhex("000008 07 00 00000000 00000000 00000001")
SETTINGS = 4


def sent_at_once(server: Server, content: bytes) -> bytes:
    """All that comes back."""
    with socket.create_connection(("localhost", server.port), timeout=10) as connection:
        connection.sendall(content)
        return received(connection)


def sent_byte_by_byte(server: Server, content: bytes) -> bytes:
    """All that comes back when every byte is read alone.

    The server reads in one thread: once it has answered another connection, it has read this one's byte.
    """
    with (
        httpx.Client(base_url=server.url) as other,
        socket.create_connection(("localhost", server.port), timeout=10) as connection,
    ):
        for byte in content:
            connection.send(bytes([byte]))
            other.get("/healthz")
        return received(connection)


def received(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(4096), b""))


def export_of(name: str, *more: str, server: Server) -> bytes:
    """A request that exports one span, byte for byte."""
    body = encode_export([span(name)])
    head = [
        "POST /v1/traces HTTP/1.1",
        f"Host: localhost:{server.port}",
        "Content-Type: application/x-protobuf",
        f"Content-Length: {len(body)}",
        *more,
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def test_a_grpc_exporter_needs_nothing_but_the_endpoint(server: Server) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url}
    with Program(sys.executable, GRPC_APP, env=env) as program:
        assert program.wait() == 0
    assert program.stderr == server.stderr == ""
    assert [match["rootTraceName"] for match in search(server)] == ["arrived"]


@pytest.mark.parametrize("send", [sent_at_once, sent_byte_by_byte])
def test_http2_is_recognised_however_slowly_it_begins(server: Server, send: Sender) -> None:
    answer = send(server, HTTP2_PREFACE + EMPTY_SETTINGS + DATA_OF_NO_STREAM)
    assert answer[3] == SETTINGS
    assert answer.endswith(GOAWAY_PROTOCOL_ERROR)
    assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_a_request_that_comes_byte_by_byte_is_served(server: Server) -> None:
    answer = sent_byte_by_byte(server, export_of("slow", "Connection: close", server=server))  # P, as in PRI
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert [match["rootTraceName"] for match in search(server)] == ["slow"]


@pytest.mark.parametrize("send", [sent_at_once, sent_byte_by_byte])
def test_a_request_that_offers_http2_is_served_all_the_same(server: Server, send: Sender) -> None:
    # as Java's HttpClient does; with httptools the body would be lost: github.com/Kludex/uvicorn/issues/2722
    offer = ("Connection: close, Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
    answer = send(server, export_of("java", *offer, server=server))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert [match["rootTraceName"] for match in search(server)] == ["java"]
    assert server.stderr == ""


@pytest.mark.parametrize("sign", [b"(", b"%22", b"a", b"%FF"])
def test_a_query_of_a_million_characters_is_refused_with_a_reason(server: Server, sign: bytes) -> None:
    head = f"Host: localhost:{server.port}\r\nConnection: close\r\n\r\n".encode()
    answer = sent_at_once(server, b"GET /api/search?q=" + sign * 1_000_000 + b" HTTP/1.1\r\n" + head)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"the query is too long" in answer


def test_a_client_that_speaks_tls_is_told_of_on_the_receivers_page(server: Server) -> None:
    with socket.create_connection(("localhost", server.port), timeout=10) as connection, pytest.raises(OSError):
        ssl.create_default_context().wrap_socket(connection, server_hostname="localhost")
    (seen,) = (one for one in httpx.get(f"{server.url}/_/receiver.json").json()["requests"] if one["method"] == "TLS")
    assert "began with TLS" in seen["problem"]
    assert "insecure=True" in seen["cure"]
