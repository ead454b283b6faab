"""The environment that children inherit."""

from __future__ import annotations

import pytest

from minitrace.testing.processes.environment import variables


def child(environ: dict[str, str]) -> dict[str, str]:
    """The environment of a child of a process with this one."""
    added, removed = variables("http://127.0.0.1:9", "a1", environ, bsp_delay_ms=50)
    return {name: text for name, text in environ.items() if name not in removed} | added


def test_a_child_sends_its_spans_to_the_capture_and_soon() -> None:
    assert child({}) == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9/t/a1",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_RESOURCE_ATTRIBUTES": "minitrace.test.id=a1",
        "NO_PROXY": "127.0.0.1,localhost",
    }


@pytest.mark.parametrize(
    "name",
    [
        "OTEL_SDK_DISABLED",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_CONFIG_FILE",
    ],
)
def test_what_would_lead_elsewhere_is_taken_away(name: str) -> None:
    assert name not in child({name: "x"})


@pytest.mark.parametrize("name", ["OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_TIMEOUT", "PATH"])
def test_what_does_no_harm_stays(name: str) -> None:
    assert child({name: "x"})[name] == "x"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("service.name=shop", "service.name=shop,minitrace.test.id=a1"),
        ("minitrace.test.id=outer,a=b", "a=b,minitrace.test.id=a1"),
    ],
)
def test_resource_attributes_are_added_to(before: str, after: str) -> None:
    assert child({"OTEL_RESOURCE_ATTRIBUTES": before})["OTEL_RESOURCE_ATTRIBUTES"] == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("example.com", "example.com,127.0.0.1,localhost"),
        ("localhost, example.com", "localhost,example.com,127.0.0.1"),
        ("*", "*"),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy_stands_between(name: str, before: str, after: str) -> None:
    assert child({name: before})[name] == after
