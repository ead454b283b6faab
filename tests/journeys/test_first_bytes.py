"""What a connection begins with: HTTP/2, which gRPC speaks, gets told what to do; HTTP/1.1 is served."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from minitrace.otlp.encode import encode_export
from minitrace.server import GRPC_HINT, HTTP2_PREFACE
from tests.journeys.asking import arrivals, search
from tests.running import Program, Server
from tests.samples import span

pytestmark = pytest.mark.journey

Sender = Callable[[Server, bytes], bytes]

GRPC_APP = Path(__file__).parent / "apps" / "grpc_app.py"
# RFC 9113, 4.1: length in 3 bytes, type, flags, stream in 4 bytes
EMPTY_SETTINGS = bytes.fromhex("000000 04 00 00000000")
GOAWAY_HTTP_1_1_REQUIRED = bytes.fromhex(f"{8 + len(GRPC_HINT):06x} 07 00 00000000 00000000 0000000d")


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


def test_a_grpc_exporter_is_told_what_to_set_and_so_is_who_started_minitrace(server: Server) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with Program(sys.executable, GRPC_APP, env=env) as program:
        assert program.wait() == 0
    assert "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf in the application" in program.stderr
    assert server.stderr == f"WARNING {GRPC_HINT}\n"  # once, though it tries again and again
    assert GRPC_HINT in arrivals(server)
    assert search(server) == []


@pytest.mark.parametrize("send", [sent_at_once, sent_byte_by_byte])
def test_http2_is_refused_in_its_own_words_however_slowly_it_begins(server: Server, send: Sender) -> None:
    assert send(server, HTTP2_PREFACE) == EMPTY_SETTINGS + GOAWAY_HTTP_1_1_REQUIRED + GRPC_HINT.encode()
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
