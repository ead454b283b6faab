"""How soon a page about a whole result can be made: a search with its overview, sorted pages and groups.

    python benchmarks/find.py [--spans N] [--db FILE]

The file is filled, or taken, as search.py does it. Before each answer a trace is pinned, or no longer: what was found
is not good any more then, as it is while spans arrive. "first" is the first time, "again" with nothing written since.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from measuring import file_bytes, fill, machine, percentile, print_table
from search import Sample, pipeline

from minitrace.store.orders import Order
from minitrace.store.search import Search
from minitrace.store.store import Store

RUNS = 20
LONGEST_S = 10.0  # spent on one question
TARGETS_MS = {"indexed": 60, "whole": 300, "other": None}  # 95 % of the answers must come within


@dataclass(frozen=True)
class Question:
    """What is asked: its class, for the target, and a call that answers it."""

    kind: str
    text: str
    ask: Callable[[], Awaitable[Any]]


def questions(store: Store, sample: Sample) -> list[Question]:
    """All of them, in the order of the table."""

    def page(kind: str, query: str, text: str = "", **more: Any) -> Question:
        search = Search(pipeline(query), **more)

        async def ask() -> Any:
            await store.search(search)
            return await store.overview(search)

        return Question(kind, text or query, ask)

    def every(query: str) -> list[Question]:
        search = Search(pipeline(query))
        by_duration = replace(search, order=Order.LONGEST)
        return [
            Question("other", f"{query} by duration", lambda: store.search(by_duration)),
            Question("other", f"{query} by operation", lambda: store.groups(search)),
        ]

    second_ns = 10**9
    return [
        *(page("indexed", query) for query in (
            f'{{ .session.id = "{sample.session}" }}',
            f'{{ span.http.route = "{sample.route}" }}',
            '{ .feature.flag = "flag-7" }',
            '{ span.http.request.method = "GET" }',
            "{ span.http.response.status_code = 503 }",
            '{ resource.service.name = "checkout" }',
            '{ resource.service.name = "checkout" && status = error }',
            '{ name = "SELECT users" }',
            "{ status = error }",
            "{ duration > 2s }",
            "{ nestedSetParent < 0 && status = error }",
        )),
        page("indexed", "{ status = error }", "errors in 100 s", start_ns=sample.start_ns,
             end_ns=sample.start_ns + 100 * second_ns),
        page("whole", "{ }"),
        page("whole", "{ }", "{ } since the middle", start_ns=sample.start_ns),
        page("whole", "{ kind = client }"),
        page("whole", "{ duration > 1ms }"),
        page("other", "{ traceDuration > 100ms }"),
        page("other", "{ status = error } >> { status = error }"),
        *every("{ }"), *every('{ span.http.request.method = "GET" }'),
    ]  # fmt: skip


async def measure(store: Store, trace_id: bytes, question: Question) -> list[str]:
    """Ask until it was answered often enough; a row of the table."""
    took_ms: list[float] = []
    until = time.monotonic() + LONGEST_S
    while len(took_ms) < 2 or (len(took_ms) <= RUNS and time.monotonic() < until):
        await store.pin(trace_id, len(took_ms) % 2 == 0)
        took_ms.append(await _time_ms(question))
    again_ms = await _time_ms(question)
    first_ms, *rest = took_ms
    answer = await question.ask()
    found = getattr(answer, "trace_count", None)
    is_all = answer.complete and all(facet.complete for facet in getattr(answer, "facets", []))
    target = TARGETS_MS[question.kind]
    p95 = percentile(rest, 95)
    return [
        question.text, question.kind, f"{first_ms:.0f}",
        f"{min(rest):.1f}", f"{percentile(rest, 50):.1f}", f"{p95:.1f}", f"{again_ms:.1f}",
        "" if found is None else f"{found:,}", "yes" if is_all else "NO",
        "" if target is None else f"{target}", "" if target is None else "met" if p95 <= target else "MISSED",
    ]  # fmt: skip


async def _time_ms(question: Question) -> float:
    began = time.perf_counter()
    await question.ask()
    return (time.perf_counter() - began) * 1e3


async def ask(db: Path) -> None:
    """Ask all questions and print the table."""
    async with await Store.open(db) as store:
        stats = await store.stats()
        print(
            f"{stats.span_count:,} spans in {stats.trace_count:,} traces, {file_bytes(db) / 1e6:,.0f} MB\n", flush=True
        )
        trace_id = (await store.search(Search(limit=1))).matches[0].summary.trace_id
        rows = [await measure(store, trace_id, one) for one in questions(store, await Sample.of(store))]
        await store.pin(trace_id, is_pinned=False)
    head = ["question", "class", "first ms", "least", "p50", "p95", "again", "traces", "all", "p95 target", ""]
    print_table(head, rows)
    missed = [row[0] for row in rows if row[-1] == "MISSED"]
    print(f"missed: {', '.join(missed)}" if missed else "all targets met")


def main() -> None:
    """Fill a file, if need be, and ask."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spans", type=int, default=1_000_000, help="how many to store in a new file")
    parser.add_argument("--db", type=Path, help="a file to ask, or to make and keep")
    asked = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="minitrace-benchmark-") as folder:
        db = asked.db or Path(folder) / "find.db"
        if not db.exists():
            fill(db, asked.spans)
        gc.set_threshold(*gc.get_threshold()[:2], 1_000_000_000)  # as in the server, see its _collect_garbage
        asyncio.run(ask(db))


if __name__ == "__main__":
    main()
