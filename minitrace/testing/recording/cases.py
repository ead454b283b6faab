"""What is told of a test: its name and place, what marks it, how it went, and what it failed with.

Names are those of OpenTelemetry's semantic conventions for tests and code where there are any; what is pytest's own
begins with "pytest.".
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import suppress

import pytest

from minitrace.model import Attributes, Event, Value

OUTCOME = "pytest.outcome"
LONGEST_TEXT = 64_000  # of a stack, or of what was printed
LONGEST_VALUE = 200  # of a parameter
STYLES_WITHOUT_STACK = ("no", "line")
# The conventions know pass and fail.
_RESULTS = {
    "passed": "pass",
    "xpassed": "pass",
    "failed": "fail",
    "error": "fail",
    "skipped": "skip",
    "xfailed": "skip",
}
_WORST = ("error", "failed", "xpassed", "xfailed", "skipped", "passed")


def case_attributes(item: pytest.Item) -> Attributes:
    """Which test it is, where it stands, its markers and parameters."""
    _, line, _ = item.location
    attributes: Attributes = {
        "test.case.name": text(item.nodeid),
        "test.suite.name": text(item.nodeid.rpartition("::")[0] or item.nodeid),
        "code.file.path": text(str(item.path)),
    }
    if line is not None:
        attributes["code.line.number"] = line + 1
    if isinstance(item, pytest.Function):
        attributes["code.function.name"] = f"{item.function.__module__}.{item.function.__qualname__}"
    if markers := sorted({mark.name for mark in item.iter_markers()}):
        attributes["pytest.markers"] = list[Value](markers)
    if attempt := getattr(item, "execution_count", 0):  # pytest-rerunfailures
        attributes["pytest.attempt"] = attempt
    return attributes | dict(_parameters(item))


def _parameters(item: pytest.Item) -> Iterator[tuple[str, Value]]:
    callspec = getattr(item, "callspec", None)
    for name, value in callspec.params.items() if callspec else ():
        yield f"pytest.param.{name}", _plain(value)


def _plain(value: object) -> Value:
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    with suppress(Exception):  # it may be a test's own __repr__ that fails
        return text(value if isinstance(value, str) else repr(value), LONGEST_VALUE)
    return object.__repr__(value)


def outcome(report: pytest.TestReport) -> str:
    """How a phase went: passed, failed, error (failed beside the test itself), skipped, xfailed or xpassed."""
    if report.failed:
        return "failed" if report.when == "call" else "error"
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    return report.outcome


def worst(outcomes: list[str]) -> str:
    """How a test went whose phases went so."""
    return min(outcomes, key=_WORST.index, default="passed")


def result_attributes(outcome: str) -> Attributes:
    """How a test went."""
    return {"test.case.result.status": _RESULTS[outcome], OUTCOME: outcome}


def reason(report: pytest.TestReport) -> Attributes:
    """Why it was skipped, or expected to fail."""
    if hasattr(report, "wasxfail"):
        return {"pytest.xfail.reason": text(str(report.wasxfail).removeprefix("reason: "))}
    if report.skipped and isinstance(report.longrepr, tuple):
        return {"pytest.skip.reason": text(report.longrepr[2].removeprefix("Skipped: "))}
    return {}


def exception_event(
    report: pytest.CollectReport | pytest.TestReport, time_ns: int, error: BaseException | None, style: str = "auto"
) -> Event:
    """What was raised. The stack is as pytest shows it, with the lines around and what was compared.

    Where it is to show none (`style` is that of its ``--tb``), as Python would, from the test on.
    """
    stack, said, name = report.longreprtext, message(report), ""
    if error is not None:
        name = exception_type(error)
        stack = _stack(error) if style in STYLES_WITHOUT_STACK else stack
    known = {
        "exception.type": name,
        "exception.message": said.removeprefix(f"{name}: "),
        "exception.stacktrace": stack,
    }
    return Event(time_ns, "exception", {key: text(value, LONGEST_TEXT) for key, value in known.items() if value})


def _stack(error: BaseException) -> str:
    """As Python prints it, without the hooks by which pytest came to the test."""
    places = [place for place, _ in traceback.walk_tb(error.__traceback__)]
    modules = [str(place.f_globals.get("__name__")) for place in places]
    hooks = [number for number, module in enumerate(modules) if module.startswith("pluggy.")]
    first = hooks[-1] + 1 if hooks else 0
    while modules[first : first + 1] and modules[first].startswith("_pytest."):
        first += 1
    limit = first - len(places) if first < len(places) else None  # below 0: the last ones
    return "".join(traceback.format_exception(type(error), error, error.__traceback__, limit=limit))


def exception_type(error: BaseException) -> str:
    """Its name, with its module as a traceback has it."""
    module, name = type(error).__module__, type(error).__qualname__
    return name if module == "builtins" else f"{module}.{name}"


def first_line(error: BaseException) -> str:
    """``ValueError: no stock``; the name alone where its own ``__str__`` fails, which must not be what is reported."""
    with suppress(Exception):
        return text(f"{type(error).__name__}: {error}".partition("\n")[0])
    return type(error).__name__


def message(report: pytest.CollectReport | pytest.TestReport) -> str:
    """What went wrong: ``AssertionError: assert 1 == 2``, which may be several lines."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return str(crash.message)
    lines = report.longreprtext.strip().splitlines()
    return lines[-1] if lines else ""


def printed(report: pytest.TestReport) -> Attributes:
    """What a test that failed has printed and logged, the end of it."""
    said = {"pytest.stdout": report.capstdout, "pytest.stderr": report.capstderr, "pytest.log": report.caplog}
    return {name: text(content[-LONGEST_TEXT:], LONGEST_TEXT) for name, content in said.items() if content}


def text(content: str, longest: int = 4_000) -> str:
    """A text that OTLP can carry: without halves of characters, and not too long."""
    whole = content.encode(errors="replace").decode()
    return whole if len(whole) <= longest else whole[: longest - 1] + "…"
