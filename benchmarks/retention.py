"""How long retention holds the writer while half of a file leaves, and what those who send spans notice.

    python benchmarks/retention.py [--spans N]

Fills a file, opens it again with a limit of half its spans, and sends on meanwhile, a request every 20 ms. Beside the
steps of retention stand those of ingest, measured in the same way: both hold the writer's thread.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from corpus import Corpus
from measuring import file_bytes, machine, percentile, print_table

from minitrace.store.retention import Limits
from minitrace.store.store import Store

PAUSE_S = 0.02


async def fill(path: Path, requests: Iterator[tuple[bytes, int]], spans: int) -> None:
    """Store requests with as many spans, without a limit."""
    async with await Store.open(path) as store:
        made = 0
        for body, count in requests:
            await store.ingest(body, is_json=False)
            made += count
            if made >= spans:
                return


class Watched:
    """A store whose jobs for the writer's thread are timed, in milliseconds, by the name of their function."""

    def __init__(self, store: Store) -> None:
        self.holds: dict[str, list[float]] = {}
        self._run = store._writing.run
        store._writing.run = self._timed  # type: ignore[method-assign]

    async def _timed(self, function: Callable[..., Any], *arguments: object) -> Any:
        def timed() -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self.holds.setdefault(function.__name__, []).append((time.perf_counter() - began) * 1e3)

        return await self._run(timed)


async def send(store: Store, requests: Iterator[tuple[bytes, int]], stop: asyncio.Event) -> list[float]:
    """Store a request every `PAUSE_S` until told to stop; returns how long each took, in milliseconds."""
    took: list[float] = []
    while not stop.is_set():
        body, _ = next(requests)
        began = time.perf_counter()
        await store.ingest(body, is_json=False)
        took.append((time.perf_counter() - began) * 1e3)
        await asyncio.sleep(PAUSE_S)
    return took


async def measure(path: Path, spans: int) -> None:
    """Fill, let half of it leave, print."""
    requests = Corpus().requests(spans * 10)
    await fill(path, requests, spans)
    size_before = file_bytes(path)
    async with await Store.open(path, limits=Limits(max_spans=spans // 2)) as store:
        watched = Watched(store)
        stop = asyncio.Event()
        sending = asyncio.create_task(send(store, requests, stop))
        began = time.perf_counter()
        await store.keep_within_limits()
        took_s = time.perf_counter() - began
        stop.set()
        acks = await sending
        stats = await store.stats()
    print(f"{spans:,} spans, {stats.span_count:,} left after {took_s:.1f} s")
    print(f"file: {size_before / 1e6:.0f} MB before, {file_bytes(path) / 1e6:.0f} MB after\n")
    rows = [
        [
            name,
            str(len(holds)),
            *(f"{number:.1f}" for number in (percentile(holds, 50), percentile(holds, 99), max(holds))),
        ]
        for name, holds in [*watched.holds.items(), ("acknowledged after", acks)]
    ]
    print_table(["the writer is held by", "times", "p50 ms", "p99 ms", "longest ms"], rows)


def main() -> None:
    """Run it over a file that is thrown away."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=400_000, help="in the file before (default: 400000)")
    spans = parser.parse_args().spans
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder) / "bench.db", spans))


if __name__ == "__main__":
    main()
