"""What was going on when: spans of our own, one inside the other, of a process that does one thing at a time.

```
session ─────────────────────────────────────────────────   a trace of its own
  test ──────────────────────  test ─────────────────       a trace each
    setup ── call ── teardown    setup ── call ─ …
```
"""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from minitrace.model import Attributes, Kind, Link, Resource, Scope, Span, Status, StatusCode

MOST_FRAMES = 20_000  # are remembered, for spans that come late
DRIFT_NS = 1_000_000_000  # between two looks at the clocks; what is more was not time that passed


@dataclass(slots=True)
class Frame:
    """A span of ours and the frame around it; the span's end is 0 while it goes on."""

    span: Span
    around: Frame | None

    @property
    def trace_id(self) -> bytes:
        """The trace it belongs to."""
        return self.span.trace_id

    def fail(self, message: str) -> None:
        """Mark it as failed; the first message stays."""
        if not self.span.is_error:
            self.span.status = Status(StatusCode.ERROR, message)


class Clock:
    """The time, in nanoseconds since 1970, also while a test makes it another: then it goes on by itself.

    freezegun replaces what modules name, so both clocks are held; time-machine replaces what they say.
    """

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, steady_ns: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self._wall_ns, self._steady_ns = wall_ns, steady_ns
        self._ahead_ns = wall_ns() - steady_ns()

    def __call__(self) -> int:
        """Now."""
        steady_ns = self._steady_ns()
        ahead_ns = self._wall_ns() - steady_ns
        if abs(ahead_ns - self._ahead_ns) < DRIFT_NS:
            self._ahead_ns = ahead_ns
        return steady_ns + self._ahead_ns


class Timeline:
    """Spans that are open, innermost last, and those that were."""

    def __init__(self, resource: Resource, scope: Scope, now_ns: Callable[[], int] | None = None) -> None:
        self._resource = resource
        self._scope = scope
        self._now_ns = now_ns or Clock()
        self._began_ns = self._now_ns()
        self._open: Frame | None = None
        self._frames: list[Frame] = []  # in order of their start
        self._starts: list[int] = []
        self._ended: list[Span] = []

    @property
    def innermost(self) -> Frame | None:
        """What is going on now."""
        return self._open

    def begin(
        self,
        name: str,
        attributes: Attributes,
        *,
        trace_id: bytes = b"",
        span_id: bytes = b"",
        link: Link | None = None,
    ) -> Frame:
        """Something begins, within what is going on; with a trace id it is the root of that trace."""
        around = self._open
        parent = around.span if around and not trace_id else None
        span = Span(
            trace_id=trace_id or (parent.trace_id if parent else os.urandom(16)),
            span_id=span_id or os.urandom(8),
            parent_id=parent.span_id if parent else b"",
            name=name,
            start_ns=self._now_ns(),
            end_ns=0,
            kind=Kind.INTERNAL,
            attributes=attributes,
            links=[link] if link else [],
            resource=self._resource,
            scope=self._scope,
        )
        self._open = Frame(span, around)
        self._remember(self._open)
        return self._open

    def end(self, frame: Frame, at_ns: int = 0) -> None:
        """It is over, now or since `at_ns`, and whatever still goes on within it."""
        while self._open and not frame.span.end_ns:
            ended, self._open = self._open, self._open.around
            ended.span.end_ns = at_ns or self._now_ns()
            self._ended.append(ended.span)

    def at(self, time_ns: int) -> Frame | None:
        """What was going on at a time, the innermost of it; None: nothing was."""
        place = bisect_right(self._starts, time_ns)
        frame = self._frames[place - 1] if place else None
        while frame and 0 < frame.span.end_ns < time_ns:
            frame = frame.around
        return frame

    def covers(self, time_ns: int) -> bool:
        """Whether it is a time between the beginning and now."""
        return self._began_ns <= time_ns <= self._now_ns()

    def take(self) -> list[Span]:
        """The spans that have ended since this was asked last."""
        ended, self._ended = self._ended, []
        return ended

    def forget(self, frame: Frame) -> None:
        """It has ended and is not worth telling; what started within it belongs to what was around it."""
        self._ended = [span for span in self._ended if span is not frame.span]
        place = next(place for place in range(len(self._frames) - 1, -1, -1) if self._frames[place] is frame)
        del self._frames[place], self._starts[place]

    def _remember(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._starts.append(frame.span.start_ns)
        if len(self._frames) > MOST_FRAMES:
            del self._frames[: MOST_FRAMES // 2]
            del self._starts[: MOST_FRAMES // 2]
