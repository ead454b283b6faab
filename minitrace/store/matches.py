"""What a search finds."""

from __future__ import annotations

from dataclasses import dataclass, field

from minitrace.traceql.ast import Value


@dataclass(slots=True)
class ServiceCount:
    """How many spans of a trace a service has, and how many of them failed."""

    name: str
    span_count: int
    error_count: int


@dataclass(slots=True)
class TraceSummary:
    """A trace in one line.

    `root_service` and `root_name` are None while the root has not been received. `is_complete` if there is a root
    and every parent that a span names. `removed_count` spans were taken away to make room.
    """

    trace_id: bytes
    start_ns: int
    duration_ns: int
    root_service: str | None
    root_name: str | None
    span_count: int
    error_count: int
    is_complete: bool = True
    removed_count: int = 0
    is_pinned: bool = False
    services: list[ServiceCount] = field(default_factory=list)


@dataclass(slots=True)
class SpanMatch:
    """A span that matches, in one line; `attributes` are those fields of it that the query is about."""

    span_id: bytes
    name: str
    service: str
    start_ns: int
    duration_ns: int
    is_error: bool
    attributes: dict[str, Value] = field(default_factory=dict)


@dataclass(slots=True)
class SpansetMatch:
    """Spans of one trace that match together: the first few, and how many there are.

    `attributes` are what the pipeline found out about them, such as ``count()`` and ``by(name)``.
    """

    spans: list[SpanMatch]
    matched: int
    attributes: dict[str, Value] = field(default_factory=dict)


@dataclass(slots=True)
class TraceMatch:
    """A trace with its spansets that match; there are several of them behind ``by()``."""

    summary: TraceSummary
    spansets: list[SpansetMatch] = field(default_factory=list)

    @property
    def spans(self) -> list[SpanMatch]:
        """The first spans of the first spanset."""
        return self.spansets[0].spans

    @property
    def matched(self) -> int:
        """How many spans all spansets have."""
        return sum(spanset.matched for spanset in self.spansets)


@dataclass(slots=True)
class SearchResult:
    """Traces that match, in the order asked for.

    `complete` is False if the deadline came before the limit and before the oldest trace; `reason` says more. In
    another order than the newest first, those found until then are sorted. `inspected` counts the traces looked at.
    `looked_back_to_ns` is the start of the oldest of them. `next` continues after the last match, None when there is
    nothing behind it.
    """

    matches: list[TraceMatch] = field(default_factory=list)
    complete: bool = True
    reason: str = ""
    inspected: int = 0
    looked_back_to_ns: int | None = None
    next: str | None = None
