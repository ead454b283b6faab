"""Traces as one document, piece by piece: 50 000 spans at once would hold Python's lock for a second.

| format   | document                                                      | who takes it again          |
|----------|---------------------------------------------------------------|-----------------------------|
| `otlp`   | `{"resourceSpans": […]}`: a TracesData message of all of them | any backend, and we         |
| `jsonl`  | such a message for each trace, one a line                     | a Collector's file receiver |
| `jaeger` | `{"data": [trace…]}`                                          | Jaeger's UI                 |

OTLP's messages say resources and scopes again in each piece, as they may. Jaeger's have less room than a span needs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from minitrace.formats import jaeger
from minitrace.model import LogRecord, Span
from minitrace.otlp import json as otlp_json
from minitrace.otlp.encode import logs_data, traces_data
from minitrace.web import pieces
from minitrace.web.jaeger_answers import after_data


class Format(StrEnum):
    """What a document is written in."""

    OTLP = "otlp"
    JSONL = "jsonl"
    JAEGER = "jaeger"

    @property
    def label(self) -> str:
        """Its name for people."""
        return {"otlp": "OTLP JSON", "jsonl": "JSON lines", "jaeger": "Jaeger JSON"}[self.value]

    @property
    def ending(self) -> str:
        """That of a file's name."""
        return {"otlp": "json", "jsonl": "jsonl", "jaeger": "jaeger.json"}[self.value]

    @property
    def media_type(self) -> str:
        """The Content-Type."""
        return "application/x-ndjson" if self is Format.JSONL else "application/json"


@dataclass(frozen=True, slots=True)
class _Style:
    """What stands around the traces, and between two of them."""

    head: str
    between: str
    tail: str


_STYLES = {
    Format.OTLP: _Style('{"resourceSpans":[', ",", "]}\n"),
    Format.JSONL: _Style("", "", ""),
    Format.JAEGER: _Style('{"data":[', ",", f"]{after_data()}\n"),
}


class Document:
    """One that grows by a trace at a time, for whom has them so: `head`, then `trace` for each, then `tail`."""

    def __init__(self, format: Format) -> None:
        self._format, self._style = format, _STYLES[format]
        self._is_begun = False

    @property
    def head(self) -> str:
        """What it begins with."""
        return self._style.head

    @property
    def tail(self) -> str:
        """What it ends with."""
        return self._style.tail

    def trace(self, spans: Sequence[Span]) -> Iterator[str]:
        """The pieces of a trace; without a span there are none."""
        if not spans:
            return
        if self._is_begun:
            yield self._style.between
        self._is_begun = True
        match self._format:
            case Format.OTLP:
                yield from _groups(spans, pieces.dump)
            case Format.JSONL:
                yield from traces_json(spans)
            case Format.JAEGER:
                yield from jaeger.pieces(spans)


def document(traces: Iterable[Sequence[Span]], format: Format) -> Iterator[str]:
    """Traces as one document, each given by its spans."""
    growing = Document(format)
    yield growing.head
    for spans in traces:
        yield from growing.trace(spans)
    yield growing.tail


def traces_json(spans: Sequence[Span], *, is_pretty: bool = False) -> Iterator[str]:
    """A TracesData message in OTLP/JSON, of whichever traces the spans are."""
    yield '{"resourceSpans":['
    yield from _groups(spans, _pretty if is_pretty else pieces.dump)
    yield "]}\n"


def logs_json(records: Sequence[LogRecord]) -> str:
    """A LogsData message in OTLP/JSON, a line."""
    return pieces.dump(otlp_json.dump(logs_data(records))) + "\n"


def _pretty(group: Any) -> str:
    return json.dumps(group, ensure_ascii=False, indent=1)


def _groups(spans: Sequence[Span], text: Callable[[Any], str]) -> Iterator[str]:
    before = ""
    for piece in pieces.cut(spans):
        yield before + ",".join(map(text, otlp_json.dump(traces_data(piece))["resourceSpans"]))
        before = ","
