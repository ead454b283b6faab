"""Regular expressions that come with a query, with RE2's syntax and meaning, in bounded time.

```
Pattern ── a list of texts    "a|b|c": looked up, no engine is asked
        └─ an engine ── RE2   google-re2, if it is installed: linear time
                     └─ Regex the module ``regex``: backtracks, and stops after VALUE_BUDGET_S
```

A pattern matches a whole value, and a dot matches a newline too: ``^(?s:RE)$``, as in Tempo.
Both engines take the same patterns, for `re2_syntax` reads them first. What is too large for RE2,
or could keep it too long because nothing can interrupt it, is left to ``regex``, which stops in time.
A pattern never comes near Python's ``re``, which does not stop at all and holds the interpreter.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from time import monotonic
from typing import Protocol

from minitrace.errors import QueryTimeout
from minitrace.traceql.re2_syntax import PatternError, Syntax, read

__all__ = ["Engine", "Pattern", "PatternError", "PatternTimeout", "compile_pattern", "engines"]

# A query has 2 s. Half of it for one pattern leaves time to say so. A quarter of a second for one value is hundreds of
# times what a value of 100 kB takes, unless the pattern explodes. ``regex`` counts the time of the processor, of all
# threads: half of this beside another busy thread, more where other programs have the machine.
CALL_BUDGET_S = 1.0
VALUE_BUDGET_S = 0.25

# Too little for \pL{34}, which is left to ``regex``. RE2 holds the interpreter while it compiles: up to 45 ms, and
# 200 ms at its default of 8 MiB.
RE2_BYTES = 2 << 20
# RE2 takes up to 9 ns for each byte and each instruction, when its cache of states is of no use: .*a[ab]{1000}
RE2_STEPS = int(VALUE_BUDGET_S / 9e-9)


class PatternTimeout(QueryTimeout):
    """A pattern took too long on the values it was asked about."""


class Engine(Protocol):
    """Compiles a pattern, and matches whole values until a moment of the monotonic clock."""

    def __init__(self, text: str, syntax: Syntax) -> None:
        """Compile the pattern."""

    def matches(self, value: str, end: float) -> bool:
        """Whether the whole value matches; a value that is no valid UTF-8 does not."""


class Re2Engine:
    """google-re2, asked through a Set of one: 0.6 µs a value, and 2.8 µs through fullmatch."""

    def __init__(self, text: str, syntax: Syntax) -> None:
        """Compile the pattern; the other engine stands by for what is too large."""
        import re2  # here, as are the others: each takes 20 ms, and most runs of minitrace need none

        self._text = text
        self._syntax = syntax
        options = re2.Options()
        options.dot_nl = options.never_capture = True
        options.log_errors = False
        options.max_mem = RE2_BYTES
        try:
            self._most_bytes = RE2_STEPS // re2.compile(text, options).programsize
            only = re2.Set.FullMatchSet(options)
            only.Add(text)
            only.Compile()
        except re2.error as error:
            self._most_bytes = -1
            if "too large" not in str(error) and "failed to compile" not in str(error):
                raise PatternError(text, 0, f"RE2 refuses it: {_words(error)}") from None
            return
        self._match = only.Match

    @cached_property
    def _reserve(self) -> RegexEngine:
        return RegexEngine(self._text, self._syntax)

    def matches(self, value: str, end: float) -> bool:
        """Whether the whole value matches."""
        try:
            encoded = value.encode()
        except UnicodeEncodeError:
            return False
        if len(encoded) > self._most_bytes:
            return self._reserve.matches(value, end)
        if monotonic() > end:
            raise _too_slow(self._text)
        return self._match(encoded) is not None


class RegexEngine:
    """The module ``regex``: 1.4 µs a value, most of it for the clock and for letting other threads run."""

    def __init__(self, text: str, syntax: Syntax) -> None:
        """Compile what `re2_syntax` made of the pattern."""
        import regex

        self._text = text
        try:
            self._fullmatch = regex.compile(syntax.source, regex.VERSION0, cache_pattern=False).fullmatch
        except regex.error as error:
            raise PatternError(text, 0, f"it cannot be compiled: {error}") from None

    def matches(self, value: str, end: float) -> bool:
        """Whether the whole value matches."""
        if not _is_utf8(value):
            return False
        left = end - monotonic()
        if left <= 0:
            raise _too_slow(self._text)
        try:
            return self._fullmatch(value, timeout=min(left, VALUE_BUDGET_S), concurrent=True) is not None
        except TimeoutError:
            raise _too_slow(self._text) from None


@lru_cache(maxsize=1)
def engines() -> tuple[type[Engine], ...]:
    """Those that are installed, the best one first."""
    try:
        from re2 import Set  # noqa: F401 (another package of that name has none)
    except ImportError:
        return (RegexEngine,)
    return Re2Engine, RegexEngine


class Pattern:
    """A compiled pattern; threads may share it."""

    def __init__(self, text: str, engine: type[Engine] | None = None) -> None:
        """Compile the pattern, for the best engine if none is named.

        Raises:
            PatternError: the pattern is not one of RE2's.
        """
        syntax = read(text)
        self.text = text
        self.prefix = syntax.prefix
        self.alternatives = syntax.alternatives
        self._engine = (engine or engines()[0])(text, syntax)

    def matches(self, value: str) -> bool:
        """Whether the pattern matches the whole value.

        Raises:
            PatternTimeout: it took longer than VALUE_BUDGET_S.
        """
        return self.among((value,))[0]

    def among(self, values: Sequence[str], budget_s: float = CALL_BUDGET_S) -> list[bool]:
        """Which of the values match, in their order.

        Raises:
            PatternTimeout: one value took longer than VALUE_BUDGET_S, or all of them than the budget.
        """
        if self.alternatives is not None:
            texts = frozenset(self.alternatives)
            return [value in texts for value in values]
        prefix, matches, end = self.prefix, self._engine.matches, monotonic() + budget_s
        return [value.startswith(prefix) and matches(value, end) for value in values]


@lru_cache(maxsize=32)  # one may hold 8 MB, if it is made to
def compile_pattern(text: str, engine: type[Engine] | None = None) -> Pattern:
    """Compile a pattern, or give the one compiled before.

    Raises:
        PatternError: the pattern is not one of RE2's; the message says what to write instead.
    """
    return Pattern(text, engine)


def _is_utf8(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_slow(text: str) -> PatternTimeout:
    remedy = "" if engines()[0] is Re2Engine else ", or pip install google-re2, which takes no longer than the text is"
    return PatternTimeout(f"the pattern {text[:60]!r} took too long: make it simpler, as by fewer * and +{remedy}")


def _words(error: Exception) -> str:
    """The message of RE2, which is bytes."""
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
