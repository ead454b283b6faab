"""How long pages take while spans come in as fast as they are taken, beside the same pages with nothing else to do.

    python benchmarks/mixed.py [--spans N]

One process sends, as `ingest.py` does; this one asks for a page now and then, in turn, and rests in between.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path

from corpus import Corpus
from measuring import Bodies, Usage, count_spans, machine, minitrace, percentile, post, print_table, running

FIRST_SPANS = 50_000  # stored before anything is measured, so that there is a trace to look at
TRACE_SPANS = 30
REST_S = 0.02
IDLE_ROUNDS = 50

Times = dict[str, list[float]]  # milliseconds by page


def ask(port: int, pages: dict[str, str], go_on: Callable[[int], bool]) -> Times:
    """Fetch all pages in turn for as long as `go_on`, which is told the number of rounds, says so.

    Raises:
        RuntimeError: an answer was not 200.
    """
    took: Times = {name: [] for name in pages}
    rounds = 0
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        while go_on(rounds):
            for name, path in pages.items():
                began = time.perf_counter()
                connection.request("GET", path)
                answer = connection.getresponse()
                content = answer.read()
                took[name].append((time.perf_counter() - began) * 1e3)
                if answer.status != 200:
                    raise RuntimeError(f"GET {path} was answered {answer.status} {content[:300]!r}")
                time.sleep(REST_S)
            rounds += 1
    return took


def rows(busy: Times, idle: Times) -> list[list[str]]:
    """The table: median, 95th percentile and the worst of each page, busy and idle."""

    def three(took: list[float]) -> list[str]:
        return [f"{percentile(took, 50):.1f}", f"{percentile(took, 95):.1f}", f"{max(took):.1f}"]

    return [[name, str(len(busy[name])), *three(busy[name]), *three(idle[name])] for name in busy]


def main() -> None:
    """Print the table and how fast the spans went in meanwhile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spans", type=int, default=300_000, help=f"on top of {FIRST_SPANS:,} stored before")
    asked = parser.parse_args()
    print(machine(), flush=True)
    corpus = Corpus()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="minitrace-benchmark-") as name, ProcessPoolExecutor(1, context) as pool:
        bodies = Bodies.write(Path(name) / "bodies", corpus.requests(FIRST_SPANS + asked.spans))
        first, rest = bodies.split(FIRST_SPANS)
        trace_id = corpus.trace_ids[corpus.sizes.index(TRACE_SPANS)]
        pages = {
            "/search": "/search",
            "/search, a service's errors": "/search?service=checkout&status=error",
            f"/trace of {TRACE_SPANS} spans": f"/trace/{trace_id.hex()}",
            "/healthz": "/healthz",
        }
        db = Path(name) / "mixed.db"
        with running(minitrace(db)) as server:
            post(server.port, first)
            pool.submit(time.sleep, 0).result()  # the sender's imports are done now
            ask(server.port, pages, lambda rounds: rounds < 2)  # templates are compiled
            before = Usage.of(server.pid)
            sent = pool.submit(post, server.port, rest)
            busy = ask(server.port, pages, lambda _: not sent.done())
            after, posted = Usage.of(server.pid), sent.result()
            time.sleep(1)
            idle = ask(server.port, pages, lambda rounds: rounds < IDLE_ROUNDS)
        added = count_spans(db) - first.span_count
    share = sum(map(sum, busy.values())) / posted.seconds / 1e3
    print(
        f"{added:,} spans in {posted.seconds:.1f} s: {added / posted.seconds:,.0f} spans/s, "
        f"{(after.cpu_s - before.cpu_s) / added * 1e6:.1f} µs of the server's processors a span with the pages in it, "
        f"of which one was being made {share:.0%} of the time, "
        f"{posted.retries} answers 503, at most {after.peak_mb:.0f} MB resident\n"
    )
    head = ["page, in ms", "requests", "p50 busy", "p95 busy", "max busy", "p50 idle", "p95 idle", "max idle"]
    print_table(head, rows(busy, idle))


if __name__ == "__main__":
    main()
