"""Requests to the receiver as clients without an SDK make them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from minitrace.model import Span
from minitrace.otlp import json as otlp_json
from minitrace.otlp import messages
from minitrace.otlp.encode import encode_export
from minitrace.otlp.http import JSON, PROTOBUF
from minitrace.testing.processes import receiver


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def message(self) -> str:
        """The text of an error, whose encoding is JSON unless protobuf was sent."""
        if self.headers["Content-Type"] == JSON:
            return str(json.loads(self.content)["message"])
        status: Any = messages.Status.FromString(self.content)
        return str(status.message)


def send(
    path: str,
    content: bytes | Iterable[bytes] = b"",
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "POST",
    connection: HTTPConnection | None = None,
) -> Answer:
    """Ask the receiver for something; content in parts is sent in chunks."""
    own = connection or connect()
    try:
        own.request(
            method,
            path,
            content,
            {"Content-Type": PROTOBUF} | dict(headers or {}),
            encode_chunked=False,
        )
        response = own.getresponse()
        return Answer(response.status, dict(response.headers), response.read())
    finally:
        if connection is None:
            own.close()


def connect() -> HTTPConnection:
    """A connection to the receiver."""
    return HTTPConnection(urlsplit(receiver.endpoint()).netloc, timeout=10)


def export_json(*spans: Span) -> bytes:
    """An export request in OTLP/JSON."""
    message = messages.ExportTraceServiceRequest.FromString(encode_export(spans))
    return json.dumps(otlp_json.dump(message)).encode()
