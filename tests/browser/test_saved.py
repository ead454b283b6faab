"""A trace saved as one file, opened from the disk by somebody who has no minitrace."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from minitrace.model import Event, Link, Span, Status, StatusCode
from minitrace.present import printable
from tests.browser.conftest import Server, watched
from tests.samples import MS, T0, record, span, span_id, trace_id
from tests.web.test_saved import hostile, many
from tests.web.test_xss import SAMPLES

pytestmark = pytest.mark.browser

CHARGE = span_id("POST /charge").hex()
STACK = "Traceback (most recent call last):\n  File x, line 1\nCardError: declined"


def shop() -> list[Span]:
    """A trace with a bit of everything."""
    raised = Event(T0 + 80 * MS, "exception", {"exception.type": "CardError", "exception.stacktrace": STACK})
    return [
        span("GET /checkout", service="frontend", duration_ms=100),
        *(span("SELECT", "GET /checkout", id=f"{n}", service="db", start_ms=n, attributes={"n": n}) for n in range(6)),
        span(
            "POST /charge",
            "GET /checkout",
            service="payment",
            start_ms=20,
            duration_ms=70,
            status=Status(StatusCode.ERROR, "card declined"),
            attributes={"card.network": "visa", "retries": 3, "body": "z" * 5000, "cart": '{"items": [1, 2]}'},
            events=[raised],
            links=[Link(trace_id("shop"), span_id("reserve"))],
        ),
        span("reserve", "POST /charge", service="stock", start_ms=30, duration_ms=5),
        span("lost", "nobody", service="stock", start_ms=40),
    ]


def strangers() -> list[Span]:
    """A span for each hostile text, with it in every field, below one root."""
    root = span("root", id="stranger 0")
    return [root] + [
        dataclasses.replace(hostile(text)[0], span_id=span_id(f"stranger {number}"), parent_id=root.span_id)
        for number, text in enumerate(SAMPLES, 1)
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Saved traces, by what they are about: where each is."""
    folder = tmp_path_factory.mktemp("saved")
    with Server() as server:
        for name, spans in {"shop": shop(), "many": many(1000), "strangers": strangers()}.items():
            server.send([dataclasses.replace(each, trace_id=trace_id(name)) for each in spans])
            if name == "shop":
                said = record("issuer says no", at_ms=25, trace=trace_id(name), span="POST /charge", severity=17)
                server.send_logs([said])
            answer = httpx.get(f"{server.url}/trace/{trace_id(name).hex()}/saved.html", timeout=30)
            (folder / f"{name}.html").write_bytes(answer.raise_for_status().content)
    return {path.stem: f"file://{path}" for path in folder.iterdir()}


def alone(context: BrowserContext) -> Iterator[Page]:
    """A page of an offline context that reports what goes wrong, and asks for nothing but the file itself."""
    problems: list[str] = []
    requests: list[str] = []
    page = watched(context, problems)
    page.on("request", lambda request: requests.append(request.url))
    yield page
    assert problems == []
    assert {url.partition("#")[0] for url in requests} == {page.url.partition("#")[0]}


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on a desk, in a light room."""
    with browser.new_context(offline=True, viewport={"width": 1280, "height": 800}, color_scheme="light") as context:
        yield from alone(context)


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A page on a phone, in the dark."""
    with browser.new_context(offline=True, viewport={"width": 390, "height": 844}, color_scheme="dark") as context:
        yield from alone(context)


def names(page: Page) -> list[str]:
    """The names of the rows that are seen."""
    return page.locator(".row:visible .name").all_inner_texts()


def test_it_opens_as_a_waterfall_with_runs_folded(files: dict[str, str], page: Page) -> None:
    page.goto(files["shop"])
    expect(page.locator(".row:visible")).to_have_count(5)
    assert names(page) == ["GET /checkout", "×6 SELECT", "POST /charge", "reserve", "lost"]
    expect(page.locator("#still")).to_have_count(0)
    expect(page).to_have_title("GET /checkout · minitrace")


def test_a_row_opens_its_details_and_back_closes_them(files: dict[str, str], page: Page) -> None:
    page.goto(files["shop"])
    page.get_by_role("row", name="POST /charge").locator(".time").click()
    detail = page.locator("#detail")
    expect(detail.locator("h2")).to_have_text("POST /charge")
    expect(page).to_have_url(re.compile(f"#span={CHARGE}$"))
    expect(detail.locator(".message.fault")).to_have_text("card declined")
    expect(detail.locator(".facts")).to_contain_text("70\u2009ms")
    expect(detail.locator("tr", has_text="retries")).to_contain_text("int")
    expect(detail.locator("pre", has_text="Traceback")).to_have_text(STACK)
    expect(detail.locator("pre", has_text="items")).to_have_text('{\n  "items": [\n    1,\n    2\n  ]\n}')
    expect(detail.locator("summary")).to_contain_text("show all 5\u2009000 characters")
    expect(detail.locator("h3")).to_have_text(["Attributes", "Events", "Links", "Logs", "Resource", "Scope"])
    page.go_back()
    expect(detail.locator("h2")).to_have_count(0)
    page.go_forward()
    expect(detail.locator("h2")).to_have_text("POST /charge")


def test_links_and_parents_lead_to_their_spans(files: dict[str, str], page: Page) -> None:
    page.goto(files["shop"] + f"#span={CHARGE}")
    detail = page.locator("#detail")
    detail.get_by_role("link", name=span_id("reserve").hex()).click()
    expect(detail.locator("h2")).to_have_text("reserve")
    detail.get_by_role("link", name=CHARGE).click()
    expect(detail.locator("h2")).to_have_text("POST /charge")
    page.keyboard.press("Escape")
    expect(detail.locator("h2")).to_have_count(0)


def test_a_parent_that_is_not_here_is_no_link(files: dict[str, str], page: Page) -> None:
    page.goto(f"{files['shop']}#span={span_id('lost').hex()}")
    facts = page.locator("#detail .facts")
    expect(facts).to_contain_text(f"{span_id('nobody').hex()}, not received")
    expect(facts.get_by_role("link")).to_have_count(0)


def test_the_verdict_leads_to_what_it_says(files: dict[str, str], page: Page) -> None:
    page.goto(files["shop"])
    page.locator(".verdict").get_by_role("link", name="1 error").click()
    expect(page.locator("#detail h2")).to_have_text("POST /charge")


@pytest.mark.parametrize(
    ("text", "found"),
    [("VISA", 1), ("card.network=visa", 1), ("carderror", 1), ("select", 6), ("n=3", 1), ("nothing like it", 0)],
)
def test_find_looks_at_names_and_at_all_attributes(files: dict[str, str], page: Page, text: str, found: int) -> None:
    page.goto(files["shop"])
    page.get_by_label("Find in this trace").last.fill(text)
    expect(page.locator(".found")).to_have_text(f"{found} found")


def test_a_spans_log_records_are_among_its_details_and_found(files: dict[str, str], page: Page) -> None:
    page.goto(f"{files['shop']}#span={CHARGE}")
    logs = page.locator("#detail .group", has=page.get_by_role("heading", name="Logs", exact=True))
    expect(logs).to_contain_text("issuer says no")
    expect(logs).to_contain_text("+5 ms ⨯ error")
    page.get_by_role("searchbox").fill("issuer says")
    expect(page.get_by_text("1 found")).to_be_visible()


def test_find_says_that_traceql_needs_minitrace(files: dict[str, str], page: Page) -> None:
    page.goto(files["shop"])
    page.locator("input[name=find]").fill("{ status = error }")
    expect(page.locator(".problem")).to_have_text("TraceQL needs minitrace; this file finds text")


def test_what_is_seen_is_in_the_address_and_comes_back_with_it(files: dict[str, str], page: Page) -> None:
    page.goto(files["shop"] + f"#span={CHARGE}&find=visa&only=1")
    expect(page.locator("#detail h2")).to_have_text("POST /charge")
    expect(page.locator("input[name=find]")).to_have_value("visa")
    expect(page.locator(".row:visible")).to_have_count(2)
    page.reload()
    expect(page.locator(".row:visible")).to_have_count(2)
    expect(page.locator("#detail h2")).to_have_text("POST /charge")


def test_what_a_file_cannot_do_is_not_offered(files: dict[str, str], page: Page) -> None:
    page.goto(files["shop"])
    page.get_by_text("Hide", exact=True).click()
    expect(page.get_by_label("No labels on untraced time")).to_be_visible()
    expect(page.locator("[name=runs], [name=skew]")).to_have_count(0)


def test_it_is_dark_where_the_reader_likes_it_dark(files: dict[str, str], phone: Page) -> None:
    phone.goto(files["shop"])
    expect(phone.locator(".row:visible")).to_have_count(5)
    assert phone.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 18, 22)"


def test_a_thousand_spans_are_there_and_only_those_in_sight_are_drawn(files: dict[str, str], page: Page) -> None:
    page.goto(files["many"])
    expect(page.get_by_role("treegrid")).to_have_attribute("aria-rowcount", "1000")
    assert page.locator(".row").count() < 100
    page.locator("input[name=find]").fill("user-987")
    expect(page.locator(".found")).to_have_text("1 found")
    page.locator("input[name=find]").press("Enter")
    expect(page.locator(".row.match:visible .name")).to_have_text("operation 25")


def test_hostile_telemetry_is_text(files: dict[str, str], page: Page) -> None:
    page.goto(files["strangers"])
    markup = "img, iframe, script, style, base, meta, form, svg, math, template, b[hx-get]"
    detail = page.locator("#detail")
    for number, text in enumerate(SAMPLES, 1):
        hex_id = span_id(f"stranger {number}").hex()
        page.evaluate(f"location.hash = 'span={hex_id}'")
        expect(detail.locator("code", has_text=hex_id).first).to_be_attached()
        assert printable(text) in detail.locator("h2").all_text_contents()
        assert printable(text) in detail.locator("th").all_text_contents()
        assert detail.locator(markup).count() == 0


def test_without_scripts_the_tree_is_there_as_text(files: dict[str, str], page_without_scripts: Page) -> None:
    page_without_scripts.goto(files["shop"])
    expect(page_without_scripts.locator("#still")).to_contain_text("├── db: ×6 SELECT")
    expect(page_without_scripts.locator("mt-trace")).to_be_hidden()
