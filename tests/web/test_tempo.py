"""The API that Grafana and scripts call: exact keys, exact types, errors as text."""

from __future__ import annotations

import json
import math

import httpx
import pytest

from minitrace.model import Kind, Resource, Span, Status, StatusCode, Value
from minitrace.otlp import json as otlp_json
from minitrace.otlp import messages
from minitrace.otlp.decode import decode_traces
from minitrace.otlp.encode import traces_data
from minitrace.store.store import Store
from tests.samples import T0, TRACE, span, span_id

FAILED = Status(StatusCode.ERROR, "declined")


def shop() -> list[Span]:
    return [
        span("GET /checkout", start_ms=0, duration_ms=120.9, service="shop", kind=Kind.SERVER),
        span("charge", "GET /checkout", start_ms=10, duration_ms=80, service="pay", status=FAILED, attributes={"n": 3}),
    ]


async def test_search_answers_in_tempos_keys_and_types(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    response = await client.get("/api/search", params={"q": "{ status = error }"})
    assert response.json() == {
        "traces": [
            {
                "traceID": TRACE.hex(),
                "rootServiceName": "shop",
                "rootTraceName": "GET /checkout",
                "startTimeUnixNano": str(T0),
                "durationMs": 120,
                "spanSets": [
                    {
                        "spans": [
                            {
                                "spanID": span_id("charge").hex(),
                                "name": "charge",
                                "startTimeUnixNano": str(T0 + 10_000_000),
                                "durationNanos": "80000000",
                                "attributes": [{"key": "status", "value": {"stringValue": "error"}}],
                            }
                        ],
                        "matched": 1,
                    }
                ],
                "serviceStats": {"shop": {"spanCount": 1}, "pay": {"spanCount": 1, "errorCount": 1}},
            }
        ],
        "metrics": {"inspectedTraces": 1, "completedJobs": 1, "totalJobs": 1},
    }


async def test_no_hit_is_an_empty_list(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/search")).json()["traces"] == []


async def test_a_missing_root_is_said_in_tempos_words(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("child", "missing")])
    (trace,) = (await client.get("/api/search")).json()["traces"]
    assert (trace["rootServiceName"], trace["rootTraceName"]) == ("<root span not yet received>", "")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", True),
        ("{}", True),
        ("{ }", True),
        ('{ resource.service.name = "pay" }', True),
        ('{resource.service.name="pay" && status=error && duration>=80ms}', True),
        ('{ resource.service.name = "shop" && status = error }', False),
        ('{ name = "charge" && duration > 80ms }', False),
        ("{ duration < 80ms }", False),
        ("{ duration <= 80ms && kind = unspecified }", True),
        ("{ kind = server }", True),
        ('{ name = "a && b" }', False),
        ("{ name = `charge` }", True),
    ],
)
async def test_queries_that_the_form_can_say(client: httpx.AsyncClient, store: Store, query: str, found: bool) -> None:
    await store.add(shop())
    response = await client.get("/api/search", params={"q": query})
    assert (response.status_code, bool(response.json()["traces"])) == (200, found)


async def test_fields_and_aggregates_come_along_with_their_types(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", attributes={"n": 3, "f": 0.5, "b": True, "l": ["x"], "nan": math.nan}, duration_ms=1.5)])
    query = "{ } | select(.n, .f, .b, .l, .nan, kind) | by(.none) | max(duration) > 1ms"
    (spanset,) = (await client.get("/api/search", params={"q": query})).json()["traces"][0]["spanSets"]
    assert spanset["spans"][0]["attributes"] == [
        {"key": "n", "value": {"intValue": "3"}},
        {"key": "f", "value": {"doubleValue": 0.5}},
        {"key": "b", "value": {"boolValue": True}},
        {"key": "l", "value": {"arrayValue": {"values": [{"stringValue": "x"}]}}},
        {"key": "nan", "value": {"doubleValue": "NaN"}},
        {"key": "kind", "value": {"stringValue": "unspecified"}},
    ]
    assert spanset["attributes"] == [
        {"key": "by(.none)", "value": {"stringValue": "nil"}},
        {"key": "max(duration)", "value": {"stringValue": "1.5ms"}},
    ]


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (200, 404, [{"intValue": "200"}, {"intValue": "404"}]),
        (200, 0.5, [{"intValue": "200"}, {"doubleValue": 0.5}]),  # both are numbers
        (200, "404", [{"stringValue": "200"}, {"stringValue": "404"}]),
        (0.5, "404", [{"stringValue": "0.5"}, {"stringValue": "404"}]),
        (True, "no", [{"stringValue": "true"}, {"stringValue": "no"}]),
        (True, 1, [{"stringValue": "true"}, {"stringValue": "1"}]),
        (["a", "c"], "b", [{"stringValue": '["a", "c"]'}, {"stringValue": "b"}]),
    ],
)
async def test_a_key_has_values_of_one_type_throughout_an_answer(
    client: httpx.AsyncClient, store: Store, first: Value, second: Value, told: list[dict[str, str]]
) -> None:
    await store.add([span("a", trace="1", attributes={"code": first, "n": 1})])
    await store.add([span("b", trace="2", start_ms=-1, attributes={"code": second, "n": 2})])
    found = (await client.get("/api/search", params={"q": "{ } | select(.code, .n)"})).json()["traces"]
    attributes = [{a["key"]: a["value"] for a in trace["spanSets"][0]["spans"][0]["attributes"]} for trace in found]
    assert [{"code": one["code"], "n": one["n"]} for one in attributes] == [
        {"code": told[0], "n": {"intValue": "1"}},
        {"code": told[1], "n": {"intValue": "2"}},
    ]


async def test_groups_are_spansets_of_one_trace(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a"), span("b", "a"), span("c", "a", service="pay")])
    (trace,) = (await client.get("/api/search", params={"q": "{ } | by(resource.service.name)"})).json()["traces"]
    assert sorted(spanset["matched"] for spanset in trace["spanSets"]) == [1, 2]


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"tags": "service.name=PAY"}, True),
        ({"tags": 'service.name=pay n="3"'}, False),  # 3 is a number
        ({"tags": 'name="GET /"'}, True),
        ({"tags": "name=.*"}, False),
        ({"tags": 'name="c\\"h"'}, False),
        ({"tags": "service.name=shop name=charge"}, False),
        ({"tags": "root.service.name=shop name=charge"}, True),
        ({"minDuration": "100ms", "maxDuration": "1s"}, True),
        ({"minDuration": "200ms"}, False),
        ({"start": "1699999999", "end": "1700000001"}, True),
        ({"start": "1700000000", "end": "1700000001"}, True),
        ({"start": "1700000001", "end": "1700000002"}, False),
        ({"start": "1700000000009000000", "end": "1800000000000000000"}, True),  # nanoseconds: 1 ms before its end
        ({"start": "1700000000200000000", "end": "1800000000000000000"}, False),
        ({"words": "charge"}, True),
        ({"words": "charge refund"}, False),
        ({"q": TRACE.hex()}, True),
    ],
)
async def test_other_parameters_of_a_search(
    client: httpx.AsyncClient, store: Store, parameters: dict[str, str], found: bool
) -> None:
    await store.add(shop())
    response = await client.get("/api/search", params=parameters)
    assert (response.status_code, bool(response.json()["traces"])) == (200, found)


async def test_a_search_cut_by_the_deadline_says_that_its_job_is_not_done(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add([span("a", trace=f"{n}") for n in range(3000)])
    store._readers._timeout_s = 0.005
    metrics = (await client.get("/api/search", params={"q": "{ } | count() > 1"})).json()["metrics"]
    assert (metrics["completedJobs"], metrics["totalJobs"]) == (0, 1)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"q": "{ status = }"}, "  { status = }\n             ^"),
        ({"q": '{ service.name = "x" }'}, "resource.service.name"),
        ({"q": "{ } | rate()"}, "this query gives series, not traces: ask /api/metrics/query_range"),
        ({"q": "{ }", "tags": "a=b"}, "do not go together"),
        ({"tags": "a"}, "tags: write key=value"),
        ({"tags": "a=b a=c"}, "'a' is there twice"),
        ({"minDuration": "5"}, "'5' is not a duration: write 250ms, 1.5s or 2m"),
        ({"minDuration": "5s", "maxDuration": "1s"}, "maxDuration is below minDuration"),
        ({"start": "5"}, "start and end go together"),
        ({"q": "{ }", "words": "charge"}, "q and words do not go together"),
        ({"sort": "age"}, "sort='age' is no order: use -start, start, -duration"),
        ({"start": "5", "end": "5"}, "end=5 is not after start=5"),
        ({"start": "x", "end": "5"}, "start='x' is not a whole number"),
        ({"limit": "0"}, "limit='0' is not a whole number from 1"),
        ({"limit": "-1"}, "limit='-1'"),
        ({"spss": "1.5"}, "spss='1.5'"),
    ],
)
async def test_bad_parameters_are_400_with_the_remedy_in_plain_text(
    client: httpx.AsyncClient, parameters: dict[str, str], said: str
) -> None:
    response = await client.get("/api/search", params=parameters)
    assert (response.status_code, response.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert said in response.text


async def test_limit_and_spans_per_spanset(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span(f"{trace}-{n}", trace=f"{trace}") for trace in range(3) for n in range(5)])
    found = (await client.get("/api/search", params={"limit": 2, "spss": 1})).json()["traces"]
    assert [(len(t["spanSets"][0]["spans"]), t["spanSets"][0]["matched"]) for t in found] == [(1, 5), (1, 5)]
    found = (await client.get("/api/search", params={"limit": 1, "spss": 0})).json()["traces"]
    assert len(found[0]["spanSets"][0]["spans"]) == 5


async def test_a_trace_as_protobuf_is_what_was_sent(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    response = await client.get(f"/api/traces/{TRACE.hex()}", headers={"accept": "application/protobuf"})
    assert response.headers["content-type"] == "application/protobuf"
    assert decode_traces(response.content, is_json=False).spans == shop()


async def test_a_trace_as_json_has_base64_ids_and_names(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    document = (await client.get(f"/api/traces/{TRACE.hex()}")).json()
    first = document["batches"][0]["scopeSpans"][0]["spans"][0]
    assert (first["traceId"], first["kind"], first["startTimeUnixNano"]) == (
        "YSB0cmFjZSBvZiB0ZXN0cw==", "SPAN_KIND_SERVER", str(T0),
    )  # fmt: skip


async def test_a_trace_comes_in_pieces_and_whole(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span(f"{n}", service=f"{n % 3}", start_ms=n) for n in range(500)])
    content = (await client.get(f"/api/traces/{TRACE.hex()}", headers={"accept": "application/protobuf"})).content
    assert sorted(int(span.name) for span in decode_traces(content, is_json=False).spans) == list(range(500))
    batches = (await client.get(f"/api/traces/{TRACE.hex()}")).json()["batches"]
    names = [span["name"] for batch in batches for scope in batch["scopeSpans"] for span in scope["spans"]]
    assert sorted(map(int, names)) == list(range(500))


async def test_grafana_gets_no_resource_without_attributes_and_no_time_below_zero(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add([span("a", resource=Resource(), duration_ms=-5), span("b", "a", resource=Resource(), end_ns=0)])
    content = (await client.get(f"/api/traces/{TRACE.hex()}", headers={"accept": "application/protobuf"})).content
    (group,) = messages.TracesData.FromString(content).resource_spans
    assert [(a.key, a.value.string_value) for a in group.resource.attributes] == [("service.name", "unknown_service")]
    assert [s.end_time_unix_nano - s.start_time_unix_nano for s in group.scope_spans[0].spans] == [0, 0]


OTLP_JSON = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeSpans": [
                {
                    "scope": {
                        "name": "lib",
                        "version": "2",
                        "attributes": [{"key": "a", "value": {"boolValue": True}}],
                    },
                    "spans": [
                        {
                            "traceId": TRACE.hex(),
                            "spanId": "00f067aa0ba902b7",
                            "parentSpanId": "53995c3f42cd8ad8",
                            "flags": 257,
                            "name": "charge",
                            "kind": 3,
                            "startTimeUnixNano": "1700000000000000001",
                            "endTimeUnixNano": "1700000000000000999",
                            "attributes": [{"key": "tries", "value": {"intValue": "9007199254740993"}}],
                            "events": [{"timeUnixNano": "1700000000000000500", "name": "retry"}],
                            "status": {"message": "declined", "code": 2},
                        }
                    ],
                }
            ],
        }
    ]
}


async def test_otlp_json_comes_back_whole_and_ids_in_any_case_are_one_trace(
    client: httpx.AsyncClient, store: Store
) -> None:
    sent = json.dumps(OTLP_JSON).replace(TRACE.hex(), TRACE.hex().upper())
    response = await client.post("/v1/traces", content=sent, headers={"content-type": "application/json"})
    assert response.status_code == 200
    assert otlp_json.dump(traces_data((await store.trace(TRACE)).spans)) == OTLP_JSON
    for text in (TRACE.hex(), TRACE.hex().upper()):
        assert (await client.get(f"/api/traces/{text}")).status_code == 200


@pytest.mark.parametrize("text", ["1", "0001", "00000000000000000000000000000001"])
async def test_short_ids_are_padded(client: httpx.AsyncClient, store: Store, text: str) -> None:
    await store.add([span("a", trace=bytes(15) + b"\x01")])
    assert (await client.get(f"/api/traces/{text}")).status_code == 200


@pytest.mark.parametrize(("text", "status"), [("xyz", 400), ("0" * 33, 400), ("abc", 404)])
async def test_ids_that_are_none_and_traces_that_are_not_there(
    client: httpx.AsyncClient, text: str, status: int
) -> None:
    response = await client.get(f"/api/traces/{text}", headers={"accept": "application/protobuf"})
    assert (response.status_code, bool(response.content)) == (status, status == 400)


async def test_an_unknown_path_of_the_api_is_404_as_text(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/nothing")
    assert (response.status_code, response.text) == (404, "Not Found\n")
