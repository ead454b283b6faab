"""Where the time went, by what spans can be grouped by."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.analysis.breakdown import Group, breakdown, percentile
from minitrace.analysis.timing import own_times
from minitrace.analysis.tree import Tree
from minitrace.model import Span, Status, StatusCode
from tests.analysis.alike import alike_trees
from tests.analysis.growing import grown
from tests.samples import MS, span


def service(span: Span) -> str:
    return span.service


def test_a_group_has_counts_sums_and_percentiles_of_its_spans() -> None:
    rows = grown(
        span("pay", duration_ms=100, service="shop"),
        span("charge", "pay", duration_ms=60, service="bank", status=Status(StatusCode.ERROR)),
        span("refund", "pay", start_ms=70, duration_ms=10, service="bank"),
    )
    assert breakdown(rows, service) == [
        Group("bank", 2, 70 * MS, 70 * MS, 10 * MS, 60 * MS, 1),
        Group("shop", 1, 100 * MS, 30 * MS, 100 * MS, 100 * MS, 0),
    ]


def test_spans_without_a_key_are_a_group_of_their_own() -> None:
    rows = grown(span("pay", attributes={"tier": "gold"}), span("charge", "pay", duration_ms=4))

    def tier(span: Span) -> str | None:
        return str(span.attributes["tier"]) if "tier" in span.attributes else None

    assert [(group.key, group.own_ns) for group in breakdown(rows, tier)] == [("gold", 6 * MS), (None, 4 * MS)]


def test_a_trace_without_spans_has_no_groups() -> None:
    assert breakdown(grown(), service) == []


def test_own_times_that_are_known_are_taken() -> None:
    assert [group.own_ns for group in breakdown(grown(span("pay")), service, own=[7])] == [7]


@pytest.mark.parametrize(("per_cent", "value"), [(1, 15), (30, 20), (40, 20), (41, 35), (50, 35), (95, 50), (100, 50)])
def test_a_percentile_is_the_value_at_the_nearest_rank(per_cent: int, value: int) -> None:
    assert percentile([15, 20, 35, 40, 50], per_cent) == value


def test_no_values_have_the_percentile_0() -> None:
    assert percentile([], 95) == 0


@given(st.lists(st.integers(0, 9), min_size=1).map(sorted), st.integers(1, 100))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values: list[int], per_cent: int) -> None:
    enough = math.ceil(len(values) * per_cent / 100 - 1e-9)
    assert percentile(values, per_cent) == min(v for v in values if sum(w <= v for w in values) >= enough)


@given(alike_trees())
def test_groups_are_what_a_plain_count_finds(rows: Tree) -> None:
    own = own_times(rows)
    for group in breakdown(rows, service):
        mine = [row for row in range(len(rows)) if rows.span(row).service == group.key]
        assert group.count == len(mine)
        assert group.total_ns == sum(rows.ends[row] - rows.begins[row] for row in mine)
        assert group.own_ns == sum(own[row] for row in mine)
        assert group.error_count == sum(rows.span(row).is_error for row in mine)


@given(alike_trees())
def test_each_span_is_in_one_group(rows: Tree) -> None:
    assert sum(group.count for group in breakdown(rows, service)) == len(rows)
