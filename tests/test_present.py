"""Values as people read them."""

from __future__ import annotations

import math
import re

import pytest

from minitrace import present
from minitrace.model import Value

THIN = present.THIN_SPACE


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1 µs"),
        (12_345, "12.3 µs"),
        (999_499, "999 µs"),
        (999_600, "1 ms"),  # not "1000 µs"
        (84_000_000, "84 ms"),
        (9_996_000, "10 ms"),
        (1_240_000_000, "1.24 s"),
        (59_990_000_000, "60 s"),
        (200_000_000_000, "3 m 20 s"),
        (3_600_000_000_000, "1 h"),
        (90_061_000_000_000, "1 d 1 h"),
    ],
)
def test_durations_have_three_digits_and_one_unit(ns: int, text: str) -> None:
    assert present.duration(ns).replace(THIN, " ") == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1 KB"), (3_565_158, "3.4 MB"), (5 << 30, "5 GB")]
)
def test_sizes(size: int, text: str) -> None:
    assert present.size(size).replace(THIN, " ") == text


@pytest.mark.parametrize(
    ("number", "seconds", "text"),
    [
        (0, 60, "0/s"), (60, 60, "1/s"), (123, 10, "12.3/s"), (123_456, 1, "123\u2009456/s"), (59, 60, "59/min"),
        (1, 3600, "1/h"), (1, 7200, "0.5/h"), (9996, 10, "1\u2009000/s"),
    ],
)  # fmt: skip
def test_rates_are_in_the_unit_that_gives_a_number_above_one(number: int, seconds: int, text: str) -> None:
    assert present.rate(number, seconds * 10**9) == text


def test_counts_agree_with_their_noun() -> None:
    assert [present.count(n, "span") for n in (0, 1, 2)] == ["0 spans", "1 span", "2 spans"]
    assert present.count(1_234_567, "span") == f"1{THIN}234{THIN}567 spans"


def test_times_in_utc_are_exact_to_the_millisecond() -> None:
    assert present.time(1_700_000_000_042_999_999, utc=True) == "2023-11-14 22:13:20.042"
    assert present.iso(1_700_000_000_042_999_999) == "2023-11-14T22:13:20.042999Z"


@pytest.mark.parametrize("ns", [0, 2**63 - 1, 2**63, 2**64 - 1])
def test_times_that_cannot_be_written_are_no_time(ns: int) -> None:
    assert (present.time(ns), present.iso(ns), present.clock(ns)) == ("no time", "", "no time")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"),
        (42, "42 s ago"),
        (130, "2 min ago"),
        (7300, "2 h ago"),
        (200_000, "2 d ago"),
        (-60, "in the future"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    now = 1_700_000_000_000_000_000
    assert present.age(now - seconds * 1_000_000_000, now).replace(THIN, " ") == text


@pytest.mark.parametrize(
    ("value", "text", "type_"),
    [
        ("x", "x", "string"),
        (True, "true", "bool"),
        (42, "42", "int"),
        (1.0, "1.0", "double"),
        (math.nan, "NaN", "double"),
        (b"\x00\xff", "AP8=", "bytes"),
        (["a", 1, b"x"], '["a", 1, "eA=="]', "array"),
        ({"k": {"é": None}}, '{"k": {"é": null}}', "map"),
        (None, "null", "empty"),
    ],
)
def test_attribute_values_and_their_types(value: Value, text: str, type_: str) -> None:
    assert (present.value(value), present.value_type(value)) == (text, type_)


@pytest.mark.parametrize(
    ("time_ns", "pattern"),
    [
        (1_700_000_000_042_000_000, r"\d\d:\d\d:\d\d\.042"),
        (1_700_000_000_042_000_000 - 3 * 86_400 * 10**9, r"Nov 1\d \d\d:\d\d:\d\d\.042"),
        (1_600_000_000_042_000_000, r"2020-09-1\d \d\d:\d\d:\d\d\.042"),
        (0, "no time"),
        (2**63, "no time"),
    ],
)
def test_a_recent_moment_leaves_out_what_goes_without_saying(time_ns: int, pattern: str) -> None:
    assert re.fullmatch(pattern, present.moment(time_ns, 1_700_000_000_000_000_000))


@pytest.mark.parametrize(
    ("time_ns", "start_ns", "text"),
    [(1_000_084_000_000, 10**12, "+84 ms"), (10**12 - 3_000, 10**12, "−3 µs"), (5, 5, "+0 ns"), (0, 5, "no time")],
)
def test_an_offset_says_its_direction(time_ns: int, start_ns: int, text: str) -> None:
    assert present.offset(time_ns, start_ns).replace(THIN, " ") == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(1, 3, "33%"), (1, 80, "1.2%"), (1, 10**9, "under 0.1%"), (0, 5, "0%"), (5, 5, "100%"), (1, 0, "")],
)
def test_a_share_is_a_percentage(part: int, whole: int, text: str) -> None:
    assert present.share(part, whole) == text


def test_names_of_kinds_and_statuses_newer_than_we_are() -> None:
    assert (present.kind(2), present.kind(9), present.status(2), present.status(9)) == (
        "server", "kind 9", "error", "status 9",
    )  # fmt: skip


def test_control_and_bidi_characters_are_spelt_out() -> None:
    assert present.printable("a\x1b[31m\u202eb\nc") == "a\\x1b[31m\\u202eb\nc"
