"""The pytest plugin: the spans of a test to assert on, and drawn where a test fails.

| who asks                       | what there is                                                    |
|---|---|
| the fixture `traces`           | the test's spans: `traces.one('{ name = "charge" }')`            |
| `@pytest.mark.traces(…)`       | claims about them, checked when the test's body has ended        |
| `minitrace_autocapture = true` | the spans of every test, shown if it fails                       |
| `minitrace_capture`            | those of a wider fixture: `with minitrace_capture() as traces:`  |
| `minitrace_server`             | where a server that many tests share sends its spans             |

pytest imports this module at every start, wherever minitrace is installed. So nothing of ours is imported before a
test asks for it; a test that does not ask pays for a look into its stash.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from minitrace.pytest_settings import PREFIX, Settings, default_text, flag, ini_type, read_settings

if TYPE_CHECKING:
    from minitrace.testing import Traces
    from minitrace.testing.marker import Marker
    from minitrace.testing.processes.servers import Server
    from minitrace.testing.reports import Reports

NAME = "minitrace"  # of all that is ours: settings, what reports carry, what xdist sends
FIXTURE = "_minitrace_traces"  # `traces` itself is a name that somebody else's conftest may have, too
COLUMNS = 120  # at most, however wide the terminal is
MARGIN = len("E   ")  # which pytest writes before each line of a message
MARKER = (
    "traces(no_errors=False, no_n_plus_one=False, max_queries=None, budget=None): capture the test's spans, and claim "
    "of those that its body made: no errors, no repeated calls, at most so many database queries, at most a time "
    "such as '200ms' (minitrace)"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Each setting, as a line of the ini file and as a flag."""
    group = parser.getgroup(NAME, "traces of tests (minitrace)")
    for setting in fields(Settings):
        name, help = PREFIX + setting.name, f"{setting.metadata['help']}{default_text(setting.default)}"
        parser.addini(name, help, type=ini_type(setting.default), default=None)
        if isinstance(setting.default, bool):
            group.addoption(flag(name), dest=name, action=argparse.BooleanOptionalAction, default=None, help=help)
        else:
            group.addoption(flag(name), dest=name, metavar=setting.metadata["kind"].metavar, default=None, help=help)
    group.addoption("--minitrace", action="store_true", help="record this session: a trace for each of its tests")
    group.addoption("--minitrace-db", metavar="FILE", help="record it in this file (default: one in DIR/sessions)")
    group.addoption(
        "--minitrace-url", metavar="URL", help="record it at this minitrace, too (default: one on port 4318)"
    )


# What is known of a session and of a test.


@dataclass(frozen=True)
class Run:
    """What the processes of a session have in common, that is xdist's controller and its workers."""

    started_ns: int
    unique: str
    columns: int
    encoding: str
    worker: str = ""  # where each worker runs all of the tests

    @classmethod
    def begun(cls) -> Run:
        """One that begins now, at this terminal."""
        encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
        columns = shutil.get_terminal_size((80, 24)).columns
        return cls(time.time_ns(), os.urandom(3).hex(), columns, encoding)


@dataclass
class Captured:
    """A test with its spans."""

    traces: Traces
    marker: Marker | None
    is_asked: bool  # by its author, not by a setting for all tests
    is_shown: bool = False


SETTINGS = pytest.StashKey[Settings]()
RUN = pytest.StashKey[Run]()
REPORTS: pytest.StashKey[Reports] = pytest.StashKey()
CAPTURED = pytest.StashKey[Captured]()
STRAY = pytest.StashKey[dict[str, str]]()  # drawn spans of no test, by the worker that they are from


def pytest_configure(config: pytest.Config) -> None:
    """The settings are read: what makes no sense ends the session before it begins."""
    config.addinivalue_line("markers", MARKER)
    config.stash[SETTINGS] = read_settings(config)
    given = getattr(config, "workerinput", {}).get(NAME)
    config.stash[RUN] = Run(**given) if given else Run.begun()
    config.stash[STRAY] = {}
    if any(config.getoption(name) for name in (NAME, f"{NAME}_db", f"{NAME}_url")) and not config.option.collectonly:
        _record(config)


def _record(config: pytest.Config) -> None:
    from minitrace.testing.keeping import session_name
    from minitrace.testing.recording.recorder import MAX_SPANS, record

    run, settings = config.stash[RUN], config.stash[SETTINGS]
    # What it sets for child processes would be to a test what is set already, and "keep" keeps that.
    capture = partial(_captures(config), max_spans=MAX_SPANS, env="set" if settings.env == "set" else "off")
    record(config, config.rootpath / settings.dir, session_name(run.started_ns, run.unique), capture)


def _reports(config: pytest.Config) -> Reports:
    """Where this process's tests tell of their traces: made when the first one does."""
    if REPORTS not in config.stash:
        from minitrace.testing.keeping import Folder, session_name
        from minitrace.testing.reports import Reports
        from minitrace.testing.section import Terminal

        settings, run = config.stash[SETTINGS], config.stash[RUN]
        terminal = Terminal(run.columns, run.encoding, config.invocation_params.dir)
        folder = Folder(config.rootpath / settings.dir, session_name(run.started_ns, run.unique))
        config.stash[REPORTS] = Reports(terminal, folder, settings.show, settings.save, run.worker)
    return config.stash[REPORTS]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Spans of no test are kept if they are to be shown."""
    if session.config.stash[SETTINGS].show == "all":
        from minitrace.testing import capturing

        capturing.take_all()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist starts a worker: it draws for the controller's terminal, and saves into the same folder."""
    worker = node.gateway.id if node.config.option.dist == "each" else ""
    node.workerinput[NAME] = asdict(replace(node.config.stash[RUN], worker=worker))


# Fixtures.


def _captures(config: pytest.Config) -> Callable[..., AbstractContextManager[Traces]]:
    from minitrace.testing import capture, failures

    settings = config.stash[SETTINGS]
    failures.width = min(config.stash[RUN].columns - MARGIN, COLUMNS)
    return partial(
        capture,
        max_spans=settings.max_spans,
        exclude_scopes=settings.exclude_scopes,
        env=settings.env,
        timeout_s=settings.timeout,
        bsp_delay_ms=settings.bsp_delay_ms,
        budget_scale=settings.budget_scale,
        hook=settings.hook,
    )


@pytest.fixture(name=FIXTURE)
def _capture_test(request: pytest.FixtureRequest) -> Iterator[Traces]:
    marker, is_every = _marker(request.node), request.config.stash[SETTINGS].autocapture
    is_asked = bool(marker) or not is_every or "traces" in request.fixturenames
    with _captures(request.config)(name=request.node.nodeid) as traces:
        request.node.stash[CAPTURED] = Captured(traces, marker, is_asked)
        yield traces


def _marker(item: pytest.Item) -> Marker | None:
    """What the test's markers claim; where that makes no sense, its set-up fails."""
    marks = [(mark.args, mark.kwargs) for mark in item.iter_markers("traces")]
    if not marks:
        return None
    from minitrace.errors import ConfigError
    from minitrace.testing import marker

    try:
        return marker.read(marks)
    except ConfigError as error:
        raise pytest.fail.Exception(f"@pytest.mark.traces: {error}", pytrace=False) from None


@pytest.fixture
def traces(_minitrace_traces: Traces) -> Traces:
    """The spans of this test, from every tracer provider and child process: ``traces.one('{ name = "charge" }')``.

    Those of fixtures that are set up after this one are among them.
    """
    return _minitrace_traces


@pytest.fixture(scope="session")
def minitrace_capture(pytestconfig: pytest.Config) -> Callable[..., AbstractContextManager[Traces]]:
    """`minitrace.testing.capture` with this run's settings, for wider fixtures: ``with minitrace_capture() as …``."""
    return _captures(pytestconfig)


@pytest.fixture(scope="session")
def minitrace_server(pytestconfig: pytest.Config) -> Server:
    """Where a server that many tests share sends its spans: give it the variables `env` when it is started.

    They go to the test whose `traces.headers` came with the request.
    """
    from minitrace.testing.processes.servers import shared

    return shared(pytestconfig.stash[SETTINGS].bsp_delay_ms)


# A test, from its collection to its reports.


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that are marked capture as those do that name the fixture."""
    is_every = config.stash[SETTINGS].autocapture
    for item in items:
        if isinstance(item, pytest.Function) and (is_every or item.get_closest_marker("traces")):
            _ask(item)


def _ask(item: pytest.Function) -> None:
    """Put the fixture before all others that live as long as the test: what they do and start is the test's, too."""
    names = item.fixturenames
    if FIXTURE in names:
        return
    known = item._fixtureinfo.name2fixturedefs
    wider = [name for name in names if name in known and known[name][-1].scope != "function"]
    at = names.index(wider[-1]) + 1 if wider else 0
    item.fixturenames = [*names[:at], FIXTURE, *names[at:]]  # a list of its own: parameters of one test share theirs


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that is run again starts anew."""
    if CAPTURED in item.stash:
        del item.stash[CAPTURED]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Check what the markers claim of the test's body."""
    captured = item.stash.get(CAPTURED, None)
    if not (captured and captured.marker):
        return (yield)
    before = captured.traces.capture.snapshot()
    result = yield
    if not _noted_failures(item):
        failure = captured.marker.failure(captured.traces, before, item.config.stash[SETTINGS].budget_scale)
        if failure:
            pytest.fail(failure, pytrace=False)
    return result


def _noted_failures(item: pytest.Item) -> list[pytest.ExceptionInfo[BaseException]]:
    """What went wrong in a test of unittest, which raises nothing."""
    return getattr(item, "_excinfo", None) or []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell of a test's traces, once: where it failed, or else when its body has ended."""
    captured = item.stash.get(CAPTURED, None)
    if captured is None:
        return (yield)
    from minitrace.testing import mistakes

    noted: list[str] = []
    if failure := call.excinfo or next(iter(_noted_failures(item)), None):
        with mistakes.noted(noted):
            _reports(item.config).prepare(failure)
    report = yield
    with mistakes.noted(noted):
        _tell(item, captured, report)
    report.sections += [(mistakes.SECTION, mistake) for mistake in noted]
    if report.when == "teardown":
        del item.stash[CAPTURED]  # pytest keeps all items: their spans would be kept with them
    return report


def _tell(item: pytest.Item, captured: Captured, report: pytest.TestReport) -> None:
    capture, settings = captured.traces.capture, item.config.stash[SETTINGS]
    setattr(report, NAME, {"spans": capture.span_count} if report.when == "teardown" else {})
    is_due = report.failed or (report.when == "call" and settings.is_about_passed)
    if is_due and not captured.is_shown:
        captured.is_shown = _reports(item.config).tell(capture, report, is_asked=captured.is_asked)


# The session's end.


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nothing more is saved; what belongs to no test is drawn."""
    config = session.config
    if config.stash[SETTINGS].show == "all":
        from minitrace.testing import mistakes

        noted: list[str] = []
        with mistakes.noted(noted):
            noted.append(_drawn_stray(config))
        getattr(config, "workeroutput", config.stash[STRAY])[NAME] = "\n".join(noted)
    if REPORTS in config.stash:
        config.stash[REPORTS].folder.close()


def _drawn_stray(config: pytest.Config) -> str:
    from minitrace.testing import capturing
    from minitrace.testing.reasons.picture import MOST_LINES

    return _reports(config).terminal.picture(capturing.unowned().snapshot(), MOST_LINES)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of xdist has ended."""
    node.config.stash[STRAY][node.gateway.id] = getattr(node, "workeroutput", {}).get(NAME, "")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What is not in the report of a test that failed, and a line about all."""
    for worker, drawn in config.stash[STRAY].items():
        if drawn:
            terminalreporter.section("traces of no test" if worker == NAME else f"traces of no test ({worker})")
            terminalreporter.line(drawn)
    told = [report for each in terminalreporter.stats.values() for report in each if hasattr(report, NAME)]
    if told:
        _summarize(terminalreporter, config, told)


def _summarize(terminal: pytest.TerminalReporter, config: pytest.Config, told: list[pytest.TestReport]) -> None:
    from minitrace.testing.reports import shown, summary

    for report in told:
        if report.passed and shown(report) and not terminal.hasopt("P"):  # with -rP they are shown with all else
            terminal.section(f"traces of {report.nodeid}", sep="-")
            terminal.line(shown(report))
    if config.stash[SETTINGS].show != "never" and (line := summary(told, config.invocation_params.dir)):
        terminal.line(line)
