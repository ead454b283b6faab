"""Files that somebody may want to import: what is in them, before anything of it is stored.

```
a form's files → read_contents → Upload → look: how many of its spans are here already
                                        → store: stored, and remembered where → undo
```

An upload lives in memory. Of those that wait for an answer the last few are kept; of those that were imported only the
rows, so that they can be undone until minitrace ends.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from minitrace.errors import MinitraceError
from minitrace.live import Live
from minitrace.otlp.decode import decode_traces
from minitrace.store.deletion import Removed
from minitrace.store.ingest import export_of, log_export_of
from minitrace.store.layout import Batch
from minitrace.store.log_layout import LogBatch
from minitrace.store.store import Store
from minitrace.web.contents import Bundle, Contents, LogBundle

SHOWN_PROBLEMS = 5  # of a file
KEPT_WAITING = 4
KEPT = 50
BUSY_S, BUSY_TRIES = 0.1, 100  # how long, and how often, to wait for a store that takes nothing now

log = logging.getLogger(__name__)


class State(StrEnum):
    """What became of an upload."""

    WAITING = "waiting"
    IMPORTING = "importing"
    IMPORTED = "imported"
    UNDOING = "undoing"
    UNDONE = "undone"


@dataclass
class Upload:
    """Files, and what becomes of them.

    `here_count` of the spans were stored before, and spans of `known_count` traces. `done` spans and log records were
    dealt with so far; `added` spans were new, and are in these `rows`. The same of log records: `logs_here`,
    `logs_added`, `log_rows`.
    """

    contents: Contents
    here_count: int = 0
    known_count: int = 0
    logs_here: int = 0
    key: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = State.WAITING
    done: int = 0
    added: int = 0
    rows: list[range] = field(default_factory=list)
    logs_added: int = 0
    log_rows: list[range] = field(default_factory=list)
    removed: Removed = field(default_factory=Removed)
    problem: str = ""
    task: asyncio.Task[None] | None = None

    async def look(self, store: Store) -> None:
        """Count what is stored already. Raises QueryTimeout."""
        for bundle in self.contents.bundles:
            if known := await store.known(bundle.trace_ids):
                self.known_count += len(known)
                self.here_count += bundle.span_count - len(await store.unknown(await bundle.spans()))
        for logs in self.contents.log_bundles:
            self.logs_here += logs.record_count - len(await store.unknown_logs(await logs.records()))

    async def begin(self, state: State, work: Coroutine[Any, Any, None], wait_s: float) -> None:
        """Be in a state from now on, so that nothing else begins, and wait for the end of this work for a moment."""
        self.state = state
        self.task = asyncio.create_task(work, name="minitrace import")
        await asyncio.wait({self.task}, timeout=wait_s)

    async def store(self, store: Store, live: Live) -> None:
        """Store what is new of it, and note where."""
        try:
            for bundle in self.contents.bundles:
                batch = await _store(store, bundle)
                live.publish(batch.trace_ids)
                self.rows += batch.rows
                self.added += batch.added
                self.done += bundle.span_count
            for logs in self.contents.log_bundles:
                said = await _store_logs(store, logs)
                live.publish(said.trace_ids)
                self.log_rows += said.rows
                self.logs_added += said.added
                self.done += logs.record_count
        except Exception as error:  # nobody awaits it: what went wrong stands on the page
            self.problem = _told(error)
        finally:
            self.contents.bundles.clear()
            self.contents.log_bundles.clear()
            self.state = State.IMPORTED

    async def undo(self, store: Store) -> None:
        """Take away what was new."""
        outcome = State.IMPORTED
        try:
            self.removed = await store.take_back(self.rows, self.log_rows)
            outcome = State.UNDONE
        except Exception as error:  # nobody awaits it: what went wrong stands on the page
            self.problem = _told(error)
        finally:
            self.state = outcome


def _told(error: Exception) -> str:
    if isinstance(error, MinitraceError):
        return str(error)
    log.error("an import failed", exc_info=error)
    return "minitrace failed at this; its log says why"


async def _store(store: Store, bundle: Bundle) -> Batch:
    await _until_it_takes(store)
    if not await store.known(bundle.trace_ids):
        return await store.take(lambda: decode_traces(bundle.content, is_json=False), len(bundle.content))
    spans = await store.unknown(await bundle.spans())
    return await store.take(lambda: export_of(spans), len(bundle.content))


async def _store_logs(store: Store, bundle: LogBundle) -> LogBatch:
    await _until_it_takes(store)
    records = await store.unknown_logs(await bundle.records())
    return await store.take_logs(lambda: log_export_of(records), len(bundle.content))


async def _until_it_takes(store: Store) -> None:
    """Wait for a store that is busy, for a while."""
    for _ in range(BUSY_TRIES):
        if not store.is_busy:
            break
        await asyncio.sleep(BUSY_S)


class Uploads:
    """The uploads of late, by their keys, the newest last."""

    def __init__(self) -> None:
        self._by_key: dict[str, Upload] = {}

    def __getitem__(self, key: str) -> Upload:
        """Raises KeyError."""
        return self._by_key[key]

    def add(self, upload: Upload) -> None:
        """Keep one more."""
        self._by_key[upload.key] = upload
        waiting = [one for one in self._by_key.values() if one.state is State.WAITING]
        rest = [one for one in self._by_key.values() if one.state in (State.IMPORTED, State.UNDONE)]
        for one in (*waiting[:-KEPT_WAITING], *rest[:-KEPT]):
            self.forget(one)

    def forget(self, upload: Upload) -> None:
        """Keep it no longer."""
        self._by_key.pop(upload.key, None)

    @property
    def imported(self) -> list[Upload]:
        """Those that can be undone, newest first."""
        return [
            one for one in reversed(self._by_key.values()) if one.state is State.IMPORTED and one.added + one.logs_added
        ]
