"""The store's verbs over a real file."""

from __future__ import annotations

import asyncio
import math
import os
import sqlite3
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minitrace.errors import StoreBusy, TraceNotFound
from minitrace.model import MAX_TIME_NS, Event, Link, Span, Status, StatusCode, Value
from minitrace.otlp.encode import encode_export
from minitrace.store import layout, segment, upkeep, writing
from minitrace.store.ingest import Request, export_of
from minitrace.store.matches import TraceSummary
from minitrace.store.store import Store
from tests.samples import MS, T0, TRACE, draw, span, span_id, trace_id
from tests.store.asking import wanted
from tests.store.summing import Summaries, expected_summaries, found_summaries


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    """What another process would read from the file now."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


async def summary(store: Store, trace: str = "t") -> TraceSummary:
    found = await store.search(wanted(limit=100))
    return next(match.summary for match in found.matches if match.summary.trace_id == trace_id(trace))


async def test_what_was_added_is_committed_when_add_returns(store: Store) -> None:
    assert await store.add([span("checkout"), span("charge", "checkout")]) == 2
    assert rows(store.path, "SELECT span_id FROM spans ORDER BY id") == [(span_id("checkout"),), (span_id("charge"),)]


async def test_a_span_sent_twice_is_stored_once(store: Store) -> None:
    await store.add([span("a"), span("b", "a")])
    assert await store.add([span("b", "a"), span("c", "a")]) == 1
    assert rows(store.path, "SELECT span_count FROM traces") == [(3,)]


async def test_a_span_twice_in_one_batch_is_stored_once(store: Store) -> None:
    assert await store.add([span("a"), span("a")]) == 1


async def test_two_different_spans_with_one_id_are_both_kept(store: Store) -> None:
    await store.add([span("a"), span("a", duration_ms=99)])
    assert len((await store.trace(TRACE)).spans) == 2


async def test_a_child_that_comes_before_its_parent_finds_it(store: Store) -> None:
    await store.add([span("charge", "checkout")])
    await store.add([span("checkout")])
    assert draw(await store.trace(TRACE)) == "checkout\n  charge"


@pytest.mark.parametrize(
    "value",
    [
        "", "é \u0000 \U0001f600", True, False, 0, -(2**63), 2**63 - 1, 1.0, -0.0, 1e308, math.inf, b"", b"\x00\xff",
        None,
        [], ["a", 1, None, [b"x"]], {}, {"bytes": "not bytes"}, {"map": {"k": [math.inf]}},
    ],
)  # fmt: skip
async def test_attribute_values_come_back_with_their_type(store: Store, value: Value) -> None:
    await store.add([span("a", attributes={"k": value})])
    found = (await store.trace(TRACE)).spans[0].attributes["k"]
    assert (repr(found), type(found)) == (repr(value), type(value))


async def test_nan_comes_back_as_nan(store: Store) -> None:
    await store.add([span("a", attributes={"k": math.nan})])
    found = (await store.trace(TRACE)).spans[0].attributes["k"]
    assert isinstance(found, float)
    assert math.isnan(found)


async def test_events_and_links_come_back_with_odd_values_in_them(store: Store) -> None:
    odd: dict[str, Value] = {"inf": math.inf, "bytes": b"\xff", '"': "\u0000", "s": 'a"\\', "list": [1, {"k": None}]}
    sent = span("a", attributes=odd, events=[Event(2**64 - 1, "e", odd)], links=[Link(TRACE, b"12345678", "", odd)])
    await store.add([sent])
    assert (await store.trace(TRACE)).spans == [sent]


@pytest.mark.parametrize("start", [0, 1, T0, MAX_TIME_NS, MAX_TIME_NS + 1, 2**64 - 1])
@pytest.mark.parametrize("end", [0, 1, T0, MAX_TIME_NS, MAX_TIME_NS + 1, 2**64 - 1])
async def test_any_time_is_stored_and_comes_back_exactly(store: Store, start: int, end: int) -> None:
    await store.add([span("odd", start_ns=start, end_ns=end)])
    found = (await store.trace(TRACE)).spans[0]
    assert (found.start_ns, found.end_ns) == (start, end)
    (match,) = (await store.search(wanted())).matches
    assert 0 <= match.summary.duration_ns <= MAX_TIME_NS


async def test_a_trace_that_is_not_stored_is_not_found(store: Store) -> None:
    with pytest.raises(TraceNotFound, match="no span of trace 6120747261636520"):
        await store.trace(TRACE)


async def test_more_resources_than_a_segment_takes_begin_another(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "MAX_ORIGINS", 3)
    services = [f"s{n % 5}" for n in range(20)]
    for number, service in enumerate(services):
        await store.add([span(f"{number}", service=service, start_ms=number)])
    found = sorted((await store.trace(TRACE)).spans, key=lambda item: item.start_ns)
    assert [item.service for item in found] == services
    assert (await store.search(wanted('{ resource.service.name = "s3" }'))).matches[0].matched == 4
    assert rows(store.path, "SELECT count(*) > 5 FROM segments") == [(1,)]


async def test_a_batch_of_more_values_than_a_segment_takes_is_spread_over_several(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "MAX_VALUES", 20)
    sent = [span(f"s{n}", attributes={"n": n, "half": n // 2}, start_ms=n) for n in range(40)]
    await store.add(sent)
    assert (await store.trace(TRACE)).spans == sent
    found = await store.search(wanted("{ span.half = 3 }"))
    assert [match.name for match in found.matches[0].spans] == ["s6", "s7"]
    assert rows(store.path, "SELECT count(*) > 3 FROM segments") == [(1,)]


async def test_spans_of_one_resource_share_it_after_loading(store: Store) -> None:
    await store.add([span("a"), span("b")])
    first, second = (await store.trace(TRACE)).spans
    assert first.resource is second.resource
    assert rows(store.path, "SELECT count(*) FROM resources") == [(1,)]


async def test_a_summary_says_root_times_counts_and_services(store: Store) -> None:
    failed = Status(StatusCode.ERROR, "declined")
    await store.add([
        span("late root", trace="t", start_ms=50, service="cron"),
        span("POST /pay", trace="t", start_ms=0, duration_ms=30, service="shop"),
        span("charge", "POST /pay", trace="t", start_ms=5, duration_ms=100, service="pay", status=failed),
        span("again", "POST /pay", trace="t", start_ms=6, duration_ms=1, service="pay"),
    ])  # fmt: skip
    found = await summary(store)
    assert (found.root_service, found.root_name) == ("shop", "POST /pay")
    assert (found.start_ns, found.duration_ns, found.span_count, found.error_count) == (T0, 105 * MS, 4, 1)
    assert [(s.name, s.span_count, s.error_count) for s in found.services] == [
        ("pay", 2, 1), ("cron", 1, 0), ("shop", 1, 0),
    ]  # fmt: skip


async def test_a_trace_without_its_root_says_so(store: Store) -> None:
    await store.add([span("child", "root", trace="t")])
    found = await summary(store)
    assert (found.root_service, found.root_name) == (None, None)


async def test_a_trace_without_a_usable_time_is_listed_when_it_came(store: Store) -> None:
    await store.add([span("unset", trace="t", start_ns=0, end_ns=0)])
    assert (await summary(store)).start_ns > T0
    await store.add([span("set", "unset", trace="t")])
    assert (await summary(store)).start_ns == T0


async def test_services_are_numbered_as_they_first_appear(store: Store) -> None:
    await store.add([span("a", service="zebra"), span("b", service="ant")])
    await store.add([span("c", service="zebra"), span("d", service="bee")])
    assert await store.services() == ["zebra", "ant", "bee"]


async def test_operations_are_those_of_the_service(store: Store) -> None:
    await store.add([span("b", service="shop"), span("a", service="shop"), span("c", service="pay")])
    assert (await store.operations("shop"), await store.operations()) == (["a", "b"], ["a", "b", "c"])


async def test_known_traces_keep_their_order(store: Store) -> None:
    await store.add([span("a", trace="one"), span("b", trace="two")])
    asked = [trace_id("two"), trace_id("none"), trace_id("one")]
    assert await store.known(asked) == [trace_id("two"), trace_id("one")]
    assert await store.known([]) == []


async def test_stats_count_spans_traces_and_bytes(store: Store) -> None:
    await store.add([span("a"), span("b", trace="other"), span("c")])
    stats = await store.stats()
    assert (stats.span_count, stats.trace_count) == (3, 2)
    assert stats.size_bytes > 4096


async def test_batches_of_many_clients_at_once_are_all_stored(store: Store) -> None:
    batches = [[span(f"s{client}-{n}", trace=f"t{client}") for n in range(20)] for client in range(50)]
    assert await asyncio.gather(*(store.add(batch) for batch in batches)) == [20] * 50
    counted = "SELECT (SELECT count(*) FROM spans), (SELECT sum(span_count) FROM traces)"
    assert rows(store.path, counted) == [(1000, 1000)]


async def test_a_batch_that_cannot_be_stored_harms_no_other(store: Store) -> None:
    bad = store.add(
        [span("bad", status=Status(0, "\ud800"))]
    )  # no UTF-8: only Python code can make such a span, no client
    results = await asyncio.gather(store.add([span("a")]), bad, store.add([span("b")]), return_exceptions=True)
    assert [type(result) for result in results] == [int, UnicodeEncodeError, int]
    assert sorted(item.name for item in (await store.trace(TRACE)).spans) == ["a", "b"]


async def test_a_full_queue_refuses_and_stores_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    body = encode_export([span("first")])
    monkeypatch.setattr(writing, "MAX_WAITING_BYTES", len(body))
    first = asyncio.create_task(store.ingest(body, is_json=False))
    await asyncio.sleep(0)  # lets it begin
    with pytest.raises(StoreBusy, match="too much waits"):
        await store.ingest(body, is_json=False)
    assert (await first).span_count == 1
    assert not store.is_busy


async def test_a_failing_write_refuses_all_of_it_and_the_next_one_works(store: Store) -> None:
    other = sqlite3.connect(store.path, timeout=0)
    await store._writing.run(store._writer.connection.execute, "PRAGMA busy_timeout = 0")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match="locked"):
        await store.add([span("a", attributes={"k": "new with it"})])
    other.rollback()
    other.close()
    assert await store.add([span("a", attributes={"k": "new with it"})]) == 1
    assert (await store.trace(TRACE)).spans == [span("a", attributes={"k": "new with it"})]


async def test_a_client_that_goes_away_while_it_waits_stops_nobody(store: Store) -> None:
    gone = asyncio.create_task(store.add([span("gone")]))
    await asyncio.sleep(0)
    gone.cancel()
    assert await store.add([span("next")]) == 1


async def test_closing_writes_what_waits_and_leaves_one_file(tmp_path: Path) -> None:
    opened = await Store.open(tmp_path / "a.db")
    waiting = [asyncio.create_task(opened.add([span(f"s{n}")])) for n in range(10)]
    await asyncio.sleep(0)
    await opened.close()
    assert [await task for task in waiting] == [1] * 10
    assert not (tmp_path / "a.db-wal").exists()
    assert rows(tmp_path / "a.db", "SELECT count(*) FROM spans") == [(10,)]


async def test_a_mistake_in_counting_ahead_does_not_end_the_upkeep(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "KEEP_EVERY_S", 0.0)
    tried = asyncio.Queue[None]()

    async def count_ahead() -> None:
        tried.put_nowait(None)
        raise KeyError("of a damaged file")

    await store._upkeep.close()
    store._upkeep.start(count_ahead)
    for name in "ab":
        async with asyncio.timeout(5):
            await tried.get()
        await store.add([span(name)])


async def test_what_is_to_be_written_while_a_store_closes_is_refused_at_once(tmp_path: Path) -> None:
    opened = await Store.open(tmp_path / "a.db")
    await opened._writing.finish()
    with pytest.raises(StoreBusy, match="closing"):
        async with asyncio.timeout(5):
            await opened._writing.add(Request(lambda: export_of([span("a")])))
    await opened.close()


async def test_a_closed_store_takes_no_more(tmp_path: Path) -> None:
    opened = await Store.open(tmp_path / "a.db")
    await opened.close()
    await opened.close()
    with pytest.raises(StoreBusy, match="closing"):
        await opened.add([span("a")])


async def test_a_reopened_file_goes_on_with_its_segment_and_knows_its_spans(tmp_path: Path) -> None:
    for name in ("a", "b"):
        async with await Store.open(tmp_path / "a.db") as opened:
            await opened.add([span(name, attributes={"k": name}), span("same", attributes={"k": "same"})])
            found = await opened.search(wanted(f'{{ span.k = "{name}" }}'))
            assert [match.name for match in found.matches[0].spans] == [name]
    async with await Store.open(tmp_path / "a.db") as opened:
        trace = await opened.trace(TRACE)
    assert trace.spans == [span(name, attributes={"k": name}) for name in ("a", "same", "b")]
    assert rows(tmp_path / "a.db", "SELECT id, span_count FROM segments") == [(1, 3)]


async def test_a_segment_that_is_full_gives_its_memory_back(store: Store) -> None:
    await store.add([span("a", attributes={"k": "v"})])
    full = store._filling.segment
    await store._writing.run(store._filling.next_segment)
    assert not any((full.span_values, full.names, full._resources, full._operations))
    assert await store.add([span("b", attributes={"k": "v"})]) == 1
    assert [item.attributes for item in (await store.trace(TRACE)).spans] == [{"k": "v"}] * 2


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
async def test_nobody_else_may_read_the_files(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        async with await Store.open(tmp_path / "new" / "a.db") as opened:
            await opened.add([span("a")])
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "new").iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("a.db", "a.db-wal", "a.db-shm", "a.db.lock"), 0o600)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


async def test_one_connection_writes_and_the_readers_cannot(store: Store) -> None:
    async with store._readers.reader() as reader:
        for statement in ("DELETE FROM spans", "PRAGMA user_version = 9", "CREATE TABLE t (x)"):
            with pytest.raises(sqlite3.OperationalError):
                await reader.rows(statement)


NAMES = st.sampled_from(["root", "a", "b", "c", "d"])


@st.composite
def spans(draw: st.DrawFn) -> list[Span]:
    """Spans of two traces: several roots, orphans, errors, odd times, duplicates."""
    made = []
    for _ in range(draw(st.integers(1, 12))):
        name = draw(NAMES)
        made.append(
            span(
                name,
                draw(st.sampled_from(["", "root", "a", "missing"])),
                trace=draw(st.sampled_from(["t", "u"])),
                service=draw(st.sampled_from(["shop", "pay"])),
                start_ns=draw(st.sampled_from([0, T0, T0 + 5, T0 + 9, MAX_TIME_NS])),
                end_ns=draw(st.sampled_from([0, T0 + 7, T0 + 20, 2**64 - 1])),
                status=Status(draw(st.sampled_from([0, 1, 2]))),
            )
        )
    return made


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spans(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_summaries_are_right_in_any_order_in_any_batches_and_with_repeats(
    tmp_path_factory: pytest.TempPathFactory, spans: list[Span], random: object, size: int
) -> None:
    sent = spans + spans[: len(spans) // 2]
    random.shuffle(sent)  # type: ignore[attr-defined]

    async def stored() -> Summaries:
        async with await Store.open(tmp_path_factory.mktemp("s") / "a.db") as opened:
            for first in range(0, len(sent), size):
                await opened.add(sent[first : first + size])
            return await found_summaries(opened)

    found, wanted = asyncio.run(stored()), expected_summaries(spans)
    for key, row in wanted.items():
        if row[2] is None:  # listed by when it came, which no test can know
            found[key] = (*found[key][:2], None, *found[key][3:])
    assert found == wanted
