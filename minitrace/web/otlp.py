"""The OTLP/HTTP receiver: ``POST /v1/traces``, ``/v1/logs``, ``/v1/metrics``.

200 means committed. What the client may send again is answered 503 with ``Retry-After``, and only that:
an SDK drops its batch at any other status. Errors are a ``google.rpc.Status`` in the request's own
encoding. See https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from minitrace import present
from minitrace.live import Received
from minitrace.otlp import compression, http, messages
from minitrace.otlp.decode import count_metrics, decode_traces
from minitrace.otlp.http import JSON, PROTOBUF
from minitrace.otlp.log_records import decode_logs
from minitrace.web import intake
from minitrace.web.answers import retry_headers

Export = Callable[[Request, bytes, bool, Received], Awaitable[Any]]


class Receiver(intake.Receiver):
    """One signal's endpoint: `export` takes a body, JSON or protobuf, and gives the message to answer."""

    def __init__(self, export: Export) -> None:
        self._export = export

    def unfit(self, request: Request, seen: Received) -> Response | None:
        if request.method != "POST":
            seen.problem = "exporters POST"
            return PlainTextResponse("405 method not allowed, supported: [POST]", 405, headers={"Allow": "POST"})
        encoding = intake.encoding_of(request)
        if "," in encoding:  # a body packed twice is an attack, or a mistake
            seen.problem = "more than one Content-Encoding"
            return PlainTextResponse(f"415 {seen.problem}, supported: [gzip, deflate, zstd]", 415)
        compression.check_encoding(encoding)  # before the type: a client with neither hears of it in JSON
        if _media_type(request) is None:
            seen.problem = f"Content-Type {present.printable(seen.content_type or 'none')[:60]} is not OTLP"
            return PlainTextResponse(f"415 unsupported media type, supported: [{JSON}, {PROTOBUF}]", 415)
        return None

    async def take(self, request: Request, content: bytes, seen: Received) -> Response:
        media_type = _media_type(request) or JSON
        return _answer(media_type, await self._export(request, content, media_type == JSON, seen))

    def refusal(self, request: Request, status: int, text: str) -> Response:
        response = _answer(_media_type(request) or JSON, http.problem(status, text))
        response.status_code = status
        response.headers.update(retry_headers(status))
        return response


async def export_traces(request: Request, content: bytes, is_json: bool, seen: Received) -> Any:
    """Store an ExportTraceServiceRequest; gives the response. Raises DecodeError, TooLarge, StoreBusy."""
    decode = partial(decode_traces, content, is_json=is_json)
    batch = await intake.store_spans(request, decode, len(content), seen)
    return http.traces_response(batch.rejected, batch.reason)


async def export_logs(request: Request, content: bytes, is_json: bool, seen: Received) -> Any:
    """Store an ExportLogsServiceRequest; gives the response. Raises DecodeError, TooLarge, StoreBusy."""
    decode = partial(decode_logs, content, is_json=is_json)
    batch = await intake.store_logs(request, decode, len(content), seen)
    return http.logs_response(batch.rejected, batch.reason)


async def count_data_points(request: Request, content: bytes, is_json: bool, seen: Received) -> Any:
    """Accept metrics, which are not stored, so that an SDK with all signals on has nothing to complain of."""
    seen.other_count = await asyncio.to_thread(count_metrics, content, is_json=is_json)
    return messages.ExportMetricsServiceResponse()


_EXPORTS = {"/v1/traces": export_traces, "/v1/logs": export_logs, "/v1/metrics": count_data_points}
routes = [Route(path + slash, Receiver(export)) for path, export in _EXPORTS.items() for slash in ("", "/")]


def is_ingest(method: str, path: str) -> bool:
    """Whether a request brings telemetry, from clients that are no browsers showing our pages."""
    return path.removesuffix("/") in _EXPORTS


def _media_type(request: Request) -> str | None:
    return http.media_type(request.headers.get("content-type", ""))


def _answer(media_type: str, message: Any) -> Response:
    return Response(http.encoded(media_type, message), media_type=media_type)
