"""Calls between services, beside a plain count over all spans."""

from __future__ import annotations

from collections import Counter
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minitrace.model import MAX_TIME_NS, Kind, Span, Trace
from minitrace.store import dependencies, pieces, retention, segment
from minitrace.store.dependencies import Dependency
from minitrace.store.retention import Leaving, Limits
from minitrace.store.store import Store
from tests.samples import MS, T0, span, trace_id

EXAMPLES = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)


def counted(spans: list[Span], start_ns: int = 0, end_ns: int = MAX_TIME_NS) -> list[Dependency]:
    """The calls between services as the trees of these spans have them."""
    calls: Counter[tuple[str, str]] = Counter()
    for trace in {one.trace_id for one in spans}:
        for node in Trace(trace, [one for one in spans if one.trace_id == trace]).rows():
            for child in node.children:
                if start_ns <= child.span.start_ns <= end_ns:
                    calls[node.span.service, child.span.service] += 1
    return [Dependency(*pair, count) for pair, count in sorted(calls.items()) if pair[0] != pair[1]]


async def test_a_span_below_another_services_span_is_a_call(store: Store) -> None:
    await store.add([
        span("checkout", service="shop"),
        span("charge", "checkout", service="pay"),
        span("refund", "checkout", service="pay"),
        span("db.query", "charge", service="pay"),
        span("orphan", "missing", service="pay"),
        span("checkout", trace="2", service="shop"),
        span("mail", "checkout", trace="2", service="mail"),
    ])  # fmt: skip
    assert await store.dependencies() == [Dependency("shop", "mail", 1), Dependency("shop", "pay", 2)]


async def test_only_spans_that_start_in_the_time_are_calls(store: Store) -> None:
    await store.add([span("a", service="shop"), *(span(f"{n}", "a", service="pay", start_ms=n) for n in range(9))])
    assert await store.dependencies(T0 + 3 * MS, T0 + 5 * MS) == [Dependency("shop", "pay", 3)]


async def test_of_two_spans_with_one_id_the_earlier_is_the_caller(store: Store) -> None:
    await store.add([
        span("server", id="a", service="late", start_ms=1),
        span("client", id="a", service="early"),
        span("b", "a", service="pay", start_ms=2),
    ])  # fmt: skip
    assert await store.dependencies() == [Dependency("early", "pay", 1)]


@pytest.mark.parametrize("parent", ["root", ""])
async def test_a_server_that_shares_its_clients_id_is_called_by_that(store: Store, parent: str) -> None:
    await store.add([
        span("root", service="web"),
        span("client", parent, id="2", service="shop", start_ms=1, kind=Kind.CLIENT),
        span("server", parent, id="2", service="bank", start_ms=2, kind=Kind.SERVER),
        span("select", "2", service="bank", start_ms=3),
    ])  # fmt: skip
    from_web = [Dependency("web", "shop", 1)] if parent else []
    assert await store.dependencies() == [Dependency("shop", "bank", 1), *from_web]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of four spans."""
    monkeypatch.setattr(pieces, "SPANS_PER_PIECE", 4)


async def test_full_pieces_are_counted_once(store: Store, small_pieces: None) -> None:
    for n in range(30):
        await store.add([span("a", trace=f"{n}"), span("b", "a", trace=f"{n}", service="pay")])
    before = await store.dependencies()
    with mock.patch.object(dependencies, "_counted", side_effect=dependencies._counted) as count:
        assert await store.dependencies() == before == [Dependency("shop", "pay", 30)]
    assert count.call_count <= 1


async def test_a_parent_that_comes_much_later_is_noticed(store: Store, small_pieces: None) -> None:
    await store.add([span(f"{n}", "late", service="pay") for n in range(20)])
    assert await store.dependencies() == []
    await store.add([span("late")])
    assert await store.dependencies() == [Dependency("shop", "pay", 20)]


async def test_calls_of_deleted_traces_are_gone(store: Store, small_pieces: None) -> None:
    for n in range(10):
        await store.add([span("a", trace=f"{n}"), span("b", "a", trace=f"{n}", service="pay")])
    await store.dependencies()
    await store.delete([trace_id("3")])
    assert await store.dependencies() == [Dependency("shop", "pay", 9)]


async def test_calls_by_what_retention_takes_away_are_gone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "MAX_VALUES", 1)  # a segment for each of these
    await store.add([span("root"), span("job", trace="2")])
    await store.add([span("charge", "root", service="pay"), span("mail", "charge", service="mail")])
    await store.add([span("refund", "root", service="pay")])
    assert await store.dependencies() == [Dependency("pay", "mail", 1), Dependency("shop", "pay", 2)]
    with mock.patch.object(retention, "SPANS_PER_STEP", 1):
        for _ in range(3):
            await store._writing.run(store._retention.step, Leaving(1, 1, 2, 0))
            found = await store.dependencies()  # meanwhile, too
    assert found == [Dependency("pay", "mail", 1)]


def _built(trace: str, name: int, up: int, service: str, start: int, kind: Kind) -> Span:
    """A span whose parent has a smaller name: there are no cycles, of which a tree leaves a call out."""
    parent = str(name - up) if 0 < up <= name else ""
    return span(str(name), parent, trace=trace, service=service, start_ms=start, kind=kind)


spans = st.builds(
    _built,
    st.sampled_from("12"),
    st.integers(0, 5),
    st.integers(0, 3),
    st.sampled_from(["shop", "pay", "mail"]),
    st.integers(0, 50),
    st.sampled_from([Kind.CLIENT, Kind.SERVER, Kind.INTERNAL]),
)


def _added(batch: list[Span], before: list[Span]) -> list[Span]:
    """Those of a batch that leave nothing open: of three spans with one id it is, and of two with one start."""
    added: list[Span] = []
    for one in batch:
        ids = [(other.trace_id, other.span_id) for other in [*added, *before]]
        same = [other for other in added if (other.trace_id, other.span_id) == (one.trace_id, one.span_id)]
        if ids.count((one.trace_id, one.span_id)) == len(same) < 2 and all(o.start_ns != one.start_ns for o in same):
            added.append(one)
    return added


@EXAMPLES
@given(
    batches=st.lists(st.lists(spans, max_size=9), max_size=5),
    time=st.tuples(st.integers(-5, 55), st.integers(-5, 55)).map(sorted),
)
async def test_every_order_of_arrival_gives_what_counting_gives(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Span]], time: list[int]
) -> None:
    start_ns, end_ns = (T0 + ms * MS for ms in time)
    all_: list[Span] = []
    path = tmp_path_factory.mktemp("calls") / "test.db"
    with mock.patch.object(pieces, "SPANS_PER_PIECE", 4):
        async with await Store.open(path, query_timeout_s=60, limits=Limits(max_spans=100_000)) as store:
            for batch in batches:
                new = _added(batch, all_)
                await store.add(new)
                all_ += new
                assert await store.dependencies() == counted(all_)
            assert await store.dependencies(start_ns, end_ns) == counted(all_, start_ns, end_ns)
