"""`/metrics`, read by the parsers of Prometheus' own client library."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client import parser as text
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics_text
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.registry import Collector

import minitrace
from minitrace.config import Config
from minitrace.model import Kind, Resource, Status, StatusCode
from minitrace.otlp import messages
from minitrace.otlp.encode import encode_export
from minitrace.store import edge_counters, span_counters
from minitrace.store.span_counters import SpanCounters
from minitrace.store.store import Store
from minitrace.web import prometheus
from minitrace.web.app import create_app, open_store
from tests.samples import TRACE, span, span_id

pytestmark = pytest.mark.anyio

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine counts no less in the end."""
    monkeypatch.setattr(prometheus, "PATIENCE_S", 60)


Samples = dict[tuple[str, frozenset[tuple[str, str]]], Any]


async def scrape(client: httpx.AsyncClient, accept: str = OPENMETRICS) -> Samples:
    """The samples by name and labels, as Prometheus reads them."""
    response = await client.get("/metrics", headers={"accept": accept})
    assert response.status_code == 200
    parser = openmetrics if "openmetrics" in response.headers["content-type"] else text
    families = parser.text_string_to_metric_families(response.text)
    return {(one.name, frozenset(one.labels.items())): one for family in families for one in family.samples}


def labels(service: str, name: str, kind: str = "UNSPECIFIED", status: str = "UNSET") -> frozenset[tuple[str, str]]:
    """The labels of a series of span metrics."""
    return frozenset({
        ("service", service), ("span_name", name), ("span_kind", f"SPAN_KIND_{kind}"),
        ("status_code", f"STATUS_CODE_{status}"),
    })  # fmt: skip


@pytest.mark.parametrize("accept", [OPENMETRICS, "text/plain", ""])
async def test_spans_are_counted_by_service_name_kind_and_status(
    client: httpx.AsyncClient, store: Store, accept: str
) -> None:
    await store.add([
        span("a", id="1"),
        span("a", id="2"),
        span("charge", kind=Kind.SERVER, status=Status(StatusCode.ERROR), service="pay"),
    ])  # fmt: skip
    found = await scrape(client, accept)
    calls = {one: sample.value for (name, one), sample in found.items() if name == "traces_spanmetrics_calls_total"}
    assert calls == {labels("shop", "a"): 2, labels("pay", "charge", "SERVER", "ERROR"): 1}


async def test_durations_are_counted_up_to_bounds_that_double(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", id=str(ms), duration_ms=ms) for ms in (2, 2.001, 4, 60_000)])
    found = await scrape(client)
    buckets = {
        dict(one)["le"]: sample.value
        for (name, one), sample in found.items()
        if name == "traces_spanmetrics_latency_bucket"
    }
    bounds = ["0.002", "0.004", "0.008", "0.016", "0.032", "0.064", "0.128", "0.256", "0.512"]
    bounds += ["1.024", "2.048", "4.096", "8.192", "16.384", "+Inf"]
    assert buckets == dict(zip(bounds, [1] + [3] * 13 + [4], strict=True))
    assert found["traces_spanmetrics_latency_count", labels("shop", "a")].value == 4
    assert found["traces_spanmetrics_latency_sum", labels("shop", "a")].value == pytest.approx(60.008001)


async def test_a_bucket_has_a_span_to_look_at(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", id="slow", duration_ms=3000), span("a", id="quick", duration_ms=5)])
    found = await scrape(client)
    exemplars = {
        dict(one)["le"]: sample.exemplar
        for (name, one), sample in found.items()
        if name == "traces_spanmetrics_latency_bucket" and sample.exemplar
    }
    assert {bound: one.value for bound, one in exemplars.items()} == {"0.008": 0.005, "4.096": 3}
    assert exemplars["4.096"].labels == {"traceID": TRACE.hex(), "spanID": span_id("slow").hex()}
    trace = await client.get(f"/api/traces/{exemplars['4.096'].labels['traceID']}")
    assert trace.status_code == 200


async def test_calls_between_services_are_the_service_graph(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([
        span("GET", kind=Kind.CLIENT, duration_ms=300),
        span("serve", parent="GET", kind=Kind.SERVER, service="pay", duration_ms=100, status=Status(StatusCode.ERROR)),
    ])  # fmt: skip
    found = await scrape(client)
    edge = frozenset({("client", "shop"), ("server", "pay"), ("connection_type", "")})
    graph = {
        name: sample.value for (name, one), sample in found.items() if name.startswith("traces_service") and one == edge
    }
    assert graph == {
        "traces_service_graph_request_total": 1,
        "traces_service_graph_request_failed_total": 1,
        "traces_service_graph_request_server_seconds_count": 1,
        "traces_service_graph_request_server_seconds_sum": 0.1,
        "traces_service_graph_request_client_seconds_count": 1,
        "traces_service_graph_request_client_seconds_sum": 0.3,
    }
    bounds = [dict(one)["le"] for name, one in found if name == "traces_service_graph_request_server_seconds_bucket"]
    assert bounds == ["0.1", "0.2", "0.4", "0.8", "1.6", "3.2", "6.4", "12.8", "+Inf"]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/openmetrics-text", "application/openmetrics-text"),
        (OPENMETRICS, "application/openmetrics-text"),
        ("application/openmetrics-text;q=0.3, text/plain;q=0.5", "text/plain"),
        ("application/openmetrics-text;q=0", "text/plain"),
        ("application/openmetrics-text;q=much", "text/plain"),
        ("text/html, */*", "text/plain"),
    ],
)  # fmt: skip
async def test_the_format_is_the_one_that_is_liked_best(
    client: httpx.AsyncClient, accept: str, media_type: str
) -> None:
    response = await client.get("/metrics", headers={"accept": accept})
    assert response.headers["content-type"].partition(";")[0] == media_type
    assert response.text.endswith("# EOF\n") == (media_type != "text/plain")


async def test_names_are_read_back_as_they_were_sent(client: httpx.AsyncClient, store: Store) -> None:
    names = ['GET "/a"', "C:\\temp\\n", "two\nlines", "}", 'a="b",', "Zürich ✓", "", " # {"]
    await store.add([span(name, id=str(number), service=name or "none") for number, name in enumerate(names)])
    for accept in (OPENMETRICS, "text/plain"):
        found = await scrape(client, accept)
        assert [dict(one)["span_name"] for name, one in found if name == "traces_spanmetrics_calls_total"] == names


async def test_what_is_written_is_what_the_client_library_writes(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", id=str(ms), duration_ms=ms) for ms in (1, 3, 9_999_999)])
    response = await client.get("/metrics", headers={"accept": OPENMETRICS})
    families = list(openmetrics.text_string_to_metric_families(response.text))

    class Same(Collector):
        def collect(self) -> Iterable[Metric]:
            return families

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Same())
    again = openmetrics_text.generate_latest(registry).decode()
    assert list(openmetrics.text_string_to_metric_families(again)) == families


async def test_what_has_no_series_of_its_own_is_counted_with_others(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (await store.tally(60)).spans = SpanCounters(most_series=50)
    await store.add([span(f"{number}", service=f"s{number % 40}") for number in range(200)])
    found = await scrape(client)
    calls = {one: sample.value for (name, one), sample in found.items() if name == "traces_spanmetrics_calls_total"}
    assert len(calls) <= 50
    assert sum(calls.values()) == 200
    assert labels("other services", "other operations") in calls
    overflow = found["minitrace_metrics_overflow_total", frozenset({("what", "spans")})].value
    assert overflow == sum(value for one, value in calls.items() if ("span_name", "other operations") in one)
    assert overflow > 0


async def test_long_labels_leave_the_text_short_and_nothing_uncounted(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (span_counters, edge_counters):
        monkeypatch.setattr(module, "MOST_LABEL_BYTES", 10_000)
    names = [f"{number} {'é' * 600}" for number in range(100)]
    called = [span(name, "caller", trace=name, service=name, kind=Kind.SERVER) for name in names]
    await store.add([span("caller", trace=name, service="all", kind=Kind.CLIENT) for name in names] + called)
    found = await scrape(client)
    calls, requests = (
        [sample for (name, _), sample in found.items() if name == f"traces_{what}_total"]
        for what in ("spanmetrics_calls", "service_graph_request")
    )
    assert [sum(sample.value for sample in all_) for all_ in (calls, requests)] == [200, 100]
    assert max(len(calls), len(requests)) < 20


async def test_minitrace_tells_how_it_is(client: httpx.AsyncClient, store: Store) -> None:
    good, bad = span("a"), span("b")
    body = messages.ExportTraceServiceRequest.FromString(encode_export([good, bad]))
    body.resource_spans[0].scope_spans[0].spans[1].trace_id = b""
    protobuf = {"content-type": "application/x-protobuf"}
    for _ in range(2):
        await client.post("/v1/traces", content=body.SerializeToString(), headers=protobuf)
    await client.post("/v1/traces", content=b"nonsense", headers=protobuf)
    await client.post("/v1/trace", content=b"", headers=protobuf)
    await store.delete([TRACE])
    found = await scrape(client)

    def value(name: str, **own: str) -> float:
        sample: float = found[f"minitrace_{name}", frozenset(own.items())].value
        return sample

    assert value("spans_accepted_total") == 1
    assert value("duplicates_total") == 1
    assert value("spans_rejected_total", reason="ids") == 2
    assert value("spans_rejected_total", reason="undecodable") == 0
    assert value("requests_refused_total", status="400") == 1
    assert value("requests_refused_total", status="404") == 1
    assert value("spans_removed_total") == 1
    assert value("spans_stored") == 0
    assert value("database_bytes") > 0
    assert value("query_seconds_count") > 0
    assert value("metrics_waiting_rows") == 0
    assert value("build_info", version=minitrace.__version__) == 1


async def test_attributes_are_labels_where_that_is_wanted(tmp_path: Path) -> None:
    config = Config(metrics_dimension=["http.route", "deployment.environment", "retry"])
    pages = {"http.route": "/pages"}
    resource = Resource({"service.name": "shop", "deployment.environment": "test", "http.route": "hidden"})
    async with await open_store(config, tmp_path / "a.db") as store:
        await store.add([
            span("a", attributes=pages, resource=resource),
            span("b", attributes={"http.route": 7, "retry": True}, resource=resource),
            span("c", resource=resource),
            span("d"),
        ])  # fmt: skip
        app = create_app(config, store=store)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:4318") as client:
            found = await scrape(client)
    wanted = "span_name", "http_route", "deployment_environment", "retry"
    assert [
        tuple(dict(one)[name] for name in wanted) for name, one in found if name == "traces_spanmetrics_calls_total"
    ] == [("a", "/pages", "test", ""), ("b", "7", "test", "true"), ("c", "hidden", "test", ""), ("d", "", "", "")]


async def test_a_scrape_while_spans_arrive_takes_none_of_them_twice(client: httpx.AsyncClient, store: Store) -> None:
    seen = []

    async def send() -> None:
        for number in range(30):
            await store.add([span(f"{number}-{one}") for one in range(20)])

    sending = asyncio.create_task(send())
    while not sending.done():
        found = await scrape(client)
        seen.append(sum(one.value for (name, _), one in found.items() if name == "traces_spanmetrics_latency_count"))
    await store.tally(60)
    found = await scrape(client)
    calls = [one.value for (name, _), one in found.items() if name == "traces_spanmetrics_calls_total"]
    assert calls == [1] * 600
    assert seen == sorted(seen)


async def test_who_has_no_token_gets_no_metrics(store: Store) -> None:
    app = create_app(Config(token="t" * 20), store=store)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:4318") as client:
        assert (await client.get("/metrics")).status_code == 401
        response = await client.get("/metrics", headers={"authorization": f"Bearer {'t' * 20}"})
        assert response.status_code == 200


async def test_no_exemplar_leads_to_a_trace_that_was_deleted(client: httpx.AsyncClient, store: Store) -> None:
    def exemplars(found: Samples) -> set[str]:
        return {sample.exemplar.labels["traceID"] for sample in found.values() if sample.exemplar}

    called = [span("GET", kind=Kind.CLIENT), span("serve", parent="GET", kind=Kind.SERVER, service="pay")]
    await store.add(called)
    assert exemplars(await scrape(client)) == {TRACE.hex()}
    await store.delete([TRACE])
    found = await scrape(client)
    assert exemplars(found) == set()
    assert found["traces_spanmetrics_calls_total", labels("shop", "GET", "CLIENT")].value == 1
    await store.add(called)
    assert exemplars(await scrape(client)) == {TRACE.hex()}
    await store.clear()
    assert exemplars(await scrape(client)) == set()


def test_a_server_that_nobody_scrapes_does_not_import_the_library() -> None:
    code = "import sys, minitrace.web.app; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
