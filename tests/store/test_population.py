"""Whole traces by the many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from minitrace.model import Span, Status, StatusCode
from minitrace.store import population, resolve
from minitrace.store.store import Store
from minitrace.store.traces import Wanted
from tests.samples import span, trace_id
from tests.store.asking import wanted


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with await Store.open(tmp_path / "test.db") as opened:
        yield opened


def paid(number: int, duration_ms: float = 10, root: str = "pay", **fields: Any) -> list[Span]:
    """A trace of two spans, that starts after those of lower numbers."""
    trace, start_ms = f"{root}{number}", 1_000 * number
    attributes = {"db.query.text": "SELECT 1", "order": number}
    return [
        span(root, trace=trace, start_ms=start_ms, duration_ms=duration_ms, **fields),
        span("charge", root, trace=trace, start_ms=start_ms, duration_ms=1, attributes=attributes),
    ]


async def test_the_typical_trace_is_the_median_of_the_others(store: Store) -> None:
    for number, duration in enumerate([1, 2, 50, 70, 90, 900]):
        await store.add(paid(number, duration))
    assert await store.typical(trace_id("pay5")) == trace_id("pay2")
    assert await store.typical(trace_id("pay0")) == trace_id("pay3")


async def test_the_typical_trace_has_no_errors_if_there_is_one_without(store: Store) -> None:
    failed = Status(StatusCode.ERROR)
    for number in range(4):
        await store.add(paid(number, 10 + number, status=failed if number < 3 else Status()))
    assert await store.typical(trace_id("pay0")) == trace_id("pay3")
    assert await store.typical(trace_id("pay3")) == trace_id("pay1")


async def test_without_another_of_its_root_operation_nothing_is_typical(store: Store) -> None:
    await store.add(paid(1))
    await store.add(paid(2, root="search"))
    await store.add(paid(3, service="other"))
    await store.add([span("lost", "absent", trace="lost1"), span("lost", "absent", trace="lost2")])
    for subject in ("pay1", "lost1", "nowhere"):
        assert await store.typical(trace_id(subject)) is None
        assert await store.population(trace_id(subject)) == []


async def test_the_population_is_the_newest_others_with_all_they_have(store: Store) -> None:
    for number in range(5):
        await store.add(paid(number))
    found = await store.population(trace_id("pay3"), limit=3)
    assert [trace.trace_id for trace in found] == [trace_id(f"pay{number}") for number in (4, 2, 1)]
    assert [node.span.attributes.get("order") for node in found[0].rows()] == [None, 4]


async def test_a_sample_is_the_newest_traces_that_match_with_what_is_wanted(store: Store) -> None:
    for number in range(5):
        await store.add(paid(number))
    found = await store.sample(wanted("{ .order < 4 }", limit=2))
    assert [trace.trace_id for trace in found] == [trace_id("pay3"), trace_id("pay2")]
    assert [(node.span.name, node.span.service, node.span.attributes) for node in found[0].rows()] == [
        ("pay", "shop", {}),
        ("charge", "shop", {}),
    ]


@pytest.mark.parametrize(
    "query",
    [
        "{ }",
        "{ .order > 1 && name = `charge` }",
        "{ name != `pay` }",
        '{ rootName =~ "pa." && .order < 3 }',
        "{ traceDuration > 10ms }",
        "{ .order = 7 }",
        "{ .order && 1 = 2 }",
        "{ name = `pay` } > { .order > 1 }",
        "{ } | count() > 1",
    ],
)
async def test_a_sample_is_what_a_search_finds(store: Store, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        await store.add(paid(number, 8 + number, root="pay" if number % 2 else "refund"))
    search = wanted(query, limit=2)
    found = [match.summary.trace_id for match in (await store.search(search)).matches]
    assert [trace.trace_id for trace in await store.sample(search)] == found
    monkeypatch.setattr(resolve, "MOST_TERMS_IN_SQL", 0)  # now SQL can say little
    assert [trace.trace_id for trace in await store.sample(search)] == found


async def test_a_sample_can_have_attributes_too(store: Store) -> None:
    await store.add(paid(1))
    (trace,) = await store.sample(wanted(), Wanted(frozenset({("span", "order")})))
    assert [span.attributes for span in trace.spans] == [{}, {"order": 1}]


async def test_a_sample_says_that_more_match(store: Store) -> None:
    for number in range(3):
        await store.add(paid(number))
    assert (await store.sample(wanted(limit=2))).reason == "more than 2 traces match; these are the newest"
    assert (await store.sample(wanted(limit=3))).reason == ""


async def test_traces_with_too_many_spans_to_load_are_left_out_and_it_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        await store.add(paid(number))
    monkeypatch.setattr(population, "MOST_SPANS", 5)
    monkeypatch.setattr(population, "MOST_SPANS_WITH_ATTRIBUTES", 1)
    found = await store.sample(wanted())
    assert [trace.trace_id for trace in found] == [trace_id("pay3"), trace_id("pay2")]
    assert found.reason == "only the newest of them, with 4 spans, were looked at"
    assert len(await store.population(trace_id("pay0"))) == 1


async def test_nothing_matches_and_nothing_is_loaded(store: Store) -> None:
    await store.add(paid(1))
    assert await store.sample(wanted("{ .order = 7 }")) == []


async def test_of_two_in_the_middle_the_shorter_is_typical(store: Store) -> None:
    for number, duration in enumerate([30, 10, 20, 40, 99]):
        await store.add(paid(number, duration))
    assert await store.typical(trace_id("pay4")) == trace_id("pay2")


async def test_a_trace_of_a_sample_says_whether_it_is_pinned(store: Store) -> None:
    for number in range(2):
        await store.add(paid(number))
    await store.pin(trace_id("pay0"))
    assert [trace.is_pinned for trace in await store.sample(wanted())] == [False, True]
