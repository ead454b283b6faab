"""How long the service map takes: until all spans are counted once, and a page from then on.

    python benchmarks/service_map.py --db FILE

FILE is one of `search.py --db FILE`. The pages are asked of the app in this process: all but the network.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import httpx
from measuring import machine, percentile, print_table, verdict

from minitrace import present
from minitrace.config import Config
from minitrace.store.store import Store
from minitrace.web.app import create_app

RUNS = 20
TARGET_MS = 100


async def ask(db: Path) -> None:
    """Print how long it takes."""
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        ((first_ns, last_ns),) = connection.execute("SELECT min(start_ns), max(start_ns) FROM spans WHERE start_ns > 0")
    middle_ns = (first_ns + last_ns) // 2
    everything, half = (
        f"/map?from={present.iso(begin)}&to={present.iso(last_ns + 10**9)}" for begin in (first_ns, middle_ns)
    )
    async with await Store.open(db) as store:
        transport = httpx.ASGITransport(create_app(Config(), store=store))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4318", timeout=60) as client:
            began, cpu_began = time.perf_counter(), time.process_time()
            while "counted so far" in (await client.get(everything)).text:
                pass
            kept_mb = sum(counted.size_bytes for counted in store._crossings.counted.values()) / 1e6
            print(
                f"all spans were counted after {time.perf_counter() - began:.1f} s, "
                f"{time.process_time() - cpu_began:.1f} s of the processor; {kept_mb:.0f} MB are kept of them\n"
            )
            rows = []
            for name, path in {
                "all": everything,
                "as tables": f"{everything}&view=table",
                "half the time": half,
            }.items():
                times = sorted([await _ms(client, path) for _ in range(RUNS)])
                p95 = percentile(times, 95)
                rows.append([name, f"{percentile(times, 50):.0f}", f"{p95:.0f}", verdict(p95 <= TARGET_MS)])
            print_table(["map", "p50 ms", "p95 ms", f"at most {TARGET_MS}"], rows)


async def _ms(client: httpx.AsyncClient, path: str) -> float:
    began = time.perf_counter()
    (await client.get(path)).raise_for_status()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Ask a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--db", type=Path, required=True, help="the file to ask")
    print(machine())
    gc.set_threshold(*gc.get_threshold()[:2], 1_000_000_000)  # as in the server, see its _collect_garbage
    asyncio.run(ask(parser.parse_args().db))


if __name__ == "__main__":
    main()
