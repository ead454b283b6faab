"""How many traces started when: bars, with those that have errors at their foot. Places are per cent of the plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minitrace import present
from minitrace.store.overview import Bucket
from minitrace.web.axes import TimeAxis
from minitrace.web.scatter import title
from minitrace.web.zoom import Zoom

_LEAST_HEIGHT = 6.0  # one trace beside thousands is still seen


@dataclass(frozen=True, slots=True)
class HistogramBar:
    """The traces of a part of the time, linked to only them; `error_height` is part of `height`."""

    left: float
    width: float
    height: float
    error_height: float
    url: str
    title: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """The bars that are not empty, and how many traces the highest has."""

    bars: list[HistogramBar]
    most: int


def histogram(buckets: Sequence[Bucket], times: TimeAxis, zoom: Zoom) -> Histogram:
    """The drawing of how many traces started when."""
    most = max((bucket.trace_count for bucket in buckets), default=0)
    return Histogram([_bar(bucket, times, zoom, most) for bucket in buckets if bucket.trace_count], most)


def _bar(bucket: Bucket, times: TimeAxis, zoom: Zoom, most: int) -> HistogramBar:
    left = times.place(bucket.start_ns)
    return HistogramBar(
        round(left, 2),
        round(times.place(bucket.end_ns) - left, 2),
        _height(bucket.trace_count, most),
        _height(bucket.error_count, most),
        zoom.to_time(bucket.start_ns, bucket.end_ns),
        f"{title(bucket.trace_count, bucket.error_count)}, from {present.time(bucket.start_ns)}",
    )


def _height(count: int, most: int) -> float:
    return round(max(_LEAST_HEIGHT, count / most * 100), 2) if count else 0.0
