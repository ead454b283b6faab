"""Everything that a search finds, not a page of it.

- Where the plan is exact, it is said in SQL which rows of `traces` match. What it asks of spans is a list of traces,
  which `pieces.py` has from the index; what it asks of traces is a condition. Nothing is loaded.
- Otherwise traces are evaluated, from the newest on, until there are enough of them or the time is up.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from minitrace.errors import QueryTimeout
from minitrace.model import Span
from minitrace.store.candidates import PATTERNS, TEXT_OF_TRACE, Candidates, Rows, about_trace, split
from minitrace.store.conditions import ALL, OfTrace, all_of, parts_of
from minitrace.store.database import IN_THREAD, TOO_LONG, Reader, work
from minitrace.store.pieces import ALWAYS, Kept, Node, Pieces, TimeSpan
from minitrace.store.plan import Plan, is_about_trace, plan, wanted_by
from minitrace.store.recent import Recent
from minitrace.store.resolve import Inexpressible
from minitrace.store.search import DESCRIBE_S, EVALUATED_AT_ONCE, Search, load_wanted
from minitrace.store.segments import Segments
from minitrace.store.traces import Loader
from minitrace.traceql.ast import Intrinsic
from minitrace.traceql.evaluate import Program
from minitrace.traceql.fields import Row, compile_field
from minitrace.traceql.structure import TraceRows
from minitrace.traceql.values import identity, known

MOST_EVALUATED = 2_000  # traces that match: as many as a plot can show
EVALUATED_S = 0.8  # then a page should come
_THESE = "traces.id IN (SELECT value FROM json_each(?))"

Counts = Counter[Hashable]  # of values, each of which stands there as its `identity`


@dataclass(slots=True)
class Matching:
    """The rows of TRACES for which `where` holds are those of the traces that match.

    `spans` are the matching spans, where the index knows them; `counts` has, by field, how many of them have each
    value, where they were evaluated. If not all traces were looked at, `complete` is False for a `reason`.
    """

    where: str = "0"
    bound: list[Any] = field(default_factory=list)
    spans: Pieces | None = None
    is_narrowed: bool = False  # the spans are those of more traces
    span: TimeSpan | None = None  # the traces that match are those that overlap it, if that is all that narrows them
    counts: dict[Node, Counts] = field(default_factory=dict)
    complete: bool = True
    reason: str = ""
    inspected: int = 0
    looked_back_to_ns: int | None = None

    def stop(self, reason: str) -> None:
        """Say why not everything was looked at; the first reason counts."""
        self.reason = self.reason or reason
        self.complete = False


@dataclass(frozen=True, slots=True)
class Memory:
    """What was counted, and found, before."""

    kept: Kept = field(default_factory=Kept)
    recent: Recent = field(default_factory=Recent)


def question(search: Search) -> Hashable:
    """What a search asks for, without what only says which part of the answer is shown.

    As text, as 1 and true are equal in Python.
    """
    return str(search.pipeline), search.words, search.start_ns, search.end_ns, search.received


async def matching(reader: Reader, memory: Memory, search: Search, fields: Sequence[Node] = ALWAYS) -> Matching:
    """All that matches; its spans are counted by `fields`, if they have to be looked at anyway.

    At the reader's deadline it is what was found until then, and the deadline is moved to use it.
    """
    planned = plan(search.pipeline, search.words)
    if planned.is_never:
        return Matching()
    if planned.is_exact:
        try:
            return await exactly(reader, memory.kept, search, planned)
        except Inexpressible:
            planned = replace(planned, spans=planned.needs[0])
    key, began = ("matching", question(search)), memory.recent.version
    found: Matching | None = memory.recent.get(key)
    if found is None or not found.counts.keys() >= set(fields):
        found = await _Evaluation(reader, search, planned, fields).run()
        memory.recent.keep(key, found, began)
    return found


async def count_ahead(reader: Reader, memory: Memory) -> None:
    """Count what the page of all traces shows of full pieces, so that it need not wait for that."""
    await Pieces(reader, await Segments.read(reader), ALL, _of_spans(Search()), memory.kept).count_ahead()


def _of_spans(search: Search) -> Hashable:
    """What a search asks of spans."""
    return str(search.pipeline), search.words


async def exactly(reader: Reader, kept: Kept, search: Search, planned: Plan) -> Matching:
    """All that matches an exact plan. Raises Inexpressible."""
    conditions, bound = about_trace(planned, search.start_ns, search.end_ns, search.received)
    found = Matching()
    try:
        if any(one.operator in PATTERNS for one in planned.of_trace):
            rows = await _candidates(reader, search, planned).fitting()
            conditions.append(_THESE)
            bound.append(str([row[0] for row in rows]))
        found.is_narrowed = bool(conditions)
        if not planned.of_trace and search.received is None:
            found.span = search.start_ns, search.end_ns
        need = all_of(part for part in parts_of(planned.needs[0]) if not isinstance(part, OfTrace))
        found.spans = Pieces(reader, await Segments.read(reader), need, _of_spans(search), kept)
        if need != ALL:
            conditions.append(_THESE)
            bound.append(await found.spans.traces())
    except QueryTimeout as error:
        found.stop(str(error))
        reader.deadline = time.monotonic() + DESCRIBE_S
        return found
    if not found.spans.is_complete:
        found.stop(TOO_LONG)
        reader.deadline = time.monotonic() + DESCRIBE_S
    found.where, found.bound = " AND ".join(["1", *conditions]), bound
    return found


def _candidates(reader: Reader, search: Search, planned: Plan) -> Candidates:
    return Candidates(
        reader, planned, start_ns=search.start_ns, end_ns=search.end_ns, place=None, limit=MOST_EVALUATED,
        received=search.received,
    )  # fmt: skip


class _Evaluation:
    """Traces, looked at one after the other, and what is counted of the spans that match."""

    def __init__(self, reader: Reader, search: Search, planned: Plan, fields: Sequence[Node]) -> None:
        self.result = Matching(counts={node: Counter() for node in fields})
        self._reader = reader
        self._search = search
        self._plan = planned
        self._program = Program(search.pipeline)
        self._loader = Loader(reader, wanted_by(search.pipeline, *fields))
        self._tally = Tally(fields)
        self._ids: list[int] = []

    async def run(self) -> Matching:
        """The newest traces that match."""
        deadline = self._reader.deadline
        self._reader.deadline = min(deadline, time.monotonic() + EVALUATED_S)
        try:
            await self._evaluate()
        except QueryTimeout as error:
            self.result.stop(str(error))
        self._reader.deadline = max(deadline, time.monotonic() + DESCRIBE_S)
        self.result.counts = self._tally.counts
        self.result.where, self.result.bound = _THESE, [str(self._ids)]
        return self.result

    async def _evaluate(self) -> None:
        async with aclosing(_candidates(self._reader, self._search, self._plan).parts()) as parts:
            async for rows, found in parts:
                for part in split(rows, EVALUATED_AT_ONCE, None if self._plan.spans is None else found):
                    own = {row[0]: found[row[0]] for row in part if row[0] in found}
                    spans = await load_wanted(self._loader, self._plan, own) if own else {}
                    await work(self._take, part, spans, size=IN_THREAD)
                    if len(self._ids) >= MOST_EVALUATED:
                        self.result.stop(f"counted are the newest {len(self._ids):,} traces that match")
                        return

    def _take(self, rows: Rows, spans: dict[int, list[Span]]) -> None:
        """Add those of the traces that match."""
        for row in rows:
            if time.monotonic() > self._reader.deadline:
                raise QueryTimeout(TOO_LONG)
            if row[0] in spans and (matching := self._matching(spans[row[0]])):
                self._ids.append(row[0])
                self._tally.add(matching, row)
            self.result.inspected += 1
            self.result.looked_back_to_ns = row[2]

    def _matching(self, spans: list[Span]) -> list[Row]:
        """The spans of a trace that match, each once."""
        if self._plan.is_exact:
            return TraceRows(spans).rows
        rows = {row.at: row for spanset in self._program.run(spans) for row in spanset.rows}
        return list(rows.values())


class Tally:
    """Counts of the values that spans have, by field. Fields of the whole trace but its root are left out."""

    def __init__(self, fields: Iterable[Node]) -> None:
        self.counts: dict[Node, Counts] = {node: Counter() for node in fields}
        self._of_span = {node: compile_field(node) for node in self.counts if not is_about_trace(node)}
        self._of_trace = {
            node: TEXT_OF_TRACE[node.name]
            for node in self.counts
            if isinstance(node, Intrinsic) and node.name in TEXT_OF_TRACE
        }

    def add(self, rows: Iterable[Row], trace: Any) -> None:
        """Count spans of a trace, whose row has `TRACE_COLUMNS`."""
        spans = 0
        for row in rows:
            spans += 1
            for node, value_of in self._of_span.items():
                if (value := known(value_of(row))) is not None:
                    self.counts[node][identity(value)] += 1
        for node, text_of in self._of_trace.items():
            self.counts[node][identity(text_of(trace))] += spans
