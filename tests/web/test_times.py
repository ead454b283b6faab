"""The range of time that a page is about."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from minitrace.web.times import asked_range, exact_range, read_range

HOUR = 3600 * 10**9
NOW = 1_700_000_000 * 10**9
TEN, TWELVE = "2023-11-14T10:00Z", "2023-11-14T12:00Z"
TEN_NS = 1_699_956_000 * 10**9


@pytest.mark.parametrize(
    ("values", "start_ns", "end_ns"),
    [
        ({}, NOW - HOUR, NOW),
        ({"since": "6h"}, NOW - 6 * HOUR, NOW),
        ({"since": "a while"}, NOW - HOUR, NOW),
        ({"from": TEN}, TEN_NS, NOW),
        ({"from": TEN, "to": TWELVE, "since": "6h"}, TEN_NS, TEN_NS + 2 * HOUR),
        ({"to": TWELVE, "since": "6h"}, TEN_NS - 4 * HOUR, TEN_NS + 2 * HOUR),
    ],
)
def test_a_range_is_told_by_its_ends_or_by_a_period_up_to_its_end(
    values: dict[str, str], start_ns: int, end_ns: int
) -> None:
    problems: dict[str, str] = {}
    assert read_range(values, NOW, problems) == (start_ns, end_ns)
    assert problems == {}
    assert read_range(asked_range(values), NOW, problems) == (start_ns, end_ns)  # of the page that a link leads to


@pytest.mark.parametrize(
    ("values", "field", "problem"),
    [
        ({"from": "yesterday"}, "from", "Write a date and a time, such as 2026-11-22T13:00."),
        ({"from": TWELVE, "to": TEN}, "to", "This is not after the beginning."),
    ],
)
def test_a_range_that_is_none_is_a_problem_at_its_field(values: dict[str, str], field: str, problem: str) -> None:
    problems: dict[str, str] = {}
    read_range(values, NOW, problems)
    assert problems == {field: problem}


def test_an_exact_range_in_an_address_is_read_again_no_narrower() -> None:
    values = dict(parse_qsl(exact_range(TEN_NS + 1_500_001, TEN_NS + HOUR + 1)))
    assert values == {"from": "2023-11-14T10:00:00.001Z", "to": "2023-11-14T11:00:00.001Z"}
    assert read_range(values, NOW, {}) == (TEN_NS + 1_000_000, TEN_NS + HOUR + 1_000_000)
