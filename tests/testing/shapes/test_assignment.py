"""Spans are given to lines as a search through all ways would give them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from hypothesis import example, given
from hypothesis import strategies as st

from minitrace.testing.shapes.assignment import assigned, in_sequence
from tests.effort import growth

Puzzle = tuple[list[list[int]], list[int], list[int]]


@st.composite
def puzzles(draw: st.DrawFn) -> Puzzle:
    """Up to six spans, up to four lines: which fit, and how many each line wants."""
    lines = draw(st.integers(0, 4))
    some = st.lists(st.integers(0, lines - 1), unique=True).map(sorted) if lines else st.just([])
    fits = draw(st.lists(some, max_size=6))
    bounds = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=lines, max_size=lines))
    return fits, [min(pair) for pair in bounds], [max(pair) for pair in bounds]


def is_right(ways: tuple[int, ...], puzzle: Puzzle) -> bool:
    _, least, most = puzzle
    return all(low <= ways.count(line) <= high for line, (low, high) in enumerate(zip(least, most, strict=True)))


@given(puzzles())
@example(([[0, 1], [0]], [1, 1], [1, 1]))
@example(([[0], [0, 1], [1]], [1, 0], [1, 2]))
@example(([[0, 1]], [0, 1], [1, 1]))  # the first line may have it, the second must
@example(([[0, 1], [0], [0]], [1, 1], [2, 1]))  # what is passed on leaves room
def test_all_spans_are_given_if_there_is_a_way(puzzle: Puzzle) -> None:
    fits, least, most = puzzle
    found = assigned(fits, least, most)
    assert all(line is None or line in fits[span] for span, line in enumerate(found))
    is_whole = None not in found and is_right(tuple(line for line in found if line is not None), puzzle)
    assert is_whole == any(is_right(ways, puzzle) for ways in itertools.product(*fits))


@given(puzzles())
def test_a_sequence_is_found_if_there_is_one(puzzle: Puzzle) -> None:
    fits, least, most = puzzle
    ways = (way for way in itertools.product(*fits) if list(way) == sorted(way))
    assert in_sequence(fits, least, most) == any(is_right(way, puzzle) for way in ways)


def test_twice_the_lines_and_spans_take_about_ten_times_as_long() -> None:
    def assigning(lines: int) -> Callable[[], None]:
        # Each span fits all lines up to its own: whoever comes late must push others on, the whole way.
        fits = [list(range(span // 10 + 1)) for span in range(10 * lines)]

        def assign() -> None:
            assert None not in assigned(fits, [10] * lines, [10] * lines)
            assert in_sequence(fits, [0] * lines, [10 * lines] * lines)

        return assign

    assert growth(assigning, 10, 2) < 32  # all ways would be thousands of times as many
