"""Siblings that repeat: fourteen queries alike below one span, or thirty times the same top.

What is alike has the same service, kind and signature; see `signatures`. It need not stand side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import median_low
from typing import TypeVar

from minitrace.analysis.signatures import ATTRIBUTES, is_call, label, signature
from minitrace.analysis.tree import Tree

__all__ = ["ATTRIBUTES", "Run", "runs", "signature"]

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Run:
    """Alike spans right below one row; `parent` is -1 for tops.

    `rows` are in order. `total_ns` is the sum of their durations, more than the time that passed where they overlap;
    `median_ns` is the duration of one of them, the lower one of two in the middle. `label` is for people:
    ``SELECT stock``. `is_call` says that each waits for somebody else, which makes this look like an N+1.
    """

    parent: int
    rows: tuple[int, ...]
    label: str
    total_ns: int
    median_ns: int
    is_call: bool


def runs(tree: Tree, least: int = 5) -> list[Run]:
    """At least `least` alike siblings each, in order of their first rows."""
    found = [run for parent, rows in _families(tree, least) for run in _runs_of(tree, parent, rows, least)]
    return sorted(found, key=lambda run: run.rows[0])


def _families(tree: Tree, least: int) -> Iterator[tuple[int, Iterable[int]]]:
    """Rows with one parent, where they are many enough."""
    # Orphans are siblings if they name the same parent, also where it was not received.
    for tops in _groups(tree.tops(), lambda row: tree.span(row).parent_id, least):
        yield -1, tops
    for row, node in enumerate(tree.nodes):
        if len(node.children) >= least:
            yield row, tree.children(row)


def _runs_of(tree: Tree, parent: int, rows: Iterable[int], least: int) -> Iterator[Run]:
    # Signatures cost most: only those get one that are many by what is cheap to see.
    nodes = tree.nodes
    for akin in _groups(rows, lambda row: (nodes[row].span.service, nodes[row].span.kind), least):
        for alike in _groups(akin, lambda row: signature(nodes[row].span), least):
            yield _run(tree, parent, alike)


def _groups(rows: Iterable[int], key: Callable[[int], Key], least: int) -> list[list[int]]:
    groups: dict[Key, list[int]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return [group for group in groups.values() if len(group) >= least]


def _run(tree: Tree, parent: int, rows: list[int]) -> Run:
    first = tree.span(rows[0])
    durations = [tree.ends[row] - tree.begins[row] for row in rows]
    return Run(parent, tuple(rows), label(first), sum(durations), median_low(durations), is_call(first))
