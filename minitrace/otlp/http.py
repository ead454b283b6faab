"""What OTLP says in HTTP: media types, and answers in the request's own encoding.

See https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import json
from typing import Any

from minitrace.otlp import json as otlp_json
from minitrace.otlp import messages

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
_TYPES = {JSON: JSON, PROTOBUF: PROTOBUF, "application/protobuf": PROTOBUF}
# google.rpc.Code for a status; the Collector's table
_CODES = {400: 3, 401: 16, 403: 7, 404: 12, 413: 3, 415: 3, 429: 8, 500: 13, 502: 14, 503: 14, 504: 14}


def media_type(content_type: str) -> str | None:
    """The encoding that a Content-Type names: `JSON`, `PROTOBUF`, or None for anything else."""
    return _TYPES.get(content_type.partition(";")[0].strip().lower())


def encoded(media_type: str, message: Any) -> bytes:
    """A message as the body of an answer."""
    if media_type == PROTOBUF:
        content: bytes = message.SerializeToString()
        return content
    return json.dumps(otlp_json.dump(message)).encode()


def problem(status: int, text: str) -> Any:
    """An error as a ``google.rpc.Status``."""
    return messages.Status(code=_CODES.get(status, 2), message=text)


def logs_response(rejected: int, reason: str) -> Any:
    """An ExportLogsServiceResponse; a partial success where log records were rejected, or there is reason to warn."""
    return _partial(messages.ExportLogsServiceResponse(), "rejected_log_records", rejected, reason)


def traces_response(rejected: int, reason: str) -> Any:
    """An ExportTraceServiceResponse; a partial success where spans were rejected."""
    return _partial(messages.ExportTraceServiceResponse(), "rejected_spans", rejected, reason)


def _partial(response: Any, field: str, rejected: int, reason: str) -> Any:
    if rejected or reason:
        setattr(response.partial_success, field, rejected)
        response.partial_success.error_message = reason
    return response
