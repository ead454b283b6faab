"""What the benchmarks share: a server in its own process, bodies on disk, a client that costs little, tables.

Bodies are made and written to a file before anything is timed, and read from there while it is: the client's work
is then one read and one write a request, and a run of millions of spans needs no memory for them.
"""

from __future__ import annotations

import gzip
import http.client
import os
import platform
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from corpus import Corpus

CONNECTIONS = 4
GZIP_LEVEL = 6
END_TIMEOUT_S = 120  # a checkpoint of a large log takes a while
REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Process:
    """A server that listens on 127.0.0.1."""

    pid: int
    port: int


@dataclass(frozen=True)
class Usage:
    """What a process has used up to now: processor time of all its threads, resident memory and the most of it."""

    cpu_s: float
    rss_mb: float
    peak_mb: float

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Read it from /proc (Linux)."""
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
        rss, peak = (int(re.search(rf"{key}:\s+(\d+) kB", status)[1]) / 1024 for key in ("VmRSS", "VmHWM"))  # type: ignore[index]
        return cls((int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"), rss, peak)


@contextmanager
def running(command: Sequence[str]) -> Iterator[Process]:
    """Start a server that prints a line with "open" and its URL, and end it afterwards, in peace if it can."""
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            found = next(filter(None, (re.search(r"open +http\S+?:(\d+)", line) for line in process.stdout)), None)
            if found is None:
                raise RuntimeError(f"the server ended with {process.wait()} before it listened")
            threading.Thread(target=process.stdout.read, daemon=True).start()  # a full pipe would stop it
            yield Process(process.pid, int(found[1]))
        finally:
            process.terminate()
            try:
                process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def minitrace(db: Path, *options: str) -> Sequence[str]:
    """The command for `running` that serves a file on a free port."""
    return ["-m", "minitrace", "serve", "--port", "0", "--db", str(db), *options]


@dataclass(frozen=True)
class Bodies:
    """Requests in a file, one behind the other; `entries` are where each begins, its size and its spans."""

    path: Path
    entries: list[tuple[int, int, int]] = field(repr=False)
    encoding: str = ""

    @classmethod
    def write(cls, path: Path, requests: Iterable[tuple[bytes, int]]) -> Bodies:
        """Put bodies, each with the number of its spans, into a new file."""
        entries = []
        with path.open("xb") as file:
            for body, span_count in requests:
                entries.append((file.tell(), len(body), span_count))
                file.write(body)
        return cls(path, entries)

    @property
    def span_count(self) -> int:
        """The spans of all requests."""
        return sum(entry[2] for entry in self.entries)

    @property
    def size_bytes(self) -> int:
        """The bytes of all requests."""
        return sum(entry[1] for entry in self.entries)

    def read(self) -> Iterator[bytes]:
        """The bodies one by one."""
        with self.path.open("rb", buffering=0) as file:
            for first, size, _ in self.entries:
                file.seek(first)
                yield file.read(size)

    def gzipped(self, path: Path) -> Bodies:
        """The same requests in another file, each compressed."""
        packed = (gzip.compress(body, GZIP_LEVEL) for body in self.read())
        made = Bodies.write(path, zip(packed, (entry[2] for entry in self.entries), strict=True))
        return Bodies(path, made.entries, "gzip")

    def split(self, spans: int) -> tuple[Bodies, Bodies]:
        """The first requests, which have that many spans together or a few more, and the rest."""
        made = 0
        for number, entry in enumerate(self.entries):
            if made >= spans:
                return self._part(self.entries[:number]), self._part(self.entries[number:])
            made += entry[2]
        return self, self._part([])

    def _part(self, entries: list[tuple[int, int, int]]) -> Bodies:
        return Bodies(self.path, entries, self.encoding)


@dataclass(frozen=True)
class Posted:
    """How posting went: until the last answer, what it cost the client, how often it was told to come again."""

    seconds: float
    client_cpu_s: float
    retries: int


Send = Callable[[bytes], int]  # a body until it is acknowledged; returns how often it was not
Opened = AbstractContextManager[Send]


def post(
    port: int,
    bodies: Bodies,
    *,
    connections: int = CONNECTIONS,
    on_answer: Callable[[int], None] | None = None,
    over: Callable[[int, str], Opened] | None = None,
) -> Posted:
    """Post all bodies over kept connections, each in its turn. 503 is waited for and sent again, as an SDK does.

    `over` is `over_http` unless said otherwise.

    `on_answer` is told how many spans were acknowledged so far, by one thread at a time.

    Raises:
        RuntimeError: an answer was neither 200 nor 503, or spans were rejected.
    """
    waiting, lock = iter(bodies.entries), threading.Lock()
    acknowledged = retries = 0

    def send() -> None:
        nonlocal acknowledged, retries
        with (over or over_http)(port, bodies.encoding) as send_one, bodies.path.open("rb", buffering=0) as file:
            while True:
                with lock:
                    first, size, span_count = next(waiting, (0, 0, 0))
                if not size:
                    return
                again = send_one(os.pread(file.fileno(), size, first))
                with lock:
                    retries += again
                    acknowledged += span_count
                    if on_answer:
                        on_answer(acknowledged)

    began, cpu_began = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(connections) as pool:
        for future in [pool.submit(send) for _ in range(connections)]:
            future.result()
    return Posted(time.perf_counter() - began, time.process_time() - cpu_began, retries)


@contextmanager
def over_http(port: int, encoding: str, path: str = "/v1/traces") -> Iterator[Send]:
    """A connection that posts bodies."""
    headers = {"Content-Type": "application/x-protobuf"} | ({"Content-Encoding": encoding} if encoding else {})
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        yield lambda body: _send_until_taken(connection, path, body, headers)


@contextmanager
def over_grpc(port: int, encoding: str) -> Iterator[Send]:
    """A connection of its own that calls Export with bodies; packing them is grpc's own affair."""
    assert not encoding
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        yield lambda body: _call_until_taken(export, body)


def _call_until_taken(export: Callable[..., bytes], body: bytes) -> int:
    retries = 0
    while True:
        try:
            if content := export(body, timeout=120):
                raise RuntimeError(f"the server answered {content[:300]!r}")
            return retries
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        retries += 1
        time.sleep(1)


def _send_until_taken(connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]) -> int:
    """Post a body until it is acknowledged; returns how often it was not."""
    retries = 0
    while True:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status == 200 and not content:
            return retries
        if answer.status != 503:
            raise RuntimeError(f"the server answered {answer.status} {content[:300]!r}")
        retries += 1
        time.sleep(float(answer.headers["Retry-After"]))


def fill(db: Path, spans: int, planted: Sequence[tuple[bytes, int]] = ()) -> None:
    """Send a corpus of that many spans to a server that writes this file; print how that went.

    Requests that are `planted` are spread evenly among the others.
    """
    with tempfile.TemporaryDirectory(prefix="minitrace-benchmark-") as folder:
        bodies = Bodies.write(Path(folder) / "bodies", _spread(Corpus().requests(spans), planted, spans))
        with running(minitrace(db)) as server:
            posted, usage = post(server.port, bodies), Usage.of(server.pid)
        print(
            f"filled in {posted.seconds:.0f} s: {bodies.span_count / posted.seconds:,.0f} spans/s, "
            f"at most {usage.peak_mb:.0f} MB resident",
            flush=True,
        )


def _spread(
    requests: Iterable[tuple[bytes, int]], planted: Sequence[tuple[bytes, int]], spans: int
) -> Iterator[tuple[bytes, int]]:
    """All requests; the planted ones where their share of the spans was made."""
    made = sent = 0
    for request in requests:
        yield request
        made += request[1]
        due = len(planted) * min(made, spans) // spans
        yield from planted[sent:due]
        sent = due


def count_spans(db: Path) -> int:
    """The rows of `spans` in a file."""
    return count_rows(db, "spans")


def count_rows(db: Path, table: str) -> int:
    """The rows of a table in a file."""
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def file_bytes(db: Path) -> int:
    """The size of a file and of what lies beside it, which is nothing after an orderly end."""
    return sum(path.stat().st_size for path in db.parent.glob(f"{db.name}*") if path.suffix != ".lock")


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least that many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]


def verdict(is_met: bool) -> str:
    """What stands beside a figure that has a target."""
    return "met" if is_met else "MISSED"


def machine() -> str:
    """One line that says what was measured where."""
    processors = re.findall(r"model name\s+: (.+)", Path("/proc/cpuinfo").read_text()) or [platform.machine()]
    return (
        f"{len(os.sched_getaffinity(0))} cores of {' '.join(processors[0].split())}, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, commit {_commit()}"
    )


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True)
        return done.stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "--", "minitrace") else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows below each other: the first column from the left, figures from the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        print("  ".join(cells).rstrip())
        if not number:
            print("  ".join("-" * width for width in widths))
    print(flush=True)
