"""Tempo's answers as Grafana decodes them: an unknown field fails, a missing part fails, a number as text fails.

```python
check(SEARCH, response.json())
trace = read_response(response.content)  # of /api/v2/traces/{id}, as protobuf
```

Grafana reads search and the metrics of a moment with a schema that allows nothing more, and parts of protobuf messages
without looking whether they are there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from minitrace.otlp.messages import TracesData

Schema = Callable[[Any, str], None]  # gets a value and its place; raises AssertionError


def check(schema: Schema, answer: Any) -> None:
    """Raises AssertionError with the place of what does not fit."""
    schema(answer, "$")


def fields(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with these keys, some of which may be missing."""
    optional = optional or {}

    def fits(value: Any, place: str) -> None:
        assert isinstance(value, dict), f"{place} is {value!r}"
        assert required.keys() <= value.keys(), f"{place} lacks {required.keys() - value.keys()}"
        assert value.keys() <= required.keys() | optional.keys(), f"{place} has {value.keys() - required.keys()}"
        for key, item in value.items():
            (required.get(key) or optional[key])(item, f"{place}.{key}")

    return fits


def items(schema: Schema) -> Schema:
    """A list; there even when empty."""

    def fits(value: Any, place: str) -> None:
        assert isinstance(value, list), f"{place} is {value!r}"
        for index, item in enumerate(value):
            schema(item, f"{place}[{index}]")

    return fits


def values_of(schema: Schema) -> Schema:
    """An object with any keys."""

    def fits(value: Any, place: str) -> None:
        assert isinstance(value, dict), f"{place} is {value!r}"
        for key, item in value.items():
            schema(item, f"{place}.{key}")

    return fits


def text(value: Any, place: str, among: tuple[str, ...] = ()) -> None:
    """A string, one of a few if they are named."""
    assert isinstance(value, str), f"{place} is {value!r}"
    assert not among or value in among, f"{place} is {value!r}"


def hex_of(digits: int) -> Schema:
    """So many lowercase hex digits."""

    def fits(value: Any, place: str) -> None:
        text(value, place)
        assert re.fullmatch(f"[0-9a-f]{{{digits}}}", value), f"{place} is {value!r}"

    return fits


def whole(value: Any, place: str, bits: int = 32) -> None:
    """A number of 32 bits, not 1.0 and not true."""
    assert type(value) is int, f"{place} is {value!r}"
    assert 0 <= value < 2**bits, f"{place} is {value!r}"


def long(value: Any, place: str, low: int = 0, high: int = 2**64 - 1) -> None:
    """A number of 64 bits, as a string."""
    text(value, place)
    assert str(int(value)) == value, f"{place} is {value!r}"
    assert low <= int(value) <= high, f"{place} is {value!r}"


def double(value: Any, place: str) -> None:
    """A number, or its name if JSON cannot write it."""
    if isinstance(value, str):
        text(value, place, ("NaN", "Infinity", "-Infinity"))
    else:
        assert type(value) in (int, float), f"{place} is {value!r}"
        assert math.isfinite(value), f"{place} is {value!r}"


def flag(value: Any, place: str) -> None:
    """True or false."""
    assert isinstance(value, bool), f"{place} is {value!r}"


def any_value(value: Any, place: str) -> None:
    """OTLP's AnyValue with exactly one member."""
    assert isinstance(value, dict), f"{place} is {value!r}"
    assert len(value) == 1, f"{place} is {value!r}"
    array = fields({"values": items(any_value)})
    members: dict[str, Schema] = {
        "stringValue": text, "boolValue": flag, "doubleValue": double, "arrayValue": array,
        "intValue": partial(long, low=-(2**63), high=2**63 - 1),
    }  # fmt: skip
    fields({}, members)(value, place)


ATTRIBUTES = items(fields({"key": text, "value": any_value}))
_COUNTS: dict[str, Schema] = {
    "inspectedTraces": whole, "inspectedBytes": long, "inspectedSpans": long, "totalBlocks": whole,
    "completedJobs": whole, "totalJobs": whole, "totalBlockBytes": long,
}  # fmt: skip
METRICS = fields({}, _COUNTS)
SPAN = fields(
    {"spanID": hex_of(16), "startTimeUnixNano": long, "durationNanos": long}, {"name": text, "attributes": ATTRIBUTES}
)
SPANSET = fields({"spans": items(SPAN), "matched": whole}, {"attributes": ATTRIBUTES})
_TRACE: dict[str, Schema] = {
    "traceID": hex_of(32), "rootServiceName": text, "rootTraceName": text, "startTimeUnixNano": long,
    "durationMs": whole, "spanSets": items(SPANSET),
}  # fmt: skip
STATS = values_of(fields({"spanCount": whole}, {"errorCount": whole}))
TRACE = fields(_TRACE, {"serviceStats": STATS})
SEARCH = fields({"traces": items(TRACE), "metrics": METRICS})
TAGS = fields({"tagNames": items(text), "metrics": METRICS})
TAGS_V2 = fields({"scopes": items(fields({"name": text, "tags": items(text)})), "metrics": METRICS})
VALUES = fields({"tagValues": items(text)}, {"metrics": METRICS})
_TYPES = ("string", "int", "float", "bool", "duration", "keyword")
VALUES_V2 = fields(
    {"tagValues": items(fields({"type": partial(text, among=_TYPES), "value": text})), "metrics": METRICS}
)
SAMPLES = items(fields({"timestampMs": long, "value": double}))
EXEMPLARS = items(fields({"labels": ATTRIBUTES, "value": double, "timestampMs": long}))
QUERY_RANGE = fields(
    {"series": items(fields({"labels": ATTRIBUTES, "samples": SAMPLES}, {"exemplars": EXEMPLARS})), "metrics": METRICS},
    {"status": partial(text, among=("COMPLETE", "PARTIAL")), "message": text},
)
QUERY = fields({"series": items(fields({"labels": ATTRIBUTES, "value": double})), "metrics": METRICS})


def check_columns(search: Any) -> None:
    """Each attribute of spans is a column of Grafana's, with cells of one type. Raises AssertionError."""
    types: dict[str, str] = {}
    numbers = {"intValue": "number", "doubleValue": "number"}
    for spanset in (spanset for trace in search["traces"] for spanset in trace["spanSets"]):
        for attribute in (attribute for span in spanset["spans"] for attribute in span.get("attributes", [])):
            (member,) = attribute["value"]
            type_ = numbers.get(member, member)
            assert types.setdefault(attribute["key"], type_) == type_, attribute


def read_response(content: bytes) -> Any:
    """A TraceByIDResponse of which every part is there, and nothing else."""
    response = TraceByIDResponse.FromString(content)
    assert response.HasField("trace"), "Grafana reads the trace without looking"
    check_trace(response.trace)
    return response


def read_trace(content: bytes) -> Any:
    """A trace as the older path tells it, of which every part is there."""
    trace = TracesData.FromString(content)
    check_trace(trace)
    return trace


def check_trace(trace: Any) -> None:
    """Raises AssertionError for a part that is missing, or that Grafana would not show."""
    assert_known(trace)
    for group in trace.resource_spans:
        assert group.HasField("resource")
        assert group.resource.attributes, "its spans are left out"
        for scope_spans in group.scope_spans:
            assert scope_spans.HasField("scope")
            for span in scope_spans.spans:
                assert span.HasField("status"), span.name
                assert span.start_time_unix_nano <= span.end_time_unix_nano, span.name
                assert (len(span.trace_id), len(span.span_id), len(span.parent_span_id) in (0, 8)) == (16, 8, True)


def assert_known(message: Message) -> None:
    """Nothing in it, at any depth, that its schema does not have."""
    assert not len(UnknownFieldSet(message)), message.DESCRIPTOR.full_name
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                assert_known(part)


def _response_class() -> Any:
    """Tempo's message, described anew: `trace` has the same wire form as OTLP's TracesData."""
    pool = DescriptorPool()
    for file in _with_dependencies(TracesData.DESCRIPTOR.file):
        pool.AddSerializedFile(file.serialized_pb)
    kinds = FieldDescriptorProto
    message = DescriptorProto(name="TraceByIDResponse")
    traces_data = f".{TracesData.DESCRIPTOR.full_name}"
    message.field.add(name="trace", number=1, type=kinds.TYPE_MESSAGE, label=1, type_name=traces_data)
    message.field.add(name="metrics", number=2, type=kinds.TYPE_BYTES, label=1)
    message.field.add(name="status", number=3, type=kinds.TYPE_UINT32, label=1)
    message.field.add(name="message", number=4, type=kinds.TYPE_STRING, label=1)
    file = FileDescriptorProto(
        name="tempo.proto", syntax="proto3", dependency=[TracesData.DESCRIPTOR.file.name], message_type=[message]
    )
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName("TraceByIDResponse"))


def _with_dependencies(file: Any) -> list[Any]:
    found = {file.name: file}
    for dependency in file.dependencies:
        found = {one.name: one for one in _with_dependencies(dependency)} | found
    return list(found.values())


TraceByIDResponse = _response_class()
