"""Spans per second over HTTP, acknowledged after commit, with the rows counted afterwards.

    python benchmarks/ingest.py [--spans N]

Beside it, in the same run: the same bodies only parsed by protobuf, which nothing in Python can undercut.
"""

from __future__ import annotations

import argparse
import http.client
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from minitrace.demo import shop_trace
from minitrace.otlp import messages
from minitrace.otlp.encode import encode_export

CLIENTS = 4
SPANS_PER_BODY = 512


def bodies(total: int) -> list[bytes]:
    """Export requests with the demo shop's spans."""
    rng, made, waiting, count = random.Random(1), [], [], 0
    while count < total:
        waiting += shop_trace(rng, time.time_ns())
        if len(waiting) >= SPANS_PER_BODY:
            made.append(encode_export(waiting))
            count += len(waiting)
            waiting = []
    return made


def send(port: int, parts: list[bytes]) -> None:
    """Post bodies one after the other on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for body in parts:
        connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
    connection.close()


def main() -> None:
    """Print spans per second, microseconds and bytes per span."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--spans", type=int, default=100_000)
    made = bodies(parser.parse_args().spans)
    began = time.process_time()
    for body in made:
        messages.ExportTraceServiceRequest.FromString(body)
    parse_s = time.process_time() - began
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        command = [sys.executable, "-m", "minitrace", "serve", "--port", "0", "--db", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            port = next(int(found[1]) for line in server.stdout if (found := re.search(r"open +http\S+:(\d+)", line)))
            began = time.perf_counter()
            with ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(send, [port] * CLIENTS, [made[n::CLIENTS] for n in range(CLIENTS)]))
            took_s = time.perf_counter() - began
            server.terminate()
        rows = sqlite3.connect(path).execute("SELECT count(*) FROM spans").fetchone()[0]
        print(f"{rows} spans in {took_s:.1f} s: {rows / took_s:.0f} spans/s, {took_s / rows * 1e6:.1f} µs a span")
        print(
            f"{took_s / parse_s:.1f} × the time of only parsing the same bodies ({parse_s / rows * 1e6:.2f} µs a span)"
        )
        print(
            f"{path.stat().st_size / rows:.0f} bytes a span in the file, {sum(map(len, made)) / rows:.0f} on the wire"
        )


if __name__ == "__main__":
    main()
