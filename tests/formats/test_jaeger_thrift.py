"""What Jaeger's clients sent before OpenTelemetry's."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from minitrace.errors import DecodeError
from minitrace.formats import jaeger_thrift
from minitrace.model import Event, Kind, Link, Resource, Span, Status, StatusCode
from tests.formats.thrift_writer import write_struct

# Written by the Thrift library of jaeger-client 4.8.0 for Python.
RECORDED = base64.b64decode("""
DAABCwABAAAABGJhbmsPAAIMAAAAAgsAAQAAAAhob3N0bmFtZQgAAgAAAAALAAMAAAACaDEACwABAAAADmphZWdlci52ZXJzaW9uCAACAAAAAA
sAAwAAAAxQeXRob24tNC44LjAAAA8AAgwAAAABCgABgf////////8KAAJbjv/3mAOBAwoAAwAAAAAAAAACCgAEAAAAAAAAAAELAAUAAAAGY2hh
cmdlDwAGDAAAAAIIAAEAAAAACgACgf////////8KAANbjv/3mAOBAwoABAAAAAAAAAABAAgAAQAAAAEKAAIAAAAAAAAABwoAAwAAAAAAAAAACg
AEAAAAAAAAAAkACAAHAAAAAQoACAAGCiQYHkAACgAJAAAAAAAABdwPAAoMAAAABQsAAQAAAAlzcGFuLmtpbmQIAAIAAAAACwADAAAABnNlcnZl
cgALAAEAAAAFZXJyb3IIAAIAAAACAgAFAQALAAEAAAABbggAAgAAAAMKAAb/////////+wALAAEAAAABZggAAgAAAAEEAAQ/4AAAAAAAAAALAA
EAAAADcmF3CAACAAAABAsABwAAAANhYmMADwALDAAAAAEKAAEABgokGB5AZA8AAgwAAAACCwABAAAABWV2ZW50CAACAAAAAAsAAwAAAAVlcnJv
cgALAAEAAAAHbWVzc2FnZQgAAgAAAAALAAMAAAAIZGVjbGluZWQAAAAA
""")
T0 = 1_700_000_000_000_000  # µs


def batch(**said: Any) -> bytes:
    span = {"trace_low": 1, "span": 2, "name": b"n", "start": T0, "duration": 5, **said}
    return write_struct(jaeger_thrift._BATCH, {"process": {"service": b"bank"}, "spans": [span]})


def test_a_recorded_batch_is_the_span_that_was_made() -> None:
    assert jaeger_thrift.read_spans(RECORDED) == [
        Span(
            trace_id=bytes.fromhex("5b8efff79803810381ffffffffffffff"),
            span_id=bytes.fromhex("0000000000000002"),
            parent_id=bytes.fromhex("0000000000000001"),
            name="charge",
            kind=Kind.SERVER,
            start_ns=T0 * 1000,
            end_ns=T0 * 1000 + 1_500_000,
            status=Status(StatusCode.ERROR),
            attributes={"n": -5, "f": 0.5, "raw": b"abc"},
            events=[Event(T0 * 1000 + 100_000, "exception", {"exception.message": "declined"})],
            links=[Link(bytes(15) + b"\7", bytes(7) + b"\t")],
            resource=Resource({"service.name": "bank", "host.name": "h1", "jaeger.version": "Python-4.8.0"}),
        )
    ]


def test_a_trace_id_may_have_64_bits() -> None:
    (span,) = jaeger_thrift.read_spans(batch())
    assert (span.trace_id, span.parent_id) == (bytes(15) + b"\1", b"")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (batch(span=0), "span 1: its trace id or span id is missing, or zero"),
        (batch(start=-1), "span 1: start is not a whole number"),
        (batch(tags=[{"key": b"a", "type": 7}]), 'span 1: tag "a" has type 7'),
        (write_struct(jaeger_thrift._BATCH, {"process": {}}), "not a Batch of jaeger.thrift"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(body: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        jaeger_thrift.read_spans(body)
