"""Two traces as one tree: what both have, side by side, and what only one of them has.

```
a                        b                             aligned                 a    b
POST /pay                POST /pay                     POST /pay               1    1
├── SELECT stock         ├── SELECT stock × 14         ├── SELECT stock        1   14
├── GET /rates           └── charge                    ├── GET /rates          1    -
└── charge                   └── retry                 └── charge              1    1
                                                           └── retry           -    1
```

Siblings alike (see `signatures`) are one row, and so are all that stand below any of them alike. Siblings of another
signature but the same label meet, too: a query that was rewritten is still the query to that table. So do two roots,
whatever they are called: who compares two traces wants to see them side by side.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from minitrace.analysis.noise import is_id, is_noise
from minitrace.analysis.signatures import label, signature
from minitrace.analysis.timing import own_times
from minitrace.analysis.tree import Tree
from minitrace.model import Attributes, Value

MOST_COMPARED = 50  # spans of a row on each side, of which attributes are looked at
MOST_VALUES = 5  # on one side: what has more distinct values differs by itself

Place = tuple[Sequence[int], Sequence[int]]  # rows of a and of b that meet
Key = tuple[str, int, str]  # what makes siblings alike: service, kind, signature
Groups = dict[Key, list[int]]  # rows by that, in order of first appearance


@dataclass(slots=True)
class Side:
    """What one trace has in a row of both: its rows there, none if it has nothing.

    `total_ns` and `own_ns` are sums of their durations and of their own times.
    """

    rows: tuple[int, ...] = ()
    total_ns: int = 0
    own_ns: int = 0
    error_count: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """An attribute whose values differ: on each side the distinct ones in order; none where it is missing.

    `scope` is "span" or "resource".
    """

    scope: str
    key: str
    a: tuple[Value, ...]
    b: tuple[Value, ...]


@dataclass(slots=True)
class Aligned:
    """Alike spans of two traces, at one place of the tree of both.

    The subtree of row i is rows i to i + `size`. The attributes of a service's resource are compared at the first row
    that both traces have of it, and nowhere below.
    """

    depth: int
    service: str
    label: str
    a: Side
    b: Side
    size: int = 1
    differences: list[Difference] = field(default_factory=list)


def align(a: Tree, b: Tree) -> list[Aligned]:
    """The rows of both trees, merged, depth first: each row of each tree is in exactly one of them."""
    sides = _Columns(a), _Columns(b)
    rows: list[Aligned] = []
    compared: set[str] = set()  # services whose resources were
    waiting = [(0, place) for place in _places(sides, (list(a.tops()), list(b.tops())), is_top=True)][::-1]
    while waiting:
        depth, place = waiting.pop()
        row = _aligned(sides, depth, place)
        rows.append(row)
        if all(place):
            row.differences = _differences(sides, place, with_resource=row.service not in compared)
            compared.add(row.service)
        below = sides[0].below(place[0]), sides[1].below(place[1])
        waiting += [(depth + 1, lower) for lower in _places(sides, below)][::-1]
    _count(rows)
    return rows


class _Columns:
    """A tree with what is asked of it again and again."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.own = own_times(tree)

    def below(self, rows: Sequence[int]) -> list[int]:
        """The children of all these rows."""
        tree = self.tree
        return [child for row in rows if tree.sizes[row] > 1 for child in tree.children(row)]

    def alike(self, rows: Iterable[int]) -> Groups:
        """These rows by what makes them alike."""
        groups: Groups = {}
        nodes = self.tree.nodes
        for row in rows:
            span = nodes[row].span
            groups.setdefault((span.service, span.kind, signature(span)), []).append(row)
        return groups

    def side(self, rows: Sequence[int]) -> Side:
        """Their figures."""
        tree = self.tree
        return Side(
            tuple(rows),
            sum([tree.ends[row] - tree.begins[row] for row in rows]),
            sum([self.own[row] for row in rows]),
            sum([tree.nodes[row].span.is_error for row in rows]),
        )

    def attributes(self, rows: Sequence[int]) -> list[Attributes]:
        return [self.tree.nodes[row].span.attributes for row in rows[:MOST_COMPARED]]

    def resources(self, rows: Sequence[int]) -> list[Attributes]:
        found = [self.tree.nodes[row].span.resource for row in rows[:MOST_COMPARED]]
        return [resource.attributes for resource in {id(resource): resource for resource in found}.values()]


_Sides = tuple[_Columns, _Columns]


def _aligned(sides: _Sides, depth: int, place: Place) -> Aligned:
    columns, row = (sides[0], place[0][0]) if place[0] else (sides[1], place[1][0])
    span = columns.tree.span(row)
    return Aligned(depth, span.service, label(span), sides[0].side(place[0]), sides[1].side(place[1]))


def _count(rows: list[Aligned]) -> None:
    """Fill in the sizes, from the depths."""
    below: Counter[int] = Counter()  # rows met so far, from the end, by the depth of the subtrees they are in
    for row in reversed(rows):
        row.size += below.pop(row.depth + 1, 0)
        below[row.depth] += row.size


# Who meets whom


def _places(sides: _Sides, rows: Place, *, is_top: bool = False) -> list[Place]:
    """Where these rows meet, siblings alike together, in an order that is both sides' as far as they agree."""
    if not (rows[0] or rows[1]):
        return []
    a, b = sides[0].alike(rows[0]), sides[1].alike(rows[1])
    if a.keys() != b.keys():
        b = _by_label(sides, a, b)
    if is_top and len(a) == len(b) == 1:
        b = dict(zip(a, b.values(), strict=True))
    return [(a.get(key, ()), b.get(key, ())) for key in _merged(list(a), list(b))]


def _by_label(sides: _Sides, a: Groups, b: Groups) -> Groups:
    """The groups of b, where those that a has not take the key of one with their label that b has not."""
    spare: dict[Key, list[Key]] = {}
    for key in reversed([key for key in a if key not in b]):
        spare.setdefault((*key[:2], label(sides[0].tree.span(a[key][0]))), []).append(key)
    if not spare:
        return b
    renamed: Groups = {}
    for key, rows in b.items():
        others = None if key in a else spare.get((*key[:2], label(sides[1].tree.span(rows[0]))))
        renamed[others.pop() if others else key] = rows
    return renamed


def _merged(a: list[Key], b: list[Key]) -> Iterator[Key]:
    """All keys once: in the order of a, those that only b has before the next one of both."""
    if a == b:
        yield from a
        return
    places = {key: place for place, key in enumerate(a)}
    anchors = {places[key]: key for key in _longest_increasing([key for key in b if key in places], places)}
    new: list[Key] = []
    before: dict[Key, list[Key]] = {}
    kept = set(anchors.values())
    for key in b:
        if key in kept:
            before[key], new = new, []
        elif key not in places:
            new.append(key)
    for key in a:
        yield from before.get(key, ())
        yield key
    yield from new


def _longest_increasing(keys: list[Key], places: dict[Key, int]) -> list[Key]:
    """The most of these keys whose places increase: what two orders without repetition have in common (their LCS).

    Patience sorting: each goes onto the leftmost pile whose top is not before it, and remembers the top to its left.
    """
    tops: list[int] = []
    piles: list[Key] = []
    left: dict[Key, Key | None] = {}
    for key in keys:
        pile = bisect_left(tops, places[key])
        left[key] = piles[pile - 1] if pile else None
        tops[pile : pile + 1] = [places[key]]
        piles[pile : pile + 1] = [key]
    found: list[Key] = []
    last = piles[-1] if piles else None
    while last is not None:
        found.append(last)
        last = left[last]
    return found[::-1]


# What their attributes say


def _differences(sides: _Sides, place: Place, *, with_resource: bool) -> list[Difference]:
    """The attributes that differ, ids and the like last."""
    found = _compared("span", sides[0].attributes(place[0]), sides[1].attributes(place[1]))
    if with_resource:
        found += _compared("resource", sides[0].resources(place[0]), sides[1].resources(place[1]))
    return sorted(found, key=_is_of_one) if len(found) > 1 else found


def _compared(scope: str, a: list[Attributes], b: list[Attributes]) -> list[Difference]:
    if len(a) == len(b) == 1 and a[0] == b[0]:
        return []
    found = []
    for key in dict.fromkeys(key for each in (*a, *b) for key in each):
        if not is_noise(key):
            values = _values(a, key), _values(b, key)
            if values[0].keys() != values[1].keys() and max(map(len, values)) <= MOST_VALUES:
                found.append(Difference(scope, key, *(tuple(own.values()) for own in values)))
    return found


def _values(spans: list[Attributes], key: str) -> dict[str, Value]:
    """The distinct values of an attribute by their text, as some of them have no hash."""
    return {repr(each[key]): each[key] for each in spans if key in each}


def _is_of_one(difference: Difference) -> bool:
    """Whether the values are ids, which differ wherever one looks."""
    values = (*difference.a, *difference.b)
    return all(is_id(difference.key, value) for value in values)
