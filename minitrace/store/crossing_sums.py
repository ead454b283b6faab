"""Crossings summed up, piece by piece: what is kept of the file for `service_map`, some 70 bytes a span.

Of a piece its sums are kept, and each of its crossings: a time may begin or end within it, and pieces that are counted
after it, or come after it, may answer its leaves.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import attrgetter

from minitrace.store.crossings import Crossing, Crossings, Key, Link, Way
from minitrace.store.figures import Figures
from minitrace.store.leaves import Leaf
from minitrace.store.pieces import Piece

MOST_SERVICES = 500  # of a piece, and as many leaves; the others count as one
MOST_BYTES = 128 << 20  # of all pieces: two million spans
BYTES_PER_CROSSING, BYTES_PER_SUM = 24, 1_200  # most of a sum is its histogram
OTHERS = ""  # the name of all leaves of a kind that are not told apart
OTHER_SERVICES = 0  # instead of a service's number

Sums = dict[Key, Figures]


def sums_of(all_: Iterable[Crossing]) -> Sums:
    """Crossings by what they are counted with."""
    sums: Sums = {}
    for key, span, _, duration_ns, is_error, _ in all_:
        sums.setdefault(key, Figures()).add(Figures.of([duration_ns], (is_error, duration_ns, span)))
    return sums


def add(sums: Sums, more: Sums) -> None:
    """Add sums to others."""
    for key, figures in more.items():
        if key not in sums:
            sums[key] = Figures()
        sums[key].add(figures)


@dataclass(frozen=True, slots=True)
class Folding:
    """Which services and leaves of a piece are told apart: the most frequent; None if there are no others."""

    apart: frozenset[int | Leaf] | None = None

    @classmethod
    def of(cls, all_: Iterable[Crossing]) -> Folding:
        """That of a piece."""
        callers: Counter[int] = Counter()
        callees: Counter[int | Leaf] = Counter()
        for key, *_ in all_:
            callers[key.caller] += 1
            callees[key.callee] += 1
        leaves = Counter({one: count for one, count in callees.items() if isinstance(one, Leaf)})
        callers.update({one: count for one, count in callees.items() if not isinstance(one, Leaf)})
        if max(len(callers), len(leaves)) <= MOST_SERVICES:
            return cls()
        return cls(frozenset(one for some in (callers, leaves) for one, _ in some.most_common(MOST_SERVICES)))

    def key(self, key: Key) -> Key:
        """A key in which all that is not told apart is one."""
        if self.apart is None:
            return key
        caller = key.caller if key.caller in self.apart else OTHER_SERVICES
        if key.callee in self.apart:
            return key._replace(caller=caller)
        callee = Leaf(key.callee.kind, OTHERS, ()) if isinstance(key.callee, Leaf) else OTHER_SERVICES
        return Key(key.way, caller, callee)


@dataclass(slots=True)
class Relations:
    """Spans of other pieces that have to do with those of a piece, in order.

    `answered` are clients that were answered from here, `callers` call some here.
    """

    answered: array[int] = field(default_factory=lambda: array("q"))
    callers: array[int] = field(default_factory=lambda: array("q"))

    def add(self, answered: Iterable[int], callers: Iterable[int]) -> None:
        """Note more of them."""
        self.answered = array("q", sorted({*self.answered, *answered}))
        self.callers = array("q", sorted({*self.callers, *callers}))


@dataclass(slots=True)
class Counted:
    """A piece: its crossings in order of their starts, and sums of them; see `Crossings` for what waits.

    `seen` is the last row that was stored when it was counted.
    """

    first: int  # row
    keys: list[Key]
    kinds: array[int]  # twice the place of the key; one more if it failed
    rows: array[int]  # counted from the first
    starts: array[int]
    durations: array[int]
    sums: Sums
    folding: Folding
    seen: int
    waiting: list[int]
    links: list[Link]
    relations: Relations = field(default_factory=Relations)
    version: int = 0  # grows with every change

    @classmethod
    def of(cls, piece: Piece, found: Crossings, answered: set[int], seen: int) -> Counted:
        """A piece, of whose leaves some were answered from others."""
        all_ = [one for one in found.all if one.span not in answered or one.key.way is not Way.LEAF]
        folding = Folding.of(all_)
        columns = array("I"), array("I"), array("q"), array("q")
        counted = cls(piece.first, [], *columns, {}, folding, seen, found.waiting, found.links)
        counted.add(all_)
        counted.relations.add(found.others, (row for _, row in found.callers if not piece.first <= row <= piece.last))
        return counted

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return BYTES_PER_CROSSING * len(self) + BYTES_PER_SUM * len(self.sums)

    def add(self, crossings: Iterable[Crossing]) -> None:
        """Add crossings; quickest if there are none yet."""
        is_first = not self.keys
        folded = [one._replace(key=self.folding.key(one.key)) for one in crossings] if self.folding.apart else crossings
        in_order = sorted(folded, key=_start)
        places = {key: place for place, key in enumerate(self.keys)}
        for key, span, start_ns, duration_ns, is_error, _ in in_order:
            place = places.setdefault(key, len(places))
            at = bisect_right(self.starts, start_ns) if self.starts and self.starts[-1] > start_ns else len(self)
            self.kinds.insert(at, 2 * place + is_error)
            self.rows.insert(at, span - self.first)
            self.starts.insert(at, start_ns)
            self.durations.insert(at, duration_ns)
        self.keys = list(places)
        add(self.sums, self._sums(slice(None)) if is_first else sums_of(in_order))
        self.version += 1

    def answer(self, clients: Iterable[tuple[int, int]]) -> None:
        """Take off those of the clients that are leaves here, given as their rows and when they start."""
        gone = [at for span, start_ns in clients if (at := self._leaf(span, start_ns)) is not None]
        taken = sums_of(map(self._crossing, gone))
        if gone:
            stays = bytearray(b"\1") * len(self)
            for at in gone:
                stays[at] = 0
            self.kinds, self.rows = (array("I", compress(one, stays)) for one in (self.kinds, self.rows))
            self.starts, self.durations = (array("q", compress(one, stays)) for one in (self.starts, self.durations))
            self._take_off(self.sums, taken, 0, len(self))
            self.version += 1

    def between(self, start_ns: int, end_ns: int) -> Sums:
        """The sums of the spans that start in a time: of those, or of all less the others, as is quickest."""
        first, end = bisect_left(self.starts, start_ns), bisect_right(self.starts, end_ns)
        if end - first == len(self):
            return self.sums
        if end - first <= len(self) // 2:
            return self._sums(slice(first, end))
        sums: Sums = {}
        add(sums, self.sums)
        self._take_off(sums, self._sums(slice(first), slice(end, None)), first, end)
        return sums

    def _sums(self, *parts: slice) -> Sums:
        groups: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for part in parts:
            for kind, duration, row in zip(self.kinds[part], self.durations[part], self.rows[part], strict=True):
                groups[kind].append((duration, row))
        sums: Sums = {}
        for kind, some in groups.items():
            duration, row = max(some)
            figures = Figures.of([one for one, _ in some], (bool(kind & 1), duration, self.first + row))
            add(sums, {self.keys[kind >> 1]: figures})
        return sums

    def _leaf(self, span: int, start_ns: int) -> int | None:
        """Where a span's leaf is."""
        for at in range(bisect_left(self.starts, start_ns), bisect_right(self.starts, start_ns)):
            if self.rows[at] == span - self.first and self.keys[self.kinds[at] >> 1].way is Way.LEAF:
                return at
        return None

    def _crossing(self, at: int) -> Crossing:
        kind = self.kinds[at]
        return Crossing(
            self.keys[kind >> 1], self.first + self.rows[at], self.starts[at], self.durations[at], bool(kind & 1)
        )

    def _take_off(self, sums: Sums, taken: Sums, first: int, end: int) -> None:
        """Take sums off those of which the crossings from one place to before another are left."""
        for key, figures in taken.items():
            sums[key].take_off(figures)
        lost = {place for place, key in enumerate(self.keys) if key in taken and sums[key].worst is None}
        kinds = {2 * place + is_error for place in lost for is_error in (0, 1)}
        for at, kind in enumerate(self.kinds[first:end], start=first) if lost else ():
            if kind in kinds:
                sums[self.keys[kind >> 1]].find_worse((bool(kind & 1), self.durations[at], self.first + self.rows[at]))


_start = attrgetter("start_ns")


class Kept:
    """What was counted of pieces that are in the file. Who counts has the lock.

    Of pieces that had to make room only the relations are left: which spans of other pieces they answered, and which
    call theirs. So those know it when one of these leaves the file.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.extents: dict[Piece, tuple[int, int]] = {}  # when the first of its spans starts, and the last
        self.counted: dict[Piece, Counted] = {}  # what was used last is last
        self.relations: dict[Piece, Relations] = {}
        self.total: tuple[object, Sums] = None, {}  # of all that a time had but the newest, and what was in it

    def keep(self, piece: Piece, counted: Counted) -> None:
        """Keep what was counted of a piece, or note that it was used."""
        self.counted.pop(piece, None)
        self.counted[piece] = counted
        self.relations[piece] = counted.relations

    def make_room(self, used: Container[Piece]) -> bool:
        """Let go of what was used longest ago, as far as it is too much; False if that is not possible."""
        size_bytes = sum(counted.size_bytes for counted in self.counted.values())
        for piece in [piece for piece in self.counted if piece not in used]:
            if size_bytes <= MOST_BYTES:
                break
            size_bytes -= self.counted.pop(piece).size_bytes
        return size_bytes <= MOST_BYTES

    def forget_others(self, pieces: Sequence[Piece]) -> None:
        """Forget pieces that left the file, or grew; and those that what left it called, or answered.

        What lies before the first piece is leaving: those it calls are counted anew until the last of it is gone.
        """
        firsts = {piece.first for piece in pieces}
        first = min(firsts, default=0)
        for gone in self.extents.keys() - set(pieces):
            del self.extents[gone]
            self.counted.pop(gone, None)
            relations = self.relations.pop(gone, None)
            if relations and gone.first not in firsts:
                for piece in holders(self.counted, relations.answered):
                    del self.counted[piece]
        called = [piece for piece in self.counted if min(self.relations[piece].callers[:1], default=first) < first]
        for piece in called:
            del self.counted[piece]

    def forget_altered(self, rows: list[tuple[int, int]]) -> None:
        """Forget the pieces of rows that have another caller than when they were counted, by a later row."""
        later = dict(rows)
        for piece, own in holders(self.counted, later).items():
            if self.counted[piece].seen < max(later[row] for row in own):
                del self.counted[piece]

    def answered(self, piece: Piece) -> set[int]:
        """The clients of a piece that were answered from others."""
        return {span for relations in self.relations.values() for span in _within(relations.answered, piece)}


def _within(spans: array[int], piece: Piece) -> array[int]:
    """Those of some spans that are in a piece."""
    return spans[bisect_left(spans, piece.first) : bisect_right(spans, piece.last)]


def holders(pieces: Iterable[Piece], spans: Iterable[int]) -> dict[Piece, list[int]]:
    """The pieces that have some spans, and which ones."""
    in_order = sorted(pieces, key=lambda piece: piece.first)
    firsts = [piece.first for piece in in_order]
    found: dict[Piece, list[int]] = {}
    for span in spans:
        at = bisect_right(firsts, span) - 1
        if at >= 0 and span <= in_order[at].last:
            found.setdefault(in_order[at], []).append(span)
    return found
