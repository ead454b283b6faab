"""How soon completion answers while queries are typed: every letter of some, asked for one after the other.

    python benchmarks/complete.py --db FILE

FILE is what `search.py --db FILE` makes. The questions go to the application, in this process; nothing is remembered
from one query to the next. 95 % of the answers must come within 30 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from statistics import median

import httpx
from measuring import percentile, print_table

from minitrace.config import Config
from minitrace.store.store import Store
from minitrace.web.app import create_app
from minitrace.web.choices import Choices

QUERIES = (
    "pay",
    '{ name = "SELECT us',
    '{ resource.service.name = "check',
    '{ resource.service.name = "checkout" && name = "SEL',
    "{ status = error && span.http.response.status_code = 5",
    '{ duration > 100ms && span.session.id = "s-d',
    '{ .db.query.text =~ "sel',
    '{ rootName = "GET /api',
    '{ kind = server } >> { statusMessage = "quo',
    "{ kind = client } | by(resource.serv",
    "{ status = error } | select(span.http.ro",
)
TYPING_S = 0.12  # between two letters; at once, the next letter would find the count where the last one left it


async def measure(path: Path) -> list[tuple[str, list[float]]]:
    """For each query how many milliseconds the answers took, letter by letter."""
    async with await Store.open(path) as store:
        guard = create_app(Config(), store=store)
        transport = httpx.ASGITransport(guard)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4318") as client:
            found = []
            for query in QUERIES:
                choices = guard._app.state.choices = Choices()  # type: ignore[attr-defined]
                found.append((query, [await _ask(client, query[:end]) for end in range(1, len(query) + 1)]))
                await choices.close()
            return found


async def _ask(client: httpx.AsyncClient, text: str) -> float:
    began = time.perf_counter()
    answer = await client.get("/_/complete", params={"q": text, "pos": len(text)})
    took_ms = (time.perf_counter() - began) * 1e3
    answer.raise_for_status()
    await asyncio.sleep(TYPING_S)
    return took_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", type=Path, required=True)
    found = asyncio.run(measure(parser.parse_args().db))
    every = [took for _, times in found for took in times]
    rows = [(query, len(times), median(times), percentile(times, 95), max(times)) for query, times in found]
    rows.append(("all of them", len(every), median(every), percentile(every, 95), max(every)))
    shown = [[name, str(count), *(f"{took:.1f}" for took in figures)] for name, count, *figures in rows]
    print_table(["typed", "letters", "median ms", "p95 ms", "slowest ms"], shown)


if __name__ == "__main__":
    main()
