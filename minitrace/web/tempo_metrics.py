"""Tempo's HTTP API for series: ``/api/metrics/query_range``, and ``/api/metrics/query`` for one moment."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
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
from minitrace.web import pieces
from minitrace.web.parameters import read_number, read_step, read_time
from minitrace.web.tempo_search import key_values, read_query
from minitrace.web.wanted import while_wanted

DEFAULT_SINCE = "1h"
MAX_EXEMPLARS = 100
SAMPLES_A_PIECE = 10_000


@while_wanted
async def query_range(request: Request) -> Response:
    """``GET /api/metrics/query_range``: samples at every step."""
    start_ns, end_ns = _times(request.query_params)
    step_ns = read_step(request.query_params, end_ns - start_ns)
    result = await _ask(request, Range.aligned(start_ns, end_ns, step_ns))
    after = _after(_metrics(result) | _partial(result))
    return pieces.answer(pieces.enclosed('{"series":', pieces.listed(_series(result)), after))


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
    # Grafana before 13.2 makes these of an address that ends in a slash
    Route("//api/metrics/query_range", query_range),
    Route("//api/metrics/query", query),
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


def _series(result: MetricsResult) -> Iterator[str]:
    """The series as JSON, several at once where they have few samples. They can be 30 MB: compare() of six hours."""
    stamps = [f'{{"timestampMs":"{stamp_ns // 1_000_000}","value":' for stamp_ns in result.range.stamps_ns]
    at_once = max(1, SAMPLES_A_PIECE // max(1, len(stamps)))
    for at in range(0, len(result.series), at_once):
        yield ",".join(_one_series(series, stamps, result.range) for series in result.series[at : at + at_once])


def _one_series(series: Series, stamps: list[str], range: Range) -> str:
    samples = (
        f"{stamp}{sample!r}}}"  # an int or a finite float, which repr writes as JSON does
        for stamp, sample in zip(stamps, series.samples, strict=True)
        if sample is not None
    )
    exemplars = [_exemplar(exemplar, series, range) for exemplar in series.exemplars]
    after = {"exemplars": exemplars} if exemplars else {}
    return f'{{"labels":{pieces.dump(key_values(series.labels))},"samples":[{",".join(samples)}]{_after(after)}'


def _exemplar(exemplar: Exemplar, series: Series, range: Range) -> dict[str, Any]:
    """A span to look at. One that was only counted stands on the line of its series: Grafana draws it at its value."""
    value, bucket = exemplar.value, range.bucket(exemplar.time_ns)
    if value is None and bucket is not None:
        value = series.samples[bucket]
    return {
        "labels": key_values(exemplar.labels),
        "value": "NaN" if value is None else value,
        "timestampMs": str(exemplar.time_ns // 1_000_000),
    }


def _metrics(result: MetricsResult) -> dict[str, Any]:
    jobs = {} if result.complete else {"completedJobs": 0, "totalJobs": 1}
    return {"metrics": {"inspectedSpans": str(result.inspected)} | jobs}


def _partial(result: MetricsResult) -> dict[str, Any]:
    """Says what is missing; not in the answer for one moment, where Grafana takes it for an unknown field."""
    return {} if result.complete else {"status": "PARTIAL", "message": f"{result.reason}: older spans are not counted"}


def _after(members: dict[str, Any]) -> str:
    """The last members of a JSON object, and its end."""
    return "".join(f",{pieces.dump(key)}:{pieces.dump(value)}" for key, value in members.items()) + "}"
