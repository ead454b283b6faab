"""Search: every filter alone and together, pages, deadlines."""

from __future__ import annotations

import asyncio
import operator as op
import re
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minitrace.errors import DecodeError
from minitrace.model import Event, Kind, Link, Resource, Scope, Span, Status, StatusCode
from minitrace.store import search, segment
from minitrace.store.conditions import Filter
from minitrace.store.dictionary import Attribute
from minitrace.store.store import Store
from tests.samples import MS, T0, TRACE, span, trace_id

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


async def test_what_is_rare_is_found_by_the_index_alone(store: Store) -> None:
    await store.add([span("rare", trace="rare", service="rare")])
    await store.add([span("common", trace=f"{n}", start_ms=n + 1) for n in range(700)])
    found = await store.search(Filter(service="rare"))
    assert ([match.summary.trace_id for match in found.matches], found.inspected, found.complete, found.next) == (
        [trace_id("rare")], 1, True, None,
    )  # fmt: skip


async def test_more_candidates_than_one_chunk_are_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "FEW_SPANS", 0)
    monkeypatch.setattr(search, "COMMON", 0)  # so that the index is not used
    await store.add([span("rare", trace="rare", service="rare")])
    await store.add([span("common", trace=f"{n}", start_ms=n + 1) for n in range(700)])
    found = await store.search(Filter(service="rare"))
    assert ([match.summary.trace_id for match in found.matches], found.inspected, found.complete, found.next) == (
        [trace_id("rare")], 701, True, None,
    )  # fmt: skip


async def test_past_the_deadline_it_says_what_was_found_and_how_far_it_looked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.add([span("s", trace=f"{n}", start_ms=n) for n in range(20_000)])
    monkeypatch.setattr(search, "FEW_SPANS", 0)
    monkeypatch.setattr(search, "COMMON", 0)
    store._readers._timeout_s = 0.002
    found = await store.search(Filter(kind=Kind.SERVER), limit=1)
    assert not found.complete
    assert found.inspected < 20_000
    assert found.looked_back_to_ns is None or found.looked_back_to_ns > T0


async def test_a_part_of_a_text_may_be_longer_than_a_pattern_of_sqlite(store: Store) -> None:
    text = "Abc" * 20_000
    await store.add([span("long", attributes={"k": text})])
    for part, count in ((text[1:].lower(), 1), (text + "d", 0)):
        assert len((await store.search(Filter(attributes=(Attribute("k", "contains", part),)))).matches) == count


@pytest.mark.parametrize("cursor", ["x", "1", "1-", "-1", "1-x", "1-1-1", "²-1"])
async def test_a_cursor_that_is_none_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(DecodeError, match="not a place to continue from"):
        await store.search(Filter(), before=cursor)


def words(text: str) -> list[str]:
    """The words of a text as the index sees them, for the characters of this test."""
    return re.split(r"[\W_]+", text.lower())


def has_word(texts: list[str], word: str) -> bool:
    """Whether one of the texts has the word at the beginning of a word; with other characters in it, as it stands."""
    parts = [part for part in words(word) if part]
    return any(
        all(any(own.startswith(part) for own in words(text)) for part in parts)
        and (parts == [word.lower()] or word.lower() in text.lower())
        for text in texts
    )


def fits(condition: Attribute, item: Span) -> bool:
    """Whether a span, its resource, scope, an event or a link has such an attribute."""
    scopes = {
        "span": [item.attributes], "resource": [item.resource.attributes], "instrumentation": [item.scope.attributes],
        "event": [event.attributes for event in item.events], "link": [link.attributes for link in item.links],
    }  # fmt: skip
    places = scopes[condition.scope] if condition.scope else [place for own in scopes.values() for place in own]
    values = [place[condition.name] for place in places if condition.name in place]
    return any(compare(condition.operator, value, condition.value) for value in values)


def kind_of(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def compare(operator: str, value: object, wanted: object) -> bool:
    if kind_of(value) != kind_of(wanted):
        return False
    if operator == "contains":
        return str(wanted).lower() in str(value).lower()
    comparisons: dict[str, Callable[[Any, Any], bool]] = {
        "=": op.eq, ">": op.gt, ">=": op.ge, "<": op.lt, "<=": op.le,
    }  # fmt: skip
    return comparisons[operator](value, wanted)


def holds(wanted: Filter, item: Span) -> bool:
    """The filter's meaning, said plainly."""
    places = [item.attributes, item.resource.attributes, item.scope.attributes]
    places += [event.attributes for event in item.events] + [link.attributes for link in item.links]
    texts = [item.name, item.status.message, item.scope.name, item.scope.version, *(e.name for e in item.events)]
    texts += [str(value) for place in places for value in place.values()]
    return (
        (wanted.service is None or item.service == wanted.service)
        and (wanted.name is None or item.name == wanted.name)
        and (wanted.status is None or item.status.code == wanted.status)
        and (wanted.kind is None or item.kind == wanted.kind)
        and (wanted.min_duration_ns is None or item.duration_ns >= wanted.min_duration_ns)
        and (wanted.max_duration_ns is None or item.duration_ns <= wanted.max_duration_ns)
        and all(has_word(texts, word) for word in (wanted.text or "").split())
        and all(fits(condition, item) for condition in wanted.attributes)
    )


WORDS = st.sampled_from(
    ["alpha", "Beta", "alphabet", "a_b", "50%", 'q"q', "b\\s", "γάμμα", "x-1", "-", "two words", "7"]
)
KEYS = st.sampled_from(["k", "word", "n"])
VALUES = WORDS | st.sampled_from([1, 7, -7, 2.5, 7.0, True, False, "", None, b"b", [1, "alpha"]])
ATTRIBUTES = st.dictionaries(KEYS, VALUES, max_size=2)
SPANS = st.builds(
    lambda trace, name, service, duration, status, kind, own, origin, scope, event, link: span(
        name, trace=trace, service=service, duration_ms=duration, status=Status(status, "failed 50%" if status else ""),
        kind=kind, attributes=own, resource=Resource({"service.name": service, **origin}),
        scope=Scope("lib", "1.0", scope), events=[Event(T0, "retry", event)] if event else [],
        links=[Link(TRACE, b"12345678", "", link)] if link else [],
    ),
    st.sampled_from("tuvw"), st.sampled_from("abc"), st.sampled_from(["shop", "pay"]),
    st.sampled_from([0, 1, 5, 9.5, 10, 11, 99, 1e6]), st.sampled_from([0, 2]), st.sampled_from(Kind),
    ATTRIBUTES, ATTRIBUTES, ATTRIBUTES, ATTRIBUTES, ATTRIBUTES,
)  # fmt: skip
SCOPES = st.sampled_from([None, "span", "resource", "instrumentation", "event", "link"])
CONDITIONS = st.builds(
    Attribute, KEYS, st.just("="), WORDS | st.sampled_from([1, 7, 2.5, True, False, ""]), SCOPES
) | st.builds(
    Attribute, KEYS, st.sampled_from([">", ">=", "<", "<="]), st.sampled_from([1, 7, 2.5, -7, "b"]), SCOPES
) | st.builds(Attribute, KEYS, st.just("contains"), st.sampled_from(["ALPHA", "%", "_", "x-", ""]), SCOPES)  # fmt: skip
FILTERS = st.builds(
    Filter,
    service=st.none() | st.sampled_from(["shop", "pay"]),
    name=st.none() | st.sampled_from("abc"),
    status=st.none() | st.sampled_from([0, 2]),
    kind=st.none() | st.sampled_from([Kind.CLIENT, Kind.SERVER]),
    min_duration_ns=st.none() | st.sampled_from([0, 5 * MS, 10 * MS, 11 * MS]),
    max_duration_ns=st.none() | st.sampled_from([0, 5 * MS, 10 * MS, 100 * MS]),
    text=st.none() | WORDS | st.sampled_from(["al", "ret", "fai 50%", "SHOP lib"]),
    attributes=st.lists(CONDITIONS, max_size=2).map(tuple),
)


@pytest.mark.parametrize("common", [0, 1000], ids=["by time", "by index"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(spans=st.lists(SPANS, max_size=12), filters=st.lists(FILTERS, min_size=1, max_size=6), values=st.integers(4, 60))
def test_search_finds_what_looking_at_every_span_finds(
    tmp_path_factory: pytest.TempPathFactory, common: int, spans: list[Span], filters: list[Filter], values: int
) -> None:
    """Over one segment or many, as many as `values` values fit into one, and by both ways."""

    async def found() -> list[set[bytes]]:
        async with await Store.open(tmp_path_factory.mktemp("s") / "a.db") as opened:
            for item in spans:
                await opened.add([item])
            results = [await opened.search(wanted, limit=100) for wanted in filters]
        assert all(result.complete for result in results)
        return [{match.summary.trace_id for match in result.matches} for result in results]

    wanted = [{item.trace_id for item in spans if holds(one, item)} for one in filters]
    with (
        mock.patch.object(search, "FEW_SPANS", common),
        mock.patch.object(search, "COMMON", common),
        mock.patch.object(segment, "MAX_VALUES", values),
    ):
        assert asyncio.run(found()) == wanted
