"""Log records as a person finds them: by typing, from a line to its span, and from the span back."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server
from tests.samples import record, span, trace_id

pytestmark = pytest.mark.browser


def fill(server: Server) -> None:
    """A checkout that logs, and something beside it that has no trace."""
    server.send([span("checkout", trace="t", duration_ms=100), span("charge", "checkout", trace="t", start_ms=10)])
    server.send_logs(
        [
            record("starting", at_ms=-5),
            record("card accepted", at_ms=12, trace="t", span="charge", severity=9, attributes={"order": 7}),
            record("card declined\nfor good", at_ms=15, trace="t", span="charge", severity=17),
        ]
    )


def test_what_is_typed_narrows_the_list_and_is_the_address(empty_server: Server, page: Page) -> None:
    fill(empty_server)
    page.goto(f"{empty_server.url}/logs")
    expect(page.locator(".log li")).to_have_count(3)
    page.keyboard.press("/")
    page.keyboard.type("card")
    expect(page.locator(".log li")).to_have_count(2)
    page.get_by_label("Severity").select_option("error")
    expect(page.locator(".log li")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"/logs\?q=card&level=error"))
    page.go_back()
    expect(page.locator(".log li")).to_have_count(2)


def test_a_line_unfolds_and_leads_to_its_span_and_that_back_to_the_line(empty_server: Server, page: Page) -> None:
    fill(empty_server)
    page.goto(f"{empty_server.url}/logs?q=declined")
    page.locator(".log summary").click()
    expect(page.get_by_text("for good")).to_be_visible()
    page.get_by_role("link", name="span", exact=True).click()
    expect(page.get_by_role("complementary").get_by_role("heading", name="charge")).to_be_visible()
    said = page.get_by_role("complementary").locator(".log li")
    expect(said).to_have_count(2)
    expect(said.last).to_contain_text("⨯ error")
    page.get_by_role("link", name="Logs 2").click()
    expect(page.locator(".view-logs .log li")).to_have_count(2)


def test_a_row_has_ticks_for_what_its_span_logged(empty_server: Server, page: Page) -> None:
    fill(empty_server)
    page.goto(f"{empty_server.url}/trace/{trace_id('t').hex()}")
    row = page.get_by_role("row", name="charge")
    expect(row.locator("path.tick.fault")).to_have_attribute("d", re.compile("M"))
    expect(row.locator(".time")).to_have_attribute("title", re.compile("error: card declined"))


def test_without_scripts_the_form_finds_the_same(empty_server: Server, page_without_scripts: Page) -> None:
    fill(empty_server)
    page_without_scripts.goto(f"{empty_server.url}/logs")
    page_without_scripts.get_by_label("Words of log records, or a trace id").fill("accepted")
    page_without_scripts.get_by_role("button", name="Search").click()
    expect(page_without_scripts.locator(".log li")).to_have_count(1)
    page_without_scripts.locator(".log summary").click()
    expect(page_without_scripts.get_by_text("order")).to_be_visible()


def test_on_a_phone_it_fits(empty_server: Server, phone: Page) -> None:
    fill(empty_server)
    phone.goto(f"{empty_server.url}/logs")
    expect(phone.locator(".log li")).to_have_count(3)
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    phone.goto(f"{empty_server.url}/trace/{trace_id('t').hex()}?view=logs")
    expect(phone.locator(".log li")).to_have_count(2)
    assert phone.evaluate("document.documentElement.scrollWidth") == 390


def test_a_key_leads_to_the_logs(empty_server: Server, page: Page) -> None:
    page.goto(f"{empty_server.url}/runs")
    page.keyboard.press("g")
    page.keyboard.press("o")
    expect(page.get_by_text("No log record has come yet.")).to_be_visible()


def of_many(server: Server) -> str:
    """A trace whose spans log; its address."""
    spans = [span("checkout", trace="t", duration_ms=100)]
    spans += [span(f"step {n}", "checkout", trace="t", start_ms=n * 2, duration_ms=2) for n in range(50)]
    server.send(spans)
    said = [record(f"said {n}", at_ms=n * 2 + 1, trace="t", span=f"step {n}", severity=9) for n in range(50)]
    said += [record("too slow", at_ms=21, trace="t", span="step 10", severity=13)]
    said += [record("card declined", at_ms=81, trace="t", span="step 40", severity=17), record("of none", trace="t")]
    server.send_logs(said)
    return f"{server.url}/trace/{trace_id('t').hex()}"


def await_ticks(page: Page) -> None:
    """Until the lane has its records; its button is there before."""
    expect(page.locator("mt-lane path.plain")).to_have_attribute("d", re.compile("M"))


def test_a_lane_above_the_rows_has_a_tick_for_each_record_by_how_bad_it_is(empty_server: Server, page: Page) -> None:
    page.goto(of_many(empty_server))
    lane = page.locator("mt-lane")
    expect(lane.get_by_role("button", name="53 log records")).to_be_visible()
    for shape, count in (("plain", 51), ("warn", 1), ("fault", 1)):
        expect(lane.locator(f"path.{shape}")).to_have_attribute("d", re.compile(rf"^(M[^M]+){{{count}}}$"))
    page.goto(f"{page.url}?t=20ms,30ms")
    expect(lane.locator("path.warn")).to_have_attribute("d", re.compile("M"))
    expect(lane.locator("path.fault")).to_have_attribute("d", "")


def test_a_list_of_records_follows_the_time_in_sight_and_the_open_span(empty_server: Server, page: Page) -> None:
    page.goto(f"{of_many(empty_server)}?runs=0")
    await_ticks(page)
    page.keyboard.press("o")
    expect(page).to_have_url(re.compile(r"\?runs=0&logs=1$"))
    records = page.get_by_role("region", name="Log records")
    expect(records.get_by_role("status")).to_have_text("53")
    page.get_by_role("searchbox", name="Find in this trace").fill("step 30")
    page.get_by_role("searchbox", name="Find in this trace").press("Enter")
    page.get_by_role("row", name="step 30").click()
    expect(records.locator(".own")).to_contain_text("said 30")
    expect(records.locator(".own")).to_be_in_viewport()
    page.keyboard.press("z")
    expect(records.get_by_role("status")).to_have_text("1 of 53 in sight")
    expect(page).to_have_url(re.compile(r"t=60ms,62ms&runs=0&logs=1$"))
    page.reload()
    expect(records.get_by_role("option")).to_have_count(1)
    page.keyboard.press("0")
    page.reload()
    expect(records.locator(".own")).to_be_in_viewport()
    records.get_by_role("button", name="Close the list").click()
    expect(records).to_have_count(0)
    expect(page).not_to_have_url(re.compile("logs"))


def test_a_record_of_the_list_leads_to_its_span_by_pointer_and_by_keys(empty_server: Server, page: Page) -> None:
    page.goto(f"{of_many(empty_server)}?runs=0&logs=1")
    records = page.get_by_role("region", name="Log records")
    panel = page.get_by_role("complementary")
    records.get_by_text("of none").hover()
    expect(page.locator(".row.saying")).to_have_count(0)
    records.get_by_text("said 2", exact=True).hover()
    expect(page.locator(".row.saying")).to_have_attribute("aria-label", re.compile("step 2"))
    records.get_by_text("said 2", exact=True).click()
    expect(panel.get_by_role("heading", name="step 2")).to_be_visible()
    records.get_by_role("listbox").press("End")
    expect(records.locator("[aria-selected=true]")).to_contain_text("said 49")
    records.get_by_role("listbox").press("Enter")
    expect(panel.get_by_role("heading", name="step 49")).to_be_visible()
    expect(page.get_by_role("row", name="step 49")).to_be_in_viewport()


def test_a_record_points_at_the_row_that_hides_its_span(empty_server: Server, page: Page) -> None:
    page.goto(f"{of_many(empty_server)}?logs=1")
    page.get_by_role("region", name="Log records").get_by_text("said 2", exact=True).hover()
    expect(page.locator(".row.saying")).to_have_attribute("aria-label", re.compile("×50 step"))


def test_a_click_on_a_tick_opens_the_list_at_its_record(empty_server: Server, page: Page) -> None:
    page.goto(of_many(empty_server))
    lane = page.locator("mt-lane svg")
    await_ticks(page)
    box = lane.bounding_box()
    assert box
    lane.click(position={"x": box["width"] * 0.81, "y": 10})
    chosen = page.get_by_role("region", name="Log records").locator("[aria-selected=true]")
    expect(chosen).to_contain_text("card declined")
    expect(page.get_by_role("complementary").get_by_role("heading", name="step 40")).to_be_visible()


def test_ten_thousand_records_of_a_trace_are_listed_as_far_as_they_are_seen(empty_server: Server, page: Page) -> None:
    empty_server.send([span("checkout", trace="t", duration_ms=10_000)])
    empty_server.send_logs([record(f"said {n}", at_ms=n, trace="t", span="checkout") for n in range(10_050)])
    page.goto(f"{empty_server.url}/trace/{trace_id('t').hex()}?logs=1")
    records = page.get_by_role("region", name="Log records")
    expect(records.get_by_role("status")).to_have_text(re.compile("^10.050; the first 10.000 are listed$"))
    assert records.get_by_role("option").count() < 30
    records.get_by_role("listbox").press("End")
    expect(records.get_by_text("said 9999")).to_be_visible()
    page.evaluate("document.querySelector('mt-trace').timeline.do('+')")
    expect(page).to_have_url(re.compile("[?&]t="))
    assert records.get_by_role("option").count() < 30


def test_without_records_nothing_of_it_is_loaded(empty_server: Server, page: Page) -> None:
    empty_server.send([span("checkout", trace="t")])
    page.goto(f"{empty_server.url}/trace/{trace_id('t').hex()}?logs=1")
    expect(page.get_by_role("row", name="checkout")).to_be_visible()
    expect(page.locator("mt-lane, .records")).to_have_count(0)


def test_the_lane_is_no_part_of_a_phone_s_page_or_one_without_scripts(
    empty_server: Server, phone: Page, page_without_scripts: Page
) -> None:
    address = of_many(empty_server)
    phone.goto(f"{address}?logs=1")
    phone.locator("mt-lane button").wait_for(state="attached")
    page_without_scripts.goto(address)
    for page in (phone, page_without_scripts):
        expect(page.locator("mt-lane")).to_be_hidden()
        expect(page.get_by_role("link", name="Logs 53")).to_be_visible()
