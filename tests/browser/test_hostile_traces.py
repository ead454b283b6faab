"""Hostile telemetry and hostile addresses on every view of a trace, in a real Chromium: all of it is text.

The page of each test reports dialogs, errors and what the Content-Security-Policy stopped, and none may come.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from minitrace.model import Event, Kind, Link, Resource, Scope, Span, Status, StatusCode
from minitrace.present import printable
from tests.browser.conftest import Server
from tests.samples import T0, span, span_id, trace_id
from tests.web.test_xss import SAMPLES

pytestmark = pytest.mark.browser

TRACE = f"/trace/{trace_id('hostile').hex()}"
VIEWS = ["timeline", "flame", "table", "stats", "services", "json"]
PARAMETERS = ["find", "hide", "without", "min", "root", "t", "depth", "x", "by", "sort", "at", "show", "runs", "skew"]
PLANTED = (
    "script:not([src]), iframe, img, math, base, style, mglyph, animate, form form, hx-partial, [onerror], b[hx-get]"
)


def _hostile(text: str, parent: str) -> Span:
    """A span that says the same everywhere; its service is called by others, so that the views name it."""
    return span(
        text,
        parent,
        trace="hostile",
        id=text,
        duration_ms=90,
        kind=Kind.SERVER,
        status=Status(StatusCode.ERROR, text),
        attributes={text: text, "db.query.text": text, "http.route": text, "list": [text], "map": {text: text}},
        events=[
            Event(T0 + 1, text, {text: text}),
            Event(
                T0 + 2, "exception", {"exception.type": text, "exception.message": text, "exception.stacktrace": text}
            ),
        ],
        links=[Link(trace_id("other"), b"12345678", trace_state=text, attributes={text: text})],
        trace_state=text,
        resource=Resource({"service.name": text, text: text}, schema_url=text),
        scope=Scope(text, text, {text: text}, schema_url=text),
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with a trace in which each span says something hostile, and a short one."""
    with Server() as server:
        root = span(SAMPLES[0], trace="hostile", id="root", duration_ms=100)
        server.send([root, *(_hostile(text, "root") for text in SAMPLES)])
        yield server


@pytest.fixture
def asked(server: Server, page: Page) -> Iterator[list[str]]:
    """The addresses that the page asks for; at the end each of them must be one of ours, and only read."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(f"{request.method} {request.url}"))
    yield requests
    ours = tuple(f"GET {server.url}{path}" for path in ("/trace/", "/_static/", "/favicon.svg"))
    assert [request for request in requests if not request.startswith((*ours, "GET file:"))] == []
    assert requests


def settle(page: Page) -> None:
    """Wait for what a page draws and asks by itself, and for two frames in which anything planted would act."""
    expect(page.locator("section.view, mt-trace.drawn")).to_be_attached()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))")


def planted(page: Page) -> int:
    """Elements that no template of ours makes."""
    return page.locator("main").locator(PLANTED).count()


@pytest.mark.parametrize("view", VIEWS)
def test_what_telemetry_says_is_text_in_every_view(server: Server, page: Page, asked: list[str], view: str) -> None:
    page.goto(f"{server.url}{TRACE}?view={view}&runs=0&by=http.route&span={span_id(SAMPLES[0]).hex()}")
    settle(page)
    assert planted(page) == 0
    expect(page.locator("main")).to_contain_text(SAMPLES[0])


def test_every_row_shows_its_name_as_text(server: Server, page: Page, asked: list[str]) -> None:
    page.set_viewport_size({"width": 1280, "height": 2000})
    page.goto(f"{server.url}{TRACE}?runs=0")
    settle(page)
    for text in SAMPLES:
        row = page.locator(f".row:not([hidden])[data-span='{span_id(text).hex()}']")
        assert row.locator(".name").text_content() == printable(text)
        assert row.locator(".of").text_content() == printable(text)
    assert planted(page) == 0


def test_every_detail_that_is_walked_through_shows_text(server: Server, page: Page, asked: list[str]) -> None:
    page.goto(f"{server.url}{TRACE}?runs=0")
    settle(page)
    page.keyboard.press("j")
    for _ in SAMPLES:
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        opened = page.locator(".row[aria-selected='true']:focus")
        expect(opened).to_be_visible()
        heading = page.locator("#detail .span-detail h2")
        expect(heading).to_have_text(opened.locator(".name").text_content() or "", use_inner_text=False)
        expect(page.locator("#detail table").first).to_be_attached()
        assert planted(page) == 0


@pytest.mark.parametrize("text", SAMPLES)
def test_an_address_is_data(server: Server, page: Page, asked: list[str], text: str) -> None:
    hostile = quote(text, safe="")
    query = "&".join(f"{name}={hostile}" for name in PARAMETERS)
    for view in ("timeline", "stats", hostile):
        page.goto(f"{server.url}{TRACE}?view={view}&{query}#{hostile}")
        settle(page)
        assert planted(page) == 0


@pytest.mark.parametrize("text", SAMPLES[:12])
def test_what_is_typed_to_be_found_is_text(server: Server, page: Page, asked: list[str], text: str) -> None:
    page.goto(server.url + TRACE)
    settle(page)
    box, problem = page.get_by_role("searchbox", name="Find in this trace"), page.locator("#find-problem")
    box.fill(text)
    settle(page)
    assert planted(page) == 0
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    box.fill(f'{{ status = "{quoted}" }}')
    expect(problem).to_contain_text("status is one of unset, ok, error, not")  # and then what was typed
    settle(page)
    assert planted(page) == 0


def test_the_saved_file_shows_text_and_asks_for_nothing(
    server: Server, page: Page, asked: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "trace.html"
    file.write_bytes(page.request.get(f"{server.url}{TRACE}/saved.html").body())
    for text in SAMPLES:
        page.goto(f"{file.as_uri()}#find={quote(text, safe='')}&span={span_id(text).hex()}")
        expect(page.locator("#detail h2")).to_be_attached()
        assert page.locator("#detail h2").text_content() == printable(text)
        assert page.locator("main").locator(PLANTED).count() == 0
    assert {request.partition("#")[0] for request in asked} == {f"GET {file.as_uri()}"}
