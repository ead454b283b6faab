"""What a person does to compare traces, searches and runs, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Server
from tests.browser.test_accessibility import violations
from tests.samples import span, trace_id
from tests.web.test_compare_pages import cart

pytestmark = pytest.mark.browser

A, B = trace_id("before").hex(), trace_id("after").hex()
BOTH = f"/compare?a={A}&b={B}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with carts before a change and after it, and two runs that they belong to."""
    with Server() as server:
        for n in range(12):
            server.send(cart(f"a{n}", start_ms=n * 1000, run="one"))
            server.send(cart(f"b{n}", queries=14, query_ms=9, start_ms=100_000 + n * 1000, run="two"))
        before, after = cart("before", start_ms=200_000), cart("after", queries=14, query_ms=9, start_ms=201_000)
        steady = [
            span("steady", f"{name} root", trace=name, id=f"{name} steady", start_ms=start_ms, duration_ms=3)
            for name, start_ms in (("before", 200_001), ("after", 201_001))
        ]
        before[0].attributes["shop.version"], after[0].attributes["shop.version"] = "1.0", "1.1"
        server.send([*before, *after, *steady])
        for id in ("one", "two"):
            run = {"id": id, "kind": "command", "label": "python shop.py", "directory": "/home/me/shop"}
            assert httpx.post(f"{server.url}/_/runs", json=run).status_code == 201
        yield server


def mark(page: Page, text: str) -> None:
    """Put the focus on a result of the search, and press x."""
    page.locator("tbody", has_text=text).first.locator("a").first.focus()
    page.keyboard.press("x")


def tray(page: Page) -> Locator:
    """What says which traces are marked."""
    return page.locator("mt-marks")


def rows(page: Page) -> Locator:
    """The names in the table."""
    return page.locator("table.tree th .name")


def test_two_results_marked_with_x_are_compared(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    mark(page, "25 ms")
    expect(tray(page)).to_contain_text("1 marked: GET /cart 25 ms")
    mark(page, "146 ms")
    expect(tray(page)).to_contain_text("2 marked")
    page.get_by_role("link", name="Compare A with B").click()
    expect(page).to_have_url(f"{server.url}{BOTH}")
    expect(page.locator(".findings li").first).to_have_text("shop: SELECT stock: 1 → 14 calls")


def test_x_again_takes_the_mark_back(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    box = page.locator("input.marker").first
    box.check()
    expect(tray(page)).to_be_visible()
    box.uncheck()
    expect(tray(page)).to_be_hidden()


def test_a_third_mark_takes_the_place_of_the_second(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    for number in (0, 2, 1):
        page.locator("input.marker").nth(number).check()
    for number, is_marked in enumerate((True, True, False)):
        expect(page.locator("input.marker").nth(number)).to_be_checked(checked=is_marked)


def test_a_mark_is_shown_in_results_that_come_later(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    page.locator("input.marker").first.check()
    page.locator("#f-status").select_option("Unset")
    expect(page).to_have_url(re.compile("unset"))
    expect(page.locator("input.marker").first).to_be_checked()


def test_marks_last_over_pages_and_end_with_clear(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/trace/{A}")
    expect(page.locator("mt-trace.drawn")).to_be_attached()
    page.keyboard.press("x")
    expect(tray(page)).to_contain_text("1 marked: GET /cart 25 ms")
    page.goto(f"{server.url}/trace/{B}")
    expect(page.get_by_role("link", name="Compare with this trace")).to_have_attribute("href", BOTH)
    page.goto(f"{server.url}/compare")
    expect(page.get_by_role("region", name="Marked lately")).to_contain_text("GET /cart 25 ms")
    tray(page).get_by_role("button", name="Clear").click()
    expect(tray(page)).to_be_hidden()


def test_a_trace_is_compared_with_a_typical_one_from_its_page(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/trace/{B}")
    page.locator(".comparing summary").click()
    page.get_by_role("link", name="With a typical trace").click()
    expect(page).to_have_url(re.compile(rf"/compare\?a={B}&b=[0-9a-f]{{32}}$"))
    expect(page.locator("h1")).to_have_text("Compare two traces")


def test_swap_then_back_and_forward(server: Server, page: Page) -> None:
    page.goto(server.url + BOTH)
    first = page.locator("table.tree td.calls").last
    expect(first).to_have_text("1 → 14")
    page.locator("a.swap").click()
    expect(first).to_have_text("14 → 1")
    page.go_back()
    expect(first).to_have_text("1 → 14")
    page.go_forward()
    expect(first).to_have_text("14 → 1")


def test_what_is_the_same_is_hidden_and_shown_again(server: Server, page: Page) -> None:
    page.goto(server.url + BOTH)
    expect(rows(page)).to_have_text(["GET /cart", "steady", "SELECT stock"])
    page.get_by_role("link", name="Only what differs").click()
    expect(rows(page)).to_have_text(["GET /cart", "SELECT stock"])
    page.go_back()
    expect(rows(page)).to_have_count(3)


def test_a_finding_opens_its_row_and_the_row_closes(server: Server, page: Page) -> None:
    page.goto(server.url + BOTH)
    page.locator(".findings a").first.click()
    expect(page.locator("tr.detail")).to_contain_text("126 ms")
    expect(page.locator("tr.open")).to_be_in_viewport()
    page.locator("tr.open .what a").click()
    expect(page.locator("tr.detail")).to_have_count(0)
    page.go_back()
    expect(page.locator("tr.detail")).to_have_count(1)


def test_an_open_row_leads_to_its_spans(server: Server, page: Page) -> None:
    page.goto(f"{server.url}{BOTH}&row=2")
    page.locator("tr.detail").get_by_role("link", name="in B").click()
    expect(page).to_have_url(re.compile(rf"/trace/{B}\?span=[0-9a-f]{{16}}"))


def test_attributes_that_differ_stand_side_by_side(server: Server, page: Page) -> None:
    page.goto(server.url + BOTH)
    page.get_by_role("link", name=re.compile("^Attributes")).click()
    expect(page.locator("table.pairs td.value").first).to_have_text("1.0")


def test_another_trace_is_pasted(server: Server, page: Page) -> None:
    page.goto(server.url + BOTH)
    page.locator("input[name=b]").fill(f"trace_id={trace_id('a1').hex()} took long")
    page.locator(".pairing button").click()
    expect(page).to_have_url(f"{server.url}/compare?a={A}&b={trace_id('a1').hex()}")


def test_two_searches_are_typed_and_compared(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/compare")
    page.locator("textarea[name=qa]").fill("{ traceDuration < 50ms }")
    page.locator("textarea[name=qb]").fill("{ traceDuration > 50ms }")
    page.get_by_role("region", name="Two searches").get_by_role("button").click()
    expect(page.locator(".findings li").first).to_contain_text("SELECT stock: 1 → 14 calls a trace")
    page.locator(".findings a").first.click()
    expect(page.locator("tr:target")).to_contain_text("SELECT stock")


def test_a_search_of_two_leads_to_its_traces(server: Server, page: Page) -> None:
    query = "{ traceDuration < 50ms }"
    page.goto(f"{server.url}/compare?{urlencode({'qa': query, 'qb': '{ }'})}")
    page.get_by_role("region", name="Search A").get_by_role("link", name="Search").click()
    expect(page.get_by_role("combobox", name=re.compile("^TraceQL"))).to_have_value(query)


@pytest.mark.parametrize("path", ["/compare", "/compare?qa=%7B+%7D&qb=%7B+%7D"])
def test_a_query_to_compare_is_completed_while_it_is_typed(server: Server, page: Page, path: str) -> None:
    page.goto(server.url + path)
    box = page.get_by_role("combobox", name="B", exact=True)
    box.fill("")
    box.press_sequentially("{ resource.serv")
    option = page.get_by_role("option", name=re.compile("resource.service.name"))
    expect(option).to_be_in_viewport()
    expect(box).to_have_accessible_name("B")
    page.keyboard.press("Tab")
    expect(box).to_have_value(re.compile(r"\{ resource\.service\.name"))


def test_two_runs_are_picked_and_compared(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/compare")
    page.get_by_role("link", name="Choose two runs").click()
    page.locator("input[name=ra][value=one]").check()
    page.locator("input[name=rb][value=two]").check()
    page.get_by_role("button", name="Compare A with B").click()
    expect(page.locator(".side").first).to_contain_text("24 spans")
    expect(page.locator(".findings li").first).to_contain_text("SELECT stock: 1 → 14 calls a trace (12 and 12 traces)")


def test_why_a_trace_is_different_leads_to_its_spans(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/trace/{A}")
    page.locator(".comparing summary").click()
    page.get_by_role("link", name="Why is this trace different?").click()
    page.get_by_role("link", name=re.compile("shop.version = 1.0")).click()
    expect(page).to_have_url(re.compile(rf"/trace/{A}\?span="))


def test_without_scripts_the_trace_page_leads_to_others_to_compare_with(
    server: Server, page_without_scripts: Page
) -> None:
    page = page_without_scripts
    page.goto(f"{server.url}/trace/{A}")
    expect(page.locator("[data-mark]")).to_be_hidden()
    page.locator(".comparing summary").click()
    page.get_by_role("link", name="With another trace…").click()
    page.locator("tbody tr").first.get_by_role("link", name="Compare").click()
    expect(page).to_have_url(server.url + BOTH)
    page.get_by_role("link", name="Own time").click()
    expect(page.locator("table.tree tbody tr")).to_have_count(3)


PAGES = {
    "the ways to compare": "/compare",
    "a query that cannot be read": "/compare?qa=%7B%20status%20%3D&qb=%7B%7D",
    "others to compare with": f"/compare?a={A}",
    "two traces with an open row": f"{BOTH}&row=0",
    "attributes that differ": f"{BOTH}&view=attrs",
    "two searches": "/compare?" + urlencode({"qa": "{ traceDuration < 50ms }", "qb": "{ traceDuration > 50ms }"}),
    "runs": "/runs",
    "why a trace is different": f"/why?trace={A}",
}


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("device", ["page", "phone"])
def test_pages_that_compare_have_no_serious_violation(
    request: pytest.FixtureRequest, server: Server, device: str, path: str
) -> None:
    page: Page = request.getfixturevalue(device)
    page.goto(server.url + path)
    expect(page.locator("html")).to_have_class("js")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
