"""Traces by start and duration: dots, a heat map, and all at one place."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.model import MAX_TIME_NS
from minitrace.store.overview import Cell, Overview
from minitrace.web.axes import TimeAxis
from minitrace.web.scatter import Scatter, scatter
from minitrace.web.zoom import Zoom
from tests.samples import MS, T0, trace_id
from tests.web.overviews import S, form, of_cells, of_points, point
from tests.web.pagetext import plain
from tests.web.test_zoom import asked


def drawn(overview: Overview) -> Scatter:
    start, end = overview.buckets[0].start_ns, overview.buckets[-1].end_ns
    return scatter(overview, TimeAxis(start, end), Zoom(form()))


def sides(path: str) -> tuple[float, float, float, float]:
    """The left, top, width and height of a rectangle."""
    left, top, width, height, _ = (float(number) for number in re.findall(r"[-\d.]+", path))
    return left, top, width, height


def test_a_trace_is_a_dot_further_right_when_later_and_higher_when_longer() -> None:
    first, last = drawn(of_points(point("a", length=MS), point("b", at=T0 + S, length=100 * MS))).dots
    assert (first.left, first.top) == (0, 100)
    assert (round(last.left), last.top) == (100, 0)


def test_a_dot_leads_to_its_trace_and_says_what_it_is() -> None:
    (dot,) = drawn(of_points(point("a", length=41 * MS, spans=12, errors=2))).dots
    assert dot.url == f"/trace/{trace_id('a').hex()}"
    assert plain(dot.title) == "shop GET / · 41 ms · 12 spans · 2 errors"
    assert dot.is_error


def test_a_trace_without_its_root_says_so() -> None:
    (dot,) = drawn(of_points(point("a", root=None))).dots
    assert plain(dot.title) == "root not received · 10 ms · 1 span"


def test_more_spans_are_a_larger_dot_up_to_a_limit() -> None:
    dots = drawn(of_points(*(point(str(count), spans=count) for count in (1, 100, 50_000)))).dots
    assert [dot.radius for dot in dots] == [7, 5, 3]


def test_errors_lie_on_top() -> None:
    dots = drawn(of_points(point("failed", errors=1), point("large", spans=99), point("small"))).dots
    assert [dot.is_error for dot in dots] == [False, False, True]


def test_a_duration_of_zero_leaves_room_for_the_others() -> None:
    dots = drawn(of_points(point("none", length=0), point("short", length=MS), point("long", length=100 * MS))).dots
    none, short, long = sorted(dots, key=lambda dot: -dot.top)
    assert none.top == 100
    assert 60 < short.top < 95
    assert long.top == 0


@given(st.lists(st.tuples(st.integers(0, MAX_TIME_NS - 2), st.integers(0, 2**63 - 1)), min_size=1, max_size=5))
def test_dots_are_within_the_plot_whatever_the_times(times: list[tuple[int, int]]) -> None:
    dots = drawn(of_points(*(point(str(at), at=at, length=length) for at, length in times))).dots
    assert len(dots) == len(times)
    assert all(0 <= dot.left <= 100 and 0 <= dot.top <= 100 for dot in dots)


def test_many_traces_are_blocks_of_five_intensities() -> None:
    cells = [Cell(n, 10 * MS, 20 * MS, count) for n, count in enumerate((1, 100, 400, 1000))]
    blocks = drawn(of_cells(*cells)).blocks
    assert [block.level for block in blocks] == [1, 2, 4, 5]
    assert [sides(block.path) for block in blocks] == [(n * 25, 0, 25, 100) for n in range(4)]


def test_a_block_leads_to_its_time_and_durations() -> None:
    (block,) = drawn(of_cells(Cell(1, 10 * MS, 20 * MS, 8))).blocks
    assert asked(block.url) == {
        "q": "{ traceDuration >= 10ms && traceDuration <= 20ms }",
        "from": "2023-11-14T22:13:21.000Z",
        "to": "2023-11-14T22:13:22.000Z",
    }


def test_blocks_are_drawn_whole_though_no_trace_is_at_their_edges() -> None:
    overview = of_cells(Cell(0, 8 * MS, 16 * MS, 5), Cell(1, 64 * MS, 128 * MS, 5))
    overview.shortest_ns, overview.longest_ns = 15 * MS, 65 * MS
    assert [sides(block.path) for block in drawn(overview).blocks] == [(0, 75, 25, 25), (25, 0, 25, 25)]


def test_blocks_from_zero_leave_room_for_the_others() -> None:
    overview = of_cells(Cell(0, 0, 1 * MS, 5), Cell(1, 100 * MS, 200 * MS, 5))
    (_, top, _, height), (_, other_top, _, _) = (sides(block.path) for block in drawn(overview).blocks)
    assert top + height == 100
    assert (other_top, height > 10) == (0, True)


@pytest.mark.parametrize(("errors", "width", "title"), [(0, None, "4 traces"), (1, 6.25, "4 traces, 1 with errors")])
def test_a_block_marks_what_part_of_it_failed(errors: int, width: float | None, title: str) -> None:
    (block,) = drawn(of_cells(Cell(0, 10 * MS, 20 * MS, 4, errors))).blocks
    assert (sides(block.failed)[2] if block.failed else None) == width
    assert plain(block.title) == f"10 ms – 20 ms: {title}"


def test_a_name_on_a_dot_is_printed_without_what_cannot_be() -> None:
    (dot,) = drawn(of_points(point("a", root="GET \u202e/"))).dots
    assert "GET \\u202e/" in dot.title
