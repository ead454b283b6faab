"""What is in files, before anything of it is stored: figures for people, and all of it, encoded, trace by trace.

A file is in any of the formats that `formats.detection` knows, or one of minitrace's own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from minitrace.errors import MinitraceError, TooLarge
from minitrace.formats import detection
from minitrace.model import LogRecord, Span, Trace, grouped
from minitrace.otlp.decode import decode_traces
from minitrace.otlp.encode import encode_export, encode_logs
from minitrace.otlp.log_records import decode_logs
from minitrace.present import integer, plain
from minitrace.store import attachment
from minitrace.store.matches import TraceSummary
from minitrace.web.multipart import Part

MAX_SPANS = 500_000  # and log records, of all files: each may unpack to 64 MiB, and a thousand of those fit in a form
SPANS_AT_ONCE = 2_000  # of a bundle, unless one trace has more
RECORDS_AT_ONCE = 2_000
SHOWN_TRACES = 20
_TOO_MANY = "more than {} spans and log records at once: import it by itself, or look at it: minitrace open FILE"
_NOTHING = (
    "what a running minitrace stored last stands beside its file, in one whose name ends in -wal: "
    "stop it first, or write what you want with minitrace export"
)


@dataclass(slots=True)
class File:
    """What is in one of the files; `problems` are what was left out, or why all of it was."""

    name: str
    format: str = ""
    trace_count: int = 0
    span_count: int = 0
    record_count: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bundle:
    """Whole traces, as an ExportTraceServiceRequest."""

    content: bytes
    trace_ids: list[bytes]
    span_count: int

    async def spans(self) -> list[Span]:
        """They, decoded."""
        return await asyncio.to_thread(lambda: decode_traces(self.content, is_json=False).spans)


@dataclass(frozen=True, slots=True)
class LogBundle:
    """Log records, as an ExportLogsServiceRequest."""

    content: bytes
    record_count: int

    async def records(self) -> list[LogRecord]:
        """They, decoded."""
        return await asyncio.to_thread(lambda: decode_logs(self.content, is_json=False).records)


@dataclass(slots=True)
class Contents:
    """Files, and what all of them hold: `traces` are the newest of `trace_count`.

    `start_ns` is 0 where nothing has a usable time; records count where there are no spans.
    """

    files: list[File]
    bundles: list[Bundle]
    log_bundles: list[LogBundle]
    traces: list[TraceSummary]
    services: Counter[str]
    trace_count: int
    span_count: int
    record_count: int
    start_ns: int
    end_ns: int

    @property
    def count(self) -> int:
        """How many spans and log records there are."""
        return self.span_count + self.record_count


async def read_contents(parts: Sequence[Part], *, now_ns: int, max_bytes: int) -> Contents:
    """What is in the files of a form; one that cannot be read says so among its problems."""
    files: list[File] = []
    spans: list[Span] = []
    records: list[LogRecord] = []
    for part in parts:
        file = File(part.filename)
        files.append(file)
        try:
            found, said = await _read(part, file, now_ns, max_bytes)
            if len(spans) + len(found) + len(records) + len(said) > MAX_SPANS:
                raise TooLarge(_TOO_MANY.format(plain(integer(MAX_SPANS))))
        except MinitraceError as error:
            file.problems = [str(error)]
            continue
        file.span_count, file.record_count = len(found), len(said)
        file.trace_count = len({span.trace_id for span in found})
        spans += found
        records += said
    return await asyncio.to_thread(_contents, files, spans, records)


async def _read(part: Part, file: File, now_ns: int, max_bytes: int) -> tuple[list[Span], list[LogRecord]]:
    """All spans and log records of a file. Raises MinitraceError."""
    if attachment.is_ours(part.content):
        file.format = "a file of minitrace"
        spans, records = await attachment.contents(part.content, file.name)
        file.problems = [] if spans or records else [_NOTHING]
        return spans, records
    reading = await asyncio.to_thread(detection.read_any, part.content, now_ns=now_ns, max_bytes=max_bytes)
    file.format, file.problems = reading.format, reading.problems
    return reading.spans, reading.records


def _contents(files: list[File], spans: list[Span], records: list[LogRecord]) -> Contents:
    by_trace = grouped(spans)
    summaries = [_summary(Trace(trace_id, own)) for trace_id, own in by_trace.items()]
    timed = [(one.start_ns, one.start_ns + one.duration_ns) for one in summaries if one.start_ns]
    if not spans:
        timed = [(one.time_ns, one.time_ns) for one in records]
    return Contents(
        files,
        list(_bundles(by_trace)),
        list(_log_bundles(records)),
        sorted(summaries, key=lambda one: -one.start_ns)[:SHOWN_TRACES],
        Counter(chain((one.service for one in spans), (one.service for one in records))),
        len(summaries),
        len(spans),
        len(records),
        min((start_ns for start_ns, _ in timed), default=0),
        max((end_ns for _, end_ns in timed), default=0),
    )


def _summary(trace: Trace) -> TraceSummary:
    root = trace.root.span if trace.root else None
    return TraceSummary(
        trace.trace_id,
        trace.start_ns,
        trace.duration_ns,
        root.service if root else None,
        root.name if root else None,
        len(trace.spans),
        trace.error_count,
    )


def _bundles(traces: dict[bytes, list[Span]]) -> Iterator[Bundle]:
    """The traces in bundles. A trace is in one of them: what is stored of it is compared once."""
    ids: list[bytes] = []
    spans: list[Span] = []
    for trace_id, own in traces.items():
        ids.append(trace_id)
        spans += own
        if len(spans) >= SPANS_AT_ONCE:
            yield Bundle(encode_export(spans), ids, len(spans))
            ids, spans = [], []
    if spans:
        yield Bundle(encode_export(spans), ids, len(spans))


def _log_bundles(records: Sequence[LogRecord]) -> Iterator[LogBundle]:
    for at in range(0, len(records), RECORDS_AT_ONCE):
        part = records[at : at + RECORDS_AT_ONCE]
        yield LogBundle(encode_logs(part), len(part))
