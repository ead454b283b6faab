"""Overviews of searches, beside a plain recomputation over all spans."""

from __future__ import annotations

import asyncio
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minitrace.model import Span, Status, StatusCode
from minitrace.store import facets, matching, overview, pieces, resolve, segment
from minitrace.store.overview import Overview
from minitrace.store.retention import Limits
from minitrace.store.store import Store
from minitrace.traceql.ast import Attribute
from tests.samples import MS, T0, span, trace_id
from tests.store import finding, queries, sweep
from tests.store.asking import wanted

EXAMPLES = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)


def values(found: Overview, number: int) -> list[tuple[object, int]]:
    """The values of a facet with their counts."""
    return [(one.value, one.count) for one in found.facets[number].values]


async def test_an_overview_counts_traces_and_the_spans_in_them_that_match(store: Store) -> None:
    await store.add([
        span("old", trace="1", start_ms=0, duration_ms=500, service="shop"),
        span("charge", "old", trace="1", start_ms=1, duration_ms=300, service="pay", attributes={"card": "visa"}),
        span("new", trace="2", start_ms=2000, duration_ms=90, service="pay"),
    ])  # fmt: skip
    found = await store.overview(wanted('{ resource.service.name = "pay" }'), [Attribute("span", "card")])
    assert (found.trace_count, found.complete, found.start_ns, found.end_ns) == (2, True, T0, T0 + 2000 * MS)
    assert (found.shortest_ns, found.longest_ns) == (90 * MS, 500 * MS)
    assert [point.trace_id for point in found.points] == [trace_id("1"), trace_id("2")]
    assert (values(found, 0), values(found, 1)) == ([("pay", 2)], [("charge", 1), ("new", 1)])
    assert values(found, 4) == [("visa", 1)]


async def test_buckets_touch_each_other_and_cells_lie_in_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "MOST_POINTS", 10)
    failed = Status(StatusCode.ERROR)
    statuses = [failed if n % 3 == 0 else Status() for n in range(40)]
    await store.add([span("s", trace=f"{n}", start_ms=n, duration_ms=2**n, status=statuses[n]) for n in range(40)])
    found = await store.overview(wanted())
    assert [bucket.end_ns for bucket in found.buckets[:-1]] == [bucket.start_ns for bucket in found.buckets[1:]]
    assert {bucket.end_ns - bucket.start_ns for bucket in found.buckets} == {39 * MS // 60 + 1}
    assert [bucket.trace_count for bucket in found.buckets if bucket.trace_count] == [1] * 40
    assert (sum(cell.trace_count for cell in found.cells), sum(cell.error_count for cell in found.cells)) == (40, 14)
    rows = {(cell.shortest_ns, cell.longest_ns) for cell in found.cells}
    assert len(rows) <= overview.HEAT_ROWS == 20
    for n in range(40):
        own = [cell for cell in found.cells if cell.shortest_ns <= 2**n * MS < cell.longest_ns]
        assert n * MS * 60 // (39 * MS + 60) in {cell.column for cell in own}
    assert found.points == []


async def test_an_overview_of_nothing_is_empty(store: Store) -> None:
    found = await store.overview(wanted())
    assert (found.trace_count, found.buckets, found.points, found.complete) == (0, [], [], True)
    assert [facet.values for facet in found.facets] == [[], [], [], []]


async def test_a_facet_lists_the_commonest_values_and_says_how_many_more_there_are(store: Store) -> None:
    await store.add([span(f"n{min(n, 59)}", id=f"{n}") for n in range(70)])
    found = (await store.overview(wanted())).facets[1]
    assert ((found.values[0].value, found.values[0].count), len(found.values), found.more) == (("n59", 11), 50, 10)


async def test_of_traces_that_must_be_evaluated_the_newest_are_counted_and_it_is_said(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "MOST_EVALUATED", 5)
    monkeypatch.setattr(matching, "EVALUATED_AT_ONCE", 1)
    await store.add([span("s", trace=f"{n}", start_ms=n) for n in range(20)])
    found = await store.overview(wanted("{ } | count() > 0"))
    assert (found.trace_count, found.complete, found.reason) == (
        5, False, "counted are the newest 5 traces that match",
    )  # fmt: skip
    assert (found.start_ns, found.facets[0].complete) == (T0 + 15 * MS, False)


async def test_past_the_deadline_an_overview_says_so_and_the_next_one_goes_on(store: Store) -> None:
    await store.add([span("s", trace=f"{n}", start_ms=n) for n in range(20_000)])
    store._readers._timeout_s = 0.001
    assert not (await store.overview(wanted("{ kind = unspecified && duration > 1us }"))).complete
    store._readers._timeout_s = 30
    await store.add([span("new", trace="new", start_ms=20_000)])
    found = await store.overview(wanted("{ kind = unspecified && duration > 1us }"))
    assert (found.trace_count, found.complete) == (20_001, True)


async def test_facets_that_take_too_long_are_incomplete_and_each_time_there_is_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "SPANS_PER_PIECE", 10)
    monkeypatch.setattr(facets, "FACETS_S", -1)
    await store.add([span("s", id=f"{n}") for n in range(95)])
    cut = await store.overview(wanted())
    assert (cut.complete, cut.trace_count, cut.facets[0].complete) == (True, 1, False)
    monkeypatch.setattr(facets, "FACETS_S", 60)
    whole = await store.overview(wanted())
    assert (whole.facets[0].complete, values(whole, 1)) == (True, [("s", 95)])


async def test_facets_that_begin_anew_each_time_are_remembered_as_far_as_they_came(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "SPANS_PER_PIECE", 10)
    monkeypatch.setattr(facets, "FACETS_S", -1)
    await store.add([span("s", id=f"{n}") for n in range(95)])
    cut = await store.overview(wanted("{ traceDuration > 0ms }"))
    assert (cut.complete, cut.trace_count, cut.facets[0].complete) == (True, 1, False)
    monkeypatch.setattr(facets, "FACETS_S", 60)
    assert await store.overview(wanted("{ traceDuration > 0ms }")) is cut
    await store.add([span("s", id="last")])
    assert (await store.overview(wanted("{ traceDuration > 0ms }"))).facets[0].complete


async def test_full_pieces_are_counted_before_anybody_asks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "SPANS_PER_PIECE", 10)
    await store.add([span("s", id=f"{n}") for n in range(95)])
    await store._count_ahead()
    monkeypatch.setattr(facets, "FACETS_S", -1)
    assert values(await store.overview(wanted()), 1) == [("s", 90)]


async def test_an_overview_knows_what_was_stored_since_the_last_one(store: Store) -> None:
    for n in range(3):
        await store.add([span("s", trace=f"{n}", start_ms=n)])
        assert (await store.overview(wanted())).trace_count == n + 1


async def test_spans_that_retention_took_away_are_counted_no_more(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("r") / "a.db"
    async with await Store.open(path, limits=Limits(max_spans=320)) as store:
        for n in range(60):
            await store.add([span(f"n{n % 2}", id=f"{n}-{m}", trace=f"{n}", start_ms=n) for m in range(10)])
            await store.overview(wanted("{ name = `n0` }"))
        await store.keep_within_limits()
        found = await store.overview(wanted("{ name = `n0` }"))
        listed = await store.search(wanted("{ name = `n0` }", limit=100))
    assert found.trace_count == len(listed.matches) < 30
    assert values(found, 1) == [("n0", sum(match.matched for match in listed.matches))]


@pytest.mark.parametrize("condition", ['!(resource.service.name = "a")', 'resource.service.name != "a"'])
async def test_what_the_index_cannot_say_of_its_spans_is_asked_of_them(
    store: Store, monkeypatch: pytest.MonkeyPatch, condition: str
) -> None:
    monkeypatch.setattr(resolve, "MOST_TERMS", 1)
    await store.add([span("s", trace=service, service=service, attributes={"k": 7}) for service in "abc"])
    found = await store.overview(wanted(f"{{ span.k = 7 && {condition} }}"))
    assert (found.trace_count, values(found, 0)) == (2, [("b", 1), ("c", 1)])


async def test_a_segment_counts_whose_newest_trace_is_the_oldest_that_matches(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "MAX_VALUES", 1)
    monkeypatch.setattr(facets, "FEW_TRACES", 0)
    for n, name in enumerate("ab"):
        await store.add([span(name, trace=name, start_ms=n, duration_ms=5)])
    found = await store.overview(wanted("{ traceDuration > 1ms }"))
    assert values(found, 1) == [("a", 1), ("b", 1)]


@pytest.mark.parametrize("few", [0, 1_000], ids=["by piece", "by trace"])
@pytest.mark.parametrize("most", [2, 64])
async def test_every_kind_of_query_has_the_overview_that_counting_gives(
    store: Store, monkeypatch: pytest.MonkeyPatch, few: int, most: int
) -> None:
    """What is kept of full pieces must not depend on spans that come later."""
    monkeypatch.setattr(segment, "MAX_VALUES", 120)
    monkeypatch.setattr(pieces, "SPANS_PER_PIECE", 7)
    monkeypatch.setattr(facets, "FEW_TRACES", few)
    monkeypatch.setattr("minitrace.store.grouping.MOST_VALUES", most)
    monkeypatch.setattr(matching, "EVALUATED_S", 60)
    monkeypatch.setattr(facets, "FACETS_S", 60)
    spans = sweep.many_spans()
    wrong = []
    for first, last in ((0, 40), (40, 60)):
        for item in spans[first:last]:
            await store.add([item])
        known = await finding.summaries(store)
        for number, query in enumerate(sweep.QUERIES[few and 5 :: 11]):
            start_ns = T0 + number % 50 * MS if number % 3 == 0 else None
            search = wanted(query, start_ns=start_ns, end_ns=T0 + 40 * MS if number % 4 == 0 else None)
            found = await store.overview(search, finding.FIELDS)
            expected = finding.Found(search, spans[:last], known)
            if finding.figures(found) != expected.figures() or any(
                facet.complete and finding.counts(facet) != expected.counts(facet.field) for facet in found.facets
            ):
                wrong.append((query, last))
    assert not wrong


@EXAMPLES
@given(
    spans=queries.spans(),
    asked=st.lists(queries.PIPELINES | queries.FILTERS | queries.PAIRS, min_size=1, max_size=6),
    start_ms=st.none() | st.integers(0, 15),
    end_ms=st.none() | st.integers(0, 15),
    per_piece=st.integers(1, 4),
    per_segment=st.integers(4, 60),
)
def test_an_overview_is_what_counting_everything_gives(
    tmp_path_factory: pytest.TempPathFactory,
    spans: list[Span],
    asked: list[str],
    start_ms: int | None,
    end_ms: int | None,
    per_piece: int,
    per_segment: int,
) -> None:
    start_ns, end_ns = (None if ms is None else T0 + ms * MS for ms in (start_ms, end_ms))
    searches = [wanted(query, start_ns=start_ns, end_ns=end_ns) for query in asked]

    async def compare() -> None:
        async with await Store.open(tmp_path_factory.mktemp("s") / "a.db", query_timeout_s=60) as store:
            for number, item in enumerate(spans):
                await store.add([item])
                if number == len(spans) // 2:
                    for search in searches:
                        await store.overview(search, finding.FIELDS)
            known = await finding.summaries(store)
            for search in searches:
                found = await store.overview(search, finding.FIELDS)
                expected = finding.Found(search, spans, known)
                assert finding.figures(found) == expected.figures()
                assert sum(bucket.trace_count for bucket in found.buckets) == len(found.points) == found.trace_count
                for facet in found.facets:
                    assert finding.counts(facet) == expected.counts(facet.field) or not facet.complete
                assert all(facet.complete for facet in found.facets[:4])

    with (
        mock.patch.object(pieces, "SPANS_PER_PIECE", per_piece),
        mock.patch.object(segment, "MAX_VALUES", per_segment),
        mock.patch.object(matching, "EVALUATED_S", 60),
        mock.patch.object(facets, "FACETS_S", 60),
        mock.patch.object(facets, "FEW_TRACES", per_piece % 2),
    ):
        asyncio.run(compare())


async def test_what_was_evaluated_is_evaluated_again_for_another_field(store: Store) -> None:
    await store.add([span("s", trace=f"{n}", attributes={"k": n}) for n in range(3)])
    query = wanted("{ } | count() > 0")
    await store.overview(query)
    (facet,) = (await store.overview(query, (Attribute(None, "k"),))).facets[4:]
    assert [value.value for value in facet.values] == [0, 1, 2]


async def test_facets_are_of_what_was_received_in_the_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "SPANS_PER_PIECE", 2)
    monkeypatch.setattr(facets, "FEW_TRACES", 0)
    for batch in range(2):
        await store.add([span("a", trace=f"{batch} {n}") for n in range(6)])
    async with store._readers.reader() as reader:
        last = (await reader.rows("SELECT max(received_ns) FROM traces"))[0][0]
    for until, count in ((last + 1, 12), (last, 6)):
        found = await store.overview(wanted(received=(0, until)))
        assert [value.count for value in found.facets[1].values] == [count]
