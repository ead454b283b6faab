"""Zipkin's spans, version 2."""

from __future__ import annotations

import json
from typing import Any

import pytest

from minitrace.errors import DecodeError
from minitrace.formats import jaeger, zipkin, zipkin_protobuf
from minitrace.model import Event, Kind, Link, Resource, Scope, Span, Status, StatusCode, Trace
from minitrace.otlp.decode import MAX_VALUE_DEPTH
from tests.samples import draw

TRACE = "5b8efff798038103d269b633813fc60c"
NOW_NS = 1_800_000_000_000_000_000
T0 = 1_700_000_000_000_000  # µs


def document(**said: Any) -> dict[str, Any]:
    return {"traceId": TRACE, "id": "eee19b7ec3c1b174", "timestamp": T0, "duration": 1500, **said}


def read(*documents: dict[str, Any]) -> list[Span]:
    return zipkin.read_spans(json.dumps(documents).encode(), now_ns=NOW_NS)


def read_one(**said: Any) -> Span:
    (span,) = read(document(**said))
    return span


def test_a_span_has_what_zipkin_says_of_it() -> None:
    assert read_one(
        parentId="eee19b7ec3c1b173",
        kind="CLIENT",
        name="get /stock",
        localEndpoint={"serviceName": "shop", "ipv4": "10.0.0.1", "port": 80},
        remoteEndpoint={"serviceName": "stock", "ipv6": "::1", "port": 8080},
        annotations=[{"timestamp": T0 + 5, "value": "wire send"}],
        tags={"http.method": "GET"},
    ) == Span(
        trace_id=bytes.fromhex(TRACE),
        span_id=bytes.fromhex("eee19b7ec3c1b174"),
        parent_id=bytes.fromhex("eee19b7ec3c1b173"),
        kind=Kind.CLIENT,
        name="get /stock",
        start_ns=T0 * 1000,
        end_ns=T0 * 1000 + 1_500_000,
        resource=Resource({"service.name": "shop"}),
        attributes={
            "network.local.address": "10.0.0.1",
            "network.local.port": 80,
            "network.peer.address": "::1",
            "network.peer.port": 8080,
            "peer.service": "stock",
            "http.method": "GET",
        },
        events=[Event((T0 + 5) * 1000, "wire send")],
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"traceId": "98ea06179383cd13"}, {"trace_id": bytes(8) + bytes.fromhex("98ea06179383cd13")}),
        ({"id": "1f"}, {"span_id": bytes(7) + b"\x1f"}),
        ({"parentId": None}, {"parent_id": b""}),
        ({"parentId": "0000000000000000"}, {"parent_id": b""}),
        ({"parentId": "eee19b7ec3c1b174"}, {"parent_id": b""}),  # its own id
        ({"kind": None}, {"kind": Kind.UNSPECIFIED}),
        ({"tags": {"span.kind": "internal"}}, {"kind": Kind.INTERNAL, "attributes": {}}),
        ({"name": None, "tags": None, "annotations": None, "debug": True, "unknown": {}}, {"name": ""}),
        ({"duration": None}, {"end_ns": T0 * 1000}),
        ({"tags": {"n": 5}}, {"attributes": {"n": "5"}}),
        ({"tags": {"error": ""}}, {"status": Status(StatusCode.ERROR), "attributes": {}}),
        ({"tags": {"error": "true"}}, {"status": Status(StatusCode.ERROR), "attributes": {}}),
        ({"tags": {"error": "false"}}, {"status": Status(), "attributes": {"error": "false"}}),
        ({"tags": {"error": "no"}}, {"status": Status(StatusCode.ERROR, "no"), "attributes": {"error": "no"}}),
        (
            {"tags": {"otel.status_code": "ERROR", "error": "card expired"}},
            {"status": Status(StatusCode.ERROR, "card expired"), "attributes": {}},
        ),
        ({"tags": {"otel.status_code": "STATUS_CODE_OK"}}, {"status": Status(StatusCode.OK), "attributes": {}}),
        (
            {"tags": {"service.version": "2", "host.name": "h", "a": "b"}},
            {"resource": Resource({"service.version": "2", "host.name": "h"}), "attributes": {"a": "b"}},
        ),
        (
            {"tags": {"otel.scope.name": "s", "otel.library.name": "s", "otel.library.version": "1"}},
            {"scope": Scope("s"), "attributes": {}},
        ),
        ({"tags": {"otel.library.name": "s", "otel.library.version": "1"}}, {"scope": Scope("s", "1")}),
        ({"tags": {"w3c.tracestate": "a=b"}}, {"trace_state": "a=b", "attributes": {}}),
        ({"tags": {"otel.dropped_events_count": "3"}}, {"dropped_events": 3, "attributes": {}}),
        (
            {"tags": {"otlp.link.0": f'{TRACE}|eee19b7ec3c1b173|a=b|{{"k":1}}|2'}},
            {
                "links": [Link(bytes.fromhex(TRACE), bytes.fromhex("eee19b7ec3c1b173"), "a=b", {"k": 1}, 2)],
                "attributes": {},
            },
        ),
        ({"tags": {"otlp.link.0": "x|y|z|{}|0"}}, {"links": [], "attributes": {"otlp.link.0": "x|y|z|{}|0"}}),
    ],
)
def test_a_field_is_read_as_its_clients_mean_it(said: dict[str, Any], expected: dict[str, Any]) -> None:
    span = read_one(**said)
    assert {name: getattr(span, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("value", "event"),
    [
        ('{"declined": {"attempt": 2}}', Event(0, "declined", {"attempt": 2})),
        ('"declined":{"attempt":2}', Event(0, "declined", {"attempt": 2})),
        ('declined: {"attempt":2}', Event(0, "declined", {"attempt": 2})),
        ('declined|{"why":"a|b"}|1', Event(0, "declined", {"why": "a|b"}, 1)),
        ('a: b: {"attempt":2}', Event(0, "a: b", {"attempt": 2})),
        ('{"a": {"n": 18446744073709551616}}', Event(0, "a", {"n": "18446744073709551616"})),  # no int64
        ('{"a": {"n": {"\\ud800": ["\\ud800"]}}}', Event(0, "a", {"n": {"?": ["?"]}})),
        ("declined", Event(0, "declined")),
        ("a|b", Event(0, "a|b")),
        ("a|{}", Event(0, "a|{}")),
        ("{}", Event(0, "{}")),
        ('{"a": 1, "b": 2}', Event(0, '{"a": 1, "b": 2}')),
        ('declined {"attempt":2}', Event(0, 'declined {"attempt":2}')),
        ('declined: {"attempt":2} once more', Event(0, 'declined: {"attempt":2} once more')),
    ],
)
def test_an_event_is_read_as_opentelemetrys_exporters_write_it(value: str, event: Event) -> None:
    assert read_one(annotations=[{"value": value}]).events == [event]


def test_attributes_of_events_are_cut_off_in_the_depth() -> None:
    value = '{"a": {"n": ' + "[" * 40 + "]" * 40 + "}}"
    (event,) = read_one(annotations=[{"value": value}]).events
    assert str(event.attributes["n"]).count("[[") + 1 < MAX_VALUE_DEPTH
    assert "nested deeper than 32 levels" in str(event.attributes["n"])


def test_a_span_without_a_time_began_when_it_arrived() -> None:
    span = read_one(timestamp=None)
    assert (span.start_ns, span.end_ns, span.attributes) == (NOW_NS, NOW_NS + 1_500_000, {zipkin.NO_TIME: True})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}", "the body: it is not a list but {}"),
        (b"[", "the body: not JSON: Expecting value: line 1 column 2 (char 1)"),
        (b"[" * 100_000, "the body: not JSON: maximum recursion depth exceeded"),
        (b"\xff", "the body: not JSON: "),
        (b"[1]", "span 1: it is not an object but 1"),
        (b"[null]", "span 1: id is missing, or zero: 1 to 16 hex digits are needed"),
        ({"id": "0"}, "span 1: id is missing, or zero: 1 to 16 hex digits are needed"),
        ({"traceId": "x"}, 'span 1: traceId is not 1 to 32 hex digits but "x"'),
        ({"traceId": "1" * 33}, f'span 1: traceId is not 1 to 32 hex digits but "{"1" * 33}"'),
        ({"kind": "SERVR"}, 'span 1: kind is none of CLIENT, SERVER, PRODUCER, CONSUMER but "SERVR"'),
        ({"timestamp": "now"}, 'span 1: timestamp is not a whole number from 0 to 18446744073709551 but "now"'),
        ({"timestamp": 18446744073709551, "duration": 1}, "span 1: it ends after the year 2554"),
        ({"tags": {"a": []}}, "span 1: tag a is not a string but []"),
        ({"tags": []}, "span 1: tags is not an object but []"),
        ({"localEndpoint": {"port": 70000}}, "span 1: localEndpoint: port is not a whole number from 0 to 65535"),
        ({"annotations": [{"value": 1}]}, "span 1: annotation 1: value is not a string but 1"),
        ({"binaryAnnotations": []}, "span 1: this is Zipkin's version 1 (binaryAnnotations); send version 2"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(body: Any, message: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps([document(**body)]).encode()
    with pytest.raises(DecodeError) as error:
        zipkin.read_spans(content, now_ns=NOW_NS)
    assert message in str(error.value)


def b3_pair() -> list[dict[str, Any]]:
    """A shop asks a bank, which looks into its database: with B3 headers both sides have the id 2."""
    shop, bank = {"serviceName": "shop"}, {"serviceName": "bank"}
    return [
        document(id="1", name="root", kind="SERVER", localEndpoint=shop),
        document(id="2", parentId="1", name="client", kind="CLIENT", localEndpoint=shop, timestamp=T0 + 10),
        document(id="2", parentId="1", name="server", kind="SERVER", shared=True, localEndpoint=bank),
        document(id="3", parentId="2", name="select", kind="CLIENT", localEndpoint=bank, timestamp=T0 + 30),
    ]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_a_server_that_shares_its_clients_id_stands_below_it_with_all_it_did(order: tuple[int, ...]) -> None:
    documents = b3_pair()
    spans = [*read(*(documents[at] for at in order))]
    assert draw(Trace(spans[0].trace_id, spans)) == "root\n  client\n    server\n      select"


def test_without_the_clients_span_the_servers_stands_where_that_would() -> None:
    spans = read(*(one for one in b3_pair() if one["name"] != "client"))
    assert draw(Trace(spans[0].trace_id, spans)) == "root\n  server\n    select"


def test_other_tools_get_an_id_for_each_of_them() -> None:
    spans = read(*b3_pair())
    apart = jaeger.read_spans(jaeger.trace_json(spans))
    assert len({span.span_id for span in apart}) == 4
    assert draw(Trace(spans[0].trace_id, apart)) == "root\n  client\n    server\n      select"
    assert jaeger.trace_json(spans) == jaeger.trace_json(spans)


def test_the_same_span_in_protobuf_is_the_same_span() -> None:
    message = zipkin_protobuf.ListOfSpans()
    span = message.spans.add(
        traceId=bytes.fromhex(TRACE), id=b"12345678", parentId=b"87654321", kind=1, name="n", timestamp=T0, duration=15
    )
    span.localEndpoint.serviceName = "shop"
    span.remoteEndpoint.ipv4 = bytes([10, 0, 0, 1])
    span.remoteEndpoint.port = 80
    span.annotations.add(timestamp=T0, value="wire send")
    span.tags.add(key="a", value="b")
    assert zipkin_protobuf.read_spans(message.SerializeToString(), now_ns=NOW_NS) == read(
        document(
            id=b"12345678".hex(),
            parentId=b"87654321".hex(),
            kind="CLIENT",
            name="n",
            duration=15,
            localEndpoint={"serviceName": "shop"},
            remoteEndpoint={"ipv4": "10.0.0.1", "port": 80},
            annotations=[{"timestamp": T0, "value": "wire send"}],
            tags={"a": "b"},
        )
    )


def test_what_is_no_protobuf_is_said_to_be_none() -> None:
    with pytest.raises(DecodeError, match="not a protobuf ListOfSpans"):
        zipkin_protobuf.read_spans(b"\xff", now_ns=NOW_NS)
