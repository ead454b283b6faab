"""Files dropped on a page, or chosen: looked at, imported, taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from minitrace.web.documents import Format, document
from tests.browser.conftest import Server
from tests.browser.test_accessibility import violations
from tests.samples import span, trace_id

pytestmark = pytest.mark.browser

CART = [span("GET /cart", trace="cart"), span("SELECT", "GET /cart", trace="cart", service="db")]
CART_PATH = f"/trace/{trace_id('cart').hex()}"


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with one trace, which is in no file."""
    with Server() as server:
        server.send([span("GET /", trace="here")])
        yield server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a trace, as a Collector writes it, cut off."""
    path = tmp_path / "collector.jsonl"
    path.write_text("".join(document([CART], Format.JSONL)) + '{"resourceSpans":[')
    return path


def span_count(server: Server) -> int:
    traces = httpx.get(f"{server.url}/api/search?limit=100").json()["traces"]
    return sum(int(count["spanCount"]) for trace in traces for count in trace["serviceStats"].values())


class Drag:
    """Files that somebody drags, as the browser gets them from the desk."""

    def __init__(self, page: Page, *files: Path) -> None:
        self._session = page.context.new_cdp_session(page)
        self._data: dict[str, Any] = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}

    def __call__(self, type_: str) -> None:
        self._session.send("Input.dispatchDragEvent", {"type": type_, "x": 200, "y": 300, "data": self._data})


@pytest.mark.parametrize("path", ["/search", f"/trace/{trace_id('here').hex()}", "/import"])
def test_a_file_dropped_on_a_page_is_shown_and_imported_when_asked(
    server: Server, page: Page, file: Path, path: str
) -> None:
    page.goto(server.url + path)
    expect(page.locator("html")).to_have_class("js")
    drag = Drag(page, file)
    drag("dragEnter")
    expect(page.locator("link[href$='drop.css']")).to_be_attached()
    drag("dragOver")
    expect(page.get_by_text("Drop to see what is in it")).to_be_visible()
    drag("drop")
    expect(page.get_by_role("heading", name="Import 1 trace?")).to_be_visible()
    expect(page.get_by_text("line 2: ")).to_be_visible()
    assert span_count(server) == 1
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("2 spans are new.")).to_be_visible()
    assert span_count(server) == 3
    page.get_by_role("link", name="Show the trace").click()
    expect(page).to_have_url(server.url + CART_PATH)
    page.go_back()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("2 spans are gone.")).to_be_visible()
    assert span_count(server) == 1


def test_how_far_a_large_import_is_shows_until_its_end(server: Server, page: Page, tmp_path: Path) -> None:
    traces = [
        [span(f"{n}", trace=f"t{n // 100}", attributes={"n": n}) for n in range(m, m + 100)]
        for m in range(0, 20_000, 100)
    ]
    (tmp_path / "large.jsonl").write_text("".join(document(traces, Format.JSONL)))
    page.goto(server.url + "/import")
    page.get_by_label("Files").set_input_files(tmp_path / "large.jsonl")
    page.get_by_role("button", name="Show what is in them").click()
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_text("20\u2009000 spans are new.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("20\u2009000 spans are gone.")).to_be_visible()


def test_files_that_are_dragged_away_again_leave_nothing(server: Server, page: Page, file: Path) -> None:
    page.goto(server.url + "/search")
    drag = Drag(page, file)
    drag("dragEnter")
    expect(page.locator("link[href$='drop.css']")).to_be_attached()
    drag("dragOver")
    expect(page.locator(".drop")).to_be_visible()
    drag("dragCancel")
    expect(page.locator(".drop")).to_have_count(0)
    assert page.url == server.url + "/search"


def test_a_folder_is_not_dropped(server: Server, page: Page, tmp_path: Path) -> None:
    page.goto(server.url + "/search")
    drag = Drag(page, tmp_path)
    drag("dragEnter")
    expect(page.locator("link[href$='drop.css']")).to_be_attached()
    drag("dragOver")
    drag("drop")
    expect(page.get_by_text("This is a folder: drop the files in it")).to_be_visible()
    assert page.url == server.url + "/search"


def test_files_can_be_imported_without_scripts(server: Server, page_without_scripts: Page, file: Path) -> None:
    page = page_without_scripts
    page.goto(server.url)
    page.get_by_role("link", name="Import files").click()
    page.get_by_label("Files").set_input_files([file, Path(__file__)])
    page.get_by_role("button", name="Show what is in them").click()
    expect(page.get_by_role("heading", name="Import 1 trace?")).to_be_visible()
    expect(page.locator(".files > li")).to_have_count(2)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("2 spans are new.")).to_be_visible()
    page.get_by_role("link", name="GET /cart").click()
    expect(page.locator("h1")).to_contain_text("GET /cart")
    page.go_back()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", name="The import was undone")).to_be_visible()
    assert span_count(server) == 1


@pytest.mark.parametrize("device", ["page", "phone"])
def test_no_page_of_an_import_is_too_wide_or_has_a_serious_violation(
    server: Server, request: pytest.FixtureRequest, file: Path, device: str
) -> None:
    page: Page = request.getfixturevalue(device)

    def look(heading: str) -> None:
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert violations(page) == []

    page.goto(server.url + "/import")
    look("Import traces")
    page.get_by_label("Files").set_input_files([file, Path(__file__)])
    page.get_by_role("button", name="Show what is in them").click()
    look("Import 1 trace?")
    page.get_by_role("button", name="Import").click()
    look("Imported")
    page.get_by_role("button", name="Undo").click()
    look("The import was undone")
    page.get_by_role("link", name="Import other files").click()
    page.get_by_label("Files").set_input_files([Path(__file__)])
    page.get_by_role("button", name="Show what is in them").click()
    look("There is no span or log record in it")


def test_files_beyond_the_limit_are_refused_with_words(server: Server, page: Page, tmp_path: Path) -> None:
    with (tmp_path / "large.json").open("wb") as large:
        large.truncate(70 << 20)
    page.goto(server.url + "/import")
    page.get_by_label("Files").set_input_files(tmp_path / "large.json")
    page.get_by_role("button", name="Show what is in them").click()
    expect(page.get_by_role("alert").filter(has_text="minitrace open FILE")).to_be_visible()
