"""Rows of what was compared: differences, their bars, what counts as the same."""

from __future__ import annotations

import pytest

from minitrace.analysis.alignment import Aligned, Difference, Side
from minitrace.model import Span, Trace
from minitrace.web import differences
from minitrace.web.comparing import ComparedTraces, compared_traces
from minitrace.web.differences import Delta, delta, ratio, sheet, shown_rows
from tests.samples import span

MS = 1_000_000


def row(depth: int, a: tuple[int, int], b: tuple[int, int]) -> Aligned:
    """A row with so many calls on each side, that took so many milliseconds."""
    return Aligned(depth, "shop", "x", _side(*a), _side(*b))


def _side(calls: int, total_ms: int) -> Side:
    return Side(tuple(range(calls)), total_ms * MS, total_ms * MS)


def compared(a: list[Span], b: list[Span]) -> ComparedTraces:
    """Two traces of these spans."""
    return compared_traces(Trace(b"a", a), Trace(b"b", b))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (10, 20, Delta(10, "×2", (50.0, 25.0))),
        (20, 10, Delta(-10, "÷2", (25.0, 25.0))),
        (5, 5, Delta(0, "", (50.0, 0.0))),
        (0, 20, Delta(20, "", (50.0, 50.0))),
    ],
)
def test_a_bar_goes_to_the_right_where_b_has_more(a: int, b: int, expected: Delta) -> None:
    assert delta(a, b, most=20) == expected


@pytest.mark.parametrize(
    ("a", "b", "text"), [(1, 14, "×14"), (31, 10, "÷3.1"), (10, 14, ""), (10, 15, "×1.5"), (0, 9, "")]
)
def test_a_ratio_is_said_where_it_is_large(a: int, b: int, text: str) -> None:
    assert ratio(a, b) == text


def test_what_differs_is_shown_with_what_it_stands_below() -> None:
    rows = [
        row(0, (1, 100), (1, 104)),
        row(1, (1, 40), (1, 41)),
        row(1, (1, 30), (1, 31)),
        row(2, (1, 5), (14, 5)),
        row(1, (1, 9), (0, 0)),
    ]
    assert shown_rows(rows, "total") == [0, 2, 3, 4]


def test_times_differ_by_a_tenth_or_they_are_the_same() -> None:
    assert not differences.differs(row(0, (1, 100), (1, 109)), "total")
    assert differences.differs(row(0, (1, 100), (1, 112)), "total")


def test_what_is_small_beside_the_whole_counts_as_the_same() -> None:
    rows = [row(0, (1, 10_000), (1, 10_000)), row(1, (1, 1), (1, 40)), row(1, (1, 1), (1, 60))]
    assert shown_rows(rows, "total") == [0, 2]


def test_rows_come_in_pages_and_a_later_one_says_what_it_is_below() -> None:
    spans = [span("root"), *(span(f"step-{n}", "root", start_ms=n) for n in range(400))]
    seen = sheet(compared(spans, spans), "total", only_changed=False, page=2)
    assert (seen.page, seen.pages, seen.total, len(seen.lines)) == (2, 2, 401, 101)
    assert [above.label for above in seen.above] == ["root"]
    assert seen.lines[0].aligned.label == "step-299"


def test_a_page_after_the_last_is_the_last() -> None:
    seen = sheet(compared([span("a")], [span("a")]), "total", only_changed=False, page=99)
    assert (seen.page, len(seen.lines)) == (1, 1)


def test_a_metric_says_what_is_compared() -> None:
    a = [span("root", duration_ms=100), span("x", "root", duration_ms=30)]
    b = [span("root", duration_ms=100), span("x", "root", duration_ms=90)]
    both = compared(a, b)
    amounts = {
        metric: [line.delta.amount for line in sheet(both, metric, only_changed=False, page=1).lines]
        for metric in ("total", "self", "count")
    }
    assert amounts == {"total": [0, 60 * MS], "self": [-60 * MS, 60 * MS], "count": [0, 0]}


def test_a_line_names_the_longest_span_of_each_side() -> None:
    b = [span("root"), span("x", "root", id="x1", duration_ms=1), span("x", "root", id="x2", duration_ms=5)]
    line = sheet(compared([span("root")], b), "total", only_changed=False, page=1).lines[1]
    assert (line.only, line.a_span, line.b_span) == ("b", "", b[2].span_id.hex())


def test_a_long_value_is_cut() -> None:
    (shown,) = differences.shown_differences([Difference("span", "key", ("x" * 1000,), (1, 2))])
    assert (len(shown.a), shown.a[-1], shown.b) == (300, "…", "1, 2")


@pytest.mark.parametrize(("number", "text"), [(1.0, "1"), (14.0, "14"), (0.333333, "0.333"), (250.4, "250")])
def test_calls_a_trace_have_three_digits(number: float, text: str) -> None:
    assert differences.rounded(number) == text
