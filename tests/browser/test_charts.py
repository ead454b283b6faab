"""Charts and facets as a person uses them: a drag, keys, a click, a phone, no scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from minitrace.model import Span, Status, StatusCode
from tests.browser.conftest import Server
from tests.samples import MS, span, trace_id

pytestmark = pytest.mark.browser

MANY = 1_100


def traces(count: int, prefix: str = "trace") -> list[Span]:
    """One trace a second: fast ones of the shop, and every tenth a slow one of the bank that fails."""
    return [
        span(
            "charge" if n % 10 == 0 else "cart",
            trace=f"{prefix} {n}",
            service="bank" if n % 10 == 0 else "shop",
            start_ms=n * 1000,
            duration_ms=2000 if n % 10 == 0 else 5 + n % 7,
            status=Status(StatusCode.ERROR) if n % 10 == 0 else Status(),
            attributes={"http.route": "/pay" if n % 10 == 0 else "/cart"},
        )
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with a hundred traces in a hundred seconds."""
    with Server() as server:
        server.send(traces(100))
        yield server


def asked(page: Page) -> dict[str, str]:
    """The parameters of the address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def drag(page: Page, plot: Locator, start: tuple[float, float], end: tuple[float, float], *, drop: bool = True) -> None:
    """Drag from one place of a plot to another, in parts of its width and height from its upper left."""
    box = plot.bounding_box()
    assert box
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=4)
    if drop:
        page.mouse.up()


def scatter(page: Page) -> Locator:
    return page.locator(".plot.upper > svg")


def test_a_drag_shows_only_the_traces_of_that_time_and_duration(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    expect(scatter(page).locator("a")).to_have_count(100)
    drag(page, scatter(page), (0.25, -0.02), (0.75, 0.3))
    page.wait_for_url("**from=**")
    assert asked(page)["q"].startswith("{ traceDuration >= ")
    expect(page.locator("textarea[name=q]")).to_have_value(re.compile("traceDuration >= "))
    expect(scatter(page).locator("a")).to_have_count(5)
    expect(page.locator(".traces tbody")).to_have_count(5)
    page.go_back()
    expect(scatter(page).locator("a")).to_have_count(100)


def test_a_drag_along_the_time_leaves_the_durations_alone(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search?q=%7B+status+%3D+error+%7D")
    drag(page, page.locator(".plot.lower > svg"), (0.5, 0.5), (1, 0.6))
    page.wait_for_url("**from=**")
    assert asked(page)["q"] == "{ status = error }"
    expect(scatter(page).locator("a")).to_have_count(5)


def test_a_click_on_a_dot_opens_its_trace(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    scatter(page).locator("a").nth(50).click()
    expect(page).to_have_url(re.compile("/trace/"))


def test_nothing_moves_during_a_drag_and_escape_ends_it(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    before = scatter(page).bounding_box()
    drag(page, scatter(page), (0.2, 0.2), (0.6, 0.8), drop=False)
    expect(page.locator(".selection")).to_be_visible()
    expect(page.locator("output.chosen")).to_be_visible()
    assert scatter(page).bounding_box() == before
    page.keyboard.press("Escape")
    expect(page.locator(".selection")).to_be_hidden()
    page.mouse.up()
    assert asked(page) == {}


def test_the_arrow_keys_select_and_escape_goes_back(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    plot = page.locator(".plot.upper")
    plot.focus()
    for key in ["ArrowRight", "Shift+ArrowLeft", *["ArrowUp"] * 10]:
        page.keyboard.press(key)
    expect(page.locator("output.chosen")).to_contain_text("22:14")
    page.keyboard.press("Enter")
    expect(scatter(page).locator("a")).to_have_count(3)
    assert asked(page).keys() == {"q", "from", "to"}
    expect(plot).to_be_focused()
    page.keyboard.press("Escape")
    expect(scatter(page).locator("a")).to_have_count(100)
    assert asked(page) == {}


def test_a_reset_link_widens_the_search_again(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search?from=2023-11-14T22:14:00Z&to=2023-11-14T22:14:10Z&q=%7B+traceDuration+%3C+1s+%7D")
    page.get_by_role("link", name="Reset zoom").click()
    expect(scatter(page).locator("a")).to_have_count(100)
    assert asked(page) == {}


def test_a_click_on_a_facet_asks_for_it_and_another_takes_it_back(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    bank = page.locator(".facet .pick", has_text="bank")
    expect(bank).to_contain_text("10")
    bank.click()
    expect(bank).to_have_attribute("aria-current", "true")
    assert asked(page) == {"q": '{ resource.service.name = "bank" }'}
    expect(page.locator(".traces tbody")).to_have_count(10)
    expect(bank).to_be_focused()
    bank.click()
    expect(page.locator(".facet .pick", has_text="shop")).to_contain_text("90")
    assert asked(page) == {}


def test_a_minus_leaves_a_value_out(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    page.get_by_role("link", name="Without shop").click()
    expect(page.locator(".traces tbody")).to_have_count(10)
    expect(page.locator(".facet .unwanted .pick")).to_have_text(re.compile("without shop"))
    page.locator(".facet .unwanted .pick").click()
    expect(scatter(page).locator("a")).to_have_count(100)


def test_an_attribute_can_be_pinned_and_unpinned(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search?q=%7B+status+%3D+error+%7D")
    page.get_by_label("Pin an attribute").fill("span.http.route")
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.locator(".facet .pick", has_text="/pay")).to_contain_text("10")
    assert asked(page) == {"q": "{ status = error }", "pin": "span.http.route"}
    page.get_by_role("link", name="Unpin span.http.route").click()
    expect(page.locator(".facet .pick", has_text="/pay")).to_have_count(0)
    assert asked(page) == {"q": "{ status = error }"}


def test_many_traces_are_a_heat_map_and_a_block_leads_into_it(empty_server: Server, page: Page) -> None:
    empty_server.send(traces(MANY))
    page.goto(f"{empty_server.url}/search")
    blocks = scatter(page).locator("a.narrow")
    expect(blocks.first).to_be_visible()
    title = blocks.first.locator("title").text_content() or ""
    blocks.first.click()
    page.wait_for_url("**from=**")
    count = int(re.findall(r": (\d+) trace", title)[0])
    expect(scatter(page).locator("a:not(.narrow)")).to_have_count(count)


def test_on_a_phone_the_facets_are_folded_and_nothing_is_wider_than_the_screen(server: Server, phone: Page) -> None:
    phone.goto(f"{server.url}/search")
    expect(phone.locator(".facet").first).to_be_hidden()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.get_by_text("Facets", exact=True).tap()
    phone.locator(".facet .pick", has_text="bank").tap()
    phone.wait_for_url("**bank**")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_a_phone_a_swipe_across_selects_and_one_down_scrolls(server: Server, phone: Page) -> None:
    phone.goto(f"{server.url}/search")
    assert phone.locator(".plot.upper").evaluate("(plot) => getComputedStyle(plot).touchAction") == "pan-y pinch-zoom"
    box = scatter(phone).bounding_box()
    assert box
    touches = phone.context.new_cdp_session(phone)
    for type_, part in [("touchStart", 0.2), ("touchMove", 0.3), ("touchMove", 0.5), ("touchEnd", None)]:
        at = [] if part is None else [{"x": box["x"] + part * box["width"], "y": box["y"] + 100}]
        touches.send("Input.dispatchTouchEvent", {"type": type_, "touchPoints": at})
    phone.wait_for_url("**from=**")
    assert asked(phone).keys() == {"from", "to"}


def test_without_scripts_bars_dots_and_facets_are_links(server: Server, page_without_scripts: Page) -> None:
    page = page_without_scripts
    page.goto(f"{server.url}/search")
    page.locator(".facet .pick", has_text="bank").click()
    expect(page.locator(".traces tbody")).to_have_count(10)
    page.locator(".plot.lower a").first.click()
    expect(scatter(page).locator("a")).to_have_count(1)
    scatter(page).locator("a").click()
    expect(page).to_have_url(f"{server.url}/trace/{trace_id('trace 0').hex()}")


@pytest.mark.parametrize("name", ["one trace", "the same moment", "no duration", "no time", "the end of time"])
def test_odd_results_are_drawn_within_the_plot(empty_server: Server, page: Page, name: str) -> None:
    last = 2**63 - 2
    spans = {
        "one trace": [span("a")],
        "the same moment": [span("a", trace=str(n), duration_ms=n + 1) for n in range(5)],
        "no duration": [span("a", trace=str(n), start_ms=n, duration_ms=0) for n in range(5)],
        "no time": [span("a", start_ns=0, end_ns=0), span("b", trace="b")],
        "the end of time": [span("a", start_ns=last - MS, end_ns=last), span("b", trace="b", start_ns=1, end_ns=last)],
    }[name]
    empty_server.send(spans)
    page.goto(f"{empty_server.url}/search")
    expect(scatter(page).locator("a").first).to_be_attached()
    plot = page.locator(".plot.upper").bounding_box()
    assert plot
    for dot in scatter(page).locator("a").all():
        box = dot.bounding_box()
        assert box
        assert plot["x"] <= box["x"] <= plot["x"] + plot["width"]
        assert plot["y"] <= box["y"] <= plot["y"] + plot["height"]


def test_a_click_lets_go_of_what_the_keys_selected(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    page.locator(".plot.upper").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".selection")).to_be_visible()
    page.locator(".plot.upper").click(position={"x": 3, "y": 3})
    expect(page.locator(".selection")).to_be_hidden()
    assert asked(page) == {}


def test_a_click_without_an_answer_is_no_longer_busy(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    page.route("**/search?q=*", lambda route: route.fulfill(status=503, body="later"))
    page.locator(".facet a.pick").first.click()
    expect(page.locator("#toast")).to_contain_text("503")
    expect(page.locator("#busy")).not_to_have_class(re.compile("htmx-request"))
