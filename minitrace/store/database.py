"""Connections to the file: one that writes, a few that read.

One thread owns the writing connection (`writer.py`); everybody else reads through `Readers`. Readers are
opened ``mode=ro``: such a connection can neither write nor checkpoint, so that exactly one connection
does both, which SQLite before 3.51.3 needs (see `lock.py`).
"""

from __future__ import annotations

import asyncio
import errno
import os
import shlex
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiosqlite

from minitrace.errors import QueryTimeout, StoreDamaged, StoreError
from minitrace.store import schema
from minitrace.store.timings import Timings, bounds_ns

T = TypeVar("T")

READERS = 3
QUERY_NS = bounds_ns(1_000_000, 14)  # of a histogram: 1 ms to 8 s
TOO_LONG = "the query took too long; narrow the time range or add a filter"
ROWS_AT_ONCE = 500  # that may be worked on while everybody else waits
IN_THREAD = ROWS_AT_ONCE + 1  # as a size: a pattern of a user may take long on few rows, too
INSTRUCTIONS_PER_CHECK = 10_000  # about 1 ms of SQLite work between deadline checks
WRITER_CACHE_KB = 16_000  # the pages that many transactions in a row touch: the right edges of all tables
READER_CACHE_KB = 4_000  # of each; the system's own cache holds the file
CHECKED_BYTES = 64 << 20  # a file up to this size is read whole before it is used: at most 0.2 s
BUSY_TIMEOUT_MS = 5_000
_SETTINGS = f"""
    PRAGMA busy_timeout = {BUSY_TIMEOUT_MS};
    PRAGMA foreign_keys = OFF;
    PRAGMA trusted_schema = OFF;
    PRAGMA temp_store = MEMORY;
"""


def make_private(path: Path) -> None:
    """Create an empty file that only its owner may read, unless it exists.

    SQLite gives -wal and -shm the mode of the database file; with a usual umask that would be 0644.
    A symbolic link is refused: in a shared folder it could point at somebody else's file. A file that exists is not
    opened: closing it would let go of the locks that this process may have on it
    (https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).

    Raises:
        StoreError: the file cannot be made or written; says why.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if problem := _problem(path):
            raise StoreError(f"cannot write to {path}: {os.strerror(problem)}. Start with another --db") from None
    except OSError as error:
        raise StoreError(f"cannot write to {path}: {error.strerror}. Start with another --db") from None


def _problem(path: Path) -> int:
    """The errno that opening would give; 0 if the file can be written. The folder above may also be a file."""
    if path.is_symlink():
        return errno.ELOOP
    if path.is_dir():
        return errno.EISDIR
    if not path.exists():
        return errno.ENOTDIR
    return 0 if os.access(path, os.W_OK) else errno.EACCES


def uri(path: Path, option: str) -> str:
    """A file and how to open it, as SQLite reads it: ``mode=rw``, ``mode=ro``, or ``immutable=1`` (nobody writes)."""
    return f"file:{quote(os.fsencode(path))}?{option}"


def log_of(path: Path) -> Path:
    """The write-ahead log of a file."""
    return path.with_name(path.name + "-wal")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """SQLite's errors about a file as ours, with what to do.

    Raises:
        StoreDamaged: the file is damaged, or no database.
        StoreError: anything else.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_NOTADB:
            raise StoreDamaged(
                f"{path} is no SQLite database, or its beginning is damaged. "
                "Put a backup in its place, or start with another --db"
            ) from error
        if code == sqlite3.SQLITE_CORRUPT:
            raise damaged(path) from error
        if code == sqlite3.SQLITE_FULL:
            raise StoreError(f"the disk is full, where {path} is. Make room there") from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreError(f"another program has locked {path}. End it, or start with another --db") from error
        raise StoreError(f"{path} cannot be used: {error}. Start with another --db") from error


def damaged(path: Path) -> StoreDamaged:
    """The error that says what to do about a file that is damaged."""
    name = shlex.quote(str(path))
    return StoreDamaged(
        f'{path} is damaged. "minitrace db check {name}" says where, "minitrace db recover {name}" saves what can '
        "be read into a new file; or start with another --db"
    )


def open_to_read(path: Path, *, is_used: bool) -> sqlite3.Connection:
    """A connection that cannot write, and leaves no -wal or -shm beside a file that has none.

    A file that nobody uses and that has no write-ahead log is read without one; a read-only connection
    in WAL mode makes both files and cannot remove them.
    """
    connection = sqlite3.connect(uri(path, read_option(path, is_used=is_used)), uri=True, isolation_level=None)
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection


def read_option(path: Path, *, is_used: bool) -> str:
    """How `open_to_read` opens a file, for `uri`."""
    log = log_of(path)
    return "mode=ro" if is_used or (log.exists() and log.stat().st_size > 0) else "immutable=1"


def open_writer(path: Path, durability: str = "normal") -> sqlite3.Connection:
    """The one connection that writes: in WAL mode, on our schema, committing only when told.

    The file is looked at before, through a connection that cannot change it: what is refused stays as it was. Who
    opens it has the `Lock`.

    Raises:
        SchemaError: the file is newer than this minitrace, or not one of ours.
        StoreDamaged: it is damaged, or no SQLite database.
        StoreError: it cannot be written.
    """
    with explained(path):
        _look(path)
        connection = sqlite3.connect(
            uri(path, "mode=rw"), uri=True, isolation_level=None, cached_statements=256, check_same_thread=False
        )
        synchronous = "FULL" if durability == "full" else "NORMAL"
        try:
            connection.executescript(
                # auto_vacuum can only be chosen before the first table
                f"PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};"
                f"PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = {64 << 20};"
                # What is deleted is not overwritten: some builds do, and a segment that leaves would be written again
                f"PRAGMA secure_delete = OFF; PRAGMA cache_size = -{WRITER_CACHE_KB}; {_SETTINGS}"
            )
            schema.migrate(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _look(path: Path) -> None:
    """Refuse a file that is not ours, or that a look of less than a fifth of a second finds damaged."""
    size_bytes = path.stat().st_size
    if not size_bytes and log_of(path).exists() and log_of(path).stat().st_size:
        # SQLite would delete the log
        raise StoreDamaged(
            f"{path} is empty, but {log_of(path).name} beside it may hold spans of a file that was moved away. "
            "Bring that file back, move the log away too, or start with another --db"
        )
    with closing(open_to_read(path, is_used=False)) as connection:
        is_checked = schema.check(connection) and size_bytes <= CHECKED_BYTES
        if is_checked and connection.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
            raise damaged(path)


class Reader:
    """A read-only connection whose queries end at a deadline."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self.deadline = float("inf")  # in seconds of time.monotonic()

    @classmethod
    async def open(cls, path: Path, option: str = "mode=ro") -> Reader:
        """Open the file read-only; its tables must exist."""
        name = uri(path, option)
        reader = cls(await aiosqlite.connect(name, uri=True, isolation_level=None, cached_statements=256))
        settings = f"PRAGMA query_only = ON; PRAGMA cache_size = -{READER_CACHE_KB}; {_SETTINGS}"
        await reader._connection.executescript(settings)
        await reader._connection.set_progress_handler(reader._is_late, INSTRUCTIONS_PER_CHECK)
        return reader

    def _is_late(self) -> int:
        return time.monotonic() > self.deadline

    def check(self) -> None:
        """Raise QueryTimeout if the deadline has passed; a short statement would not notice."""
        if self._is_late():
            raise QueryTimeout(TOO_LONG)

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
                raise QueryTimeout(TOO_LONG) from None
            raise

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()


async def work(function: Callable[..., T], *arguments: Any, size: int) -> T:
    """What a function makes of rows, in another thread if they are more than a few: 500 take some milliseconds."""
    if size <= ROWS_AT_ONCE:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)


class Readers:
    """A pool of readers."""

    def __init__(self, readers: list[Reader], timeout_s: float) -> None:
        self._all = readers
        self._free: asyncio.LifoQueue[Reader] = asyncio.LifoQueue()
        for reader in readers:
            self._free.put_nowait(reader)
        self._timeout_s = timeout_s
        self.timings = Timings(QUERY_NS)  # of what was asked

    @classmethod
    async def open(cls, path: Path, timeout_s: float, *, number: int = READERS, option: str = "mode=ro") -> Readers:
        """Open so many connections."""
        return cls([await Reader.open(path, option) for _ in range(number)], timeout_s)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Reader]:
        """Borrow a reader; the clock for its deadline starts when it is lent.

        Raises:
            QueryTimeout: none became free in time.
        """
        try:
            async with asyncio.timeout(self._timeout_s):  # wait_for of Python 3.11 may lose a cancellation
                reader = await self._free.get()
        except TimeoutError:
            raise QueryTimeout("too many queries at once; try again in a moment") from None
        reader.deadline = time.monotonic() + self._timeout_s
        began_ns = time.monotonic_ns()
        try:
            yield reader
        finally:
            self.timings.count_one(time.monotonic_ns() - began_ns)
            self._free.put_nowait(reader)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        """Borrow a reader whose queries all see the file as it is at the first one.

        A segment that retention takes away in between stays visible to the end. Raises as `reader` does.
        """
        async with self.reader() as reader:
            try:
                await reader.rows("BEGIN")
                yield reader
            finally:  # also of a BEGIN that was cancelled: it may have been carried out
                reader.deadline = float("inf")
                with suppress(sqlite3.OperationalError):
                    await asyncio.shield(reader.rows("ROLLBACK"))

    async def close(self) -> None:
        """Close all of them."""
        for reader in self._all:
            await reader.close()
