"""Axes: places within, and few ticks that can be told apart."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minitrace.model import MAX_TIME_NS
from minitrace.present import duration
from minitrace.web.axes import LEAST_TIME_NS, DurationAxis, Tick, TimeAxis
from tests.samples import MS, T0
from tests.web.pagetext import plain

S = 1000 * MS
times = st.integers(0, MAX_TIME_NS) | st.integers(T0, T0 + 100 * S)
durations = st.integers(0, 2**63 - 1) | st.builds(lambda power: int(10**power), st.floats(0, 18.9))


@pytest.fixture
def utc() -> Iterator[None]:
    """A machine in UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def labels(ticks: list[Tick]) -> list[str]:
    return [plain(tick.label) for tick in ticks]


def assert_readable(ticks: list[Tick]) -> None:
    places = [tick.place for tick in ticks]
    assert 2 <= len(ticks) <= 8
    assert places == sorted(set(places))
    assert places[0] >= 0
    assert places[-1] <= 100
    assert len(set(labels(ticks))) == len(ticks)


@given(times, times)
@example(0, 0)
@example(MAX_TIME_NS, MAX_TIME_NS)
@example(0, MAX_TIME_NS)
@example(T0 - 1, T0 + 1)
def test_a_time_axis_has_two_to_eight_ticks_in_order_and_each_reads_otherwise(one: int, other: int) -> None:
    assert_readable(TimeAxis(min(one, other), max(one, other)).ticks)


@given(durations, durations)
@example(0, 0)
@example(5, 5)
@example(99_950_000, 100_050_000)
@example(59_900_000_000, 60_100_000_000)
@example(2**63 - 1, 2**63 - 1)
def test_a_duration_axis_has_two_to_eight_ticks_in_order_and_each_reads_otherwise(one: int, other: int) -> None:
    assert_readable(DurationAxis(min(one, other), max(one, other)).ticks)


@given(times, times, times)
def test_a_time_is_placed_in_proportion_or_at_an_end(one: int, other: int, moment: int) -> None:
    axis = TimeAxis(min(one, other), max(one, other))
    inside = min(max(axis.start_ns, moment), axis.end_ns)
    assert axis.place(moment) * (axis.end_ns - axis.start_ns) / 100 == pytest.approx(inside - axis.start_ns)
    assert axis.start_ns <= min(one, other, MAX_TIME_NS - LEAST_TIME_NS)
    assert axis.end_ns >= max(one, other)


@given(durations, durations, durations)
def test_a_longer_duration_is_placed_higher(one: int, other: int, third: int) -> None:
    low, middle, high = sorted([one, other, third])
    axis = DurationAxis(low, high)
    assert 0 <= axis.place(low) <= axis.place(middle) <= axis.place(high) <= 100
    if middle and axis.shortest_ns <= middle <= axis.longest_ns:
        share = math.log(middle / axis.shortest_ns) / math.log(axis.longest_ns / axis.shortest_ns)
        assert axis.place(middle) == pytest.approx(share * 100, abs=1e-6)


@pytest.mark.parametrize(
    ("shortest", "longest", "expected"),
    [
        (MS // 2, 3 * S, ["1 ms", "10 ms", "100 ms", "1 s"]),
        (40 * MS, 90 * MS, ["40 ms", "60 ms", "80 ms"]),
        (3 * MS, 90 * MS, ["5 ms", "10 ms", "20 ms", "50 ms"]),
        (1, 3600 * S, ["1 ns", "1 µs", "1 ms", "1 s", "10 m"]),
        (2 * S, 3 * 3600 * S, ["10 s", "1 m", "10 m", "1 h"]),
    ],
)
def test_durations_are_read_at_round_ones(shortest: int, longest: int, expected: list[str]) -> None:
    assert labels(DurationAxis(shortest, longest).ticks) == expected


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (50 * MS, ["22:13:20.000", "22:13:20.010", "22:13:20.020", "22:13:20.030", "22:13:20.040", "22:13:20.050"]),
        (60 * S, ["22:13:30", "22:13:45", "22:14:00", "22:14:15"]),
        (3600 * S, ["22:20", "22:30", "22:40", "22:50", "23:00", "23:10"]),
        (48 * 3600 * S, ["Nov 15 00:00", "Nov 15 12:00", "Nov 16 00:00", "Nov 16 12:00"]),
        (7 * 86_400 * S, ["Nov 15", "Nov 17", "Nov 19", "Nov 21"]),
    ],
)
@pytest.mark.usefixtures("utc")
def test_times_are_read_at_round_ones(length: int, expected: list[str]) -> None:
    assert labels(TimeAxis(T0, T0 + length).ticks) == expected


def test_what_all_take_stands_in_the_middle_of_its_axis() -> None:
    axis = DurationAxis(20 * MS, 20 * MS)
    assert axis.place(20 * MS) == pytest.approx(50, abs=1)
    assert duration(axis.shortest_ns) != duration(axis.longest_ns)


def test_a_duration_of_zero_stands_at_the_lower_end() -> None:
    assert DurationAxis(0, S).place(0) == 0
