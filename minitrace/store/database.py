"""Connections to the file: one that writes, a few that read.

One task owns the writing connection (`store.py`); everybody else reads through `Readers`. Readers are
opened ``mode=ro``: such a connection can neither write nor checkpoint, so that exactly one connection
does both, which SQLite before 3.51.3 needs (see `lock.py`).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiosqlite

from minitrace.errors import QueryTimeout, StoreError
from minitrace.store import schema

READERS = 3
INSTRUCTIONS_PER_CHECK = 10_000  # about 1 ms of SQLite work between deadline checks
_SETTINGS = """
    PRAGMA busy_timeout = 5000;
    PRAGMA foreign_keys = OFF;
    PRAGMA trusted_schema = OFF;
    PRAGMA temp_store = MEMORY;
"""


def make_private(path: Path) -> None:
    """Create an empty file that only its owner may read, unless it exists.

    SQLite gives -wal and -shm the mode of the database file; with a usual umask that would be 0644.
    A symbolic link is refused: in a shared folder it could point at somebody else's file.

    Raises:
        StoreError: the file cannot be made or opened for writing; says why.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        os.close(file)
    except OSError as error:
        raise StoreError(f"cannot write to {path}: {error.strerror}. Start with another --db") from None


async def open_writer(path: Path, durability: str) -> aiosqlite.Connection:
    """The one connection that writes: in WAL mode, on our schema, committing only when told.

    Raises:
        SchemaError: the file is newer than this minitrace, or not one of ours; it is left as it was.
        StoreError: it is no SQLite database, or cannot be written.
    """
    connection = await aiosqlite.connect(path, isolation_level=None, cached_statements=256)
    synchronous = "FULL" if durability == "full" else "NORMAL"
    try:
        await schema.check(connection)  # before anything is changed
        await connection.executescript(
            # auto_vacuum can only be chosen before the first table
            f"PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};"
            f"PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = {64 << 20}; {_SETTINGS}"
        )
        await schema.migrate(connection)
    except sqlite3.DatabaseError as error:
        await connection.close()
        raise StoreError(f"{path} cannot be used: {error}. Start with another --db") from error
    except BaseException:
        await connection.close()
        raise
    return connection


class Reader:
    """A read-only connection whose queries end at a deadline."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self.deadline = float("inf")  # in seconds of time.monotonic()

    @classmethod
    async def open(cls, path: Path) -> Reader:
        """Open the file read-only; its tables must exist."""
        uri = f"file:{quote(str(path))}?mode=ro"
        reader = cls(await aiosqlite.connect(uri, uri=True, isolation_level=None, cached_statements=256))
        await reader._connection.executescript(f"PRAGMA query_only = ON; {_SETTINGS}")
        await reader._connection.set_progress_handler(reader._is_late, INSTRUCTIONS_PER_CHECK)
        return reader

    def _is_late(self) -> int:
        return time.monotonic() > self.deadline

    async def rows(self, sql: str, parameters: Iterable[Any] = ()) -> list[Any]:
        """All rows of a query. When cancelled it ends within about a millisecond, and only then raises.

        Raises:
            QueryTimeout: the deadline passed first.
        """
        try:
            return list(await self._connection.execute_fetchall(sql, parameters))
        except asyncio.CancelledError:
            # The connection's thread would work on for nobody, and the next query would wait behind.
            self.deadline = 0
            await asyncio.shield(self._connection.execute_fetchall("SELECT 1"))
            raise
        except sqlite3.OperationalError as error:
            if str(error) == "interrupted":
                raise QueryTimeout("the query took too long; narrow the time range or add a filter") from None
            raise

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()


class Readers:
    """A pool of readers."""

    def __init__(self, readers: list[Reader], timeout_s: float) -> None:
        self._all = readers
        self._free: asyncio.LifoQueue[Reader] = asyncio.LifoQueue()
        for reader in readers:
            self._free.put_nowait(reader)
        self._timeout_s = timeout_s

    @classmethod
    async def open(cls, path: Path, timeout_s: float) -> Readers:
        """Open `READERS` connections."""
        return cls([await Reader.open(path) for _ in range(READERS)], timeout_s)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Reader]:
        """Borrow a reader; the clock for its deadline starts when it is lent.

        Raises:
            QueryTimeout: none became free in time.
        """
        try:
            reader = await asyncio.wait_for(self._free.get(), self._timeout_s)
        except TimeoutError:
            raise QueryTimeout("too many queries at once; try again in a moment") from None
        reader.deadline = time.monotonic() + self._timeout_s
        try:
            yield reader
        finally:
            self._free.put_nowait(reader)

    async def close(self) -> None:
        """Close all of them."""
        for reader in self._all:
            await reader.close()
