"""Files that are not ours, newer than we are, or half made."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from minitrace.errors import MinitraceError, SchemaError, StoreError, StoreLocked
from minitrace.store import schema
from minitrace.store.store import Store

OPEN_AND_WAIT = """
import asyncio, sys
from minitrace.store.store import Store

async def main():
    await Store.open(sys.argv[1])
    print("open", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def made(path: Path, sql: str) -> Path:
    connection = sqlite3.connect(path)
    connection.executescript(sql)
    connection.close()
    return path


async def refusal(path: Path) -> MinitraceError:
    before = path.read_bytes()
    with pytest.raises(StoreError) as error:
        await Store.open(path)
    assert path.read_bytes() == before
    return error.value


async def test_a_new_file_gets_the_latest_schema_and_our_mark(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db"):
        pass
    connection = sqlite3.connect(tmp_path / "a.db")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    vacuum = connection.execute("PRAGMA auto_vacuum").fetchone()[0]
    connection.close()
    assert (version, mark.to_bytes(4), vacuum) == (len(schema.migrations()), b"mtRC", 2)


async def test_a_newer_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "a.db"):
        pass
    error = await refusal(made(tmp_path / "a.db", "PRAGMA user_version = 99"))
    assert isinstance(error, SchemaError)
    assert str(error) == (
        f"the database has schema 99; this minitrace knows up to {len(schema.migrations())}. "
        "Upgrade minitrace, or start with another --db"
    )


async def test_the_database_of_another_application_is_left_alone(tmp_path: Path) -> None:
    error = await refusal(made(tmp_path / "a.db", "CREATE TABLE bookmarks (url TEXT)"))
    assert "not minitrace's" in str(error)


@pytest.mark.parametrize("content", [b"just text, much too short", b"SQLite format 3\x00" + b"\xff" * 5000])
async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.db").write_bytes(content)
    error = await refusal(tmp_path / "a.db")
    assert "--db" in str(error)


async def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real.db").touch()
    (tmp_path / "a.db").symlink_to(tmp_path / "real.db")
    with pytest.raises(StoreError, match="cannot write to"):
        await Store.open(tmp_path / "a.db")


async def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Is a directory"):
        await Store.open(tmp_path)


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


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with await Store.open(tmp_path / "a.db"):
        pass
    steps = [*schema.migrations(), "CREATE TABLE extra (x); CREATE TABLE spans (x)"]
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: steps)
        with pytest.raises(StoreError, match="spans already exists"):
            await Store.open(tmp_path / "a.db")
    connection = sqlite3.connect(tmp_path / "a.db")
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'extra'").fetchone() == (0,)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.migrations()),)
    connection.close()
