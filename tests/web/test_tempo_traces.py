"""Any trace, in Tempo's protobuf and in its JSON, is what a strict decoder takes, and the same trace."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as some

from minitrace.model import Kind, Span, Trace
from minitrace.otlp.decode import decode_traces
from minitrace.otlp.messages import TracesData
from minitrace.web import tempo
from tests.otlp.test_roundtrip import spans_of
from tests.samples import TRACE, span, span_id
from tests.web import tempo_schemas as schemas

SPANS = some.lists(spans_of(some.just(TRACE)), max_size=3, unique_by=lambda span: span.span_id)


def details(spans: list[Span]) -> dict[bytes, object]:
    """What of each span goes out as it came in."""
    return {span.span_id: (span.name, span.attributes, span.events, span.links, span.status) for span in spans}


def numbers(value: Any) -> Iterator[float]:
    """Those of an AnyValue, within lists and maps, too."""
    yield value.double_value
    for inner in (*value.array_value.values, *(item.value for item in value.kvlist_value.values)):
        yield from numbers(inner)


@given(SPANS)
def test_protobuf_has_every_part_and_every_span(spans: list[Span]) -> None:
    content = tempo.traces_protobuf(spans)
    schemas.read_trace(content)
    assert details(decode_traces(content, is_json=False).spans) == details(spans)


def test_a_server_that_shares_its_clients_id_is_a_span_below_it() -> None:
    pair = [
        span("client", id="shared", kind=Kind.CLIENT),
        span("server", id="shared", kind=Kind.SERVER, service="bank"),
        span("select", "shared", service="bank"),
    ]
    told = {span.name: span for span in decode_traces(tempo.traces_protobuf(pair), is_json=False).spans}
    assert told["server"].parent_id == told["client"].span_id == span_id("shared")
    assert told["select"].parent_id == told["server"].span_id != span_id("shared")


@given(SPANS)
def test_json_is_protobufs_own_mapping_of_the_same_message(spans: list[Span]) -> None:
    document = {"resourceSpans": json.loads("".join(tempo.batches(spans)))}
    read = json_format.ParseDict(document, TracesData(), ignore_unknown_fields=False)
    assert read == TracesData.FromString(tempo.traces_protobuf(spans))


@given(SPANS, some.integers(0, 3))
def test_the_envelope_is_read_and_has_no_number_that_json_lacks(spans: list[Span], removed: int) -> None:
    response = schemas.read_response(tempo.response_protobuf(Trace(TRACE, spans, removed_count=removed)))
    assert (response.status, bool(response.message)) == (int(removed > 0), removed > 0)
    parts = [(group.resource, scope) for group in response.trace.resource_spans for scope in group.scope_spans]
    told = [part for resource, scope in parts for span in scope.spans for part in (resource, span, *span.events)]
    told += [link for _, scope in parts for span in scope.spans for link in span.links]
    assert all(map(math.isfinite, (one for part in told for item in part.attributes for one in numbers(item.value))))
    assert sum(len(scope.spans) for _, scope in parts) == len(spans)
