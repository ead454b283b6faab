"""What rate, errors and durations cost while spans are stored, and how soon they are told.

    python benchmarks/red.py [--spans N] [--rounds N] [--db FILE]

Two stores in this process take the same requests in turn, some at a time, one with roll-ups and one without: the usual
spans, the same with 10 000 names of operations, and with 10 000 services (see many.py). FILE is what `search.py --db
FILE` makes; without it nothing is asked. Targets: 2 µs a span, 100 ms for an hour of a million spans.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import httpx
from corpus import START_NS, Corpus
from many import AT_ONCE, HOUR_NS, MANY, with_operations, with_services
from measuring import machine, percentile, print_table, verdict

from minitrace import present
from minitrace.config import Config
from minitrace.model import Kind
from minitrace.store import rolling
from minitrace.store.red import RedQuestion
from minitrace.store.store import Store
from minitrace.web.app import create_app

ROUNDS = 3  # the median counts
ASKED = 20
NS = 1_000_000_000
MOST_US, MOST_MS = 2.0, 100.0  # targets
SERVED = frozenset({Kind.SERVER, Kind.CONSUMER})


async def cost(bodies: list[bytes], folder: Path) -> tuple[float, float, float]:
    """Processor time a span, in µs: of this process without roll-ups, and with them; and of roll-ups by themselves."""
    took = [0.0, 0.0, 0.0]
    roll_up_full = rolling.roll_up_full

    def timed(*arguments: Any) -> None:
        began = time.thread_time()
        roll_up_full(*arguments)
        took[2] += time.thread_time() - began

    stored = 0
    async with await Store.open(folder / "plain.db") as plain, await Store.open(folder / "rolled.db") as rolled:
        await plain._upkeep.lock.acquire()  # no upkeep meanwhile: it would make the roll-ups that are left out
        await rolled._upkeep.lock.acquire()
        for first in range(0, len(bodies), AT_ONCE):
            part = bodies[first : first + AT_ONCE]
            with mock.patch.object(rolling, "roll_up_full", return_value=None):
                took[0] += (await _stored(plain, part))[0]
            with mock.patch.object(rolling, "roll_up_full", timed):
                cpu_s, added = await _stored(rolled, part)
            took[1] += cpu_s
            stored += added
        plain._upkeep.lock.release()
        rolled._upkeep.lock.release()
    return took[0] / stored * 1e6, took[1] / stored * 1e6, took[2] / stored * 1e6


async def _stored(store: Store, bodies: list[bytes]) -> tuple[float, int]:
    """Processor time, in seconds, and how many spans were stored."""
    began = time.process_time()
    done = await asyncio.gather(*(store.ingest(body, is_json=False) for body in bodies))
    return time.process_time() - began, sum(batch.added for batch in done)


async def asked(path: Path) -> list[tuple[str, list[float], int]]:
    """For each question how many milliseconds the answers took, and of how many spans, or bytes, they are."""
    async with await Store.open(path, query_timeout_s=10) as store:
        await store.roll_up()
        service = (await store.services())[0]
        name = (await store.operations(service))[0]
        end_ns = START_NS + HOUR_NS
        hour = f"from={present.iso(START_NS)}&to={present.iso(end_ns)}"
        questions = {
            "services": RedQuestion(START_NS, end_ns, 60 * NS),
            "services, by 10 s": RedQuestion(START_NS, end_ns, 10 * NS),
            "services that serve, and the hour before": RedQuestion(
                START_NS, end_ns, 60 * NS, kinds=SERVED, is_compared=True
            ),
            "a service": RedQuestion(START_NS, end_ns, 60 * NS, service),
            "a service, by 10 s": RedQuestion(START_NS, end_ns, 10 * NS, service),
            "an operation": RedQuestion(START_NS, end_ns, 60 * NS, service, name),
        }
        paths = {
            "/red": f"/red?{hour}",
            "/red, all kinds": f"/red?{hour}&kind=all",
            "/red, and the hour before": f"/red?{hour}&compare=1",
            "/red of a service": f"/red?{hour}&kind=all&service={service}",
        }
        found = []
        for label, question in questions.items():

            async def answer(question: RedQuestion = question) -> int:
                return (await store.red(question)).figures.count

            found.append((label, *await _times(answer)))
        transport = httpx.ASGITransport(create_app(Config(), store=store))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4318", timeout=60) as client:
            for label, url in paths.items():

                async def page(url: str = url) -> int:
                    return len((await client.get(url)).raise_for_status().content)

                found.append((label, *await _times(page)))
        return found


async def _times(ask: Callable[[], Awaitable[int]]) -> tuple[list[float], int]:
    took = []
    for _ in range(ASKED):
        began = time.perf_counter()
        size = await ask()
        took.append((time.perf_counter() - began) * 1e3)
    return took, size


def main() -> None:
    """Print what storing costs, and what asking does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--db", type=Path)
    options = parser.parse_args()
    print(machine())
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], 1_000_000_000)  # as in the server, see its _collect_garbage
    usual = [body for body, _ in Corpus().requests(options.spans)]
    sorts = {
        "usual": usual,
        "10 000 names": list(with_operations(usual, MANY)),
        "10 000 services": list(with_services(usual, MANY)),
    }
    rows = []
    for name, bodies in sorts.items():
        rounds = []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory(prefix="minitrace-benchmark-") as folder:
                rounds.append(asyncio.run(cost(bodies, Path(folder))))
        plain, rolled, own = (median(column) for column in zip(*rounds, strict=True))
        more = median(after - before for before, after, _ in rounds)
        figures = (f"{one:.2f}" for one in (plain, rolled, more, own))
        rows.append((name, *figures, verdict(own <= MOST_US)))
    head = ["stored, CPU µs a span", "without roll-ups", "with them", "more", "by themselves", f"at most {MOST_US:.0f}"]
    print_table(head, rows)
    if options.db:
        print_table(
            ["an hour", "p50 ms", "p95 ms", "spans, bytes", f"p95 at most {MOST_MS:.0f}"],
            [
                (
                    name,
                    f"{percentile(took, 50):.1f}",
                    f"{percentile(took, 95):.1f}",
                    f"{number:,}",
                    verdict(percentile(took, 95) <= MOST_MS),
                )
                for name, took, number in asyncio.run(asked(options.db))
            ],
        )


if __name__ == "__main__":
    main()
