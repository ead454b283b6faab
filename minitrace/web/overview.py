"""What a search found, all of it, as a page shows it: charts to narrow it by time and duration, and facets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from minitrace.store.dictionary import AttributeKey
from minitrace.store.overview import MOST_BUCKETS, Bucket, Overview
from minitrace.traceql.ast import SCOPES, Attribute
from minitrace.web.axes import TimeAxis
from minitrace.web.facets import facet_lists
from minitrace.web.forms import SearchForm
from minitrace.web.histogram import Histogram, histogram
from minitrace.web.scatter import Scatter, scatter
from minitrace.web.zoom import Zoom

MAX_SUGGESTIONS = 200
CLOCKS_BEGIN_NS = 946_684_800 * 10**9  # 2000: a clock that says less was never set, and is decades from all others


@dataclass(frozen=True, slots=True)
class Charts:
    """The drawings over one time axis, and the addresses that lead into and out of them."""

    times: TimeAxis
    scatter: Scatter
    histogram: Histogram
    bucket_ns: int
    url: str
    around: tuple[str, str] | None
    undated_count: int  # traces that are not drawn


def shown(overview: Overview | None, form: SearchForm, keys: Iterable[AttributeKey] = ()) -> dict[str, Any]:
    """What `_overview.html` shows; `keys` are the attributes that can be pinned."""
    return {
        "charts": _charts(overview, form) if overview and overview.trace_count else None,
        "reset_url": Zoom(form).reset_url,
        "overview": overview,
        "facets": facet_lists(overview.facets, form) if overview else [],
        "counts_complete": bool(overview and overview.complete and all(facet.complete for facet in overview.facets)),
        "fields": parse_qsl(form.url().partition("?")[2]),
        "pinnable": _pinnable(keys),
    }


def _charts(overview: Overview, form: SearchForm) -> Charts:
    zoom, trace_count = Zoom(form), len(overview.points)
    overview = _dated(overview)
    times = TimeAxis(overview.start_ns, max([overview.end_ns, *(bucket.end_ns for bucket in overview.buckets)]))
    return Charts(
        times,
        scatter(overview, times, zoom),
        histogram(overview.buckets, times, zoom),
        overview.buckets[0].end_ns - overview.buckets[0].start_ns if overview.buckets else 0,
        form.url(),
        zoom.around,
        trace_count - len(overview.points),
    )


def _dated(overview: Overview) -> Overview:
    """The same without points of clocks that were never set, unless there are no others."""
    points = [point for point in overview.points if point.start_ns >= CLOCKS_BEGIN_NS]
    if not points or len(points) == len(overview.points):
        return overview
    starts = [point.start_ns for point in points]
    first, width_ns = min(starts), (max(starts) - min(starts)) // MOST_BUCKETS + 1
    columns = range((max(starts) - first) // width_ns + 1)
    buckets = [Bucket(first + n * width_ns, first + (n + 1) * width_ns) for n in columns]
    for point in points:
        bucket = buckets[(point.start_ns - first) // width_ns]
        bucket.trace_count += 1
        bucket.error_count += point.error_count > 0
    return replace(overview, start_ns=first, end_ns=max(starts), points=points, buckets=buckets)


def _pinnable(keys: Iterable[AttributeKey]) -> list[str]:
    names = {str(Attribute(key.scope, key.name)) for key in keys if key.scope in SCOPES}
    return sorted(names)[:MAX_SUGGESTIONS]
