"""`pytest --minitrace`, in processes of its own, and what can be read of it afterwards."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from minitrace.asking.file import File
from minitrace.cli.open import meant
from minitrace.model import Span, StatusCode, Trace
from tests.running import Server
from tests.samples import draw

SHOP = """
import subprocess, sys, threading

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider())
tracer = trace.get_tracer("shop")

def order():
    with tracer.start_as_current_span("POST /orders", kind=trace.SpanKind.SERVER):
        with tracer.start_as_current_span("SELECT stock"):
            pass
"""
TWO_TESTS = "def test_one(): order()\ndef test_two(): order()"


class Recorded:
    """A session that was recorded: what pytest printed, and the file."""

    def __init__(self, result: pytest.RunResult, path: Path) -> None:
        self.result = result
        self.lines = result.outlines
        self.path = path

    def traces(self) -> dict[str, Trace]:
        """All traces, by the name of their root."""
        file = File(self.path)
        try:
            found = [file.trace(one.trace_id) for one in file.search({"q": "{}", "limit": "100"}).traces]
        finally:
            file.close()
        return {trace.root.span.name: trace for trace in found if trace.root}

    def test(self, name: str) -> Trace:
        """The trace of a test of the file test_shop.py."""
        return self.traces()[f"test_shop.py::{name}"]

    def span(self, test: str, name: str) -> Span:
        """The one span of a test with this name."""
        (span,) = [span for span in self.test(test).spans if span.name == name]
        return span


class Inner:
    """A project with a shop, and pytest run in it. No plugins are loaded but those that are named."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        pytester.makepyfile(shop=SHOP)

    def run(self, tests: str, *options: str) -> Recorded:
        """Run a file of tests, recorded in s.db."""
        return self.pytest(tests, "--minitrace", "--minitrace-db=s.db", *options)

    def pytest(self, tests: str, *options: str) -> Recorded:
        """The same, recorded as the options say."""
        self.pytester.makepyfile(test_shop=f"from shop import *\n\n{tests}")
        plugins = ("-p", "minitrace", "-p", "no:cacheprovider")
        return Recorded(self.pytester.runpytest_subprocess(*plugins, *options), self.path / "s.db")


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Inner:
    for name in ("MINITRACE_URL", "MINITRACE_TOKEN", "MINITRACE_RUN_ID", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return Inner(pytester)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server") / "traces.db") as running:
        yield running


def tree(trace: Trace) -> list[str]:
    return draw(trace).splitlines()


def test_a_test_is_a_trace_of_its_phases_fixtures_and_what_the_application_did(inner: Inner) -> None:
    recorded = inner.run("""
@pytest.fixture(scope="module")
def db():
    with tracer.start_as_current_span("connect"):
        pass
    yield
    with tracer.start_as_current_span("disconnect"):
        pass

@pytest.fixture
def client(db, request):
    return request

def test_order(client):
    order()
""")
    assert tree(recorded.test("test_order")) == [
        "test_shop.py::test_order",
        "  setup",
        "    setup db",
        "      connect",
        "    setup client",
        "  call",
        "    POST /orders",
        "      SELECT stock",
        "  teardown",
        "    teardown db",
        "      disconnect",
    ]


def test_the_application_makes_the_spans_that_it_makes_without_being_recorded(inner: Inner) -> None:
    recorded = inner.run("""
def test_order():
    assert not trace.get_current_span().get_span_context().is_valid
    order()
""")
    request = recorded.span("test_order", "POST /orders")
    assert recorded.result.ret == 0
    assert request.kind == 2  # the server's, as it is where there is no span around it
    assert len(str(request.attributes["minitrace.app.trace_id"])) == 32


def test_a_capture_sees_what_it_sees_without_recording_and_both_have_it(inner: Inner) -> None:
    tests = """
def test_order(traces):
    order()
    order()
    assert traces.roots().names == ["POST /orders", "POST /orders"]
    assert len({span.trace_id for span in traces.find()}) == 2
    assert traces.count() == 4
"""
    recorded = inner.run(tests)
    recorded.result.assert_outcomes(passed=1)
    assert tree(recorded.test("test_order"))[2:8] == [
        "  call",
        *["    POST /orders", "      SELECT stock"] * 2,
        "  teardown",
    ]


def test_spans_of_threads_and_of_child_processes_are_in_the_trace_of_their_test(inner: Inner) -> None:
    inner.pytester.makepyfile(
        worker="""
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
provider.get_tracer("worker").start_span("work").end()
provider.shutdown()
"""
    )
    recorded = inner.run("""
def test_worker():
    subprocess.run([sys.executable, "worker.py"], check=True)
    thread = threading.Thread(target=order)
    thread.start()
    thread.join()
""")
    assert tree(recorded.test("test_worker"))[2:7] == [
        "  call",
        "    work",
        "    POST /orders",
        "      SELECT stock",
        "  teardown",
    ]


def test_a_request_whose_parent_the_test_made_up_is_a_child_of_the_test(inner: Inner) -> None:
    recorded = inner.run("""
def test_order():
    from opentelemetry.propagate import extract
    context = extract({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    with tracer.start_as_current_span("GET /orders", context=context):
        pass
""")
    assert tree(recorded.test("test_order"))[2:4] == ["  call", "    GET /orders"]


def test_which_test_it_is_stands_in_the_words_of_the_conventions(inner: Inner) -> None:
    recorded = inner.run("""
class TestCart:
    @pytest.mark.filterwarnings("default")
    @pytest.mark.parametrize("count", [3])
    @pytest.mark.parametrize("item", [{"sku": "A1"}])
    def test_add(self, count, item):
        pass
""")
    (root,) = [node.span for node in recorded.test("TestCart::test_add[item0-3]").tops]
    assert root.attributes == {
        "test.case.name": "test_shop.py::TestCart::test_add[item0-3]",
        "test.suite.name": "test_shop.py::TestCart",
        "test.case.result.status": "pass",
        "code.file.path": str(inner.path / "test_shop.py"),
        "code.line.number": 5,
        "code.function.name": "test_shop.TestCart.test_add",
        "pytest.outcome": "passed",
        "pytest.markers": ["filterwarnings", "parametrize"],
        "pytest.param.count": 3,
        "pytest.param.item": "{'sku': 'A1'}",
    }
    assert root.resource.service == "pytest"


OUTCOMES = """
def test_passed():
    pass

@pytest.mark.skip(reason="not on Mondays")
def test_skipped():
    pass

@pytest.mark.xfail(reason="known")
def test_xfailed():
    assert False

@pytest.mark.xfail(reason="known")
def test_xpassed():
    pass

@pytest.fixture
def broken():
    raise RuntimeError("no database")

@pytest.fixture
def broken_end():
    yield
    raise RuntimeError("still open")

def test_broken(broken):
    pass

def test_broken_end(broken_end):
    pass

def test_failed():
    print("three items")
    assert 1 == 2
"""


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n", "2")], ids=["serial", "xdist"])
def test_how_each_test_went_is_said(inner: Inner, workers: tuple[str, ...]) -> None:
    traces = inner.run(OUTCOMES, *workers).traces()
    roots = {name.partition("::")[2]: trace.tops[0].span for name, trace in traces.items() if "::" in name}
    told = {
        name: (span.attributes["pytest.outcome"], span.attributes["test.case.result.status"], span.status.message)
        for name, span in roots.items()
    }
    assert told == {
        "test_passed": ("passed", "pass", ""),
        "test_skipped": ("skipped", "skip", ""),
        "test_xfailed": ("xfailed", "skip", ""),
        "test_xpassed": ("xpassed", "pass", ""),
        "test_broken": ("error", "fail", "RuntimeError: no database"),
        "test_broken_end": ("error", "fail", "RuntimeError: still open"),
        "test_failed": ("failed", "fail", "assert 1 == 2"),
    }
    assert roots["test_skipped"].attributes["pytest.skip.reason"] == "not on Mondays"
    assert roots["test_xfailed"].attributes["pytest.xfail.reason"] == "known"
    session = traces["session"].tops[0].span
    assert session.status.message == "1 failed, 2 errors"
    assert {name: session.attributes[f"pytest.{name}"] for name in ("passed", "failed", "error")} == {
        "passed": 1,
        "failed": 1,
        "error": 2,
    }


@pytest.mark.parametrize(
    ("test", "where"), [("test_failed", "call"), ("test_broken", "setup"), ("test_broken_end", "teardown")]
)
def test_the_phase_that_failed_has_the_exception(inner: Inner, test: str, where: str) -> None:
    recorded = inner.run(OUTCOMES)
    phase = recorded.span(test, where)
    failed = [span.name for span in recorded.test(test).spans if span.is_error and not span.name.startswith("setup ")]
    assert sorted(failed) == sorted([where, f"test_shop.py::{test}"])
    (event,) = phase.events
    assert event.name == "exception"
    assert event.attributes["exception.type"] in ("AssertionError", "RuntimeError")
    assert "test_shop.py:" in str(event.attributes["exception.stacktrace"])
    assert phase.attributes == ({"pytest.stdout": "three items\n"} if test == "test_failed" else {})


@pytest.mark.parametrize("style", ["long", "short", "no"])
def test_the_stack_can_be_read_whatever_pytest_is_to_print(inner: Inner, style: str) -> None:
    recorded = inner.run("def check(count):\n    assert count == 2\ndef test_failed():\n    check(1)", f"--tb={style}")
    (event,) = recorded.span("test_failed", "call").events
    stack = str(event.attributes["exception.stacktrace"])
    assert event.attributes["exception.message"] == "assert 1 == 2"
    assert "check(1)" in stack
    assert "assert count == 2" in stack
    assert "pluggy" not in stack


def test_the_session_is_a_trace_that_all_tests_link_to(inner: Inner) -> None:
    traces = inner.run(TWO_TESTS).traces()
    session = traces.pop("session")
    assert tree(session) == ["session", "  collect"]
    links = [trace.tops[0].span.links for trace in traces.values()]
    assert [[(link.trace_id, link.span_id) for link in link] for link in links] == [
        [(session.trace_id, session.tops[0].span.span_id)]
    ] * 2


def test_a_module_that_cannot_be_imported_is_told_by_the_session(inner: Inner) -> None:
    recorded = inner.run("import no_such_shop")
    session = recorded.traces()["session"]
    (collect,) = [span for span in session.spans if span.name == "collect"]
    assert collect.status.message.startswith("test_shop.py: ")
    assert "no_such_shop" in str(collect.events[0].attributes["exception.stacktrace"])


def test_a_test_that_is_interrupted_is_there_and_says_so(inner: Inner) -> None:
    recorded = inner.run("def test_one():\n    order()\n    raise KeyboardInterrupt")
    assert recorded.result.ret == pytest.ExitCode.INTERRUPTED
    trace = recorded.test("test_one")
    assert (trace.tops[0].span.status.code, trace.tops[0].span.status.message) == (StatusCode.ERROR, "interrupted")
    assert "    POST /orders" in tree(trace)
    assert recorded.traces()["session"].tops[0].span.attributes["test.suite.run.status"] == "aborted"


def test_a_session_that_is_killed_keeps_what_was_written(inner: Inner) -> None:
    recorded = inner.run(
        "import os, signal\ndef test_one(): order()\ndef test_two(): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert recorded.result.ret == -signal.SIGKILL
    assert "    POST /orders" in tree(recorded.test("test_one"))


def test_workers_of_xdist_are_one_session_in_one_file(inner: Inner) -> None:
    recorded = inner.run(
        "@pytest.mark.parametrize('number', range(8))\ndef test_order(number, traces):\n"
        "    order()\n    assert traces.count() == 2",
        *("-p", "xdist", "-n", "2"),
    )
    recorded.result.assert_outcomes(passed=8)
    traces = recorded.traces()
    session = traces.pop("session")
    assert len(traces) == 8
    assert all("    POST /orders" in tree(trace) for trace in traces.values())
    workers = {trace.tops[0].span.resource.attributes["pytest.worker"] for trace in traces.values()}
    assert workers <= {"gw0", "gw1"}
    assert "pytest.worker" not in session.tops[0].span.resource.attributes
    assert {trace.tops[0].span.links[0].trace_id for trace in traces.values()} == {session.trace_id}
    assert list(inner.path.glob("*.db")) == [recorded.path]


def test_a_test_that_ends_its_worker_has_a_trace_that_says_so(inner: Inner) -> None:
    recorded = inner.run("import os\ndef test_one(): os._exit(3)", "-p", "xdist", "-n", "1", "--max-worker-restart=0")
    root = recorded.test("test_one").tops[0].span
    assert root.attributes["pytest.outcome"] == "error"
    assert "crashed" in root.status.message


def test_all_spans_name_the_run_which_the_file_knows(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINITRACE_RUN_ID", "abc123")  # as in `minitrace run -- pytest`
    recorded = inner.run(TWO_TESTS)
    spans = [span for trace in recorded.traces().values() for span in trace.spans]
    assert {span.resource.attributes["minitrace.run.id"] for span in spans} == {"abc123"}
    assert len(spans) == 2 * 6 + 2


def test_a_running_minitrace_gets_all_of_it_as_a_run_of_pytest(inner: Inner, server: Server) -> None:
    recorded = inner.pytest(OUTCOMES, "--minitrace-url", server.url, "--minitrace-db=s.db")
    (run,) = [run for run in _runs(server) if run["kind"] == "pytest"]
    assert (run["exit_code"], run["directory"]) == (1, str(inner.path))
    assert str(run["label"]).endswith(f"--minitrace-url {server.url} --minitrace-db=s.db")
    query = {"q": f'{{ resource.minitrace.run.id = "{run["id"]}" }}', "limit": "100"}
    sent = httpx.get(f"{server.url}/api/search", params=query).json()["traces"]
    assert {trace["rootTraceName"] for trace in sent} == recorded.traces().keys()
    failed = recorded.test("test_failed").trace_id.hex()
    assert any("failed" in line and f"{server.url}/trace/{failed}" in line for line in recorded.lines)
    assert any(line.strip() == f"{server.url}/search?{httpx.QueryParams({'q': query['q']})}" for line in recorded.lines)


def test_a_run_of_a_command_stays_what_it_is(inner: Inner, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    httpx.post(f"{server.url}/_/runs", json={"id": "abc123", "kind": "command", "label": "make test"})
    monkeypatch.setenv("MINITRACE_RUN_ID", "abc123")
    monkeypatch.setenv("MINITRACE_URL", server.url)
    inner.pytest(TWO_TESTS, "--minitrace")
    (run,) = [run for run in _runs(server) if run["kind"] != "server"]
    assert (run["kind"], run["label"], run["ended_ns"]) == ("command", "make test", None)


def test_two_sessions_can_be_compared(inner: Inner, server: Server) -> None:
    for _ in range(2):
        inner.pytest(TWO_TESTS, "--minitrace-url", server.url)
    later, earlier = (run["id"] for run in _runs(server) if run["kind"] == "pytest")
    page = httpx.get(f"{server.url}/compare", params={"ra": str(earlier), "rb": str(later)}, timeout=20)
    assert page.status_code == 200
    assert "test_shop.py::test_one" in page.text


def test_a_server_that_is_named_and_does_not_answer_is_an_error(inner: Inner) -> None:
    result = inner.pytest(TWO_TESTS, "--minitrace-url=http://127.0.0.1:9").result
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --minitrace: no minitrace answers at http://127.0.0.1:9; start one with *"])


def test_a_server_that_a_variable_names_may_be_away(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINITRACE_URL", "http://127.0.0.1:9")
    recorded = inner.run(TWO_TESTS)
    assert "minitrace: no minitrace answers at http://127.0.0.1:9" in recorded.lines
    assert "minitrace: 2 tests, 14 spans recorded; to look at them: minitrace open s.db" in recorded.lines


def test_a_server_that_ends_on_the_way_leaves_the_file(inner: Inner, server: Server) -> None:
    recorded = inner.run(
        f"import os, signal\ndef test_one(): os.kill({server.pid}, signal.SIGKILL)\ndef test_two(): order()",
        "--minitrace-url",
        server.url,
    )
    recorded.result.assert_outcomes(passed=2)
    assert "    POST /orders" in tree(recorded.test("test_two"))
    assert any("no longer answers" in line and "in the file" in line for line in recorded.lines)


def test_a_file_that_is_in_use_is_an_error(inner: Inner, server: Server) -> None:
    result = inner.pytest(TWO_TESTS, "--minitrace-db", str(server.path)).result
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --minitrace: another minitrace (process *) is using *"])


def test_a_second_session_is_added_to_a_file_that_is_named(inner: Inner) -> None:
    inner.run("def test_one(): pass")
    recorded = inner.run("def test_two(): pass")
    assert {"test_shop.py::test_one", "test_shop.py::test_two"} < recorded.traces().keys()


def test_the_last_ten_sessions_are_kept_beside_each_other(inner: Inner) -> None:
    folder = inner.path / ".minitrace" / "sessions"
    folder.mkdir(parents=True)
    for number in range(11):
        (folder / f"2026-01-{number + 1:02}T00-00-00Z-abc.db").touch()
    inner.pytest(TWO_TESTS, "--minitrace")
    names = sorted(path.name for path in folder.glob("*.db"))
    assert len(names) == 10
    assert names[0] == "2026-01-03T00-00-00Z-abc.db"
    assert (inner.path / ".minitrace" / ".gitignore").read_text() == "*\n"


def test_what_opens_without_a_name_is_the_session_or_its_tests_that_failed(inner: Inner) -> None:
    inner.pytest(TWO_TESTS, "--minitrace")
    [session] = (inner.path / ".minitrace" / "sessions").glob("*.db")
    assert meant(inner.path) == [session]
    inner.pytest("def test_wrong(traces):\n    order()\n    assert False", "--minitrace")
    assert [file.name[:18] for file in meant(inner.path)] == ["test_shop__test_wr"]


def test_nothing_is_written_where_tests_are_only_collected(inner: Inner) -> None:
    recorded = inner.run(TWO_TESTS, "--collect-only")
    assert recorded.result.ret == 0
    assert not recorded.path.exists()


def _runs(server: Server) -> list[dict[str, object]]:
    runs: list[dict[str, object]] = json.loads(httpx.get(f"{server.url}/_/runs.json").text)["runs"]
    return runs


def test_a_fixture_fails_with_its_own_exception_whatever_that_says(inner: Inner) -> None:
    recorded = inner.run("""
class Mute(Exception):
    def __str__(self):
        raise ValueError("no text")

@pytest.fixture
def shop():
    raise Mute

def test_one(shop): pass
""")
    recorded.result.assert_outcomes(errors=1)
    assert recorded.span("test_one", "setup shop").status.message == "Mute"
    assert "ValueError: no text" not in recorded.result.stdout.str()
