"""The OpenTelemetry SDK for Node, which instruments an application by one ``--require``."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.journeys.asking import attributes, search, spans
from tests.journeys.clients.cases import NODE
from tests.journeys.clients.toolchains import installed
from tests.running import Program, Server, until

pytestmark = pytest.mark.journey

APP = Path(__file__).parent / "apps" / "shop.js"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PACKED_JSON = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}


@pytest.mark.parametrize("encoding", [{}, PACKED_JSON], ids=["protobuf", "gzipped json"])
def test_a_request_to_a_node_server_becomes_a_trace(server: Server, encoding: dict[str, str]) -> None:
    env = {
        **installed(NODE).env(),
        "OTEL_EXPORTER_OTLP_ENDPOINT": server.url,
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        **encoding,
    }
    register = "@opentelemetry/auto-instrumentations-node/register"
    with Program("node", "--require", register, APP, env=env) as program:
        address = program.read_until("http://")[-1]
        traceparent = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
        assert httpx.get(f"{address}/orders/7", headers={"traceparent": traceparent}).json() == {"total": 700}
        [match] = until(lambda: search(server, '{ resource.service.name = "shop" }'))
        assert match["traceID"] == TRACE_ID
        assert (program.stop(), program.stderr) == (0, "")

    request = spans(server, TRACE_ID)["GET"]
    assert request.span["kind"] == "SPAN_KIND_SERVER"
    assert request.attributes["url.path"] == {"stringValue": "/orders/7"}
    assert request.attributes["http.response.status_code"] == {"intValue": "200"}
    assert attributes(request.resource)["telemetry.sdk.language"] == {"stringValue": "nodejs"}
    assert request.scope["name"] == "@opentelemetry/instrumentation-http"
    requests = httpx.get(f"{server.url}/_/receiver.json").json()["requests"]
    assert [each["status"] for each in requests if each["path"] == "/v1/metrics"] == [200]
    assert server.stderr == ""
