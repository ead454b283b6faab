"""A real Prometheus scrapes a real minitrace: a spike shows, and its exemplar leads to the trace."""

from __future__ import annotations

import shutil
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from minitrace.model import Kind
from minitrace.otlp.encode import encode_export
from tests.running import Program, Server, until
from tests.samples import span, trace_id

PROMETHEUS = shutil.which("prometheus")
TOKEN = "a token for the test"
SPIKE = "the one that took 5 s"

pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="there is no prometheus; .ci/run installs it from Debian")


def configured(path: Path, url: str) -> Path:
    """Prometheus' configuration, in a folder."""
    path.write_text(
        f"""
        scrape_configs:
          - job_name: minitrace
            scrape_interval: 1s
            authorization: {{credentials: {TOKEN}}}
            static_configs: [{{targets: ["{url.removeprefix("http://")}"]}}]
        """
    )
    return path


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def send(url: str, number: int, *, trace: str = "", duration_ms: float = 20) -> None:
    """Send one span."""
    one = span("GET /pay", trace=trace or str(number), kind=Kind.SERVER, duration_ms=duration_ms)
    headers = {"content-type": "application/x-protobuf", "authorization": f"Bearer {TOKEN}"}
    httpx.post(f"{url}/v1/traces", content=encode_export([one]), headers=headers).raise_for_status()


def asked(url: str, **parameters: str | float) -> list[Any]:
    """The result of a question to Prometheus; nothing while it starts."""
    try:
        answer = httpx.get(url, params=parameters)
    except httpx.TransportError:
        return []
    found = answer.json().get("data", []) if answer.status_code == 200 else []
    result: list[Any] = found["result"] if isinstance(found, dict) else found
    return result


def test_a_spike_is_seen_in_prometheus_and_its_exemplar_is_a_trace_here(tmp_path: Path) -> None:
    began = time.time()
    with Server(tmp_path / "traces.db", env={"MINITRACE_TOKEN": TOKEN}) as server:
        config, port = configured(tmp_path / "prometheus.yml", server.url), free_port()
        with Program(
            str(PROMETHEUS),
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        ):
            api = f"http://127.0.0.1:{port}/api/v1"
            send(server.url, 0)
            until(lambda: asked(f"{api}/query", query='traces_spanmetrics_calls_total{span_name="GET /pay"} == 1'), 60)
            for number in range(1, 30):
                send(server.url, number)
            send(server.url, 30, trace=SPIKE, duration_ms=5_000)

            calls = 'traces_spanmetrics_calls_total{span_kind="SPAN_KIND_SERVER"} == 31'
            (found,) = until(lambda: asked(f"{api}/query", query=calls), 30)
            assert found["metric"]["service"] == "shop"
            increase = "sum(increase(traces_spanmetrics_calls_total[1m])) > 20"
            until(lambda: asked(f"{api}/query", query=increase), 30)
            p99 = "histogram_quantile(0.99, sum by (le) (rate(traces_spanmetrics_latency_bucket[1m]))) > 1"
            until(lambda: asked(f"{api}/query", query=p99), 30)

            slow = 'traces_spanmetrics_latency_bucket{le="8.192"}'
            (series,) = until(
                lambda: asked(f"{api}/query_exemplars", query=slow, start=began, end=time.time() + 60), 30
            )
            (exemplar,) = series["exemplars"]
            assert float(exemplar["value"]) == 5
            assert exemplar["labels"]["traceID"] == trace_id(SPIKE).hex()
            trace = httpx.get(
                f"{server.url}/api/traces/{exemplar['labels']['traceID']}", headers={"authorization": f"Bearer {TOKEN}"}
            )
            assert trace.status_code == 200
            assert "GET /pay" in trace.text
