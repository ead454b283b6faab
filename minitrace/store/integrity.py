"""Checks of a file: SQLite's own, those of its full-text indexes, and what minitrace promises itself.

They run on a copy in a private temporary folder, as some of them have to write: a file in use can be checked,
and nothing is ever written to it. The copy is made page by page, so that damage is copied too.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from minitrace.errors import StoreDamaged
from minitrace.store import rolling, schema, summaries, tokens
from minitrace.store.maintenance import copy_pages, reading

MAX_PROBLEMS = 20
TRACES_PER_STEP = 5_000

# Traces that lose spans just now are not up to date before the last of these is gone, see retention.py.
_SETTLED = """
    SELECT id FROM traces
    WHERE id NOT IN (
        SELECT trace FROM segments JOIN spans ON spans.id BETWEEN first_span AND last_span WHERE state = 1
    )
"""
_SUMMARY = (
    "span_count", "error_count", "start_ns", "end_ns", "has_time", "root_start_ns", "root_span_id", "root_service",
    "root_name",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check found: sentences, at most `MAX_PROBLEMS`; and how much there is, as far as can be told."""

    span_count: int
    log_count: int
    problems: list[str]


def check(path: Path, report: Callable[[str], None] = lambda line: None) -> Findings:
    """Look for damage in a file, in use or not. `report` is told what is looked at.

    Raises:
        SchemaError: it is not minitrace's, or newer.
        StoreError: there is no such file, or no room for a copy of it.
    """
    with tempfile.TemporaryDirectory(prefix="minitrace-check-") as folder:
        copy = Path(folder) / "copy.db"
        report("copying the file")
        try:
            with reading(path) as source:
                copy_pages(source, copy)
        except StoreDamaged as error:
            return Findings(0, 0, [f"SQLite cannot read it: {error.__cause__}"])
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            return _check(connection, report)


def _check(connection: sqlite3.Connection, report: Callable[[str], None]) -> Findings:
    problems: list[str] = []
    for name, step in _STEPS.items():
        report(f"checking {name}")
        try:
            problems.extend(islice(step(connection), MAX_PROBLEMS - len(problems)))  # keeps those before an error
        except sqlite3.DatabaseError as error:
            problems.append(f"{name} cannot be read to their end: {error}")
        if len(problems) >= MAX_PROBLEMS:
            break
    return Findings(_count(connection, "spans"), _count(connection, "logs"), problems)


def _count(connection: sqlite3.Connection, table: str) -> int:
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.DatabaseError:
        return 0


def _pages(connection: sqlite3.Connection) -> Iterator[str]:
    """SQLite's own check of every page, row and index."""
    for (said,) in connection.execute(f"PRAGMA integrity_check({MAX_PROBLEMS})"):
        if said != "ok":
            yield said


def _indexes(connection: sqlite3.Connection) -> Iterator[str]:
    """FTS5's own check; and whether the index knows each span, by the one token that every span has of its resource."""
    present = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    for segment, first, last in _segments(connection):
        for kind in ("postings", "words"):
            name = f"{kind}_{segment}"
            if name not in present:
                yield f"the index {name} is missing"
                continue
            try:
                connection.execute(f"INSERT INTO {name} ({name}) VALUES ('integrity-check')")
            except sqlite3.DatabaseError as error:
                yield f"the index {name} is damaged: {error}"
        if f"counts_{segment}" not in present:
            yield f"the table counts_{segment} is missing"
            continue
        resource = tokens.letters(tokens.RESOURCE)
        sql = f"SELECT coalesce(sum(doc), 0) FROM counts_{segment} WHERE term >= ? AND term < ?"
        (indexed,) = connection.execute(sql, (f"{resource}0", f"{resource}:")).fetchone()
        (stored,) = connection.execute("SELECT count(*) FROM spans WHERE id BETWEEN ? AND ?", (first, last)).fetchone()
        if indexed < stored:
            yield f"segment {segment} has {stored} spans, but only {indexed} of them can be found by search"


def _log_indexes(connection: sqlite3.Connection) -> Iterator[str]:
    """The same for log records."""
    present = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    for segment, first, last in _log_segments(connection):
        name = f"logwords_{segment}"
        if name not in present or f"logterms_{segment}" not in present:
            yield f"the index {name} is missing"
            continue
        try:
            connection.execute(f"INSERT INTO {name} ({name}) VALUES ('integrity-check')")
        except sqlite3.DatabaseError as error:
            yield f"the index {name} is damaged: {error}"
        resource = f"{tokens.LOG_SIGN}{tokens.letters(tokens.RESOURCE)}"
        sql = f"SELECT coalesce(sum(doc), 0) FROM logterms_{segment} WHERE term >= ? AND term < ?"
        (indexed,) = connection.execute(sql, (f"{resource}0", f"{resource}:")).fetchone()
        (stored,) = connection.execute("SELECT count(*) FROM logs WHERE id BETWEEN ? AND ?", (first, last)).fetchone()
        if indexed < stored:
            yield f"segment {segment} has {stored} log records, but only {indexed} of them can be found by search"


def _values(connection: sqlite3.Connection) -> Iterator[str]:
    """Whether every token of spans, resources and scopes stands for a value, and the value for a key."""
    for segment, first, last in _segments(connection):
        bounds = (tokens.first_id(segment), tokens.first_id(segment + 1) - 1)
        stored = {row[0] for row in connection.execute("SELECT id FROM dictionary WHERE id BETWEEN ? AND ?", bounds)}
        keys = {row[0] for row in connection.execute("SELECT number FROM keys WHERE segment = ?", (segment,))}
        for value_id in stored:
            if tokens.key_of(value_id) not in keys:
                yield f"a value of segment {segment} has no key (dictionary {value_id})"
        numbered = (tokens.numbered_id(segment, 0), tokens.numbered_id(segment + 1, 0) - 1)
        origins: dict[str, set[int]] = {}
        for table in ("resources", "scopes"):
            rows = connection.execute(f"SELECT id, attributes FROM {table} WHERE id BETWEEN ? AND ?", numbered)
            origins[table] = set()
            for id_, text in rows:
                origins[table].add(id_ - numbered[0])
                yield from _missing(f"{table[:-1]} {id_} (of segment {segment})", segment, text, stored)
        sql = "SELECT id, attributes, more, name, resource, scope FROM spans WHERE id BETWEEN ? AND ?"
        seen: set[str] = set()
        for id_, attributes, more, name, resource, scope in connection.execute(sql, (first, last)):
            text = f"{attributes} {more or ''} {tokens.letters(tokens.NAME)}{name}"
            if text not in seen:
                yield from _missing(f"span {id_} (of segment {segment})", segment, text, stored)
                seen.add(text)
            for table, number in (("resources", resource), ("scopes", scope)):
                if number not in origins[table]:
                    yield f"span {id_} (of segment {segment}) names a {table[:-1]} that is not stored ({number})"


def _log_values(connection: sqlite3.Connection) -> Iterator[str]:
    """Whether every token of log records stands for a value, and whether their resources and scopes are stored."""
    for segment, first, last in _log_segments(connection):
        bounds = (tokens.first_id(segment), tokens.first_id(segment + 1) - 1)
        stored = {row[0] for row in connection.execute("SELECT id FROM dictionary WHERE id BETWEEN ? AND ?", bounds)}
        below, above = tokens.numbered_id(segment, 0), tokens.numbered_id(segment + 1, 0)
        numbers: dict[str, set[int]] = {}
        for table in ("resources", "scopes"):
            sql = f"SELECT id FROM {table} WHERE id > ? AND id < ?"
            numbers[table] = {row[0] - below for row in connection.execute(sql, (below, above))}
        sql = "SELECT id, attributes || ' ' || more, resource, scope FROM logs WHERE id BETWEEN ? AND ?"
        for id_, text, resource, scope in connection.execute(sql, (first, last)):
            yield from _missing(f"log record {id_} (of segment {segment})", segment, text, stored)
            for table, number in (("resources", resource), ("scopes", scope)):
                if number not in numbers[table]:
                    yield f"log record {id_} (of segment {segment}) names a {table[:-1]} that is not stored ({number})"


def _missing(what: str, segment: int, text: str, stored: set[int]) -> Iterator[str]:
    for token in text.split():
        try:
            value_id = tokens.id_of(segment, token)
        except ValueError:
            yield f"{what} has something that is no token: {token[:20]!r}"
            continue
        if value_id not in stored:
            yield f"{what} has an attribute, name or event whose value is lost (dictionary {value_id})"


def _owners(connection: sqlite3.Connection) -> Iterator[str]:
    """Whether every span belongs to a trace and to a segment, and every log record to a segment."""
    rows = connection.execute("SELECT id FROM spans WHERE trace NOT IN (SELECT id FROM traces)")
    for (span,) in rows:
        yield f"span {span} belongs to a trace that is not stored"
    segments = "SELECT 1 FROM segments WHERE spans.id BETWEEN first_span AND last_span AND state < 2"
    for (span,) in connection.execute(f"SELECT id FROM spans WHERE NOT EXISTS ({segments})"):
        yield f"span {span} belongs to no segment"
    if not schema.has_logs(connection):
        return
    segments = "SELECT 1 FROM segments WHERE logs.id BETWEEN first_log AND last_log AND state < 2"
    for (log,) in connection.execute(f"SELECT id FROM logs WHERE NOT EXISTS ({segments})"):
        yield f"log record {log} belongs to no segment"


def _summaries(connection: sqlite3.Connection) -> Iterator[str]:
    """Whether the summary of every trace says what its spans say."""
    summaries.prepare(connection)
    settled = [row[0] for row in connection.execute(_SETTLED)]
    connection.execute("BEGIN IMMEDIATE")
    try:
        for first in range(0, len(settled), TRACES_PER_STEP):
            traces = settled[first : first + TRACES_PER_STEP]
            before = {trace: _summary(connection, trace) for trace in traces}
            summaries.recompute(connection, traces)
            for trace, (trace_id, *said) in before.items():
                _, *true = _summary(connection, trace)
                if said != true:
                    yield f"the summary of trace {trace_id.hex()} is wrong: {_difference(said, true)}"
    finally:
        connection.execute("ROLLBACK")


def _rollups(connection: sqlite3.Connection) -> Iterator[str]:
    """Whether what was counted ahead is what counting gives; a file of an older version has no table for it."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'red'").fetchone():
        return
    for piece in rolling.wrong(connection):
        yield f"rate, errors and durations of the spans from {piece.first} to {piece.last} are wrong"


def _summary(connection: sqlite3.Connection, trace: int) -> list[Any]:
    """The trace's id, columns, services with their counts, and the parents it waits for."""
    row = connection.execute(f"SELECT trace_id, {', '.join(_SUMMARY)} FROM traces WHERE id = ?", (trace,)).fetchone()
    services = "SELECT service, span_count, error_count FROM trace_services WHERE trace = ? ORDER BY service"
    awaited = "SELECT hex(span_id) FROM awaited WHERE trace = ? ORDER BY span_id"
    return [
        *(row or (b"", *[None] * len(_SUMMARY))),
        connection.execute(services, (trace,)).fetchall(),
        connection.execute(awaited, (trace,)).fetchall(),
    ]


def _difference(said: Iterable[Any], true: Iterable[Any]) -> str:
    names = (*_SUMMARY, "services", "awaited parents")
    return ", ".join(
        f"{name} is {_shown(one)}, should be {_shown(other)}"
        for name, one, other in zip(names, said, true, strict=True)
        if one != other
    )


def _shown(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else "none" if value is None else str(value)


def _segments(connection: sqlite3.Connection) -> list[tuple[int, int, int]]:
    """Those whose spans are there, with the range of these."""
    return connection.execute("SELECT id, first_span, last_span FROM segments WHERE state < 2 ORDER BY id").fetchall()


def _log_segments(connection: sqlite3.Connection) -> list[tuple[int, int, int]]:
    """The same for log records."""
    if not schema.has_logs(connection):
        return []
    sql = "SELECT id, first_log, last_log FROM segments WHERE state < 2 AND last_log >= first_log ORDER BY id"
    return connection.execute(sql).fetchall()


_STEPS: dict[str, Callable[[sqlite3.Connection], Iterator[str]]] = {
    "pages": _pages,
    "full-text indexes": _indexes,
    "full-text indexes of logs": _log_indexes,
    "values": _values,
    "values of logs": _log_values,
    "spans and logs": _owners,
    "summaries": _summaries,
    "roll-ups": _rollups,
}
