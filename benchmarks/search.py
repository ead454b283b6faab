"""How soon the store answers: some eighty questions to a file with a million spans, beside their targets.

    python benchmarks/search.py [--spans N] [--db FILE]

The file is filled over HTTP, or taken as it is if FILE exists (of the same version of minitrace: between releases
tables change without a migration); a FILE that does not exist is made, and kept. The questions go to the store itself,
in this process: what a page adds to them is `mixed.py`'s.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import file_bytes, fill, machine, percentile, print_table

from minitrace.model import Trace
from minitrace.store.matches import SearchResult
from minitrace.store.metrics import MetricsResult
from minitrace.store.search import Search
from minitrace.store.store import Store
from minitrace.traceql.ast import Pipeline
from minitrace.traceql.metrics import Range
from minitrace.traceql.names import pattern_text
from minitrace.traceql.parser import parse

RUNS = 30
LONGEST_S = 10.0  # spent on one question; a slow one is asked less often
LIMIT = 20
QUERY_TEXT = "db.query.text"
# 95 % of the answers must come within the first figure, in ms; the second is what we aim at.
TARGETS: dict[str, tuple[float, float] | None] = {
    "indexed": (20, 5),
    "scan": (300, 100),
    "latest": (5, 5),
    "trace": (15, 15),
    "structure": (100, 100),
    "rate": (1000, 150),
    "series": (2100, 1000),
    "deadline": (2100, 2100),  # complete or not
    "parse": (0.1, 0.1),
    "other": None,
}


@dataclass(frozen=True)
class Question:
    """What is asked: its class, for the target, and a call that answers it."""

    kind: str
    text: str
    ask: Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Sample:
    """What is in the file, to ask for: values of one trace in its middle, and traces of certain sizes."""

    start_ns: int
    session: str
    message_id: str
    route: str
    condition: str  # the end of an SQL statement
    hour: Range  # up to the newest span, in steps of 15 s
    traces: dict[int, bytes]

    @classmethod
    async def of(cls, store: Store) -> Sample:
        """Choose from the file; the same every time."""
        with closing(sqlite3.connect(f"{store.path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            count, newest_ns = connection.execute("SELECT count(*), max(start_ns) FROM traces").fetchone()
            by_start = "SELECT trace_id, start_ns FROM traces WHERE span_count BETWEEN 25 AND 80 ORDER BY start_ns"
            rows = connection.execute(f"{by_start} LIMIT 20 OFFSET ?", (count // 5,)).fetchall()
            by_size = "SELECT trace_id FROM traces WHERE span_count = ? ORDER BY id LIMIT 1"
            found = {size: connection.execute(by_size, (size,)).fetchone() for size in (30, 1_000, 10_000)}
        spans = [span for trace_id, _ in rows for span in (await store.trace(trace_id)).spans]

        def value(key: str) -> str:
            return next(str(span.attributes[key]) for span in spans if key in span.attributes)

        traces = {size: row[0] for size, row in found.items() if row}
        condition = value(QUERY_TEXT).rpartition("WHERE ")[2]
        return cls(
            rows[0][1], value("session.id"), value("messaging.message.id"), value("http.route"), condition,
            Range.aligned(newest_ns - 3600 * 10**9, newest_ns, 15 * 10**9), traces,
        )  # fmt: skip


def questions(store: Store, sample: Sample, second_page: str | None) -> list[Question]:
    """All of them, in the order of the table."""

    def search(kind: str, query: str, /, text: str = "", words: str = "", **more: Any) -> Question:
        wanted = Search(pipeline(query), tuple(words.split()), limit=LIMIT, **more)
        return Question(kind, text or (f"words: {words}" if words else query), lambda: store.search(wanted))

    def series(query: str) -> Question:
        kind = "rate" if query.startswith("{ } | rate() by") else "series"
        return Question(kind, query, lambda: store.metrics(parse(query), sample.hour))

    def trace(size: int) -> Question:
        return Question("other" if size > 1_000 else "trace", f"trace of {size:,} spans",
                        lambda: store.trace(sample.traces[size]))  # fmt: skip

    second_ns = 10**9
    return [
        search("latest", "{ }"),
        search("latest", "{ }", "second page", before=second_page),
        search("latest", "{ }", "time range of 10 s", start_ns=sample.start_ns,
               end_ns=sample.start_ns + 10 * second_ns),
        *(search("indexed", query) for query in (
            f'{{ .session.id = "{sample.session}" }}',
            f'{{ span.messaging.message.id = "{sample.message_id}" }}',
            '{ .session.id = "s-none" }',
            f'{{ span.http.route = "{sample.route}" }}',
            '{ .feature.flag = "flag-7" }',
            '{ span.http.request.method = "GET" }',
            "{ span.http.response.status_code = 503 }",
            "{ .cache.hit = false }",
            '{ .thread.id = 7 && .thread.name = "worker-9" }',
            '{ .http.request.method = "GET" && .server.port = 5432 }',
            '{ .http.request.method = "GET" && .http.response.status_code = 404 && .thread.id = 7 }',
            '{ resource.service.version = "1.8.0" }',
            '{ resource.service.version = "1.8.0" && span.http.response.status_code = 503 }',
            '{ resource.service.name = "checkout" }',
            '{ resource.service.name = "checkout" && status = error }',
            '{ resource.service.name = "checkout" && name = "SELECT orders" }',
            '{ resource.service.name = "none" }',
            '{ name = "SELECT users" }',
            "{ status = error }",
            "{ kind = producer }",
            "{ duration > 2s }",
            "{ duration > 1ms }",
            '{ rootName = "SELECT users" }',
            '{ !(resource.service.name = "checkout") }',
            "{ nestedSetParent < 0 && status = error }",
        )),
        search("indexed", "{ status = error }", "errors in a time range", start_ns=sample.start_ns,
               end_ns=sample.start_ns + 100 * second_ns),
        *(search("indexed", "{ }", words=words) for words in (
            sample.message_id, "orders", "orders quorum", "traceback", "ConnectionError checksum", "zanzibar",
        )),
        *(search("scan", query) for query in (
            "{ span.http.response.status_code >= 500 }",
            "{ span.http.response.status_code >= 200 }",
            "{ span.messaging.message.body.size > 3990 }",
            "{ span.messaging.message.body.size > 100 }",
            '{ .http.request.method =~ "PUT|DELETE" }',
            '{ .http.route =~ ".*/quorum" }',
            r"{ .url.full =~ `.*/orders/\d+/quorum\?page=7` }",
            '{ .url.full =~ ".*/nowhere/.*/end" }',
            f'{{ .db.query.text =~ "(?i).*{pattern_text(sample.condition)}.*" }}'.replace("\\", "\\\\"),
            '{ .db.query.text =~ "(?i).*select orders.*" }',
            '{ .db.query.text =~ "(?i).*drop table.*" }',
            '{ .db.query.text =~ ".*DROP TABLE.*" }',
        )),
        *(search("structure", query) for query in (
            "{ span.http.response.status_code = 429 } >> { kind = client }",
            '{ resource.service.name = "checkout" } >> { span.http.response.status_code = 429 }',
            "{ span.http.response.status_code = 429 } << { kind = server }",
            "{ status = error } >> { status = error }",
            "{ status = error } !>> { span.http.response.status_code = 429 }",
            '{ resource.service.name = "cart" } && { span.http.response.status_code = 429 }',
            "{ status = error } | count() > 2",
            "{ span.http.response.status_code = 429 } | by(resource.service.name)",
            "{ span.http.response.status_code = 429 } | by(name) | count() > 1",
            '{ resource.service.name = "checkout" && status = error } | avg(duration) > 5ms',
            "{ span.http.response.status_code = 429 && parent.span.http.request.method = `GET` }",
        )),
        series("{ } | rate() by(resource.service.name)"),
        *map(series, (
            "{ } | rate()",
            "{ status = error } | rate() by(name)",
            "{ span.http.response.status_code >= 400 } | count_over_time() by(span.http.response.status_code)",
            "{ kind = server } | avg_over_time(duration) by(name)",
            "{ } | quantile_over_time(duration, .5, .9, .99) by(resource.service.name)",
            "{ nestedSetParent < 0 } | rate() by(rootName)",
            "({ status = error } | rate()) / ({ } | rate())",
            "{ } | rate() by(span.http.request.method)",
            "{ status = error } | compare({ kind = client })",
        )),
        *(search("deadline", query) for query in (
            "{ } | count() > 100000",
            "{ .a.key.of.nobody != nil || span:childCount > 100000 }",
            "{ } >> { } >> { span:childCount > 100000 }",
        )),
        series("{ } >> { } | rate() by(span.session.id)"),
        *(trace(size) for size in sample.traces),
        Question("parse", "parse a typical query", _parse),
        Question("other", "services", store.services),
        Question("other", "operations of a service", lambda: store.operations("checkout")),
        Question("other", "attribute keys", store.attribute_keys),
        Question("other", "how much is stored", store.stats),
    ]  # fmt: skip


def pipeline(query: str) -> Pipeline:
    """The pipeline of a query that gives traces."""
    root = parse(query).root
    assert isinstance(root, Pipeline)
    return root


async def _parse() -> list[Any]:
    return [parse('{ resource.service.name = "shop" && span.http.response.status_code >= 500 } | count() > 2')]


async def measure(question: Question) -> list[str]:
    """Ask until it was answered often enough; a row of the table."""
    answer = await question.ask()
    took_ms: list[float] = []
    until = time.monotonic() + LONGEST_S
    while len(took_ms) < RUNS and time.monotonic() < until:
        began = time.perf_counter()
        answer = await question.ask()
        took_ms.append((time.perf_counter() - began) * 1e3)
    p50, p95 = percentile(took_ms, 50), percentile(took_ms, 95)
    found, complete, inspected = _found(answer)
    return [
        question.text, question.kind, f"{p50:.2f}", f"{p95:.2f}", str(len(took_ms)), found, complete, inspected,
        *_verdict(p95, TARGETS[question.kind]),
    ]  # fmt: skip


def _found(answer: Any) -> tuple[str, str, str]:
    """How much an answer holds, whether that is all that was to be found, and how many traces were looked at."""
    if isinstance(answer, SearchResult):
        return str(len(answer.matches)), "yes" if answer.complete else "NO", f"{answer.inspected:,}"
    if isinstance(answer, MetricsResult):
        return f"{len(answer.series)} series", "yes" if answer.complete else "NO", f"{answer.inspected:,}"
    if isinstance(answer, Trace):
        return f"{len(answer.spans):,}", "", ""
    return str(len(answer)) if isinstance(answer, list) else "1", "", ""


def _verdict(p95_ms: float, target: tuple[float, float] | None) -> tuple[str, str]:
    if target is None:
        return "", ""
    most, aim = target
    return f"{most:.0f} ({aim:.0f})", "well" if p95_ms <= aim else "met" if p95_ms <= most else "MISSED"


async def ask(db: Path) -> None:
    """Ask all questions and print the table."""
    async with await Store.open(db) as store:
        stats = await store.stats()
        print(
            f"{stats.span_count:,} spans in {stats.trace_count:,} traces, {file_bytes(db) / 1e6:,.0f} MB\n", flush=True
        )
        page = await store.search(Search(limit=LIMIT))
        rows = [await measure(question) for question in questions(store, await Sample.of(store), page.next)]
    head = ["question", "class", "p50 ms", "p95 ms", "runs", "found", "complete", "looked at", "p95 target (aim)", ""]
    print_table(head, rows)
    missed = [
        row[0] for row in rows if row[-1] == "MISSED" or (row[6] == "NO" and row[1] not in ("deadline", "series"))
    ]
    print(f"missed: {', '.join(missed)}" if missed else "all targets met")


def main() -> None:
    """Fill a file, if need be, and ask."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spans", type=int, default=1_000_000, help="how many to store in a new file")
    parser.add_argument("--db", type=Path, help="a file to ask, or to make and keep")
    asked = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="minitrace-benchmark-") as folder:
        db = asked.db or Path(folder) / "search.db"
        if not db.exists():
            fill(db, asked.spans)
        gc.set_threshold(*gc.get_threshold()[:2], 1_000_000_000)  # as in the server, see its _collect_garbage
        asyncio.run(ask(db))


if __name__ == "__main__":
    main()
