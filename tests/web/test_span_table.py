"""The order and the pages of a table of spans."""

from __future__ import annotations

import pytest

from minitrace.analysis.tree import tree
from minitrace.model import Status, StatusCode, Trace
from minitrace.web.span_table import PAGE_ROWS, Order, SpanTable, read_order, span_table
from tests.samples import TRACE, span, span_id

CHECKOUT = tree(
    Trace(
        TRACE,
        [
            span("checkout", duration_ms=100, service="shop"),
            span("charge", "checkout", start_ms=30, duration_ms=60, service="payment"),
            span("bank", "charge", start_ms=35, duration_ms=50, service="bank", status=Status(StatusCode.ERROR)),
            span("cart", "checkout", start_ms=5, duration_ms=20, service="cart"),
        ],
    )
)


def names(table: SpanTable) -> list[str]:
    return [row.span.name for row in table.rows]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("", ["checkout", "cart", "charge", "bank"]),
        ("-start", ["bank", "charge", "cart", "checkout"]),
        ("name", ["bank", "cart", "charge", "checkout"]),
        ("service", ["bank", "cart", "charge", "checkout"]),
        ("-duration", ["checkout", "charge", "bank", "cart"]),
        ("-own", ["bank", "checkout", "cart", "charge"]),  # 50, 20, 20 and 10 ms
        ("-errors", ["bank", "checkout", "cart", "charge"]),
        ("colour", ["checkout", "cart", "charge", "bank"]),
    ],
)
def test_spans_are_sorted_by_what_the_address_says(sort: str, expected: list[str]) -> None:
    assert names(span_table(CHECKOUT, sort)) == expected


def test_a_row_says_when_it_began_and_what_was_its_own() -> None:
    row = span_table(CHECKOUT, "").rows[2]
    assert (row.number, row.begin_ns, row.own_ns) == (3, 30_000_000, 10_000_000)


def test_a_span_without_a_time_has_no_beginning() -> None:
    odd = tree(Trace(TRACE, [span("checkout"), span("lost", "checkout", start_ns=0, end_ns=0)]))
    assert [row.begin_ns for row in span_table(odd, "name").rows] == [0, None]


LONG = tree(Trace(TRACE, [span(f"{n:04}", start_ms=n) for n in range(2 * PAGE_ROWS + 1)]))


@pytest.mark.parametrize(
    ("page", "shown", "first", "count"),
    [
        (None, 1, "0000", PAGE_ROWS),
        (2, 2, "0200", PAGE_ROWS),
        (3, 3, "0400", 1),
        (99, 3, "0400", 1),
        (0, 1, "0000", 200),
    ],
)
def test_a_page_has_its_rows_and_no_page_is_empty(page: int | None, shown: int, first: str, count: int) -> None:
    table = span_table(LONG, "", page)
    assert (table.page, table.pages, table.total) == (shown, 3, 2 * PAGE_ROWS + 1)
    assert (names(table)[0], len(table.rows)) == (first, count)


def test_without_a_page_the_one_with_the_selected_span_is_shown() -> None:
    assert span_table(LONG, "", None, span_id("0250")).page == 2
    assert span_table(LONG, "-start", None, span_id("0000")).page == 3
    assert span_table(LONG, "", 1, span_id("0250")).page == 1


def test_a_click_on_a_head_sorts_as_it_is_read_first_and_then_the_other_way_round() -> None:
    usual = read_order("", ("start", "own"), Order("start"))
    by_own = usual.then("own", descends=True)
    assert (str(by_own), str(by_own.then("own", descends=True))) == ("-own", "own")
    assert (usual.aria("own"), by_own.aria("own"), usual.aria("start")) == (None, "descending", "ascending")
