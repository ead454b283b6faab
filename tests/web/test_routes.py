"""Every route of the app, as a web page somewhere else would ask for it.

The table is a decision: a route that is not in it fails the first test.
"""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from minitrace.config import Config
from minitrace.store.store import Store
from minitrace.web.app import create_app
from minitrace.web.headers import SECURITY_HEADERS
from tests.samples import TRACE, span, span_id

TELEMETRY = [
    "/v1/traces",
    "/v1/traces/",
    "/v1/logs",
    "/v1/logs/",
    "/v1/metrics",
    "/v1/metrics/",
    "/api/v2/spans",
]
CALLS = [
    *(
        f"/opentelemetry.proto.collector.{signal.lower()}.v1.{signal}Service/Export"
        for signal in ("Trace", "Logs", "Metrics")
    ),
    "/grpc.health.v1.Health/Check",
]
# a path of each route -> an address that it answers
PAGES = {
    "/": "/",
    "/search": "/search",
    "/search/export": "/search/export?format=jaeger",
    "/live": "/live",
    "/logs": "/logs",
    "/api/logs": "/api/logs",
    "/live/stream": "/live/stream",
    "/live/traces.ndjson": "/live/traces.ndjson?stream",
    "/live/count.json": "/live/count.json",
    "/trace/{trace_id}": f"/trace/{TRACE.hex()}",
    "/trace/{trace_id}/rows.json": f"/trace/{TRACE.hex()}/rows.json",
    "/trace/{trace_id}/logs.json": f"/trace/{TRACE.hex()}/logs.json",
    "/trace/{trace_id}/find": f"/trace/{TRACE.hex()}/find?q=a",
    "/trace/{trace_id}/stream": f"/trace/{TRACE.hex()}/stream",
    "/trace/{trace_id}/otlp.json": f"/trace/{TRACE.hex()}/otlp.json",
    "/trace/{trace_id}/jaeger.json": f"/trace/{TRACE.hex()}/jaeger.json",
    "/trace/{trace_id}/tree.txt": f"/trace/{TRACE.hex()}/tree.txt",
    "/trace/{trace_id}/summary.md": f"/trace/{TRACE.hex()}/summary.md",
    "/trace/{trace_id}/saved.html": f"/trace/{TRACE.hex()}/saved.html",
    "/trace/{trace_id}/pin": f"/trace/{TRACE.hex()}/pin",
    "/trace/{trace_id}/span/{span_id}": f"/trace/{TRACE.hex()}/span/{span_id('a').hex()}",
    "/trace/{trace_id}/span/{span_id}/otlp.json": f"/trace/{TRACE.hex()}/span/{span_id('a').hex()}/otlp.json",
    "/compare": f"/compare?a={TRACE.hex()}",
    "/compare.json": f"/compare.json?a={TRACE.hex()}&b={TRACE.hex()}",
    "/red": "/red",
    "/metrics": "/metrics",
    "/runs": "/runs",
    "/map": "/map",
    "/why": f"/why?trace={TRACE.hex()}",
    "/why.json": f"/why.json?trace={TRACE.hex()}",
    "/theme": "/theme",
    "/import": "/import",
    "/import/{key}": "/import/0",
    "/delete": "/delete",
    "/removal": "/removal",
    "/searches": "/searches",
    "/searches/forget": "/searches/forget",
    "/favicon.svg": "/favicon.svg",
    "/_static/{version}/{name:path}": "/_static/0/minitrace.css",
    "/_/runs": "/_/runs",
    "/_/runs/{id}/end": "/_/runs/1f/end",
    "/_/runs.json": "/_/runs.json",
    "/_/welcome/stream": "/_/welcome/stream",
    "/_/receiver": "/_/receiver",
    "/_/receiver/stream": "/_/receiver/stream",
    "/_/receiver.json": "/_/receiver.json",
    "/_/complete": "/_/complete?q=sta",
    "/api/search": "/api/search",
    "/api/metrics/query_range": "/api/metrics/query_range?q=%7B%7D%7Crate()",
    "/api/metrics/query": "/api/metrics/query?q=%7B%7D%7Crate()",
    "//api/metrics/query_range": "http://localhost:4318//api/metrics/query_range?q=%7B%7D%7Crate()",
    "//api/metrics/query": "http://localhost:4318//api/metrics/query?q=%7B%7D%7Crate()",
    "/api/search/tags": "/api/search/tags",
    "/api/v2/search/tags": "/api/v2/search/tags",
    "/api/search/tag/{tag:path}/values": "/api/search/tag/service.name/values",
    "/api/v2/search/tag/{tag:path}/values": "/api/v2/search/tag/resource.service.name/values",
    "/api/services": "/api/services",
    "/api/services/{service:path}/operations": "/api/services/shop/operations",
    "/api/operations": "/api/operations?service=shop",
    "/api/traces": "/api/traces?service=shop",
    "/api/dependencies": "/api/dependencies",
    "/api/transform": "/api/transform",
    "/api/metrics/latencies": "/api/metrics/latencies?service=shop&quantile=0.95",
    "/api/metrics/calls": "/api/metrics/calls?service=shop",
    "/api/metrics/errors": "/api/metrics/errors?service=shop",
    "/api/metrics/minstep": "/api/metrics/minstep",
    "/api/v3/services": "/api/v3/services",
    "/api/v3/operations": "/api/v3/operations?service=shop",
    "/api/v3/trace-summaries": "/api/v3/trace-summaries",
    "/api/v3/traces": "/api/v3/traces",
    "/api/v3/traces/{trace_id}": f"/api/v3/traces/{TRACE.hex()}",
    "/api/v3/dependencies": "/api/v3/dependencies",
    "/api/archive/{trace_id}": f"/api/archive/{TRACE.hex()}",
    "/api/traces/{trace_id}": f"/api/traces/{TRACE.hex()}",
    "/api/v2/traces/{trace_id}": f"/api/v2/traces/{TRACE.hex()}",
    "//api/v2/traces/{trace_id}": f"http://localhost:4318//api/v2/traces/{TRACE.hex()}",
    "/api/echo": "/api/echo",
    "/api/status/buildinfo": "/api/status/buildinfo",
    "/healthz": "/healthz",
    "/ready": "/ready",
    "/readyz": "/readyz",
    "/health": "/health",
}
ADDRESSES = [*TELEMETRY, *CALLS, *PAGES.values(), "/nowhere"]
METHODS = ["POST", "PUT", "PATCH", "DELETE", "MADEUP"]
HOSTILE = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "unheard-of"},
    {"origin": "null"},
    {"origin": "https://evil.example"},
    {"origin": "http://192.0.2.7:4318"},
    {"origin": "http://localhost.evil.example"},
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
]


def app_routes() -> list[Route]:
    inner = create_app(Config())._app
    assert isinstance(inner, Starlette)
    return [route for route in inner.routes if isinstance(route, Route)]


def test_every_route_is_in_the_table_of_this_test() -> None:
    assert {route.path for route in app_routes()} == {*TELEMETRY, *CALLS, *PAGES}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("headers", HOSTILE, ids=str)
async def test_no_other_page_changes_anything(
    client: httpx.AsyncClient, store: Store, method: str, headers: dict[str, str]
) -> None:
    statuses = {
        address: (await client.request(method, address, headers=headers, content=b"{}")).status_code
        for address in ADDRESSES
    }
    assert statuses == dict.fromkeys(ADDRESSES, 403)
    assert (await store.stats()).span_count == 0


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("mode", ["no-cors", "cors", "navigate"])
async def test_no_other_page_includes_anything(client: httpx.AsyncClient, site: str, mode: str) -> None:
    headers = {
        "sec-fetch-site": site,
        "sec-fetch-mode": mode,
        "sec-fetch-dest": "iframe" if mode == "navigate" else "script",
    }
    for address in PAGES.values():
        response = await client.get(address, headers=headers)
        assert response.status_code == 403, address


async def test_a_link_from_another_site_opens_a_trace(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a")])
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert (await client.get(PAGES["/trace/{trace_id}"], headers=headers)).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost:4318:1", ""])
async def test_another_name_reaches_nothing(client: httpx.AsyncClient, store: Store, host: str) -> None:
    for address in ADDRESSES:
        response = await client.post(address, headers={"host": host, "content-type": "application/json"}, content=b"{}")
        assert response.status_code == 421, address


async def test_every_answer_carries_the_headers(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a")])
    answers = [await client.get(address) for address in ADDRESSES if not address.endswith("stream")]
    answers.append(
        await client.post("/v1/traces", content=b"x" * 1_000_001, headers={"content-type": "application/json"})
    )
    answers.append(await client.get("/search", headers={"host": "evil.example"}))
    assert {200, 303, 404, 405, 413, 421} <= {answer.status_code for answer in answers}
    for answer in answers:
        for name, value in SECURITY_HEADERS.items():
            if name.lower() != "cache-control" or "/_static/" not in str(answer.url):
                assert answer.headers[name] == value, answer.url


async def test_no_page_is_shared_with_other_origins(client: httpx.AsyncClient) -> None:
    for address in [*PAGES.values(), "/nowhere"]:
        for origin in ("http://localhost:3000", "http://localhost:4318"):
            if address.endswith("stream"):
                continue
            response = await client.get(address, headers={"origin": origin})
            assert not [name for name in response.headers if name.startswith("access-control")], address


async def test_a_page_on_localhost_may_send_spans(client: httpx.AsyncClient) -> None:
    origin = "http://localhost:3000"
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    preflight = await client.options("/v1/traces", headers=asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, origin)
    for content, status in ((b"{}", 200), (b"[", 400)):
        headers = {"origin": origin, "sec-fetch-site": "same-site", "content-type": "application/json"}
        response = await client.post("/v1/traces", content=content, headers=headers)
        assert (response.status_code, response.headers["access-control-allow-origin"]) == (status, origin)
        assert "access-control-allow-credentials" not in response.headers
