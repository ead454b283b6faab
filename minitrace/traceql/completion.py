"""What may stand at a place of a query that is being typed.

The parser is the grammar here, too: a word or sign may stand behind a text if the parser reads it there (`_reach`),
and the checker says what goes together (`_agrees`). So each candidate is tried behind what is in front of the caret.

```
{ .a = 1 && resource.serv│ice.name = "x" }     what is in front       { .a = 1 &&
                                               what is typed          resource.serv
                                               what will be replaced  resource.service.name
                                               the others' condition  .a = 1
```

Where the parser cannot read what is in front, only the nearest of it counts: the condition, the argument, the stage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from minitrace.errors import TraceQLError
from minitrace.traceql import vocabulary
from minitrace.traceql.ast import (
    COMPARISONS,
    FIELD_PRECEDENCE,
    SPANSET_PRECEDENCE,
    Aggregate,
    Attribute,
    Binary,
    Field,
    Intrinsic,
    Pipeline,
    SpansetFilter,
    SpansetOperation,
)
from minitrace.traceql.check import KNOWN_HINTS, Checker
from minitrace.traceql.hints import AGGREGATES, FUNCTIONS
from minitrace.traceql.lenient import lenient
from minitrace.traceql.lexer import MAX_CHARACTERS, Token, lenient_tokens
from minitrace.traceql.names import NAME_END
from minitrace.traceql.parser import Parser, Part
from minitrace.traceql.vocabulary import Word

MOST_IN_FRONT = 200  # tokens that are read for each candidate; of a longer text the nearest

_QUOTES = "\"`'"
_NAMES = frozenset(("attribute", "scoped", "word", "int", "float", "duration"))
_REST_OF_NAME = re.compile(r'[^\s{}()=~!<>&|^,"]*')
_END = Token("end", "", 0, 0)


@dataclass(frozen=True, slots=True)
class Place:
    """What may stand at a place. What is chosen replaces characters `start` to `end`; `typed` of them is typed so far.

    `words` are of the language. `has_keys`: attributes may stand here, and `has_value`: a literal, which is compared
    with `field` by `operator`, or with something else of the `type` (as `check` has them; "" where it is not known).
    `condition` is what the rest of the filter asks of a span, None for nothing. `is_quoted`: the caret is in a string.
    `is_readable`: a query may begin like what is in front of this place; `is_whole`: that is a query already.
    """

    start: int
    end: int
    typed: str = ""
    is_quoted: bool = False
    is_readable: bool = False
    is_whole: bool = False
    words: tuple[Word, ...] = ()
    has_keys: bool = False
    has_value: bool = False
    field: Attribute | Intrinsic | None = None
    operator: str = ""
    type: str = ""
    condition: Field | None = None


def place_at(text: str, position: int) -> Place:
    """What may stand at a character of a text. Never raises; nothing may stand in comments and in what is too long."""
    position = min(max(position, 0), len(text))
    before = lenient_tokens(text[:position])
    if position > MAX_CHARACTERS or not before or before[-1].kind != "end":
        return Place(position, position)
    if _is_comment(text[before[-2].end if len(before) > 1 else 0 : position]):
        return Place(position, position)
    fragment = _Fragment.of(text, position, before[:-1])
    found = _Front(fragment.before)
    if not fragment.typed and not found.is_readable and _Front(fragment.before[:-1]).is_readable:
        fragment = _unfinished_sign(fragment, position)  # "&" of "&&"
        found = _Front(fragment.before)
    return found.place(text, fragment)


def _is_comment(gap: str) -> bool:
    return "//" in gap.rpartition("\n")[2]


# What is typed


@dataclass(frozen=True, slots=True)
class _Fragment:
    """What the caret is at the end of, or within: characters `start` to `end`, and the tokens `before` it."""

    start: int
    end: int
    typed: str
    before: list[Token]
    is_quoted: bool = False

    @classmethod
    def of(cls, text: str, position: int, before: list[Token]) -> _Fragment:
        quote = next((index for index, token in enumerate(before) if _opens_string(token, text, position)), None)
        if quote is None:
            first, start = _name_before(before, position)
            return cls(start, _rest_of_name(text, position) if start < position else position,
                       text[start:position].replace('"', ""), before[:first])  # fmt: skip
        start, end = before[quote].start, _closed(text, before[quote].start, position)
        if not text[:start].endswith("."):
            return cls(start, end, text[start + 1 : position], before[:quote], is_quoted=True)
        first, start = _name_before(before[:quote], start - 1)  # span."a b
        return cls(start, _closed(text, start, position), text[start:position].replace('"', ""), before[:first])


def _opens_string(token: Token, text: str, position: int) -> bool:
    if token.kind != "wrong" or token.text[0] not in _QUOTES or token.end != token.start + 1:
        return False
    return token.text == "`" or "\n" not in text[token.start : position]


def _name_before(tokens: list[Token], end: int) -> tuple[int, int]:
    """The token and the character at which the name begins that ends in front of character `end`."""
    first = len(tokens)
    while first > 0 and tokens[first - 1].end >= end and _is_of_name(tokens[first - 1]):
        first -= 1
        end = min(end, tokens[first].start)  # "span." is wrong, and so is its word "span"
    return first, end


def _is_of_name(token: Token) -> bool:
    return token.kind in _NAMES or (token.kind == "wrong" and not NAME_END.union(_QUOTES).intersection(token.text))


def _closed(text: str, start: int, position: int) -> int:
    """Where the string or name ends that begins at `start`: at the caret, if its quotes are not closed."""
    tokens = lenient_tokens(text)
    whole = next((token for token in tokens if token.start == start and token.end >= position), None)
    is_paired = not any(token.kind == "wrong" and token.text in _QUOTES for token in tokens)
    return whole.end if whole and whole.kind in ("string", "attribute") and is_paired else position


def _rest_of_name(text: str, position: int) -> int:
    rest = _REST_OF_NAME.match(text, position)
    return rest.end() if rest else position


def _unfinished_sign(fragment: _Fragment, position: int) -> _Fragment:
    """The sign in front of the caret as what is typed, if it touches it."""
    *before, last = fragment.before
    if last.end != position or (last.kind == "wrong" and last.text in _QUOTES):
        return fragment
    return _Fragment(last.start, position, last.text, before)


# What is in front


class _Probe(Parser):
    """Reads as far as it can. What would do instead takes longer to find out than reading takes."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        super().__init__("", [*tokens, _END])

    def unexpected(self, expected: str) -> TraceQLError:
        return TraceQLError(expected)

    def error(self, message: str, at: tuple[int, int] | None = None) -> TraceQLError:
        return TraceQLError(message)


def _reach(tokens: Sequence[Token]) -> int:
    """How many of the tokens a query may begin with."""
    probe = _Probe(tokens)
    with suppress(TraceQLError):
        probe.query()
    return probe.index


def _is_query(tokens: Sequence[Token]) -> bool:
    try:
        _Probe(tokens).query()
    except TraceQLError:
        return False
    return True


def _tokens(text: str) -> list[Token]:
    return lenient_tokens(text)[:-1]


_FILTER, _STAGES, _STAGE, _BRACE, _PARENTHESIS = map(_tokens, ("{ }", "({ })", "{ } |", "{", "("))
_NAME, _NUMBER, _TEXT, _COUNT, _HINT = map(_tokens, (".x", "1", '"x"', "count()", KNOWN_HINTS[0]))
_BINARY = FIELD_PRECEDENCE | SPANSET_PRECEDENCE
_SIGNS_OF_SPANSETS = (*vocabulary.STRUCTURE, *vocabulary.BRACKETS)
_OF_FIELDS = {word.text for word in vocabulary.OPERATORS}
_SIGNS = (*vocabulary.OPERATORS, *(word for word in _SIGNS_OF_SPANSETS if word.text not in _OF_FIELDS))
_OPENING, _GOING_ON = ("{", "("), ("&&", "||", "}", ")")
_TOKENS_OF = {
    word.text: _tokens(word.text)
    for word in (*vocabulary.INTRINSICS, *_SIGNS, *vocabulary.FUNCTIONS, *vocabulary.KEYWORDS)
}
_HINTS = tuple(Word(hint, "keyword") for hint in KNOWN_HINTS)


class _Front:
    """What is in front of a place, and what may follow it."""

    def __init__(self, tokens: list[Token]) -> None:
        self.is_readable = len(tokens) <= MOST_IN_FRONT and _reach(tokens) == len(tokens)
        self.tokens = tokens if self.is_readable else _nearest(tokens)
        self.opened = _opened(self.tokens)
        self.in_braces = any(self.tokens[index].kind == "{" for index in self.opened)
        self.part = self.tokens[_start_of_part(self.tokens) :]

    def takes(self, tokens: list[Token]) -> bool:
        """Whether these may follow."""
        return _reach([*self.tokens, *tokens]) >= len(self.tokens) + len(tokens)

    def place(self, text: str, fragment: _Fragment) -> Place:
        """What may stand where `fragment` is."""
        if not self.is_readable and _reach(self.tokens) < len(self.tokens):
            return Place(fragment.start, fragment.end, fragment.typed, fragment.is_quoted)
        operand, operator, type_ = self.compared()
        is_text = fragment.is_quoted or operator in ("=~", "!~")
        has_keys = self.takes(_NAME)
        return Place(
            fragment.start,
            fragment.end,
            fragment.typed,
            fragment.is_quoted,
            self.is_readable,
            self.is_readable and _is_query(self.tokens),
            () if is_text else tuple(self.words(has_keys)),
            has_keys and not is_text,
            self.takes(_NUMBER) or self.takes(_TEXT),
            operand if isinstance(operand, Attribute | Intrinsic) else None,
            operator,
            type_,
            _condition(text, fragment),
        )

    def words(self, has_keys: bool) -> Iterator[Word]:
        """The words that may follow."""
        if has_keys:
            yield from (word for word in vocabulary.INTRINSICS if self.agrees(_TOKENS_OF[word.text]))
            yield from (word for word in vocabulary.SCOPES if self.agrees(_NAME))
        elif self.takes(_HINT):
            yield from _HINTS
        yield from self.signs()
        if not self.in_braces:
            functions = vocabulary.FUNCTIONS
            yield from (word for word in functions if self.takes([*_TOKENS_OF[word.text], *_PARENTHESIS]))
        if self.takes(_TOKENS_OF["true"]):
            yield from (word for word in vocabulary.KEYWORDS if self.agrees(_TOKENS_OF[word.text]))

    def signs(self) -> list[Word]:
        """Operators and brackets, those first that go on from what is complete."""
        before = self.read(self.part)
        joins = isinstance(before, SpansetFilter | SpansetOperation | Pipeline)
        found = [
            word
            for word in (_SIGNS_OF_SPANSETS if joins else _SIGNS)
            if self.takes(_TOKENS_OF[word.text]) and self.has_operand(_TOKENS_OF[word.text])
        ]
        is_condition = isinstance(before, Binary) and before.operator in COMPARISONS
        first = _GOING_ON if is_condition else _OPENING
        return sorted(found, key=lambda word: word.text not in first)

    @property
    def in_field(self) -> bool:
        """In braces, or in the parentheses of a function."""
        return self.in_braces or self.function != ""

    @property
    def function(self) -> str:
        """The function whose parentheses are the innermost that are open, "" for none."""
        before = self.opened[-1] - 1 if self.opened else -1
        return self.tokens[before].text if before >= 0 and self.tokens[before].text in FUNCTIONS else ""

    def compared(self) -> tuple[Field | None, str, str]:
        """What is compared with what follows, by which operator, and its type; None and "" for nothing."""
        if not self.part or self.part[-1].kind not in COMPARISONS:
            return None, "", ""
        operand = self.field(self.part[:-1])
        return (operand, self.part[-1].kind, _type(operand) or "") if operand else (None, "", "")

    def agrees(self, operand: list[Token]) -> bool:
        """Whether an operand goes with what is in front of it, or is at least not refused by that."""
        field = self.field([*self.part, *operand])
        if field and self.function in AGGREGATES:
            field = Aggregate(self.function, field)
        return field is None or _type(field) is not None

    def has_operand(self, operator: list[Token]) -> bool:
        """Whether there is something that goes with an operator and what is in front of that."""
        if operator[0].kind not in _BINARY or self.read(self.part) is None:
            return True
        if self.in_field:
            return any(self.agrees([*operator, *right]) for right in (_NAME, _TEXT))
        is_threshold = _is_query([*self.tokens, *operator, *_NUMBER])
        operands = (_FILTER, _STAGES, _NUMBER, _COUNT)
        return is_threshold or any(self.read([*self.part, *operator, *right]) for right in operands)

    def field(self, tokens: list[Token]) -> Field | None:
        """Tokens as a field, outside braces as a number of spans; None if they are neither."""
        part = self.read(tokens)
        return part if isinstance(part, Field) else None

    def read(self, tokens: list[Token]) -> Part | None:
        """Tokens as what stands in braces, or outside; None if they are no whole."""
        probe = _Probe(tokens)
        try:
            part = probe.field() if self.in_field else probe.expression()
        except TraceQLError:
            return None
        return part if probe.index == len(tokens) else None


def _type(field: Field) -> str | None:
    """The type of a field, None where its parts do not go together."""
    try:
        return Checker("").type_of(field)
    except TraceQLError:
        return None


def _opened(tokens: list[Token]) -> list[int]:
    """Which tokens are brackets that are open at the end, the outermost first."""
    found: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind in ("{", "("):
            found.append(index)
        elif token.kind in ("}", ")") and found:
            found.pop()
    return found


def _start_of_part(tokens: list[Token]) -> int:
    """Where the condition, the argument or the stage begins that the last token is of."""
    depth = 0
    for index in range(len(tokens) - 1, -1, -1):
        kind = tokens[index].kind
        depth += (kind in ("}", ")")) - (kind in ("{", "("))
        if depth < 0 or (depth == 0 and kind in ("&&", "||", "|", ",")):
            return index + 1
    return 0


def _nearest(tokens: list[Token]) -> list[Token]:
    """What is nearest in front of a place, behind the shortest beginning that it may have."""
    opened = _opened(tokens)
    part = tokens[_start_of_part(tokens) :]
    if len(part) > MOST_IN_FRONT:
        return []
    if any(tokens[index].kind == "{" for index in opened):
        return [*_BRACE, *part]
    if opened and tokens[opened[-1] - 1].text in FUNCTIONS:
        return [*_STAGE, *tokens[opened[-1] - 1 : opened[-1] + 1], *part]
    if any(token.kind == "|" for token in tokens):
        return [*_STAGE, *part]
    return _FILTER if tokens and tokens[-1].kind == "}" else tokens[-1:]


# The rest of the filter


def _condition(text: str, fragment: _Fragment) -> Field | None:
    """What the filter that the place is in asks of a span beside it; elsewhere what the first filter asks."""
    opened = [index for index in _opened(fragment.before) if fragment.before[index].kind == "{"]
    if not opened:
        return lenient(text)
    start = fragment.before[opened[-1]].start
    behind = lenient_tokens(text[fragment.end :])
    end = next((token.start for token in behind if token.kind in ("{", "}", "|", "end")), 0)
    return lenient(f"{text[start : fragment.start]} {text[fragment.end : fragment.end + end]} }}")
