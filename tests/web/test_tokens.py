"""The token: in a header, in a cookie, and once in the address."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote_plus, urljoin, urlsplit

import pytest

from minitrace.web.tokens import address_without_token
from tests.web.guarded import HOST, INGEST_TOKEN, TELEMETRY, TOKEN, ask

BOTH: dict[str, Any] = {"token": TOKEN, "ingest_token": INGEST_TOKEN}
HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.mark.parametrize("path", ["/", "/api/spans", TELEMETRY, "/static/app.css", "/not-there"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN} {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN.upper()}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer \xff"},
        {"Cookie": "minitrace-4318="},
        {"Cookie": f"minitrace-4319={TOKEN}"},
        {"Cookie": f"minitrace={TOKEN}"},
        {"Cookie": f"minitrace-4318={INGEST_TOKEN}"},
        {"Cookie": TOKEN},
    ],
)
def test_without_the_token_nothing_reaches_the_app(method: str, path: str, headers: dict[str, str]) -> None:
    answer = ask(method, path, headers, **BOTH)
    assert (answer.status, answer.reached) == (401, False)
    assert answer["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/", TELEMETRY])
@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"bearer  {TOKEN} "},
        {"Cookie": f"minitrace-4318={TOKEN}"},
        {"Cookie": f"a=b; minitrace-4318=stale; minitrace-4318={TOKEN}; c"},
    ],
)
def test_the_token_opens_everything(path: str, headers: dict[str, str]) -> None:
    assert ask("GET", path, headers, **BOTH).reached


def test_cookies_on_several_lines_are_read() -> None:
    lines = [("Host", HOST), ("Cookie", "a=b"), ("Cookie", f"minitrace-4318={TOKEN}")]
    assert ask("GET", "/", lines, **BOTH).reached


def test_the_ingest_token_opens_telemetry_paths_only() -> None:
    headers = {"Authorization": f"Bearer {INGEST_TOKEN}"}
    assert ask("POST", TELEMETRY, headers, **BOTH).reached
    assert ask("POST", TELEMETRY + "/", headers, **BOTH).reached
    assert ask("GET", "/", headers, **BOTH).status == 401
    assert ask("POST", "/api/spans", headers, **BOTH).status == 401
    assert ask("GET", f"/?token={INGEST_TOKEN}", **BOTH).status == 401


def test_an_ingest_token_that_is_not_set_is_not_the_empty_one() -> None:
    assert ask("POST", TELEMETRY, {"Authorization": "Bearer "}, token=TOKEN).status == 401


def test_two_authorizations_are_none() -> None:
    line = ("Authorization", f"Bearer {TOKEN}")
    assert ask("GET", "/", [("Host", HOST), line, line], **BOTH).status == 401


def test_without_a_token_set_none_is_asked_for() -> None:
    assert ask("GET", "/").reached
    assert ask("POST", TELEMETRY).reached
    assert ask("GET", "/?token=").reached


def test_a_good_host_is_asked_for_even_with_the_token() -> None:
    answer = ask("GET", "/", {"Host": "evil.com", "Authorization": f"Bearer {TOKEN}"}, **BOTH)
    assert answer.status == 421


class TestSignIn:
    def test_the_token_in_the_address_becomes_a_cookie(self) -> None:
        answer = ask("GET", f"/?token={TOKEN}", **BOTH)
        assert (answer.status, answer.reached, answer["location"]) == (303, False, "/")
        assert answer.all("set-cookie") == [
            f"minitrace-4318={TOKEN}; Max-Age=2592000; HttpOnly; SameSite=Strict; Path=/"
        ]
        assert answer["cache-control"] == "no-store"

    def test_the_cookie_is_secure_under_https(self) -> None:
        cookie = ask("GET", f"/?token={TOKEN}", scheme="https", **BOTH)["set-cookie"]
        assert cookie
        assert cookie.endswith("; Secure")

    def test_the_cookie_has_the_port_that_was_picked_at_the_start(self) -> None:
        port = 0

        def picked() -> int:
            return port

        port = 5000
        cookie = ask("GET", f"/?token={TOKEN}", port=picked, **BOTH)["set-cookie"]
        assert cookie
        assert cookie.startswith("minitrace-5000=")
        assert ask("GET", "/", {"Cookie": cookie.partition(";")[0]}, port=picked, **BOTH).reached

    def test_two_servers_on_one_host_have_two_cookies(self) -> None:
        cookie = ask("GET", f"/?token={TOKEN}", port=4319, **BOTH)["set-cookie"]
        assert cookie
        assert cookie.startswith("minitrace-4319=")

    @pytest.mark.parametrize("token", ["a;b, c", "ключ", 'q"\\', "a%20b", "a+b"])
    def test_any_token_survives_the_address_and_the_cookie(self, token: str) -> None:
        cookie = ask("GET", f"/?token={quote_plus(token)}", token=token)["set-cookie"]
        assert cookie
        assert cookie.isascii()
        assert ask("GET", "/", {"Cookie": cookie.partition(";")[0]}, token=token).reached

    @pytest.mark.parametrize(
        ("target", "location"),
        [
            ("/trace/ab?token=T", "/trace/ab"),
            ("/?q=%7B+.a+%3D+1+%7D&token=T&page=2", "/?q=%7B+.a+%3D+1+%7D&page=2"),
            ("/?token=T&q=caf%C3%A9", "/?q=caf%C3%A9"),
            ("/?token=wrong&q=1&token=T", "/?q=1"),
            ("/?%74oken=T&q=1", "/?q=1"),
            ("/?token=T&q={ .a }", "/?q=%7B%20.a%20%7D"),
            ("/?token=T&q=\r\nSet-Cookie: a=b", "/?q=%0D%0ASet-Cookie:%20a=b"),
            ("/?token=T&mytoken=1&a", "/?mytoken=1&a"),
            ("/a%2Fb?token=T", "/a%2Fb"),
        ],
    )
    def test_the_redirect_keeps_all_but_the_token(self, target: str, location: str) -> None:
        assert ask("GET", target, token="T")["location"] == location

    @pytest.mark.parametrize(
        ("path", "location"),
        [
            ("//evil.com", "/evil.com"),
            ("///evil.com", "/evil.com"),
            ("/\\evil.com", "/evil.com"),
            ("/\\/evil.com", "/evil.com"),
            ("\\\\evil.com", "/evil.com"),
            ("/\t/evil.com", "/%09/evil.com"),
            ("/%5Cevil.com", "/%5Cevil.com"),
            ("//evil.com/%2e%2e", "/evil.com/%2e%2e"),
        ],
    )
    def test_the_redirect_stays_here(self, path: str, location: str) -> None:
        assert ask("GET", f"{path}?token={TOKEN}", **BOTH)["location"] == location
        assert urlsplit(urljoin(f"http://{HOST}/", location)).netloc == HOST

    def test_the_redirect_does_without_a_raw_path(self) -> None:
        scope = {"path": "/trace/é", "raw_path": None, "query_string": b"token=T"}
        assert address_without_token(scope) == "/trace/%C3%A9"

    @pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS", "DELETE"])
    def test_only_a_get_signs_in(self, method: str) -> None:
        answer = ask(method, f"/?token={TOKEN}", **BOTH)
        assert (answer.status, answer["set-cookie"]) == (401, None)

    @pytest.mark.parametrize("path", ["/?token=wrong", "/?token=", "/?token", f"/?Token={TOKEN}", f"/?a={TOKEN}"])
    def test_a_wrong_token_does_not(self, path: str) -> None:
        answer = ask("GET", path, **BOTH)
        assert (answer.status, answer["set-cookie"]) == (401, None)

    def test_a_telemetry_path_signs_nobody_in(self) -> None:
        assert ask("GET", f"{TELEMETRY}?token={TOKEN}", **BOTH).status == 401

    def test_a_sign_in_strips_the_token_for_who_is_signed_in_already(self) -> None:
        answer = ask("GET", f"/?token={TOKEN}", {"Cookie": f"minitrace-4318={TOKEN}"}, **BOTH)
        assert (answer.status, answer["location"]) == (303, "/")


class TestUnauthorized:
    def test_a_program_is_told_where_the_token_goes(self) -> None:
        answer = ask("POST", TELEMETRY, HTML, **BOTH)
        assert answer["content-type"] == "text/plain; charset=utf-8"
        assert "Authorization: Bearer TOKEN" in answer.text
        assert 'OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer%20TOKEN"' in answer.text
        assert ask("GET", "/api/spans", {"Accept": "*/*"}, **BOTH).text == answer.text

    def test_a_browser_gets_a_form_that_the_policy_lets_work(self) -> None:
        answer = ask("GET", "/trace/<script>?q=<b>", HTML, **BOTH)
        page = Tags()
        page.feed(answer.text)
        assert answer["content-type"] == "text/html; charset=utf-8"
        assert answer["www-authenticate"] == "Bearer"
        assert ("form", {"method": "get"}) in page.tags
        assert "token" in [attributes.get("name") for _, attributes in page.tags]
        assert not {"script", "style", "b"} & {tag for tag, _ in page.tags}
        assert not {"style", "onclick", "action"} & {name for _, attributes in page.tags for name in attributes}

    @pytest.mark.parametrize("path", ["/", TELEMETRY])
    def test_no_answer_contains_the_token(self, path: str) -> None:
        answer = ask("GET", f"{path}?token={TOKEN}x", HTML | {"Authorization": f"Bearer {TOKEN}x"}, **BOTH)
        assert TOKEN not in answer.text
        assert TOKEN not in str(answer.lines)


class Tags(HTMLParser):
    """The start tags of a page with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
