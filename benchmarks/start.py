"""How soon minitrace is ready, what it costs idle, and how soon a span is visible.

    python benchmarks/start.py

Each figure stands beside one of a bare interpreter measured in the same run, since machines differ and are shared.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

RUNS = 7
SERVE = [sys.executable, "-m", "minitrace", "serve", "--port", "0", "--db", ":memory:"]


def bare_start_s() -> float:
    """An interpreter that imports asyncio, which every server needs, and ends."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import asyncio"], check=True)
    return time.perf_counter() - began


def resident_mb(pid: int) -> float:
    """Resident memory of a process (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def visible_s(url: str, number: int) -> float:
    """From sending a span to reading its name on the search page."""
    span = {
        "traceId": f"{number:032x}", "spanId": f"{number:016x}", "name": f"span number {number}",
        "startTimeUnixNano": str(time.time_ns()), "endTimeUnixNano": str(time.time_ns()),
    }  # fmt: skip
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    began = time.perf_counter()
    urllib.request.urlopen(
        urllib.request.Request(f"{url}/v1/traces", body, {"Content-Type": "application/json"})
    ).read()
    page = urllib.request.urlopen(f"{url}/search").read().decode()
    assert f"span number {number}" in page
    return time.perf_counter() - began


def main() -> None:
    """Print the medians."""
    starts, bares, idle, used, visible = [], [], [], [], []
    for _ in range(RUNS):
        bares.append(bare_start_s())
        began = time.perf_counter()
        with subprocess.Popen(SERVE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            url = next(found[1] for line in server.stdout if (found := re.search(r"open +(http\S+)", line)))
            urllib.request.urlopen(f"{url}/readyz").read()
            starts.append(time.perf_counter() - began)
            idle.append(resident_mb(server.pid))
            visible += [visible_s(url, number) for number in range(1, 20)]
            used.append(resident_mb(server.pid))
            server.terminate()
    start, bare = statistics.median(starts), statistics.median(bares)
    print(f"start to ready     {start * 1000:6.0f} ms   {start / bare:.1f} × a bare interpreter ({bare * 1000:.0f} ms)")
    print(f"idle memory        {statistics.median(idle):6.1f} MB")
    print(f"after 20 searches  {statistics.median(used):6.1f} MB")
    print(f"export to visible  {statistics.median(visible) * 1000:6.1f} ms   (at most {max(visible) * 1000:.0f} ms)")


if __name__ == "__main__":
    main()
