"""The spans that a search found, with values of one type under each key.

Grafana makes a column of a key, and from 13 on fails at the first value of another type: nothing of the search is
shown. A service that says `200` beside one that says `"200"` is enough, as Zipkin's tags are all text. So values of a
key that has several types in one answer are all text there. Whole numbers and fractions are one type.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from minitrace.store.matches import SpanMatch, SpansetMatch, TraceMatch
from minitrace.traceql.ast import Duration, Value, static_text
from minitrace.traceql.names import go_duration

_TYPES: dict[type, str] = {bool: "bool", int: "number", float: "number", list: "list"}


def uniform(matches: Sequence[TraceMatch]) -> Sequence[TraceMatch]:
    """The same matches, or copies where spans have a key with several types."""
    types: defaultdict[str, set[str]] = defaultdict(set)
    for span in _spans(matches):
        for key, value in span.attributes.items():
            types[key].add(_type(value))
    mixed = {key for key, found in types.items() if len(found) > 1}
    if not mixed:
        return matches
    return [replace(match, spansets=[_with_text(spanset, mixed) for spanset in match.spansets]) for match in matches]


def _spans(matches: Sequence[TraceMatch]) -> Iterator[SpanMatch]:
    return (span for match in matches for spanset in match.spansets for span in spanset.spans)


def _type(value: Value) -> str:
    return _TYPES.get(type(value), "text")


def _with_text(spanset: SpansetMatch, keys: set[str]) -> SpansetMatch:
    """The spanset, with values of these keys as text."""
    spans = []
    for span in spanset.spans:
        told = {key: _text(value) if key in keys else value for key, value in span.attributes.items()}
        spans.append(replace(span, attributes=told))
    return replace(spanset, spans=spans)


def _text(value: Value) -> Value:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return go_duration(value) if isinstance(value, Duration) else static_text(value)
