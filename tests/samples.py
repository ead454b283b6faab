"""Spans and log records for tests, with readable ids: `span("charge", parent="checkout")`.

A name stands for an id: the same name gives the same bytes in every test.
"""

from __future__ import annotations

import hashlib
from typing import Any

from minitrace.model import LogRecord, Resource, Scope, Span, Trace, Value

T0 = 1_700_000_000_000_000_000  # 2023-11-14T22:13:20Z
MS = 1_000_000
TRACE = b"a trace of tests"


def span_id(name: str) -> bytes:
    """Eight bytes that stand for a name; none for no name."""
    return hashlib.sha256(name.encode()).digest()[:8] if name else b""


def trace_id(name: str) -> bytes:
    """Sixteen bytes that stand for a name."""
    return hashlib.sha256(name.encode()).digest()[:16]


def span(
    name: str,
    parent: str = "",
    *,
    trace: str | bytes = TRACE,
    id: str = "",
    service: str = "shop",
    start_ms: float = 0,
    duration_ms: float = 10,
    **fields: Any,
) -> Span:
    """A span that starts `start_ms` after `T0`; its id is made from `id`, or from its name."""
    start_ns = T0 + round(start_ms * MS)
    defaults = {
        "trace_id": trace if isinstance(trace, bytes) else trace_id(trace),
        "span_id": span_id(id or name),
        "parent_id": span_id(parent),
        "name": name,
        "start_ns": start_ns,
        "end_ns": start_ns + round(duration_ms * MS),
        "resource": Resource({"service.name": service}),
        "scope": Scope("tests", "1.0"),
    }
    return Span(**{**defaults, **fields})


def draw(trace: Trace) -> str:
    """A trace as indented names: what the tree looks like, in one readable string."""
    return "\n".join("  " * node.depth + node.span.name for node in trace.rows())


def record(
    body: Value, *, at_ms: float = 0, service: str = "shop", trace: str | bytes = b"", span: str = "", **fields: Any
) -> LogRecord:
    """A log record of `at_ms` after `T0`; without a trace unless one is named."""
    defaults = {
        "time_ns": T0 + round(at_ms * MS),
        "body": body,
        "trace_id": trace if isinstance(trace, bytes) else trace_id(trace),
        "span_id": span_id(span),
        "resource": Resource({"service.name": service}),
        "scope": Scope("tests", "1.0"),
    }
    return LogRecord(**{**defaults, **fields})
