"""What a gRPC client begins with, and how it is told so by the receiver of `testing`, which speaks HTTP/1.1 alone.

Python's SDK speaks gRPC unless told otherwise.
"""

from __future__ import annotations

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GRPC_HINT = (
    "a gRPC client connected, but this port speaks OTLP over HTTP: "
    "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf in the application"
)


def refusal() -> bytes:
    """Why not, in HTTP/2: an empty SETTINGS frame, then GOAWAY with HTTP_1_1_REQUIRED and `GRPC_HINT`.

    See RFC 9113, sections 4.1, 6.5 and 6.8. gRPC libraries put the words into their own error.
    """
    payload = (0).to_bytes(4) + (0xD).to_bytes(4) + GRPC_HINT.encode()
    return bytes(3) + b"\x04\x00" + bytes(4) + len(payload).to_bytes(3) + b"\x07\x00" + bytes(4) + payload
