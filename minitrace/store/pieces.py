"""The spans that meet an exact condition, counted in SQL, one piece of the file after the other.

```
segment 1               segment 2               segment 3, which is being filled
├─────┼─────┼─────┼──┤  ├─────┼─────┼─────┼──┤  ├─────┼─────┼──
  all of these are final                           these, too   this is not
```

A span that was written does not change. What was counted in pieces that get no more spans is kept (`Kept`), so that
the next time only the newest few thousand spans are looked at.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from minitrace.errors import QueryTimeout
from minitrace.model import MAX_TIME_NS, Kind, StatusCode
from minitrace.store import tokens
from minitrace.store.conditions import Condition
from minitrace.store.database import Reader
from minitrace.store.grouping import Grouping, grouping
from minitrace.store.resolve import TRACES, Conditions, is_by_index
from minitrace.store.segments import Segment, Segments
from minitrace.traceql.ast import Attribute, Intrinsic
from minitrace.traceql.values import identity

SPANS_PER_PIECE = 1 << 15  # 15 ms, if all of them are counted
MOST_KEPT = 200  # sums
MOST_KEPT_BYTES = 32 << 20
MOST_BOUNDS = 4_000  # of pieces
BYTES_PER_COUNT = 200

Node = Attribute | Intrinsic
TimeSpan = tuple[int | None, int | None]  # in ns; without a beginning, or an end, for None
SERVICE, NAME, STATUS, KIND = (
    Attribute("resource", "service.name"), Intrinsic("name"), Intrinsic("status"), Intrinsic("kind"),
)  # fmt: skip
ALWAYS: tuple[Node, ...] = (SERVICE, NAME, STATUS, KIND)
OF_ROOT = (Intrinsic("rootName"), Intrinsic("rootServiceName"))
# Four columns as one number, which groups in half the time. An unknown status or kind counts as unset.
_STATUS_BITS, _KIND_BITS = 2, 3
_ALWAYS = f"""
    (
        ((spans.name << {tokens.COUNT_BITS} | spans.resource) << {_KIND_BITS}
            | iif(kind BETWEEN 1 AND {max(Kind)}, kind, 0)) << {_STATUS_BITS}
        | iif(status BETWEEN 1 AND {max(StatusCode)}, status, 0)
    )
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """A range of the ids of spans, all of one segment. `is_final` if no spans will come, or go.

    `is_inside` if all traces that have some of them count, of those that the spans of `Pieces` are narrowed to.
    """

    segment: Segment = field(compare=False)
    first: int
    last: int
    is_final: bool
    is_inside: bool = True


@dataclass(slots=True)
class Sum:
    """What was found in some pieces: traces, as their ids with commas between them; or counts, by field and value.

    A value stands for itself as its `identity`.
    """

    traces: list[str] = field(default_factory=list)
    counts: dict[Node, Counter[Hashable]] = field(default_factory=dict)

    def add(self, other: Sum) -> None:
        """Add what was found elsewhere. A trace may then be there twice."""
        self.traces += other.traces
        for node, counts in other.counts.items():
            self.counts.setdefault(node, Counter()).update(counts)

    def compact(self) -> None:
        """Name each trace once, in order: SQLite reads that in two thirds of the time."""
        if len(self.traces) > 1:
            self.traces = [",".join(map(str, sorted({int(id_) for text in self.traces for id_ in text.split(",")})))]

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return sum(map(len, self.traces)) + BYTES_PER_COUNT * sum(map(len, self.counts.values()))


@dataclass(slots=True)
class _Running:
    """A sum, and the final pieces that are in it."""

    pieces: set[Piece] = field(default_factory=set)
    sum: Sum = field(default_factory=Sum)


class Kept:
    """Sums over final pieces by what was asked; those that were not asked for the longest leave first."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[Hashable, _Running] = OrderedDict()
        self.bounds: dict[Hashable, tuple[int, int]] = {}  # of pieces: the earliest end of a trace, the latest start

    def running(self, key: Hashable, pieces: Iterable[Piece]) -> _Running:
        """The sum of a question, which is begun anew if some of its pieces are no more."""
        kept = self._by_key.get(key)
        if kept is None or not kept.pieces <= set(pieces):
            self._by_key[key] = kept = _Running()
        self._by_key.move_to_end(key)
        return kept

    def make_room(self) -> None:
        """Let sums go until the others are few, and small, enough."""
        size_bytes = sum(one.sum.size_bytes for one in self._by_key.values())
        while self._by_key and (len(self._by_key) > MOST_KEPT or size_bytes > MOST_KEPT_BYTES):
            _, gone = self._by_key.popitem(last=False)
            size_bytes -= gone.sum.size_bytes
        while len(self.bounds) > MOST_BOUNDS:
            self.bounds.pop(next(iter(self.bounds)))


class Pieces:
    """The spans of the file that meet an exact condition, of all traces or some; `question` stands for both."""

    def __init__(
        self, reader: Reader, segments: Segments, condition: Condition, question: Hashable, kept: Kept
    ) -> None:
        self.condition = condition
        self.all = [piece for segment in reversed(segments.all) for piece in split(segment, segments.all[-1])]
        self.is_complete = True  # until the deadline comes before everything was counted
        self._reader = reader
        self._segments = segments
        self._conditions = Conditions(reader, segments, condition)
        self._question = question
        self._kept = kept
        self._within = ("1", list[Any]())  # what holds of the traces that count, in SQL, and what is bound in it
        self._is_of_few = False

    @property
    def goes_on(self) -> bool:
        """Whether the next one to count these spans begins where the deadline came: what was counted is kept."""
        return any(piece.is_final for piece in self.all)

    def narrow_to_few(self, where: str, bound: list[Any]) -> None:
        """Count only spans of these few traces, given as a condition on rows of TRACES."""
        self._within, self._is_of_few = (where, bound), True
        self.all = [
            Piece(segment, segment.first_span, segment.last_span, False, False)
            for segment in reversed(self._segments.all)
        ]

    async def narrow(self, where: str, bound: list[Any], oldest_ns: int, span: TimeSpan | None) -> None:
        """Count only spans of these traces, given as a condition on rows of TRACES; none starts before `oldest_ns`.

        If they are all that overlap a span of time, that is given, too: then most pieces are wholly in it.
        """
        self._within = where, bound
        pieces, self.all = self.all, []
        for piece in pieces:
            if span is not None and piece.is_final and await self._is_inside(piece, span):
                self.all.append(piece)
            elif piece.segment.newest_start_ns >= oldest_ns:
                self.all.append(replace(piece, is_final=False, is_inside=False))
        # Sums are kept for as long as the oldest of these pieces is inside: a time that ends now moves on
        self._question = self._question, min((piece.first for piece in self.all if piece.is_inside), default=0)

    async def _is_inside(self, piece: Piece, span: TimeSpan) -> bool:
        """Whether all traces of a piece overlap a time, and will: they grow, as long as no segment leaves."""
        oldest = self._segments.all[0]
        key = piece, oldest.id, oldest.is_whole
        bounds = self._kept.bounds.get(key)
        if bounds is None:
            sql = f"""
                SELECT min(iif(has_time, end_ns, 0)), max(iif(has_time, start_ns, {MAX_TIME_NS}))
                FROM traces
                WHERE id IN (SELECT trace FROM spans WHERE id BETWEEN ? AND ?)
            """
            ((earliest_end_ns, latest_start_ns),) = await self._reader.rows(sql, (piece.first, piece.last))
            bounds = self._kept.bounds[key] = earliest_end_ns or 0, latest_start_ns or MAX_TIME_NS
        return (span[0] is None or bounds[0] >= span[0]) and (span[1] is None or bounds[1] <= span[1])

    async def traces(self) -> str:
        """The traces of all those spans, as a JSON array; some of them more than once. Raises Inexpressible."""
        found = await self._total("traces", self._traces)
        return f"[{','.join(found.traces)}]"

    async def counts(self) -> dict[Node, Counter[Hashable]]:
        """How many of those spans have each value of the fields that all have. Raises Inexpressible."""
        return (await self._total("always", self._always)).counts

    async def count_ahead(self) -> None:
        """Count final pieces as `counts` will want them."""
        self.all = [piece for piece in self.all if piece.is_final]
        await self.counts()

    async def counts_by(self, node: Node) -> Counter[Hashable]:
        """How many of those spans have each value of a field. Raises Inexpressible."""

        async def count(piece: Piece) -> Sum:
            group = await grouping(self._reader, self._segments, piece.segment.id, node)
            return Sum(counts={node: await self._grouped(piece, group)})

        is_kept = node not in OF_ROOT  # a root may arrive later
        return (await self._total(node, count, is_kept=is_kept)).counts.get(node, Counter())

    async def newest(self, most: int) -> list[int]:
        """The ids of the newest of those spans. Raises Inexpressible."""
        found: list[int] = []
        for piece in self.all:
            limit = f"ORDER BY spans.id DESC LIMIT {most - len(found)}"
            found += [row[0] for row in await self._rows(piece, "spans.id", limit)]
            if len(found) == most:
                break
        return found

    async def _total(self, what: Hashable, count: Callable[[Piece], Awaitable[Sum]], *, is_kept: bool = True) -> Sum:
        """The sum over all pieces, of which only those are counted that were not before, or are not final."""
        running = self._kept.running((self._question, what), self.all)
        total = Sum()
        for piece in self.all:
            if piece in running.pieces:
                continue
            try:
                self._reader.check()
                found = await count(piece)
            except QueryTimeout:
                self.is_complete = False
                break
            if not (piece.is_final and is_kept):
                total.add(found)
            elif piece not in running.pieces:  # nobody else has counted it meanwhile
                running.pieces.add(piece)
                running.sum.add(found)
        running.sum.compact()
        total.add(running.sum)
        self._kept.make_room()
        return total

    async def _traces(self, piece: Piece) -> Sum:
        rows = await self._rows(piece, "group_concat(DISTINCT spans.trace)")
        return Sum([text for (text,) in rows if text])

    async def _always(self, piece: Piece) -> Sum:
        rows = await self._rows(piece, f"{_ALWAYS}, count(*)", "GROUP BY 1")
        numbers: dict[Node, Counter[int]] = {node: Counter() for node in ALWAYS}
        for key, count in rows:
            key, status = key >> _STATUS_BITS, key & (1 << _STATUS_BITS) - 1
            key, kind = key >> _KIND_BITS, key & (1 << _KIND_BITS) - 1
            name, resource = key >> tokens.COUNT_BITS, key & (1 << tokens.COUNT_BITS) - 1
            for node, number in ((SERVICE, resource), (NAME, name), (STATUS, status), (KIND, kind)):
                numbers[node][number] += count
        found = Sum()
        for node in ALWAYS:
            group = await grouping(self._reader, self._segments, piece.segment.id, node)
            found.counts[node] = await _by_value(group, numbers[node])
        return found

    async def _grouped(self, piece: Piece, group: Grouping) -> Counter[Hashable]:
        return await _by_value(group, dict(await self._rows(piece, f"{group.sql}, count(*)", "GROUP BY 1")))

    async def _rows(self, piece: Piece, columns: str, rest: str = "") -> list[Any]:
        """What SQL tells of those spans of a piece."""
        query = await self._conditions.index_query(piece.segment)
        if query is None:
            return []
        if self._is_of_few:
            source, where, bound = self._of_few(piece)
        elif query:
            source, where, bound = self._by_index(piece, query)
        else:
            source, where, bound = "spans", "spans.id BETWEEN ? AND ?", [piece.first, piece.last]
        if "postings" not in source or not is_by_index(self.condition, await self._conditions.resolve(piece.segment)):
            text, more = await self._conditions.where(piece.segment)
            where, bound = f"{where} AND {text}", bound + more
        of_traces, more = self._within
        if not piece.is_inside and not self._is_of_few:
            of_trace = f"EXISTS (SELECT 1 FROM {TRACES} WHERE traces.id = spans.trace AND {of_traces})"
            where, bound = f"{where} AND {of_trace}", bound + more
        return await self._reader.rows(f"SELECT {columns} FROM {source} WHERE {where} {rest}", bound)

    def _by_index(self, piece: Piece, query: str) -> tuple[str, str, list[Any]]:
        """The spans that the index has for a query: a source, a condition, and what is bound."""
        index = f"postings_{piece.segment.id}"
        where = f"{index}.rowid BETWEEN ? AND ? AND {index} MATCH ?"
        return f"{index} CROSS JOIN spans ON spans.id = {index}.rowid", where, [piece.first, piece.last, query]

    def _of_few(self, piece: Piece) -> tuple[str, str, list[Any]]:
        """The spans of the traces that count."""
        where, bound = self._within
        source = f"(SELECT traces.id FROM {TRACES} WHERE {where}) AS own CROSS JOIN spans ON spans.trace = own.id"
        return source, "spans.id BETWEEN ? AND ?", [*bound, piece.first, piece.last]


def split(segment: Segment, newest: Segment) -> Iterator[Piece]:
    """The pieces of a segment, the newest first."""
    for first in reversed(range(segment.first_span, segment.last_span + 1, SPANS_PER_PIECE)):
        full = first + SPANS_PER_PIECE - 1
        last = min(full, segment.last_span)
        yield Piece(segment, first, last, segment.is_whole and (segment is not newest or last == full))


async def _by_value(group: Grouping, counts: dict[Any, int]) -> Counter[Hashable]:
    """Counts by what an expression gave, by what that stands for; what is nil is left out."""
    meanings = await group.meanings(counts)
    found: Counter[Hashable] = Counter()
    for key, count in counts.items():
        if meanings[key] is not None:
            found[identity(meanings[key])] += count
    return found
