"""A directed graph in columns: where each node stands, and by which places its edges go.

```
column 0        1            2
 gateway ───▶ checkout ───▶ payment
        ╲             ╲
         ╲             ╲──▶ stock
          ╲─────────────╱          an edge over several columns has a place of its own in each
```

As Sugiyama, Tagawa and Toda drew them (1981): edges that would close a cycle are turned round for the layout; a node
stands right of all that lead to it; columns are sorted by where their neighbours are, as long as that leaves fewer
crossings; then everything moves up or down towards its neighbours. The same graph is always laid out alike. Made for
60 nodes: random graphs of 150 edges take 0.1 s.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise

SWEEPS = 8  # there and back over all columns; later ones hardly improve anything
PASSING = 0.4  # rows that an edge takes in a column it passes

Edge = tuple[str, str]
Vertex = str | tuple[str, str, int]  # a node, or where an edge passes a column
Neighbours = Mapping[Vertex, Sequence[Vertex]]


@dataclass(frozen=True, slots=True)
class Place:
    """A column, counted from 0 at the left, and where its middle is, in rows from the top. A node is one row high."""

    column: int
    row: float


@dataclass(frozen=True, slots=True)
class Layout:
    """`nodes` in order of columns and rows; `routes` lead from where an edge begins to where it ends."""

    nodes: dict[str, Place]
    routes: dict[Edge, list[Place]]
    columns: int
    rows: float


def layout(nodes: Sequence[str], edges: Iterable[Edge]) -> Layout:
    """The places of nodes and edges; an edge from a node to itself has none."""
    between = [edge for edge in dict.fromkeys(edges) if edge[0] != edge[1]]
    turned = _closing(nodes, between)
    rightward = list(dict.fromkeys(edge[::-1] if edge in turned else edge for edge in between))
    column_of = _columns(nodes, rightward)
    chains = {edge: _chain(edge, column_of) for edge in rightward}
    columns, left, right = _graph(nodes, column_of, chains.values())
    columns = _sorted(columns, left, right)
    row_of = _rows(columns, left, right)
    places = {vertex: Place(at, row_of[vertex]) for at, column in enumerate(columns) for vertex in column}
    routes = {}
    for edge in between:
        route = [places[vertex] for vertex in chains[edge[::-1] if edge in turned else edge]]
        routes[edge] = route[::-1] if edge in turned else route
    only_nodes = {vertex: place for vertex, place in places.items() if isinstance(vertex, str)}
    rows = max((place.row + _size(vertex) / 2 for vertex, place in places.items()), default=0)
    return Layout(only_nodes, routes, len(columns), rows)


def _closing(nodes: Sequence[str], edges: Sequence[Edge]) -> set[Edge]:
    """The edges that lead back to a node on the way to them, depth first from the nodes that nothing leads to."""
    following = _grouped(edges)
    entered = {target for _, target in edges}
    closing: set[Edge] = set()
    state: dict[str, bool] = {}  # whether a node is still on the way; none before it is met
    for start in sorted(nodes, key=lambda node: node in entered):
        if start in state:
            continue
        state[start] = True
        stack = [(start, iter(following[start]))]
        while stack:
            node, targets = stack[-1]
            target = next(targets, None)
            if target is None:
                state[node] = False
                stack.pop()
            elif target not in state:
                state[target] = True
                stack.append((target, iter(following[target])))
            elif state[target]:
                closing.add((node, target))
    return closing


def _columns(nodes: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """The column of each node: the longest way to it. What nothing leads to stands right before its first target."""
    following = _grouped(edges)
    waiting = dict.fromkeys(nodes, 0)
    for _, target in edges:
        waiting[target] += 1
    starts = [node for node, count in waiting.items() if not count]
    column = dict.fromkeys(nodes, 0)
    ready = list(starts)
    for node in ready:  # grows while it is read
        for target in following[node]:
            column[target] = max(column[target], column[node] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for node in starts:
        column[node] = min((column[target] - 1 for target in following[node]), default=0)
    return column


def _chain(edge: Edge, column: Mapping[str, int]) -> list[Vertex]:
    source, target = edge
    return [source, *((source, target, at) for at in range(column[source] + 1, column[target])), target]


def _graph(
    nodes: Iterable[str], column_of: Mapping[str, int], chains: Iterable[list[Vertex]]
) -> tuple[list[list[Vertex]], Neighbours, Neighbours]:
    """The columns with all that stands in them, and each vertex's neighbours to the left and to the right."""
    columns: dict[int, list[Vertex]] = defaultdict(list)
    for node in nodes:
        columns[column_of[node]].append(node)
    left: dict[Vertex, list[Vertex]] = defaultdict(list)
    right: dict[Vertex, list[Vertex]] = defaultdict(list)
    for vertices in chains:
        for vertex in vertices[1:-1]:
            columns[vertex[2]].append(vertex)  # type: ignore[index]  # what is between the ends is no node
        for one, other in pairwise(vertices):
            right[one].append(other)
            left[other].append(one)
    return [columns[at] for at in sorted(columns)], left, right


def _sorted(columns: list[list[Vertex]], left: Neighbours, right: Neighbours) -> list[list[Vertex]]:
    """The columns in the order with the fewest crossings that was met."""
    best, fewest = columns, _crossings(columns, right)
    for _ in range(SWEEPS):
        if not fewest:
            break
        columns = _by_neighbours(columns, left)
        columns = _by_neighbours(columns[::-1], right)[::-1]
        if (crossings := _crossings(columns, right)) < fewest:
            best, fewest = columns, crossings
    return best


def _by_neighbours(columns: list[list[Vertex]], before: Neighbours) -> list[list[Vertex]]:
    """Each column sorted by the mean place of its neighbours in the one before it, which is sorted by then."""
    place: dict[Vertex, float] = {}
    result = []
    for column in columns:
        own = {vertex: float(i) for i, vertex in enumerate(column)}
        wanted = {vertex: _mean([place[other] for other in before.get(vertex, ())], own[vertex]) for vertex in column}
        column = sorted(column, key=wanted.__getitem__)
        place.update({vertex: float(i) for i, vertex in enumerate(column)})
        result.append(column)
    return result


def _crossings(columns: list[list[Vertex]], right: Neighbours) -> int:
    """How many pairs of edges cross between columns."""
    total = 0
    for one, other in pairwise(columns):
        place = {vertex: i for i, vertex in enumerate(other)}
        passed: list[int] = []
        for vertex in one:
            ends = sorted(place[target] for target in right.get(vertex, ()))
            total += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return total


def _rows(columns: list[list[Vertex]], left: Neighbours, right: Neighbours) -> dict[Vertex, float]:
    """The height of each vertex, as near to its neighbours as the order of its column lets it be."""
    row: dict[Vertex, float] = {}
    for column in columns:
        row.update(zip(column, _apart(column, [0.0] * len(column)), strict=True))
    both = {vertex: [*left.get(vertex, ()), *right.get(vertex, ())] for vertex in row}
    for neighbours, in_order in (*[(left, columns), (right, columns[::-1])] * SWEEPS, (both, columns)):
        for column in in_order:
            wanted = [_mean([row[other] for other in neighbours.get(vertex, ())], row[vertex]) for vertex in column]
            row.update(zip(column, _apart(column, wanted), strict=True))
    top = min((height - _size(vertex) / 2 for vertex, height in row.items()), default=0)
    return {vertex: height - top for vertex, height in row.items()}


def _apart(column: Sequence[Vertex], wanted: Sequence[float]) -> list[float]:
    """The heights nearest to those wanted at which a column keeps its order, and all of it has room.

    Where two want to be too near they lean on each other, and share what they want: pool adjacent violators.
    """
    offsets = list(accumulate((_size(one) + _size(other)) / 2 for one, other in pairwise(column)))
    offsets = [0.0, *offsets][: len(column)]
    blocks: list[tuple[float, int]] = []  # the mean of what its vertices want less their offsets, and how many they are
    for height, offset in zip(wanted, offsets, strict=True):
        mean, count = height - offset, 1
        while blocks and blocks[-1][0] > mean:
            above, number = blocks.pop()
            mean, count = (mean * count + above * number) / (count + number), count + number
        blocks.append((mean, count))
    means = chain.from_iterable([mean] * count for mean, count in blocks)
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _size(vertex: Vertex) -> float:
    return 1 if isinstance(vertex, str) else PASSING


def _mean(numbers: Sequence[float], otherwise: float) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise


def _grouped(edges: Iterable[Edge]) -> dict[str, list[str]]:
    following: dict[str, list[str]] = defaultdict(list)
    for source, target in edges:
        following[source].append(target)
    return following
