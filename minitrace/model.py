"""OpenTelemetry's span, as minitrace holds it everywhere: after decode, after load, in a test.

Names and meanings are those of opentelemetry-proto (``trace.proto``); units are in the names.
Ids are `bytes` here and lowercase hex at every edge. A `Trace` is all spans with one trace id,
arranged as a tree that shows each span exactly once, whatever their parents claim.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Union

Value = Union[str, bool, int, float, bytes, None, list["Value"], dict[str, "Value"]]  # noqa: UP007 (recursive)
Attributes = dict[str, Value]

UNKNOWN_SERVICE = "unknown_service"  # what OpenTelemetry's SDKs call a service without a name
MAX_TIME_NS = 2**63 - 1  # SQLite's largest integer; the year 2262
AT_ONCE = 4096  # spans that are sorted, or freed, without a pause for other threads


class Kind(IntEnum):
    """What a span is to its neighbours."""

    UNSPECIFIED = 0
    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class StatusCode(IntEnum):
    """How the operation ended, as far as its code said."""

    UNSET = 0
    OK = 1
    ERROR = 2


@dataclass(slots=True)
class Status:
    """`code` is a `StatusCode`, or a number newer than we are."""

    code: int = StatusCode.UNSET
    message: str = ""


@dataclass(slots=True)
class Event:
    """Something that happened at one moment within a span."""

    time_ns: int
    name: str
    attributes: Attributes = field(default_factory=dict)
    dropped_attributes: int = 0


@dataclass(slots=True)
class Link:
    """A pointer from a span to another one, usually in another trace."""

    trace_id: bytes
    span_id: bytes
    trace_state: str = ""
    attributes: Attributes = field(default_factory=dict)
    dropped_attributes: int = 0
    flags: int = 0


@dataclass(slots=True)
class Entity:
    """A named subset of a resource's attributes that identifies one thing (OTLP's ``EntityRef``)."""

    type: str
    id_keys: list[str]
    description_keys: list[str] = field(default_factory=list)
    schema_url: str = ""


@dataclass(slots=True)
class Resource:
    """What produced spans: a service, on a host, in a process."""

    attributes: Attributes = field(default_factory=dict)
    dropped_attributes: int = 0
    schema_url: str = ""
    entities: list[Entity] = field(default_factory=list)

    @property
    def service(self) -> str:
        """Its ``service.name``, or "unknown_service"."""
        name = self.attributes.get("service.name")
        return UNKNOWN_SERVICE if name is None or name == "" else str(name)


@dataclass(slots=True)
class Scope:
    """The instrumentation that made spans: a library and its version."""

    name: str = ""
    version: str = ""
    attributes: Attributes = field(default_factory=dict)
    dropped_attributes: int = 0
    schema_url: str = ""


@dataclass(slots=True)
class Span:
    """One operation.

    `parent_id` is ``b""`` for a root. `kind` is a `Kind`, or a number newer than we are.
    Times are nanoseconds since 1970, 0 for unset, up to 2**64 - 1 as on the wire.
    """

    trace_id: bytes
    span_id: bytes
    name: str
    start_ns: int
    end_ns: int
    parent_id: bytes = b""
    kind: int = Kind.UNSPECIFIED
    status: Status = field(default_factory=Status)
    attributes: Attributes = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    trace_state: str = ""
    flags: int = 0
    dropped_attributes: int = 0
    dropped_events: int = 0
    dropped_links: int = 0
    resource: Resource = field(default_factory=Resource)
    scope: Scope = field(default_factory=Scope)

    @property
    def service(self) -> str:
        """The service that produced it."""
        return self.resource.service

    @property
    def duration_ns(self) -> int:
        """How long it took; 0 where it claims to end before it starts, or a time is not usable."""
        return self.end_ns - self.start_ns if 0 < self.start_ns <= self.end_ns < MAX_TIME_NS else 0

    @property
    def is_error(self) -> bool:
        """Whether its status is ERROR."""
        return self.status.code == StatusCode.ERROR


def usable_time(time_ns: int) -> bool:
    """Whether a time can be drawn: set, and before the year 2262."""
    return 0 < time_ns < MAX_TIME_NS


@dataclass(slots=True)
class Node:
    """A span in its trace's tree.

    `problems` says, for people, what is odd about it; an empty list for a normal span.
    """

    span: Span
    depth: int = 0
    children: list[Node] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def walk(self) -> Iterator[Node]:
        """This node and all below it, depth first. No recursion: chains of 20 000 occur."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))


class Trace:
    """All stored spans of one trace, as a forest: each span is in it exactly once.

    A span without a parent is a root; a span whose parent is not here is an orphan and stands at
    the top too. Where parents form a cycle, the cycle is cut at its earliest span. Of several spans
    with one id the earliest is the parent of that id's children.

    Siblings are in order of start, then as stored. `removed_count` spans were taken away to make room,
    which spares traces that are pinned.
    """

    def __init__(
        self, trace_id: bytes, spans: Sequence[Span], *, removed_count: int = 0, is_pinned: bool = False
    ) -> None:
        self.trace_id = trace_id
        self.spans = list(spans)
        self.removed_count = removed_count
        self.is_pinned = is_pinned
        self.tops, self._rows = _forest(self.spans)

    def rows(self) -> Iterator[Node]:
        """Every node, depth first, parents before their children."""
        return iter(self._rows)

    def let_go(self) -> None:
        """Forget all spans, some at a time: 50 000, freed at once, would hold Python's lock for 25 ms."""
        self.tops.clear()
        for node in self._rows:
            node.children = []  # each would keep all below it
        for items in (self._rows, self.spans):
            while items:
                del items[-AT_ONCE:]

    @property
    def root(self) -> Node | None:
        """The earliest span without a parent, or None while it has not been received."""
        return next((node for node in self.tops if not node.span.parent_id), None)

    @property
    def start_ns(self) -> int:
        """The earliest usable start; 0 if no span has one."""
        return min((s.start_ns for s in self.spans if usable_time(s.start_ns)), default=0)

    @property
    def end_ns(self) -> int:
        """The latest usable end, never before `start_ns`."""
        ends = (s.start_ns + s.duration_ns for s in self.spans if usable_time(s.start_ns))
        return max(ends, default=self.start_ns)

    @property
    def duration_ns(self) -> int:
        """From the earliest start to the latest end."""
        return self.end_ns - self.start_ns

    @property
    def error_count(self) -> int:
        """How many spans have status ERROR."""
        return sum(span.is_error for span in self.spans)

    @property
    def services(self) -> Counter[str]:
        """Spans per service, in order of first appearance."""
        return Counter(span.service for span in self.spans)


def _forest(spans: Sequence[Span]) -> tuple[list[Node], list[Node]]:
    """The nodes at the top; and all of them, depth first."""
    nodes = [
        Node(span, 0, [], [] if 0 < span.start_ns <= span.end_ns < MAX_TIME_NS else _time_problems(span))
        for span in spans
    ]
    first = _by_id(nodes)
    tops = _hang(nodes, first)
    for node in nodes:
        if len(node.children) > 1:
            _sort(node.children, _order)
    _sort(tops, _order_of_tops)
    rows = _depth_first(tops)
    if len(rows) < len(nodes):  # some hang on no top
        tops += _cut_cycles(nodes, rows, first)
        _sort(tops, _order_of_tops)
        rows = _depth_first(tops)
    return tops, rows


def _by_id(nodes: list[Node]) -> dict[bytes, Node]:
    """The earliest node of each span id."""
    first = {node.span.span_id: node for node in nodes}
    if len(first) == len(nodes):
        return first
    first.clear()
    for node in nodes:
        other = first.setdefault(node.span.span_id, node)
        if other is not node:
            earlier, later = (node, other) if _order(node) < _order(other) else (other, node)
            first[node.span.span_id] = earlier
            later.problems.append("another span of this trace has the same id")
    return first


def _hang(nodes: list[Node], first: dict[bytes, Node]) -> list[Node]:
    """Put each node among its parent's children; returns those that have no parent here."""
    tops: list[Node] = []
    for node in nodes:
        parent_id = node.span.parent_id
        parent = first.get(parent_id) if parent_id else None
        if parent is not None and parent is not node:
            parent.children.append(node)
            continue
        tops.append(node)
        if parent is node:
            node.problems.append("names itself as its parent")
        elif parent_id:
            node.problems.append(f"parent {parent_id.hex()} not received")
    return tops


def _depth_first(tops: list[Node]) -> list[Node]:
    """These nodes and all below them, each told how deep it is."""
    rows: list[Node] = []
    stack = tops[::-1]
    while stack:
        node = stack.pop()
        rows.append(node)
        if node.children:
            depth = node.depth + 1
            for child in node.children:
                child.depth = depth
            stack += node.children[::-1]
    return rows


def _cut_cycles(nodes: list[Node], rows: list[Node], first: dict[bytes, Node]) -> list[Node]:
    """New tops, one from each cycle of parents: its earliest span, taken from its parent's children."""
    reached = set(map(id, rows))
    cut: list[Node] = []
    for node in nodes:
        if id(node) in reached:  # this one may hang below a cycle
            continue
        top = _earliest_in_cycle(node, first)
        parent = first[top.span.parent_id]
        parent.children = [child for child in parent.children if child is not top]
        top.problems.append("its parents form a cycle, cut here")
        cut.append(top)
        reached.update(id(below) for below in top.walk())
    return cut


def _earliest_in_cycle(node: Node, first: dict[bytes, Node]) -> Node:
    seen: dict[int, Node] = {}
    while id(node) not in seen:
        seen[id(node)] = node
        node = first[node.span.parent_id]
    cycle = [node]
    while (step := first[cycle[-1].span.parent_id]) is not node:
        cycle.append(step)
    return min(cycle, key=_order)


def _sort(nodes: list[Node], order: Callable[[Node], Any]) -> None:
    """Sort, first parts, then all: 50 000 at once would hold Python's lock for 30 ms."""
    for start in range(0, len(nodes) - AT_ONCE, AT_ONCE):
        nodes[start : start + AT_ONCE] = sorted(nodes[start : start + AT_ONCE], key=order)
    nodes.sort(key=order)


def _order(node: Node) -> tuple[int, bytes]:
    return node.span.start_ns, node.span.span_id


def _order_of_tops(node: Node) -> tuple[bool, int, bytes]:
    return bool(node.span.parent_id), node.span.start_ns, node.span.span_id


def _time_problems(span: Span) -> list[str]:
    if span.start_ns == 0:
        return ["has no start time"]
    if span.start_ns >= MAX_TIME_NS or span.end_ns >= MAX_TIME_NS:
        return ["has a time after the year 2262"]
    if span.end_ns == 0:
        return ["has no end time"]
    if span.end_ns < span.start_ns:
        return [f"ends {span.start_ns - span.end_ns} ns before it starts"]
    return []
