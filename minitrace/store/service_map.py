"""Services and what they call, with rate, errors and durations: what `/map` draws.

Crossings are summed up piece by piece, from the newest to the oldest, and the sums are kept: a million spans take some
seconds the first time, and milliseconds from then on. Of pieces in which a time begins or ends the crossings themselves
are kept, too. Counts are exact, quantiles within `histogram.ERROR`.

Calls and messages agree with `dependencies`, which counts the same spans; it has no messages that only a link tells.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from minitrace.model import MAX_TIME_NS
from minitrace.store import crossings
from minitrace.store.crossing_sums import OTHER_SERVICES, OTHERS, Counted, Kept, Sums, add, holders
from minitrace.store.crossings import Crossing, Way
from minitrace.store.database import IN_THREAD, Reader, work
from minitrace.store.dependencies import altered
from minitrace.store.figures import Figures
from minitrace.store.leaves import Condition, Leaf
from minitrace.store.pieces import Piece, split
from minitrace.store.segments import Segments

SPANS_PER_S = 10_000  # a busy machine's; ten times as many otherwise
MARGIN_NS = 3600 * 10**9  # who answers a call starts at most so long before or after it
MOST_WAITING = 10_000  # spans of a piece that are asked about again; of more, the piece is counted again
SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One of the spans that were counted."""

    trace_id: bytes
    span_id: bytes
    duration_ns: int
    is_error: bool


@dataclass(frozen=True, slots=True, order=True)
class NodeId:
    """A service, or a leaf of a `LeafKind`, by its name: `OTHERS` for all that are not told apart."""

    kind: str
    name: str


@dataclass(slots=True)
class MapNode:
    """A service with what it served, or else with what it `started`: traces. A leaf with all calls of it."""

    id: NodeId
    figures: Figures = field(default_factory=Figures)
    started: bool = False
    exemplar: Exemplar | None = None


@dataclass(slots=True)
class MapEdge:
    """Calls, or messages, from a service to another, or to a leaf: the figures are those of the spans called.

    `linked` of the messages are known by a link. A leaf was known by one of the `conditions`.
    """

    caller: NodeId
    callee: NodeId
    is_message: bool
    figures: Figures = field(default_factory=Figures)
    linked: int = 0
    conditions: set[tuple[Condition, ...]] = field(default_factory=set)
    exemplar: Exemplar | None = None


@dataclass(slots=True)
class ServiceMap:
    """Nodes and edges, the busiest first. `counted` of `total` spans were looked at; the others arrived before.

    `is_full` if the others are more than a map can have: asking again does not help.
    """

    nodes: list[MapNode]
    edges: list[MapEdge]
    counted: int
    total: int
    is_full: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether all were looked at."""
        return self.counted == self.total


async def service_map(
    reader: Reader, kept: Kept, start_ns: int = 0, end_ns: int = MAX_TIME_NS, patience_s: float = float("inf")
) -> ServiceMap:
    """The map of the spans that start in a time; of the newest, if counting takes longer than the patience.

    Raises:
        QueryTimeout: what was counted until then is kept: the next to ask gets further.
    """
    segments = await Segments.read(reader)
    # What retention is taking away is gone already: it would be counted again and again
    whole = [segment for segment in segments.all if segment.is_whole]
    pieces = [piece for segment in reversed(whole) for piece in split(segment, whole[-1])]
    kept.forget_others(pieces)
    reader.deadline += sum(_size(piece) for piece in pieces if piece not in kept.counted) / SPANS_PER_S
    counter = _Counter(reader, kept, (start_ns, end_ns), pieces[0].last if pieces else 0)
    until = time.monotonic() + patience_s
    counted, has_counted, is_full = 0, False, False
    for piece in pieces:
        if await counter.is_near(piece):
            if piece not in kept.counted:
                is_full = not kept.make_room(counter.found)
                if is_full or (has_counted and time.monotonic() > until):
                    break
                has_counted = True
            await counter.count(piece)
        counted += _size(piece)
    await counter.settle()
    sums = await work(counter.sums, size=IN_THREAD)
    names = dict(await reader.rows("SELECT id, name FROM services"))
    nodes, edges = await work(_named, sums, names, size=IN_THREAD)
    await _add_exemplars(reader, [*nodes, *edges])
    return ServiceMap(nodes, edges, counted, sum(map(_size, pieces)), is_full)


def _size(piece: Piece) -> int:
    return piece.last - piece.first + 1


class _Counter:
    """Counts the pieces of a time that are not counted yet."""

    def __init__(self, reader: Reader, kept: Kept, time_ns: tuple[int, int], last: int) -> None:
        self._reader = reader
        self._kept = kept
        self._time = time_ns
        self._last = last  # row that is stored
        self.found: dict[Piece, Counted] = {}

    async def is_near(self, piece: Piece) -> bool:
        """Whether a piece has something to do with the time."""
        first_ns, last_ns = await self._extent(piece)
        return self._time[0] - MARGIN_NS <= last_ns and first_ns <= self._time[1] + MARGIN_NS

    async def count(self, piece: Piece) -> None:
        """Count a piece, unless it was."""
        counted = self._kept.counted.get(piece)
        if counted is None:
            self._reader.check()
            found = await crossings.of_piece(self._reader, piece)
            counted = await work(Counted.of, piece, found, self._kept.answered(piece), self._last, size=IN_THREAD)
            await self._answer(counted.relations.answered)
            self._kept.forget_altered(await altered(self._reader, piece))
        if len(counted.waiting) + len(counted.links) <= MOST_WAITING:
            self._kept.keep(piece, counted)  # the newest, too, until it grows
        self.found[piece] = counted

    async def settle(self) -> None:
        """Add what waited and has come."""
        waiting = [span for counted in self.found.values() for span in counted.waiting]
        links = [link for counted in self.found.values() for link in counted.links]
        late = await crossings.of_late(self._reader, waiting, links)
        await self._answer(late.answered)  # first: what is noted below is not asked about again
        by_span: dict[int, list[Crossing]] = {}
        for one in late.all:
            by_span.setdefault(one.span, []).append(one)
        for piece, spans in holders(self.found, by_span).items():
            self.found[piece].add(one for span in spans for one in by_span[span])
        still_waiting, still_open = set(late.waiting), set(late.links)
        for counted in self.found.values():
            counted.waiting = [span for span in counted.waiting if span in still_waiting]
            counted.links = [link for link in counted.links if link in still_open]
        for piece, counted in self.found.items() if late.answered or late.callers else ():
            counted.relations.add(
                [client for client, by in late.answered.items() if piece.first <= by <= piece.last],
                [caller for span, caller in late.callers if piece.first <= span <= piece.last],
            )

    def sums(self) -> Sums:
        """All in the time. Pieces that lie wholly in it are summed up once, as long as they are the same."""
        start_ns, end_ns = self._time
        extents = self._kept.extents
        whole = [
            piece
            for piece in self.found
            if piece.is_final and start_ns <= extents[piece][0] and extents[piece][1] <= end_ns
        ]
        key = [(piece, self.found[piece].version) for piece in whole]
        if self._kept.total[0] != key:
            total: Sums = {}
            for piece in whole:
                add(total, self.found[piece].sums)
            self._kept.total = key, total
        sums: Sums = {}
        add(sums, self._kept.total[1])
        for piece in self.found.keys() - set(whole):
            add(sums, self.found[piece].between(start_ns, end_ns))
        return sums

    async def _answer(self, clients: Iterable[int]) -> None:
        """Take off what are leaves no longer."""
        wanted = holders({**self._kept.counted, **self.found}, clients)
        sql = "SELECT id, start_ns FROM spans WHERE id IN (SELECT value FROM json_each(?))"
        for piece, spans in wanted.items():
            counted = self.found.get(piece) or self._kept.counted[piece]
            rows = await self._reader.rows(sql, [str(spans)])
            counted.answer(rows)  # in no thread, which would go on when the request is cancelled and the lock is free

    async def _extent(self, piece: Piece) -> tuple[int, int]:
        if piece not in self._kept.extents:
            sql = "SELECT min(start_ns), max(start_ns) FROM spans WHERE id BETWEEN ? AND ?"
            ((first_ns, last_ns),) = await self._reader.rows(sql, (piece.first, piece.last))
            self._kept.extents[piece] = first_ns or 0, last_ns or 0
        return self._kept.extents[piece]


def _named(sums: Sums, names: Mapping[int, str]) -> tuple[list[MapNode], list[MapEdge]]:
    """Sums as nodes and edges, with the names of services by their numbers."""
    nodes: dict[NodeId, MapNode] = {}
    edges: dict[tuple[NodeId, NodeId, bool], MapEdge] = {}
    started: Sums = {}
    for key, figures in sums.items():
        callee = _id(key.callee, names)
        node = nodes.setdefault(callee, MapNode(callee))
        if key.way is Way.STARTED:
            started[key] = figures
        elif key.way is Way.SERVED:
            node.figures.add(figures)
        elif figures.count:
            caller = _id(key.caller, names)
            nodes.setdefault(caller, MapNode(caller))
            is_message = key.way in (Way.MESSAGE, Way.LINK)
            edge = edges.setdefault((caller, callee, is_message), MapEdge(caller, callee, is_message))
            edge.figures.add(figures)
            edge.linked += figures.count if key.way is Way.LINK else 0
            if isinstance(key.callee, Leaf):
                edge.conditions.add(key.callee.conditions)
                node.figures.add(figures)
    for key, figures in started.items():
        node = nodes[_id(key.callee, names)]
        if node.started or not node.figures.count:
            node.figures.add(figures)
            node.started = True
    has_edge = {end for edge in edges.values() for end in (edge.caller, edge.callee)}
    seen = [node for node in nodes.values() if node.figures.count or node.id in has_edge]
    return (
        sorted(seen, key=lambda node: (-node.figures.count, node.id)),
        sorted(edges.values(), key=lambda edge: (-edge.figures.count, edge.caller, edge.callee, edge.is_message)),
    )


def _id(one: int | Leaf, names: Mapping[int, str]) -> NodeId:
    if isinstance(one, Leaf):
        return NodeId(one.kind, one.name)
    return NodeId(SERVICE, OTHERS if one == OTHER_SERVICES else names[one])


async def _add_exemplars(reader: Reader, all_: list[MapNode | MapEdge]) -> None:
    """Give each the worst of its spans."""
    wanted = {one.figures.worst[2] for one in all_ if one.figures.worst}
    sql = """
        SELECT spans.id, trace_id, span_id, duration_ns, status = 2
        FROM spans JOIN traces ON traces.id = spans.trace
        WHERE spans.id IN (SELECT value FROM json_each(?))
    """
    rows = await reader.rows(sql, [str(list(wanted))])
    found = {row[0]: Exemplar(row[1], row[2], row[3], bool(row[4])) for row in rows}
    for one in all_:
        if one.figures.worst:
            one.exemplar = found.get(one.figures.worst[2])
