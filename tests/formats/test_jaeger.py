"""Spans to Jaeger's JSON and back."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace import present
from minitrace.errors import DecodeError
from minitrace.formats import jaeger
from minitrace.model import Attributes, Event, Kind, Link, Resource, Scope, Span, Status, StatusCode, Value
from tests.otlp.test_roundtrip import SPAN_IDS, TRACE_IDS, spans_of
from tests.samples import MS, T0, TRACE, span, span_id

ONE_TRACE = st.lists(spans_of(st.just(TRACE)), min_size=1, max_size=4)


def test_a_trace_is_what_jaeger_says_of_it() -> None:
    spans = [
        span(
            "charge",
            "pay",
            service="bank",
            kind=Kind.CLIENT,
            attributes={"n": 1, "big": 2**60, "f": 0.5, "nan": math.nan, "l": ["a", 1], "x": b"ab", "none": None},
            events=[Event(T0 + MS, "retry", {"left": 2}), Event(T0, "lost", {"event": "kept"})],
            links=[Link(bytes(15) + b"\1", span_id("other"), attributes={"a": 1})],
            status=Status(StatusCode.ERROR, "declined"),
            trace_state="a=b",
            dropped_events=2,
        )
    ]
    assert jaeger.trace_json(spans) == {
        "traceID": TRACE.hex(),
        "spans": [
            {
                "traceID": TRACE.hex(),
                "spanID": span_id("charge").hex(),
                "operationName": "charge",
                "references": [
                    {"refType": "CHILD_OF", "traceID": TRACE.hex(), "spanID": span_id("pay").hex()},
                    {"refType": "FOLLOWS_FROM", "traceID": "0" * 31 + "1", "spanID": span_id("other").hex()},
                ],
                "startTime": T0 // 1000,
                "duration": 10_000,
                "tags": [
                    {"key": "otel.scope.name", "type": "string", "value": "tests"},
                    {"key": "otel.scope.version", "type": "string", "value": "1.0"},
                    {"key": "n", "type": "int64", "value": 1},
                    {"key": "big", "type": "int64", "value": str(2**60)},
                    {"key": "f", "type": "float64", "value": 0.5},
                    {"key": "nan", "type": "string", "value": "NaN"},
                    {"key": "l", "type": "string", "value": '["a", 1]'},
                    {"key": "x", "type": "binary", "value": "YWI="},
                    {"key": "none", "type": "string", "value": ""},
                    {"key": "span.kind", "type": "string", "value": "client"},
                    {"key": "otel.status_code", "type": "string", "value": "ERROR"},
                    {"key": "error", "type": "bool", "value": True},
                    {"key": "otel.status_description", "type": "string", "value": "declined"},
                    {"key": "w3c.tracestate", "type": "string", "value": "a=b"},
                    {"key": "otel.dropped_events_count", "type": "int64", "value": 2},
                ],
                "logs": [
                    {
                        "timestamp": (T0 + MS) // 1000,
                        "fields": [
                            {"key": "event", "type": "string", "value": "retry"},
                            {"key": "left", "type": "int64", "value": 2},
                        ],
                    },
                    {"timestamp": T0 // 1000, "fields": [{"key": "event", "type": "string", "value": "kept"}]},
                ],
                "processID": "p1",
                "warnings": None,
            }
        ],
        "processes": {"p1": {"serviceName": "bank", "tags": []}},
        "warnings": None,
    }


def test_a_process_is_a_service_with_its_attributes() -> None:
    resources = [
        Resource({"service.name": "a"}),
        Resource({"service.name": "a"}),
        Resource({"service.name": "a", "host.name": "h"}),
        Resource(),
    ]
    trace = jaeger.trace_json([span(str(number), resource=one) for number, one in enumerate(resources)])
    assert [one["processID"] for one in trace["spans"]] == ["p1", "p1", "p2", "p3"]
    assert [one["serviceName"] for one in trace["processes"].values()] == ["a", "a", "unknown_service"]


def test_a_trace_in_pieces_is_the_same_json() -> None:
    spans = [span(f"{number}", service=f"s{number % 3}") for number in range(2 * jaeger.SPANS_A_PIECE + 1)]
    assert json.loads("".join(jaeger.pieces(spans))) == jaeger.trace_json(spans)
    assert json.loads("".join(jaeger.pieces([]))) == jaeger.trace_json([])


def as_jaeger_says(value: Value) -> Value:
    """An attribute as it comes back."""
    if isinstance(value, float) and not math.isfinite(value):
        return present.value(value)
    return "" if value is None else present.value(value) if isinstance(value, list | dict) else value


def attributes_of(attributes: Attributes) -> Attributes:
    return {key: as_jaeger_says(value) for key, value in attributes.items()}


def expected(span: Span) -> Span:
    """A span without what Jaeger cannot say."""
    start_ns = span.start_ns // 1000 * 1000
    attributes = attributes_of(span.resource.attributes)
    return Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_id,
        name=span.name,
        start_ns=start_ns,
        end_ns=start_ns + span.duration_ns // 1000 * 1000,
        kind=span.kind if span.kind <= Kind.CONSUMER else Kind.UNSPECIFIED,
        status=Status(span.status.code if span.status.code <= StatusCode.ERROR else 0, span.status.message),
        attributes=attributes_of(span.attributes),
        events=[Event(one.time_ns // 1000 * 1000, one.name, attributes_of(one.attributes)) for one in span.events],
        links=[Link(*ids) for ids in dict.fromkeys((link.trace_id, link.span_id) for link in span.links)],
        trace_state=span.trace_state,
        dropped_attributes=span.dropped_attributes,
        dropped_events=span.dropped_events,
        dropped_links=span.dropped_links,
        resource=Resource(attributes),
        scope=Scope(span.scope.name, span.scope.version),
    )


@given(ONE_TRACE)
def test_spans_come_back_as_far_as_jaeger_can_say_them(spans: list[Span]) -> None:
    assert jaeger.read_spans(json.loads("".join(jaeger.pieces(spans)))) == [expected(one) for one in spans]


IDS = st.sampled_from([span_id("a"), span_id("b")]) | SPAN_IDS
LINKS = st.lists(
    st.builds(
        lambda trace_id, id_, type_: Link(trace_id, id_, attributes={"opentracing.ref_type": type_}),
        st.just(TRACE) | TRACE_IDS,
        IDS,
        st.sampled_from(["child_of", "follows_from"]),
    ),
    max_size=3,
)


def links_of(span: Span) -> set[tuple[bytes, bytes, bool]]:
    return {(link.trace_id, link.span_id, "opentracing.ref_type" in link.attributes) for link in span.links}


@given(st.sampled_from(["", "a"]), LINKS)
def test_references_lead_to_the_same_spans_however_often_they_are_said(parent: str, links: list[Link]) -> None:
    original = span("x", parent, links=links)
    (first,) = jaeger.read_spans(jaeger.trace_json([original]))
    (second,) = jaeger.read_spans(jaeger.trace_json([first]))
    assert (second.parent_id, links_of(second)) == (first.parent_id, links_of(first))
    if parent and not any(link.span_id == original.parent_id for link in links):
        assert first.parent_id == original.parent_id


@pytest.mark.parametrize(
    ("types", "parent", "links"),
    [
        (["CHILD_OF"], "0", []),
        (["FOLLOWS_FROM"], "0", ["0"]),  # of OpenTracing: a parent that does not wait
        (["FOLLOWS_FROM", "CHILD_OF"], "1", ["0"]),
        (["CHILD_OF", "CHILD_OF"], "0", ["1"]),
    ],
)
def test_a_parent_is_found_among_the_references(types: list[str], parent: str, links: list[str]) -> None:
    trace = jaeger.trace_json([span("x")])
    trace["spans"][0]["references"] = [
        {"refType": type_, "traceID": TRACE.hex(), "spanID": span_id(str(number)).hex()}
        for number, type_ in enumerate(types)
    ]
    (read,) = jaeger.read_spans(trace)
    assert (read.parent_id, [link.span_id for link in read.links]) == (span_id(parent), [span_id(one) for one in links])


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ({"type": "int64", "value": "7"}, 7),
        ({"type": "int64", "value": 7.0}, 7),
        ({"type": "float64", "value": 7}, 7.0),
        ({"type": "bool", "value": "true"}, True),
        ({"type": "string", "value": "7"}, "7"),
        ({"value": 7}, 7),
        ({"type": "string", "value": None}, None),
    ],
)
def test_a_tag_is_read_by_its_type(tag: dict[str, Any], value: Value) -> None:
    trace = jaeger.trace_json([span("x")])
    trace["spans"][0]["tags"] = [{"key": "k", **tag}]
    (read,) = jaeger.read_spans(trace)
    assert repr(read.attributes) == repr({"k": value})


@pytest.mark.parametrize(
    ("kind", "expected"), [("server", Kind.SERVER), ("internal", Kind.INTERNAL), ("none", 0), (["server"], 0), (2, 0)]
)
def test_a_kind_that_is_none_stays_a_tag(kind: Any, expected: int) -> None:
    trace = jaeger.trace_json([span("x")])
    trace["spans"][0]["tags"] = [{"key": "span.kind", "value": kind}]
    (read,) = jaeger.read_spans(trace)
    assert (read.kind, read.attributes) == (expected, {} if expected else {"span.kind": kind})


def test_a_log_without_an_event_is_named_by_its_message() -> None:
    trace = jaeger.trace_json([span("x")])
    trace["spans"][0]["logs"] = [
        {"timestamp": 1, "fields": [{"key": "message", "type": "string", "value": "retry"}]},
        {"timestamp": 1, "fields": [{"key": "event", "value": "a"}, {"key": "message", "value": "b"}]},
    ]
    (read,) = jaeger.read_spans(trace)
    assert [(event.name, event.attributes) for event in read.events] == [("retry", {}), ("a", {"message": "b"})]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"spanID": None}, "trace 1: span 1: spanID is missing, or zero"),
        ({"startTime": "x"}, 'trace 1: span 1: startTime is not a whole number from 0 to 18446744073709551 but "x"'),
        ({"processID": "p9"}, 'trace 1: span 1: processID "p9" is not among the trace\'s processes'),
        ({"tags": [{"key": "a", "type": "binary", "value": "?"}]}, "trace 1: span 1: tag 1: value is not base64"),
        ({"logs": [5]}, "trace 1: span 1: log 1: it is not an object but 5"),
        ({"references": {}}, "trace 1: span 1: references is not a list but {}"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(said: dict[str, Any], message: str) -> None:
    trace = jaeger.trace_json([span("x")])
    trace["spans"][0] |= said
    with pytest.raises(DecodeError) as error:
        jaeger.read_spans({"data": [trace]})
    assert message in str(error.value)
