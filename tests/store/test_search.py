"""Search: every filter alone and together, pages, deadlines."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minitrace.errors import DecodeError
from minitrace.model import Event, Kind, Resource, Span, Status, StatusCode
from minitrace.store.search import Filter
from minitrace.store.store import Store
from tests.samples import MS, T0, span, trace_id

FAILED = Status(StatusCode.ERROR, "card declined")


async def names(store: Store, wanted: Filter) -> list[str]:
    """The roots of the traces found, newest first."""
    found = await store.search(wanted, limit=100)
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
    ("wanted", "found"),
    [
        (Filter(), ["new", "mid", "old"]),
        (Filter(service="shop"), ["new", "old"]),
        (Filter(service="pay"), ["old"]),
        (Filter(service="nobody"), []),
        (Filter(name="charge"), ["old"]),
        (Filter(status=StatusCode.ERROR), ["old"]),
        (Filter(status=StatusCode.UNSET), ["new", "mid", "old"]),
        (Filter(kind=Kind.CLIENT), ["old"]),
        (Filter(min_duration_ns=90 * MS), ["new", "old"]),
        (Filter(max_duration_ns=90 * MS), ["new", "mid"]),
        (Filter(min_duration_ns=301 * MS, max_duration_ns=500 * MS), ["old"]),
        (Filter(service="shop", status=StatusCode.ERROR), []),  # on different spans
        (Filter(service="pay", status=StatusCode.ERROR), ["old"]),
        (Filter(start_ns=T0 + 1000 * MS), ["new", "mid"]),
        (Filter(end_ns=T0 + 1000 * MS), ["old"]),
        (Filter(text="nightly"), ["mid"]),
        (Filter(text="declined"), ["old"]),
        (Filter(text="RETRY"), ["new"]),
        (Filter(text='said "no"'), ["new"]),
        (Filter(text="cron"), ["mid"]),  # in the resource
        (Filter(text="100%"), ["mid"]),
        (Filter(text="1%0"), []),  # no wildcard
        (Filter(text="n_w"), []),
        (Filter(text="nightly shop"), []),  # both words, on one span
        (Filter(text="nightly done"), ["mid"]),
        (Filter(text="\\"), []),
    ],
)
async def test_filters(store: Store, wanted: Filter, found: list[str]) -> None:
    await fill(store)
    assert await names(store, wanted) == found


async def test_the_spans_that_match_come_along_up_to_a_number(store: Store) -> None:
    await store.add(
        [span("root", trace="1"), *(span(f"q{n}", "root", trace="1", start_ms=9 - n, service="db") for n in range(5))]
    )
    (match,) = (await store.search(Filter(service="db"), spans_per_trace=2)).matches
    assert ([found.name for found in match.spans], match.matched) == (["q4", "q3"], 5)


async def test_pages_follow_each_other_without_gap_or_repeat(store: Store) -> None:
    # pairs of traces share their start, so that a place is not only a time
    await store.add([span(f"t{n:02}", trace=f"{n}", start_ms=n // 2, service="ab"[n % 3 == 0]) for n in range(30)])
    seen: list[str] = []
    before: str | None = None
    while True:
        page = await store.search(Filter(service="a"), limit=3, before=before)
        seen += [match.summary.root_name or "" for match in page.matches]
        if page.next is None:
            break
        before = page.next
    assert seen == [f"t{n:02}" for n in reversed(range(30)) if n % 3]


async def test_a_page_that_ends_with_the_last_match_has_no_next(store: Store) -> None:
    await store.add([span(f"t{n}", trace=f"{n}", start_ms=n) for n in range(4)])
    pages = [(await store.search(Filter(), limit=limit)).next is None for limit in (3, 4, 5)]
    assert pages == [False, True, True]


async def test_more_candidates_than_one_chunk_are_looked_at(store: Store) -> None:
    await store.add([span("rare", trace="rare", service="rare")])
    await store.add([span("common", trace=f"{n}", start_ms=n + 1) for n in range(700)])
    found = await store.search(Filter(service="rare"))
    assert ([match.summary.trace_id for match in found.matches], found.inspected, found.complete, found.next) == (
        [trace_id("rare")], 701, True, None,
    )  # fmt: skip


async def test_past_the_deadline_it_says_what_was_found_and_how_far_it_looked(store: Store) -> None:
    await store.add([span("s", trace=f"{n}", start_ms=n) for n in range(20_000)])
    store._readers._timeout_s = 0.002
    found = await store.search(Filter(text="absent"), limit=1)
    assert not found.complete
    assert found.inspected < 20_000
    assert found.looked_back_to_ns is None or found.looked_back_to_ns > T0


@pytest.mark.parametrize("cursor", ["x", "1", "1-", "-1", "1-x", "1-1-1", "²-1"])
async def test_a_cursor_that_is_none_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(DecodeError, match="not a place to continue from"):
        await store.search(Filter(), before=cursor)


def holds(wanted: Filter, item: Span) -> bool:
    """The filter's meaning, said plainly."""
    texts = [item.name, item.status.message, *map(str, item.attributes.values()), *map(str, item.attributes)]
    texts += [*map(str, item.resource.attributes.values()), *item.resource.attributes]
    return (
        (wanted.service is None or item.service == wanted.service)
        and (wanted.name is None or item.name == wanted.name)
        and (wanted.status is None or item.status.code == wanted.status)
        and (wanted.min_duration_ns is None or item.duration_ns >= wanted.min_duration_ns)
        and (wanted.max_duration_ns is None or item.duration_ns <= wanted.max_duration_ns)
        and all(any(word.lower() in text.lower() for text in texts) for word in (wanted.text or "").split())
    )


WORDS = st.sampled_from(["alpha", "Beta", "a_b", "50%", 'q"q', "b\\s", "γ"])
SPANS = st.builds(
    lambda trace, name, service, duration, status, word: span(
        name, trace=trace, service=service, duration_ms=duration, status=Status(status),
        attributes={"word": word}, resource=Resource({"service.name": service}),
    ),
    st.sampled_from("tuvw"), st.sampled_from("abc"), st.sampled_from(["shop", "pay"]),
    st.sampled_from([1, 5, 9]), st.sampled_from([0, 2]), WORDS,
)  # fmt: skip
FILTERS = st.builds(
    Filter,
    service=st.none() | st.sampled_from(["shop", "pay"]),
    name=st.none() | st.sampled_from("abc"),
    status=st.none() | st.sampled_from([0, 2]),
    min_duration_ns=st.none() | st.sampled_from([5 * MS]),
    max_duration_ns=st.none() | st.sampled_from([5 * MS]),
    text=st.none() | WORDS | st.tuples(WORDS, WORDS).map(" ".join),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(SPANS, max_size=8), st.lists(FILTERS, min_size=1, max_size=4))
def test_search_finds_what_looking_at_every_span_finds(
    tmp_path_factory: pytest.TempPathFactory, spans: list[Span], filters: list[Filter]
) -> None:

    async def found() -> list[set[bytes]]:
        async with await Store.open(tmp_path_factory.mktemp("s") / "a.db") as opened:
            await opened.add(spans)
            results = [await opened.search(wanted, limit=100) for wanted in filters]
        return [{match.summary.trace_id for match in result.matches} for result in results]

    wanted = [{item.trace_id for item in spans if holds(one, item)} for one in filters]
    assert asyncio.run(found()) == wanted
