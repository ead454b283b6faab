"""The spans of one trace, as rows that know their place in its tree.

Each row has two numbers, counted while walking the tree: one when it is entered (`left`), one when it is left
(`right`). What lies below a row lies between its numbers:

```
1 checkout 8             parent_left -1
├── 2 charge 5                        1
│   └── 3 db 4                        2
└── 6 ship 7                          1
```

Rows that no root leads to, their parent not being here or their parents forming a cycle, have three zeros, and no
relation to any other row. All numbers are made when the first is asked for: most queries ask for none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from minitrace.model import Event, Link, Span, calls, usable_time

ROOT_PARENT = -1  # the parent_left of a root: all roots of a trace are siblings


class Numbers(NamedTuple):
    """Of a row in the tree."""

    left: int = 0
    right: int = 0
    parent_left: int = 0


class Row:
    """A span within its trace. `at` is its place there, in order of start.

    `event` and `link` are those that a condition looks at just now; None outside such a condition.
    """

    __slots__ = ("at", "event", "link", "span", "trace")

    def __init__(
        self, span: Span, trace: TraceRows, at: int, event: Event | None = None, link: Link | None = None
    ) -> None:
        self.span = span
        self.trace = trace
        self.at = at
        self.event = event
        self.link = link

    @property
    def left(self) -> int:
        """Its number when the tree's walk enters it, from 1; 0 for a row that no root leads to."""
        return self.trace.numbers[self.at].left

    @property
    def right(self) -> int:
        """Its number when the walk leaves it."""
        return self.trace.numbers[self.at].right

    @property
    def parent_left(self) -> int:
        """The `left` of its parent, -1 for a root."""
        return self.trace.numbers[self.at].parent_left

    @property
    def parent(self) -> Row | None:
        """The row of its parent, if that is here."""
        at = self.trace.parents[self.at]
        return None if at is None else self.trace.rows[at]

    @property
    def child_count(self) -> int:
        """How many spans name it as their parent."""
        return self.trace.child_counts[self.span.span_id]

    def with_event(self, event: Event) -> Row:
        """The same row, looking at one of its events."""
        return Row(self.span, self.trace, self.at, event, self.link)

    def with_link(self, link: Link) -> Row:
        """The same row, looking at one of its links."""
        return Row(self.span, self.trace, self.at, self.event, link)


class TraceRows:
    """All spans of one trace, in order of start. The trace's root and duration are those of `model.Trace`.

    With `orphans_are_roots` a span whose parent is not here counts as a root.
    """

    def __init__(self, spans: Iterable[Span], *, orphans_are_roots: bool = False) -> None:
        in_order = sorted(spans, key=lambda span: (span.start_ns, span.span_id))
        self.rows = [Row(span, self, at) for at, span in enumerate(in_order)]
        self._orphans_are_roots = orphans_are_roots

    @cached_property
    def root(self) -> Span | None:
        """The earliest span without a parent id; None if none was received."""
        roots = (row.span for row in self.rows if not row.span.parent_id)
        return next(roots, None) or next(self._orphans(), None)

    def _orphans(self) -> Iterator[Span]:
        """The spans that count as roots, though they name a parent."""
        if self._orphans_are_roots:
            yield from (row.span for row in self.rows if row.span.parent_id and self.parents[row.at] is None)

    @cached_property
    def duration_ns(self) -> int:
        """From the earliest start to the latest end."""
        timed = [row.span for row in self.rows if usable_time(row.span.start_ns)]
        return max((span.start_ns + span.duration_ns for span in timed), default=0) - (
            timed[0].start_ns if timed else 0
        )

    @cached_property
    def child_counts(self) -> Counter[bytes]:
        """How many spans name each id as their parent."""
        return Counter(row.span.parent_id for row in self.rows if row.span.parent_id)

    @cached_property
    def parents(self) -> list[int | None]:
        """For each row, where the row of its parent is."""
        return _parents([row.span for row in self.rows])

    @cached_property
    def numbers(self) -> list[Numbers]:
        """For each row, its numbers. If an id occurs more than twice, only roots have one: that they are."""
        orphans = {id(span) for span in self._orphans()}
        is_root = [not row.span.parent_id or id(row.span) in orphans for row in self.rows]
        repeats = Counter(row.span.span_id for row in self.rows)
        if max(repeats.values(), default=0) > 2:
            return [Numbers(parent_left=ROOT_PARENT if root else 0) for root in is_root]
        return _numbers(self.parents, is_root)


def _parents(spans: Sequence[Span]) -> list[int | None]:
    """For each span, the index of its parent's: of spans with one id the server's of a call, or else the first."""
    by_id: dict[bytes, int] = {}
    for at, span in enumerate(spans):
        by_id.setdefault(span.span_id, at)
    shared = calls(spans)
    by_id |= {span_id: server for span_id, (_, server) in shared.items()}
    clients = {server: client for client, server in shared.values()}
    return [None if not span.parent_id else clients.get(at, by_id.get(span.parent_id)) for at, span in enumerate(spans)]


def _numbers(parents: list[int | None], is_root: list[bool]) -> list[Numbers]:
    children: list[list[int]] = [[] for _ in parents]
    for at, parent in enumerate(parents):
        if parent is not None:
            children[parent].append(at)
    numbers = [Numbers()] * len(parents)
    lefts: dict[int, int] = {}
    counter = 0
    # No recursion: chains of 50 000 occur. A row is met twice, entered and left.
    stack = [at for at in reversed(range(len(parents))) if is_root[at]]
    while stack:
        at = stack.pop()
        counter += 1
        if at in lefts:
            parent = parents[at]
            parent_left = ROOT_PARENT if parent is None else lefts[parent]
            numbers[at] = Numbers(lefts[at], counter, parent_left)
        else:
            lefts[at] = counter
            stack.append(at)
            stack.extend(reversed(children[at]))
    return numbers


# Relations


Rows = Sequence[Row]
Relation = Callable[[Rows], Callable[[Numbers], bool]]  # some rows to a test: is a row related to one of them?


def related(operator: str, left: Rows, right: Rows) -> list[Row]:
    """The rows that ``left operator right`` finds, in order of start.

    ``>`` gives those of `right` that are a child of one of `left`; ``!>`` those that are not; ``&>`` the children
    and their parents. O(n log n).
    """
    negated, joined = operator[0] == "!", operator[0] == "&"
    relation = operator.lstrip("!&")
    found = _related(relation, left, right)
    if negated:
        excluded = {row.at for row in found}
        return [row for row in right if row.at not in excluded]
    return union(found, _related(_INVERSE[relation], right, left)) if joined else found


def union(*parts: Iterable[Row]) -> list[Row]:
    """All rows that are in one of the parts, each once, in order of start."""
    by_place = {row.at: row for part in parts for row in part}
    return [by_place[at] for at in sorted(by_place)]


def _related(relation: str, left: Rows, right: Rows) -> list[Row]:
    if not left or not right:
        return []
    test, numbers = _RELATIONS[relation](left), right[0].trace.numbers
    return [row for row in right if test(numbers[row.at])]  # no test holds for zeros


def _placed(rows: Rows) -> list[Numbers]:
    """The numbers of the rows that a root leads to."""
    numbers = rows[0].trace.numbers
    return [numbers[row.at] for row in rows if numbers[row.at].left]


def _is_child(of: Rows) -> Callable[[Numbers], bool]:
    lefts = {one.left for one in _placed(of)}
    return lambda row: row.parent_left in lefts


def _is_parent(of: Rows) -> Callable[[Numbers], bool]:
    parents = {one.parent_left for one in _placed(of)}
    return lambda row: row.left in parents


def _is_descendant(of: Rows) -> Callable[[Numbers], bool]:
    lefts: list[int] = []
    rights: list[int] = []
    for one in sorted(_placed(of)):  # what lies within another adds nothing
        if not rights or one.left > rights[-1]:
            lefts.append(one.left)
            rights.append(one.right)

    def test(row: Numbers) -> bool:
        at = bisect_right(lefts, row.left) - 1
        return at >= 0 and lefts[at] < row.left < rights[at]

    return test


def _is_ancestor(of: Rows) -> Callable[[Numbers], bool]:
    lefts = sorted(one.left for one in _placed(of))

    def test(row: Numbers) -> bool:
        at = bisect_right(lefts, row.left)
        return at < len(lefts) and lefts[at] < row.right

    return test


def _is_sibling(of: Rows) -> Callable[[Numbers], bool]:
    lefts = {one.left for one in _placed(of)}
    counts = Counter(one.parent_left for one in _placed(of))
    return lambda row: counts[row.parent_left] > (row.left in lefts)


_RELATIONS: dict[str, Relation] = {
    ">": _is_child, "<": _is_parent, ">>": _is_descendant, "<<": _is_ancestor, "~": _is_sibling,
}  # fmt: skip
_INVERSE = {">": "<", "<": ">", ">>": "<<", "<<": ">>", "~": "~"}
