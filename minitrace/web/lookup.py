"""Pasted text to the trace ids in it.

```
00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01   W3C traceparent
4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1       b3, single header
4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7:0:1     uber-trace-id, also with %3A
X-B3-TraceId: 4bf92f3577b34da6                            a header, a log field, JSON
4bf92f35-77b3-4da6-a3ce-929d0e0e4736                      a bare id: 16 or 32 digits, or a UUID
```

Ids shorter than 32 digits are padded on the left, as their senders mean them. What only looks like
an id does no harm: the caller asks the store which of these it knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_TEXT = 20_000  # a log line with a stack trace; beyond it nobody means to look something up
MAX_FOUND = 50


@dataclass(frozen=True, slots=True)
class FoundId:
    """A trace id, the span id that came with it, and whether the text was nothing but these."""

    trace_id: bytes
    span_id: bytes | None
    exact: bool


# Where a key may begin: tried within one again and again, a long text without spaces took seconds.
_KEY = r"(?<![\w.-])"
_HEADER = rf"""(?:{_KEY}[\w.-]++["']?\s*[:=]\s*["']?)?"""
_START = r"(?<![0-9a-z])"
_END = r"(?![0-9a-z])"
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

# One shape each that names trace and span together; the first that fits takes the text.
_WHOLE = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_HEADER}{_START}[0-9a-f]{{2}}-(?P<trace>[0-9a-f]{{32}})-(?P<span>[0-9a-f]{{16}})-[0-9a-f]{{2}}{_END}",
        rf"{_HEADER}{_START}(?P<trace>[0-9a-f]{{32}}|[0-9a-f]{{16}})-(?P<span>[0-9a-f]{{16}})"
        rf"(?:-[01d])?(?:-[0-9a-f]{{16}})?{_END}",
        # Jaeger drops leading zeros. Times and MAC addresses have colons too, but shorter groups.
        rf"{_HEADER}{_START}(?P<trace>[0-9a-f]{{12,32}})(?::|%3A)(?P<span>[0-9a-f]{{8,16}})"
        rf"(?::|%3A)[0-9a-f]{{1,16}}(?::|%3A)[0-9a-f]{{1,2}}{_END}",
        rf"uber-trace-id\W+(?P<trace>[0-9a-f]{{1,32}})(?::|%3A)(?P<span>[0-9a-f]{{1,16}})"
        rf"(?::|%3A)[0-9a-f]{{1,16}}(?::|%3A)[0-9a-f]{{1,2}}{_END}",
    )
]
_KEYED_TRACE = re.compile(
    rf"""{_KEY}[\w.-]*trace(?:[-_. ]?id)?["']?\s*[:=]\s*["']?{_START}(?P<trace>{_UUID}|[0-9a-f]{{8,32}}){_END}["']?""",
    re.IGNORECASE,
)
_KEYED_SPAN = re.compile(
    rf"""{_KEY}(?P<key>[\w.-]*)span(?:[-_. ]?id)?["']?\s*[:=]\s*["']?{_START}(?P<span>[0-9a-f]{{8,16}}){_END}["']?""",
    re.IGNORECASE,
)
# Colours of a terminal, and what Python's hex() writes before an id: the ids are the same without.
_DECORATION = re.compile(r"\x1b\[[0-9;]*m|(?<![0-9a-z])0x(?=[0-9a-f]{8,32}(?![0-9a-z]))", re.IGNORECASE)
_BARE = re.compile(rf"{_START}(?:{_UUID}|[0-9a-f]{{32}}|[0-9a-f]{{16}}){_END}", re.IGNORECASE)


def read_id(text: str, digits: int) -> bytes | None:
    """The id written in up to so many hex digits; None for anything else, and for all zeros, which is no id."""
    if not 1 <= len(text) <= digits or set(text.lower()) - set("0123456789abcdef"):
        return None
    found = bytes.fromhex(text.zfill(digits))
    return found if any(found) else None


def find_ids(text: str) -> list[FoundId]:
    """The trace ids in a text, in order of how plainly they are named; none twice."""
    text = _DECORATION.sub("", text[:MAX_TEXT])
    found: dict[tuple[bytes, bytes | None], None] = {}
    for search in (_whole, _keyed, _bare):
        pairs, text = search(text)
        for trace, span in pairs:
            if trace_id := read_id(trace.replace("-", ""), 32):
                found.setdefault((trace_id, read_id(span, 16)))
    exact = len(found) == 1 and not re.search(r"\w", text)
    return [FoundId(trace_id, span_id, exact) for trace_id, span_id in list(found)[:MAX_FOUND]]


Pairs = list[tuple[str, str]]


def _whole(text: str) -> tuple[Pairs, str]:
    pairs: Pairs = []
    for pattern in _WHOLE:
        pairs += [(match["trace"], match["span"]) for match in pattern.finditer(text)]
        text = pattern.sub(_blank, text)
    return pairs, text


def _keyed(text: str) -> tuple[Pairs, str]:
    traces = list(_KEYED_TRACE.finditer(text))
    spans = [match for match in _KEYED_SPAN.finditer(text) if not match["key"].lower().rstrip("-_.").endswith("parent")]
    pairs = [(trace["trace"], span) for trace, span in zip(traces, _spans_beside(traces, spans), strict=True)]
    if pairs:
        text = _KEYED_SPAN.sub(_blank, _KEYED_TRACE.sub(_blank, text))
    return pairs, text


def _spans_beside(traces: list[re.Match[str]], spans: list[re.Match[str]]) -> Iterator[str]:
    """For each trace the span named after it and before the next trace; a lone trace takes any."""
    for i, trace in enumerate(traces):
        end = traces[i + 1].start() if i + 1 < len(traces) else float("inf")
        near = [span for span in spans if len(traces) == 1 or trace.end() <= span.start() < end]
        yield near[0]["span"] if near else ""


def _bare(text: str) -> tuple[Pairs, str]:
    pairs: Pairs = []
    for match in _BARE.finditer(text):
        digits = match[0]
        if len(digits) == 16 and pairs and len(pairs[-1][0]) > 16 and not pairs[-1][1]:
            pairs[-1] = (pairs[-1][0], digits)  # "[checkout,<trace>,<span>]", as Spring logs it
        else:
            pairs.append((digits, ""))
    return pairs, _BARE.sub(_blank, text)


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])
