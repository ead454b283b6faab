"""A query that is still being typed, to the condition it has so far.

Completion wants the values of one attribute among the spans that the rest of the filter finds:
``{ resource.cluster = "eu" && name = }`` asks for names in that cluster. So every comparison that cannot be read
counts as true, and the ``&&``, ``||`` and parentheses between them stay.
"""

from __future__ import annotations

from minitrace.errors import TraceQLError
from minitrace.traceql.ast import LOGIC, Attribute, Binary, Field, Intrinsic, Static
from minitrace.traceql.check import Checker
from minitrace.traceql.lexer import Token, lenient_tokens
from minitrace.traceql.reader import MAX_DEPTH, MAX_NESTING, Reader


def lenient(text: str) -> Field | None:
    """The condition of the first filter in a text, without what cannot be read; None for no condition at all.

    Never raises: what is no filter yet, or much too long, is no condition.
    """
    return _condition(text, _first_braces(lenient_tokens(text)))


def _first_braces(tokens: list[Token]) -> list[Token]:
    kinds = [token.kind for token in tokens]
    if "{" not in kinds or "}" not in kinds[kinds.index("{") :]:
        return []
    start = kinds.index("{") + 1
    return tokens[start : kinds.index("}", start)]


def _condition(text: str, tokens: list[Token], nesting: int = 0) -> Field | None:
    """What joined comparisons amount to; None is true, and so are ``true && …`` and ``true || …``."""
    matchers, signs = _split(tokens)
    if len(matchers) > MAX_DEPTH or nesting > MAX_NESTING:
        return None
    condition = _matcher(text, matchers[0], nesting)
    for sign, matcher in zip(signs, matchers[1:], strict=True):
        right = _matcher(text, matcher, nesting)
        if condition is not None and right is not None:
            condition = Binary(sign, condition, right, at=(condition.at[0], right.at[1]))
        else:
            condition = None if sign == "||" else condition or right
    return condition


def _split(tokens: list[Token]) -> tuple[list[list[Token]], list[str]]:
    """What stands between the ``&&`` and ``||`` that are in no parentheses, and those."""
    matchers: list[list[Token]] = [[]]
    signs: list[str] = []
    depth = 0
    for token in tokens:
        depth += (token.kind == "(") - (token.kind == ")")
        if token.kind in LOGIC and depth == 0:
            signs.append(token.kind)
            matchers.append([])
        else:
            matchers[-1].append(token)
    return matchers, signs


def _matcher(text: str, tokens: list[Token], nesting: int) -> Field | None:
    if len(tokens) > 2 and tokens[0].kind == "(" and _closing(tokens) == len(tokens) - 1:
        return _condition(text, tokens[1:-1], nesting + 1)
    if not tokens or any(token.kind == "wrong" for token in tokens):
        return None
    last = tokens[-1].end
    reader = Reader(text, [*tokens, Token("end", "", last, last)])
    try:
        field = reader.field()
        Checker(text).condition(field)
    except TraceQLError:
        return None
    is_half = isinstance(field, Attribute | Intrinsic) or field == Static(True)  # a name whose value is to come
    return None if is_half or reader.token.kind != "end" else field


def _closing(tokens: list[Token]) -> int:
    """Which token closes the parenthesis that the first one opens; -1 where none does."""
    depth = 0
    for index, token in enumerate(tokens):
        depth += (token.kind == "(") - (token.kind == ")")
        if depth == 0:
            return index
    return -1
