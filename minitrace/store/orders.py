"""The orders that a search's traces may come in, and places in them.

Each is a list of columns that all ascend, so that what lies behind a place is one comparison of rows.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from minitrace.errors import DecodeError


class Order(StrEnum):
    """What traces are sorted by; a minus means the largest first. Traces alike come newest first."""

    NEWEST = "-start"
    OLDEST = "start"
    LONGEST = "-duration"
    SHORTEST = "duration"
    MOST_SPANS = "-spans"
    FEWEST_SPANS = "spans"
    MOST_ERRORS = "-errors"
    NAME = "name"  # the service of the root, then its name; traces whose root was not received come last


_NEWEST = ("-start_ns", "-traces.id")
COLUMNS: dict[Order, tuple[str, ...]] = {  # of TRACES
    Order.NEWEST: _NEWEST,
    Order.OLDEST: ("start_ns", "traces.id"),
    Order.LONGEST: ("start_ns - end_ns", *_NEWEST),
    Order.SHORTEST: ("end_ns - start_ns", *_NEWEST),
    Order.MOST_SPANS: ("-span_count", *_NEWEST),
    Order.FEWEST_SPANS: ("span_count", *_NEWEST),
    Order.MOST_ERRORS: ("-error_count", *_NEWEST),
    Order.NAME: ("root_name IS NULL", "coalesce(services.name, '')", "coalesce(root_name, '')", *_NEWEST),
}
_TYPES: dict[Order, tuple[type, ...]] = {
    order: tuple(str if "coalesce" in column else int for column in columns) for order, columns in COLUMNS.items()
}


def write_place(order: Order, values: Sequence[Any]) -> str:
    """The cursor of a place: what the columns of its order are there."""
    return base64.urlsafe_b64encode(json.dumps([order, *values]).encode()).decode().rstrip("=")


def read_place(order: Order, cursor: str) -> list[Any]:
    """What `write_place` was given.

    Raises:
        DecodeError: it is not a cursor of this order.
    """
    try:
        found, *values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        is_ours = found == order and tuple(map(type, values)) == _TYPES[order] and all(map(_is_storable, values))
    except (ValueError, TypeError, RecursionError):
        is_ours = False
    if not is_ours:
        raise DecodeError(f"{cursor!r} is not a place to continue from in the order {order.value}")
    return list(values)


def _is_storable(value: str | int) -> bool:
    """Whether SQLite takes it; a text that is none in UTF-8 raises ValueError."""
    if isinstance(value, str):
        value.encode()
        return True
    return -(2**63) <= value < 2**63
