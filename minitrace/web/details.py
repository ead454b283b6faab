"""A span to all that its panel shows: what it carries, and what the store knows around it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from minitrace import present
from minitrace.model import Event, Link, LogRecord, Span
from minitrace.web import curl, queries
from minitrace.web.attributes import STACK, Shown, shown
from minitrace.web.log_lines import Line, lines, search_url
from minitrace.web.standing import Standing, standing

MAX_EVENTS = 200  # of a span; all of them are in its OTLP JSON
MAX_LINKS = 100
MAX_RECORDS = 100  # of logs; the rest is a link away


@dataclass(slots=True)
class ShownEvent:
    """An event; `thrown` is the type and the message of an exception whose stack trace does not begin with them."""

    event: Event
    attributes: list[Shown]
    thrown: str

    @property
    def is_exception(self) -> bool:
        """Whether it was recorded as one."""
        return self.event.name == "exception"


@dataclass(slots=True)
class ShownLink:
    """A link; `target` is the span it leads to, if that is stored; `is_known` if at least its trace is."""

    link: Link
    attributes: list[Shown]
    target: Span | None
    is_known: bool


@dataclass(slots=True)
class Around:
    """What the store knows around a span. `targets` and `known_traces` are those of its links."""

    parent: Span | None = None
    durations: Sequence[int] = ()  # ns, of its operation
    targets: Mapping[tuple[bytes, bytes], Span] = field(default_factory=dict)
    known_traces: Collection[bytes] = ()
    records: Sequence[LogRecord] = ()


@dataclass(slots=True)
class Detail:
    """A span as its panel shows it. `alike` is TraceQL, `curl` a command; "" and None where there is none.

    `said` is what it logged, `meanwhile_url` the page with all that its service logged while it lasted.
    """

    span: Span
    parent: Span | None
    standing: Standing | None
    attributes: list[Shown]
    resource: list[Shown]
    scope: list[Shown]
    events: list[ShownEvent]
    links: list[ShownLink]
    alike: str
    curl: str | None
    said: list[Line]
    record_count: int
    meanwhile_url: str

    @property
    def has_exception(self) -> bool:
        """Whether there is an exception among its events: these then come first."""
        return any(event.is_exception for event in self.events)

    @property
    def row_count(self) -> int:
        """How many attributes there are to look through, wherever they stand."""
        lists = [self.attributes, self.resource, self.scope]
        lists += [event.attributes for event in self.events] + [link.attributes for link in self.links]
        return sum(map(len, lists))


def detail(span: Span, around: Around) -> Detail:
    """What is shown of a span."""
    return Detail(
        span,
        around.parent,
        standing(span.duration_ns, around.durations),
        shown(span.attributes, "span"),
        shown(span.resource.attributes, "resource"),
        shown(span.scope.attributes, "instrumentation"),
        [ShownEvent(event, shown(event.attributes, "event"), _thrown(event)) for event in span.events[:MAX_EVENTS]],
        [_shown_link(link, around) for link in span.links[:MAX_LINKS]],
        queries.alike(span),
        curl.command(span),
        lines(around.records[:MAX_RECORDS]),
        len(around.records),
        search_url(span.service, span.start_ns, span.end_ns),
    )


def _shown_link(link: Link, around: Around) -> ShownLink:
    target = around.targets.get((link.trace_id, link.span_id))
    is_known = target is not None or link.trace_id in around.known_traces
    return ShownLink(link, shown(link.attributes, "link"), target, is_known)


def _thrown(event: Event) -> str:
    """``CardDeclinedError: Your card has insufficient funds.``"""
    if event.name != "exception":
        return ""
    parts = (event.attributes.get(f"exception.{part}") for part in ("type", "message"))
    thrown = ": ".join(present.value(part) for part in parts if part not in (None, ""))
    stack = event.attributes.get(STACK)
    return "" if isinstance(stack, str) and stack.startswith(thrown) else thrown
