"""What leaves when the limits are passed, what stays, and what is said about it."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minitrace.errors import TraceNotFound
from minitrace.model import Event, Span, Status, StatusCode
from minitrace.store import retention, segment
from minitrace.store.retention import Leaving, Limits
from minitrace.store.store import Store
from minitrace.traceql.metrics import Range
from minitrace.traceql.parser import parse
from tests.samples import T0, draw, span, trace_id
from tests.store.asking import wanted
from tests.store.summing import expected_summaries, found_summaries

SECOND = 10**9


def tables(path: Path) -> set[str]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    finally:
        connection.close()


async def fill(store: Store, count: int, *, first: int = 0) -> None:
    """Traces t0, t1 … of one span each, in batches of ten, each with a value of its own."""
    for start in range(first, first + count, 10):
        await store.add(
            [
                span(f"op {n}", trace=f"t{n}", start_ms=n, attributes={"n": n, "text": f"number {n}"})
                for n in range(start, start + 10)
            ]
        )


async def stored(store: Store) -> list[str]:
    found = await store.search(wanted(limit=10_000))
    return [match.summary.root_name or "" for match in reversed(found.matches)]


async def test_without_limits_nothing_leaves(store: Store) -> None:
    await fill(store, 100)
    await store.keep_within_limits()
    assert len(await stored(store)) == 100


async def test_beyond_the_number_of_spans_the_oldest_segments_leave_whole(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db", limits=Limits(max_spans=160)) as store:
        await fill(store, 400)
        await store.keep_within_limits()
        names = await stored(store)
    assert 150 <= len(names) <= 160
    assert names == [f"op {n}" for n in range(400 - len(names), 400)]


async def test_what_left_is_gone_from_every_table(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db", limits=Limits(max_spans=32)) as store:
        await store.add([span("first", trace="t", service="gone", attributes={"only": "here"})])
        await fill(store, 100)
        await store.keep_within_limits()
        assert await store.services() == ["shop"]
        assert "first" not in await store.operations()
        assert "only" not in {key.name for key in await store.attribute_keys()}
        assert (await store.search(wanted(words="first"))).matches == []
        with pytest.raises(TraceNotFound):
            await store.trace(trace_id("t"))
        stats = await store.stats()
    connection = sqlite3.connect(tmp_path / "a.db")
    (spans,), (values,), (segments,) = (
        connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("spans", "dictionary", "segments")
    )
    left = [row[0] for row in connection.execute("SELECT id FROM segments")]
    connection.close()
    assert (stats.span_count, stats.trace_count) == (spans, spans)
    assert spans <= 32
    assert values <= 3 * spans + 3 * segments  # a name, a number and a text each; service and scope for a segment
    own = {f"{kind}_{number}" for kind in ("postings", "words", "counts") for number in left}
    assert {name for name in tables(tmp_path / "a.db") if name.split("_")[0] in ("postings", "words", "counts")} >= own
    assert not any(name.startswith(f"postings_{min(left) - 1}") for name in tables(tmp_path / "a.db"))


async def test_spans_that_came_long_ago_leave(tmp_path: Path) -> None:
    with mock.patch("minitrace.store.upkeep.time.time_ns") as time_ns:
        time_ns.return_value = 100 * SECOND
        async with await Store.open(tmp_path / "a.db", limits=Limits(max_age_ns=16 * SECOND)) as store:
            await store.add([span("old", trace="old")])
            time_ns.return_value += 10 * SECOND
            await store.add([span("new", trace="new", start_ms=1)])
            await store.keep_within_limits()
            assert await stored(store) == ["old", "new"]
            time_ns.return_value += 10 * SECOND
            await store.keep_within_limits()
            assert await stored(store) == ["new"]


async def test_the_file_stays_within_its_size_and_shrinks_when_the_limit_does(tmp_path: Path) -> None:
    limit = 8 << 20
    big = "x" * 2_000

    async def add(store: Store, first: int) -> None:
        for start in range(first, first + 8_000, 500):
            numbers = range(start, start + 500)
            await store.add(
                [span(f"op {n}", trace=f"t{n}", start_ms=n, attributes={"v": f"{n} {big}"}) for n in numbers]
            )
            await store.keep_within_limits()

    async with await Store.open(tmp_path / "a.db", limits=Limits(max_size_bytes=limit)) as store:
        await add(store, 0)
        names = await stored(store)
    size = (tmp_path / "a.db").stat().st_size  # before, the log may hold as much again: somebody reads
    assert limit / 2 < size <= limit * 1.1
    assert names[-1] == "op 7999"
    async with await Store.open(tmp_path / "a.db", limits=Limits(max_size_bytes=limit // 4)) as store:
        await store.keep_within_limits()
    assert (tmp_path / "a.db").stat().st_size <= limit // 4


async def test_a_trace_that_lost_spans_says_how_many(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db", limits=Limits(max_spans=48)) as store:
        await store.add([span("root", trace="long"), span("one", "root", trace="long")])
        await fill(store, 30)
        await store.add([span("two", "root", trace="long", start_ms=9999)])
        await fill(store, 20, first=100)
        await store.keep_within_limits()
        trace = await store.trace(trace_id("long"))
        (match,) = (await store.search(wanted('{ name = "two" }'))).matches
    assert (draw(trace), trace.removed_count) == ("two", 2)
    summary = match.summary
    assert (summary.span_count, summary.removed_count, summary.is_complete, summary.root_name) == (1, 2, False, None)


async def test_a_trace_that_lost_all_its_spans_says_so_when_more_of_them_come(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db", limits=Limits(max_spans=32)) as store:
        await store.add([span("root", trace="long"), span("one", "root", trace="long")])
        await fill(store, 60)
        await store.keep_within_limits()
        assert await store.known([trace_id("long")]) == []
        await store.add([span("late", "root", trace="long", start_ms=9999)])
        (match,) = (await store.search(wanted('{ name = "late" }'))).matches
        assert (match.summary.removed_count, match.summary.is_complete) == (2, False)
        await store.add([span("later", "root", trace="long", start_ms=9999)])
        assert (await store.trace(trace_id("long"))).removed_count == 2


async def test_a_pinned_trace_stays_whole_and_can_be_found(tmp_path: Path) -> None:
    failed = Status(StatusCode.ERROR, "declined")
    kept = [
        span("root", trace="kept", attributes={"k": "v"}),
        span("child", "root", trace="kept", status=failed, events=[Event(T0, "retry", {"n": 1})]),
    ]
    async with await Store.open(tmp_path / "a.db", limits=Limits(max_spans=32)) as store:
        await store.add(kept)
        await store.pin(trace_id("kept"))
        await fill(store, 200)
        await store.keep_within_limits()
        trace = await store.trace(trace_id("kept"))
        assert (trace.spans, trace.removed_count, trace.is_pinned) == (kept, 0, True)
        (match,) = (await store.search(wanted('{ .k = "v" }'))).matches
        assert (match.summary.is_pinned, match.summary.span_count, match.summary.is_complete) == (True, 2, True)
        assert len((await store.search(wanted(words="declined"))).matches) == 1
        assert await store.add(kept[:1]) == 0  # sent again, it is still the same span
        await store.pin(trace_id("kept"), False)
        await fill(store, 200, first=1000)
        await store.keep_within_limits()
        with pytest.raises(TraceNotFound):
            await store.trace(trace_id("kept"))


async def test_a_trace_that_is_not_stored_cannot_be_pinned(store: Store) -> None:
    with pytest.raises(TraceNotFound):
        await store.pin(trace_id("none"))


async def test_what_was_interrupted_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db") as store:
        await fill(store, 40)
        await store._writing.run(store._filling.next_segment)
        await fill(store, 40, first=40)
        leaving = retention.Leaving(1, 1, 40, 0)
        with mock.patch.object(retention, "SPANS_PER_STEP", 15):
            assert await store._writing.run(store._retention.step, leaving)
        assert len(await stored(store)) == 65
    async with await Store.open(tmp_path / "a.db") as store:
        await store.keep_within_limits()
        assert await stored(store) == [f"op {n}" for n in range(40, 80)]


async def test_spans_are_stored_while_a_segment_leaves(tmp_path: Path) -> None:
    with mock.patch.object(retention, "SPANS_PER_STEP", 10):
        async with await Store.open(tmp_path / "a.db", limits=Limits(max_spans=320)) as store:
            await asyncio.gather(*(fill(store, 100, first=100 * n) for n in range(20)), store.keep_within_limits())
            await store.keep_within_limits()
            names = await stored(store)
            found = [len((await store.search(wanted(f'{{ name = "{name}" }}'))).matches) for name in names]
    assert 200 <= len(names) <= 320
    assert set(found) == {1}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_summaries_are_right_after_retention(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Random traces over several segments, of which the oldest leave in small steps."""
    sent = [
        span(
            f"s{n}", parent, trace=trace, service=service, start_ms=start, duration_ms=start % 7, status=Status(status)
        )
        for n, (parent, trace, service, start, status) in enumerate(
            data.draw(
                st.lists(
                    st.tuples(
                        st.sampled_from(["", "s0", "s3", "missing"]), st.sampled_from("tuv"),
                        st.sampled_from(["shop", "pay"]), st.integers(1, 40), st.sampled_from([0, 2]),
                    ),
                    min_size=6, max_size=30,
                )
            )
        )
    ]  # fmt: skip
    keep, step = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 5))

    async def run() -> tuple[list[Span], dict[bytes, tuple[object, ...]]]:
        limits = Limits(max_spans=keep)
        async with await Store.open(tmp_path_factory.mktemp("r") / "a.db", limits=limits) as store:
            for item in sent:
                await store.add([item])
            await store.keep_within_limits()
            left = [item for trace in "tuv" if await store.known([trace_id(trace)])
                    for item in (await store.trace(trace_id(trace))).spans]  # fmt: skip
            return left, await found_summaries(store)

    with mock.patch.object(retention, "SPANS_PER_STEP", step):
        left, found = asyncio.run(run())
    assert len(left) <= keep
    assert found == expected_summaries(left, removed=[item for item in sent if item not in left])


async def test_what_was_counted_of_a_segment_is_counted_again_while_it_leaves(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "MAX_VALUES", 1)
    monkeypatch.setattr(retention, "SPANS_PER_STEP", 1)
    await store.add([span(f"old {n}", trace=f"{n}", start_ms=n) for n in range(3)])
    await store.add([span("new", trace="new", start_ms=9)])
    counts = []
    for _ in range(3):
        found = await store.metrics(
            parse("{ } | count_over_time()"), Range(T0 - SECOND, T0 + SECOND, 2 * SECOND, False)
        )
        counts.append(sum(sample or 0 for series in found.series for sample in series.samples))
        await store._writing.run(store._retention.step, Leaving(1, 1, 3, 0))
    assert counts == [4, 3, 2]
