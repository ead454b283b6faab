"""What the page of a trace costs: in a real Chromium, and in the server.

    python benchmarks/ui.py [--quick]

"cold" is the first time that the server opens a trace, or the first since it got a span; "warm" is once more, with a
browser that has nothing in its cache all the same. Beside it stand an empty page of ours, and the same rows as a plain
HTML table without scripts. The last table has the targets, and what came of them.
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from html import escape
from pathlib import Path

from chromium import SLOW_PX, Chromium, Opening, Scrolling, chromium
from measuring import Bodies, machine, minitrace, percentile, post, print_table, running
from traces import Maker, requests

from minitrace.otlp.encode import encode_export

SIZES = {"small": 1_000, "middle": 10_000, "large": 50_000, "huge": 200_000}
PLAIN = ("small", "large")  # which are opened as a plain table, too
RUNS, QUICK_RUNS = 5, 1
TIMES = 30  # a question is asked
SCROLLED = 240  # frames
REST_S = 0.002  # between two questions whether the server is there


class Site:
    """A server with the traces in it."""

    def __init__(self, port: int, sizes: dict[str, int], folder: Path) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.sizes = sizes
        self._makers = {name: Maker(size) for name, size in [*sizes.items(), ("one", 1)]}
        self._folder = folder
        for name, maker in self._makers.items():
            post(port, Bodies.write(folder / name, requests(maker.spans)))

    def path(self, name: str) -> str:
        """Where a trace is."""
        return f"/trace/{self._makers[name].trace_id.hex()}"

    def touch(self, name: str) -> None:
        """Send one span more, so that the server must open the trace anew."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            body = encode_export([self._makers[name].one_more()])
            connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
            assert connection.getresponse().status == 200

    def plain(self, name: str) -> str:
        """The address of a file with a table of the same rows: service and name, duration, a bar."""
        spans = self._makers[name].spans
        start, whole = spans[0].start_ns, spans[0].duration_ns
        rows = (
            f'<tr class="plain"><td>{escape(span.service)} {escape(span.name)}<td>{span.duration_ns / 1e6:.2f} ms'
            f'<td><svg width="600" height="16"><rect x="{(span.start_ns - start) / whole:.2%}"'
            f' width="{span.duration_ns / whole:.2%}" height="10"/></svg>'
            for span in spans
        )
        return self._file(f"{name}.html", f"<table>{''.join(rows)}</table>")

    def blank(self) -> str:
        """The address of a file with nothing in it."""
        return self._file("blank.html", "")

    def _file(self, name: str, body: str) -> str:
        path = self._folder / name
        path.write_text(f"<!doctype html><title>plain</title>{body}")
        return path.as_uri()


@dataclass(frozen=True)
class Seen:
    """A page that was opened often, and scrolled the last time: slowly, and by jumps."""

    openings: list[Opening]
    slowly: Scrolling
    jumping: Scrolling

    def median(self, name: str) -> float:
        """The median of one thing of its openings."""
        return float(statistics.median(getattr(opening, name) for opening in self.openings))


def see(browser: Chromium, blank_url: str, url: str, runs: int, before: Callable[[], None] = lambda: None) -> Seen:
    """Open a page in tab after tab, each time after `before`."""
    openings = []
    for _ in range(runs - 1):
        before()
        with browser.tab(blank_url) as tab:
            openings.append(tab.open(url))
    before()
    with browser.tab(blank_url) as tab:
        openings.append(tab.open(url))
        return Seen(openings, tab.scroll(SCROLLED), tab.scroll(SCROLLED // 2, 0))


def pages(browser: Chromium, site: Site, runs: int) -> Iterator[tuple[str, Seen]]:
    """Every page, after what it is called."""
    healthz = f"{site.url}/healthz"
    yield "empty", see(browser, healthz, f"{site.url}/trace/none", runs)
    for name in site.sizes:
        url = site.url + site.path(name)
        yield f"{name} cold", see(browser, healthz, url, runs, lambda name=name: site.touch(name))  # type: ignore[misc]
        yield f"{name} warm", see(browser, healthz, url, runs)
        if name in PLAIN:
            yield f"{name} plain", see(browser, site.blank(), site.plain(name), 1)


def print_pages(seen: dict[str, Seen], sizes: dict[str, int]) -> None:
    """Two tables: how pages come, and how they are scrolled."""
    titles = {"empty": "an empty page"}
    for name, size in sizes.items():
        titles |= {f"{name} {way}": f"{size:,} spans, {way}" for way in ("cold", "warm")}
        titles[f"{name} plain"] = f"{size:,} rows of plain HTML"
    names = ("row_ms", "interactive_ms", "cpu_ms", "script_ms", "longest_ms", "rss_mb", "node_count")
    print_table(
        ["opened", "first row ms", "takes keys ms", "CPU ms", "script ms", "longest task ms", "tab MB", "elements"],
        ([titles[key], *(f"{page.median(name):,.0f}" for name in names)] for key, page in seen.items()),
    )
    print_table(
        ["scrolled", f"{SLOW_PX} px: p50 ms", "p95", "max", "CPU ms", "jumps: p50 ms", "p95", "max", "CPU ms"],
        ([titles[key], *_frames(page.slowly), *_frames(page.jumping)] for key, page in seen.items()),
    )


def _frames(scrolling: Scrolling) -> list[str]:
    took = scrolling.frames_ms
    return [f"{ms:.1f}" for ms in (percentile(took, 50), percentile(took, 95), max(took), scrolling.cpu_ms)]


def loaded(browser: Chromium, site: Site) -> dict[str, int]:
    """Bytes of all that the page of a trace of one span loads, by path; printed too."""
    with browser.tab(f"{site.url}/healthz") as tab:
        tab.open(site.url + site.path("one"))
        found = {path: size for path, size in tab.loaded().items() if not path.endswith("/stream")}
    print_table(["loaded with one span", "bytes"], ([path, f"{size:,}"] for path, size in found.items()))
    return found


@dataclass(frozen=True)
class Question:
    """What the server is asked, how often, and the trace that gets a span each time before."""

    path: str
    times: int
    touched: str = ""


@dataclass(frozen=True)
class Answer:
    """How long answers took to their last byte, how large the last one was, how long others waited meanwhile."""

    took_ms: list[float]
    size_bytes: int
    waits_ms: list[float]

    def row(self) -> list[str]:
        """The figures of a line of the table."""
        p50, p95 = percentile(self.took_ms, 50), percentile(self.took_ms, 95)
        waits = [f"{percentile(self.waits_ms, 99):.1f}", f"{max(self.waits_ms):.1f}"]
        return [str(len(self.took_ms)), f"{self.size_bytes / 1e3:,.0f}", f"{p50:,.1f}", f"{p95:,.1f}", *waits]


def questions(site: Site, runs: int) -> dict[str, Question]:
    """What the server is asked, by what it is called."""
    small, large = site.path("small"), site.path("large")
    return {
        "/healthz": Question("/healthz", TIMES),
        "small, cold": Question(small, TIMES, "small"),
        "small, warm": Question(small, TIMES),
        "small, saved file": Question(f"{small}/saved.html", runs),
        "large, cold": Question(large, runs, "large"),
        "large, warm": Question(large, TIMES),
        "rows of large, cold": Question(f"{large}/rows.json", runs, "large"),
        "rows of large, warm": Question(f"{large}/rows.json", TIMES),
    }


def ask(site: Site, question: Question) -> Answer:
    """Ask, and meanwhile ask for /healthz every 2 ms, over a connection of its own."""
    sizes: list[int] = []
    waits: list[float] = []

    def work() -> list[float]:
        took = []
        with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=120)) as connection:
            for _ in range(question.times):
                if question.touched:
                    site.touch(question.touched)
                took.append(timed(connection, question.path, sizes))
        return took

    with ThreadPoolExecutor(1) as pool, closing(http.client.HTTPConnection("127.0.0.1", site.port)) as connection:
        working = pool.submit(work)
        while not working.done():
            waits.append(timed(connection, "/healthz", []))
            time.sleep(REST_S)
        return Answer(working.result(), sizes[-1], waits)


def timed(connection: http.client.HTTPConnection, path: str, sizes: list[int]) -> float:
    """How long an answer took to its last byte, in ms; its size is added to `sizes`.

    Raises:
        RuntimeError: it was not 200.
    """
    began = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    content = answer.read()
    took_ms = (time.perf_counter() - began) * 1e3
    if answer.status != 200:
        raise RuntimeError(f"GET {path} was answered {answer.status} {content[:300]!r}")
    sizes.append(len(content))
    return took_ms


def print_answers(answers: dict[str, Answer], sizes: dict[str, int]) -> None:
    """The server's table."""
    head = ["asked", "times", "kB", "p50 ms", "p95", "others wait: p99 ms", "max"]
    named = {name: name for name in answers}
    for size, spans in sizes.items():
        named = {name: text.replace(size, f"{spans:,} spans") for name, text in named.items()}
    print_table(head, ([named[name], *answer.row()] for name, answer in answers.items()))


def targets(
    seen: dict[str, Seen], answers: dict[str, Answer], files: dict[str, int], sizes: dict[str, int]
) -> Iterator[tuple[str, float, float, str]]:
    """What should be how much at most: its name, what it is, the most, the unit."""
    small, large, huge = (f"{sizes[name]:,} spans" for name in ("small", "large", "huge"))
    yield f"{small}: first row, cold", seen["small cold"].median("row_ms"), 200, "ms"
    for way in ("cold", "warm"):
        page = seen[f"large {way}"]
        yield f"{large}: takes keys, {way}", page.median("interactive_ms"), 500, "ms"
        yield f"{large}: script, {way}", page.median("script_ms"), 150, "ms"
        yield f"{large}: slow scroll, p95 between frames, {way}", percentile(page.slowly.frames_ms, 95), 20, "ms"
        yield f"{large}: memory of the tab, {way}", page.median("rss_mb"), 300, "MB"
    yield f"{huge}: longest task", seen["huge cold"].median("longest_ms"), 200, "ms"  # what a person feels as a freeze
    yield f"trace page of {small}, cold", percentile(answers["small, cold"].took_ms, 50), 40, "ms"
    yield f"rows of {large}, cold", percentile(answers["rows of large, cold"].took_ms, 50), 600, "ms"
    yield "… others wait at most", max(answers["rows of large, cold"].waits_ms), 20, "ms"
    yield f"saved file of {small}", answers["small, saved file"].size_bytes / 1e3, 1000, "kB"
    own = {path: size / 1e3 for path, size in files.items() if "/vendor/" not in path}
    yield "own JavaScript", sum(size for path, size in own.items() if path.endswith(".js")), 40, "kB"
    yield "own CSS", sum(size for path, size in own.items() if path.endswith(".css")), 20, "kB"
    yield "page of one span and all it loads", sum(files.values()) / 1e3, 120, "kB"


def print_targets(rows: Iterator[tuple[str, float, float, str]]) -> None:
    """The last table."""
    print_table(
        ["target", "is", "at most", ""],
        (
            [name, f"{value:,.1f} {unit}", f"{most:,} {unit}", "met" if value <= most else "MISSED"]
            for name, value, most, unit in rows
        ),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the spans, everything once")
    asked = parser.parse_args(arguments)
    sizes = {name: size // 10 for name, size in SIZES.items()} if asked.quick else SIZES
    runs = QUICK_RUNS if asked.quick else RUNS
    print(machine(), flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="minitrace-benchmark-") as folder,
        running(minitrace(Path(folder) / "ui.db")) as server,
        chromium() as browser,
    ):
        print(
            f"Chromium {browser.version}; medians of {runs}; CPU and script are processor time of the main thread\n",
            flush=True,
        )
        site = Site(server.port, sizes, Path(folder))
        ask(site, Question(site.path("small"), 1))  # templates are compiled
        answers = {name: ask(site, question) for name, question in questions(site, runs).items()}
        print_answers(answers, sizes)
        files = loaded(browser, site)
        seen = dict(pages(browser, site, runs))
        print_pages(seen, sizes)
        print_targets(targets(seen, answers, files, sizes))


if __name__ == "__main__":
    main()
