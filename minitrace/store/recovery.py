"""A damaged file to a new one with all spans and log records that can still be read.

Rows are read in slices, and a slice that cannot be read in halves, down to one row: a page that is lost takes only its
own rows along, and a span whose attributes are lost is saved without them. What was read goes through the store
into a new file, which is put in the place of the old one when it is whole. The old one is renamed and kept.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite
from google.protobuf.message import DecodeError as ProtobufError

from minitrace.errors import SchemaError, StoreBusy, StoreDamaged, StoreError
from minitrace.model import Attributes, LogRecord, Resource, Scope, Span, Value
from minitrace.store import log_rows, schema, tokens, values
from minitrace.store.database import Reader, explained, log_of, open_to_read, open_writer, uri
from minitrace.store.ingest import log_export_of
from minitrace.store.lock import Lock
from minitrace.store.maintenance import require_room
from minitrace.store.segment import EVENT_NAME, SEVERITY_TEXT, TOKENS_OF_SCOPE
from minitrace.store.store import Store
from minitrace.store.traces import read_rest

ROWS_PER_SLICE = 1_024
LOST_NAME = "(name lost)"
# SQLite refuses a file that is shorter than its header says, unless told this. It still cannot write: mode=ro.
_PERMIT_DAMAGE = "PRAGMA writable_schema = ON"
_UNREADABLE = (sqlite3.DatabaseError, ProtobufError, LookupError, ValueError, TypeError, AssertionError, OverflowError)
_TRACES = "SELECT id, trace_id, span_count, removed_count, is_pinned FROM traces WHERE id BETWEEN ? AND ?"
_TRACE_IDS = """
    SELECT id, trace_id
    FROM traces INDEXED BY sqlite_autoindex_traces_1
    WHERE trace_id {beyond} ?
    ORDER BY trace_id {order}
    LIMIT ?
"""
_SPANS = """
    SELECT trace, span_id, parent_id, resource, scope, service, name, kind, status, start_ns, duration_ns, flags,
        attributes, details
    FROM spans
    WHERE id BETWEEN ? AND ?
    ORDER BY id
"""
_LOGS = """
    SELECT trace_id, span_id, service, resource, scope, time_ns, observed_ns, severity, flags, body_type, body, more,
        attributes, details
    FROM logs
    WHERE id BETWEEN ? AND ?
    ORDER BY id
"""
_RESOURCES = "SELECT id, attributes, dropped_attributes, schema_url, entities FROM resources WHERE id IN ({ids})"
_SCOPES = "SELECT id, attributes, name, version, dropped_attributes, schema_url FROM scopes WHERE id IN ({ids})"


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was saved. `original` is the damaged file, under its new name; `expected_count` is what it claims to hold.

    Of `lost_traces` nothing was saved, of `incomplete_traces` some spans. `incomplete_spans` lost some of their values:
    attributes, then counted among those dropped, or their name, then `LOST_NAME`. Of `expected_log_count` log records
    `log_count` were saved.
    """

    original: Path
    span_count: int
    expected_count: int
    incomplete_traces: int
    lost_traces: int
    incomplete_spans: int
    log_count: int = 0
    expected_log_count: int = 0


@dataclass(slots=True)
class _Known:
    """What the damaged file says of a trace, and how many of its spans are saved."""

    trace_id: bytes
    span_count: int = 0
    removed_count: int = 0
    is_pinned: bool = False
    saved_count: int = 0


def recover(path: Path, report: Callable[[str], None] = lambda line: None) -> Recovered:
    """Put a new file, with what can be read, in the place of a damaged one, which is kept as ``<path>.corrupt-<time>``.

    Spans keep all that they were sent with, traces their pins. When a span arrived is not kept: its age counts anew.

    Raises:
        StoreLocked: a server has it open.
        SchemaError: it is not minitrace's, or of another version.
        StoreDamaged: nothing can be read; the file is left as it was.
        StoreError: there is no such file, or not enough room; the same.
    """
    if not path.is_file():
        raise StoreError(f"there is no file {path}. Name the file that minitrace stores in")
    lock = Lock(path)
    try:
        _require_ours(path)
        require_room(path.parent, 2 * path.stat().st_size, "a new file and its write-ahead log")
        with tempfile.TemporaryDirectory(prefix=f"{path.name}.recovering-", dir=path.parent) as folder:
            new = Path(folder) / path.name
            known, incomplete_spans, log_counts = asyncio.run(_copy(path, new, report))
            original = _swap(path, new)
    finally:
        lock.release()
    return Recovered(
        original,
        sum(trace.saved_count for trace in known),
        sum(trace.span_count for trace in known),
        sum(0 < trace.saved_count < trace.span_count for trace in known),
        sum(trace.span_count > 0 and not trace.saved_count for trace in known),
        incomplete_spans,
        *log_counts,
    )


def _require_ours(path: Path) -> None:
    with explained(path), closing(open_to_read(path, is_used=False)) as connection:
        connection.execute(_PERMIT_DAMAGE)
        try:
            version, ours = schema.check(connection), max(schema.migrations())
        except sqlite3.DatabaseError as error:
            raise _lost(path) from error
    if not version:
        raise StoreError(f"there is nothing in {path} yet")
    if version != ours:
        raise SchemaError(
            f"{path} has schema {version}, and only {ours} can be recovered. Use the minitrace that made it"
        )


def _lost(path: Path) -> StoreDamaged:
    return StoreDamaged(
        f"nothing can be read from {path}, which was left as it is. "
        "Put a backup in its place, or start with another --db"
    )


async def _copy(path: Path, new: Path, report: Callable[[str], None]) -> tuple[list[_Known], int, tuple[int, int]]:
    """Save in a new file what can be read of another.

    Returns the traces, how many spans lost some values, and how many log records were saved, of how many.
    """
    reader = await _open(path)
    partly_lost = logs = expected_logs = 0
    try:
        known = await _traces(reader)
        columns = "id, first_span, last_span, first_log, last_log, log_count"
        segments = await reader.rows(f"SELECT {columns} FROM segments WHERE state < 2 ORDER BY id")
        async with await Store.open(new) as store:
            for number, *bounds in segments:
                segment = _Segment(reader, number)
                for first, last in _slices([(bounds[0], bounds[1])]):
                    report(f"saved {sum(trace.saved_count for trace in known.values())} spans")
                    await _save(store, await segment.spans(known, first, last), known)
                partly_lost += segment.partly_lost
                for first, last in _slices([(bounds[2], bounds[3])]):
                    report(f"saved {logs} log records")
                    logs += await _save_logs(store, await segment.records(first, last), first)
                expected_logs += bounds[4]
    except sqlite3.DatabaseError as error:
        raise _lost(path) from error
    finally:
        await reader.close()
    if not (logs or any(trace.saved_count for trace in known.values())):
        raise _lost(path)
    _mark(new, known.values())
    return list(known.values()), partly_lost, (logs, expected_logs)


async def _open(path: Path) -> Reader:
    log = log_of(path)
    option = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"
    reader = Reader(await aiosqlite.connect(uri(path, option), uri=True, isolation_level=None))
    await reader.rows(_PERMIT_DAMAGE)
    return reader


def _slices(ranges: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    """Ranges of ids in parts of at most `ROWS_PER_SLICE`."""
    for low, high in ranges:
        for first in range(low, high + 1, ROWS_PER_SLICE):
            yield first, min(first + ROWS_PER_SLICE - 1, high)


async def _traces(reader: Reader) -> dict[int, _Known]:
    """The traces by their row; those whose row is lost as far as the index of trace ids still has them."""
    known: dict[int, _Known] = {}
    for beyond, order, end in ((">", "ASC", b""), ("<", "DESC", b"\xff" * 17)):  # from both ends towards a lost page
        sql, limit = _TRACE_IDS.format(beyond=beyond, order=order), ROWS_PER_SLICE
        while limit:
            try:
                rows = await reader.rows(sql, (end, limit))
            except sqlite3.DatabaseError:
                limit //= 2
                continue
            if not rows:
                break
            known.update((id_, _Known(trace_id)) for id_, trace_id in rows)
            end = rows[-1][1]
    newest = max(known, default=0)
    with suppress(sqlite3.DatabaseError):  # the last page is lost
        newest = max(newest, (await reader.rows("SELECT coalesce(max(id), 0) FROM traces"))[0][0])
    for first, last in _slices([(1, newest)]):
        rows = await _rows(reader, _TRACES, first, last)
        known.update((row[0], _Known(row[1], row[2], row[3], bool(row[4]))) for row in rows)
    return known


async def _rows(reader: Reader, sql: str, first: int, last: int) -> list[Any]:
    """The rows with ids from `first` to `last` that can be read."""
    try:
        return await reader.rows(sql, (first, last))
    except sqlite3.DatabaseError:
        if first == last:
            return []
    middle = (first + last) // 2
    return await _rows(reader, sql, first, middle) + await _rows(reader, sql, middle + 1, last)


async def _found(reader: Reader, sql: str, ids: Sequence[int]) -> list[Any]:
    """The rows with these ids that can be read."""
    try:
        return await reader.rows(sql.format(ids=", ".join(map(str, ids)))) if ids else []
    except sqlite3.DatabaseError:
        if len(ids) == 1:
            return []
    middle = len(ids) // 2
    return await _found(reader, sql, ids[:middle]) + await _found(reader, sql, ids[middle:])


class _Segment:
    """What can be read of a segment; each value is asked for once. `partly_lost` counts the spans that lost some."""

    def __init__(self, reader: Reader, number: int) -> None:
        self.partly_lost = 0
        self._reader = reader
        self._number = number
        self._keys: dict[int, tuple[str, str] | None] = {}
        self._values: dict[str, tuple[str, Value] | None] = {}
        self._origins: dict[str, dict[int, Any]] = {_RESOURCES: {}, _SCOPES: {}}
        self._services: dict[int, str] = {}

    async def spans(self, known: dict[int, _Known], first: int, last: int) -> list[tuple[int, Span]]:
        """The spans with ids from `first` to `last` that can be read, each behind its trace's row."""
        rows = [row for row in await _rows(self._reader, _SPANS, first, last) if row[0] in known]
        resources = await self._load(_RESOURCES, {row[3] for row in rows})
        scopes = await self._load(_SCOPES, {row[4] for row in rows})
        texts = [*(row[12] for row in rows), *(row[1] for row in (*resources.values(), *scopes.values()) if row)]
        names = [f"{tokens.letters(tokens.NAME)}{row[6]}" for row in rows]
        await self._load_values({token for text in (*texts, *names) for token in str(text).split()})
        await self._load_services({row[5] for row in rows})
        spans = []
        for row in rows:
            try:
                spans.append((row[0], self._span(row, known[row[0]].trace_id)))
            except _UNREADABLE:  # what it says makes no sense
                continue
        return spans

    async def records(self, first: int, last: int) -> list[LogRecord]:
        """The log records with ids from `first` to `last` that can be read."""
        rows = await _rows(self._reader, _LOGS, first, last)
        resources = await self._load(_RESOURCES, {row[3] for row in rows})
        scopes = await self._load(_SCOPES, {row[4] for row in rows})
        texts = [*(f"{row[11]} {row[12]}" for row in rows)]
        texts += [row[1] for row in (*resources.values(), *scopes.values()) if row]
        await self._load_values({token for text in texts for token in text.split()})
        await self._load_services({row[2] for row in rows})
        records = []
        for row in rows:
            with suppress(*_UNREADABLE):
                records.append(self._record(row))
        return records

    async def _load(self, sql: str, numbers: set[int]) -> dict[int, Any]:
        rows = self._origins[sql]
        new = sorted(number for number in numbers if number not in rows)
        rows.update(dict.fromkeys(new))
        first = tokens.numbered_id(self._number, 0)
        rows.update(
            (row[0] - first, row) for row in await _found(self._reader, sql, [first + number for number in new])
        )
        return {number: rows[number] for number in numbers}

    async def _load_services(self, ids: set[int]) -> None:
        new = sorted(ids - self._services.keys())
        self._services.update(await _found(self._reader, "SELECT id, name FROM services WHERE id IN ({ids})", new))

    async def _load_values(self, wanted: set[str]) -> None:
        new = [token for token in sorted(wanted) if token not in self._values]
        self._values.update(dict.fromkeys(new))
        ids = []
        for token in new:
            with suppress(ValueError):
                ids.append(tokens.id_of(self._number, token))
        numbers = sorted({tokens.key_of(id_) for id_ in ids} - self._keys.keys())
        self._keys.update(dict.fromkeys(numbers))
        sql = f"SELECT number, name, type FROM keys WHERE segment = {self._number} AND number IN ({{ids}})"
        self._keys.update((row[0], (row[1], row[2])) for row in await _found(self._reader, sql, numbers))
        for id_, column in await _found(self._reader, "SELECT id, value FROM dictionary WHERE id IN ({ids})", ids):
            if key := self._keys[tokens.key_of(id_)]:
                with suppress(*_UNREADABLE):
                    self._values[tokens.token_of(id_)] = (key[0], values.from_column(key[1], column))

    def _span(self, row: Any, trace_id: bytes) -> Span:
        _, span_id, parent_id, resource, scope, service, name, kind, status, start_ns, duration_ns, flags, *rest = row
        attributes, lost = self._attributes(str(rest[0]).split())
        name_value = self._values[f"{tokens.letters(tokens.NAME)}{name}"]
        resource_row, scope_row = self._origins[_RESOURCES][resource], self._origins[_SCOPES][scope]
        fields = read_rest(status, start_ns, duration_ns, rest[1])
        fields["dropped_attributes"] = fields.get("dropped_attributes", 0) + lost
        self.partly_lost += bool(lost or not name_value or not resource_row or not scope_row)
        return Span(
            trace_id=trace_id,
            span_id=span_id,
            parent_id=parent_id or b"",
            name=str(name_value[1]) if name_value else LOST_NAME,
            kind=kind,
            attributes=attributes,
            flags=flags,
            resource=self._resource(resource_row, service),
            scope=self._scope(scope_row),
            **fields,
        )

    def _record(self, row: Any) -> LogRecord:
        trace_id, span_id, service, resource, scope, time_ns, observed_ns, severity, flags, *rest = row
        body_type, body, more, own, details = rest
        attributes, lost = self._attributes(own.split())
        texts, _ = self._attributes(more.split())
        time_ns, observed_ns, severity, dropped = log_rows.read_rest(time_ns, observed_ns, severity, details)
        return LogRecord(
            time_ns, observed_ns, severity, str(texts.get(SEVERITY_TEXT, "")),
            values.from_column(body_type or values.STRING, body), attributes, dropped + lost, flags,
            trace_id or b"", span_id or b"", str(texts.get(EVENT_NAME, "")),
            self._resource(self._origins[_RESOURCES][resource], service), self._scope(self._origins[_SCOPES][scope]),
        )  # fmt: skip

    def _attributes(self, wanted: Iterable[str]) -> tuple[Attributes, int]:
        """What can be read of them, and how many cannot."""
        found = [self._values.get(token) for token in wanted]
        return dict(item for item in found if item), found.count(None)

    def _resource(self, row: Any, service: int) -> Resource:
        name = self._services.get(service)
        if not row:
            return Resource({"service.name": name} if name else {})
        attributes, lost = self._attributes(row[1].split())
        if name and lost and "service.name" not in attributes:
            attributes["service.name"] = name
        return Resource(attributes, row[2] + lost, row[3], values.load_entities(row[4]))

    def _scope(self, row: Any) -> Scope:
        if not row:
            return Scope()
        own = row[1].split()[:-TOKENS_OF_SCOPE]
        attributes, lost = self._attributes(own)
        return Scope(row[2], row[3], attributes, row[4] + lost, row[5])


async def _save(store: Store, spans: list[tuple[int, Span]], known: dict[int, _Known]) -> None:
    """Store the spans, but those that no client could have sent: what they say is damaged."""
    if not spans:
        return
    try:
        await store.add([span for _, span in spans])
    except StoreBusy as error:
        raise StoreError(str(error)) from error
    except (ValueError, TypeError):
        if len(spans) > 1:
            middle = len(spans) // 2
            await _save(store, spans[:middle], known)
            await _save(store, spans[middle:], known)
        return
    for trace, _ in spans:
        known[trace].saved_count += 1


async def _save_logs(store: Store, records: list[LogRecord], first: int) -> int:
    """The same with log records, of rows from a first one on; returns how many were stored."""
    try:
        return (await store.take_logs(partial(log_export_of, records, first), 0)).added
    except StoreBusy as error:
        raise StoreError(str(error)) from error
    except (ValueError, TypeError):
        if len(records) == 1:
            return 0
    middle = len(records) // 2
    return await _save_logs(store, records[:middle], first) + await _save_logs(store, records[middle:], first + middle)


def _mark(new: Path, known: Iterable[_Known]) -> None:
    """Pin the traces that were pinned, and say of which ones retention had taken spans away."""
    marks = [(trace.is_pinned, trace.removed_count, trace.trace_id) for trace in known]
    with explained(new), closing(open_writer(new)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("UPDATE traces SET is_pinned = ?, removed_count = ? WHERE trace_id = ?", marks)
        connection.execute("COMMIT")


def _swap(path: Path, new: Path) -> Path:
    """Rename the old file, with what lies beside it, and put the new one in its place; returns the old one's name."""
    original = path.with_name(f"{path.name}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    if original.exists():
        raise StoreError(f"{original} exists already. Try again in a second")
    # The file first: killed after that, a log without its file is refused by whoever starts next.
    for suffix in ("", "-wal", "-shm", "-journal"):
        if (there := path.with_name(path.name + suffix)).exists():
            there.rename(original.with_name(original.name + suffix))
    new.rename(path)
    return original
