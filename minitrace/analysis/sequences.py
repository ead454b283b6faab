"""Calls that wait for each other and perhaps need not.

```
GET /product/7   ██────────█──────█──────────██    three calls, one right after another:
  GetPrice         ────────                        together they would take as long as GetReviews
  GetStock                 ██──────
  GetReviews                       ──────────
```

Whether one call needs another's answer is not in a trace, so these are hints. To be worth reading they must save a
tenth of the trace. Calls that change something keep their place, and loops of like calls are left to `repeats`. Of
databases nothing is said: a connection takes one statement at a time, and asks the cache before the table on purpose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from collections.abc import Sequence as Rows
from itertools import groupby
from typing import NamedTuple

from minitrace.analysis.signatures import signature
from minitrace.analysis.tree import Tree
from minitrace.model import Kind

LEAST_CALLS = 3  # of two, the second often needs the first one's answer
LEAST_SHARE = 10  # a tenth of the trace must be to save
PAUSE_SHARE = 4  # a pause of up to a quarter of the longer call beside it is no work of its own
LOOP = 5  # so many like calls are a loop

_CALLERS = frozenset({Kind.CLIENT, Kind.PRODUCER})
_CALLED = frozenset({Kind.SERVER, Kind.CONSUMER})
_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_DATABASE = ("db.system.name", "db.system", "db.query.text", "db.statement")


class Sequence(NamedTuple):
    """Calls below `parent`, in order; in parallel they would take `saved_ns` less: all but the longest."""

    parent: int
    rows: tuple[int, ...]
    saved_ns: int


def sequences(tree: Tree) -> list[Sequence]:
    """Sibling calls, one right after another, that could run in parallel; at most one a parent, most to save first."""
    least = max(1, tree.duration_ns // LEAST_SHARE)
    found: list[Sequence] = []
    for row, node in enumerate(tree.nodes):
        if len(node.children) >= LEAST_CALLS and _length(tree, row) >= least:
            best = max(_below(tree, row, least), key=_saved, default=None)
            if best and best.saved_ns >= least:
                found.append(best)
    return sorted(found, key=_saved, reverse=True)


def _saved(sequence: Sequence) -> int:
    return sequence.saved_ns


def _below(tree: Tree, parent: int, least: int) -> Iterator[Sequence]:
    """The sequences right below a row; none where nothing there has `least` nanoseconds to save."""
    chains = list(_chains(tree, parent))
    if all(_to_save(tree, chain) < least for chain in chains):
        return  # before names are read, which costs most
    names = {row: _name(tree, row) for chain in chains for row in chain}
    counts = Counter(names.values())
    for chain in chains:
        for changes, calls in groupby(chain, lambda row: _changes(names[row])):
            rows = tuple(row for row in calls if counts[names[row]] < LOOP)
            if not changes and len(rows) >= LEAST_CALLS and len({names[row] for row in rows}) > 1:
                yield Sequence(parent, rows, _to_save(tree, rows))


def _chains(tree: Tree, parent: int) -> Iterator[list[int]]:
    """The calls right below a row that follow each other closely and overlap with no other call."""
    begins, ends = tree.begins, tree.ends
    chain: list[int] = []
    reached = 0  # until when the calls met so far run
    for row in sorted(tree.children(parent), key=begins.__getitem__):
        if begins[row] == ends[row] or not _is_call(tree, row):
            continue
        if chain and not _follows(tree, row, chain[-1]):
            yield chain
            chain = []
        if begins[row] >= reached:
            chain.append(row)
        reached = max(reached, ends[row])
    yield chain


def _follows(tree: Tree, row: int, before: int) -> bool:
    pause = tree.begins[row] - tree.ends[before]
    return 0 <= pause * PAUSE_SHARE <= max(_length(tree, row), _length(tree, before))


def _is_call(tree: Tree, row: int) -> bool:
    """Whether it asks another service, or is around what another answered."""
    node = tree.nodes[row]
    asks = node.span.kind in _CALLERS and node.span.attributes.keys().isdisjoint(_DATABASE)
    return asks or any(child.span.kind in _CALLED for child in node.children)


def _name(tree: Tree, row: int) -> tuple[str, str]:
    """Whom a row calls, as far as the trace has it, and for what."""
    node = tree.nodes[row]
    answering = next((child.span for child in node.children if child.span.kind in _CALLED), node.span)
    return answering.service, signature(node.span)


def _changes(name: tuple[str, str]) -> bool:
    return name[1].split(" ", 1)[0].upper() in _CHANGING


def _to_save(tree: Tree, rows: Rows[int]) -> int:
    lengths = [_length(tree, row) for row in rows]
    return sum(lengths) - max(lengths, default=0)


def _length(tree: Tree, row: int) -> int:
    return tree.ends[row] - tree.begins[row]
