"""Literals that are calculated while a query is read: ``{ duration > 2 * 500ms }`` asks for more than one second.

What has no value stays as it is, and is for whoever checks or runs the query: a division by zero, operands whose
types do not go together.
"""

from __future__ import annotations

import math

from minitrace.traceql.ast import ARITHMETIC, LOGIC, Binary, Field, Static, Unary, Value
from minitrace.traceql.values import calculate, compare, is_number, negate


def folded(node: Unary | Binary) -> Field:
    """The value of a calculation with literals alone; any other node as it is."""
    if isinstance(node, Unary):
        value = _unary(node.operator, node.operand.value) if isinstance(node.operand, Static) else None
    elif isinstance(node.left, Static) and isinstance(node.right, Static):
        value = _binary(node.operator, node.left.value, node.right.value)
    else:
        return node
    if value is None or (isinstance(value, float) and not math.isfinite(value)):  # no text could say infinity
        return node
    return Static(value, at=node.at)


def _unary(operator: str, value: Value) -> Value:
    if operator == "-":
        return -value if isinstance(value, float) else negate(value)  # -0.0 stays what it is
    return not value if isinstance(value, bool) else None


def _binary(operator: str, left: Value, right: Value) -> Value:
    if operator in ARITHMETIC:
        return calculate(operator, left, right)
    if operator in LOGIC:
        return _logic(operator, left, right)
    if left is None and right is None:  # nothing equals nil, and nothing differs from it: as in Tempo
        return False if operator in ("=", "!=") else None
    return compare(operator, left, right) if _are_comparable(operator, left, right) else None


def _logic(operator: str, left: Value, right: Value) -> bool | None:
    if not isinstance(left, bool) or not isinstance(right, bool):
        return None
    return left and right if operator == "&&" else left or right


def _are_comparable(operator: str, left: Value, right: Value) -> bool:
    """Whether `check` would let it pass. Patterns are left to it."""
    if operator in ("=~", "!~"):
        return False
    if is_number(left) and is_number(right):
        return True
    return type(left) is type(right) and (isinstance(left, str) or operator in ("=", "!="))
