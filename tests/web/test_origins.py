"""Which web pages may send telemetry, and which may ask for ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.errors import ConfigError
from minitrace.web.origins import AllowedOrigins, Origin, read_origin
from tests.web.guarded import HOST, TELEMETRY, TOKEN, ask, says

LOCAL_ORIGINS = [
    "http://localhost",
    "http://localhost:3000",
    "https://localhost:3000",
    "http://127.0.0.1:5173",
    "http://[::1]:5173",
    "https://[::1]:5173",
    "http://app.localhost:3000",
    "https://a.b.localhost",
]
FOREIGN_ORIGINS = [
    "",
    "null",
    "evil.com",
    "https://evil.com",
    "http://evil.com:4318",
    "http://localhost.evil.com",
    "http://evillocalhost",
    "http://.localhost",
    "http://a..localhost",
    "http://127.0.0.1.nip.io",
    "http://127.0.0.2",
    "http://192.168.1.5:3000",
    "http://0.0.0.0:3000",
    "http://[::]:3000",
    "http://localhost:3000/path",
    "http://localhost:3000/",
    "http://localhost:3000?",
    "http://localhost:3000#",
    "http://user@localhost:3000",
    "http://localhost@evil.com",
    "http://localhost:abc",
    "http://localhost:",
    "http://localhost.",
    "http://localhost\n",
    "http:/localhost",
    "//localhost",
    "localhost:3000",
    "file://",
    "file://localhost",
    "chrome-extension://localhost",
    "http://localhost:3000, http://evil.com",
    "http://localhost:3000 http://evil.com",
    "http://[::1",
    "http://[::1]evil",
]
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-api-key"}
LINK = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
UNSAFE = ["POST", "PUT", "PATCH", "DELETE", "PURGE", "FROBNICATE", "get"]


class TestTelemetry:
    @pytest.mark.parametrize("origin", LOCAL_ORIGINS)
    def test_a_local_page_may_send_and_read_the_answer(self, origin: str) -> None:
        answer = ask("POST", TELEMETRY, {"Origin": origin, "Sec-Fetch-Site": "same-site"})
        assert answer.reached
        assert answer.shared == {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": "Retry-After",
        }
        assert answer["vary"] == "Origin"

    @pytest.mark.parametrize("method", ["POST", "OPTIONS", "GET", "PUT"])
    @pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
    def test_a_foreign_page_may_not(self, origin: str, method: str) -> None:
        answer = ask(method, TELEMETRY, {"Origin": origin})
        assert (answer.status, answer.reached, answer.shared) == (403, False, {})

    @pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
    def test_a_preflight_of_a_foreign_page_is_refused(self, origin: str) -> None:
        answer = ask("OPTIONS", TELEMETRY, {"Origin": origin} | PREFLIGHT)
        assert (answer.status, answer.reached, answer.shared) == (403, False, {})

    def test_a_foreign_origin_is_refused_whatever_sec_fetch_site_says(self) -> None:
        answer = ask("POST", TELEMETRY, {"Origin": "https://evil.com", "Sec-Fetch-Site": "same-origin"})
        assert answer.status == 403

    def test_two_origins_are_none(self) -> None:
        origin = ("Origin", "http://localhost:3000")
        answer = ask("POST", TELEMETRY, [("Host", HOST), origin, origin])
        assert (answer.status, answer.reached) == (403, False)

    def test_the_refusal_says_which_origin_came_and_the_flag_that_would_do(self) -> None:
        answer = ask("POST", TELEMETRY, {"Origin": "https://app.test:3000"})
        assert answer.text == (
            'this minitrace takes no telemetry from pages of Origin "https://app.test:3000": '
            "if you trust them, start it with --allow-origin https://app.test:3000\n"
        )

    @pytest.mark.parametrize("origin", ["null", "https://evil.com/\x1b\xe9", "https://" + "a" * 5_000])
    def test_the_refusal_quotes_a_strange_origin_short_and_printable(self, origin: str) -> None:
        text = ask("POST", TELEMETRY, {"Origin": origin}).text.removesuffix("\n")
        assert text.isascii()
        assert text.isprintable()
        assert text.endswith("--allow-origin ORIGIN")
        assert len(text) < 250

    @pytest.mark.parametrize("site", [None, "same-origin", "none"])
    def test_a_program_sends_no_origin(self, site: str | None) -> None:
        answer = ask("POST", TELEMETRY, {"Sec-Fetch-Site": site} if site else {})
        assert answer.reached
        assert (answer.shared, answer["vary"]) == ({}, None)

    @pytest.mark.parametrize("site", ["cross-site", "same-site", "", "none, none", "nonsense"])
    def test_a_foreign_page_without_an_origin_may_not(self, site: str) -> None:
        answer = ask("POST", TELEMETRY, {"Sec-Fetch-Site": site})
        assert (answer.status, answer.reached) == (403, False)

    def test_a_link_to_a_telemetry_path_is_not_followed(self) -> None:
        assert ask("GET", TELEMETRY, {"Sec-Fetch-Site": "cross-site"} | LINK).status == 403

    def test_a_page_of_our_own_may_send(self) -> None:
        answer = ask("POST", TELEMETRY, {"Host": "devbox:4318", "Origin": "http://devbox:4318"}, allow_host=["devbox"])
        assert answer.reached

    @pytest.mark.parametrize("origin", ["http://devbox:3000", "http://devbox", "ftp://devbox:4318"])
    def test_another_port_or_scheme_of_our_name_is_foreign(self, origin: str) -> None:
        answer = ask("POST", TELEMETRY, {"Host": "devbox:4318", "Origin": origin}, allow_host=["devbox"])
        assert answer.status == 403

    @pytest.mark.parametrize("status", [200, 400, 413, 415, 500, 503])
    def test_a_local_page_may_read_errors(self, status: int) -> None:
        app = says(status, [("Vary", "Accept-Encoding"), ("Retry-After", "1")])
        answer = ask("POST", TELEMETRY, {"Origin": "http://localhost:3000"}, app=app)
        assert answer.all("access-control-allow-origin") == ["http://localhost:3000"]
        assert answer["vary"] == "Accept-Encoding, Origin"
        assert answer["retry-after"] == "1"

    def test_a_local_page_may_read_that_the_token_is_missing(self) -> None:
        answer = ask("POST", TELEMETRY, {"Origin": "http://localhost:3000"}, token=TOKEN)
        assert (answer.status, answer["access-control-allow-origin"]) == (401, "http://localhost:3000")

    def test_a_wrong_host_is_refused_before_its_origin_is_looked_at(self) -> None:
        headers = {"Host": "evil.test:4318", "Origin": "http://evil.test:4318"}
        for extra in ({}, PREFLIGHT):
            answer = ask("OPTIONS", TELEMETRY, headers | extra)
            assert (answer.status, answer.reached, answer.shared) == (421, False, {})


class TestPreflight:
    def test_it_is_answered_without_the_app_and_without_credentials(self) -> None:
        answer = ask("OPTIONS", TELEMETRY, {"Origin": "http://localhost:3000"} | PREFLIGHT)
        assert (answer.status, answer.text, answer.reached) == (204, "", False)
        assert answer.shared == {
            "access-control-allow-origin": "http://localhost:3000",
            "access-control-allow-methods": "POST, OPTIONS",
            "access-control-allow-headers": "content-type, x-api-key",
            "access-control-max-age": "7200",
        }
        assert answer["vary"] == "Origin"

    def test_it_needs_no_token(self) -> None:
        answer = ask("OPTIONS", TELEMETRY, {"Origin": "http://localhost:3000"} | PREFLIGHT, token=TOKEN)
        assert answer.status == 204

    def test_only_header_names_are_echoed(self) -> None:
        asked = {"Access-Control-Request-Headers": "content-type, x\r\nset-cookie: a=b, é, , traceparent"}
        answer = ask("OPTIONS", TELEMETRY, {"Origin": "http://localhost"} | PREFLIGHT | asked)
        assert answer["access-control-allow-headers"] == "content-type, traceparent"

    @pytest.mark.parametrize("asked", [{}, {"Access-Control-Request-Headers": "x y"}])
    def test_without_header_names_none_are_allowed(self, asked: dict[str, str]) -> None:
        headers = {"Origin": "http://localhost", "Access-Control-Request-Method": "POST"} | asked
        answer = ask("OPTIONS", TELEMETRY, headers)
        assert answer.status == 204
        assert "access-control-allow-headers" not in answer.shared

    @pytest.mark.parametrize(
        ("method", "headers"),
        [
            ("OPTIONS", {"Access-Control-Request-Method": "POST"}),
            ("OPTIONS", {"Origin": "http://localhost"}),
            ("POST", {"Origin": "http://localhost", "Access-Control-Request-Method": "POST"}),
        ],
    )
    def test_what_only_looks_like_one_goes_on_to_the_token(self, method: str, headers: dict[str, str]) -> None:
        assert ask(method, TELEMETRY, headers, token=TOKEN).status == 401
        assert ask(method, TELEMETRY, headers).reached

    def test_there_is_none_for_pages(self) -> None:
        app = says(lines=[("Access-Control-Allow-Origin", "*")])
        headers = {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"} | PREFLIGHT
        answer = ask("OPTIONS", "/", headers, app=app)
        assert (answer.status, answer.shared) == (403, {})


class TestAllowOrigin:
    @pytest.mark.parametrize(
        ("named", "origin"),
        [
            ("https://app.test:3000", "https://app.test:3000"),
            ("https://APP.test", "https://app.test"),
            ("https://app.test:443", "https://app.test"),
            ("http://192.168.1.5:3000", "http://192.168.1.5:3000"),
            ("tauri://app.test", "tauri://app.test"),
        ],
    )
    def test_it_adds_one_origin(self, named: str, origin: str) -> None:
        assert not AllowedOrigins([]).allows(origin, HOST)
        answer = ask("POST", TELEMETRY, {"Origin": origin}, allow_origin=[named])
        assert (answer.reached, answer["access-control-allow-origin"]) == (True, origin)

    @pytest.mark.parametrize(
        "origin", ["https://app.test", "http://app.test:3000", "https://a.app.test:3000", "https://app.test:30000"]
    )
    def test_it_adds_no_other(self, origin: str) -> None:
        assert not AllowedOrigins(["https://app.test:3000"]).allows(origin, HOST)

    @pytest.mark.parametrize("named", ["", "*", "null", "app.test", "https://app.test/", "https://*.app.test"])
    def test_one_that_could_never_match_is_an_error(self, named: str) -> None:
        with pytest.raises(ConfigError, match="is not an origin: use scheme://host"):
            AllowedOrigins([named])

    @given(st.text())
    def test_null_and_other_texts_are_no_origins(self, text: str) -> None:
        assert read_origin(text) is None or "://" in text


class TestPages:
    @pytest.mark.parametrize("method", UNSAFE)
    @pytest.mark.parametrize(
        ("site", "origin", "passes"),
        [
            ("same-origin", None, True),
            ("same-origin", f"http://{HOST}", True),
            ("same-origin", "null", True),  # a form of our own, under Referrer-Policy: no-referrer
            ("none", None, True),
            (None, None, True),
            (None, f"http://{HOST}", True),
            (None, f"https://{HOST}", True),
            ("same-site", None, False),
            ("same-site", f"http://{HOST}", False),
            ("same-site", "http://127.0.0.1:3000", False),
            ("cross-site", None, False),
            ("cross-site", f"http://{HOST}", False),
            ("", None, False),
            ("same-origin, same-origin", None, False),
            ("nonsense", None, False),
            (None, "", False),
            (None, "null", False),
            (None, "https://evil.com", False),
            (None, "http://127.0.0.1", False),
            (None, "http://127.0.0.1:3000", False),
            (None, "http://localhost:4318", False),
            (None, f"ftp://{HOST}", False),
            (None, f"http://{HOST}/", False),
        ],
    )
    @pytest.mark.parametrize("link", [{}, LINK])
    def test_only_our_pages_and_programs_may_change_things(
        self, method: str, site: str | None, origin: str | None, passes: bool, link: dict[str, str]
    ) -> None:
        sent = {"Sec-Fetch-Site": site, "Origin": origin}
        answer = ask(method, "/api/spans", link | {name: v for name, v in sent.items() if v is not None})
        assert answer.reached == passes
        assert answer.status == (200 if passes else 403)

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    @pytest.mark.parametrize(
        ("headers", "passes"),
        [
            ({}, True),
            ({"Sec-Fetch-Site": "same-origin"}, True),
            ({"Sec-Fetch-Site": "none"} | LINK, True),
            ({"Sec-Fetch-Site": "cross-site"} | LINK, True),
            ({"Sec-Fetch-Site": "same-site"} | LINK, True),
            ({"Sec-Fetch-Site": "cross-site"}, False),
            ({"Sec-Fetch-Site": "same-site"}, False),
            ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, False),
            ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, False),
            ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "document"}, False),
            ({"Sec-Fetch-Site": "nonsense"} | LINK, False),
            ({"Origin": f"http://{HOST}"}, True),
            ({"Origin": "https://evil.com"}, False),
            ({"Origin": "null"} | LINK, False),
            ({"Origin": "http://localhost:3000"}, False),
        ],
    )
    def test_a_foreign_page_may_link_to_us_but_not_load_us(
        self, method: str, headers: dict[str, str], passes: bool
    ) -> None:
        answer = ask(method, "/trace/1", headers)
        assert (answer.reached, answer.status) == (passes, 200 if passes else 403)

    @pytest.mark.parametrize(
        ("host", "origin", "own"),
        [
            ("localhost", "http://localhost", True),
            ("localhost", "https://localhost", True),  # behind a proxy that speaks TLS
            ("localhost", "http://localhost:80", True),
            ("localhost:80", "http://localhost", True),
            ("localhost:443", "https://localhost", True),
            ("LOCALHOST:4318", "http://localhost:4318", True),
            ("[::1]:4318", "http://[::1]:4318", True),
            ("localhost:443", "http://localhost", False),
            ("localhost:4318", "http://localhost", False),
            ("localhost", "http://localhost:4318", False),
        ],
    )
    def test_default_ports_are_the_same_written_or_not(self, host: str, origin: str, own: bool) -> None:
        assert ask("POST", "/", {"Host": host, "Origin": origin}).reached == own

    def test_the_token_in_a_header_shows_a_program_unless_a_cookie_is_there(self) -> None:
        foreign = {"Sec-Fetch-Site": "cross-site", "Authorization": f"Bearer {TOKEN}"}
        assert ask("POST", "/", foreign, token=TOKEN).reached
        assert ask("POST", "/", foreign | {"Cookie": "a=b"}, token=TOKEN).status == 403
        assert ask("POST", "/", foreign).status == 403  # without a token set, any page may make one up

    @pytest.mark.parametrize("headers", [{}, {"Origin": f"http://{HOST}"}, {"Sec-Fetch-Site": "same-origin"}])
    def test_access_control_headers_of_the_app_are_dropped(self, headers: dict[str, str]) -> None:
        app = says(lines=[("Access-Control-Allow-Origin", "*"), ("access-control-allow-credentials", "true")])
        answer = ask("GET", "/", headers, app=app)
        assert (answer.reached, answer.shared) == (True, {})


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("HTTP://LocalHost", Origin("http", "localhost", 80)),
        ("https://[::1]:5173", Origin("https", "[::1]", 5173)),
        ("tauri://localhost", Origin("tauri", "localhost", None)),
    ],
)
def test_an_origin_has_its_default_port(text: str, origin: Origin) -> None:
    assert read_origin(text) == origin
