"""Traces that are hard to show, in a real Chromium: large, deep, wide, empty of time, oddly named, torn apart."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from minitrace.model import Trace
from minitrace.present import printable
from tests.browser.conftest import Server
from tests.hard import TRACES
from tests.samples import span_id, trace_id

pytestmark = pytest.mark.browser

MOST_DRAWN = 100  # rows in the document, however many there are
PLAIN = [name for name in TRACES if name not in ("all orphans", "everything")]  # every parent is there, no clock is off


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with all of them."""
    with Server() as server:
        for make in TRACES.values():
            server.send(make())
        yield server


def open_trace(server: Server, page: Page, name: str, query: str = "") -> None:
    """Go to a trace, until its module draws it."""
    page.goto(f"{server.url}/trace/{trace_id(name).hex()}{query}")
    expect(page.locator("mt-trace.drawn .row").first).to_be_attached()


def rows(page: Page) -> Locator:
    """All rows that are drawn."""
    return page.locator(".row:not([hidden])")


def row(page: Page, id: str) -> Locator:
    """The row of a span."""
    return page.locator(f".row:not([hidden])[data-span='{span_id(id).hex()}']")


def seen(row: Locator) -> tuple[float, float, float]:
    """Where a row's bar begins and ends, as far as it is not cut off, and how wide it could be; in pixels."""
    bar, time = row.locator("path.span").bounding_box(), row.locator(".time").bounding_box()
    assert bar
    assert time
    left, right = bar["x"] - time["x"], bar["x"] - time["x"] + bar["width"]
    return max(left, 0), min(right, time["width"]), time["width"]


@pytest.mark.parametrize("name", PLAIN)
def test_the_rows_are_those_of_the_tree_in_its_order(server: Server, page: Page, name: str) -> None:
    open_trace(server, page, name, "?runs=0")
    spans = TRACES[name]()
    expected = [printable(node.span.name) or "(no name)" for node in Trace(spans[0].trace_id, spans).rows()]
    drawn = rows(page).evaluate_all(
        """(rows) => rows.map((row) => [row.getBoundingClientRect().top, row.querySelector(".name").textContent])
            .sort(([a], [b]) => a - b).map(([, name]) => name)"""
    )
    assert 0 < len(drawn) <= MOST_DRAWN
    assert drawn == expected[: len(drawn)]
    expect(page.locator(".waterfall")).to_have_attribute("aria-rowcount", str(len(expected)))


@pytest.mark.parametrize("name", TRACES)
def test_a_desk_shows_it_without_sideways_scrolling(server: Server, page: Page, name: str) -> None:
    open_trace(server, page, name, f"?span={TRACES[name]()[-1].span_id.hex()}")
    expect(page.locator("#detail h2")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    sticking_out = page.locator(".sheet, .row:not([hidden]), .who, #detail").evaluate_all(
        "(all) => all.filter((each) => each.getBoundingClientRect().right > innerWidth).length"
    )
    assert sticking_out == 0


@pytest.mark.parametrize("name", TRACES)
def test_a_phone_shows_every_view_without_sideways_scrolling(server: Server, phone: Page, name: str) -> None:
    for view in ("timeline", "flame", "table", "stats", "services", "json"):
        phone.goto(f"{server.url}/trace/{trace_id(name).hex()}?view={view}")
        expect(phone.locator("mt-trace.drawn .row, section.view").first).to_be_attached()
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390, view


def test_thirty_roots_stand_beside_each_other(server: Server, page: Page) -> None:
    open_trace(server, page, "thirty roots", "?runs=0&depth=1")
    expect(page.locator(".waterfall")).to_have_attribute("aria-rowcount", "30")
    expect(page.locator(".row:not([hidden])[aria-level='1'][aria-setsize='30']")).to_have_count(rows(page).count())
    expect(page.locator("#summary")).to_contain_text("30 spans are roots")


def test_a_deep_trace_is_indented_up_to_a_level_and_then_says_it(server: Server, page: Page) -> None:
    open_trace(server, page, "deep")
    offset = "(row) => row.querySelector('.name').getBoundingClientRect().left"
    indents = [row(page, f"descend {n}").evaluate(offset) for n in (0, 1, 2)]
    assert indents[0] < indents[1] < indents[2]
    expect(row(page, "descend 2").locator(".deeper")).to_be_empty()
    page.keyboard.press("j")
    page.keyboard.press("End")
    last = page.locator(".row:focus")
    expect(last.locator(".name")).to_have_text("descend 1999")
    expect(last).to_have_attribute("aria-level", "2000")
    expect(last.locator(".deeper")).to_have_text("↳1999")
    assert last.evaluate(offset) < page.locator(".divider").evaluate("(line) => line.getBoundingClientRect().left")


def test_a_parent_of_twenty_thousand_folds_and_unfolds_with_few_rows_drawn(server: Server, page: Page) -> None:
    open_trace(server, page, "wide")
    grid = page.locator(".waterfall")
    expect(rows(page)).to_have_count(3)
    page.locator(".row.run", has_text="INSERT row").locator(".fold").click()
    expect(grid).to_have_attribute("aria-rowcount", "10003")
    page.keyboard.press("End")
    expect(row(page, "child 19999")).to_be_in_viewport()
    assert page.locator(".row").count() <= MOST_DRAWN
    page.keyboard.press("]")
    expect(grid).to_have_attribute("aria-rowcount", "20003")
    assert page.locator(".row").count() <= MOST_DRAWN
    page.keyboard.press("[")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_have_attribute("aria-expanded", "false")


def test_a_millisecond_within_two_days_is_seen_and_zoomed_to(server: Server, page: Page) -> None:
    open_trace(server, page, "two days")
    flush = row(page, "flush")
    left, right, width = seen(flush)
    assert 1 <= right - left < 3
    assert abs(left / width - 20 / 48) < 0.01
    flush.focus()
    page.keyboard.press("z")
    expect(page).to_have_url(re.compile(r"\?t=72000000ms,72000001ms$"))
    expect(flush).to_be_focused()
    left, right, width = seen(flush)
    assert right - left > width * 0.98


def test_what_took_no_time_is_seen(server: Server, page: Page) -> None:
    open_trace(server, page, "no duration", "?runs=0")
    expect(rows(page)).to_have_count(9)
    for each in rows(page).all():
        left, right, _ = seen(each)
        assert right - left >= 4
    expect(page.locator(".map .window")).to_be_hidden()  # all of no time is no part of it


def test_sixty_services_are_all_there(server: Server, page: Page) -> None:
    open_trace(server, page, "sixty services")
    expect(page.locator("#summary")).to_contain_text("60 services")
    page.locator(".hiding summary").click()
    hidden = page.locator(".hiding input[name=hide]")
    expect(hidden).to_have_count(60)
    hidden.last.scroll_into_view_if_needed()
    expect(hidden.last).to_be_in_viewport()
    page.goto(f"{page.url}?view=stats")
    expect(page.locator(".groups tbody tr")).to_have_count(60)


def test_names_from_right_to_left_leave_the_other_columns_alone(server: Server, page: Page) -> None:
    open_trace(server, page, "strange names")
    columns = """(row) => [".of", ".name", ".number", ".time"]
        .map((part) => row.querySelector(part).getBoundingClientRect().left)"""
    places = [each.evaluate(columns) for each in rows(page).all()]
    assert all(place == sorted(place) for place in places)
    assert len({(number, time) for _, _, number, time in places}) == 1
    disguised = row(page, "name 6").locator(".name")
    expect(disguised).to_have_text(re.compile(r"\\x1b\[31mred\\u202egnp\.exe$"))


def test_orphans_stand_below_the_parent_that_is_missing(server: Server, page: Page) -> None:
    open_trace(server, page, "all orphans")
    expect(page.locator("#summary h1")).to_contain_text("root not received")
    missing = page.locator(".row.missing")
    expect(missing).to_have_count(5)
    first = missing.first
    expect(first).to_contain_text(f"missing parent {span_id('lost 0').hex()}")
    expect(first).to_have_attribute("aria-level", "1")
    expect(page.locator(".row:not([hidden])[aria-level='2'][aria-setsize='4']")).to_have_count(20)
    expect(page.locator(".row:not([hidden]) .name").nth(1)).to_have_text("task 0")
    first.locator(".fold").click()
    expect(rows(page)).to_have_count(21)


def test_one_span_is_the_whole_picture(server: Server, page: Page) -> None:
    open_trace(server, page, "one span")
    left, right, width = seen(rows(page))
    assert (left, right) == pytest.approx((0, width), abs=1)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#detail h2")).to_have_text("backup")


def test_each_thing_that_a_row_can_show_is_shown(server: Server, page: Page) -> None:
    open_trace(server, page, "everything")
    expect(page.locator(".row.run")).to_contain_text("×14")
    expect(row(page, "POST /checkout").locator(".pill")).to_have_text("500")
    expect(row(page, "charge").locator(".who .fault")).to_be_visible()
    expect(row(page, "charge").locator("path.fault")).not_to_have_attribute("d", "")
    expect(row(page, "charge card")).to_contain_text(re.compile(r"−4\.6.s"))
    expect(row(page, "send mail")).to_contain_text("⇢1")
    expect(row(page, "send mail").locator("path.over")).not_to_have_attribute("d", "")
    expect(row(page, "lost child")).to_contain_text(f"parent {span_id('nobody').hex()} not received")
    expect(row(page, "mark").locator("path.span")).to_be_visible()
