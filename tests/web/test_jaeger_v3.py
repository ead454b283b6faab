"""The third version of Jaeger's query API: what its UI's schemas let pass, and what a search finds."""

from __future__ import annotations

import json
import math
from typing import Any

import httpx
import pytest

from minitrace.model import Attributes, Event, Kind, Link, Resource, Scope, Span, Status, StatusCode
from minitrace.store.store import Store
from minitrace.web import jaeger_v3, pieces
from tests import hard
from tests.samples import T0, TRACE, span, span_id, trace_id
from tests.web import jaeger_schemas as schemas

TIMES = {"query.startTimeMin": "2023-11-14T22:13:19.000Z", "query.startTimeMax": "2023-11-14T22:14:00.000Z"}
FAILED = Status(StatusCode.ERROR)


def shop() -> list[Span]:
    return [
        span("GET /checkout", duration_ms=120, service="shop", kind=Kind.SERVER),
        span("charge", "GET /checkout", start_ms=10, duration_ms=80, service="pay", status=FAILED, attributes={"n": 3}),
        span("lost", "missing", start_ms=20, service="pay"),
    ]


async def asked(client: httpx.AsyncClient, schema: Any, path: str, parameters: dict[str, str] | None = None) -> Any:
    """An answer that fits a schema."""
    response = await client.get(path, params=parameters)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json"), response.text
    schemas.check(response.json(), schema)
    return response.json()


async def test_nothing_stored_is_empty_lists_that_are_there(client: httpx.AsyncClient) -> None:
    assert await asked(client, schemas.SERVICES_V3, "/api/v3/services") == {"services": []}
    found = await asked(client, schemas.OPERATIONS_V3, "/api/v3/operations", {"service": "shop"})
    assert found == {"operations": []}
    assert await asked(client, schemas.SUMMARIES_V3, "/api/v3/trace-summaries", TIMES) == {"summaries": []}


async def test_services_and_operations(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([*shop(), span("charge", id="2", kind=Kind.INTERNAL, service="pay")])
    assert (await asked(client, schemas.SERVICES_V3, "/api/v3/services"))["services"] == ["pay", "shop"]
    found = await asked(client, schemas.OPERATIONS_V3, "/api/v3/operations", {"service": "pay"})
    assert found["operations"] == [  # charge without a kind, and that of kind internal, are told alike
        {"name": "charge", "spanKind": "internal"}, {"name": "lost", "spanKind": "internal"},
    ]  # fmt: skip
    for name in ("spanKind", "span_kind"):
        found = await asked(client, schemas.OPERATIONS_V3, "/api/v3/operations", {"service": "shop", name: "server"})
        assert found["operations"] == [{"name": "GET /checkout", "spanKind": "server"}]


async def test_a_trace_in_a_line(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([*shop(), span("child", "absent", trace="rootless", start_ms=-1)])
    newest, rootless = (await asked(client, schemas.SUMMARIES_V3, "/api/v3/trace-summaries", TIMES))["summaries"]
    assert newest == {
        "traceId": TRACE.hex(),
        "rootServiceName": "shop",
        "rootOperationName": "GET /checkout",
        "minStartTimeUnixNano": str(T0),
        "maxEndTimeUnixNano": str(T0 + 120_000_000),
        "spanCount": 3,
        "errorSpanCount": 1,
        "orphanSpanCount": 1,
        "services": [
            {"name": "pay", "spanCount": 2, "errorSpanCount": 1},
            {"name": "shop", "spanCount": 1, "errorSpanCount": 0},
        ],
    }
    assert (rootless["rootServiceName"], rootless["rootOperationName"], rootless["orphanSpanCount"]) == ("", "", 1)


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({}, True),
        ({"query.serviceName": "pay", "query.operationName": "charge"}, True),
        ({"query.service_name": "pay", "query.span_name": "render"}, False),
        ({"query.service_name": "pay", "query.operation_name": "charge"}, True),
        ({"query.durationMin": "100ms", "query.durationMax": "1s"}, True),
        ({"query.duration_min": "121ms"}, False),
        ({"query.attributes": '{"n":"3"}'}, True),
        ({"query.attributes": '{"n":"3","error":"false"}'}, False),
        ({"query.startTimeMin": "2023-11-14T22:13:20.021Z"}, False),
        ({"query.startTimeMax": "2023-11-15T00:13:20.000000001+02:00"}, True),
    ],
)
async def test_a_search_by_parameters_in_either_spelling(
    client: httpx.AsyncClient, store: Store, parameters: dict[str, str], found: bool
) -> None:
    await store.add(shop())
    wanted = TIMES | parameters
    answer = await asked(client, schemas.SUMMARIES_V3, "/api/v3/trace-summaries", wanted)
    assert bool(answer["summaries"]) is found
    response = await client.get("/api/v3/traces", params=wanted)
    schemas.check(response.json(), schemas.TRACES_V3 if found else schemas.PROBLEM_V3)
    assert response.status_code == (200 if found else 404)


@pytest.mark.parametrize("name", ["query.searchDepth", "query.search_depth", "query.num_traces"])
async def test_no_more_traces_than_are_wanted(client: httpx.AsyncClient, store: Store, name: str) -> None:
    await store.add([span("a", trace=f"{n}") for n in range(5)])
    found = await asked(client, schemas.SUMMARIES_V3, "/api/v3/trace-summaries", TIMES | {name: "2"})
    assert len(found["summaries"]) == 2
    spans = await asked(client, schemas.TRACES_V3, "/api/v3/traces", TIMES | {name: "2"})
    assert len(spans["result"]["resourceSpans"]) == 2


async def test_a_trace_whose_values_json_does_not_know_fits_the_schema(client: httpx.AsyncClient, store: Store) -> None:
    odd: Attributes = {
        "nil": None,
        "nan": math.nan,
        "list": [None, -math.inf, {}],
        "map": {"a": None},
        "raw": b"\xff",
        "none": [],
    }
    await store.add([
        span(
            "a",
            attributes=dict(odd),
            events=[Event(0, "", dict(odd))],
            links=[Link(trace_id("b"), span_id("b"), attributes=dict(odd))],
            resource=Resource(dict(odd)),
            scope=Scope("", "", dict(odd)),
        )
    ])  # fmt: skip
    answer = await asked(client, schemas.TRACES_V3, f"/api/v3/traces/{TRACE.hex()}")
    (group,) = answer["result"]["resourceSpans"]
    values = {one["key"]: one["value"] for one in group["scopeSpans"][0]["spans"][0]["attributes"]}
    assert (values["nil"], values["nan"]) == ({"stringValue": ""}, {"stringValue": "NaN"})
    assert values["list"]["arrayValue"]["values"][1] == {"stringValue": "-Infinity"}


async def test_a_server_that_shares_its_clients_id_gets_one_of_its_own(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("ask", id="a", kind=Kind.CLIENT), span("answer", id="a", kind=Kind.SERVER, service="pay")])
    answer = await asked(client, schemas.TRACES_V3, f"/api/v3/traces/{TRACE.hex()}")
    groups = answer["result"]["resourceSpans"]
    spans = {one["name"]: one for group in groups for one in group["scopeSpans"][0]["spans"]}
    assert spans["answer"]["parentSpanId"] == spans["ask"]["spanId"] != spans["answer"]["spanId"]


@pytest.mark.parametrize("name", hard.TRACES)
def test_hard_traces_fit_the_schema(name: str) -> None:
    spans = hard.TRACES[name]()
    text = "".join(pieces.listed(jaeger_v3._groups(spans)))
    schemas.check({"result": {"resourceSpans": json.loads(text)}}, schemas.TRACES_V3)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        (f"/api/v3/traces/{TRACE.hex()}", 404, "No traces found"),
        ("/api/v3/traces/xyz", 400, "'xyz' is not a trace id: 1 to 32 hex digits, not all zero"),
        ("/api/v3/trace-summaries", 400, "query.startTimeMin is missing: write a time such as 2026-11-22T13:00:00Z"),
        (
            "/api/v3/traces?query.startTimeMin=2026-11-22T13:00:00Z",
            400,
            "query.startTimeMax is missing: write a time such as 2026-11-22T13:00:00Z",
        ),
        (
            "/api/v3/traces?query.startTimeMin=1&query.startTimeMax=2",
            400,
            "query.startTimeMin='1' is not a time such as 2026-11-22T13:00:00Z",
        ),
        (
            "/api/v3/traces?query.startTimeMin=2026-11-22T13:00:00Z&query.startTimeMax=2026-11-22T13:00:00Z",
            400,
            "query.startTimeMax is not after query.startTimeMin",
        ),
        (
            "/api/v3/traces?query.startTimeMin=2026-13-41T13:00:00Z&query.startTimeMax=2026-11-22T13:00:00Z",
            400,
            "query.startTimeMin='2026-13-41T13:00:00Z' is not a time",
        ),
        ("/api/v3/traces?query.filter={}", 400, "query.filter is not understood: use query.attributes"),
        ("/api/v3/dependencies?startTime=2026-11-22T13:00:00Z", 400, "endTime is missing"),
    ],
)
async def test_errors_are_told_in_one_object(client: httpx.AsyncClient, path: str, status: int, said: str) -> None:
    response = await client.get(path)
    schemas.check(response.json(), schemas.PROBLEM_V3)
    assert (response.status_code, response.json()["error"]["httpCode"]) == (status, status)
    assert said in response.json()["error"]["message"]


async def test_attributes_that_are_no_map_of_texts_are_refused(client: httpx.AsyncClient) -> None:
    for text in ("[1]", "{", '{"a":1}'):
        response = await client.get("/api/v3/trace-summaries", params=TIMES | {"query.attributes": text})
        assert response.status_code == 400
        assert "is not a JSON object of strings" in response.json()["error"]["message"]


async def test_dependencies_of_a_time(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    times = {"startTime": "2023-11-14T22:13:20Z", "end_time": "2023-11-14T22:13:21Z"}
    schema = {"dependencies": [{"parent": str, "child": str, "callCount": schemas.NANOS}]}
    found = await asked(client, schema, "/api/v3/dependencies", times)
    assert found["dependencies"] == [{"parent": "shop", "child": "pay", "callCount": "1"}]
