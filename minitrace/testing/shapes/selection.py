"""Which spans a query, or a name, chooses among those of a test."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from minitrace.model import Node, Trace
from minitrace.testing import finding


def found(query: str, traces: Sequence[Trace]) -> set[int]:
    """The spans that a query finds, each in its own trace, as the `id()` of the objects.

    Raises:
        TraceQLError: it cannot be read, or asks for series.
    """
    return {id(span) for spanset in finding.run(finding.program(query), traces) for span in spanset.spans}


def roots(root: str | None, traces: Sequence[Trace]) -> list[Node]:
    """Where to begin: all tops; or those that `root` names, by name, pattern or query.

    A span somewhere below is as good where no top has that name: the caller's span may be in the same process.
    """
    tops = [node for trace in traces for node in trace.tops]
    if root is None:
        return tops
    if root.lstrip().startswith(("{", "(")):
        chosen = found(root, traces)
        return [node for trace in traces for node in trace.rows() if id(node.span) in chosen]
    named = [node for node in tops if is_called(node.span.name, root)]
    return named or [node for trace in traces for node in trace.rows() if is_called(node.span.name, root)]


def is_called(name: str, pattern: str) -> bool:
    """Whether a name is this one, or one of this pattern: ``GET *``. ``/items/[id]`` is also itself."""
    return name == pattern or fnmatchcase(name, pattern)
