"""Log records in the file: stored once, found by what they say, gone with their traces and segments."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minitrace.errors import DecodeError
from minitrace.model import MAX_TIME_NS, LogRecord, Resource, Scope, Severity
from minitrace.otlp.decode import MAX_ATTRIBUTES
from minitrace.otlp.encode import encode_logs
from minitrace.store import deletion, logs, retention
from minitrace.store.dictionary import words_in
from minitrace.store.growing_file import new_file
from minitrace.store.integrity import check
from minitrace.store.logs import LogResult, LogSearch
from minitrace.store.retention import Limits
from minitrace.store.store import Store
from tests.samples import T0, TRACE, record, span, trace_id
from tests.store.asking import wanted
from tests.store.summing import expected_summaries, found_summaries

SEGMENT = Limits(max_spans=16 * 10)  # ten rows a segment, and sixteen of them before one leaves


def bodies(found: LogResult | Sequence[LogRecord]) -> list[object]:
    return [one.body for one in (found.records if isinstance(found, LogResult) else found)]


WORDS = ["card", "charged", "Cart", "declined", "a", "b1", "1"]
SERVICES = ["shop", "pay"]
SEVERITIES = [0, 1, 9, 10, 13, 17, 21, 25]
RECORDS = st.builds(
    record,
    st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join) | st.sampled_from([7, True, None, b"card", ["card", 1]]),
    at_ms=st.integers(0, 30),
    service=st.sampled_from(SERVICES),
    trace=st.sampled_from(["t1", "t2", b""]),
    span=st.sampled_from(["", "s1", "s2"]),
    severity=st.sampled_from(SEVERITIES),
    severity_text=st.sampled_from(["", "WARN", "odd"]),
    attributes=st.dictionaries(
        st.sampled_from(["k", "user"]), st.sampled_from(["card", "b1-x", 1, 1.5, True]), max_size=2
    ),
    event_name=st.sampled_from(["", "charged"]),
)  # fmt: skip
SEARCHES = st.builds(
    LogSearch,
    words=st.lists(
        st.sampled_from([*WORDS, "car", "b1-x", "rd ch", "shop", "tests", "charge card", "-"]), max_size=2
    ).map(" ".join),
    severity=st.sampled_from([0, 5, 9, 13, 17, 21]),
    service=st.sampled_from(["", "", "shop", "pay", "none"]),
    attributes=st.lists(
        st.tuples(st.sampled_from(["k", "user", "service.name"]), st.sampled_from(["card", "1", "true", "shop"])),
        max_size=1,
    ).map(tuple),
    trace_id=st.sampled_from([b"", b"", trace_id("t1")]),
    start_ns=st.sampled_from([0, T0 + 10_000_000]),
    end_ns=st.sampled_from([MAX_TIME_NS, T0 + 20_000_000]),
    limit=st.integers(1, 4),
)  # fmt: skip


def kept(item: LogRecord) -> LogRecord:
    """A record as it comes out of the file: a span id without a trace leads nowhere."""
    return item if item.trace_id else replace(item, span_id=b"")


def texts_of(item: LogRecord) -> list[str]:
    """What words are looked for in."""
    values = [
        item.body, item.severity_text, item.event_name, *item.attributes.values(), *item.resource.attributes.values(),
        item.scope.name, item.scope.version,
    ]  # fmt: skip
    return [_text(value) for value in values if value is not None and not isinstance(value, bytes)]


def _text(value: object) -> str:
    return '["card",1]' if isinstance(value, list) else str(int(value)) if isinstance(value, bool) else str(value)


def fits(item: LogRecord, search: LogSearch) -> bool:
    """The same as the store should say, read from what a search means."""
    own = {**item.scope.attributes, **item.resource.attributes}
    level = item.severity or item.level
    return (
        all(has_word(item, word) for word in search.words.split())
        and (not search.severity or search.severity <= level <= 24)
        and search.service in ("", item.service)
        and all(
            any(_written(source.get(key)) == text for source in (own, item.attributes))
            for key, text in search.attributes
        )
        and search.trace_id in (b"", item.trace_id)
        and search.start_ns <= item.time_ns < search.end_ns
    )  # fmt: skip


def _written(value: object) -> str:
    return "true" if value is True else str(value)


def has_word(item: LogRecord, word: str) -> bool:
    if re.fullmatch(r"[a-zA-Z0-9]+", word):
        pattern = re.compile(rf"(?<![a-z0-9]){re.escape(word)}", re.IGNORECASE)
        return any(pattern.search(text) for text in texts_of(item))
    return any(word.lower() in text.lower() for text in texts_of(item))


async def pages(store: Store, search: LogSearch) -> list[LogRecord]:
    """All that a search finds, page by page."""
    found: list[LogRecord] = []
    before = ""
    while True:
        page = await store.logs(replace(search, before=before))
        assert page.complete
        found += page.records
        if page.next is None:
            return found
        before = page.next


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.booleans(), st.lists(st.lists(RECORDS, max_size=12), max_size=4), st.lists(SEARCHES, min_size=1, max_size=6))
def test_a_search_finds_what_fits_newest_first_page_by_page(
    tmp_path_factory: pytest.TempPathFactory, is_walked: bool, batches: list[list[LogRecord]], searches: list[LogSearch]
) -> None:
    async def run() -> None:
        path = tmp_path_factory.mktemp("s") / "a.db"
        few, terms = (0, 2) if is_walked else (logs.FEW, logs.MOST_TERMS)
        with mock.patch.object(logs, "FEW", few), mock.patch.object(logs, "MOST_TERMS", terms):
            async with await Store.open(path, limits=SEGMENT, query_timeout_s=60) as store:
                for batch in batches:
                    await store.add_logs(batch)
                stored = await pages(store, LogSearch(limit=7))
                for search in searches:
                    assert await pages(store, search) == [item for item in stored if fits(item, search)], search
                assert [item.time_ns for item in stored] == sorted((item.time_ns for item in stored), reverse=True)

    asyncio.run(run())


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(RECORDS, max_size=8))
def test_what_is_sent_again_is_stored_once_and_what_is_said_twice_stays_two(
    tmp_path_factory: pytest.TempPathFactory, batch: list[LogRecord]
) -> None:
    async def run() -> None:
        async with await Store.open(tmp_path_factory.mktemp("s") / "a.db") as store:
            assert await store.add_logs(batch) == len(batch)
            assert await store.add_logs(batch) == 0
            stored = await pages(store, LogSearch())
            assert sorted(map(repr, stored)) == sorted(repr(kept(item)) for item in batch)

    asyncio.run(run())


async def test_a_record_keeps_what_it_was_sent_with(store: Store) -> None:
    odd = LogRecord(
        2**63 + 5, 2**64 - 1, 0, "Warning", {"order": [1, b"\0", None]}, {"a": {"b": float("inf")}}, 7, 257, TRACE,
        b"12345678", "checkout.done", Resource({"service.name": "shop", "n": 1}, 2, "r"),
        Scope("s", "1", {"x": False}, 3, "u"),
    )  # fmt: skip
    await store.add_logs([odd])
    assert await store.trace_logs(TRACE) == [odd]


async def test_records_of_a_trace_are_in_the_order_of_time_and_those_of_a_span_its_own(store: Store) -> None:
    said = [
        record("second", at_ms=2, trace=TRACE, span="a"),
        record("first", at_ms=1, trace=TRACE, span="b"),
        record("elsewhere", at_ms=1, trace="other", span="a"),
        record("third", at_ms=3, trace=TRACE),
    ]
    await store.add_logs(said)
    assert bodies(await store.trace_logs(TRACE)) == ["first", "second", "third"]
    assert bodies(await store.trace_logs(TRACE, said[0].span_id)) == ["second"]
    assert await store.trace_logs(trace_id("nowhere")) == []


async def test_records_change_nothing_of_what_is_said_of_traces(store: Store) -> None:
    await store.add([span("a", attributes={"user": "u1"})])
    before = await found_summaries(store), await store.stats(), await store.attribute_keys(), await store.tags()
    await store.add_logs([record("u1", trace=TRACE, attributes={"user": "u1", "own": 1}) for _ in range(3)])
    await store.add_logs([record("u1", trace="unknown")])
    assert (await found_summaries(store), await store.attribute_keys(), await store.tags()) == (before[0], *before[2:])
    assert await found_summaries(store) == expected_summaries([span("a", attributes={"user": "u1"})])
    assert len((await store.search(wanted(words="u1"))).matches) == 1
    assert await store.known([trace_id("unknown")]) == []


async def test_a_deadline_leaves_what_is_sure_and_says_how_far_it_came(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db", limits=SEGMENT, query_timeout_s=60) as store:
        for n in range(4):
            await store.add_logs([record(f"card {m}", at_ms=m) for m in range(10 * n, 10 * n + 10)])
        of_words, calls = logs._Search._of_words, []

        async def slow(self: logs._Search, segment: int) -> object:
            calls.append(segment)
            if len(calls) == 3:
                self._reader.deadline = 0
                self._reader.check()
            return await of_words(self, segment)

        with mock.patch.object(logs._Search, "_of_words", slow):
            found = await store.logs(LogSearch("card"))
    assert bodies(found) == [f"card {n}" for n in range(39, 19, -1)]
    assert (found.complete, found.looked_back_to_ns, found.next) == (False, T0 + 19_000_000, None)


@pytest.mark.parametrize("before", ["x", "1", "-1-1", "9" * 5_000 + "-1"])
async def test_a_place_that_is_none_is_refused(store: Store, before: str) -> None:
    with pytest.raises(DecodeError, match="is not a place to continue from"):
        await store.logs(LogSearch(before=before))


async def test_the_oldest_records_leave_with_their_segment_and_count_as_spans(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with await Store.open(path, limits=Limits(max_spans=160)) as store:
        for n in range(0, 300, 5):
            await store.add([span(f"s{m}", trace=f"t{m}") for m in range(n, n + 5)])
            await store.add_logs([record(f"r{m}", at_ms=m, attributes={"n": m}) for m in range(n, n + 5)])
        await store.keep_within_limits()
        left = bodies(await store.logs(LogSearch(limit=1000)))
        spans = (await store.stats()).span_count
    assert 150 <= len(left) + spans <= 160
    assert left == [f"r{m}" for m in range(299, 299 - len(left), -1)]
    assert check(path).problems == []
    async with await Store.open(path) as store:
        await store.clear()
        assert bodies(await store.logs(LogSearch())) == []
    assert check(path).problems == []


async def test_records_of_a_pinned_trace_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with await Store.open(path, limits=Limits(max_spans=32)) as store:
        await store.add([span("kept")])
        await store.add_logs([record("kept", trace=TRACE), record("not kept", trace="other")])
        await store.pin(TRACE)
        with mock.patch.object(retention, "LOGS_PER_STEP", 6):
            await store.add_logs([record(f"kept {n}", at_ms=n, trace=TRACE) for n in range(1, 6)])
            for n in range(0, 100, 2):
                await store.add_logs([record(f"r{n + m}", at_ms=n + m) for m in range(2)])
                await store.keep_within_limits()
        assert bodies(await store.trace_logs(TRACE)) == ["kept", *(f"kept {n}" for n in range(1, 6))]
        assert bodies(await store.logs(LogSearch("kept"))) == [*(f"kept {n}" for n in range(5, 0, -1)), "kept"]
        assert await store.trace_logs(trace_id("other")) == []
    assert check(path).problems == []


async def test_a_count_of_dropped_attributes_stays_one_that_otlp_can_say(store: Store) -> None:
    many = {f"k{n}": n for n in range(MAX_ATTRIBUTES + 1)}
    await store.add_logs([record("many", trace=TRACE, attributes=many, dropped_attributes=2**32 - 1)])
    await store.add([span("many", attributes=many, dropped_attributes=2**32 - 1)])
    (said,), (spent,) = await store.trace_logs(TRACE), (await store.trace(TRACE)).spans
    assert (said.dropped_attributes, spent.dropped_attributes) == (2**32 - 1, 2**32 - 1)


async def test_what_stands_behind_a_nul_is_found_and_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with await Store.open(path) as store:
        await store.add_logs([record("card\0declined\0by bank", trace=TRACE), record("\0shop")])
        for words in ("card", "declined", "bank", "by"):
            assert bodies(await store.logs(LogSearch(words))) == ["card\0declined\0by bank"]
        assert bodies(await store.logs(LogSearch("shop"))) != []
        await store.delete([TRACE])
        assert bodies(await store.logs(LogSearch("bank"))) == []
    assert check(path).problems == []


async def test_a_page_of_long_records_ends_sooner_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 1_000)
    said = [record(f"{n} ".ljust(400, "x"), at_ms=n) for n in range(70)] + [record("short", at_ms=100)]
    pages: list[list[LogRecord]] = []
    before: str | None = ""
    async with await Store.open(tmp_path / "a.db") as store:
        await store.add_logs(said)
        while before is not None:
            found = await store.logs(LogSearch(limit=60, before=before))
            pages.append(found.records)
            before = found.next
            assert found.complete
    assert [len(page) for page in pages] == [4, *[3] * 22, 1]
    assert [one for page in pages for one in page] == said[::-1]


async def test_of_a_trace_with_long_records_the_first_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES_OF_TRACE", 100_000)
    async with await Store.open(tmp_path / "a.db") as store:
        await store.add_logs([record(f"{n} ".ljust(1_000, "x"), at_ms=n, trace=TRACE) for n in range(300)])
        found = bodies(await store.trace_logs(TRACE))
    assert found == [f"{n} ".ljust(1_000, "x") for n in range(len(found))]
    assert len(found) == 100


async def fill_and_keep(store: Store) -> None:
    """Bring so much that what was there before has to leave, or to move."""
    for n in range(0, 100, 2):
        await store.add_logs([record(f"r{n + m}", at_ms=n + m) for m in range(2)])
        await store.keep_within_limits()


async def test_records_that_say_the_same_are_as_many_after_they_moved(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db", limits=Limits(max_spans=32)) as store:
        await store.add([span("kept")])
        await store.pin(TRACE)
        await store.add_logs([record("again", trace=TRACE)] * 5)
        with mock.patch.object(retention, "LOGS_PER_STEP", 6):
            await fill_and_keep(store)
        assert bodies(await store.trace_logs(TRACE)) == ["again"] * 5


async def test_what_is_pinned_may_be_more_than_the_limit(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db", limits=Limits(max_spans=32)) as store:
        await store.add([span("kept")])
        await store.pin(TRACE)
        await store.add_logs([record(n, trace=TRACE) for n in range(50)])
        async with asyncio.timeout(10):
            await store.keep_within_limits()
        assert bodies(await store.trace_logs(TRACE)) == list(range(50))


async def test_a_trace_is_deleted_while_a_segment_that_was_leaving_has_no_index_any_more(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db", limits=SEGMENT) as store:
        for n in range(0, 30, 6):
            await store.add([span(f"s{n}", trace=f"t{n}")])
            await store.add_logs([record(f"r{m}", at_ms=n + m, trace=f"t{n}") for m in range(6)])
        leaving = store._retention.all()[0]
        while store._writer.connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'logwords_1'").fetchone():
            await store._writing.run(store._retention.step, leaving)  # where a server was killed, it stays like that
        await store.delete([trace_id("t24")])
        assert await store.trace_logs(trace_id("t24")) == []


async def test_a_trace_that_is_deleted_takes_its_records_along(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with await Store.open(path, limits=SEGMENT) as store:
        for n in range(0, 30, 6):
            await store.add([span(f"s{n}", trace=f"t{n}")])
            await store.add_logs(
                [record("card declined", at_ms=n + m, trace=f"t{n}", attributes={"n": m}) for m in range(6)]
            )
        await store.add_logs([record("card of nobody")])
        await store.pin(trace_id("t12"))
        with mock.patch.object(deletion, "LOGS_PER_STEP", 4):
            await store.delete([trace_id("t0"), trace_id("t6"), trace_id("t12")])
        left = await store.logs(LogSearch("card"))
        assert [len(await store.trace_logs(trace_id(f"t{n}"))) for n in range(0, 30, 6)] == [0, 0, 6, 6, 6]
        assert len(left.records) == 19
    assert check(path).problems == []


async def test_who_grows_a_file_adds_records_to_it(tmp_path: Path) -> None:
    said = [record(f"r{n}", at_ms=n) for n in range(3)]
    with new_file(tmp_path / "a.db") as file:
        file.add_logs(said[:2])
        batch = file.take_logs(encode_logs(said))
    assert (batch.record_count, batch.added) == (3, 1)
    async with await Store.open(tmp_path / "a.db") as store:
        assert bodies(await store.logs(LogSearch())) == ["r2", "r1", "r0"]
        await store.add_logs([record("r3", at_ms=3)])
        assert (await store.logs_after(0))[1] == [*said, record("r3", at_ms=3)]
        assert bodies((await store.logs_after(2))[1]) == ["r2", "r3"]


async def test_severities_that_only_have_a_name_are_found_by_it(store: Store) -> None:
    await store.add_logs(
        [record("a", severity_text="Warning"), record("b", severity=9), record("c", severity_text="?")]
    )
    assert bodies(await store.logs(LogSearch(severity=Severity.WARN))) == ["a"]
    assert sorted(map(str, bodies(await store.logs(LogSearch(severity=Severity.INFO))))) == ["a", "b"]


async def test_a_trace_s_records_come_before_its_spans_or_without_them(store: Store) -> None:
    await store.add_logs([record("early", trace=TRACE, span="a")])
    assert bodies(await store.trace_logs(TRACE)) == ["early"]
    await store.add([span("a")])
    assert (await store.trace(TRACE)).spans == [span("a")]


@pytest.mark.parametrize("word", ["shop", "tests", "1.0", "WARN", "charged", "x-y", "Card", "7"])
async def test_a_word_is_found_wherever_a_record_has_it(store: Store, word: str) -> None:
    fields: dict[str, Any] = {"severity_text": "WARNING", "event_name": "charged", "attributes": {"k": "x-y"}}
    await store.add([span(f"{word} {n}") for n in range(3)])
    await store.add_logs([record("of card 7", **fields), record("nothing", service="s", scope=Scope(), at_ms=1)])
    assert bodies(await store.logs(LogSearch(word))) == ["of card 7"]


async def test_what_came_late_stands_where_it_belongs(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db", limits=SEGMENT) as store:
        await store.add_logs([record(f"card {n}", at_ms=100 + n) for n in range(10)])
        await store.add_logs([record(f"card {n}", at_ms=95 + n) for n in range(10)])
        await store.add_logs([record(f"card {n}", at_ms=n) for n in range(10)])
        found = [await store.logs(LogSearch("card", limit=limit)) for limit in range(1, 13)]
    times = [[(item.time_ns - T0) // 1_000_000 for item in page.records] for page in found]
    assert times == [[109, 108, 107, 106, 105, 104, 104, 103, 103, 102, 102, 101][:limit] for limit in range(1, 13)]


async def test_a_word_finds_all_that_begin_with_it(store: Store) -> None:
    await store.add_logs([record(text, at_ms=n) for n, text in enumerate(["a card", "cards", "care", "scar"])])
    assert bodies(await store.logs(LogSearch("car"))) == ["care", "cards", "a card"]


async def test_a_request_without_records_leaves_no_trace(store: Store) -> None:
    assert await store.add_logs([]) == 0
    store._writer.forget()  # as a transaction that fails does
    assert await store.add_logs([record("a")]) == 1


def test_every_letter_can_be_asked_for() -> None:
    """FTS5 knows other letters than Python, and refuses a word that is several to it."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE t USING fts5 (w, content='', detail=none, tokenize='unicode61')")
    letters = [chr(code) for code in range(0x110000) if chr(code).isalnum()]
    assert len(letters) > 100_000
    for letter in letters:
        query = " AND ".join(f'"{word}" *' for word in words_in(f"a{letter}b"))
        connection.execute("SELECT rowid FROM t WHERE t MATCH ?", (query,)).fetchall()
    connection.close()


async def test_a_word_with_a_letter_that_the_index_does_not_know_is_found(store: Store) -> None:
    await store.add_logs([record("a\u19b0b"), record("a b")])
    assert bodies(await store.logs(LogSearch(words="a\u19b0b"))) == ["a\u19b0b"]


async def test_a_text_is_not_taken_for_tokens(store: Store) -> None:
    await store.add_logs([record("of the shop"), record(" ".join(f"\ue001d{n}" for n in range(5)), service="pay")])
    assert bodies(await store.logs(LogSearch(service="shop"))) == ["of the shop"]


@pytest.mark.parametrize("word", ["错误", "错误信息", "声明", "エラー", "声明错误 エラー"])
async def test_a_word_of_a_script_without_spaces_is_found_within_a_sentence(store: Store, word: str) -> None:
    await store.add_logs([record("声明错误信息: エラー"), record("nothing of it")])
    assert bodies(await store.logs(LogSearch(words=word))) == ["声明错误信息: エラー"]


async def test_pages_go_on_where_records_leave_meanwhile(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db", limits=SEGMENT) as store:
        for n in range(16):
            await store.add_logs([record(f"{n} {m}", at_ms=n) for m in range(10)])
        first = await store.logs(LogSearch(limit=95))
        await store.add_logs([record(f"late {m}", at_ms=20) for m in range(30)])
        await store.keep_within_limits()
        rest = await store.logs(LogSearch(limit=95, before=first.next or ""))
        assert 0 < len(rest.records) < 65
        assert bodies(rest)[0] == "6 4"
        assert rest.next is None
