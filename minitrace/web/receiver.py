"""What the receiver notes of a request, and what would help where it failed: "why is nothing arriving?"

The receiver itself, the guard in front of it and the answer to a wrong path report here. It costs some 5 µs a request.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

from minitrace.live import Live, Received, shown
from minitrace.web import grpc_answers

PATHS = ("/v1/traces", "/v1/logs", "/v1/metrics")
GRPC = "gRPC"  # in place of the method: a call is always POSTed
_PROTOCOL = "Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf in the application."
_OTHERS = {
    "/api/v2/spans": "This address takes what Zipkin's reporters POST: version 2, as JSON or protobuf.",
    "/api/v1/spans": "Zipkin's version 1 is not understood: let the reporter send version 2, to /api/v2/spans.",
    "/api/traces": "This address takes what Jaeger's clients POST: a Batch in Thrift, as application/x-thrift.",
}
_CURES = {  # where the answer itself does not say it
    400: "The body is not what its Content-Type says; an SDK of OpenTelemetry gets this right.",
    413: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE says how many spans an SDK sends at once.",
    415: _PROTOCOL,
    503: "The client sends it again by itself. If that goes on: is the disk full, or slow?",
}
_BROKEN_LINK = "They are found by what they say. A trace id has 32 hex digits, that of a span 16."
_NO_TLS = (
    "Give it an endpoint that begins with http://, or set OTEL_EXPORTER_OTLP_INSECURE=true; "
    "in code it is insecure=True, or WithInsecure()."
)
_TWICE = "OTEL_EXPORTER_OTLP_ENDPOINT is an address without a path; SDKs add /v1/traces to it."


def begun(scope: Scope) -> Received:
    """A request as it came."""
    headers = Headers(scope=scope)
    length = headers.get("content-length", "")
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    is_call = grpc_answers.is_call(scope)
    return Received(
        GRPC if is_call else shown(scope["method"]),
        shown(path.rpartition(".")[2] if is_call else path),  # TraceService/Export
        shown(headers.get("content-type", "")),
        shown(headers.get("grpc-encoding" if is_call else "content-encoding", "")),
        shown(headers.get("user-agent", "")),
        size_bytes=int(length) if length.isascii() and length.isdigit() and len(length) < 16 else 0,
    )


def note(live: Live, request: Received, status: int, problem: str = "") -> None:
    """Keep a request with what became of it."""
    request.status = status
    request.problem = shown(problem)
    if problem:
        request.cure = cure(request)
    live.requests.add(request)


def note_refused(live: Live, scope: Scope, status: int, problem: str) -> None:
    """Keep a request that somebody else answered, if it looks like telemetry."""
    request = begun(scope)
    if scope["method"] == "POST" and _is_telemetry(request):
        note(live, request, status, problem)


def note_tls(live: Live) -> None:
    """Keep a connection that began with TLS's handshake: many gRPC exporters do, unless they are told not to."""
    live.requests.add(Received("TLS", "", problem="a client began with TLS, and this port speaks none", cure=_NO_TLS))


def cure(request: Received) -> str:
    """What would help a request with a problem; "" where nothing is known."""
    if request.status in (404, 405):
        return _right_path(request)
    if request.encoding.strip().lower() not in ("", "identity", "gzip", "deflate", "zstd"):
        return "Compress with gzip, deflate or zstd, or not at all: OTEL_EXPORTER_OTLP_COMPRESSION=gzip."
    if request.status == 200 and request.path.startswith(("/v1/logs", "LogsService/")):
        return "The other log records of the request were stored." if request.rejected else _BROKEN_LINK
    if request.rejected:
        return "The other spans of the request were stored. Ids have 16 bytes, of a span 8, and are not all zero."
    if request.status == 200:
        return "The exporter works, and had nothing to send: is a sampler on, does anything start spans?"
    if request.status == 415 and request.path in _OTHERS:
        return _OTHERS[request.path]
    return _CURES.get(request.status, "")


def _right_path(request: Received) -> str:
    path = request.path.rstrip("/")
    if request.method == GRPC:
        return "Taken are TraceService/Export, LogsService/Export and MetricsService/Export of OTLP, version 1."
    if path in PATHS:
        return "This address is for exporters, which POST to it; the pages begin at /."
    if path in _OTHERS:
        return _OTHERS[path]
    if not path:
        return f"Did you mean /v1/traces? OTEL_EXPORTER_OTLP_TRACES_ENDPOINT has to name it. {_TWICE}"
    if path.endswith(PATHS):
        return f"Leave out what stands before {next(right for right in PATHS if path.endswith(right))}. {_TWICE}"
    near = get_close_matches(path, PATHS, 1)
    return f"Did you mean {near[0]}?" if near else f"Telemetry goes to {', '.join(PATHS)}."


def _is_telemetry(request: Received) -> bool:
    """Whether a request is an exporter's, and no form or mistyped address of a page of ours."""
    media_type = request.content_type.partition(";")[0].strip().lower()
    return media_type not in ("application/x-www-form-urlencoded", "multipart/form-data")


def answer(request: Received) -> dict[str, Any]:
    """A request as JSON."""
    return {
        "time_ns": request.time_ns,
        "first_ns": request.first_ns,
        "times": request.times,
        "rate": round(request.rate, 3),
        "method": request.method,
        "path": request.path,
        "content_type": request.content_type,
        "encoding": request.encoding,
        "client": request.client,
        "size_bytes": request.size_bytes,
        "status": request.status,
        "spans": request.span_count,
        "log_records": request.record_count,
        "traces": request.trace_count,
        "duplicates": request.duplicates,
        "rejected": request.rejected,
        "not_stored": request.other_count,
        "problem": request.problem,
        "cure": request.cure,
    }
