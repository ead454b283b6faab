"""How soon traces are compared: two of 1 000 spans, and two sets of 1 000 traces, among a million other spans.

    python benchmarks/compare.py [--spans N] [--db FILE]

The file is filled over HTTP, with the compared traces spread evenly among those of `corpus.py`; or taken as it is if
FILE exists, and made and kept if not. The questions go to the application, in this process. What was compared before is
forgotten in between; "again" is with it. "processor" is the time of all threads, a median.

The traces of a set are of twenty kinds with 25 spans each, some four hundred paths in all. Their run is named in their
resources, and on each span as a version. In the second set queries take twice as long. The traces of the corpus are
compared, too: no two of them are alike, and nearly every span has a path of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from corpus import START_NS
from measuring import fill, machine, percentile, print_table
from traces import QUERIES, Maker, requests

from minitrace.config import Config
from minitrace.model import Span
from minitrace.store.store import Store
from minitrace.web.app import create_app
from minitrace.web.comparing import Comparisons

RUNS = 20
KINDS, SPANS_OF_KIND = 20, 25
SET_SIZE = 1_000  # traces
SETS = ("before", "after")
NS_PER_SPAN = 780_000  # of the corpus: new traces begin, whose spans overlap


def _sets(field: str) -> dict[str, str]:
    """The address of the two sets, by one of the two that tell them apart."""
    return {side: f'{{ {field} = "{name}" }}' for side, name in zip(("qa", "qb"), SETS, strict=True)}


def _copy(like: Sequence[Span], run: str, start_ns: int, rng: random.Random) -> list[Span]:
    """Another trace like this one, of a run. Its spans take other times, and their ends overlap as it happens."""
    trace_id, ids = rng.randbytes(16), {span.span_id: rng.randbytes(8) for span in like}
    slower = 2 if run == SETS[1] else 1
    copies = []
    for span in like:
        begin_ns = start_ns + span.start_ns - like[0].start_ns
        took_ns = span.duration_ns * rng.uniform(0.8, 1.25) * (slower if span.name in QUERIES else 1)
        copy = replace(
            span, trace_id=trace_id, span_id=ids[span.span_id], parent_id=ids.get(span.parent_id, b""),
            start_ns=begin_ns, end_ns=begin_ns + int(took_ns), attributes={**span.attributes, "app.version": run},
            resource=replace(span.resource, attributes={**span.resource.attributes, "minitrace.run.id": run}),
        )  # fmt: skip
        copies.append(copy)
    return copies


FIRST, OTHER = (Maker(1_000, seed).spans for seed in (2, 3))
ALIKE = _copy(FIRST, SETS[1], START_NS, random.Random(1))
TWO_TRACES = {"a": FIRST[0].trace_id.hex(), "b": ALIKE[0].trace_id.hex()}
TWO_OPERATIONS = {"qa": '{ rootServiceName = "cart" }', "qb": '{ rootServiceName = "auth" }'}
QUESTIONS = [  # what is compared, as the address has it, and the target in ms
    ("two traces of 1,000 spans", TWO_TRACES, 80),
    ("… the rows that differ", {**TWO_TRACES, "only": "changed"}, 80),
    ("… their attributes", {**TWO_TRACES, "view": "attrs"}, 80),
    ("two of which no call is alike", {**TWO_TRACES, "b": OTHER[0].trace_id.hex()}, 80),
    ("two runs of 1,000 traces", _sets("resource.minitrace.run.id"), 1_000),
    ("two versions in 1,000 traces", _sets("span.app.version"), 1_000),
    ("1,000 traces of two operations", TWO_OPERATIONS, 1_000),
]


def planted(spans: int) -> list[tuple[bytes, int]]:
    """Requests with the traces that are compared, one each, in the order of their start among so many spans."""
    rng = random.Random(2)
    kinds = [Maker(SPANS_OF_KIND, seed).spans for seed in range(KINDS)]
    made = []
    for number in range(2 * SET_SIZE):
        start_ns = START_NS + number * spans * NS_PER_SPAN // (2 * SET_SIZE)
        made += requests(_copy(kinds[number // 2 % KINDS], SETS[number % 2], start_ns, rng))
    for spans in (FIRST, ALIKE, OTHER):
        made[len(made) // 2 : len(made) // 2] = requests(spans)
    return made


async def ask(db: Path) -> None:
    """Compare everything and print the table."""
    async with await Store.open(db) as store:
        guard = create_app(Config(), store=store)
        transport = httpx.ASGITransport(guard)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4318", timeout=60) as client:
            rows = [await _measure(client, guard, *question) for question in QUESTIONS]
    print_table(["compared", "first ms", "p50", "p95", "processor", "again", "kB", "p95 target", ""], rows)
    missed = [row[0] for row in rows if row[-1] == "MISSED"]
    print(f"missed: {', '.join(missed)}" if missed else "all targets met")


async def _measure(
    client: httpx.AsyncClient, guard: Any, text: str, asked: dict[str, str], target_ms: int
) -> list[str]:
    """A row of the table."""
    times: list[tuple[float, float]] = []
    for _ in range(RUNS + 1):
        guard._app.state.comparisons = Comparisons()
        times.append((await _ask(client, asked))[:2])
    again_ms, _, size = await _ask(client, asked)
    first_ms, *took_ms = (wall for wall, _ in times)
    p95 = percentile(took_ms, 95)
    return [
        text, f"{first_ms:.0f}", f"{median(took_ms):.0f}", f"{p95:.0f}",
        f"{median(processor for _, processor in times[1:]):.0f}", f"{again_ms:.0f}", f"{size / 1e3:.0f}",
        f"{target_ms}", "met" if p95 <= target_ms else "MISSED",
    ]  # fmt: skip


async def _ask(client: httpx.AsyncClient, asked: dict[str, str]) -> tuple[float, float, int]:
    """Open the page: how long that took, of the clock and of the processor, in ms; and how large it is."""
    began, worked = time.perf_counter(), time.process_time()
    answer = await client.get("/compare", params=asked)
    took = (time.perf_counter() - began) * 1e3, (time.process_time() - worked) * 1e3
    answer.raise_for_status()
    return *took, len(answer.content)


def main() -> None:
    """Fill a file, if need be, and ask."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spans", type=int, default=1_000_000, help="how many others to store in a new file")
    parser.add_argument("--db", type=Path, help="a file to ask, or to make and keep")
    asked = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="minitrace-benchmark-") as folder:
        db = asked.db or Path(folder) / "compare.db"
        if not db.exists():
            fill(db, asked.spans, planted(asked.spans))
        gc.set_threshold(*gc.get_threshold()[:2], 1_000_000_000)  # as in the server, see its _collect_garbage
        asyncio.run(ask(db))


if __name__ == "__main__":
    main()
