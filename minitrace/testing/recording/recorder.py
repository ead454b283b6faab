"""``pytest --minitrace``: a session of tests as traces, one for each test.

```
tests/test_shop.py::test_order          a trace; links to the session's span, which is a trace of its own
├── setup
│   └── setup client                    a fixture
├── call                                what failed is here: status, exception with pytest's own stack
│   └── POST /orders                    the application's, see adoption.py
└── teardown
    └── teardown client
```

The spans of a test travel with its last report, as OTLP. Reports come to the process that keeps them by themselves:
from the workers of xdist, from tests in a process of their own, or from nowhere else (`session.py`).
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from minitrace.asking.places import Place
from minitrace.config import variable
from minitrace.model import Attributes, Span
from minitrace.otlp.encode import encode_export
from minitrace.testing import mistakes
from minitrace.testing.capturing import Capture
from minitrace.testing.recording import cases
from minitrace.testing.recording.adoption import Adoption
from minitrace.testing.recording.destinations import new_session
from minitrace.testing.recording.session import IDENTITY, RECORDED, REST, SCOPE, Identity, Recorded, Session, new_run
from minitrace.testing.recording.timeline import Frame, Timeline
from minitrace.testing.traces import Traces

Captures = Callable[..., AbstractContextManager[Traces]]
MAX_SPANS = 100_000  # of the application, in one test
QUICK_NS = 5_000_000  # a fixture without teardown code that is let go of within it has nothing to tell
# Fixtures that tell nothing: what pytest makes of a parameter, and our own
_DIRECT = "get_direct_param_fixture_func"
_OURS = "minitrace.pytest_plugin"


def record(config: pytest.Config, folder: Path, name: str, capture: Captures) -> None:
    """Record the session that begins: as a worker of xdist, or as the process that keeps what is recorded.

    `folder` and `name` are for a session that has no other file; `capture` opens the capture of what the application
    does.
    """
    if worker := getattr(config, "workerinput", None):
        if IDENTITY in worker:
            hand_over = partial(config.workeroutput.__setitem__, REST)  # type: ignore[attr-defined]
            recorder = Recorder(Identity(**worker[IDENTITY]), worker["workerid"], capture, hand_over)
            config.pluginmanager.register(recorder, "minitrace-recorder")
        return
    run = new_run(config)
    identity = Identity(run.id, os.urandom(16), os.urandom(8), run.git_commit, run.git_branch)
    file, url = config.getoption("minitrace_db"), config.getoption("minitrace_url")
    place = Place(url or "", os.environ.get(variable("token"), ""), "", os.environ)
    session = Session(identity, run, place, lambda: Path(file) if file else new_session(folder, name))
    if getattr(config.option, "dist", "no") == "no":
        config.pluginmanager.register(Recorder(identity, "", capture, session.take), "minitrace-recorder")
    config.pluginmanager.register(session, "minitrace-session")  # later, and so the last to finish


@dataclass(slots=True)
class Running:
    """A test that is running: its span, that of the phase that began last, that of its body; how its phases went."""

    frame: Frame
    phase: Frame
    body: Frame
    outcomes: list[str] = field(default_factory=list)


class Recorder:
    """A plugin that makes spans of the tests of this process. `hand_over` gets those that belong to no test."""

    def __init__(self, identity: Identity, worker: str, capture: Captures, hand_over: Callable[[bytes], None]) -> None:
        self._identity = identity
        self._timeline = Timeline(identity.resource(worker), SCOPE)
        self._adoption = Adoption(self._timeline, identity.frame(), identity.run_id)
        self._captures = capture
        self._hand_over = hand_over
        self._test: Running | None = None
        self._teardowns: dict[pytest.FixtureDef[Any], Frame] = {}
        self._capturing = ExitStack()
        self._capture: Capture | None = None

    # The session

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """From here on the application's spans are ours, too."""
        self._capture = self._capturing.enter_context(self._captures(name="the session")).capture

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """What came after the last test; a test that was interrupted."""
        if self._test:
            self._test.frame.fail("interrupted")
            self._timeline.end(self._test.frame)
        if spans := self._ended():
            self._hand_over(encode_export(spans))
        self._capturing.close()

    # A test

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """The test begins: here, and not earlier, as a test can be run again."""
        frame = self._timeline.begin(
            cases.text(item.nodeid), cases.case_attributes(item), trace_id=os.urandom(16), link=self._identity.link()
        )
        self._test = Running(frame, frame, frame)
        return (yield from self._phased(self._test, "setup"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Its body."""
        return (yield from self._phased(self._test, "call"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        """Its fixtures end, and with the last test of a module, say, that of the module."""
        return (yield from self._phased(self._test, "teardown"))

    def _phased(self, test: Running | None, name: str) -> Generator[None, object, object]:
        if test is None:  # something else than pytest runs phases of its own
            return (yield)
        test.phase = self._timeline.begin(name, {})
        if name == "call":
            test.body = test.phase
        try:
            return (yield)
        finally:
            self._timeline.end(test.phase)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """How a phase went is known; after the last one, how the test did."""
        report = yield
        if test := self._test:
            noted: list[str] = []
            with mistakes.noted(noted):
                self._note(report, test)
                if call.excinfo and (report.failed or hasattr(report, "wasxfail")):
                    time_ns = test.phase.span.end_ns or time.time_ns()  # within a phase parts of it can be reported
                    event = cases.exception_event(report, time_ns, call.excinfo.value, item.config.option.tbstyle)
                    test.phase.span.events.append(event)
                if report.when == "teardown":
                    setattr(report, RECORDED, asdict(self._finish(test)))
            report.sections += [(mistakes.SECTION, mistake) for mistake in noted]
        return report

    def _note(self, report: pytest.TestReport, test: Running) -> None:
        test.outcomes.append(cases.outcome(report))
        test.frame.span.attributes |= cases.reason(report)
        if report.failed:
            said = cases.text(cases.message(report).partition("\n")[0])
            test.frame.fail(said)
            test.phase.fail(said)
            test.phase.span.attributes |= cases.printed(report)

    def _finish(self, test: Running) -> Recorded:
        """The test is over since its last phase is: what its last report carries."""
        outcome = cases.worst(test.outcomes)
        span = test.frame.span
        span.attributes |= cases.result_attributes(outcome)
        self._timeline.end(test.frame, test.phase.span.end_ns)
        spans = self._ended()
        self._test = None
        return Recorded(span.trace_id, outcome, span.duration_ns, encode_export(spans))

    def _ended(self) -> list[Span]:
        """Our spans that have ended, and the application's, which are as many as arrived."""
        spans = self._timeline.take()
        if capture := self._capture:
            with capture.condition:  # nothing may come in between
                try:
                    snapshot = capture.snapshot()
                finally:
                    capture.clear()  # a span that cannot be read is one test's mishap, not that of all that follow
            if snapshot.dropped and self._test:
                self._test.frame.span.attributes["minitrace.dropped_spans"] = snapshot.dropped
            spans += self._adoption.adopt(snapshot.spans, self._test.body if self._test else None)
        return spans

    # Fixtures

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """A fixture is made; its finalizers will tell how long it takes to end."""
        if not _is_telling(fixturedef):
            return (yield)
        frame = self._timeline.begin(f"setup {fixturedef.argname}", _fixture_attributes(fixturedef))
        try:
            return (yield)
        except (pytest.skip.Exception, pytest.xfail.Exception):
            raise
        except BaseException as error:
            frame.fail(cases.first_line(error))
            raise
        finally:
            self._timeline.end(frame)
            fixturedef.addfinalizer(lambda: self._begin_teardown(fixturedef))  # the last one is called first

    def _begin_teardown(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        frame = self._timeline.begin(f"teardown {fixturedef.argname}", _fixture_attributes(fixturedef))
        self._teardowns[fixturedef] = frame

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """A fixture has ended."""
        if frame := self._teardowns.pop(fixturedef, None):
            self._timeline.end(frame)
            if frame.span.duration_ns < QUICK_NS and not _has_teardown(fixturedef):
                self._timeline.forget(frame)


def _is_telling(fixturedef: pytest.FixtureDef[Any]) -> bool:
    function = fixturedef.func
    return getattr(function, "__name__", "") != _DIRECT and getattr(function, "__module__", "") != _OURS


def _fixture_attributes(fixturedef: pytest.FixtureDef[Any]) -> Attributes:
    return {"pytest.fixture.name": fixturedef.argname, "pytest.fixture.scope": fixturedef.scope}


def _has_teardown(fixturedef: pytest.FixtureDef[Any]) -> bool:
    return inspect.isgeneratorfunction(fixturedef.func)
