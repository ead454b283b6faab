"""Find traces: newest first, those that can match, by tokens; then exactly.

`candidates.py` gives the traces that have what the plan of the query needs. Where that is not the whole answer, they
are loaded and evaluated. A search stops at the limit or at the deadline, with what was found so far:
`SearchResult.complete` and `looked_back_to_ns` say how far it came.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from minitrace.errors import QueryTimeout
from minitrace.model import Span
from minitrace.store import tokens
from minitrace.store.candidates import Candidates, Place, Rows, split
from minitrace.store.conditions import ALL
from minitrace.store.database import IN_THREAD, TOO_LONG, Reader, work
from minitrace.store.matches import SearchResult, ServiceCount, SpanMatch, SpansetMatch, TraceMatch, TraceSummary
from minitrace.store.orders import Order
from minitrace.store.plan import OF_TREE, Plan, has_patterns, plan, wanted_by
from minitrace.store.traces import Loader
from minitrace.traceql.ast import Attribute, Intrinsic, Pipeline, SpansetFilter
from minitrace.traceql.evaluate import Program, Spanset
from minitrace.traceql.structure import TraceRows

EVALUATED_AT_ONCE = 4_000  # spans: what is found in 30 ms, and lost if the deadline comes meanwhile
DESCRIBE_S = 1.0  # behind the deadline, to fill in what was found


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for: traces for which `pipeline` gives spansets, with spans that have all the `words`.

    Traces that overlap the time from `start_ns` to `end_ns` count, and of those the ones whose first span was
    `received` in a time, from its start to before its end; of certain rows, if `traces` has any. `before` is a cursor,
    for one order. Words go with pipelines of one filter whose plan is exact.
    """

    pipeline: Pipeline = Pipeline((SpansetFilter(),))
    words: tuple[str, ...] = ()
    start_ns: int | None = None
    end_ns: int | None = None
    limit: int = 20
    spans_per_set: int = 3
    before: str | None = None
    order: Order = Order.NEWEST
    received: tuple[int, int] | None = None
    traces: tuple[int, ...] | None = None


async def search(reader: Reader, wanted: Search) -> SearchResult:
    """The newest traces that match, at most `limit` of them, older than the cursor `before`.

    Raises:
        DecodeError: `before` is not a cursor of ours.
    """
    finder = _Finder(reader, wanted, Place.read(wanted.before) if wanted.before else None)
    try:
        await finder.find(finder.candidates.parts())
    except QueryTimeout as error:
        finder.result.complete = False
        finder.result.reason = str(error)
        finder.result.next = str(finder.place) if finder.place else None
        reader.deadline = time.monotonic() + DESCRIBE_S
    await finder.describe()
    return finder.result


async def describe(reader: Reader, wanted: Search, rows: Rows) -> SearchResult:
    """The traces of rows that are known to match, in their order, with what matches in them."""
    finder = _Finder(reader, wanted)
    reader.deadline += DESCRIBE_S
    await finder.find(finder.candidates.these(rows))
    await finder.describe()
    return finder.result


class _Finder:
    """One search: what was found so far, and how far it came."""

    def __init__(self, reader: Reader, wanted: Search, place: Place | None = None) -> None:
        self.result = SearchResult()
        self.place = place
        self._reader = reader
        self._wanted = wanted
        self._plan = plan(wanted.pipeline, wanted.words)
        self._program = Program(wanted.pipeline)
        self._has_patterns = has_patterns(wanted.pipeline)
        self._loader = Loader(reader, wanted_by(wanted.pipeline))
        alone = ("nestedSetParent",) if self._plan.is_of_roots else ()  # it is -1, whatever the rest of the trace is
        is_structural = any(_is_structural(one) for one in self._program.shown if str(one) not in alone)
        self._is_exact = self._plan.is_exact and not is_structural
        if self._is_exact:
            self._plan = replace(self._plan, spans=self._plan.needs[0])
        assert self._is_exact or not wanted.words, "words go with one filter that the index can answer"
        self.candidates = Candidates(
            reader, self._plan, start_ns=wanted.start_ns, end_ns=wanted.end_ns, place=self.place, limit=wanted.limit,
            received=wanted.received, traces=wanted.traces,
        )  # fmt: skip
        self._found: dict[int, list[Any]] = {}  # by trace: its spansets, or the rows of its spans that match

    async def find(self, parts: AsyncGenerator[tuple[Rows, dict[int, Rows]]]) -> None:
        """Fill the result's traces, out of those of `candidates`, without what only `describe` tells."""
        async with aclosing(parts):
            async for rows, found in parts:
                if self._is_exact:
                    self._take(rows, found)
                else:
                    for part in split(rows, EVALUATED_AT_ONCE, None if self._plan.spans is None else found):
                        self._take(
                            part, await self._evaluate({row[0]: found[row[0]] for row in part if row[0] in found})
                        )
                if self.result.next is not None:
                    return

    async def _evaluate(self, found: dict[int, list[Any]]) -> dict[int, list[SpansetMatch]]:
        """The spansets of those traces that match; `found` has the rows of the spans that are wanted of each."""
        if not found or self.result.next is not None:
            return {}
        spans = await load_wanted(self._loader, self._plan, found)
        deadline = self._reader.deadline

        def run() -> dict[int, list[SpansetMatch]]:
            found = {}
            for trace, own in spans.items():
                if time.monotonic() > deadline:
                    raise QueryTimeout(TOO_LONG)
                if spansets := self._program.run(own):
                    found[trace] = list(map(self._spanset, spansets))
            return found

        return await work(run, size=IN_THREAD if self._has_patterns else sum(map(len, spans.values())))

    def _spanset(self, spanset: Spanset) -> SpansetMatch:
        shown = spanset.rows[: self._wanted.spans_per_set]
        matches = [_match(row.span, self._program.values(row)) for row in shown]
        return SpansetMatch(matches, len(spanset.rows), spanset.attributes)

    def _take(self, rows: list[Any], matching: dict[int, list[Any]]) -> None:
        """Add traces to the result until the limit; what matches in them are spansets, or rows if that is exact."""
        for row in rows:
            if row[0] in matching:
                if len(self.result.matches) == self._wanted.limit:
                    self.result.next = str(self.place)  # only now is it known that there is more
                    return
                self._found[row[0]] = own = matching[row[0]]
                spansets = [SpansetMatch([], len(own) or row[4])] if self._is_exact else own
                self.result.matches.append(TraceMatch(_summary(row), spansets))
                self.candidates.matched += 1
            self.place = Place(row[2], row[0])
            self.result.looked_back_to_ns = row[2]
            self.result.inspected += 1

    async def describe(self) -> None:
        """Fill in names and services of what was found."""
        if not self.result.matches:
            return
        services = {row[0]: row[1] for row in await self._reader.rows("SELECT id, name FROM services")}
        ids = ", ".join(map(str, self._found))
        counts: dict[int, list[ServiceCount]] = {trace: [] for trace in self._found}
        sql = f"SELECT * FROM trace_services WHERE trace IN ({ids}) ORDER BY span_count DESC, service"
        for trace, service, *numbers in await self._reader.rows(sql):
            counts[trace].append(ServiceCount(services[service], *numbers))
        complete = await self._complete()
        for match, trace in zip(self.result.matches, self._found, strict=True):
            match.summary.services = counts[trace]
            match.summary.is_complete = trace in complete and not match.summary.removed_count
        if self._is_exact:
            await self._show_rows(services)

    async def _complete(self) -> set[int]:
        """Those of the traces found that have a root, and all parents that their spans name."""
        sql = f"""
            SELECT id FROM traces
            WHERE id IN ({", ".join(map(str, self._found))}) AND root_span_id IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM awaited WHERE trace = traces.id)
        """
        return {row[0] for row in await self._reader.rows(sql)}

    async def _show_rows(self, services: dict[int, str]) -> None:
        """Fill in the spans that are shown, where `_found` has their rows."""
        shown = await self._shown(self._wanted.spans_per_set)
        if self._program.shown:
            spans = await self._loader.spans(row[0] for rows in shown.values() for row in rows)
            for match, trace in zip(self.result.matches, self._found, strict=True):
                own = [spans[row[0]] for row in shown[trace]]
                match.spansets[0].spans = [
                    _match(span, self._program.values(TraceRows([span]).rows[0])) for span in own
                ]
            return
        names = await self._names(row for rows in shown.values() for row in rows)
        for match, trace in zip(self.result.matches, self._found, strict=True):
            match.spansets[0].spans = [
                SpanMatch(row[2], names[row[0]], services[row[4]], row[5], row[6], row[7] == 2) for row in shown[trace]
            ]

    async def _shown(self, number: int) -> dict[int, list[Any]]:
        """The first matching spans of each trace; its first spans where there was nothing to match."""
        if self._plan.needs != (ALL,) or not number:
            return {trace: rows[:number] for trace, rows in self._found.items()}
        ids = ", ".join(map(str, self._found))
        sql = f"""
            SELECT *
            FROM (
                SELECT id, trace, span_id, name, service, start_ns, duration_ns, status,
                    row_number() OVER (PARTITION BY trace ORDER BY start_ns, id) AS place
                FROM spans
                WHERE trace IN ({ids})
            )
            WHERE place <= ?
            ORDER BY trace, place
        """
        shown: dict[int, list[Any]] = {trace: [] for trace in self._found}
        for row in await self._reader.rows(sql, (number,)):
            shown[row[1]].append(row)
        return shown

    async def _names(self, rows: Iterable[Any]) -> dict[int, str]:
        """The names of spans, by their ids."""
        by_name: dict[int, list[int]] = {}
        for row in rows:
            segment = self.candidates.segments.of(row[0])
            by_name.setdefault(tokens.first_id(segment.id, tokens.NAME) + row[3], []).append(row[0])
        ids = ", ".join(map(str, by_name))
        found = await self._reader.rows(f"SELECT id, value FROM dictionary WHERE id IN ({ids})")
        return {span: name for value_id, name in found for span in by_name[value_id]}


def _is_structural(node: Attribute | Intrinsic) -> bool:
    """Whether a field that is shown can only be told with the whole trace."""
    return node.of_parent if isinstance(node, Attribute) else node.name in OF_TREE


async def load_wanted(loader: Loader, plan: Plan, found: dict[int, list[Any]]) -> dict[int, list[Span]]:
    """The spans of traces that a plan wants, out of which `found` has the rows by trace."""
    if plan.spans is None:
        return await loader.traces(found)
    spans = await loader.spans(row[0] for rows in found.values() for row in rows)
    return {trace: [spans[row[0]] for row in rows] for trace, rows in found.items()}


def _match(span: Span, attributes: dict[str, Any]) -> SpanMatch:
    return SpanMatch(span.span_id, span.name, span.service, span.start_ns, span.duration_ns, span.is_error, attributes)


def _summary(row: Any) -> TraceSummary:
    _, trace_id, start_ns, end_ns, span_count, error_count, root_service, root_name, removed, pinned = row
    return TraceSummary(
        trace_id, start_ns, end_ns - start_ns, root_service, root_name, span_count, error_count,
        removed_count=removed, is_pinned=bool(pinned),
    )  # fmt: skip
