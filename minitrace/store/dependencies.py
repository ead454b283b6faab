"""Who calls whom: spans right below a span of another service, counted over all traces.

```
shop    POST /checkout
pay     └── charge          a call from shop to pay
pay         └── db.query    within pay: none
```

Each span finds its parent by the index of (trace, span_id), 1.4 µs a span, one piece of the file after the other. What
was counted in pieces that get no more spans is kept; of a span there whose parent was not stored yet, the id is, to ask
again. (A second span that claims a parent's id, and comes when its children were counted, makes no difference.) What
was called by spans that retention took away is counted again.

A client and a server may share an id, as Zipkin's clients do: that is a call, too. Where the second of them comes late,
pieces that were counted without it are counted again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from minitrace.model import MAX_TIME_NS, Kind
from minitrace.store.database import Reader
from minitrace.store.pieces import Piece, split
from minitrace.store.segments import Segments

SPANS_PER_S = 200_000  # a busy machine's; four times as many otherwise
MOST_WAITING = 10_000  # spans of a piece that are asked about again; of more, the piece is counted again
MAX_ROW = 2**63 - 1

_EXTENT = "SELECT count(parent_id), min(start_ns), max(start_ns) FROM spans AS child WHERE {these}"
# One row for each span below another; two for one whose parent's id two spans claim
_COUNT = """
    SELECT parent.service, child.service, count(*), min(parent.id)
    FROM spans AS child LEFT JOIN spans AS parent
        ON parent.trace = child.trace AND parent.span_id = child.parent_id
    WHERE {these} AND child.parent_id IS NOT NULL
    GROUP BY 1, 2
"""
HAS_SHARED = f"""
    SELECT EXISTS (
        SELECT 1
        FROM spans AS child CROSS JOIN spans AS other
            ON other.trace = child.trace AND other.span_id = child.span_id AND other.id <> child.id
        WHERE {{these}} AND child.kind = {Kind.SERVER.value}
    )
"""
# The client of this id, and only then the parent: the server of a call, or the earliest with that id. So it is in
# `model.calls` and `model.Trace`; it takes twice the time
CALLER = f"""
    coalesce(
        (
            SELECT client.{{column}} FROM spans AS client
            WHERE client.trace = child.trace AND client.span_id = child.span_id
                AND child.kind = {Kind.SERVER.value} AND client.kind = {Kind.CLIENT.value}
        ),
        (
            SELECT parent.{{column}} FROM spans AS parent
            WHERE parent.trace = child.trace AND parent.span_id = child.parent_id
            ORDER BY
                parent.kind = {Kind.SERVER.value} AND EXISTS (
                    SELECT 1 FROM spans AS client
                    WHERE client.trace = parent.trace AND client.span_id = parent.span_id
                        AND client.kind = {Kind.CLIENT.value}
                ) DESC,
                parent.start_ns, parent.id
            LIMIT 1
        )
    )
"""
# Rows before a piece that one in it, the last of several, gives another caller: a client or a server with an id that is
# stored already
_ALTERED = f"""
    SELECT kin.id, max(half.id)
    FROM spans AS half
    CROSS JOIN spans AS other
        ON other.trace = half.trace AND other.span_id = half.span_id AND other.id < ?
    CROSS JOIN spans AS kin
        ON kin.trace = half.trace AND kin.id < ? AND half.span_id IN (kin.span_id, kin.parent_id)
    WHERE half.id BETWEEN ? AND ? AND half.kind IN ({Kind.SERVER.value}, {Kind.CLIENT.value})
    GROUP BY 1
"""
_CALLER = CALLER.format(column="id")
_COUNT_EXACTLY = f"""
    SELECT parent.service, child.service, count(*), min(parent.id)
    FROM spans AS child LEFT JOIN spans AS parent ON parent.id = {_CALLER}
    WHERE {{these}}
    GROUP BY 1, 2
"""
_WAITING = f"SELECT id FROM spans AS child WHERE {{these}} AND child.parent_id IS NOT NULL AND {_CALLER} IS NULL"
_OF_PIECE = "child.id BETWEEN ? AND ?"
_IN_TIME = f"{_OF_PIECE} AND child.start_ns BETWEEN ? AND ?"
_ONE_OF = "child.id IN (SELECT value FROM json_each(?))"

Calls = Counter[tuple[int, int]]  # by the services' ids: the caller's, the callee's


@dataclass(frozen=True, slots=True)
class Dependency:
    """A service, `parent`, that calls another one, `child`: so many spans of that are right below spans of this."""

    parent: str
    child: str
    call_count: int


@dataclass(slots=True)
class Counted:
    """The calls of a piece, when its spans start, and the ids of those whose parents had not been stored.

    `first_caller` is the first row that calls one of them, `seen` the last one that was stored when they were counted.
    """

    first_ns: int
    last_ns: int
    calls: Calls
    first_caller: int
    seen: int
    waiting: list[int] = field(default_factory=list)


Kept = dict[Piece, Counted]


async def altered(reader: Reader, piece: Piece) -> list[tuple[int, int]]:
    """Rows before a piece whose caller is another one by what it has, and the last row that made it so."""
    found: list[tuple[int, int]] = await reader.rows(_ALTERED, [piece.first, piece.first, piece.first, piece.last])
    return found


async def dependencies(reader: Reader, kept: Kept, start_ns: int = 0, end_ns: int = MAX_TIME_NS) -> list[Dependency]:
    """The calls whose spans start in a time, by the callers' names, then the callees'.

    Raises:
        QueryTimeout: what was counted until then is kept: the next to ask gets further.
    """
    segments = await Segments.read(reader)
    # What retention is taking away is gone already: it would be counted again and again
    whole = [segment for segment in segments.all if segment.is_whole]
    pieces = [piece for segment in reversed(whole) for piece in split(segment, whole[-1])]
    _forget_others(kept, pieces)
    reader.deadline += sum(piece.last - piece.first for piece in pieces if piece not in kept) / SPANS_PER_S
    calls: Calls = Counter()
    for piece in pieces:
        calls += await _of_piece(reader, kept, piece, pieces[0].last, start_ns, end_ns)
    names = dict(await reader.rows("SELECT id, name FROM services"))
    return sorted(
        (Dependency(names[caller], names[callee], count) for (caller, callee), count in calls.items()),
        key=lambda one: (one.parent, one.child),
    )


def _forget_others(kept: Kept, pieces: list[Piece]) -> None:
    """Forget pieces that left the file, and those that are called from before the first that is left."""
    there, first = set(pieces), min((piece.first for piece in pieces), default=0)
    for piece, counted in list(kept.items()):
        if piece not in there or counted.first_caller < first:
            kept.pop(piece, None)


def _forget_altered(kept: Kept, rows: list[tuple[int, int]]) -> None:
    """Forget the pieces of rows that have another caller than when they were counted."""
    for row, by in rows:
        for piece, counted in list(kept.items()):
            if piece.first <= row <= piece.last and counted.seen < by:
                del kept[piece]


async def _of_piece(reader: Reader, kept: Kept, piece: Piece, last: int, start_ns: int, end_ns: int) -> Calls:
    """The calls of a piece in a time; what is kept of it tells them, unless the time begins or ends within it."""
    counted = kept.get(piece)
    if counted is None:
        counted = await _counted(reader, piece, last)
        _forget_altered(kept, await altered(reader, piece))
        if piece.is_final and len(counted.waiting) <= MOST_WAITING:
            kept[piece] = counted
    if counted.last_ns < start_ns or counted.first_ns > end_ns:
        return Counter()
    if start_ns <= counted.first_ns and counted.last_ns <= end_ns:
        return counted.calls + await _late(reader, counted.waiting)
    return (await _counted(reader, piece, last, (start_ns, end_ns))).calls


async def _counted(reader: Reader, piece: Piece, seen: int, time: tuple[int, int] | None = None) -> Counted:
    """Count the calls of a piece: of all its spans, or of those that start in a time. `seen` is the last row."""
    these = _IN_TIME if time else _OF_PIECE
    bound = [piece.first, piece.last, *(time or ())]
    ((number, first_ns, last_ns),) = await reader.rows(_EXTENT.format(these=these), bound)
    calls, is_all, first_caller = await _calls(reader, these, bound, number)
    waiting = [] if is_all else await reader.rows(_WAITING.format(these=these), bound)
    return Counted(first_ns or 0, last_ns or 0, calls, first_caller, seen, [row[0] for row in waiting])


async def _late(reader: Reader, waiting: list[int]) -> Calls:
    """The calls of spans whose parents came after them."""
    return (await _calls(reader, _ONE_OF, [str(waiting)], len(waiting)))[0] if waiting else Counter()


async def _calls(reader: Reader, these: str, bound: list[Any], number: int) -> tuple[Calls, bool, int]:
    """The calls that some spans are, so many of which name a parent; whether all of those are stored; the first."""
    rows = await reader.rows(_COUNT.format(these=these), bound)
    is_all = all(caller is not None for caller, *_ in rows)
    ((has_shared,),) = await reader.rows(HAS_SHARED.format(these=these), bound)
    if has_shared or sum(row[2] for row in rows) != number:
        rows = await reader.rows(_COUNT_EXACTLY.format(these=these), bound)
    called = [row for row in rows if row[0] not in (None, row[1])]
    first_caller = min((row[3] for row in called), default=MAX_ROW)
    return Counter({(caller, callee): count for caller, callee, count, _ in called}), is_all, first_caller
