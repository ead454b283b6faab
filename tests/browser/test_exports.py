"""Taking a trace along, from its page."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from minitrace.otlp.decode import decode_traces
from tests.browser.conftest import Server
from tests.samples import TRACE, span

pytestmark = pytest.mark.browser

TRACE_PATH = f"/trace/{TRACE.hex()}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with one trace."""
    with Server() as server:
        server.send([span("GET /checkout", service="frontend"), span("charge", "GET /checkout", service="bank")])
        yield server


@pytest.mark.parametrize(("label", "path"), [("Copy as Markdown", "summary.md"), ("Copy as text tree", "tree.txt")])
def test_a_text_is_copied_without_leaving_the_page(server: Server, page: Page, label: str, path: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(server.url + TRACE_PATH)
    page.get_by_text("Share", exact=True).click()
    page.get_by_role("link", name=label).click()
    expect(page.get_by_role("link", name="Copied")).to_be_visible()
    expected = httpx.get(f"{server.url}{TRACE_PATH}/{path}").text
    assert "charge" in expected
    assert page.evaluate("navigator.clipboard.readText()") == expected
    assert page.url.partition("?")[0] == server.url + TRACE_PATH
    expect(page.get_by_role("link", name=label)).to_be_visible()


def test_the_texts_can_be_opened_without_scripts(server: Server, page_without_scripts: Page) -> None:
    page = page_without_scripts
    page.goto(server.url + TRACE_PATH)
    page.get_by_text("Share", exact=True).click()
    page.get_by_role("link", name="Copy as text tree").click()
    expect(page.locator("body")).to_contain_text("└── bank: charge")


@pytest.mark.parametrize(
    ("label", "ending"),
    [("Save as one HTML file", "html"), ("Save as OTLP JSON", "json"), ("Save as Jaeger JSON", "jaeger.json")],
)
def test_a_file_is_saved(server: Server, page: Page, label: str, ending: str) -> None:
    page.goto(server.url + TRACE_PATH)
    page.get_by_text("Share", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name=label).click()
    assert download.value.suggested_filename == f"trace-{TRACE.hex()[:8]}.{ending}"


def test_what_a_search_found_is_saved(server: Server, page: Page) -> None:
    page.goto(server.url + "/search?q={ name = `charge` }")
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="JSON lines").click()
    assert download.value.suggested_filename == "traces.jsonl"
    (line,) = download.value.path().read_text().splitlines()
    assert {span.name for span in decode_traces(line.encode(), is_json=True).spans} == {"GET /checkout", "charge"}
