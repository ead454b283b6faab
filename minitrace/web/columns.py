"""What `cols=` and `pin=` name: columns of the result, and attributes whose values are counted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from minitrace.errors import TraceQLError
from minitrace.store.orders import Order
from minitrace.traceql.ast import Attribute, Intrinsic, Pipeline, Select
from minitrace.traceql.names import attribute_text
from minitrace.traceql.parser import parse

MOST = 12  # of either: each one is asked for of every trace that is shown
_ITEM = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^,"])+')


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name in the address, its head, and how it sorts, first one way and then the other.

    `field` is what it shows of the first spans that match; None for what every trace has.
    """

    name: str
    title: str
    orders: tuple[Order, ...] = ()
    field: Attribute | Intrinsic | None = None

    def aria_sort(self, order: Order) -> str:
        """The value of aria-sort in a result of this order; "" where it is not sorted by this."""
        if order not in self.orders:
            return ""
        return "descending" if order.startswith("-") else "ascending"

    def next_order(self, order: Order) -> Order | None:
        """The order that its head leads to."""
        if not self.orders:
            return None
        return (
            self.orders[(self.orders.index(order) + 1) % len(self.orders)] if order in self.orders else self.orders[0]
        )


OWN = {
    column.name: column
    for column in (
        Column("started", "Started", (Order.NEWEST, Order.OLDEST)),
        Column("trace", "Trace", (Order.NAME,)),
        Column("duration", "Duration", (Order.LONGEST, Order.SHORTEST)),
        Column("spans", "Spans", (Order.MOST_SPANS, Order.FEWEST_SPANS)),
        Column("errors", "Errors", (Order.MOST_ERRORS,)),
        Column("services", "Services"),
    )
}
USUAL = tuple(OWN.values())


def read_columns(text: str) -> tuple[Column, ...]:
    """The columns that a text names, in their own order, those of attributes last; the usual ones for none.

    A trace without its name could not be opened: that column is always there. What cannot be read is left out.
    """
    items = [item.strip() for item in _ITEM.findall(text)]
    own = tuple(column for name, column in OWN.items() if name in items or name == "trace")
    fields = read_fields([item for item in items if item not in OWN])
    return own + tuple(of_field(field) for field in fields) if any(items) else USUAL


def read_fields(texts: Iterable[str]) -> tuple[Attribute | Intrinsic, ...]:
    """The fields of spans that texts name, each once; a key without a scope is an attribute, ``http.route``."""
    items = [item.strip() for text in texts for item in _ITEM.findall(text)]
    found = (_field(item) or _field(f".{attribute_text(item)}") for item in items if item)
    return tuple(dict.fromkeys(field for field in found if field))[:MOST]


def of_field(field: Attribute | Intrinsic) -> Column:
    """The column of a field's values."""
    return Column(str(field), str(field).removeprefix("."), (), field)


def cols_text(columns: Iterable[Column]) -> str:
    """The columns as `cols=` has them, "" for the usual ones."""
    names = ",".join(column.name for column in columns)
    return "" if names == ",".join(OWN) else names


def _field(text: str) -> Attribute | Intrinsic | None:
    try:
        root = parse(f"{{ }} | select({text})").root
    except TraceQLError:
        return None
    match root:
        case Pipeline((_, Select((Attribute() | Intrinsic() as field,)))):
            return field
    return None
