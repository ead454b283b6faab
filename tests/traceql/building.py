"""Traces drawn as text, and what queries find in them.

    checkout service=shop
      charge a=1 took=30ms
        db kind=client status=error tags=["x","y"]

A line is a span: its name, and its fields. Below another and deeper is its child. Spans start 1 ms after each other
and take 10 ms, if they say nothing else. Words that stand for more than an attribute: `service`, `took`, `starts` (in
ms), `kind`, `status`, `message`, `id` and `parent` (names), `library`, `resource.…`, `instrumentation.…`, and
`event.…` or `link.…`, which begin a new event at `event` or `link`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from minitrace.durations import parse_duration
from minitrace.model import Event, Kind, Link, Resource, Scope, Span, Status, StatusCode, Value
from minitrace.traceql.evaluate import Spanset, evaluate
from minitrace.traceql.metrics import Range, Series, metrics
from minitrace.traceql.parser import parse
from tests.samples import MS, T0, span_id, trace_id

SECOND = 1000 * MS


def trace(drawing: str, name: str = "trace") -> list[Span]:
    """The spans of a drawing, in its order."""
    lines = [line for line in drawing.splitlines() if line.strip()]
    above: list[tuple[int, Span]] = []
    spans = []
    for at, line in enumerate(lines):
        depth = len(line) - len(line.lstrip())
        while above and above[-1][0] >= depth:
            above.pop()
        span = _span(line.split(), trace_id(name), T0 + at * MS, above[-1][1].span_id if above else b"")
        above.append((depth, span))
        spans.append(span)
    return spans


def found(query: str, spans: Iterable[Span]) -> str:
    """The names of the spans a query finds in a trace, in its order; a bar stands between spansets."""
    return " | ".join(names(spanset) for spanset in spansets(query, spans))


def spansets(query: str, spans: Iterable[Span]) -> list[Spanset]:
    """What a query finds in a trace."""
    return evaluate(parse(query), list(spans))


def names(spanset: Spanset) -> str:
    """The names of its spans, in its order."""
    return " ".join(span.name for span in spanset.spans)


def seconds(start: float, end: float, step: float = 1) -> Range:
    """A range, in seconds after `T0`."""
    return Range.aligned(T0 + round(start * SECOND), T0 + round(end * SECOND), round(step * SECOND))


def table(series: Iterable[Series]) -> dict[str, list[Any]]:
    """The samples of series by their labels, written as ``name=db p=0.5``."""
    return {" ".join(f"{name}={_text(value)}" for name, value in one.labels): one.samples for one in series}


def measured(query: str, traces: Iterable[list[Span]], range: Range) -> dict[str, list[Any]]:
    """The samples that a metrics query gives, by labels."""
    return table(metrics(parse(query), traces, range))


def _text(value: object) -> object:
    return value.name.lower() if isinstance(value, Kind | StatusCode) else value


def _span(words: list[str], trace: bytes, start_ns: int, parent_id: bytes) -> Span:
    name, *fields = words
    scope = Scope("tests", "1.0")
    span = Span(trace, span_id(name), name, start_ns, start_ns + 10 * MS, parent_id, Kind.INTERNAL, scope=scope)
    span.resource = Resource({"service.name": "shop"})
    for word in fields:
        _set(span, *word.split("=", 1))
    return span


def _set(span: Span, key: str, text: str) -> None:
    scope, _, name = key.partition(".")
    if key in ("starts", "took"):
        _set_time(span, key, text)
    elif key == "kind":
        span.kind = Kind[text.upper()]
    elif key in ("status", "message"):
        code = StatusCode[text.upper()] if key == "status" else span.status.code
        span.status = Status(code, text if key == "message" else span.status.message)
    elif key in ("id", "parent"):
        setattr(span, "span_id" if key == "id" else "parent_id", span_id(text))
    elif key == "service":
        span.resource.attributes["service.name"] = text
    elif key == "event":
        span.events.append(Event(span.start_ns + (len(span.events) + 1) * MS, text))
    elif key == "link":
        span.links.append(Link(trace_id(text), span_id(text)))
    elif scope in ("resource", "instrumentation", "event", "link"):
        _holder(span, scope).attributes[name] = _value(text)
    else:
        span.attributes[key] = _value(text)


def _holder(span: Span, scope: str) -> Resource | Scope | Event | Link:
    if scope in ("event", "link"):
        return span.events[-1] if scope == "event" else span.links[-1]
    return span.resource if scope == "resource" else span.scope


def _set_time(span: Span, key: str, text: str) -> None:
    duration_ns = span.end_ns - span.start_ns
    if key == "starts":
        span.start_ns = T0 + round(float(text) * MS)
    else:
        duration_ns = parse_duration(text)
    span.end_ns = span.start_ns + duration_ns


def _value(text: str) -> Value:
    """JSON where it is JSON, else the text."""
    try:
        value: Value = json.loads(text)
    except ValueError:
        return text
    return value
