"""Files that are not ours, newer than we are, half made or damaged."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from minitrace.errors import SchemaError, StoreDamaged, StoreError, StoreLocked
from minitrace.store import rolling, schema
from minitrace.store.integrity import check
from minitrace.store.red import RedQuestion
from minitrace.store.store import Store
from tests.samples import T0, TRACE, span

OURS = max(schema.migrations())
PAGE = 4096
OPEN_AND_WAIT = """
import asyncio, sys
from minitrace.store.store import Store
from tests.samples import span

async def main():
    store = await Store.open(sys.argv[1])
    await store.add([span("kept")])
    print("open", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
MIGRATE_WITHOUT_END = """
import asyncio, sqlite3, sys
from minitrace.store import schema
from minitrace.store.store import Store

connect, known = sqlite3.connect, schema.migrations()
endless = "WITH RECURSIVE n(i) AS (SELECT begun() UNION ALL SELECT 1 FROM n) SELECT count(*) FROM n;"
known[max(known) + 1] = f"CREATE TABLE extra (x); DROP TABLE awaited; {endless}"
schema.migrations = lambda: known

def begun():
    print("begun", flush=True)

def connect_and_tell(*arguments, **options):
    connection = connect(*arguments, **options)
    connection.create_function("begun", 0, begun)
    return connection

sqlite3.connect = connect_and_tell
asyncio.run(Store.open(sys.argv[1]))
"""


def made(path: Path, sql: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql)
    return path


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def contents(folder: Path) -> dict[str, str]:
    """Every file but locks, with its checksum."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if not file.name.endswith(".lock")
    }


async def filled(path: Path, number: int = 300) -> Path:
    """One of our files, closed."""
    async with await Store.open(path) as store:
        await store.add([span(f"s{n}", trace=f"t{n % 50}", attributes={"user": f"u{n}"}) for n in range(number)])
    return path


def killed(script: str, path: Path, line: str) -> None:
    """Run a script until it has said a line, and kill it."""
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.kill()
    assert said == line + "\n"


async def refusal(path: Path) -> StoreError:
    """The error of opening a file, which changes nothing and leaves nothing beside it."""
    before = contents(path.parent)
    with pytest.raises(StoreError) as error:
        await Store.open(path)
    assert contents(path.parent) == before
    return error.value


async def test_a_new_file_gets_the_latest_schema_and_our_mark(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db"):
        pass
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        version, mark, vacuum = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("user_version", "application_id", "auto_vacuum")
        )
    assert (version, mark.to_bytes(4), vacuum) == (OURS, b"mtRC", 2)


async def test_an_empty_file_becomes_ours(tmp_path: Path) -> None:
    (tmp_path / "a.db").touch()
    async with await Store.open(tmp_path / "a.db") as store:
        assert await store.add([span("a")]) == 1


async def test_a_newer_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    error = await refusal(made(await filled(tmp_path / "a.db"), "PRAGMA user_version = 99"))
    assert isinstance(error, SchemaError)
    assert str(error) == (
        f"the database has schema 99; this minitrace knows up to {OURS}. Upgrade minitrace, or start with another --db"
    )


async def test_the_database_of_another_application_is_left_alone(tmp_path: Path) -> None:
    error = await refusal(made(tmp_path / "a.db", "PRAGMA journal_mode = WAL; CREATE TABLE bookmarks (url TEXT)"))
    assert isinstance(error, SchemaError)
    assert "not minitrace's" in str(error)


async def test_a_file_from_before_the_first_release_is_refused(tmp_path: Path) -> None:
    old = f"CREATE TABLE spans (id); PRAGMA user_version = 1; PRAGMA application_id = {schema.APPLICATION_ID}"
    assert "before the first release" in str(await refusal(made(tmp_path / "a.db", old)))


@pytest.mark.parametrize(
    "content", [b"just text, much too short", b"text " * 5000, b"SQLite format 3\0" + b"\xff" * 5000]
)
async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.db").write_bytes(content)
    error = await refusal(tmp_path / "a.db")
    assert isinstance(error, StoreDamaged)
    assert "is no SQLite database, or its beginning is damaged" in str(error)


async def test_half_a_file_is_refused_as_damaged_and_left_alone(tmp_path: Path) -> None:
    path = await filled(tmp_path / "a.db")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    error = await refusal(path)
    assert isinstance(error, StoreDamaged)
    assert f'"minitrace db check {path}" says where' in str(error)


async def test_a_file_with_a_page_of_zeros_is_refused_as_damaged_and_left_alone(tmp_path: Path) -> None:
    path = await filled(tmp_path / "a.db")
    ((page,),) = rows(path, "SELECT rootpage FROM sqlite_master WHERE name = 'spans'")
    content = bytearray(path.read_bytes())
    content[PAGE * (int(str(page)) - 1) : PAGE * int(str(page))] = bytes(PAGE)
    path.write_bytes(content)
    assert isinstance(await refusal(path), StoreDamaged)


async def test_a_log_that_lost_its_file_is_not_deleted(tmp_path: Path) -> None:
    killed(OPEN_AND_WAIT, tmp_path / "a.db", "open")
    (tmp_path / "a.db").write_bytes(b"")
    assert "may hold spans of a file that was moved away" in str(await refusal(tmp_path / "a.db"))


async def test_the_log_of_another_file_is_noticed_and_kept(tmp_path: Path) -> None:
    path = await filled(tmp_path / "a.db")
    killed(OPEN_AND_WAIT, await filled(tmp_path / "b.db", 3_000), "open")
    for suffix in ("-wal", "-shm"):
        shutil.copy(tmp_path / f"b.db{suffix}", tmp_path / f"a.db{suffix}")
    log = (tmp_path / "a.db-wal").read_bytes()
    before = path.read_bytes()
    with pytest.raises(StoreDamaged):
        await Store.open(path)
    assert (path.read_bytes(), (tmp_path / "a.db-wal").read_bytes()) == (before, log)


async def test_a_file_without_its_log_opens_with_what_was_in_the_file(tmp_path: Path) -> None:
    path = await filled(tmp_path / "a.db")
    killed(OPEN_AND_WAIT, path, "open")
    (tmp_path / "a.db-wal").unlink()
    async with await Store.open(path) as store:
        assert (await store.stats()).span_count == 300


async def test_a_file_whose_server_was_killed_opens_with_all_of_it(tmp_path: Path) -> None:
    path = await filled(tmp_path / "a.db")
    killed(OPEN_AND_WAIT, path, "open")
    async with await Store.open(path) as store:
        assert [item.name for item in (await store.trace(TRACE)).spans] == ["kept"]


async def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real.db").touch()
    (tmp_path / "a.db").symlink_to(tmp_path / "real.db")
    with pytest.raises(StoreError, match="cannot write to"):
        await Store.open(tmp_path / "a.db")


async def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Is a directory"):
        await Store.open(tmp_path)


async def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot write to"):
        await Store.open(tmp_path / "file" / "a.db")


async def test_a_second_process_is_told_who_has_the_file(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", OPEN_AND_WAIT, str(tmp_path / "a.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreLocked, match=f"process {other.pid}"):
            await Store.open(tmp_path / "a.db")
        other.kill()
    async with await Store.open(tmp_path / "a.db"):  # the kernel has let go of a killed process's lock
        pass


async def test_a_migration_keeps_the_spans_and_a_copy_of_the_file_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await filled(tmp_path / "a.db")
    steps = {**schema.migrations(), OURS + 1: "CREATE TABLE extra (x)", OURS + 2: "INSERT INTO extra VALUES (7)"}
    monkeypatch.setattr(schema, "migrations", lambda: steps)
    async with await Store.open(path) as store:
        assert (await store.stats()).span_count == 300
    assert rows(path, "SELECT x, (SELECT user_version FROM pragma_user_version) FROM extra") == [(7, OURS + 2)]
    copy = tmp_path / f"a.db.before-{OURS + 2}"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert rows(copy, "SELECT count(*), (SELECT user_version FROM pragma_user_version) FROM spans") == [(300, OURS)]
    assert set(contents(tmp_path)) == {"a.db", copy.name}


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = await filled(tmp_path / "a.db")
    steps = {**schema.migrations(), OURS + 1: "CREATE TABLE extra (x); CREATE TABLE spans (x)"}
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: steps)
        with pytest.raises(StoreError, match="spans already exists"):
            await Store.open(path)
    assert rows(path, "SELECT count(*) FROM sqlite_master WHERE name = 'extra'") == [(0,)]
    assert rows(path, "PRAGMA user_version") == [(OURS,)]


async def test_a_process_killed_in_a_migration_leaves_the_version_before(tmp_path: Path) -> None:
    path = await filled(tmp_path / "a.db")
    for _ in range(2):  # a second attempt makes the copy again
        killed(MIGRATE_WITHOUT_END, path, "begun")
        assert rows(tmp_path / f"a.db.before-{OURS + 1}", "SELECT count(*) FROM spans") == [(300,)]
    async with await Store.open(path) as store:
        assert await store.add([span("child", "missing")]) == 1
    assert rows(path, "SELECT count(*) FROM sqlite_master WHERE name = 'extra'") == [(0,)]
    assert rows(path, "PRAGMA user_version") == [(OURS,)]


async def test_one_connection_can_write_and_all_others_only_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, opened = sqlite3.connect, []

    def connect_and_note(name: str, **options: object) -> sqlite3.Connection:
        opened.append(name)
        return connect(name, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", connect_and_note)
    for number in range(2):
        opened.clear()
        async with await Store.open(tmp_path / "a.db") as store:
            await store.add([span(f"s{number}")])
            await store.trace(TRACE)
        assert [name for name in opened if "mode=ro" not in name and "immutable=1" not in name] == [
            f"file:{tmp_path}/a.db?mode=rw"
        ]
        assert len(opened) > 2


async def test_a_file_from_before_roll_ups_gets_them(tmp_path: Path) -> None:
    number = next(number for number, sql in schema.migrations().items() if "TABLE red" in sql)
    with mock.patch.object(rolling, "SPANS_PER_PIECE", 100):
        path = await filled(tmp_path / "a.db")
        made(path, f"DROP TABLE red; PRAGMA user_version = {number - 1}")
        assert check(path).problems == []
        async with await Store.open(path) as store:
            before = await store.red(RedQuestion(T0 - 10**10, T0 + 10**10, 10**10))
            await store.roll_up()  # as the store does by itself
            after = await store.red(before.question)
        assert (before.figures.count, after.counted) == (300, 0)
        assert (before.figures, before.series) == (after.figures, after.series)
        assert check(path).problems == []
