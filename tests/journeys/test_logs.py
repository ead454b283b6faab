"""What real programs log: Python's logging through OpenTelemetry's handler, Node's SDK, and structlog on stdout."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from minitrace.otlp.encode import encode_logs
from tests.journeys.asking import attributes
from tests.journeys.clients.cases import NODE, PYTHON
from tests.journeys.clients.toolchains import installed
from tests.running import Program, Server
from tests.samples import record

pytestmark = pytest.mark.journey

APPS = Path(__file__).parent / "apps"
APP = APPS / "logging_app.py"


def found(server: Server, query: str) -> list[dict[str, Any]]:
    """The log records that a query of the API finds, newest first."""
    answer = httpx.get(f"{server.url}/api/logs?{query}").json()
    scopes = [scope for group in answer["resourceLogs"] for scope in group["scopeLogs"]]
    return [record for scope in scopes for record in scope["logRecords"]]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("packed", [{}, {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}], ids=["plain", "gzip"])
def test_what_a_program_logs_is_found_with_its_span(server: Server, packed: dict[str, str], protocol: str) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, **packed}
    with Program(sys.executable, APP, env=env) as program:
        [said] = program.read_until("")
        assert (program.wait(), program.stderr) == (0, "")
    trace_id, span_id = said.split()
    declined, slow = found(server, f"trace={trace_id}")
    assert [one["body"]["stringValue"] for one in (declined, slow)] == ["card declined", "card 4711 is slow"]
    assert {one["spanId"] for one in (declined, slow)} == {span_id}
    assert attributes(slow)["order"] == {"intValue": "7"}
    assert attributes(declined)["exception.type"] == {"stringValue": "ValueError"}
    assert found(server, "q=insufficient+funds&level=error&service=shop") == [declined]
    assert [one["body"]["stringValue"] for one in found(server, "q=business")] == ["open for business"]
    page = httpx.get(f"{server.url}/trace/{trace_id}?view=logs").text
    assert "card declined" in page
    assert f"span={span_id}" in page


@pytest.mark.parametrize("encoding", ["http", "proto", "grpc"])
def test_what_a_node_program_logs_is_found_with_its_span(server: Server, encoding: str) -> None:
    env = {**installed(NODE).env(), "OTEL_EXPORTER_OTLP_ENDPOINT": server.url}
    with Program("node", APPS / "logging.js", f"@opentelemetry/exporter-logs-otlp-{encoding}", env=env) as program:
        [said] = program.read_until("")
        assert (program.wait(), program.stderr) == (0, "")
    trace_id, span_id = said.split()
    [declined] = found(server, f"trace={trace_id}&q=declined")
    assert (declined["spanId"], declined["eventName"], declined["severityNumber"]) == (span_id, "card.declined", 17)
    body = {one["key"]: one["value"] for one in declined["body"]["kvlistValue"]["values"]}
    assert body["message"] == {"stringValue": "card declined"}
    assert len(body["codes"]["arrayValue"]["values"]) == 2
    assert attributes(declined)["retried"] == {"boolValue": False}
    assert [one["severityText"] for one in found(server, "service=shop")] == ["error", "info"]


def test_a_line_of_structlog_leads_to_its_trace(server: Server) -> None:
    program = installed(PYTHON).command("structured.py")
    with Program(*program, env={"OTEL_EXPORTER_OTLP_ENDPOINT": server.url}) as running:
        [line] = running.read_until("")
        assert (running.wait(), running.stderr) == (0, "")
    ids = json.loads(line)
    answer = httpx.get(f"{server.url}/search", params={"q": line})
    assert answer.headers["location"] == f"/trace/{ids['trace_id']}?span={ids['span_id']}"

    # As a Collector's filelog receiver sends it: there are no ids but those in the text.
    headers = {"content-type": "application/x-protobuf"}
    httpx.post(f"{server.url}/v1/logs", content=encode_logs([record(line)]), headers=headers).raise_for_status()
    page = httpx.get(f"{server.url}/logs?q=declined").text
    assert f'href="/trace/{ids["trace_id"]}?span={ids["span_id"]}"' in page
