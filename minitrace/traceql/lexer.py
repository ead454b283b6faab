"""Text to tokens.

```
{ .a-b >= 1.5s }   →   {   Attribute(.a-b)   >=   Static(1.5s)   }   end
```

Behind a dot everything is a name, up to whitespace or one of ``{}()=~!<>&|^,``: ``.a-b``, ``.foo.3`` and
``.duration`` are attributes, and ``.a - .b`` is a difference. Parts of a name may stand in quotes:
``span."a b".c``. A number with units behind it is a duration if Prometheus or Go would read it as one.

Literals, attributes and intrinsics come with their part of the syntax tree. All of it is linear in the text:
repetitions in the patterns are possessive, they never go back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from minitrace.errors import TraceQLError
from minitrace.model import Kind, StatusCode
from minitrace.traceql import hints
from minitrace.traceql.ast import MAX_INT, MIN_INT, Attribute, Duration, Intrinsic, Static, Value
from minitrace.traceql.names import INTRINSIC_NAMES, INTRINSICS

MAX_CHARACTERS = 65_536
MAX_TOKENS = 5_000  # 10 ms of work
MAX_WRONG = 20

_SKIPPED = r"(?:[ \t\r\n]|//[^\n]*+|/\*(?s:(?!\*/).)*+\*/)*+"
_NAME = r'(?:[^\s{}()=~!<>&|^,"]|"(?:[^"\\]|\\["\\])*+")++'
_NUMBER = r"(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)"
_PROMETHEUS = "(?=[0-9])" + "".join(f"(?:[0-9]++{unit})?" for unit in ("y", "w", "d", "h", "m(?!s)", "s", "ms"))
_GO = rf"(?:{_NUMBER}(?:ns|us|µs|μs|ms|s|m|h))++"
_RUN_ENDS = r"(?![nsumhµμdwy0-9.])"
_KINDS = {
    "attribute": rf"(?:(?:span|resource|event|link|instrumentation|parent)\.|\.(?![0-9])){_NAME}",
    "scoped": r"[^\W\d]\w*+:[ \t\r\n]*+\w*+",
    "word": r"[^\W\d]\w*+",
    "duration": f"(?:{_PROMETHEUS}|{_GO}){_RUN_ENDS}",
    "float": r"(?:[0-9]++\.[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?|[0-9]++[eE][+-]?[0-9]++",
    "int": r"[0-9]++",
    "string": r'"(?:[^"\\\n]|\\.)*+"|`[^`]*+`',
    "wrong": r"==|<>|~=|=\*|=>|=<|/\*",
    "operator": r"!>>|!<<|&>>|&<<|!=|=~|!~|>=|<=|&&|\|\||>>|<<|!>|!<|&>|&<|&~|[-><=~!+*/%^|,(){}]",
    "end": r"\Z",
    "unknown": r"(?s:.)",
}
_TOKEN = re.compile(f"{_SKIPPED}(?:{'|'.join(f'(?P<{kind}>{pattern})' for kind, pattern in _KINDS.items())})")
_QUOTED_PART = re.compile(r'"((?:[^"\\]|\\["\\])*+)"')
_DURATION_PART = re.compile(r"([0-9]*+)(?:\.([0-9]*+))?(ns|us|µs|μs|ms|[ywdhms])")
_ESCAPE = re.compile(r"\\(?:([ntr\\\"abfv])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.?))")
_SIMPLE_ESCAPES = {
    "n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "a": "\a", "b": "\b", "f": "\f", "v": "\v",
}  # fmt: skip

_SECOND = 1_000_000_000
_UNITS_NS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": _SECOND, "m": 60 * _SECOND,
    "h": 3_600 * _SECOND, "d": 86_400 * _SECOND, "w": 7 * 86_400 * _SECOND, "y": 365 * 86_400 * _SECOND,
}  # fmt: skip
_LITERALS: dict[str, Value] = {
    "true": True, "false": False, "nil": None, "minInt": MIN_INT, "maxInt": MAX_INT,
    **{code.name.lower(): code for code in StatusCode}, **{kind.name.lower(): kind for kind in Kind},
}  # fmt: skip
_INTRINSIC_WORDS = {name for name, intrinsic in INTRINSICS.items() if intrinsic.is_unscoped}


class Token(NamedTuple):
    """A word or sign of a query, `text`, from character `start` of it up to `end`.

    `kind` is attribute, scoped, word, duration, float, int, string, end, or the operator itself; for
    `lenient_tokens` also wrong. `node` is what it means, where it is a literal, attribute or intrinsic.
    """

    kind: str
    text: str
    start: int
    end: int
    node: Static | Attribute | Intrinsic | None = None


def tokens(text: str) -> list[Token]:
    """The tokens of a query, the last of kind "end".

    Raises:
        TraceQLError: something in it cannot stand in any query, or it is too long.
    """
    if len(text) > MAX_CHARACTERS:
        raise TraceQLError(hints.TOO_LONG)  # without the query: nobody wants to read it again
    if not text.isascii():
        _refuse_surrogates(text)
    found: list[Token] = []
    for token in _scan(text):
        found.append(token)
        if len(found) > MAX_TOKENS:
            raise TraceQLError(hints.TOO_LONG, text, token.start, token.end)
    return found


def lenient_tokens(text: str) -> list[Token]:
    """The tokens of a query that is still being typed: what none can be has the kind "wrong".

    It ends early, without a token "end", where too much is wrong or there is too much of it.
    """
    found: list[Token] = []
    position = 0
    for _ in range(MAX_WRONG):  # each may cost a look at the whole text
        try:
            for token in _scan(text[:MAX_CHARACTERS], position):
                found.append(token)
                position = token.end
                if token.kind == "end" or len(found) > MAX_TOKENS:
                    return found
        except TraceQLError as error:
            position = max(error.end, position + 1)
            found.append(Token("wrong", text[error.start : position], error.start, position))
    return found


def _scan(text: str, position: int = 0) -> Iterator[Token]:
    kind = ""
    while kind != "end":
        match = _TOKEN.match(text, position)
        assert match is not None, "the last alternative matches any character"
        assert match.lastgroup is not None
        kind = match.lastgroup
        start, position = match.span(kind)
        found = match[kind]
        if kind == "operator":
            yield Token(found, found, start, position)
        elif kind in ("wrong", "unknown"):
            raise hints.wrong_sign(text, start, position)
        else:
            yield Token(kind, found, start, position, _node(kind, found, text, start))


def _node(kind: str, found: str, text: str, start: int) -> Static | Attribute | Intrinsic | None:
    """What a word or literal means, None for the name of a function or of nothing."""
    at = (start, start + len(found))
    if kind == "attribute":
        return _attribute(found, text, at)
    if kind == "word":
        if found in _INTRINSIC_WORDS:
            return Intrinsic(found, at=at)
        return Static(_LITERALS[found], at=at) if found in _LITERALS else None
    if kind == "scoped":
        name = INTRINSIC_NAMES.get("".join(found.split()))
        if name is None:
            raise hints.unknown_scoped(text, found, start)
        return Intrinsic(name, at=at)
    return None if kind == "end" else Static(_literal(kind, found, text, start), at=at)


def _attribute(found: str, text: str, at: tuple[int, int]) -> Attribute:
    scope, _, name = found.partition(".")
    of_parent = scope == "parent"
    if of_parent:
        scope, _, rest = name.partition(".")
        if scope in ("span", "resource") and rest:
            name = rest
        else:
            scope = ""
    if '"' in name:
        name = _QUOTED_PART.sub(lambda part: re.sub(r"\\(.)", r"\1", part[1]), name)
    if not name:
        raise TraceQLError("an attribute needs a name", text, *at)
    return Attribute(scope or None, name, of_parent, at=at)


def _literal(kind: str, found: str, text: str, start: int) -> Value:
    if kind == "string":
        return found[1:-1].replace("\r", "") if found[0] == "`" else _unescaped(found[1:-1], text, start + 1)
    end = start + len(found)
    if kind == "float":
        if (number := float(found)) == float("inf"):
            raise TraceQLError("this number is too large", text, start, end)
        return number
    digits = found.lstrip("0") or "0"
    if len(digits) <= 100 and kind == "duration":  # Python refuses to read more than 4300 digits
        number_ns = _duration_ns(found)
        if number_ns <= MAX_INT:
            return Duration(number_ns)
    if len(digits) <= 19 and kind == "int" and int(digits) <= MAX_INT:
        return int(digits)
    limit = "292 years" if kind == "duration" else f"maxInt, {MAX_INT}"
    raise TraceQLError(f"the largest {'duration' if kind == 'duration' else 'integer'} is {limit}", text, start, end)


def _duration_ns(found: str) -> int:
    """Exact: digits below a nanosecond are dropped, as Go drops them."""
    return sum(
        int(whole or 0) * _UNITS_NS[unit] + int(fraction or 0) * _UNITS_NS[unit] // 10 ** len(fraction)
        for whole, fraction, unit in _DURATION_PART.findall(found)
    )


def _unescaped(inner: str, text: str, start: int) -> str:
    """A string without its escapes. ``\\xHH`` and ``\\ooo`` are bytes of UTF-8, as in Go."""
    if "\\" not in inner:
        return inner
    pieces, position = [], 0
    for escape in _ESCAPE.finditer(inner):
        pieces.append(inner[position : escape.start()].encode())
        pieces.append(_escaped_bytes(escape, text, start))
        position = escape.end()
    pieces.append(inner[position:].encode())
    return b"".join(pieces).decode("utf-8", "replace")


def _escaped_bytes(escape: re.Match[str], text: str, start: int) -> bytes:
    simple, byte, short, long, octal, _ = escape.groups()
    if simple:
        return _SIMPLE_ESCAPES[simple].encode()
    code = int(byte or short or long or "0", 16) if octal is None else int(octal, 8)
    if (byte or octal) and code < 256:
        return bytes((code,))
    if (short or long) and code <= 0x10FFFF and not 0xD800 <= code < 0xE000:
        return chr(code).encode()
    raise hints.wrong_escape(text, escape[0], start + escape.start())


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        printable = text.encode("utf-8", "replace").decode()
        raise TraceQLError("half a character (an unpaired surrogate)", printable, error.start) from None
