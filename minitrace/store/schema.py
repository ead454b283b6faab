"""The tables, and how a file of an older minitrace becomes one of ours.

Each file in ``migrations/`` takes the schema to the version its name begins with; ``PRAGMA user_version`` is the
number of the last one that ran. Each runs in a transaction of its own: a process killed in the middle leaves
the version before. `APPLICATION_ID` marks the file as minitrace's, for us and for file(1).
"""

from __future__ import annotations

import os
import sqlite3
from importlib import resources
from pathlib import Path

from minitrace.errors import SchemaError

APPLICATION_ID = 0x6D745243  # "mtRC"
FIRST_VERSION = 2  # 1 was never released
LOGS_VERSION = 4  # the first that has log records


def migrations() -> dict[int, str]:
    """The SQL of every migration by the version it leads to; the first makes a file from nothing."""
    folder = resources.files("minitrace.store").joinpath("migrations")
    files = {int(file.name.partition("_")[0]): file for file in folder.iterdir() if file.name.endswith(".sql")}
    return {version: files[version].read_text(encoding="utf-8") for version in sorted(files)}


def check(connection: sqlite3.Connection) -> int:
    """The file's schema version: 0 for a new file, at most our own.

    Raises:
        SchemaError: the file is another application's, or a newer minitrace's, or from before the first release.
    """
    application_id = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    ours = max(migrations())
    if application_id == 0 and version == 0 and _is_empty(connection):
        return 0
    if application_id != APPLICATION_ID:
        raise SchemaError("the file is an SQLite database, but not minitrace's. Start with another --db")
    if version > ours:
        raise SchemaError(
            f"the database has schema {version}; this minitrace knows up to {ours}. "
            "Upgrade minitrace, or start with another --db"
        )
    if version < FIRST_VERSION:
        raise SchemaError(
            "the database was made by a minitrace from before the first release, whose tables were others. "
            "Move the file away, or start with another --db"
        )
    return version


def has_logs(connection: sqlite3.Connection) -> bool:
    """Whether a file that is only read is new enough to hold log records."""
    return _pragma(connection, "user_version") >= LOGS_VERSION


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to our version. An older one is first copied to ``<path>.before-<version>``, which stays.

    Raises:
        SchemaError: as `check` does.
    """
    version = check(connection)
    missing = {number: sql for number, sql in migrations().items() if number > version}
    if missing and version:
        _back_up(connection, path.with_name(f"{path.name}.before-{max(missing)}"))
    for number, sql in missing.items():
        marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number};"
        connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\n;{marks}\nCOMMIT;")


def _back_up(connection: sqlite3.Connection, path: Path) -> None:
    """A copy that is there only when it is whole; it takes the place of one from an attempt before."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)  # of an attempt that did not come to its end
    partial.touch(mode=0o600)  # VACUUM INTO takes a file that is empty
    connection.execute("VACUUM INTO ?", (str(partial),))
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def _is_empty(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
