"""What `minitrace.testing` and its pytest plugin cost, beside what the same costs without them.

    python benchmarks/testing.py [--quick]

Figures of one process are taken in this one, with the OpenTelemetry SDK; what a test run pays is taken from runs of
pytest in processes of their own, whose suites are written to a temporary folder. The last table has the targets.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from measuring import machine, percentile, print_table
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from minitrace.testing import Traces, capture

SPANS = 2_000  # in one capture; the SDK takes some 30 µs for each
ROUNDS = 15
WAITS = 100
CHILDREN = 20
TESTS = 400  # of a suite that does nothing
RUNS = 5
REST_S = 0.01  # so that whoever waits is asleep when the span comes

# A process with the SDK's stock exporter, as any application has it, which says when its span had ended.
CHILD = """
    import time
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("child")
    with tracer.start_as_current_span("work"):
        pass
    print(time.time_ns(), flush=True)
    input()
"""
SUITES = {
    "without": "import pytest\n@pytest.mark.parametrize('n', range({tests}))\ndef test_nothing(n): pass\n",
    "with": "import pytest\n@pytest.mark.parametrize('n', range({tests}))\ndef test_nothing(n, traces): pass\n",
    "child": """
        import subprocess, sys, pytest
        @pytest.fixture(scope="session")
        def children(minitrace_server):
            yield [subprocess.Popen([sys.executable, "child.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    env=minitrace_server.env)]
        def test_a_child_holds_a_connection(children):
            for child in children: child.stdout.readline()
    """,
}


def main() -> None:
    """Print all tables."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="a fifth of the repetitions")
    part = 5 if arguments.parse_args().quick else 1
    print(machine())
    with tempfile.TemporaryDirectory(prefix="minitrace-benchmark-") as name:
        folder = Path(name)
        (folder / "child.py").write_text(textwrap.dedent(CHILD))
        rows = list(_figures(folder, part))
    print_table(["figure", "times", "p50", "p95", "unit", "target", ""], rows)


def _figures(folder: Path, part: int) -> Iterator[tuple[str, ...]]:
    yield _row("plugin import", _imports(RUNS * 3 // part), "ms", 20)
    yield _row("first capture, imports included", _first(RUNS // part), "ms", 300)
    yield _row("capture of its own, begun and ended", _captures(ROUNDS * 20 // part), "ms", 1)
    yield _row("a test with `traces` after the first, more than without", _tests(folder, RUNS // part), "ms", 1)
    spans = {name: _spans(how, ROUNDS // part) for name, how in PROCESSORS.items()}
    for name, took_us in spans.items():
        yield _row(f"a span: {name}", took_us, "µs")
    least = min(spans["no processor"])
    yield _row("a span: the hub's part", [took - least for took in spans["captured"]], "µs", 20)
    yield _row("waiting, from stored to returned", _waits(WAITS // part), "ms", 5)
    yield _row("a child's span, from its end to returned", _children(folder, CHILDREN // part), "ms", 300)
    yield _row("session end with a child's connection, more than without", _ends(folder, RUNS // part), "ms", 300)


def _row(name: str, figures: Sequence[float], unit: str, target: float | None = None) -> tuple[str, ...]:
    ordered = sorted(figures)
    p50, p95 = statistics.median(ordered), percentile(ordered, 95)
    verdict = "" if target is None else "met" if p95 <= target else "met at p50" if p50 <= target else "MISSED"
    return (name, str(len(ordered)), f"{p50:.2f}", f"{p95:.2f}", unit, "" if target is None else f"{target:g}", verdict)


def _python(code: str) -> float:
    """What a new Python prints."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _imports(times: int) -> list[float]:
    return [
        _python("""
            import pytest, time
            began = time.perf_counter()
            import minitrace.pytest_plugin
            print((time.perf_counter() - began) * 1e3)
        """)
        for _ in range(times)
    ]


def _first(times: int) -> list[float]:
    return [
        _python("""
            import pytest, minitrace.pytest_plugin, opentelemetry.sdk.trace, time
            began = time.perf_counter()
            from minitrace.testing import capture
            with capture() as traces:
                with opentelemetry.trace.get_tracer("app").start_as_current_span("work"):
                    pass
                assert traces.find("{ name = \\"work\\" }")
            print((time.perf_counter() - began) * 1e3)
        """)
        for _ in range(times)
    ]


def _captures(times: int) -> list[float]:
    def once() -> None:
        with capture():
            pass

    once()
    return [_timed(once) * 1e3 for _ in range(times)]


def _tests(folder: Path, times: int) -> list[float]:
    """Milliseconds that a test's capture costs in a suite: what each test more costs, with it and without."""

    def each(name: str) -> float:
        return (_suite(folder, name, TESTS + 1) - _suite(folder, name, 1)) / TESTS * 1e3

    return [each("with") - each("without") for _ in range(times)]


def _suite(folder: Path, name: str, tests: int) -> float:
    """The seconds that pytest takes for a suite, as a process."""
    suite = folder / f"test_{name}.py"
    suite.write_text(textwrap.dedent(SUITES[name]).format(tests=tests))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", suite.name]
    plugin = [] if _is_installed() else ["-p", "minitrace.pytest_plugin"]
    return _timed(lambda: subprocess.run([*command, *plugin], cwd=folder, capture_output=True, check=True))


def _is_installed() -> bool:
    """Whether pytest finds the plugin by itself."""
    from importlib.metadata import entry_points

    return any(point.name == "minitrace" for point in entry_points(group="pytest11"))


def _in_memory() -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    return provider


def _bare() -> TracerProvider:
    return TracerProvider(shutdown_on_exit=False)


PROCESSORS: dict[str, tuple[Callable[[], TracerProvider], bool]] = {
    "no processor": (_bare, False),
    "the SDK's in-memory exporter": (_in_memory, False),
    "captured": (_bare, True),
}


def _spans(how: tuple[Callable[[], TracerProvider], bool], rounds: int) -> list[float]:
    """Microseconds a span with two attributes, for each round."""
    make, is_captured = how
    tracer = make().get_tracer("benchmark")

    def work() -> None:
        for number in range(SPANS):
            with tracer.start_as_current_span("work") as span:
                span.set_attribute("number", number)
                span.set_attribute("text", "value")

    if not is_captured:
        return [_timed(work) / SPANS * 1e6 for _ in range(rounds)]
    with capture() as traces:
        figures = []
        for _ in range(rounds):
            figures.append(_timed(work) / SPANS * 1e6)
            assert traces.count() == SPANS
            traces.clear()
        return figures


def _waits(times: int) -> list[float]:
    """Milliseconds from the end of a span in another thread until `wait_for` is back in this one."""
    tracer = _bare().get_tracer("benchmark")
    with capture() as traces:
        return [_wait(traces, tracer, number) for number in range(times)]


def _wait(traces: Traces, tracer: object, number: int) -> float:
    ended = 0.0

    def work() -> None:
        nonlocal ended
        time.sleep(REST_S)
        tracer.start_span(f"work {number}").end()  # type: ignore[attr-defined]
        ended = time.perf_counter()

    thread = threading.Thread(target=work)
    thread.start()
    traces.wait_for(f'{{ name = "work {number}" }}')
    took_s = time.perf_counter() - ended
    thread.join()
    return took_s * 1e3


def _children(folder: Path, times: int) -> list[float]:
    return [_child(folder) for _ in range(times)]


def _child(folder: Path) -> float:
    """Milliseconds from the end of a span in a process of its own until `wait_for` is back."""
    with capture() as traces:
        command = [sys.executable, str(folder / "child.py")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout
            ended_ns = int(child.stdout.readline())
            traces.wait_for('{ name = "work" }')
            took_ms = (time.time_ns() - ended_ns) / 1e6
            child.communicate("\n")
        return took_ms


def _ends(folder: Path, times: int) -> list[float]:
    """Milliseconds between the last test's end, with a connection open, and the end of pytest."""
    code = textwrap.dedent("""
        import time, pytest
        @pytest.hookimpl(trylast=True)
        def pytest_runtest_logfinish(nodeid): global at; at = time.time()
        @pytest.hookimpl(trylast=True)
        def pytest_unconfigure(config): print("ended after", (time.time() - at) * 1e3)
    """)
    (folder / "conftest.py").write_text(code)
    try:
        return [_end(folder, "child") - _end(folder, "without") for _ in range(times)]
    finally:
        (folder / "conftest.py").unlink()


def _end(folder: Path, name: str) -> float:
    suite = folder / f"test_{name}.py"
    suite.write_text(textwrap.dedent(SUITES[name]).format(tests=1))
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", suite.name]
    plugin = [] if _is_installed() else ["-p", "minitrace.pytest_plugin"]
    said = subprocess.run([*command, *plugin], cwd=folder, capture_output=True, text=True, check=True).stdout
    found = re.search(r"ended after ([\d.]+)", said)
    assert found, said
    return float(found[1])


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
