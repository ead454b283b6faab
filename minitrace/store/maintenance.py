"""What can be done to a file besides storing in it: `describe` it, `vacuum` it, `back_up`.

Looking at a file and copying it never write to it, work while a server has it open, and leave nothing beside
it. `integrity.py` checks a file, `recovery.py` saves what a damaged one still holds.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from minitrace.errors import StoreError, StoreLocked
from minitrace.store import schema
from minitrace.store.database import damaged, explained, log_of, open_to_read, open_writer
from minitrace.store.lock import Lock, owner

WAL_RESET_FIXED = (3, 51, 3)  # see lock.py
_GROUPS = ("postings", "words", "logwords")  # virtual tables of each segment, with their shadow tables
_COUNTS = """
    SELECT
        (SELECT count(*) FROM spans),
        (SELECT count(*) FROM {logs}),
        (SELECT count(*) FROM traces),
        (SELECT count(DISTINCT service) FROM operations),
        (SELECT count(*) FROM traces WHERE is_pinned)
"""
_SEGMENTS = "SELECT id, span_count, {log_count}, first_received_ns, last_received_ns, state FROM segments ORDER BY id"


@dataclass(frozen=True, slots=True)
class SegmentDescription:
    """What arrived in one stretch of time; retention takes it as a whole."""

    id: int
    span_count: int
    log_count: int
    first_received_ns: int
    last_received_ns: int
    is_leaving: bool


@dataclass(frozen=True, slots=True)
class Description:
    """What is in a file.

    `process` has it open, "" for nobody. `written_by` is the version of SQLite that wrote last, "" if unknown; `sqlite`
    is the one of this Python. `tables` are bytes by table; none where SQLite cannot tell.
    """

    path: str
    process: str
    size_bytes: int
    log_bytes: int
    free_bytes: int
    schema: int
    written_by: str
    sqlite: str
    span_count: int
    log_count: int
    trace_count: int
    service_count: int
    pinned_count: int
    segments: list[SegmentDescription]
    tables: dict[str, int]

    @property
    def warning(self) -> str:
        """What this version of SQLite can do to the file, and what prevents it; "" for nothing."""
        if tuple(map(int, self.sqlite.split("."))) >= WAL_RESET_FIXED:
            return ""
        return (
            f"SQLite {self.sqlite} can damage a file that two connections write at once (fixed in 3.51.3, "
            "https://sqlite.org/wal.html#walresetbug): minitrace uses one, so let no other program write to the "
            "file while minitrace runs, or use a Python with a newer SQLite"
        )


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads one of minitrace's files, in use or not, and leaves nothing beside it.

    A file that is not in use is kept from being opened by a server meanwhile.

    Raises:
        StoreDamaged: it cannot be read.
        SchemaError: it is not minitrace's, or newer.
        StoreError: there is no such file, or nothing in it.
    """
    if not path.is_file():
        raise StoreError(f"there is no file {path}. Name the file that minitrace stores in")
    lock, is_used = None, False
    try:
        lock = Lock.for_reading(path)
    except StoreLocked:
        is_used = True
    try:
        with explained(path), closing(open_to_read(path, is_used=is_used)) as connection:
            if not schema.check(connection):
                raise StoreError(f"there is nothing in {path} yet. Start minitrace with it and send a span")
            yield connection
    finally:
        if lock:
            lock.release()


def describe(path: Path) -> Description:
    """What is in the file. Raises as `reading` does."""
    process = process_of(path)
    written_by = _written_by(path, process)
    with reading(path) as connection:
        connection.execute("BEGIN")  # all of it at one moment
        logs, log_count = ("logs", "log_count") if schema.has_logs(connection) else ("(SELECT 1 WHERE 0)", "0")
        spans, records, traces, services, pinned = connection.execute(_COUNTS.format(logs=logs)).fetchone()
        segments = [
            SegmentDescription(id_, spans, logs, first_ns, last_ns, bool(state))
            for id_, spans, logs, first_ns, last_ns, state in connection.execute(_SEGMENTS.format(log_count=log_count))
        ]
        return Description(
            path=str(path),
            process=process,
            size_bytes=path.stat().st_size,
            log_bytes=log_of(path).stat().st_size if log_of(path).exists() else 0,
            free_bytes=_pragma(connection, "freelist_count") * _pragma(connection, "page_size"),
            schema=_pragma(connection, "user_version"),
            written_by=written_by,
            sqlite=sqlite3.sqlite_version,
            span_count=spans,
            log_count=records,
            trace_count=traces,
            service_count=services,
            pinned_count=pinned,
            segments=segments,
            tables=_tables(connection),
        )


def process_of(path: Path) -> str:
    """The id of the process that has the file open, or ""."""
    try:
        lock = Lock.for_reading(path)
    except StoreLocked:
        return owner(path)
    if lock:
        lock.release()
    return ""


def _written_by(path: Path, process: str) -> str:
    """The version of SQLite in the file's header, see https://sqlite.org/fileformat.html#write_library_version_number.

    Not asked of a file that this very process has open: closing it would let go of SQLite's locks on it.
    """
    if process == str(os.getpid()) or not path.is_file() or not os.access(path, os.R_OK):
        return ""
    with path.open("rb") as file:
        number = int.from_bytes(file.read(100)[96:100], "big")
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}" if number else ""


def _tables(connection: sqlite3.Connection) -> dict[str, int]:
    """Bytes by table, its indexes included, the largest first; all segments' virtual tables of a kind together."""
    sql = """
        SELECT coalesce(tbl_name, dbstat.name), pgsize
        FROM dbstat LEFT JOIN sqlite_master ON sqlite_master.name = dbstat.name
        WHERE aggregate = TRUE
    """
    sizes: dict[str, int] = {}
    with suppress(sqlite3.OperationalError):  # some builds of SQLite have no dbstat
        for table, size_bytes in connection.execute(sql):
            group = table.partition("_")[0]
            name = group if group in _GROUPS else table
            sizes[name] = sizes.get(name, 0) + size_bytes
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def vacuum(path: Path) -> tuple[int, int]:
    """Write the file anew, without gaps; returns its size before and after.

    Raises:
        StoreLocked: a server has it open.
        StoreError: the disk has not enough room. And as `open_writer` does.
    """
    with reading(path):
        pass  # there is such a file, and it is ours
    lock = Lock(path)
    try:
        before = sum(file.stat().st_size for file in (path, log_of(path)) if file.exists())
        require_room(path.parent, 2 * before, "a new copy of the file and for its write-ahead log")
        with explained(path), closing(open_writer(path)) as connection, _temporary_files_in(path.parent):
            # open_writer keeps what is temporary in memory, which would be the whole file here
            connection.execute("PRAGMA temp_store = FILE")
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return before, path.stat().st_size
    finally:
        lock.release()


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Let SQLite make its temporary files there: /tmp may be small, or memory."""
    before = os.environ.get("SQLITE_TMPDIR")
    os.environ["SQLITE_TMPDIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["SQLITE_TMPDIR"]
        if before is not None:
            os.environ["SQLITE_TMPDIR"] = before


def require_room(folder: Path, size_bytes: int, purpose: str) -> None:
    """Raise StoreError unless a folder's disk has that much room."""
    free = shutil.disk_usage(folder).free
    if free < size_bytes:
        needed, there = (f"{number / 1e6:,.0f} MB".replace(",", " ") for number in (size_bytes, free))
        raise StoreError(f"{needed} are needed in {folder} for {purpose}, and {there} are free. Make room there")


def back_up(path: Path, target: Path, *, is_forced: bool = False) -> int:
    """Copy the file, in use or not, as it is at one moment; returns how many spans the copy has.

    All that was acknowledged before the call is in it. The copy is made by one step of SQLite's backup API, which
    holds one read transaction: a backup in several steps begins again whenever the writer commits, and under load
    never ends. ``VACUUM INTO`` is one transaction as well, but builds every table and index anew instead of
    copying pages, and as long as it reads the write-ahead log cannot be used again from its start.

    Only its owner may read the copy. It is written beside its place as ``<target>.partial``, checked, and renamed.

    Raises:
        StoreDamaged: the file is damaged, and so would the copy be; there is none.
        StoreError: `target` is there already and `is_forced` is not said, or cannot be written. And as `reading` does.
    """
    partial = target.with_name(target.name + ".partial")
    _refuse_to_overwrite(path, target, partial, is_forced)
    with reading(path) as source:
        _make_file(partial, is_forced)
        try:
            copy_pages(source, partial)
            count = _checked_count(path, partial)
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    return count


def copy_pages(source: sqlite3.Connection, target: Path) -> None:
    """Copy a database into an empty file, page by page: what is damaged is damaged in the copy too."""
    with explained(target), closing(sqlite3.connect(target, isolation_level=None)) as connection:
        require_room(target.parent, _pragma(source, "page_count") * _pragma(source, "page_size"), "a copy of the file")
        source.backup(connection, pages=-1)


def _refuse_to_overwrite(path: Path, target: Path, partial: Path, is_forced: bool) -> None:
    if target.is_dir():
        raise StoreError(f"{target} is a folder. Name a file in it, such as {target / path.name}")
    if target.exists():
        if path.exists() and target.samefile(path):
            raise StoreError(f"{target} is the file itself. Name another place for the copy")
        if not is_forced:
            raise StoreError(f"{target} exists. Name another place for the copy, or add --force to replace it")
    if partial.exists() and not is_forced:
        raise StoreError(
            f"{partial} exists: a backup is being made there, or one was cut off. "
            "Wait for it, or add --force to begin anew"
        )
    if log_of(target).exists():
        raise StoreError(
            f"{log_of(target)} exists: {target.name} is in use, or was when its server was killed. "
            "Name another place for the copy"
        )


def _make_file(partial: Path, is_forced: bool) -> None:
    try:
        if is_forced:
            partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise StoreError(f"cannot write to {partial}: {error.strerror}. Name another place for the copy") from None


def _checked_count(path: Path, copy: Path) -> int:
    with explained(path), closing(open_to_read(copy, is_used=False)) as connection:
        if connection.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
            raise damaged(path)
        return int(connection.execute("SELECT count(*) FROM spans").fetchone()[0])


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
