"""What people call a trace, to its id: an id, the beginning of one, a traceparent, or "last"."""

from __future__ import annotations

import re

from minitrace.asking.source import Source
from minitrace.errors import ConfigError, TraceNotFound
from minitrace.model import Trace
from minitrace.web.lookup import find_ids

LAST = "last"
LEAST_DIGITS = 8
SHOWN = 5  # of the traces that begin alike


def find(source: Source, text: str) -> Trace:
    """The trace that is meant.

    Raises:
        ConfigError: the text is no id, or the beginning of several.
        TraceNotFound: no trace is stored that it could mean.
    """
    if text == LAST:
        return source.trace(_newest(source))
    found = find_ids(text)
    begins = re.fullmatch(rf"[0-9a-f]{{{LEAST_DIGITS},31}}", text.lower())
    for trace_id in dict.fromkeys(one.trace_id for one in found):
        try:
            return source.trace(trace_id)
        except TraceNotFound:
            if not begins and trace_id == found[-1].trace_id:
                raise
    if not begins:
        raise ConfigError(
            f"{text[:80]!r} is no trace id: give one, its first {LEAST_DIGITS} digits or more, a traceparent, or {LAST}"
        )
    return source.trace(_beginning(source, text.lower()))


def _newest(source: Source) -> bytes:
    traces = source.search({"limit": "1"}).traces
    if not traces:
        raise TraceNotFound("no trace is stored yet")
    return traces[0].trace_id


def _beginning(source: Source, digits: str) -> bytes:
    """The one trace whose id begins so. TraceQL knows ids without the zeros in front."""
    query = f'{{ trace:id =~ "{digits.lstrip("0")}.*" }}'
    answer = source.search({"q": query, "limit": "100", "spss": "1"})
    ids = [found.trace_id for found in answer.traces if found.trace_id.hex().startswith(digits)]
    if not ids:
        raise TraceNotFound(f"no trace is stored whose id begins with {digits}")
    if len(ids) > 1:
        named = "\n".join(f"  {trace_id.hex()}" for trace_id in ids[:SHOWN])
        raise ConfigError(f"{len(ids)} traces begin with {digits}; give more digits:\n{named}")
    return ids[0]
