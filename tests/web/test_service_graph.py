"""The drawing of a trace's services."""

from __future__ import annotations

import re

from minitrace.analysis.tree import Tree, tree
from minitrace.model import Span, Status, StatusCode, Trace
from minitrace.web.boxes import HEIGHT, WIDTH
from minitrace.web.service_graph import MAX_DRAWN, Arrow, ServiceGraph, service_graph
from tests.samples import TRACE, span

FAILED = Status(StatusCode.ERROR)


def _tree(*spans: Span) -> Tree:
    return tree(Trace(TRACE, spans))


SHOP = service_graph(
    _tree(
        span("checkout", service="shop", duration_ms=100),
        span("charge", "checkout", service="payment", duration_ms=40),
        span("retry", "checkout", service="payment", start_ms=50, duration_ms=20, status=FAILED),
        span("refund", "charge", service="shop", duration_ms=10),
        span("look up", "checkout", service="shop"),
    )
)


def arrow(graph: ServiceGraph, caller: str, callee: str) -> Arrow:
    (found,) = [arrow for arrow in graph.arrows if (arrow.call.caller, arrow.call.callee) == (caller, callee)]
    return found


def numbers(path: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?[0-9.]+", path)]


def test_a_box_says_what_its_service_did() -> None:
    box = SHOP.boxes[1]
    assert (box.name, box.node.span_count, box.node.error_count) == ("payment", 2, 1)
    assert box.query == '{ resource.service.name = "payment" }'


def test_calls_between_two_services_are_one_arrow() -> None:
    call = arrow(SHOP, "shop", "payment").call
    assert (call.count, call.error_count, call.total_ns) == (2, 1, 60_000_000)
    assert [(call.caller, call.callee) for call in SHOP.calls] == [("shop", "payment"), ("payment", "shop")]


def test_an_arrow_leads_from_the_right_of_its_caller_to_the_left_of_what_it_calls() -> None:
    shop, payment = SHOP.boxes
    path = numbers(arrow(SHOP, "shop", "payment").curve.path)
    assert path[:2] == [shop.x + WIDTH, shop.y + HEIGHT / 2]
    assert numbers(arrow(SHOP, "shop", "payment").curve.head)[:2] == [payment.x, payment.y + HEIGHT / 2]


def test_an_arrow_back_runs_below_the_one_forth() -> None:
    shop, payment = SHOP.boxes
    back = arrow(SHOP, "payment", "shop")
    assert numbers(back.curve.path)[0] == payment.x
    assert numbers(back.curve.head)[0] == shop.x + WIDTH
    assert numbers(back.curve.path)[1] > numbers(arrow(SHOP, "shop", "payment").curve.path)[1]


def test_more_calls_are_a_wider_arrow() -> None:
    many = [span(f"call {n}", "root", service="b") for n in range(100)]
    graph = service_graph(_tree(span("root", service="a"), span("one", "root", service="c", start_ms=-1), *many))
    assert (arrow(graph, "a", "b").width, arrow(graph, "a", "c").width) == (3, 1)
    assert [call.callee for call in graph.calls] == ["b", "c"]


def test_all_of_the_drawing_is_within_its_size() -> None:
    spans = [span("root", service="s0")]
    spans += [span(f"{n}", f"{n // 2}" if n > 1 else "root", service=f"s{n % 9}") for n in range(1, 30)]
    graph = service_graph(_tree(*spans))
    assert all(0 <= box.x <= graph.width - WIDTH and 0 <= box.y <= graph.height - HEIGHT for box in graph.boxes)
    labels = [(arrow.curve.label_x, arrow.curve.label_y) for arrow in graph.arrows]
    assert all(0 <= x <= graph.width and 0 <= y <= graph.height for x, y in labels)


def test_of_too_many_services_those_with_most_spans_are_drawn() -> None:
    spans = [span("root", service="gateway"), span("again", "root", service="gateway")]
    for n in range(MAX_DRAWN):
        spans += [span(f"{n}", "root", service=f"s{n:02}"), span(f"{n} again", f"{n}", service=f"s{n:02}")]
    graph = service_graph(_tree(*spans, span("rare", "root", service="rare")))
    assert (len(graph.boxes), graph.total, len(graph.calls)) == (MAX_DRAWN, MAX_DRAWN + 2, MAX_DRAWN + 1)
    assert "rare" not in {box.name for box in graph.boxes}
    assert len(graph.arrows) == MAX_DRAWN - 1
