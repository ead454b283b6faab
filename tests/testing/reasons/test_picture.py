"""Traces drawn within lines and columns."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.analysis.drawing import cells
from minitrace.model import Kind, Span, Status, StatusCode, Trace
from minitrace.testing.capturing import Seen, Snapshot
from minitrace.testing.reasons.picture import for_stream, origins, picture
from tests import hard
from tests.effort import growth
from tests.samples import TRACE, span, trace_id

FAILED = Status(StatusCode.ERROR)


def select(n: int, parent: str = "GET /orders", **more: Any) -> Span:
    statement = f"SELECT * FROM item WHERE id = {n}"
    fields = {"start_ms": 11 + 3 * n, "duration_ms": 3, "kind": Kind.CLIENT, **more}
    return span("SELECT", parent, id=f"{parent} {n}", attributes={"db.query.text": statement}, **fields)


ROOT = span("GET /orders", duration_ms=20)
ORDERS = [ROOT, span("SELECT orders", "GET /orders", start_ms=0.5, duration_ms=10), *(select(n) for n in range(3))]


def of(*spans: Span) -> Trace:
    return Trace(spans[0].trace_id, spans)


def alone(name: str, **more: Any) -> Trace:
    """A trace of one span."""
    return of(span(name, trace=f"{name} {more}", **more))


def names(drawing: str) -> list[str]:
    """What each line of a drawing is about, without durations and bars."""
    return [line.split("  ━")[0].split("  ╺")[0].rstrip(" 0123456789.msΣ") for line in drawing.splitlines()]


def test_a_trace_is_a_head_and_a_waterfall_in_which_calls_that_repeat_are_one_line() -> None:
    assert picture([of(*ORDERS)], width=80, origins={TRACE: "in-process"}).splitlines() == [
        "trace 61207472  5 spans  20 ms  in-process",
        "  shop: GET /orders           20 ms  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━",
        "  ├── SELECT orders           10 ms   ━━━━━━━━━━━━━━━━━━━━━━",
        "  └── ×3 SELECT item (N+1?)  Σ 9 ms                         ╺━━━━━━━━━━━━━━━━━━━",
    ]


def test_a_failed_span_stands_beside_its_folded_siblings() -> None:
    drawing = picture([of(ROOT, *(select(n, status=FAILED if n == 2 else Status()) for n in range(4)))])
    assert names(drawing)[2:] == ["  ├── ×3 SELECT item (N+1?)", "  └── ⨯ SELECT"]
    assert "Σ 9 ms" in drawing  # of the three


def test_siblings_are_not_folded_over_a_failure_below_them_nor_where_fewer_than_three_are_left() -> None:
    cause = span("connect", "GET /orders 2", status=FAILED)
    three = picture([of(ROOT, *map(select, range(3)), cause)])
    assert names(three)[2:] == ["  ├── SELECT", "  ├── SELECT", "  └── SELECT", "      └── ⨯ connect"]


def test_nor_where_there_is_no_room_for_what_is_below_them() -> None:
    packing = [span("connect", "pack 3", status=FAILED)]
    for n in range(4):
        packing += [span(f"pack {n}", id=f"pack {n}"), span(f"weigh {n}", f"pack {n}")]
    drawing = picture([of(*packing)], most=7)
    assert "×3 pack {id}" in drawing
    assert "⨯ connect" in drawing


def test_a_large_trace_leaves_room_for_the_next() -> None:
    large = of(ROOT, *(span("step" + "x" * n, "GET /orders") for n in range(50)))
    drawing = picture([large, of(*(span(f"op {letter}", trace="later", start_ms=99) for letter in "ab"))], most=30)
    assert "op a" in drawing
    assert "op b" in drawing


def test_calls_at_the_top_are_an_n_plus_one_where_they_name_one_parent_that_was_not_captured() -> None:
    assert "×3 SELECT item (N+1?)" in picture([of(*(select(n, parent="not ended") for n in range(3)))])
    assert "×3 SELECT item  Σ" in picture([of(*(select(n, parent="") for n in range(3)))])


def test_siblings_with_something_below_them_are_folded_only_where_there_is_no_room() -> None:
    packing = [ROOT]
    for n in range(4):
        packing += [span(f"pack {n}", "GET /orders"), span(f"weigh {n}", f"pack {n}")]
    assert "weigh 3" in picture([of(*packing)])
    assert names(picture([of(*packing)], most=6))[2:] == ["  └── ×4 pack {id}"]


def test_without_room_for_all_failures_stay_and_what_is_left_out_is_counted() -> None:
    steps = [span(f"step {letter}", "GET /orders", duration_ms=2) for letter in "abcdefghijkl"]
    failed = span("charge", "step l", duration_ms=0.1, status=FAILED)
    drawing = picture([of(ROOT, *steps, failed)], most=7)
    assert "GET /orders (+9 spans)" in drawing
    assert "⨯ charge" in drawing
    assert len(drawing.splitlines()) <= 7


def test_of_a_chain_too_deep_for_the_width_both_ends_are_drawn() -> None:
    drawing = picture([of(*hard.deep())])
    assert "descend 0" in drawing
    assert "⨯ level-1: descend 1999" in drawing
    assert "(+1 989 spans)" in drawing


def test_a_failure_in_the_middle_of_a_chain_too_deep_is_drawn() -> None:
    chain = hard.deep()
    chain[1000].status, chain[-1].status = FAILED, Status()
    assert "⨯ level-1: descend 1000" in picture([of(*chain)])


def test_traces_with_errors_come_first_then_those_of_several_spans_and_those_without_room_are_counted() -> None:
    traces = [alone(f"GET /health/{n}", start_ms=n) for n in range(30)]
    traces += [of(*ORDERS), alone("GET /broken", start_ms=99, status=FAILED)]
    drawing = picture(traces, most=16).splitlines()
    assert "⨯ shop: GET /broken" in drawing[1]
    assert "shop: GET /orders" in drawing[3]
    assert drawing[-1].startswith("… 26 more traces with 26 spans: shop: GET /health/4")
    assert len(drawing) == 15  # the next trace would take two lines more


def test_no_traces_are_no_text() -> None:
    assert picture([]) == ""


@pytest.mark.parametrize("name", hard.TRACES)
@pytest.mark.parametrize(
    ("width", "most", "is_ascii"), [(100, 40, False), (120, 60, True), (500, 500, False), (1, 1, True)]
)
def test_no_trace_is_too_much_for_the_lines_and_columns(name: str, width: int, most: int, is_ascii: bool) -> None:
    lines = picture([of(*hard.TRACES[name]())], width=width, most=most, is_ascii=is_ascii).splitlines()
    assert 2 <= len(lines) <= min(max(most, 6), 60)
    assert max(map(cells, lines)) <= min(max(width, 42), 120)
    assert not is_ascii or all(map(str.isascii, lines))


@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=80),
    st.integers(6, 30),
    st.integers(42, 120),
)
def test_every_span_of_a_tree_is_drawn_or_counted(drawn: list[tuple[int, bool]], most: int, width: int) -> None:
    """Parents at random; no two names are alike, so that nothing is folded."""
    spans = [
        span("op " + "x" * at, str(parent % at) if at else "", id=str(at), status=FAILED if failed else Status())
        for at, (parent, failed) in enumerate(drawn)
    ]
    drawing = picture([of(*spans)], width=width, most=most).splitlines()
    assert len(drawing) <= most
    assert max(map(cells, drawing)) <= width
    told = sum(" op " in line or line.startswith("  shop") for line in drawing)
    counted = sum(int(number) for number in re.findall(r"[+…] ?(\d+) (?:more )?span", "\n".join(drawing[1:])))
    assert told + counted == len(spans)
    if any(failed for _, failed in drawn):
        assert any("⨯" in line for line in drawing)


def large(count: int) -> Trace:
    spans = [ROOT]
    for n in range(count):
        spans.append(span(f"op {n % 7}", str(n // 3) if n > 2 else "GET /orders", id=str(n), start_ms=n * 0.01))
    return of(*spans)


def test_fifty_thousand_spans_are_drawn_in_forty_lines() -> None:
    assert len(picture([large(50_000)]).splitlines()) <= 40


def test_eight_times_the_spans_take_about_eight_times_as_long() -> None:
    def drawing(count: int) -> Callable[[], object]:
        trace = large(count)
        return lambda: picture([trace])

    assert growth(drawing, 1_000, 8) < 24  # squares would be 64


def test_the_ways_that_the_spans_of_a_trace_came_are_named_once() -> None:
    other = span("GET", trace="other")
    seen = (Seen(ROOT, "in-process", 1), Seen(ORDERS[1], "otlp", 2), Seen(select(1), "otlp", 2), Seen(other, "fork", 3))
    assert origins(Snapshot(seen, 0, (), 1)) == {TRACE: "in-process + otlp", trace_id("other"): "fork"}


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "├── ×3 naïve  ━━╸"),
        ("ascii", "|-- x3 na?ve  ==="),
        ("latin-1", "|-- ×3 naïve  ==="),
        ("no such encoding", "|-- x3 na?ve  ==="),
        (None, "|-- x3 na?ve  ==="),
    ],
)
def test_a_stream_gets_what_its_encoding_can_show(encoding: str | None, text: str) -> None:
    assert for_stream("├── ×3 naïve  ━━╸", encoding) == text
