"""Services and what they call, beside a plain count over the trees of all spans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minitrace.model import MAX_TIME_NS, Kind, Link, Span, Status, StatusCode, Trace
from minitrace.store import crossing_sums, edge_counters, pieces, retention, segment, service_map, tally
from minitrace.store.edge_counters import Edge
from minitrace.store.figures import Figures
from minitrace.store.histogram import ERROR, Histogram
from minitrace.store.red import RedQuestion
from minitrace.store.retention import Leaving, Limits
from minitrace.store.service_map import MapEdge, ServiceMap
from minitrace.store.store import Store
from minitrace.traceql.metrics import Range
from minitrace.traceql.parser import parse
from tests.samples import MS, T0, span, span_id, trace_id

EXAMPLES = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
CALLING = (Kind.CLIENT, Kind.PRODUCER)
FAILED = Status(StatusCode.ERROR)
QUERY = {"db.system.name": "postgresql", "db.namespace": "orders"}


def client(name: str, parent: str = "", **fields: Any) -> Span:
    return span(name, parent, kind=Kind.CLIENT, **fields)


def server(name: str, parent: str = "", **fields: Any) -> Span:
    return span(name, parent, kind=Kind.SERVER, **fields)


def edges(found: ServiceMap) -> dict[tuple[str, str], int]:
    """How many calls there are from one name to another."""
    return {(edge.caller.name, edge.callee.name): edge.figures.count for edge in found.edges}


def only(found: ServiceMap) -> MapEdge:
    (edge,) = found.edges
    return edge


async def test_a_server_below_another_services_client_is_called_and_the_client_is_no_leaf(store: Store) -> None:
    await store.add([
        server("checkout"),
        client("POST", "checkout", attributes={"server.address": "pay.internal"}),
        server("charge", "POST", service="pay", duration_ms=40, status=FAILED),
    ])  # fmt: skip
    found = await store.service_map()
    assert edges(found) == {("shop", "pay"): 1}
    assert only(found).figures.error_share == 1
    assert only(found).figures.p95_ns == pytest.approx(40 * MS, rel=ERROR)
    assert {node.id.name: node.figures.count for node in found.nodes} == {"shop": 1, "pay": 1}


async def test_what_services_serve_is_what_roll_ups_count(store: Store) -> None:
    await store.add([
        server("checkout", duration_ms=90),
        client("POST", "checkout"),
        server("charge", "POST", service="pay", duration_ms=40, status=FAILED),
        server("refund", trace="2", service="pay", duration_ms=3),
        span("mailed", "checkout", service="mail", kind=Kind.CONSUMER),
    ])  # fmt: skip
    kinds = frozenset({Kind.SERVER, Kind.CONSUMER})
    counted = await store.red(RedQuestion(T0 - 10**10, T0 + 10**10, 10**10, kinds=kinds))
    served = {node.id.name: replace(node.figures, worst=None) for node in (await store.service_map()).nodes}
    assert served == {one.subject: one.figures for one in counted.series}
    assert served["pay"].count == 2


@pytest.mark.parametrize(
    ("attributes", "kind", "name"),
    [
        (QUERY, "database", "postgresql orders"),
        ({"db.system": "mysql", "db.name": "users", "net.peer.name": "db1"}, "database", "mysql users"),
        ({"db.system": "redis", "net.peer.name": "cache"}, "database", "redis cache"),
        ({"messaging.system": "kafka", "messaging.destination.name": "mails"}, "queue", "kafka mails"),
        ({"messaging.system": "rabbitmq", "messaging.destination": "mails"}, "queue", "rabbitmq mails"),
        ({"peer.service": "bank", "server.address": "10.0.0.7"}, "external", "bank"),
        ({"server.address": "api.bank.example", "server.port": 443}, "external", "api.bank.example"),
        ({"net.peer.name": "old.example"}, "external", "old.example"),
        ({"http.url": "https://user@old.example:8443/a?b"}, "external", "old.example"),
        ({"rpc.service": "bank.v1.Ledger"}, "external", "bank.v1.Ledger"),
    ],
)
async def test_a_client_that_nobody_answers_is_a_leaf_by_its_attributes(
    store: Store, attributes: dict[str, Any], kind: str, name: str
) -> None:
    await store.add([client("call", attributes=attributes)])
    edge = only(await store.service_map())
    assert (edge.callee.kind, edge.callee.name) == (kind, name)


@pytest.mark.parametrize("attributes", [{}, {"db.namespace": "orders"}, {"http.url": "http://[half"}, {"a": "b"}])
async def test_a_client_that_does_not_say_what_it_calls_is_no_edge(store: Store, attributes: dict[str, Any]) -> None:
    await store.add([client("call", attributes=attributes)])
    assert (await store.service_map()).edges == []


async def test_old_and_new_names_lead_to_one_leaf_that_knows_both(store: Store) -> None:
    old = {"db.system": "postgresql", "db.name": "orders"}
    await store.add([client("1", attributes=QUERY), client("2", attributes=old)])
    edge = only(await store.service_map())
    assert edge.figures.count == 2
    assert edge.conditions == {tuple(QUERY.items()), tuple(old.items())}


async def test_of_a_client_below_a_client_the_inner_one_counts(store: Store) -> None:
    await store.add([client("orm", attributes=QUERY), client("driver", "orm", attributes=QUERY, duration_ms=3)])
    assert only(await store.service_map()).figures.duration_ns == 3 * MS


async def test_a_consumer_that_is_linked_to_a_producer_has_its_message(store: Store) -> None:
    kafka = {"messaging.system": "kafka", "messaging.destination.name": "mails"}
    await store.add([
        span("send", trace="1", kind=Kind.PRODUCER, attributes=kafka),
        span("deliver", trace="2", service="mailer", kind=Kind.CONSUMER, links=[Link(trace_id("1"), span_id("send"))]),
    ])  # fmt: skip
    edge = only(await store.service_map())
    assert (edge.caller.name, edge.callee.name, edge.is_message, edge.linked) == ("shop", "mailer", True, 1)


async def test_the_worst_call_stands_for_an_edge(store: Store) -> None:
    await store.add([
        span("root"),
        server("slow", "root", service="pay", duration_ms=900),
        server("bad", "root", service="pay", duration_ms=5, status=FAILED),
        server("worse", "root", service="pay", duration_ms=6, status=FAILED),
    ])  # fmt: skip
    exemplar = only(await store.service_map()).exemplar
    assert exemplar is not None
    assert exemplar.span_id == span_id("worse")


async def test_a_service_that_only_starts_traces_is_told_by_them(store: Store) -> None:
    await store.add([span("job"), span("step", "job")])
    (node,) = (await store.service_map()).nodes
    assert (node.id.name, node.started, node.figures.count) == ("shop", True, 1)


async def test_leaves_agree_with_traceql(store: Store) -> None:
    await store.add([client(f"{n}", attributes=QUERY, status=FAILED if n < 3 else Status()) for n in range(8)])
    edge = only(await store.service_map())
    query = '{ span.db.system.name = "postgresql" && kind = client } | count_over_time() by (status)'
    answer = await store.metrics(parse(query), Range(T0 - 10**10, T0 + 10**10, 2 * 10**10))
    counts = sorted(sum(sample or 0 for sample in series.samples) for series in answer.series)
    assert counts == [edge.figures.error_count, edge.figures.count - edge.figures.error_count] == [3, 5]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of four spans."""
    monkeypatch.setattr(pieces, "SPANS_PER_PIECE", 4)


async def test_deleted_traces_are_gone(store: Store, small_pieces: None) -> None:
    for n in range(10):
        await store.add([client("a", trace=f"{n}", attributes=QUERY), server("b", trace=f"{n}", service="pay")])
    await store.service_map()
    await store.delete([trace_id("3")])
    assert edges(await store.service_map()) == {("shop", "postgresql orders"): 9}


async def test_what_retention_takes_away_neither_calls_nor_answers(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "MAX_VALUES", 1)  # a segment for each of these
    await store.add([server("charge", "POST", service="pay", trace="1"), span("root", trace="2")])
    await store.add([
        client("POST", trace="1", attributes={"server.address": "pay.internal"}),
        server("mail", "root", service="mail", trace="2"),
    ])  # fmt: skip
    assert edges(await store.service_map()) == {("shop", "pay"): 1, ("shop", "mail"): 1}
    with mock.patch.object(retention, "SPANS_PER_STEP", 1):
        for _ in range(3):
            await store._writing.run(store._retention.step, Leaving(1, 1, 2, 0))
            found = await store.service_map()  # meanwhile, too
    assert edges(found) == {("shop", "pay.internal"): 1}


@pytest.mark.parametrize("is_client_late", [True, False])
async def test_the_late_half_of_a_call_with_one_id_changes_who_called(
    store: Store, small_pieces: None, is_client_late: bool
) -> None:
    halves = [client("call", "root", id="2", start_ms=1), server("serve", "root", id="2", service="bank", start_ms=2)]
    early, late = halves[is_client_late], halves[not is_client_late]
    await store.add([span("root", service="web"), span("audit", "2", service="audit"), early])
    await store.add([span(f"{n}", trace="2") for n in range(8)])
    assert edges(await store.service_map()).keys() == {("web", early.service), (early.service, "audit")}
    await store.dependencies()
    await store.add([late, *(span(f"{n}", trace="3") for n in range(8))])
    wanted = {("web", "shop"): 1, ("shop", "bank"): 1, ("bank", "audit"): 1}
    for _ in range(2):
        assert edges(await store.service_map()) == wanted
        assert {(one.parent, one.child): one.call_count for one in await store.dependencies()} == wanted


async def test_without_patience_the_newest_piece_is_counted_and_the_next_to_ask_gets_further(
    store: Store, small_pieces: None
) -> None:
    await store.add([client(f"{n}", attributes=QUERY) for n in range(8)])
    first = await store.service_map(patience_s=0)
    second = await store.service_map(patience_s=0)
    assert [(one.counted, one.total, one.is_complete) for one in (first, second)] == [(4, 8, False), (8, 8, True)]
    assert [only(one).figures.count for one in (first, second)] == [4, 8]


async def test_more_than_a_map_can_have_is_left_out_for_good(
    store: Store, small_pieces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crossing_sums, "MOST_BYTES", 0)  # room for the first piece, and then for none
    await store.add([client(f"{n}", attributes=QUERY) for n in range(8)])
    for _ in range(2):
        found = await store.service_map()
        assert (found.counted, found.total, found.is_full, only(found).figures.count) == (4, 8, True, 4)


async def test_of_pieces_that_do_not_fit_those_stay_that_were_asked_for_last(
    store: Store, small_pieces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crossing_sums, "MOST_BYTES", 0)
    monkeypatch.setattr(service_map, "MARGIN_NS", 0)
    await store.add([client(f"{n}", start_ms=n, attributes=QUERY) for n in range(8)])
    for first in (0, 4, 0):
        found = await store.service_map(T0 + first * MS, T0 + (first + 3) * MS)
        assert (found.counted, found.is_full, only(found).figures.count) == (8, False, 4)
        assert [piece.first for piece in store._crossings.counted] == [1 + first]


async def test_an_answer_leaves_with_a_piece_that_had_to_make_room(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "MAX_VALUES", 1)  # a segment for each of these
    await store.add([server("charge", "POST", service="pay", trace="1")])
    await store.add([client("POST", trace="1", attributes={"server.address": "pay.internal"})])
    assert edges(await store.service_map()) == {("shop", "pay"): 1}
    kept = store._crossings
    monkeypatch.setattr(crossing_sums, "MOST_BYTES", 0)
    kept.make_room([piece for piece in kept.counted if piece.first == 2])
    monkeypatch.undo()
    for _ in range(3):
        await store._writing.run(store._retention.step, Leaving(1, 1, 1, 0))
    assert edges(await store.service_map()) == {("shop", "pay.internal"): 1}


async def test_services_and_leaves_beyond_a_number_count_as_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossing_sums, "MOST_SERVICES", 2)
    often = [client(f"{n}", attributes={"server.address": f"h{n % 2}"}, service=f"s{n % 2}") for n in range(8)]
    rare = [client(f"r{n}", attributes={"server.address": f"r{n}"}, service=f"r{n}") for n in range(5)]
    await store.add(often + rare)
    assert edges(await store.service_map()) == {("s0", "h0"): 4, ("s1", "h1"): 4, ("", ""): 5}


Counts = Counter[tuple[object, ...]]


def counted(spans: list[Span], start_ns: int = 0, end_ns: int = MAX_TIME_NS) -> tuple[Counts, dict[Any, list[int]]]:
    """What the trees of these spans have: counts by edge, or service, and whether it failed; and durations."""
    counts: Counts = Counter()
    durations: dict[Any, list[int]] = {}
    for what, one in _crossings(spans):
        if start_ns <= one.start_ns <= end_ns:
            counts[(*what, one.is_error)] += 1
            durations.setdefault(what, []).append(one.duration_ns)
    return counts, {what: sorted(some) for what, some in durations.items()}


def _crossings(spans: list[Span]) -> Iterator[tuple[tuple[str, ...], Span]]:
    linked = {(link.trace_id, link.span_id) for one in spans if one.kind is Kind.CONSUMER for link in one.links}
    own_ids = {(one.trace_id, one.span_id): one for one in spans}
    for one in spans:
        for link in one.links if one.kind is Kind.CONSUMER else ():
            end = own_ids.get((link.trace_id, link.span_id))
            is_parent = (link.trace_id, link.span_id) == (one.trace_id, one.parent_id)
            if end and end.service != one.service and not is_parent:
                yield (end.service, one.service, "message"), one
    for trace in {one.trace_id for one in spans}:
        for node in Trace(trace, [one for one in spans if one.trace_id == trace]).rows():
            mine = node.span
            if mine.kind in (Kind.SERVER, Kind.CONSUMER):
                yield (mine.service,), mine
            is_answered = (trace, mine.span_id) in linked
            for child in node.children:
                if child.span.service != mine.service:
                    way = "message" if child.span.kind is Kind.CONSUMER else "call"
                    yield (mine.service, child.span.service, way), child.span
                is_answered |= child.span.service != mine.service or child.span.kind not in (0, Kind.INTERNAL)
            if mine.kind in CALLING and not is_answered:
                yield (mine.service, str(mine.attributes["server.address"]), "call"), mine


def told(found: ServiceMap) -> tuple[Counts, dict[Any, Histogram]]:
    """The same of a map."""
    counts: Counts = Counter()
    histograms = {}
    for edge in found.edges:
        what: tuple[str, ...] = (edge.caller.name, edge.callee.name, "message" if edge.is_message else "call")
        counts[(*what, True)], counts[(*what, False)] = _split(edge.figures)
        histograms[what] = edge.figures.histogram
    for node in found.nodes:
        if node.id.kind == "service" and not node.started and node.figures.count:
            counts[(node.id.name, True)], counts[(node.id.name, False)] = _split(node.figures)
            histograms[(node.id.name,)] = node.figures.histogram
    return +counts, histograms


def _split(figures: Figures) -> tuple[int, int]:
    return figures.error_count, figures.count - figures.error_count


def _built(trace: str, name: int, up: int, service: str, start: int, kind: Kind, link: int, failed: bool) -> Span:
    """A span whose parent has a smaller name: there are no cycles. Only names above 5 have links, to smaller ones."""
    parent = str(name - up) if 0 < up <= name else ""
    links = [Link(trace_id("1"), span_id(str(link)))] if link >= 0 and kind is Kind.CONSUMER else []
    return span(
        str(name), parent, trace=trace, service=service, start_ms=start, kind=kind, links=links,
        duration_ms=(start * 7 + name) % 40, status=FAILED if failed else Status(),
        attributes={"server.address": f"host{name % 2}"},
    )  # fmt: skip


spans_ = st.builds(
    _built,
    st.sampled_from("12"),
    st.integers(0, 9),
    st.integers(0, 3),
    st.sampled_from(["shop", "pay", "mail"]),
    st.integers(0, 50),
    st.sampled_from([Kind.CLIENT, Kind.SERVER, Kind.INTERNAL, Kind.PRODUCER, Kind.CONSUMER]),
    st.integers(-5, 9),
    st.booleans(),
)


def _added(batch: list[Span], before: list[Span]) -> list[Span]:
    """Those of a batch that have an id of their own."""
    taken = {(one.trace_id, one.span_id) for one in before}
    added: dict[tuple[bytes, bytes], Span] = {}
    for one in batch:
        if (one.trace_id, one.span_id) not in taken:
            added.setdefault((one.trace_id, one.span_id), one)
    return list(added.values())


@EXAMPLES
@given(
    batches=st.lists(st.lists(spans_, max_size=9), max_size=6),
    time=st.tuples(st.integers(-5, 55), st.integers(-5, 55)).map(sorted),
    asked=st.lists(st.booleans(), min_size=6, max_size=6),
)
async def test_every_order_of_arrival_gives_what_counting_gives(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Span]], time: list[int], asked: list[bool]
) -> None:
    start_ns, end_ns = (T0 + ms * MS for ms in time)
    all_: list[Span] = []
    path = tmp_path_factory.mktemp("map") / "test.db"
    with mock.patch.object(pieces, "SPANS_PER_PIECE", 4):
        async with await Store.open(path, query_timeout_s=60, limits=Limits(max_spans=100_000)) as store:
            for batch, is_asked in zip(batches, asked, strict=False):
                new = _added(batch, all_)
                await store.add(new)
                all_ += new
                if is_asked:
                    assert told(await store.service_map(patience_s=0))  # counts ahead, in any order
            for first, last in ((0, MAX_TIME_NS), (start_ns, end_ns)):
                counts, histograms = told(await store.service_map(first, last))
                wanted, durations = counted(all_, first, last)
                assert counts == wanted
                assert histograms == {what: Histogram.of(some) for what, some in durations.items()}


@EXAMPLES
@given(batches=st.lists(st.lists(spans_, max_size=9), max_size=4))
async def test_calls_are_as_many_as_dependencies(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Span]]
) -> None:
    path = tmp_path_factory.mktemp("map") / "test.db"
    all_: list[Span] = []
    with mock.patch.object(pieces, "SPANS_PER_PIECE", 4):
        async with await Store.open(path, query_timeout_s=60) as store:
            for batch in batches:
                new = _added(batch, all_)
                all_ += new
                await store.add(new)
                calls: Counter[tuple[str, str]] = Counter()
                for edge in (await store.service_map()).edges:
                    if edge.callee.kind == "service":
                        calls[edge.caller.name, edge.callee.name] += edge.figures.count - edge.linked
                assert +calls == {(one.parent, one.child): one.call_count for one in await store.dependencies()}


@EXAMPLES
@given(
    batches=st.lists(st.lists(spans_, max_size=9), max_size=6), asked=st.lists(st.booleans(), min_size=6, max_size=6)
)
async def test_counters_for_prometheus_agree_with_the_map_once_they_are_settled(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Span]], asked: list[bool]
) -> None:
    path = tmp_path_factory.mktemp("map") / "test.db"
    all_: list[Span] = []
    with mock.patch.object(tally, "SPANS_PER_PIECE", 3), mock.patch.object(edge_counters, "ANSWER_S", 3600):
        async with await Store.open(path, query_timeout_s=60) as store:
            for batch, is_asked in zip(batches, asked, strict=False):
                new = _added(batch, all_)
                await store.add(new)
                all_ += new
                if is_asked:
                    await store.tally(60)
            await store.tally(60)
            with mock.patch.object(edge_counters, "ANSWER_S", 0):
                counters = (await store.tally(60)).edges.edges
            wanted: Counter[tuple[str, ...]] = Counter()
            failed: Counter[tuple[str, ...]] = Counter()
            for edge in (await store.service_map()).edges:
                way = Edge(edge.caller.name, edge.callee.name, CONNECTIONS[edge.callee.kind, edge.is_message])
                wanted[way] += edge.figures.count
                failed[way] += edge.figures.error_count
            assert {edge: one.server.count for edge, one in counters.items()} == wanted
            assert {edge: one.failed for edge, one in counters.items()} == failed


CONNECTIONS = {
    ("service", False): "",
    ("service", True): "messaging_system",
    ("database", False): "database",
    ("queue", False): "messaging_system",
    ("external", False): "virtual_node",
}
