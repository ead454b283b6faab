"""Where the bytes of the file are: each table with its indices, a span.

    python benchmarks/size.py [--spans N] [--db FILE]

The index of every segment (`postings_1_data` …) counts as "postings", that of the words of values as "words".
"""

from __future__ import annotations

import argparse
import re
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from measuring import fill, machine, print_table


def group(table: str, name: str) -> str:
    """The row that a table or an index of the file is counted in."""
    if found := re.match(r"(postings|words)_\d+_", table):
        return found[1]
    return table if name == table else f"{table}, indices"


def sizes(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Bytes by group, and those of them that are empty space in pages; the largest first.

    Raises:
        sqlite3.OperationalError: this SQLite is built without dbstat.
    """
    tables = dict(connection.execute("SELECT name, tbl_name FROM sqlite_master").fetchall())
    found: dict[str, tuple[int, int]] = {}
    for name, size, unused in connection.execute("SELECT name, pgsize, unused FROM dbstat WHERE aggregate = TRUE"):
        key = group(tables.get(name, name), name)
        before = found.get(key, (0, 0))
        found[key] = (before[0] + size, before[1] + unused)
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def main() -> None:
    """Print the tables, the largest first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spans", type=int, default=200_000, help="how many to store, without --db")
    parser.add_argument("--db", type=Path, help="look at this file instead; no minitrace may have it open")
    asked = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="minitrace-benchmark-") as folder:
        db = asked.db or Path(folder) / "size.db"
        if not asked.db:
            fill(db, asked.spans)
        with closing(sqlite3.connect(f"{db.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            _print(connection)


def _print(connection: sqlite3.Connection) -> None:
    def value(sql: str) -> int:
        return int(connection.execute(sql).fetchone()[0])

    spans, page_bytes = value("SELECT count(*) FROM spans"), value("PRAGMA page_size")
    whole, free = value("PRAGMA page_count") * page_bytes, value("PRAGMA freelist_count") * page_bytes
    found = sizes(connection)
    found["free pages"] = (free, free)
    found["pointer map and the like"] = (whole - sum(size for size, _ in found.values()), 0)
    found["the file"] = (whole, sum(unused for _, unused in found.values()))
    segments = value("SELECT count(*) FROM segments")
    print(f"{spans:,} spans in {segments} segments, {value('SELECT count(*) FROM traces'):,} traces, "
          f"{value('SELECT count(*) FROM dictionary'):,} values\n")  # fmt: skip
    print_table(
        ["table", "MB", "bytes a span", "of them unused", "share"],
        [
            (name, f"{size / 1e6:.1f}", f"{size / spans:.1f}", f"{unused / spans:.1f}", f"{size / whole:.1%}")
            for name, (size, unused) in found.items()
            if size / whole >= 0.0005 or name == "free pages"
        ],
    )


if __name__ == "__main__":
    main()
