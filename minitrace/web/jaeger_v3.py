"""The third version of Jaeger's query API, as its newer UI asks it: OpenTelemetry's words, OTLP's JSON.

| path                      | answers                                                                     |
|---------------------------|-----------------------------------------------------------------------------|
| `/api/v3/services`        | `{"services": ["pay", "shop"]}`                                             |
| `/api/v3/operations`      | `{"operations": [{"name": "charge", "spanKind": "server"}]}`                |
| `/api/v3/trace-summaries` | `{"summaries": [{"traceId": …, "spanCount": 3, …}]}`                        |
| `/api/v3/traces`          | `{"result": {"resourceSpans": […]}}`: what a search finds, in one           |
| `/api/v3/traces/{id}`     | the same for one trace                                                      |
| `/api/v3/dependencies`    | `{"dependencies": [{"parent": "shop", "child": "pay", "callCount": "7"}]}`  |

The UI refuses an answer in which a list is missing, or in which a value has no member. Parameters are written in
camelCase; older clients write snake_case, which is understood, too.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from minitrace.errors import DecodeError, TraceNotFound
from minitrace.model import Span
from minitrace.otlp import json as otlp_json
from minitrace.otlp.encode import traces_data
from minitrace.store.matches import TraceSummary
from minitrace.web import jaeger, pieces, tempo
from minitrace.web.jaeger_answers import answering
from minitrace.web.jaeger_search import Wanted, find
from minitrace.web.named import store_of
from minitrace.web.parameters import read_time
from minitrace.web.substitutes import substituted, typed

ALIASES = {"query.num_traces": "query.searchDepth", "query.span_name": "query.operationName"}
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_SNAKE = re.compile(r"_([a-z])")


def problem(status: int, text: str) -> dict[str, Any]:
    """An error as this version says it."""
    return {"error": {"httpCode": status, "message": text}}


@answering(problem)
async def services(request: Request) -> Response:
    """Names of services, in alphabetical order."""
    return JSONResponse({"services": sorted(await store_of(request).services())})


@answering(problem)
async def operations(request: Request) -> Response:
    """Names of a service's spans with their kinds; what has none is internal."""
    found = await jaeger.operations_of(store_of(request), _parameters(request))
    told = dict.fromkeys((name, kind or "internal") for name, kind in found)
    return JSONResponse({"operations": [{"name": name, "spanKind": kind} for name, kind in told]})


@answering(problem)
async def summaries(request: Request) -> Response:
    """The traces that a search finds, each in a line, newest first."""
    store = store_of(request)
    found = await find(store, _read_search(_parameters(request)))
    orphans = await store.orphans([one.trace_id for one in found if not one.is_complete])
    return JSONResponse({"summaries": [_summary(one, orphans.get(one.trace_id, 0)) for one in found]})


def _summary(summary: TraceSummary, orphans: int) -> dict[str, Any]:
    return {
        "traceId": summary.trace_id.hex(),
        "rootServiceName": summary.root_service or "",
        "rootOperationName": summary.root_name or "",
        "minStartTimeUnixNano": str(summary.start_ns),
        "maxEndTimeUnixNano": str(summary.start_ns + summary.duration_ns),
        "spanCount": summary.span_count,
        "errorSpanCount": summary.error_count,
        "orphanSpanCount": orphans,
        "services": [
            {"name": one.name, "spanCount": one.span_count, "errorSpanCount": one.error_count}
            for one in sorted(summary.services, key=lambda one: one.name)
        ],
    }


@answering(problem)
async def search(request: Request) -> Response:
    """The spans of all traces that a search finds."""
    store = store_of(request)
    found = await find(store, _read_search(_parameters(request)))
    if not found:
        return _no_traces()
    return pieces.answer(_result(pieces.of_traces(store, [one.trace_id for one in found], _groups)))


@answering(problem)
async def trace(request: Request) -> Response:
    """The spans of one trace. It is told whole, whatever time is given."""
    trace_id = tempo.read_trace_id(request.path_params["trace_id"])
    try:
        found = await store_of(request).trace(trace_id)
    except TraceNotFound:
        return _no_traces()
    return pieces.answer(pieces.enclosed('{"result":{"resourceSpans":', pieces.listed(_groups(found.spans)), "}}"))


def _no_traces() -> Response:
    return JSONResponse(problem(404, "No traces found"), 404)


async def _result(groups: AsyncIterator[str]) -> AsyncIterator[str]:
    before = '{"result":{"resourceSpans":['
    async for group in groups:
        yield before + group
        before = ","
    yield "]}}" if before == "," else before + "]}}"


def _groups(spans: Sequence[Span]) -> Iterator[str]:
    """Items of ``resourceSpans``, a piece at a time. The UI knows spans by their ids."""
    for piece in tempo.cut(spans):
        for group in otlp_json.dump(traces_data(list(substituted(piece, typed))))["resourceSpans"]:
            yield pieces.dump(group)


@answering(problem)
async def dependencies(request: Request) -> Response:
    """Who calls whom, by spans that start in a time."""
    start_ns, end_ns = _times(_parameters(request), "startTime", "endTime")
    found = await store_of(request).dependencies(start_ns + 1, end_ns)  # as in `jaeger`
    rows = [{"parent": one.parent, "child": one.child, "callCount": str(one.call_count)} for one in found]
    return JSONResponse({"dependencies": rows})


def _parameters(request: Request) -> dict[str, str]:
    """The parameters by their names in camelCase, whichever way they were written."""
    pairs = [(name, text) for name, text in request.query_params.items() if text]
    renamed = {ALIASES.get(name) or _SNAKE.sub(lambda match: match[1].upper(), name): text for name, text in pairs}
    return renamed | dict(pairs)


def _read_search(parameters: dict[str, str]) -> Wanted:
    """What the parameters ``query.…`` ask for. Raises DecodeError."""
    if "query.filter" in parameters:
        raise DecodeError("query.filter is not understood: use query.attributes, or TraceQL at /api/search")
    start_ns, end_ns = _times(parameters, "query.startTimeMin", "query.startTimeMax")
    return Wanted(
        start_ns,
        end_ns,
        service=parameters.get("query.serviceName", ""),
        operation=parameters.get("query.operationName", ""),
        tags=tuple(jaeger.read_map("query.attributes", parameters.get("query.attributes", ""))),
        **jaeger.read_limits(parameters, "query.durationMin", "query.durationMax", "query.searchDepth"),
    )


def _times(parameters: dict[str, str], first: str, last: str) -> tuple[int, int]:
    """Two times in nanoseconds, the first before the last. Raises DecodeError."""
    start_ns, end_ns = _time(parameters, first), _time(parameters, last)
    if start_ns >= end_ns:
        raise DecodeError(f"{last} is not after {first}")
    return start_ns, end_ns


def _time(parameters: dict[str, str], name: str) -> int:
    text = parameters.get(name)
    if not text:
        raise DecodeError(f"{name} is missing: write a time such as 2026-11-22T13:00:00Z")
    if not _TIME.fullmatch(text):
        raise DecodeError(f"{name}={text[:40]!r} is not a time such as 2026-11-22T13:00:00Z")
    return read_time({name: text.upper()}, name) or 0


routes = [
    Route("/api/v3/services", services),
    Route("/api/v3/operations", operations),
    Route("/api/v3/trace-summaries", summaries),
    Route("/api/v3/traces", search),
    Route("/api/v3/traces/{trace_id}", trace),
    Route("/api/v3/dependencies", dependencies),
]
