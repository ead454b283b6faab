"""Who called whom within a trace."""

from __future__ import annotations

from hypothesis import given

from minitrace.analysis.calls import Call, ServiceNode, calls
from minitrace.analysis.timing import own_times
from minitrace.analysis.tree import Tree
from minitrace.model import Status, StatusCode
from tests.analysis.alike import alike_trees
from tests.analysis.growing import grown
from tests.samples import MS, span

FAILED = Status(StatusCode.ERROR)


def test_a_call_is_a_span_right_below_one_of_another_service() -> None:
    rows = grown(
        span("pay", service="shop", duration_ms=50),
        span("POST /charge", "pay", service="shop", duration_ms=40),
        span("charge", "POST /charge", service="bank", duration_ms=30, status=FAILED),
        span("write", "charge", service="bank", duration_ms=5),
    )
    assert calls(rows).edges == [Call("shop", "bank", count=1, error_count=1, total_ns=30 * MS)]


def test_calls_between_the_same_services_are_added_up() -> None:
    rows = grown(
        span("pay", service="shop"),
        span("charge", "pay", service="bank", duration_ms=3),
        span("refund", "pay", service="bank", duration_ms=4, start_ms=5),
    )
    assert calls(rows).edges == [Call("shop", "bank", count=2, error_count=0, total_ns=7 * MS)]


def test_who_calls_back_is_an_edge_the_other_way() -> None:
    rows = grown(
        span("pay", service="shop"), span("charge", "pay", service="bank"), span("notify", "charge", service="shop")
    )
    assert [(call.caller, call.callee) for call in calls(rows).edges] == [("shop", "bank"), ("bank", "shop")]


def test_services_have_their_spans_errors_and_own_time_in_order_of_appearance() -> None:
    rows = grown(
        span("pay", service="shop", duration_ms=10),
        span("charge", "pay", service="bank", duration_ms=4, status=FAILED),
        span("refund", "pay", service="bank", duration_ms=3, start_ms=5),
    )
    assert list(calls(rows).services.items()) == [
        ("shop", ServiceNode(1, 0, 3 * MS)),
        ("bank", ServiceNode(2, 1, 7 * MS)),
    ]


def test_an_orphan_was_called_by_nobody_known() -> None:
    assert calls(grown(span("charge", "absent", service="bank"))).edges == []


def test_own_times_that_are_known_are_taken() -> None:
    assert calls(grown(span("pay", service="shop")), own=[7]).services["shop"].own_ns == 7


@given(alike_trees())
def test_counts_and_own_times_add_up(rows: Tree) -> None:
    graph = calls(rows)
    crossing = [
        row
        for row, parent in enumerate(rows.parents)
        if parent >= 0 and rows.span(row).service != rows.span(parent).service
    ]
    assert sum(call.count for call in graph.edges) == len(crossing)
    assert sum(call.error_count for call in graph.edges) == sum(rows.span(row).is_error for row in crossing)
    assert sum(service.span_count for service in graph.services.values()) == len(rows)
    assert sum(service.own_ns for service in graph.services.values()) == sum(own_times(rows))
