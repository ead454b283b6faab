"""How an application's spans come into the traces of the tests that caused them.

Nothing is attached to the application's context, so that it makes the spans that it makes without us: a server's span
stays a root and a SERVER, samplers decide as ever, and a test that captures its spans sees no parent that is not its
own. Afterwards a root becomes the child of what was going on when it started, and its trace goes with it.

This holds for all processes of a machine alike, as it takes no more than a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from minitrace.model import Link, Resource, Span
from minitrace.store.runs import RUN_ID
from minitrace.testing.readable import IS_REMOTE
from minitrace.testing.recording.timeline import Frame, Timeline

TRACE_ID = "minitrace.app.trace_id"  # an attribute of spans that had no parent: the id in the application's own logs
MOST_TRACES = 50_000  # whose test is remembered


@dataclass(frozen=True, slots=True)
class Home:
    """Where a trace was put: below a frame. What is of another time was moved by so much."""

    frame: Frame
    moved_ns: int = 0


class Adoption:
    """Puts traces below the frames of a timeline; `elsewhere` is for what started while nothing went on."""

    def __init__(self, timeline: Timeline, elsewhere: Frame, run_id: str) -> None:
        self._timeline = timeline
        self._elsewhere = elsewhere
        self._run_id = run_id
        self._homes: dict[bytes, Home] = {}
        self._known: dict[tuple[bytes, bytes], None] = {}

    def adopt(self, spans: Sequence[Span], during: Frame | None = None) -> list[Span]:
        """These spans as children of ours, each once, whether it comes from its process or by OTLP, or both.

        A test may have stopped the clock, or travelled: what claims a time before the session, or to come, belongs to
        `during` and is moved to where that began.
        """
        new = [span for span in spans if (span.trace_id, span.span_id) not in self._known]
        self._known.update(dict.fromkeys((span.trace_id, span.span_id) for span in new))
        for span in sorted(new, key=lambda span: span.start_ns):
            if span.trace_id not in self._homes:
                self._homes[span.trace_id] = self._home(span.start_ns, during)
        resources = {id(span.resource): self._named(span.resource) for span in new}
        adopted = [self._adopted(span, resources[id(span.resource)]) for span in new]
        _forget(self._homes)
        _forget(self._known)
        return adopted

    def _home(self, start_ns: int, during: Frame | None) -> Home:
        if during and not self._timeline.covers(start_ns):
            return Home(during, during.span.start_ns - start_ns)
        return Home(self._frame(start_ns))

    def _frame(self, time_ns: int) -> Frame:
        return self._timeline.at(time_ns) or self._elsewhere

    def _adopted(self, span: Span, resource: Resource) -> Span:
        home = self._homes[span.trace_id]
        adopted = replace(span, trace_id=home.frame.trace_id, links=self._links(span.links), resource=resource)
        if home.moved_ns:
            adopted = _moved(adopted, home.moved_ns)
        if self._is_top(span):
            frame = self._frame(adopted.start_ns)
            parent = frame if frame.trace_id == adopted.trace_id else home.frame
            adopted.parent_id = parent.span.span_id
            adopted.attributes = {**span.attributes, TRACE_ID: span.trace_id.hex()}
        return adopted

    def _is_top(self, span: Span) -> bool:
        """Whether it has no parent, or one in another process that no span came of."""
        if not span.parent_id or (span.trace_id, span.parent_id) in self._known:
            return not span.parent_id
        return bool(span.flags & IS_REMOTE)

    def _links(self, links: Iterable[Link]) -> list[Link]:
        homes = self._homes
        return [
            replace(link, trace_id=homes[link.trace_id].frame.trace_id) if link.trace_id in homes else link
            for link in links
        ]

    def _named(self, resource: Resource) -> Resource:
        return replace(resource, attributes={**resource.attributes, RUN_ID: self._run_id})


def _moved(span: Span, by_ns: int) -> Span:
    events = [replace(event, time_ns=event.time_ns + by_ns) for event in span.events]
    return replace(span, start_ns=span.start_ns + by_ns, end_ns=span.end_ns + by_ns, events=events)


def _forget(remembered: dict[Any, Any]) -> None:
    while len(remembered) > MOST_TRACES:
        del remembered[next(iter(remembered))]
