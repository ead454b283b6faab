"""Work for later: a queue in a SQLite file, written by the web server, read by the worker."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from opentelemetry import propagate


@dataclass(frozen=True)
class Job:
    """Something to do, and the trace that it belongs to."""

    id: int
    kind: str
    order_id: int
    context: dict[str, str]


class Jobs:
    """The queue. Every call opens the file anew, so that threads and processes may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with closing(self._connect()) as database:
            database.execute("CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, kind, order_id, context)")

    def put(self, kind: str, order_id: int) -> int:
        """Add a job, with the current span as its origin; its id."""
        context: dict[str, str] = {}
        propagate.inject(context)
        with closing(self._connect()) as database:
            row = database.execute(
                "INSERT INTO jobs (kind, order_id, context) VALUES (?, ?, ?) RETURNING id",
                (kind, order_id, json.dumps(context)),
            ).fetchone()
        return int(row[0])

    def take(self) -> Job | None:
        """The oldest job, which nobody else gets then."""
        with closing(self._connect()) as database:
            row = database.execute(
                "DELETE FROM jobs WHERE id = (SELECT min(id) FROM jobs) RETURNING id, kind, order_id, context"
            ).fetchone()
        return Job(row[0], row[1], row[2], json.loads(row[3])) if row else None

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None, timeout=30)
