"""A duration among others of its operation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.web.standing import standing

HUNDRED = list(range(1, 101))


@pytest.mark.parametrize(
    ("duration", "others", "text"),
    [
        (98, HUNDRED, "slower than 98%"),
        (10**9, HUNDRED, "slower than all"),
        (3, [*HUNDRED, 3], "faster than 97%"),
        (0, HUNDRED, "faster than all"),
        (7, [7] * 20, "in the middle"),
    ],
)
def test_a_duration_is_slower_or_faster_than_most(duration: int, others: list[int], text: str) -> None:
    found = standing(duration, others)
    assert found is not None
    assert found.text == text


def test_a_span_is_not_compared_with_itself() -> None:
    found = standing(100, HUNDRED)
    assert found is not None
    assert (found.count, found.text, found.p50_ns, found.p95_ns) == (99, "slower than all", 50, 95)


@pytest.mark.parametrize("others", [[], [1, 2, 3, 4], [1, 2, 3, 4, 9]])
def test_of_a_few_others_nothing_is_said(others: list[int]) -> None:
    assert standing(9, others) is None


def test_places_are_on_a_logarithmic_scale() -> None:
    found = standing(10, [1, 1, 1, 10, 100, 100])
    assert found is not None
    assert (found.p50_place, found.p95_place, round(found.place)) == (0, 100, 50)


@given(st.integers(0, 2**63), st.lists(st.integers(0, 2**63), min_size=6))
def test_every_place_is_on_the_scale(duration: int, others: list[int]) -> None:
    found = standing(duration, others)
    assert found is not None
    assert 0 <= found.p50_place <= found.p95_place <= 100
    assert 0 <= found.place <= 100
