"""pytest with the plugin, in processes of their own: what people see of it, and what it costs those who do not ask."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from minitrace.pytest_settings import Settings, read_settings

SHOP = """
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider(resource=Resource({"service.name": "shop"})))
tracer = trace.get_tracer("shop")

def get_orders(queries=2, is_broken=False):
    with tracer.start_as_current_span("GET /orders") as span:
        for number in range(queries):
            query = {"db.system.name": "sqlite", "db.query.text": f"SELECT * FROM item WHERE id = {number}"}
            with tracer.start_as_current_span("SELECT item", kind=trace.SpanKind.CLIENT, attributes=query):
                pass
        if is_broken:
            span.set_status(trace.StatusCode.ERROR, "out of stock")
"""


class Inner:
    """A project with a shop, and pytest run in it."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        self.path = pytester.path
        pytester.makepyfile(shop=SHOP)

    def run(self, tests: str, *options: str, conftest: str = "") -> pytest.RunResult:
        """Run a file of tests; what was saved before is gone."""
        self._pytester.makepyfile(test_shop=f"import pytest\nfrom shop import *\n\n{tests}")
        self._pytester.makeconftest(f"import pytest\n\n{conftest}")
        return self._pytester.runpytest_subprocess("-p", "minitrace", "-p", "no:cacheprovider", *options)


@pytest.fixture(autouse=True)
def _named_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those plugins are loaded that a test names, so that ours need not be installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Inner:
    """The terminal has 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    return Inner(pytester)


def span_count(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM spans").fetchone()
    return int(count)


def part(result: pytest.RunResult, test: str) -> str:
    """What the terminal says about one test that failed."""
    text = result.stdout.str()
    found = re.search(
        rf"^_+ {re.escape(test)} _+\n(.*?)(?=^[_=]{{3,}} |^minitrace: |\Z)", text, re.DOTALL | re.MULTILINE
    )
    assert found, text
    return found[1]


# What it costs


def test_the_plugin_imports_nothing_of_ours_and_no_sdk_where_nobody_asks(inner: Inner) -> None:
    conftest = """
    import sys
    def pytest_sessionfinish():
        heavy = ("opentelemetry", "uvicorn", "starlette", "minitrace.")
        print("\\nLOADED", sorted(name for name in sys.modules if name.startswith(heavy)))
    """
    inner.path.joinpath("test_plain.py").write_text("def test_plain(): pass")
    result = inner.run("", "test_plain.py", "-s", conftest=conftest.replace("\n    ", "\n"))
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["LOADED [[]'minitrace.pytest_plugin', 'minitrace.pytest_settings']"])


# What a failed test shows

FAILING = """
def test_fixture(traces):
    get_orders()
    assert 0

def test_claim(traces):
    get_orders()
    traces.one('{ name = "GET /order" }')

def test_bad_query(traces):
    traces.find('{ name == 1 }')

def test_no_attribute(traces):
    get_orders()
    traces.one('{ name = "GET /orders" }')["nope"]

def test_nothing_arrived(traces):
    assert 0

def test_nothing_was_asked():
    get_orders()
    assert 0

def test_passes(traces):
    get_orders()
"""


def test_a_failed_test_shows_and_saves_its_traces(inner: Inner) -> None:
    result = inner.run(FAILING)
    result.assert_outcomes(failed=6, passed=1)

    shown = part(result, "test_fixture")
    assert "shop: GET /orders" in shown
    assert shown.count("SELECT item") == 2
    database, page = re.findall(r"(?:open    minitrace open|browse ) (\S+)$", shown, re.MULTILINE)
    assert span_count(inner.path / database) == 3
    assert "GET /orders" in (inner.path / page).read_text()

    claim = part(result, "test_claim")
    assert "expected one span" in claim
    assert "minitrace/testing" not in claim  # none of our code
    assert claim.count("shop: GET /orders") == 1  # in the message, and not again below it
    assert "minitrace open" in claim
    assert re.findall(r"^[>E] .*", part(result, "test_bad_query"), re.MULTILINE) == [
        ">       traces.find('{ name == 1 }')",
        "E       minitrace.errors.TraceQLError: write = for equal, not ==",
        "E         { name == 1 }",
        "E                ^^",
    ]
    assert "minitrace/testing" not in part(result, "test_no_attribute")
    assert "no span started in this process" in part(result, "test_nothing_arrived")
    assert "traces" not in part(result, "test_nothing_was_asked")
    result.stdout.fnmatch_lines(
        ["minitrace: 12 spans captured in 4 tests; those of 3 tests saved in .minitrace/failed/*"]
    )


def test_what_passes_or_belongs_to_no_test_is_shown_on_request(inner: Inner) -> None:
    tests = """
@pytest.fixture(scope="module")
def orders():
    get_orders(queries=1)

def test_passes(orders, traces):
    get_orders()

def test_idle(traces):
    pass
"""
    result = inner.run(tests, "--minitrace-show=all", "--minitrace-save=always")
    result.stdout.fnmatch_lines(
        [
            "=* traces of no test =*",
            "trace * 2 spans *",
            "-* traces of test_shop.py::test_passes -*",
            "trace * 3 spans *",
            "open    minitrace open .minitrace/*.db",
        ]
    )
    result = inner.run(tests, "--minitrace-show=always", "--minitrace-save=never", "-rP")
    result.stdout.no_fnmatch_line("*no test*")
    result.stdout.no_fnmatch_line("*no span started*")
    assert result.stdout.str().count("shop: GET /orders") == 1
    assert "minitrace open" not in result.stdout.str()
    result = inner.run(FAILING, "--minitrace-show=never", "--minitrace-save=never")
    assert "trace " not in part(result, "test_fixture")
    assert "minitrace" not in part(result, "test_nothing_arrived")


def test_what_is_shown_fits_the_terminal_and_its_encoding(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    tests = """
def test_many(traces):
    with tracer.start_as_current_span("root"):
        for number in range(100):
            with tracer.start_as_current_span(chr(97 + number % 26) * number):
                pass
    assert 0

def test_claim(traces):
    get_orders()
    traces.one('{ name = "GET /order" }')
"""
    result = inner.run(tests, "--minitrace-save=never")
    lines = part(result, "test_many").partition(" traces ")[2].splitlines()[1:]
    assert 20 < len(lines) <= 60
    assert max(map(len, lines)) <= 60
    claim = part(result, "test_claim")
    assert max(len(line) for line in claim.splitlines() if "minitrace.testing" not in line) <= 60
    result.stdout.str().encode("ascii")
    assert "\\u" not in result.stdout.str()  # as pytest writes what a terminal has not
    assert "`-- " in claim


# Who asks without the fixture

MARKED = """
@pytest.fixture
def orders():
    get_orders(queries=5, is_broken=True)

@pytest.mark.traces
def test_alone(orders):
    get_orders()
    assert 0

@pytest.mark.traces(no_errors=True, no_n_plus_one=True, max_queries=2, budget="1h")
def test_what_the_body_did_is_fine(orders):
    get_orders()

@pytest.mark.traces(no_errors=True)
def test_errors(orders):
    get_orders(is_broken=True)

@pytest.mark.traces(max_queries=2)
class TestQueries:
    def test_too_many(self, orders):
        get_orders(3)

    @pytest.mark.traces(max_queries=3)
    def test_nearer(self):
        get_orders(3)

@pytest.mark.traces(no_n_plus_one=True)
def test_repeats(traces):
    get_orders(4)

@pytest.mark.traces(budget="1ns")
def test_slow():
    get_orders()

@pytest.mark.traces(no_error=True)
def test_typing_error():
    pass

@pytest.mark.traces(max_queries="3")
def test_no_number():
    pass

@pytest.mark.traces(no_errors=True)
@pytest.mark.xfail(strict=True)
def test_expected():
    get_orders(is_broken=True)

@pytest.mark.parametrize("queries", [1, pytest.param(2, marks=pytest.mark.traces(max_queries=1))])
def test_parameter(queries, request):
    get_orders(queries)
    assert ("_minitrace_traces" in request.fixturenames) == (queries == 2)
"""


def test_markers_claim_what_the_body_of_a_test_did(inner: Inner) -> None:
    result = inner.run(MARKED, "--minitrace-save=never")
    result.assert_outcomes(failed=6, errors=2, passed=3, xfailed=1)
    assert part(result, "test_alone").count("shop: GET /orders") == 2  # the fixture's, too
    errors = part(result, "test_errors")
    assert errors.startswith("@pytest.mark.traces(no_errors=True) does not hold\nexpected no errors")  # and no code
    assert "GET /orders" in errors
    assert "max_queries=2" in part(result, "TestQueries.test_too_many")
    assert "no_n_plus_one=True" in part(result, "test_repeats")
    assert "budget='1ns'" in part(result, "test_slow")
    assert "max_queries=1" in part(result, "test_parameter[2]")
    known = "no_errors, no_n_plus_one, max_queries and budget"
    assert part(result, "ERROR at setup of test_typing_error").splitlines() == [
        f"@pytest.mark.traces: no_error is not known: it takes {known}, by name"
    ]
    assert "max_queries='3' is not a count" in part(result, "ERROR at setup of test_no_number")


AUTOCAPTURED = """
import unittest

@pytest.fixture(scope="module")
def wider():
    get_orders(queries=7)

@pytest.fixture
def prepared():
    get_orders(queries=1)

@pytest.fixture
def broken():
    get_orders()
    raise RuntimeError

@pytest.fixture
def broken_afterwards():
    yield
    get_orders(queries=3)
    raise RuntimeError

def test_function(wider, prepared):
    assert 0

def test_nothing_made():
    assert 0

def test_set_up(broken):
    pass

def test_teardown(broken_afterwards):
    get_orders(queries=1)

def test_both(broken_afterwards):
    get_orders(queries=1)
    assert 0

class TestCase(unittest.TestCase):
    def setUp(self):
        get_orders(queries=4)

    def test_case(self):
        self.fail()

    @pytest.mark.traces(max_queries=5)
    def test_marked(self):
        get_orders(queries=5)

    @pytest.mark.traces(max_queries=5)
    def test_marked_and_failed(self):
        get_orders(queries=5)
        self.fail("for a reason of its own")

    @pytest.fixture(autouse=True)
    def _traces(self, traces):
        self.traces = traces

    def test_claim(self):
        self.traces.one("{ name = `a` }")
"""


def test_every_test_is_captured_on_request(inner: Inner) -> None:
    result = inner.run(AUTOCAPTURED, "--minitrace-autocapture", "--minitrace-save=never")
    result.assert_outcomes(failed=7, errors=3, passed=1)
    assert "minitrace/testing" not in part(result, "TestCase.test_claim")
    assert "  2 spans" in part(result, "test_function")
    assert part(result, "test_function").count("shop: GET /orders") == 1  # not those of the module's fixture
    assert " traces " not in part(result, "test_nothing_made")
    assert "  3 spans" in part(result, "ERROR at setup of test_set_up")
    assert part(result, "ERROR at teardown of test_teardown").count("SELECT item") == 2
    assert "  2 spans" in part(result, "test_both")
    assert " traces " not in part(result, "ERROR at teardown of test_both")  # told already
    assert "  5 spans" in part(result, "TestCase.test_case")
    assert "max_queries=5" in part(result, "TestCase.test_marked")
    assert "for a reason of its own" in part(result, "TestCase.test_marked_and_failed")


def test_budgets_of_time_are_scaled_and_limits_hold(inner: Inner) -> None:
    tests = """
import time

@pytest.mark.traces(budget="1ms")
def test_scaled():
    with tracer.start_as_current_span("slow"):
        time.sleep(0.002)

def test_settings(traces):
    with trace.get_tracer("noisy").start_as_current_span("left out"):
        get_orders(queries=4)
    assert traces.count() == 3
    with pytest.raises(AssertionError, match="INCONCLUSIVE.*2 spans were dropped"):
        traces.assert_no_errors()
"""
    options = "minitrace_budget_scale = 1000\nminitrace_max_spans = 3\nminitrace_exclude_scopes = noisy, other\n"
    inner.path.joinpath("pytest.ini").write_text(f"[pytest]\n{options}")
    inner.run(tests).assert_outcomes(passed=2)


# Ways to run tests


def test_workers_of_xdist_share_no_port_and_tell_the_controller(inner: Inner) -> None:
    tests = """
import os

@pytest.mark.parametrize("number", range(6))
def test_worker(number, traces, minitrace_server):
    get_orders()
    print("AT", os.environ["PYTEST_XDIST_WORKER"], minitrace_server.endpoint, traces.endpoint)
    assert number % 2
"""
    result = inner.run(tests, "-p", "xdist.plugin", "-n2", "--dist=each", "-rP")
    result.assert_outcomes(failed=6, passed=6)
    at = re.findall(r"AT (\w+) (\S+) \S+/t/(\S+)", result.stdout.str())
    assert len({server for _, server, _ in at}) == len({worker for worker, _, _ in at}) == 2
    assert len({token for _, _, token in at}) == len(at) == 12
    assert result.stdout.str().count("shop: GET /orders") == 6
    result.stdout.fnmatch_lines(
        ["minitrace: 36 spans captured in 12 tests; those of 6 tests saved in .minitrace/failed/*"]
    )
    (session,) = inner.path.glob(".minitrace/failed/*")
    assert [path for path in session.iterdir() if path.suffix == ".lock"] == []


def test_a_test_that_is_run_again_starts_anew(inner: Inner) -> None:
    conftest = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    for attempt in range(2):
        item.attempt = attempt
        item._initrequest()
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            item.ihook.pytest_runtest_logreport(report=report)
    return True
"""
    tests = """
@pytest.fixture
def fails_at_first(request):
    assert request.node.attempt

@pytest.mark.traces(no_errors=True)
def test_again(request, traces):
    get_orders(queries=1 + request.node.attempt)
    assert traces.count() == 2 + request.node.attempt
    assert request.node.attempt == 1

@pytest.fixture
def fails_in_the_end(request):
    get_orders(1)
    assert not request.node.attempt

def test_set_up_again(request, fails_in_the_end, traces):
    get_orders(7)
"""
    result = inner.run(tests, conftest=conftest)
    result.assert_outcomes(failed=1, passed=2, errors=1)
    assert "  2 spans" in part(result, "test_again")
    assert " traces " not in part(result, "ERROR at setup of test_set_up_again")  # it came before `traces`


def test_an_interrupted_session_leaves_nothing_behind(inner: Inner) -> None:
    tests = """
def test_first(traces):
    get_orders()
    assert 0

def test_interrupted(traces):
    get_orders()
    raise KeyboardInterrupt

def test_never():
    pass
"""
    conftest = """
import os
before = dict(os.environ)

def pytest_unconfigure():
    changed = {name for name in before.keys() | os.environ if before.get(name) != os.environ.get(name)}
    print("CHANGED", changed - {"PYTEST_CURRENT_TEST", "PYTEST_VERSION"})
"""
    result = inner.run(tests, conftest=conftest)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["CHANGED set()"])
    assert "minitrace open" in part(result, "test_first")
    (session,) = inner.path.glob(".minitrace/failed/*")
    assert {path.suffix for path in session.iterdir()} == {".db", ".html"}  # and no lock


def test_a_debugger_finds_the_test_as_it_failed(inner: Inner) -> None:
    conftest = """
import pdb

class Debugger(pdb.Pdb):
    def interaction(self, frame, failure):
        traceback = getattr(failure, "__traceback__", failure)
        while traceback:
            if "traces" in traceback.tb_frame.f_locals:
                print("FOUND", traceback.tb_frame.f_locals["traces"].count())
            traceback = traceback.tb_next
"""
    tests = """
def test_debugged(traces):
    get_orders()
    assert 0
"""
    result = inner.run(tests, "--pdb", "--pdbcls=conftest:Debugger", "-x", conftest=conftest)
    result.stdout.fnmatch_lines(["FOUND 3"])


def test_modules_that_cannot_be_collected_are_reported_as_ever(inner: Inner) -> None:
    result = inner.run("import nothing_of_this_name", "--minitrace-autocapture")
    result.assert_outcomes(errors=1)
    result.stdout.no_fnmatch_line("*minitrace:*")


def test_coroutines_and_wider_fixtures_are_captured(inner: Inner) -> None:
    tests = """
import asyncio

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.fixture(scope="module")
def all_traces(minitrace_capture):
    with minitrace_capture() as traces:
        get_orders(queries=1)
        yield traces

@pytest.fixture
async def orders(traces):
    get_orders(queries=1)

@pytest.mark.anyio
async def test_async(all_traces, orders, traces):
    await asyncio.to_thread(get_orders, 3)
    assert (traces.count(), all_traces.count()) == (6, 8)
    await traces.wait_for_async('{ name = "SELECT item" }', 4)

@pytest.mark.anyio
@pytest.mark.traces(max_queries=3)
async def test_marked(orders):
    await asyncio.to_thread(get_orders, 4)

def test_all(all_traces):
    get_orders()
    assert all_traces.count() == 8 + 7 + 3
"""
    result = inner.run(tests, "-p", "anyio.pytest_plugin")
    result.assert_outcomes(passed=2, failed=1)
    assert "max_queries=3" in part(result, "test_marked")


def test_a_server_of_many_tests_sends_each_its_own(inner: Inner) -> None:
    tests = """
import subprocess, sys

APP = '''
import sys
from opentelemetry.instrumentation.auto_instrumentation import initialize
initialize()
from opentelemetry import propagate, trace
for line in sys.stdin:
    context = propagate.extract({"traceparent": line.strip()})
    with trace.get_tracer("app").start_as_current_span("GET /", context):
        pass
    print("done", flush=True)
'''

@pytest.fixture(scope="module")
def server(minitrace_server):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", APP], env=minitrace_server.env, **pipes) as server:
        yield server

@pytest.mark.parametrize("number", range(2))
def test_request(server, traces, number):
    for _ in range(number + 1):
        server.stdin.write(traces.headers["traceparent"] + "\\n")
        server.stdin.flush()
        server.stdout.readline()
    traces.wait_for('{ name = "GET /" }', number + 1, timeout=20)
    assert traces.count() == number + 1
"""
    inner.run(tests).assert_outcomes(passed=2)


def test_without_opentelemetry_a_test_is_told_so(inner: Inner) -> None:
    inner.path.joinpath("shop.py").write_text("")
    conftest = "import sys\nsys.modules['opentelemetry'] = None"
    result = inner.run("def test_nothing(traces):\n    assert traces.find()", conftest=conftest)
    assert "the OpenTelemetry SDK is not installed" in part(result, "test_nothing")


# Settings


def test_providers_are_left_alone_on_request(inner: Inner) -> None:
    tests = """
def test_none(traces):
    get_orders()
    assert traces.count() == 0
    assert not hasattr(trace.get_tracer_provider()._active_span_processor, "_span_processors") or (
        not trace.get_tracer_provider()._active_span_processor._span_processors
    )
"""
    inner.run(tests, "--no-minitrace-hook").assert_outcomes(passed=1)


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest reads numbers in TOML from version 9 on")
def test_numbers_of_toml_are_numbers(pytester: pytest.Pytester) -> None:
    text = "[tool.pytest]\nminitrace_timeout = 2\nminitrace_max_spans = 7\nminitrace_autocapture = true\n"
    pytester.makepyprojecttoml(text)
    settings = read_settings(pytester.parseconfig("-p", "minitrace"))
    assert (settings.timeout, settings.max_spans, settings.autocapture) == (2.0, 7, True)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--minitrace-show=sometimes", "--minitrace-show=sometimes: use failed, always, all or never"),
        ("--minitrace-save=all", "--minitrace-save=all: use failed, always or never"),
        ("--minitrace-dir=", "--minitrace-dir=: use the name of a folder"),
        ("--minitrace-timeout=soon", "--minitrace-timeout=soon: use a number of seconds above 0, such as 5 or 0.5"),
        ("--minitrace-timeout=inf", "--minitrace-timeout=inf: use a number of seconds above 0, such as 5 or 0.5"),
        ("--minitrace-max-spans=0", "--minitrace-max-spans=0: use a whole number above 0, such as 10000"),
        ("--minitrace-env=no", "--minitrace-env=no: use set, keep or off"),
        ("-ominitrace_autocapture=perhaps", "minitrace_autocapture: use true or false"),
        ("-ominitrace_budget_scale=nan", "minitrace_budget_scale=nan: use a number above 0, such as 3 or 1.5"),
        (
            "-ominitrace_bsp_delay_ms=-1",
            "minitrace_bsp_delay_ms=-1: use a whole number of milliseconds above 0, such as 50",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_what_would(
    pytester: pytest.Pytester, option: str, said: str
) -> None:
    with pytest.raises(pytest.UsageError) as refused:
        pytester.parseconfigure("-p", "minitrace", option)
    assert str(refused.value) == said


def test_flags_win_over_the_ini_file(pytester: pytest.Pytester) -> None:
    pytester.makeini(
        "[pytest]\nminitrace_timeout = 2.5\nminitrace_hook = no\nminitrace_autocapture = yes\nminitrace_env = keep"
    )
    flags = ["--minitrace-timeout=1", "--no-minitrace-autocapture", "--minitrace-exclude-scopes=a,b c"]
    settings = read_settings(pytester.parseconfig("-p", "minitrace", *flags))
    assert (settings.timeout, settings.autocapture) == (1.0, False)
    assert (settings.hook, settings.env, settings.show) == (False, "keep", "failed")
    assert settings.exclude_scopes == ("a", "b c")


def test_every_setting_is_told_by_help(inner: Inner) -> None:
    result = inner.run("", "--help")
    for name in Settings.__dataclass_fields__:
        result.stdout.fnmatch_lines([f"  --minitrace-{name.replace('_', '-')}*", f"  minitrace_{name} (*"])


UNREADABLE = """
class Unreadable:
    def __str__(self):
        raise ValueError("no text")

tracer = trace.get_tracer("app")

def test_ours(traces):
    tracer.start_span(Unreadable()).end()
    assert 1 == 2

def test_theirs():
    assert 3 == 4
"""


@pytest.mark.parametrize("option", ["--minitrace-save=failed", "--minitrace-show=all", "--minitrace"])
def test_a_mistake_of_ours_hides_no_failure(inner: Inner, option: str) -> None:
    result = inner.run(UNREADABLE, option)
    result.assert_outcomes(failed=2)
    assert "ValueError: no text" in part(result, "test_ours")
    assert "a mistake of minitrace" in part(result, "test_ours")
    assert "assert 1 == 2" in part(result, "test_ours")
    assert "assert 3 == 4" in part(result, "test_theirs")
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


STRAY = """
class Unreadable:
    def __str__(self):
        raise ValueError("no text")

@pytest.fixture(scope="session", autouse=True)
def before():
    trace.get_tracer("app").start_span(Unreadable()).end()

def test_passes():
    pass
"""


def test_a_mistake_of_ours_at_the_end_hides_nothing(inner: Inner) -> None:
    result = inner.run(STRAY, "--minitrace-show=all")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*traces of no test*", "This is a mistake of minitrace*", "ValueError: no text"])


REMAINING = """
import gc
from minitrace.testing import capturing

@pytest.mark.parametrize("number", range(3))
def test_large(traces, number):
    trace.get_tracer("app").start_span("large").end()

def test_memory():
    capturing._ended.clear()  # which take what comes late
    capturing._by_token.clear()
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, capturing.Capture) and thing.span_count]
"""


def test_spans_of_tests_that_are_over_are_let_go(inner: Inner) -> None:
    inner.run(REMAINING).assert_outcomes(passed=4)
