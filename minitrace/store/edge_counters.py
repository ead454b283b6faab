"""How often services called each other since this process began, and how long it took: Prometheus' service graph.

Crossings are those of the service map, but of counters nothing can be taken off. So a client becomes a leaf when nobody
has answered it for `ANSWER_S`; if somebody does later, it is both. A span whose parent is not stored is a call when the
parent comes within `PARENT_S`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, TypeVar

from minitrace.store.crossings import Crossing, Crossings, Key, Link, Way, of_late
from minitrace.store.database import Reader
from minitrace.store.leaves import Leaf, LeafKind
from minitrace.store.pieces import Piece
from minitrace.store.timings import MOST_LABEL_BYTES, Exemplar, Timings, bounds_ns, label, size_bytes

ANSWER_S = 10.0  # as long as Tempo waits
PARENT_S = 600.0  # a call may end, and arrive, long before its caller does
MOST_LEAVES = 100_000  # that wait for an answer
MOST_WAITING = 10_000  # spans for their parents: all of them are asked about again and again
MOST_EDGES = 2_000
OTHERS = "other services"
EDGE_NS = bounds_ns(100_000_000, 8)
_MESSAGE = "messaging_system"
_CONNECTIONS = {LeafKind.DATABASE: "database", LeafKind.QUEUE: _MESSAGE, LeafKind.EXTERNAL: "virtual_node"}
_CALLS = frozenset({Way.CALL, Way.MESSAGE, Way.LINK})
_Waiting = TypeVar("_Waiting", int, Link)


class Edge(NamedTuple):
    """Who called whom; the connection is "" between services, as Tempo names it."""

    client: str
    server: str
    connection: str


@dataclass(slots=True)
class EdgeTimings:
    """The calls of an edge. A call has no client's duration where the span above it is none of a client."""

    failed: int = 0
    server: Timings = field(default_factory=lambda: Timings(EDGE_NS))
    client: Timings = field(default_factory=lambda: Timings(EDGE_NS))


class EdgeCounters:
    """The counters, by edge, and what is not settled yet. `others` are calls of edges that are not told apart."""

    def __init__(self) -> None:
        self.edges: dict[Edge, EdgeTimings] = {}
        self.others = 0
        self._label_bytes = 0
        self._leaves: dict[int, tuple[float, Crossing]] = {}  # by their rows, with when they were seen
        self._answered: set[int] = set()  # clients in rows that were not looked at yet
        self._waiting: dict[int, float] = {}
        self._links: dict[Link, float] = {}

    async def find_late(self, reader: Reader) -> Crossings:
        """Those of spans whose parents came after them, for `settle`. Raises QueryTimeout."""
        return await of_late(reader, list(self._waiting), list(self._links))

    def add(self, piece: Piece, found: Crossings, services: Mapping[int, str], now_ns: int) -> list[Exemplar]:
        """Count the calls of a piece; its leaves may yet be answered. Returns the new exemplars."""
        now = time.monotonic()
        leaves = (one for one in found.all if one.key.way is Way.LEAF and one.span not in self._answered)
        self._leaves.update((one.span, (now, one)) for one in leaves)
        self._answer(found.answered, piece.last)
        self._waiting = _newest({**self._waiting, **dict.fromkeys(found.waiting, now)}, 0.0)
        self._links = _newest({**self._links, **dict.fromkeys(found.links, now)}, 0.0)
        too_many = list(islice(self._leaves, max(0, len(self._leaves) - MOST_LEAVES)))
        return self._count([*_calls(found), *self._take(too_many)], services, now_ns)

    def settle(self, late: Crossings, services: Mapping[int, str], last: int, now_ns: int) -> list[Exemplar]:
        """Count what waited and has come, and leaves that nobody answers, once all rows up to the last are added."""
        now = time.monotonic()
        self._answer(late.answered, last)
        self._waiting = _newest({span: self._waiting[span] for span in late.waiting}, now - PARENT_S)
        self._links = _newest({link: self._links[link] for link in late.links}, now - PARENT_S)
        settled = [row for row, (seen, _) in self._leaves.items() if seen <= now - ANSWER_S]
        return self._count([*_calls(late), *self._take(settled)], services, now_ns)

    def forget(self, last_span: int) -> None:
        """Forget the exemplars among the rows up to one, which may have left. No counter changes."""
        for timings in self.edges.values():
            timings.server.forget(last_span)
            timings.client.forget(last_span)

    def _answer(self, clients: Iterable[int], last: int) -> None:
        """These are no leaves, and will be none when their rows are looked at."""
        for client in clients:
            self._leaves.pop(client, None)
        self._answered = {client for client in (*self._answered, *clients) if client > last}

    def _take(self, rows: list[int]) -> list[Crossing]:
        return [self._leaves.pop(row)[1] for row in rows]

    def _count(self, all_: Iterable[Crossing], services: Mapping[int, str], now_ns: int) -> list[Exemplar]:
        fresh = []
        for key, span, _, duration_ns, is_error, client_ns in all_:
            timings = self._timings(_edge(key, services))
            timings.failed += is_error
            by_server = Exemplar(span, duration_ns, now_ns)
            if timings.server.add_one(by_server):
                fresh.append(by_server)
            if key.way is Way.LEAF:  # all that is known of its server's time
                client_ns = duration_ns
            if client_ns is not None and timings.client.add_one(by_client := Exemplar(span, client_ns, now_ns)):
                fresh.append(by_client)
        return fresh

    def _timings(self, edge: Edge) -> EdgeTimings:
        """Those of an edge of its own, or of one for others where there are too many."""
        if edge not in self.edges and (len(self.edges) >= MOST_EDGES or self._label_bytes >= MOST_LABEL_BYTES):
            self.others += 1
            edge = Edge(OTHERS, OTHERS, edge.connection)
        if edge not in self.edges:
            self.edges[edge] = EdgeTimings()
            self._label_bytes += size_bytes(edge)
        return self.edges[edge]


def _calls(found: Crossings) -> Iterable[Crossing]:
    return (one for one in found.all if one.key.way in _CALLS)


def _edge(key: Key, services: Mapping[int, str]) -> Edge:
    client = label(services[key.caller])
    if isinstance(key.callee, Leaf):
        return Edge(client, label(key.callee.name), _CONNECTIONS[key.callee.kind])
    return Edge(client, label(services[key.callee]), "" if key.way is Way.CALL else _MESSAGE)


def _newest(waiting: dict[_Waiting, float], since: float) -> dict[_Waiting, float]:
    """What has waited since a time, and of that no more than `MOST_WAITING`."""
    kept = {one: seen for one, seen in waiting.items() if seen >= since}
    return dict(islice(kept.items(), max(0, len(kept) - MOST_WAITING), None))
