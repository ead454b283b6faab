"""gRPC by real clients: every call that was answered OK is in the file, whatever becomes of the server."""

from __future__ import annotations

import gzip
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import grpc
import httpx
import pytest

from minitrace.otlp.encode import encode_export
from tests.journeys.asking import search
from tests.journeys.senders import Gone, Senders
from tests.journeys.test_lifetime import STOP_WITHIN_S, files_of, stored
from tests.running import Program, Server
from tests.samples import span
from tests.web.calling import LOGS, METRICS, TRACES

pytestmark = pytest.mark.journey

APP = Path(__file__).parent / "apps" / "grpc_app.py"


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    """A channel to the server."""
    with grpc.insecure_channel(f"localhost:{server.port}") as opened:
        yield opened


def export(channel: grpc.Channel, message: bytes, path: str = TRACES, **settings: object) -> bytes:
    """Make one call. Raises RpcError."""
    answer: bytes = channel.unary_unary(path)(message, timeout=30, **settings)
    return answer


class Callers(Senders):
    """gRPC's; `codes` are those of the calls that failed."""

    def __init__(self, port: int, prefix: str = "span") -> None:
        super().__init__(prefix)
        self.codes: set[grpc.StatusCode] = set()
        self._target = f"localhost:{port}"

    @contextmanager
    def connected(self) -> Iterator[Callable[[bytes], bool]]:
        with grpc.insecure_channel(self._target) as channel:
            yield partial(self._call, channel)

    def _call(self, channel: grpc.Channel, content: bytes) -> bool:
        try:
            export(channel, content)
        except grpc.RpcError as error:
            self.codes.add(error.code())
            raise Gone from None
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_while_calls_come_it_keeps_all_it_acknowledged(server: Server, number: signal.Signals) -> None:
    with Callers(server.port) as senders:
        assert server.stop(number, STOP_WITHIN_S) == 0
    assert senders.codes == {grpc.StatusCode.UNAVAILABLE}  # which exporters try again
    assert files_of(server.path) == {"traces.db"}
    assert senders.acknowledged <= stored(server.path)
    assert server.stderr == ""


def test_killed_while_calls_come_it_keeps_all_it_acknowledged(tmp_path: Path) -> None:
    path, acknowledged = tmp_path / "traces.db", set[str]()
    for number in range(3):
        with Server(path) as server, Callers(server.port, f"round {number}") as senders:
            server.stop(signal.SIGKILL)
        acknowledged |= senders.acknowledged
        with Server(path) as server:
            assert server.stop() == 0
        assert acknowledged <= stored(path)


def test_many_calls_at_once_on_one_connection_lose_nothing(server: Server, channel: grpc.Channel) -> None:
    method = channel.unary_unary(TRACES)
    bodies = [encode_export([span(f"{n} {m}", trace=f"{n}") for m in range(20)]) for n in range(400)]
    calls = [method.future(body, timeout=60) for body in bodies]
    assert {call.result() for call in calls} == {b""}
    assert httpx.get(f"{server.url}/_/receiver.json").json()["requests"][0]["spans"] == 8_000


def test_a_message_of_many_frames_is_taken_packed_or_not(server: Server, channel: grpc.Channel) -> None:
    body = encode_export([span(f"large {n}", attributes={"text": f"{n:0100000}"}) for n in range(300)])
    assert len(body) > 30_000_000
    assert export(channel, body) == b""
    assert export(channel, body, compression=grpc.Compression.Gzip) == b""
    assert len(gzip.compress(body)) < 1_000_000
    packed, plain = httpx.get(f"{server.url}/_/receiver.json").json()["requests"]
    assert (plain["encoding"], plain["spans"], plain["duplicates"]) == ("", 300, 0)
    assert (packed["encoding"], packed["spans"], packed["duplicates"]) == ("gzip", 0, 300)


def test_logs_and_metrics_are_taken(server: Server, channel: grpc.Channel) -> None:
    assert export(channel, b"", LOGS) == export(channel, b"", METRICS) == b""


def test_an_exporter_with_a_token_in_its_headers_is_let_in(tmp_path: Path) -> None:
    with Server(tmp_path / "traces.db", "--token", "s3cret") as server:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20s3cret"}
        with Program(sys.executable, APP, env=env) as program:
            assert program.wait() == 0
        env["OTEL_EXPORTER_OTLP_HEADERS"] = "Authorization=Bearer%20wrong"
        with Program(sys.executable, APP, env=env) as refused:
            assert refused.wait() == 0
        found = httpx.get(f"{server.url}/api/search", headers={"Authorization": "Bearer s3cret"}).json()["traces"]
        assert [match["rootTraceName"] for match in found] == ["arrived"]
    assert program.stderr == ""
    assert "UNAUTHENTICATED" in refused.stderr


def test_an_exporter_that_packs_is_understood(server: Server) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
    with Program(sys.executable, APP, env=env) as program:
        assert program.wait() == 0
    assert [match["rootTraceName"] for match in search(server)] == ["arrived"]


def test_the_port_of_grpc_takes_it_too(tmp_path: Path, free_port: int) -> None:
    with Server(tmp_path / "traces.db", "--grpc-port", str(free_port)) as server:
        assert f"also at   http://localhost:{free_port}" in server.greeting
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://localhost:{free_port}"}
        with Program(sys.executable, APP, env=env) as program:
            assert program.wait() == 0
        assert [match["rootTraceName"] for match in search(server)] == ["arrived"]


def test_pages_are_shown_over_http_2_as_well(server: Server) -> None:
    curl = ("curl", "--silent", "--show-error", "--http2-prior-knowledge", "--write-out", "\nHTTP/%{http_version}\n")
    with Program(*curl, f"{server.url}/search") as program:
        assert program.read_until("HTTP/")[-1] == "HTTP/2"
        assert program.wait() == 0


@pytest.fixture
def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
