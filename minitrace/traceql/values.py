"""Two values of TraceQL to what a comparison or arithmetic makes of them.

```
type of a value             compares by                     with
str                         = != < <= > >= =~ !~            str
int, float, Duration        = != < <= > >=                  each other, exactly; durations are nanoseconds
bool, StatusCode, Kind      = !=                            their own type
list of one of these types  any element holds; for != and !~ all of them do
```

Everything else is false, never an error: a missing value (None), types that do not match, two lists, lists of
several types, bytes and maps. Types are told apart by `type()`, since to Python `True` and `StatusCode.OK` are 1.
"""

from __future__ import annotations

import math
import operator as python
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache, partial
from typing import Any

from minitrace.model import Kind, StatusCode
from minitrace.traceql.ast import MAX_INT, MIN_INT, Duration, Value
from minitrace.traceql.patterns import compile_pattern

Number = int | float
Test = Callable[[Value], bool]

NUMBERS = frozenset((int, float, Duration))
FLIPPED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}  # a < b is b > a

_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "=": python.eq, "!=": python.ne, "<": python.lt, "<=": python.le, ">": python.gt, ">=": python.ge,
}  # fmt: skip
_ORDER, _EQUALITY = frozenset(_HOLDS), frozenset(("=", "!="))
# Of each type: the types it compares with, and the operators it knows.
_COMPARABLE: dict[type, tuple[frozenset[type], frozenset[str]]] = {
    str: (frozenset((str,)), _ORDER),
    **dict.fromkeys(NUMBERS, (NUMBERS, _ORDER)),
    **{own: (frozenset((own,)), _EQUALITY) for own in (bool, StatusCode, Kind)},
}
_ANSWERS_KEPT = 4096  # of a regular expression: services and routes repeat, and matching is slow
_LARGEST_POWER = 64  # no int of 64 bits is a larger one, and larger ones could fill the memory


# Comparison


def compile_test(operator: str, literal: Value) -> Test:
    """A test of one value: ``value operator literal``. False for a missing value.

    For ``=~`` and ``!~`` the literal is the text of a regular expression, which must match as a whole.

    Raises:
        PatternError: the literal is not a regular expression of RE2.
    """
    if operator in ("=~", "!~"):
        return _over_elements(operator, frozenset((str,)), _pattern_test(operator, str(literal)))
    types, operators = _COMPARABLE.get(type(literal), (frozenset(), frozenset()))
    if operator not in operators:
        return never
    return _over_elements(operator, types, partial(_HOLDS[FLIPPED[operator]], literal))


def compare(operator: str, left: Value, right: Value) -> bool:
    """Whether ``left operator right``, for two values that are known only now."""
    if type(right) is list:
        return type(left) is not list and compile_test(FLIPPED[operator], left)(right)
    return compile_test(operator, right)(left)


def is_number(value: object) -> bool:
    """Whether it counts: an int, a float or a duration, and not NaN."""
    return type(value) in NUMBERS and value == value


def never(_: object) -> bool:
    """The test that nothing passes."""
    return False


def always(_: object) -> bool:
    """The test that everything passes."""
    return True


def _pattern_test(operator: str, text: str) -> Callable[[str], bool]:
    matches = lru_cache(_ANSWERS_KEPT)(compile_pattern(text).matches)
    return matches if operator == "=~" else lambda value: not matches(value)


def _over_elements(operator: str, types: frozenset[type], holds: Callable[[Any], bool]) -> Test:
    """A test that holds for a value of one of these types, or for elements of a list of them."""
    quantifier = all if operator in ("!=", "!~") else any

    def test(value: Value) -> bool:
        if type(value) in types:
            return holds(value)
        if type(value) is not list:
            return False
        found = {type(element) for element in value}
        return len(found) < 2 and found <= types and quantifier(map(holds, value))

    return test


# Arithmetic


def calculate(operator: str, left: Value, right: Value) -> Value:
    """What ``left operator right`` is: an int of two ints, else a float. None where there is no such number.

    It computes as Go does: ``-7 / 2`` is -3, ``-7 % 2`` is -1, ``1.0 / 0`` is infinite, and there is no ``1 / 0`` nor
    ``0.0 / 0``. But an int beyond 64 bits becomes a float.
    """
    if type(left) not in NUMBERS or type(right) not in NUMBERS:
        return None
    are_ints = type(left) is int and type(right) is int
    try:
        return _number((_INTS if are_ints else _FLOATS)[operator](left, right))
    except (ZeroDivisionError, OverflowError, ValueError):  # Python's ways to say undefined
        return None


def negate(value: Value) -> Value:
    """``-value``, of the same type; None for what is no number."""
    if type(value) is Duration:
        return Duration(-value)
    return calculate("-", 0, value)


def total(numbers: Sequence[Number]) -> Value:
    """Their sum: an int of ints, a Duration of durations, else a float; None if it is undefined."""
    types = {type(number) for number in numbers}
    if types == {Duration}:
        return Duration(sum(numbers))
    return _number(sum(numbers) if types == {int} else float(sum(numbers)))


def mean(numbers: Sequence[Number]) -> Value:
    """Their average: of durations a Duration, cut to the nanosecond, else a float."""
    of_all = total(numbers)
    if type(of_all) is Duration:
        return Duration(_quotient(of_all, len(numbers)))
    return calculate("/", of_all, float(len(numbers)))


def _number(result: Number) -> Value:
    if type(result) is int and MIN_INT <= result <= MAX_INT:
        return result
    return None if result != result else float(result)


def _quotient(left: int, right: int) -> int:
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: int, right: int) -> int:
    return left - right * _quotient(left, right)


def _ratio(left: float, right: float) -> float:
    if right == 0 and left != 0:
        return math.copysign(math.inf, left) * math.copysign(1, right)
    return left / right


def _power(left: int, right: int) -> Number:
    if right >= 0 and (right <= _LARGEST_POWER or abs(left) < 2):
        return int(left**right)
    return math.pow(left, right)


_INTS: dict[str, Callable[[Any, Any], Number]] = {
    "+": python.add, "-": python.sub, "*": python.mul, "/": _quotient, "%": _remainder, "^": _power,
}  # fmt: skip
_FLOATS: dict[str, Callable[[Any, Any], Number]] = {
    "+": lambda left, right: float(left) + right,
    "-": lambda left, right: float(left) - right,
    "*": lambda left, right: float(left) * right,
    "/": _ratio,
    "%": math.fmod,
    "^": math.pow,
}


# Groups


def known(value: object) -> Value:
    """The value itself; None for what TraceQL has no type for: bytes, maps and lists of several types."""
    if isinstance(value, list):
        types = {type(element) for element in value}
        return value if len(types) < 2 and types <= _COMPARABLE.keys() else None
    return value if type(value) in _COMPARABLE else None  # type: ignore[return-value]  # mypy cannot follow type()


def identity(value: Value) -> Hashable:
    """A key that only the same value of the same type has: 1, 1.0 and true have three."""
    if isinstance(value, list):
        return list, tuple(map(identity, value))
    return type(value), "NaN" if value != value else value


def identified(identity: Any) -> Value:
    """The value that has this `identity`."""
    type_, content = identity
    if type_ is list:
        return [identified(element) for element in content]
    return math.nan if type_ is float and content == "NaN" else content
