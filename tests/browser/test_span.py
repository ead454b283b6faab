"""The panel of a span as a person uses it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from minitrace.model import Attributes, Event
from tests.browser.conftest import Server
from tests.samples import TRACE, span, span_id

pytestmark = pytest.mark.browser

STACK = "Declined: no\n    at charge (/app/pay.js:3:1)\n" + "    at next (/app/node_modules/x/y.js:1:1)\n" * 20
ATTRIBUTES: Attributes = {"card.network": "visa", "amount": 12.5, **{f"cart.item{n}": f"sku-{n}" for n in range(9)}}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with a span of many attributes and an exception."""
    with Server() as server:
        thrown = Event(span("x").start_ns, "exception", {"exception.stacktrace": STACK})
        server.send([span("charge", attributes=ATTRIBUTES, events=[thrown]), span("other", trace="other")])
        yield server


def open_span(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/trace/{TRACE.hex()}/span/{span_id('charge').hex()}")


def test_typing_leaves_the_attributes_that_have_the_text(page: Page, server: Server) -> None:
    open_span(page, server)
    page.get_by_label("Filter the attributes").fill("NETWORK")
    shown = page.locator(".attributes tbody:visible")
    expect(shown).to_have_count(1)
    expect(shown).to_contain_text("card.network")
    expect(page.get_by_role("heading", name="Resource")).to_be_hidden()
    page.get_by_label("Filter the attributes").fill("sku-3")  # values too
    expect(shown).to_contain_text("cart.item3")
    page.get_by_label("Filter the attributes").fill("")
    expect(shown).to_have_count(13)
    expect(page.get_by_role("heading", name="Resource")).to_be_visible()


def test_frames_of_libraries_are_folded_and_unfold(page: Page, server: Server) -> None:
    open_span(page, server)
    expect(page.locator(".stack pre")).to_contain_text("at charge", use_inner_text=True)
    expect(page.locator(".stack pre")).not_to_contain_text("node_modules", use_inner_text=True)
    page.get_by_label("Only own frames").uncheck()
    expect(page.locator(".stack pre")).to_contain_text("node_modules", use_inner_text=True)


def test_a_value_leads_to_a_search_for_it(page: Page, server: Server) -> None:
    open_span(page, server)
    row = page.locator(".attributes tbody", has_text="card.network")
    row.hover()
    row.get_by_label("Search for spans with this value").click()
    expect(page.locator("[name=q]").first).to_have_value('{ span.card.network = "visa" }')
    expect(page.locator("table.traces tbody")).to_have_count(1)


def test_the_buttons_of_a_row_are_large_enough_for_a_finger(phone: Page, server: Server) -> None:
    open_span(phone, server)
    for button in phone.locator(".acts").first.locator("a, button").all():
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 24


def test_without_scripts_the_panel_shows_all_and_has_no_field(page_without_scripts: Page, server: Server) -> None:
    open_span(page_without_scripts, server)
    expect(page_without_scripts.locator(".attributes tbody:visible")).to_have_count(13)
    expect(page_without_scripts.locator(".sift")).to_be_hidden()
