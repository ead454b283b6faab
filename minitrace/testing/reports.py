"""What becomes of a test's spans when it has ended: they are drawn in its report, and saved as files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from minitrace.errors import MinitraceError
from minitrace.present import count, plain
from minitrace.testing.capturing import Capture
from minitrace.testing.failures import TracesFailure
from minitrace.testing.keeping import Folder, Kept
from minitrace.testing.section import Terminal, near, section
from minitrace.testing.spans import NoSuchAttribute

SECTION = "traces"
CARRIED = "minitrace"  # the attribute of a report, plain, as it travels from the workers of xdist


class Reports:
    """The reports of this process's tests. `show` and `save` are settings: "failed", "always", "all" or "never".

    `worker` tells this process's files from those of others that run the same tests.
    """

    def __init__(self, terminal: Terminal, folder: Folder, show: str, save: str, worker: str) -> None:
        self.terminal = terminal
        self.folder = folder
        self._show = show
        self._save = save
        self._worker = worker

    def prepare(self, failure: pytest.ExceptionInfo[BaseException]) -> None:
        """Make a failure of ours say what its text says, and no more, before pytest draws it."""
        if isinstance(failure.value, TracesFailure):
            failure.value.args = (self.terminal.plain(str(failure.value)),)
        for entry in failure.traceback:
            module = entry.frame.f_globals
            if str(module.get("__name__")).startswith("minitrace."):
                module["__tracebackhide__"] = _is_for_people

    def tell(self, capture: Capture, report: pytest.TestReport, *, is_asked: bool) -> bool:
        """Save and show in a report what a test captured, as far as the settings say; whether it was shown.

        `is_asked`: by its author, who is told why nothing came; a setting for all tests has no such expectation.
        """
        kept = Kept()
        if _is_due(self._save, report) and capture.span_count:
            test = f"{report.nodeid} ({self._worker})" if self._worker else report.nodeid
            kept = self.folder.keep(test, capture.snapshot().traces(), has_pages=True)
            getattr(report, CARRIED)["saved"] = str(kept.db or "")
        if not _is_due(self._show, report):
            return False
        snapshot = capture.snapshot()
        is_due = report.failed and is_asked and not snapshot.open  # what has not ended is told by whoever misses it
        why = capture.circumstances() if is_due else None
        text = section(snapshot, why, kept, report.longreprtext, self.terminal)
        if text:
            report.sections.append((SECTION, text))
        return bool(text)


def _is_for_people(failure: pytest.ExceptionInfo[BaseException]) -> bool:
    """Whether the text says it all; of what else goes wrong in our code, the code is shown."""
    return isinstance(failure.value, TracesFailure | MinitraceError | NoSuchAttribute)


def _is_due(whose: str, report: pytest.TestReport) -> bool:
    return report.failed if whose == "failed" else whose != "never"


def shown(report: pytest.TestReport) -> str:
    """What a report shows of a test's traces; "" if nothing."""
    return "\n".join(text for name, text in report.sections if name == SECTION)


def summary(reports: Iterable[pytest.TestReport], here: Path) -> str:
    """One line: how much all tests captured, and where it is saved; "" if nothing was."""
    told = [getattr(report, CARRIED) for report in reports]
    counts = [one["spans"] for one in told if one.get("spans")]
    saved = {one["saved"] for one in told if one.get("saved")}
    if not counts:
        return ""
    line = f"minitrace: {count(sum(counts), 'span')} captured in {count(len(counts), 'test')}"
    if saved:
        line += f"; those of {count(len(saved), 'test')} saved in {near(Path(min(saved)).parent, here)}"
    return plain(line)
