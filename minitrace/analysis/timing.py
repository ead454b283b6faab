"""When spans work themselves, when nobody says what happens, and who goes on after its parent.

```
POST /pay      ██░░░░░░░░████░░░░██    own time: what no child covers
  GetCart        ────────
  charge                     ────────  ends after its parent: it covers only what lies within it
```
"""

from __future__ import annotations

from collections.abc import Iterable

from minitrace.analysis.tree import Tree

GAP_SHARE = 20  # own time in one piece is worth a remark from a twentieth of the trace
GAP_NS = 20_000_000  # and from 20 ms


def own_times(tree: Tree) -> list[int]:
    """How long each row worked itself, in nanoseconds: its duration less what its children cover of it."""
    begins, ends = tree.begins, tree.ends
    own = [end - begin for begin, end in zip(begins, ends, strict=True)]
    covered = begins.copy()  # until when the children of each row that were met reach
    for row in _by_begin(tree):
        parent = tree.parents[row]
        if parent < 0:
            continue
        begin, end = max(begins[row], covered[parent]), min(ends[row], ends[parent])
        if begin < end:
            own[parent] -= end - begin
            covered[parent] = end
    return own


def own_stretches(tree: Tree, row: int) -> list[tuple[int, int]]:
    """When a row worked itself: (begin, end) in nanoseconds since the tree's start, in order, not touching."""
    stretches: list[tuple[int, int]] = []
    reached, last = tree.begins[row], tree.ends[row]
    for child in sorted(tree.children(row), key=tree.begins.__getitem__):
        begin, end = max(tree.begins[child], reached), min(tree.ends[child], last)
        if begin < end:
            if reached < begin:
                stretches.append((reached, begin))
            reached = end
    if reached < last:
        stretches.append((reached, last))
    return stretches


def gaps(tree: Tree) -> dict[int, list[tuple[int, int]]]:
    """Where a trace is silent: rows with children, and their long stretches of own time.

    Long is more than a twentieth of the trace and more than 20 ms. A row without children is no gap: its name says
    what it did.
    """
    least = max(tree.duration_ns // GAP_SHARE, GAP_NS)
    found: dict[int, list[tuple[int, int]]] = {}
    for row, (begin, end, size) in enumerate(zip(tree.begins, tree.ends, tree.sizes, strict=True)):
        if size > 1 and end - begin > least:
            long = [(begin, end) for begin, end in own_stretches(tree, row) if end - begin > least]
            if long:
                found[row] = long
    return found


def outliving(tree: Tree) -> set[int]:
    """The rows that end after their parent: work that it started and did not wait for."""
    ends, timeless = tree.ends, tree.timeless
    late = {row for row, parent in enumerate(tree.parents) if parent >= 0 and ends[row] > ends[parent]}
    return {row for row in late if tree.parents[row] not in timeless} if timeless else late


def _by_begin(tree: Tree) -> Iterable[int]:
    """All rows, siblings in order of begin; rows are so already, where none was moved."""
    rows = range(len(tree))
    return sorted(rows, key=tree.begins.__getitem__) if tree.shifts else rows
