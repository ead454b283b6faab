"""What spans amount to, counted one by one: the figures that every page and interface has to agree with."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from minitrace.model import Kind, Span

CALLING = (Kind.CLIENT, Kind.PRODUCER)
SERVING = (Kind.SERVER, Kind.CONSUMER)
NO_ANSWER = (Kind.UNSPECIFIED, Kind.INTERNAL)  # kinds of a span below a client that do not say that it is no leaf

Leaf = tuple[str, str]  # what kind of thing it is, and its name


class Edge(NamedTuple):
    """Calls from a service to another, or to a leaf; messages where consumers are called."""

    caller: str
    callee: str | Leaf
    is_message: bool = False


@dataclass
class Count:
    """Some spans: how many, how many of them failed, and how long they took."""

    errors: int = 0
    durations_ns: list[int] = field(default_factory=list)

    def add(self, span: Span) -> None:
        self.errors += span.is_error
        self.durations_ns.append(span.duration_ns)

    @property
    def count(self) -> int:
        return len(self.durations_ns)

    @property
    def share(self) -> float:
        return self.errors / self.count

    def quantile(self, share: float) -> int:
        """The duration up to which a share of them lies."""
        return sorted(self.durations_ns)[max(0, math.ceil(share * self.count) - 1)]


def by(spans: Iterable[Span], key: Callable[[Span], Hashable]) -> dict[Hashable, Count]:
    """Spans, told apart by something."""
    found: dict[Hashable, Count] = defaultdict(Count)
    for span in spans:
        found[key(span)].add(span)
    return dict(found)


class Counted:
    """What spans amount to of which those count that start after one time, up to another.

    `leaf_of` tells what a span calls, by its attributes; None where they do not say.
    """

    def __init__(
        self, spans: Sequence[Span], start_ns: int, end_ns: int, leaf_of: Callable[[Span], Leaf | None]
    ) -> None:
        self.all = spans
        self.spans = [span for span in spans if start_ns < span.start_ns <= end_ns]
        self.edges: dict[Edge, Count] = defaultdict(Count)
        self.linked: dict[Edge, int] = defaultdict(int)
        self._owners = {(span.trace_id, span.span_id): span for span in sorted(spans, key=_has_children_of_id)}
        self._clients = {(span.trace_id, span.span_id): span for span in spans if span.kind == Kind.CLIENT}
        within = {id(span) for span in self.spans}
        for edge, span, is_link in self._crossings(leaf_of):
            if id(span) in within:
                self.edges[edge].add(span)
                self.linked[edge] += is_link

    def services(self) -> dict[str, Count]:
        """What each service served; of one that serves nothing the traces that it started."""
        started = [span for span in self.spans if not span.parent_id and span.kind not in SERVING]
        served = [span for span in self.spans if span.kind in SERVING]
        return {**by(started, lambda span: span.service), **by(served, lambda span: span.service)}  # type: ignore[dict-item]

    def calls(self) -> dict[tuple[str, str], int]:
        """How often services call services; what only a link tells is no call."""
        found: dict[tuple[str, str], int] = defaultdict(int)
        for edge, one in self.edges.items():
            if isinstance(edge.callee, str) and one.count > self.linked[edge]:
                found[edge.caller, edge.callee] += one.count - self.linked[edge]
        return dict(found)

    def caller(self, span: Span) -> Span | None:
        """Who called a span: the client that shares its id, or its parent."""
        client = self._clients.get((span.trace_id, span.span_id)) if span.kind == Kind.SERVER else None
        return client or (self._owners.get((span.trace_id, span.parent_id)) if span.parent_id else None)

    def _crossings(self, leaf_of: Callable[[Span], Leaf | None]) -> Iterator[tuple[Edge, Span, bool]]:
        answered = set()
        for span in self.all:
            caller = self.caller(span)
            if caller and (caller.service != span.service or span.kind not in NO_ANSWER):
                answered.add(id(caller))
            if caller and caller.service != span.service:
                yield Edge(caller.service, span.service, span.kind == Kind.CONSUMER), span, False
            for link in span.links if span.kind == Kind.CONSUMER else ():
                end = self._owners.get((link.trace_id, link.span_id))
                if end and (link.trace_id, link.span_id) != (span.trace_id, span.parent_id):
                    answered.add(id(end))
                    if end.service != span.service:
                        yield Edge(end.service, span.service, True), span, True
        for span in self.all:
            leaf = leaf_of(span) if span.kind in CALLING and id(span) not in answered else None
            if leaf:
                yield Edge(span.service, leaf), span, False


def _has_children_of_id(span: Span) -> bool:
    """Of two with one id, a client and a server, the server has the children that name it."""
    return span.kind == Kind.SERVER
