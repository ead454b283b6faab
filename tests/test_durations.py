"""Durations as people and Go write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.durations import parse_duration
from minitrace.errors import DecodeError


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("250ms", 250_000_000),
        ("4.1ms", 4_100_000),  # int(4.1 * 1e6) is 4_099_999
        ("1h30m", 5_400_000_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("2 m", 120_000_000_000),
        (" 3us ", 3_000),
        ("3µs", 3_000),
        ("3μs", 3_000),
        ("1.9ns", 1),
        ("1d", 86_400_000_000_000),
        ("0", 0),
    ],
)
def test_durations_are_exact(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize(
    "text", ["", "5", "ms", ".s", "-5s", "1x", "1s!", "1,5s", "9999999999h", "١s", "1e3s", "9" * 5000 + "s"]
)
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(DecodeError, match=r"is not a duration: write 250ms, 1\.5s or 2m"):
        parse_duration(text)


@given(st.integers(0, 2**53), st.sampled_from(["ns", "us", "ms", "s"]))
def test_a_whole_number_of_units_is_that_many(number: int, unit: str) -> None:
    factor = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}[unit]
    if number * factor < 2**63:
        assert parse_duration(f"{number}{unit}") == number * factor
