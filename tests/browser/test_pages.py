"""What a person does with the pages, in a real Chromium."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from minitrace.model import Attributes, Event, Kind, Span, Status, StatusCode
from tests.browser.conftest import Server, follow
from tests.samples import MS, T0, span, span_id, trace_id
from tests.web.test_xss import SAMPLES

pytestmark = pytest.mark.browser

CHECKOUT = f"/trace/{trace_id('checkout').hex()}"
HOSTILE = f"/trace/{trace_id('hostile').hex()}"
CHARGE = span_id("POST /charge").hex()


def _spans() -> list[Span]:
    failed = Status(StatusCode.ERROR, "card declined")
    stack: Attributes = {"exception.type": "CardError", "exception.stacktrace": "Traceback:\n  File x, line 1"}
    shop = [
        span("GET /checkout", trace="checkout", service="frontend", duration_ms=100, kind=Kind.SERVER),
        span("reserve", "GET /checkout", trace="checkout", service="stock", start_ms=5, duration_ms=10),
        span(
            "POST /charge",
            "GET /checkout",
            trace="checkout",
            service="payment",
            start_ms=20,
            duration_ms=70,
            status=failed,
            attributes={"http.request.method": "POST", "card.network": "visa", "body": "z" * 5000},
            events=[Event(T0 + 80 * MS, "exception", stack)],
        ),
        span("GET /cart", trace="cart", service="frontend", start_ms=2000),
    ]
    hostile = [span(SAMPLES[0], trace="hostile", id="root", start_ms=-5000)]
    hostile += [
        span(text, "root", trace="hostile", service=text[:40], attributes={text: text}, start_ms=-4999)
        for text in SAMPLES
    ]
    large = [span("large", trace="large", start_ms=-9000, duration_ms=2000)]
    large += [span(f"step {n}", "large", trace="large", start_ms=n - 9000) for n in range(1500)]
    return shop + hostile + large


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with a few traces."""
    with Server() as server:
        server.send(_spans())
        yield server


PAGES = [
    "/search",
    "/search?status=error&since=30d&min=1ms",
    "/search?min=abc&max=x&from=2026-01-01T00:00&to=soon",
    "/search?q=nothing-like-it",
    f"/search?q={'ab' * 16}",
    f"/search?q=script&service={'%3Cb%3E'}",
    "/search?attributes=card.network%3Dvisa",
    "/search?attributes=a-key-of-some-length-that-nothing-has%3D1",
    "/search?attributes=card.network%3D%22vis",
    "/search?service=payment&status=error&attributes=card.network%3Dvisa&q=declined",
    f"/search?q={quote('{ kind = server } >> { .card.network = `visa` && status = error } | by(name)')}",
    f"/search?q={quote('{ resource.service.name = `frontend` && duration > 10ms && kind => server }')}",
    f"/search?q={quote('{ span.kind = client } with(samples=true)')}",
    f"/search?q={quote('{ } | quantile_over_time(duration, 0.9) by(resource.service.name)')}",
    f"/search?q={quote('status = error')}",
    CHECKOUT,
    f"{CHECKOUT}?span={CHARGE}",
    f"{CHECKOUT}/span/{CHARGE}",
    HOSTILE,
    f"{HOSTILE}?span={span_id('root').hex()}",
    f"/trace/{trace_id('large').hex()}?page=2",
    "/trace/nonsense",
    "/nothing",
]


def test_from_the_search_to_a_span_and_back(server: Server, page: Page) -> None:
    page.goto(server.url)
    page.get_by_label("Words, a trace id or a log line").type("declined", delay=20)
    expect(page.locator(".traces .what")).to_have_text(["frontend GET /checkout"])
    expect(page).to_have_url(re.compile(r"/search\?q=declined$"))
    follow(page.get_by_role("link", name="GET /checkout"))
    expect(page).to_have_url(server.url + CHECKOUT)
    page.get_by_role("row", name="POST /charge").locator(".time").click()
    expect(page.locator("#detail h2")).to_have_text("POST /charge")
    expect(page.locator("#detail")).to_contain_text("card declined")
    expect(page).to_have_url(f"{server.url}{CHECKOUT}?span={CHARGE}")
    page.get_by_role("row", name="reserve").locator(".time").click()
    expect(page.locator("#detail h2")).to_have_text("reserve")
    page.go_back()
    expect(page.locator("#detail h2")).to_have_text("POST /charge")
    expect(page.locator(".row[aria-selected='true']")).to_contain_text("POST /charge")
    page.go_back()
    expect(page.locator("#detail h2")).to_have_count(0)
    page.go_back()
    expect(page.get_by_label("Words, a trace id or a log line")).to_have_value("declined")
    expect(page.locator(".traces .what")).to_have_text(["frontend GET /checkout"])


def test_a_trace_is_pinned_where_it_stands_with_the_keyboard_too(server: Server, page: Page) -> None:
    page.goto(server.url + CHECKOUT)
    page.get_by_role("row", name="reserve").locator(".time").click()
    expect(page.locator("#detail h2")).to_have_text("reserve")
    pin = page.locator("#pin button")
    pin.click()
    expect(pin).to_have_text("Unpin")
    expect(pin).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#detail h2")).to_have_text("reserve")  # nothing was loaded anew
    page.goto(f"{server.url}/search")
    expect(page.locator(".traces .what", has_text="GET /checkout").locator(".pinned")).to_be_visible()
    page.goto(server.url + CHECKOUT)
    pin.focus()
    page.keyboard.press("Enter")
    expect(pin).to_have_text("Pin")
    expect(pin).to_be_focused()
    page.keyboard.press("Space")
    expect(pin).to_have_text("Unpin")
    page.keyboard.press("Space")
    expect(pin).to_have_attribute("aria-pressed", "false")


def test_a_pasted_traceparent_opens_its_span(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    page.get_by_label("Words, a trace id or a log line").fill(f"00-{trace_id('checkout').hex()}-{CHARGE}-01")
    expect(page).to_have_url(f"{server.url}{CHECKOUT}?span={CHARGE}")


def test_a_slash_leads_to_the_search_box_of_the_page(server: Server, page: Page) -> None:
    page.goto(f"{server.url}{CHECKOUT}/span/{CHARGE}")
    page.keyboard.press("/")
    expect(page.get_by_label("Words, a trace id or a log line")).to_be_focused()
    page.keyboard.type("jk")
    expect(page.get_by_label("Words, a trace id or a log line")).to_have_value("jk")


def test_a_value_is_copied(server: Server, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{server.url}{CHECKOUT}/span/{CHARGE}")
    row = page.get_by_role("row", name="card.network")
    row.hover()
    row.get_by_role("button", name="Copy").click()
    expect(row.get_by_role("button")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "visa"


def test_the_first_run_notices_the_first_span_by_itself(empty_server: Server, page: Page) -> None:
    page.goto(empty_server.url)
    expect(page.get_by_role("status").first).to_contain_text("Waiting for your first span…")
    empty_server.send([span("GET /cart", trace="cart", service="checkout")])
    link = page.get_by_role("link", name="checkout: GET /cart (1 span)")
    expect(link).to_be_visible()
    link.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("GET /cart")


def test_the_first_run_shows_a_request_that_went_astray(empty_server: Server, page: Page) -> None:
    page.goto(empty_server.url)
    page.request.post(f"{empty_server.url}/v1/spans", data="x")
    expect(page.locator(".notes")).to_contain_text("POST /v1/spans 404")


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="no curl or no bash")
def test_the_curl_snippet_works_as_pasted(empty_server: Server, page: Page) -> None:
    page.goto(empty_server.url)
    page.get_by_text("curl", exact=True).click()
    snippet = page.locator("#code-curl").inner_text()
    subprocess.run(["bash", "-c", snippet], check=True, capture_output=True, timeout=20)
    expect(page.get_by_role("link", name="curl: hello (1 span)")).to_be_visible()


def test_the_first_run_without_scripts_moves_on(empty_server: Server, page_without_scripts: Page) -> None:
    page_without_scripts.goto(empty_server.url)
    page_without_scripts.get_by_text("Python", exact=True).click()
    expect(page_without_scripts.locator("#code-python")).to_contain_text("opentelemetry-instrument")
    empty_server.send([span("GET /cart", trace="cart")])
    expect(page_without_scripts).to_have_url(f"{empty_server.url}/search")


def test_it_is_dark_where_the_system_is(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(246, 246, 244)"
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(background) == "rgb(15, 18, 22)"


def test_the_switch_wins_over_the_system_and_is_kept(server: Server, page: Page) -> None:
    page.goto(f"{server.url}{CHECKOUT}?span={CHARGE}")
    with page.expect_response("**/theme"):
        page.get_by_role("button", name="Dark theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("body")).to_have_css("background-color", "rgb(15, 18, 22)")
    expect(page.locator("#detail h2")).to_have_text("POST /charge")  # nothing was loaded anew
    page.goto(f"{server.url}/search")
    expect(page.locator("body")).to_have_css("background-color", "rgb(15, 18, 22)")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_breaks_no_rule_of_its_policy(server: Server, page: Page, path: str) -> None:
    page.goto(server.url + path)
    expect(page.locator("html")).to_have_class("js")  # our modules ran
    assert page.evaluate("typeof htmx") == "object"
    assert page.locator("main script, main iframe, main img, main form form").count() == 0


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_shows_a_page_without_sideways_scrolling(server: Server, phone: Page, path: str) -> None:
    phone.goto(server.url + path)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_phone_opens_a_span(server: Server, phone: Page) -> None:
    phone.goto(server.url + CHECKOUT)
    phone.get_by_role("link", name="POST /charge").tap()
    expect(phone.locator("#detail h2")).to_be_in_viewport()
    phone.get_by_role("link", name="Close").tap()
    expect(phone.locator("#detail")).to_be_hidden()


def test_everything_works_without_scripts(server: Server, page_without_scripts: Page) -> None:
    page = page_without_scripts
    page.goto(f"{server.url}/search")
    page.get_by_label("Words, a trace id or a log line").fill("declined")
    page.locator("#f-status").select_option("error")
    page.locator("#f-attributes").fill("card.network=visa")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".traces .what")).to_have_text(["frontend GET /checkout"])
    page.get_by_role("link", name="GET /checkout").click()
    page.get_by_role("link", name="POST /charge").click()
    expect(page.locator("#detail h2")).to_have_text("POST /charge")
    page.get_by_role("link", name=CHARGE).click()
    expect(page).to_have_url(f"{server.url}{CHECKOUT}/span/{CHARGE}")
    page.get_by_role("link", name="Its trace").click()
    page.get_by_role("button", name="Dark theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page).to_have_url(f"{server.url}{CHECKOUT}?span={CHARGE}")
    for pressed, label in (("Pin", "Unpin"), ("Unpin", "Pin")):
        page.get_by_role("button", name=pressed, exact=True).click()
        expect(page.locator("#pin button")).to_have_text(label)
        expect(page).to_have_url(f"{server.url}{CHECKOUT}?span={CHARGE}")
    page.get_by_role("link", name="Close").click()
    expect(page.locator("#detail h2")).to_have_count(0)
