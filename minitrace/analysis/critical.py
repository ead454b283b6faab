"""The critical path: the spans that held the trace up, moment by moment.

Back from the end, the child that ended last takes over, down to its own begin; then, of those that had ended by then,
the one that ended last. What was still running did not hold up what came next. The parent has the rest.

```
POST /pay      ██····················██    ·  waits for a child
  GetCart        ████████
  GetUser        ────                      ended earlier than GetCart
  charge                 █··········█
    bank                  ██████████
```

A child counts only up to its parent's end. Tops have no parent that could be at work between them, so one that still
ran has the time before the next one's begin.
"""

from __future__ import annotations

from operator import itemgetter
from typing import NamedTuple

from minitrace.analysis.tree import Tree

_Window = tuple[int, int, int]  # a row, and from when to when it and those below it hold the trace up


class Stretch(NamedTuple):
    """A row from `begin` to `end`, in nanoseconds since the tree's start."""

    row: int
    begin: int
    end: int


def critical_path(tree: Tree) -> list[Stretch]:
    """The critical path in order of time: at any moment at which a top runs, exactly one row."""
    begins, ends = tree.begins, tree.ends
    path: list[Stretch] = []
    windows = _tops(tree)
    while windows:
        row, first, last = windows.pop()
        moment = last
        for child in _by_end(tree, row, last) if tree.sizes[row] > 1 else ():
            begin, end = begins[child], ends[child]
            begin = begin if begin > first else first  # max() and min() took half of the time
            end = end if end < last else last
            if begin < end <= moment:
                windows.append((child, begin, end))
                if end < moment:
                    path.append(Stretch(row, end, moment))
                moment = begin
        if first < moment:
            path.append(Stretch(row, first, moment))
    path.sort(key=itemgetter(1))
    return path


def _by_end(tree: Tree, row: int, last: int) -> list[int]:
    """The children of a row, those that end last first; of those that end together, or after `last`, the longest."""
    begins, ends = tree.begins, tree.ends
    children = list(tree.children(row))
    if len(children) > 1:
        children.sort(key=lambda child: (-ends[child] if ends[child] < last else -last, begins[child]))
    return children


def _tops(tree: Tree) -> list[_Window]:
    """The tops that held the trace up, latest first, without overlap: as few as cover what all of them cover."""
    begins, ends = tree.begins, tree.ends
    reaching: list[int] = []  # each ends later than all that began before it
    reached = 0
    for top in sorted(tree.tops(), key=lambda top: (begins[top], -ends[top])):
        if ends[top] > max(begins[top], reached):
            reaching.append(top)
            reached = ends[top]
    windows: list[_Window] = []
    moment = reached
    while reaching:
        top = reaching.pop()
        while reaching and ends[reaching[-1]] >= moment:
            top = reaching.pop()
        windows.append((top, begins[top], min(ends[top], moment)))
        moment = begins[top]
    return windows
