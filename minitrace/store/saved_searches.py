"""Searches that somebody gave a name."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from minitrace.store.database import Reader


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """`query` is the query string of the search page's address."""

    name: str
    query: str
    saved_ns: int


async def saved_searches(reader: Reader) -> list[SavedSearch]:
    """All, in alphabetical order."""
    sql = "SELECT name, query, saved_ns FROM saved_searches ORDER BY name COLLATE NOCASE, name"
    return [SavedSearch(*row) for row in await reader.rows(sql)]


def save(connection: sqlite3.Connection, search: SavedSearch) -> None:
    """Keep a search; one of the same name gives way."""
    connection.execute(
        "INSERT OR REPLACE INTO saved_searches (name, query, saved_ns) VALUES (?, ?, ?)",
        (search.name, search.query, search.saved_ns),
    )


def forget(connection: sqlite3.Connection, name: str) -> None:
    """Keep the search of this name no longer."""
    connection.execute("DELETE FROM saved_searches WHERE name = ?", (name,))
