"""Overviews and forms for tests of what is drawn of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from minitrace.store.facets import Facet, FacetValue
from minitrace.store.overview import Bucket, Cell, Overview, Point
from minitrace.traceql.ast import Attribute, Intrinsic
from minitrace.web.forms import SearchForm, read_form
from tests.samples import MS, T0, trace_id

SERVICE = Attribute("resource", "service.name")
S = 1000 * MS


def form(q: str = "", **values: str) -> SearchForm:
    """The form of a search address."""
    return read_form({"q": q, **values}, T0)


def point(
    name: str, *, at: int = T0, length: int = 10 * MS, spans: int = 1, errors: int = 0, root: str | None = "GET /"
) -> Point:
    """A trace of the shop."""
    return Point(trace_id(name), at, length, spans, errors, None if root is None else "shop", root)


def of_points(*points: Point) -> Overview:
    """An overview of a few traces, in one bucket."""
    return _overview([(p.start_ns, p.duration_ns, 1, int(p.error_count > 0)) for p in points], points=list(points))


def of_cells(*cells: Cell, columns: int = 4) -> Overview:
    """An overview of many traces, in buckets of one second."""
    rows = [
        (T0 + c.column * S, ns, c.trace_count, c.error_count) for c in cells for ns in (c.shortest_ns, c.longest_ns)
    ]
    found = _overview(rows, cells=list(cells))
    found.buckets = [Bucket(T0 + n * S, T0 + (n + 1) * S) for n in range(columns)]
    return found


def _overview(
    rows: Sequence[tuple[int, int, int, int]], points: list[Point] | None = None, cells: list[Cell] | None = None
) -> Overview:
    starts, lengths, counts, errors = zip(*rows, strict=True)
    return Overview(
        sum(counts),
        sum(errors),
        start_ns=min(starts),
        end_ns=max(starts),
        shortest_ns=min(lengths),
        longest_ns=max(lengths),
        buckets=[Bucket(min(starts), max(starts) + 1, sum(counts), sum(errors))],
        points=points or [],
        cells=cells or [],
    )


def facet(field: Attribute | Intrinsic, counts: dict[object, int], more: int = 0) -> Facet:
    """A facet with these values."""
    return Facet(field, [FacetValue(value, count) for value, count in counts.items()], more)  # type: ignore[arg-type]


def standing(*pinned: Facet, services: dict[object, int] | None = None) -> list[Facet]:
    """The facets that are always there, with nothing in them but services; and others behind them."""
    empty: Iterable[Facet] = (Facet(Intrinsic(name), []) for name in ("name", "status", "kind"))
    return [facet(SERVICE, services or {}), *empty, *pinned]
