"""Series over time from the spans of the file, by the quickest way that is exact.

1. Spans are grouped and counted in SQL, a segment at a time: where the plan is exact, and what they are grouped by
   stands in columns, with the resource or scope, or is one of a few values. A million spans take about 0.4 s; what was
   counted in segments that get no more spans is remembered (`rollups.py`).
2. The spans that match are loaded, and counted one by one: where the plan is exact, but they are grouped by something
   else.
3. Whole traces are loaded and evaluated, as a search does.

All of them go from the newest spans to the oldest; what the deadline left out, is older.
"""

from __future__ import annotations

import time
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any

from minitrace.errors import QueryTimeout
from minitrace.model import Span
from minitrace.store.candidates import Candidates, split
from minitrace.store.conditions import Condition, some_of
from minitrace.store.database import IN_THREAD, TOO_LONG, Reader, work
from minitrace.store.grouping import Grouping, as_it_is, grouping
from minitrace.store.plan import IS_ROOT, OF_TREE, Plan, has_patterns, is_about_trace, plan, wanted_by
from minitrace.store.resolve import Conditions, Inexpressible
from minitrace.store.rollups import Rollups
from minitrace.store.search import EVALUATED_AT_ONCE, load_wanted
from minitrace.store.segments import Segment, Segments
from minitrace.store.traces import EVERYTHING, Loader
from minitrace.traceql.ast import Attribute, Compare, Intrinsic, MetricsFunction, MetricsPipeline, Query
from minitrace.traceql.evaluate import Program, Spanset
from minitrace.traceql.metrics import Range, Series, Tally, bound_of, metrics_pipelines, run_metrics
from minitrace.traceql.structure import TraceRows
from minitrace.traceql.values import is_number

DURATION = Intrinsic("duration")
_BOUNDING = ("histogram_over_time", "quantile_over_time")
_OF_ROOT = ("rootName", "rootServiceName")
# The sum in two parts: together they could be more than SQLite's integers hold
_SUMS = "count(*), sum(duration_ns >> 20), sum(duration_ns & 1048575), min(duration_ns), max(duration_ns)"
_LARGEST = 2**63 - 1  # stands for 2^63, which SQLite's integers do not reach


@dataclass(slots=True)
class MetricsResult:
    """Series over a range; `complete` is False if the deadline came before all spans were counted, for a `reason`."""

    series: list[Series]
    range: Range
    complete: bool = True
    reason: str = ""
    inspected: int = 0


async def query_range(
    reader: Reader, rollups: Rollups, query: Query, range: Range, max_exemplars: int = 0
) -> MetricsResult:
    """The series of a metrics query, with as many exemplars for each."""
    tallies: dict[MetricsPipeline, Tally] = {}
    result = MetricsResult([], range)
    for pipeline in metrics_pipelines(query):
        counter = _Counter(reader, rollups, pipeline, range, max_exemplars)
        tallies[pipeline] = counter.tally
        try:
            await counter.count()
        except QueryTimeout as error:
            result.complete = False
            result.reason = str(error)
        result.inspected += counter.inspected
    result.series = run_metrics(query, range, tallies.__getitem__)
    return result


@dataclass(slots=True)
class _Part:
    """How the spans of one segment are counted: an SQL condition, and what they are grouped by; None if SQL cannot."""

    segment: Segment
    where: str
    bound: list[Any]
    groups: list[Grouping] | None = None

    def add_group(self, group: Grouping, condition: str) -> None:
        """Group by something else, too, those spans for which the condition holds."""
        assert self.groups is not None
        self.groups.append(group)
        self.where += f" AND {condition}"


class _Counter:
    """The spans of one pipeline, counted."""

    def __init__(
        self, reader: Reader, rollups: Rollups, pipeline: MetricsPipeline, range: Range, max_exemplars: int
    ) -> None:
        self.tally = Tally(pipeline.function, range, max_exemplars)
        self.inspected = 0
        self._reader = reader
        self._rollups = rollups
        self._function = pipeline.function
        self._pipeline = pipeline.pipeline
        self._range = range
        self._max_exemplars = max_exemplars
        self._plan = plan(pipeline.pipeline)
        self._plan = replace(self._plan, spans=_wanted_spans(self._plan, pipeline.function))
        # an exemplar shows all attributes of its span
        wanted = EVERYTHING if max_exemplars else wanted_by(pipeline.pipeline, pipeline.function)
        self._loader = Loader(reader, wanted)
        # of traces, which get more spans, their roots and ends, when their first segment has long been full
        self._is_about_traces = bool(self._plan.of_trace) or is_about_trace(pipeline.function)

    async def count(self) -> None:
        """Count all spans. Raises QueryTimeout; what was counted stays."""
        if self._plan.is_never:
            return
        function = self._function
        if not self._plan.is_exact or not isinstance(function, MetricsFunction) or _is_of_trace(function):
            await self._evaluate()
            return
        self._segments = await Segments.read(self._reader)
        self._conditions = Conditions(self._reader, self._segments, self._plan.needs[0])
        try:
            parts = [await self._part(segment, function) for segment in reversed(self._segments.all)]
        except Inexpressible:
            await self._evaluate()
            return
        if any(part.groups is None for part in parts) and any(by.name in _OF_ROOT for by in function.by):
            await self._evaluate()
            return
        for part in parts:
            if part.groups is None:
                await self._load_all(part)
            else:
                await self._group(function, part)
                await self._show(function, part)

    async def _part(self, segment: Segment, function: MetricsFunction) -> _Part:
        """How to count the spans of a segment. Raises Inexpressible."""
        where, bound = await self._conditions.where(segment)
        where += " AND spans.id BETWEEN ? AND ?"
        part = _Part(segment, where, [*bound, segment.first_span, segment.last_span])
        fields = [*function.by, *([function.attribute] if function.attribute not in (None, DURATION) else [])]
        with suppress(Inexpressible):
            part.groups = [await grouping(self._reader, self._segments, segment.id, field) for field in fields if field]
        return part

    async def _group(self, function: MetricsFunction, part: _Part) -> None:
        """Count in SQL. Where the function is about a field, the spans are grouped by its values too."""
        add_group, add_bounds = self.tally.add_group, self.tally.add_bounds
        if function.attribute is None:
            for key, bucket, count in await self._counted(part, "count(*)"):
                add_group(key, bucket, count)
        elif function.attribute != DURATION:
            for (*key, value), bucket, count in await self._counted(part, "count(*)"):
                if function.name in _BOUNDING and (power := bound_of(value)):
                    add_bounds(tuple(key), bucket, power, count)
                elif function.name not in _BOUNDING and is_number(value):
                    add_group(tuple(key), bucket, count, value * count, value, value)
        elif function.name in _BOUNDING:
            part.add_group(Grouping(_power_of_two("duration_ns"), as_it_is), "duration_ns >= 2")
            for (*key, power), bucket, count in await self._counted(part, "count(*)"):
                add_bounds(tuple(key), bucket, power + (power == _LARGEST), count)
        else:
            for key, bucket, count, *sums, low, high in await self._counted(part, _SUMS):
                add_group(key, bucket, count, (sums[0] << 20) + sums[1], low, high)

    async def _counted(self, part: _Part, sums: str) -> list[Any]:
        """The spans of a segment in the range: the values they are grouped by, the bucket, and the sums."""
        range = self._range
        if range.is_instant or range.first_ns <= 0:
            where = f"{part.where} AND spans.start_ns BETWEEN {range.first_ns} AND {range.last_ns}"
            bucket = "0" if range.is_instant else f"(spans.start_ns - {range.first_ns}) / {range.step_ns}"
            rows = await self._grouped(part, where, bucket, sums)
        else:  # all of the segment, by buckets that other ranges have too
            first = (range.first_ns - 1) // range.step_ns
            buckets = len(range.stamps_ns)
            found = await self._rolled_up(part, f"(spans.start_ns - 1) / {range.step_ns}", sums)
            rows = [(row[0], row[1] - first, *row[2:]) for row in found if 0 <= row[1] - first < buckets]
        self.inspected += sum(row[2] for row in rows)
        return rows

    async def _rolled_up(self, part: _Part, bucket: str, sums: str) -> list[Any]:
        """The spans of a segment that have a time; from memory, if it gets no more spans."""
        is_last = part.segment is self._segments.all[-1]
        # the function, as by(resource.a) and by(resource.b) are one and the same in SQL
        key = (part.segment, part.where, tuple(part.bound), self._function, bucket, sums)
        rows = self._rollups.get(key)
        if rows is None:
            rows = await self._grouped(part, f"{part.where} AND spans.start_ns > 0", bucket, sums)
            if part.segment.is_whole and not is_last and not self._is_about_traces:
                self._rollups.keep(key, rows)
        return rows

    async def _grouped(self, part: _Part, where: str, bucket: str, sums: str) -> list[Any]:
        groups = part.groups or []
        keys = [*(group.sql for group in groups), bucket]
        numbers = ", ".join(str(n + 1) for n, _ in enumerate(keys))
        sql = f"SELECT {', '.join(keys)}, {sums} FROM spans WHERE {where} GROUP BY {numbers}"
        rows = await self._reader.rows(sql, part.bound)
        meanings = [await group.meanings({row[n] for row in rows}) for n, group in enumerate(groups)]
        return [(tuple(meaning[row[n]] for n, meaning in enumerate(meanings)), *row[len(groups) :]) for row in rows]

    async def _show(self, function: MetricsFunction, part: _Part) -> None:
        """Load a span of each part of the range, as many as exemplars are wanted."""
        if not self._max_exemplars:
            return
        first_ns, last_ns = self._range.first_ns, self._range.last_ns
        part_ns = (last_ns - first_ns) // self._max_exemplars + 1
        sql = f"""
            SELECT min(id), trace FROM spans
            WHERE {part.where} AND spans.start_ns BETWEEN {first_ns} AND {last_ns}
            GROUP BY (spans.start_ns - {first_ns}) / {part_ns}
        """
        rows = await self._reader.rows(sql, part.bound)
        spans = await self._loader.spans(row[0] for row in rows)
        wholes = {}
        if any(by.name in _OF_ROOT for by in function.by):
            wholes = await Loader(self._reader, wanted_by(function)).traces({row[1] for row in rows})
        for span_row, trace in rows:
            shown = TraceRows([spans[span_row], *wholes.get(trace, [])]).rows
            self.tally.show(row for row in shown if row.span is spans[span_row])

    async def _load_all(self, part: _Part) -> None:
        """Count the spans one by one, each as if it were alone: nothing is asked of its trace."""
        where = f"{part.where} AND spans.start_ns BETWEEN {self._range.first_ns} AND {self._range.last_ns}"
        rows = await self._reader.rows(f"SELECT id FROM spans WHERE {where} ORDER BY id DESC", part.bound)
        for first in range(0, len(rows), EVALUATED_AT_ONCE):
            ids = [row[0] for row in rows[first : first + EVALUATED_AT_ONCE]]
            spans = await self._loader.spans(ids)
            await work(self._add_alone, list(spans.values()), size=len(spans))
            self.inspected += len(spans)

    def _add_alone(self, spans: list[Span]) -> None:
        self.tally.add([Spanset([TraceRows([span]).rows[0] for span in spans])])

    async def _evaluate(self) -> None:
        """Evaluate the traces that have what they need."""
        program = Program(self._pipeline)
        candidates = Candidates(
            self._reader, self._plan, start_ns=self._range.first_ns, end_ns=self._range.last_ns, place=None, limit=2**31
        )
        async with aclosing(candidates.parts()) as parts:
            async for rows, found in parts:
                fitting = [row for row in rows if row[0] in found]
                for part in split(fitting, EVALUATED_AT_ONCE, None if self._plan.spans is None else found):
                    wanted = {row[0]: found[row[0]] for row in part}
                    spans = await load_wanted(self._loader, self._plan, wanted)
                    size = sum(map(len, spans.values()))
                    await work(
                        self._add_traces, program, spans, size=IN_THREAD if has_patterns(self._pipeline) else size
                    )
                    self.inspected += size

    def _add_traces(self, program: Program, spans: dict[int, list[Span]]) -> None:
        for own in spans.values():
            if time.monotonic() > self._reader.deadline:
                raise QueryTimeout(TOO_LONG)
            self.tally.add(program.run(own))


def _wanted_spans(plan: Plan, function: MetricsFunction | Compare) -> Condition | None:
    """The spans of a trace that make a difference: its root does where that is counted by; None for all of them."""
    fields = {node for node in function.walk() if isinstance(node, Attribute | Intrinsic)}
    of_root = {Intrinsic(name) for name in _OF_ROOT}
    if plan.spans is None or any(map(is_about_trace, fields - of_root)):
        return None
    is_by_root = isinstance(function, Compare) or not fields.isdisjoint(of_root)
    return some_of((plan.spans, IS_ROOT)) if is_by_root else plan.spans


def _is_of_trace(function: MetricsFunction) -> bool:
    """Whether a function asks more than a span alone, or SQL, can tell."""
    return any(
        node.of_parent if isinstance(node, Attribute) else str(node) in (*OF_TREE, "traceDuration")
        for node in function.walk()
        if isinstance(node, Attribute | Intrinsic)
    )


def _power_of_two(column: str, low: int = 1, high: int = 63) -> str:
    """The smallest power of two that is not less than a number, as SQL; from 2 on."""
    if low == high:
        return str(min(2**low, _LARGEST))
    middle = (low + high) // 2
    return (
        f"CASE WHEN {column} <= {2**middle} THEN {_power_of_two(column, low, middle)} "
        f"ELSE {_power_of_two(column, middle + 1, high)} END"
    )
