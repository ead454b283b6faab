"""Every field of OTLP's spans and log records has a home: in the model, in the file, and on the way out.

A request is made in which every field of every message is set to a value of its own. It is decoded,
stored, loaded and encoded; what comes back must be what went in, field by field.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from minitrace.otlp import messages
from minitrace.otlp.decode import decode_traces
from minitrace.otlp.encode import encode_export, encode_logs, logs_data, traces_data
from minitrace.otlp.log_records import decode_logs
from minitrace.store.store import Store

# Not kept, and why
WITHOUT_HOME = {
    "opentelemetry.proto.common.v1.KeyValue.key_strindex": "an index into a table that only profiles have",
    "opentelemetry.proto.common.v1.AnyValue.string_value_strindex": "an index into a table that only profiles have",
}
ITEMS = 3  # of every list; the request has 27 spans
ID_BYTES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}


class Filler:
    """Sets every field that has a home, each scalar to a value not used before."""

    def __init__(self) -> None:
        self.number = 100
        self.oneofs: Counter[int] = Counter()

    def fill(self, message: Any, values_above: int = 0) -> None:
        is_value = message.DESCRIPTOR.name == "AnyValue"
        for field in message.DESCRIPTOR.fields:
            if field.full_name not in WITHOUT_HOME and not field.containing_oneof:
                self._set(message, field, values_above + is_value)
        for oneof in message.DESCRIPTOR.oneofs:
            choices = [field for field in oneof.fields if field.full_name not in WITHOUT_HOME]
            self.oneofs[values_above] += 1
            # a value in a value in a value is a string, or there would be no end
            chosen = choices[self.oneofs[values_above] % len(choices)] if values_above < 2 else choices[0]
            self._set(message, chosen, values_above + is_value)

    def _set(self, message: Any, field: FieldDescriptor, values_above: int) -> None:
        if field.is_repeated and field.message_type:
            for _ in range(ITEMS):
                self.fill(getattr(message, field.name).add(), values_above)
        elif field.is_repeated:
            getattr(message, field.name).extend([self._scalar(field), self._scalar(field)])
        elif field.message_type:
            getattr(message, field.name).SetInParent()
            self.fill(getattr(message, field.name), values_above)
        else:
            setattr(message, field.name, self._scalar(field))

    def _scalar(self, field: FieldDescriptor) -> Any:
        number = self._next()
        if field.type == FieldDescriptor.TYPE_STRING:
            return f"{field.name}-{number}"
        if field.type == FieldDescriptor.TYPE_BYTES:
            return number.to_bytes(ID_BYTES.get(field.name, 3))
        if field.type == FieldDescriptor.TYPE_DOUBLE:
            return number + 0.5
        if field.enum_type:
            return field.enum_type.values[-1].number
        return True if field.type == FieldDescriptor.TYPE_BOOL else number

    def _next(self) -> int:
        self.number += 1
        return self.number


def fields_below(descriptor: Descriptor, seen: set[str] | None = None) -> set[str]:
    seen = set() if seen is None else seen
    found: set[str] = set()
    if descriptor.full_name in seen:
        return found
    seen.add(descriptor.full_name)
    for field in descriptor.fields:
        found.add(field.full_name)
        if field.message_type:
            found |= fields_below(field.message_type, seen)
    return found


def fields_set(message: Any) -> set[str]:
    found: set[str] = set()
    for field, value in message.ListFields():
        found.add(field.full_name)
        if field.message_type:
            found = found.union(*(fields_set(item) for item in (value if field.is_repeated else [value])))
    return found


def filled_request() -> Any:
    request = messages.ExportTraceServiceRequest()
    Filler().fill(request)
    # One resource, one scope and one trace of them all: the order of groups is not what is asked here.
    del request.resource_spans[1:]
    del request.resource_spans[0].scope_spans[1:]
    spans = request.resource_spans[0].scope_spans[0].spans
    for span in spans:
        span.trace_id = spans[0].trace_id
    return request


def test_the_request_of_this_test_sets_every_field_there_is() -> None:
    everything = fields_below(messages.ExportTraceServiceRequest.DESCRIPTOR)
    assert everything - fields_set(filled_request()) == set(WITHOUT_HOME)


async def test_every_field_comes_back_from_the_file(tmp_path: Path) -> None:
    request = filled_request()
    spans = decode_traces(request.SerializeToString(), is_json=False).spans
    async with await Store.open(tmp_path / "fields.db") as store:
        await store.add(spans)
        trace = await store.trace(spans[0].trace_id)
    assert traces_data(trace.spans).SerializeToString(deterministic=True) == request.SerializeToString(
        deterministic=True
    )


def test_decoding_what_was_encoded_gives_the_same_spans() -> None:
    request = filled_request()
    spans = decode_traces(request.SerializeToString(), is_json=False).spans
    assert decode_traces(encode_export(spans), is_json=False).spans == spans


def filled_logs() -> Any:
    request = messages.ExportLogsServiceRequest()
    Filler().fill(request)
    del request.resource_logs[1:]
    del request.resource_logs[0].scope_logs[1:]
    return request


def test_the_logs_of_this_test_set_every_field_there_is() -> None:
    everything = fields_below(messages.ExportLogsServiceRequest.DESCRIPTOR)
    assert everything - fields_set(filled_logs()) == set(WITHOUT_HOME)


def test_decoding_encoded_records_gives_the_same_records() -> None:
    request = filled_logs()
    records = decode_logs(request.SerializeToString(), is_json=False).records
    assert logs_data(records).SerializeToString(deterministic=True) == request.SerializeToString(deterministic=True)
    assert decode_logs(encode_logs(records), is_json=False).records == records


async def test_every_field_of_log_records_comes_back_from_the_file(tmp_path: Path) -> None:
    records = decode_logs(filled_logs().SerializeToString(), is_json=False).records
    async with await Store.open(tmp_path / "fields.db") as store:
        await store.add_logs(records)
        assert [(await store.trace_logs(one.trace_id)) for one in records] == [[one] for one in records]
