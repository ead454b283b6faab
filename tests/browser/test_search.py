"""What a person does with the search page, in a real Chromium."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Page, Request, Route, expect

from minitrace.model import Kind, Span, Status, StatusCode
from tests.browser.conftest import Server, follow
from tests.samples import T0, span, trace_id

pytestmark = pytest.mark.browser

FAILED = Status(StatusCode.ERROR, "card declined")
CHECKOUT = f"/trace/{trace_id('checkout').hex()}"


def _spans() -> list[Span]:
    shop = [
        span("GET /checkout", trace="checkout", service="frontend", duration_ms=100, kind=Kind.SERVER),
        span("POST /charge", "GET /checkout", trace="checkout", service="payment", start_ms=20, duration_ms=70,
             status=FAILED, attributes={"card.network": "visa", "http.request.method": "POST"}),
    ]  # fmt: skip
    return shop + [
        span("GET /cart", trace=f"cart {n}", service="frontend", start_ms=1000 + n, duration_ms=10 + n)
        for n in range(60)
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with a checkout that failed, and sixty carts."""
    with Server() as server:
        server.send(_spans())
        yield server


def asked(page: Page) -> dict[str, str]:
    """The parameters of the page's address."""
    return dict(parse_qsl(urlsplit(page.url).query))


def results(page: Page) -> list[str]:
    """The names of the traces, in order."""
    return page.locator(".traces .what .name").all_inner_texts()


def searches(page: Page) -> list[Request]:
    """The requests of the page for results, from now on."""
    found: list[Request] = []
    page.on("request", lambda request: found.append(request) if "/search" in request.url else None)
    return found


def test_half_a_second_of_typing_is_one_request_and_no_step_back(server: Server, page: Page) -> None:
    page.clock.install()
    page.goto(f"{server.url}/search")
    page.clock.pause_at(page.evaluate("Date.now()") + 1000)
    steps = page.evaluate("history.length")
    sent = searches(page)
    for letter in "declined":
        page.locator("#q").press_sequentially(letter)
        page.clock.run_for(62)
    assert sent == []
    page.clock.resume()
    expect(page.locator(".traces .what")).to_have_text(["frontend GET /checkout"])
    assert [dict(parse_qsl(urlsplit(one.url).query))["q"] for one in sent] == ["declined"]
    assert asked(page) == {"q": "declined"}
    assert page.evaluate("history.length") == steps
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#q")).to_have_value("declined")


def test_a_change_of_a_field_writes_the_query_and_is_a_step_back(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    box = page.locator("#q")
    page.locator("#f-service").select_option("payment")
    expect(box).to_have_value('{ resource.service.name = "payment" }')
    expect(page.locator(".traces .what")).to_have_text(["frontend GET /checkout"])
    assert asked(page) == {"q": '{ resource.service.name = "payment" }'}
    page.get_by_label("Span takes at least").fill("50ms")
    page.keyboard.press("Tab")
    expect(box).to_have_value('{ resource.service.name = "payment" && duration >= 50ms }')
    expect(page.get_by_label("Span takes at most")).to_be_focused()
    page.locator("#f-service").select_option("")
    expect(box).to_have_value("{ duration >= 50ms }")
    page.go_back()
    expect(box).to_have_value('{ resource.service.name = "payment" && duration >= 50ms }')
    expect(page.locator("#f-service")).to_have_value("payment")
    expect(page.get_by_label("Span takes at least")).to_have_value("50ms")
    page.go_back()
    expect(box).to_have_value('{ resource.service.name = "payment" }')
    page.go_forward()
    expect(box).to_have_value('{ resource.service.name = "payment" && duration >= 50ms }')


def test_what_is_typed_into_the_box_is_shown_in_the_fields(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    box = page.locator("#q")
    box.press_sequentially("{ status = error && .card.network = `visa` }", delay=2)
    expect(page.locator("#f-status")).to_have_value("error")
    expect(page.locator("#f-attributes")).to_have_value("card.network=visa")
    expect(box).to_have_value("{ status = error && .card.network = `visa` }")
    expect(box).to_be_focused()
    page.locator("#f-status").select_option("")
    expect(box).to_have_value('{ .card.network = "visa" }')
    box.fill("{ }")
    expect(page.locator("#f-attributes")).to_have_value("")
    box.fill("declined")
    expect(page.locator(".traces .what")).to_have_text(["frontend GET /checkout"])
    page.locator("#f-service").select_option("frontend")
    expect(page.locator(".empty")).to_contain_text("No trace matches")
    assert asked(page) == {"q": "declined", "service": "frontend"}
    expect(box).to_have_value("declined")


def test_mistakes_are_shown_while_a_query_is_typed_and_the_results_stay(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    box, found, alert = page.locator("#q"), page.locator(".traces .what"), page.locator("#asked [role=alert]")
    expect(found).to_have_count(50)
    box.press_sequentially("{ kind = server } >> { status = ", delay=5)
    expect(alert.locator("pre")).to_contain_text("{ kind = server } >> { status =")
    expect(alert).to_be_hidden()  # nothing moves under whoever types: the box underlines what cannot be meant
    page.keyboard.press("Enter")
    expect(alert).to_be_visible()
    expect(found).to_have_count(50)
    expect(page).to_have_url(f"{server.url}/search")
    box.press_sequentially("error }", delay=5)
    expect(found).to_have_text(["frontend GET /checkout"])
    expect(alert).to_have_count(0)
    expect(page.locator(".matched")).to_contain_text("payment POST /charge")


def test_a_mistake_in_a_field_is_said_beside_it(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    found = page.locator(".traces .what")
    page.get_by_label("Span takes at least").fill("50")
    page.keyboard.press("Tab")
    expect(page.locator("#min-problem")).to_have_text("Write a number and a unit, such as 250ms, 1.5s or 2m.")
    field = page.locator("#f-attributes")
    field.fill('card.network="vis')
    page.keyboard.press("Tab")
    expect(page.locator("#attributes-problem")).to_contain_text("At character 14: this quote is not closed")
    expect(found).to_have_count(50)
    expect(page).to_have_url(f"{server.url}/search")
    page.get_by_label("Span takes at least").fill("50ms")
    field.fill("card.network=visa")
    page.keyboard.press("Tab")
    expect(found).to_have_text(["frontend GET /checkout"])
    expect(page.locator("#min-problem")).to_be_empty()
    expect(page.locator("#q")).to_have_value('{ .card.network = "visa" && duration >= 50ms }')


def test_a_head_sorts_the_whole_result_and_pages_go_on(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    page.get_by_role("columnheader", name="Duration").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="Duration")).to_have_attribute("aria-sort", "descending")
    assert results(page)[0] == "GET /checkout"  # the oldest, which the newest page had not
    page.get_by_role("columnheader", name="Duration").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="Duration")).to_have_attribute("aria-sort", "ascending")
    assert asked(page) == {"sort": "duration"}
    page.get_by_role("link", name="Next traces").click()
    expect(page.locator(".traces .what")).to_have_count(11)
    assert results(page)[-1] == "GET /checkout"
    page.get_by_role("link", name="First traces").click()
    expect(page.locator(".traces .what")).to_have_count(50)


def test_columns_are_chosen_and_stay_while_one_searches(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search?q=declined")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Services", exact=True).uncheck()
    page.get_by_label("An attribute", exact=True).fill("card.network")
    follow(page.get_by_role("button", name="Show"))
    expect(page.get_by_role("columnheader").last).to_have_text("card.network")
    expect(page.get_by_role("cell", name="visa").first).to_be_visible()
    assert asked(page)["cols"] == "started,trace,duration,spans,errors,.card.network"
    page.locator("#f-status").select_option("error")
    expect(page.get_by_role("columnheader").last).to_have_text("card.network")
    expect(page).to_have_url(re.compile("status=error"))
    assert asked(page)["cols"] == "started,trace,duration,spans,errors,.card.network"


def test_a_column_is_taken_away(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    page.get_by_text("Columns").click()
    page.locator(".columns").get_by_label("Duration").uncheck()
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("columnheader", name="Started")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Duration")).to_have_count(0)
    assert asked(page) == {"cols": "started,trace,spans,errors,services"}


def test_operations_lead_to_their_traces(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    page.get_by_role("link", name="Operations", exact=True).click()
    first = page.locator(".groups tbody tr").first
    expect(first).to_contain_text("GET /cart")
    expect(first.get_by_role("cell").nth(1)).to_contain_text("60")
    page.locator(".groups").get_by_role("link", name="GET /checkout").click()
    expect(page.locator("#q")).to_have_value('{ rootServiceName = "frontend" && rootName = "GET /checkout" }')
    expect(page.locator(".traces .what")).to_have_text(["frontend GET /checkout"])


def test_a_relative_time_is_frozen_and_followed_again(empty_server: Server, page: Page) -> None:
    empty_server.send([span("GET /cart", trace="now", start_ms=_since_t0_ms())])
    page.goto(f"{empty_server.url}/search?since=1h")
    expect(page.locator(".traces .what")).to_have_count(1)
    page.get_by_role("link", name="Freeze").click()
    assert asked(page).keys() == {"since", "from", "to"}
    expect(page.locator(".traces .what")).to_have_count(1)
    empty_server.send([span("GET /cart", trace="later", start_ms=_since_t0_ms() + 60_000)])
    page.reload()
    expect(page.locator(".traces .what")).to_have_count(1)
    page.get_by_role("link", name="Last hour again").click()
    expect(page.locator(".traces .what")).to_have_count(2)
    assert asked(page) == {"since": "1h"}


def test_a_chosen_period_takes_the_place_of_exact_times(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search?from=2023-11-14T22:14:00Z")
    page.locator("#since").select_option("15m")
    expect(page).to_have_url(f"{server.url}/search?since=15m")
    expect(page.locator("[name=from]")).to_have_value("")


def test_what_was_submitted_is_offered_again_until_it_is_forgotten(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    expect(page.locator("#recent")).to_be_hidden()
    for question in ("declined", "{ status = error }", "declined"):
        page.locator("#q").fill(question)
        page.get_by_role("button", name="Search", exact=True).click()
    page.reload()
    page.get_by_text("Recent", exact=True).click()
    expect(page.locator("#recent li")).to_have_text(["declined", "{ status = error }"])
    page.get_by_role("link", name="{ status = error }").click()
    expect(page.locator("#q")).to_have_value("{ status = error }")
    page.get_by_text("Recent", exact=True).click()
    page.get_by_role("button", name="Forget these").click()
    expect(page.locator("#recent")).to_be_hidden()
    page.reload()
    expect(page.locator("#recent")).to_be_hidden()


def test_keys_go_through_the_results_and_open_one(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search?sort=-duration")
    page.locator(".tally").click()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".traces .what a").first).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("jk")
    expect(page.locator("#q")).to_have_value("jk")
    page.goto(f"{server.url}/search?sort=-duration")
    page.locator(".tally").click()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_url(server.url + CHECKOUT)
    page.go_back()
    expect(page).to_have_url(f"{server.url}/search?sort=-duration")


def test_what_is_typed_before_the_answer_to_a_field_comes_is_kept(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        route.continue_() if held else held.append(route)

    page.route("**/search?*", hold_the_first)
    with page.expect_request("**/search?*service=payment*"):
        page.locator("#f-service").select_option("payment")
    page.locator("#q").press_sequentially("{ status")
    held[0].continue_()
    page.locator("#q").press_sequentially(" = error }")
    expect(page.locator("#f-status")).to_have_value("error")
    expect(page.locator("#q")).to_have_value("{ status = error }")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#q")).to_have_value('{ status = error && resource.service.name = "payment" }')


def test_a_mistake_is_said_once(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    said, told = page.locator("mt-query [role=status]"), page.locator("#asked [role=alert]")
    page.locator("#q").press_sequentially("{ foo = 1 }", delay=5)
    expect(said).to_contain_text("unknown word foo")
    expect(told.locator("pre")).to_contain_text("foo")
    expect(told).to_be_hidden()
    page.locator("#f-status").select_option("error")
    expect(told).to_be_visible()
    expect(said).to_be_empty()
    page.locator("#q").press_sequentially(" ")
    expect(said).to_contain_text("unknown word foo")
    expect(told).to_be_hidden()


def test_the_keys_of_the_search_are_listed(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    page.locator(".tally").click()
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("next, previous result")
    inside, key = keys.bounding_box(), keys.locator("dt").last.locator("kbd").bounding_box()
    assert inside is not None
    assert key is not None
    assert key["y"] > inside["y"] + 100  # beside what it does, not in the corner of the dialog
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()


def test_an_example_is_opened_with_the_keyboard(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    page.get_by_text("TraceQL by example").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#q")).to_have_value("{ status = error }")
    expect(page.locator(".traces .what")).to_have_text(["frontend GET /checkout"])


def test_every_word_of_the_attributes_is_completed(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/search")
    offered = page.locator("#attribute-keys option[value$='card.network=']")
    expect(offered).to_have_attribute("value", "card.network=")
    page.locator("#f-attributes").press_sequentially("http.request.method=POST ")
    expect(offered).to_have_attribute("value", "http.request.method=POST card.network=")


def test_it_works_without_scripts(server: Server, page_without_scripts: Page) -> None:
    page = page_without_scripts
    page.goto(f"{server.url}/search")
    page.locator("#f-status").select_option("error")
    page.get_by_label("Span takes at least").fill("50ms")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#q")).to_have_value("{ status = error && duration >= 50ms }")
    assert asked(page) == {"q": "{ status = error && duration >= 50ms }"}
    page.locator("#q").fill("{ duration >= 50ms }")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#f-status")).to_have_value("")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Services", exact=True).uncheck()
    page.get_by_role("button", name="Show").click()
    assert asked(page) == {"q": "{ duration >= 50ms }", "cols": "started,trace,duration,spans,errors"}
    page.get_by_label("Span takes at least").fill("soon")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#min-problem")).to_contain_text("Write a number and a unit")
    page.get_by_label("Span takes at least").fill("5ms")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#q")).to_have_value("{ duration >= 5ms }")


def test_a_phone_sorts_by_a_menu_and_opens_a_trace(server: Server, phone: Page) -> None:
    phone.goto(f"{server.url}/search")
    phone.locator(".sorting summary").tap()
    phone.get_by_role("link", name="Longest first").tap()
    expect(phone).to_have_url(f"{server.url}/search?sort=-duration")
    phone.get_by_role("link", name="Operations", exact=True).tap()
    expect(phone.locator(".groups .what")).to_have_count(2)
    expect(phone.locator(".groups .what .service").first).to_be_visible()  # many have a GET /healthz
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.go_back()
    phone.get_by_role("link", name="GET /checkout").tap()
    expect(phone).to_have_url(server.url + CHECKOUT)


def _since_t0_ms() -> float:
    """Half a minute ago, as `span` takes it."""
    return (time.time_ns() - T0) / 1e6 - 30_000
