"""Who may come in: the token, as a header, a cookie, or once in the address.

| carried as                    | opens pages     | opens telemetry paths |
|-------------------------------|-----------------|-----------------------|
| `Authorization: Bearer TOKEN` | the token       | either token          |
| cookie `minitrace-<port>`     | the token       | the token             |
| `?token=TOKEN`                | gets the cookie | no                    |

Where no token is set, everything is open.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from urllib.parse import quote, unquote_to_bytes

from starlette.datastructures import Headers
from starlette.types import Scope

from minitrace.web.headers import joined

COOKIE_MAX_AGE_S = 30 * 24 * 60 * 60
_URL_CHARACTERS = "%/:@!$&'()*+,;=?-._~"  # what may stand in a path or query as it is


class Tokens:
    """The token that opens everything and the one that opens telemetry paths only; "" is unset."""

    def __init__(self, token: str, ingest_token: str, port: Callable[[], int]) -> None:
        self._token = token.encode()
        self._ingest_token = ingest_token.encode()
        self._cookie_value = quote(token, safe="").encode()
        self._port = port

    def open_pages(self, headers: Headers) -> bool:
        """Whether the request may see and do everything."""
        return not self._token or self.in_authorization(headers) or self._in_cookie(headers)

    def open_ingest(self, headers: Headers) -> bool:
        """Whether the request may send telemetry."""
        return self.open_pages(headers) or _same(_bearer(headers), self._ingest_token)

    def in_authorization(self, headers: Headers) -> bool:
        """Whether the token is in the Authorization header, where only a program puts it."""
        return _same(_bearer(headers), self._token)

    def in_query(self, query: bytes) -> bool:
        """Whether ``?token=`` has the token."""
        fields = (_read(field) for field in query.split(b"&"))
        return any(_same(value, self._token) for name, value in fields if name == b"token")

    def cookie(self, *, secure: bool) -> str:
        """The Set-Cookie value that keeps a browser signed in."""
        flags = "HttpOnly; SameSite=Strict; Path=/" + ("; Secure" if secure else "")
        return f"{self._cookie_name}={self._cookie_value.decode()}; Max-Age={COOKIE_MAX_AGE_S}; {flags}"

    @property
    def _cookie_name(self) -> str:
        # cookies ignore ports: without it, two servers on one host would sign each other out
        return f"minitrace-{self._port()}"

    def _in_cookie(self, headers: Headers) -> bool:
        cookies = (line.strip().partition("=") for line in ";".join(headers.getlist("cookie")).split(";"))
        return any(
            _same(value.encode("latin-1"), self._cookie_value)
            for name, _, value in cookies
            if name == self._cookie_name
        )


def address_without_token(scope: Scope) -> str:
    """The path and query that were asked for, less ``token``, as a Location on this origin."""
    path = scope.get("raw_path") or scope["path"].encode()
    fields = [field for field in scope["query_string"].split(b"&") if field and _read(field)[0] != b"token"]
    # browsers read "//evil.com" and "/\evil.com" as another host
    address = b"/" + path.lstrip(b"/\\") + (b"?" + b"&".join(fields) if fields else b"")
    return quote(address, safe=_URL_CHARACTERS)


def _same(given: bytes, expected: bytes) -> bool:
    """Whether a token was given right; never for one that is not set."""
    return bool(expected) and hmac.compare_digest(given, expected)


def _bearer(headers: Headers) -> bytes:
    scheme, _, token = (joined(headers, "authorization") or "").partition(" ")
    return token.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


def _read(field: bytes) -> tuple[bytes, bytes]:
    """The name and value of one field of a query or form."""
    name, _, value = field.replace(b"+", b" ").partition(b"=")
    return unquote_to_bytes(name), unquote_to_bytes(value)
