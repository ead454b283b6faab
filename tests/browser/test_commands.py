"""What the keyboard reaches from every page: the command menu, and other pages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server
from tests.samples import span, trace_id

TRACE = f"/trace/{trace_id('t').hex()}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with one trace of two spans."""
    with Server() as server:
        server.send([span("GET /cart", trace="t"), span("load", "GET /cart", trace="t")])
        yield server


def test_the_menu_finds_a_command_by_a_part_of_its_name(server: Server, page: Page) -> None:
    page.goto(server.url + TRACE)
    page.keyboard.press(".")
    expect(page.get_by_role("combobox", name="Command")).to_be_focused()
    page.keyboard.type("flam")
    expect(page.get_by_role("option")).to_have_text(["Flame graph"])
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"view=flame"))


def test_the_menu_is_walked_with_the_arrows_and_closed_with_escape(server: Server, page: Page) -> None:
    page.goto(server.url + TRACE)
    page.keyboard.press(".")
    expect(page.get_by_role("option", selected=True)).to_have_count(1)  # the menu is there
    names = page.get_by_role("option").all_text_contents()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("option", selected=True)).to_have_text(names[1])
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).to_have_url(server.url + TRACE)


def test_the_menu_has_what_stands_in_closed_menus_too(server: Server, page: Page) -> None:
    page.goto(server.url + TRACE)
    page.keyboard.press(".")
    page.keyboard.type("otlp json")
    expect(page.get_by_role("option").first).to_have_text("Save as OTLP JSON")
    with page.expect_download() as download:
        page.get_by_role("option").first.click()
    assert download.value.suggested_filename.endswith(".json")


def test_the_menu_says_when_nothing_has_such_a_name(server: Server, page: Page) -> None:
    page.goto(server.url + "/search")
    page.locator("h1").evaluate("() => document.activeElement.blur()")
    page.keyboard.press(".")
    page.keyboard.type("no such thing")
    expect(page.get_by_text("Nothing of this name")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_g_and_a_letter_lead_to_another_page(server: Server, page: Page) -> None:
    page.goto(server.url + TRACE)
    page.keyboard.press("g")
    page.keyboard.press("s")
    expect(page).to_have_url(server.url + "/search")


def test_g_in_a_field_is_a_letter(server: Server, page: Page) -> None:
    page.goto(server.url + TRACE)
    page.keyboard.press("/")
    page.keyboard.type("gs")
    expect(page).to_have_url(re.compile(re.escape(server.url + TRACE)))
