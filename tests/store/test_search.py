"""Search: every filter alone and together, pages, deadlines."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minitrace.errors import DecodeError
from minitrace.model import Event, Kind, Resource, Span, Status, StatusCode
from minitrace.store import candidates, grouping, resolve, segment
from minitrace.store import metrics as metrics_of_store
from minitrace.store.matches import SearchResult
from minitrace.store.search import Search
from minitrace.store.store import Store
from minitrace.traceql import patterns
from minitrace.traceql.evaluate import Program
from minitrace.traceql.metrics import Range, Series, metrics
from minitrace.traceql.parser import parse
from tests.samples import MS, T0, span, trace_id
from tests.store import queries, sweep
from tests.store.asking import pipeline, wanted

FAILED = Status(StatusCode.ERROR, "card declined")


async def names(store: Store, search: Search) -> list[str]:
    """The roots of the traces found, newest first."""
    found = await store.search(search)
    return [match.summary.root_name or "" for match in found.matches]


async def fill(store: Store) -> None:
    """Three traces: "old" with a failed payment in it, "mid", "new"."""
    await store.add([
        span("old", trace="1", start_ms=0, duration_ms=500, service="shop"),
        span("charge", "old", trace="1", start_ms=1, duration_ms=300, service="pay", status=FAILED, kind=Kind.CLIENT),
        span("mid", trace="2", start_ms=1000, duration_ms=20, service="cron", attributes={"job": "Nightly 100% done"}),
        span("new", trace="3", start_ms=2000, duration_ms=90, service="shop",
             events=[Event(T0, "retry", {"reason": 'said "no"'})]),
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (wanted(), ["new", "mid", "old"]),
        (wanted('{ resource.service.name = "shop" }'), ["new", "old"]),
        (wanted('{ resource.service.name = "pay" }'), ["old"]),
        (wanted('{ resource.service.name = "nobody" }'), []),
        (wanted('{ name = "charge" }'), ["old"]),
        (wanted("{ status = error }"), ["old"]),
        (wanted("{ status = unset }"), ["new", "mid", "old"]),
        (wanted("{ kind = client }"), ["old"]),
        (wanted("{ duration >= 90ms }"), ["new", "old"]),
        (wanted("{ duration <= 90ms }"), ["new", "mid"]),
        (wanted("{ duration >= 301ms && duration <= 500ms }"), ["old"]),
        (wanted('{ resource.service.name = "shop" && status = error }'), []),  # on different spans
        (wanted('{ resource.service.name = "pay" && status = error }'), ["old"]),
        (wanted(start_ns=T0 + 1000 * MS), ["new", "mid"]),
        (wanted(end_ns=T0 + 999 * MS), ["old"]),
        (wanted(words="nightly"), ["mid"]),
        (wanted(words="declined"), ["old"]),
        (wanted(words="RETRY"), ["new"]),
        (wanted(words='said "no"'), ["new"]),
        (wanted(words="cron"), ["mid"]),  # in the resource
        (wanted(words="100%"), ["mid"]),
        (wanted(words="1%0"), []),  # no wildcard
        (wanted(words="n_w"), []),
        (wanted(words="nightly shop"), []),  # both words, on one span
        (wanted(words="nightly done"), ["mid"]),
        (wanted(words="\\"), []),
    ],
)
async def test_filters(store: Store, search: Search, found: list[str]) -> None:
    await fill(store)
    assert await names(store, search) == found


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "found"),
    [
        (500, 600, ["old"]),
        (501, 600, []),
        (None, 0, ["old"]),
        (None, -1, []),
        (510, 1000, ["mid"]),
        (1020, 1020, ["mid"]),
    ],
)
async def test_traces_that_overlap_a_time_are_found(
    store: Store, start_ms: int | None, end_ms: int, found: list[str]
) -> None:
    await fill(store)
    start_ns = None if start_ms is None else T0 + start_ms * MS
    assert await names(store, wanted(start_ns=start_ns, end_ns=T0 + end_ms * MS)) == found


async def test_pages_of_what_must_be_evaluated_follow_each_other_too(store: Store) -> None:
    await store.add(
        [
            span(name, parent, trace=f"{n}", start_ms=n)
            for n in range(9)
            for name, parent in (("top", ""), (f"t{n}", "top"))
        ]
    )
    query = '{ name = "top" } > { name != "t4" }'
    first = await store.search(wanted(query, limit=5))
    rest = await store.search(wanted(query, limit=5, before=first.next))
    assert [match.spans[0].name for match in (*first.matches, *rest.matches)] == [
        "t8", "t7", "t6", "t5", "t3", "t2", "t1", "t0",
    ]  # fmt: skip
    assert (first.next is None, rest.next) == (False, None)


async def test_the_spans_that_match_come_along_up_to_a_number(store: Store) -> None:
    await store.add(
        [span("root", trace="1"), *(span(f"q{n}", "root", trace="1", start_ms=9 - n, service="db") for n in range(5))]
    )
    (match,) = (await store.search(wanted('{ resource.service.name = "db" }', spans_per_set=2))).matches
    assert ([found.name for found in match.spans], match.matched) == (["q4", "q3"], 5)


async def test_pages_follow_each_other_without_gap_or_repeat(store: Store) -> None:
    # pairs of traces share their start, so that a place is not only a time
    await store.add([span(f"t{n:02}", trace=f"{n}", start_ms=n // 2, service="ab"[n % 3 == 0]) for n in range(30)])
    seen: list[str] = []
    before: str | None = None
    while True:
        page = await store.search(wanted('{ resource.service.name = "a" }', limit=3, before=before))
        seen += [match.summary.root_name or "" for match in page.matches]
        if page.next is None:
            break
        before = page.next
    assert seen == [f"t{n:02}" for n in reversed(range(30)) if n % 3]


async def test_a_page_that_ends_with_the_last_match_has_no_next(store: Store) -> None:
    await store.add([span(f"t{n}", trace=f"{n}", start_ms=n) for n in range(4)])
    pages = [(await store.search(wanted(limit=limit))).next is None for limit in (3, 4, 5)]
    assert pages == [False, True, True]


async def test_what_is_rare_is_found_by_the_index_alone(store: Store) -> None:
    await store.add([span("rare", trace="rare", service="rare")])
    await store.add([span("common", trace=f"{n}", start_ms=n + 1) for n in range(700)])
    found = await store.search(wanted('{ resource.service.name = "rare" }'))
    assert ([match.summary.trace_id for match in found.matches], found.inspected, found.complete, found.next) == (
        [trace_id("rare")], 1, True, None,
    )  # fmt: skip


async def test_more_candidates_than_one_chunk_are_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "FEW_SPANS", 0)
    monkeypatch.setattr(candidates, "COMMON", 0)  # so that the index is not used
    await store.add([span("rare", trace="rare", service="rare")])
    await store.add([span("common", trace=f"{n}", start_ms=n + 1) for n in range(700)])
    found = await store.search(wanted('{ resource.service.name = "rare" }'))
    assert ([match.summary.trace_id for match in found.matches], found.inspected, found.complete, found.next) == (
        [trace_id("rare")], 701, True, None,
    )  # fmt: skip


async def test_past_the_deadline_it_says_what_was_found_and_how_far_it_looked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.add([span("s", trace=f"{n}", start_ms=n) for n in range(20_000)])
    monkeypatch.setattr(candidates, "FEW_SPANS", 0)
    monkeypatch.setattr(candidates, "COMMON", 0)
    store._readers._timeout_s = 0.002
    found = await store.search(wanted("{ kind = server }", limit=1))
    assert not found.complete
    assert found.inspected < 20_000
    assert found.looked_back_to_ns is None or found.looked_back_to_ns > T0


async def test_a_pattern_that_explodes_ends_its_search_and_lets_others_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns, "engines", lambda: (patterns.RegexEngine,))  # the one that backtracks
    await store.add([span("s", attributes={"k": "a" * 50_000 + "!"})])
    shares = []
    for _ in range(5):  # a busy machine interrupts us too, but not each time
        asked = asyncio.create_task(store.search(wanted('{ span.k =~ "(a+)+b?" }')))
        began = last = time.monotonic()
        longest = 0.0
        while not asked.done():
            await asyncio.sleep(0)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        found = await asked
        assert (found.complete, "the pattern '(a+)+b?' took too long" in found.reason) == (False, True)
        shares.append(longest / (last - began))
    assert min(shares) < 0.5  # of a quarter of a second that it took


@pytest.mark.parametrize("cursor", ["x", "1", "1-", "-1", "1-x", "1-1-1", "²-1"])
async def test_a_cursor_that_is_none_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(DecodeError, match="not a place to continue from"):
        await store.search(wanted(before=cursor))


def described(result: SearchResult) -> dict[bytes, list[Any]]:
    """What a search found, by trace: of each spanset its spans, with their fields, and its attributes."""
    return {
        match.summary.trace_id: [
            (
                sorted((found.span_id, found.name, found.start_ns, str(found.attributes)) for found in spanset.spans),
                spanset.matched,
                {key: repr(value) for key, value in spanset.attributes.items()},
            )
            for spanset in match.spansets
        ]
        for match in result.matches
    }


def evaluated(query: str, spans: list[Span]) -> dict[bytes, list[Any]]:
    """The same, from evaluating every trace in memory."""
    program = Program(pipeline(query))
    found = {trace: program.run(own) for trace, own in by_trace(spans).items()}
    return {
        trace: [
            (
                sorted((r.span.span_id, r.span.name, r.span.start_ns, str(program.values(r))) for r in spanset.rows),
                len(spanset.rows),
                {key: repr(value) for key, value in spanset.attributes.items()},
            )
            for spanset in spansets
        ]
        for trace, spansets in found.items()
        if spansets
    }


def by_trace(spans: list[Span]) -> dict[bytes, list[Span]]:
    traces: dict[bytes, list[Span]] = {}
    for item in spans:
        traces.setdefault(item.trace_id, []).append(item)
    return traces


def texts(series: list[Series]) -> dict[str, list[Any]]:
    """Samples, rounded, by labels."""
    return {
        repr(one.labels): [sample if sample is None else round(sample, 9) for sample in one.samples] for one in series
    }


EXAMPLES = settings(
    max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)


@pytest.mark.parametrize(
    ("part", "few", "common", "terms", "limit"), [(0, 0, 0, 400, 100), (1, 10**6, 10**6, 400, 10), (2, 3, 1, 2, 4)],
    ids=["by time", "by index", "mixed"],
)  # fmt: skip
async def test_every_kind_of_query_finds_what_evaluating_every_trace_finds(
    store: Store, monkeypatch: pytest.MonkeyPatch, part: int, few: int, common: int, terms: int, limit: int
) -> None:
    """A third of them each way; in the last the index says little, and pages of four traces mix both ways."""
    monkeypatch.setattr(segment, "MAX_VALUES", 120)
    monkeypatch.setattr(candidates, "FEW_SPANS", few)
    monkeypatch.setattr(candidates, "MANY_SPANS", max(few, 5))
    monkeypatch.setattr(candidates, "COMMON", common)
    monkeypatch.setattr(candidates, "FIRST_CHUNK", 2)
    monkeypatch.setattr(candidates, "SMALLEST_CHUNK", 1)
    monkeypatch.setattr(resolve, "MOST_TERMS", terms)
    monkeypatch.setattr("minitrace.store.search.EVALUATED_AT_ONCE", 20)
    spans = sweep.many_spans()
    for item in spans:
        await store.add([item])
    wrong = []
    for query in sweep.QUERIES[part::3]:
        found: list[SearchResult] = []
        before = None
        while not found or before:
            found.append(await store.search(wanted(query, limit=limit, spans_per_set=100, before=before)))
            before = found[-1].next
        traces = [trace for page in found for trace in described(page).items()]
        if dict(traces) != evaluated(query, spans) or len(traces) != len(dict(traces)):
            wrong.append(query)
    assert not wrong


async def test_a_trace_is_looked_at_when_no_older_segment_can_have_more_of_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "MAX_VALUES", 1)
    monkeypatch.setattr(candidates, "COMMON", 0)
    monkeypatch.setattr(candidates, "FEW_SPANS", 100)
    await store.add([span("first", trace="two", start_ms=10)])
    await store.add([span("second", "first", trace="two", start_ms=11), span("other", trace="other", start_ms=20)])
    found = await store.search(wanted("{ duration > 1ms }"))
    assert [match.matched for match in found.matches] == [1, 2]


async def test_what_the_index_found_comes_before_what_is_looked_at_without_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "MAX_VALUES", 1)
    monkeypatch.setattr(candidates, "COMMON", 1)
    monkeypatch.setattr(candidates, "FEW_SPANS", 2)
    await store.add([span(name, trace=name, start_ms=n) for n, name in enumerate("abc")])
    await store.add([span("new", trace="new", start_ms=20)])
    assert await names(store, wanted("{ duration > 1ms }", limit=2)) == ["new", "c"]


@pytest.mark.parametrize("most", [3, 64])
async def test_spans_are_grouped_by_many_values_and_by_none(
    store: Store, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(grouping, "MOST_VALUES", most)
    spans = [span(f"s{n}", start_ms=n, attributes={"k": n}) for n in range(12)]
    resource = Resource({"k": "of the resource"})
    spans += [span("own", attributes={"k": None}, resource=resource), span("none", resource=resource)]
    await store.add(spans)
    range_ = Range(T0, T0 + 20 * MS, 20 * MS)
    found = await store.metrics(parse("{ } | count_over_time() by(.k)"), range_)
    assert texts(found.series) == texts(metrics(parse("{ } | count_over_time() by(.k)"), [spans], range_))


async def test_the_largest_durations_are_counted(store: Store) -> None:
    longest = span("long", start_ms=5)
    longest.start_ns, longest.end_ns = 1, 2**63 - 2
    await store.add([longest])
    for query in ("{ } | histogram_over_time(duration)", "{ } | sum_over_time(duration)"):
        range_ = Range(0, 10**9, 10**9, False)
        found = await store.metrics(parse(query), range_)
        assert texts(found.series) == texts(metrics(parse(query), [[longest]], range_))


@pytest.mark.parametrize(
    "query", ["{ } | rate() by(rootName)", '{ rootName = "root" } | rate()', "{ traceDuration > 1s } | rate()"]
)
async def test_what_is_said_of_traces_is_not_remembered_of_a_full_segment(
    store: Store, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.setattr(segment, "MAX_VALUES", 1)
    spans = [span("child", "root"), span("other", trace="other"), span("root", duration_ms=2000)]
    range_ = Range(T0, T0 + 20 * MS, 20 * MS)
    for item in spans:
        await store.add([item])
        series = texts((await store.metrics(parse(query), range_)).series)
    assert series == texts(metrics(parse(query), by_trace(spans).values(), range_))


@pytest.mark.parametrize("most", [1, 64])
async def test_every_kind_of_series_is_what_counting_gives_and_stays_so_when_spans_come(
    store: Store, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """What is remembered of segments must not depend on spans that come to other ones, or on who asked."""
    monkeypatch.setattr(segment, "MAX_VALUES", 120)
    monkeypatch.setattr(grouping, "MOST_VALUES", most)
    monkeypatch.setattr(metrics_of_store, "EVALUATED_AT_ONCE", 5)
    range_ = Range(T0 + 4 * MS, T0 + 30 * MS, 7 * MS, False)
    spans = sweep.many_spans()
    wrong = []
    for first, last in ((0, 45), (45, 60)):
        for item in spans[first:last]:
            await store.add([item])
        for query in sweep.SERIES:
            series = texts((await store.metrics(parse(query), range_)).series)
            if series != texts(metrics(parse(query), by_trace(spans[:last]).values(), range_)):
                wrong.append((query, last))
    assert not wrong


@pytest.mark.parametrize("common", [0, 1000], ids=["by time", "by index"])
@EXAMPLES
@given(
    spans=queries.spans(),
    asked=st.lists(queries.PIPELINES | queries.FILTERS | queries.PAIRS | queries.STRUCTURES, min_size=1, max_size=8),
    values=st.integers(4, 60),
)
def test_search_finds_what_evaluating_every_trace_finds(
    tmp_path_factory: pytest.TempPathFactory, common: int, spans: list[Span], asked: list[str], values: int
) -> None:
    """Over one segment or many, as many as `values` values fit into one, and by both ways."""

    async def found() -> dict[str, dict[bytes, list[Any]]]:
        async with await Store.open(tmp_path_factory.mktemp("s") / "a.db", query_timeout_s=60) as opened:
            for item in spans:
                await opened.add([item])
            results = {query: await opened.search(wanted(query, limit=100, spans_per_set=100)) for query in asked}
        assert all(result.complete for result in results.values())
        return {query: described(result) for query, result in results.items()}

    expected = {query: evaluated(query, spans) for query in asked}
    with (
        mock.patch.object(candidates, "FEW_SPANS", common),
        mock.patch.object(candidates, "COMMON", common),
        mock.patch.object(segment, "MAX_VALUES", values),
    ):
        assert asyncio.run(found()) == expected


@EXAMPLES
@given(
    spans=queries.spans(),
    asked=st.lists(queries.METRICS, min_size=1, max_size=5),
    values=st.integers(4, 60),
    is_instant=st.booleans(),
)
def test_series_are_what_counting_every_trace_gives(
    tmp_path_factory: pytest.TempPathFactory, spans: list[Span], asked: list[str], values: int, is_instant: bool
) -> None:
    range_ = Range(T0 + 4 * MS, T0 + 30 * MS, 7 * MS, is_instant)

    async def counted() -> dict[str, dict[str, list[Any]]]:
        async with await Store.open(tmp_path_factory.mktemp("s") / "a.db", query_timeout_s=60) as opened:
            for item in spans:
                await opened.add([item])
            return {query: texts((await opened.metrics(parse(query), range_)).series) for query in asked}

    expected = {query: texts(metrics(parse(query), by_trace(spans).values(), range_)) for query in asked}
    with mock.patch.object(segment, "MAX_VALUES", values):
        assert asyncio.run(counted()) == expected
