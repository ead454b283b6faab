"""Jaeger's query API, as its older UI and Grafana's Jaeger data source ask it.

| path                                 | data                                                          |
|--------------------------------------|---------------------------------------------------------------|
| `/api/services`                      | `["pay", "shop"]`                                             |
| `/api/services/{service}/operations` | `["charge"]`                                                  |
| `/api/operations?service=`           | `[{"name": "charge", "spanKind": "server"}]`                  |
| `/api/traces?service=`               | whole traces that a search finds                              |
| `/api/traces/{id}`                   | one trace; for Tempo's clients, too                           |
| `/api/dependencies`                  | `[{"parent": "shop", "child": "pay", "callCount": 7}]`        |
| `POST /api/transform`                | OTLP's JSON as traces: a file that was dropped on Jaeger's UI |

All of it is in an envelope (`jaeger_answers`). `jaeger_v3` has what the newer UI asks, `jaeger_metrics` its monitor.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from minitrace import present
from minitrace.durations import parse_duration
from minitrace.errors import DecodeError, MinitraceError, TraceNotFound
from minitrace.formats import jaeger
from minitrace.model import Kind, Span, grouped
from minitrace.otlp.decode import decode_traces
from minitrace.store.store import Store
from minitrace.traceql.parser import parse
from minitrace.traceql.series import Range
from minitrace.web import body, pieces, tempo
from minitrace.web.answers import status_of
from minitrace.web.documents import Document, Format
from minitrace.web.fields import of_service
from minitrace.web.jaeger_answers import (
    after_data,
    answer,
    answering,
    envelope,
    is_pretty,
    problem,
    read_ms,
    read_whole,
    streamed,
)
from minitrace.web.jaeger_search import DEFAULT_LIMIT, LARGEST_LIMIT, Wanted, find
from minitrace.web.named import store_of
from minitrace.web.parameters import read_number
from minitrace.web.wanted import while_wanted

DAY_NS = 24 * 3600 * 1_000_000_000
SEARCHED_NS = 2 * DAY_NS  # where no time is given
MOST_OPERATIONS = 10_000
ANY_TIME = Range(2**62, 2**62, 2**62)  # one bucket, from 1970 to 2116: what is counted in full segments is kept
NO_ARCHIVE = "minitrace has no archive: pin the trace on its page, and it stays"


@answering(problem)
async def services(request: Request) -> Response:
    """``GET /api/services``: names of services, in alphabetical order."""
    names = sorted(await store_of(request).services())
    return answer(request, envelope(names, len(names)))


@answering(problem)
async def operation_names(request: Request) -> Response:
    """``GET /api/services/{service}/operations``: names of a service's spans, in alphabetical order."""
    names = await store_of(request).operations(request.path_params["service"], limit=MOST_OPERATIONS)
    return answer(request, envelope(names, len(names)))


@answering(problem)
async def operations(request: Request) -> Response:
    """``GET /api/operations``: the same with kinds, of one kind if that is asked for."""
    if not request.query_params.get("service"):
        raise DecodeError("service is missing: name the service whose operations you want")
    found = await operations_of(store_of(request), request.query_params)
    rows = [{"name": name, "spanKind": kind} for name, kind in found]
    return answer(request, envelope(rows, len(rows)))


async def operations_of(store: Store, parameters: Mapping[str, str]) -> list[tuple[str, str]]:
    """Names of the spans of ``service`` with their kinds in lower case, "" for none; of one ``spanKind``, if given."""
    service, wanted = parameters.get("service", ""), parameters.get("spanKind")
    counted = await store.metrics(parse(f"{{ {of_service(service)} }} | count_over_time() by(name, kind)"), ANY_TIME)
    found = {(str(name), _kind(kind)) for ((_, name), (_, kind)) in (series.labels for series in counted.series)}
    names = {name for name, _ in found}
    # of spans without a time
    others = {(name, "") for name in await store.operations(service, limit=MOST_OPERATIONS) if name not in names}
    return sorted(one for one in found | others if wanted in (None, "", one[1]))


def _kind(kind: object) -> str:
    return present.kind(kind) if isinstance(kind, Kind) and kind else ""


@answering(problem)
async def search(request: Request) -> Response:
    """``GET /api/traces``: whole traces, those of a search or by their ids."""
    store, parameters = store_of(request), request.query_params
    if ids := parameters.getlist("traceID"):
        trace_ids, errors = await _known(store, list(map(tempo.read_trace_id, ids)))
    else:
        wanted = _read_search(parameters)
        trace_ids, errors = [summary.trace_id for summary in await find(store, wanted)], []
    document = _traces(store, trace_ids, errors)
    if is_pretty(request):
        return answer(request, json.loads("".join([piece async for piece in document])))
    return pieces.answer(document)


async def _known(store: Store, trace_ids: list[bytes]) -> tuple[list[bytes], list[dict[str, Any]]]:
    """Those of the traces that are stored, and an error for each of the others."""
    known = await store.known(trace_ids)
    return known, [_lack(trace_id, "trace not found") for trace_id in trace_ids if trace_id not in known]


def _lack(trace_id: bytes, why: str) -> dict[str, Any]:
    return {"msg": why, "traceID": trace_id.hex()}


async def _traces(store: Store, trace_ids: list[bytes], errors: list[dict[str, Any]]) -> AsyncIterator[str]:
    """The envelope with these traces, one after the other: together they may be large. What is missing is told."""

    def lost(trace_id: bytes, error: MinitraceError) -> None:
        errors.append(_lack(trace_id, str(error)))

    traces = Document(Format.JAEGER)
    yield traces.head
    async for piece in pieces.of_traces(store, trace_ids, traces.trace, lost):
        yield piece
    yield f"]{after_data(errors or None)}"


def _read_search(parameters: QueryParams) -> Wanted:
    """What the parameters of ``/api/traces`` ask for. Raises DecodeError."""
    if not parameters.get("service"):
        raise DecodeError("service is missing: name the service whose spans you look for, or give a traceID")
    now_ns = time.time_ns()
    return Wanted(
        start_ns=read_whole(parameters, "start", now_ns - SEARCHED_NS, 1000, "microseconds since 1970"),
        end_ns=read_whole(parameters, "end", now_ns, 1000, "microseconds since 1970"),
        service=parameters["service"],
        operation=parameters.get("operation", ""),
        tags=tuple(_read_tags(parameters)),
        **read_limits(parameters, "minDuration", "maxDuration", "limit"),
    )


def read_limits(parameters: Mapping[str, str], shortest: str, longest: str, limit: str) -> dict[str, Any]:
    """How long spans take, and how many traces are wanted, by the parameters' names. Raises DecodeError."""
    durations = [parse_duration(text) if (text := parameters.get(name)) else None for name in (shortest, longest)]
    if durations[0] is not None and durations[1] is not None and durations[1] < durations[0]:
        raise DecodeError(f"{longest} is below {shortest}")
    number = min(read_number(parameters, limit, DEFAULT_LIMIT, low=1), LARGEST_LIMIT)
    return {"shortest_ns": durations[0], "longest_ns": durations[1], "limit": number}


def _read_tags(parameters: QueryParams) -> Iterator[tuple[str, str]]:
    """Those of ``tag=key:value`` and of ``tags={"key": "value"}``, each as often as given. Raises DecodeError."""
    for text in parameters.getlist("tag"):
        key, colon, value = text.partition(":")
        if not key or not colon:
            raise DecodeError(f"tag={text[:40]!r} is not key:value")
        yield key, value
    for text in parameters.getlist("tags"):
        yield from read_map("tags", text)


def read_map(name: str, text: str) -> list[tuple[str, str]]:
    """The pairs of a JSON object of strings; none for no text. Raises DecodeError."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise DecodeError(f'{name}={text[:40]!r} is not a JSON object of strings, such as {{"http.method": "GET"}}')
    return list(found.items())


async def trace(request: Request) -> Response:
    """``GET /api/traces/{id}``: one trace. The path is also Tempo's, and what it answers is for both.

    JSON has Jaeger's envelope and, beside it, Tempo's ``batches``: neither client minds the other's. Protobuf, where
    it is asked for, is Tempo's alone.
    """
    return await (_protobuf(request) if tempo.wants_protobuf(request) else _json(request))


@while_wanted
async def _protobuf(request: Request) -> Response:
    try:
        spans = (await tempo.trace_of(request)).spans
    except TraceNotFound:
        return Response(status_code=404)
    return Response(await asyncio.to_thread(tempo.traces_protobuf, spans), media_type=tempo.PROTOBUF)


@answering(problem)
async def _json(request: Request) -> Response:
    try:
        spans = (await tempo.trace_of(request)).spans
    except TraceNotFound:
        return JSONResponse(problem(404, "trace not found"), 404)
    return streamed(request, _for_both(spans))


def _for_both(spans: Sequence[Span]) -> Iterator[str]:
    return chain(['{"data":['], jaeger.pieces(spans), ['],"batches":'], tempo.batches(spans), [after_data()])


@answering(problem)
async def dependencies(request: Request) -> Response:
    """``GET /api/dependencies``: who calls whom, up to ``endTs`` for ``lookback``, both in milliseconds."""
    parameters = request.query_params
    end_ns = read_ms(parameters, "endTs", time.time_ns())
    start_ns = max(0, end_ns - read_ms(parameters, "lookback", DAY_NS))
    found = await store_of(request).dependencies(start_ns + 1, end_ns)  # as the calls of `jaeger_metrics`
    service = parameters.get("service")
    rows = [
        {"parent": one.parent, "child": one.child, "callCount": one.call_count}
        for one in found
        if not service or service in (one.parent, one.child)
    ]
    return answer(request, envelope(rows))


async def transform(request: Request) -> Response:
    """``POST /api/transform``: OTLP's JSON as Jaeger's traces. Nothing is stored."""
    try:
        content = await body.read(request, request.app.state.config.max_body_bytes)
        traces = await asyncio.to_thread(_transformed, content)
    except MinitraceError as error:
        return JSONResponse(problem(status_of(error), str(error)), status_of(error))
    return answer(request, envelope(traces))


def _transformed(content: bytes) -> list[dict[str, Any]]:
    """Raises DecodeError."""
    return list(map(jaeger.trace_json, grouped(decode_traces(content, is_json=True).spans).values()))


async def archive(request: Request) -> Response:
    """``POST /api/archive/{id}``: what Jaeger answers where no archive is set up."""
    return JSONResponse(problem(501, NO_ARCHIVE), 501)


routes = [
    Route("/api/services", services),
    Route("/api/services/{service:path}/operations", operation_names),
    Route("/api/operations", operations),
    Route("/api/traces", search),
    Route("/api/traces/{trace_id}", trace),
    Route("/api/dependencies", dependencies),
    Route("/api/transform", transform, methods=["POST"]),
    Route("/api/archive/{trace_id}", archive, methods=["POST"]),
]
