"""Host headers: only listed names are answered, before anything else runs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.errors import ConfigError
from minitrace.web.hosts import AllowedHosts, Authority, in_origin_form, read_authority
from tests.web.guarded import TELEMETRY, ask

OURS = [
    "localhost",
    "LOCALHOST",
    "localhost:4318",
    "localhost:1",
    "127.0.0.1",
    "127.0.0.1:4318",
    "[::1]",
    "[::1]:4318",
]
NOT_OURS = [
    "",
    " ",
    "evil.com",
    "127.0.0.1.evil.com",
    "localhost.evil.com",
    "evil.localhost",
    "evil.com@127.0.0.1",
    "127.0.0.1@evil.com",
    "2130706433",
    "127.1",
    "0x7f.0.0.1",
    "127.0.0.2",
    "0.0.0.0:4318",
    "[::]:4318",
    "[::ffff:127.0.0.1]",
    "127.0.0.1, evil.com",
    "127.0.0.1 evil.com",
    "localhost:4318:1",
    "localhost:abc",
    "localhost:",
    "localhost:-1",
    "localhost:٣".encode().decode("latin-1"),
    "localhost.",
    "localhost%00.evil.com",
    "localhost\x00",
    "localhost\n",
    "localhost/",
    "localhost#",
    "http://localhost",
    "::1",
    "[::1",
    "[::1]evil",
    "[::1]:4318:1",
    "[::1%25evil.com]",
    "[127.0.0.1]",
    "[localhost]",
]
PATHS = ["/", "/api/spans", TELEMETRY, "/events", "/static/app.css", "/not-there"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", OURS)
def test_our_own_names_reach_the_app(host: str, path: str) -> None:
    assert ask("GET", path, {"Host": host}).reached


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", NOT_OURS)
def test_any_other_host_is_refused_before_the_app(host: str, path: str) -> None:
    answer = ask("GET", path, {"Host": host})
    assert (answer.status, answer.reached) == (421, False)


@pytest.mark.parametrize("count", [0, 2])
def test_a_request_has_exactly_one_host(count: int) -> None:
    answer = ask("GET", "/", [("Host", "localhost")] * count)
    assert (answer.status, answer.reached) == (400, False)
    assert answer.text == f"expected one Host header, got {count}\n"


PIECES = ["localhost", "127.0.0.1", "[::1]", "evil.com", ":", "4318", ".", "@", ",", "[", "]", "%", " ", "\n", "\0"]


@given(st.lists(st.sampled_from(PIECES) | st.characters(max_codepoint=255), max_size=5).map("".join))
def test_no_host_outside_the_list_reaches_the_app(host: str) -> None:
    listed = re.fullmatch(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?", host, re.IGNORECASE)
    if ask("POST", TELEMETRY, {"Host": host}).reached:
        assert listed


def test_the_refusal_says_which_host_came_and_the_flag_that_would_do() -> None:
    answer = ask("POST", TELEMETRY, {"Host": "Host.Docker.Internal:4318"})
    assert answer.text == (
        'this minitrace does not answer to Host "Host.Docker.Internal:4318": if you trust that name, '
        "start it with --allow-host host.docker.internal\n"
    )
    assert answer["content-type"] == "text/plain; charset=utf-8"


def test_the_flag_takes_an_address_without_brackets() -> None:
    assert ask("GET", "/", {"Host": "[fd00::5]:4318"}).text.endswith("start it with --allow-host fd00::5\n")


@pytest.mark.parametrize("host", ["evil.com\x1b[31m\xe9", "a" * 5_000, "a b"])
def test_the_refusal_quotes_a_strange_host_short_and_printable(host: str) -> None:
    text = ask("GET", "/", {"Host": host}).text.removesuffix("\n")
    assert text.isascii()
    assert text.isprintable()
    assert text.endswith("--allow-host NAME")
    assert len(text) < 250


@pytest.mark.parametrize(
    ("named", "header"),
    [
        ("host.docker.internal", "HOST.docker.internal:4318"),
        ("Devbox", "devbox"),
        ("192.168.1.5", "192.168.1.5:4318"),
        ("fd00::5", "[fd00::5]:4318"),
        ("[FD00:0::5]", "[fd00::5]"),
    ],
)
def test_allow_host_adds_a_name_or_address(named: str, header: str) -> None:
    assert header not in AllowedHosts("127.0.0.1", [], has_token=False)
    assert header in AllowedHosts("127.0.0.1", [named], has_token=False)


def test_allow_host_adds_no_subdomains() -> None:
    assert "a.dev.test" not in AllowedHosts("127.0.0.1", ["dev.test"], has_token=True)


@pytest.mark.parametrize("named", ["", "*", "*.dev.test", "dev.test:4318", "http://dev.test", "dev.test/", "a b"])
def test_an_allow_host_that_could_never_match_is_an_error(named: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"--allow-host {named!r} is not a host name")):
        AllowedHosts("127.0.0.1", [named], has_token=False)


@pytest.mark.parametrize(
    ("bound", "header"),
    [
        ("192.168.1.5", "192.168.1.5:4318"),
        ("127.0.0.2", "127.0.0.2"),
        ("fd00:0::5", "[fd00::5]:4318"),
        ("fe80::1%eth0", "[fe80::1]"),
    ],
)
def test_the_bound_address_is_ours(bound: str, header: str) -> None:
    assert header in AllowedHosts(bound, [], has_token=False)


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", "[::]"])
def test_a_server_on_every_address_with_a_token_answers_to_addresses_but_not_to_names(bound: str) -> None:
    hosts = AllowedHosts(bound, [], has_token=True)
    assert "192.168.1.5:4318" in hosts
    assert "[fd00::5]:4318" in hosts
    assert "evil.com" not in hosts
    assert "2130706433" not in hosts
    assert "[127.0.0.1]" not in hosts
    assert "[fd00::5%25evil.com]" not in hosts


@pytest.mark.parametrize(("bound", "has_token"), [("0.0.0.0", False), ("::", False), ("127.0.0.1", True)])
def test_addresses_are_not_ours_without_a_token_or_on_one_address(bound: str, has_token: bool) -> None:
    hosts = AllowedHosts(bound, [], has_token=has_token)
    assert "192.168.1.5" not in hosts
    assert "0.0.0.0" not in hosts
    assert "[::]" not in hosts


def test_a_bound_name_is_not_answered_to_unless_it_is_allowed() -> None:
    assert "devbox" not in AllowedHosts("devbox", [], has_token=True)


def test_guard_knows_an_address_by_the_token_that_is_set() -> None:
    headers = {"Host": "192.168.1.5:4318", "Authorization": "Bearer T"}
    assert ask("GET", "/", headers, host="0.0.0.0", token="T").reached
    assert ask("GET", "/", headers, host="0.0.0.0").status == 421


@pytest.mark.parametrize(
    ("text", "authority"),
    [("LocalHost:80", Authority("localhost", 80)), ("[::1]", Authority("[::1]", None)), ("a:", None)],
)
def test_an_authority_is_a_host_and_maybe_a_port(text: str, authority: Authority | None) -> None:
    assert read_authority(text) == authority


@pytest.mark.parametrize(
    ("target", "header", "reached"),
    [
        ("http://localhost/healthz", "evil.example", True),
        ("HTTP://127.0.0.1:4318/healthz", "localhost", True),
        ("http://localhost", "localhost", True),
        ("https://[::1]:4318/a%20b?q=1", "localhost", True),
        ("http://evil.example/healthz", "localhost", False),
        ("http://localhost@evil.example/", "localhost", False),
        ("http://evil.example@localhost/", "localhost", False),
        ("http://localhost.evil.example/", "localhost", False),
        ("http://[::1/", "localhost", False),
        ("http:///healthz", "localhost", False),
    ],
)
def test_in_a_target_that_names_a_host_that_one_counts(target: str, header: str, reached: bool) -> None:
    answer = ask("GET", target, [("Host", header)])
    assert (answer.reached, answer.status) == (reached, 200 if reached else 421)


def test_a_target_that_names_a_host_is_that_path_for_the_app() -> None:
    scope = {
        "raw_path": b"http://localhost/a%20b",
        "path": "http://localhost/a b",
        "headers": [(b"host", b"x"), (b"a", b"b")],
    }
    found = in_origin_form(scope)
    assert (found["path"], found["raw_path"]) == ("/a b", b"/a%20b")
    assert found["headers"] == [(b"host", b"localhost"), (b"a", b"b")]
