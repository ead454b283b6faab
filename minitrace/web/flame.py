"""Call paths to the frames of a flame graph, as wide as the time that was spent in and below them.

```
checkout POST /pay                              ████████████████████████████
 cart GetCart, payment POST /charge             ████████ ███████████████
 stock SELECT stock ×14                         ██████
```

Spans of one name and service that were called in the same way are one frame. What is blank below a frame is its own
time. Side by side is not one after another: the widest stands first.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from minitrace.analysis.paths import CallPath, paths
from minitrace.analysis.tree import Tree
from minitrace.model import Span

MAX_LEVELS = 60
MAX_FRAMES = 600  # the widest; more would take longer to render than to read
LEAST_WIDTH = 0.15  # per cent: two pixels of a wide screen


@dataclass(frozen=True, slots=True)
class Frame:
    """One call path, at a level counted from 0; `left` and `width` are per cent. `span` is the slowest of its spans."""

    path: CallPath
    span: Span
    level: int
    left: float
    width: float
    is_deeper: bool = False  # there is more below it than is drawn


@dataclass(frozen=True, slots=True)
class Rest:
    """What is too narrow to be drawn, together."""

    count: int
    total_ns: int
    level: int
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Crumb:
    """A call path on the way to the one that is looked at, and its slowest span."""

    path: CallPath
    span: Span


@dataclass(frozen=True, slots=True)
class Flame:
    """`trail` leads from a top to the path that is looked at; none if all are. `is_cut`: some frames are not here."""

    frames: list[Frame]
    rests: list[Rest]
    levels: int
    trail: list[Crumb]
    total_ns: int
    duration_ns: int
    is_cut: bool


def flame(tree: Tree, at: bytes | None = None) -> Flame:
    """The frames of a whole trace; with the id of a span, of the call path that it belongs to, and what is below."""
    everything = paths(tree)
    trail = list(_trail(tree, everything, at))
    tops = trail[-1:] or everything.children
    frames, rests, is_cut = _draw(tree, tops)
    return Flame(
        frames,
        rests,
        max([frame.level for frame in frames] + [rest.level for rest in rests], default=-1) + 1,
        [Crumb(path, tree.span(path.row)) for path in trail],
        everything.total_ns,
        tree.duration_ns,
        is_cut,
    )


def _trail(tree: Tree, everything: CallPath, span_id: bytes | None) -> Iterator[CallPath]:
    """The call paths from a top to the one with that span; none if it is not here.

    A span names a path in an address: an id is short however deep it is, and stays right when spans arrive.
    """
    row = next((row for row, node in enumerate(tree.nodes) if node.span.span_id == span_id), -1)
    rows = []
    while row >= 0:
        rows.append(row)
        row = tree.parents[row]
    path = everything
    for row in reversed(rows):
        span = tree.span(row)
        path = next(child for child in path.children if (child.service, child.name) == (span.service, span.name))
        yield path


def _draw(tree: Tree, tops: list[CallPath]) -> tuple[list[Frame], list[Rest], bool]:
    """Frames from the widest to the narrowest. None is wider than the one above it, so that one is there by then."""
    whole_ns = sum(path.total_ns for path in tops)
    frames: list[Frame] = []
    rests: list[Rest] = []
    waiting: list[tuple[int, int, CallPath, int, float]] = []

    def add(paths: list[CallPath], level: int, left: float) -> None:
        for number, path in enumerate(paths):
            width = path.total_ns / whole_ns * 100
            if width < LEAST_WIDTH:  # and so are all after it: they come by their total
                rests.extend(_rest(paths[number:], level, left, whole_ns))
                return
            heapq.heappush(waiting, (-path.total_ns, path.row, path, level, left))
            left += width

    if whole_ns:
        add(tops, 0, 0.0)
    while waiting and len(frames) < MAX_FRAMES:
        _, _, path, level, left = heapq.heappop(waiting)
        is_last = level == MAX_LEVELS - 1
        if not is_last:
            add(path.children, level + 1, left)
        width = path.total_ns / whole_ns * 100
        frames.append(Frame(path, tree.span(path.row), level, left, width, is_last and bool(path.children)))
    return frames, rests, bool(waiting)


def _rest(paths: list[CallPath], level: int, left: float, whole_ns: int) -> Iterator[Rest]:
    total_ns = sum(path.total_ns for path in paths)
    width = total_ns / whole_ns * 100
    if width >= LEAST_WIDTH:
        yield Rest(len(paths), total_ns, level, left, width)
