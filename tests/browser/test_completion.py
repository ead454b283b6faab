"""The box for queries, as a person types into it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import FloatRect, Locator, Page, Route, expect

from minitrace.model import Kind
from tests.browser.conftest import Server
from tests.samples import span

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with two services; most spans are of the first."""
    with Server() as server:
        server.send(
            [
                span("GET /cart", trace="a", service="frontend", kind=Kind.SERVER, attributes={"http.route": "/cart"}),
                span('say "hi"', "GET /cart", trace="a", service="frontend"),
                span("charge", "GET /cart", trace="a", service="payment"),
            ]
        )
        yield server


@pytest.fixture
def box(server: Server, page: Page) -> Locator:
    """The empty box of the search page."""
    page.goto(f"{server.url}/search")
    return page.locator("mt-query textarea")


def options(page: Page) -> Locator:
    return page.locator("mt-query [role=option]")


def labels(page: Page) -> Locator:
    return page.locator("[role=option] b")


def write(box: Locator, text: str) -> None:
    """Types without a pause between the letters, however slow the machine is: the list is that of the whole text."""
    box.focus()
    box.evaluate("(field, text) => { for (const one of text) document.execCommand('insertText', false, one); }", text)


def rectangles(page: Page) -> list[FloatRect]:
    """Where the field and its list are."""
    found = [page.locator(f"mt-query {one}").bounding_box() for one in ("textarea", "[role=listbox]")]
    return [one for one in found if one]


def test_tab_waits_for_the_list_that_fits_what_was_typed_last(page: Page, box: Locator) -> None:
    held: list[Route] = []
    write(box, "{ ")
    expect(labels(page).first).to_have_text("name")
    page.route("**/_/complete?*", lambda route: held.append(route))
    with page.expect_request("**/_/complete?*"):
        write(box, "resource.serv")
        page.keyboard.press("Tab")
    expect(box).to_have_value("{ resource.serv")
    expect(box).to_be_focused()
    held[-1].continue_()
    expect(box).to_have_value(re.compile(r"^\{ resource\.service\.name"))


def test_a_query_is_written_with_the_keyboard_alone(page: Page, box: Locator) -> None:
    write(box, "{ resource.serv")
    expect(labels(page).first).to_have_text("resource.service.name")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(box).to_have_value("{ resource.service.name ")
    expect(labels(page).first).to_have_text("=")
    page.keyboard.press("Tab")
    expect(labels(page)).to_contain_text(["frontend", "payment"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(box).to_have_value('{ resource.service.name = "payment" ')
    box.press_sequentially("}")
    expect(page).to_have_url(re.compile(r"payment"))
    page.keyboard.press("Enter")
    expect(page.locator(".traces .what")).to_have_count(1)
    expect(box).to_be_focused()


def test_a_value_is_chosen_with_the_mouse_and_written_in_quotes(page: Page, box: Locator) -> None:
    write(box, "{ name = hi")
    expect(labels(page)).to_have_text(['say "hi"'])
    options(page).first.click()
    expect(box).to_have_value('{ name = "say \\"hi\\"" ')
    expect(box).to_be_focused()
    box.press_sequentially("}")
    expect(box).to_have_value('{ name = "say \\"hi\\"" }')


def test_a_choice_in_the_middle_takes_the_place_of_the_word_alone(page: Page, box: Locator) -> None:
    box.fill('{ na = "charge" && status = unset }')
    box.evaluate("(field) => field.setSelectionRange(4, 4)")
    page.keyboard.press("Control+ ")
    expect(labels(page).first).to_have_text("name")
    page.keyboard.press("Tab")
    expect(box).to_have_value('{ name = "charge" && status = unset }')
    assert box.evaluate("(field) => field.selectionStart") == 6


def test_what_was_chosen_can_be_undone(page: Page, box: Locator) -> None:
    write(box, "{ dur")
    expect(labels(page).first).to_have_text("duration")
    page.keyboard.press("Tab")
    expect(box).to_have_value("{ duration ")
    page.keyboard.press("Control+z")
    expect(box).to_have_value("{ dur")
    page.keyboard.press("Control+Shift+z")
    expect(box).to_have_value("{ duration ")


def test_a_choice_replaces_letters_that_came_after_the_list_too(page: Page, box: Locator) -> None:
    write(box, "{ du")
    expect(labels(page).first).to_have_text("duration")
    page.route("**/_/complete*", lambda _: None)  # is not answered
    write(box, "ra")
    page.keyboard.press("Tab")
    expect(box).to_have_value("{ duration ")


def test_escape_closes_the_list_and_nothing_else(page: Page, box: Locator) -> None:
    write(box, "{ sta")
    expect(options(page).first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("mt-query [role=listbox]")).to_be_hidden()
    expect(box).to_have_value("{ sta")
    page.keyboard.press("Control+ ")
    expect(options(page).first).to_be_visible()


def test_the_list_opens_only_when_somebody_types_or_asks(page: Page, box: Locator) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/_/complete" in request.url else None)
    box.focus()
    box.click()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Search", exact=True)).to_be_focused()
    assert asked == []
    box.focus()
    page.keyboard.press("Control+ ")
    expect(labels(page).first).to_have_text("name")
    assert len(asked) == 1


def test_enter_without_a_choice_submits_and_shift_enter_is_a_new_line(page: Page, box: Locator) -> None:
    write(box, "{ sta")
    expect(options(page).first).to_be_visible()
    height = box.evaluate("(field) => field.offsetHeight")
    page.keyboard.press("Shift+Enter")
    expect(box).to_have_value("{ sta\n")
    assert box.evaluate("(field) => field.offsetHeight") > height
    box.fill("{ status = unset }")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("status"))
    expect(page.locator("mt-query [role=listbox]")).to_be_hidden()


def test_words_lead_to_a_query(page: Page, box: Locator) -> None:
    write(box, "paym")
    expect(labels(page)).to_have_text(["payment"])
    page.keyboard.press("Tab")
    expect(box).to_have_value("paym")  # words are what they are, unless something was chosen
    box.focus()
    page.keyboard.press("Control+ ")
    options(page).first.click()
    expect(box).to_have_value('{ resource.service.name = "payment" }')


def test_a_screen_reader_is_told_what_the_list_says(page: Page, box: Locator) -> None:
    expect(box).to_have_attribute("role", "combobox")
    expect(box).to_have_attribute("aria-autocomplete", "list")
    expect(box).to_have_attribute("aria-expanded", "false")
    with page.expect_response(lambda answer: "/_/complete" in answer.url and "ki" in answer.url):  # the last one
        write(box, "{ ki")
    expect(options(page).filter(has_not_text="ki")).to_have_count(0)
    expect(box).to_have_attribute("aria-expanded", "true")
    controlled = box.get_attribute("aria-controls")
    expect(page.locator(f"#{controlled}")).to_have_role("listbox")
    expect(page.locator("[aria-selected=true]")).to_have_count(0)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowDown")
    first = options(page).first
    expect(first).to_have_attribute("aria-selected", "true")
    assert box.get_attribute("aria-activedescendant") == first.get_attribute("id")
    page.keyboard.press("Escape")
    expect(box).to_have_attribute("aria-expanded", "false")
    assert box.get_attribute("aria-activedescendant") is None


def test_what_a_morphed_page_takes_away_comes_back(page: Page, box: Locator) -> None:
    box.evaluate("""(field) => {
        field.removeAttribute("role");
        for (const one of field.parentNode.querySelectorAll("pre, ul, p")) one.remove();
    }""")
    write(box, "{ dur")
    expect(labels(page).first).to_have_text("duration")
    expect(box).to_have_attribute("role", "combobox")


def test_a_mistake_is_underlined_and_said(page: Page, box: Locator) -> None:
    write(box, "{ foo")
    write(box, " = 1 && sta")
    expect(page.locator("mt-query mark")).to_have_text("foo")
    expect(page.locator("mt-query [role=status]")).to_contain_text("unknown word foo")
    expect(box).to_have_attribute("aria-invalid", "true")
    box.fill("{ .foo = 1 }")
    expect(page.locator("mt-query mark")).to_have_count(0)
    expect(page.locator("mt-query [role=status]")).to_be_empty()
    assert box.get_attribute("aria-invalid") is None


def test_the_answer_to_an_older_text_is_not_shown(page: Page, box: Locator) -> None:
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        held.append(route) if "q=%7B&" in route.request.url else route.continue_()

    page.route("**/_/complete*", hold_the_first)
    with page.expect_request("**/_/complete?q=%7B&*"):
        box.press_sequentially("{")
    write(box, " name ")
    expect(labels(page).first).to_have_text("=")
    held[0].continue_()
    box.press_sequentially("=")
    expect(labels(page).first).to_have_text("GET /cart")


def test_letters_that_come_soon_after_each_other_are_asked_for_once(page: Page, box: Locator) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/_/" in request.url else None)
    write(box, "{ resource.service")
    expect(labels(page).first).to_have_text("resource.service.name")
    assert len(asked) == 1


def test_characters_beyond_the_first_plane_count_once(page: Page, box: Locator) -> None:
    box.fill('{ .a = "🛒🛒" && dur')
    expect(labels(page).first).to_have_text("duration")
    page.keyboard.press("Tab")
    expect(box).to_have_value('{ .a = "🛒🛒" && duration ')


def test_the_list_stands_where_the_word_begins_and_on_a_phone_below_the_box(
    server: Server, page: Page, phone: Page
) -> None:
    for one in (page, phone):
        one.goto(f"{server.url}/search")
        write(one.locator("mt-query textarea"), "{ .a = 1 && sta")
        expect(one.locator("mt-query [role=listbox]")).to_be_visible()
    field, shown = rectangles(page)
    assert field["x"] + 80 < shown["x"] < field["x"] + 140
    field, shown = rectangles(phone)
    assert (shown["x"], shown["width"]) == (field["x"], field["width"])
    assert shown["y"] > field["y"] + field["height"]


def test_a_touch_chooses(server: Server, phone: Page) -> None:
    phone.goto(f"{server.url}/search")
    box = phone.locator("mt-query textarea")
    write(box, "{ dur")
    options(phone).first.tap()
    expect(box).to_have_value("{ duration ")


def test_without_scripts_it_is_a_plain_field(server: Server, page_without_scripts: Page) -> None:
    page_without_scripts.goto(f"{server.url}/search")
    page_without_scripts.locator("mt-query textarea").fill("{ status = unset }")
    page_without_scripts.get_by_role("button", name="Search", exact=True).click()
    expect(page_without_scripts.locator("mt-query textarea")).to_have_value("{ status = unset }")
