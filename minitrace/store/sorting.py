"""A page of a search in any order but the newest first: sorted is all that matches, not the page."""

from __future__ import annotations

from typing import Any

from minitrace.store.candidates import TRACE_COLUMNS
from minitrace.store.database import Reader
from minitrace.store.matches import SearchResult
from minitrace.store.matching import Matching, Memory, matching
from minitrace.store.orders import COLUMNS, read_place, write_place
from minitrace.store.resolve import TRACES
from minitrace.store.search import Search, describe


async def sorted_search(reader: Reader, memory: Memory, wanted: Search) -> SearchResult:
    """The first traces that match, in the order wanted, behind the cursor `before`.

    If not all that match are known at the deadline, those that are, are sorted.

    Raises:
        DecodeError: `before` is not a cursor of this order.
    """
    place = read_place(wanted.order, wanted.before) if wanted.before else None
    found = await matching(reader, memory, wanted)
    rows = await _page(reader, wanted, found, place)
    columns = len(COLUMNS[wanted.order])
    page = rows[: wanted.limit]
    result = await describe(reader, wanted, [row[columns:] for row in page])
    result.complete = result.complete and found.complete
    result.reason = found.reason or result.reason
    result.inspected = found.inspected or len(page)
    result.looked_back_to_ns = found.looked_back_to_ns or result.looked_back_to_ns
    result.next = write_place(wanted.order, page[-1][:columns]) if len(rows) > len(page) > 0 else None
    return result


async def _page(reader: Reader, wanted: Search, found: Matching, place: list[Any] | None) -> list[Any]:
    """One row more than is wanted: the columns of the order, then those of `describe`."""
    columns = ", ".join(COLUMNS[wanted.order])
    behind = "1" if place is None else f"({columns}) > ({', '.join('?' * len(place))})"
    sql = f"""
        SELECT {columns}, {TRACE_COLUMNS}
        FROM {TRACES}
        WHERE {found.where} AND {behind}
        ORDER BY {columns}
        LIMIT ?
    """
    return await reader.rows(sql, [*found.bound, *(place or []), wanted.limit + 1])
