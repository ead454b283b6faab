"""Tempo's HTTP API: search, and a trace by its id; and whether we are well.

Grafana decodes these answers strictly: one unknown field fails the query, so the keys are exactly Tempo's
of 2025. Ids in search are hex, in traces base64, enums are names. Errors are plain text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial, reduce
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from minitrace.durations import parse_duration
from minitrace.errors import DecodeError, MinitraceError
from minitrace.model import Kind, StatusCode
from minitrace.otlp import json as otlp_json
from minitrace.otlp.encode import encode_export, traces_data
from minitrace.store.matches import SearchResult, SpanMatch, SpansetMatch, TraceMatch
from minitrace.store.search import Search
from minitrace.store.store import Store
from minitrace.traceql.ast import (
    Attribute,
    Binary,
    Duration,
    Field,
    Intrinsic,
    Pipeline,
    Query,
    SpansetFilter,
    Static,
    Value,
    static_text,
)
from minitrace.traceql.fields import NO_ROOT
from minitrace.traceql.names import go_duration, pattern_text
from minitrace.traceql.parser import parse
from minitrace.web import tempo_tags
from minitrace.web.answers import plain
from minitrace.web.lookup import read_id
from minitrace.web.parameters import SECOND_NS, read_number
from minitrace.web.wanted import while_wanted

PROTOBUF = "application/protobuf"
DEFAULT_LIMIT = 20
LARGEST_LIMIT = 1000
ALL_SPANS = 2**31  # of a spanset

_TAG = re.compile(r'\s*([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))(?=\s|$)')
_TAGS = {
    "name": Intrinsic("name"),
    "root.name": Intrinsic("rootName"),
    "root.service.name": Intrinsic("rootServiceName"),
}
_FLOATS = {math.inf: "Infinity", -math.inf: "-Infinity"}


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
    start_ns, end_ns = _times(parameters)
    wanted = Search(
        _pipeline(parameters),
        start_ns=start_ns,
        end_ns=end_ns,
        limit=min(read_number(parameters, "limit", DEFAULT_LIMIT, low=1), LARGEST_LIMIT),
        spans_per_set=read_number(parameters, "spss", 3) or ALL_SPANS,
    )
    store: Store = request.app.state.store
    return JSONResponse(_search_answer(await store.search(wanted)))


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
    *tempo_tags.routes,
    Route("/healthz", healthz),
    Route("/readyz", readyz),
]


def _trace_id(text: str) -> bytes:
    trace_id = read_id(text, 32)
    if trace_id is None:
        raise DecodeError(f"{text[:40]!r} is not a trace id: 1 to 32 hex digits, not all zero")
    return trace_id


def _search_answer(result: SearchResult) -> dict[str, Any]:
    metrics = {"inspectedTraces": result.inspected, "completedJobs": int(result.complete), "totalJobs": 1}
    return {"traces": [_trace_answer(match) for match in result.matches], "metrics": metrics}


def _trace_answer(match: TraceMatch) -> dict[str, Any]:
    summary = match.summary
    return {
        "traceID": summary.trace_id.hex(),
        "rootServiceName": NO_ROOT if summary.root_name is None else summary.root_service,
        "rootTraceName": summary.root_name or "",
        "startTimeUnixNano": str(summary.start_ns),
        "durationMs": min(summary.duration_ns // 1_000_000, 2**32 - 1),
        "spanSets": [_spanset_answer(spanset) for spanset in match.spansets],
        "serviceStats": {
            count.name: {"spanCount": count.span_count}
            | ({"errorCount": count.error_count} if count.error_count else {})
            for count in summary.services
        },
    }


def _spanset_answer(spanset: SpansetMatch) -> dict[str, Any]:
    answer = {"spans": [_span_answer(span) for span in spanset.spans], "matched": spanset.matched}
    return answer | ({"attributes": key_values(spanset.attributes.items())} if spanset.attributes else {})


def _span_answer(span: SpanMatch) -> dict[str, Any]:
    answer = {
        "spanID": span.span_id.hex(),
        "name": span.name,
        "startTimeUnixNano": str(span.start_ns),
        "durationNanos": str(span.duration_ns),
    }
    return answer | ({"attributes": key_values(span.attributes.items())} if span.attributes else {})


def key_values(pairs: Iterable[tuple[str, Value]]) -> list[dict[str, Any]]:
    """Attributes as OTLP's KeyValue in JSON, with Tempo's texts for what OTLP has no type for."""
    return [{"key": key, "value": _any_value(value)} for key, value in pairs]


def _any_value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if value is None or isinstance(value, StatusCode | Kind):
        return {"stringValue": static_text(value)}
    if isinstance(value, Duration):
        return {"stringValue": go_duration(value)}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else _FLOATS.get(value, "NaN")}
    if isinstance(value, list):
        return {"arrayValue": {"values": list(map(_any_value, value))}}
    return {"stringValue": value}


def read_query(parameters: Mapping[str, str]) -> Query:
    """The TraceQL of ``q``, or of its alias ``query``. Raises TraceQLError."""
    return parse(parameters.get("q") or parameters.get("query") or "")


def _pipeline(parameters: Mapping[str, str]) -> Pipeline:
    """What ``q`` asks for, or else ``tags``, ``minDuration`` and ``maxDuration``. Raises TraceQLError, DecodeError."""
    form = SpansetFilter(_read_form(parameters))
    if not parameters.get("q") or form.condition is not None:
        if parameters.get("q"):
            raise DecodeError("q and tags, minDuration or maxDuration do not go together: put all into q")
        return Pipeline((form,))
    query = read_query(parameters)
    if not isinstance(query.root, Pipeline):
        raise DecodeError("this query gives series, not traces: ask /api/metrics/query_range")
    return query.root


def _read_form(parameters: Mapping[str, str]) -> Field | None:
    """Tempo's search without TraceQL: parts of attribute values, and how long the trace takes."""
    conditions = list(map(_read_tag, _read_tags(parameters.get("tags", ""))))
    limits = []
    for operator, parameter in ((">=", "minDuration"), ("<=", "maxDuration")):
        if parameters.get(parameter):
            limits.append(parse_duration(parameters[parameter]))
            conditions.append(Binary(operator, Intrinsic("traceDuration"), Static(Duration(limits[-1]))))
    if limits != sorted(limits):
        raise DecodeError("maxDuration is below minDuration")
    return reduce(partial(Binary, "&&"), conditions) if conditions else None


def _read_tags(text: str) -> Iterator[tuple[str, str]]:
    """The pairs of logfmt: ``http.method=GET db.statement="a b"``. Raises DecodeError."""
    seen = set()
    place = 0
    while place < len(text.rstrip()):
        tag = _TAG.match(text, place)
        if tag is None:
            raise DecodeError(f'tags: write key=value or key="a value" at {text[place : place + 40]!r}')
        if tag[1] in seen:
            raise DecodeError(f"tags: {tag[1][:40]!r} is there twice")
        seen.add(tag[1])
        yield tag[1], tag[3] if tag[2] is None else re.sub(r"\\(.)", r"\1", tag[2])
        place = tag.end()


def _read_tag(tag: tuple[str, str]) -> Field:
    key, text = tag
    field = _TAGS.get(key, Attribute(None, key))
    return Binary("=~", field, Static(f"(?i).*{pattern_text(text)}.*"))


def _times(parameters: Mapping[str, str]) -> tuple[int | None, int | None]:
    """The range of ``start`` and ``end`` in nanoseconds; they are whole seconds. Raises DecodeError."""
    if bool(parameters.get("start")) != bool(parameters.get("end")):
        raise DecodeError("start and end go together: give both, in seconds since 1970, or neither")
    if not parameters.get("start"):
        return None, None
    start_s, end_s = read_number(parameters, "start", 0), read_number(parameters, "end", 0)
    if end_s <= start_s:
        raise DecodeError(f"end={end_s} is not after start={start_s}")
    return start_s * SECOND_NS, end_s * SECOND_NS
