"""The guard as a whole: every answer passes it, and nothing else than HTTP does."""

from __future__ import annotations

from contextlib import suppress

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.web.guarded import HOST, TELEMETRY, TOKEN, ask, drive, guard, says

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
LOCAL_PAGE = {"Origin": "http://localhost:3000"}
PREFLIGHT = LOCAL_PAGE | {"Access-Control-Request-Method": "POST"}


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def broken(request: Request) -> Response:
    raise RuntimeError("broken")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 200), ("GET", "/not-there", 404), ("POST", "/", 405), ("GET", "/broken", 500), ("HEAD", "/", 200)],
)
def test_every_answer_of_an_app_has_the_security_headers(method: str, path: str, status: int) -> None:
    routes = Starlette(routes=[Route("/", hello), Route("/broken", broken)])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(RuntimeError):  # starlette answers 500, and then lets the server log the error
            await routes(scope, receive, send)

    answer = ask(method, path, app=app)
    assert answer.status == status
    assert {name: answer[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


@pytest.mark.parametrize(
    ("method", "target", "headers", "status"),
    [
        ("GET", "/", {"Host": "evil.com"}, 421),
        ("POST", TELEMETRY, {"Origin": "https://evil.com"}, 403),
        ("POST", TELEMETRY, {"Sec-Fetch-Site": "cross-site"}, 403),
        ("OPTIONS", TELEMETRY, PREFLIGHT, 204),
        ("GET", "/", {}, 401),
        ("GET", "/", {"Accept": "text/html"}, 401),
        ("GET", f"/?token={TOKEN}", {}, 303),
        ("POST", "/", {"Cookie": f"minitrace-4318={TOKEN}", "Sec-Fetch-Site": "same-site"}, 403),
        ("GET", "/", {"Authorization": f"Bearer {TOKEN}"}, 200),
    ],
)
def test_every_answer_of_the_guard_has_the_security_headers(
    method: str, target: str, headers: dict[str, str], status: int
) -> None:
    answer = ask(method, target, headers, token=TOKEN)
    assert answer.status == status
    assert {name: answer[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


@pytest.mark.parametrize("host", [[], [("Host", HOST)] * 2])
def test_an_answer_without_one_host_has_the_security_headers(host: list[tuple[str, str]]) -> None:
    answer = ask("GET", "/", host)
    assert {name: answer[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_weaker_headers_of_the_app_are_replaced() -> None:
    weaker = [("Content-Security-Policy", "default-src *"), ("Referrer-Policy", "unsafe-url")] * 2
    answer = ask("GET", "/", app=says(lines=[*weaker, ("X-Own", "kept")]))
    assert answer.all("content-security-policy") == [SECURITY_HEADERS["content-security-policy"]]
    assert answer.all("referrer-policy") == ["no-referrer"]
    assert answer["x-own"] == "kept"


def test_the_answer_to_a_page_that_may_send_is_not_kept_from_it() -> None:
    answer = ask("POST", TELEMETRY, LOCAL_PAGE, token=TOKEN)
    shared = SECURITY_HEADERS | {"cross-origin-resource-policy": "cross-origin"}  # or a beacon's answer is an error
    assert answer.status == 401
    assert {name: answer[name] for name in shared} == shared


def test_telemetry_paths_are_known_under_a_mount() -> None:
    answer = ask("POST", f"/minitrace{TELEMETRY}", LOCAL_PAGE, root_path="/minitrace")
    assert (answer.reached, answer["access-control-allow-origin"]) == (True, "http://localhost:3000")
    assert ask("POST", f"/other{TELEMETRY}", LOCAL_PAGE, root_path="/minitrace").status == 403


def test_only_the_start_of_an_answer_is_changed() -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [(b"host", b"localhost")]}
    assert drive(guard(says()), scope)[1:] == [{"type": "http.response.body", "body": b""}]


def test_the_app_may_say_how_long_an_answer_keeps() -> None:
    answer = ask("GET", "/", app=says(lines=[("Cache-Control", "max-age=31536000, immutable")]))
    assert answer.all("cache-control") == ["max-age=31536000, immutable"]


@pytest.mark.parametrize(
    ("headers", "connection"),
    [
        ({}, None),
        ({"Content-Length": "0"}, None),
        ({"Content-Length": "5"}, "close"),
        ({"Transfer-Encoding": "chunked"}, "close"),
    ],
)
def test_a_refusal_that_leaves_a_body_unread_closes_the_connection(
    headers: dict[str, str], connection: str | None
) -> None:
    assert ask("POST", "/", {"Host": "evil.com"} | headers)["connection"] == connection
    assert ask("POST", TELEMETRY, headers, token=TOKEN)["connection"] == connection
    assert ask("OPTIONS", TELEMETRY, PREFLIGHT | headers)["connection"] == connection
    assert ask("POST", TELEMETRY, headers)["connection"] is None


def test_the_body_goes_to_the_app_untouched() -> None:
    assert ask("POST", TELEMETRY, LOCAL_PAGE, body=b"spans").text == "spans"


def test_a_websocket_is_closed() -> None:
    scope = {"type": "websocket", "path": "/", "headers": [(b"host", HOST.encode())]}
    assert drive(guard(says()), scope) == [{"type": "websocket.close", "code": 1008}]


def test_the_app_starts_and_stops_with_the_server() -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await send({"type": "lifespan.startup.complete"})

    assert drive(guard(app), {"type": "lifespan"}) == [{"type": "lifespan.startup.complete"}]
    assert scopes == [{"type": "lifespan"}]


def test_the_checks_come_in_their_order() -> None:
    refused = {"Host": "evil.com", "Origin": "https://evil.com", "Sec-Fetch-Site": "cross-site"}
    assert ask("POST", TELEMETRY, refused, token=TOKEN).status == 421
    assert ask("POST", TELEMETRY, refused | {"Host": HOST}, token=TOKEN).status == 403
    assert ask("POST", "/", refused | {"Host": HOST}, token=TOKEN).status == 401
    assert ask("POST", TELEMETRY, LOCAL_PAGE, token=TOKEN).status == 401
