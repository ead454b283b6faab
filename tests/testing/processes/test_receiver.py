"""The receiver: who gets what it takes, what it takes, and what it says to the others."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Self
from urllib.parse import urlsplit

import pytest
from opentelemetry import trace

from minitrace.model import Resource
from minitrace.otlp import http2, messages
from minitrace.otlp.encode import encode_export
from minitrace.otlp.http import JSON
from minitrace.testing import Traces, capture, capturing
from minitrace.testing.processes import exchange, receiver
from tests.samples import span, trace_id
from tests.testing.sending import Answer, connect, export_json, send


@pytest.fixture
def traces() -> Iterator[Traces]:
    with capture() as opened:
        yield opened


def path_of(traces: Traces, signal: str = "traces") -> str:
    return f"/t/{traces.capture.token}/v1/{signal}"


def said(traces: Traces) -> list[tuple[int, str]]:
    """What the capture knows of the requests that were meant for it."""
    return [(request.status, request.message) for request in traces.capture.circumstances().requests]


class TestRouting:
    def test_the_token_in_the_path_names_the_capture(self, traces: Traces) -> None:
        with capture() as other:
            assert send(path_of(traces), encode_export([span("charge")])).status == 200
        assert traces.find().names == ["charge"]
        assert other.find().names == []

    def test_a_trace_that_a_test_handed_out_is_its_own(self, traces: Traces) -> None:
        own, _ = traces.capture.remote_parent()
        send("/v1/traces", encode_export([span("own", trace=own), span("foreign", trace=trace_id("foreign"))]))
        assert traces.find().names == ["own"]
        assert "foreign" in [one.name for one in capturing.unowned().snapshot().spans]

    def test_the_resource_can_name_the_capture(self, traces: Traces) -> None:
        resource = Resource({"minitrace.test.id": traces.capture.token})
        send("/v1/traces", encode_export([span("charge", resource=resource)]))
        assert traces.find().names == ["charge"]

    def test_the_path_wins_over_the_resource(self, traces: Traces) -> None:
        with capture() as other:
            resource = Resource({"minitrace.test.id": other.capture.token})
            send(path_of(traces), encode_export([span("charge", resource=resource)]))
            assert other.find().names == []
        assert traces.find().names == ["charge"]

    def test_spans_with_a_token_that_nobody_has_are_nobodys(self, traces: Traces) -> None:
        assert send("/t/nobody/v1/traces", encode_export([span("lost", trace=trace_id("lost"))])).status == 200
        assert traces.count() == 0
        assert traces.capture.circumstances().elsewhere == 1

    def test_a_capture_that_is_over_still_takes_what_comes_late(self) -> None:
        with capture() as over:
            pass
        send(path_of(over), encode_export([span("late")]))
        assert over.find().names == ["late"]

    def test_spans_are_there_when_their_request_is_answered(self, traces: Traces) -> None:
        connection = connect()
        for number in range(100):
            send(path_of(traces), encode_export([span(f"span {number}")]), connection=connection)
            assert traces.count() == number + 1
        connection.close()


def in_parts(content: bytes) -> Iterator[bytes]:
    """HTTP chunks of seven bytes."""
    for start in range(0, len(content), 7):
        part = content[start : start + 7]
        yield b"%x\r\n%s\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


class TestBodies:
    def test_json_is_taken_and_answered_in_json(self, traces: Traces) -> None:
        answer = send(path_of(traces), export_json(span("charge")), {"Content-Type": JSON})
        assert (answer.status, answer.headers["Content-Type"], answer.content) == (200, JSON, b"{}")
        assert traces.find().names == ["charge"]

    @pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
    @pytest.mark.parametrize("is_chunked", [False, True])
    def test_bodies_come_compressed_and_in_chunks(
        self, traces: Traces, encoding: str, pack: Callable[[bytes], bytes], is_chunked: bool
    ) -> None:
        content = pack(encode_export([span("charge"), span("email")]))
        headers = {"Content-Encoding": encoding} | ({"Transfer-Encoding": "chunked"} if is_chunked else {})
        connection = connect()
        for _ in range(2):  # what is left unread of the first would be taken for the second
            body = in_parts(content) if is_chunked else content
            assert send(path_of(traces), body, headers, connection=connection).status == 200
        connection.close()
        assert sorted(traces.find().names) == ["charge", "email"]

    def test_a_client_that_waits_for_leave_gets_it(self, traces: Traces) -> None:
        body = encode_export([span("charge")])
        head = f"POST {path_of(traces)} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        head += f"Content-Type: application/x-protobuf\r\nContent-Length: {len(body)}\r\n\r\n"
        with opened() as stream:
            stream.sendall(head.encode())
            assert stream.recv(100).startswith(b"HTTP/1.1 100 ")
            stream.sendall(body)
            assert stream.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")

    def test_a_broken_span_is_rejected_and_the_others_are_kept(self, traces: Traces) -> None:
        content = encode_export([replace(span("broken"), span_id=b"short"), span("whole")])
        response = messages.ExportTraceServiceResponse.FromString(send(path_of(traces), content).content)
        assert response.partial_success.rejected_spans == 1
        assert "span id 73686f7274 is not 8 bytes" in response.partial_success.error_message
        assert traces.find().names == ["whole"]

    @pytest.mark.parametrize("signal", ["logs", "metrics"])
    def test_other_signals_are_taken_and_thrown_away(self, traces: Traces, signal: str) -> None:
        answer = send(path_of(traces, signal))
        assert (answer.status, answer.content) == (200, b"")
        assert traces.count() == 0

    def test_a_client_that_is_killed_leaves_the_others_alone(self, traces: Traces) -> None:
        with opened() as stream:
            stream.sendall(f"POST {path_of(traces)} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1".encode())
        assert send(path_of(traces), encode_export([span("charge")])).status == 200


def opened() -> socket.socket:
    """A connection that sends what it is told to, byte by byte."""
    url = urlsplit(receiver.endpoint())
    return socket.create_connection((url.hostname or "", url.port or 0), timeout=10)


def asked(text: str) -> bytes:
    """All that comes back."""
    with opened() as stream:
        stream.sendall(text.encode())
        return b"".join(iter(lambda: stream.recv(4096), b""))


class TestRefusals:
    def refused(self, traces: Traces, answer: Answer) -> tuple[int, str]:
        """The answer, which the capture knows too."""
        assert said(traces)[-1] == (answer.status, answer.message)
        return answer.status, answer.message

    def test_a_wrong_content_type_names_the_protocol_to_set(self, traces: Traces) -> None:
        answer = send(path_of(traces), b"", {"Content-Type": "text/plain"})
        assert self.refused(traces, answer) == (
            415,
            "Content-Type text/plain is not OTLP: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf in the application",
        )

    def test_an_unknown_compression_is_named_with_those_that_are_known(self, traces: Traces) -> None:
        answer = send(path_of(traces), b"", {"Content-Encoding": "br"})
        assert self.refused(traces, answer) == (
            415,
            "unsupported Content-Encoding 'br': use gzip, deflate, zstd or none",
        )

    def test_a_body_that_is_no_request_is_refused(self, traces: Traces) -> None:
        status, message = self.refused(traces, send(path_of(traces), b"hello"))
        assert status == 400
        assert message.startswith("the body is not a protobuf ExportTraceServiceRequest")

    def test_the_endpoint_alone_is_no_place_for_spans(self, traces: Traces) -> None:
        answer = send(path_of(traces).removesuffix("/v1/traces"), encode_export([span("charge")]))
        assert self.refused(traces, answer) == (
            404,
            "spans go to /v1/traces below this address: OTLPSpanExporter(endpoint=…) needs all of it",
        )

    def test_a_path_that_is_there_twice_is_shown(self, traces: Traces) -> None:
        status, message = self.refused(traces, send(path_of(traces) + "/v1/traces"))
        assert status == 404
        assert message.startswith("nothing is at /v1/traces/v1/traces: spans go to /v1/traces")

    def test_spans_are_posted(self, traces: Traces) -> None:
        assert self.refused(traces, send(path_of(traces), method="GET")) == (
            405,
            "GET is not how exporters send: use POST",
        )

    @pytest.mark.parametrize(
        ("header", "status"), [({"Host": "evil.test"}, 421), ({"Origin": "https://evil.test"}, 403)]
    )
    def test_pages_of_other_sites_may_not_send(self, traces: Traces, header: dict[str, str], status: int) -> None:
        content = encode_export([span("charge")])
        assert self.refused(traces, send(path_of(traces), content, header))[0] == status
        assert traces.count() == 0

    def test_pages_of_this_machine_may_send(self, traces: Traces) -> None:
        origin = {"Origin": "http://localhost:3000"}
        asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        leave = send(path_of(traces), b"", asked, method="OPTIONS")
        assert (leave.status, leave.headers["Access-Control-Allow-Headers"]) == (204, "content-type")
        answer = send(path_of(traces), encode_export([span("charge")]), origin)
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, "http://localhost:3000")
        assert traces.find().names == ["charge"]

    def test_a_body_beyond_the_limit_is_refused_unread(self, traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exchange, "MAX_BODY_BYTES", 1000)
        answer = send(path_of(traces), b"x" * 1001)
        assert self.refused(traces, answer) == (413, "the body has more than 1000 bytes: send smaller batches")
        chunks = send(path_of(traces), in_parts(b"x" * 1001), {"Transfer-Encoding": "chunked"})
        assert chunks.status == 413

    def test_a_grpc_client_is_told_what_to_set(self, traces: Traces) -> None:
        assert asked(http2.PREFACE.decode()) == http2.refusal()
        assert said(traces) == [(0, http2.GRPC_HINT)]

    def test_a_client_that_begins_with_tls_is_noted(self, traces: Traces) -> None:
        assert asked("\x16\x03\x01") == b""
        assert said(traces) == [
            (0, "a client began with TLS: the address here begins with http://, not https://"),
        ]

    @pytest.mark.parametrize(
        ("text", "status"),
        [
            ("hello\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\n" + "x: y\r\n" * 20_000 + "\r\n", 431),
        ],
    )
    def test_what_is_no_request_is_refused(self, traces: Traces, text: str, status: int) -> None:
        assert asked(text).startswith(b"HTTP/1.1 %d " % status)

    def test_a_length_that_is_no_number_is_refused(self, traces: Traces) -> None:
        answer = asked(f"POST {path_of(traces)} HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert said(traces) == [(0, "a request was not HTTP: bad Content-Length")]

    def test_chunks_without_a_size_are_refused(self, traces: Traces) -> None:
        answer = asked(f"POST {path_of(traces)} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")
        [(status, message)] = said(traces)
        assert (status, message.startswith("the body is not HTTP: illegal chunk header")) == (400, True)


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("/v1/traces", ("", "/v1/traces")),
        ("/t/a1/v1/traces", ("a1", "/v1/traces")),
        ("/t/a1/v1/traces/?x=/t/b2", ("a1", "/v1/traces")),
        ("/t/a1", ("a1", "")),
        ("/t/", ("", "/t")),
        ("/", ("", "")),
        ("/tax", ("", "/tax")),
    ],
)
def test_a_path_may_begin_with_a_token(target: str, parts: tuple[str, str]) -> None:
    assert receiver.split(target) == parts


ENDS_WITH_OPEN_CONNECTION = """
import socket
from minitrace.testing import capture
from minitrace.testing.processes import receiver
with capture():
    host, port = receiver.endpoint().removeprefix("http://").split(":")
    silent, half = (socket.create_connection((host, int(port))) for _ in range(2))
    half.sendall(b"POST /v1/traces HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: 9\\r\\n\\r\\n1")
    silent.detach(), half.detach()  # they stay open to the end
"""


def test_the_end_of_the_process_waits_for_no_connection() -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "always", "-c", ENDS_WITH_OPEN_CONNECTION], capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stderr) == (0, "")


class Guarded(socket.socket):
    """What pytest-socket puts in the place of sockets."""

    __module__ = "pytest_socket"

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        raise RuntimeError("A test tried to use socket.socket.")


def test_where_sockets_are_forbidden_this_process_is_captured_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.setattr(socket, "socket", Guarded)
    with capture() as traces:
        trace.get_tracer("tests").start_span("charge").end()
        assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in os.environ
    assert traces.find().names == ["charge"]
