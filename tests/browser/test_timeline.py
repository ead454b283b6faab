"""What a person does with the timeline of a trace, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from minitrace.model import Event, Kind, Link, Resource, Span, Status, StatusCode
from tests.browser.conftest import Server
from tests.samples import MS, T0, span, span_id, trace_id

pytestmark = pytest.mark.browser

FAILED = Status(StatusCode.ERROR, "card declined")
ALL = ["POST /pay", "GetCart", "SELECT stock", "POST /charge", "transfer", "audit", "instant", "call", "adjusted"]


def _shop() -> list[Span]:
    """A checkout with repeated queries, a failure from below, work that outlives its caller, and a wrong clock."""
    other_host = Resource({"service.name": "cart", "host.name": "other"})
    spans = [
        span("POST /pay", trace="pay", service="checkout", duration_ms=1240, kind=Kind.SERVER, status=FAILED),
        span("GetCart", "POST /pay", trace="pay", service="cart", start_ms=5, duration_ms=84, kind=Kind.CLIENT),
        span("POST /charge", "POST /pay", trace="pay", service="payment", start_ms=500, duration_ms=610, status=FAILED),
        span("transfer", "POST /charge", trace="pay", service="bank", start_ms=560, duration_ms=220, status=FAILED),
        span("audit", "POST /charge", trace="pay", service="audit", start_ms=1000, duration_ms=240),
        span("instant", "POST /charge", trace="pay", service="audit", start_ms=1001, duration_ms=0),
        span("call", "POST /pay", trace="pay", service="checkout", start_ms=1120, duration_ms=60, kind=Kind.CLIENT),
        span("adjusted", "call", trace="pay", start_ms=1100, duration_ms=20, kind=Kind.SERVER, resource=other_host),
    ]
    spans[2].events = [Event(T0 + 700 * MS, "retry"), Event(T0 + 1100 * MS, "exception")]
    spans[2].links = [Link(trace_id("other"), span_id("other"))]
    spans[3].attributes = {"card.network": "visa", "http.response.status_code": 502}
    return spans + [
        span(
            "SELECT stock",
            "POST /pay",
            id=f"query {n}",
            trace="pay",
            service="stock",
            start_ms=100 + n * 25,
            duration_ms=21,
        )
        for n in range(14)
    ]


def _large() -> list[Span]:
    spans = [span("large", trace="large", duration_ms=3000)]
    return spans + [
        span(f"step {n}", f"step {n - n % 10}" if n % 10 else "large", trace="large", start_ms=n, service=f"s{n % 12}")
        for n in range(3000)
    ]


NAMES = ["x" * 1000, "שלום עולם " * 8, "🦄" * 40, "a\u202eb", "\x07bell", "<b>bold</b>", "two\nlines"]


def _named() -> list[Span]:
    children = [span(name, "root", id=f"n{n}", trace="names", service=name[:60]) for n, name in enumerate(NAMES)]
    return [span("root", trace="names"), *children]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with a few traces."""
    with Server() as server:
        for spans in (_shop(), _large(), _named()):
            server.send(spans)
        yield server


def address(server: Server, trace: str, query: str = "") -> str:
    """Where a trace is seen."""
    return f"{server.url}/trace/{trace_id(trace).hex()}{query}"


def open_trace(server: Server, page: Page, trace: str = "pay", query: str = "") -> None:
    """Go to a trace, until its module draws it."""
    page.goto(address(server, trace, query))
    expect(page.locator("mt-trace.drawn")).to_be_attached()


def names(page: Page) -> Locator:
    """The names of all rows that are drawn, in order."""
    return page.locator(".row:not([hidden]) .name")


def row(page: Page, name: str) -> Locator:
    """The first row of this name."""
    return page.locator(".row:not([hidden])").filter(has=page.get_by_text(name, exact=True)).first


def press(page: Page, *keys: str) -> None:
    """Press keys one after another."""
    for key in keys:
        page.keyboard.press(key)


def chosen(page: Page) -> Locator:
    """The row whose span is open."""
    return page.locator(".row[aria-selected='true']")


def focused(page: Page) -> Locator:
    """The row that has the focus."""
    return page.locator(".row:focus")


def extent(page: Page, name: str, path: str = "span") -> tuple[float, float]:
    """Where a row's bar, or another of its paths, begins and ends on the screen."""
    box = row(page, name).locator(f"path.{path}").bounding_box()
    assert box
    return box["x"], box["x"] + box["width"]


ADDRESSES = [
    "",
    "?depth=1",
    "?depth=2",
    f"?x={span_id('POST /charge').hex()[:8]}",
    f"?x=r{span_id('query 0').hex()[:8]}",
    "?show=errors",
    "?show=errors,critical",
    "?show=slow&hide=payment",
    "?hide=stock&hide=audit",
    "?without=client",
    "?min=100ms",
    "?find=stock",
    "?find=visa&only=1",
    "?find=%7B%20duration%20%3E%20200ms%20%7D&only=1",
    f"?root={span_id('POST /charge').hex()}",
    f"?root={span_id('POST /charge').hex()}&depth=1",
    "?runs=0",
    "?skew=raw",
    "?t=500ms,600ms",
]


@pytest.mark.parametrize("query", ADDRESSES)
def test_the_module_shows_the_rows_that_the_server_prints(
    server: Server, page: Page, page_without_scripts: Page, query: str
) -> None:
    facts = """(rows) => rows.filter((row) => !row.hidden).map((row) => [
        row.querySelector(".of")?.textContent, row.querySelector(".open").textContent.replace(/^.*? /, ""),
        row.querySelector(".number").textContent, row.querySelector(".who").className, row.dataset.span,
        ...["level", "expanded", "selected", "rowindex"].map((name) => row.getAttribute(`aria-${name}`)),
        row.className.split(" ").filter((name) => name && name !== "current-match").sort().join(" ")].join("|"))"""
    page_without_scripts.goto(address(server, "pay", query))
    printed = page_without_scripts.locator(".row").evaluate_all(facts)
    with page.expect_response("**/find?*") if "find=" in query else page.expect_response("**/stream"):
        open_trace(server, page, "pay", query)
    expect(page.locator(".row:not([hidden])")).to_have_count(len(printed))
    assert page.locator(".row").evaluate_all(facts) == printed


def test_a_row_opens_its_span_and_back_and_forward_restore_it(server: Server, page: Page) -> None:
    open_trace(server, page)
    row(page, "GetCart").locator(".time").click()
    expect(page.locator("#detail h2")).to_have_text("GetCart")
    expect(page).to_have_url(address(server, "pay", f"?span={span_id('GetCart').hex()}"))
    expect(chosen(page)).to_contain_text("GetCart")
    row(page, "transfer").locator(".name").click()
    expect(page.locator("#detail h2")).to_have_text("transfer")
    page.go_back()
    expect(page.locator("#detail h2")).to_have_text("GetCart")
    expect(chosen(page)).to_contain_text("GetCart")
    page.go_back()
    expect(page.locator("#detail h2")).to_have_count(0)
    expect(chosen(page)).to_have_count(0)
    page.go_forward()
    page.go_forward()
    expect(page.locator("#detail h2")).to_have_text("transfer")


def test_a_double_click_zooms_to_a_span_and_leaves_one_entry(server: Server, page: Page) -> None:
    open_trace(server, page)
    row(page, "POST /charge").locator(".time").dblclick()
    expect(page).to_have_url(address(server, "pay", f"?span={span_id('POST /charge').hex()}&t=500ms,1110ms"))
    page.go_back()
    expect(page).to_have_url(address(server, "pay"))


def test_a_part_of_the_verdict_leads_to_its_span_without_a_reload(server: Server, page: Page) -> None:
    open_trace(server, page, query="?depth=1")
    page.evaluate("document.title = 'the same page'")
    page.locator(".verdict a.fault").click()
    expect(chosen(page)).to_contain_text("transfer")
    expect(chosen(page)).to_be_in_viewport()
    expect(page.locator("#detail h2")).to_have_text("transfer")
    assert page.title() == "the same page"


def test_filters_that_leave_nothing_say_so(server: Server, page: Page) -> None:
    open_trace(server, page, query="?min=1h")
    expect(names(page)).to_have_count(0)
    content = page.locator(".waterfall").evaluate("(list) => getComputedStyle(list, '::after').content")
    assert content == '"No span is left by these filters."'


def test_back_restores_how_far_the_list_was_scrolled(server: Server, page: Page) -> None:
    open_trace(server, page, "large", "?runs=0")
    scroller = page.locator(".scroller")
    scroller.evaluate("(list) => { list.scrollTop = 24 * 1000 + 7; }")
    row(page, "step 1005").locator(".time").click()
    expect(page.locator("#detail h2")).to_have_text("step 1005")
    press(page, "Home")
    expect(focused(page)).to_contain_text("large")
    page.go_back()
    expect(page.locator("#detail h2")).to_have_count(0)
    assert scroller.evaluate("(list) => list.scrollTop") == 24 * 1000 + 7
    page.reload()
    expect(row(page, "step 1005")).to_be_in_viewport()
    assert scroller.evaluate("(list) => list.scrollTop") == 24 * 1000 + 7


def test_keys_walk_fold_and_open_rows(server: Server, page: Page) -> None:
    open_trace(server, page)
    press(page, "j", "j", "j", "k")
    expect(focused(page)).to_contain_text("GetCart")
    press(page, "End")
    expect(focused(page)).to_contain_text("adjusted")
    press(page, "Home", "ArrowDown", "ArrowDown", "ArrowDown")
    expect(focused(page)).to_contain_text("POST /charge")
    press(page, "l")
    expect(focused(page)).to_contain_text("transfer")
    press(page, "h")
    expect(focused(page)).to_contain_text("POST /charge")
    press(page, "h")
    expect(focused(page)).to_have_attribute("aria-expanded", "false")
    expect(page).to_have_url(re.compile(rf"\?x={span_id('POST /charge').hex()[:8]}$"))
    expect(names(page)).to_have_count(len(ALL) - 3)
    press(page, "Space")
    expect(names(page)).to_have_count(len(ALL))
    expect(page).to_have_url(address(server, "pay"))
    press(page, "Enter")
    expect(page.locator("#detail h2")).to_have_text("POST /charge")
    expect(focused(page)).to_contain_text("POST /charge")
    press(page, "Escape")
    expect(page.locator("#detail h2")).to_have_count(0)
    expect(page).to_have_url(address(server, "pay"))
    press(page, "g")
    expect(focused(page)).to_contain_text("POST /pay")


def test_all_rows_are_folded_and_unfolded_by_level(server: Server, page: Page) -> None:
    open_trace(server, page)
    press(page, "[")
    expect(names(page)).to_have_text(["POST /pay"])
    press(page, "2")
    expect(page).to_have_url(address(server, "pay", "?depth=2"))
    expect(names(page)).to_have_count(5)
    page.get_by_title("Unfold one level").click()
    expect(names(page)).to_have_count(len(ALL))
    page.get_by_title("Fold one level more").click()
    expect(names(page)).to_have_count(5)
    press(page, "]")
    expect(names(page)).to_have_count(len(ALL) + 14)
    expect(page).to_have_url(re.compile(r"\?x=r[0-9a-f]{8}$"))


def test_repeated_siblings_are_one_row_that_unfolds(server: Server, page: Page) -> None:
    open_trace(server, page)
    run = page.locator(".row.run")
    expect(run.locator(".open")).to_contain_text("×14 SELECT stock")
    expect(run.locator(".number")).to_have_text("Σ\u00a0294\u2009ms".replace("\u00a0", " "))
    run.click()
    expect(names(page)).to_have_count(len(ALL) + 14)
    expect(page.locator("#detail h2")).to_have_count(0)
    run.locator(".fold").click()
    expect(names(page)).to_have_count(len(ALL))


def test_a_folded_row_tells_of_the_errors_below_it(server: Server, page: Page) -> None:
    open_trace(server, page, query=f"?x={span_id('POST /charge').hex()[:6]}")
    charge = row(page, "POST /charge")
    expect(charge).to_have_class(re.compile("below"))
    expect(charge).to_have_accessible_name(
        re.compile(r"^payment, POST /charge, error, 610.ms, 49% of trace, level 2, 3 children")
    )
    expect(charge).to_have_accessible_name(re.compile("1 error below"))
    press(page, "[")
    expect(row(page, "POST /pay")).to_have_accessible_name(re.compile("2 errors below"))


def test_errors_are_visited_from_where_they_began(server: Server, page: Page) -> None:
    open_trace(server, page)
    press(page, "[", "e")
    expect(focused(page)).to_contain_text("transfer")
    press(page, "e")
    expect(focused(page)).to_contain_text("POST /charge")
    press(page, "E")
    expect(focused(page)).to_contain_text("transfer")


def test_names_are_found_while_they_are_typed_and_walked_with_n(server: Server, page: Page) -> None:
    open_trace(server, page)
    press(page, "/")
    box, status = page.get_by_role("searchbox", name="Find in this trace"), page.locator(".found")
    expect(box).to_be_focused()
    box.type("select")
    expect(status).to_have_text("14 found")
    expect(page).to_have_url(address(server, "pay", "?find=select"))
    press(page, "Enter")
    expect(status).to_have_text("1 of 14")
    expect(page.locator(".row.match")).to_have_count(14)  # what hid them is unfolded
    expect(box).to_be_focused()
    press(page, "Shift+Enter")
    expect(status).to_have_text("14 of 14")
    row(page, "GetCart").focus()
    press(page, "n", "n")
    expect(status).to_have_text("2 of 14")
    press(page, "N")
    expect(page.locator(".row.current-match")).to_have_attribute("data-span", span_id("query 0").hex())
    press(page, "/", "Escape")
    expect(box).to_have_value("")
    expect(page.locator(".row.match")).to_have_count(0)


def test_attributes_and_traceql_are_found_and_matches_can_stand_alone(server: Server, page: Page) -> None:
    open_trace(server, page)
    box = page.get_by_role("searchbox", name="Find in this trace")
    box.fill("visa")
    expect(page.locator(".found")).to_have_text("1 found")
    page.get_by_text("Only matches").click()
    expect(names(page)).to_have_text(["POST /pay", "POST /charge", "transfer"])
    expect(page.locator(".row.context")).to_have_count(2)
    expect(page).to_have_url(address(server, "pay", "?find=visa&only=1"))
    box.fill("{ duration > 200ms }")
    expect(names(page)).to_have_text(["POST /pay", "POST /charge", "transfer", "audit"])
    box.fill("{ duration > }")
    expect(page.locator("#find-problem")).to_contain_text("expected")
    box.fill("")
    expect(page.locator("#find-problem")).to_be_empty()
    expect(names(page)).to_have_count(len(ALL))


def test_rows_are_filtered_and_the_address_says_how(server: Server, page: Page) -> None:
    open_trace(server, page)
    page.get_by_text("Errors 3").click()
    expect(names(page)).to_have_text(["POST /pay", "POST /charge", "transfer"])
    expect(page).to_have_url(address(server, "pay", "?show=errors"))
    press(page, "c")
    expect(page).to_have_url(address(server, "pay", "?show=errors&show=critical"))
    page.get_by_text("Errors 3").click()
    press(page, "c")
    expect(page).to_have_url(address(server, "pay"))
    page.locator(".hiding summary").click()
    page.locator(".hiding").get_by_label("checkout").check()
    expect(page.locator(".row.context")).to_have_count(3)  # what is hidden, and the run, have others below them
    page.get_by_label("Shorter than").fill("100ms")
    expect(names(page)).to_have_text(["POST /pay", "POST /charge", "transfer", "audit"])
    expect(page).to_have_url(address(server, "pay", "?hide=checkout&min=100ms"))
    page.go_back()
    expect(page).not_to_have_url(re.compile("hide"))  # filters replaced the entry: back leaves the trace


def test_repetitions_are_ungrouped_without_a_reload(server: Server, page: Page) -> None:
    open_trace(server, page)
    page.evaluate("document.title = 'the same page'")
    page.locator(".hiding summary").click()
    page.get_by_label("Do not group repeated spans").check()
    expect(names(page)).to_have_count(len(ALL) + 13)
    expect(page.locator(".row.run")).to_have_count(0)
    assert page.title() == "the same page"


def test_keys_zoom_to_a_span_and_along_the_time(server: Server, page: Page) -> None:
    open_trace(server, page)
    row(page, "transfer").focus()
    press(page, "z")
    expect(page).to_have_url(address(server, "pay", "?t=560ms,780ms"))
    left, right = extent(page, "transfer")
    time = page.locator(".ruler").bounding_box()
    assert time
    assert abs(left - time["x"]) < 2
    assert abs(right - time["x"] - time["width"]) < 2
    expect(page.locator(".ruler span").first).to_have_text("560\u2009ms")
    press(page, "Shift+ArrowRight")
    expect(page).to_have_url(address(server, "pay", "?t=604ms,824ms"))
    press(page, "+")
    expect(page).to_have_url(address(server, "pay", "?t=659ms,769ms"))
    press(page, "-", "-", "-", "-")
    expect(page).to_have_url(address(server, "pay"))
    press(page, "z", "0")
    expect(page.locator(".ruler span").first).to_have_text("0")
    expect(page).to_have_url(address(server, "pay"))


def test_the_map_zooms_by_dragging_and_a_click_beside_ends_it(server: Server, page: Page) -> None:
    open_trace(server, page)
    box = page.locator(".map").bounding_box()
    assert box

    def drag(begin: float, end: float) -> None:
        page.mouse.move(box["x"] + box["width"] * begin, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * end, box["y"] + 20, steps=4)
        page.mouse.up()

    drag(0.5, 0.25)
    expect(page).to_have_url(re.compile(r"\?t=3(09|10|11)[.\d]*ms,6(19|20|21)[.\d]*ms$"))
    drag(0.5, 0.75)  # the window's right edge
    expect(page).to_have_url(re.compile(r"\?t=3(09|10|11)[.\d]*ms,9(29|30|31)[.\d]*ms$"))
    page.mouse.click(box["x"] + 5, box["y"] + 20)
    expect(page).to_have_url(address(server, "pay"))


def test_the_wheel_zooms_at_the_pointer_and_scrolls_otherwise(server: Server, page: Page) -> None:
    open_trace(server, page)
    _, right = extent(page, "GetCart")
    page.mouse.move(right, 330)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    expect(page).to_have_url(re.compile(r"t="))
    assert abs(extent(page, "GetCart")[1] - right) < 2
    before = page.url
    page.keyboard.down("Shift")
    page.mouse.wheel(0, 200)
    page.keyboard.up("Shift")
    expect(page).not_to_have_url(before)


def test_a_subtree_is_looked_at_alone(server: Server, page: Page) -> None:
    open_trace(server, page)
    row(page, "POST /charge").focus()
    press(page, "r")
    expect(names(page)).to_have_text(["POST /charge", "transfer", "audit", "instant"])
    expect(page.locator(".row").first).to_have_attribute("aria-level", "1")
    expect(page).to_have_url(address(server, "pay", f"?root={span_id('POST /charge').hex()}"))
    page.go_back()
    expect(names(page)).to_have_count(len(ALL))
    page.go_forward()
    expect(names(page)).to_have_count(4)
    press(page, "u")
    expect(names(page)).to_have_count(len(ALL))


def test_escape_goes_back_one_layer_at_a_time(server: Server, page: Page) -> None:
    charge = span_id("POST /charge").hex()
    open_trace(server, page, query=f"?span={charge}&find=audit&root={charge}&t=500ms,700ms")
    left = ["find=audit", "span=", "t=", "root="]
    while left:
        for part in left:
            expect(page).to_have_url(re.compile(rf"[?&]{part}"))
        press(page, "Escape")
        gone = left.pop(0)
        expect(page).not_to_have_url(re.compile(rf"[?&]{gone}"))
    expect(page).to_have_url(address(server, "pay"))


def test_a_copied_link_shows_the_same_to_someone_else(server: Server, page: Page, page_without_scripts: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_trace(server, page)
    row(page, "POST /charge").focus()
    press(page, "h", "z", "Enter")
    expect(page.locator("#detail h2")).to_have_text("POST /charge")
    press(page, "y")
    expect(page.locator(".found")).to_have_text("link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    page_without_scripts.goto(link)
    expect(page_without_scripts.locator("#detail h2")).to_have_text("POST /charge")
    expect(page_without_scripts.locator(".row")).to_have_count(len(ALL) - 3)
    expect(page_without_scripts.locator(".ruler span").nth(2)).to_contain_text("805")
    press(page, "Y")
    expect(page.locator(".found")).to_have_text("span id copied")
    assert page.evaluate("navigator.clipboard.readText()") == span_id("POST /charge").hex()


def test_keys_do_nothing_while_somebody_types_or_holds_a_modifier(server: Server, page: Page) -> None:
    open_trace(server, page)
    row(page, "POST /pay").focus()
    press(page, "Control+j", "Alt+z", "Control+[")
    expect(names(page)).to_have_count(len(ALL))
    expect(focused(page)).to_contain_text("POST /pay")
    page.get_by_role("searchbox", name="Find in this trace").press_sequentially("[jz")
    expect(page).to_have_url(re.compile(r"find=%5Bjz$"))
    expect(names(page)).to_have_count(len(ALL))


def test_the_keys_are_listed_and_lead_to_the_next_view(server: Server, page: Page) -> None:
    open_trace(server, page)
    press(page, "?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    press(page, "j", "Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    expect(focused(page)).to_have_count(0)
    press(page, "v")
    expect(page).to_have_url(address(server, "pay", "?view=flame"))


def test_the_name_column_is_widened_with_keys_and_pointer(server: Server, page: Page) -> None:
    open_trace(server, page)
    divider = page.get_by_role("separator", name="Width of the names")
    before = extent(page, "POST /pay")[0]
    divider.focus()
    press(page, "ArrowRight", "ArrowRight")
    expect(divider).to_have_attribute("aria-valuenow", "44")
    wider = extent(page, "POST /pay")[0]
    assert wider > before + 20
    box = divider.bounding_box()
    assert box
    page.mouse.move(box["x"] + 3, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] - 200, box["y"] + 10, steps=3)
    page.mouse.up()
    assert extent(page, "POST /pay")[0] < before
    width = divider.get_attribute("aria-valuenow")
    page.reload()
    expect(divider).to_have_attribute("aria-valuenow", width or "")


def test_own_time_is_solid_where_no_child_is_running(server: Server, page: Page) -> None:
    open_trace(server, page)
    charge = row(page, "POST /charge")
    pieces = charge.locator("path.own").get_attribute("d") or ""
    assert pieces.count("M") == 2  # before the transfer, and between it and the audit, which goes on to the end
    scale = (extent(page, "POST /pay")[1] - extent(page, "POST /pay")[0]) / 1240
    left = extent(page, "POST /charge", "own")[0]
    assert abs(extent(page, "transfer")[0] - left - 60 * scale) < 1.5


def test_what_is_special_about_a_span_is_drawn(server: Server, page: Page) -> None:
    open_trace(server, page)
    over = row(page, "audit").locator("path.over").get_attribute("d") or ""
    beyond = extent(page, "audit")[1] - extent(page, "POST /charge")[1]
    begin, end = (float(number) for number in re.findall(r"[MH]([\d.]+)", over))
    assert abs(end - begin - beyond) < 1.5
    charge = row(page, "POST /charge")
    expect(charge.locator("path.tick.fault")).to_have_attribute("d", re.compile("^M"))
    expect(charge.locator(".time")).to_have_attribute("title", re.compile("retry"))
    expect(charge.locator(".who")).to_contain_text("⇢1")
    expect(row(page, "transfer").locator(".pill")).to_have_text("502")
    expect(row(page, "adjusted").locator(".badge")).to_contain_text("clock +")
    expect(row(page, "instant").locator("path.span")).to_have_attribute("d", re.compile("l4 4-4 4-4-4z"))
    expect(row(page, "transfer").locator("path.critical")).to_have_attribute("d", re.compile("^M"))
    members = page.locator(".row.run path.members").get_attribute("d") or ""
    assert members.count("M") == 14


def test_untraced_time_is_labelled_unless_it_is_not_wanted(server: Server, page: Page) -> None:
    open_trace(server, page)
    expect(page.locator("text.gap").first).to_contain_text("untraced")
    page.locator(".hiding summary").click()
    page.get_by_label("No labels on untraced time").check()
    expect(page.locator("text.gap")).to_have_count(0)


def test_only_the_rows_in_sight_exist_and_the_focused_one(server: Server, page: Page) -> None:
    open_trace(server, page, "large", "?runs=0")
    row(page, "step 3").focus()
    scroller = page.locator(".scroller")
    for top in (20_000, 40_000, 60_000):
        scroller.evaluate("(list, top) => { list.scrollTop = top; }", top)
        expect(row(page, f"step {top // 24 + 5}")).to_be_in_viewport()
    assert page.locator(".row").count() < 120
    expect(focused(page)).to_contain_text("step 3")
    press(page, "j")
    expect(focused(page)).to_contain_text("step 4")
    expect(focused(page)).to_be_in_viewport()
    press(page, "End")
    expect(focused(page)).to_contain_text("step 2999")
    expect(focused(page)).to_have_attribute("aria-rowindex", "3001")


def test_a_selected_row_far_down_comes_into_view(server: Server, page: Page) -> None:
    open_trace(server, page, "large", f"?span={span_id('step 2400').hex()}&runs=0")
    expect(chosen(page)).to_be_in_viewport()
    expect(chosen(page)).to_contain_text("step 2400")


def test_a_row_never_moves_when_rows_above_it_fold(server: Server, page: Page) -> None:
    open_trace(server, page, "large", "?runs=0")
    page.locator(".scroller").evaluate("(list) => { list.scrollTop = 24 * 1000; }")
    focus = row(page, "step 1010")
    focus.focus()
    before = focus.bounding_box()
    press(page, "2")
    expect(page.locator(".waterfall")).to_have_attribute("aria-rowcount", "301")
    assert focus.bounding_box() == before


def test_names_of_any_kind_stay_in_their_rows(server: Server, page: Page) -> None:
    open_trace(server, page, "names")
    heights = page.locator(".row:not([hidden])").evaluate_all("(rows) => rows.map((row) => row.offsetHeight)")
    assert heights == [24] * (len(NAMES) + 1)
    expect(page.locator(".waterfall")).to_contain_text("a\\u202eb")
    expect(page.locator(".waterfall")).to_contain_text("\\x07bell")
    assert page.locator(".waterfall b").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_spans_that_arrive_move_neither_selection_nor_scroll(empty_server: Server, page: Page) -> None:
    server = empty_server
    server.send(_large()[:1500])
    with page.expect_response("**/stream"):
        open_trace(server, page, "large", "?runs=0")
    scroller = page.locator(".scroller")
    scroller.evaluate("(list) => { list.scrollTop = 24 * 700 + 11; }")
    row(page, "step 705").click()
    expect(page.locator("#detail h2")).to_have_text("step 705")
    before = chosen(page).bounding_box()
    late = [span(f"late {n}", "large", trace="large", start_ms=0.5, duration_ms=1) for n in range(7)]
    server.send([*late, *_large()[1500:]])
    expect(page.locator("#summary")).to_contain_text("3\u2009008 spans")
    expect(page.locator(".waterfall")).to_have_attribute("aria-rowcount", re.compile("300[2-8]"))
    assert chosen(page).bounding_box() == before
    expect(chosen(page)).to_contain_text("step 705")
    press(page, "Home", "j", "j")
    expect(focused(page)).to_be_in_viewport()


def test_a_phone_folds_and_opens_rows(server: Server, phone: Page) -> None:
    open_trace(server, phone)
    fold = row(phone, "POST /charge").locator(".fold")
    box = fold.bounding_box()
    assert box
    assert min(box["width"], box["height"]) >= 24
    fold.tap()
    expect(names(phone)).to_have_count(len(ALL) - 3)
    row(phone, "GetCart").locator(".name").tap()
    expect(phone.locator("#detail h2")).to_be_in_viewport()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_form_works_without_scripts(server: Server, page_without_scripts: Page) -> None:
    page = page_without_scripts
    page.goto(address(server, "pay"))
    page.get_by_role("searchbox", name="Find in this trace").fill("visa")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".row.match .name")).to_have_text("transfer")


def test_a_subtree_is_drawn_where_it_was(server: Server, page: Page) -> None:
    open_trace(server, page)
    row(page, "POST /pay").focus()
    before = extent(page, "POST /pay")
    press(page, "r")
    expect(page.get_by_text("Only what is below one span.")).to_be_visible()
    assert extent(page, "POST /pay") == pytest.approx(before, abs=1)


def test_the_other_views_keep_what_is_seen(server: Server, page: Page) -> None:
    open_trace(server, page)
    page.get_by_label("Errors").check()
    expect(page.get_by_role("link", name="Table")).to_have_attribute("href", re.compile(r"view=table&.*show=errors"))
    page.get_by_role("link", name="Table").click()
    page.get_by_role("link", name="Timeline").click()
    expect(page.get_by_label("Errors")).to_be_checked()


def test_a_menu_closes_with_escape_and_with_a_click_elsewhere(server: Server, page: Page) -> None:
    open_trace(server, page, query="?find=pay")
    menu = page.locator(".menu", has_text="Share")
    menu.locator("summary").click()
    expect(menu).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    menu.locator("summary").click()
    page.locator("h1").click()
    expect(menu).not_to_have_attribute("open", "")
    expect(page).to_have_url(address(server, "pay", "?find=pay"))


def test_the_keys_work_beside_the_other_views(server: Server, page: Page) -> None:
    page.goto(address(server, "pay", "?view=json"))
    press(page, "?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    press(page, "Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    press(page, "v")
    expect(page).to_have_url(address(server, "pay"))
