"""The page of the receiver as a person sees it: a request that goes astray is there at once, with what would help."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server
from tests.samples import span

pytestmark = pytest.mark.browser


def test_a_request_that_goes_astray_appears_by_itself(empty_server: Server, page: Page) -> None:
    page.goto(f"{empty_server.url}/_/receiver")
    expect(page.get_by_text("Nothing has come yet.")).to_be_visible()
    page.request.post(f"{empty_server.url}/v1/trace", data="x", headers={"content-type": "application/json"})
    row = page.get_by_role("row", name="POST /v1/trace")
    expect(row).to_contain_text("Did you mean /v1/traces?")
    page.request.post(f"{empty_server.url}/v1/trace", data="x", headers={"content-type": "application/json"})
    expect(row).to_contain_text("× 2")


def test_only_trouble_is_an_address_and_stays_so_while_more_comes(empty_server: Server, page: Page) -> None:
    empty_server.send([span("a")])
    page.goto(f"{empty_server.url}/_/receiver")
    expect(page.get_by_role("row", name="1 span in 1 trace")).to_be_visible()
    page.get_by_role("link", name="Only trouble").click()
    expect(page.get_by_text("No trouble: all that came was taken.")).to_be_visible()
    empty_server.send([span("b")])
    page.request.post(f"{empty_server.url}/", data="x", headers={"content-type": "application/json"})
    expect(page.locator(".requests tbody tr")).to_have_count(1)


def test_on_a_phone_it_fits(empty_server: Server, phone: Page) -> None:
    phone.request.post(f"{empty_server.url}/v1/{'long' * 60}", data="x", headers={"content-type": "application/json"})
    phone.goto(f"{empty_server.url}/_/receiver")
    expect(phone.locator(".requests tbody tr")).to_have_count(1)
    assert phone.evaluate("document.documentElement.scrollWidth") == 390


def test_without_scripts_the_page_loads_itself_again(empty_server: Server, page_without_scripts: Page) -> None:
    page_without_scripts.goto(f"{empty_server.url}/_/receiver")
    empty_server.send([span("a")])
    rows = page_without_scripts.locator(".requests tbody tr")
    expect(rows).to_have_count(1, timeout=20_000)  # it loads itself every few seconds
