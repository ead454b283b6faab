"""OpenTelemetry's span and log record, as minitrace holds them everywhere: after decode, after load, in a test.

Names and meanings are those of opentelemetry-proto (``trace.proto``, ``logs.proto``); units are in the names.
Ids are `bytes` here and lowercase hex at every edge. A `Trace` is all spans with one trace id,
arranged as a tree that shows each span exactly once, whatever their parents claim.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
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


class Severity(IntEnum):
    """How bad it is that a log record tells: each begins a range of four numbers, ``INFO2`` is 10."""

    UNSPECIFIED = 0
    TRACE = 1
    DEBUG = 5
    INFO = 9
    WARN = 13
    ERROR = 17
    FATAL = 21

    @classmethod
    def of(cls, number: int) -> Severity:
        """The range that a severity number lies in; UNSPECIFIED beyond them all."""
        return cls((number - 1) // 4 * 4 + 1) if 1 <= number <= 24 else cls.UNSPECIFIED


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


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One thing that a program said.

    `trace_id` and `span_id` are ``b""`` where it belongs to none. `time_ns` is when it happened: where the sender does
    not know, when it was observed, or else when it came here. `severity` is a number of `Severity`'s ranges, 0 for
    unset, or one newer than we are; `severity_text` is what the source calls it.
    """

    time_ns: int
    observed_ns: int = 0
    severity: int = 0
    severity_text: str = ""
    body: Value = None
    attributes: Attributes = field(default_factory=dict)
    dropped_attributes: int = 0
    flags: int = 0
    trace_id: bytes = b""
    span_id: bytes = b""
    event_name: str = ""
    resource: Resource = field(default_factory=Resource)
    scope: Scope = field(default_factory=Scope)

    @property
    def service(self) -> str:
        """The service that said it."""
        return self.resource.service

    @property
    def level(self) -> Severity:
        """How bad it is, by its number, or else by what its source calls it."""
        return Severity.of(self.severity) or named_severity(self.severity_text)


_SEVERITIES = {
    "trace": Severity.TRACE, "debug": Severity.DEBUG, "info": Severity.INFO, "information": Severity.INFO,
    "notice": Severity.INFO, "warn": Severity.WARN, "warning": Severity.WARN, "err": Severity.ERROR,
    "error": Severity.ERROR, "fatal": Severity.FATAL, "critical": Severity.FATAL, "crit": Severity.FATAL,
    "alert": Severity.FATAL, "emerg": Severity.FATAL, "emergency": Severity.FATAL, "panic": Severity.FATAL,
}  # fmt: skip


def named_severity(name: str) -> Severity:
    """The severity that goes by a name, in any case; UNSPECIFIED for a name that nobody uses."""
    return _SEVERITIES.get(name.lower(), Severity.UNSPECIFIED)


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
    the top too. Where parents form a cycle, the cycle is cut at its earliest span. A server that goes on
    with its client's id (B3) stands below it, and has the id's children; of other spans with one id the
    earliest has them.

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


def grouped(spans: Iterable[Span]) -> dict[bytes, list[Span]]:
    """The spans of each trace, in their order."""
    by_trace: dict[bytes, list[Span]] = {}
    for span in spans:
        by_trace.setdefault(span.trace_id, []).append(span)
    return by_trace


def calls(spans: Sequence[Span]) -> dict[bytes, tuple[int, int]]:
    """Span ids that a client and a server share, as Zipkin's clients with B3 headers do: which spans those are.

    The server's is then the child of the client's, and the children that the id names are the server's. Exactly two
    spans may have the id: with more there is no telling who called whom.
    """
    if len({span.span_id for span in spans}) == len(spans):
        return {}
    alike: dict[bytes, list[int]] = {}
    for at, span in enumerate(spans):
        alike.setdefault(span.span_id, []).append(at)
    found: dict[bytes, tuple[int, int]] = {}
    for span_id, places in alike.items():
        by_kind = {spans[at].kind: at for at in places}
        if len(places) == 2 and by_kind.keys() == {Kind.CLIENT, Kind.SERVER}:
            found[span_id] = by_kind[Kind.CLIENT], by_kind[Kind.SERVER]
    return found


@dataclass(slots=True)
class _Parents:
    """The node that has the children of each id, and the client's of each server that shares its id."""

    by_id: dict[bytes, Node]
    clients: dict[int, Node] = field(default_factory=dict)

    def of(self, node: Node) -> Node | None:
        """A node's parent, if it is here."""
        client = self.clients.get(id(node)) if self.clients else None
        return client or (self.by_id.get(node.span.parent_id) if node.span.parent_id else None)


def _forest(spans: Sequence[Span]) -> tuple[list[Node], list[Node]]:
    """The nodes at the top; and all of them, depth first."""
    nodes = [
        Node(span, 0, [], [] if 0 < span.start_ns <= span.end_ns < MAX_TIME_NS else _time_problems(span))
        for span in spans
    ]
    parents = _parents(nodes)
    tops = _hang(nodes, parents)
    for node in nodes:
        if len(node.children) > 1:
            _sort(node.children, _order)
    _sort(tops, _order_of_tops)
    rows = _depth_first(tops)
    if len(rows) < len(nodes):  # some hang on no top
        tops += _cut_cycles(nodes, rows, parents)
        _sort(tops, _order_of_tops)
        rows = _depth_first(tops)
    return tops, rows


def _parents(nodes: list[Node]) -> _Parents:
    """Who may have children: of several nodes with one id the server of a call, or the earliest."""
    parents = _Parents({node.span.span_id: node for node in nodes})
    if len(parents.by_id) == len(nodes):
        return parents
    parents.by_id.clear()
    shared = calls([node.span for node in nodes])
    for node in nodes:
        if node.span.span_id in shared:
            continue
        other = parents.by_id.setdefault(node.span.span_id, node)
        if other is not node:
            earlier, later = (node, other) if _order(node) < _order(other) else (other, node)
            parents.by_id[node.span.span_id] = earlier
            later.problems.append("another span of this trace has the same id")
    for span_id, (client, server) in shared.items():
        parents.by_id[span_id] = nodes[server]
        parents.clients[id(nodes[server])] = nodes[client]
    return parents


def _hang(nodes: list[Node], parents: _Parents) -> list[Node]:
    """Put each node among its parent's children; returns those that have no parent here."""
    tops: list[Node] = []
    for node in nodes:
        parent = parents.of(node)
        if parent is not None and parent is not node:
            parent.children.append(node)
            continue
        tops.append(node)
        if parent is node:
            node.problems.append("names itself as its parent")
        elif node.span.parent_id:
            node.problems.append(f"parent {node.span.parent_id.hex()} not received")
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


def _cut_cycles(nodes: list[Node], rows: list[Node], parents: _Parents) -> list[Node]:
    """New tops, one from each cycle of parents: its earliest span, taken from its parent's children."""
    reached = set(map(id, rows))
    cut: list[Node] = []
    for node in nodes:
        if id(node) in reached:  # this one may hang below a cycle
            continue
        top = _earliest_in_cycle(node, parents)
        if parent := parents.of(top):
            parent.children = [child for child in parent.children if child is not top]
        top.problems.append("its parents form a cycle, cut here")
        cut.append(top)
        reached.update(id(below) for below in top.walk())
    return cut


def _earliest_in_cycle(node: Node, parents: _Parents) -> Node:
    """The earliest node of the cycle that a node's parents lead into."""
    passed: dict[int, Node] = {}
    step: Node | None = node
    while step and id(step) not in passed:
        passed[id(step)] = step
        step = parents.of(step)
    way = list(passed)
    cycle = way[way.index(id(step)) :] if step else way
    return min((passed[one] for one in cycle), key=_order)


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
