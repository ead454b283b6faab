"""Bytes that hold spans or log records, in whichever format: a file that is opened or imported.

| what                                         | is                                                       |
|----------------------------------------------|----------------------------------------------------------|
| begins with gzip's or zstd's sign            | any of the others, packed                                |
| `{"resourceSpans": …}`                       | OTLP JSON; one on each line: a Collector's file exporter |
| `{"resourceLogs": …}`                        | the same with log records; lines may be of both          |
| `{"batches": …}`, `{"trace": …}`             | Tempo JSON                                               |
| `{"data": [{"spans": …}]}`, `{"spans": …}`   | Jaeger JSON                                              |
| `[{"traceId": …, "id": …}]`, or lists of it  | Zipkin JSON                                              |
| no text, and field 1 of a protobuf message   | OTLP protobuf, of spans or of log records                |

A document may be the whole of it, or a line; lines may be of several formats. What cannot be read is left out and told:
the rest is worth having.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from minitrace import present
from minitrace.errors import DecodeError, TooLarge
from minitrace.formats import fields, jaeger, tempo, zipkin
from minitrace.model import LogRecord, Span
from minitrace.otlp import compression
from minitrace.otlp.decode import Export, decode_traces
from minitrace.otlp.log_records import LogExport, decode_log_document, decode_logs

MAX_BYTES = 1 << 30  # of what a packed file holds
MAX_PROBLEMS = 20  # that are told one by one
OTLP_JSON, OTLP_LINES, OTLP_PROTOBUF = "OTLP JSON", "OTLP JSON lines", "OTLP protobuf"
JAEGER_JSON, ZIPKIN_JSON, TEMPO_JSON = "Jaeger JSON", "Zipkin JSON", "Tempo JSON"
NOTHING = "no spans"  # a document of metrics, which a Collector writes beside the others
HINT = (
    'OTLP JSON has spans in "resourceSpans" and log records in "resourceLogs", Jaeger JSON has spans in "data", '
    'Tempo JSON in "batches", and Zipkin JSON is a list of objects with "traceId" and "id"'
)
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_LOGS = ("resourceLogs", "resource_logs")
_OTHER_SIGNALS = (*_LOGS, "resourceMetrics", "resourceProfiles", "resource_metrics")
_FIELD_1 = b"\x0a"  # of a protobuf message: resource_spans, or resource_logs


@dataclass(slots=True)
class Reading:
    """What was found: the format's name for people, and a line for each thing that was left out."""

    format: str
    spans: list[Span] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    records: list[LogRecord] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it to be stored."""
        return not self.spans and not self.records


def read_any(content: bytes, *, now_ns: int, max_bytes: int = MAX_BYTES) -> Reading:
    """The spans and log records of a file. `now_ns` is when those of it happened that do not say so.

    Raises:
        DecodeError: it is in none of the formats, or there is neither in it; says what would be right.
        TooLarge: it unpacks to more than `max_bytes`, or one document has too many of them.
    """
    found = list(readings(content, now_ns=now_ns, max_bytes=max_bytes))
    formats = dict.fromkeys(reading.format for reading in found if not reading.is_empty)
    problems = list(chain.from_iterable(reading.problems for reading in found))
    if not formats:
        raise DecodeError(f"there is no span or log record in it: {problems[0] if problems else HINT}")
    if len(problems) > MAX_PROBLEMS:
        problems[MAX_PROBLEMS:] = [f"and {present.plain(present.integer(len(problems) - MAX_PROBLEMS))} more"]
    spans = list(chain.from_iterable(reading.spans for reading in found))
    return Reading(" and ".join(formats), spans, problems, list(chain.from_iterable(one.records for one in found)))


def readings(content: bytes, *, now_ns: int, max_bytes: int = MAX_BYTES) -> Iterator[Reading]:
    """`read_any` document by document, for files of which all would be much at once.

    Raises DecodeError for what no document can be made of, and TooLarge; a line that is none is a problem.
    """
    content = _unpacked(content, max_bytes)
    text = _text(content)
    if text is None:
        yield _of_protobuf(content, now_ns)
        return
    try:
        document = fields.parsed(text)
    except DecodeError:
        lines = text.split("\n")
        if not any(map(_is_object, lines)):
            raise
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield from _read_line(number, line, now_ns)
    else:
        yield from _read(document, now_ns)


def _unpacked(content: bytes, max_bytes: int) -> bytes:
    encoding = next((encoding for sign, encoding in _PACKED.items() if content.startswith(sign)), "")
    try:
        return compression.decompress(content, encoding, max_bytes)
    except TooLarge:
        raise TooLarge(f"it unpacks to more than {max_bytes} bytes") from None
    except DecodeError:
        raise DecodeError(f"it begins as {encoding} does, but cannot be unpacked: is all of it there?") from None


def _text(content: bytes) -> str | None:
    """JSON text, in whichever of its encodings; None for what may be protobuf."""
    if not content.strip():
        raise DecodeError("it is empty")
    encoding = json.detect_encoding(content)
    text = content.decode(encoding, "replace").lstrip("\ufeff")
    start = text.lstrip()[:9].lower()
    if start.startswith(("{", "[")):
        return text
    if start.startswith("<"):
        raise DecodeError("it is a page, and no data: open it in a browser")
    if content.startswith(b"SQLite format 3"):
        raise DecodeError("it is a database, and no text")
    if content.startswith(_FIELD_1):
        return None
    raise DecodeError(f"it is none of the formats that are understood: {HINT}")


def _is_object(line: str) -> bool:
    """Whether a line is a document, and no part of one that is cut off."""
    if not line.lstrip().startswith("{"):
        return False
    try:
        return bool(fields.parsed(line))
    except DecodeError:
        return False


def _read_line(number: int, line: str, now_ns: int) -> Iterator[Reading]:
    try:
        for reading in _read(fields.parsed(line), now_ns):
            format_ = OTLP_LINES if reading.format == OTLP_JSON else reading.format
            problems = [f"line {number}: {problem}" for problem in reading.problems]
            yield Reading(format_, reading.spans, problems, reading.records)
    except DecodeError as error:
        yield Reading(NOTHING, problems=[f"line {number}: {error}"])


def _read(document: Any, now_ns: int) -> Iterator[Reading]:
    """One document, in parts if it is large. Raises DecodeError, TooLarge."""
    problems: list[str] = []
    for export in _log_exports(document):
        yield _of_logs(OTLP_JSON, export, now_ns)
    if tempo.resource_spans(document) is not None:
        format_ = TEMPO_JSON if "batches" in document or "trace" in document else OTLP_JSON
        yield from (_of_export(format_, export) for export in tempo.read_exports(document))
    elif _is_jaeger(document):
        yield Reading(JAEGER_JSON, jaeger.read_spans(document, problems=problems), _left_out(problems))
    elif (documents := _zipkin_spans(document)) is not None:
        spans = zipkin.read_documents(documents, now_ns=now_ns, problems=problems)
        yield Reading(ZIPKIN_JSON, spans, _left_out(problems))
    elif not isinstance(document, dict) or not any(key in document for key in _OTHER_SIGNALS):
        raise DecodeError(f"it is none of the formats that are understood: {HINT}")


def _is_jaeger(document: Any) -> bool:
    """Whether it is an answer of Jaeger's API, a trace, or a list of them."""
    if isinstance(document, list):
        document = next(iter(document), None)
    return isinstance(document, dict) and ("spans" in document or isinstance(document.get("data"), list))


def _zipkin_spans(document: Any) -> list[Any] | None:
    """Zipkin's spans: a list of them, a list of traces, which are lists, or one alone; None for anything else."""
    if isinstance(document, dict):
        return [document] if "traceId" in document and "id" in document else None
    if not isinstance(document, list):
        return None
    if document and all(isinstance(item, list) for item in document):
        document = list(chain.from_iterable(document))
    return document if any(isinstance(item, dict) and "traceId" in item for item in document) else None


def _log_exports(document: Any) -> Iterator[LogExport]:
    """The log records of a document in OTLP/JSON, a part at a time. Raises DecodeError, TooLarge."""
    groups = next((document[key] for key in _LOGS if key in document), None) if isinstance(document, dict) else None
    part: list[Any] = []
    size = 0
    for group in fields.sequence(groups, "resourceLogs"):
        part.append(group)
        size += _record_count(group)
        if size >= tempo.SPANS_A_PART:
            yield decode_log_document({"resourceLogs": part})
            part, size = [], 0
    if part:
        yield decode_log_document({"resourceLogs": part})


def _record_count(group: Any) -> int:
    scopes = fields.sequence(group.get("scopeLogs"), "scopeLogs") if isinstance(group, dict) else ()
    return sum(len(fields.sequence(one.get("logRecords"), "logRecords")) for one in scopes if isinstance(one, dict))


def _of_protobuf(content: bytes, now_ns: int) -> Reading:
    """A message of spans; or of log records, which have a time where no span has one."""
    reading = _of_export(OTLP_PROTOBUF, decode_traces(content, is_json=False))
    if reading.spans:
        return reading
    logs = decode_logs(content, is_json=False)
    timed = (one.time_unix_nano or one.observed_time_unix_nano for group in logs.groups for one, _ in group.records)
    return _of_logs(OTLP_PROTOBUF, logs, now_ns) if any(timed) else reading


def _of_export(format_: str, export: Export) -> Reading:
    spans = export.spans  # which may reject more of them
    return Reading(format_, spans, _left_out([export.reason] * export.rejected))


def _of_logs(format_: str, export: LogExport, now_ns: int) -> Reading:
    export.received_ns = now_ns
    records = export.records  # which may reject more of them
    return Reading(format_, [], _left_out([export.reason] * export.rejected, "log record"), records)


def _left_out(problems: list[str], noun: str = "span") -> list[str]:
    """One line for all that is wrong with a document: 50 000 spans may be."""
    return [f"{present.plain(present.count(len(problems), noun))} left out: {problems[0]}"] if problems else []
