"""Traces that were opened lately: their rows and their headline, made once and kept while nothing is added.

The page, the document of its rows and the page after a click ask for the same within a second. A trace of 50 000
spans takes half a second to load and analyse, and some 8 MB to keep.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from minitrace import present
from minitrace.analysis import repeats, signatures
from minitrace.analysis.critical import critical_path
from minitrace.analysis.skew import shifts
from minitrace.analysis.tree import tree
from minitrace.analysis.verdict import verdict
from minitrace.model import MAX_TIME_NS, Span, Trace
from minitrace.store.matches import TraceSummary
from minitrace.store.traces import Wanted
from minitrace.web import rows
from minitrace.web.named import slots_of

if TYPE_CHECKING:  # a page that is saved for a failed test does without
    from minitrace.store.logs import LogMark
    from minitrace.store.store import Store

MAX_KEPT = 100  # traces; of a small one the headline is more than its rows
MAX_KEPT_ROWS = 200_000  # some 40 MB with their documents
MAX_WITH_ATTRIBUTES = 10_000  # spans; attributes of more double the time, and repetitions are found by name alone
_SERVICE = ("resource", "service.name")
SKELETON = Wanted(frozenset({_SERVICE}))
OUTLINE = Wanted(frozenset({_SERVICE, *(("span", key) for key in (*signatures.ATTRIBUTES, *rows.STATUS_KEYS))}))


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the verdict, and the span that it is about, if it is about one."""

    kind: str
    text: str
    span_id: bytes | None


@dataclass(frozen=True, slots=True)
class Headline:
    """What stands above a trace. `root` is the root's service and name; `deepest` counts levels."""

    root: tuple[str, str] | None
    verdict: list[Part]
    services: Counter[str]
    notes: list[str]
    error_count: int
    is_whole: bool
    deepest: int
    shifted: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A trace, ready to be drawn."""

    rows: rows.Rows
    headline: Headline
    span_count: int
    removed_count: int
    log_count: int = 0


_Key = tuple[bytes, bool, bool, bytes | None]


class OpenedTraces:
    """The traces opened lately, `MAX_KEPT` at most, and as many as have `MAX_KEPT_ROWS` together."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, Opened] = OrderedDict()
        self._locks: WeakValueDictionary[_Key, asyncio.Lock] = WeakValueDictionary()

    async def open(
        self,
        store: Store,
        summary: TraceSummary,
        *,
        has_runs: bool = True,
        is_adjusted: bool = True,
        root: bytes | None = None,
    ) -> Opened:
        """A trace as it is stored now; with `root` only that span's subtree, if it is there.

        Raises:
            TraceNotFound: it left meanwhile.
        """
        key = (summary.trace_id, has_runs, is_adjusted, root)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:  # whoever asks for the same meanwhile waits, and takes it from here
            kept, logs = self._kept.get(key), await store.log_count(summary.trace_id)
            counts = summary.span_count, summary.removed_count, logs
            if kept and (kept.span_count, kept.removed_count, kept.log_count) == counts:
                self._kept.move_to_end(key)
                return kept
            wanted = OUTLINE if summary.span_count <= MAX_WITH_ATTRIBUTES else SKELETON
            trace = await store.trace(summary.trace_id, wanted)
            slots = await slots_of(store)
            said = _by_span(await store.log_marks(summary.trace_id)) if logs else None
            opened = await asyncio.to_thread(opened_trace, trace, slots, has_runs, is_adjusted, root, said)
            opened = replace(opened, log_count=logs)
            self._keep(key, opened)
            return opened

    def _keep(self, key: _Key, opened: Opened) -> None:
        self._kept[key] = opened
        self._kept.move_to_end(key)  # it may have been there, of fewer spans
        row_count = sum(len(kept.rows) for kept in self._kept.values())
        while len(self._kept) > MAX_KEPT or (len(self._kept) > 1 and row_count > MAX_KEPT_ROWS):
            _, left = self._kept.popitem(last=False)
            row_count -= len(left.rows)


def opened_trace(
    trace: Trace,
    slots: Mapping[str, int],
    has_runs: bool = True,
    is_adjusted: bool = True,
    root: bytes | None = None,
    said: rows.Said | None = None,
) -> Opened:
    """A trace, analysed, with the log records of its spans; the spans are let go."""
    outline = tree(trace, shifts(trace) if is_adjusted else None)
    runs = repeats.runs(outline)
    top = next((row for row, node in enumerate(outline.nodes) if node.span.span_id == root), None) if root else None
    path = critical_path(outline)
    found = rows.rows(outline, runs if has_runs else (), slots, top, path=path, said=said)
    claims = verdict(outline, runs, path=path)
    main = trace.root
    headline = Headline(
        root=(main.span.service, main.span.name) if main else None,
        verdict=[
            Part(claim.kind, claim.text, None if claim.row is None else outline.span(claim.row).span_id)
            for claim in claims
        ],
        services=_services(found),
        notes=notes(trace),
        error_count=trace.error_count,
        is_whole=is_whole(trace),
        deepest=max((node.depth for node in outline.nodes), default=0) + 1,
        shifted=len({outline.span(row).service for row in outline.shifts}),
    )
    opened = Opened(found, headline, len(trace.spans), trace.removed_count)
    outline.nodes.clear()
    trace.let_go()  # a large one, freed at once, would hold Python's lock for 22 ms
    return opened


def _by_span(marks: Iterable[LogMark]) -> rows.Said:
    found: dict[bytes, list[LogMark]] = {}
    for mark in marks:
        found.setdefault(mark.span_id, []).append(mark)
    return found


def _services(found: rows.Rows) -> Counter[str]:
    """Spans per service, in order of first appearance."""
    spans = (service for service, flags in zip(found.service, found.flags, strict=True) if not flags & rows.NO_SPAN)
    return Counter({found.services[number][0]: count for number, count in Counter(spans).items()})


def notes(trace: Trace) -> list[str]:
    """What is odd about a trace and not in its verdict, in sentences; an empty list for most."""
    notes = []
    if removed := trace.removed_count:
        verb = "was" if removed == 1 else "were"
        notes.append(
            f"{present.count(removed, 'span')} of this trace {verb} removed to make room; pin a trace to keep it."
        )
    roots = sum(not top.span.parent_id for top in trace.tops)
    if roots > 1:
        notes.append(f"{roots} spans are roots.")
    copies = Counter(span.span_id for span in trace.spans)
    if shared := sum(number for number in copies.values() if number > 1):
        notes.append(f"{present.integer(shared)} spans share their id with another.")
    if odd := sum(_has_odd_times(span) for span in trace.spans):
        notes.append(f"{_spans_have(odd)} odd times.")
    return notes


def is_whole(trace: Trace) -> bool:
    """Whether there is a root, and every parent that a span names."""
    stored = {span.span_id for span in trace.spans}
    parents = {span.parent_id for span in trace.spans}
    return b"" in parents and parents - {b""} <= stored


def _spans_have(number: int) -> str:
    return "1 span has" if number == 1 else f"{present.integer(number)} spans have"


def _has_odd_times(span: Span) -> bool:
    return not 0 < span.start_ns <= span.end_ns < MAX_TIME_NS
