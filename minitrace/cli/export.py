"""`minitrace export`: traces by their ids, or those that a search finds, as one document."""

from __future__ import annotations

import gzip
import re
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

from minitrace import present
from minitrace.asking import ids
from minitrace.asking.pages import found, logs_of
from minitrace.asking.source import Source
from minitrace.cli import asked, terminal
from minitrace.cli.exits import NOTHING_FOUND
from minitrace.errors import ConfigError, MinitraceError, TraceNotFound
from minitrace.model import Trace
from minitrace.web.documents import Document, Format, logs_json

STDOUT = "-"
_ID = re.compile(
    rf"{ids.LAST}|[0-9a-fA-F]{{{ids.LEAST_DIGITS},32}}|[0-9a-f]{{2}}-[0-9a-f]{{32}}-[0-9a-f]{{16}}-[0-9a-f]{{2}}"
)
_ENDINGS = {".jsonl": Format.JSONL, ".ndjson": Format.JSONL, ".jaeger.json": Format.JAEGER}


@dataclass(slots=True)
class Written:
    """How much was written."""

    trace_count: int = 0
    span_count: int = 0
    record_count: int = 0


def run(parsed: Namespace) -> int:
    """Write the traces that are meant. Returns the exit code."""
    format = _format(parsed)
    with asked.source(parsed) as source, terminal.progress() as report:
        try:
            traces = _reported(_traces(source, parsed), report)
            first = next(traces, None)
        except TraceNotFound as error:
            asked.note(str(error))
            return NOTHING_FOUND
        if first is None:
            asked.note("no trace matches, so nothing was written")
            return NOTHING_FOUND
        with _output(parsed.output) as output:
            written = _write(output, Document(format), chain([first], traces), source if parsed.logs else None)
    _tell(parsed, written)
    return 0


def _format(parsed: Namespace) -> Format:
    """What to write. Raises ConfigError: it has no place for log records."""
    if not parsed.format and parsed.output == STDOUT:
        return Format.JSONL if parsed.logs else Format.OTLP
    format = Format(parsed.format) if parsed.format else _format_of(parsed.output)
    if parsed.logs and format is not Format.JSONL:
        raise ConfigError(f"--logs goes with jsonl, and {format} has no place for log records: say --format jsonl")
    return format


def _format_of(name: str) -> Format:
    """What the ending of a file's name stands for."""
    name = name.removesuffix(".gz")
    return next((format for ending, format in _ENDINGS.items() if name.endswith(ending)), Format.OTLP)


def _traces(source: Source, parsed: Namespace) -> Iterator[Trace]:
    """The traces that are meant. Raises MinitraceError: one that was named is not there, or the query is none."""
    if parsed.query and all(map(_ID.fullmatch, parsed.query)):
        if parsed.since or parsed.start or parsed.end:
            raise MinitraceError("--since, --from and --to go with a query: leave them out for traces by their ids")
        yield from (ids.find(source, text) for text in parsed.query)
        return
    parameters = {**asked.query(parsed), **asked.times(parsed, time.time_ns())}
    for one in found(source, parameters, parsed.limit, asked.note):
        try:
            yield source.trace(one.trace_id)
        except TraceNotFound:  # it was deleted meanwhile
            continue


def _reported(traces: Iterable[Trace], report: terminal.Report) -> Iterator[Trace]:
    """The traces, counted for who watches."""
    span_count = 0
    for number, trace in enumerate(traces, start=1):
        span_count += len(trace.spans)
        report(present.plain(f"{present.count(number, 'trace')}, {present.count(span_count, 'span')}"))
        yield trace


def _write(output: BinaryIO, document: Document, traces: Iterable[Trace], logs: Source | None) -> Written:
    """The document; behind each trace its log records, as `logs` has them."""
    written = Written()
    output.write(document.head.encode())
    for trace in traces:
        output.writelines(piece.encode() for piece in document.trace(trace.spans))
        for records in logs_of(logs, trace.trace_id) if logs else ():
            output.write(logs_json(records).encode())
            written.record_count += len(records)
        written.trace_count += 1
        written.span_count += len(trace.spans)
    output.write(document.tail.encode())
    return written


@contextmanager
def _output(name: str) -> Iterator[BinaryIO]:
    """Where to write. A file is there once it is whole, in place of what was; packed if its name ends in .gz.

    Raises:
        ConfigError: it cannot be written.
    """
    if name == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with _replaced(Path(name)) as file:
            if name.endswith(".gz"):
                with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                    yield cast(BinaryIO, packed)
            else:
                yield file
    except OSError as error:
        raise ConfigError(f"cannot write {name}: {(error.strerror or str(error)).lower()}") from None


@contextmanager
def _replaced(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of one; a device or a pipe is written to."""
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    with tempfile.TemporaryDirectory(prefix=".minitrace-", dir=path.parent) as folder:
        partial = Path(folder) / "export"
        with partial.open("wb") as file:
            yield file
        partial.replace(path)


def _tell(parsed: Namespace, written: Written) -> None:
    """What is in the file."""
    if parsed.output == STDOUT:
        return
    counts = f"{present.count(written.trace_count, 'trace')}, {present.count(written.span_count, 'span')}"
    if parsed.logs:
        counts += f", {present.count(written.record_count, 'log record')}"
    path = Path(parsed.output)
    print(present.plain(f"{path}: {counts}, {present.size(path.stat().st_size)}"))
