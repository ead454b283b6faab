"""What axe-core says about each page, light and dark, on a desk and on a phone: nothing serious or critical."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server
from tests.hard import TRACES
from tests.samples import span_id, trace_id

pytestmark = pytest.mark.browser

TRACE = f"/trace/{trace_id('everything').hex()}"
CHARGE = span_id("charge").hex()
PAGES = {
    "the search": "/search",
    "a search with a mistake": "/search?text=%7B%20status%20%3D",
    "the timeline": TRACE,
    "the timeline with an open span": f"{TRACE}?span={CHARGE}",
    "the timeline with matches": f"{TRACE}?find=stock&only=1&show=critical",
    "the timeline, folded and zoomed": f"{TRACE}?depth=1&t=100ms,200ms",
    "the timeline of a subtree": f"{TRACE}?root={CHARGE}",
    "the timeline with missing parents": f"/trace/{trace_id('all orphans').hex()}?runs=0",
    "the timeline of sixty services": f"/trace/{trace_id('sixty services').hex()}",
    "the flame graph": f"{TRACE}?view=flame",
    "the table": f"{TRACE}?view=table",
    "the table with an open span": f"{TRACE}?view=table&span={CHARGE}",
    "the statistics": f"{TRACE}?view=stats",
    "the services": f"{TRACE}?view=services",
    "the JSON": f"{TRACE}?view=json",
    "a span": f"{TRACE}/span/{CHARGE}",
    "a page that is not there": "/trace/none",
}
SERIOUS = ("serious", "critical")
OF_COLOURS = ["color-contrast", "link-in-text-block"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with traces that have everything."""
    with Server() as server:
        for name in ("everything", "all orphans", "sixty services"):
            server.send(TRACES[name]())
        yield server


@pytest.fixture(params=["page", "phone"])
def any_page(request: pytest.FixtureRequest) -> Page:
    """A page on a desk in the light, and one on a phone in the dark."""
    found: Page = request.getfixturevalue(request.param)
    return found


def violations(page: Page) -> list[str]:
    """What axe-core finds serious, in the other theme too: the rule, the element, what is wrong with it."""
    found = _found(page, {})
    is_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    page.emulate_media(color_scheme="light" if is_dark else "dark")
    return found + _found(page, {"runOnly": OF_COLOURS})


def _found(page: Page, options: dict[str, object]) -> list[str]:
    return [
        f"{each['id']}: {' '.join(node['target'])}: {node['failureSummary']}"
        for each in Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_a_page_has_no_serious_violation(server: Server, any_page: Page, path: str) -> None:
    any_page.goto(server.url + path)
    expect(any_page.locator("html")).to_have_class("js")
    expect(any_page.locator("main:not(:has(mt-trace)), mt-trace.drawn .row").first).to_be_attached()
    assert violations(any_page) == []


@pytest.mark.parametrize("opened", [".hiding summary", ".taking summary", "[data-do='?']"])
def test_what_opens_on_a_trace_has_no_serious_violation(server: Server, any_page: Page, opened: str) -> None:
    any_page.goto(server.url + TRACE)
    expect(any_page.locator("mt-trace.drawn .row").first).to_be_attached()
    any_page.locator(opened).click()
    assert violations(any_page) == []


def test_the_first_page_has_no_serious_violation(empty_server: Server, any_page: Page) -> None:
    any_page.goto(empty_server.url)
    expect(any_page.locator("html")).to_have_class("js")
    any_page.get_by_text("Python", exact=True).click()
    assert violations(any_page) == []


def test_axe_is_heard_when_something_is_wrong(server: Server, page: Page) -> None:
    page.goto(server.url + TRACE)
    page.locator("mt-trace.drawn .row").first.wait_for()
    box = page.locator("input[name=find]")
    box.evaluate("(box) => { for (const name of ['aria-label', 'placeholder']) box.removeAttribute(name); }")
    box.evaluate("(box) => { box.style.color = '#eee'; }")
    assert {text.partition(":")[0] for text in violations(page)} >= {"label", "color-contrast"}
