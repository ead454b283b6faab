"""Answers as gRPC wants them: HTTP's status is 200 whatever happened, and trailers say how it went.

See https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from minitrace import present
from minitrace.errors import MinitraceError
from minitrace.otlp import messages
from minitrace.otlp.encode import encode_field
from minitrace.web.answers import RETRY_AFTER_S, status_of

ENCODINGS = ("identity", "gzip", "deflate", "zstd")
NOT_FOUND = 5
# google.rpc.Code for a status of HTTP. What is 3 or 12 is not sent again, what is 4, 8 or 14 is.
_CODES = {400: 3, 401: 16, 403: 7, 404: 12, 405: 12, 413: 3, 415: 3, 421: 7, 429: 8, 500: 13, 501: 12, 503: 14, 504: 4}
_UNKNOWN = 2
_CONTENT_TYPES = ("application/grpc", "application/grpc+proto")
_UNESCAPED = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_RETRIED = (429, 503)
LONGEST_METHOD = 120
_METHODS = "over gRPC, minitrace takes Export of OTLP's TraceService, LogsService and MetricsService, version 1"
_DETAILS = 3  # of google.rpc.Status, which `messages.Status` leaves out


class GrpcResponse(Response):
    """The answer to a call. `status_code` is what HTTP would have said, for who notes it; 200 is what is sent."""

    def __init__(self, message: bytes | None, trailers: dict[str, str], status_code: int = 200) -> None:
        super().__init__(b"" if message is None else b"\0" + len(message).to_bytes(4) + message, status_code)
        self.trailers = trailers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send head, message and trailers."""
        head = {"content-type": "application/grpc", "grpc-accept-encoding": ",".join(ENCODINGS)}
        await send({"type": "http.response.start", "status": 200, "headers": _encoded(head), "trailers": True})
        await send({"type": "http.response.body", "body": bytes(self.body)})
        await send({"type": "http.response.trailers", "headers": _encoded(self.trailers)})


def is_call(scope: Scope) -> bool:
    """Whether a request is a call that can be answered as one; over HTTP/1.1 there are no trailers."""
    return is_meant_as_call(scope) and "http.response.trailers" in scope.get("extensions", {})


def is_meant_as_call(scope: Scope) -> bool:
    """Whether a request says that it is gRPC's."""
    media_type = Headers(scope=scope).get("content-type", "").partition(";")[0]
    return media_type.strip().lower() in _CONTENT_TYPES


def answer(message: bytes) -> Response:
    """A call that went well."""
    return GrpcResponse(message, {"grpc-status": "0"})


def refusal(status: int, text: str, *, code: int | None = None) -> Response:
    """A call that did not, as a status of HTTP says it; with what OTLP's clients look for if they may try again."""
    problem = messages.Status(code=_CODES.get(status, _UNKNOWN) if code is None else code, message=text.strip())
    trailers = {"grpc-status": str(problem.code), "grpc-message": quote(problem.message, safe=_UNESCAPED)}
    if status in _RETRIED:
        details = problem.SerializeToString() + encode_field(_DETAILS, _retry_info().SerializeToString())
        trailers["grpc-status-details-bin"] = b64encode(details).decode().rstrip("=")
    return GrpcResponse(None, trailers, status)


def refused(scope: Scope, error: Exception) -> Response:
    """The answer to a call that failed, or went to no method of ours."""
    if isinstance(error, HTTPException) and error.status_code in (404, 405):
        method = present.printable(scope["path"])[:LONGEST_METHOD]
        return refusal(error.status_code, f"there is no method {method}: {_METHODS}")
    if isinstance(error, MinitraceError):
        return refusal(status_of(error), str(error))
    return refusal(500, "minitrace failed to take this call; its log says why")


def reworded(response: Response) -> Response:
    """A line of text as the refusal of a call."""
    return refusal(response.status_code, bytes(response.body).decode())


def _retry_info() -> Any:
    delay = Duration(seconds=RETRY_AFTER_S).SerializeToString()
    return Any(type_url="type.googleapis.com/google.rpc.RetryInfo", value=encode_field(1, delay))


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
