"""Tempo's HTTP API: a trace by its id, and what Grafana asks a new data source.

| path                     | JSON                                   | protobuf             | a trace that is not here |
|--------------------------|----------------------------------------|----------------------|--------------------------|
| `/api/v2/traces/{id}`    | `{"trace": {"resourceSpans": […]}, …}` | TraceByIDResponse    | an empty trace           |
| `/api/traces/{id}`       | `{"batches": […], …}`: see jaeger.py   | OTLP's TracesData    | 404                      |
| `/api/echo`              | `echo`, as text                        |                      |                          |
| `/api/status/buildinfo`  | the version of Tempo we answer like    |                      |                          |

Tempo's JSON is not OTLP's: ids are base64 and enums are names. Errors are plain text, which Grafana shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from minitrace.errors import DecodeError, MinitraceError, TraceNotFound
from minitrace.formats.shared_spans import parted
from minitrace.model import UNKNOWN_SERVICE, Resource, Span, Trace
from minitrace.otlp import json as otlp_json
from minitrace.otlp.encode import encode_export, encode_field, traces_data
from minitrace.present import count
from minitrace.store.store import Store
from minitrace.web import pieces
from minitrace.web.answers import plain
from minitrace.web.lookup import read_id
from minitrace.web.parameters import read_time
from minitrace.web.substitutes import finite, substituted
from minitrace.web.wanted import while_wanted

PROTOBUF = "application/protobuf"
VERSION = "2.9.0"  # of a Tempo that answers all that we do


def is_api(path: str) -> bool:
    """Whether a path belongs to programs rather than people."""
    return path.startswith("/api/")


async def error(request: Request, error: Exception) -> Response:
    """An error of the API as plain text."""
    if isinstance(error, MinitraceError):
        return plain(error)
    if isinstance(error, HTTPException):
        return PlainTextResponse(f"{error.detail}\n", error.status_code, headers=error.headers)
    return PlainTextResponse("minitrace failed; its log says why\n", 500)


async def echo(request: Request) -> Response:
    """``GET /api/echo``: what Grafana asks when a data source is saved."""
    return PlainTextResponse("echo")


async def build_info(request: Request) -> Response:
    """``GET /api/status/buildinfo``: from the version older Grafanas conclude what they may ask."""
    keys = ("version", "revision", "branch", "buildUser", "buildDate", "goVersion")
    return JSONResponse(dict.fromkeys(keys, "") | {"version": VERSION})


@while_wanted
async def trace_response(request: Request) -> Response:
    """``GET /api/v2/traces/{id}``: the same in an envelope. 404 would say that we know only the older path."""
    try:
        trace = await trace_of(request)
    except TraceNotFound:
        trace = Trace(b"", [])
    if wants_protobuf(request):
        return Response(await asyncio.to_thread(response_protobuf, trace), media_type=PROTOBUF)
    lack = f',"status":"PARTIAL","message":{pieces.dump(_lack(trace))}' if trace.removed_count else ""
    after = f'}},"metrics":{{}}{lack}}}'
    return pieces.answer(pieces.enclosed('{"trace":{"resourceSpans":', batches(trace.spans), after))


def wants_protobuf(request: Request) -> bool:
    """Whether the client reads Tempo's protobuf."""
    return PROTOBUF in request.headers.get("accept", "")


def batches(spans: Sequence[Span]) -> Iterator[str]:
    """Spans as the list that Tempo calls ``batches``, piece by piece: together they are its JSON.

    Resources and scopes are said again in each piece.
    """
    return pieces.listed(map(_batches, cut(spans)))


def _batches(spans: Sequence[Span]) -> str:
    groups = otlp_json.dump(traces_data(_drawable(spans)), ids="base64", enums="name")["resourceSpans"]
    return ",".join(pieces.dump(group) for group in groups)


def traces_protobuf(spans: Sequence[Span]) -> bytes:
    """The bytes of a TracesData message that Grafana can draw: work for a thread, some 15 µs a span.

    Every ResourceSpans has a resource, every ScopeSpans a scope and every span a status, present even where it is
    empty: Grafana reads them without looking whether they are there.
    """
    return b"".join(encode_export(_drawable(piece)) for piece in cut(spans))  # joined bytes are joined lists


def cut(spans: Sequence[Span]) -> Iterator[Sequence[Span]]:
    """All spans of a trace, each with an id of its own, some at a time."""
    return pieces.cut(parted(spans))


def _drawable(spans: Iterable[Span]) -> list[Span]:
    """Spans that Grafana draws: it leaves those out whose resource says nothing, and knows no time below zero."""
    return [
        span
        if span.resource.attributes and span.end_ns >= span.start_ns
        else replace(span, end_ns=max(span.start_ns, span.end_ns), resource=_named(span.resource))
        for span in spans
    ]


def _named(resource: Resource) -> Resource:
    return resource if resource.attributes else replace(resource, attributes={"service.name": UNKNOWN_SERVICE})


def response_protobuf(trace: Trace) -> bytes:
    """A TraceByIDResponse. Its field 1, the trace, is there even when empty: Grafana reads it without looking."""
    message = encode_field(1, traces_protobuf(list(substituted(trace.spans, finite))))
    if trace.removed_count:
        message += b"\x18\x01" + encode_field(4, _lack(trace).encode())  # field 3, the status: 1 is PARTIAL
    return message


def _lack(trace: Trace) -> str:
    """What Grafana says beside a trace that is not whole."""
    removed = trace.removed_count
    return f"{count(removed, 'span')} of this trace {'was' if removed == 1 else 'were'} removed to make room"


async def trace_of(request: Request) -> Trace:
    """The trace that the path names. Raises DecodeError, TraceNotFound."""
    _check_times(request.query_params)
    store: Store = request.app.state.store
    return await store.trace(read_trace_id(request.path_params["trace_id"]))


def _check_times(parameters: Mapping[str, str]) -> None:
    """Raises DecodeError for a range that is none. A trace is told whole, whatever the range."""
    start_ns, end_ns = read_time(parameters, "start"), read_time(parameters, "end")
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise DecodeError(f"end={parameters['end'][:40]} is not after start={parameters['start'][:40]}")


def read_trace_id(text: str) -> bytes:
    """The trace id in a path, 1 to 32 hex digits. Raises DecodeError."""
    trace_id = read_id(text, 32)
    if trace_id is None:
        raise DecodeError(f"{text[:40]!r} is not a trace id: 1 to 32 hex digits, not all zero")
    return trace_id


routes = [
    Route("/api/echo", echo),
    Route("/api/status/buildinfo", build_info),
    # /api/traces/{trace_id} is Jaeger's, too: see jaeger.py
    Route("/api/v2/traces/{trace_id}", trace_response),
    # Grafana before 13.2 makes this of an address that ends in a slash
    Route("//api/v2/traces/{trace_id}", trace_response),
]
