"""What a command gets from `minitrace run`."""

from __future__ import annotations

import pytest

from minitrace.cli.child import environment, service_name

URL = "http://localhost:4318"


def test_variables_name_the_server_and_the_run() -> None:
    assert environment({"PATH": "/bin"}, ["npm", "test"], "1f", URL, "") == {
        "PATH": "/bin",
        "OTEL_EXPORTER_OTLP_ENDPOINT": URL,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "OTEL_RESOURCE_ATTRIBUTES": "minitrace.run.id=1f",
        "OTEL_SERVICE_NAME": "npm",
        "MINITRACE_RUN_ID": "1f",
        "MINITRACE_URL": URL,
    }


def test_what_was_set_is_kept_but_for_where_spans_go() -> None:
    before = {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_RESOURCE_ATTRIBUTES": "team=a%20b,minitrace.run.id=outer",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4317/v1/traces",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    after = environment(before, ["npm"], "1f", URL, "")
    assert after["OTEL_SERVICE_NAME"] == "shop"
    assert after["OTEL_BSP_SCHEDULE_DELAY"] == "100"
    assert after["OTEL_RESOURCE_ATTRIBUTES"] == "team=a%20b,minitrace.run.id=1f"
    assert (after["OTEL_EXPORTER_OTLP_ENDPOINT"], after["OTEL_EXPORTER_OTLP_PROTOCOL"]) == (URL, "http/protobuf")
    assert "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" not in after


def test_a_service_that_is_named_as_an_attribute_gets_no_other_name() -> None:
    assert "OTEL_SERVICE_NAME" not in environment(
        {"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop"}, ["npm"], "1f", URL, ""
    )


def test_a_token_goes_into_the_headers_of_exporters_and_to_our_own_commands() -> None:
    after = environment({"OTEL_EXPORTER_OTLP_HEADERS": "x=1"}, ["npm"], "1f", URL, "a b&")
    assert after["OTEL_EXPORTER_OTLP_HEADERS"] == "x=1,Authorization=Bearer%20a%20b%26"
    assert after["MINITRACE_TOKEN"] == "a b&"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["npm", "test"], "npm"),
        (["./bench.sh"], "bench"),
        (["python3.12", "-u", "src/app.py", "x"], "app"),
        (["/usr/bin/node", "--inspect"], "node"),
        (["python", "-m", "shop"], "shop"),
    ],
)
def test_a_service_without_a_name_has_that_of_its_program(command: list[str], name: str) -> None:
    assert service_name(command) == name
