"""What becomes of requests in the writer's thread: decode, lay out, commit.

One thread does all of it. Two, one that lays out beside one that writes, were tried: they pass Python's lock back and
forth so often that both the rate and the processor time a span were worse (26 000 against 28 000 spans/s, 35.6 against
33.4 µs), on two cores that the client used too.
"""

from __future__ import annotations

import logging
import sqlite3
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minitrace.errors import StoreBusy
from minitrace.model import LogRecord, Span
from minitrace.otlp.decode import Export, decode_traces
from minitrace.otlp.encode import encode_export, encode_logs
from minitrace.otlp.log_records import LogExport, decode_logs
from minitrace.store.filling import Filling
from minitrace.store.layout import Batch, lay_out
from minitrace.store.log_layout import LogBatch, lay_out_logs
from minitrace.store.writer import Writer

MAX_GROUP_ROWS = 8_000  # of one transaction: a quarter of a second

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """Something to store: how to decode it, how many bytes wait for that, and which rows it replaces."""

    decode: Callable[[], Export | LogExport]
    size_bytes: int = 0
    replaces: Sequence[int] = ()


def export_of(spans: Sequence[Span]) -> Export:
    """Spans as a request brings them. Raises ValueError: one has ids or texts that OTLP cannot carry."""
    export = decode_traces(encode_export(spans), is_json=False)
    if export.rejected:
        raise ValueError(export.reason)
    return export


def log_export_of(records: Sequence[LogRecord], first_row: int = 0) -> LogExport:
    """Log records as a request brings them. Raises ValueError: one has texts that OTLP cannot carry.

    Those of rows from a first one on are others than those of other rows, even if they say the same.
    """
    export = decode_logs(encode_logs(records), is_json=False)
    for group in export.groups if first_row else ():
        group.records[:] = [(one, zlib.crc32(first_row.to_bytes(8), checksum)) for one, checksum in group.records]
    return export


class Ingest:
    """Stores requests, as many in a transaction as there are."""

    def __init__(self, filling: Filling, writer: Writer) -> None:
        self._filling = filling
        self._writer = writer

    def store(self, requests: Sequence[Request]) -> list[Batch | LogBatch | Exception]:
        """Decode and commit requests; returns for each, in their order, its batch or what went wrong with it."""
        outcomes: list[Batch | LogBatch | Exception] = []
        waiting: list[Batch | LogBatch] = []
        for request in requests:
            try:
                batch = self._lay_out(request)
            except Exception as error:  # the others must not suffer
                outcomes.append(error)
                continue
            outcomes.append(batch)
            waiting.append(batch)
            if sum(batch.row_count for batch in waiting) >= MAX_GROUP_ROWS:
                self._write(waiting, outcomes)
                waiting = []
        self._write(waiting, outcomes)
        return outcomes

    def _lay_out(self, request: Request) -> Batch | LogBatch:
        export = request.decode()
        self._filling.make_room(time.time_ns(), export.size_bytes)
        batch: Batch | LogBatch
        if isinstance(export, LogExport):
            batch = lay_out_logs(export, self._filling.segment, self._filling.next_segment)
        else:
            batch = lay_out(export, self._filling.segment, self._filling.next_segment)
        batch.replaces.extend(request.replaces)
        return batch

    def _write(self, batches: list[Batch | LogBatch], outcomes: list[Batch | LogBatch | Exception]) -> None:
        """Commit the batches; if that fails, say so in their outcomes."""
        if not batches:
            return
        count = sum(batch.row_count for batch in batches)
        try:
            self._writer.write(batches, time.time_ns())
            return
        except sqlite3.Error as error:
            # Full disk, I/O error, foreign lock: the client keeps its spans and tries again.
            advice = "; see `minitrace db check`" if "malformed" in str(error) else ""
            log.error("could not store %d spans and log records: %s%s", count, error, advice)
            refusal: Exception = StoreBusy(f"the database could not be written: {error}{advice}")
        except Exception as error:  # a mistake of ours must not end the writer
            log.exception("could not store %d spans and log records", count)
            refusal = error
        failed = {id(batch) for batch in batches}
        outcomes[:] = [refusal if id(outcome) in failed else outcome for outcome in outcomes]
