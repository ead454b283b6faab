"""Tokens to fields: what stands in the braces of a filter, in ``by()`` and in ``max()``.

```
field  = literal | attribute | intrinsic | "(" field ")" | ("-" | "!") field | field operator field
```

Operators bind as `ast.FIELD_PRECEDENCE` says; the loop in `Reader.field` goes on as long as the next one binds
tightly enough (a Pratt parser). Literals alone are calculated on the spot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from minitrace.errors import TraceQLError
from minitrace.traceql import hints
from minitrace.traceql.ast import FIELD_PRECEDENCE, UNARY_PRECEDENCE, Attribute, Binary, Field, Intrinsic, Unary
from minitrace.traceql.folding import folded
from minitrace.traceql.lexer import Token

MAX_NESTING = 64  # of brackets, and of signs that group from the right: each is a few calls deep here
# Of operators below each other. str() and == recurse with three calls for each, four where coverage is measured,
# and Python ends at 1000.
MAX_DEPTH = 200

_P = TypeVar("_P")


class Reader:
    """Reads `tokens` of `text` from the first to the last, which must be of kind "end".

    `depth` is how many operators and brackets are below each other in what was read last; `end` where it ended.
    """

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.index = 0
        self.token = tokens[0]
        self.end = 0
        self.nesting = 0
        self.depth = 0

    def advance(self) -> Token:
        token = self.token
        self.end = token.end
        self.index += 1
        self.token = self.tokens[self.index]
        return token

    def accept(self, kind: str) -> bool:
        if self.token.kind != kind:
            return False
        self.advance()
        return True

    def expect(self, kind: str, expected: str = "") -> Token:
        if self.token.kind != kind:
            raise self.unexpected(expected or f'"{kind}"')
        return self.advance()

    def enter(self, kind: str, expected: str = "") -> int:
        """Read an opening bracket; returns where it stands."""
        self.nest()
        self.depth = 0
        return self.expect(kind, expected).start

    def leave(self, kind: str, expected: str = "") -> None:
        """Read the closing bracket of the last one that was entered."""
        self.nesting -= 1
        self.depth += 1
        self.expect(kind, expected)

    def nest(self) -> None:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.error(f"nested too deeply: more than {MAX_NESTING} brackets or signs within each other")

    def deeper(self, depth: int) -> None:
        """An operator was read, with something of this depth on its left, and its right operand last."""
        self.depth = max(depth, self.depth) + 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} operators in a row: {hints.TOO_LONG_REMEDY}")

    def unexpected(self, expected: str) -> TraceQLError:
        return hints.unexpected(self.text, self.tokens, self.index, expected)

    def error(self, message: str, at: tuple[int, int] | None = None) -> TraceQLError:
        start, end = at or (self.token.start, self.token.end)
        return TraceQLError(message, self.text, start, end)

    def field(self, minimum: int = 1) -> Field:
        """A field whose operators bind at least as tightly as `minimum`."""
        start = self.token.start
        left = self.operand()
        while (binds := FIELD_PRECEDENCE.get(self.token.kind, 0)) >= minimum:
            sign, depth = self.advance().kind, self.depth
            right = self.right_of(sign, self.field, binds)
            self.deeper(depth)
            left = folded(Binary(sign, left, right, at=(start, self.end)))
        return left

    def operand(self) -> Field:
        if self.token.node is not None:
            self.depth = 0
            return self.advance().node  # type: ignore[return-value]
        if self.token.kind in UNARY_PRECEDENCE:
            return self.prefixed(self.field, UNARY_PRECEDENCE[self.token.kind] + 1)
        self.enter("(", "a value, an attribute or an intrinsic")
        field = self.field()
        self.leave(")", 'an operator or ")"')
        return field

    def prefixed(self, read: Callable[[int], Field], binds: int) -> Field:
        """``-`` or ``!`` and what follows it: what `read` reads whose operators bind at least this tightly."""
        self.nest()
        sign = self.advance()
        operand = read(binds)
        self.nesting -= 1
        self.deeper(0)
        return folded(Unary(sign.kind, operand, at=(sign.start, self.end)))

    def right_of(self, sign: str, read: Callable[[int], _P], binds: int) -> _P:
        """The right operand of an operator; of ``^``, which groups from the right, it may be another ``^``."""
        if sign != "^":
            return read(binds + 1)
        self.nest()
        right = read(binds)
        self.nesting -= 1
        return right

    def attribute(self) -> Attribute | Intrinsic:
        if not isinstance(self.token.node, Attribute | Intrinsic):
            raise self.unexpected("an attribute or an intrinsic, such as span.http.route or name")
        return self.advance().node  # type: ignore[return-value]

    def attributes(self) -> tuple[Attribute | Intrinsic, ...]:
        """A list of them in parentheses."""
        self.enter("(")
        found = [self.attribute()]
        while self.accept(","):
            found.append(self.attribute())
        self.leave(")", 'a comma or ")"')
        return tuple(found)
