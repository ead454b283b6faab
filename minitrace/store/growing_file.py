"""A file written by whoever has the spans, without an event loop and without a thread.

What the store's thread does, for a process that wants to change nothing about itself. A test that fails saves its
spans whatever runs around it: a loop of its own, or a plugin that forbids sockets, without which asyncio has no loop.

| | is there |
|---|---|
| `GrowingFile` | as it grows: what was added stays, whatever becomes of the process |
| `new_file` | once it is whole, and with nothing beside it |
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from minitrace.errors import StoreBusy, StoreError
from minitrace.model import LogRecord, Span
from minitrace.otlp.decode import decode_traces
from minitrace.otlp.log_records import decode_logs
from minitrace.store import runs
from minitrace.store.database import explained, log_of, make_private, open_writer
from minitrace.store.filling import Filling
from minitrace.store.ingest import Ingest, Request, export_of, log_export_of
from minitrace.store.layout import Batch
from minitrace.store.lock import Lock
from minitrace.store.log_layout import LogBatch
from minitrace.store.retention import Limits
from minitrace.store.runs import Run
from minitrace.store.writer import Writer

AT_ONCE = 8_000  # spans of a transaction
TEMPORARY = ".minitrace-"  # what the folder begins with in which a new file is while it is being written


class GrowingFile:
    """One of our files, new or with spans in it already, open for writing by this process alone.

    Raises:
        StoreLocked: another minitrace has it open.
        SchemaError: it is newer than this minitrace, or not one of ours.
        StoreError: it cannot be written, or is no SQLite database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        make_private(path)
        self._lock = Lock(path)
        try:
            with explained(path):
                self._connection = open_writer(path)
                filling = Filling(self._connection, Limits())
                self._writer = Writer(self._connection, filling.services)
        except BaseException:
            self._lock.release()
            raise
        self._ingest = Ingest(filling, self._writer)

    def add(self, spans: Sequence[Span]) -> None:
        """Store spans. Raises StoreBusy; ValueError: a span has ids or texts that OTLP cannot carry."""
        for at in range(0, len(spans), AT_ONCE):
            part = spans[at : at + AT_ONCE]
            self._store(Request(lambda part=part: export_of(part)))  # type: ignore[misc]

    def take(self, body: bytes, *, is_json: bool = False) -> Batch:
        """Store an ExportTraceServiceRequest; returns what of it was. Raises DecodeError, TooLarge, StoreBusy."""
        batch: Batch = self._store(Request(lambda: decode_traces(body, is_json=is_json), len(body)))
        return batch

    def add_logs(self, records: Sequence[LogRecord]) -> None:
        """Store log records. Raises as `add` does."""
        for at in range(0, len(records), AT_ONCE):
            part = records[at : at + AT_ONCE]
            self._store(Request(partial(log_export_of, part, at)))

    def take_logs(self, body: bytes, *, is_json: bool = False) -> LogBatch:
        """Store an ExportLogsServiceRequest; returns what of it was. Raises as `take` does."""
        batch: LogBatch = self._store(Request(lambda: decode_logs(body, is_json=is_json), len(body)))
        return batch

    def begin_run(self, run: Run) -> None:
        """Keep a run, in place of one with its id. Raises StoreBusy."""
        self._change(runs.begin, run)

    def end_run(self, run_id: str, exit_code: int | None, ended_ns: int) -> None:
        """Note how and when a run ended. Raises StoreBusy."""
        self._change(runs.end, run_id, exit_code, ended_ns)

    def close(self) -> None:
        """Make it one file, and let others open it."""
        with suppress(sqlite3.Error):  # then the log stays beside it, and is read with it
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.close()
        self._lock.release()

    def _store(self, request: Request) -> Any:
        (outcome,) = self._ingest.store([request])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _change(self, function: Callable[..., object], *arguments: object) -> None:
        try:
            with self._writer.transaction():
                function(self._connection, *arguments)
        except sqlite3.Error as error:
            raise StoreBusy(f"the database could not be written: {error}") from error


@contextmanager
def new_file(path: Path) -> Iterator[GrowingFile]:
    """Write one of our files; it is at `path` once it is whole, in place of what was there, with nothing beside it.

    Raises:
        StoreLocked: a minitrace has the file open that is there.
        StoreError, OSError: it cannot be written.
    """
    _refuse_if_used(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=path.parent) as folder:
        partial = Path(folder) / "new.db"
        with explained(path), closing(GrowingFile(partial)) as file:
            yield file
        partial.replace(path)


def _refuse_if_used(path: Path) -> None:
    if lock := Lock.for_reading(path):
        lock.release()
    if log_of(path).exists():  # SQLite would read it with the new file
        raise StoreError(f"{log_of(path)} exists: {path.name} is in use, or was when its server was killed")
