"""The traces of a search by start and duration: a dot for each, or a heat map of many. Places are per cent of the plot.

```
1 s   ·    ×                    ▂▂ ▂▅
100ms  · ·:··· ·:              ▂▅█▅▅█▅
10 ms ::·:·::·:·:··            ▅███▅██▅
```
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from minitrace import present
from minitrace.store.overview import Cell, Overview, Point
from minitrace.web.axes import DurationAxis, TimeAxis
from minitrace.web.zoom import Zoom

LEVELS = 5  # of a heat map's intensity
_LEAST_RADIUS, _MOST_RADIUS = 3.0, 7.0  # pixels


@dataclass(frozen=True, slots=True)
class Dot:
    """A trace. `radius`, in pixels, grows with the number of its spans."""

    left: float
    top: float
    radius: float
    url: str
    title: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class Block:
    """Traces near to each other, linked to only them. `path` is a rectangle of a plot of 100 by 100.

    `level`, from 1 to 5, says how many they are; `failed`, a path on its upper edge, which part of them has errors.
    """

    path: str
    level: int
    failed: str
    url: str
    title: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """What is drawn: dots, or blocks, and the duration axis beside them."""

    axis: DurationAxis
    dots: list[Dot]
    blocks: list[Block]


def scatter(overview: Overview, times: TimeAxis, zoom: Zoom) -> Scatter:
    """The drawing of what a search found; those that failed lie on top."""
    axis = _axis(overview)
    points = sorted(overview.points, key=lambda point: (point.error_count > 0, -point.span_count))
    most = max((cell.trace_count for cell in overview.cells), default=1)
    return Scatter(
        axis,
        [_dot(point, times, axis) for point in points],
        [_block(cell, overview, times, axis, zoom, most) for cell in overview.cells],
    )


def _axis(overview: Overview) -> DurationAxis:
    """From the shortest that is not 0: a logarithmic axis from 0 on would have all others at its upper end."""
    cells = overview.cells
    lowest = min((cell.shortest_ns for cell in cells), default=overview.shortest_ns)
    lengths = [point.duration_ns for point in overview.points] or [cell.longest_ns for cell in cells]
    shortest_ns = lowest or min((ns for ns in lengths if ns > 0), default=1) // 2
    return DurationAxis(shortest_ns, max((cell.longest_ns for cell in cells), default=overview.longest_ns))


def _dot(point: Point, times: TimeAxis, axis: DurationAxis) -> Dot:
    return Dot(
        round(times.place(point.start_ns), 2),
        round(100 - axis.place(point.duration_ns), 2),
        round(min(_LEAST_RADIUS + math.log10(max(1, point.span_count)), _MOST_RADIUS), 1),
        f"/trace/{point.trace_id.hex()}",
        _title(point),
        point.error_count > 0,
    )


def _title(point: Point) -> str:
    name = "root not received" if point.root_name is None else f"{point.root_service} {point.root_name or '(no name)'}"
    facts = [present.printable(name), present.duration(point.duration_ns), present.count(point.span_count, "span")]
    return " · ".join([*facts, present.count(point.error_count, "error")] if point.error_count else facts)


def _block(cell: Cell, overview: Overview, times: TimeAxis, axis: DurationAxis, zoom: Zoom, most: int) -> Block:
    bucket = overview.buckets[cell.column]
    left, top = times.place(bucket.start_ns), 100 - axis.place(cell.longest_ns)
    width = times.place(bucket.end_ns) - left
    return Block(
        _rectangle(left, top, width, 100 - axis.place(cell.shortest_ns) - top),
        math.ceil(LEVELS * math.sqrt(cell.trace_count / most)),  # a logarithm has most of them at its end
        _rectangle(left, top, width * cell.error_count / cell.trace_count, 1) if cell.error_count else "",
        zoom.to_both(bucket.start_ns, bucket.end_ns, cell.shortest_ns, cell.longest_ns),
        f"{_durations(cell.shortest_ns, cell.longest_ns)}: {title(cell.trace_count, cell.error_count)}",
    )


def _rectangle(left: float, top: float, width: float, height: float) -> str:
    return f"M{left:.2f} {top:.2f}h{width:.2f}v{height:.2f}h{-width:.2f}z"


@lru_cache(64)
def _durations(shortest_ns: int, longest_ns: int) -> str:
    return f"{present.duration(shortest_ns)} – {present.duration(longest_ns)}"


def title(trace_count: int, error_count: int) -> str:
    """How many traces, and how many of them failed."""
    errors = f", {present.integer(error_count)} with errors" if error_count else ""
    return present.count(trace_count, "trace") + errors
