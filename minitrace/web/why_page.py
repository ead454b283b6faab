"""`/why?trace=`: why a trace is different from others of its root operation; `/why.json` for programs."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from minitrace.analysis.skew import shifts
from minitrace.analysis.tree import Tree, tree
from minitrace.analysis.unusual import FEWEST, Unusual, unusual
from minitrace.model import Trace, Value
from minitrace.store.matches import TraceSummary
from minitrace.store.population import Sample
from minitrace.store.runs import RUN_ID
from minitrace.store.store import Store
from minitrace.store.traces import Wanted
from minitrace.web.comparing import NotComparable, load_summary, read_trace_id
from minitrace.web.named import slots_of, store_of
from minitrace.web.render import render
from minitrace.web.standing import Standing, standing
from minitrace.web.wanted import while_wanted

MOST_OTHERS = 200
_WANTED = Wanted(details=False)


@dataclass(frozen=True, slots=True)
class Reason:
    """Something unusual, and the span to look at; "" where there is nothing to see."""

    unusual: Unusual
    span_hex: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Why a trace is different: the reasons, out of how many others, and how long it took among them.

    `of_other_runs`: those of its own run are not among these. `cut` says why there may be more; "" if there are not.
    """

    summary: TraceSummary
    reasons: list[Reason]
    other_count: int
    of_other_runs: bool
    cut: str
    span_count: int
    standing: Standing | None


@while_wanted
async def why_page(request: Request) -> Response:
    """What is unusual about a trace."""
    began = time.perf_counter()
    text = request.query_params.get("trace", "").strip()
    answer = problem = None
    try:
        answer = await _answer(store_of(request), text) if text else None
    except NotComparable as error:
        problem = error.text
    return await render(
        request,
        "why.html",
        status_code=422 if problem else 200,
        answer=answer,
        problem=problem,
        typed=text,
        most=MOST_OTHERS,
        elapsed_ns=int((time.perf_counter() - began) * 1e9),
        now_ns=time.time_ns(),
        slots=await slots_of(store_of(request)),
    )


@while_wanted
async def why_json(request: Request) -> Response:
    """The same for programs."""
    try:
        answer = await _answer(store_of(request), request.query_params.get("trace", "").strip())
    except NotComparable as error:
        return JSONResponse({"problem": error.text, "parameter": "trace"}, 422)
    return JSONResponse(
        {
            "trace_id": answer.summary.trace_id.hex(),
            "other_count": answer.other_count,
            "of_other_runs": answer.of_other_runs,
            "findings": [reason.unusual.text for reason in answer.reasons],
            "reasons": [_plain(reason) for reason in answer.reasons],
        }
    )


def _plain(reason: Reason) -> dict[str, object]:
    one = reason.unusual
    return {
        "kind": one.kind,
        "text": one.text,
        "span_id": reason.span_hex or None,
        "weight": one.weight,
        "value": one.subject_value,
        "usual": one.usual_value,
        "share": one.share,
    }


async def _answer(store: Store, text: str) -> Answer:
    summary = await load_summary(store, read_trace_id(text, "trace"), "trace")
    trace, others = await asyncio.gather(
        store.trace(summary.trace_id, _WANTED), store.population(summary.trace_id, MOST_OTHERS, _WANTED)
    )
    return await asyncio.to_thread(_answered, summary, trace, others)


def _answered(summary: TraceSummary, trace: Trace, sample: Sample) -> Answer:
    others = _of_other_runs(trace, sample)
    subject, population = _tree(trace), list(map(_tree, others))
    reasons = [
        Reason(one, "" if one.row is None else subject.span(one.row).span_id.hex())
        for one in unusual(subject, population)
    ]
    place = standing(subject.duration_ns, [other.duration_ns for other in population])
    span_count = sum(map(len, population))
    return Answer(summary, reasons, len(others), len(others) < len(sample), sample.reason, span_count, place)


def _of_other_runs(trace: Trace, sample: Sample) -> list[Trace]:
    """The traces that do not name the run of this one, if they are enough: what a whole run does would seem usual."""
    run_id = _run_id(trace)
    others = [other for other in sample if run_id is None or _run_id(other) != run_id]
    return others if len(others) >= FEWEST else sample


def _run_id(trace: Trace) -> Value:
    return trace.root.span.resource.attributes.get(RUN_ID) if trace.root else None


def _tree(trace: Trace) -> Tree:
    return tree(trace, shifts(trace))


routes = [Route("/why", why_page), Route("/why.json", why_json)]
