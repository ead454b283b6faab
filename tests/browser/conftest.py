"""A real Chromium in front of a real server process.

Chromium is looked for in MINITRACE_CHROMIUM, then under its usual names. Every page of a test must
stay free of console errors and of Content-Security-Policy violations.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence

import httpx
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Locator,
    Page,
    Playwright,
    expect,
    sync_playwright,
)

from minitrace.model import LogRecord, Span
from minitrace.otlp.encode import encode_export, encode_logs
from tests import running

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# A machine that does other work beside is slow, not wrong: playwright's own 5 s were not enough at a load of 20.
PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)
REPORT_VIOLATIONS = """
    document.addEventListener("securitypolicyviolation",
        (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


class Server(running.Server):
    """A minitrace process with a store of its own."""

    def __init__(self) -> None:
        super().__init__(":memory:")

    def send(self, spans: Sequence[Span]) -> None:
        """Export spans to it."""
        self._export("/v1/traces", encode_export(spans))

    def send_logs(self, records: Sequence[LogRecord]) -> None:
        """Export log records to it."""
        self._export("/v1/logs", encode_logs(records))

    def _export(self, path: str, content: bytes) -> None:
        answer = httpx.post(
            f"{self.url}{path}",
            content=content,
            headers={"Content-Type": "application/x-protobuf"},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text


@pytest.fixture
def empty_server() -> Iterator[Server]:
    """A server that nobody else has used."""
    with Server() as server:
        yield server


def executable() -> str | None:
    """Where Chromium is, if it is there."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("MINITRACE_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


class Chromium:
    """Launches Chromium, with further arguments if a test needs them."""

    def __init__(self, playwright: Playwright, path: str) -> None:
        self._type = playwright.chromium
        self._path = path

    def launch(self, *arguments: str) -> Browser:
        """A browser of its own; the caller closes it."""
        return self._type.launch(executable_path=self._path, args=[*ARGUMENTS, *arguments])


@pytest.fixture(scope="package")
def chromium() -> Iterator[Chromium]:
    """Chromium, or a reason to skip; where MINITRACE_REQUIRE_BROWSER is set, as in .ci/run, a reason to fail.

    For this package only: while it lives, playwright's event loop runs in this thread, and no other one can.
    """
    path = executable()
    if not path:
        give_up = pytest.fail if os.environ.get("MINITRACE_REQUIRE_BROWSER") else pytest.skip
        give_up("no Chromium: install one (apt install chromium), or name it in MINITRACE_CHROMIUM")
    with sync_playwright() as playwright:
        yield Chromium(playwright, path)


@pytest.fixture(scope="package")
def browser(chromium: Chromium) -> Iterator[Browser]:
    """A browser as anybody has it."""
    browser = chromium.launch()
    yield browser
    browser.close()


def follow(link: Locator) -> None:
    """Click what leads to another page, and wait for its scripts: before them a choice leads to nothing."""
    with link.page.expect_navigation():
        link.click()


def watched(context: BrowserContext, problems: list[str]) -> Page:
    """A new page that reports what goes wrong in it."""
    context.add_init_script(REPORT_VIOLATIONS)
    context.set_default_timeout(PATIENCE_MS)
    watched_page = context.new_page()

    def note(message: ConsoleMessage) -> None:
        # Chromium calls an answer of 4xx an error on the page's part, even when it was asked for
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            problems.append(f"{watched_page.url}: {message.text}")

    def dismiss(dialog: Dialog) -> None:
        problems.append(f"{watched_page.url}: {dialog.message}")
        dialog.dismiss()

    watched_page.on("console", note)
    watched_page.on("pageerror", lambda error: problems.append(f"{watched_page.url}: {error}"))
    watched_page.on("dialog", dismiss)
    return watched_page


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on a desk, in a light room."""
    problems: list[str] = []
    with browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light") as context:
        yield watched(context, problems)
    assert problems == []


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A page on a phone, in the dark."""
    problems: list[str] = []
    with browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True) as context:
        yield watched(context, problems)
    assert problems == []


@pytest.fixture
def page_without_scripts(browser: Browser) -> Iterator[Page]:
    """A page with JavaScript off."""
    with browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 800}) as context:
        context.set_default_timeout(PATIENCE_MS)
        yield context.new_page()
