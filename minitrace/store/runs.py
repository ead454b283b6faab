"""Runs: what happened between a start and an end that somebody may want to compare.

A server, a command under `minitrace run`, a session of tests. The spans of a command name their run in their
resource; to a server's run belongs what arrived meanwhile.
"""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, dataclass, fields
from enum import StrEnum
from typing import Any

from minitrace.model import MAX_TIME_NS
from minitrace.store.database import Reader
from minitrace.store.search import Search
from minitrace.traceql.ast import Attribute, Binary, Pipeline, SpansetFilter, Static

RUN_ID = "minitrace.run.id"  # the attribute of resources
MOST_RUNS = 1000  # are kept, the newest


class RunKind(StrEnum):
    """What a run is of."""

    SERVER = "server"
    COMMAND = "command"
    PYTEST = "pytest"


@dataclass(frozen=True, slots=True)
class Run:
    """A run, as the table `runs` has it.

    `label` is the command line. `git_commit` has 40 digits and is None outside a repository; `git_branch` is None
    where none is checked out; `is_dirty` if something was changed and not committed. `ended_ns` is None while it goes
    on, or if nobody saw its end.
    """

    id: str
    kind: str
    label: str
    directory: str
    started_ns: int
    git_commit: str | None = None
    git_branch: str | None = None
    is_dirty: bool = False
    ended_ns: int | None = None
    exit_code: int | None = None

    def search(self, limit: int = 1000) -> Search:
        """The search for its traces, newest first."""
        if self.kind == RunKind.SERVER:
            return Search(limit=limit, received=(self.started_ns, self.ended_ns or MAX_TIME_NS))
        named = Binary("=", Attribute("resource", RUN_ID), Static(self.id))
        return Search(Pipeline((SpansetFilter(named),)), limit=limit)


_COLUMNS = ", ".join(field.name for field in fields(Run))


def begin(connection: sqlite3.Connection, run: Run) -> None:
    """Keep a run, in place of one with its id; the oldest leave when there are too many.

    A file has one server at a time: one that is still open when the next begins was killed, and ended when the last
    span came.
    """
    if run.kind == RunKind.SERVER:
        connection.execute(
            """
            UPDATE runs
            SET ended_ns = max(started_ns, coalesce((SELECT max(last_received_ns) FROM segments), 0))
            WHERE kind = ? AND ended_ns IS NULL
            """,
            (RunKind.SERVER,),
        )
    marks = ", ".join("?" * len(fields(Run)))
    connection.execute(f"INSERT OR REPLACE INTO runs ({_COLUMNS}) VALUES ({marks})", astuple(run))
    connection.execute(
        "DELETE FROM runs WHERE id IN (SELECT id FROM runs ORDER BY started_ns DESC, id LIMIT -1 OFFSET ?)",
        (MOST_RUNS,),
    )


def end(connection: sqlite3.Connection, run_id: str, exit_code: int | None, ended_ns: int) -> bool:
    """Note how and when a run ended; False if there is none with this id."""
    sql = "UPDATE runs SET ended_ns = ?, exit_code = ? WHERE id = ?"
    return connection.execute(sql, (ended_ns, exit_code, run_id)).rowcount > 0


async def load_runs(reader: Reader, limit: int) -> list[Run]:
    """The newest runs, newest first."""
    sql = f"SELECT {_COLUMNS} FROM runs ORDER BY started_ns DESC, id LIMIT ?"
    return [_run(row) for row in await reader.rows(sql, (limit,))]


async def load_run(reader: Reader, run_id: str) -> Run | None:
    """The run with this id."""
    rows = await reader.rows(f"SELECT {_COLUMNS} FROM runs WHERE id = ?", (run_id,))
    return _run(rows[0]) if rows else None


def _run(row: Any) -> Run:
    values = dict(zip((field.name for field in fields(Run)), row, strict=True))
    return Run(**{**values, "is_dirty": bool(values["is_dirty"])})
