"""How many spans were stored, by service, name, kind and status, and how long they took: Prometheus' counters.

At most `MOST_SERIES` are told apart, with `MOST_LABEL_BYTES` of labels. Of those a tenth is kept for "other operations"
of services, whose names are too many, and the last few of that for "other services". Nothing is ever taken off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from minitrace.model import Kind, StatusCode
from minitrace.store import tokens
from minitrace.store.cells import KIND_BITS, STATUS_BITS
from minitrace.store.database import Reader
from minitrace.store.dimensions import dimensions
from minitrace.store.pieces import Piece
from minitrace.store.timings import MOST_LABEL_BYTES, Exemplar, Timings, bounds_ns, bucket_sql, label, size_bytes

MOST_SERIES = 10_000
OTHER_SERVICES, OTHER_OPERATIONS = "other services", "other operations"
LATENCY_NS = bounds_ns(2_000_000, 14)
_BUCKET_BITS = 4

# As in pieces.py: columns as one number, which groups in half the time
_SERIES = f"""
    ((((service << {tokens.COUNT_BITS} | name) << {KIND_BITS}
        | iif(kind BETWEEN 1 AND {max(Kind)}, kind, 0)) << {STATUS_BITS}
        | iif(status BETWEEN 1 AND {max(StatusCode)}, status, 0)) << {_BUCKET_BITS}
        | {bucket_sql("duration_ns", LATENCY_NS)})
"""
# `id` is that of the slowest span: https://sqlite.org/lang_select.html#bareagg. total(), as sum() overflows
_COUNT = f"""
    SELECT {_SERIES}, count(*), total(duration_ns), max(duration_ns), id
    FROM spans
    WHERE id BETWEEN ? AND ?
    GROUP BY 1
"""
_COUNT_BY_ORIGIN = f"""
    SELECT {_SERIES}, count(*), total(duration_ns), max(duration_ns), id, resource, attributes
    FROM spans
    WHERE id BETWEEN ? AND ?
    GROUP BY 1, resource, attributes
"""


# Service, name, kind, status, bucket, count, sum and longest of the durations, whose that is, values of dimensions
Found = tuple[int, str, int, int, int, int, float, int, int, tuple[str, ...]]


class Labels(NamedTuple):
    """What the spans of a series have in common."""

    service: str
    name: str
    kind: Kind
    status: StatusCode
    dimensions: tuple[str, ...] = ()


class SpanCounters:
    """The counters, by their labels. `others` of the spans are in series for what is not told apart."""

    def __init__(self, names: Sequence[str] = (), most_series: int = MOST_SERIES) -> None:
        self.dimensions = names  # attributes whose values are labels, too
        self.series: dict[Labels, Timings] = {}
        self.others = 0
        self._label_bytes = 0
        self._most_own = most_series - most_series // 10
        self._most_services = most_series - len(Kind) * len(StatusCode)

    async def find(self, reader: Reader, piece: Piece) -> list[Found]:
        """The spans of a piece, for `add`. Raises QueryTimeout."""
        bounds = piece.first, piece.last
        if not self.dimensions:
            rows = [(*row, ()) for row in await reader.rows(_COUNT, bounds)]
        else:
            by_origin = await reader.rows(_COUNT_BY_ORIGIN, bounds)
            origins = [(resource, text) for *_, resource, text in by_origin]
            values = await dimensions(reader, piece.segment.id, self.dimensions, origins)
            rows = [(*row[:-2], values(origin)) for row, origin in zip(by_origin, origins, strict=True)]
        parts = [_parts(row[0]) for row in rows]
        first = tokens.first_id(piece.segment.id, tokens.NAME)
        sql = "SELECT id - ?, value FROM dictionary WHERE id IN (SELECT value FROM json_each(?))"
        names = dict(await reader.rows(sql, (first, str([first + name for name in {part[1] for part in parts}]))))
        return [(service, names[name], *of, *row[1:]) for (service, name, *of), row in zip(parts, rows, strict=True)]

    def add(self, found: list[Found], services: Mapping[int, str], now_ns: int) -> list[Exemplar]:
        """Count what was found; returns the new exemplars."""
        fresh = []
        for service, name, kind, status, bucket, count, total_ns, slowest_ns, slowest, values in found:
            own = Labels(
                label(services[service]), label(name), Kind(kind), StatusCode(status), tuple(map(label, values))
            )
            timings = self._timings(own, count)
            exemplar = Exemplar(slowest, slowest_ns, now_ns)
            if timings.add(bucket, count, total_ns, exemplar):
                fresh.append(exemplar)
        return fresh

    def _timings(self, labels: Labels, count: int) -> Timings:
        """Those of a series of its own, or of one for others where there are too many."""
        known = self.series.get(labels)
        if known is not None:
            return known
        if len(self.series) >= self._most_own or self._label_bytes >= MOST_LABEL_BYTES * 0.9:
            self.others += count
            labels = labels._replace(name=OTHER_OPERATIONS, dimensions=("",) * len(labels.dimensions))
            is_full = len(self.series) >= self._most_services or self._label_bytes >= MOST_LABEL_BYTES
            if is_full and labels not in self.series:
                labels = labels._replace(service=OTHER_SERVICES)
        if labels not in self.series:
            self.series[labels] = Timings(LATENCY_NS)
            self._label_bytes += size_bytes((labels.service, labels.name, *labels.dimensions))
        return self.series[labels]

    def forget(self, last_span: int) -> None:
        """Forget the exemplars among the rows up to one, which may have left. No counter changes."""
        for timings in self.series.values():
            timings.forget(last_span)


def _parts(key: int) -> tuple[int, int, int, int, int]:
    """What `_SERIES` put together: service, name, kind, status and bucket."""
    key, bucket = divmod(key, 1 << _BUCKET_BITS)
    key, status = divmod(key, 1 << STATUS_BITS)
    key, kind = divmod(key, 1 << KIND_BITS)
    return key >> tokens.COUNT_BITS, key & (1 << tokens.COUNT_BITS) - 1, kind, status, bucket
