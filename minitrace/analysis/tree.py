"""A trace as rows: its forest, depth first, in columns.

```
row  depth  parent  size  begin    end
 0     0      -1      4       0  1 240    checkout  POST /pay
 1     1       0      1       5     89    cart        GetCart
 2     1       0      2     100    981    payment     POST /charge
 3     2       2      1     110    330    bank          transfer
```

The subtree of row i is rows i to i + size; what every analysis asks for is a slice or a step over one. Nothing here
recurses: chains of 20 000 spans occur.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from minitrace.model import Node, Span, Trace, usable_time


@dataclass(slots=True)
class Tree:
    """A trace's spans as rows, with times in nanoseconds since `start_ns`, the earliest of them.

    `shifts` are rows that were moved against clock skew, with by how much; times are those after moving. A span without
    usable times begins and ends at 0, and is in `timeless`. `cut` has, for rows of which `pruned` left out what is
    below, how many spans that are; -1 stands for what is below none.
    """

    trace: Trace
    nodes: list[Node]
    parents: list[int]  # -1 for a top
    sizes: list[int]  # rows of the subtree, its own included
    begins: list[int]
    ends: list[int]
    start_ns: int
    duration_ns: int
    shifts: Mapping[int, int] = field(default_factory=dict)
    timeless: frozenset[int] = frozenset()
    cut: Mapping[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.nodes)

    def span(self, row: int) -> Span:
        """The span of a row."""
        return self.nodes[row].span

    def children(self, row: int) -> Iterator[int]:
        """The rows right below a row, in order of start."""
        child, end = row + 1, row + self.sizes[row]
        while child < end:
            yield child
            child += self.sizes[child]

    def tops(self) -> Iterator[int]:
        """The rows below nothing: roots, orphans, cut cycles."""
        row = 0
        while row < len(self.nodes):
            yield row
            row += self.sizes[row]


def tree(trace: Trace, shifts: Mapping[int, int] | None = None) -> Tree:
    """The rows of a trace; those in `shifts` are moved by so many nanoseconds, see `skew`."""
    nodes = list(trace.rows())
    parents, sizes = _structure(nodes)
    timeless = frozenset(row for row, node in enumerate(nodes) if not usable_time(node.span.start_ns))
    moved = shifts or {}
    starts = [node.span.start_ns + moved.get(row, 0) for row, node in enumerate(nodes)]
    start_ns = min((start for row, start in enumerate(starts) if row not in timeless), default=0)
    begins = [0 if row in timeless else start - start_ns for row, start in enumerate(starts)]
    ends = [0 if row in timeless else begins[row] + node.span.duration_ns for row, node in enumerate(nodes)]
    return Tree(trace, nodes, parents, sizes, begins, ends, start_ns, max(ends, default=0), moved, timeless)


def pruned(tree: Tree, rows: Sequence[int]) -> Tree:
    """A tree of these rows alone, given in order, each below the nearest of them that it was below before.

    Row i of it is ``rows[i]``; what is left out is counted in `Tree.cut`. Times stay as they are.
    """
    place = {row: at for at, row in enumerate(rows)}
    above: list[int] = []  # of each row the nearest that is kept, itself perhaps: its place
    cut: Counter[int] = Counter()
    for row, parent in enumerate(tree.parents):
        nearest = above[parent] if parent >= 0 else -1
        if row not in place:
            cut[nearest] += 1
        above.append(place.get(row, nearest))
    parents = [above[parent] if (parent := tree.parents[row]) >= 0 else -1 for row in rows]
    nodes: list[Node] = []
    for row, parent in zip(rows, parents, strict=True):
        depth = nodes[parent].depth + 1 if parent >= 0 else 0
        nodes.append(Node(tree.span(row), depth, [], tree.nodes[row].problems))
        if parent >= 0:
            nodes[parent].children.append(nodes[-1])
    return replace(
        tree,
        nodes=nodes,
        parents=parents,
        sizes=_structure(nodes)[1],
        begins=[tree.begins[row] for row in rows],
        ends=[tree.ends[row] for row in rows],
        shifts={place[row]: shift for row, shift in tree.shifts.items() if row in place},
        timeless=frozenset(place[row] for row in tree.timeless if row in place),
        cut=cut,
    )


def _structure(nodes: list[Node]) -> tuple[list[int], list[int]]:
    """The parent and the size of each row, from the depths of rows in order."""
    parents, sizes = [-1] * len(nodes), [1] * len(nodes)
    above: list[int] = []  # the rows from a top to the one before
    for row, node in enumerate(nodes):
        del above[node.depth :]
        if above:
            parents[row] = above[-1]
        above.append(row)
    for row in range(len(nodes) - 1, -1, -1):
        if parents[row] >= 0:
            sizes[parents[row]] += sizes[row]
    return parents, sizes
