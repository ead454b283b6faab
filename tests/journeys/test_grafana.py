"""Grafana's data source at a real server, set up as the document says."""

from __future__ import annotations

from pathlib import Path

import httpx

from minitrace.otlp.encode import encode_export
from tests.running import Server
from tests.samples import TRACE, span
from tests.web import tempo_schemas as schemas

TOKEN = "t0p-s3cret"


def test_a_grafana_in_docker_with_a_token_reads_traces(tmp_path: Path) -> None:
    with Server(tmp_path / "a.db", "--token", TOKEN, "--allow-host", "host.docker.internal") as server:
        headers = {"host": f"host.docker.internal:{server.port}", "authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=server.url, headers=headers) as grafana:
            content = encode_export([span("GET /"), span("charge", "GET /", service="pay")])
            grafana.post("/v1/traces", content=content, headers={"content-type": "application/x-protobuf"})
            assert grafana.get("/api/echo").text == "echo"
            found = grafana.get("/api/search", params={"q": "{ status != error }", "limit": 20, "spss": 3})
            series = grafana.get("/api/metrics/query_range", params={"q": "{} | rate()", "step": "30s"})
            # as it is with an address that ends in a slash
            path = f"{server.url}//api/v2/traces/{TRACE.hex()}"
            trace = grafana.get(path, headers={"accept": "application/protobuf"})
        assert httpx.get(f"{server.url}/api/echo").status_code == 401
    schemas.check(schemas.SEARCH, found.json())
    schemas.check(schemas.QUERY_RANGE, series.json())
    assert [match["traceID"] for match in found.json()["traces"]] == [TRACE.hex()]
    assert len(schemas.read_response(trace.content).trace.resource_spans) == 2
