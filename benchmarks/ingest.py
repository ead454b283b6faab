"""Spans per second over HTTP and gRPC, acknowledged after commit, with the rows counted afterwards.

    python benchmarks/ingest.py [--spans N] [--plain | --gzip | --grpc] [--report-every N]

Beside it, in the same run, what nothing in Python can undercut: the same bodies only parsed by protobuf, rows of three
integers in SQLite, and the same requests to a server that throws them away.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from corpus import Corpus
from measuring import (
    CONNECTIONS,
    Bodies,
    Opened,
    Posted,
    Usage,
    count_spans,
    file_bytes,
    machine,
    minitrace,
    over_grpc,
    over_http,
    post,
    print_table,
    running,
)  # fmt: skip

from minitrace.otlp import messages

BARE_ROWS = 100_000
BARE_REQUESTS = 650  # about 200 000 spans
RUNS = 3  # of each bare measurement, of which the best counts: the machine only ever adds


@dataclass(frozen=True)
class Taken:
    """One run against minitrace: the server's use before the first request, after the last answer, and what is left."""

    posted: Posted
    before: Usage
    after: Usage
    rows: int
    file_bytes: int
    wire_bytes: int

    @property
    def cpu_us(self) -> float:
        """The server's processor time a span."""
        return (self.after.cpu_s - self.before.cpu_s) / self.rows * 1e6


class Reporter:
    """Prints a line for every so many spans acknowledged: whether the millionth costs what the first did."""

    def __init__(self, pid: int, every: int) -> None:
        self._pid = pid
        self._every = self._next = every
        self._last = (0, time.perf_counter(), Usage.of(pid).cpu_s)

    def __call__(self, acknowledged: int) -> None:
        """Take note of how many spans were acknowledged."""
        if acknowledged < self._next:
            return
        usage, now = Usage.of(self._pid), time.perf_counter()
        count, seconds, cpu_s = acknowledged - self._last[0], now - self._last[1], usage.cpu_s - self._last[2]
        self._last = (acknowledged, now, usage.cpu_s)
        self._next += self._every
        print(
            f"{acknowledged:10,} acknowledged: {count / seconds:9,.0f} spans/s "
            f"{cpu_s / count * 1e6:8.1f} CPU µs a span {usage.rss_mb:7.0f} MB resident",
            flush=True,
        )


def take(bodies: Bodies, folder: Path, report_every: int, over: Callable[[int, str], Opened] = over_http) -> Taken:
    """Send all bodies to a fresh file."""
    db = folder / f"{bodies.encoding or 'plain'}.db"
    with running(minitrace(db)) as server:
        before = Usage.of(server.pid)
        on_answer = Reporter(server.pid, report_every) if report_every else None
        posted = post(server.port, bodies, on_answer=on_answer, over=over)
        after = Usage.of(server.pid)
    taken = Taken(posted, before, after, count_spans(db), file_bytes(db), bodies.size_bytes)
    db.unlink()
    return taken


def parse_us(bodies: Bodies) -> float:
    """Processor time a span of protobuf (upb) reading the bodies, and nothing else."""
    content = list(islice(bodies.read(), BARE_REQUESTS))

    def parse() -> None:
        for body in content:
            messages.ExportTraceServiceRequest.FromString(body)

    return min(_cpu_s(parse) for _ in range(RUNS)) / _first_spans(bodies) * 1e6


def insert_us(folder: Path) -> float:
    """Processor time a row of three integers, in one transaction of a hundred thousand."""

    rows = [(number, number * 7, number * 13) for number in range(BARE_ROWS)]

    def insert() -> None:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO bare VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")

    costs = []
    for number in range(RUNS):
        with closing(sqlite3.connect(folder / f"bare-{number}.db", isolation_level=None)) as connection:
            connection.executescript(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; "
                "CREATE TABLE bare (a INTEGER PRIMARY KEY, b INTEGER, c INTEGER)"
            )
            costs.append(_cpu_s(insert) / BARE_ROWS * 1e6)
    return min(costs)


def request_us(bodies: Bodies) -> tuple[float, float]:
    """Processor time of the server and wall time a span of the same requests, to a server that drops them."""
    some = Bodies(bodies.path, bodies.entries[:BARE_REQUESTS], bodies.encoding)
    costs = []
    with running([str(Path(__file__).with_name("noop.py"))]) as server:
        post(server.port, Bodies(some.path, some.entries[:20], some.encoding))  # imports, first calls
        for _ in range(RUNS):
            before = Usage.of(server.pid).cpu_s
            posted = post(server.port, some)
            cpu_s = Usage.of(server.pid).cpu_s - before
            costs.append((cpu_s / some.span_count * 1e6, posted.seconds / some.span_count * 1e6))
    return min(costs)


def _first_spans(bodies: Bodies) -> int:
    return sum(entry[2] for entry in bodies.entries[:BARE_REQUESTS])


def _cpu_s(action: Callable[[], None]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


def _print_limits(taken: Taken, bodies: Bodies, plain: Bodies, folder: Path) -> None:
    parse, insert, (request, request_wall) = parse_us(plain), insert_us(folder), request_us(bodies)
    ours, wall = taken.cpu_us, taken.posted.seconds / taken.rows * 1e6
    rows = [
        ("minitrace", ours, wall),
        ("protobuf (upb) parses the bodies", parse, None),
        ("SQLite inserts rows of 3 integers", insert, None),
        ("a server that drops the requests", request, request_wall),
        ("the three together", parse + insert + request, None),
    ]
    print_table(
        ["limits", "CPU µs a span", "minitrace takes", "wall µs a span", "minitrace takes"],
        [
            (name, f"{cpu:.2f}", f"{ours / cpu:.1f} ×", *((f"{own:.2f}", f"{wall / own:.1f} ×") if own else ("", "")))
            for name, cpu, own in rows
        ],
    )


def _print_taken(taken: list[tuple[str, Taken]]) -> None:
    columns = [
        [
            name,
            f"{one.rows:,}",
            f"{one.rows / one.posted.seconds:,.0f}",
            f"{one.posted.seconds / one.rows * 1e6:.1f}",
            f"{one.cpu_us:.1f}",
            f"{one.posted.client_cpu_s / one.rows * 1e6:.1f}",
            str(one.posted.retries),
            f"{one.before.rss_mb:.0f}",
            f"{one.after.peak_mb:.0f}",
            f"{one.after.rss_mb:.0f}",
            f"{one.file_bytes / one.rows:.0f}",
            f"{one.wire_bytes / one.rows:.0f}",
        ]
        for name, one in taken
    ]
    labels = [
        "ingest", "rows in spans, counted afterwards", "spans/s", "wall µs a span", "server CPU µs a span",
        "client CPU µs a span", "answers 503, sent again", "resident before, MB", "resident at most, MB",
        "resident after, MB", "bytes a span in the file", "bytes a span on the wire",
    ]  # fmt: skip
    head, *rows = zip(labels, *columns, strict=True)
    print_table(head, rows)


def main() -> None:
    """Print a table of what was taken and one of the limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spans", type=int, default=200_000)
    parser.add_argument("--report-every", type=int, default=0, metavar="N", help="a line for every N spans")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--plain", action="store_true", help="without gzip only")
    only.add_argument("--gzip", action="store_true", help="with gzip only")
    only.add_argument("--grpc", action="store_true", help="HTTP and gRPC side by side, without gzip and limits")
    asked = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="minitrace-benchmark-") as name:
        folder = Path(name)
        plain = Bodies.write(folder / "plain.bodies", Corpus().requests(asked.spans))
        sorts = [] if asked.gzip else [plain]
        if not asked.plain and not asked.grpc:
            sorts.append(plain.gzipped(folder / "gzip.bodies"))
        print(
            f"{plain.span_count:,} spans in {len(plain.entries):,} requests, "
            f"{plain.span_count / len(plain.entries):.0f} each on average, over {CONNECTIONS} connections\n",
            flush=True,
        )
        taken = [(bodies.encoding or "plain", take(bodies, folder, asked.report_every)) for bodies in sorts]
        if not asked.gzip and not asked.plain:
            taken.append(("gRPC", take(plain, folder, asked.report_every, over_grpc)))
        _print_taken(taken)
        if asked.grpc:
            return
        _print_limits(taken[0][1], sorts[0], plain, folder)


if __name__ == "__main__":
    main()
