"""Whole traces by the many: those that match, and those that a trace can be held against.

The population of a trace is the others with its root operation. Where its root has not been received, there is none.
"""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from dataclasses import replace
from itertools import accumulate

from minitrace import present
from minitrace.model import Trace
from minitrace.store.database import Reader, work
from minitrace.store.matching import exactly
from minitrace.store.pieces import Kept
from minitrace.store.plan import plan
from minitrace.store.resolve import TRACES, Inexpressible
from minitrace.store.search import Search, search
from minitrace.store.traces import SPANS_PER_S, Loader, Wanted

NAMES = Wanted(frozenset({("resource", "service.name")}), details=False)  # enough for `operations`
ATTRIBUTES = Wanted(details=False)  # enough for `unusual`
MEDIAN_OF = 1_000  # others at most
MOST_SPANS = 100_000  # that are loaded by their service and name: 0.5 s and 80 MB
MOST_SPANS_WITH_ATTRIBUTES = 25_000  # 1 s

# By start, to stop at the limit; an index by root would have to be kept for every trace.
_OTHERS = """
    SELECT other.id, other.trace_id, other.end_ns - other.start_ns, other.error_count
    FROM traces AS subject CROSS JOIN traces AS other INDEXED BY traces_by_start
        ON other.root_name = subject.root_name AND other.root_service = subject.root_service
            AND other.id <> subject.id
    WHERE subject.trace_id = ?
    ORDER BY other.start_ns DESC, other.id DESC
    LIMIT ?
"""
_NEWEST = f"""
    SELECT traces.id
    FROM {TRACES}
    WHERE {{where}}
    ORDER BY start_ns DESC, traces.id DESC
    LIMIT ?
"""
_IDS = "SELECT trace_id, id FROM traces WHERE trace_id IN ({marks})"
_TRACES = """
    SELECT id, trace_id, removed_count, is_pinned, span_count
    FROM traces
    WHERE id IN (SELECT value FROM json_each(?))
"""


class Sample(list[Trace]):
    """Traces. `reason` says why they are not all there are; "" if they are."""

    reason = ""


async def typical(reader: Reader, trace_id: bytes) -> bytes | None:
    """The trace of median duration among the newest others with the same root operation; None if there is no other.

    Those without errors are preferred, if there are any.
    """
    others = await reader.rows(_OTHERS, (trace_id, MEDIAN_OF))
    good = [row for row in others if not row[3]] or others
    ordered = sorted(good, key=lambda row: row[2])
    return bytes(ordered[(len(ordered) - 1) // 2][1]) if ordered else None


async def sample(reader: Reader, kept: Kept, wanted_traces: Search, wanted: Wanted = NAMES) -> Sample:
    """The newest traces that match, as many as its limit, newest first, with what is wanted of them.

    Raises:
        QueryTimeout: the deadline passed before they were loaded.
    """
    ids, reason = await _newest(reader, kept, replace(wanted_traces, limit=wanted_traces.limit + 1))
    loaded = await _load(reader, ids[: wanted_traces.limit], wanted)
    if reason:
        loaded.reason = reason
    elif len(ids) > wanted_traces.limit and not loaded.reason:
        loaded.reason = f"more than {present.count(wanted_traces.limit, 'trace')} match; these are the newest"
    return loaded


async def _newest(reader: Reader, kept: Kept, wanted: Search) -> tuple[list[int], str]:
    """The newest traces that match, by their ids in `traces`; and why that is not all that was asked for, or "".

    An exact plan finds them in the index: nobody asks here which of their spans match, and a search for a thousand
    traces far apart would look at all that lie between them.
    """
    planned = plan(wanted.pipeline, wanted.words)
    if planned.is_exact:
        with suppress(Inexpressible):
            exact = await exactly(reader, kept, wanted, planned)
            rows = await reader.rows(_NEWEST.format(where=exact.where), [*exact.bound, wanted.limit])
            return [row[0] for row in rows], exact.reason
    found = await search(reader, replace(wanted, spans_per_set=0))
    ids = [match.summary.trace_id for match in found.matches]
    numbers = dict(await reader.rows(_IDS.format(marks=", ".join("?" * len(ids))), ids))
    return [numbers[trace_id] for trace_id in ids], found.reason


async def population(reader: Reader, trace_id: bytes, limit: int, wanted: Wanted = ATTRIBUTES) -> Sample:
    """The newest others with the same root operation, newest first, with what is wanted of them.

    Raises:
        QueryTimeout: the deadline passed before they were loaded.
    """
    others = await reader.rows(_OTHERS, (trace_id, limit))
    return await _load(reader, [row[0] for row in others], wanted)


async def _load(reader: Reader, ids: list[int], wanted: Wanted) -> Sample:
    """Traces by their ids in `traces`, the first ones of them if they have more spans than can be loaded."""
    rows = {row[0]: row for row in await reader.rows(_TRACES, (str(ids),))}
    most = MOST_SPANS if wanted.attributes is not None else MOST_SPANS_WITH_ATTRIBUTES
    totals = list(accumulate(rows[id_][4] for id_ in ids))
    taken = ids[: max(1, bisect_right(totals, most))]
    span_count = totals[len(taken) - 1] if taken else 0
    reader.deadline += span_count / SPANS_PER_S  # it is meant for searches
    spans = await Loader(reader, wanted).traces(taken)

    def make() -> Sample:
        return Sample(
            Trace(rows[id_][1], spans[id_], removed_count=rows[id_][2], is_pinned=bool(rows[id_][3])) for id_ in taken
        )

    loaded = await work(make, size=span_count // 4)
    if len(taken) < len(ids):
        loaded.reason = f"only the newest of them, with {present.count(span_count, 'span')}, were looked at"
    return loaded
