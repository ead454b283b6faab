"""A pattern in RE2's syntax: is it one, and what would it be for the module ``regex``?

```
pattern = branch ("|" branch)*
branch  = (atom [repeat])*
repeat  = ("*" | "+" | "?" | "{n}" | "{n,}" | "{n,m}") ["?"]
atom    = "(" pattern ")" | "(?:" pattern ")" | "(?flags:" pattern ")" | "(?P<name>" pattern ")"
        | "(?flags)" | "." | "^" | "$" | "[" class "]" | escape | \\Q any text \\E | any other character
```

Only whole values are matched, so greed and capturing do not matter: both are read and dropped.
The parts of a pattern are put together from the inside out on a stack of open groups, without
recursion. A part knows what ``regex`` would call it and which texts it can match.

See https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from itertools import product
from typing import NamedTuple, NoReturn

from minitrace.traceql import re2_classes as classes
from minitrace.traceql.re2_classes import CharacterSet

MAX_CHARACTERS = 1000
MAX_DEPTH = 64  # groups within groups; ``regex`` itself is recursive and gives up near 150
MAX_REPEATS = 1000  # RE2's limit
MAX_WEIGHT = 10_000  # with repetitions written out, which is what ``regex`` does: 8 MB and 10 ms
MAX_ALTERNATIVES = 256


class PatternError(ValueError):
    """Not a regular expression of RE2; ``position`` counts characters from 0."""

    def __init__(self, found: str, position: int, problem: str) -> None:
        """Say what was found where, and what would do."""
        super().__init__(f'"{found}" at character {position + 1} of the pattern: {problem}')
        self.position = position


class Syntax(NamedTuple):
    """What is known of a pattern from reading it."""

    source: str  # for ``regex``, to be matched with fullmatch
    prefix: str  # every value that matches begins so
    alternatives: tuple[str, ...] | None  # all values that match, if they can be listed


class _Part(NamedTuple):
    """A piece of a pattern."""

    source: str
    single: bool = True  # a quantifier may follow the source as it is
    texts: tuple[str, ...] | None = None
    prefix: str = ""
    fixed: bool = False  # what matches is the prefix, and no character more
    repeats: int = 1  # how often its most repeated character may be repeated
    weight: int = 1


@dataclass
class _Group:
    """An open parenthesis and what was read since."""

    position: int
    flags: frozenset[str]  # to go back to when it closes
    branches: list[_Part] = field(default_factory=list)
    items: list[_Part] = field(default_factory=list)


_WORD = "[0-9A-Z\\x5fa-z]"
_START = _Part(r"\A", single=False, fixed=True)
_END = _Part(r"\Z", single=False, fixed=True)
_LINE_START = _Part(r"(?:\A|(?<=\n))", fixed=True)
_LINE_END = _Part(r"(?:\Z|(?=\n))", fixed=True)
_BOUNDARY = _Part(f"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))", fixed=True)
_NO_BOUNDARY = _Part(f"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))", fixed=True)
_DOT = _Part(classes.ANYTHING)
_DOT_IN_LINE = _Part(r"[^\n]")

_ASSERTIONS = {"A": _START, "z": _END, "b": _BOUNDARY, "B": _NO_BOUNDARY}
_CONTROLS = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_OCTAL = "01234567"
_HEX = "0123456789abcdefABCDEF"
_FLAGS = "imsU"

_RECURSION = "recursion is not part of RE2: write out the levels that occur"
_UNKNOWN_GROUPS = {
    "=": "look-ahead is not part of RE2: give what follows a condition of its own, joined by &&",
    "!": "look-ahead is not part of RE2: give what must not follow a condition of its own, with !~",
    "<=": "look-behind is not part of RE2: give what comes before a condition of its own, joined by &&",
    "<!": "look-behind is not part of RE2: give what must not come before a condition of its own, with !~",
    ">": "atomic groups are not part of RE2, which never backtracks: write (?:",
    "|": "branch resets are not part of RE2: write (?:",
    "(": "conditionals are not part of RE2: write both cases as alternatives",
    "#": "comments are not part of RE2: leave it out",
    "P=": "back-references are not part of RE2: write out the texts that occur",
    "P>": _RECURSION,
    "R": _RECURSION,
    "&": _RECURSION,
    "'": "name a group as (?P<name>",
    "x": "the flag x is not part of RE2: write the pattern without spaces and comments",
}
_UNKNOWN_ESCAPES = {
    "C": "single bytes are not matched here: write . for any character",
    "E": "there is no \\Q before it",
    "G": "\\G is not part of RE2: a pattern matches the whole value anyway",
    "K": "\\K is not part of RE2: a pattern matches the whole value anyway",
    "N": "write [^\\n]",
    "R": "write (?:\\r\\n|\\n|\\r)",
    "X": "write . for a character, or \\PM\\pM* for one with its accents",
    "Z": "write \\z; a pattern matches the whole value anyway",
    "b": "between brackets there are no word boundaries; a backspace is \\x08",
    "e": "write \\x1b",
    "g": "back-references are not part of RE2: write out the texts that occur",
    "h": "write [\\t ]",
    "k": "back-references are not part of RE2: write out the texts that occur",
    "u": "write \\x{2603} for U+2603",
}


def read(pattern: str) -> Syntax:
    """Read a pattern.

    Raises:
        PatternError: RE2 would refuse it, or it is too long or too deep for us.
    """
    if len(pattern) > MAX_CHARACTERS:
        raise PatternError(
            pattern[:10] + "…", 0, f"it has {len(pattern)} characters; the limit is {MAX_CHARACTERS}: split it with ||"
        )
    for position, char in enumerate(pattern):
        if "\ud800" <= char <= "\udfff":
            raise PatternError(f"\\x{{{ord(char):X}}}", position, "half of a surrogate pair is no character")
    part = _Reader(pattern).pattern()
    return Syntax(part.source, part.prefix, part.texts)


class _Reader:
    """Where we are in the pattern, the flags in force, and the groups that are open."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._flags = frozenset("s")
        self._open = [_Group(-1, self._flags)]
        self._repeated_at: int | None = None  # where the repetition begins that ends here

    def pattern(self) -> _Part:
        while self._at < len(self._text):
            start, repeated_at = self._at, self._repeated_at
            self._repeated_at = None
            if not self._repetition(start, repeated_at):
                self._token(self._text[start])
        if len(self._open) > 1:
            self._refuse(self._open[-1].position, 'it is never closed: add ")"', "(")
        return self._alternation(self._open[0])

    def _refuse(self, position: int, problem: str, found: str | None = None) -> NoReturn:
        raise PatternError(self._text[position : self._at] if found is None else found, position, problem)

    def _ahead(self, text: str) -> bool:
        """Whether ``text`` comes next; then it is passed."""
        found = self._text.startswith(text, self._at)
        self._at += len(text) * found
        return found

    def _add(self, part: _Part) -> None:
        self._open[-1].items.append(part)

    def _token(self, char: str) -> None:
        self._at += 1
        match char:
            case "(":
                self._group()
            case ")":
                self._close()
            case "|":
                self._branch(self._open[-1])
            case "[":
                self._add(self._brackets())
            case "\\":
                self._escape()
            case ".":
                self._add(_DOT if "s" in self._flags else _DOT_IN_LINE)
            case "^":
                self._add(_LINE_START if "m" in self._flags else _START)
            case "$":
                self._add(_LINE_END if "m" in self._flags else _END)
            case _:
                self._add(self._literal(ord(char)))

    def _literal(self, point: int) -> _Part:
        if "i" not in self._flags:
            return _text(point)
        characters = CharacterSet(fold=True)
        characters.add(((point, point),))
        return _text(point) if characters.only() == point else _set(characters.source())

    # -- repetitions

    def _repetition(self, start: int, repeated_at: int | None) -> bool:
        """Repeat the last item, if a repetition comes next."""
        counts = self._counts()
        if counts is None:
            return False
        if self._ahead("+"):
            self._refuse(start, 'possessive repetitions are not part of RE2, which never backtracks: drop the last "+"')
        self._ahead("?")  # how much it would rather take is of no matter
        if repeated_at is not None:
            self._refuse(repeated_at, "bad repetition operator: repeat a group, as in (?:a*)*")
        if not self._open[-1].items:
            self._refuse(start, "there is nothing to repeat before it; a backslash makes it a plain character")
        self._add(self._repeated(self._open[-1].items.pop(), *counts, start))
        self._repeated_at = start
        return True

    def _counts(self) -> tuple[int, int | None] | None:
        """How often, at least and at most; None if no repetition comes next, and nothing is passed."""
        for sign, counts in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._ahead(sign):
                return counts
        end = self._text.find("}", self._at)
        if end < 0 or not self._text.startswith("{", self._at):
            return None
        low, comma, high = self._text[self._at + 1 : end].partition(",")
        if not _is_count(low) or not (_is_count(high) or high == ""):
            return None  # RE2 takes {a}, {,2} and {01} for text
        self._at = end + 1
        return int(low), (int(high) if high else None) if comma else int(low)

    def _repeated(self, part: _Part, low: int, high: int | None, start: int) -> _Part:
        if max(low, high or 0) > MAX_REPEATS:
            self._refuse(start, f"more than {MAX_REPEATS} repetitions: write * or + for any number")
        if high is not None and high < low:
            self._refuse(start, "the least is more than the most: change them over")
        repeats = part.repeats * max(1, low if high is None else high)
        if repeats > MAX_REPEATS:
            self._refuse(start, f"repetitions in one another make more than {MAX_REPEATS}: write * or + in one")
        weight = part.weight * (max(low, high or 0) + 1)
        if weight > MAX_WEIGHT:
            self._refuse(start, "written out, its repetitions are too large: write * or + in one of them")
        return _repeated(part, low, high)._replace(repeats=repeats, weight=weight)

    # -- groups

    def _group(self) -> None:
        """Open a group after its "(", or change the flags."""
        start = self._at - 1
        flags = self._flags
        if self._ahead("?") and not self._name(start):
            flags = self._new_flags(start)
            if self._text[self._at - 1] == ")":
                self._flags = flags
                return
        if len(self._open) > MAX_DEPTH:
            self._refuse(start, f"groups are more than {MAX_DEPTH} deep: leave out those that are not needed")
        self._open.append(_Group(start, self._flags))
        self._flags = flags

    def _name(self, start: int) -> bool:
        """Pass ``P<name>`` or ``<name>``; the name is of no use here."""
        sign = next((sign for sign in ("P<", "<") if self._text.startswith(sign, self._at)), None)
        if sign is None or self._text.startswith(("<=", "<!"), self._at):
            return False
        end = self._text.find(">", self._at)
        name = self._text[self._at + len(sign) : end] if end > 0 else ""
        self._at = end + 1 if end > 0 else len(self._text)
        if not name.isascii() or not name.replace("_", "a").isalnum():
            self._refuse(start, "a group's name is of ASCII letters, digits and _, as in (?P<name>")
        return True

    def _new_flags(self, start: int) -> frozenset[str]:
        """Pass ``i-s:`` or ``i-s)`` and give the flags then in force."""
        flags, sign, changed = self._flags, "", True
        self._refuse_unknown_group(start)
        while not self._text.startswith((":", ")"), self._at):
            char = self._text[self._at : self._at + 1]
            self._at += 1
            if char == "-" and not sign:
                sign, changed = char, False
            elif char and char in _FLAGS:
                flags, changed = flags - {char} if sign else flags | {char}, True
            else:
                self._refuse(start, "the flags are i, m, s and U, as in (?i), (?s-m) or (?i:")
        self._at += 1
        if not changed:
            self._refuse(start, 'no flag follows "-"')
        return flags

    def _refuse_unknown_group(self, start: int) -> None:
        rest = self._text[self._at : self._at + 2]
        sign = next((sign for sign in _UNKNOWN_GROUPS if rest.startswith(sign)), None)
        if rest[:1].isdecimal() or rest[:1] == "+" or (rest[:1] == "-" and rest[1:].isdecimal()):
            sign = "R"
        if sign is not None:
            self._at += 1 if sign == "R" else len(sign)
            self._refuse(start, _UNKNOWN_GROUPS[sign])

    def _close(self) -> None:
        if len(self._open) == 1:
            self._refuse(self._at - 1, 'no "(" is open; a plain one is \\)')
        group = self._open.pop()
        self._flags = group.flags
        self._add(self._alternation(group))

    def _branch(self, group: _Group) -> None:
        """End a branch of the group."""
        items, group.items = group.items, []
        if len(self._open) == 1 and group is self._open[0]:
            items = _without_anchors(items)
        group.branches.append(self._bounded(reduce(_then, items) if items else _EMPTY))

    def _alternation(self, group: _Group) -> _Part:
        self._branch(group)
        return self._bounded(_either(group.branches)) if len(group.branches) > 1 else group.branches[0]

    def _bounded(self, part: _Part) -> _Part:
        if part.weight > MAX_WEIGHT:
            self._refuse(0, "written out, it is too large: split it with ||, or write * or + for repetitions")
        return part

    # -- characters

    def _escape(self) -> None:
        """Read what a backslash begins, outside brackets."""
        start = self._at - 1
        char = self._text[self._at : self._at + 1]
        if char in _ASSERTIONS:
            self._at += 1
            self._add(_ASSERTIONS[char])
        elif char == "Q":
            self._at += 1
            self._quoted()
        else:
            characters = CharacterSet("i" in self._flags)
            if self._class_escape(characters):
                self._add(_set(characters.source()))
            else:
                self._add(self._literal(self._character(start)))

    def _quoted(self) -> None:
        end = self._text.find("\\E", self._at)
        stop = end if end >= 0 else len(self._text)
        for char in self._text[self._at : stop]:
            self._add(self._literal(ord(char)))
        self._at = stop + 2 * (end >= 0)

    def _class_escape(self, characters: CharacterSet) -> bool:
        """Add ``\\d``, ``\\pL`` or ``\\p{^Greek}`` after its backslash; False if it is none."""
        char = self._text[self._at : self._at + 1]
        if char.lower() in classes.PERL and char != "":
            self._at += 1
            characters.add(classes.PERL[char.lower()], negated=char.isupper())
            return True
        if char not in ("p", "P"):
            return False
        start = self._at - 1
        self._at += 1
        name = self._property_name(start)
        stem = name.removeprefix("^")
        if not classes.known_property(stem):
            self._refuse(start, "no such Unicode category or script: write \\pL, \\p{Lu} or \\p{Greek}")
        characters.add_property(stem, negated=(char == "P") != (stem != name))
        return True

    def _property_name(self, start: int) -> str:
        if not self._ahead("{"):
            self._at += 1
            return self._text[self._at - 1 : self._at]
        end = self._text.find("}", self._at)
        if end < 0:
            self._refuse(start, 'it is never closed: add "}"')
        name = self._text[self._at : end]
        self._at = end + 1
        return name

    def _character(self, start: int) -> int:
        """The one character an escape stands for, after its backslash."""
        char = self._text[self._at : self._at + 1]
        self._at += 1
        if char == "":
            self._refuse(start, "a backslash at the end escapes nothing; a plain one is \\\\", "\\")
        if char == "x":
            return self._hexadecimal(start)
        if char == "0" or (char in _OCTAL and self._text[self._at : self._at + 1] in tuple(_OCTAL)):
            return self._octal()
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char.isascii() and not char.isalnum():
            return ord(char)
        if char.isdecimal():
            self._refuse(start, "back-references are not part of RE2: write out the texts that occur")
        problem = _UNKNOWN_ESCAPES.get(char, f"no such escape: write {char}, or \\\\{char} for it after a backslash")
        return self._refuse(start, problem)

    def _octal(self) -> int:
        """Up to three digits, of which the first is passed."""
        start = self._at - 1
        while self._at < start + 3 and self._text[self._at : self._at + 1] in tuple(_OCTAL):
            self._at += 1
        return int(self._text[start : self._at], 8)

    def _hexadecimal(self, start: int) -> int:
        if self._ahead("{"):
            end = self._text.find("}", self._at)
            digits = self._text[self._at : end] if end > 0 else ""
            self._at = max(self._at, end + 1)
        else:
            digits = self._text[self._at : self._at + 2]
            self._at += 2
            digits *= len(digits) == 2
        if not digits or digits.strip(_HEX) or int(digits, 16) > classes.LAST:
            self._refuse(start, "write two hexadecimal digits, as in \\x1b, or up to 10FFFF in braces: \\x{2603}")
        return int(digits, 16)

    # -- brackets

    def _brackets(self) -> _Part:
        """Read a class after its "["."""
        start = self._at - 1
        negated = self._ahead("^")
        characters = CharacterSet("i" in self._flags)
        first = self._at
        while not self._text.startswith("]", self._at) or self._at == first:
            if self._at >= len(self._text):
                self._refuse(start, 'it is never closed: add "]"', "[")
            self._class_item(characters, start)
        self._at += 1
        only = None if negated else characters.only()
        return _set(characters.source(negated)) if only is None else _text(only)

    def _class_item(self, characters: CharacterSet, opened: int) -> None:
        start = self._at
        if self._posix(characters):
            return
        if self._ahead("\\"):
            if self._class_escape(characters):
                return
            self._at = start
        low = high = self._class_character(opened)
        if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
            self._at += 1
            high = self._class_character(opened)
        if high < low:
            self._refuse(start, "the range ends before it begins: change its ends over, or write - last")
        characters.add(((low, high),))

    def _class_character(self, opened: int) -> int:
        if self._at >= len(self._text):
            self._refuse(opened, 'it is never closed: add "]"', "[")
        if self._ahead("\\"):
            return self._character(self._at - 1)
        self._at += 1
        return ord(self._text[self._at - 1])

    def _posix(self, characters: CharacterSet) -> bool:
        """Add ``[:alpha:]`` or ``[:^alpha:]``; without its end it is plain text, as in RE2."""
        start, end = self._at, self._text.find(":]", self._at + 2)
        if end < 0 or not self._ahead("[:"):
            return False
        name = self._text[self._at : end]
        self._at = end + 2
        stem = name.removeprefix("^")
        if stem not in classes.POSIX:
            self._refuse(start, f"no such class: there are {', '.join(classes.POSIX)}")
        characters.add(classes.POSIX[stem], negated=stem != name)
        return True


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")


def _text(point: int) -> _Part:
    """A character that stands for itself; half a surrogate pair is in no value."""
    if classes.SURROGATES[0] <= point <= classes.SURROGATES[1]:
        return _Part(classes.NOTHING, texts=())
    return _Part(classes.escaped(point), texts=(chr(point),), prefix=chr(point), fixed=True)


def _set(source: str) -> _Part:
    """A set of characters; every case of \\pL takes all engines a while to compile."""
    return _Part(source, weight=1 + len(source) // 16)


_EMPTY = _Part("", single=False, texts=("",), fixed=True, weight=0)


def _without_anchors(items: list[_Part]) -> list[_Part]:
    """A branch of the whole pattern without the ``^`` and ``$`` that say what is so anyway."""
    first, last = 0, len(items)
    while first < last and items[first] in (_START, _LINE_START):
        first += 1
    while last > first and items[last - 1] in (_END, _LINE_END):
        last -= 1
    return items[first:last]


def _then(one: _Part, other: _Part) -> _Part:
    """One after the other."""
    return _Part(
        one.source + other.source,
        single=False,
        texts=_joined(one.texts, other.texts),
        prefix=one.prefix + other.prefix if one.fixed else one.prefix,
        fixed=one.fixed and other.fixed,
        repeats=max(one.repeats, other.repeats),
        weight=one.weight + other.weight,
    )


def _joined(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Every text of one with every text of the other after it."""
    if one is None or other is None or len(one) * len(other) > MAX_ALTERNATIVES:
        return None
    return tuple(dict.fromkeys(map("".join, product(one, other))))


def _either(branches: list[_Part]) -> _Part:
    """Any of the branches."""
    prefix = _common([branch.prefix for branch in branches])
    return _Part(
        f"(?:{'|'.join(branch.source for branch in branches)})",
        texts=_listed(branch.texts for branch in branches),
        prefix=prefix,
        fixed=all(branch.fixed and branch.prefix == prefix for branch in branches),
        repeats=max(branch.repeats for branch in branches),
        weight=sum(branch.weight for branch in branches),
    )


def _common(texts: list[str]) -> str:
    """What all of them begin with; the first and the last in order differ soonest."""
    first, last = min(texts), max(texts)
    return first[: next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def _listed(lists: Iterable[tuple[str, ...] | None]) -> tuple[str, ...] | None:
    texts: dict[str, None] = {}
    for some in lists:
        if some is None:
            return None
        texts.update(dict.fromkeys(some))
    return tuple(texts) if len(texts) <= MAX_ALTERNATIVES else None


def _repeated(part: _Part, low: int, high: int | None) -> _Part:
    if high == 0:
        return _EMPTY
    if low == high == 1:
        return part
    body = part.source if part.single else f"(?:{part.source})"
    many = f"{{{low},{'' if high is None else high}}}"
    sign = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((low, high), many)
    return _Part(body + sign, single=False, prefix=part.prefix if low else "")
