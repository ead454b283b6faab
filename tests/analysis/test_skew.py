"""Clock skew: who is moved, how far, and who goes with it."""

from __future__ import annotations

from hypothesis import given

from minitrace.analysis.skew import shifts
from minitrace.analysis.tree import tree
from minitrace.model import Kind, Resource, Span, Trace
from tests.analysis.growing import MANY, RESOURCES, traces
from tests.samples import MS, T0, TRACE, span, span_id


def moved(*spans: Span) -> dict[str, float]:
    trace = Trace(TRACE, spans)
    rows = tree(trace)
    return {rows.span(row).name: shift / MS for row, shift in shifts(trace).items()}


def call(start_ms: float = 10, duration_ms: float = 10, kind: Kind = Kind.CLIENT) -> Span:
    return span("call", service="shop", kind=kind, start_ms=start_ms, duration_ms=duration_ms)


def answer(start_ms: float, duration_ms: float = 6, kind: Kind = Kind.SERVER, service: str = "cart") -> Span:
    return span("answer", "call", service=service, kind=kind, start_ms=start_ms, duration_ms=duration_ms)


def test_a_server_that_seems_to_begin_before_its_client_asks_is_set_in_its_middle() -> None:
    assert moved(call(), answer(start_ms=4)) == {"answer": 8}  # 12 to 18 of 10 to 20


def test_a_server_that_seems_to_answer_after_its_client_has_the_answer_is_moved_back() -> None:
    assert moved(call(), answer(start_ms=17)) == {"answer": -5}


def test_a_server_within_its_client_stays_though_not_in_the_middle() -> None:
    assert moved(call(), answer(start_ms=10)) == {}
    assert moved(call(), answer(start_ms=14)) == {}


def test_a_server_as_long_as_its_client_begins_with_it() -> None:
    assert moved(call(), answer(start_ms=13, duration_ms=10)) == {"answer": -3}


def test_a_server_that_took_longer_than_its_client_waited_stays() -> None:
    assert moved(call(), answer(start_ms=4, duration_ms=11)) == {}


def test_spans_of_one_process_have_one_clock() -> None:
    assert moved(call(), answer(start_ms=4, service="shop")) == {}


def test_two_instances_of_a_service_have_two_clocks() -> None:
    elsewhere = Resource({"service.name": "shop", "service.instance.id": "2"})
    late = span("answer", "call", kind=Kind.SERVER, start_ms=4, duration_ms=6, resource=elsewhere)
    assert moved(call(), late) == {"answer": 8}


def test_spans_that_are_no_call_and_no_answer_stay() -> None:
    assert moved(call(kind=Kind.INTERNAL), answer(start_ms=4)) == {}
    assert moved(call(), answer(start_ms=4, kind=Kind.INTERNAL)) == {}


def test_a_message_that_waited_in_its_queue_stays() -> None:
    assert moved(call(kind=Kind.PRODUCER), answer(start_ms=500, kind=Kind.CONSUMER)) == {}


def test_a_message_cannot_be_received_before_it_is_sent() -> None:
    assert moved(call(kind=Kind.PRODUCER), answer(start_ms=4, kind=Kind.CONSUMER)) == {"answer": 8}


def test_spans_without_times_are_not_moved_and_move_nobody() -> None:
    lost = span("answer", "call", service="cart", kind=Kind.SERVER, start_ns=0)
    query = span("query", "answer", service="cart", start_ms=4)
    assert moved(call(), lost, query) == {}
    asked = span("call", kind=Kind.CLIENT, start_ns=0)
    assert moved(asked, answer(start_ms=4, duration_ms=0)) == {}


def test_a_subtree_moves_as_one_but_for_spans_without_times() -> None:
    query = span("query", "answer", service="cart", start_ms=5, duration_ms=1)
    lost = span("lost", "answer", service="cart", start_ns=0)
    assert moved(call(), answer(start_ms=4), query, lost) == {"answer": 8, "query": 8}


def test_the_moves_of_nested_calls_add_up() -> None:
    asking = span("asking", "answer", service="cart", kind=Kind.CLIENT, start_ms=5, duration_ms=4)
    stock = span("stock", "asking", service="stock", kind=Kind.SERVER, start_ms=40, duration_ms=2)
    assert moved(call(), answer(start_ms=4), asking, stock) == {"answer": 8, "asking": 8, "stock": 8 - 34}


@given(traces())
def test_after_moving_no_server_lies_outside_a_longer_client_elsewhere(trace: Trace) -> None:
    rows = tree(trace, shifts(trace))
    for row, parent in enumerate(rows.parents):
        span, above = rows.span(row), rows.span(parent)
        is_answer = span.kind == Kind.SERVER and above.kind in (Kind.CLIENT, Kind.PRODUCER)
        if parent < 0 or not is_answer or rows.timeless & {row, parent} or span.service == above.service:
            continue
        if span.duration_ns <= above.duration_ns:
            assert rows.begins[parent] <= rows.begins[row]
            assert rows.ends[row] <= rows.ends[parent]


@given(traces())
def test_who_moves_against_its_parent_lies_within_it_and_did_not_before(trace: Trace) -> None:
    moves = shifts(trace)
    before, after = tree(trace), tree(trace, moves)
    for row, parent in enumerate(after.parents):
        if moves.get(row, 0) != moves.get(parent, 0) and not after.timeless & {row, parent}:
            assert after.begins[parent] <= after.begins[row] <= after.ends[row] <= after.ends[parent]
            assert not before.begins[parent] <= before.begins[row] <= before.ends[row] <= before.ends[parent]


def test_a_chain_of_20_000_skewed_calls_is_moved_link_by_link() -> None:
    spans = [
        span(
            f"{index}",
            start_ns=T0 + index % 2,  # every server begins 1 ns before its client, if it is as long
            end_ns=T0 + index % 2 + 10,
            parent_id=span_id(f"{index - 1}") if index else b"",
            kind=Kind.SERVER if index % 2 else Kind.CLIENT,
            resource=RESOURCES[index % 2],
        )
        for index in range(MANY)
    ]
    assert shifts(Trace(TRACE, spans)) == {row: -((row + 1) // 2) for row in range(1, MANY)}


def test_20_000_children_are_moved_into_their_parent() -> None:
    parent = span("call", start_ns=T0, end_ns=T0 + 10, kind=Kind.CLIENT, resource=RESOURCES[0])
    late = [
        span(f"{index}", "call", start_ns=T0 + 20 + index, end_ns=T0 + 24 + index, kind=Kind.SERVER)
        for index in range(MANY)
    ]
    for one in late:
        one.resource = RESOURCES[1]
    assert shifts(Trace(TRACE, [parent, *late])) == {row: -16 - row for row in range(1, MANY + 1)}
