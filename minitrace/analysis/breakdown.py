"""Where the time of a trace went, by whatever spans can be grouped by: service, operation, an attribute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minitrace.analysis.timing import own_times
from minitrace.analysis.tree import Tree
from minitrace.model import Span


@dataclass(frozen=True, slots=True)
class Group:
    """Spans with one key; `key` is None for those that have none.

    `total_ns` is the sum of their durations: a span within another of the same group counts twice. `own_ns` is the sum
    of their own times, and that of all groups is the trace's work. Percentiles are of durations, see `percentile`.
    """

    key: str | None
    count: int
    total_ns: int
    own_ns: int
    p50_ns: int
    p95_ns: int
    error_count: int


def breakdown(tree: Tree, key: Callable[[Span], str | None], own: Sequence[int] | None = None) -> list[Group]:
    """The spans by `key`, those with most own time first. `own` are the rows' own times, where they are known."""
    own = own_times(tree) if own is None else own
    durations = [end - begin for begin, end in zip(tree.begins, tree.ends, strict=True)]
    failed = [node.span.is_error for node in tree.nodes]
    rows_of: dict[str | None, list[int]] = {}
    for row, node in enumerate(tree.nodes):
        rows_of.setdefault(key(node.span), []).append(row)
    groups = [_group(name, rows, durations, own, failed) for name, rows in rows_of.items()]
    return sorted(groups, key=lambda group: (-group.own_ns, -group.total_ns, group.key or ""))


def percentile(ordered: Sequence[int], per_cent: int) -> int:
    """The nearest-rank percentile: the least of these values that so many per cent do not exceed; 0 of none.

    Always one of the values, never between two, and exact. `ordered` is sorted, `per_cent` from 1 to 100.
    """
    return ordered[rank(len(ordered), per_cent)] if ordered else 0


def rank(count: int, per_cent: int) -> int:
    """The place, from 0, of a percentile among so many values in order."""
    return -(-count * per_cent // 100) - 1  # rounded up


def _group(
    key: str | None, rows: list[int], durations: Sequence[int], own: Sequence[int], failed: Sequence[bool]
) -> Group:
    ordered = sorted([durations[row] for row in rows])
    return Group(
        key=key,
        count=len(rows),
        total_ns=sum(ordered),
        own_ns=sum([own[row] for row in rows]),
        p50_ns=percentile(ordered, 50),
        p95_ns=percentile(ordered, 95),
        error_count=sum([failed[row] for row in rows]),
    )
