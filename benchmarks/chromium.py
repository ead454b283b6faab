"""A tab of a real Chromium and what it costs, through the DevTools protocol.

Processor time is that of the tab's main thread, which a neighbour on the same machine changes little: for all of it
`ThreadTime` of `Performance.getMetrics` (`TaskDuration` is by the clock, whatever domain is asked for), for scripts
the events of a trace in which V8 runs, without the style and layout within them. Times on the clock are from the
start of the navigation, as the page itself measures them.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

WIDTH, HEIGHT = 1280, 800
SLOW_PX = 97
LOOK_MS = 100  # between two looks whether a page is there
SETTLE_MS = 1_000  # until a page that is there has nothing left to do

TRACED = ["devtools.timeline", "v8"]
SCRIPT = re.compile(r"v8\.|V8\.|(FunctionCall|EvaluateScript|RunMicrotasks|MinorGC|MajorGC)$|Blink.*Microtask")

# Runs before the page's own scripts. A row is seen one frame after it is there; a page takes keys when "j" moves the
# cursor to a row that the module drew.
PROBE = """
const seen = globalThis.seen = { longest: 0 };
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) seen.longest = Math.max(seen.longest, duration);
}).observe({ type: "longtask", buffered: true });
const painted = (then) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = then;
  port2.postMessage(0);
};
const look = () => {
  if (!seen.row && document.querySelector(".waterfall .row, tr.plain")) {
    seen.row = -1;
    painted(() => { seen.row = performance.now(); });
  }
  if (document.querySelector("mt-trace.drawn .row")) {
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
    if (document.activeElement.closest(".row")) seen.interactive = performance.now();
  } else if (document.readyState === "complete" && !document.querySelector("mt-trace")) {
    seen.interactive = performance.now();
  }
  if (!seen.interactive) requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
SCROLL = """async ([step, frames]) => {
  const area = document.querySelector(".scroller") ?? document.scrollingElement;
  const frame = () => new Promise(requestAnimationFrame), end = area.scrollHeight - area.clientHeight, took = [];
  area.scrollTop = 0;
  await frame();
  for (let number = 1, last = await frame(); number <= frames; number++) {
    area.scrollTop = step ? number * step % end : number * 0.618 % 1 * end;
    const now = await frame();
    took.push(now - last);
    last = now;
  }
  return took;
}"""
LOADED = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .map((entry) => [new URL(entry.name).pathname, entry.decodedBodySize])"""


@dataclass(frozen=True)
class Opening:
    """How a page came: a row seen, a key answered, the longest task, in ms; its main thread's time, its memory."""

    row_ms: float
    interactive_ms: float
    longest_ms: float
    cpu_ms: float
    script_ms: float
    rss_mb: float
    node_count: int


@dataclass(frozen=True)
class Scrolling:
    """Time between frames, and the main thread's time for one."""

    frames_ms: list[float]
    cpu_ms: float


class Chromium:
    """A browser that opens one tab after another."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._session = browser.new_browser_cdp_session()
        self.version = browser.version

    @contextmanager
    def tab(self, blank_url: str) -> Iterator[Tab]:
        """A tab with nothing in its cache, at a page of the same site, so that a process is there."""
        with self._browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}) as context:
            context.set_default_timeout(120_000)
            page = context.new_page()
            page.goto(blank_url)
            page.add_init_script(PROBE)
            yield Tab(self, page)

    @contextmanager
    def watching(self, url: str, probe: str) -> Iterator[Tab]:
        """A tab at a page, with a script of ours that looks at it."""
        with self._browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}) as context:
            page = context.new_page()
            page.add_init_script(probe)
            page.goto(url)
            yield Tab(self, page)

    @contextmanager
    def traced(self) -> Iterator[list[dict[str, Any]]]:
        """The events of all processes, there after the block."""
        events: list[dict[str, Any]] = []
        ends: list[bool] = []
        session = self._browser.new_browser_cdp_session()
        session.on("Tracing.dataCollected", lambda part: events.extend(part["value"]))
        session.on("Tracing.tracingComplete", lambda _: ends.append(True))
        session.send("Tracing.start", {"transferMode": "ReportEvents", "traceConfig": {"includedCategories": TRACED}})
        yield events
        session.send("Tracing.end")
        while not ends:
            session.send("SystemInfo.getProcessInfo")  # lets playwright hear of the events
        session.detach()

    def rss_mb(self) -> float:
        """Resident memory of the largest renderer, which is the tab's; Chromium keeps an empty one beside it."""
        found = self._session.send("SystemInfo.getProcessInfo")["processInfo"]
        return max(_resident_mb(each["id"]) for each in found if each["type"] == "renderer")


class Tab:
    """A page, measured."""

    def __init__(self, chromium: Chromium, page: Page) -> None:
        self._chromium = chromium
        self._page = page
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable")

    def open(self, url: str) -> Opening:
        """Go there, wait until keys are answered and nothing more is to do.

        Raises:
            RuntimeError: another process took over the tab, so that times cannot be compared.
        """
        before = self._cpu_ms()
        with self._chromium.traced() as events:
            self._page.goto(url, wait_until="commit")
            while not self._page.evaluate("seen.interactive > 0 && seen.row !== -1"):  # wait_for_function needs eval
                self._page.wait_for_timeout(LOOK_MS)
            self._page.wait_for_timeout(SETTLE_MS)
        seen, cpu_ms = self._page.evaluate("seen"), self._cpu_ms() - before
        if cpu_ms < 0:
            raise RuntimeError(f"{url} was opened in another process")
        return Opening(
            row_ms=seen.get("row", seen["interactive"]),
            interactive_ms=seen["interactive"],
            longest_ms=seen["longest"],
            cpu_ms=cpu_ms,
            script_ms=script_ms(events, url),
            rss_mb=self._chromium.rss_mb(),
            node_count=self._page.evaluate("document.querySelectorAll('*').length"),
        )

    def scroll(self, frames: int, step_px: int = SLOW_PX) -> Scrolling:
        """Scroll so many frames long, by some pixels each; 0: from one end of the list to the other."""
        before = self._cpu_ms()
        took = self._page.evaluate(SCROLL, [step_px, frames])
        return Scrolling(took, (self._cpu_ms() - before) / frames)

    def wait(self, seconds: float, is_over: Callable[[], bool]) -> float:
        """Let the page live for so long, or until it is over; how long that was."""
        began = time.perf_counter()
        while (lasted := time.perf_counter() - began) < seconds and not is_over():
            self._page.wait_for_timeout(LOOK_MS)
        return lasted

    def look(self, script: str) -> Any:
        """What a script of ours makes of the page."""
        return self._page.evaluate(script)

    def heap_mb(self) -> float:
        """What scripts hold, when all that is garbage is gone."""
        self._session.send("HeapProfiler.collectGarbage")
        return float(self._session.send("Runtime.getHeapUsage")["usedSize"]) / 2**20

    def loaded(self) -> dict[str, int]:
        """Bytes of the page and of all that it fetched, uncompressed, by path."""
        return dict(self._page.evaluate(LOADED))

    def _cpu_ms(self) -> float:
        found: list[dict[str, Any]] = self._session.send("Performance.getMetrics")["metrics"]
        return next(float(each["value"]) for each in found if each["name"] == "ThreadTime") * 1e3


@contextmanager
def chromium() -> Iterator[Chromium]:
    """Chromium as `tests/browser/conftest.py` finds it.

    Raises:
        SystemExit: there is none.
    """
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("MINITRACE_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not path:
        raise SystemExit("no Chromium: install one (apt install chromium), or name it in MINITRACE_CHROMIUM")
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield Chromium(browser)
        browser.close()


def script_ms(events: Sequence[dict[str, Any]], url: str) -> float:
    """Processor time of V8 on the main thread of the page at `url`, without that of other events within it."""
    commits = (e for e in events if e["name"] == "CommitLoad" and e["args"]["data"]["url"] == url)
    main = next((e["pid"], e["tid"]) for e in commits)
    timed = (e for e in events if (e["pid"], e["tid"]) == main and e["ph"] == "X" and "tdur" in e)
    spent_us = 0
    around: list[dict[str, Any]] = []
    for event in sorted(timed, key=lambda e: (e["ts"], -e["dur"])):
        while around and around[-1]["ts"] + around[-1]["dur"] <= event["ts"]:
            around.pop()
        is_script = bool(SCRIPT.match(event["name"]))
        if is_script != bool(around and SCRIPT.match(around[-1]["name"])):
            spent_us += event["tdur"] if is_script else -event["tdur"]
        around.append(event)
    return spent_us / 1e3


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]
