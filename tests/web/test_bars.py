"""Where the bars of rows are drawn, odd times included."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from minitrace.analysis.repeats import runs
from minitrace.analysis.tree import tree
from minitrace.model import Event, Kind, Resource, Span, Trace
from minitrace.web.bars import Axis, Bar
from minitrace.web.rows import Rows, rows
from tests.samples import MS, T0, TRACE, span


def rows_of(*spans: Span) -> Rows:
    found = tree(Trace(TRACE, spans))
    return rows(found, runs(found))


def bar(found: Rows, name: str, window: tuple[int, int] | None = None) -> Bar:
    row = next(row for row in range(len(found)) if found.names[found.name[row]] == name)
    return Axis(found, window).bar(row)


def rounded(pieces: list[tuple[float, float]]) -> list[tuple[int, int]]:
    return [(round(left), round(width)) for left, width in pieces]


SHOP = rows_of(
    span("root", duration_ms=100),
    span("pay", "root", start_ms=20, duration_ms=60),
    span("bank", "pay", start_ms=30, duration_ms=10),
    span("late", "pay", start_ms=70, duration_ms=30),
)


def test_a_bar_stands_where_its_span_was() -> None:
    assert bar(SHOP, "root").span == (0, 100)
    assert bar(SHOP, "pay").span == (20, 60)


def test_own_time_is_what_no_child_covers() -> None:
    assert bar(SHOP, "root").own == [(0, 20), (80, 20)]
    assert bar(SHOP, "pay").own == [(20, 10), (40, 30)]
    assert bar(SHOP, "bank").own == [(30, 10)]


def test_what_goes_on_after_its_parent_overhangs() -> None:
    assert bar(SHOP, "late").over == (80, 20)
    assert bar(SHOP, "bank").over is None


def test_what_begins_after_its_parent_has_ended_overhangs_from_its_begin() -> None:
    found = rows_of(span("root", duration_ms=100), span("after", "root", start_ms=120, duration_ms=80))
    assert (bar(found, "after").over, bar(found, "root").own) == ((60, 40), [(0, 50)])


def test_without_the_row_of_its_parent_nothing_overhangs() -> None:
    outline = tree(Trace(TRACE, [span("root"), span("late", "root", start_ms=5, duration_ms=10)]))
    assert Axis(rows(outline, root=1)).bar(0).over is None


def test_own_time_is_not_counted_twice_where_children_overlap() -> None:
    children = [span("a", "root", start_ms=10, duration_ms=50), span("b", "root", start_ms=20, duration_ms=10)]
    assert rounded(bar(rows_of(span("root", duration_ms=100), *children), "root").own) == [(0, 10), (60, 40)]


def test_a_span_of_no_length_stands_where_it_was_and_owns_nothing() -> None:
    found = rows_of(span("root", duration_ms=100), span("instant", "root", start_ms=100, duration_ms=0))
    assert (bar(found, "instant").span, bar(found, "instant").own) == ((100, 0), [])


def test_a_window_is_all_that_is_drawn() -> None:
    window = (20 * MS, 40 * MS)
    assert bar(SHOP, "root", window).span == (0, 100)
    assert bar(SHOP, "bank", window).span == (50, 50)
    assert bar(SHOP, "late", window).span is None
    assert bar(SHOP, "bank", (50 * MS, 60 * MS)).span is None
    assert [label.replace("\u2009", " ") for label in Axis(SHOP, window).labels] == [
        "20 ms",
        "25 ms",
        "30 ms",
        "35 ms",
        "40 ms",
    ]


def test_a_run_draws_its_spans_and_its_parent_owns_nothing_of_them() -> None:
    spans = [span("query", "root", id=str(n), start_ms=n * 20, duration_ms=10) for n in range(5)]
    found = rows_of(span("root", duration_ms=100), *spans)
    assert bar(found, "query").members == [(0, 10), (20, 10), (40, 10), (60, 10), (80, 10)]
    assert bar(found, "query").own == []
    assert bar(found, "root").own == [(10, 10), (30, 10), (50, 10), (70, 10), (90, 10)]


def test_a_missing_parent_draws_what_hangs_below_it() -> None:
    found = rows_of(span("a", "lost", duration_ms=25), span("b", "lost", start_ms=50, duration_ms=50))
    shown = Axis(found).bar(0)
    assert (shown.span, shown.members, shown.own) == ((0, 100), [(0, 25), (50, 50)], [])


def test_members_within_another_one_are_drawn_with_it() -> None:
    spans = [span("query", "root", id=str(n), start_ms=n, duration_ms=5 if n else 50) for n in range(5)]
    assert bar(rows_of(span("root", duration_ms=100), *spans), "query").members == [(0, 50)]


def test_labels_begin_with_nought_and_a_trace_of_no_length_has_one() -> None:
    assert Axis(SHOP).labels[0] == "0"
    assert Axis(rows_of(span("root", duration_ms=0))).labels == ["0"]


def test_pieces_nearer_than_a_pixel_are_one() -> None:
    spans = [span(f"step {n}", "root", start_ms=n * 0.05, duration_ms=0.04) for n in range(1500)]
    found = rows_of(span("root", duration_ms=100), *spans)
    assert len(bar(found, "root").own) < 30


def test_events_near_each_other_are_one_tick() -> None:
    events = [Event(T0 + 50 * MS, "a"), Event(T0 + 50 * MS + 1000, "exception"), Event(T0 + 90 * MS, "b")]
    ticks = bar(rows_of(span("root", duration_ms=100, events=events)), "root").ticks
    assert [(round(tick.left), tick.names, tick.is_exception) for tick in ticks] == [
        (50, "a, exception", True),
        (90, "b", False),
    ]


def test_a_tick_names_five_events_at_most() -> None:
    events = [Event(T0, name) for name in "abcdef"]
    (tick,) = bar(rows_of(span("root", events=events)), "root").ticks
    assert tick.names == "a, b, c, d, e"


def test_events_beside_the_window_are_not_drawn() -> None:
    found = rows_of(span("root", duration_ms=100, events=[Event(T0 + ms * MS, str(ms)) for ms in (10, 50, 90)]))
    assert [tick.names for tick in bar(found, "root", (40 * MS, 60 * MS)).ticks] == ["50"]


def test_an_event_of_a_trace_of_no_length_is_drawn_at_its_begin() -> None:
    (tick,) = bar(rows_of(span("root", duration_ms=0, events=[Event(T0 + 5, "e")])), "root").ticks
    assert tick.left == 0


def test_a_stretch_too_narrow_for_its_label_has_none() -> None:
    found = rows_of(span("root", duration_ms=1000), span("a", "root", duration_ms=930))
    assert (found.more[0]["gaps"], bar(found, "root").gaps) == ([(930 * MS, 1000 * MS)], [])


def test_a_long_stretch_without_a_child_says_so() -> None:
    found = rows_of(span("root", duration_ms=1000), span("a", "root", duration_ms=10))
    assert [text.replace("\u2009", " ") for _, _, text in bar(found, "root").gaps] == ["990 ms untraced"]
    assert Axis(found).bar(0, has_gaps=False).gaps == []


def test_a_span_without_a_time_has_no_bar() -> None:
    assert bar(rows_of(span("root"), span("when", "root", start_ns=0, end_ns=5)), "when").span is None


def test_a_moved_span_stands_within_its_parent() -> None:
    host = Resource({"service.name": "bank"})
    spans = [
        span("call", duration_ms=100, kind=Kind.CLIENT),
        span("serve", "call", start_ms=500, duration_ms=50, kind=Kind.SERVER, resource=host),
    ]
    outline = tree(Trace(TRACE, spans), {1: -475 * MS})
    assert bar(rows(outline), "serve").span == (25, 50)


def test_a_run_of_moved_spans_shows_all_of_them() -> None:
    spans = [span("serve", "call", id=str(n), start_ms=500 + n, duration_ms=10) for n in range(5)]
    outline = tree(
        Trace(TRACE, [span("call", duration_ms=100), *spans]), {n: (-400 - n * 20) * MS for n in range(1, 6)}
    )
    assert rounded(bar(rows(outline, runs(outline)), "serve").members) == [
        (4, 10),
        (23, 10),
        (42, 10),
        (61, 10),
        (80, 10),
    ]


def test_a_run_shows_no_span_without_a_time() -> None:
    timed = [span("query", "root", id=str(n), start_ms=50 + n * 10, duration_ms=5) for n in range(4)]
    found = rows_of(span("root", duration_ms=100), span("query", "root", start_ns=0, end_ns=0), *timed)
    assert rounded(bar(found, "query").members) == [(50, 5), (60, 5), (70, 5), (80, 5)]


times = st.one_of(st.integers(0, 200), st.sampled_from([2**63 - 2, 2**63 - 1, 2**64 - 1]))


@given(st.lists(st.tuples(times, times), min_size=1, max_size=8), st.tuples(st.integers(0, 99), st.integers(100, 300)))
@settings(max_examples=200, deadline=None)
def test_whatever_the_times_all_is_drawn_within_the_axis(
    extents: list[tuple[int, int]], window: tuple[int, int]
) -> None:
    spans = [
        span("x", "0" if n else "", id=str(n), start_ns=begin, end_ns=end, events=[Event(end, "e")])
        for n, (begin, end) in enumerate(extents)
    ]
    found = rows_of(*spans)
    for axis in (Axis(found), Axis(found, window)):
        for row in range(len(found)):
            drawn = axis.bar(row)
            pieces = [*drawn.own, *drawn.critical, *drawn.members, *filter(None, (drawn.span, drawn.over))]
            pieces += [(left, width) for left, width, _ in drawn.gaps] + [(tick.left, 0) for tick in drawn.ticks]
            assert all(
                math.isfinite(left) and left >= 0 and width >= 0 and left + width <= 100.001 for left, width in pieces
            )
