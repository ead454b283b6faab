"""Calls one after another that could run in parallel: which a person would call so, and what they would save."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.analysis.sequences import sequences
from minitrace.analysis.tree import tree
from minitrace.model import Kind, Span, Trace
from tests.analysis.growing import MANY, fan, grown, named
from tests.samples import MS, T0, TRACE, span


def page(*children: Span, duration_ms: float = 100) -> list[tuple[list[str], float]]:
    rows = grown(span("page", kind=Kind.SERVER, duration_ms=duration_ms), *children)
    return [(named(rows, *found.rows), found.saved_ns / MS) for found in sequences(rows)]


def call(name: str, start_ms: float, duration_ms: float = 10, kind: Kind = Kind.CLIENT, id: str = "") -> Span:
    return span(name, "page", kind=kind, start_ms=start_ms, duration_ms=duration_ms, id=id)


THREE = (call("GetPrice", 0), call("GetStock", 11, 20), call("GetReviews", 32))


def test_three_calls_one_after_another_would_take_as_long_as_the_longest() -> None:
    assert page(*THREE) == [(["GetPrice", "GetStock", "GetReviews"], 20)]


def test_the_parent_is_named() -> None:
    rows = grown(span("job"), span("page", "job", duration_ms=100), *THREE)
    assert [named(rows, found.parent) for found in sequences(rows)] == [["page"]]


def test_two_calls_are_no_sequence() -> None:
    assert page(*THREE[:2]) == []


def test_less_than_a_tenth_of_the_trace_is_not_worth_a_word() -> None:
    assert page(*THREE, duration_ms=200) == [(["GetPrice", "GetStock", "GetReviews"], 20)]
    assert page(*THREE, duration_ms=201) == []


def test_calls_of_one_kind_are_left_to_repeats() -> None:
    assert page(*(call("GetStock", start, id=f"{start}") for start in (0, 11, 22))) == []


def test_a_loop_among_other_calls_is_left_out() -> None:
    loop = [call("SELECT stock", 50 + start, 3, id=f"{start}") for start in range(0, 20, 4)]
    assert page(*THREE, call("GetUser", 43, 6), *loop) == [(["GetPrice", "GetStock", "GetReviews", "GetUser"], 26)]


def test_calls_that_overlap_run_in_parallel_already() -> None:
    assert page(call("GetPrice", 0), call("GetStock", 9), call("GetReviews", 18)) == []


def test_calls_beside_a_longer_one_save_nothing() -> None:
    beside = [call(name, start) for name, start in zip("abcd", (1, 12, 23, 34), strict=True)]
    assert page(call("GetUser", 0, 60), *beside) == []


def test_a_call_that_overlaps_ends_the_sequence() -> None:
    assert page(call("GetPrice", 0), call("GetStock", 10), call("GetUser", 15, 6), call("GetReviews", 21)) == []


def test_a_call_that_took_no_time_is_not_counted() -> None:
    assert page(call("GetPrice", 0, 20), call("GetStock", 20, 20), call("GetReviews", 40, 0)) == []


def test_calls_that_go_on_after_their_parent_keep_nobody_waiting() -> None:
    assert page(*THREE, duration_ms=1) == []


def test_work_between_calls_may_be_what_the_next_one_waits_for() -> None:
    assert page(call("GetPrice", 0), call("GetStock", 12.5), call("GetReviews", 25)) != []
    assert page(call("GetPrice", 0), call("GetStock", 12.6), call("GetReviews", 25)) == []


def test_four_alike_are_no_loop_yet() -> None:
    alike = [call("GetStock", start, id=f"{start}") for start in (11, 22, 33, 44)]
    assert page(call("GetPrice", 0), *alike) == [(["GetPrice"] + ["GetStock"] * 4, 40)]


def test_what_a_loop_leaves_may_be_too_little() -> None:
    loop = [call("GetStock", start, id=f"{start}") for start in range(0, 50, 10)]
    assert page(*loop, *(call(name, start, 1) for name, start in zip("abc", (50, 51, 52), strict=True))) == []


def test_calls_that_all_change_something_stay_in_their_order() -> None:
    assert page(call("POST /charge", 0), call("POST /ship", 11), call("PUT /basket", 22)) == []


@pytest.mark.parametrize("name", ["POST /charge", "delete basket"])
def test_a_call_that_changes_something_keeps_its_place(name: str) -> None:
    assert page(call("GetPrice", 0), call("GetStock", 11), call(name, 22), call("GetReviews", 33)) == []


def test_a_database_takes_one_statement_at_a_time() -> None:
    cached = call("GET", 0), call("SELECT stock", 11), call("HGETALL", 22)
    for one in cached:
        one.attributes = {"db.system.name": "any"}
    assert page(*cached) == []


def test_a_short_statement_between_calls_is_a_pause() -> None:
    cached = call("SELECT stock", 20.5, 1)
    cached.attributes = {"db.system": "postgresql"}
    assert page(call("GetPrice", 0), call("GetUser", 10), cached, call("GetStock", 22), call("GetReviews", 32)) == [
        (["GetPrice", "GetUser", "GetStock", "GetReviews"], 30)
    ]


def test_spans_that_call_nobody_are_no_sequence() -> None:
    assert page(*(call(name, start, kind=Kind.INTERNAL) for name, start in zip("abc", (0, 11, 22), strict=True))) == []


def test_a_span_around_an_answer_is_a_call_whatever_its_kind() -> None:
    asking = [call("fetch", start, kind=Kind.INTERNAL, id=f"{start}") for start in (0, 11, 22)]
    answers = [
        span(f"answer {start}", f"{start}", service=service, kind=Kind.SERVER, start_ms=start + 1, duration_ms=5)
        for start, service in ((0, "cart"), (11, "stock"), (22, "price"))
    ]
    assert page(*asking, *answers) == [(["fetch", "fetch", "fetch"], 20)]


def test_of_two_sequences_below_a_parent_the_one_with_more_to_save_is_told() -> None:
    others = [call(name, start, 12) for name, start in zip("abc", (60, 73, 86), strict=True)]
    assert page(*THREE, *others) == [(["a", "b", "c"], 24)]


def test_the_sequence_with_most_to_save_comes_first() -> None:
    shop = [
        span(name, "page", kind=Kind.SERVER, start_ms=at, duration_ms=48) for name, at in (("small", 0), ("big", 50))
    ]
    small = [
        span(name, "small", kind=Kind.CLIENT, start_ms=at, duration_ms=9)
        for name, at in zip("abc", (0, 10, 20), strict=True)
    ]
    big = [
        span(name, "big", kind=Kind.CLIENT, start_ms=at, duration_ms=14)
        for name, at in zip("def", (50, 65, 80), strict=True)
    ]
    assert page(*shop, *small, *big) == [(["d", "e", "f"], 28), (["a", "b", "c"], 18)]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12), st.sampled_from("abc")), max_size=10))
def test_rows_of_a_sequence_do_not_overlap_and_save_all_but_the_longest(calls: list[tuple[int, int, str]]) -> None:
    children = [
        span(name, "page", id=f"{index}", kind=Kind.CLIENT, start_ns=T0 + begin, end_ns=T0 + begin + length)
        for index, (begin, length, name) in enumerate(calls)
    ]
    rows = tree(Trace(TRACE, [span("page", start_ns=T0, end_ns=T0 + 42), *children]))
    for found in sequences(rows):
        lengths = [rows.ends[row] - rows.begins[row] for row in found.rows]
        busy = {moment for row in found.rows for moment in range(rows.begins[row], rows.ends[row])}
        assert len(busy) == sum(lengths)
        assert found.saved_ns == len(busy) - max(lengths) >= 4
        assert len(found.rows) >= 3


def test_20_000_calls_one_after_another_are_told_as_one_sequence() -> None:
    trace = fan()
    for one in trace.spans:
        one.kind = Kind.CLIENT
        one.name = f"Get{one.name}s"
        one.end_ns += 1 if one.parent_id else 0  # no pause before the next
    (found,) = sequences(tree(trace))
    assert (len(found.rows), found.saved_ns) == (MANY, 2 * MANY - 2)
