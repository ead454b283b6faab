"""Why nothing arrived: each cause is told by itself, with its cure."""

from __future__ import annotations

from typing import Any

import pytest

from minitrace.testing.capturing import Circumstances, Request
from minitrace.testing.reasons.diagnosis import diagnosis, refusals


def seen(**known: Any) -> Circumstances:
    """A capture where nothing is wrong, but for what is `known`."""
    nothing: dict[str, Any] = {
        "is_sdk_installed": True,
        "is_sdk_disabled": False,
        "provider_count": 1,
        "samplers_off": (),
        "excluded": {},
        "unsampled": 0,
        "requests": (),
        "elsewhere": 0,
    }
    return Circumstances(**(nothing | known))


TEXT_PLAIN = Request("/t/abc/v1/traces", 415, "send application/x-protobuf or application/json, not text/plain", 0)
GRPC = Request("", 0, "a gRPC client connected: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", 0)
EMPTY = Request("/t/abc/v1/traces", 200, "", 0)


@pytest.mark.parametrize(
    ("circumstances", "cause", "cure"),
    [
        (seen(is_sdk_installed=False), "SDK is not installed", "install opentelemetry-sdk"),
        (seen(is_sdk_disabled=True), "OTEL_SDK_DISABLED=true turned", "unset it"),
        (
            seen(samplers_off=("AlwaysOffSampler",), unsampled=1),
            "no span (AlwaysOffSampler)",
            "OTEL_TRACES_SAMPLER=always_on",
        ),
        (seen(unsampled=3), "a sampler dropped 3 spans", "OTEL_TRACES_SAMPLER=always_on"),
        (seen(excluded={"pytest-otel": 12}), "12 spans were left out", "minitrace_exclude_scopes"),
        (seen(), "the OTLP endpoint got 0 requests", "traces.env"),
        (seen(requests=(TEXT_PLAIN,)), "/t/abc/v1/traces was answered 415", "send application/x-protobuf"),
        (seen(requests=(GRPC, GRPC)), "a gRPC client connected", "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"),
        (seen(samplers_off=("AlwaysOffSampler",)), "no span started in this process", "traces.env"),
        (seen(elsewhere=2), "2 spans arrived meanwhile that belong to no test", "traces.headers"),
        (seen(requests=(EMPTY,)), "the OTLP endpoint got 1 request, in which there was no span", ""),
    ],
)
def test_each_cause_is_told_with_its_cure(circumstances: Circumstances, cause: str, cure: str) -> None:
    told = diagnosis(circumstances)
    assert cause in told
    assert cure in told
    assert "\n" not in told


def test_of_several_causes_two_are_told_and_what_was_refused_comes_first() -> None:
    told = diagnosis(seen(is_sdk_disabled=True, unsampled=1, excluded={"a": 1}, requests=(TEXT_PLAIN,)))
    assert [line.split()[0] for line in told.splitlines()] == ["1", "OTEL_SDK_DISABLED=true"]


def test_of_many_refused_requests_the_last_is_shown() -> None:
    bad = Request("/v1/logs", 404, "there is /v1/traces", 0)
    assert refusals(seen(requests=(bad, EMPTY, TEXT_PLAIN))) == (
        "2 requests to the OTLP endpoint were refused; the last one, to /t/abc/v1/traces, was answered 415: "
        "send application/x-protobuf or application/json, not text/plain"
    )


def test_nothing_is_said_of_requests_that_were_taken() -> None:
    assert refusals(seen(requests=(EMPTY,))) == ""
