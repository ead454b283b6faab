"""How long Prometheus waits for /metrics, and what scraping costs while spans are stored.

    python benchmarks/metrics.py [--spans N]

The application runs in this process. Spans are stored as fast as they are taken, without and with somebody who scrapes
every second, in turn; then 2 000 and 10 000 series are asked for. Targets: nothing without a scraper, and 100 ms for a
scrape of 2 000 series.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import httpx
from corpus import Corpus
from measuring import machine, percentile, print_table

from minitrace.config import Config
from minitrace.model import Kind, Resource, Span
from minitrace.store.store import Store
from minitrace.web.app import create_app

AT_ONCE = 16  # requests that wait together
ROUNDS = 3  # of which the best counts
INTERVAL_S = 1.0
ASKED = 20
ACCEPT = {"accept": "application/openmetrics-text;version=1.0.0"}


def client_of(store: Store) -> httpx.AsyncClient:
    """A client of the application over a store."""
    transport = httpx.ASGITransport(create_app(Config(), store=store))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:4318", timeout=60)


async def scrape(client: httpx.AsyncClient) -> tuple[float, int]:
    """How many milliseconds an answer took, and how many bytes it has."""
    began = time.perf_counter()
    response = await client.get("/metrics", headers=ACCEPT)
    assert response.status_code == 200, response.text
    return (time.perf_counter() - began) * 1e3, len(response.content)


async def scrape_on(client: httpx.AsyncClient, took: list[float]) -> None:
    """Scrape again and again, and note how long that took."""
    while True:
        took.append((await scrape(client))[0])
        await asyncio.sleep(INTERVAL_S)


async def stored(bodies: list[bytes], folder: Path, *, is_scraped: bool) -> tuple[float, float, list[float]]:
    """Processor time and time a span, in µs, and how many milliseconds the scrapes meanwhile took."""
    took: list[float] = []
    with tempfile.TemporaryDirectory(dir=folder) as name:
        async with await Store.open(Path(name) / "a.db") as store, client_of(store) as client:
            if is_scraped:
                await scrape(client)  # the library is imported
            scraping = asyncio.create_task(scrape_on(client, took)) if is_scraped else None
            cpu_s, wall_s, count = time.process_time(), time.perf_counter(), 0
            for first in range(0, len(bodies), AT_ONCE):
                group = bodies[first : first + AT_ONCE]
                done = await asyncio.gather(*(store.ingest(body, is_json=False) for body in group))
                count += sum(batch.added for batch in done)
            wall_s = time.perf_counter() - wall_s
            if scraping:
                scraping.cancel()
                with suppress(asyncio.CancelledError):
                    await scraping
                await store.tally(60)  # what is left counts too
            cpu_s = time.process_time() - cpu_s
    return cpu_s / count * 1e6, wall_s / count * 1e6, took


def operations(number: int) -> list[Span]:
    """As many operations, with a few spans each."""
    now_ns = time.time_ns()
    return [
        Span(
            trace_id=(one + 1).to_bytes(16),
            span_id=(one + 1).to_bytes(8),
            name=f"GET /api/v1/things/{one % number}",
            start_ns=now_ns,
            end_ns=now_ns + (one // number * 40 + 1) * 1_000_000,
            kind=Kind.SERVER,
            resource=Resource({"service.name": f"service-{one % number % 20}"}),
        )
        for one in range(4 * number)
    ]


async def asked(number: int, folder: Path) -> tuple[list[float], float, int]:
    """How many milliseconds answers with so many operations took, how many of processor time, and their bytes."""
    async with await Store.open(folder / f"{number}.db") as store, client_of(store) as client:
        spans = operations(number)
        for first in range(0, len(spans), 4_000):
            await store.add(spans[first : first + 4_000])
        await scrape(client)
        await store.tally(60)
        cpu_s = time.process_time()
        found = [await scrape(client) for _ in range(ASKED)]
        cpu_s = time.process_time() - cpu_s
    return [took for took, _ in found], cpu_s / ASKED * 1e3, found[0][1]


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spans", type=int, default=200_000)
    options = parser.parse_args()
    print(machine())
    bodies = [body for body, _ in Corpus().requests(options.spans)]
    with tempfile.TemporaryDirectory(prefix="minitrace-benchmark-") as folder:
        runs = {is_scraped: [] for is_scraped in (False, True)}  # type: dict[bool, list[tuple[float, float, list[float]]]]
        for _ in range(ROUNDS):
            for is_scraped, found in runs.items():
                found.append(asyncio.run(stored(bodies, Path(folder), is_scraped=is_scraped)))
        (plain_cpu, plain), (cpu, wall) = ([min(one[at] for one in found) for at in (0, 1)] for found in runs.values())
        print_table(
            ["stored", "CPU µs a span", "µs a span"],
            [
                ("without a scraper", f"{plain_cpu:.1f}", f"{plain:.1f}"),
                ("scraped every second", f"{cpu:.1f}", f"{wall:.1f}"),
                ("more", f"{cpu / plain_cpu - 1:+.0%}", f"{wall / plain - 1:+.0%}"),
            ],
        )
        meanwhile = [one for *_, took in runs[True] for one in took]
        rows = [
            ("while spans are stored", f"{percentile(meanwhile, 50):.0f}", f"{percentile(meanwhile, 95):.0f}", "", "")
        ]
        for number in (2_000, 10_000):
            took, cpu_ms, size = asyncio.run(asked(number, Path(folder)))
            p50, p95 = (f"{percentile(took, at):.0f}" for at in (50, 95))
            rows.append((f"{number:,} operations", p50, p95, f"{cpu_ms:.0f}", f"{size / 1e6:.1f}"))
        print_table(["a scrape", "p50 ms", "p95 ms", "CPU ms", "MB"], rows)


if __name__ == "__main__":
    main()
