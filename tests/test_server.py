"""Addresses, tokens and what the greeting says; whole processes are in tests/journeys."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minitrace.config import Config
from minitrace.errors import ConfigError
from minitrace.server import Listening, serve, with_token
from minitrace.sockets import bind, bind_all
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


def bound_of(config: Config) -> tuple[tuple[str, ...], str]:
    """The addresses that the settings lead to, and the remark."""
    bound = bind_all(config)
    close(bound.sockets)
    return bound.urls, bound.remark


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else has."""
    sockets = bind("127.0.0.1", 0)
    yield sockets[0].getsockname()[1]
    close(sockets)


@pytest.fixture
def free() -> int:
    """A port that was free a moment ago."""
    return int(close(bind("127.0.0.1", 0))[0][1])


def test_each_further_port_is_listened_to(free: int) -> None:
    other = close(bind("127.0.0.1", 0))[0][1]
    (_, *more), remark = bound_of(Config(port=0, grpc_port=free, listen=[f"127.0.0.2:{other}", str(other)]))
    assert (more, remark) == (
        [f"http://127.0.0.2:{other}", f"http://localhost:{other}", f"http://localhost:{free}"],
        "",
    )


def test_a_port_that_is_named_twice_is_listened_to_once(free: int) -> None:
    other = str(close(bind("127.0.0.1", 0))[0][1])
    urls, _ = bound_of(Config(port=free, grpc_port=0, listen=[str(free), other, other]))
    assert urls == (f"http://localhost:{free}", f"http://localhost:{other}")


def test_a_grpc_port_that_is_taken_is_a_remark(taken: int, free: int) -> None:
    urls, remark = bound_of(Config(port=free, grpc_port=taken))
    assert urls == (f"http://localhost:{free}",)
    assert remark == f"port {taken} is taken: send gRPC to http://localhost:{free}, too"


def test_a_further_port_that_is_taken_ends_the_start_and_leaves_nothing_open(taken: int, free: int) -> None:
    with pytest.raises(ConfigError, match=f"^port {taken} is taken: stop the program that listens there, or leave out"):
        bind_all(Config(port=free, listen=[str(taken)]))
    assert close(bind("127.0.0.1", free))


@pytest.mark.parametrize(
    ("settings", "port"),
    [({}, 4317), ({"port": 0}, 0), ({"grpc_port": 0}, 0), ({"port": 0, "grpc_port": 5000}, 5000)],
)
def test_grpc_has_a_port_of_its_own_unless_any_free_port_is_asked_for(settings: dict[str, int], port: int) -> None:
    assert Config(**settings).wanted_grpc_port == port  # type: ignore[arg-type]


def test_a_further_address_that_is_not_ours_is_told_so() -> None:
    with pytest.raises(
        ConfigError, match=r"^cannot listen on 192.0.2.1 port 9411: .*\. Leave out --listen, or change it$"
    ):
        bind_all(Config(port=0, listen=["192.0.2.1:9411"]))


def test_a_port_that_is_there_already_is_not_bound_again(free: int) -> None:
    assert bound_of(Config(port=free, grpc_port=free)) == ((f"http://localhost:{free}",), "")


def test_a_further_address_beyond_loopback_needs_a_token() -> None:
    assert with_token(Config(listen=["0.0.0.0:9411"])).token
    assert not with_token(Config(listen=["9411", "[::1]:9411"])).token


@pytest.mark.parametrize("text", ["", "a", "localhost", "0", "65536", "9411/tcp", "::1"])
def test_a_listener_that_is_none_is_told_how_it_is_written(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a port: use 9411, "):
        Config(listen=[text])
