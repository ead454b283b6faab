"""The tables, and how a file of an older minitrace becomes one of ours.

Each file in ``migrations/`` takes the schema one version up; ``PRAGMA user_version`` is the number of
the last one that ran. Each runs in a transaction of its own: a process killed in the middle leaves the
version before. `APPLICATION_ID` marks the file as minitrace's, for us and for file(1).
"""

from __future__ import annotations

from importlib import resources

import aiosqlite

from minitrace.errors import SchemaError

APPLICATION_ID = 0x6D745243  # "mtRC"


def migrations() -> list[str]:
    """The SQL of every migration, in order; the first makes version 1."""
    folder = resources.files("minitrace.store").joinpath("migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [file.read_text(encoding="utf-8") for file in files]


async def check(connection: aiosqlite.Connection) -> int:
    """The file's schema version: 0 for a new file, at most our own.

    Raises:
        SchemaError: the file is another application's, or a newer minitrace's.
    """
    application_id = await _pragma(connection, "application_id")
    version = await _pragma(connection, "user_version")
    ours = len(migrations())
    if application_id == APPLICATION_ID and version > ours:
        raise SchemaError(
            f"the database has schema {version}; this minitrace knows up to {ours}. "
            "Upgrade minitrace, or start with another --db"
        )
    if application_id == 0 and version == 0 and await _is_empty(connection):
        return 0
    if application_id != APPLICATION_ID:
        raise SchemaError("the file is an SQLite database, but not minitrace's. Start with another --db")
    return version


async def migrate(connection: aiosqlite.Connection) -> None:
    """Bring the file to our version. Raises SchemaError as `check` does."""
    version = await check(connection)
    for number, sql in enumerate(migrations()[version:], start=version + 1):
        marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number};"
        await connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\n{marks}\nCOMMIT;")


async def _is_empty(connection: aiosqlite.Connection) -> bool:
    rows = list(await connection.execute_fetchall("SELECT count(*) FROM sqlite_master"))
    return bool(rows[0][0] == 0)


async def _pragma(connection: aiosqlite.Connection, name: str) -> int:
    rows = list(await connection.execute_fetchall(f"PRAGMA {name}"))
    return int(rows[0][0])
