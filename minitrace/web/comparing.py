"""What an address asks to compare: two traces, the traces of two searches, or those of two runs; loaded and compared.

| address          | sides                                                                                  |
|------------------|----------------------------------------------------------------------------------------|
| `?a=…&b=…`       | traces; what a text that was pasted names; `b=typical`, the usual one of a's operation |
| `?qa=…&qb=…`     | the newest traces that match TraceQL or words                                          |
| `?ra=…&rb=…`     | the traces of runs                                                                     |
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from minitrace.analysis.alignment import Aligned, align
from minitrace.analysis.breakdown import percentile
from minitrace.analysis.findings import Finding, findings
from minitrace.analysis.operations import Change, Operations, changes, operations
from minitrace.analysis.skew import shifts
from minitrace.analysis.tree import Tree, tree
from minitrace.errors import TraceNotFound
from minitrace.model import Trace
from minitrace.store.matches import TraceSummary
from minitrace.store.population import Sample
from minitrace.store.runs import RUN_ID, Run
from minitrace.store.search import Search
from minitrace.store.store import Store
from minitrace.store.traces import Wanted
from minitrace.web.forms import read_form
from minitrace.web.lookup import find_ids, read_id

PARAMETERS = ("a", "b", "qa", "qb", "ra", "rb", "view", "metric", "only", "row", "page")
SIDES = {"traces": ("a", "b"), "queries": ("qa", "qb"), "runs": ("ra", "rb")}
TYPICAL = "typical"
MOST_TRACES = 1000  # of a search or a run, the newest
MOST_KEPT = 20  # comparisons
MOST_ROWS_KEPT = 100_000  # some 60 MB
_WANTED = Wanted(details=False)


class NotComparable(Exception):
    """Why there is nothing to compare, for the person who asked; `side` is the parameter that is wrong, if one is."""

    def __init__(self, text: str, side: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.side = side


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be compared: `kind` is one of `SIDES`, or "" where nothing was said; the sides are as typed."""

    kind: str
    a: str = ""
    b: str = ""

    @property
    def sides(self) -> tuple[str, str]:
        """The parameters that name them."""
        return SIDES[self.kind]


def read_question(parameters: Mapping[str, str]) -> Question:
    """What an address asks. With only one side given, that is a."""
    for kind, names in SIDES.items():
        a, b = (parameters.get(name, "").strip() for name in names)
        if a or b:
            return Question(kind, a or b, b if a else "")
    return Question("")


def read_trace_id(text: str, side: str) -> bytes:
    """The trace that a text names, as the search box reads it. Raises NotComparable."""
    found = find_ids(text)
    trace_id = read_id(text, 32) or (found[0].trace_id if found else None)
    if trace_id is None:
        raise NotComparable(f"{text[:80]!r} names no trace: paste an id of up to 32 hex digits, or a log line.", side)
    return trace_id


async def load_summary(store: Store, trace_id: bytes, side: str) -> TraceSummary:
    """A trace in one line. Raises NotComparable."""
    try:
        return await store.summary(trace_id)
    except TraceNotFound:
        text = f"No trace {trace_id.hex()} is stored. Its spans may still be on their way, or it was removed."
        raise NotComparable(text, side) from None


def read_search(text: str, side: str, limit: int) -> Search:
    """The search for what a text means in the search box. Raises NotComparable."""
    form = read_form({"q": text}, time.time_ns())
    if form.problems:
        problem = next(iter(form.problems.values()))
        raise NotComparable(f"{problem}\n{form.box.drawing}" if form.box.drawing else problem, side)
    return Search(form.search.pipeline, form.search.words, limit=limit)


async def load_run(store: Store, run_id: str, side: str) -> Run:
    """A run by its id. Raises NotComparable."""
    run = await store.run(run_id)
    if run is None:
        raise NotComparable(f"No run {run_id[:80]!r} is kept. The list of runs has those that are.", side)
    return run


# Two traces


@dataclass(frozen=True, slots=True)
class Half:
    """One of two traces that were compared: the span of each of its rows with its duration, and the run it names."""

    span_ids: list[bytes]
    durations: array[int]
    run_id: str

    def slowest(self, rows: Sequence[int]) -> str:
        """The id of the longest of these rows; "" of none."""
        return self.span_ids[max(rows, key=self.durations.__getitem__)].hex() if rows else ""


@dataclass(frozen=True, slots=True)
class ComparedTraces:
    """Two traces as the rows of one tree, and what is most telling about them."""

    rows: list[Aligned]
    findings: list[Finding]
    a: Half
    b: Half


_State = tuple[bytes, int, int, int]


class Comparisons:
    """The traces compared lately: their pages are looked at by one metric, then by another, row after row."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[_State, _State], ComparedTraces] = OrderedDict()

    async def traces(self, store: Store, a: TraceSummary, b: TraceSummary) -> ComparedTraces:
        """Two traces as they are stored now. Raises TraceNotFound where one left meanwhile."""
        key = _state(a), _state(b)
        compared = self._kept.pop(key, None)
        if compared is None:
            both = await asyncio.gather(store.trace(a.trace_id, _WANTED), store.trace(b.trace_id, _WANTED))
            compared = await asyncio.to_thread(compared_traces, *both)
        self._kept[key] = compared
        row_count = sum(len(kept.rows) for kept in self._kept.values())
        while len(self._kept) > MOST_KEPT or (len(self._kept) > 1 and row_count > MOST_ROWS_KEPT):
            _, left = self._kept.popitem(last=False)
            row_count -= len(left.rows)
        return compared


def _state(trace: TraceSummary) -> _State:
    """What is another once spans came or left."""
    return trace.trace_id, trace.span_count, trace.removed_count, trace.start_ns


def compared_traces(a: Trace, b: Trace) -> ComparedTraces:
    """Two traces, compared. They are forgotten."""
    trees = tree(a, shifts(a)), tree(b, shifts(b))
    rows = align(*trees)
    compared = ComparedTraces(rows, findings(rows), _half(trees[0]), _half(trees[1]))
    for one in trees:
        one.nodes.clear()
        one.trace.let_go()  # a large one, freed at once, would hold Python's lock for 22 ms
    return compared


def _half(tree: Tree) -> Half:
    durations = array("q", [end - begin for begin, end in zip(tree.begins, tree.ends, strict=True)])
    root = tree.trace.root
    run_id = root.span.resource.attributes.get(RUN_ID) if root else None
    return Half([node.span.span_id for node in tree.nodes], durations, run_id if isinstance(run_id, str) else "")


async def read_trace_ids(store: Store, question: Question) -> tuple[bytes, bytes]:
    """The two traces that a question names, one of which may be the typical one. Raises NotComparable."""
    if question.a == question.b == TYPICAL:
        raise NotComparable("Name a trace: there is a typical one of each operation.", "a")
    if question.a == TYPICAL:
        b = read_trace_id(question.b, "b")
        return await _typical(store, b, "a"), b
    a = read_trace_id(question.a, "a")
    return a, await _typical(store, a, "b") if question.b == TYPICAL else read_trace_id(question.b, "b")


async def _typical(store: Store, trace_id: bytes, side: str) -> bytes:
    await load_summary(store, trace_id, side)
    found = await store.typical(trace_id)
    if found is None:
        raise NotComparable("No other trace of this operation is stored yet, so none is typical.", side)
    return found


# Two sets of traces


@dataclass(frozen=True, slots=True)
class TraceSet:
    """The traces of a search or a run: `query` finds them, "" where no query does; `cut` says why there may be more."""

    query: str
    run: Run | None
    operations: Operations = field(repr=False)
    cut: str
    span_count: int
    failed_count: int  # traces with errors
    p50_ns: int
    p95_ns: int
    first_ns: int
    last_ns: int

    @property
    def trace_count(self) -> int:
        """How many traces were looked at."""
        return self.operations.trace_count


@dataclass(frozen=True, slots=True)
class ComparedSets:
    """Two sets of traces, their operations by impact, and what is most telling about them."""

    a: TraceSet
    b: TraceSet
    changes: list[Change]
    findings: list[Finding]


async def compare_sets(store: Store, question: Question) -> ComparedSets:
    """The traces of two searches or runs. Raises NotComparable, QueryTimeout."""
    asked = [await _asked(store, question, side) for side in (0, 1)]
    a, b = await asyncio.gather(*(_load_set(store, *one) for one in asked))
    found = await asyncio.to_thread(changes, a.operations, b.operations)
    return ComparedSets(a, b, found, findings(found))


async def _asked(store: Store, question: Question, side: int) -> tuple[str, Run | None, Search]:
    """A query, or a run, and the search for its traces."""
    text, name = (question.a, question.b)[side], question.sides[side]
    if not text:
        raise NotComparable("Say what to compare it with.", name)
    if question.kind == "queries":
        return text, None, read_search(text, name, MOST_TRACES)
    run = await load_run(store, text, name)
    search = run.search(MOST_TRACES)
    return (str(search.pipeline) if search.pipeline != Search().pipeline else ""), run, search


async def _load_set(store: Store, query: str, run: Run | None, search: Search) -> TraceSet:
    traces = await store.sample(search)
    return await asyncio.to_thread(_trace_set, query, run, traces)


def _trace_set(query: str, run: Run | None, traces: Sample) -> TraceSet:
    trees = list(map(tree, traces))
    durations = sorted(one.duration_ns for one in trees)
    starts = [one.start_ns for one in trees]
    return TraceSet(
        query,
        run,
        operations(trees),
        traces.reason,
        span_count=sum(map(len, trees)),
        failed_count=sum(trace.error_count > 0 for trace in traces),
        p50_ns=percentile(durations, 50) if durations else 0,
        p95_ns=percentile(durations, 95) if durations else 0,
        first_ns=min(starts, default=0),
        last_ns=max(starts, default=0),
    )
