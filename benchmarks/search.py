"""How soon the store answers: some forty questions to a file with a million spans, beside their targets.

    python benchmarks/search.py [--spans N] [--db FILE]

The file is filled over HTTP, or taken as it is if FILE exists (of the same version of minitrace: between releases
tables change without a migration); a FILE that does not exist is made, and kept. The questions go to the store itself,
in this process: what a page adds to them is `mixed.py`'s.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import re
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import file_bytes, fill, machine, percentile, print_table

from minitrace.model import Kind, StatusCode, Trace
from minitrace.store.conditions import Filter
from minitrace.store.dictionary import Attribute
from minitrace.store.search import SearchResult
from minitrace.store.store import Store

RUNS = 30
LONGEST_S = 10.0  # spent on one question; a slow one is asked less often
LIMIT = 20
METHOD, STATUS_CODE, QUERY_TEXT, URL = (
    "http.request.method", "http.response.status_code", "db.query.text", "url.full",
)  # fmt: skip
# 95 % of the answers must come within the first figure, in ms; the second is what we aim at.
TARGETS: dict[str, tuple[float, float] | None] = {
    "indexed": (20, 5),
    "scan": (300, 100),
    "latest": (5, 5),
    "trace": (15, 15),
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
    traces: dict[int, bytes]

    @classmethod
    async def of(cls, store: Store) -> Sample:
        """Choose from the file; the same every time."""
        with closing(sqlite3.connect(f"{store.path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM traces").fetchone()
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
            rows[0][1], value("session.id"), value("messaging.message.id"), value("http.route"), condition, traces
        )


def questions(store: Store, sample: Sample, second_page: str | None) -> list[Question]:
    """All of them, in the order of the table."""

    def search(kind: str, text: str, /, *attributes: Attribute, before: str | None = None, **fields: Any) -> Question:
        wanted = Filter(attributes=attributes, **fields)
        return Question(kind, text, lambda: store.search(wanted, limit=LIMIT, before=before))

    def equal(key: str, value: str | int | bool, scope: str | None = None) -> Attribute:
        return Attribute(key, "=", value, scope)

    def fits(key: str, pattern: str) -> Attribute:
        return Attribute(key, "fits", re.compile(pattern).fullmatch)

    def trace(size: int) -> Question:
        return Question("other" if size > 1_000 else "trace", f"trace of {size:,} spans",
                        lambda: store.trace(sample.traces[size]))  # fmt: skip

    return [
        search("latest", "latest 20"),
        search("latest", "second page", before=second_page),
        search("latest", "time range of 10 s", start_ns=sample.start_ns, end_ns=sample.start_ns + 10**10),
        search("indexed", "one session.id", equal("session.id", sample.session)),
        search("indexed", "one messaging.message.id", equal("messaging.message.id", sample.message_id)),
        search("indexed", "no such session.id", equal("session.id", "s-none")),
        search("indexed", "one http.route of 200", equal("http.route", sample.route)),
        search("indexed", "feature.flag = flag-7", equal("feature.flag", "flag-7")),
        search("indexed", "method = GET, common", equal(METHOD, "GET")),
        search("indexed", "status_code = 503", equal(STATUS_CODE, 503)),
        search("indexed", "cache.hit = false", equal("cache.hit", False)),
        search("indexed", "two common, rare together", equal("thread.id", 7), equal("thread.name", "worker-9")),
        search("indexed", "two common, never together", equal(METHOD, "GET"), equal("server.port", 5432)),
        search("indexed", "three: GET, 404, thread 7", equal(METHOD, "GET"), equal(STATUS_CODE, 404),
               equal("thread.id", 7)),
        search("indexed", "resource version = 1.8.0", equal("service.version", "1.8.0", "resource")),
        search("indexed", "resource and a rare span value", equal("service.version", "1.8.0", "resource"),
               equal(STATUS_CODE, 503)),
        search("indexed", "service", service="checkout"),
        search("indexed", "service, errors", service="checkout", status=int(StatusCode.ERROR)),
        search("indexed", "service and name", service="checkout", name="SELECT orders"),
        search("indexed", "no such service", service="none"),
        search("indexed", "name", name="SELECT users"),
        search("indexed", "errors", status=int(StatusCode.ERROR)),
        search("indexed", "errors in a time range", status=int(StatusCode.ERROR), start_ns=sample.start_ns,
               end_ns=sample.start_ns + 10**11),
        search("indexed", "kind = producer", kind=int(Kind.PRODUCER)),
        search("indexed", "duration > 2 s, rare", min_duration_ns=2 * 10**9),
        search("indexed", "duration > 1 ms, common", min_duration_ns=10**6),
        search("indexed", "words: one message id, rare", text=sample.message_id),
        search("indexed", "words: orders, common", text="orders"),
        search("indexed", "words: orders quorum", text="orders quorum"),
        search("indexed", "words: of stack traces", text="traceback"),
        search("indexed", "words: of events, two", text="ConnectionError checksum"),
        search("indexed", "words: none has it", text="zanzibar"),
        search("scan", "status_code >= 500, rare", Attribute(STATUS_CODE, ">=", 500)),
        search("scan", "status_code >= 200, common", Attribute(STATUS_CODE, ">=", 200)),
        search("scan", "body.size > 3990 of 4000", Attribute("messaging.message.body.size", ">", 3_990)),
        search("scan", "body.size > 100 of 4000", Attribute("messaging.message.body.size", ">", 100)),
        search("scan", "regex on method", fits(METHOD, "PUT|DELETE")),
        search("scan", "regex on route, a twentieth", fits("http.route", ".*/quorum")),
        search("scan", "regex on url.full, hits", fits(URL, r".*/orders/\d+/quorum\?page=7")),
        search("scan", "regex on url.full, no hit", fits(URL, r".*/nowhere/.*")),
        search("scan", "db.query.text contains, rare", Attribute(QUERY_TEXT, "contains", sample.condition)),
        search("scan", "db.query.text contains, common", Attribute(QUERY_TEXT, "contains", "select orders")),
        search("scan", "db.query.text contains, never", Attribute(QUERY_TEXT, "contains", "drop table")),
        *(trace(size) for size in sample.traces),
        Question("other", "services", store.services),
        Question("other", "operations of a service", lambda: store.operations("checkout")),
        Question("other", "attribute keys", store.attribute_keys),
        Question("other", "values of http.route", lambda: store.attribute_values("span", "http.route")),
        Question("other", "values of session.id", lambda: store.attribute_values("span", "session.id")),
        Question("other", "how much is stored", store.stats),
    ]  # fmt: skip


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
        page = await store.search(Filter(), limit=LIMIT)
        rows = [await measure(question) for question in questions(store, await Sample.of(store), page.next)]
    head = ["question", "class", "p50 ms", "p95 ms", "runs", "found", "complete", "looked at", "p95 target (aim)", ""]
    print_table(head, rows)
    missed = [row[0] for row in rows if row[-1] == "MISSED" or row[6] == "NO"]
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
