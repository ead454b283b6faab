"""What may reach the app, and what every answer says to the browser.

The checks, in this order; the first that fails answers and the app never hears of the request.

| check  | telemetry paths                             | pages and everything else             | else |
|--------|---------------------------------------------|---------------------------------------|------|
| Host   | listed                                      | listed                                | 421  |
| Origin | none and not foreign, or listed;            |                                       | 403  |
|        | a preflight is answered here                |                                       | 204  |
| token  | either token                                | the token; ``?token=`` buys a cookie  | 401  |
| page   |                                             | own page, or a link that was followed | 403  |

No check is switched off by what another one found, by a setting left out, or by the address we
listen on: https://github.com/gradio-app/gradio/issues/7503 and CVE-2026-59950 came from that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from minitrace.web import grpc_answers
from minitrace.web.headers import joined, preflight, protected, readable_by
from minitrace.web.hosts import AllowedHosts, in_origin_form, read_authority
from minitrace.web.origins import AllowedOrigins, from_own_page, may_open_page, read_origin
from minitrace.web.tokens import Tokens, address_without_token

SHOWN_CHARACTERS = 80  # of a header that was refused
POLICY_VIOLATION = 1008  # WebSocket close code, RFC 6455 section 7.4.1
SIGN_IN_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>minitrace: token</title>
<h1>minitrace asks for its token</h1>
<form method="get">
<label>Token <input type="password" name="token" autocomplete="current-password" required autofocus></label>
<button>Open</button>
</form>
<p>Already signed in, and came here by a link? <a href="">Open this page again</a>.</p>
</html>
"""
HOW_TO_AUTHORIZE = (
    "this minitrace asks for a token: send the header Authorization: Bearer TOKEN, in an OpenTelemetry SDK "
    'with OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer%20TOKEN"'
)


class Verdict(NamedTuple):
    """What becomes of a request: our answer, or None if the app may answer; and who may read that."""

    answer: Response | None
    sharing: Mapping[str, str] = {}


class Guard:
    """An ASGI app that stands in front of another, from outside, so that no answer goes past it.

    Args:
        app: what answers the requests that may pass.
        port: the port we listen on; a callable where it is known only after the start.
        host: the address we listen on.
        allow_host: further names to answer to.
        allow_origin: further web origins that may send telemetry.
        token: what requests must carry; "" asks for none.
        ingest_token: opens telemetry paths only; "" is none.
        ingest: whether a request brings telemetry; it gets the method and the path, without the root path.
        refused: told of each request that was refused: its scope, the status and why.

    Raises:
        ConfigError: an `allow_host` or `allow_origin` could never match.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        port: Callable[[], int] | int,
        host: str,
        allow_host: Sequence[str],
        allow_origin: Sequence[str],
        token: str,
        ingest_token: str,
        ingest: Callable[[str, str], bool],
        refused: Callable[[Scope, int, str], None] = lambda scope, status, why: None,
    ) -> None:
        self._app = app
        self._hosts = AllowedHosts(host, allow_host, has_token=bool(token))
        self._origins = AllowedOrigins(allow_origin)
        self._tokens = Tokens(token, ingest_token, port if callable(port) else lambda: port)
        self._takes_telemetry = ingest
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(in_origin_form(scope), receive, send)
        else:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        verdict = self._judge(scope, headers)
        if verdict.answer and _has_body(headers):
            # the body stays unread: on a kept connection it would be taken for the next request
            verdict.answer.headers["connection"] = "close"
        if isinstance(verdict.answer, PlainTextResponse):
            self._refused(scope, verdict.answer.status_code, bytes(verdict.answer.body).decode().strip())
            if grpc_answers.is_call(scope):
                verdict = verdict._replace(answer=grpc_answers.reworded(verdict.answer))
        await (verdict.answer or self._app)(scope, receive, protected(send, verdict.sharing))

    def _judge(self, scope: Scope, headers: Headers) -> Verdict:
        hosts = headers.getlist("host")
        if len(hosts) != 1:
            return Verdict(_refusal(400, f"expected one Host header, got {len(hosts)}"))
        if hosts[0] not in self._hosts:
            return Verdict(_wrong_host(hosts[0]))
        # mounted in another app, our own paths come after the root path
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if self._takes_telemetry(_meant_method(scope["method"], headers), path):
            return self._judge_telemetry(scope["method"], headers)
        return Verdict(self._judge_page(scope, headers))

    def _judge_telemetry(self, method: str, headers: Headers) -> Verdict:
        origin = joined(headers, "origin")
        if origin is None and not from_own_page(headers):
            return Verdict(_refusal(403, "this comes from a web page that does not say its Origin"))
        if origin is not None and not self._origins.allows(origin, headers["host"]):
            return Verdict(_foreign_origin(origin))
        # browsers send a preflight without the token, so it is answered before that is asked for
        if origin and method == "OPTIONS" and "access-control-request-method" in headers:
            asked_headers = joined(headers, "access-control-request-headers") or ""
            return Verdict(Response(status_code=204), preflight(origin, asked_headers))
        answer = None if self._tokens.open_ingest(headers) else _unauthorized()
        return Verdict(answer, readable_by(origin) if origin else {})

    def _judge_page(self, scope: Scope, headers: Headers) -> Response | None:
        if scope["method"] == "GET" and self._tokens.in_query(scope["query_string"]):
            return self._sign_in(scope)
        if not self._tokens.open_pages(headers):
            return _sign_in_page() if "text/html" in headers.get("accept", "") else _unauthorized()
        if self._tokens.in_authorization(headers) and "cookie" not in headers:
            return None  # no page can make a browser send that
        if not may_open_page(scope["method"], headers):
            return _refusal(403, "this request comes from a page of another site; only links may lead here")
        return None

    def _sign_in(self, scope: Scope) -> Response:
        cookie = self._tokens.cookie(secure=scope.get("scheme") == "https")
        return Response(status_code=303, headers={"location": address_without_token(scope), "set-cookie": cookie})


def _meant_method(method: str, headers: Headers) -> str:
    """The method of a request; of a preflight, that of the request it asks leave for."""
    return headers.get("access-control-request-method", method) if method == "OPTIONS" else method


def _refusal(status: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", status)


def _wrong_host(host: str) -> Response:
    authority = read_authority(host)
    name = authority.host.strip("[]") if authority and len(host) <= SHOWN_CHARACTERS else "NAME"
    text = f'this minitrace does not answer to Host "{_shown(host)}": if you trust that name'
    return _refusal(421, f"{text}, start it with --allow-host {name}")


def _foreign_origin(origin: str) -> Response:
    name = origin if read_origin(origin) and len(origin) <= SHOWN_CHARACTERS else "ORIGIN"
    text = f'this minitrace takes no telemetry from pages of Origin "{_shown(origin)}": if you trust them'
    return _refusal(403, f"{text}, start it with --allow-origin {name}")


def _unauthorized() -> Response:
    return PlainTextResponse(HOW_TO_AUTHORIZE + "\n", 401, {"www-authenticate": "Bearer"})


def _sign_in_page() -> Response:
    return HTMLResponse(SIGN_IN_PAGE, 401, {"www-authenticate": "Bearer"})


def _shown(text: str) -> str:
    """Text that someone else wrote, as one short line of ASCII."""
    printable = "".join(char if " " <= char <= "~" else "?" for char in text)
    return printable if len(printable) <= SHOWN_CHARACTERS else printable[:SHOWN_CHARACTERS] + "..."


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or joined(headers, "content-length") not in (None, "0")
