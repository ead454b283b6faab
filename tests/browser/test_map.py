"""The service map as a person looks at it: from a box to its neighbours, from an arrow to the traces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from minitrace.model import Kind
from tests.browser.conftest import Server
from tests.samples import span, trace_id

pytestmark = pytest.mark.browser

TIMES = "from=2023-11-14T22:13:00Z&to=2023-11-14T22:14:00Z"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with a shop that calls a bank, which asks its database."""
    with Server() as server:
        orders = {"db.system.name": "postgresql", "db.namespace": "orders"}
        server.send([
            span("POST /pay", trace="1", kind=Kind.SERVER),
            span("POST", "POST /pay", trace="1", kind=Kind.CLIENT),
            span("charge", "POST", trace="1", service="bank", kind=Kind.SERVER),
            span("INSERT", "charge", trace="1", service="bank", kind=Kind.CLIENT, attributes=orders),
        ])  # fmt: skip
        yield server


def test_a_click_on_an_arrow_leads_to_its_traces(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/map?{TIMES}")
    page.locator("a.call", has_text="shop to bank").locator(".times").click()
    page.wait_for_url("**/search?q=**")
    expect(page.locator(".traces tbody")).to_have_count(1)
    expect(page.locator(f".traces a[href*='{trace_id('1').hex()}']").first).to_be_visible()


def test_a_click_on_a_box_shows_what_is_around_it(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/map?{TIMES}")
    expect(page.locator("a.box")).to_have_count(3)
    page.locator("a.box", has_text="postgresql orders").click()
    page.wait_for_url("**focus=database:**")
    expect(page.locator("a.box")).to_have_count(2)
    page.get_by_label("As far as").select_option("2")
    expect(page.locator("a.box")).to_have_count(3)
    page.wait_for_url("**depth=2**")


def test_a_choice_is_shown_at_once_and_is_an_address(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/map?{TIMES}")
    page.get_by_label("Arrows tell").select_option("p95")
    expect(page.locator(".map .times").first).to_have_text("10.4\u2009ms")
    page.wait_for_url("**metric=p95**")
    page.reload()
    expect(page.locator(".map .times").first).to_have_text("10.4\u2009ms")


def test_without_scripts_the_button_does_the_same(server: Server, browser: Browser) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{server.url}/map?{TIMES}")
        page.locator("select[name=view]").select_option("table")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_role("region", name="Calls and messages").locator("tbody tr")).to_have_count(2)


def test_a_phone_shows_it_without_scrolling_sideways(server: Server, phone: Page) -> None:
    for more in ("", "&focus=bank", "&view=table"):
        phone.goto(f"{server.url}/map?{TIMES}{more}")
        expect(phone.locator("#map .wide").first).to_be_visible()
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_bar_and_its_key_lead_there(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    page.locator("main").click(position={"x": 2, "y": 2})
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.wait_for_url("**/map")
    expect(page.get_by_role("link", name="Map", exact=True)).to_have_attribute("aria-current", "page")
