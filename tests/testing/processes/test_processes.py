"""Programs with a stock SDK and its exporter, in processes of their own: their spans reach the test."""

from __future__ import annotations

import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from minitrace.testing import capture

pytestmark = pytest.mark.journey

WORKER = Path(__file__).parent / "apps" / "worker.py"
LONG_S = 30


@contextmanager
def worker(end: str = "end") -> Iterator[subprocess.Popen[str]]:
    """The program, which inherits the environment."""
    with subprocess.Popen([sys.executable, WORKER, end], stdin=-1, stdout=-1, text=True) as program:
        try:
            yield program
        finally:
            program.kill()


def make_span(program: subprocess.Popen[str]) -> int:
    """When it had ended, in nanoseconds since 1970."""
    assert program.stdin
    assert program.stdout
    program.stdin.write("\n")
    program.stdin.flush()
    return int(program.stdout.readline())


def end(program: subprocess.Popen[str]) -> int:
    """Its exit code."""
    assert program.stdin
    program.stdin.close()
    return program.wait(LONG_S)


def test_a_span_is_seen_soon_after_it_ended() -> None:
    delays_ms = []
    with capture(bsp_delay_ms=50) as traces, worker() as program:
        for number in range(20):
            ended_ns = make_span(program)
            traces.wait_for(f"{{ span.number = {number} }}", timeout=LONG_S)
            delays_ms.append((time.time_ns() - ended_ns) / 1e6)
    assert statistics.median(delays_ms) < 300


@pytest.mark.skipif(not hasattr(signal, "pause"), reason="the program waits for its signal")
def test_a_span_outlives_the_signal_that_ends_its_program() -> None:
    with capture() as traces, worker("terminated") as program:
        make_span(program)
        assert end(program) == -signal.SIGTERM
        assert traces.one("{}").origin == "otlp"


def test_a_program_that_ends_after_its_test_is_not_held_up() -> None:
    with ExitStack() as programs:
        with capture() as traces:
            program = programs.enter_context(worker())
        make_span(program)
        started = time.monotonic()
        assert end(program) == 0
        assert time.monotonic() - started < 5  # with a server that is gone an exporter has patience for 7
    assert traces.find().names == ["job"]


def test_all_that_a_program_made_has_come_when_it_has_ended() -> None:
    with capture() as traces, worker() as program:
        for _ in range(3):
            make_span(program)
        assert end(program) == 0
        assert traces.count() == 3
