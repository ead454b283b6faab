"""Runs a case against a server, and looks at what the server has of its trace then."""

from __future__ import annotations

import time
from typing import Any

from tests.journeys.asking import Sent, attributes, received, search
from tests.journeys.clients.cases import JAEGER, ZIPKIN, Case
from tests.running import Program, Server

NAMES = ("checkout", "charge", "authorize")
SERVICE, OTHER_SERVICE = "shop", "bank"
MINUTES_NS = 300_000_000_000
PATIENCE_S = 120  # a JVM that instruments itself takes 5 s alone, and 40 where other work goes on
CLOCK_NS = 50_000_000  # Node's SDK asks one clock when a span began and another how long it took, some time apart
TYPED = {
    "retries": {"intValue": "3"},
    "ratio": {"doubleValue": 0.25},
    "vip": {"boolValue": True},
    "items": {"arrayValue": {"values": [{"stringValue": "book"}, {"stringValue": "pen"}]}},
}
# What the other formats can say of that.
AS_ZIPKIN = {"retries": "3", "ratio": "0.25", "vip": "true"}
AS_JAEGER = {"retries": 3, "ratio": 0.25, "vip": True}


def check(server: Server, case: Case) -> None:
    """Run a program; when it has ended, its trace must be there, whole.

    Raises:
        AssertionError: it is not, or the program complained.
        NotInstalled: the program cannot run here.
    """
    trace_id = run(server, case)
    sent = sorted(received(server, trace_id), key=lambda one: NAMES.index(one.span["name"]))
    assert [one.span["name"] for one in sent] == list(NAMES)
    # the relation, not the ids: Zipkin's client and server have the same
    family = " > ".join(f'{{ trace:id = "{trace_id}" && name = "{name}" }}' for name in NAMES)
    assert [match["traceID"] for match in search(server, family)] == [trace_id]
    assert_of_now(*sent)
    assert_sent_by(case, sent)
    assert_said(sent[1].attributes, case.protocol)
    assert_failed(case, sent[2])


def run(server: Server, case: Case) -> str:
    """Run a program to its end; the id of its trace.

    Raises:
        AssertionError: it failed, or had something to say.
        NotInstalled: it cannot run here.
    """
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    places = {"{url}": server.url, "{host}": host, "{port}": port}
    toolchain = case.client.toolchain
    env = {"OTEL_SERVICE_NAME": SERVICE, **toolchain.env(), **case.env}
    env = {name: placed(text, places) for name, text in env.items()}
    command = [placed(str(word), places) for word in toolchain.command(*case.client.words)]
    with Program(*command, env=env) as program:
        [trace_id] = program.read_until("", PATIENCE_S)
        assert (program.wait(PATIENCE_S), program.stderr) == (0, "")
    return trace_id


def placed(text: str, places: dict[str, str]) -> str:
    """The text with the server's address in it."""
    for place, value in places.items():
        text = text.replace(place, value)
    return text


def assert_of_now(checkout: Sent, charge: Sent, authorize: Sent) -> None:
    """The first is a root, and each of the others within the time of the one before."""
    assert "parentSpanId" not in checkout.span
    for outer, inner in ((checkout, charge), (charge, authorize)):
        assert start_ns(outer) <= start_ns(inner) + CLOCK_NS
        assert end_ns(inner) <= end_ns(outer) + CLOCK_NS
    assert abs(time.time_ns() - start_ns(checkout)) < MINUTES_NS


def assert_sent_by(case: Case, sent: list[Sent]) -> None:
    """Kinds and services are what the client's program made."""
    kinds = [one.span.get("kind") for one in sent]
    services = [one.service for one in sent]
    if case.client.is_b3:
        assert kinds == ["SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_SERVER"]
        assert services == [SERVICE, SERVICE, OTHER_SERVICE]
        return
    assert kinds[:2] == ["SPAN_KIND_SERVER", "SPAN_KIND_CLIENT"]
    # older formats need not say anything of a span that is neither end of a request
    assert kinds[2] == "SPAN_KIND_INTERNAL" or (case.protocol in (ZIPKIN, JAEGER) and not kinds[2])
    assert services == [SERVICE] * 3


def assert_failed(case: Case, authorize: Sent) -> None:
    """The error and its event."""
    assert authorize.span["status"]["code"] == "STATUS_CODE_ERROR"
    if case.client.has_message:
        assert authorize.span["status"]["message"] == "card expired"
    [event] = authorize.span["events"]
    assert event["name"] == "declined"
    if case.protocol not in (ZIPKIN, JAEGER):  # not all that speak those send them
        assert attributes(event)["attempt"] == {"intValue": "2"}


def assert_said(sent: dict[str, Any], protocol: str) -> None:
    """The attributes have their values, and types as far as the protocol has any."""
    if protocol not in (ZIPKIN, JAEGER):
        assert {key: sent.get(key) for key in TYPED} == TYPED
        return
    texts = {key: next(iter(value.values())) for key, value in sent.items()}
    said = AS_ZIPKIN if protocol == ZIPKIN else AS_JAEGER
    assert {key: type(value)(texts[key]) for key, value in said.items()} == said
    assert "book" in texts["items"]
    assert "pen" in texts["items"]


def start_ns(sent: Sent) -> int:
    """When it began."""
    return int(sent.span["startTimeUnixNano"])


def end_ns(sent: Sent) -> int:
    """When it ended."""
    return int(sent.span["endTimeUnixNano"])
