"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.errors import DecodeError
from minitrace.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("500MB", 500_000_000),
        ("2GB", 2_000_000_000),
        ("1.5GiB", 1_610_612_736),
        ("1.1GB", 1_100_000_000),
        ("2.3kb", 2_300),  # int(2.3 * 1000) is 2_299
        (" 64 mib ", 67_108_864),
        (".5KiB", 512),
        ("1.0009kB", 1_000),
        ("7B", 7),
        ("0GB", 0),
    ],
)
def test_sizes_are_exact(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "5", "GB", ".GB", "-1GB", "2G", "1 000MB", "1,5GB", "1e3MB", "٢GB", "2GB!", "2Gi", "9" * 5000 + "GB"]
)
def test_what_is_no_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(DecodeError, match=r"is not a size: write 500MB, 2GB or 1\.5GiB"):
        parse_size(text)


@pytest.mark.parametrize("text", ["9999999999TB", "9" * 20 + "B"])
def test_a_size_that_no_file_can_have_is_refused(text: str) -> None:
    with pytest.raises(DecodeError, match="is more than a file can be"):
        parse_size(text)


@given(st.integers(0, 2**40), st.sampled_from([("B", 1), ("kB", 10**3), ("MB", 10**6), ("KiB", 2**10), ("MiB", 2**20)]))
def test_a_whole_number_of_units_is_that_many(number: int, unit: tuple[str, int]) -> None:
    assert parse_size(f"{number}{unit[0]}") == number * unit[1]
