"""A session of tests that is recorded: its run, its own span, and what becomes of the spans of its tests.

They go into a file as they come, and to a minitrace that answers. The file is written between two tests, by the
process that pytest was started as: a session that is killed has all that was written before.
"""

from __future__ import annotations

import os
import platform
import secrets
import shlex
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from minitrace import __version__, present
from minitrace.asking.places import Place
from minitrace.errors import MinitraceError
from minitrace.git import checkout
from minitrace.model import Attributes, Link, Resource, Scope, Span
from minitrace.otlp.encode import encode_export
from minitrace.store.runs import RUN_ID, Run, RunKind
from minitrace.testing.recording import cases
from minitrace.testing.recording.destinations import Destinations, find_server
from minitrace.testing.recording.timeline import Frame, Timeline
from minitrace.testing.section import near

SCOPE = Scope("minitrace.testing", __version__)
# What processes of a session send each other
IDENTITY, RECORDED, REST = "minitrace_identity", "minitrace_recorded", "minitrace_rest"
RUN_VARIABLE = "MINITRACE_RUN_ID"  # set by `minitrace run`
MOST_TOLD = 3  # tests that failed, and slow ones
LEAST_SLOW_NS = 100_000_000
FAILED = ("failed", "error")
_STATUS = {  # by the exit code, in words of the conventions; all else is a failure
    int(pytest.ExitCode.OK): "success",
    int(pytest.ExitCode.INTERRUPTED): "aborted",
    int(pytest.ExitCode.NO_TESTS_COLLECTED): "skipped",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """What all processes of a session know of it: its run, its span, and what is checked out. Plain, to be sent."""

    run_id: str
    trace_id: bytes
    span_id: bytes
    commit: str | None
    branch: str | None

    def resource(self, worker: str = "") -> Resource:
        """What makes spans of ours: a process of this session."""
        attributes: dict[str, str | int | None] = {
            "service.name": "pytest",
            "service.version": pytest.__version__,
            "process.pid": os.getpid(),
            "process.runtime.name": platform.python_implementation().lower(),
            "process.runtime.version": platform.python_version(),
            RUN_ID: self.run_id,
            "vcs.ref.head.revision": self.commit,
            "vcs.ref.head.name": self.branch,
            "pytest.worker": worker or None,
        }
        return Resource({name: value for name, value in attributes.items() if value is not None})

    def frame(self) -> Frame:
        """The session's span, for those that belong to it: where it is and no more."""
        return Frame(Span(self.trace_id, self.span_id, "session", 0, 0), None)

    def link(self) -> Link:
        """To the session's span."""
        return Link(self.trace_id, self.span_id)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a test's last report carries: its spans, as OTLP, and what is told of it at the end. Plain, to be sent."""

    trace_id: bytes
    outcome: str
    duration_ns: int
    body: bytes


class Session:
    """A plugin of the process that keeps what is recorded. `place` says which server is meant, `path` which file."""

    def __init__(self, identity: Identity, run: Run, place: Place, path: Callable[[], Path]) -> None:
        self._identity, self._run, self._place, self._path = identity, run, place, path
        self._timeline = Timeline(identity.resource(), SCOPE)
        attributes: Attributes = {"process.command_line": cases.text(run.label)}
        self._frame = self._timeline.begin("session", attributes, trace_id=identity.trace_id, span_id=identity.span_id)
        self._tests: list[tuple[str, Recorded]] = []
        self._uncollected: set[str] = set()
        self._destinations: Destinations | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Open the file, and look for a server."""
        try:
            server, problem = find_server(self._place)
            is_known = self._run.id == os.environ.get(RUN_VARIABLE)
            self._destinations = Destinations(self._path(), server, self._run, is_run_known=is_known)
            self._destinations.problems += filter(None, [problem])
        except (MinitraceError, OSError) as error:
            raise pytest.UsageError(f"--minitrace: {error}") from error

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """A worker of xdist is told whose it is."""
        node.workerinput[IDENTITY] = asdict(self._identity)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of xdist has ended, and may have something left."""
        self.take(getattr(node, "workeroutput", {}).get(REST, b""))

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        """Modules are imported, or workers do that."""
        frame = self._timeline.begin("collect", {})
        try:
            return (yield)
        finally:
            self._timeline.end(frame)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be imported fails the collection; each worker says so."""
        if report.failed and report.nodeid not in self._uncollected:
            self._uncollected.add(report.nodeid)
            collecting = self._timeline.innermost or self._frame
            collecting.span.events.append(cases.exception_event(report, time.time_ns(), None))
            collecting.fail(cases.text(f"{report.nodeid}: {cases.message(report)}"))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test is over. The last report of a test carries its spans, and here they are taken from it."""
        if carried := report.__dict__.pop(RECORDED, None):
            recorded = Recorded(**carried)
            self._tests.append((report.nodeid, recorded))
            self.take(recorded.body)
        elif report.failed and report.when not in ("setup", "call", "teardown"):
            self._lost(report)

    def _lost(self, report: pytest.TestReport) -> None:
        """A test took its worker down with it, and the spans of both."""
        attributes = {"test.case.name": cases.text(report.nodeid), **cases.result_attributes("error")}
        frame = self._timeline.begin(
            cases.text(report.nodeid), attributes, trace_id=os.urandom(16), link=self._identity.link()
        )
        frame.fail(cases.text(cases.message(report)))
        self._timeline.end(frame)
        self._tests.append((report.nodeid, Recorded(frame.trace_id, "error", 0, b"")))

    def take(self, body: bytes) -> None:
        """Keep spans, as an ExportTraceServiceRequest."""
        if body and self._destinations:
            self._destinations.add(body)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int | pytest.ExitCode) -> None:
        """The session is over: its span, and the end of its run."""
        if not self._destinations:
            return
        code = int(exitstatus)
        counts = Counter(recorded.outcome for _, recorded in self._tests)
        attributes = self._frame.span.attributes
        attributes |= {"pytest.exit_code": code, "test.suite.run.status": _STATUS.get(code, "failure")}
        attributes |= {f"pytest.{outcome}": count for outcome, count in counts.items()}
        if _STATUS.get(code, "failure") in ("failure", "aborted"):
            self._frame.fail(_counted(counts) or "no test was run")
        self._timeline.end(self._frame)
        self.take(encode_export(self._timeline.take()))
        self._destinations.close(code)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where it is, and how to look."""
        if self._destinations:
            for line in self._lines(self._destinations):
                terminalreporter.write_line(line)

    def _lines(self, destinations: Destinations) -> Iterator[str]:
        amount = f"{present.count(len(self._tests), 'test')}, {present.count(destinations.span_count, 'span')}"
        look = f"minitrace open {shlex.quote(near(destinations.path, Path.cwd()))}"
        yield f"minitrace: {present.plain(amount)} recorded; to look at them: {look}"
        yield from (f"minitrace: {problem}" for problem in destinations.problems)
        if server := destinations.server:
            query = urlencode({"q": f'{{ resource.{RUN_ID} = "{self._run.id}" }}'})
            yield f"  {server.name}/search?{query}"
            for word, node_id, recorded in self._telling():
                duration = present.plain(present.duration(recorded.duration_ns))
                yield f"  {word:<6} {duration:>8}  {server.page(recorded.trace_id)}  {node_id}"

    def _telling(self) -> Iterator[tuple[str, str, Recorded]]:
        """The first tests that failed, and the slowest of the others."""
        failed = [(name, recorded) for name, recorded in self._tests if recorded.outcome in FAILED]
        yield from ((recorded.outcome, name, recorded) for name, recorded in failed[:MOST_TOLD])
        others = sorted(self._tests, key=lambda test: -test[1].duration_ns)[:MOST_TOLD]
        yield from (("slow", name, recorded) for name, recorded in others if recorded.duration_ns >= LEAST_SLOW_NS)


def _counted(counts: Counter[str]) -> str:
    """What went wrong: ``2 failed, 1 error``."""
    errors = present.plain(present.count(counts["error"], "error")) if counts["error"] else ""
    return ", ".join(filter(None, [f"{counts['failed']} failed" if counts["failed"] else "", errors]))


def new_run(config: pytest.Config) -> Run:
    """The run of a session that begins: that of `minitrace run`, or one of its own."""
    directory = config.invocation_params.dir
    found = checkout(directory)
    return Run(
        id=os.environ.get(RUN_VARIABLE) or secrets.token_hex(8),
        kind=RunKind.PYTEST,
        label=shlex.join(["pytest", *config.invocation_params.args]),
        directory=str(directory),
        started_ns=time.time_ns(),
        git_commit=found.commit,
        git_branch=found.branch,
        is_dirty=found.is_dirty,
    )
