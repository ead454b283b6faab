"""Tempo's HTTP API for series: ``/api/metrics/query_range``, and ``/api/metrics/query`` for one moment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from minitrace.durations import parse_duration
from minitrace.errors import DecodeError
from minitrace.store.metrics import MetricsResult
from minitrace.store.store import Store
from minitrace.traceql.ast import Query
from minitrace.traceql.metrics import Exemplar, Range, Series
from minitrace.web.parameters import read_number, read_step, read_time
from minitrace.web.tempo import key_values, read_query
from minitrace.web.wanted import while_wanted

DEFAULT_SINCE = "1h"
MAX_EXEMPLARS = 100


@while_wanted
async def query_range(request: Request) -> Response:
    """``GET /api/metrics/query_range``: samples at every step."""
    start_ns, end_ns = _times(request.query_params)
    step_ns = read_step(request.query_params, end_ns - start_ns)
    result = await _ask(request, Range.aligned(start_ns, end_ns, step_ns))
    stamps = [stamp_ns // 1_000_000 for stamp_ns in result.range.stamps_ns]
    return JSONResponse({"series": [_series(one, stamps) for one in result.series]} | _metrics(result))


@while_wanted
async def query(request: Request) -> Response:
    """``GET /api/metrics/query``: one value over the whole range."""
    start_ns, end_ns = _times(request.query_params)
    result = await _ask(request, Range(start_ns, end_ns, end_ns - start_ns, is_instant=True))
    series = [
        {"labels": key_values(one.labels), "value": one.samples[0]}
        for one in result.series
        if one.samples[0] is not None
    ]
    return JSONResponse({"series": series} | _metrics(result))


routes = [
    Route("/api/metrics/query_range", query_range),
    Route("/api/metrics/query", query),
]


async def _ask(request: Request, range: Range) -> MetricsResult:
    query = read_query(request.query_params)
    if not query.is_metrics:
        raise DecodeError("this query gives traces, not series: end it with a function, such as | rate()")
    store: Store = request.app.state.store
    return await store.metrics(query, range, _exemplars(query, request.query_params))


def _times(parameters: Mapping[str, str]) -> tuple[int, int]:
    """Start and end in nanoseconds: as given, or what ``since`` says up to now. Raises DecodeError."""
    end_ns = read_time(parameters, "end")
    if end_ns is None:
        end_ns = time.time_ns()
    start_ns = read_time(parameters, "start")
    if start_ns is None:
        start_ns = max(0, end_ns - parse_duration(parameters.get("since") or DEFAULT_SINCE))
    if end_ns <= start_ns:
        raise DecodeError("end is not after start")
    return start_ns, end_ns


def _exemplars(query: Query, parameters: Mapping[str, str]) -> int:
    """How many exemplars are wanted for each series: what the query hints, else the parameter, else none."""
    hint = query.hint("exemplars")
    if isinstance(hint, bool):
        return MAX_EXEMPLARS if hint else 0
    if isinstance(hint, int):
        return min(max(0, hint), MAX_EXEMPLARS)
    return min(read_number(parameters, "exemplars", 0), MAX_EXEMPLARS)


def _series(series: Series, stamps_ms: list[int]) -> dict[str, Any]:
    samples = [
        {"timestampMs": str(stamp), "value": sample}
        for stamp, sample in zip(stamps_ms, series.samples, strict=True)
        if sample is not None
    ]
    answer = {"labels": key_values(series.labels), "samples": samples}
    return answer | ({"exemplars": list(map(_exemplar, series.exemplars))} if series.exemplars else {})


def _exemplar(exemplar: Exemplar) -> dict[str, Any]:
    value = "NaN" if exemplar.value is None else exemplar.value
    return {"labels": key_values(exemplar.labels), "value": value, "timestampMs": str(exemplar.time_ns // 1_000_000)}


def _metrics(result: MetricsResult) -> dict[str, Any]:
    answer: dict[str, Any] = {"metrics": {"inspectedSpans": str(result.inspected)}}
    if not result.complete:
        answer |= {"status": "PARTIAL", "message": f"{result.reason}: older spans are not counted"}
    return answer
