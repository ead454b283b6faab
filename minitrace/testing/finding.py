"""What a query finds among the spans that a test captured.

A test is the root of what it captures: with the headers of `Traces` a server's first span has a parent that no process
ever sends. So a span whose parent was not captured counts as a root. Else nothing in its trace would be below anything,
and that something is *not* there would hold of every such trace.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from minitrace.errors import TraceQLError
from minitrace.model import Span, Trace
from minitrace.testing.capturing import Snapshot
from minitrace.traceql.ast import Pipeline
from minitrace.traceql.evaluate import Program, Spanset
from minitrace.traceql.parser import parse


def find(snapshot: Snapshot, query: str) -> list[Span]:
    """The spans that a query finds, trace by trace; each once, in order of start.

    Raises:
        TraceQLError: it cannot be read, or asks for series.
    """
    spansets = run(program(query), snapshot.traces())
    found = {id(span): span for spanset in spansets for span in spanset.spans}
    return sorted(found.values(), key=lambda span: (span.start_ns, span.span_id))


def run(program: Program, traces: Iterable[Trace]) -> list[Spanset]:
    """The spansets that a query finds in traces."""
    return [spanset for trace in traces for spanset in program.run(trace.spans, orphans_are_roots=True)]


@lru_cache(256)
def program(query: str) -> Program:
    """A query that finds spans, ready to run. Raises TraceQLError: it cannot be read, or asks for series."""
    root = parse(query).root
    if not isinstance(root, Pipeline):
        raise TraceQLError("this asks for series, and tests look at spans: leave the function of metrics out", query)
    return Program(root)
