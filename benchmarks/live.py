"""What the live tail costs while it is watched: the browser, the server, and whether a trace is missed or repeated.

    python benchmarks/live.py [--minutes N] [--rate N] [--watchers N]

One process sends traces of ten spans, in two halves a second apart, so that each is shown and then changes in place.
Chromium watches `/live`; further watchers read the same stream. Lines come every half minute.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import random
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from chromium import Chromium, Tab, chromium
from measuring import Process, Usage, machine, minitrace, percentile, print_table, running

from minitrace.model import Kind, Resource, Span, Status, StatusCode
from minitrace.otlp.encode import encode_export

TICK_S = 0.05  # between two requests
SECOND_HALF_S = 1.0
SPANS = 10
LINE_S = 30.0
REST_S = 0.25  # between two looks whether the server answers
SETTLE_S = 2.0
HEAD = ["s", "most rows", "elements", "heap MB", "tab MB", "updates/s", "server MB", "server CPU"]

# Counts each row that is put on top, and each that takes the place of another.
PROBE = """
const told = globalThis.told = { shown: {}, updates: 0, messages: 0, rows: 0, gaps: 0 };
addEventListener("DOMContentLoaded", () => {
  const list = document.getElementById("list");
  document.addEventListener("htmx:sse:after:message", () => { told.messages += 1; });
  new MutationObserver((records) => {
    for (const { addedNodes } of records) for (const row of addedNodes) {
      const { trace, missed } = row.dataset;
      if (missed) told.gaps += Number(missed);
      else if (row.classList.contains("fresh")) told.shown[trace] = (told.shown[trace] ?? 0) + 1;
      else told.updates += 1;
    }
    told.rows = Math.max(told.rows, list.tBodies.length);
  }).observe(list, { childList: true });
});
"""
LOOK = "() => ({ ...told, shown: null, nodes: document.querySelectorAll('*').length })"
SHOWN = "() => told.shown"


@dataclass(frozen=True)
class Sent:
    """The traces that were sent, and how long the server took to take a request, in ms."""

    traces: list[str]
    took_ms: list[float]


def trace(rng: random.Random) -> list[Span]:
    """A trace that begins now: a root, and calls one after the other."""
    trace_id, root_id, now_ns = rng.randbytes(16), rng.randbytes(8), time.time_ns()
    services = [Resource({"service.name": name}) for name in ("frontend", "checkout", "stock")]
    failed = Status(StatusCode.ERROR, "declined") if rng.random() < 0.05 else Status()
    root = Span(trace_id, root_id, "POST /pay", now_ns, now_ns + 50_000_000, kind=Kind.SERVER, resource=services[0])
    calls = [
        Span(
            trace_id,
            rng.randbytes(8),
            f"call {number}",
            now_ns + number * 1_000_000,
            now_ns + (number + 4) * 1_000_000,
            root_id,
            Kind.CLIENT,
            failed if number == SPANS - 1 else Status(),
            {"session.id": f"s-{rng.randrange(1000)}", "items.count": number},
            resource=services[number % 3],
        )
        for number in range(1, SPANS)
    ]
    return [root, *calls]


def send(port: int, rate: float, seconds: float) -> Sent:
    """Send traces for so long."""
    rng = random.Random(1)
    traces: list[str] = []
    took_ms: list[float] = []
    halves: deque[tuple[float, list[Span]]] = deque()
    began = time.perf_counter()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        while (now := time.perf_counter()) < began + seconds or halves:
            spans: list[Span] = []
            while now < began + seconds and len(traces) < rate * (now - began):
                whole = trace(rng)
                traces.append(whole[0].trace_id.hex())
                spans += whole[: SPANS // 2]
                halves.append((now + SECOND_HALF_S, whole[SPANS // 2 :]))
            while halves and halves[0][0] <= now:
                spans += halves.popleft()[1]
            if spans:
                took_ms.append(_post(connection, encode_export(spans)))
            time.sleep(max(0.0, now + TICK_S - time.perf_counter()))
    return Sent(traces, took_ms)


def _post(connection: http.client.HTTPConnection, body: bytes) -> float:
    began = time.perf_counter()
    connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"POST /v1/traces was answered {answer.status}")
    return (time.perf_counter() - began) * 1e3


def ask(port: int, took_ms: list[float], ends: threading.Event) -> None:
    """Ask for the search page now and then, as somebody would beside the tail."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        while not ends.wait(REST_S):
            began = time.perf_counter()
            connection.request("GET", "/search?limit=20")
            connection.getresponse().read()
            took_ms.append((time.perf_counter() - began) * 1e3)


def watch(port: int) -> None:
    """Read a stream until the server ends it."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/live/stream")
        answer = connection.getresponse()
        while answer.read1(65536):
            pass


def main() -> None:
    """Print a line every half minute, then what was missed or repeated."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=200, help="traces a second")
    parser.add_argument("--watchers", type=int, default=0, help="beside Chromium")
    asked = parser.parse_args()
    print(machine(), flush=True)
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="minitrace-benchmark-") as name,
        ProcessPoolExecutor(1, context) as pool,
        running(minitrace(Path(name) / "live.db")) as server,
        chromium() as browser,
    ):
        for _ in range(asked.watchers):
            threading.Thread(target=watch, args=(server.port,), daemon=True).start()
        _measure(asked, server, browser, pool)


def _measure(asked: argparse.Namespace, server: Process, browser: Chromium, pool: ProcessPoolExecutor) -> None:
    page_ms: list[float] = []
    ends = threading.Event()
    asking = threading.Thread(target=ask, args=(server.port, page_ms, ends))
    with browser.watching(f"http://127.0.0.1:{server.port}/live", PROBE) as tab:
        pool.submit(time.sleep, 0).result()  # the sender's imports are done now
        sending = pool.submit(send, server.port, asked.rate, asked.minutes * 60)
        asking.start()
        print_table(HEAD, _lines(tab, browser, server.pid, sending.done))
        ends.set()
        asking.join()
        tab.wait(SETTLE_S, lambda: False)
        _print_told(sending.result(), tab.look(SHOWN), tab.look(LOOK), page_ms)


def _lines(tab: Tab, browser: Chromium, pid: int, is_over: Callable[[], bool]) -> list[list[str]]:
    """How it stands, every half minute; printed at once, too."""
    lines: list[list[str]] = []
    began, used, messages = time.perf_counter(), Usage.of(pid), 0
    while not is_over():
        lasted = tab.wait(LINE_S, is_over)
        look, now = tab.look(LOOK), Usage.of(pid)
        lines.append(
            [
                f"{time.perf_counter() - began:.0f}",
                str(look["rows"]),
                str(look["nodes"]),
                f"{tab.heap_mb():.1f}",
                f"{browser.rss_mb():.0f}",
                f"{(look['messages'] - messages) / lasted:.1f}",
                f"{now.rss_mb:.0f}",
                f"{(now.cpu_s - used.cpu_s) / lasted:.0%}",
            ]
        )
        print(" | ".join(lines[-1]), flush=True)
        messages, used = look["messages"], now
    return lines


def _print_told(sent: Sent, shown: dict[str, int], look: dict[str, int], page_ms: list[float]) -> None:
    missed = [trace for trace in sent.traces if trace not in shown]
    repeated = [trace for trace, times in shown.items() if times > 1]

    def three(took_ms: list[float]) -> str:
        return f"p50 {percentile(took_ms, 50):.1f} ms, p95 {percentile(took_ms, 95):.1f} ms, max {max(took_ms):.0f} ms"

    print(
        f"\n{len(sent.traces):,} traces sent, {len(shown):,} shown, {len(missed)} missed ({look['gaps']} said to be), "
        f"{len(repeated)} repeated, {look['updates']:,} changed in place\n"
        f"POST /v1/traces {three(sent.took_ms)}; GET /search {three(page_ms)}"
    )


if __name__ == "__main__":
    main()
