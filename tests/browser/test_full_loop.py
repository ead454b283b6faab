"""From a spike to its cause: rates, an exemplar, its trace, the slow span, what it logged, and why it was slow.

By clicks alone after the first address, in the shop of `minitrace demo`, where payments wait for a while.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from minitrace.demo import send
from tests.browser.conftest import Server, follow

pytestmark = pytest.mark.browser

EXHAUSTED = "connection pool exhausted: 10 of 10 in use, 8 by job settlement-report"
STARTED = "job settlement-report started, charges of 90 days: 8 workers with a connection each"
BEFORE = "What payment logged in the 5 minutes before"
MIDDLE = """(dot) => {
    const {x, y, width, height} = dot.getBoundingClientRect();
    return [x + width / 2, y + height / 2];
}"""
BARE_POINT = """(cell) => {  // of a cell, where no dot lies over it
    const {left, right, top, bottom} = cell.getBoundingClientRect();
    for (let x = left + 1; x < right; x += 2)
        for (let y = top + 1; y < bottom; y += 2)
            if (cell.contains(document.elementFromPoint(x, y))) return [x, y];
}"""


@pytest.fixture(scope="module")
def told() -> list[str]:
    """What the demo says."""
    return []


@pytest.fixture(scope="module")
def shop(told: list[str]) -> Iterator[Server]:
    """A server with a quarter of an hour of the shop."""
    with Server() as server:
        send(server.url, count=0, rate=1, backfill=600, seed=7, report=told.append, announce=told.append)
        yield server


def row(page: Page, name: str) -> Locator:
    """A row of the services' page."""
    return page.locator(".red tbody tr").filter(has=page.get_by_role("link", name=name, exact=True))


def click_slowest_dot(page: Page) -> None:
    """Click where an exemplar stands highest, of those that did not fail; on a phone another one may lie over it."""
    dots = page.locator(".red-charts .plot a .dot")
    expect(dots.first).to_be_visible()
    tops = dots.evaluate_all("dots => dots.map((dot) => parseFloat(dot.getAttribute('cy')))")
    highest = dots.nth(tops.index(min(tops)))
    highest.scroll_into_view_if_needed()
    page.mouse.click(*highest.evaluate(MIDDLE))


def panel(page: Page) -> Locator:
    """What is told of the span that is open."""
    return page.get_by_role("complementary")


def find_the_cause(page: Page) -> None:
    """From the table of services to the line that says why payments were slow, and to the one before it."""
    page.get_by_role("link", name="payment", exact=True).click()
    page.get_by_role("link", name="POST /v1/charges", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("POST /v1/charges")
    click_slowest_dot(page)
    page.get_by_role("link", name=re.compile("in payment's pg-pool.connect")).click()
    expect(panel(page).get_by_role("heading", name="pg-pool.connect")).to_be_visible()
    line = panel(page).get_by_text(EXHAUSTED)
    expect(line).to_be_visible()
    line.click()
    panel(page).get_by_role("link", name=BEFORE).click()
    expect(page.get_by_text(STARTED)).to_be_visible()


def test_clicks_lead_from_a_spike_to_its_cause(shop: Server, page: Page) -> None:
    page.goto(shop.url)
    page.get_by_role("link", name="Services", exact=True).click()
    expect(row(page, "payment").locator(".p95")).to_have_text(re.compile(r"^2\.\d+\ss$"))
    find_the_cause(page)
    expect(page.locator(".log summary").first).to_have_text(EXHAUSTED)
    expect(page.locator(".log li", has_text=STARTED).locator(".link")).to_be_empty()  # it is in no trace


def test_the_demo_says_where_to_begin(shop: Server, told: list[str], page: Page) -> None:
    """The row of payment is low but for the minutes that are told: they ended four minutes before the end."""
    (where,) = re.findall(r"^the shop's payments were slow from .+: (http\S+) shows where$", told[-1])
    page.goto(where)
    drawn = row(page, "payment").locator(".trend path").nth(1).get_attribute("d") or ""
    tops = [int(top) for top in re.findall(r"V(\d+)h", drawn)]
    high = [step / len(tops) for step, top in enumerate(tops) if top < 50]
    assert len(high) >= 3
    assert 0.5 < high[0] < high[-1] < 0.8
    find_the_cause(page)


def test_on_a_phone_the_same_clicks_do(shop: Server, phone: Page) -> None:
    phone.goto(shop.url + "/red")
    find_the_cause(phone)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def tab_to(page: Page, text: re.Pattern[str]) -> None:
    """Press Tab until what has the focus reads so."""
    read = "[document.activeElement.innerText, document.activeElement.ariaLabel].filter(Boolean).join(' ')"
    for _ in range(150):
        page.keyboard.press("Tab")
        if text.search(page.evaluate(read)):
            return
    raise AssertionError(f"no Tab leads to {text.pattern}")


def test_keys_alone_lead_there_too(shop: Server, page: Page) -> None:
    page.goto(shop.url + "/red")
    tab_to(page, re.compile("^payment$"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("payment")
    tab_to(page, re.compile("^Slowest spans"))
    page.keyboard.press("Enter")
    tab_to(page, re.compile(r"^POST /v1/charges .+s$"))  # those that failed say so in front
    page.keyboard.press("Enter")
    expect(panel(page).get_by_role("heading", name="POST /v1/charges")).to_be_visible()
    tab_to(page, re.compile("in payment's pg-pool.connect"))
    page.keyboard.press("Enter")
    expect(panel(page).get_by_text(EXHAUSTED)).to_be_visible()
    tab_to(page, re.compile(f"^{EXHAUSTED}$"))
    page.keyboard.press("Enter")
    tab_to(page, re.compile(BEFORE))
    page.keyboard.press("Enter")
    expect(page.get_by_text(STARTED)).to_be_visible()


def test_a_cell_of_the_heat_map_leads_there_by_a_search(shop: Server, page: Page) -> None:
    page.goto(shop.url + "/red")
    page.get_by_role("link", name="payment", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("payment")
    cell = page.locator(".red-charts .plot a:has([class^=heat-])", has_text=re.compile(r"– [2-9][.\d]*\ss:")).first
    page.mouse.click(*cell.evaluate(BARE_POINT))
    page.wait_for_url("**/search?q=**")
    page.locator(".traces a", has_text="POST /checkout").first.click()
    page.get_by_role("link", name=re.compile("in payment's pg-pool.connect")).click()
    expect(panel(page).get_by_text(EXHAUSTED)).to_be_visible()


def test_the_logs_of_the_trace_lead_to_the_span_and_a_line_leads_back_to_it(shop: Server, page: Page) -> None:
    page.goto(shop.url)
    follow(page.get_by_role("link", name="Logs", exact=True))
    page.get_by_label("Severity").select_option("warn")
    found = page.locator(".log li", has_text=EXHAUSTED).first
    found.get_by_role("link", name="span", exact=True).click()
    expect(panel(page).get_by_role("heading", name="pg-pool.connect")).to_be_visible()
    page.get_by_role("link", name=re.compile(r"^Logs \d+$")).click()
    page.get_by_role("link", name="Warn and worse").click()
    said = page.locator(".view-logs .log li")
    expect(said).to_have_count(1)
    said.get_by_role("link", name="span", exact=True).click()
    expect(panel(page).get_by_text(EXHAUSTED)).to_be_visible()


def test_the_value_of_an_attribute_leads_to_all_that_the_job_logged(shop: Server, page: Page) -> None:
    page.goto(shop.url + "/logs")
    page.get_by_label("Severity").select_option("warn")
    page.get_by_text(EXHAUSTED).first.click()
    value = page.locator(".log details[open] dl div", has_text="settlement-report").first
    value.get_by_role("link", name="Log records with this value").click()
    expect(page.get_by_text(STARTED)).to_be_visible()


def test_the_map_shows_it_too_and_its_arrow_leads_to_the_traces(shop: Server, page: Page) -> None:
    page.goto(shop.url + "/red")
    page.get_by_role("link", name="payment", exact=True).click()
    follow(page.get_by_role("link", name="On the map"))
    page.get_by_label("Arrows tell").select_option("p95")
    arrow = page.locator("a.call", has_text="payment to postgresql payment")
    expect(arrow.locator(".times")).to_have_text(re.compile(r"^2\.\d+\ss$"))
    arrow.locator(".times").click()
    page.wait_for_url("**/search?q=**")
    page.locator(".traces a", has_text="POST /checkout").first.click()  # the longest
    expect(page.get_by_role("link", name=re.compile("in payment's pg-pool.connect"))).to_be_visible()
