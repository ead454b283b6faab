"""A span that the SDK hands over is the span that its exporter would have sent."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.span import TraceState

from minitrace import model
from minitrace.otlp.decode import decode_traces
from minitrace.testing.readable import Reader

EXPORTER = InMemorySpanExporter()
PROVIDER = TracerProvider(resource=Resource({"service.name": "shop", "list": ["a", "b"]}), shutdown_on_exit=False)
PROVIDER.add_span_processor(SimpleSpanProcessor(EXPORTER))
TRACER = PROVIDER.get_tracer("app", "1.0", "https://schema", {"scope.kind": "test"})
REMOTE = trace.SpanContext(7, 9, is_remote=True, trace_flags=trace.TraceFlags(1), trace_state=TraceState([("a", "b")]))

values = st.one_of(
    st.text(max_size=5),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.lists(st.text(max_size=5), max_size=3),
    st.lists(st.integers(-9, 9), max_size=3),
)
attributes = st.dictionaries(st.text(min_size=1, max_size=5), values, max_size=4)


def ended(span: trace.Span) -> ReadableSpan:
    """The span as processors get it."""
    span.end()
    [readable] = EXPORTER.get_finished_spans()
    EXPORTER.clear()
    return readable


def sent(readable: ReadableSpan) -> model.Span:
    """The span after a trip by OTLP."""
    [span] = decode_traces(encode_spans([readable]).SerializeToString(), is_json=False).spans
    return span


@given(
    name=st.text(max_size=9),
    kind=st.sampled_from(trace.SpanKind),
    attributes=attributes,
    event=attributes,
    is_remote=st.booleans(),
    status=st.sampled_from(trace.StatusCode),
)
def test_it_is_what_otlp_would_have_brought(
    name: str, kind: trace.SpanKind, attributes: Any, event: Any, is_remote: bool, status: trace.StatusCode
) -> None:
    parent = trace.set_span_in_context(trace.NonRecordingSpan(REMOTE)) if is_remote else None
    link = trace.Link(REMOTE, {"why": name})
    span = TRACER.start_span(name, context=parent, kind=kind, attributes=attributes, links=[link])
    span.add_event("happened", event)
    span.set_status(status, "because" if status is trace.StatusCode.ERROR else None)
    readable = ended(span)
    assert Reader().span(readable) == sent(readable)


def test_what_the_limits_of_the_sdk_dropped_is_counted() -> None:
    span = TRACER.start_span("many", attributes={f"key.{n}": n for n in range(130)})
    for n in range(130):
        span.add_event(str(n))
    readable = ended(span)
    assert (readable.dropped_attributes, readable.dropped_events) == (2, 2)
    assert Reader().span(readable) == sent(readable)


def test_spans_of_one_resource_share_it() -> None:
    reader = Reader()
    first, second = (reader.span(ended(TRACER.start_span(name))) for name in "ab")
    assert first.resource is second.resource
    assert first.scope is second.scope


class Colour(str, enum.Enum):  # noqa: UP042 (as it was written before 3.11)
    """A string that calls itself otherwise."""

    RED = "red"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (Colour.RED, "red"),
        ("half a pair \ud800", "half a pair ?"),
        (("a", "b"), ["a", "b"]),
    ],
)
def test_values_are_plain(value: Any, read: Any) -> None:
    span = Reader().span(ended(TRACER.start_span("s", attributes={"key": value})))
    assert span.attributes == {"key": read}
    assert type(span.attributes["key"]) is type(read)


def test_an_integer_that_exporters_cannot_send_is_left_out() -> None:
    readable = ended(TRACER.start_span("s", attributes={"fits": 2**63 - 1, "does not": 2**63}))
    assert Reader().span(readable).attributes == {"fits": 2**63 - 1}


def test_what_the_sdk_does_not_check_is_read_as_what_comes_nearest() -> None:
    odd: Any = TRACER
    span = odd.start_span(404, kind=None, start_time=1.5e9)
    span.add_event(404, timestamp=1.6e9)
    read = Reader().span(ended(span))
    assert (read.name, read.kind, read.start_ns) == ("404", model.Kind.UNSPECIFIED, 1_500_000_000)
    assert [(event.name, event.time_ns) for event in read.events] == [("404", 1_600_000_000)]
    assert type(read.start_ns) is int
