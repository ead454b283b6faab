"""Why a query cannot be read, and what would do.

Every function here returns the error to raise: what was found, what was expected, and the remedy where one can be
guessed from what people write who come from SQL, PromQL, Python, or an older habit. `REMEDIES` are tried from the
first to the last at the place where the parser could not go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from minitrace.errors import TraceQLError
from minitrace.model import Kind, StatusCode
from minitrace.traceql.ast import COMPARISONS, SCOPES, Attribute
from minitrace.traceql.names import INTRINSIC_NAMES, INTRINSICS

if TYPE_CHECKING:
    from minitrace.traceql.lexer import Token

TOO_LONG_REMEDY = 'write many values as one pattern, .a =~ "x|y|z", or many conditions as several filters'
TOO_LONG = f"the query is too long: {TOO_LONG_REMEDY}"
AGGREGATES = ("count", "min", "max", "avg", "sum")
METRICS = (
    "rate", "count_over_time", "min_over_time", "max_over_time", "avg_over_time", "sum_over_time",
    "histogram_over_time", "quantile_over_time", "compare",
)  # fmt: skip
RANKINGS = ("topk", "bottomk")
FUNCTIONS = (*AGGREGATES, "by", "select", "coalesce", *METRICS, *RANKINGS, "with")
KEYWORDS = ("true", "false", "nil", *(code.name.lower() for code in (*StatusCode, *Kind)))
EXAMPLE = "{ status = error }"

# Words of other languages and other tracing stores
_MEANT = {
    "and": "&&", "AND": "&&", "or": "||", "OR": "||", "not": "!", "NOT": "!",
    "traceid": "trace:id", "trace_id": "trace:id", "spanid": "span:id", "span_id": "span:id",
    "parentid": "span:parentID", "parent_id": "span:parentID", "parentspanid": "span:parentID",
    "childcount": "span:childCount", "rootservice": "rootServiceName", "rootspan": "rootName",
    "service": "resource.service.name", "servicename": "resource.service.name", "service_name": "resource.service.name",
    "null": "nil", "none": "nil", "failed": "error", "operation": "name", "operationname": "name", "spanname": "name",
    "latency": "duration", "is": "=", "like": "=~", "contains": "=~", "in": '=~ "a|b"',
}  # fmt: skip
_RESOURCE_PREFIXES = ("service", "k8s", "host", "process", "deployment", "telemetry", "cloud", "container", "os")
_SIGNS = {
    "==": "write = for equal, not ==",
    "<>": "write != for not equal, not <>",
    "~=": "write =~ for a pattern, not ~=",
    "=*": "write =~ for a pattern, not =*",
    "=>": "write >= for at least, not =>",
    "=<": "write <= for at most, not =<",
    "/*": "this comment is not closed: */ is missing",
    '"': 'this quote is not closed: " is missing',
    "`": "this quote is not closed: ` is missing",
    "&": "write && for and",
    "?": "unexpected ?: a filter has no choices, write || for or",
    "#": "comments start with //, not #",
    "[": "unexpected [: a range such as [5m] is no part of a query; the step is set beside it",
    "$": "unexpected $: a variable was not replaced before the query was sent",
    ":": "a scope must stand before the colon, as in span:duration or trace:id",
    "\u00a0": "a no-break space: type a plain one",
}
_BETWEEN_CONDITIONS = {
    "|": "| stands between filters: write || for or",
    ",": "conditions are joined by && or ||, not by a comma",
    "{": "a filter cannot stand in a filter: close the first one, or write ( )",
}
_UNIT_WORDS = {
    "ns": "ns", "us": "us", "µs": "us", "ms": "ms", "s": "s", "m": "m", "h": "h", "d": "d", "w": "w", "y": "y",
    "msec": "ms", "millis": "ms", "milliseconds": "ms", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "in": "m", "min": "m", "mins": "m", "minute": "m", "minutes": "m", "hour": "h", "hours": "h", "our": "h",
    "ours": "h", "day": "d", "days": "d",
}  # fmt: skip
_DOTTED = re.compile(r"[\w.\-/]+")
_FOREIGN_QUOTE = re.compile("['‘’“”]")


# What the lexer finds


def wrong_sign(text: str, start: int, end: int) -> TraceQLError:
    """A sign that no query has."""
    sign = text[start:end]
    if _FOREIGN_QUOTE.match(sign):
        return _foreign_quote(text, start, end)
    if sign == ".":
        return _nameless_dot(text, start)
    message = _SIGNS.get(sign)
    if sign == "[" and text[:start].rstrip().endswith(("=", "~", "(", "IN", "in")):
        message = 'there are no lists: write =~ "a|b", or .a = 1 || .a = 2'
    if message is None:
        shown = sign if sign.isprintable() else f"the character U+{ord(sign):04X}"
        message = f"unexpected {shown}: no query has that outside quotes"
    return TraceQLError(message, text, start, end)


def _foreign_quote(text: str, start: int, end: int) -> TraceQLError:
    closing = _FOREIGN_QUOTE.search(text, end)
    inner = text[end : closing.start()] if closing else "x"
    message = f'text stands in straight double quotes: write "{shortened(inner)}"'
    return TraceQLError(message, text, start, closing.end() if closing else end)


def _nameless_dot(text: str, start: int) -> TraceQLError:
    if text.startswith('"', start + 1):
        return TraceQLError(_SIGNS['"'], text, start + 1)
    scope = next((scope for scope in (*SCOPES, "parent") if text.endswith(scope, 0, start)), None)
    if scope:
        return TraceQLError(f"an attribute's name is missing behind {scope}.", text, start - len(scope), start + 1)
    return TraceQLError("a name must follow directly behind the dot, as in .http.route", text, start)


def wrong_escape(text: str, escape: str, start: int) -> TraceQLError:
    """A backslash in a string that means nothing."""
    remedy = 'write \\\\ for a backslash, or `…` instead of "…", where a backslash is only itself'
    return TraceQLError(f"{escape} means nothing in a string: {remedy}", text, start, start + len(escape))


def unknown_scoped(text: str, found: str, start: int) -> TraceQLError:
    """``trace:status``: an intrinsic that its scope has not."""
    scope, name = (shortened(part) for part in found.split(":", 1))
    known = [alias for alias in INTRINSIC_NAMES if alias.startswith(f"{scope}:")]
    if known and not name:
        message = f"a name is missing behind {scope}:"
    elif known:
        meant = nearest(f"{scope}:{name}", known) or (name if name in INTRINSICS else None)
        names = ", ".join(alias.partition(":")[2] for alias in known)
        message = f"{scope} has no intrinsic {name}: {f'write {meant}' if meant else f'it has {names}'}"
    elif scope in (*SCOPES, "parent"):
        message = f"{scope} has no intrinsics: write {scope}.{name or 'name'} for an attribute"
    else:
        message = f"there is no scope {scope}: write .{scope}.{name or 'name'} for an attribute"
    return TraceQLError(message, text, start, start + len(found))


# What the parser finds


@dataclass(frozen=True, slots=True)
class Place:
    """Where the parser could not go on: at token number `index`, where it wanted `expected`."""

    text: str
    tokens: Sequence[Token]
    index: int
    expected: str

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    @property
    def before(self) -> Token | None:
        return self.tokens[self.index - 1] if self.index else None

    @property
    def after(self) -> Token:
        return self.tokens[min(self.index + 1, len(self.tokens) - 1)]

    @property
    def touches(self) -> bool:
        """Whether nothing is between this token and the one before."""
        return self.before is not None and self.before.end == self.token.start

    @property
    def opened(self) -> list[Token]:
        """The brackets that are open here, from the outermost."""
        found: list[Token] = []
        for token in self.tokens[: self.index]:
            if token.kind in ("{", "("):
                found.append(token)
            elif token.kind in ("}", ")") and found:
                found.pop()
        return found

    @property
    def in_braces(self) -> bool:
        return any(token.kind == "{" for token in self.opened)

    @property
    def in_field(self) -> bool:
        """Whether attributes may stand here: in braces, or in the parentheses of a function."""
        opened = self.opened
        return self.in_braces or (bool(opened) and self.tokens[self.tokens.index(opened[-1]) - 1].text in FUNCTIONS)

    def error(self, message: str, first: Token | None = None, last: Token | None = None) -> TraceQLError:
        """An error about this token, or those from `first` to `last`."""
        return TraceQLError(message, self.text, (first or self.token).start, (last or first or self.token).end)


def unexpected(text: str, tokens: Sequence[Token], index: int, expected: str) -> TraceQLError:
    """The parser wanted `expected` where the token number `index` is."""
    place = Place(text, tokens, index, expected)
    for remedy in REMEDIES:
        if (error := remedy(place)) is not None:
            return error
    return place.error(f"unexpected {described(place.token)}, expected {expected}")


def described(token: Token) -> str:
    """A token as people would call it."""
    if token.kind == "end":
        return "end of the query"
    return f'"{token.text}"' if token.kind == token.text else shortened(token.text)


def shortened(text: str) -> str:
    """At most 40 characters of it, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= 40 else line[:39] + "…"


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that was probably meant. Capitals do not count."""
    by_lower = {one.lower(): one for one in known}
    close = get_close_matches(word.lower()[:40], by_lower, n=1, cutoff=0.7)
    return by_lower[close[0]] if close else None


def _number_with_unit(place: Place) -> TraceQLError | None:
    number, word = place.before, place.token
    if number is None or number.kind not in ("int", "float", "duration") or word.kind != "word":
        return None
    unit = _UNIT_WORDS.get(word.text.lower())
    if unit in ("d", "w", "y") and number.kind == "float":
        return place.error(f"{unit} takes whole numbers: write hours, as in 36h", number, word)
    if unit and number.kind != "duration":
        return place.error(f"a unit stands directly behind its number: write {number.text}{unit}", number, word)
    if unit:
        return place.error(f"units have one or two letters: write {number.text}", number, word)
    if place.touches:
        message = f"{shortened(number.text + word.text)} is no number, and no duration such as 250ms or 1h30m"
        return place.error(message, number, word)
    return None


def _foreign_word(place: Place) -> TraceQLError | None:
    """and, traceID, ERROR"""
    word = place.token
    if word.kind != "word" or word.node is not None or _is_dotted(place):
        return None
    meant = _MEANT.get(word.text) or _MEANT.get(word.text.lower())
    if meant is None:
        meant = next((known for known in (*INTRINSICS, *KEYWORDS) if known.lower() == word.text.lower()), None)
    if meant is None or (place.after.kind == "(" and meant.isidentifier()):
        return None
    return place.error(f"unknown word {shortened(word.text)}: write {meant}")


def _is_dotted(place: Place) -> bool:
    return place.after.kind in ("attribute", "unknown") and place.after.start == place.token.end


def _undotted_attribute(place: Place) -> TraceQLError | None:
    """service.name, status.code"""
    token, last = place.token, place.after
    if place.before is not None and isinstance(place.token.node, Attribute) and place.touches:
        token, last = place.before, place.token
    elif not _is_dotted(place):
        return None
    if token.kind != "word":
        return None
    found = _DOTTED.match(place.text, token.start)
    name = shortened(found[0] if found else token.text)
    if token.text in _RESOURCE_PREFIXES:
        remedy = f"write resource.{name} or .{name}"
    else:
        remedy = f"write .{name} or span.{name}"
    return place.error(f"attributes start with a dot or a scope: {remedy}", token, last)


def _pipe_missing(place: Place) -> TraceQLError | None:
    """{ } count() > 2"""
    closes = place.before is not None and place.before.kind in ("}", ")")
    if not closes or place.in_field or place.token.text not in FUNCTIONS:
        return None
    return place.error(f"a | is missing before {place.token.text}")


def _function(place: Place) -> TraceQLError | None:
    """A function's name where it cannot stand, or a word that is none."""
    word = place.token
    if word.kind != "word" or (place.after.kind != "(" and word.text not in FUNCTIONS):
        return None
    if word.text == "limit":
        return place.error("there is no limit(): how many traces are shown is set beside the query")
    if word.text in FUNCTIONS:
        return place.error(_misplaced(word.text, place))
    near = nearest(word.text, FUNCTIONS)
    remedy = f"try {near}" if near else f"there are {', '.join(FUNCTIONS)}"
    return place.error(f"no function {shortened(word.text)}: {remedy}")


def _misplaced(name: str, place: Place) -> str:
    if name in METRICS:
        if place.in_braces or not any(token.kind == "}" for token in place.tokens[: place.index]):
            return f"{name}() stands behind a filter: {EXAMPLE} | {name}()"
        return f"{name}() stands behind a | and can be there once: {EXAMPLE} | {name}()"
    if name in RANKINGS:
        return f"{name}() chooses among series: put it behind them, as in {{ }} | rate() by(name) | {name}(10)"
    if place.in_braces:
        return f"{name}() stands behind a filter, not in its braces: {EXAMPLE} | {name}(…)"
    if name == "coalesce":
        return "coalesce() joins what by() has split: it stands behind it, as in { } | by(name) | coalesce()"
    if name == "by":
        return "by() stands behind a |, or behind a function of metrics: { } | rate() by(resource.service.name)"
    return f"unexpected {name}, expected {place.expected}"


def _parentheses_missing(place: Place) -> TraceQLError | None:
    """sum by (x) (…), and sum(rate())"""
    before = place.before
    if before is None or before.text not in FUNCTIONS or place.token.kind == "(":
        return None
    if place.token.text in ("by", "without"):
        message = "by() goes behind a function of metrics: { } | rate() by(resource.service.name)"
        return place.error(message, before, place.token)
    return place.error(f"{before.text} needs its parentheses: {before.text}(…)", before)


def _missing_value(place: Place) -> TraceQLError | None:
    before = place.before
    binary = (*COMPARISONS, "&&", "||", "+", "*", "/", "%", "^")
    if before is None or before.kind not in binary or place.token.kind not in (*binary, "}", ")", "end", "|", ","):
        return None
    wanted = "a value" if before.kind in COMPARISONS else "a condition" if before.kind in ("&&", "||") else "a number"
    if not place.in_braces and before.kind not in ("=", "!="):
        wanted = place.expected
    return place.error(f'expected {wanted} after "{before.text}"')


def _unquoted_text(place: Place) -> TraceQLError | None:
    """= foo"""
    word = place.token
    if place.before is None or place.before.kind not in COMPARISONS or word.kind != "word" or not place.in_braces:
        return None
    near = nearest(word.text, KEYWORDS)
    remedy = f"did you mean {near}?" if near else f'text stands in quotes: write "{shortened(word.text)}"'
    return place.error(f"unknown word {shortened(word.text)}: {remedy}")


def _unknown_word(place: Place) -> TraceQLError | None:
    if place.token.kind != "word" or place.token.node is not None or place.token.text in FUNCTIONS:
        return None
    word = shortened(place.token.text)
    if word == "parent":
        return place.error("parent alone has no value: write parent.name for an attribute of the parent span")
    if place.in_field:
        near = nearest(word, [*INTRINSICS, *KEYWORDS])
        remedy = f"did you mean {near}?" if near else f"attributes start with a dot: write .{word} or span.{word}"
    else:
        near = nearest(word, FUNCTIONS) if place.index else None
        remedy = f"try {near}" if near else f"a query is a filter such as {{ .{word} = 1 }}"
    return place.error(f"unknown word {word}: {remedy}")


def _not_a_number(place: Place) -> TraceQLError | None:
    """max(name) = "foo" """
    node = place.token.node
    if place.in_field or place.before is None or place.before.kind not in COMPARISONS or node is None:
        return None
    return place.error(f"a number or a duration is compared here, not {described(place.token)}")


def _series_without_parentheses(place: Place) -> TraceQLError | None:
    """{ } | rate() + …"""
    counted = any(token.text in METRICS for token in place.tokens[: place.index])
    if place.opened or not counted or place.token.kind not in ("+", "-", "*", "/"):
        return None
    return place.error("series are calculated with in parentheses: ({ } | rate()) / ({ } | rate())")


def _unclosed(place: Place) -> TraceQLError | None:
    opened = place.opened
    if place.token.kind == "end" and opened:
        return place.error(f"this {opened[-1].kind} is not closed", opened[-1])
    if place.token.kind in ("}", ")") and opened and (opened[-1].kind == "{") != (place.token.kind == "}"):
        return place.error(f"this {opened[-1].kind} is not closed before the {place.token.kind}", opened[-1])
    if place.token.kind in ("}", ")") and not opened:
        return place.error(f"this {place.token.kind} closes nothing")
    return None


def _between_conditions(place: Place) -> TraceQLError | None:
    if not place.in_braces:
        return None
    token, before = place.token, place.before
    if token.kind in _BETWEEN_CONDITIONS:
        return place.error(_BETWEEN_CONDITIONS[token.kind])
    if before is not None and before.node is not None and token.node is not None:
        return place.error(f"an operator is missing before {described(token)}: = or &&, for example")
    return None


def _between_filters(place: Place) -> TraceQLError | None:
    """{ } { }"""
    if place.in_braces or place.token.kind != "{" or place.before is None or place.before.kind not in ("}", ")"):
        return None
    return place.error("an operator is missing between the filters: &&, || or |, or > where the second is a child")


def _braces_missing(place: Place) -> TraceQLError | None:
    """status = error"""
    starts = place.token.node is not None or place.token.kind == "!"
    if place.in_field or place.index > 1 or not starts:
        return None
    end = next(token.start for token in place.tokens if token.kind in ("|", "end"))
    return place.error(f"a condition stands in braces: write {{ {shortened(place.text[:end])} }}")


REMEDIES: tuple[Callable[[Place], TraceQLError | None], ...] = (
    _number_with_unit,
    _undotted_attribute,
    _parentheses_missing,
    _missing_value,
    _foreign_word,
    _pipe_missing,
    _function,
    _unquoted_text,
    _unknown_word,
    _not_a_number,
    _series_without_parentheses,
    _unclosed,
    _between_conditions,
    _between_filters,
    _braces_missing,
)
