"""Comparison and arithmetic of two values."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.model import Kind, StatusCode
from minitrace.traceql.ast import MAX_INT, MIN_INT, Duration, Value
from minitrace.traceql.values import calculate, compare, compile_test, identity, known, mean, negate, total

INTS = st.integers(MIN_INT, MAX_INT)
NUMBERS = INTS | st.floats(allow_nan=False) | st.builds(Duration, INTS)
SCALARS = NUMBERS | st.text() | st.booleans() | st.sampled_from(StatusCode) | st.sampled_from(Kind)
LISTS = st.lists(st.text()) | st.lists(INTS) | st.lists(st.floats(allow_nan=False)) | st.lists(st.booleans())
ORDERS = ["=", "!=", "<", "<=", ">", ">="]


@pytest.mark.parametrize(
    ("value", "operator", "literal"),
    [
        (1, "=", 1.0),
        (1, "<", Duration(2)),
        (Duration(1_000_000), ">=", 1e6),
        (2**53 + 1, ">", float(2**53)),  # as floats they are equal
        (MAX_INT, "<", float(2**63)),
        ("9", ">", "100"),
        ("é", ">", "z"),  # by bytes, as by code points
        ("shop", "=~", "sh.p"),
        ("shop", "!~", "sh"),  # an expression must match as a whole
        ("a\nb", "=~", "a.b"),
        (True, "!=", False),
        (StatusCode.ERROR, "=", StatusCode.ERROR),
        (Kind.CLIENT, "!=", Kind.SERVER),
        (["a", "b"], "=", "b"),
        (["a", "b"], "!=", "c"),
        (["a", "b"], "=~", "[bc]"),
        (["a", "b"], "!~", "c"),
        ([1, 5], ">", 4),
        ([1, 5], "<", 1.5),
        ([True, False], "=", False),
        ([], "!=", 1),
    ],
)
def test_these_hold(value: Value, operator: str, literal: Value) -> None:
    assert compile_test(operator, literal)(value)


@pytest.mark.parametrize(
    ("value", "operator", "literal"),
    [
        (None, "=", 1),
        (None, "!=", 1),
        (None, "!~", "a"),
        ("1", "=", 1),
        ("1", "!=", 1),  # of types that do not match nothing is true
        (1, "=~", "1"),
        (1, "!~", "2"),
        (True, "=", 1),
        (1, "=", True),
        (True, "<", False),
        (StatusCode.OK, "=", 1),
        (StatusCode.OK, "=", Kind.INTERNAL),
        (Kind.CLIENT, ">", Kind.SERVER),
        (["a", "b"], "!=", "b"),  # not all of them differ
        (["a", "b"], "!~", "a"),
        ([1, "b"], "=", 1),  # a list of several types
        ([1, 2.5], "=", 1),
        (["a"], "!=", 1),
        ([], "=", 1),
        (b"a", "=", "a"),
        ({"a": 1}, "!=", "a"),
        (math.nan, "=", math.nan),
    ],
)
def test_these_do_not_hold(value: Any, operator: str, literal: Value) -> None:
    assert not compile_test(operator, literal)(value)


@given(value=SCALARS | LISTS | st.none(), operator=st.sampled_from(ORDERS), literal=SCALARS)
def test_it_makes_no_difference_when_a_literal_becomes_known(value: Value, operator: str, literal: Value) -> None:
    assert compile_test(operator, literal)(value) == compare(operator, value, literal)


@given(value=SCALARS | LISTS, operator=st.sampled_from(ORDERS), literal=SCALARS)
def test_sides_can_be_swapped(value: Value, operator: str, literal: Value) -> None:
    swapped = operator.translate(str.maketrans("<>", "><"))
    assert compare(operator, value, literal) == compare(swapped, literal, value)


@given(values=LISTS, operator=st.sampled_from(ORDERS), literal=SCALARS)
def test_a_list_compares_by_its_elements(values: list[Value], operator: str, literal: Value) -> None:
    by_element = [compare(operator, value, literal) for value in values]
    if values:
        assert compare(operator, values, literal) == (all(by_element) if operator == "!=" else any(by_element))


@given(left=LISTS, operator=st.sampled_from(ORDERS), right=LISTS)
def test_two_lists_never_compare(left: list[Value], operator: str, right: list[Value]) -> None:
    assert not compare(operator, left, right)


@given(left=NUMBERS, right=NUMBERS)
def test_numbers_are_less_equal_or_greater(left: Value, right: Value) -> None:
    assert [compare(operator, left, right) for operator in "<=>"].count(True) == 1


@pytest.mark.parametrize(
    ("left", "operator", "right", "result"),
    [
        (7, "/", 2, 3),
        (-7, "/", 2, -3),  # towards zero
        (-7, "%", 2, -1),  # the sign of the left one
        (7, "%", -2, 1),
        (-7.5, "%", 2, -1.5),
        (7, "/", 2.0, 3.5),
        (2, "^", 3, 8),  # not 3 ^ 2
        (2, "^", -1, 0.5),
        (-1, "^", MAX_INT, -1),
        (3, "^", MAX_INT, None),  # not all the memory there is
        (MAX_INT, "+", 1, float(2**63)),
        (Duration(5), "-", Duration(2), 3.0),
        (Duration(5), "*", 2, 10.0),
        (1.0, "/", 0, math.inf),
        (-1.0, "/", 0, -math.inf),
        (1, "/", 0, None),
        (1, "%", 0, None),
        (0.0, "/", 0, None),
        (1.0, "%", 0, None),
        (0, "^", -1, None),
        (-8.0, "^", 0.5, None),
        ("a", "+", "b", None),
        (1, "+", None, None),
        (1, "+", True, None),
        ([1], "+", 1, None),
    ],
)
def test_arithmetic_is_that_of_go(left: Value, operator: str, right: Value, result: Value) -> None:
    computed = calculate(operator, left, right)
    assert computed == result
    assert type(computed) is type(result)


@given(left=NUMBERS, operator=st.sampled_from("+-*/%^"), right=NUMBERS)
def test_arithmetic_gives_an_int_of_64_bits_a_float_or_nothing(left: Value, operator: str, right: Value) -> None:
    result: Any = calculate(operator, left, right)
    assert result is None or (type(result) is int and MIN_INT <= result <= MAX_INT) or type(result) is float
    assert result is None or not math.isnan(result)


@pytest.mark.parametrize(
    ("value", "negative"),
    [
        (3, -3),
        (1.5, -1.5),
        (Duration(2), Duration(-2)),
        (MIN_INT, float(2**63)),
        ("a", None),
        (True, None),
        (None, None),
    ],
)
def test_a_minus_keeps_the_type_of_a_number(value: Value, negative: Value) -> None:
    assert negate(value) == negative
    assert type(negate(value)) is type(negative)


@pytest.mark.parametrize(
    ("numbers", "of_all", "on_average"),
    [
        ([1, 2], 3, 1.5),
        ([0.5, 1], 1.5, 0.75),
        ([Duration(5), Duration(2)], Duration(7), Duration(3)),
        ([MAX_INT, MAX_INT], float(2**64), float(2**63)),
    ],
)
def test_sums_and_averages_have_the_type_of_their_numbers(
    numbers: list[int | float], of_all: Value, on_average: Value
) -> None:
    assert [total(numbers), mean(numbers)] == [of_all, on_average]
    assert [type(total(numbers)), type(mean(numbers))] == [type(of_all), type(on_average)]


@pytest.mark.parametrize("value", [b"bytes", {"a": 1}, [1, "b"], [[1]], [None], None])
def test_values_of_other_kinds_are_not_known(value: object) -> None:
    assert known(value) is None


@given(SCALARS | LISTS)
def test_all_others_are(value: Value) -> None:
    assert known(value) is value


def test_only_the_same_value_of_the_same_type_is_identical() -> None:
    different: list[Value] = [1, 1.0, True, Duration(1), StatusCode.OK, Kind.INTERNAL, "1", None, [1], [1.0], []]
    assert len({identity(value) for value in different}) == len(different)
    assert identity(float("nan")) == identity(float("nan"))
    assert identity([1, 2]) == identity([1, 2])
