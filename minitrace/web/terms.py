"""The form's field "Attributes" to conditions and back, as in the tags field of Jaeger.

```
terms    = term (spaces term)*                  all must hold, on one span
term     = [scope "."] key operator value       nothing between them
scope    = "span" | "resource" | "event" | "link" | "instrumentation"       none: the span, else its resource
key      = text without spaces, quotes or operators | quoted
operator = "=" | ">" | ">=" | "<" | "<=" | "~"  ~ is "contains"
value    = quoted | number | "true" | "false" | text without spaces
quoted   = a string in double quotes, in it \\" \\\\ \\n \\r \\t as in JSON
```

`http.response.status_code=500 resource.host.name~web` is
``.http.response.status_code = 500 && resource.host.name =~ "(?i).*web.*"``.

Values are compared within their kind. A number or truth value is one if the key has such values; where it has none but
strings, ``500`` is the string "500". In quotes it always is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Literal, NoReturn, cast

from minitrace.errors import DecodeError
from minitrace.store.dictionary import AttributeKey
from minitrace.traceql.ast import SCOPES, Attribute, Binary, Field, Static, static_text
from minitrace.traceql.names import pattern_text

Operator = Literal["=", ">", ">=", "<", "<=", "~"]
UNSCOPED = ("span", "resource")  # where a key without a scope is looked for
_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
_ESCAPED = {character: f"\\{letter}" for letter, character in _ESCAPES.items()}
_SIGNS = "= > >= < <= ~"

_SPACES = re.compile(r"\s*")
_SCOPE = re.compile(rf"({'|'.join(SCOPES)})\.(?=[^\s=<>~])")
_KEY = re.compile(r'[^\s"=<>~]+')
_OPERATOR = re.compile(r">=|<=|[=<>~]")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_WORD = re.compile(r"\S+")
_BARE = re.compile(r'[^\s"]\S*')  # what needs no quotes
_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_NUMBER = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Term:
    """A condition as typed. `value` is what `text` says: a number or a truth value if it stood without quotes."""

    name: str
    operator: Operator
    text: str
    value: str | int | float | bool
    scope: str | None = None

    @property
    def scopes(self) -> tuple[str, ...]:
        """Where its key is looked for."""
        return (self.scope,) if self.scope else UNSCOPED

    def __str__(self) -> str:
        is_bare = _BARE.fullmatch(self.text) and (self.operator == "~" or _typed(self.text) == self.value)
        scope, word = f"{self.scope}." if self.scope else "", self.text if is_bare else _quoted(self.text)
        return f"{scope}{_written(self.name)}{self.operator}{word}"


def read_terms(text: str) -> list[Term]:
    """The terms in a text.

    Raises:
        DecodeError: it cannot be read; says at which character, and what would do.
    """
    terms = []
    place = _after_spaces(text, 0)
    while place < len(text):
        term, end = _read_term(text, place)
        place = _after_spaces(text, end)
        if end < len(text) and place == end:
            _refuse(end, "leave a space behind the closing quote")
        terms.append(term)
    return terms


def conditions(terms: Iterable[Term], keys: Iterable[AttributeKey]) -> list[Binary]:
    """The terms as TraceQL; `keys` tell whether ``500`` is a number or a string.

    Raises:
        DecodeError: a key is asked for greater or smaller numbers, and has strings only.
    """
    types: dict[str, set[tuple[str, str]]] = {}
    for key in keys:
        types.setdefault(key.name, set()).add((key.scope, key.type))
    return [_condition(term, types.get(term.name, set())) for term in terms]


def term(condition: Field) -> Term | None:
    """The term that is this condition, None where no term says it."""
    match condition:
        case Binary("=~", Attribute(scope, name, False), Static(str(pattern))):
            word = re.sub(r"\\(.)", r"\1", pattern.removeprefix("(?i).*").removesuffix(".*"), flags=re.DOTALL)
            found = Term(name, "~", word, word, scope)
        case Binary(("=" | ">" | ">=" | "<" | "<=") as sign, Attribute(scope, name, False), Static(value)):
            if not isinstance(value, str | bool | int | float):
                return None
            found = Term(name, sign, value if isinstance(value, str) else static_text(value), value, scope)
        case _:
            return None
    return found if _reads_back(found, condition) else None


def _reads_back(term: Term, condition: Field) -> bool:
    try:
        return read_terms(str(term)) == [term] and _condition(term, set()) == condition
    except DecodeError:
        return False


def suggestions(keys: Iterable[AttributeKey]) -> list[str]:
    """How a term begins, for each key, in alphabetical order."""
    names = {(key.name, "" if key.scope in UNSCOPED else f"{key.scope}.") for key in keys if key.scope in SCOPES}
    return [f"{scope}{_written(name)}=" for name, scope in sorted(names) if name]


def unknown(asked: Iterable[Attribute], keys: Iterable[AttributeKey]) -> dict[str, list[str]]:
    """The attributes asked for that nothing has, and under which scopes there are some of that name."""
    scopes: dict[str, list[str]] = {}
    for key in keys:
        if key.scope in SCOPES and key.scope not in scopes.setdefault(key.name, []):
            scopes[key.name].append(key.scope)
    found = {}
    for one in dict.fromkeys(asked):
        there = scopes.get(one.name, [])
        if not set(there) & {one.scope, *(() if one.scope else UNSCOPED)}:
            found[str(one).removeprefix(".")] = [str(Attribute(scope, one.name)) for scope in there]
    return found


def _condition(term: Term, types: set[tuple[str, str]]) -> Binary:
    attribute = Attribute(term.scope, term.name)
    if term.operator == "~":
        return Binary("=~", attribute, Static(f"(?i).*{pattern_text(term.text)}.*"))
    return Binary(term.operator, attribute, Static(_literal(term, types)))


def _literal(term: Term, types: set[tuple[str, str]]) -> str | int | float | bool:
    """The value of a term, or its text where the key has strings only."""
    if isinstance(term.value, str):
        return term.value
    found = {type_ for scope, type_ in types if scope in term.scopes}
    own = {"bool"} if isinstance(term.value, bool) else {"int", "double"}
    if found & own or "string" not in found:
        return term.value
    if term.operator == "=":
        return term.text
    raise DecodeError(
        f"The values of {term.name} are strings, and have no order of numbers: use = or ~ with it, "
        f'or "{term.text}" in quotes for the order of letters.'
    )


def _read_term(text: str, start: int) -> tuple[Term, int]:
    scope, place = None, start
    if found := _SCOPE.match(text, start):
        scope, place = found[1], found.end()
    name, place = _read_name(text, place)
    sign = _OPERATOR.match(text, place)
    if sign is None:
        _refuse(start, f"write {text[start:place]}=value, with one of {_SIGNS} and no space around it")
    if sign[0] == "=" and text[place - 1] == "!":
        _refuse(place - 1, f"!= is not known here, only {_SIGNS}")
    word, is_quoted, end = _read_value(text, sign.end())
    operator = cast(Operator, sign[0])
    value = word if is_quoted or operator == "~" else _typed(word)
    if isinstance(value, bool) and operator != "=":
        _refuse(place, f"{word} is neither more nor less than another value: use =")
    return Term(name, operator, word, value, scope), end


def _read_name(text: str, place: int) -> tuple[str, int]:
    if text.startswith('""', place):
        _refuse(place, "a key has at least one character")
    if text[place] == '"':
        return _read_quoted(text, place)
    key = _KEY.match(text, place)
    if key is None:
        _refuse(place, f"write a key before {text[place]}, as in http.route=/cart")
    return key[0], key.end()


def _read_value(text: str, place: int) -> tuple[str, bool, int]:
    """The value's text, whether it stood in quotes, and where it ends."""
    if text.startswith('"', place):
        word, end = _read_quoted(text, place)
        return word, True, end
    found = _WORD.match(text, place)
    if found is None:
        _refuse(place, 'write the value right behind the operator; "" is the empty one')
    return found[0], False, found.end()


def _read_quoted(text: str, place: int) -> tuple[str, int]:
    quoted = _QUOTED.match(text, place)
    if quoted is None:
        _refuse(place, 'this quote is not closed: end the text with ", and write \\" for a quote within it')

    def unescaped(escape: re.Match[str]) -> str:
        if escape[1] not in _ESCAPES:
            _refuse(place + 1 + escape.start(), f"write \\\\{escape[1]} for a backslash within quotes")
        return _ESCAPES[escape[1]]

    return re.sub(r"\\(.)", unescaped, quoted[1], flags=re.DOTALL), quoted.end()


def _typed(word: str) -> str | int | float | bool:
    if word in ("true", "false"):
        return word == "true"
    if _INTEGER.fullmatch(word) and -(2**63) <= int(word) < 2**63:  # the store takes no other
        return int(word)
    return float(word) if _NUMBER.fullmatch(word) and isfinite(float(word)) else word


def _written(name: str) -> str:
    """A key as a term has it."""
    if _KEY.fullmatch(name) and not _SCOPE.match(name) and not name.endswith("!"):
        return name
    return _quoted(name)


def _quoted(text: str) -> str:
    return '"' + re.sub(r'["\\\n\r\t]', lambda found: _ESCAPED[found[0]], text) + '"'


def _after_spaces(text: str, place: int) -> int:
    found = _SPACES.match(text, place)
    return found.end() if found else place


def _refuse(place: int, remedy: str) -> NoReturn:
    raise DecodeError(f"At character {place + 1}: {remedy}.")
