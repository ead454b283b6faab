"""Jaeger's query API as its older UI and Grafana's data source ask it: shapes, searches, errors."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from minitrace.model import Event, Kind, Link, Span, Status, StatusCode
from minitrace.otlp import json as otlp_json
from minitrace.otlp.encode import traces_data
from minitrace.store.store import Store
from tests.samples import MS, T0, TRACE, span, span_id, trace_id
from tests.web import jaeger_schemas as schemas

T0_US = T0 // 1000
FAILED = Status(StatusCode.ERROR, "declined")
AROUND = {"start": str(T0_US - 1_000_000), "end": str(T0_US + 60_000_000)}


def shop() -> list[Span]:
    return [
        span("GET /checkout", duration_ms=120, service="shop", kind=Kind.SERVER, attributes={"http.status_code": 200}),
        span(
            "charge",
            "GET /checkout",
            start_ms=10,
            duration_ms=80,
            service="pay",
            kind=Kind.CLIENT,
            status=FAILED,
            attributes={"retries": 3, "ratio": 0.5, "paid": False, "cards": ["visa"], "raw": b"\x00"},
            events=[Event(T0, "exception", {"exception.type": "Declined"})],
            links=[Link(trace_id("other"), span_id("other"), attributes={"why": "retry"})],
        ),
        span("render", "GET /checkout", start_ms=95, duration_ms=5, service="shop"),
    ]


async def asked(client: httpx.AsyncClient, schema: Any, path: str, **parameters: str) -> Any:
    """The data of an answer that fits a schema."""
    response = await client.get(path, params=parameters)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json"), response.text
    schemas.check(response.json(), schema)
    return response.json()["data"]


async def refused(client: httpx.AsyncClient, path: str, status: int) -> str:
    """What is said about a request that cannot be answered."""
    response = await client.get(path)
    assert response.status_code == status, response.text
    schemas.check(response.json(), schemas.PROBLEM)
    assert response.json()["errors"][0]["code"] == status
    return str(response.json()["errors"][0]["msg"])


async def test_nothing_stored_is_empty_lists(client: httpx.AsyncClient) -> None:
    for path in ("/api/services", "/api/services/shop/operations"):
        assert await asked(client, schemas.NAMES, path) == []
    assert await asked(client, schemas.OPERATIONS, "/api/operations", service="shop") == []
    assert await asked(client, schemas.TRACES, "/api/traces", service="shop") == []
    assert await asked(client, schemas.DEPENDENCIES, "/api/dependencies") == []


async def test_services_and_operations_are_in_alphabetical_order(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([*shop(), span("a", service="a/b c")])
    assert await asked(client, schemas.NAMES, "/api/services") == ["a/b c", "pay", "shop"]
    names = await asked(client, schemas.NAMES, "/api/services/shop/operations")
    assert names == ["GET /checkout", "render"]
    assert await asked(client, schemas.NAMES, "/api/services/a%2Fb%20c/operations") == ["a"]


async def test_operations_have_kinds_and_can_be_of_one(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([
        *shop(),
        span("render", kind=Kind.SERVER, id="2"),
        span("timeless", start_ns=0, end_ns=0, kind=Kind.SERVER),
    ])  # fmt: skip
    rows = await asked(client, schemas.OPERATIONS, "/api/operations", service="shop")
    assert [(row["name"], row["spanKind"]) for row in rows] == [
        ("GET /checkout", "server"), ("render", ""), ("render", "server"), ("timeless", ""),
    ]  # fmt: skip
    rows = await asked(client, schemas.OPERATIONS, "/api/operations", service="shop", spanKind="server")
    assert [row["name"] for row in rows] == ["GET /checkout", "render"]


async def test_a_trace_is_for_jaeger_and_tempo_in_one(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    (trace,) = await asked(client, schemas.TRACES_AND_BATCHES, f"/api/traces/{TRACE.hex()}")
    assert sorted(one["operationName"] for one in trace["spans"]) == ["GET /checkout", "charge", "render"]
    document = (await client.get(f"/api/traces/{TRACE.hex()}")).json()
    batches = [one for batch in document["batches"] for scope in batch["scopeSpans"] for one in scope["spans"]]
    assert sorted(one["name"] for one in batches) == ["GET /checkout", "charge", "render"]


async def test_an_answer_can_be_indented(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    for path in ("/api/services", f"/api/traces/{TRACE.hex()}", f"/api/traces?traceID={TRACE.hex()}"):
        plain = await client.get(path)
        pretty = await client.get(path, params={**httpx.QueryParams(plain.request.url.query), "prettyPrint": "true"})
        assert pretty.text == json.dumps(plain.json(), indent=4)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        (f"/api/traces/{TRACE.hex()}", 404, "trace not found"),
        ("/api/traces/xyz", 400, "'xyz' is not a trace id: 1 to 32 hex digits, not all zero"),
        ("/api/operations", 400, "service is missing: name the service whose operations you want"),
        ("/api/traces", 400, "service is missing: name the service whose spans you look for, or give a traceID"),
        ("/api/traces?service=a&limit=x", 400, "limit='x' is not a whole number from 1 to 4294967295"),
        ("/api/traces?service=a&start=x", 400, "start='x' is not a whole number of microseconds since 1970"),
        ("/api/traces?service=a&minDuration=5", 400, "'5' is not a duration: write 250ms, 1.5s or 2m"),
        ("/api/traces?service=a&minDuration=2s&maxDuration=1s", 400, "maxDuration is below minDuration"),
        ("/api/traces?service=a&tag=b", 400, "tag='b' is not key:value"),
        ("/api/traces?service=a&tags=[]", 400, "tags='[]' is not a JSON object of strings, such as"),
        ('/api/traces?service=a&tags={"a":1}', 400, "is not a JSON object of strings, such as"),
        ("/api/traces?traceID=xyz", 400, "'xyz' is not a trace id: 1 to 32 hex digits, not all zero"),
        ("/api/dependencies?endTs=now", 400, "endTs='now' is not a whole number of milliseconds"),
    ],
)
async def test_errors_are_told_in_the_envelope(client: httpx.AsyncClient, path: str, status: int, said: str) -> None:
    assert said in await refused(client, path, status)


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"service": "pay"}, True),
        ({"service": "shop", "operation": "charge"}, False),  # another service's
        ({"service": "pay", "operation": "charge"}, True),
        ({"service": "nobody"}, False),
        ({"service": "pay", "minDuration": "80ms", "maxDuration": "80ms"}, True),
        ({"service": "pay", "minDuration": "81ms"}, False),
        ({"service": "pay", "maxDuration": "79.9ms"}, False),
        ({"service": "shop", "tag": "http.status_code:200"}, True),
        ({"service": "shop", "tags": '{"http.status_code":"200"}'}, True),
        ({"service": "shop", "tags": '{"http.status_code":"20"}'}, False),
        ({"service": "shop", "tags": '{"http.status_code":"200","error":"true"}'}, False),  # of two spans
        ({"service": "pay", "tags": '{"retries":"3","ratio":"0.5","paid":"false"}'}, True),
        ({"service": "pay", "tags": '{"error":"true"}'}, True),
        ({"service": "pay", "tags": '{"error":"false"}'}, False),
        ({"service": "shop", "tags": '{"error":"false"}'}, True),
        ({"service": "pay", "tags": '{"exception.type":"Declined"}'}, True),
        ({"service": "pay", "tags": '{"event":"exception"}'}, True),
        ({"service": "pay", "tags": '{"why":"retry"}'}, True),
        ({"service": "pay", "tags": '{"service.name":"pay"}'}, True),
        ({"service": "pay", "tags": '{"resource.service.name":"pay"}'}, True),
        ({"service": "pay", "tags": '{"resource.retries":"3"}'}, False),
        ({"service": "pay", "tags": '{"span.kind":"client","scope.name":"tests","scope.version":"1.0"}'}, True),
        ({"service": "pay", "tags": '{"span.kind":"server"}'}, False),
        ({"service": "pay", "tags": '{"span.status":"error","otel.status_code":"ERROR"}'}, True),
        ({"service": "pay", "tags": '{"otel.status_description":"declined"}'}, True),
        ({"service": "pay", "tag": "retries:3", "tags": '{"ratio":"0.25"}'}, False),
        ({"service": "pay", "tag": "url:http://a"}, False),
    ],
)
async def test_a_search_finds_traces_with_one_span_that_has_all_of_it(
    client: httpx.AsyncClient, store: Store, parameters: dict[str, str], found: bool
) -> None:
    await store.add(shop())
    assert bool(await asked(client, schemas.TRACES, "/api/traces", **AROUND, **parameters)) is found


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "found"), [(0, 0, True), (1, 200, True), (96, 200, False), (-5, -1, False), (11, 94, False)]
)
async def test_the_span_has_to_start_within_the_time(
    client: httpx.AsyncClient, store: Store, start_ms: int, end_ms: int, found: bool
) -> None:
    await store.add(shop())  # those of shop start after 0 and 95 ms
    times = {"start": str(T0_US + start_ms * 1000), "end": str(T0_US + end_ms * 1000)}
    assert bool(await asked(client, schemas.TRACES, "/api/traces", service="shop", **times)) is found


async def test_traces_that_only_overlap_the_time_take_no_place_of_others(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add([span("in", trace=f"in{n}", start_ms=1000 + n) for n in range(3)])
    for n in range(5):  # newer traces, whose span of shop starts too late
        late = span("late", "a", trace=f"late{n}", start_ms=2500)
        await store.add([span("a", trace=f"late{n}", start_ms=1500 + n, duration_ms=2000, service="pay"), late])
    times = {"start": str(T0_US + 1_000_000), "end": str(T0_US + 2_000_000)}
    found = await asked(client, schemas.TRACES, "/api/traces", service="shop", limit="3", **times)
    assert [one["spans"][0]["operationName"] for one in found] == ["in", "in", "in"]


async def test_traces_are_found_by_their_ids_and_the_others_are_named(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    missing = trace_id("missing").hex()
    answer = (await client.get(f"/api/traces?traceID={missing}&traceID={TRACE.hex()}")).json()
    assert [one["traceID"] for one in answer["data"]] == [TRACE.hex()]
    assert answer["errors"] == [{"msg": "trace not found", "traceID": missing}]


async def test_no_time_given_is_the_last_two_days(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    assert await asked(client, schemas.TRACES, "/api/traces", service="shop") == []


async def test_dependencies_of_a_time_and_of_a_service(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([*shop(), span("mail", "charge", service="mail", start_ms=30)])
    end = str(T0 // MS + 1000)
    rows = await asked(client, schemas.DEPENDENCIES, "/api/dependencies", endTs=end, lookback="604800000")
    assert rows == [
        {"parent": "pay", "child": "mail", "callCount": 1},
        {"parent": "shop", "child": "pay", "callCount": 1},
    ]
    assert await asked(client, schemas.DEPENDENCIES, "/api/dependencies", endTs=end, lookback="500") == []
    rows = await asked(client, schemas.DEPENDENCIES, "/api/dependencies", endTs=end, service="shop")
    assert [row["child"] for row in rows] == ["pay"]


async def test_a_file_of_otlp_comes_back_as_traces_and_is_not_stored(client: httpx.AsyncClient, store: Store) -> None:
    sent = json.dumps(otlp_json.dump(traces_data([*shop(), span("b", trace="2")])))
    response = await client.post("/api/transform", content=sent)
    schemas.check(response.json(), schemas.TRACES)
    assert [len(one["spans"]) for one in response.json()["data"]] == [3, 1]
    assert (await store.stats()).span_count == 0


@pytest.mark.parametrize("content", [b"", b"[", b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz"}]}]}]}'])
async def test_a_file_that_is_no_otlp_says_so(client: httpx.AsyncClient, content: bytes) -> None:
    response = await client.post("/api/transform", content=content)
    assert response.status_code == 400
    schemas.check(response.json(), schemas.PROBLEM)


async def test_there_is_no_archive(client: httpx.AsyncClient) -> None:
    response = await client.post(f"/api/archive/{TRACE.hex()}")
    assert response.status_code == 501
    schemas.check(response.json(), schemas.PROBLEM)


async def test_a_path_that_is_none_of_jaegers_is_text(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/quality-metrics")
    assert (response.status_code, response.text) == (404, "Not Found\n")
