"""What a run tells at its end: how much came, what was slow or failed, what has changed since the run before."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from minitrace import present
from minitrace.analysis.drawing import one_line
from minitrace.analysis.skew import shifts
from minitrace.analysis.tree import tree
from minitrace.analysis.verdict import verdict
from minitrace.asking.ids import LEAST_DIGITS
from minitrace.asking.server import Server
from minitrace.asking.source import Answer, Found
from minitrace.errors import MinitraceError
from minitrace.store.runs import MOST_RUNS, RUN_ID

STEP_S = 0.1
QUIET_S, AT_MOST_S = 0.5, 5.0
SHOWN = 3  # traces
LONGEST_LABEL = 80
MOST_TRACES = 1000  # that the API tells
INSTRUMENT = "is the command instrumented? In Python: minitrace run -- opentelemetry-instrument COMMAND"


@dataclass(frozen=True, slots=True)
class Closing:
    """The end of a run at a server. `remark` says how to see more where that ends, too; "" where its pages stay."""

    server: Server
    run_id: str
    label: str
    remark: str = ""

    def settle(self, pause: Callable[[float], None] = time.sleep) -> tuple[Answer, bool]:
        """The run's traces once nothing more has come for half a second; and whether that was within five."""
        deadline_s = time.monotonic() + AT_MOST_S
        span_count, quiet_since_s = -1, 0.0
        while True:
            answer, now_s = self._traces(), time.monotonic()
            if (count := sum(found.span_count for found in answer.traces)) != span_count:
                span_count, quiet_since_s = count, now_s
            if now_s - quiet_since_s >= QUIET_S or now_s >= deadline_s:
                return answer, now_s - quiet_since_s >= QUIET_S
            pause(STEP_S)

    def lines(self, answer: Answer, *, is_quiet: bool) -> Iterator[str]:
        """What to say of these traces. Raises MinitraceError: the server no longer answers."""
        if not is_quiet:
            yield f"spans still came {AT_MOST_S:g} s after the end; these are the ones until then"
        if not answer.traces:
            yield f"no span came; {INSTRUMENT}"
            return
        yield _amount(answer.traces)
        for found in _telling(answer.traces):
            yield f"  {found.trace_id.hex()[:LEAST_DIGITS]}  {self._told(found)}"
        former = self._former()
        yield from self._changes(former) if former else ()
        yield from self._links(former)

    def _traces(self) -> Answer:
        return self.server.search({"q": self._query, "limit": str(MOST_TRACES), "spss": "1"})

    @property
    def _query(self) -> str:
        return f'{{ resource.{RUN_ID} = "{self.run_id}" }}'

    def _told(self, found: Found) -> str:
        """A trace as its name and its verdict."""
        trace = self.server.trace(found.trace_id)
        claims = verdict(tree(trace, shifts(trace)))
        name = f"{found.service}: {found.name}" if found.name else found.service
        return f"{one_line(name)}  {present.plain(' · '.join(one_line(claim.text) for claim in claims))}"

    def _former(self) -> dict[str, Any] | None:
        """The run before of the same command in the same directory; else of one that differs in its flags alone."""
        runs = json.loads(self.server.get(f"/_/runs.json?limit={MOST_RUNS}"))["runs"]
        place = next((place for place, run in enumerate(runs) if run["id"] == self.run_id), len(runs))
        alike = [run for run in runs[place + 1 :] if _subject(run) == _subject(runs[place])]  # the newest first
        return next((run for run in alike if run["label"] == self.label), alike[0] if alike else None)

    def _changes(self, former: dict[str, Any]) -> Iterator[str]:
        """What is different from a run; nothing where they cannot be compared."""
        with suppress(MinitraceError):  # it has no traces any more, say
            findings = json.loads(self.server.get(f"/compare.json?{self._both(former)}"))["findings"]
            age = present.plain(present.age(former["started_ns"], time.time_ns()))
            is_other = former["label"] != self.label
            which = f" of {one_line(former['label'], LONGEST_LABEL)}" if is_other else ""
            against = f"against the run {age}{_checked_out(former)}{which}"
            yield f"{against}:" if findings else f"{against}: nothing differs by more than chance"
            yield from (f"  {present.plain(one_line(finding))}" for finding in findings)

    def _links(self, former: dict[str, Any] | None) -> Iterator[str]:
        if self.remark:
            yield self.remark
            return
        yield f"{self.server.name}/search?{urlencode({'q': self._query})}"
        if former:
            yield f"{self.server.name}/compare?{self._both(former)}"

    def _both(self, former: dict[str, Any]) -> str:
        return urlencode({"ra": former["id"], "rb": self.run_id})


def _telling(traces: list[Found]) -> list[Found]:
    """Those that failed, then the slowest; one of each root operation."""
    ordered = sorted(traces, key=lambda found: (not found.error_count, -found.duration_ms))
    first: dict[tuple[str, str], Found] = {}
    for found in ordered:
        first.setdefault((found.service, found.name), found)
    return list(first.values())[:SHOWN]


def _amount(traces: list[Found]) -> str:
    """How much came: ``50 traces, 840 spans, 3 traces with errors``."""
    more = " or more" if len(traces) >= MOST_TRACES else ""
    failed = sum(bool(found.error_count) for found in traces)
    parts = [
        f"{present.count(len(traces), 'trace')}{more}",
        present.count(sum(found.span_count for found in traces), "span"),
        *([f"{present.count(failed, 'trace')} with errors"] if failed else []),
    ]
    return present.plain(", ".join(parts))


def _subject(run: dict[str, Any]) -> tuple[str, str, list[str]]:
    """What a run is of, without the flags of its command."""
    return run["kind"], run["directory"], [word for word in run["label"].split() if not word.startswith("-")]


def _checked_out(run: dict[str, Any]) -> str:
    """What was checked out then: `` (main 3f2a1b9, changed)``; "" outside a repository."""
    if not run["git_commit"]:
        return ""
    words = [one_line(run["git_branch"] or ""), run["git_commit"][:7]]
    return f" ({' '.join(filter(None, words))}{', changed' if run['is_dirty'] else ''})"
