"""The live tail as a person sees it: traces come by themselves, and wait while somebody reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from minitrace.model import Span, Status, StatusCode
from minitrace.otlp.encode import encode_export
from tests import running
from tests.browser.conftest import Server, watched
from tests.samples import span, trace_id

pytestmark = pytest.mark.browser

FAILED = Status(StatusCode.ERROR, "declined")


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    """One server for the tests that ask for traces of their own."""
    with Server() as server:
        yield server


def send(server: running.Server, *spans: Span) -> None:
    """Export spans to it."""
    headers = {"content-type": "application/x-protobuf"}
    assert httpx.post(f"{server.url}/v1/traces", content=encode_export(spans), headers=headers).status_code == 200


def one(name: str, service: str = "shop", **fields: object) -> Span:
    return span(name, trace=f"{service} {name}", service=service, **fields)  # type: ignore[arg-type]


def watch(page: Page, server: running.Server, service: str, more: str = "") -> Locator:
    """The names of the traces that are shown of a service, once the stream is open."""
    query = f"%7B%20resource.service.name%20%3D%20%22{service}%22%20%7D"
    with page.expect_response(re.compile("/live/stream")):
        page.goto(f"{server.url}/live?q={query}{more}")
    return page.locator("#list tbody tr:first-child .name")


def test_a_trace_arrives_on_top_and_an_update_stays_in_place(shared: Server, page: Page) -> None:
    send(shared, one("stored", "place"))
    names = watch(page, shared, "place")
    expect(names).to_have_text(["stored"])
    for name in ("first", "second"):
        send(shared, one(name, "place"))
        expect(names.first).to_have_text(name)
    send(shared, span("child", "first", trace="place first", service="place", status=FAILED))
    row = page.locator(f'tbody[data-trace="{trace_id("place first").hex()}"]')
    expect(row.locator(".spans").first).to_contain_text("2")
    expect(row.locator(".errors")).to_have_text("⨯ 1")
    expect(names).to_have_text(["second", "first", "stored"])


def test_what_does_not_match_is_not_shown(shared: Server, page: Page) -> None:
    names = watch(page, shared, "fits")
    expect(page.get_by_text("Waiting for traces that match.")).to_be_visible()
    send(shared, one("elsewhere", "other"), one("here", "fits"))
    expect(names).to_have_text(["here"])
    expect(page.get_by_text("Waiting for traces that match.")).to_be_hidden()


def test_while_paused_traces_are_held_and_counted(shared: Server, page: Page) -> None:
    names = watch(page, shared, "pause")
    page.keyboard.press("p")
    expect(page).to_have_url(re.compile(r"paused=1$"))
    for name in ("a", "b"):
        send(shared, one(name, "pause"))
    newer = page.get_by_role("button", name="2 new")
    expect(newer).to_be_visible()
    expect(names).to_have_count(0)
    newer.click()
    expect(names).to_have_text(["b", "a"])
    send(shared, one("c", "pause"))
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    page.get_by_role("link", name="Resume").click()
    expect(names).to_have_text(["c", "b", "a"])
    expect(page).not_to_have_url(re.compile("paused"))


def test_a_paused_address_is_paused(shared: Server, page: Page) -> None:
    names = watch(page, shared, "paused address", "&paused=1")
    send(shared, one("a", "paused address"))
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    expect(names).to_have_count(0)


def test_nothing_moves_under_the_pointer(shared: Server, page: Page) -> None:
    send(shared, one("read", "hover"))
    names = watch(page, shared, "hover")
    page.locator("#list tbody").hover()
    send(shared, one("new", "hover"))
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    expect(names).to_have_text(["read"])
    page.mouse.move(5, 5)
    expect(names).to_have_text(["new", "read"])


def test_nothing_moves_while_text_is_selected(shared: Server, page: Page) -> None:
    send(shared, one("read", "select"))
    names = watch(page, shared, "select")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#list .name'))")
    send(shared, one("new", "select"))
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    page.evaluate("getSelection().removeAllRanges()")
    expect(names).to_have_text(["new", "read"])


def test_nothing_moves_while_somebody_has_scrolled_down(shared: Server, page: Page) -> None:
    send(shared, *(one(str(number), "scroll", start_ms=number) for number in range(60)))
    names = watch(page, shared, "scroll")
    page.evaluate("scrollTo(0, 300)")
    send(shared, one("new", "scroll"))
    newer = page.get_by_role("button", name="1 new")
    expect(newer).to_be_in_viewport()
    expect(names.first).to_have_text("59")
    newer.click()
    expect(names.first).to_have_text("new")
    assert page.evaluate("scrollY") == 0


def test_there_are_never_more_than_500_rows(shared: Server, page: Page) -> None:
    names = watch(page, shared, "many")
    for hundred in range(6):
        send(shared, *(one(f"{hundred} {number}", "many", start_ms=100 * hundred + number) for number in range(100)))
        expect(names.first).to_have_text(f"{hundred} 99")  # a tab that lags behind is told of what it missed
    expect(names).to_have_count(500)
    expect(names.last).to_have_text("1 0")


def test_what_was_missed_is_said_below_what_came(shared: Server, page: Page) -> None:
    names = watch(page, shared, "too many")
    send(shared, *(one(str(number), "too many", start_ms=number) for number in range(450)))
    expect(page.locator("#list .gap")).to_contain_text("Some were missed: 50")
    expect(names).to_have_count(400)
    link = page.get_by_role("link", name="Search that time")
    expect(link).to_have_attribute("href", re.compile(r"^/search\?q=.*too\+many.*&from=2023-11-14T22%3A13%3A20"))


def test_errors_that_nobody_has_seen_redden_the_icon_until_they_are(shared: Server, page: Page) -> None:
    watch(page, shared, "red", "&paused=1")
    icon = page.locator("link[rel=icon]")
    send(shared, one("a", "red", status=FAILED), one("b", "red", status=FAILED), one("c", "red"))
    expect(page).to_have_title("(2 errors) Live · minitrace")
    expect(icon).to_have_attribute("href", re.compile("favicon-errors.svg$"))
    page.get_by_role("button", name="3 new").click()
    expect(page).to_have_title("Live · minitrace")
    expect(icon).to_have_attribute("href", re.compile("/favicon.svg$"))


@pytest.fixture
def lonely_page(browser: Browser) -> Iterator[Page]:
    """A page whose server may go away, of which htmx complains."""
    problems: list[str] = []
    with browser.new_context() as context:
        yield watched(context, problems)
    assert [problem for problem in problems if "htmx:sse:error" not in problem] == []


def test_a_server_that_was_started_again_goes_on_without_loss_or_repeats(tmp_path: Path, lonely_page: Page) -> None:
    page = lonely_page
    with running.Server(tmp_path / "a.db") as server:
        port = str(server.port)
        names = watch(page, server, "again")
        send(server, one("before", "again"))
        expect(names).to_have_text(["before"])
    expect(page.locator("#connection")).to_have_text("Connecting again…")
    with running.Server(tmp_path / "a.db", "--port", port) as server:
        send(server, one("meanwhile", "again"))
        expect(names).to_have_text(["meanwhile", "before"])
        expect(page.locator("#connection")).to_have_text("Live")
        send(server, one("after", "again"))
        expect(names).to_have_text(["after", "meanwhile", "before"])


def hide(page: Page, *, is_hidden: bool) -> None:
    """Tell the page that its tab went to the background, or came back."""
    page.evaluate(
        """(isHidden) => {
            Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        is_hidden,
    )


def test_a_tab_in_the_background_has_no_stream_and_catches_up_without_repeats(empty_server: Server, page: Page) -> None:
    names = watch(page, empty_server, "away")
    send(empty_server, one("before", "away"))
    expect(names).to_have_text(["before"])
    hide(page, is_hidden=True)
    send(empty_server, one("meanwhile", "away"))
    with page.expect_request(re.compile("/live/stream")) as again:
        hide(page, is_hidden=False)
    assert again.value.headers["last-event-id"] == "1"
    expect(names).to_have_text(["meanwhile", "before"])


def test_the_rate_is_shown_and_a_summary_is_spoken(shared: Server, page: Page) -> None:
    page.clock.install()
    watch(page, shared, "rate")
    send(shared, one("a", "rate"), one("b", "rate", status=FAILED))
    expect(page.locator("#list tbody")).to_have_count(2)
    page.clock.fast_forward(2_000)  # a rate is that of ten seconds, and the clock goes on meanwhile
    expect(page.locator("#rate")).to_have_text(re.compile(r"^\d\.\d traces/s, \d\.\d with errors$"))
    page.clock.fast_forward(9_000)
    expect(page.locator("#spoken")).to_have_text("2 new traces, 1 with errors")


def test_a_mistake_is_drawn_under_the_box(shared: Server, page: Page) -> None:
    page.goto(f"{shared.url}/live")
    page.get_by_role("combobox").fill("{ status = }")
    page.get_by_role("button", name="Watch").click()
    expect(page.get_by_role("alert")).to_contain_text("^")


def test_on_a_phone_it_fits(shared: Server, phone: Page) -> None:
    send(shared, one("checkout " + "long " * 40, "phone"))
    names = watch(phone, shared, "phone")
    expect(names).to_have_count(1)
    assert phone.evaluate("document.documentElement.scrollWidth") == 390


def test_without_scripts_the_page_loads_itself_again(shared: Server, page_without_scripts: Page) -> None:
    page = page_without_scripts
    page.goto(f"{shared.url}/live?q=noscript")
    expect(page.get_by_text("This page is loaded again every 3 s.")).to_be_visible()
    send(shared, one("noscript", "noscript"))
    expect(page.locator("#list tbody")).to_have_count(1)
    page.get_by_role("link", name="Pause").click()
    expect(page.get_by_text("This page stays as it is.")).to_be_visible()


def test_two_pages_show_the_same(shared: Server, page: Page, browser: Browser) -> None:
    names = watch(page, shared, "two")
    problems: list[str] = []
    with browser.new_context() as context:
        others = watch(watched(context, problems), shared, "two")
        send(shared, one("a", "two"))
        expect(names).to_have_text(["a"])
        expect(others).to_have_text(["a"])
    assert problems == []


def test_the_box_is_as_wide_as_the_page_and_completes(shared: Server, page: Page) -> None:
    send(shared, one("a", "complete"))
    page.goto(f"{shared.url}/live")
    box = page.get_by_role("combobox")
    width = box.evaluate("field => field.offsetWidth")
    assert width > 1000
    box.press_sequentially("{ resource.serv", delay=10)
    expect(page.get_by_role("option", name="resource.service.name")).to_be_visible()
    page.keyboard.press("Tab")
    expect(box).to_have_value(re.compile(r"^\{ resource\.service\.name"))
    page.reload()  # no list of before takes Enter
    box.fill('{ resource.service.name = "complete" }')
    page.keyboard.press("Enter")
    expect(page.locator("#list tr:first-child .name")).to_have_text(["a"])


def test_the_list_of_keys_has_those_of_the_page(shared: Server, page: Page) -> None:
    page.goto(f"{shared.url}/live")
    page.locator("#connection").click()
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("pause, and go on")
    page.keyboard.press("p")
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    expect(page).to_have_url(f"{shared.url}/live")
