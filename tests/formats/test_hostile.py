"""Whatever the fields of other systems' spans hold, it can be stored, or is refused in words."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from minitrace.errors import DecodeError
from minitrace.formats import detection, jaeger, jaeger_thrift, zipkin
from minitrace.formats.thrift import BINARY, BOOL, DOUBLE, I32, I64, Struct, Type
from minitrace.store.ingest import export_of
from tests.formats.thrift_writer import write_struct

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "1", "true", "OK", "ERROR", "client", "\ud800", "é", "2" * 16, "3" * 32, "x" * 99])
    | st.sampled_from(
        [0, 1, 2**63, 2**64, 2**64 // 1000, -1, '{"a":{"b":[null,18446744073709551616]}}', 'a|{"b":1e999}|1']
    )
)
NAMES = "a error otel.status_code otel.scope.name w3c.tracestate otlp.link.0 span.kind event message"
KEYS = st.sampled_from([*NAMES.split(), "otel.dropped_events_count", "service.name", "opentracing.ref_type", "\ud800"])
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2))


def objects(fields: dict[str, st.SearchStrategy[Any]], *ids: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with these ids, of which any other field may be missing, and one may hold anything."""
    optional = {key: right for key, right in fields.items() if key not in ids}
    right = st.fixed_dictionaries({key: fields[key] for key in ids}, optional=optional)
    wrong = st.dictionaries(st.sampled_from(list(optional)), ANYTHING, max_size=1)
    return st.builds(lambda one, other: one | other, right, wrong)


def listed(items: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, max_size=2)


TEXTS = st.text(max_size=3) | SCALARS.filter(lambda value: isinstance(value, str))
IDS = st.sampled_from(["1" * 16, "2" * 16, "3" * 32, "1f"])
TIMES = st.sampled_from([0, 1, 1_700_000_000_000_000])
ENDPOINTS = objects({"serviceName": TEXTS, "ipv4": st.just("10.0.0.1"), "port": st.integers(0, 65535)})
ZIPKIN = {
    "traceId": IDS,
    "id": IDS,
    "parentId": IDS,
    "kind": st.sampled_from(["CLIENT", "SERVER"]),
    "name": TEXTS,
    "timestamp": TIMES,
    "duration": TIMES,
    "localEndpoint": ENDPOINTS,
    "remoteEndpoint": ENDPOINTS,
    "annotations": listed(objects({"timestamp": TIMES, "value": TEXTS})),
    "tags": st.dictionaries(KEYS, SCALARS, max_size=3),
}
TAGS = listed(
    objects({"key": KEYS, "type": st.sampled_from(["string", "bool", "int64", "float64", "binary"]), "value": SCALARS})
)
JAEGER = {
    "traceID": IDS,
    "spanID": IDS,
    "operationName": TEXTS,
    "references": listed(objects({"refType": st.just("CHILD_OF"), "traceID": IDS, "spanID": IDS})),
    "startTime": TIMES,
    "duration": TIMES,
    "tags": TAGS,
    "logs": listed(objects({"timestamp": TIMES, "fields": TAGS})),
    "processID": st.just("p1"),
}


@settings(max_examples=300)
@given(listed(objects(ZIPKIN, "traceId", "id")))
def test_any_fields_of_zipkin(documents: list[Any]) -> None:
    with suppress(DecodeError):
        spans = zipkin.read_spans(json.dumps(documents).encode(), now_ns=1)
        assert len(export_of(spans).spans) == len(documents)


@given(listed(objects(JAEGER, "traceID", "spanID")), objects({"serviceName": TEXTS, "tags": TAGS}))
def test_any_fields_of_jaeger(spans: list[Any], process: Any) -> None:
    with suppress(DecodeError):
        read = jaeger.read_spans(json.loads(json.dumps({"spans": spans, "processes": {"p1": process}})))
        assert len(export_of(read).spans) == len(spans)


@given(
    listed(objects(ZIPKIN, "traceId", "id"))
    | listed(objects({"spans": listed(objects(JAEGER, "traceID", "spanID")), "processes": ANYTHING}))
)
def test_any_fields_in_a_file(documents: list[Any]) -> None:
    with suppress(DecodeError):
        export_of(detection.read_any(json.dumps(documents).encode(), now_ns=1).spans)


def values_of(type_: Type) -> st.SearchStrategy[Any]:
    """What a field of Thrift may hold."""
    if isinstance(type_, Struct):
        return st.fixed_dictionaries({}, optional={name: values_of(one) for name, one in type_.fields.values()})
    if isinstance(type_, list):
        return st.lists(values_of(type_[0]), max_size=2)
    numbers = {BOOL: st.booleans(), DOUBLE: st.floats(), I32: st.integers(-1, 9) | st.integers(-(2**31), 2**31 - 1)}
    times = st.sampled_from([0, 1, 1_700_000_000_000_000, -1]) | st.integers(-(2**63), 2**63 - 1)
    texts = st.sampled_from([b"error", b"event", b"hostname", b"\xff"]) | st.binary(max_size=3)
    return {**numbers, I64: times, BINARY: texts}[type_]


@given(values_of(jaeger_thrift._BATCH))
def test_any_fields_of_thrift(batch: dict[str, Any]) -> None:
    with suppress(DecodeError):
        spans = jaeger_thrift.read_spans(write_struct(jaeger_thrift._BATCH, batch))
        assert len(export_of(spans).spans) == len(batch["spans"])
