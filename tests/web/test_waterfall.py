"""Rows, bars and pages of a waterfall, for the traces people have and those nobody should."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.model import MAX_TIME_NS, Event, Span, Status, StatusCode, Trace
from minitrace.web.waterfall import MAX_INDENT, PAGE_ROWS, Tick, first_error, notes, waterfall
from tests.samples import MS, T0, TRACE, span, span_id


def test_bars_stand_where_their_spans_were() -> None:
    trace = Trace(
        TRACE,
        [
            span("checkout", duration_ms=100),
            span("charge", "checkout", start_ms=25, duration_ms=50),
            span("void", "checkout", start_ms=100, duration_ms=0),
        ],
    )
    rows = waterfall(trace).rows
    assert [(row.span.name, row.left, row.width) for row in rows] == [
        ("checkout", 0.0, 100.0),
        ("charge", 25.0, 50.0),
        ("void", 100.0, 0.0),
    ]


def test_the_ruler_has_five_labels() -> None:
    labels = waterfall(Trace(TRACE, [span("checkout", duration_ms=100)])).ruler
    assert [label.replace("\u2009", " ") for label in labels] == ["0", "25 ms", "50 ms", "75 ms", "100 ms"]


def test_near_events_are_one_tick_and_an_exception_marks_it() -> None:
    events = [Event(T0 + 50 * MS, "retry"), Event(T0 + 50 * MS + 1, "exception"), Event(T0 + 75 * MS, "sent")]
    trace = Trace(TRACE, [span("charge", duration_ms=100, events=events)])
    assert waterfall(trace).rows[0].ticks == [Tick(50.0, "retry, exception", True), Tick(75.0, "sent", False)]


def test_an_event_outside_its_trace_is_drawn_at_the_edge() -> None:
    events = [Event(T0 - 1, "before"), Event(T0 + 10**15, "after"), Event(0, "never"), Event(2**64 - 1, "absurd")]
    trace = Trace(TRACE, [span("charge", events=events)])
    assert [tick.left for tick in waterfall(trace).rows[0].ticks] == [0.0, 100.0]


def test_depth_is_drawn_up_to_a_limit() -> None:
    names = [f"level {depth}" for depth in range(32)]
    chain = [span(name, parent) for name, parent in zip(names, ["", *names[:-1]], strict=True)]
    last = waterfall(Trace(TRACE, chain)).rows[-1]
    assert (last.node.depth, last.indent) == (31, MAX_INDENT)


def _wide(children: int) -> Trace:
    return Trace(TRACE, [span("root"), *(span(f"child {n}", "root", start_ms=n) for n in range(children))])


def test_rows_come_in_pages() -> None:
    trace = _wide(2 * PAGE_ROWS)
    places = [
        (fall.page, fall.pages, fall.first, fall.last) for fall in (waterfall(trace, page) for page in (1, 3, 99))
    ]
    assert places == [(1, 3, 1, 1000), (3, 3, 2001, 2001), (3, 3, 2001, 2001)]


def test_the_page_is_the_one_with_the_selected_span() -> None:
    assert waterfall(_wide(2 * PAGE_ROWS), selected=span_id("child 1500")).page == 2


def test_a_page_that_was_asked_for_wins_over_the_selected_span() -> None:
    assert waterfall(_wide(2 * PAGE_ROWS), page=1, selected=span_id("child 1500")).page == 1


def test_a_trace_without_spans_has_an_empty_page() -> None:
    fall = waterfall(Trace(TRACE, []))
    assert (fall.rows, fall.pages, fall.first, fall.last) == ([], 1, 0, 0)


@pytest.mark.parametrize(
    ("spans", "said"),
    [
        ([span("root"), span("child", "root")], []),
        ([span("orphan", "lost")], ["The root span is not here.", "1 span has no parent here."]),
        (
            [span("root"), *(span(f"orphan {n}", "lost") for n in range(2))],
            ["2 spans have no parent here."],
        ),
        ([span("a"), span("b")], ["2 spans are roots."]),
        ([span("root"), span("copy", "root", id="x"), span("other", "root", id="x")],
         ["2 spans share their id with another."]),
        ([span("root", end_ns=T0 - 1)], ["1 span has odd times."]),
        ([span("root"), span("never", "root", start_ns=0)], ["1 span has odd times."]),
    ],
)  # fmt: skip
def test_what_is_odd_about_a_trace_is_said(spans: list[Span], said: list[str]) -> None:
    assert notes(Trace(TRACE, spans)) == said


def test_the_first_error_is_the_uppermost_row() -> None:
    failed = Status(StatusCode.ERROR)
    trace = Trace(
        TRACE, [span("late", "root", start_ms=5, status=failed), span("root"), span("early", "root", status=failed)]
    )
    error = first_error(trace)
    assert error is not None
    assert error.name == "early"


def test_a_trace_without_errors_has_no_first_error() -> None:
    assert first_error(Trace(TRACE, [span("fine")])) is None


times = st.one_of(
    st.integers(0, 2**64 - 1), st.sampled_from([0, 1, T0, T0 + 1, MAX_TIME_NS - 1, MAX_TIME_NS, 2**64 - 1])
)
ids = st.sampled_from([bytes([n]) * 8 for n in range(1, 6)])


@given(st.lists(st.tuples(ids, st.one_of(st.just(b""), ids), times, times, st.lists(times, max_size=3)), max_size=12))
def test_every_bar_is_finite_whatever_the_times_and_parents(
    rows: list[tuple[bytes, bytes, int, int, list[int]]],
) -> None:
    spans = [
        Span(TRACE, id, "x", start, end, parent_id=parent, events=[Event(time, "e") for time in events])
        for id, parent, start, end, events in rows
    ]
    drawn = waterfall(Trace(TRACE, spans)).rows
    assert sorted(id(row.span) for row in drawn) == sorted(map(id, spans))
    for row in drawn:
        numbers = [row.left, row.width, row.left + row.width, *(tick.left for tick in row.ticks)]
        assert all(math.isfinite(number) and -1e-9 <= number <= 100.0 + 1e-9 for number in numbers)
