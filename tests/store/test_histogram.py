"""Histograms: what a digit counts, how far a quantile may be wrong, and that sums are sums."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.store.histogram import BOUNDS, ERROR, Histogram, digit_of, dump, edges, load

DURATIONS = st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 10**10), max_size=300)


@pytest.mark.parametrize(
    ("duration_ns", "digit"), [(0, 0), (1, 1), (2, 9), (3, 14), (4, 17), (5, 20), (2**63 - 1, 505)]
)
def test_a_bucket_has_its_upper_edge(duration_ns: int, digit: int) -> None:
    assert digit_of(duration_ns) == digit


def test_there_are_eight_buckets_from_a_power_of_two_to_the_next() -> None:
    assert [digit_of(2**power) for power in range(63)] == [1 + 8 * power for power in range(63)]
    assert digit_of(2**40 + 1) == digit_of(2**40) + 1


@given(st.integers(1, 2**63 - 1))
def test_edges_are_those_of_the_spans_counted(duration_ns: int) -> None:
    """Exactly: 2^(i/8) < d is 2^i < d^8."""
    exponent = digit_of(duration_ns) - 2
    assert exponent < 0 or 2**exponent < duration_ns**8
    assert duration_ns**8 <= 2 ** (exponent + 1)
    low, high = edges(digit_of(duration_ns))
    assert low * 0.999 < duration_ns < high * 1.001


def test_bounds_never_descend() -> None:
    assert sorted(BOUNDS) == BOUNDS


@given(st.lists(st.integers(1, 2**62), min_size=1, max_size=60), st.floats(0, 1))
def test_quantiles_are_within_the_error_said(durations: list[int], share: float) -> None:
    exact = sorted(durations)[max(1, math.ceil(share * len(durations))) - 1]
    assert Histogram.of(durations).quantile(share) == pytest.approx(exact, rel=ERROR * 1.001)


def test_the_error_is_less_than_a_twentieth() -> None:
    assert 0.04 < ERROR < 0.05


def test_what_took_no_time_counts_too() -> None:
    assert Histogram.of([0, 0, 5]).quantile(0.5) == 0
    assert Histogram.of([0, 0, 5]).counts == {0: 2, digit_of(5): 1}


def test_nothing_has_no_quantile_but_zero() -> None:
    assert Histogram().quantiles([0.5, 1.0]) == [0.0, 0.0]


@given(DURATIONS, DURATIONS)
def test_histograms_add_up(one: list[int], other: list[int]) -> None:
    assert Histogram(Histogram.of(one).digits + Histogram.of(other).digits) == Histogram.of(one + other)
    assert Histogram.of(one + other).count == len(one + other)


@given(st.lists(st.integers(0, 505), min_size=1, max_size=600))
def test_what_was_dumped_is_loaded_again(digits: list[int]) -> None:
    assert load(*dump(digits)) == sum(1 << (32 * digit) for digit in digits)


def test_a_bucket_counts_more_than_a_byte_holds() -> None:
    assert load(*dump([7] * 300)) == 300 << (32 * 7)
