"""Which spans are kept, which are rejected one by one, and which requests are refused whole."""

from __future__ import annotations

from typing import Any

import pytest

from minitrace.errors import DecodeError, TooLarge
from minitrace.otlp import messages
from minitrace.otlp.decode import MAX_ATTRIBUTES, MAX_SPANS, count_metrics, decode_traces

GOOD = {"trace_id": b"t" * 16, "span_id": b"s" * 8, "name": "good"}


def request(*spans: dict[str, Any]) -> bytes:
    message = messages.ExportTraceServiceRequest()
    scope_spans = message.resource_spans.add().scope_spans.add()
    for span in spans:
        scope_spans.spans.add(**span)
    content: bytes = message.SerializeToString()
    return content


def varint(number: int) -> bytes:
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(high) if high else bytes([low])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trace_id": b""}, "trace id missing"),
        ({"trace_id": b"short"}, "trace id 73686f7274 is not 16 bytes"),
        ({"trace_id": bytes(16)}, "trace id 00000000000000000000000000000000"),
        ({"span_id": b""}, "span id missing"),
        ({"span_id": bytes(8)}, "span id 0000000000000000"),
        ({"span_id": b"s" * 9}, "is not 8 bytes"),
        ({"parent_span_id": b"p"}, "parent span id 70 is not 8 bytes"),
    ],
)
def test_a_span_with_an_unusable_id_is_rejected_alone(fields: dict[str, Any], reason: str) -> None:
    export = decode_traces(request(GOOD, {**GOOD, "name": "bad", **fields}, GOOD), is_json=False)
    assert (len(export.spans), export.rejected) == (2, 1)
    assert export.reason.startswith("span 1 ('bad'): ")
    assert reason in export.reason


def test_a_parent_of_zeros_is_no_parent() -> None:
    assert decode_traces(request({**GOOD, "parent_span_id": bytes(8)}), is_json=False).spans[0].parent_id == b""


def test_a_link_without_valid_ids_is_dropped_and_counted() -> None:
    links = [{"trace_id": b"t" * 16, "span_id": b"s" * 8}, {"trace_id": b"t" * 16}, {"span_id": b"s" * 8}]
    (span,) = decode_traces(request({**GOOD, "links": links, "dropped_links_count": 1}), is_json=False).spans
    assert (len(span.links), span.dropped_links) == (1, 3)


def test_of_a_key_that_comes_twice_the_last_value_counts() -> None:
    attributes = [{"key": "k", "value": {"int_value": 1}}, {"key": "k", "value": {"int_value": 2}}]
    assert decode_traces(request({**GOOD, "attributes": attributes}), is_json=False).spans[0].attributes == {"k": 2}


def test_attributes_beyond_the_limit_are_dropped_and_counted() -> None:
    attributes = [{"key": f"k{index}"} for index in range(MAX_ATTRIBUTES + 5)]
    (span,) = decode_traces(request({**GOOD, "attributes": attributes}), is_json=False).spans
    assert (len(span.attributes), span.dropped_attributes) == (MAX_ATTRIBUTES, 5)


def test_the_spans_of_a_resource_share_it() -> None:
    first, second = decode_traces(request(GOOD, GOOD), is_json=False).spans
    assert first.resource is second.resource


def test_an_empty_request_has_no_spans() -> None:
    assert decode_traces(b"", is_json=False).spans == []
    assert decode_traces(b'{"key":"value"}', is_json=True).spans == []


def test_too_many_spans_are_refused_whole() -> None:
    scope_spans = b"\x12\x00" * (MAX_SPANS + 1)  # field 2, empty: 400 kB of spans
    wrapped = b"\x12" + varint(len(scope_spans)) + scope_spans
    body = b"\x0a" + varint(len(wrapped)) + wrapped
    with pytest.raises(TooLarge, match="200001 spans in one request"):
        decode_traces(body, is_json=False)


@pytest.mark.parametrize("body", [b"\xff\xff", b"\x0a\x05ab", b"not protobuf"])
def test_bytes_that_are_no_protobuf_are_refused(body: bytes) -> None:
    with pytest.raises(DecodeError, match="not a protobuf ExportTraceServiceRequest"):
        decode_traces(body, is_json=False)


def test_data_points_are_counted() -> None:
    metrics = messages.ExportMetricsServiceRequest()
    scope_metrics = metrics.resource_metrics.add().scope_metrics.add()
    scope_metrics.metrics.add().gauge.data_points.add()
    scope_metrics.metrics.add().histogram.data_points.add()
    scope_metrics.metrics.add()
    assert count_metrics(metrics.SerializeToString(), is_json=False) == 2
