"""Addresses, tokens and what the greeting says; whole processes are in tests/journeys."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

import pytest

from minitrace.config import Config
from minitrace.errors import ConfigError
from minitrace.server import Listening, bind, serve, with_token
from minitrace.web.app import open_store
from tests.samples import span


def close(sockets: list[socket.socket]) -> list[tuple[str, int]]:
    addresses = [one.getsockname()[:2] for one in sockets]
    for one in sockets:
        one.close()
    return addresses


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_by_default_only_this_machine_is_listened_to_also_on_ipv6(host: str) -> None:
    addresses = close(bind(host, 0))
    port = addresses[0][1]
    assert addresses == [("127.0.0.1", port), *([("::1", port)] if has_ipv6() else [])]


def test_an_explicit_address_is_the_only_one() -> None:
    assert [address for address, _ in close(bind("127.0.0.2", 0))] == ["127.0.0.2"]


def test_a_port_is_free_again_at_once_after_the_server_stopped() -> None:
    first = close(bind("127.0.0.1", 0))
    assert close(bind("127.0.0.1", first[0][1])) == first


def test_a_second_server_on_the_port_fails() -> None:
    sockets = bind("127.0.0.1", 0)
    try:
        with pytest.raises(ConfigError, match="is taken"):
            bind("127.0.0.1", sockets[0].getsockname()[1])
    finally:
        close(sockets)


def test_beyond_loopback_a_token_is_made_up_unless_given_or_forbidden() -> None:
    made_up = with_token(Config(host="0.0.0.0")).token
    assert len(made_up) == 43  # 256 bits in base64
    assert with_token(Config(host="0.0.0.0")).token != made_up
    assert with_token(Config(host="0.0.0.0", token="mine")).token == "mine"
    assert with_token(Config(host="0.0.0.0", dangerously_no_auth=True)).token == ""
    assert with_token(Config()).token == ""


@pytest.mark.parametrize(
    ("is_new", "url"), [(False, "http://localhost:1"), (True, "http://localhost:1/?token=a%2Fb%20c")]
)
def test_the_address_to_open_carries_a_token_that_was_made_up(is_new: bool, url: str) -> None:
    assert Listening("http://localhost:1", "a/b c", Path("x"), is_token_new=is_new).ui_url == url


async def test_the_limits_of_the_settings_are_those_of_the_store(tmp_path: Path) -> None:
    async with await open_store(Config(max_spans=1000), tmp_path / "small.db") as store:
        for batch in range(12):
            await store.add([span(f"op {batch} {n}") for n in range(100)])
        await store.keep_within_limits()
        assert 900 < (await store.stats()).span_count <= 1000


def test_threads_take_turns_quickly_while_the_server_runs_and_as_before_after_it() -> None:
    before, seen = sys.getswitchinterval(), []

    def stop(_: Listening) -> None:
        seen.append(sys.getswitchinterval())
        signal.raise_signal(signal.SIGTERM)

    serve(Config(port=0, db=":memory:"), stop)
    assert seen == [pytest.approx(1e-4)]
    assert sys.getswitchinterval() == before
