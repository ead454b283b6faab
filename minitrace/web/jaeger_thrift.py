"""Jaeger's receiver for its own clients: POST /api/traces?format=jaeger.thrift, a Batch in Thrift's binary protocol."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from minitrace import present
from minitrace.formats import jaeger_thrift
from minitrace.live import Received
from minitrace.model import Span
from minitrace.web import foreign, intake

PATH = "/api/traces"
TYPES = ("application/x-thrift", "application/vnd.apache.thrift.binary")


class Receiver(foreign.Receiver):
    """The query's `format` is not looked at, as Jaeger does not: there is no other one."""

    def unfit(self, request: Request, seen: Received) -> Response | None:
        if intake.media_type_of(request) in TYPES:
            return None
        seen.problem = f"Content-Type {present.printable(seen.content_type or 'none')[:60]} is not Jaeger's Thrift"
        return PlainTextResponse(f"415 {seen.problem}, supported: [{', '.join(TYPES)}]\n", 415)

    def read(self, content: bytes, content_type: str) -> list[Span]:
        return jaeger_thrift.read_spans(content)


def is_ingest(method: str, path: str) -> bool:
    """Whether a request brings Jaeger's spans."""
    return method == "POST" and path == PATH


routes = [Route(PATH, Receiver(), methods=["POST"])]
