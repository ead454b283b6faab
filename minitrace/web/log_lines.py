"""A log record to what is shown of it: one line, and on demand everything it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote, quote_plus

from minitrace import present
from minitrace.model import LogRecord, Severity, Value
from minitrace.web.attributes import readable
from minitrace.web.lookup import find_ids
from minitrace.web.terms import Term
from minitrace.web.times import exact_range

Link = tuple[bytes, bytes]  # a trace and one of its spans, each b"" for none

NO_LINK: Link = (b"", b"")
LINE_CHARACTERS = 500  # of a body, in its line
MAX_SHOWN = 20_000  # characters of a body or a value; the rest is in the API's answer
MAX_LOOKED_AT = 2_000  # characters of a body, for ids in it
BEFORE_NS = 5 * 60 * 1_000_000_000
_MS = 1_000_000
SIGNS = {Severity.WARN: "! ", Severity.ERROR: "⨯ ", Severity.FATAL: "⨯ "}  # beside the colour


@dataclass(frozen=True, slots=True)
class Said:
    """An attribute as text; `term` finds the records that have it too, "" where there is none."""

    key: str
    text: str
    term: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A record as it is listed.

    `level` is its severity as a word with a sign, "" for none, and `severity` the word alone, which names its class.
    `body` is its first line, `whole` all of it where that is more. `url` leads to its span, or its trace; "" where that
    is not stored. `before_url` leads to what its service said in the minutes before it: a cause may be in no trace.
    """

    record: LogRecord
    level: str
    severity: str
    body: str
    whole: str
    url: str
    before_url: str
    attributes: list[Said]
    others: list[Said]


def lines(records: Iterable[LogRecord], links: Mapping[int, Link] | None = None) -> list[Line]:
    """The lines of records, in their order. `links` are where they lead to, by place; their own ids for None."""
    return [
        _line(record, (record.trace_id, record.span_id) if links is None else links.get(place, NO_LINK))
        for place, record in enumerate(records)
    ]


def link_of(record: LogRecord) -> Link:
    """The trace and span that a record belongs to; where its sender names none, those that its text names.

    So does structlog, which writes ``{"event": "charged", "trace_id": "4bf9…", "span_id": "00f0…"}``.
    """
    if record.trace_id:
        return record.trace_id, record.span_id
    named = {key: value for key, value in record.attributes.items() if "trace" in key.lower() or "span" in key.lower()}
    text = f"{present.value(named)} {present.value(record.body)[:MAX_LOOKED_AT]}" if record.body or named else ""
    found = find_ids(text)
    return (found[0].trace_id, found[0].span_id or b"") if found else NO_LINK


def search_url(service: str, start_ns: int, end_ns: int) -> str:
    """The page of logs with what a service said in a range of time; "" for none, and of a name that is no address."""
    if not 0 < len(service) <= LINE_CHARACTERS:
        return ""
    return f"/logs?service={quote_plus(service)}&{exact_range(start_ns, end_ns)}"


def _line(record: LogRecord, link: Link) -> Line:
    level = record.level
    severity = level.name.lower() if level else ""
    text = _text("body", record.body) if record.body is not None else ""
    body = text if isinstance(record.body, str) else present.printable(present.value(record.body))
    body = (body if text else record.event_name or "").split("\n", 1)[0][:LINE_CHARACTERS]
    return Line(
        record,
        SIGNS.get(level, "") + severity,
        severity,
        body or ("(no body)" if record.body is None else "(empty)"),
        text if text != body else "",
        _url(*link),
        search_url(record.service, record.time_ns - BEFORE_NS, record.time_ns + _MS),
        [_sought(key, value) for key, value in record.attributes.items()],
        list(_others(record)),
    )


def _url(trace_id: bytes, span_id: bytes) -> str:
    if not trace_id:
        return ""
    return f"/trace/{trace_id.hex()}" + (f"?span={span_id.hex()}" if span_id else "")


def _said(key: str, value: Value) -> Said:
    return Said(key, _text(key, value))


def _text(key: str, value: Value) -> str:
    """A value as text of bearable length."""
    plain = value if isinstance(value, str) else present.value(value)
    if len(plain) <= MAX_SHOWN:
        return readable(key, value)
    return f"{present.printable(plain[:MAX_SHOWN])}… ({present.integer(len(plain))} characters)"


def _sought(key: str, value: Value) -> Said:
    """The same with what finds it."""
    said = _said(key, value)
    if not key or not isinstance(value, str | bool | int) or value == "" or len(str(value)) > LINE_CHARACTERS:
        return said
    return replace(said, term=quote(str(Term(key, "=", present.value(value), value)), safe=""))


def _others(record: LogRecord) -> Sequence[Said]:
    """What a record says beside its body and attributes, as far as it says it."""
    found: list[tuple[str, Value]] = [
        ("event name", record.event_name),
        ("severity", " ".join(filter(None, (record.severity_text, str(record.severity or ""))))),
        ("observed", present.time(record.observed_ns) if record.observed_ns else ""),
        ("dropped attributes", record.dropped_attributes or ""),
        ("flags", f"0x{record.flags:x}" if record.flags else ""),
        ("instrumentation", " ".join(filter(None, (record.scope.name, record.scope.version)))),
    ]
    found += record.scope.attributes.items()
    found += [(f"resource.{key}", value) for key, value in record.resource.attributes.items()]
    return [_said(key, value) for key, value in found if value != ""]
