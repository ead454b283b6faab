"""What a query asks of one span, as a tree that the store can answer without loading the span.

```
Everything            all spans; `is_exact` unless it stands for what only the evaluator knows
HasValue, HasKey      an attribute, or an intrinsic that is kept like one, by the tokens of a segment
HasWord               a word of any value, by the tokens of a segment
Column                what a column of `spans` tells
OfTrace               what a row of `traces` tells
All, Some, Not        of those
```

A tree is *sound*: it holds for every span for which the query's condition holds. It is *exact* if it holds for no
other. `Not` stands above what is exact only. `resolve.py` turns a tree into tokens and SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from minitrace.traceql.ast import Static


@dataclass(frozen=True, slots=True)
class Everything:
    """Every span."""

    is_exact: bool = True

    def __str__(self) -> str:
        return "all" if self.is_exact else "any"


class _Leaf:
    """What the store knows: tokens stand for whole values, columns hold what they say, summaries are kept true."""

    __slots__ = ()

    @property
    def is_exact(self) -> bool:
        """Whether it holds for no other spans than the query means."""
        return True


@dataclass(frozen=True, slots=True)
class HasValue(_Leaf):
    """The span has, or came with, a value for which `value operator literal` holds, under this scope and name.

    Scopes are those of `keys`: span, resource, instrumentation, event, link and intrinsic. The operator "is" is = for
    single values: arrays never are.
    """

    scope: str
    name: str
    operator: str
    literal: Static

    def __str__(self) -> str:
        return f"{_key(self.scope, self.name)} {self.operator} {self.literal}"


@dataclass(frozen=True, slots=True)
class HasKey(_Leaf):
    """The span has, or came with, any value under this scope and name."""

    scope: str
    name: str

    def __str__(self) -> str:
        return f"has {_key(self.scope, self.name)}"


@dataclass(frozen=True, slots=True)
class HasWord(_Leaf):
    """A word of the span's name, status message, event names or any value of its attributes begins with this one.

    Or of its resource's, scope's, events' or links'; in any case of letters.
    """

    word: str

    def __str__(self) -> str:
        return f"word {self.word!r}"


@dataclass(frozen=True, slots=True)
class Column(_Leaf):
    """A column of `spans` compared with a value; "IS" and "IS NOT" with None."""

    column: str
    operator: str
    value: Any

    def __str__(self) -> str:
        return f"{self.column} {self.operator} {self.value!r}"


@dataclass(frozen=True, slots=True)
class OfTrace(_Leaf):
    """An intrinsic of the whole trace: traceDuration, rootName, rootServiceName or trace:id."""

    intrinsic: str
    operator: str
    literal: Static

    def __str__(self) -> str:
        return f"{self.intrinsic} {self.operator} {self.literal}"


@dataclass(frozen=True, slots=True)
class _Joined:
    """Conditions together: exact if all of them are."""

    parts: tuple[Condition, ...]

    @property
    def is_exact(self) -> bool:
        """Whether it holds for no other spans than the query means."""
        return all(part.is_exact for part in self.parts)


@dataclass(frozen=True, slots=True)
class All(_Joined):
    """Every part holds."""

    def __str__(self) -> str:
        return " and ".join(map(_inner, self.parts))


@dataclass(frozen=True, slots=True)
class Some(_Joined):
    """At least one part holds."""

    def __str__(self) -> str:
        return " or ".join(map(_inner, self.parts))


@dataclass(frozen=True, slots=True)
class Not:
    """The part, which is exact, does not hold."""

    part: Condition

    @property
    def is_exact(self) -> bool:
        """As its part."""
        return self.part.is_exact

    def __str__(self) -> str:
        return f"not {_inner(self.part)}"


Condition = Everything | HasValue | HasKey | HasWord | Column | OfTrace | All | Some | Not

ALL = Everything()
UNKNOWN = Everything(is_exact=False)
NOTHING = Not(ALL)


def all_of(parts: Iterable[Condition]) -> Condition:
    """All of the parts, without those that say nothing; `UNKNOWN` stays one of them."""
    flat: list[Condition] = []
    for part in parts:
        flat += part.parts if isinstance(part, All) else [part]
    kept = list(dict.fromkeys(part for part in flat if part != ALL))
    if NOTHING in kept:
        return NOTHING
    return kept[0] if len(kept) == 1 else All(tuple(kept)) if kept else ALL


def some_of(parts: Iterable[Condition]) -> Condition:
    """Some of the parts, or all spans if one of them says nothing. What is said of the trace is not looked at there."""
    flat: list[Condition] = []
    for part in map(_of_span, parts):
        flat += part.parts if isinstance(part, Some) else [part]
    if ALL in flat:
        return ALL
    if UNKNOWN in flat:
        return UNKNOWN
    kept = list(dict.fromkeys(part for part in flat if part != NOTHING))
    return kept[0] if len(kept) == 1 else Some(tuple(kept)) if kept else NOTHING


def _of_span(condition: Condition) -> Condition:
    """What a condition says of the span itself."""
    if isinstance(condition, All):
        return all_of(map(_of_span, condition.parts))
    return UNKNOWN if isinstance(condition, OfTrace) else condition


def parts_of(condition: Condition) -> tuple[Condition, ...]:
    """The conditions that must all hold."""
    return condition.parts if isinstance(condition, All) else (condition,)


def leaves(condition: Condition) -> Iterator[Condition]:
    """The conditions that have no parts."""
    if isinstance(condition, All | Some):
        for part in condition.parts:
            yield from leaves(part)
    elif isinstance(condition, Not):
        yield from leaves(condition.part)
    else:
        yield condition


def _inner(condition: Condition) -> str:
    return f"({condition})" if isinstance(condition, All | Some) else str(condition)


def _key(scope: str, name: str) -> str:
    return name if scope == "intrinsic" else f"{scope}.{name}"
