"""A server's life: told to stop, killed, or refused at its start. What was answered 200 is in the file."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from minitrace.store import tokens
from tests.journeys.senders import Gone, Senders
from tests.running import Program, Server

pytestmark = pytest.mark.journey

STOP_WITHIN_S = 5


class Posters(Senders):
    """Those over HTTP; `statuses` are what they were answered."""

    def __init__(self, url: str, prefix: str = "span") -> None:
        super().__init__(prefix)
        self.statuses: set[int] = set()
        self._url = url

    @contextmanager
    def connected(self) -> Iterator[Callable[[bytes], bool]]:
        with httpx.Client(headers={"content-type": "application/x-protobuf"}) as client:
            yield partial(self._post, client)

    def _post(self, client: httpx.Client, content: bytes) -> bool:
        try:
            response = client.post(f"{self._url}/v1/traces", content=content)
        except httpx.TransportError:
            raise Gone from None
        self.statuses.add(response.status_code)
        return response.status_code == 200


def stored(path: Path) -> set[str]:
    """The names of the spans in a file that no server has open, as far as the index knows them too."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found: set[str] = set()
        for (segment,) in connection.execute("SELECT id FROM segments").fetchall():
            connection.execute(f"INSERT INTO postings_{segment} (postings_{segment}) VALUES ('integrity-check')")
            query = f"""
                SELECT value
                FROM counts_{segment} JOIN dictionary ON id = ? + substr(term, 2)
                WHERE term >= 'e0' AND term < 'e:'
            """
            names = {name for (name,) in connection.execute(query, (tokens.first_id(segment, tokens.NAME),))}
            found |= names
        assert connection.execute("SELECT count(*) FROM spans").fetchone()[0] >= len(found)
        return found


def files_of(path: Path) -> set[str]:
    """The database file and what lies beside it; not the lock, which means nothing when nobody holds it."""
    return {file.name for file in path.parent.glob(f"{path.name}*")} - {f"{path.name}.lock"}


@contextmanager
def refused(*arguments: str) -> Iterator[Program]:
    """A server that will not start, once it has ended."""
    with Program(sys.executable, "-m", "minitrace", *arguments) as program:
        program.wait()
        yield program


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_while_spans_arrive_it_keeps_all_it_acknowledged(server: Server, number: signal.Signals) -> None:
    with Posters(server.url) as senders:
        assert server.stop(number, STOP_WITHIN_S) == 0
    assert senders.statuses <= {200, 503}
    assert files_of(server.path) == {"traces.db"}
    assert senders.acknowledged <= stored(server.path)
    assert server.stderr == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_while_a_page_listens_it_ends_that_stream_well(server: Server, number: signal.Signals) -> None:
    with httpx.stream("GET", f"{server.url}/_/welcome/stream") as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("data: ")
        assert server.stop(number, STOP_WITHIN_S) == 0
        list(lines)  # up to its proper end: a connection that is cut raises
    assert files_of(server.path) == {"traces.db"}
    assert server.stderr == ""


def test_told_twice_it_does_not_wait_for_a_request_that_never_ends(server: Server) -> None:
    head = ["POST /v1/traces HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Content-Length: 1000"]
    with socket.create_connection(("localhost", server.port), timeout=10) as connection:
        connection.sendall("\r\n".join([*head, "Expect: 100-continue", "", ""]).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")  # it waits for the body now
        os.kill(server.pid, signal.SIGINT)
        assert server.stop(signal.SIGTERM, timeout_s=3) == 0  # the time for its end would be 4 s
    assert "Traceback" not in server.stderr
    assert files_of(server.path) == {"traces.db"}


def survives_being_killed(path: Path, rounds: int) -> None:
    acknowledged: set[str] = set()
    for number in range(rounds):
        with Server(path) as server, Posters(server.url, f"round {number}") as senders:
            server.stop(signal.SIGKILL)
        acknowledged |= senders.acknowledged
        with Server(path) as server:
            assert server.stop() == 0
        assert acknowledged <= stored(path)


def test_killed_while_spans_arrive_it_keeps_all_it_acknowledged(tmp_path: Path) -> None:
    survives_being_killed(tmp_path / "traces.db", rounds=3)


@pytest.mark.soak
def test_killed_again_and_again_it_keeps_all_it_acknowledged(tmp_path: Path) -> None:
    survives_being_killed(tmp_path / "traces.db", rounds=100)


def test_a_taken_port_is_one_sentence(server: Server, tmp_path: Path) -> None:
    with refused("--port", str(server.port), "--db", str(tmp_path / "other.db")) as program:
        assert program.exit_code == 2
        assert program.stderr.startswith(f"minitrace: port {server.port} is taken")
        assert program.stderr.count("\n") == 1
    assert not (tmp_path / "other.db").exists()


def test_a_second_server_on_a_file_is_told_which_process_has_it(server: Server) -> None:
    with refused("--port", "0", "--db", str(server.path)) as program:
        assert program.exit_code == 4
        assert program.stderr == (
            f"minitrace: another minitrace (process {server.pid}) is using {server.path}. "
            "Stop it, or start with another --db\n"
        )
    assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_in_memory_leaves_no_file_behind(tmp_path: Path) -> None:
    folders = {"TMPDIR": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    with Server(":memory:", env=folders) as server, Posters(server.url):
        assert server.path.is_relative_to(tmp_path)
        assert server.path.exists()
        assert server.stop() == 0
    assert list(tmp_path.iterdir()) == []
