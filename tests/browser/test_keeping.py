"""What a person keeps of a search, and what they delete."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from minitrace.model import Status, StatusCode
from tests.browser.conftest import Server
from tests.samples import span


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with three traces, of which one failed."""
    with Server() as server:
        failed = Status(StatusCode.ERROR)
        server.send([span("GET /cart", trace="a"), span("GET /cart", trace="b"), span("pay", trace="c", status=failed)])
        yield server


def test_a_search_is_saved_found_again_and_forgotten(server: Server, page: Page) -> None:
    page.goto(server.url + "/search?q=pay")
    page.locator(".saving summary").click()
    page.get_by_label("Save this search as").fill("my payments")
    page.get_by_role("button", name="Save").click()
    page.goto(server.url + "/search")
    page.get_by_text("Saved", exact=True).click()
    page.get_by_role("link", name="my payments").click()
    expect(page).to_have_url(server.url + "/search?q=pay")
    page.get_by_text("Saved", exact=True).click()
    page.get_by_role("button", name="Forget my payments").click()
    expect(page.get_by_text("Saved", exact=True)).to_have_count(0)


def test_what_a_search_finds_is_deleted_after_a_typed_word(server: Server, page: Page) -> None:
    page.goto(server.url + "/search?status=error")
    page.get_by_role("link", name="Delete…").click()
    expect(page.get_by_role("heading", name="Delete 1 trace?")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("alert")).to_contain_text("Type delete")
    page.keyboard.type("delete")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Deleted")).to_be_visible()
    page.goto(server.url + "/search")
    expect(page.locator(".traces .what")).to_have_count(2)


def test_everything_is_deleted_without_scripts_too(server: Server, page_without_scripts: Page) -> None:
    page = page_without_scripts
    page.goto(server.url + "/search")
    page.get_by_role("link", name="Delete all…").click()
    page.get_by_label("Type delete to go on").fill("delete")
    page.get_by_role("button", name="Delete all").click()
    expect(page.locator("main")).to_contain_text(re.compile("3.traces with 3.spans"))
