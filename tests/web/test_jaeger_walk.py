"""What programs that know Jaeger ask, one request after the other as they send them."""

from __future__ import annotations

import json

import httpx
import pytest

from minitrace.model import Kind, Span, Status, StatusCode
from minitrace.store.store import Store
from tests.samples import T0, TRACE, span, trace_id
from tests.web import jaeger_schemas as schemas

END_MS = T0 // 1_000_000 + 40_000


def shop() -> list[Span]:
    failed = Status(StatusCode.ERROR, "declined")
    return [
        span("GET /cart", duration_ms=120, kind=Kind.SERVER, attributes={"http.response.status_code": 500}),
        span("charge", "GET /cart", start_ms=10, duration_ms=80, service="pay", kind=Kind.SERVER, status=failed),
    ]


@pytest.fixture
async def jaeger(client: httpx.AsyncClient, store: Store) -> httpx.AsyncClient:
    """A server with a trace, and another one to compare it with."""
    await store.add([*shop(), span("GET /cart", trace="other", start_ms=5, kind=Kind.SERVER)])
    return client


async def fits(client: httpx.AsyncClient, address: str, schema: schemas.Schema) -> None:
    """The answer is there, and as the program reads it."""
    response = await client.get(address)
    assert response.status_code == 200, f"{address}: {response.text}"
    schemas.check(response.json(), schema)


async def test_jaegers_ui_at_home_in_search_in_traces_and_in_their_comparison(jaeger: httpx.AsyncClient) -> None:
    await fits(jaeger, "/api/v3/services", schemas.SERVICES_V3)
    await fits(jaeger, "/api/v3/operations?service=shop", schemas.OPERATIONS_V3)
    searched = (
        "/api/v3/trace-summaries?query.serviceName=shop&query.operationName=GET+%2Fcart"
        "&query.startTimeMin=2023-11-14T21:13:20.000Z&query.startTimeMax=2023-11-14T22:14:00.000Z&query.searchDepth=20"
        "&query.durationMin=1ms&query.durationMax=2s&query.attributes=%7B%22http.response.status_code%22%3A%22500%22%7D"
    )
    await fits(jaeger, searched, schemas.SUMMARIES_V3)
    assert [one["traceId"] for one in (await jaeger.get(searched)).json()["summaries"]] == [TRACE.hex()]
    for one in (TRACE, trace_id("other")):
        await fits(jaeger, f"/api/traces/{one.hex()}", schemas.TRACES_AND_BATCHES)
        await fits(jaeger, f"/api/v3/traces/{one.hex()}", schemas.TRACES_V3)
    missing = await jaeger.get("/api/traces/0000000000000000000000000000dead")
    schemas.check(missing.json(), schemas.PROBLEM)
    assert (missing.status_code, missing.json()["errors"][0]["msg"]) == (404, "trace not found")


async def test_jaegers_ui_draws_dependencies_and_monitors_a_service(jaeger: httpx.AsyncClient) -> None:
    await fits(jaeger, f"/api/dependencies?endTs={END_MS}&lookback=604800000", schemas.DEPENDENCIES)
    asked = f"service=pay&endTs={END_MS}&lookback=3600000&ratePer=600000&spanKind=server&step=60000"
    for grouped in ("", "&groupByOperation=true"):
        for quantile in ("0.5", "0.75", "0.95"):
            await fits(jaeger, f"/api/metrics/latencies?{asked}&quantile={quantile}{grouped}", schemas.METRICS)
        for name in ("calls", "errors"):
            address = f"/api/metrics/{name}?{asked}&quantile=0.95{grouped}"
            await fits(jaeger, address, schemas.METRICS)
            (metric,) = (await jaeger.get(address)).json()["metrics"]
            assert metric["labels"][-1] == {"name": "service_name", "value": "pay"}


async def test_older_uis_search_with_parameters_that_jaeger_ignores_too(jaeger: httpx.AsyncClient) -> None:
    await fits(jaeger, "/api/services", schemas.NAMES)
    await fits(jaeger, "/api/services/shop/operations", schemas.NAMES)
    await fits(jaeger, "/api/operations?service=shop&spanKind=server", schemas.OPERATIONS)
    start, end = (T0 - 10**9) // 1000, (T0 + 10**9) // 1000
    searched = (
        f"/api/traces?end={end}&limit=20&lookback=1h&maxDuration&minDuration&operation=GET%20%2Fcart&service=shop"
        f"&start={start}&tags=%7B%22error%22%3A%22false%22%7D"
    )
    await fits(jaeger, searched, schemas.TRACES)
    assert len((await jaeger.get(searched)).json()["data"]) == 2


async def test_grafanas_jaeger_data_source(jaeger: httpx.AsyncClient) -> None:
    await fits(jaeger, "/api/services", schemas.NAMES)  # save & test
    await fits(jaeger, "/api/services/shop/operations", schemas.NAMES)
    start, end = (T0 - 10**9) // 1000, (T0 + 10**9) // 1000
    searched = (
        f"/api/traces?service=shop&operation=GET+%2Fcart&tags=%7B%22http.response.status_code%22%3A%22500%22%7D"
        f"&minDuration=1ms&maxDuration=1s&limit=20&start={start}&end={end}"
    )
    await fits(jaeger, searched, schemas.TRACES)
    assert len((await jaeger.get(searched)).json()["data"]) == 1
    await fits(jaeger, f"/api/traces/{TRACE.hex()}?start={END_MS - 60_000}&end={END_MS}", schemas.TRACES_AND_BATCHES)
    await fits(jaeger, f"/api/dependencies?endTs={END_MS}&lookback=3600000", schemas.DEPENDENCIES)


async def test_a_file_dropped_on_jaegers_ui(jaeger: httpx.AsyncClient) -> None:
    exported = (await jaeger.get(f"/trace/{TRACE.hex()}/otlp.json")).json()
    headers = {"content-type": "text/plain;charset=UTF-8", "sec-fetch-site": "same-origin"}
    response = await jaeger.post("/api/transform", content=json.dumps(exported), headers=headers)
    schemas.check(response.json(), schemas.TRACES)
    assert len(response.json()["data"][0]["spans"]) == 2
