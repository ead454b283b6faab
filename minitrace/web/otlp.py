"""The OTLP/HTTP receiver: ``POST /v1/traces``, ``/v1/logs``, ``/v1/metrics``.

200 means committed. What the client may send again is answered 503 with ``Retry-After``, and only that:
an SDK drops its batch at any other status. Errors are a ``google.rpc.Status`` in the request's own
encoding. See https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from minitrace import present
from minitrace.errors import MinitraceError, StoreBusy
from minitrace.otlp import json as otlp_json
from minitrace.otlp import messages
from minitrace.otlp.decode import count_logs, count_metrics
from minitrace.web import body
from minitrace.web.answers import retry_headers, status_of

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
_TYPES = {JSON: JSON, PROTOBUF: PROTOBUF, "application/protobuf": PROTOBUF}
# google.rpc.Code for a status; the Collector's table
_CODES = {400: 3, 401: 16, 403: 7, 404: 12, 413: 3, 415: 3, 429: 8, 500: 13, 502: 14, 503: 14, 504: 14}

log = logging.getLogger(__name__)


class Receiver:
    """One signal's endpoint. An ASGI application, so that every method comes here and 405 says what OTLP says."""

    def __init__(self, export: Callable[[Request, bytes, bool], Awaitable[Any]]) -> None:
        self._export = export

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST":
            text = "405 method not allowed, supported: [POST]"
            return PlainTextResponse(text, 405, headers={"Allow": "POST"})
        media_type = _media_type(request)
        try:
            encoding = request.headers.get("content-encoding", "").strip().lower()
            if "," in encoding:  # a body packed twice is an attack, or a mistake
                return PlainTextResponse("415 more than one Content-Encoding, supported: [gzip, deflate, zstd]", 415)
            body.check_encoding(encoding)
            if media_type is None:
                return _refuse_type(request)
            if request.app.state.store.is_busy:
                raise StoreBusy("too much waits to be written")  # before the body is even read
            limit = request.app.state.config.max_body_bytes
            packed = await body.read(request, limit)
            content = await body.unpack(packed, encoding, limit)
            return _accept(media_type, await self._export(request, content, media_type == JSON))
        except MinitraceError as error:
            status = status_of(error)
            request.app.state.live.note(f"POST {request.url.path} {status}: {error}", warn=status != 503)
            return _refuse(media_type or JSON, status, str(error))
        except ClientDisconnect:
            raise
        except Exception:
            log.exception("POST %s failed", request.url.path)
            return _refuse(media_type or JSON, 500, "minitrace failed to take this request; its log says why")


async def _export_traces(request: Request, content: bytes, is_json: bool) -> Any:
    state = request.app.state
    batch = await state.store.ingest(content, is_json=is_json)
    state.live.publish(batch.trace_ids)
    response = messages.ExportTraceServiceResponse()
    if batch.rejected:
        response.partial_success.rejected_spans = batch.rejected
        response.partial_success.error_message = batch.reason
        state.live.note(f"{present.count(batch.rejected, 'span')} rejected: {batch.reason}", warn=True)
    return response


async def _count(
    request: Request, content: bytes, is_json: bool, *, count: Callable[..., int], noun: str, answer: Callable[[], Any]
) -> Any:
    """Accept what is not stored yet, so that an SDK with all signals on has nothing to complain of."""
    number = await asyncio.to_thread(count, content, is_json=is_json)
    live = request.app.state.live
    live.counted[noun] += number
    live.note(f"POST {request.url.path} 200: {noun}s are accepted and counted, not stored")
    return answer()


_count_logs = partial(_count, count=count_logs, noun="log record", answer=lambda: messages.ExportLogsServiceResponse())
_count_metrics = partial(
    _count, count=count_metrics, noun="data point", answer=lambda: messages.ExportMetricsServiceResponse()
)

_RECEIVERS = {
    "/v1/traces": Receiver(_export_traces),
    "/v1/logs": Receiver(_count_logs),
    "/v1/metrics": Receiver(_count_metrics),
}
PATHS = tuple(_RECEIVERS)
routes = [Route(path + slash, receiver) for path, receiver in _RECEIVERS.items() for slash in ("", "/")]


def is_ingest(path: str) -> bool:
    """Whether a path takes telemetry, from clients that are no browsers showing our pages."""
    return path.removesuffix("/") in PATHS


def _media_type(request: Request) -> str | None:
    """The encoding of request and answer: `JSON`, `PROTOBUF`, or None for anything else."""
    content_type, _, _ = request.headers.get("content-type", "").partition(";")
    return _TYPES.get(content_type.strip().lower())


def _refuse_type(request: Request) -> Response:
    given = present.printable(request.headers.get("content-type", "none"))[:60]
    request.app.state.live.note(f"POST {request.url.path} 415: Content-Type {given} is not OTLP", warn=True)
    return PlainTextResponse(f"415 unsupported media type, supported: [{JSON}, {PROTOBUF}]", 415)


def _accept(media_type: str, message: Any) -> Response:
    if media_type == PROTOBUF:
        return Response(message.SerializeToString(), media_type=PROTOBUF)
    return Response(json.dumps(otlp_json.dump(message)), media_type=JSON)


def _refuse(media_type: str, status: int, text: str) -> Response:
    """An error as a ``google.rpc.Status`` in the request's encoding."""
    message = messages.Status(code=_CODES.get(status, 2), message=text)
    response = _accept(media_type, message)
    response.status_code = status
    response.headers.update(retry_headers(status))
    return response
