"""The pages that compare, and their answers for programs.

| address                 | shows                                                                               |
|-------------------------|-------------------------------------------------------------------------------------|
| `/compare`              | the ways to compare                                                                 |
| `/compare?a=`           | a trace, and others of its operation to compare it with                             |
| `/compare?a=&b=`        | two traces as one tree: `view=attrs`, `metric=`, `only=changed`, `row=` open, `page=` |
| `/compare?qa=&qb=`      | the traces of two searches by operation; `ra=`, `rb=` those of two runs             |
| `/compare.json`         | each of them as JSON                                                                |
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from minitrace.analysis.findings import Finding
from minitrace.store.matches import TraceSummary
from minitrace.store.runs import Run
from minitrace.store.store import Store
from minitrace.web import comparing, differences
from minitrace.web.address import Address
from minitrace.web.comparing import ComparedTraces, Comparisons, NotComparable, Question, TraceSet
from minitrace.web.named import slots_of, store_of
from minitrace.web.queries import with_root
from minitrace.web.render import go_to, render
from minitrace.web.wanted import while_wanted

OTHERS = 20  # traces to choose from
MOST_JSON_ROWS = 1000
MOST_DIFFERENCES = 300  # attributes on a page


@while_wanted
async def compare_page(request: Request) -> Response:
    """What the address asks to compare, or how to ask."""
    question = comparing.read_question(request.query_params)
    try:
        if question.kind == "traces":
            return await (_traces if question.b else _choose)(request, question)
        if question.kind:
            return await _sets(request, question)
        return await _start(request, question)
    except NotComparable as problem:
        return await _start(request, question, problem)


async def _start(request: Request, question: Question, problem: NotComparable | None = None) -> Response:
    """The ways to compare, with what was typed and what is wrong with it."""
    typed = dict(zip(question.sides, (question.a, question.b), strict=True)) if question.kind else {}
    return await render(
        request, "compare.html", status_code=422 if problem else 200, question=question, typed=typed, problem=problem
    )


async def _choose(request: Request, question: Question) -> Response:
    """One trace, and others to compare it with."""
    store = store_of(request)
    summary = await comparing.load_summary(store, comparing.read_trace_id(question.a, "a"), "a")
    return await render(
        request,
        "compare_one.html",
        trace=summary,
        trace_hex=summary.trace_id.hex(),
        others=await _others(store, summary),
        now_ns=time.time_ns(),
        slots=await slots_of(store),
    )


async def _others(store: Store, summary: TraceSummary) -> list[TraceSummary]:
    """The newest other traces of the same operation."""
    if summary.root_name is None or summary.root_service is None:
        return []
    alike = comparing.read_search(with_root(summary.root_service, summary.root_name), "a", OTHERS + 1)
    found = await store.search(alike)
    return [match.summary for match in found.matches if match.summary.trace_id != summary.trace_id][:OTHERS]


# Two traces


async def _traces(request: Request, question: Question) -> Response:
    """Two traces as one tree, or the attributes that differ."""
    store, address = store_of(request), _address(request)
    a_id, b_id = await comparing.read_trace_ids(store, question)
    if (question.a, question.b) != (a_id.hex(), b_id.hex()):
        return go_to(request, Address("/compare", address.pairs, comparing.PARAMETERS).url(a=a_id.hex(), b=b_id.hex()))
    a, b, compared = await _compared(request, a_id, b_id)
    view = View(request)
    shown = differences.sheet(compared, view.metric, only_changed=view.only_changed, page=view.page)
    return await render(
        request,
        "compare_traces.html",
        sides=[("A", a, await _run_of(store, compared.a.run_id)), ("B", b, await _run_of(store, compared.b.run_id))],
        compared=compared,
        view=view,
        sheet=shown,
        opened=differences.shown_differences(compared.rows[view.row].differences) if view.opens(compared) else [],
        attributes=differences.attribute_lines(compared.rows, MOST_DIFFERENCES) if view.view == "attrs" else [],
        attribute_count=sum(len(row.differences) for row in compared.rows),
        findings=[(one, _finding_url(address, compared, one, view)) for one in compared.findings],
        url=address.url,
        now_ns=time.time_ns(),
        slots=await slots_of(store),
    )


class View:
    """How two traces are looked at; what cannot be read is as if it was not there."""

    def __init__(self, request: Request) -> None:
        given = request.query_params
        self.view = "attrs" if given.get("view") == "attrs" else "tree"
        self.metric = given["metric"] if given.get("metric") in differences.METRICS else "total"
        self.only_changed = given.get("only") == "changed"
        self.page = _number(given.get("page", ""), 1)
        self.row = _number(given.get("row", ""), -1)

    def opens(self, compared: ComparedTraces) -> bool:
        """Whether a row is open."""
        return 0 <= self.row < len(compared.rows)


async def _compared(request: Request, a_id: bytes, b_id: bytes) -> tuple[TraceSummary, TraceSummary, ComparedTraces]:
    store, comparisons = store_of(request), request.app.state.comparisons
    assert isinstance(comparisons, Comparisons)
    a = await comparing.load_summary(store, a_id, "a")
    b = await comparing.load_summary(store, b_id, "b")
    return a, b, await comparisons.traces(store, a, b)


async def _run_of(store: Store, run_id: str) -> Run | None:
    return await store.run(run_id) if run_id else None


def _finding_url(address: Address, compared: ComparedTraces, finding: Finding, view: View) -> str:
    """Where the row of a finding is seen."""
    only = "changed" if view.only_changed else None
    page = differences.page_of(compared, view.metric, finding.row, only_changed=view.only_changed)
    if page is None:
        page, only = differences.page_of(compared, view.metric, finding.row, only_changed=False), None
    url = address.url(view=None, only=only, row=finding.row, page=page if page and page > 1 else None)
    return f"{url}#row-{finding.row}"


# Two sets


async def _sets(request: Request, question: Question) -> Response:
    """The traces of two searches or runs, by operation."""
    began = time.perf_counter()
    compared = await comparing.compare_sets(store_of(request), question)
    return await render(
        request,
        "compare_sets.html",
        question=question,
        sides=[("A", question.sides[0], compared.a), ("B", question.sides[1], compared.b)],
        compared=compared,
        lines=differences.operation_lines(compared.changes),
        rounded=differences.rounded,
        elapsed_ns=int((time.perf_counter() - began) * 1e9),
        url=_address(request).url,
        now_ns=time.time_ns(),
        slots=await slots_of(store_of(request)),
    )


# For programs


@while_wanted
async def compare_json(request: Request) -> Response:
    """What the page with the same parameters shows, for programs: findings, both sides, rows or changes."""
    question = comparing.read_question(request.query_params)
    try:
        if not question.b:
            raise NotComparable("Say what to compare: a and b, qa and qb, or ra and rb.")
        answer = await (_traces_json if question.kind == "traces" else _sets_json)(request, question)
    except NotComparable as problem:
        return JSONResponse({"problem": problem.text, "parameter": problem.side}, 422)
    return JSONResponse(answer)


async def _traces_json(request: Request, question: Question) -> dict[str, Any]:
    ids = await comparing.read_trace_ids(store_of(request), question)
    a, b, compared = await _compared(request, *ids)
    view = View(request)
    numbers = (
        differences.shown_rows(compared.rows, view.metric) if view.only_changed else list(range(len(compared.rows)))
    )
    return {
        "findings": [finding.text for finding in compared.findings],
        "a": _plain_trace(a, compared.a.run_id),
        "b": _plain_trace(b, compared.b.run_id),
        "row_count": len(numbers),
        "rows": [differences.plain(compared.rows[number]) for number in numbers[:MOST_JSON_ROWS]],
    }


def _plain_trace(trace: TraceSummary, run_id: str) -> dict[str, Any]:
    return {
        "trace_id": trace.trace_id.hex(),
        "service": trace.root_service,
        "name": trace.root_name,
        "start_ns": trace.start_ns,
        "duration_ns": trace.duration_ns,
        "span_count": trace.span_count,
        "error_count": trace.error_count,
        "run_id": run_id or None,
    }


async def _sets_json(request: Request, question: Question) -> dict[str, Any]:
    compared = await comparing.compare_sets(store_of(request), question)
    return {
        "findings": [finding.text for finding in compared.findings],
        "a": _plain_set(compared.a),
        "b": _plain_set(compared.b),
        "change_count": len(compared.changes),
        "changes": [differences.plain_change(change) for change in compared.changes[:MOST_JSON_ROWS]],
    }


def _plain_set(traces: TraceSet) -> dict[str, Any]:
    return {
        "query": traces.query or None,
        "run": asdict(traces.run) if traces.run else None,
        "trace_count": traces.trace_count,
        "cut": traces.cut or None,
        "span_count": traces.span_count,
        "failed_count": traces.failed_count,
        "p50_ns": traces.p50_ns,
        "p95_ns": traces.p95_ns,
    }


def _address(request: Request) -> Address:
    base = f"{request.scope.get('root_path', '')}/compare"
    return Address(base, request.query_params.multi_items(), comparing.PARAMETERS)


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else otherwise


routes = [Route("/compare", compare_page), Route("/compare.json", compare_json)]
