"""The OTLP/gRPC receiver: ``TraceService``, ``LogsService`` and ``MetricsService``, each with its ``Export``.

```
call = flag length message        flag: 1 byte, whether it is packed as grpc-encoding says; length: 4 bytes
```

The same messages as over HTTP, and OK means committed. See https://opentelemetry.io/docs/specs/otlp/#otlpgrpc
"""

from __future__ import annotations

import re

from google.protobuf.message import DecodeError as ProtobufError
from google.protobuf.wrappers_pb2 import Int32Value, StringValue
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from minitrace import present
from minitrace.errors import DecodeError, MinitraceError
from minitrace.live import Received
from minitrace.web import body, intake
from minitrace.web.grpc_answers import ENCODINGS, NOT_FOUND, answer, is_call, is_meant_as_call, refusal
from minitrace.web.otlp import Export, count_data_points, export_logs, export_traces

_PREFIX_BYTES = 5
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_UNIT_S = {"H": 3600, "M": 60, "S": 1, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_NEEDS_HTTP2 = "gRPC needs HTTP/2, and this came over HTTP/1.1: a proxy in between has to pass it on as gRPC"
_SERVING = Int32Value(value=1).SerializeToString()  # on the wire the same as a HealthCheckResponse


class Receiver(intake.Receiver):
    """One service's Export: `export` takes a message and gives the one to answer."""

    def __init__(self, export: Export) -> None:
        self._export = export

    def unfit(self, request: Request, seen: Received) -> Response | None:
        if not (found := _misfit(request)):
            return None
        status, seen.problem = found
        return self.refusal(request, status, seen.problem)

    def timeout_s(self, request: Request) -> float | None:
        found = _TIMEOUT.fullmatch(request.headers.get("grpc-timeout", ""))
        return int(found[1]) * _UNIT_S[found[2]] if found else None

    async def take(self, request: Request, content: bytes, seen: Received) -> Response:
        message = await _message(request, content)
        return answer((await self._export(request, message, False, seen)).SerializeToString())

    def refusal(self, request: Request, status: int, text: str) -> Response:
        return refusal(status, text) if is_call(request.scope) else PlainTextResponse(f"{status} {text}\n", status)


async def check_health(request: Request) -> Response:
    """``grpc.health.v1.Health/Check``: all is well as long as somebody answers."""
    if found := _misfit(request):
        return refusal(*found) if is_call(request.scope) else PlainTextResponse(f"{found[1]}\n", found[0])
    try:
        content = await body.read(request, request.app.state.config.max_body_bytes)
        service = StringValue.FromString(await _message(request, content)).value  # the same as a HealthCheckRequest
    except (MinitraceError, ProtobufError) as error:
        return refusal(400, str(error))
    if service not in ("", *_EXPORTS):
        return refusal(404, f"there is no service {present.printable(service)[:80]}", code=NOT_FOUND)
    return answer(_SERVING)


_COLLECTOR = "opentelemetry.proto.collector"
_EXPORTS: dict[str, Export] = {
    f"{_COLLECTOR}.trace.v1.TraceService": export_traces,
    f"{_COLLECTOR}.logs.v1.LogsService": export_logs,
    f"{_COLLECTOR}.metrics.v1.MetricsService": count_data_points,
}
_HEALTH = "/grpc.health.v1.Health/Check"
_PATHS = {f"/{service}/Export": export for service, export in _EXPORTS.items()}
routes = [
    *(Route(path, Receiver(export)) for path, export in _PATHS.items()),
    Route(_HEALTH, check_health, methods=["POST"]),
]


def is_ingest(method: str, path: str) -> bool:
    """Whether a request brings telemetry, or asks whether that would be taken."""
    return path in _PATHS or path == _HEALTH


def _misfit(request: Request) -> tuple[int, str] | None:
    """What is wrong with the head of a call: HTTP's status for it, and the words."""
    if not is_meant_as_call(request.scope):
        return 415, "unsupported media type, supported: [application/grpc]"
    if not is_call(request.scope):
        return 505, _NEEDS_HTTP2
    if request.method != "POST":
        return 405, "calls are POSTed"
    if (encoding := _encoding(request)) not in ENCODINGS:
        return 501, f"unsupported grpc-encoding {encoding[:40]!r}: use {', '.join(ENCODINGS[1:])} or none"
    return None


async def _message(request: Request, content: bytes) -> bytes:
    """The one message of a call, unpacked. Raises DecodeError, TooLarge."""
    is_packed, size, message = content[:1], int.from_bytes(content[1:_PREFIX_BYTES]), content[_PREFIX_BYTES:]
    if len(content) < _PREFIX_BYTES or len(message) != size:
        raise DecodeError(f"expected one message of {size} bytes after its {_PREFIX_BYTES}, got {len(content)} in all")
    if is_packed == b"\0":
        return message
    return await body.unpack(message, _encoding(request), request.app.state.config.max_body_bytes)


def _encoding(request: Request) -> str:
    return request.headers.get("grpc-encoding", "identity").strip().lower()
