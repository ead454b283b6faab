"""Web applications that know nothing of tracing, under ``opentelemetry-instrument`` and two variables."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.journeys.asking import search, spans
from tests.running import Program, Server, until

pytestmark = pytest.mark.journey

APPS = Path(__file__).parent / "apps"
INSTRUMENT = Path(sys.executable).with_name("opentelemetry-instrument")
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


@contextmanager
def instrumented(app: str, server: Server, **env: str) -> Iterator[tuple[Program, str]]:
    """An application that serves, and its address. What it exports is all signals, as by default."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    env = {**endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50", **env}
    with Program(INSTRUMENT, sys.executable, APPS / app, env=env) as program:
        yield program, program.read_until("http://")[-1]


@pytest.mark.parametrize(
    ("app", "name"),
    [("flask_app.py", "GET /orders/<int:number>"), ("starlette_app.py", "GET /orders/{number:int}")],
)
def test_a_request_becomes_a_trace_with_the_id_of_its_traceparent(server: Server, app: str, name: str) -> None:
    with instrumented(app, server, OTEL_SERVICE_NAME="shop") as (_, address):
        response = httpx.get(f"{address}/orders/7", headers={"traceparent": TRACEPARENT})
        assert response.json() == {"total": 700}
        [match] = until(lambda: search(server, f'{{ resource.service.name = "shop" && name = "{name}" }}'))
        assert match["traceID"] == TRACE_ID
        request = spans(server, TRACE_ID)[name]
        assert request.span["kind"] == "SPAN_KIND_SERVER"
        assert request.attributes["http.route"]["stringValue"] in name
        assert request.attributes["http.status_code"] == {"intValue": "200"}


@pytest.mark.parametrize("app", ["flask_app.py", "starlette_app.py"])
def test_an_sdk_that_sends_all_signals_has_nothing_to_complain_of(server: Server, app: str) -> None:
    with instrumented(app, server) as (program, address):
        httpx.get(f"{address}/orders/7")
        # at its end the SDK sends what it still has, metrics among it
        assert (program.stop(signal.SIGINT), program.stderr) == (0, "")
    assert len(search(server)) == 1
    requests = httpx.get(f"{server.url}/_/receiver.json").json()["requests"]
    seen = {each["path"]: (each["status"], each["log_records"] > 0, each["not_stored"] > 0) for each in requests}
    assert (seen["/v1/logs"], seen["/v1/metrics"]) == ((200, True, False), (200, False, True))
    assert server.stderr == ""
