"""What a person does with the other views of a trace: by keyboard, without scripts, on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from minitrace.model import Span, Status, StatusCode
from tests.browser.conftest import Server
from tests.samples import span, span_id, trace_id

pytestmark = pytest.mark.browser

SHOP = f"/trace/{trace_id('shop').hex()}"
LONG_NAME = "a name that goes on " * 20


def _shop() -> list[Span]:
    return [
        span("checkout", trace="shop", service="frontend", duration_ms=100),
        span("charge", "checkout", trace="shop", service="payment", duration_ms=60, status=Status(StatusCode.ERROR)),
        span("bank", "charge", trace="shop", service="bank", duration_ms=50, attributes={"http.route": "/transfer"}),
        span(LONG_NAME, "checkout", trace="shop", service="cart", start_ms=60, duration_ms=30),
        *(span(f"step {n}", LONG_NAME, trace="shop", service=f"stock {n % 7}", start_ms=60 + n) for n in range(20)),
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with one trace."""
    with Server() as server:
        server.send(_shop())
        yield server


def test_a_flame_graph_is_walked_by_keyboard(server: Server, page: Page) -> None:
    page.goto(f"{server.url}{SHOP}?view=flame")
    frame = page.locator("a.frame", has_text="charge").first
    frame.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{server.url}{SHOP}?view=flame&at={span_id('charge').hex()}")
    expect(page.locator("a.frame")).to_have_count(2)
    page.get_by_role("navigation", name="Call path").get_by_role("link", name="Whole trace").click()
    expect(page).to_have_url(f"{server.url}{SHOP}?view=flame")


def test_a_row_of_the_table_opens_its_span_beside_it(server: Server, page: Page) -> None:
    page.goto(f"{server.url}{SHOP}?view=table&sort=-own")
    page.get_by_role("link", name="bank", exact=True).click()
    expect(page.locator("#detail h2")).to_have_text("bank")
    expect(page.locator("tr[aria-current]")).to_contain_text("bank")
    expect(page.locator("th[aria-sort]")).to_contain_text("Own time")


def test_spans_are_sorted_and_grouped_without_scripts(server: Server, page_without_scripts: Page) -> None:
    page = page_without_scripts
    page.goto(f"{server.url}{SHOP}?view=table")
    page.get_by_role("link", name="Duration").click()
    expect(page.locator("tbody tr").first).to_contain_text("checkout")
    page.get_by_role("link", name="Statistics").click()
    page.get_by_label("or an attribute").fill("http.route")
    page.get_by_role("button", name="Group").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.locator("tbody tr", has_text="/transfer").get_by_role("link", name="In the timeline").click()
    assert "find=" in page.url
    assert "view=" not in page.url


def test_a_service_leads_to_its_spans_in_the_timeline(server: Server, page: Page) -> None:
    page.goto(f"{server.url}{SHOP}?view=services")
    page.locator("a.box", has_text="payment").click()
    expect(page.locator("[name=find]")).to_have_value('{ resource.service.name = "payment" }')
    expect(page.locator(".row.match")).to_have_count(1)


@pytest.mark.parametrize("view", ["flame", "table", "stats", "stats&by=name", "services", "json"])
def test_what_is_wide_scrolls_in_its_own_box_on_a_phone(server: Server, phone: Page, view: str) -> None:
    phone.goto(f"{server.url}{SHOP}?view={view}")
    expect(phone.locator(".view .wide").first).to_be_visible()
    assert phone.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
