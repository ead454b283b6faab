"""The OpenTelemetry SDK for Python, in a process of its own, with each of its OTLP/HTTP exporters.

What is asserted is what apps/checkout.py writes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from tests.journeys.asking import Sent, attributes, hex_of, page, search, spans
from tests.running import Program, Server

pytestmark = pytest.mark.journey

CHECKOUT = Path(__file__).parent / "apps" / "checkout.py"
ENCODINGS = {
    "protobuf": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "json": "opentelemetry.exporter.otlp.json.http.trace_exporter",
}


def run_checkout(server: Server, encoding: str = "protobuf", compression: str = "none") -> str:
    """Run the program to its end, at which the SDK has exported all; the id of its trace."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "OTEL_EXPORTER_OTLP_COMPRESSION": compression}
    with Program(sys.executable, CHECKOUT, ENCODINGS[encoding], env=env) as program:
        [trace_id] = program.read_until("")
        assert (program.wait(), program.stderr) == (0, "")
    return trace_id


def families(sent: dict[str, Sent]) -> dict[str, str]:
    """The spans' names and those of their parents."""
    names = {one.span["spanId"]: name for name, one in sent.items()}
    return {name: names.get(one.span.get("parentSpanId", ""), "") for name, one in sent.items()}


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_trace_of_two_services_arrives_whole(server: Server, encoding: str, compression: str) -> None:
    sent = spans(server, run_checkout(server, encoding, compression))
    assert families(sent) == {"POST /checkout": "", "charge": "POST /checkout", "authorize": "charge"}
    assert [sent[name].service for name in ("POST /checkout", "charge", "authorize")] == ["shop", "shop", "bank"]
    assert sent["POST /checkout"].attributes == {
        "text": {"stringValue": "naïve \U0001f6d2"},
        "yes": {"boolValue": True},
        "no": {"boolValue": False},
        "largest": {"intValue": "9223372036854775807"},  # a float would make it …808
        "smallest": {"intValue": "-9223372036854775808"},
        "ratio": {"doubleValue": 0.1},
        "endless": {"doubleValue": "Infinity"},
        "texts": {"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": ""}]}},
        "numbers": {"arrayValue": {"values": [{"intValue": "1"}, {"intValue": "9007199254740993"}]}},
        "ratios": {"arrayValue": {"values": [{"doubleValue": 0.5}, {"doubleValue": 1e300}]}},
        "none": {"arrayValue": {}},
        "bytes": {"bytesValue": "AP8="},
        "map": {"kvlistValue": {"values": [{"key": "inner", "value": {"kvlistValue": {"values": [
            {"key": "deep", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "two"}, {}]}}}
        ]}}}]}},
    }  # fmt: skip
    assert attributes(sent["charge"].resource)["host.cpus"] == {"intValue": "2"}
    assert attributes(sent["charge"].resource)["telemetry.sdk.language"] == {"stringValue": "python"}
    assert sent["charge"].scope == {
        "name": "shop.checkout",
        "version": "1.2.3",
        "attributes": [{"key": "team", "value": {"stringValue": "cart"}}],
    }
    assert sent["authorize"].scope == {"name": "bank.cards", "version": "4.5.6"}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_kinds_status_events_and_links_arrive(server: Server, encoding: str) -> None:
    sent = spans(server, run_checkout(server, encoding))
    assert {name: one.span["kind"] for name, one in sent.items()} == {
        "POST /checkout": "SPAN_KIND_SERVER",
        "charge": "SPAN_KIND_CLIENT",
        "authorize": "SPAN_KIND_SERVER",
    }
    assert sent["authorize"].span["status"] == {"code": "STATUS_CODE_ERROR", "message": "declined"}
    assert sent["charge"].span["status"] == {}

    [event] = sent["POST /checkout"].span["events"]
    assert (event["name"], event["timeUnixNano"]) == ("cart.locked", "1700000000000000001")
    assert attributes(event) == {"items": {"intValue": "3"}}
    [exception] = sent["authorize"].span["events"]
    assert attributes(exception)["exception.type"] == {"stringValue": "PermissionError"}
    assert attributes(exception)["exception.message"] == {"stringValue": "card 4242 declined"}
    assert "in main\n" in attributes(exception)["exception.stacktrace"]["stringValue"]

    [link] = sent["authorize"].span["links"]
    assert (hex_of(link["traceId"]), hex_of(link["spanId"])) == (
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "00f067aa0ba902b7",
    )
    assert attributes(link) == {"why": {"stringValue": "retry"}}


def test_search_finds_it_by_what_it_is_about(server: Server) -> None:
    trace_id = run_checkout(server)
    [match] = search(server, '{ resource.service.name = "bank" && status = error }')
    assert match["traceID"] == trace_id
    assert (match["rootServiceName"], match["rootTraceName"]) == ("shop", "POST /checkout")
    assert match["serviceStats"] == {"shop": {"spanCount": 2}, "bank": {"spanCount": 1, "errorCount": 1}}
    assert [span["name"] for span in match["spanSets"][0]["spans"]] == ["authorize"]
    assert search(server, '{ resource.service.name = "bank" && name = "charge" }') == []


def test_the_answer_in_protobuf_is_opentelemetrys_own_message(server: Server) -> None:
    trace_id = run_checkout(server)
    response = httpx.get(f"{server.url}/api/traces/{trace_id}", headers={"accept": "application/protobuf"})
    received = TracesData.FromString(response.content)
    assert {
        (scope_spans.scope.name, span.name)
        for resource_spans in received.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    } == {("shop.checkout", "POST /checkout"), ("shop.checkout", "charge"), ("bank.cards", "authorize")}


def test_the_page_shows_the_trace(server: Server) -> None:
    trace_id = run_checkout(server)
    shown = page(server, f"/trace/{trace_id}")
    for words in ("POST /checkout", "charge", "authorize", "shop", "bank"):
        assert words in shown
    authorize = hex_of(spans(server, trace_id)["authorize"].span["spanId"])
    detail = page(server, f"/trace/{trace_id}/span/{authorize}")
    for words in (
        "declined",
        "PermissionError",
        "card 4242 declined",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "bank.cards",
    ):
        assert words in detail
