"""Searches in every order, page by page."""

from __future__ import annotations

import asyncio
import base64
import json
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minitrace.errors import DecodeError
from minitrace.model import Span
from minitrace.store import matching, pieces, segment
from minitrace.store.orders import Order
from minitrace.store.store import Store
from tests.samples import MS, T0, span, trace_id
from tests.store import finding, queries
from tests.store.asking import wanted


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("query", ["{ }", '{ name != "t3" }', "{ } | count() > 0"])
async def test_pages_list_every_match_once_and_in_order(store: Store, order: Order, query: str) -> None:
    await store.add([
        span(f"t{n % 5}", trace=f"{n}", start_ms=n // 2, duration_ms=n % 7, service="ab"[n % 2]) for n in range(30)
    ])  # fmt: skip
    await store.add([span("child", "missing", id="orphan", trace="orphan", start_ms=7)])
    seen = await finding.pages(store, wanted(query, limit=7, order=order))
    assert len({one.trace_id for one in seen}) == len(seen) == (25 if "t3" in query else 31)
    assert finding.is_sorted(seen, order)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    spans=queries.spans(),
    query=queries.PIPELINES | queries.FILTERS | queries.PAIRS,
    order=st.sampled_from(Order),
    start_ms=st.none() | st.integers(0, 15),
    limit=st.integers(1, 3),
    per_segment=st.integers(4, 60),
)
def test_whatever_is_asked_all_pages_together_are_what_evaluating_finds(
    tmp_path_factory: pytest.TempPathFactory,
    spans: list[Span],
    query: str,
    order: Order,
    start_ms: int | None,
    limit: int,
    per_segment: int,
) -> None:
    search = wanted(query, limit=limit, order=order, start_ns=None if start_ms is None else T0 + start_ms * MS)

    async def compare() -> None:
        async with await Store.open(tmp_path_factory.mktemp("s") / "a.db", query_timeout_s=60) as store:
            for item in spans:
                await store.add([item])
            expected = finding.Found(search, spans, await finding.summaries(store))
            seen = await finding.pages(store, search)
        assert sorted(one.trace_id for one in seen) == sorted(expected.rows)
        assert finding.is_sorted(seen, order)

    with (
        mock.patch.object(pieces, "SPANS_PER_PIECE", 3),
        mock.patch.object(segment, "MAX_VALUES", per_segment),
        mock.patch.object(matching, "EVALUATED_S", 60),
    ):
        asyncio.run(compare())


async def test_the_spans_that_match_come_along_in_every_order(store: Store) -> None:
    await store.add([
        span(name, parent, id=f"{n}{name}", trace=f"{n}", duration_ms=n)
        for n in range(3)
        for name, parent in (("root", ""), ("db", f"{n}root"))
    ])  # fmt: skip
    for query in ('{ name = "db" }', '{ name = "root" } > { name = "db" }'):
        found = await store.search(wanted(query, order=Order.LONGEST))
        assert [(match.spans[0].name, match.matched) for match in found.matches] == [("db", 1)] * 3
        assert [match.summary.duration_ns for match in found.matches] == [2 * MS, MS, 0]


async def test_a_page_goes_on_where_the_last_one_ended_although_traces_came(store: Store) -> None:
    await store.add([span(f"t{n}", trace=f"{n}", duration_ms=10 - n) for n in range(6)])
    first = await store.search(wanted(limit=3, order=Order.LONGEST))
    await store.add([span("longest", trace="x", duration_ms=99), span("shortest", trace="y", duration_ms=1)])
    rest = await store.search(wanted(limit=9, order=Order.LONGEST, before=first.next))
    assert [match.summary.root_name for match in rest.matches] == ["t3", "t4", "t5", "shortest"]


@pytest.mark.parametrize(
    "values",
    [
        7,
        [],
        ["-duration"],
        ["-spans", 1, 2, 3],
        ["-duration", 1, 2, "3"],
        ["-duration", 1, 2, 2**63],
        ["name", 0, "", "\ud800", 1, 2],
    ],
)
async def test_a_cursor_of_another_order_or_of_nobody_is_refused(store: Store, values: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
    order = Order.NAME if "name" in str(values) else Order.LONGEST
    with pytest.raises(DecodeError, match="is not a place to continue from"):
        await store.search(wanted(order=order, before=cursor))


@pytest.mark.parametrize("cursor", ["x", "é", "17-3", "====", "AAAA"])
async def test_a_cursor_that_is_none_is_refused_in_every_order(store: Store, cursor: str) -> None:
    with pytest.raises(DecodeError, match="is not a place to continue from"):
        await store.search(wanted(order=Order.NAME, before=cursor))


@pytest.mark.parametrize("order", [Order.NEWEST, Order.OLDEST])
@pytest.mark.parametrize("query", ["{ }", "{ } | count() > 0"])
async def test_traces_are_found_by_when_their_first_span_was_received(store: Store, order: Order, query: str) -> None:
    received = []
    for n in range(3):
        await store.add([span(f"t{n}", trace=f"{n}", start_ms=n)])
        async with store._readers.reader() as reader:
            received.append((await reader.rows("SELECT max(received_ns) FROM traces"))[0][0])

    async def names(first: int, last: int) -> set[str | None]:
        found = await store.search(wanted(query, order=order, received=(first, last)))
        assert (await store.overview(wanted(query, received=(first, last)))).trace_count == len(found.matches)
        return {match.summary.root_name for match in found.matches}

    assert await names(received[0], received[2]) == {"t0", "t1"}
    assert await names(received[2], received[2] + 1) == {"t2"}


async def test_an_order_of_what_was_not_all_looked_at_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MOST_EVALUATED", 2)
    monkeypatch.setattr(matching, "EVALUATED_AT_ONCE", 1)
    await store.add([span("a", trace=f"{n}", start_ms=n, duration_ms=n) for n in range(5)])
    found = await store.search(wanted("{ } | count() > 0", order=Order.SHORTEST))
    assert [match.summary.trace_id for match in found.matches] == [trace_id("3"), trace_id("4")]
    assert (found.complete, found.reason) == (False, "counted are the newest 2 traces that match")
    assert found.looked_back_to_ns == T0 + 3 * MS
