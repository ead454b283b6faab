"""What axe-core says about each page, light and dark, on a desk and on a phone: nothing serious or critical."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server
from tests.hard import TRACES
from tests.samples import record, span_id, trace_id

pytestmark = pytest.mark.browser

TRACE = f"/trace/{trace_id('everything').hex()}"
OF_SPANS = "from=2023-11-14T22:00Z&to=2023-11-14T23:00Z"
CHARGE = span_id("charge").hex()
PAGES = {
    "the search": "/search",
    "a search for failures": "/search?q=%7Bstatus%3Derror%7D&cols=trace,duration,.http.route&sort=-duration",
    "the operations of a search": "/search?group=op",
    "a search with a mistake": "/search?q=%7B%20status%20%3D",
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
    "the logs of a trace": f"{TRACE}?view=logs",
    "records beside the rows of a trace": f"{TRACE}?logs=1",
    "the logs": "/logs",
    "a search of logs with a mistake": "/logs?trace=x&attributes=n",
    "logs that are not there": "/logs?q=nothing",
    "the live tail": "/live",
    "the live tail with a mistake": "/live?q=%7B%20status%20%3D",
    "the rates of all services": f"/red?kind=all&{OF_SPANS}",
    "the rates of a service beside the time before": f"/red?service=shop&kind=all&compare=1&{OF_SPANS}",
    "the service map": f"/map?{OF_SPANS}",
    "the service map around a service": f"/map?focus=shop&metric=err&{OF_SPANS}",
    "the service map as tables": f"/map?view=table&{OF_SPANS}",
    "the receiver": "/_/receiver",
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
        server.send_logs(
            [
                record("card declined", at_ms=n, severity=n, trace="everything", span="charge", attributes={"order": n})
                for n in range(25)
            ]
        )
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


def test_the_export_of_a_search_has_no_serious_violation(server: Server, any_page: Page) -> None:
    any_page.goto(f"{server.url}/search")
    any_page.locator(".exporting summary").click()
    assert violations(any_page) == []
    assert any_page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_suggestions_and_an_underlined_mistake_have_no_serious_violation(server: Server, any_page: Page) -> None:
    any_page.goto(f"{server.url}/search")
    box = any_page.locator("mt-query textarea")
    box.press_sequentially("{ foo = 1 && sta")
    expect(any_page.locator("mt-query mark")).to_have_text("foo")
    expect(any_page.locator("[role=option] b").first).to_have_text("status")
    box.press("ArrowDown")
    expect(any_page.locator("mt-query [aria-selected=true]")).to_be_visible()
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
