"""What can be done to a file besides storing in it: describe, check, vacuum, back up, recover."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from minitrace.asking.file import File
from minitrace.errors import SchemaError, StoreDamaged, StoreError, StoreLocked
from minitrace.model import Event, LogRecord, Status, StatusCode
from minitrace.store import schema
from minitrace.store.integrity import MAX_PROBLEMS, check
from minitrace.store.maintenance import back_up, describe, vacuum
from minitrace.store.recovery import LOST_NAME, recover
from minitrace.store.retention import Limits
from minitrace.store.store import Store
from tests.samples import TRACE, record, span, span_id, trace_id
from tests.store.test_schema import OPEN_AND_WAIT, OURS, PAGE, contents, filled, killed, rows


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A process that has a file open, with one span in it: the file and the process's id."""
    path = tmp_path / "used.db"
    process = subprocess.Popen([sys.executable, "-c", OPEN_AND_WAIT, str(path)], stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            yield path, process.pid
        finally:
            process.kill()


def tampered(path: Path, sql: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql)
    return path


def zeroed(path: Path, page: int) -> Path:
    """The file with one page, counted from 1, of zeros."""
    content = bytearray(path.read_bytes())
    content[PAGE * (page - 1) : PAGE * page] = bytes(PAGE)
    path.write_bytes(content)
    return path


def records_in(path: Path) -> list[LogRecord]:
    """All log records of a file, as `minitrace open` reads them."""
    with closing(File(path)) as file:
        return [one for some in file.records() for one in some]


def leaf_of(path: Path, table: str, share: float = 0.5) -> int:
    """A page of a table that holds rows."""
    sql = f"SELECT pageno FROM dbstat WHERE name = '{table}' AND pagetype = 'leaf' ORDER BY path"
    pages = [int(str(page)) for (page,) in rows(path, sql)]
    return pages[int(len(pages) * share)]


async def test_a_file_tells_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with await Store.open(path, limits=Limits(max_spans=1600)) as store:
        await store.add([span(f"s{n}", trace=f"t{n % 5}", service=f"v{n % 2}") for n in range(100)])
        await store.add([span("later", trace="t0")])
        await store.pin(trace_id("t3"))
    before = contents(tmp_path)
    found = describe(path)
    assert (found.span_count, found.trace_count, found.service_count, found.pinned_count) == (101, 5, 3, 1)
    assert [(segment.id, segment.span_count) for segment in found.segments] == [(1, 100), (2, 1)]
    assert (found.process, found.schema, found.written_by) == ("", OURS, sqlite3.sqlite_version)
    assert (found.size_bytes, found.log_bytes) == (path.stat().st_size, 0)
    assert sum(found.tables.values()) + found.free_bytes <= found.size_bytes
    assert {"spans", "postings", "words"} <= found.tables.keys()
    assert contents(tmp_path) == before


def test_a_file_in_use_tells_who_uses_it(server: tuple[Path, int]) -> None:
    path, process = server
    found = describe(path)
    assert (found.span_count, found.process, found.log_bytes > 0) == (1, str(process), True)


async def test_the_server_itself_may_ask_without_losing_its_locks(store: Store) -> None:
    await store.add([span("a")])
    assert (describe(store.path).process, describe(store.path).written_by) == (str(os.getpid()), "")
    other = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('PRAGMA journal_mode = DELETE')"
    done = subprocess.run([sys.executable, "-c", other, str(store.path)], capture_output=True, text=True, check=False)
    assert "database is locked" in done.stderr
    assert await store.add([span("b")]) == 1


@pytest.mark.parametrize(
    ("version", "is_warned"), [("3.40.1", True), ("3.51.2", True), ("3.51.3", False), ("3.53.0", False)]
)
async def test_a_sqlite_that_can_damage_files_is_named(tmp_path: Path, version: str, is_warned: bool) -> None:
    path = await filled(tmp_path / "a.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "sqlite_version", version)
        warning = describe(path).warning
    assert bool(warning) == is_warned
    assert warning.startswith(f"SQLite {version} can damage") == is_warned


@pytest.mark.parametrize("command", [describe, check, vacuum])
def test_a_file_that_is_not_there_is_named_and_not_made(tmp_path: Path, command: object) -> None:
    for place in (tmp_path / "a.db", tmp_path):
        with pytest.raises(StoreError, match="there is no file"):
            command(place)  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [describe, check, vacuum, recover])
def test_the_file_of_another_application_is_refused(tmp_path: Path, command: object) -> None:
    path = tampered(tmp_path / "a.db", "CREATE TABLE bookmarks (url TEXT)")
    before = contents(tmp_path)
    with pytest.raises(SchemaError, match="not minitrace's"):
        command(path)  # type: ignore[operator]
    assert contents(tmp_path) == before


async def test_a_file_that_has_seen_everything_has_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    failed = Status(StatusCode.ERROR, "declined")
    async with await Store.open(path, limits=Limits(max_spans=320)) as store:
        await store.add([span("kept", trace="pinned"), span("child", "kept", trace="pinned")])
        await store.pin(trace_id("pinned"))
        for n in range(60):
            made = [
                span(f"a{n}", trace=f"t{n}", status=failed, events=[Event(1, "e", {"k": n})]),
                span(f"b{n}", f"a{n}" if n % 2 else "missing", trace=f"t{n}", start_ns=0 if n % 3 else 5),
                *(span(f"c{m}", trace=f"t{n}-{m}", attributes={"n": n * m, "f": n / 7}) for m in range(8)),
            ]
            await store.add(made)
            await store.add(made[:3])
            said = [record(f"said {m}", at_ms=n + m, trace=f"t{n}", attributes={"n": m}) for m in range(3)]
            await store.add_logs(said)
            await store.add_logs(said[:2])
        await store.keep_within_limits()
    lines: list[str] = []
    found = check(path, lines.append)
    assert found.problems == []
    assert 200 < found.span_count + found.log_count <= 340
    assert found.log_count > 30
    assert lines == [
        "copying the file", "checking pages", "checking full-text indexes", "checking full-text indexes of logs",
        "checking values", "checking values of logs", "checking spans and logs", "checking summaries",
        "checking roll-ups",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE traces SET span_count = 9", "is wrong: span_count is 9, should be 2"),
        ("UPDATE traces SET start_ns = start_ns + 1", "is wrong: start_ns is"),
        ("UPDATE traces SET root_name = 'other'", "root_name is other, should be checkout"),
        ("DELETE FROM trace_services", "services is [], should be [(1, 2, 0)]"),
        ("INSERT INTO awaited SELECT id, x'0102' FROM traces", "awaited parents is [('0102',)], should be []"),
        ("DELETE FROM traces", "span 1 belongs to a trace that is not stored"),
        ("UPDATE segments SET last_span = 1", "span 2 belongs to no segment"),
        ("DELETE FROM dictionary WHERE value = 'gold'", "span 2 (of segment 1) has an attribute, name or event"),
        ("DELETE FROM dictionary WHERE value = 'checkout'", "span 1 (of segment 1) has an attribute, name or event"),
        ("DELETE FROM dictionary WHERE value = 'shop'", "resource 16777217 (of segment 1) has an attribute"),
        ("DELETE FROM keys WHERE name = 'tier'", "a value of segment 1 has no key"),
        ("DELETE FROM resources", "names a resource that is not stored (1)"),
        ("UPDATE spans SET attributes = 'Ü!'", "something that is no token: 'Ü!'"),
        ("UPDATE postings_1_data SET block = x'00' WHERE id > 10", "the index postings_1 is damaged"),
        ("DROP TABLE counts_1; DROP TABLE words_1", "the index words_1 is missing"),
        ("INSERT INTO postings_1 (postings_1) VALUES ('delete-all')", "only 0 of them can be found by search"),
        ("PRAGMA writable_schema = ON; DELETE FROM sqlite_master WHERE name = 'traces_by_start'", "never used"),
        ("UPDATE segments SET last_log = 1", "log record 2 belongs to no segment"),
        (
            "DELETE FROM dictionary WHERE value = 'silver'",
            "log record 2 (of segment 1) has an attribute, name or event",
        ),
        ("UPDATE logs SET resource = 9", "log record 1 (of segment 1) names a resource that is not stored (9)"),
        ("DROP TABLE logterms_1; DROP TABLE logwords_1", "the index logwords_1 is missing"),
        ("UPDATE logwords_1_data SET block = x'00' WHERE id > 10", "the index logwords_1 is damaged"),
        (
            "INSERT INTO logwords_1 (logwords_1) VALUES ('delete-all')",
            "2 log records, but only 0 of them can be found by search",
        ),
    ],
)
async def test_a_check_finds(tmp_path: Path, sql: str, said: str) -> None:
    path = tmp_path / "a.db"
    async with await Store.open(path) as store:
        await store.add([span("checkout"), span("charge", "checkout", attributes={"tier": "gold"})])
        await store.add_logs([record("one"), record("two", attributes={"tier": "silver"})])
    tampered(path, sql)
    before = contents(tmp_path)
    assert said in "\n".join(check(path).problems)
    assert contents(tmp_path) == before


async def test_a_check_of_many_problems_ends(tmp_path: Path) -> None:
    path = tampered(await filled(tmp_path / "a.db"), "UPDATE traces SET span_count = 9")
    assert len(check(path).problems) == MAX_PROBLEMS


async def test_a_check_of_a_lost_page_tells_and_goes_on(tmp_path: Path) -> None:
    path = await filled(tmp_path / "a.db", 3_000)
    zeroed(path, leaf_of(path, "spans"))
    before = contents(tmp_path)
    assert any("malformed" in problem for problem in check(path).problems)
    assert contents(tmp_path) == before


def test_a_check_of_what_is_no_database_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"text " * 5000)
    assert check(tmp_path / "a.db").problems == ["SQLite cannot read it: file is not a database"]


def test_a_file_in_use_can_be_checked(server: tuple[Path, int]) -> None:
    found = check(server[0])
    assert (found.span_count, found.problems) == (1, [])


async def test_vacuum_makes_the_file_smaller_and_leaves_it_able_to_shrink(tmp_path: Path) -> None:
    path = await filled(tmp_path / "a.db", 5_000)
    tampered(path, "DELETE FROM postings_1_data WHERE id > 10; DELETE FROM spans WHERE id > 10")
    before, after = vacuum(path)
    assert after == path.stat().st_size < before * 0.6
    assert rows(path, "PRAGMA auto_vacuum") == [(2,)]
    assert rows(path, "SELECT count(*) FROM spans") == [(10,)]
    assert set(contents(tmp_path)) == {"a.db"}


def test_vacuum_of_a_file_in_use_is_refused(server: tuple[Path, int]) -> None:
    with pytest.raises(StoreLocked, match=f"process {server[1]}"):
        vacuum(server[0])


async def test_vacuum_without_room_says_how_much_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = await filled(tmp_path / "a.db", 2_000)
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    before = contents(tmp_path)
    with pytest.raises(StoreError, match=rf"1 MB are needed in {tmp_path} .* 0 MB are free. Make room there"):
        vacuum(path)
    assert contents(tmp_path) == before


async def test_a_backup_under_load_has_every_span_that_was_acknowledged_before(tmp_path: Path, store: Store) -> None:
    acknowledged: list[int] = []
    is_over = False

    async def send() -> None:
        while not is_over:
            number = len(acknowledged)
            await store.add([span(f"s{number}-{n}", trace=f"t{number}") for n in range(100)])
            acknowledged.append(number)

    sending = [asyncio.create_task(send())]
    for copy in ("one.db", "two.db", "three.db"):
        known = len(acknowledged) + 5
        while len(acknowledged) < known:  # noqa: ASYNC110 (the condition is the sender's own list)
            await asyncio.sleep(0)
        before = len(acknowledged)
        count = await asyncio.to_thread(back_up, store.path, tmp_path / copy)
        assert count >= before * 100
        assert count % 100 == 0  # whole batches
        found = {row[0] for row in rows(tmp_path / copy, "SELECT trace_id FROM traces")}
        assert {trace_id(f"t{number}") for number in acknowledged[:before]} <= found
        assert check(tmp_path / copy).problems == []
    is_over = True
    await asyncio.gather(*sending)


def test_a_backup_of_a_server_in_another_process_is_private_and_whole(server: tuple[Path, int], tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert back_up(server[0], tmp_path / "copy.db") == 1
    finally:
        os.umask(before)
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("copy.db?*"))


async def test_a_backup_opens_as_a_store(tmp_path: Path) -> None:
    back_up(await filled(tmp_path / "a.db"), tmp_path / "copy.db")
    async with await Store.open(tmp_path / "copy.db") as store:
        assert (await store.stats()).span_count == 300


async def test_a_backup_overwrites_only_when_told_to(tmp_path: Path) -> None:
    path = await filled(tmp_path / "a.db")
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(StoreError, match=r"exists. Name another place for the copy, or add --force"):
        back_up(path, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"
    assert back_up(path, tmp_path / "copy.db", is_forced=True) == 300


@pytest.mark.parametrize(("there", "said"), [("a.db", "is the file itself"), ("copy.db-wal", "is in use")])
async def test_a_backup_never_takes_the_place_of_what_is_in_use(tmp_path: Path, there: str, said: str) -> None:
    path = await filled(tmp_path / "a.db")
    if there != "a.db":
        (tmp_path / there).write_text("a log")
    before = contents(tmp_path)
    with pytest.raises(StoreError, match=said):
        back_up(path, tmp_path / there.removesuffix("-wal"), is_forced=True)
    assert contents(tmp_path) == before


async def test_a_backup_to_a_folder_names_a_file_in_it(tmp_path: Path) -> None:
    path = await filled(tmp_path / "a.db")
    (tmp_path / "copies").mkdir()
    with pytest.raises(StoreError, match=r"copies is a folder. Name a file in it, such as .*/copies/a.db"):
        back_up(path, tmp_path / "copies", is_forced=True)


async def test_a_backup_to_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    path = await filled(tmp_path / "a.db")
    with pytest.raises(StoreError, match=r"cannot write to .*: No such file or directory. Name another place"):
        back_up(path, tmp_path / "none" / "copy.db")


async def test_a_backup_of_a_damaged_file_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    path = await filled(tmp_path / "a.db", 3_000)
    zeroed(path, leaf_of(path, "spans"))
    before = contents(tmp_path)
    with pytest.raises(StoreDamaged):
        back_up(path, tmp_path / "copy.db")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("table", ["spans", "sqlite_autoindex_spans_1", "traces", "postings_1_data", "words_1_data"])
async def test_recovery_saves_all_but_the_spans_of_a_lost_page(tmp_path: Path, table: str) -> None:
    path = await filled(tmp_path / "a.db", 3_000)
    async with await Store.open(path) as store:
        await store.pin(trace_id("t7"))
    damaged = zeroed(path, leaf_of(path, table)).read_bytes()
    found = await asyncio.to_thread(recover, path)
    assert found.original.read_bytes() == damaged
    lost = found.expected_count - found.span_count
    assert (0 < lost < 300) if table == "spans" else (found.span_count == 3_000)
    assert check(path).problems == []
    assert rows(path, "SELECT count(*), (SELECT count(*) FROM spans) FROM traces") == [(50, found.span_count)]
    if table != "traces":
        assert rows(path, "SELECT trace_id FROM traces WHERE is_pinned") == [(trace_id("t7"),)]
    assert set(contents(tmp_path)) == {"a.db", found.original.name}


async def test_recovery_keeps_everything_a_span_says(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with await Store.open(path) as store:
        await store.add([
            span("a", attributes={"n": 1, "f": 0.5, "b": b"\xff", "l": ["x", {"y": None}]}, start_ns=2**64 - 1),
            span("b", "a", status=Status(2, "no"), events=[Event(5, "e", {"k": True})], trace_state="a=b"),
        ])  # fmt: skip
        before = await store.trace(TRACE)
    found = await asyncio.to_thread(recover, path)
    assert (found.span_count, found.expected_count, found.incomplete_traces, found.lost_traces) == (2, 2, 0, 0)
    async with await Store.open(path) as store:
        assert (await store.trace(TRACE)).spans == before.spans


async def test_recovery_keeps_everything_a_log_record_says(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    said = [
        record({"n": [1]}, attributes={"f": 0.5}, severity_text="Warning", event_name="e", time_ns=2**64 - 1),
        record("two", trace=TRACE, span="a", severity=9, dropped_attributes=2, flags=1),
    ]
    async with await Store.open(path) as store:
        await store.add_logs(said)
    found = await asyncio.to_thread(recover, path)
    assert (found.log_count, found.expected_log_count, found.span_count) == (2, 2, 0)
    async with await Store.open(path) as store:
        assert (await store.logs_after(0))[1] == said


async def test_recovery_saves_records_that_say_the_same_wherever_they_lie(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with await Store.open(path) as store:
        await store.add_logs([record("again")] * 2_000)
    found = await asyncio.to_thread(recover, path)
    assert (found.log_count, found.expected_log_count) == (2_000, 2_000)


@pytest.mark.parametrize("table", ["logs", "logs_by_time", "logs_by_span", "logwords_1_data"])
async def test_recovery_saves_all_but_the_records_of_a_lost_page(tmp_path: Path, table: str) -> None:
    path = tmp_path / "a.db"
    async with await Store.open(path) as store:
        await store.add_logs([record(f"said {n}", at_ms=n, trace=f"t{n}", attributes={"n": n}) for n in range(3_000)])
    zeroed(path, leaf_of(path, table))
    found = await asyncio.to_thread(recover, path)
    lost = found.expected_log_count - found.log_count
    assert (0 < lost < 300) if table == "logs" else (lost == 0)
    assert check(path).problems == []


async def test_a_file_from_before_there_were_logs_is_described_checked_and_read(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    older = {version: sql for version, sql in schema.migrations().items() if version < schema.LOGS_VERSION}
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("\n".join(older.values()))
        connection.executescript(f"PRAGMA user_version = 3; PRAGMA application_id = {schema.APPLICATION_ID}")
    assert (describe(path).log_count, describe(path).schema) == (0, 3)
    assert check(path).problems == []
    assert await asyncio.to_thread(records_in, path) == []
    async with await Store.open(path) as store:
        assert await store.add([span("a")]) == 1
        assert await store.add_logs([record("a")]) == 1
    assert describe(tmp_path / f"a.db.before-{OURS}").schema == 3


async def test_recovery_saves_a_span_without_the_values_that_are_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with await Store.open(path) as store:
        await store.add([span("a", attributes={"tier": "gold", "n": 1}), span("b", "a", service="pay")])
    tampered(path, "DELETE FROM dictionary WHERE value IN ('gold', 'b', 'pay'); DELETE FROM scopes")
    found = await asyncio.to_thread(recover, path)
    assert (found.span_count, found.incomplete_spans, found.incomplete_traces) == (2, 2, 0)
    async with await Store.open(path) as store:
        first, second = (await store.trace(TRACE)).spans
    assert (first.name, first.attributes, first.dropped_attributes, first.scope.name) == ("a", {"n": 1}, 1, "")
    assert (second.name, second.service, second.resource.dropped_attributes) == (LOST_NAME, "pay", 1)


async def test_recovery_saves_most_of_half_a_file(tmp_path: Path) -> None:
    path = await filled(tmp_path / "a.db", 3_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    found = await asyncio.to_thread(recover, path)
    assert found.span_count > 1_000
    assert check(path).problems == []


async def test_recovery_reads_the_log_of_a_server_that_was_killed(tmp_path: Path) -> None:
    path = await filled(tmp_path / "a.db")
    killed(OPEN_AND_WAIT, path, "open")
    found = await asyncio.to_thread(recover, path)
    assert found.span_count == 301
    assert rows(path, f"SELECT hex(span_id) FROM spans WHERE span_id = x'{span_id('kept').hex()}'")
    assert found.original.with_name(found.original.name + "-wal").exists()


@pytest.mark.parametrize("content", [b"text " * 5000, b""])
def test_recovery_of_what_cannot_be_read_leaves_it_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.db").write_bytes(content)
    before = contents(tmp_path)
    with pytest.raises(StoreError):
        recover(tmp_path / "a.db")
    assert contents(tmp_path) == before


def test_recovery_of_a_file_in_use_is_refused(server: tuple[Path, int]) -> None:
    with pytest.raises(StoreLocked, match=f"process {server[1]}"):
        recover(server[0])


async def test_whatever_pages_are_lost_recovery_ends_with_a_sound_file_or_a_sentence(tmp_path: Path) -> None:
    original = (await filled(tmp_path / "whole.db", 1_500)).read_bytes()
    choice = random.Random(7)
    saved = 0
    for number in range(12):
        path = tmp_path / f"{number}.db"
        path.write_bytes(original)
        for _ in range(3):
            zeroed(path, choice.randrange(2, len(original) // PAGE + 1))
        damaged = path.read_bytes()
        try:
            found = await asyncio.to_thread(recover, path)
        except StoreDamaged:
            assert path.read_bytes() == damaged
        else:
            assert found.original.read_bytes() == damaged
            assert check(path).problems == []
            saved += found.span_count
    assert saved > 12 * 1_500 * 0.7
