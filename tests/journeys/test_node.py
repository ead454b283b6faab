"""The OpenTelemetry SDK for Node, which instruments an application by one ``--require``."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from platformdirs import user_cache_path

from tests.journeys.asking import arrivals, attributes, search, spans
from tests.running import Program, Server, until

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="node and npm are not installed"),
]

APP = Path(__file__).parent / "apps" / "shop.js"
PACKAGES = Path(__file__).parent / "node"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PACKED_JSON = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}


@pytest.fixture(scope="session")
def node_folder() -> Path:
    """A folder with the packages of package-lock.json: installed once, and again when that changes.

    It lies outside of the checkout, because CI's is a new one each time.
    """
    lock = PACKAGES / "package-lock.json"
    version = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    folder = user_cache_path("minitrace-tests") / f"node-{version}"
    if not (folder / "node_modules" / ".package-lock.json").exists():  # npm writes that last
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(PACKAGES / file, folder)
        _install(folder)
    return folder


def _install(folder: Path) -> None:
    command = ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        problem = f"npm ci in {folder} failed:\n{done.stderr}"
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(problem)


@pytest.mark.parametrize("encoding", [{}, PACKED_JSON], ids=["protobuf", "gzipped json"])
def test_a_request_to_a_node_server_becomes_a_trace(
    server: Server, node_folder: Path, encoding: dict[str, str]
) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": server.url,
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_NODE_RESOURCE_DETECTORS": "env,host,process,os",  # the others ask cloud metadata services
        **encoding,
    }
    register = "@opentelemetry/auto-instrumentations-node/register"
    with Program("node", "--require", register, APP, env=env, cwd=node_folder) as program:
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
    assert "POST /v1/metrics 200" in arrivals(server)
    assert server.stderr == ""
