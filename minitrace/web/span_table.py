"""The spans of a trace as a table: one order, one page of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minitrace.analysis.timing import own_times
from minitrace.analysis.tree import Tree
from minitrace.model import Span

PAGE_ROWS = 200


@dataclass(frozen=True, slots=True)
class TableRow:
    """A span with its place in the order, from 1. `begin_ns` is since the start of the trace; None without a time."""

    number: int
    span: Span
    begin_ns: int | None
    own_ns: int


@dataclass(frozen=True, slots=True)
class SpanTable:
    """A page of the spans. `order` is what they are sorted by; `page` counts from 1."""

    rows: list[TableRow]
    order: Order
    page: int
    pages: int
    total: int
    duration_ns: int


@dataclass(frozen=True, slots=True)
class Order:
    """What a table is sorted by, as an address has it: ``own``, or ``-own`` for the largest first."""

    name: str
    is_descending: bool = False

    def __str__(self) -> str:
        return f"{'-' * self.is_descending}{self.name}"

    def aria(self, name: str) -> str | None:
        """What ``aria-sort`` says in the head of a column; None for columns that are not sorted by."""
        if name != self.name:
            return None
        return "descending" if self.is_descending else "ascending"

    def then(self, name: str, *, descends: bool) -> Order:
        """The order that a click on a column's head leads to: how it is read first, then the other way round."""
        return Order(name, not self.is_descending if name == self.name else descends)


def read_order(text: str, names: tuple[str, ...], default: Order) -> Order:
    """The order that an address asks for, if it is by one of these names."""
    name = text.removeprefix("-")
    return Order(name, text.startswith("-")) if name in names else default


def span_table(tree: Tree, sort: str, page: int | None = None, selected: bytes | None = None) -> SpanTable:
    """One page of the spans: the one asked for, else the one with the selected span, else the first."""
    own = own_times(tree)
    order = read_order(sort, NAMES, BY_START)
    rows = sorted(range(len(tree)), key=_keys(tree, own)[order.name], reverse=order.is_descending)
    pages = max(1, -(-len(rows) // PAGE_ROWS))
    if page is None:
        page = next((i for i, row in enumerate(rows) if tree.span(row).span_id == selected), 0) // PAGE_ROWS + 1
    page = min(max(page, 1), pages)
    first = (page - 1) * PAGE_ROWS
    shown = [
        TableRow(first + i, tree.span(row), None if row in tree.timeless else tree.begins[row], own[row])
        for i, row in enumerate(rows[first : first + PAGE_ROWS], 1)
    ]
    return SpanTable(shown, order, page, pages, len(rows), tree.duration_ns)


def _keys(tree: Tree, own: list[int]) -> dict[str, Callable[[int], Any]]:
    """What each order looks at in a row. Equal ones stay as the tree has them."""
    return {
        "start": tree.begins.__getitem__,
        "service": lambda row: tree.span(row).service,
        "name": lambda row: tree.span(row).name,
        "duration": lambda row: tree.span(row).duration_ns,
        "own": own.__getitem__,
        "errors": lambda row: tree.span(row).is_error,
    }


NAMES = ("start", "service", "name", "duration", "own", "errors")
BY_START = Order("start")
