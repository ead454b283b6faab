"""What a search finds, all of it, in figures: how many traces, when, how long, and what their spans have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from minitrace.errors import QueryTimeout
from minitrace.model import MAX_TIME_NS
from minitrace.store.database import Reader
from minitrace.store.facets import Facet, facets
from minitrace.store.matching import Matching, Memory, matching, question
from minitrace.store.pieces import ALWAYS, Node
from minitrace.store.resolve import TRACES
from minitrace.store.search import Search

MOST_BUCKETS = 60
MOST_POINTS = 1_000
HEAT_ROWS = 20


@dataclass(slots=True)
class Bucket:
    """A part of the time, from its start to before its end, and the matching traces that start in it."""

    start_ns: int
    end_ns: int
    trace_count: int = 0
    error_count: int = 0


@dataclass(slots=True)
class Point:
    """A matching trace as a point of a scatter plot; service and name are None while its root was not received."""

    trace_id: bytes
    start_ns: int
    duration_ns: int
    span_count: int
    error_count: int
    root_service: str | None
    root_name: str | None


@dataclass(slots=True)
class Cell:
    """A field of the heat map: the matching traces of a bucket, `column`, that took from `shortest_ns` to before
    `longest_ns`; the last row takes the longest trace in, too.
    """

    column: int
    shortest_ns: int
    longest_ns: int
    trace_count: int = 0
    error_count: int = 0


@dataclass(slots=True)
class Overview:
    """All that a search finds. `error_count` traces have errors; times and durations are those of whole traces.

    `complete` is False if not all of it was counted, for a `reason`; then it is the newest that was. Up to
    `MOST_POINTS` traces are `points`; of more there are `cells`, but for empty ones.
    """

    trace_count: int = 0
    error_count: int = 0
    complete: bool = True
    reason: str = ""
    inspected: int = 0
    looked_back_to_ns: int | None = None
    start_ns: int = 0
    end_ns: int = 0
    shortest_ns: int = 0
    longest_ns: int = 0
    buckets: list[Bucket] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    facets: list[Facet] = field(default_factory=list)


async def overview(reader: Reader, memory: Memory, search: Search, fields: Sequence[Node] = ()) -> Overview:
    """What a search finds, whatever its limit and order; with facets of `fields` behind those of `ALWAYS`."""
    wanted = tuple(dict.fromkeys((*ALWAYS, *fields)))
    key, began = ("overview", question(search), wanted), memory.recent.version
    made: Overview | None = memory.recent.get(key)
    if made is None:
        found = await matching(reader, memory, search, wanted)
        made = await _draw(reader, found)
        made.facets = await facets(reader, found, wanted, made.trace_count, made.start_ns)
        if not _gets_further(found):
            memory.recent.keep(key, made, began)
    return made


def _gets_further(found: Matching) -> bool:
    """Whether there would be more the next time, with nothing written since."""
    return found.spans is not None and not found.spans.is_complete and (not found.complete or found.spans.goes_on)


async def _draw(reader: Reader, found: Matching) -> Overview:
    """The figures of all that was found, and how it is spread."""
    made = Overview(
        complete=found.complete, reason=found.reason, inspected=found.inspected,
        looked_back_to_ns=found.looked_back_to_ns,
    )  # fmt: skip
    try:
        extent, *rows = await reader.rows(_SPREAD.format(where=found.where), found.bound)
        if rows:
            _spread(made, extent, rows)
        if 0 < made.trace_count <= MOST_POINTS:
            made.cells, made.points = [], await _points(reader, found)
    except QueryTimeout as error:
        made.complete, made.reason = False, made.reason or str(error)
    if found.spans is not None:
        made.inspected, made.looked_back_to_ns = made.trace_count, made.start_ns or None
    return made


def _spread(made: Overview, extent: Any, rows: list[Any]) -> None:
    """Fill in figures, buckets and cells, from rows of `_SPREAD`."""
    made.start_ns, made.end_ns, made.shortest_ns, made.longest_ns, width_ns = extent
    columns = (made.end_ns - made.start_ns) // width_ns + 1
    firsts = [made.start_ns + n * width_ns for n in range(columns)]
    made.buckets = [Bucket(first, first + width_ns) for first in firsts]
    steps = {row[0] % len(SCALE) for row in rows}
    lowest, together = min(steps), (max(steps) - min(steps)) // HEAT_ROWS + 1  # so many steps are one row
    cells: dict[tuple[int, int], Cell] = {}
    for place, trace_count, error_count, *_ in rows:
        column, step = divmod(place, len(SCALE))
        low = step - (step - lowest) % together
        high = min(low + together, len(SCALE) - 1)
        cell = cells.setdefault((column, low), Cell(column, SCALE[low], SCALE[high]))
        for one in (made, made.buckets[column], cell):
            one.trace_count += trace_count
            one.error_count += error_count
    made.cells = [cells[place] for place in sorted(cells)]


async def _points(reader: Reader, found: Matching) -> list[Point]:
    sql = f"""
        SELECT trace_id, start_ns, end_ns - start_ns, span_count, error_count, services.name, root_name
        FROM {TRACES}
        WHERE {found.where}
        ORDER BY start_ns, traces.id
    """
    return [Point(*row) for row in await reader.rows(sql, found.bound)]


def _place(column: str, first: int, last: int) -> str:
    """Which step of `SCALE` a column is on, as SQL, which does not have logarithms everywhere."""
    if first == last:
        return str(first)
    middle = (first + last + 1) // 2
    below, above = _place(column, first, middle - 1), _place(column, middle, last)
    return f"CASE WHEN {column} < {SCALE[middle]} THEN {below} ELSE {above} END"


# Four steps for each doubling: 0, 1, 2, 3 … ns to 73 years
SCALE = [0, *sorted({round(2 ** (n / 4)) for n in range(4 * 61)}), MAX_TIME_NS]
# First what is to be known before traces can be placed; then by place, column and step, traces and those with errors.
# One number is grouped by in half the time that two take.
_SPREAD = f"""
    WITH
        found AS MATERIALIZED (
            SELECT start_ns, end_ns - start_ns AS duration_ns, error_count > 0 AS has_error
            FROM {TRACES}
            WHERE {{where}}
        ),
        extent AS MATERIALIZED (
            SELECT min(start_ns) AS first_ns, max(start_ns) AS last_ns, min(duration_ns) AS shortest_ns,
                max(duration_ns) AS longest_ns, (max(start_ns) - min(start_ns)) / {MOST_BUCKETS} + 1 AS width_ns
            FROM found
        )
    SELECT first_ns, last_ns, shortest_ns, longest_ns, width_ns FROM extent
    UNION ALL
    SELECT (start_ns - first_ns) / width_ns * {len(SCALE)} + {_place("duration_ns", 0, len(SCALE) - 2)},
        count(*), sum(has_error), 0, 0
    FROM extent CROSS JOIN found
    GROUP BY 1
"""
