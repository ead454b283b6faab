"""Rates, errors and durations as a person looks at them: from a spike to the span that made it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from minitrace.model import Kind, Span, Status, StatusCode
from tests.browser.conftest import Server
from tests.samples import span, span_id, trace_id

pytestmark = pytest.mark.browser

TIMES = "from=2023-11-14T22:13:20Z&to=2023-11-14T22:18:20Z"


def spans() -> list[Span]:
    """A request a second for five minutes; the one in the middle is slow, and fails in the bank."""
    found = []
    for n in range(300):
        slow = n == 150
        trace, start_ms, duration_ms = f"t{n}", n * 1000 + 500, 3000 if slow else 20 + n % 7
        found.append(span("POST /pay", trace=trace, kind=Kind.SERVER, start_ms=start_ms, duration_ms=duration_ms))
        found.append(
            span(
                "charge", "POST /pay", trace=trace, service="bank", kind=Kind.SERVER, start_ms=start_ms + 1,
                duration_ms=duration_ms - 2, status=Status(StatusCode.ERROR) if slow else Status(),
            )
        )  # fmt: skip
    return [*found, span("SELECT", kind=Kind.CLIENT, start_ms=500)]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with these spans."""
    with Server() as server:
        server.send(spans())
        yield server


def test_clicks_lead_from_a_spike_to_its_span(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/red?{TIMES}")
    page.get_by_role("row", name=re.compile("bank")).get_by_role("link", name="bank").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("bank")
    page.locator(".red-charts .plot a:has(.cross)").first.click()
    page.wait_for_url(re.compile(f"/trace/{trace_id('t150').hex()}\\?span={span_id('charge').hex()}"))
    expect(page.locator("#detail")).to_contain_text("charge")


def test_a_cell_leads_to_its_traces(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/red?service=bank&{TIMES}")
    cell = page.locator(".red-charts .plot a:has([class^=heat-])").first
    count = int((cell.locator("title").text_content() or "").split(": ")[1].split()[0])
    cell.click()
    page.wait_for_url("**/search?q=**")
    expect(page.locator(".traces tbody")).to_have_count(count)


def test_a_choice_is_shown_at_once_and_is_an_address(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/red?{TIMES}")
    expect(page.locator(".red tbody tr")).to_have_count(2)
    page.locator("select[name=kind]").select_option(label="Called (client, producer)")
    expect(page.locator(".red tbody tr")).to_have_count(1)
    page.wait_for_url("**kind=out**")
    page.reload()
    expect(page.locator(".red tbody tr")).to_have_count(1)
    page.locator("select[name=kind]").select_option(label="Served (server, consumer)")
    page.get_by_label("Compare with the time before").check()
    expect(page.get_by_text("No such span started in the time before")).to_be_visible()


def test_without_scripts_the_button_does_the_same(server: Server, browser: Browser) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{server.url}/red?{TIMES}")
        page.locator("select[name=kind]").select_option(label="All kinds")
        page.get_by_role("button", name="Show").click()
        expect(page.locator(".red tbody tr").first).to_contain_text("shop")
        assert "kind=all" in page.url


def test_a_phone_shows_it_without_scrolling_sideways(server: Server, phone: Page) -> None:
    for path in ("/red?", "/red?service=bank&compare=1&", "/red?service=bank&operation=charge&"):
        phone.goto(f"{server.url}{path}{TIMES}")
        expect(phone.locator(".red-charts")).to_be_visible()
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_bar_and_its_key_lead_there(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    page.locator("main").click(position={"x": 2, "y": 2})
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("**/red")
    expect(page.get_by_role("link", name="Services")).to_have_attribute("aria-current", "page")
