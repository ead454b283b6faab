"""Log records per second over HTTP, acknowledged after commit and counted afterwards; then questions about them.

    python benchmarks/logs.py [--records N]

The records are as OpenTelemetry's handler for Python's `logging` sends them: three attributes of where in the code, and
a body of some 80 characters, most words of which repeat. Two of three belong to a span.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from corpus import SERVICES, START_NS, WORDS
from measuring import (
    Bodies,
    Usage,
    count_rows,
    file_bytes,
    machine,
    minitrace,
    over_http,
    percentile,
    post,
    print_table,
    running,
    verdict,
)

from minitrace.model import LogRecord, Resource, Scope
from minitrace.otlp.encode import encode_logs
from minitrace.store.logs import LogSearch
from minitrace.store.store import Store

RECORDS_PER_REQUEST = 512  # an exporter's batch
RECORDS_PER_TRACE = 10
SEVERITIES = [9] * 80 + [5] * 12 + [13] * 6 + [17] * 2
NAMES = {5: "DEBUG", 9: "INFO", 13: "WARN", 17: "ERROR"}
ASKED = 5  # times each question
TARGET_PER_S = 25_000


def requests(records: int, seed: int = 1) -> Iterator[tuple[bytes, int]]:
    """Serialized ExportLogsServiceRequests, each with the number of its records."""
    rng = random.Random(seed)
    resources = [Resource({"service.name": name, "service.instance.id": f"{name}-1"}) for name in SERVICES]
    scopes = [Scope(f"shop.{word}") for word in WORDS]
    now_ns = START_NS
    for first in range(0, records, RECORDS_PER_REQUEST):
        resource, count = rng.choice(resources), min(RECORDS_PER_REQUEST, records - first)
        batch = []
        for number in range(count):
            if number % RECORDS_PER_TRACE == 0:
                trace_id = rng.randbytes(16) if rng.random() < 2 / 3 else b""
            now_ns += rng.randrange(10_000, 200_000)
            batch.append(_record(rng, now_ns, trace_id, resource, rng.choice(scopes)))
        yield encode_logs(batch), count


def _record(rng: random.Random, time_ns: int, trace_id: bytes, resource: Resource, scope: Scope) -> LogRecord:
    severity = rng.choice(SEVERITIES)
    said = " ".join(rng.choices(WORDS, k=6))
    return LogRecord(
        time_ns,
        time_ns + 1_000,
        severity,
        NAMES[severity],
        f"{said} for order {rng.randrange(10**6)} of user {rng.randrange(20_000)}",
        {
            "code.file.path": f"/srv/shop/{scope.name}.py",
            "code.function.name": f"on_{WORDS[time_ns % len(WORDS)]}",
            "code.line.number": rng.randrange(1, 400),
        },
        trace_id=trace_id,
        span_id=rng.randbytes(8) if trace_id else b"",
        flags=1 if trace_id else 0,
        resource=resource,
        scope=scope,
    )


QUESTIONS = {
    "the newest": LogSearch(),
    "one order": LogSearch("order 123456"),
    "a word of every fifth record": LogSearch("quorum"),
    "three words": LogSearch("quorum leader 4711"),
    "errors": LogSearch(severity=17),
    "errors of a service, with a word": LogSearch("timeout", severity=17, service="payment"),
    "a line of code": LogSearch(attributes=(("code.line.number", "77"), ("code.function.name", "on_quota"))),
    "a word that is nowhere": LogSearch("nowhere"),
}


async def ask(db: Path) -> list[tuple[str, str, str, str]]:
    """Each question with its hits on the first page, and the median and the longest time of some."""
    rows = []
    async with await Store.open(db) as store:
        (some,) = (await store.logs(LogSearch("quorum", limit=1))).records
        for name, search in {**QUESTIONS, "a trace": LogSearch(trace_id=some.trace_id)}.items():
            taken = []
            for _ in range(ASKED):
                began = time.perf_counter()
                found = await store.logs(search)
                taken.append((time.perf_counter() - began) * 1e3)
            rows.append((name, str(len(found.records)), f"{percentile(taken, 50):.1f}", f"{max(taken):.1f}"))
    return rows


def main() -> None:
    """Print what was taken, and how long questions take."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=200_000)
    asked = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="minitrace-benchmark-") as name:
        db = Path(name) / "logs.db"
        bodies = Bodies.write(Path(name) / "logs.bodies", requests(asked.records))
        with running(minitrace(db)) as server:
            before = Usage.of(server.pid)
            posted = post(server.port, bodies, over=partial(over_http, path="/v1/logs"))
            after = Usage.of(server.pid)
        rows = count_rows(db, "logs")
        print_table(
            ["records stored", "records/s", "CPU µs a record", "MB resident at most", "bytes a record", "on the wire"],
            [(
                f"{rows:,}", f"{rows / posted.seconds:,.0f}", f"{(after.cpu_s - before.cpu_s) / rows * 1e6:.1f}",
                f"{after.peak_mb:.0f}", f"{file_bytes(db) / rows:.0f}", f"{bodies.size_bytes / rows:.0f}",
            )],
        )  # fmt: skip
        print(f"target at least {TARGET_PER_S:,} records/s: {verdict(rows / posted.seconds >= TARGET_PER_S)}\n")
        print_table(["question", "on its page", "median, ms", "longest, ms"], asyncio.run(ask(db)))


if __name__ == "__main__":
    main()
