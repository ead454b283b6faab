"""`minitrace wait` and `minitrace tail`: traces as they come, to a server and to a file."""

from __future__ import annotations

import itertools
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minitrace.model import Span
from tests.cli.conftest import Run, send
from tests.running import Program, Server, until
from tests.samples import span, trace_id


def now(name: str) -> Span:
    """A root that began a moment ago."""
    return span(name, trace=name, start_ns=time.time_ns(), end_ns=time.time_ns() + 1_500_000)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A server that nothing was sent to yet."""
    with Server(tmp_path / "own.db") as running:
        yield running


@pytest.fixture(params=["server", "file"])
def place(request: pytest.FixtureRequest, own: Server) -> list[str]:
    """The server, or the file that it has open."""
    return ["--server", own.url] if request.param == "server" else ["--db", str(own.path)]


def minitrace(*arguments: str) -> Program:
    return Program(sys.executable, "-m", "minitrace", *arguments)


def test_wait_ends_as_soon_as_a_trace_matches(own: Server, place: list[str]) -> None:
    with minitrace("wait", "{ name = `b` }", "--json", *place) as wait:
        numbers = itertools.count()

        def has_seen_it() -> bool:  # spans are sent until it has begun; when they say that they were does not count
            send(own, [now("a"), span("b", id=f"{next(numbers)}")])
            return wait.exit_code is not None

        until(has_seen_it)
        assert json.loads(wait.read_until("{")[0])["rootTraceName"] == "b"
        assert wait.wait() == 0


def test_tail_tells_a_trace_once_and_ends_with_ctrl_c(own: Server, place: list[str]) -> None:
    send(own, [now("before")])
    with minitrace("tail", "{ }", "--since", "1m", "--json", *place) as tail:
        assert json.loads(tail.read_until("{")[0])["rootTraceName"] == "before"
        send(own, [now("other")])
        send(own, [span("child", "other", trace="other", start_ns=time.time_ns(), end_ns=time.time_ns() + 1)])
        assert json.loads(tail.read_until("{")[0])["rootTraceName"] == "other"
        send(own, [now("last")])
        assert json.loads(tail.read_until("{")[0])["rootTraceName"] == "last"
        assert tail.stop(signal.SIGINT) == 130


def test_wait_says_what_came_instead(run: Run, own: Server) -> None:
    send(own, [now("GET /cart")])
    code, out, err = run("wait", "{ name = `refund` }", "--since", "1m", "--timeout", "0.1", "--server", own.url)
    assert (code, out) == (1, "")
    first, head, row = err.splitlines()
    assert first == "minitrace: no trace matched within 0.1 s; the newest that came:"
    assert head.split()[-1] == "ROOT"
    assert row.endswith(f"{trace_id('GET /cart').hex()}  shop: GET /cart")


def test_wait_does_not_count_what_was_there_before(run: Run, own: Server) -> None:
    send(own, [span("old", trace="old", start_ns=time.time_ns() - 10**9, end_ns=time.time_ns() - 9 * 10**8)])
    code, _, err = run("wait", "--timeout", "0.1", "--server", own.url)
    assert code == 1
    assert err == (
        "minitrace: no trace matched within 0.1 s, and no other came; --since 1m counts those that came before\n"
    )
    assert run("wait", "--since", "1m", "--server", own.url)[0] == 0
