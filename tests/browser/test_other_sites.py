"""What pages of other sites can do to a minitrace on the same machine: nothing, seen from a real Chromium.

The pages are put in place of what their addresses would answer; their requests go to the real server.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route

from tests.browser.conftest import Chromium, Server
from tests.samples import TRACE, span

pytestmark = pytest.mark.browser

ATTACK = """async ([base, json]) => {
    const ask = async (path, options) => {
        try {
            const answer = await fetch(base + path, options);
            return [answer.type, answer.status, await answer.text()];
        } catch (error) { return ["refused", 0, ""]; }
    };
    const included = (tag, path) => new Promise((done) => {
        const element = document.createElement(tag);
        element.onload = () => done("loaded"); element.onerror = () => done("refused");
        element.src = base + path; document.body.append(element);
    });
    return {
        search: await ask("/api/search"),
        page: await ask("/search"),
        blind: await ask("/api/search", {mode: "no-cors"}),
        spans: await ask("/v1/traces", {method: "POST", mode: "no-cors", body: json}),
        typed: await ask("/v1/traces", {method: "POST", body: json, headers: {"Content-Type": "application/json"}}),
        theme: await ask("/theme", {method: "POST", mode: "no-cors", body: new URLSearchParams({theme: "dark"})}),
        removal: await ask("/search", {method: "DELETE"}),
        script: await included("script", "/api/search"),
        image: await included("img", "/favicon.svg"),
    };
}"""
EXPORT = """{"resourceSpans": [{"scopeSpans": [{"spans": [
    {"traceId": "%s", "spanId": "2222222222222222", "name": "forged"}]}]}]}"""


@pytest.fixture(scope="module")
def rebound(chromium: Chromium) -> Iterator[Browser]:
    """A Chromium for which evil.test is this machine, as after DNS rebinding.

    Chromium's own check of local addresses is off: other browsers have none, and it would hide ours.
    """
    browser = chromium.launch(
        "--host-resolver-rules=MAP evil.test 127.0.0.1",
        "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWarn",
    )
    yield browser
    browser.close()


def attack(browser: Browser, site: str, server: Server, base: str) -> dict[str, Any]:
    """What a page of `site` gets from the requests of `ATTACK`."""

    def stand_in(route: Route) -> None:
        route.fulfill(content_type="text/html", body="<!doctype html><title>a nice game</title><body>")

    with browser.new_context() as context:
        page: Page = context.new_page()
        page.route(f"{site}/game", stand_in)
        page.goto(f"{site}/game")
        found: dict[str, Any] = page.evaluate(ATTACK, [base, EXPORT % TRACE.hex()])
        return found


def stored(server: Server) -> int:
    """How many spans the victim's trace has."""
    trace = httpx.get(f"{server.url}/api/traces/{TRACE.hex()}").json()
    return sum(len(scope["spans"]) for batch in trace["batches"] for scope in batch["scopeSpans"])


def test_a_page_that_rebinds_its_name_to_this_machine_reads_and_stores_nothing(
    rebound: Browser, empty_server: Server
) -> None:
    empty_server.send([span("secret")])
    site = f"http://evil.test:{empty_server.port}"
    found = attack(rebound, site, empty_server, site)
    for name in ("search", "page", "spans", "typed", "theme", "removal"):
        kind, status, text = found[name]
        assert (kind, status) == ("basic", 421), name  # its own origin, so it may read: the refusal
        assert "secret" not in text
    assert (found["script"], found["image"], stored(empty_server)) == ("refused", "refused", 1)


def test_another_development_server_on_localhost_reads_and_changes_nothing(
    rebound: Browser, empty_server: Server
) -> None:
    empty_server.send([span("secret")])
    found = attack(rebound, "http://localhost:9999", empty_server, empty_server.url)
    assert found["search"] == found["page"] == found["removal"] == ["refused", 0, ""]
    assert found["blind"][2] == found["theme"][2] == found["spans"][2] == ""
    assert (found["script"], found["image"]) == ("refused", "refused")
    # sending telemetry as JSON is what pages on localhost are meant to do; as text/plain it is not taken
    assert found["typed"] == ["cors", 200, "{}"]
    assert stored(empty_server) == 2


def test_a_foreign_site_stores_nothing(rebound: Browser, empty_server: Server) -> None:
    empty_server.send([span("secret")])
    found = attack(rebound, "http://evil.test:9999", empty_server, empty_server.url)
    assert found["typed"] == found["search"] == ["refused", 0, ""]
    assert (found["script"], stored(empty_server)) == ("refused", 1)
