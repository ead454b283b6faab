"""Zipkin's receiver: POST /api/v2/spans, JSON or protobuf, as Zipkin's own takes it."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from minitrace import present
from minitrace.formats import zipkin, zipkin_protobuf
from minitrace.live import Received
from minitrace.model import Span
from minitrace.otlp.http import JSON, PROTOBUF
from minitrace.web import foreign, intake

PATH = "/api/v2/spans"
TYPES = (JSON, PROTOBUF)
_BEACON = "text/plain"  # as which OpenTelemetry's exporter for browsers sends them
_THRIFT = "application/x-thrift"  # version 1's


class Receiver(foreign.Receiver):
    """Many clients name no type, or curl's: what is not said to be something else is JSON, unless a web page sends it.

    A page may send some types without asking first: of those a beacon's is taken, from origins that the guard lets
    through.
    """

    def unfit(self, request: Request, seen: Received) -> Response | None:
        content_type = intake.media_type_of(request)
        if content_type in (*TYPES, _BEACON) or (content_type != _THRIFT and "origin" not in request.headers):
            return None
        what = "Zipkin's version 1" if content_type == _THRIFT else "none of Zipkin's"
        seen.problem = f"Content-Type {present.printable(seen.content_type or 'none')[:60]} is {what}"
        return PlainTextResponse(f"415 {seen.problem}, supported: [{', '.join(TYPES)}]\n", 415)

    def read(self, content: bytes, content_type: str) -> list[Span]:
        read = zipkin_protobuf.read_spans if content_type == PROTOBUF else zipkin.read_spans
        return read(content, now_ns=time.time_ns())


def is_ingest(method: str, path: str) -> bool:
    """Whether a request brings Zipkin's spans."""
    return method == "POST" and path == PATH


routes = [Route(PATH, Receiver(), methods=["POST"])]
