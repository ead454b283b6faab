"""How many traces started when."""

from __future__ import annotations

from minitrace.store.overview import Bucket
from minitrace.web.axes import TimeAxis
from minitrace.web.histogram import Histogram, histogram
from minitrace.web.zoom import Zoom
from tests.samples import T0
from tests.web.overviews import S, form
from tests.web.pagetext import plain
from tests.web.test_zoom import asked


def drawn(*counts: tuple[int, int]) -> Histogram:
    buckets = [Bucket(T0 + n * S, T0 + (n + 1) * S, *both) for n, both in enumerate(counts)]
    return histogram(buckets, TimeAxis(T0, T0 + max(1, len(counts)) * S), Zoom(form("{ .a }")))


def test_the_highest_bar_fills_the_plot_and_the_others_are_in_proportion() -> None:
    found = drawn((50, 0), (100, 0))
    assert [(bar.left, bar.width, bar.height) for bar in found.bars] == [(0, 50, 50), (50, 50, 100)]
    assert found.most == 100


def test_errors_are_part_of_a_bar() -> None:
    (bar,) = drawn((100, 25)).bars
    assert bar.error_height == 25
    assert plain(bar.title).startswith("100 traces, 25 with errors, from ")


def test_one_trace_beside_thousands_is_seen() -> None:
    few, _ = drawn((1, 1), (5000, 0)).bars
    assert few.height == few.error_height == 6


def test_where_nothing_started_there_is_no_bar() -> None:
    assert [bar.left for bar in drawn((1, 0), (0, 0), (1, 0), (1, 0)).bars] == [0, 50, 75]
    assert drawn() == Histogram([], 0)


def test_a_bar_leads_to_its_time() -> None:
    _, bar = drawn((1, 0), (1, 0)).bars
    assert asked(bar.url) == {"q": "{ .a }", "from": "2023-11-14T22:13:21.000Z", "to": "2023-11-14T22:13:22.000Z"}
