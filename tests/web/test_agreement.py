"""Whoever asks gets the same figures over the same spans: `/red`, `/map`, `/metrics`, TraceQL, Jaeger's interfaces.

All of it goes through the app: spans come in by OTLP, late, twice, in parts, and leave; then each page and interface is
asked, and compared with a plain count (`counting.py`). All count what starts in (beginning, end], but for `/metrics`,
which counts whatever has come since it was first asked, and goes on counting what has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any
from unittest import mock
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minitrace import present
from minitrace.config import Config
from minitrace.live import Live
from minitrace.model import MAX_TIME_NS, UNKNOWN_SERVICE, Kind, Link, Span, StatusCode
from minitrace.otlp.encode import encode_export
from minitrace.store import edge_counters, pieces, rolling, segment, upkeep
from minitrace.store.histogram import ERROR
from minitrace.store.retention import Limits
from minitrace.store.store import Store
from minitrace.web import map_pages, prometheus
from minitrace.web.app import create_app
from tests.samples import MS, span, span_id, trace_id
from tests.web.counting import SERVING, Count, Counted, Edge, by
from tests.web.pagetext import HTML, Page, get, plain
from tests.web.sent_spans import END, NAMED, START, WORLDS, S, leaf_of, of_own_ids, parted
from tests.web.test_prometheus import scrape

RANGE = {"from": "2023-11-14T22:10:00Z", "to": "2023-11-14T22:20:00Z"}
RANGE_NS = END - START
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
KINDS = {"": SERVING, "out": (Kind.CLIENT, Kind.PRODUCER), "inner": (Kind.INTERNAL,), "all": tuple(Kind)}


# Asking


class Asker:
    """An app, and what its pages and interfaces tell."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def send(self, spans: Sequence[Span]) -> None:
        """Send spans as an SDK does."""
        sent = await self.client.post(
            "/v1/traces", content=encode_export(spans), headers={"content-type": "application/x-protobuf"}
        )
        assert sent.status_code == 200, sent.text

    async def delete(self, trace: bytes) -> None:
        """Delete a trace as a person does."""
        search = urlencode({"q": f'{{ trace:id = "{trace.hex()}" }}'})
        body = urlencode({"search": search, "word": "delete"})
        answer = await self.client.post("/delete", content=body, headers=HTML, follow_redirects=True)
        assert answer.status_code == 200

    async def json(self, path: str, **parameters: Any) -> Any:
        answer = await self.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def table(self, path: str, label: str, **parameters: str) -> list[list[str]]:
        """The rows of a page's table, as they read; none without it."""
        page = await get(self.client, f"{path}?{urlencode({**RANGE, **parameters})}")
        return rows_of(page, label)


def rows_of(page: Page, label: str) -> list[list[str]]:
    found = []
    for row in page.all("tr"):
        if any(one.attributes.get("aria-label") == label for one in row.parents) and not row.inside("thead"):
            found.append([plain(one.text) for one in page.elements if one.tag in ("th", "td") and row in one.parents])
    return found


def shown(name: str) -> str:
    return plain(present.printable(name)) or "(no name)"


def rate(count: int) -> str:
    return plain(present.rate(count, RANGE_NS))


def errors(one: Count) -> str:
    return f"⨯ {plain(present.share(one.share, 1))}" if one.errors else "0%"


def is_about(text: str, exact_ns: int) -> bool:
    """Whether a duration reads as one that is as near as histograms are, in three digits or whole seconds."""
    low, high = exact_ns * (1 - ERROR), exact_ns * (1 + ERROR)
    return exact_ns == read_duration(text) or low * 0.98 - 1 <= read_duration(text) <= high * 1.006 + 1


def read_duration(text: str) -> float:
    sizes = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9, "d": 86400e9}
    parts = text.split()
    return sum(float(number) * sizes[unit] for number, unit in zip(parts[::2], parts[1::2], strict=True))


# The interfaces, one after the other


async def red_agrees(asker: Asker, counted: Counted, chosen: str) -> None:
    """The page of rates: services, the operations of each, and an operation alone."""
    spans = [one for one in counted.spans if one.kind in KINDS[chosen]]
    services = by(spans, lambda one: one.service)
    agree_on_rows(await asker.table("/red", "Services", kind=chosen), services)
    for service in services:
        own = by((one for one in spans if one.service == service), lambda one: one.name)
        asked = {"kind": chosen, "service": str(service)}
        agree_on_rows(await asker.table("/red", "Operations", **asked), own)
        for name, one in [named for named in own.items() if named[0]][:1]:
            page = await get(asker.client, f"/red?{urlencode({**RANGE, **asked, 'operation': str(name)})}")
            agree_on_rows([[shown(str(name)), *(plain(figure.text) for figure in page.all("dd"))]], {name: one})


def agree_on_rows(rows: list[list[str]], wanted: dict[Any, Count]) -> None:
    assert {row[0]: row[1:3] for row in rows} == {
        shown(name): [rate(one.count), errors(one)] for name, one in wanted.items()
    }
    by_name = {shown(name): one for name, one in wanted.items()}
    for name, _, _, *quantiles in rows:
        for text, share in zip(quantiles, SHARES.values(), strict=False):
            assert is_about(text, by_name[name].quantile(share)), (name, text, share)


async def map_agrees(asker: Asker, counted: Counted, _: str) -> None:
    """The tables of the map."""
    nodes = await asker.table("/map", "Services, databases, queues and hosts", view="table")
    wanted = counted.services()
    found = {row[0]: row[1:] for row in nodes if row[0] in map(shown, NAMED) and row[1] != "–"}
    served = {one.service for one in counted.spans if one.kind in SERVING}
    assert {name: row[:2] for name, row in found.items()} == {
        shown(name): [("" if name in served else "starts ") + rate(one.count), errors(one)]
        for name, one in wanted.items()
    }
    for name, one in wanted.items():
        assert is_about(found[shown(name)][2], one.quantile(0.95))
    rows = await asker.table("/map", "Calls and messages", view="table")
    assert {(row[0], row[1]): row[2:5] for row in rows} == {
        edge_as_shown(edge): [str(one.count), rate(one.count), errors(one)] for edge, one in counted.edges.items()
    }
    edges = {edge_as_shown(edge): one for edge, one in counted.edges.items()}
    for row in rows:
        assert is_about(row[5], edges[row[0], row[1]].quantile(0.95))


def edge_as_shown(edge: Edge) -> tuple[str, str]:
    callee = shown(edge.callee) if isinstance(edge.callee, str) else " ".join(edge.callee)
    return shown(edge.caller), callee + (" messages" if edge.is_message else "")


async def traceql_agrees(asker: Asker, counted: Counted, _: str) -> None:
    """Series of TraceQL's metrics, by all that figures are told apart by. A name that is empty is told as it is."""
    times = {"start": START + 10 * S, "end": END, "step": "10s"}  # the first stamp is the end of the first bucket
    labels = ("resource.service.name", "name", "kind", "status")
    wanted = by(
        counted.spans, lambda one: (one.service, one.name, present.kind(one.kind), present.status(one.status.code))
    )
    for function, seconds in (("count_over_time()", 1), ("rate()", 10)):
        answer = await asker.json("/api/metrics/query_range", q=f"{{ }} | {function} by({', '.join(labels)})", **times)
        found = {}
        for series in answer["series"]:
            named = {one["key"]: one["value"]["stringValue"] for one in series["labels"]}
            count = sum(one["value"] for one in series["samples"]) * seconds
            if count:
                found[(named[labels[0]] or UNKNOWN_SERVICE, *(named[label] for label in labels[1:]))] = round(count, 6)
        assert found == {key: one.count for key, one in wanted.items()}
    answer = await asker.json(
        "/api/metrics/query",
        q="{ } | quantile_over_time(duration, 0.5, 0.95, 0.99) by(resource.service.name)",
        start=START + 1,
        end=END,
    )
    services = by(counted.spans, lambda one: one.service)
    for series in answer["series"]:
        named = {one["key"]: one["value"] for one in series["labels"]}
        own = services[named["resource.service.name"]["stringValue"] or UNKNOWN_SERVICE]
        assert is_by_powers_of_two(series["value"] * S, own, named["p"]["doubleValue"])


def is_by_powers_of_two(value_ns: float, own: Count, share: float) -> bool:
    """Whether a quantile is TraceQL's, as Tempo has it: of what took 2 ns and more, by powers of two.

    It lies anywhere from the power of two that the next shorter durations are counted at, to that of the right one.
    """
    bounds = Count(durations_ns=[1 << (one - 1).bit_length() for one in own.durations_ns if one > 1])
    high = bounds.quantile(share)
    low = max((one for one in bounds.durations_ns if one < high), default=high / 2)
    return low * 0.999 <= value_ns <= high * 1.001


async def jaeger_agrees(asker: Asker, counted: Counted, chosen: str) -> None:
    """Jaeger's Monitor tab, and its dependencies in both versions."""
    asked = {"endTs": END // MS, "lookback": 0, "step": RANGE_NS // MS, "ratePer": RANGE_NS // MS}
    for kind in KINDS[chosen]:
        spans = [one for one in counted.spans if one.kind == kind]
        own = by(spans, lambda one: (one.service, one.name))
        named = {"service": NAMED, "spanKind": kind.name.lower(), "groupByOperation": "true", **asked}
        calls = points(await asker.json("/api/metrics/calls", **named))
        assert {key: round(value * RANGE_NS / S, 6) for key, value in calls.items() if value} == {
            key: one.count for key, one in own.items()
        }
        failed = points(await asker.json("/api/metrics/errors", **named))
        assert failed == {key: one.share for key, one in own.items()}
        slow = points(await asker.json("/api/metrics/latencies", quantile=0.95, **named))
        for key, value in slow.items():
            assert is_by_powers_of_two(value * MS, own[key], 0.95)
    times = {"endTs": END // MS, "lookback": RANGE_NS // MS}
    rows = (await asker.json("/api/dependencies", **times))["data"]
    assert {(row["parent"], row["child"]): row["callCount"] for row in rows} == counted.calls()
    rows = (await asker.json("/api/v3/dependencies", startTime=RANGE["from"], endTime=RANGE["to"]))["dependencies"]
    assert {(row["parent"], row["child"]): int(row["callCount"]) for row in rows} == counted.calls()


def points(family: Any) -> dict[tuple[str, str], float]:
    """The only point of each series, by service and operation."""
    found = {}
    for metric in family["metrics"]:
        named = {label["name"]: label["value"] for label in metric["labels"]}
        for point in metric["metricPoints"]:
            found[named["service_name"], named["operation"]] = point["gaugeValue"]["doubleValue"]
    return found


async def prometheus_agrees(asker: Asker, arrived: list[Span]) -> None:
    """All counters of spans, and the buckets of their durations."""
    wanted = by(arrived, lambda one: (one.service, one.name, Kind(one.kind).name, StatusCode(one.status.code).name))
    counts = {key: one.count for key, one in wanted.items()}
    found: dict[str, dict[Any, float]] = {
        "calls_total": {},
        "latency_bucket": {},
        "latency_sum": {},
        "latency_count": {},
    }
    for (name, labels), sample in (await scrape(asker.client)).items():
        name = name.removeprefix("traces_spanmetrics_")
        if name in found:
            of = dict(labels)
            kind, status = of["span_kind"].removeprefix("SPAN_KIND_"), of["status_code"].removeprefix("STATUS_CODE_")
            key: Any = of["service"], of["span_name"], kind, status
            found[name][(key, float(of["le"])) if "le" in of else key] = sample.value
    assert found["calls_total"] == found["latency_count"] == counts
    assert found["latency_sum"] == {key: pytest.approx(sum(one.durations_ns) / S) for key, one in wanted.items()}
    for (key, bound), count in found["latency_bucket"].items():
        assert count == sum(duration <= bound * S for duration in wanted[key].durations_ns)
    assert {key for key, bound in found["latency_bucket"] if bound == float("inf")} == set(counts)


async def service_graph_agrees(asker: Asker, counted: Counted) -> None:
    """The counters of calls, where nothing has left: those of the map for all time."""
    connections = {"database": "database", "queue": "messaging_system", "external": "virtual_node"}
    wanted = {}
    for edge, one in counted.edges.items():
        if isinstance(edge.callee, str):
            wanted[edge.caller, edge.callee, "messaging_system" if edge.is_message else ""] = one
        else:
            wanted[edge.caller, edge.callee[1], connections[edge.callee[0]]] = one
    found: dict[str, dict[Any, float]] = {"_total": {}, "_failed_total": {}, "_server_seconds_sum": {}}
    for (name, labels), sample in (await scrape(asker.client)).items():
        name = name.removeprefix("traces_service_graph_request")
        if name in found:
            of = dict(labels)
            found[name][of["client"], of["server"], of["connection_type"]] = sample.value
    assert found["_total"] == {key: one.count for key, one in wanted.items()}
    assert found["_failed_total"] == {key: one.errors for key, one in wanted.items()}
    seconds = {key: pytest.approx(sum(one.durations_ns) / S) for key, one in wanted.items()}
    assert found["_server_seconds_sum"] == seconds


SURFACES: list[Callable[[Asker, Counted, str], Any]] = [red_agrees, map_agrees, traceql_agrees, jaeger_agrees]


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_all_that_tell_figures_tell_the_same(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    least = data.draw(st.sampled_from([1, 30]))
    sent = of_own_ids(data.draw(st.lists(data.draw(WORLDS), min_size=least, max_size=40)))
    requests = parted(data.draw(st.permutations(sent)), data.draw(st.integers(1, 12)))
    again = data.draw(st.lists(st.sampled_from(sent), max_size=5))
    what = ["ask", "roll up", *data.draw(st.sampled_from([[], ["delete", "retention"]]))]
    acts = data.draw(st.lists(st.sampled_from(what), min_size=len(requests), max_size=len(requests)))
    chosen = data.draw(st.sampled_from(list(KINDS)))
    limit, values = data.draw(st.sampled_from([30, 1_000])), data.draw(st.sampled_from([5, 1_000]))

    async def run() -> None:
        limits = Limits(max_spans=limit)
        path = tmp_path_factory.mktemp("agreement") / "a.db"
        async with await Store.open(path, query_timeout_s=60, limits=limits) as store:
            app = create_app(Config(), store=store, live=Live())
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4318", timeout=60) as client:
                asker = Asker(client)
                await scrape(client)
                arrived: list[Span] = []
                for number, (request, act) in enumerate(zip([*requests, again], [*acts, "ask"], strict=True)):
                    arrived += await new_among(request, store)
                    await asker.send(request)
                    await do(act, number, asker, store)
                if "retention" in what:
                    await store.keep_within_limits()
                counted = Counted(await all_spans(store), START, END, leaf_of)
                for agrees in SURFACES:
                    await agrees(asker, counted, chosen)
                await prometheus_agrees(asker, arrived)
                if len(await all_spans(store)) == len(arrived):
                    await service_graph_agrees(asker, Counted(arrived, 0, MAX_TIME_NS, leaf_of))

    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(upkeep, "KEEP_EVERY_S", 3600))  # only where `do` says so
        patches.enter_context(mock.patch.object(edge_counters, "ANSWER_S", 0))  # a leaf is one as soon as somebody asks
        patches.enter_context(mock.patch.object(prometheus, "PATIENCE_S", 60))  # busy machines get there, too
        patches.enter_context(mock.patch.object(map_pages, "PATIENCE_S", 60))
        patches.enter_context(mock.patch.object(rolling, "SPANS_PER_PIECE", 4))
        patches.enter_context(mock.patch.object(pieces, "SPANS_PER_PIECE", 4))
        patches.enter_context(mock.patch.object(segment, "MAX_VALUES", values))
        asyncio.run(run())


async def test_a_time_has_its_end_and_not_its_beginning(client: httpx.AsyncClient, store: Store) -> None:
    asker = Asker(client)
    for number, start_ns in enumerate([START, START + 1, END, END + 1]):
        times: dict[str, Any] = {"start_ns": start_ns, "end_ns": start_ns + MS}
        calling = span("call", id=f"{number}", kind=Kind.CLIENT, **times)
        await asker.send([calling, span("serve", f"{number}", service="pay", kind=Kind.SERVER, **times)])
    counted = Counted(await all_spans(store), START, END, leaf_of)
    assert (len(counted.spans), counted.calls()) == (4, {("shop", "pay"): 2})
    for agrees in SURFACES:
        await agrees(asker, counted, "all")


async def test_a_message_with_a_link_to_its_parent_is_one(client: httpx.AsyncClient, store: Store) -> None:
    asker = Asker(client)
    times: dict[str, Any] = {"start_ns": START + 1, "end_ns": START + MS}
    linked = Link(trace_id("1"), span_id("send"))
    await asker.send([
        span("send", trace="1", kind=Kind.PRODUCER, **times),
        span("receive", "send", trace="1", service="mail", kind=Kind.CONSUMER, links=[linked], **times),
    ])  # fmt: skip
    counted = Counted(await all_spans(store), START, END, leaf_of)
    assert counted.calls() == {("shop", "mail"): 1}
    for agrees in SURFACES:
        await agrees(asker, counted, "all")


async def do(act: str, number: int, asker: Asker, store: Store) -> None:
    """What happens between requests. Who asks has figures counted ahead, and kept."""
    if act == "ask":
        await asker.table("/red", "Services")
        await asker.table("/map", "Calls and messages", view="table")
        await asker.json("/api/dependencies", endTs=END // MS)
    elif act == "delete":
        await asker.delete(trace_id(f"{number % 3}"))
    elif act == "retention":
        await store.keep_within_limits()
    else:
        await store.roll_up()


async def new_among(spans: Iterable[Span], store: Store) -> list[Span]:
    """Those of some spans that are not stored, each once."""
    known = {(one.trace_id, one.span_id, one.kind) for one in await all_spans(store)}
    new = {(one.trace_id, one.span_id, one.kind): one for one in spans}
    return [one for key, one in new.items() if key not in known]


async def all_spans(store: Store) -> list[Span]:
    """What is stored, as it came."""
    place, found = 0, list[Span]()
    while (after := await store.spans_after(place))[1]:
        place, some = after
        found += some
    return found
