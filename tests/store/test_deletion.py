"""Traces that somebody deletes: gone from everything the store says, and nothing else with them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minitrace.errors import StoreBusy, TraceNotFound
from minitrace.model import Event, Span, Status, StatusCode
from minitrace.store import deletion, segment
from minitrace.store.deletion import Removed
from minitrace.store.integrity import check
from minitrace.store.store import Store
from minitrace.traceql.ast import Attribute
from minitrace.traceql.metrics import Range
from minitrace.traceql.parser import parse
from tests.samples import T0, span, trace_id
from tests.store.asking import wanted
from tests.store.summing import expected_summaries, found_summaries

SECOND = 10**9
FAILED = Status(StatusCode.ERROR, "declined")
SPANS = [
    item
    for n in range(12)
    for item in (
        span("GET /cart", trace=f"t{n}", service="shop", start_ms=n, duration_ms=n, attributes={"n": n % 4}),
        span(
            "charge", "GET /cart", trace=f"t{n}", service="pay", start_ms=n, status=FAILED if n % 3 == 0 else Status()
        ),
        span("retry", "charge", trace=f"t{n}", start_ms=n, events=[Event(T0, "again", {"attempt": n % 2})]),
    )
]
QUERIES = ["{ }", "{ status = error }", "{ .n = 2 }", "{ .n > 1 }", '{ name =~ "c.*" }', "{ event.attempt = 1 }",
           "{ duration > 5ms }", "{ } | count() > 2", '{ name = "charge" && status = unset }']  # fmt: skip


def without(*traces: str) -> list[Span]:
    return [item for item in SPANS if item.trace_id not in {trace_id(name) for name in traces}]


async def said(store: Store) -> list[object]:
    """What the store answers to some questions."""
    answers: list[object] = [await found_summaries(store), (await store.stats()).span_count]
    for query in QUERIES:
        result = await store.search(wanted(query, limit=100))
        answers.append([(match.summary.trace_id, match.matched) for match in result.matches])
    answers.append(sorted(map(str, await store.tag_values(Attribute("span", "n")))))
    answers.append(sorted(map(str, await store.tag_values(Attribute("event", "attempt")))))
    answers.append(len((await store.search(wanted(words="declined"))).matches))
    for query in ("{ } | count_over_time() by(span.n)", "{ status = error } | count_over_time()"):
        found = await store.metrics(parse(query), Range(T0 - SECOND, T0 + SECOND, 2 * SECOND, False))
        answers.append(sorted(map(str, found.series)))
    overview = await store.overview(wanted("{ status = error }"))
    answers.append((overview.trace_count, [sorted(map(str, facet.values)) for facet in overview.facets]))
    answers.append(sorted(map(str, (await store.overview(wanted("{ }"))).facets)))
    return answers


async def delete(store: Store, traces: Sequence[str]) -> Removed:
    return await store.delete([trace_id(name) for name in traces])


@pytest.mark.parametrize("values_per_segment", [1, 100_000], ids=["many segments", "one segment"])
async def test_everything_is_said_as_if_the_deleted_traces_had_never_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values_per_segment: int
) -> None:
    monkeypatch.setattr(segment, "MAX_VALUES", values_per_segment)
    gone = ["t0", "t2", "t3", "t6", "t10"]
    async with await Store.open(tmp_path / "a.db") as store, await Store.open(tmp_path / "b.db") as other:
        for item in SPANS:
            await store.add([item])
        await said(store)  # what was counted before must not be said again
        assert await delete(store, gone) == Removed(5, 15, 0)
        for item in without(*gone):
            await other.add([item])
        assert await said(store) == await said(other)
        with pytest.raises(TraceNotFound):
            await store.trace(trace_id("t2"))
    assert check(tmp_path / "a.db").problems == []


async def test_a_pinned_trace_is_not_deleted(store: Store) -> None:
    await store.add(SPANS)
    await store.pin(trace_id("t1"))
    assert await delete(store, ["t0", "t1"]) == Removed(1, 3, 1)
    assert len((await store.trace(trace_id("t1"))).spans) == 3


async def test_deleted_spans_that_are_sent_again_are_stored_again(store: Store) -> None:
    await store.add(SPANS)
    before = await said(store)
    await delete(store, ["t4", "t5"])
    assert await store.add(SPANS) == 6
    assert await said(store) == before


async def test_deleting_what_is_not_stored_removes_nothing(store: Store) -> None:
    await store.add(SPANS[:3])
    assert await delete(store, ["nowhere"]) == Removed()
    assert await store.delete([]) == Removed()


async def test_spans_are_stored_while_traces_leave(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "SPANS_PER_STEP", 2)
    await store.add(SPANS)
    later = [span("later", trace=f"later {n}", start_ms=n) for n in range(20)]
    await asyncio.gather(delete(store, [f"t{n}" for n in range(12)]), *(store.add([item]) for item in later))
    assert await found_summaries(store) == expected_summaries(later)


async def test_a_file_that_cannot_be_written_is_said_to_be_so(store: Store) -> None:
    await store.add(SPANS)
    await store._writing.run(store._writer.connection.execute, "PRAGMA query_only = 1")
    with pytest.raises(StoreBusy):
        await delete(store, ["t0"])
    await store._writing.run(store._writer.connection.execute, "PRAGMA query_only = 0")
    assert len((await store.trace(trace_id("t0"))).spans) == 3


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sets(st.integers(0, 11)), st.integers(1, 7), st.integers(1, 4))
def test_summaries_are_right_after_deletion(
    tmp_path_factory: pytest.TempPathFactory, gone: set[int], step: int, values: int
) -> None:
    async def run() -> dict[bytes, tuple[object, ...]]:
        async with await Store.open(tmp_path_factory.mktemp("d") / "a.db") as store:
            for item in SPANS:
                await store.add([item])
            await delete(store, [f"t{n}" for n in gone])
            return await found_summaries(store)

    with mock.patch.object(deletion, "SPANS_PER_STEP", step), mock.patch.object(segment, "MAX_VALUES", values):
        assert asyncio.run(run()) == expected_summaries(without(*(f"t{n}" for n in gone)))


async def test_clearing_takes_all_but_pinned_traces(store: Store) -> None:
    await store.add(SPANS)
    await store.pin(trace_id("t7"))
    assert await store.clear() == Removed(11, 33, 1)
    assert await found_summaries(store) == expected_summaries(
        [item for item in SPANS if item.trace_id == trace_id("t7")]
    )
    assert await store.add(SPANS[:3]) == 3


async def test_clearing_forgets_what_retention_took_of_traces(store: Store) -> None:
    sql = "INSERT INTO removed_traces (trace_id, removed_count) VALUES (?, 5)"
    await store._writing.run(store._writer.connection.execute, sql, (trace_id("t0"),))
    await store.clear()
    await store.add(SPANS[:3])
    assert (await store.trace(trace_id("t0"))).removed_count == 0


async def test_traces_leave_one_after_the_other(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "SPANS_PER_STEP", 2)
    for number in range(2):
        await store.add([span(f"{number}", trace=trace) for trace in "ab"])
    ids = [trace_id("a"), trace_id("b")]
    parts, _ = await store._writing.run(deletion.steps, store._writer.connection, ids)
    assert parts == [[1, 3], [2, 4]]
