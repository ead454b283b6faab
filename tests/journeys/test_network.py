"""Who can reach a real server: addresses, names, tokens."""

from __future__ import annotations

import ipaddress
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.running import Server
from tests.samples import TRACE

pytestmark = pytest.mark.journey

SPAN = {"traceId": TRACE.hex(), "spanId": "1" * 16, "name": "sent", "startTimeUnixNano": "1700000000000000000"}
EXPORT = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}).encode()
PATHS = ["/", "/search", f"/trace/{TRACE.hex()}", "/api/search", "/healthz", "/readyz", "/favicon.svg", "/nowhere"]


def raw(server: Server, request: str) -> str:
    """The first line of the answer to a request written by hand."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request.encode())
        return connection.makefile("rb").readline().decode().strip()


def listening_addresses(port: int) -> set[str]:
    """The addresses on which this machine listens on a port, from the kernel's own tables."""
    found: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _, hex_port = local.partition(":")
            if state == "0A" and int(hex_port, 16) == port:
                words = [bytes.fromhex(address[n : n + 8])[::-1] for n in range(0, len(address), 8)]
                found.add(str(ipaddress.ip_address(b"".join(words))))
    return found


@pytest.fixture
def open_server(tmp_path: Path) -> Iterator[Server]:
    """A server that listens to the network, with a token of its own making."""
    with Server(tmp_path / "open.db", "--host", "0.0.0.0", "--ingest-token", "only for sending") as running:
        yield running


def token_of(server: Server) -> str:
    return httpx.URL(server.ui_url).params["token"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc/net")
def test_by_default_only_loopback_is_listened_on(server: Server) -> None:
    assert listening_addresses(server.port) <= {"127.0.0.1", "::1"}
    assert "127.0.0.1" in listening_addresses(server.port)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK"),
        ("GET /healthz HTTP/1.1\r\nHost: [::1]:4318\r\n\r\n", "HTTP/1.1 200 OK"),
        ("GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 421 Misdirected Request"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK"),
        # in the absolute form the address counts, not the header
        ("GET http://localhost/healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 200 OK"),
        ("GET http://127.0.0.1:4318/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK"),
        ("GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 421 Misdirected Request"),
        ("GET http://localhost@evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 421 Misdirected Request"),
        ("GET http://localhost.evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 421 Misdirected Request"),
    ],
)  # fmt: skip
def test_the_name_by_which_it_is_called_must_be_known(server: Server, request_: str, answer: str) -> None:
    assert raw(server, request_) == answer


def test_without_the_token_nothing_is_answered(open_server: Server) -> None:
    for path in PATHS:
        assert httpx.get(open_server.url + path).status_code == 401, path
        assert httpx.get(open_server.url + path, headers={"authorization": "Bearer wrong"}).status_code == 401, path
    sent = httpx.post(open_server.url + "/v1/traces", content=EXPORT, headers={"content-type": "application/json"})
    assert (sent.status_code, sent.headers["www-authenticate"]) == (401, "Bearer")
    assert "OTEL_EXPORTER_OTLP_HEADERS" in sent.text


def test_with_the_token_everything_is(open_server: Server) -> None:
    headers = {"authorization": f"Bearer {token_of(open_server)}", "content-type": "application/json"}
    sent = httpx.post(open_server.url + "/v1/traces", content=EXPORT, headers=headers)
    found = httpx.get(open_server.url + f"/trace/{TRACE.hex()}", headers=headers)
    assert (sent.status_code, found.status_code) == (200, 200)


def test_the_ingest_token_sends_and_reads_nothing(open_server: Server) -> None:
    headers = {"authorization": "Bearer only for sending", "content-type": "application/json"}
    assert httpx.post(open_server.url + "/v1/traces", content=EXPORT, headers=headers).status_code == 200
    assert {httpx.get(open_server.url + path, headers=headers).status_code for path in PATHS} == {401}


def test_the_printed_link_opens_the_pages_for_a_browser(open_server: Server) -> None:
    with httpx.Client() as browser:
        first = browser.get(open_server.ui_url)
        assert (first.status_code, first.headers["location"]) == (303, "/")
        cookie = first.headers["set-cookie"]
        assert cookie.startswith(f"minitrace-{open_server.port}=")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        assert browser.get(open_server.url).status_code == 200


def test_the_token_is_in_no_log_no_file_and_no_page(open_server: Server) -> None:
    token = token_of(open_server)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    httpx.post(open_server.url + "/v1/traces", content=EXPORT, headers=headers)
    httpx.post(open_server.url + f"/v1/nothing?token={token}", content=EXPORT, headers=headers)
    pages = [httpx.get(open_server.url + path, headers=headers).text for path in PATHS]
    assert open_server.stop() == 0
    assert token not in "".join(pages)
    assert token not in open_server.stderr
    assert token.encode() not in open_server.path.read_bytes()


def test_a_token_may_also_be_given_for_this_machine_alone_and_is_not_printed(tmp_path: Path) -> None:
    with Server(
        tmp_path / "a.db", "--demo", "--backfill", "1", "--count", "0", env={"MINITRACE_TOKEN": "t0p-s3cret"}
    ) as running:
        assert "t0p-s3cret" not in running.greeting
        assert httpx.get(running.url + "/healthz").status_code == 401
        assert httpx.get(running.url + "/healthz", headers={"authorization": "Bearer t0p-s3cret"}).status_code == 200
