"""Tempo's HTTP API: search, and a trace by its id; and whether we are well.

Grafana decodes these answers strictly: one unknown field fails the query, so the keys are exactly Tempo's
of 2025. Ids in search are hex, in traces base64, enums are names. Errors are plain text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from minitrace.durations import parse_duration
from minitrace.errors import DecodeError, MinitraceError, TraceQLError
from minitrace.model import Kind, StatusCode
from minitrace.otlp import json as otlp_json
from minitrace.otlp.encode import encode_export, traces_data
from minitrace.store.conditions import Filter
from minitrace.store.search import SearchResult, TraceMatch
from minitrace.store.store import Store
from minitrace.web.answers import plain
from minitrace.web.lookup import read_id
from minitrace.web.wanted import while_wanted

PROTOBUF = "application/protobuf"
DEFAULT_LIMIT = 20
LARGEST_LIMIT = 1000
ROOT_NOT_RECEIVED = "<root span not yet received>"  # Tempo's words, which clients know

_CONDITION = re.compile(r'\s*([\w.:]+)\s*(>=|<=|=|>|<)\s*("(?:[^"\\]|\\.)*"|`[^`]*`|[\w.µ-]+)\s*', re.ASCII)


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


@while_wanted
async def search(request: Request) -> Response:
    """``GET /api/search``: traces that match, newest first."""
    parameters = request.query_params
    limit = _number(parameters, "limit", DEFAULT_LIMIT, low=1)
    spans_per_trace = _number(parameters, "spss", 3, low=0)
    store: Store = request.app.state.store
    result = await store.search(
        _filter(parameters), limit=min(limit, LARGEST_LIMIT), spans_per_trace=spans_per_trace or 2**31
    )
    return JSONResponse(_search_answer(result))


@while_wanted
async def trace(request: Request) -> Response:
    """``GET /api/traces/{id}``: one trace as OTLP protobuf or Tempo's JSON."""
    store: Store = request.app.state.store
    found = await store.trace(_trace_id(request.path_params["trace_id"]))
    if PROTOBUF in request.headers.get("accept", ""):
        return Response(encode_export(found.spans), media_type=PROTOBUF)
    document = otlp_json.dump(traces_data(found.spans), ids="base64", enums="name")
    return JSONResponse({"batches": document["resourceSpans"]})


async def healthz(request: Request) -> Response:
    """Whether the process answers."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """Whether telemetry would be taken now."""
    if request.app.state.store.is_busy:
        return PlainTextResponse("the writer cannot take more now\n", 503, headers={"Retry-After": "1"})
    return PlainTextResponse("ready\n")


routes = [
    Route("/api/search", search),
    Route("/api/traces/{trace_id}", trace),
    Route("/healthz", healthz),
    Route("/readyz", readyz),
]


def _trace_id(text: str) -> bytes:
    trace_id = read_id(text, 32)
    if trace_id is None:
        raise DecodeError(f"{text[:40]!r} is not a trace id: 1 to 32 hex digits, not all zero")
    return trace_id


def _search_answer(result: SearchResult) -> dict[str, Any]:
    return {
        "traces": [_trace_answer(match) for match in result.matches],
        "metrics": {"inspectedTraces": result.inspected},
    }


def _trace_answer(match: TraceMatch) -> dict[str, Any]:
    summary = match.summary
    return {
        "traceID": summary.trace_id.hex(),
        "rootServiceName": ROOT_NOT_RECEIVED if summary.root_name is None else summary.root_service,
        "rootTraceName": summary.root_name or "",
        "startTimeUnixNano": str(summary.start_ns),
        "durationMs": min(summary.duration_ns // 1_000_000, 2**32 - 1),
        "spanSets": [
            {
                "spans": [
                    {
                        "spanID": span.span_id.hex(),
                        "name": span.name,
                        "startTimeUnixNano": str(span.start_ns),
                        "durationNanos": str(span.duration_ns),
                    }
                    for span in match.spans
                ],
                "matched": match.matched,
            }
        ],
        "serviceStats": {
            count.name: {"spanCount": count.span_count}
            | ({"errorCount": count.error_count} if count.error_count else {})
            for count in summary.services
        },
    }


def _filter(parameters: Mapping[str, str]) -> Filter:
    """The query's parameters as a filter: ``q``, or the fields of the search form, and a time range."""
    conditions = _read_query(parameters.get("q", "")) | _read_form(parameters)
    start, end = parameters.get("start"), parameters.get("end")
    if (start is None) != (end is None):
        raise DecodeError("start and end go together: give both, in seconds since 1970, or neither")
    if start is not None:
        start_s, end_s = _number(parameters, "start", 0, low=0), _number(parameters, "end", 0, low=0)
        if end_s <= start_s:
            raise DecodeError(f"end={end_s} is not after start={start_s}")
        conditions |= {"start_ns": start_s * 1_000_000_000, "end_ns": end_s * 1_000_000_000}
    return Filter(**conditions)


def _read_form(parameters: Mapping[str, str]) -> dict[str, Any]:
    conditions: dict[str, Any] = {}
    for field in ("service", "name", "text"):
        if parameters.get(field):
            conditions[field] = parameters[field]
    if parameters.get("status"):
        conditions["status"] = _enum(StatusCode, parameters["status"])
    for field, parameter in (("min_duration_ns", "minDuration"), ("max_duration_ns", "maxDuration")):
        if parameters.get(parameter):
            conditions[field] = parse_duration(parameters[parameter])
    if conditions.get("max_duration_ns", 2**63) < conditions.get("min_duration_ns", 0):
        raise DecodeError("maxDuration is below minDuration")
    return conditions


def _read_query(text: str) -> dict[str, Any]:
    """The part of TraceQL that the search form can say: ``{}``, and ``{ a = b && c > d }`` over its fields."""
    text = text.strip()
    if not text:
        return {}
    if not (text.startswith("{") and text.endswith("}")):
        raise TraceQLError("expected a query in braces, such as { status = error }")
    conditions: dict[str, Any] = {}
    rest = text[1:-1].strip()
    while rest:
        match = _CONDITION.match(rest)
        if not match:
            raise TraceQLError(f"expected a field, an operator and a value at {rest[:60]!r}")
        conditions |= _read_condition(*match.groups())
        rest = rest[match.end() :]
        if rest and not rest.startswith("&&"):
            raise TraceQLError(f"expected && at {rest[:60]!r}")
        rest = rest.removeprefix("&&")
    return conditions


def _read_condition(field: str, operator: str, value: str) -> dict[str, Any]:
    if field == "duration" and operator != "=":
        limit = parse_duration(value)
        if operator.startswith(">"):
            return {"min_duration_ns": limit + (operator == ">")}
        return {"max_duration_ns": limit - (operator == "<")}
    plain_value = value[1:-1].replace('\\"', '"') if value[0] in '"`' else value
    if operator == "=" and field in ("resource.service.name", ".service.name"):
        return {"service": plain_value}
    if operator == "=" and field in ("name", "span:name"):
        return {"name": plain_value}
    if operator == "=" and field in ("status", "span:status"):
        return {"status": _enum(StatusCode, value)}
    if operator == "=" and field in ("kind", "span:kind"):
        return {"kind": _enum(Kind, value)}
    raise TraceQLError(
        f"{field} {operator} is not supported yet: use resource.service.name, name, status or kind with =, "
        "or duration with >, >=, < or <="
    )


def _enum(enum: type[StatusCode] | type[Kind], name: str) -> int:
    if name.upper() not in enum.__members__:
        raise TraceQLError(f"{name!r} is none of {', '.join(member.name.lower() for member in enum)}")
    return enum[name.upper()]


def _number(parameters: Mapping[str, str], name: str, default: int, *, low: int) -> int:
    text = parameters.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and low <= int(text) < 2**32):
        raise DecodeError(f"{name}={text[:40]!r} is not a whole number from {low} to {2**32 - 1}")
    return int(text)
