"""Trace summaries the plain way, from a list of spans: what the store's must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from minitrace.model import MAX_TIME_NS, Span
from minitrace.store.store import Store
from tests.store.asking import wanted

Summaries = dict[bytes, tuple[object, ...]]


def expected_summaries(spans: Sequence[Span], removed: Sequence[Span] = ()) -> Summaries:
    """Counts, errors, start, duration, root, whether complete, spans per service and spans removed, by trace."""
    made: Summaries = {}
    distinct = list({repr(item): item for item in spans}.values())
    lost = Counter(item.trace_id for item in removed)
    for key in {item.trace_id for item in distinct}:
        own = [item for item in distinct if item.trace_id == key]
        roots = sorted((min(s.start_ns, MAX_TIME_NS), s.span_id, s.name, s.service) for s in own if not s.parent_id)
        starts = [s.start_ns for s in own if 0 < s.start_ns < MAX_TIME_NS]
        ends = [s.start_ns + s.duration_ns for s in own if 0 < s.start_ns < MAX_TIME_NS]
        ids = {s.span_id for s in own}
        made[key] = (
            len(own),
            sum(s.is_error for s in own),
            min(starts, default=None),
            max(ends, default=0) - min(starts, default=0),
            roots[0][2] if roots else None,
            bool(roots) and all(not s.parent_id or s.parent_id in ids for s in own) and not lost[key],
            dict(Counter(s.service for s in own)),
            lost[key],
        )
    return made


async def found_summaries(store: Store) -> Summaries:
    """The same of what is stored."""
    found = [match.summary for match in (await store.search(wanted(limit=1000))).matches]
    return {
        s.trace_id: (
            s.span_count, s.error_count, s.start_ns, s.duration_ns, s.root_name, s.is_complete,
            {count.name: count.span_count for count in s.services}, s.removed_count,
        )
        for s in found
    }  # fmt: skip
