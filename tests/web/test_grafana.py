"""What Grafana asks, step by step: each answer is 200 and is what its decoder takes.

The requests are those of Grafana's Tempo data source, 11 to 13, and of its app Traces Drilldown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from minitrace.config import Config
from minitrace.model import Event, Kind, Link, Resource, Scope, Span, Status, StatusCode
from minitrace.store.retention import Limits
from minitrace.store.store import Store
from minitrace.web.app import create_app
from tests.samples import MS, T0, TRACE, span, span_id, trace_id
from tests.web import tempo_schemas as schemas

S0 = T0 // 10**9
RANGE = {"start": str(S0 - 60), "end": str(S0 + 60)}
FAILED = Status(StatusCode.ERROR, "declined")
# what a browser's request has, and Grafana passes on
PASSED_ON = {
    "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty", "x-scope-orgid": "1",
    "x-grafana-org-id": "1", "x-forwarded-for": "192.0.2.7", "x-grafana-referer": "http://localhost:3000/explore",
}  # fmt: skip


def shop() -> list[Span]:
    """Three services, and one of each thing that a client could stumble over."""
    raised = Event(T0 + 12 * MS, "exception", {"exception.type": "Declined", "exception.message": "no money"})
    odd = {"nan": math.nan, "inf": -math.inf, "list": [1, 2], "map": {"a": [None]}, "none": None, "bytes": b"\0"}
    return [
        span("GET /checkout", kind=Kind.SERVER, duration_ms=120, attributes={"http.route": "/checkout", "code": 200}),
        span("charge", "GET /checkout", service="pay", start_ms=10, status=FAILED, events=[raised], kind=Kind.CLIENT),
        span("POST /charge", "charge", service="bank", start_ms=11, kind=Kind.SERVER, attributes={"code": "402"}),
        span("no service", "GET /checkout", resource=Resource(), scope=Scope()),
        span("backwards", "GET /checkout", duration_ms=-5, attributes=odd, events=[Event(T0, "e", {"nan": math.nan})]),
        span("linked", "gone", trace="other", links=[Link(TRACE, span_id("charge"), attributes={"inf": math.inf})]),
        span("load", trace="other", resource=Resource({"load": math.nan})),
    ]


@pytest.fixture
async def grafana(client: httpx.AsyncClient, store: Store) -> httpx.AsyncClient:
    """A client that asks as Grafana's server does, of a store with a shop."""
    await store.add(shop())
    client.headers.update({"user-agent": "Grafana/13.1.5", "accept-encoding": "gzip", **PASSED_ON})
    return client


async def asked(grafana: httpx.AsyncClient, path: str, schema: schemas.Schema, **parameters: str) -> Any:
    """The JSON of an answer that conforms."""
    response = await grafana.get(path, params=parameters, headers={"accept": "application/json"})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json"), response.text
    schemas.check(schema, response.json())
    return response.json()


async def test_a_data_source_can_be_saved(grafana: httpx.AsyncClient) -> None:
    response = await grafana.get("/api/echo")
    assert (response.status_code, response.text) == (200, "echo")
    build = await asked(grafana, "/api/status/buildinfo", schemas.values_of(schemas.text))
    assert tuple(map(int, build["version"].split("."))) >= (2, 9, 0)
    assert (await grafana.get("/ready")).status_code == 200
    assert (await grafana.head("/api/echo")).status_code == 200


SEARCHES = [
    "{}",
    '{resource.service.name="pay" && name="charge"}',
    '{(resource.service.name="pay" || resource.service.name="bank")}',
    '{resource.service.name!="pay" && resource.service.name!="bank"}',
    '{resource.service.name=~"pay|bank" && status=error && duration>1ms && traceDuration<10s}',
    '{.code=200 && span.http.route="/checkout" && kind=server}',
    '{event.exception.type="Declined" && instrumentation:name="tests" && event:name="exception"}',
    "{ } | by(resource.service.name) | count() > 0",
    "{ span.code != nil }",
    "{ } | select(.nan, .inf, .list, .code, duration, event:timeSinceStart, link:traceID)",
    "{ name = `charge` } | avg(duration) > 1ms",
]


@pytest.mark.parametrize("query", SEARCHES)
async def test_the_form_and_the_editor_search(grafana: httpx.AsyncClient, query: str) -> None:
    found = await asked(grafana, "/api/search", schemas.SEARCH, q=query, limit="20", spss="3", **RANGE)
    assert found["traces"]
    schemas.check_columns(found)


async def test_a_search_that_finds_nothing_conforms(grafana: httpx.AsyncClient) -> None:
    assert (await asked(grafana, "/api/search", schemas.SEARCH, q='{name="nothing"}'))["traces"] == []


async def test_the_editor_knows_names_and_values(grafana: httpx.AsyncClient) -> None:
    names = await asked(grafana, "/api/v2/search/tags", schemas.TAGS_V2, limit="5000", **RANGE)
    await asked(grafana, "/api/search/tags", schemas.TAGS)
    assert len(names["scopes"]) == 5
    for scope in names["scopes"]:
        for name in scope["tags"]:
            tag = quote(name if scope["name"] == "intrinsic" else f"{scope['name']}.{name}", safe="")
            path = f"/api/v2/search/tag/{tag}/values"
            await asked(grafana, path, schemas.VALUES_V2, limit="5000", tag=tag, **RANGE)
            await asked(grafana, f"/api/search/tag/{quote(name, safe='')}/values", schemas.VALUES)


@pytest.mark.parametrize(
    "typed", ["", "{", "{}", "{ resource.service.name = }", '{ resource.service.name = "pa', "{ name", "{ .a && }", "}"]
)
async def test_values_are_suggested_while_a_query_is_typed(grafana: httpx.AsyncClient, typed: str) -> None:
    found = await asked(grafana, "/api/v2/search/tag/resource.service.name/values", schemas.VALUES_V2, q=typed)
    assert {"type": "string", "value": "pay"} in found["tagValues"]


async def trace_by_id(grafana: httpx.AsyncClient, id: str, **times: int) -> Any:
    """A trace as Grafana gets it: by the new path; if that is 404, by the old one."""
    headers = {"accept": "application/protobuf"}
    response = await grafana.get(f"/api/v2/traces/{id}", headers=headers, params=times)
    if response.status_code == 404:
        response = await grafana.get(f"/api/traces/{id}", headers=headers, params=times)
        assert response.status_code == 200, response.text
        return schemas.read_trace(response.content)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/protobuf")
    return schemas.read_response(response.content).trace


def spans_of(trace: Any) -> Iterator[Any]:
    """All spans of a message."""
    return (span for group in trace.resource_spans for scope in group.scope_spans for span in scope.spans)


@pytest.mark.parametrize("trace_id", [TRACE.hex(), TRACE.hex().upper()])
async def test_a_trace_is_shown(grafana: httpx.AsyncClient, trace_id: str) -> None:
    spans = {span.name: span for span in spans_of(await trace_by_id(grafana, trace_id))}
    assert spans.keys() == {"GET /checkout", "charge", "POST /charge", "no service", "backwards"}
    assert spans["GET /checkout"].parent_span_id == b""
    assert spans["charge"].status.message == "declined"
    assert [event.name for event in spans["charge"].events] == ["exception"]


async def test_no_number_is_sent_that_grafana_cannot_write_as_json(grafana: httpx.AsyncClient) -> None:
    for id in (TRACE, trace_id("other")):
        trace = await trace_by_id(grafana, id.hex())
        parts = [group.resource for group in trace.resource_spans]
        parts += [part for span in spans_of(trace) for part in (span, *span.events, *span.links)]
        numbers = [attribute.value.double_value for part in parts for attribute in part.attributes]
        assert all(map(math.isfinite, numbers)), numbers
    (odd,) = (span for span in spans_of(await trace_by_id(grafana, TRACE.hex())) if span.name == "backwards")
    assert {a.key: a.value.string_value for a in odd.attributes if a.key in ("nan", "inf")} == {
        "nan": "NaN", "inf": "-Infinity",
    }  # fmt: skip


async def test_a_trace_is_shown_whatever_time_is_selected(grafana: httpx.AsyncClient) -> None:
    assert len(list(spans_of(await trace_by_id(grafana, TRACE.hex(), start=1, end=2)))) == 5


async def test_a_trace_that_is_not_there_is_an_empty_one(grafana: httpx.AsyncClient) -> None:
    response = await grafana.get("/api/v2/traces/abc", headers={"accept": "application/protobuf"})
    assert (response.status_code, response.content) == (200, b"\x0a\x00")
    answer = (await grafana.get("/api/v2/traces/abc")).json()
    assert answer == {"trace": {"resourceSpans": []}, "metrics": {}}


async def test_a_trace_that_lost_spans_says_so(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db", limits=Limits(max_spans=32)) as store:
        await store.add([span("root", trace="long"), span("one", "root", trace="long")])
        for n in range(30):
            await store.add([span(f"{n}", trace=f"{n}")])
        await store.add([span("two", "root", trace="long")])
        await store.keep_within_limits()
        transport = httpx.ASGITransport(create_app(Config(), store=store))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4318") as client:
            path = f"/api/v2/traces/{trace_id('long').hex()}"
            answer = (await client.get(path)).json()
            response = schemas.read_response(
                (await client.get(path, headers={"accept": "application/protobuf"})).content
            )
    assert [span.name for span in spans_of(response.trace)] == ["two"]
    assert (response.status, response.message) == (1, "2 spans of this trace were removed to make room")
    assert (answer["status"], answer["message"]) == ("PARTIAL", response.message)


async def test_an_address_that_ends_in_a_slash_works(grafana: httpx.AsyncClient) -> None:
    base = "http://localhost:4318//api"
    response = await grafana.get(f"{base}/v2/traces/{TRACE.hex()}", headers={"accept": "application/protobuf"})
    assert len(list(spans_of(schemas.read_response(response.content).trace))) == 5
    await asked(grafana, f"{base}/metrics/query", schemas.QUERY, q="{} | rate()", **RANGE)
    await asked(grafana, f"{base}/metrics/query_range", schemas.QUERY_RANGE, q="{} | rate()", **RANGE)


@pytest.mark.parametrize(("count", "bytes_of_length"), [(0, 1), (1, 1), (2, 2), (500, 3)])
async def test_traces_of_any_size_are_framed_right(
    client: httpx.AsyncClient, store: Store, count: int, bytes_of_length: int
) -> None:
    await store.add([span(f"{n}", start_ms=n) for n in range(count)])
    headers = {"accept": "application/protobuf"}
    content = (await client.get(f"/api/v2/traces/{TRACE.hex()}", headers=headers)).content
    trace = schemas.read_response(content).trace
    assert (len(list(spans_of(trace))), len(content) - trace.ByteSize()) == (count, 1 + bytes_of_length)


async def test_json_of_both_versions_tells_the_same(grafana: httpx.AsyncClient) -> None:
    old = (await grafana.get(f"/api/traces/{TRACE.hex()}")).json()["batches"]
    new = (await grafana.get(f"/api/v2/traces/{TRACE.hex()}")).json()["trace"]["resourceSpans"]
    assert old == new
    assert all(group["resource"]["attributes"] for group in new)
    assert all("status" in span for group in new for scope in group["scopeSpans"] for span in scope["spans"])


async def series_of(grafana: httpx.AsyncClient, query: str, **parameters: str) -> Any:
    """The series of both kinds of answers: over time, and for a moment."""
    parameters = {"q": query, **RANGE, **parameters}
    of_moment = await asked(grafana, "/api/metrics/query", schemas.QUERY, **parameters)
    over_time = await asked(grafana, "/api/metrics/query_range", schemas.QUERY_RANGE, step="30s", **parameters)
    assert len(of_moment["series"]) <= len(over_time["series"])
    return over_time["series"]


@pytest.mark.parametrize(
    "query",
    [
        "{} | rate()",
        "{} | count_over_time() by (resource.service.name, status)",
        "{} | rate() by (span.code)",
        "{} | quantile_over_time(duration, .5, .9, .99) by (kind)",
        "{} | histogram_over_time(duration)",
        "{} | sum_over_time(span.code) by (name)",
        "{ status = error } | min_over_time(duration) with (exemplars=true)",
        "{} | rate() by (resource.service.name) | topk(2)",
    ],
)
async def test_series_are_drawn(grafana: httpx.AsyncClient, query: str) -> None:
    series = await series_of(grafana, query, exemplars="100")
    assert len(series) == len({str(one["labels"]) for one in series}) > 0


@pytest.mark.parametrize("query", ["{} | avg_over_time(span.nan)", "{} | max_over_time(span.inf) by (name)"])
async def test_what_is_no_number_is_left_out(grafana: httpx.AsyncClient, query: str) -> None:
    assert await series_of(grafana, query, exemplars="100") == []


SIGNALS = ["nestedSetParent<0 && true", "true && true", "kind=server && true", 'span.db.name!="" && true']
FILTERS = [
    *SIGNALS,
    'nestedSetParent<0 && resource.service.name="shop"',
    'true && resource.service.name=~"pay|bank"&&status=error',
    'true && (resource.service.name="pay"||resource.service.name="bank")',
]


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize(
    "query",
    [
        "{%s} | rate() ",
        "{%s && status=error} | rate()  with(sample=true)",
        "{%s && resource.service.name != nil} | rate() by(resource.service.name)",
        "{%s && span.http.route != nil} | quantile_over_time(duration, 0.9) by(span.http.route) with(sample=true)",
        "{%s} | quantile_over_time(duration, 0.5,0.9,0.99) ",
        "{%s} | histogram_over_time(duration) with(sample=true)",
        "{%s && event.exception.type != nil} | rate() by(event.exception.type)",
        "{%s} | compare({})",
        "{%s} | compare({status = error})",
        f"{{%s}} | compare({{duration >= 0ms && duration <= 2s}}, 10, {T0}, {T0 + 10**9})",
    ],
)
async def test_drilldown_draws_its_panels(grafana: httpx.AsyncClient, filters: str, query: str) -> None:
    await series_of(grafana, query % filters, exemplars="100")


NESTED = "select(status, resource.service.name, name, nestedSetParent, nestedSetLeft, nestedSetRight)"


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize(
    "query",
    [
        "{%s } &>> { kind = server } | " + NESTED,
        "({%s && status = error} &>> { status = error }) || ({%s && status = error}) | " + NESTED,
        "({%s && duration > 9ms} &>> { duration > 8.1ms }) || ({%s && duration > 9ms}) | " + NESTED,
        "{%s && status = error} | select(resource.service.name, resource.service.namespace, event.exception.message,"
        "event.exception.stacktrace,event.exception.type) with(most_recent=true)",
        "{%s&& duration > 8ms} | select(span.http.method, span.http.route, span.http.status_code)",
    ],
)
async def test_drilldown_lists_its_spans(grafana: httpx.AsyncClient, filters: str, query: str) -> None:
    asks_for = query.replace("%s", filters)
    found = await asked(grafana, "/api/search", schemas.SEARCH, q=asks_for, limit="200", spss="20", **RANGE)
    assert all(len(trace["spanSets"]) == 1 for trace in found["traces"]), "Drilldown asks for no more"


async def test_drilldown_reads_bounds_in_the_names_of_a_histograms_series(grafana: httpx.AsyncClient) -> None:
    series = await series_of(grafana, "{true} | histogram_over_time(duration) with(sample=true)")
    assert [[label["key"] for label in one["labels"]] for one in series] == [["__bucket"]] * len(series)


async def test_drilldown_builds_the_structure_from_whole_numbers(grafana: httpx.AsyncClient) -> None:
    query = "{nestedSetParent<0 && true } &>> { kind = server } | " + NESTED
    found = await asked(grafana, "/api/search", schemas.SEARCH, q=query, limit="200", spss="20", **RANGE)
    ((spanset,),) = (trace["spanSets"] for trace in found["traces"])
    numbers = {
        span["name"]: {a["key"]: int(a["value"]["intValue"]) for a in span["attributes"] if "nestedSet" in a["key"]}
        for span in spanset["spans"]
    }
    assert numbers.keys() == {"GET /checkout", "POST /charge"}
    keys = {attribute["key"] for span in spanset["spans"] for attribute in span["attributes"]}
    assert {"service.name", "status"} <= keys  # the names under which it looks for them
    root, leaf = numbers["GET /checkout"], numbers["POST /charge"]
    assert root["nestedSetParent"] == -1
    assert root["nestedSetLeft"] < leaf["nestedSetLeft"] < leaf["nestedSetRight"] < root["nestedSetRight"]


async def test_drilldown_compares_a_selection_with_the_rest(grafana: httpx.AsyncClient) -> None:
    series = await series_of(grafana, "{true} | compare({status = error})")
    labels = [{label["key"]: label["value"] for label in one["labels"]} for one in series]
    kinds = {label["__meta_type"]["stringValue"] for label in labels}
    assert kinds == {"baseline", "selection", "baseline_total", "selection_total"}
    assert {"__meta_type": {"stringValue": "selection"}, "name": {"stringValue": "charge"}} in labels


async def test_an_answer_cut_by_the_deadline_still_conforms(grafana: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", trace=f"{n}") for n in range(3000)])
    store._readers._timeout_s = 0.005
    parameters = {"q": "{ } !> { } | rate()", **RANGE}
    assert (await asked(grafana, "/api/metrics/query", schemas.QUERY, **parameters))["metrics"]["totalJobs"] == 1
    found = await asked(grafana, "/api/metrics/query_range", schemas.QUERY_RANGE, **parameters)
    assert found["status"] == "PARTIAL"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/search?q={", 400),
        ("/api/metrics/query_range?q={}", 400),
        ("/api/metrics/query?q={}|rate()&start=x", 400),
        ("/api/v2/traces/xyz", 400),
        ("/api/v2/traces/abc?start=2&end=2", 400),
        ("/api/traces/abc?start=3&end=2", 400),
        ("/api/v2/search/tag/a=b/values", 400),
        ("/api/v2/search/tags?scope=nothing", 400),
        ("/api/v2/nothing", 404),
        ("//api/v2/traces/xyz", 400),
    ],
)
async def test_an_error_is_text_that_grafana_can_show(grafana: httpx.AsyncClient, path: str, status: int) -> None:
    response = await grafana.get(f"http://localhost:4318{path}", headers={"accept": "application/protobuf"})
    assert (response.status_code, response.headers["content-type"]) == (status, "text/plain; charset=utf-8")
    assert response.text.strip()
