"""A span of HTTP as a command."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.model import Attributes, Kind
from minitrace.web.curl import command
from tests.samples import span

GET: Attributes = {"http.request.method": "GET"}


def told(attributes: Attributes, kind: Kind = Kind.CLIENT) -> str | None:
    return command(span("GET", kind=kind, attributes=attributes))


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        (GET | {"url.full": "http://a:8000/x?y=1&z"}, "curl 'http://a:8000/x?y=1&z'"),
        ({"http.method": "post", "http.url": "https://a/"}, "curl -X POST https://a/"),
        ({"http.request.method": "HEAD", "url.full": "https://a/"}, "curl -I https://a/"),
        (GET | {"url.full": "http://a/[1]{2}"}, "curl -g 'http://a/[1]{2}'"),  # no patterns
        (
            GET
            | {"url.scheme": "https", "server.address": "shop", "server.port": 443, "url.path": "/c", "url.query": "q"},
            "curl 'https://shop/c?q'",
        ),
        (GET | {"server.address": "::1", "server.port": 8080, "url.path": "/"}, "curl -g 'http://[::1]:8080/'"),
        (GET | {"http.scheme": "http", "http.host": "a:81", "http.target": "/x?y"}, "curl 'http://a:81/x?y'"),
        (
            GET
            | {"url.full": "http://a/", "http.request.header.accept": ["a", "b"], "http.request.header.host": ["c"]},
            "curl -H 'accept: a' -H 'accept: b' http://a/",
        ),
        (GET | {"url.full": "http://a/it's here"}, "curl 'http://a/it'\"'\"'s%20here'"),
    ],
)  # fmt: skip
def test_a_request_is_asked_again(attributes: Attributes, text: str) -> None:
    assert told(attributes) == text


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"url.full": "http://a/"},
        GET,
        GET | {"url.full": "file:///etc/passwd"},
        GET | {"url.full": "-o/x"},
        GET | {"url.full": "http:///x"},
        GET | {"url.full": "http://a/\nrm"},
        GET | {"url.full": "http://a/\u202e"},
        GET | {"url.full": "http://a/" + "x" * 9000},
        GET | {"url.path": "/x"},
        GET | {"server.address": "a", "url.path": "x"},
        {"http.request.method": "-o", "url.full": "http://a/"},
        GET | {"url.full": "http://a/", "http.request.header.x": "a\r\nb"},
    ],
)
def test_what_is_not_known_or_not_safe_is_not_offered(attributes: Attributes) -> None:
    assert told(attributes) is None


def test_a_header_cannot_name_a_file() -> None:
    assert told(GET | {"url.full": "http://a/", "http.request.header.@/etc/passwd": "x"}) == "curl http://a/"


def test_only_clients_and_servers_ask() -> None:
    attributes = GET | {"url.full": "http://a/"}
    assert [kind.name for kind in Kind if told(attributes, kind)] == ["SERVER", "CLIENT"]


@given(st.text(), st.text(), st.text())
def test_a_shell_reads_one_curl_with_its_options(path: str, name: str, value: str) -> None:
    text = told(GET | {"url.full": f"http://a/{path}", f"http.request.header.{name}": value})
    if text is not None:
        words = shlex.split(text)
        assert words[0] == "curl"
        assert words[-1] == f"http://a/{path}".replace(" ", "%20")
        assert words[1:-1] in ([], ["-g"], ["-H", f"{name}: {value}"], ["-g", "-H", f"{name}: {value}"])
        assert "\n" not in text
