"""A condition, resolved in one segment: as a query for its index, as SQL, and as a test of a row.

A `HasValue` becomes the set of tokens whose values fulfil it, which is made when it is first asked for. What
resources and scopes have becomes the tokens of those resources and scopes.
"""

from __future__ import annotations

import math
import operator as op
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from minitrace.model import MAX_TIME_NS
from minitrace.store import tokens, values
from minitrace.store.conditions import (
    All,
    Column,
    Condition,
    Everything,
    HasKey,
    HasValue,
    HasWord,
    Not,
    OfTrace,
    Some,
    leaves,
    parts_of,
)  # fmt: skip
from minitrace.store.database import Reader, work
from minitrace.store.dictionary import Key, count_of_key, keys_named, tokens_with, tokens_with_word
from minitrace.store.segment import FIXED_KEYS, INTRINSIC, RESOURCE_SCOPE, SCOPE_SCOPE
from minitrace.store.segments import Segment, Segments
from minitrace.traceql.ast import Static
from minitrace.traceql.fields import NO_ROOT

MOST_TERMS = 400  # in the index query of one condition: 10 µs each
MOST_TERMS_IN_SQL = 4_000  # where nothing else would do

COLUMNS = (
    "id", "trace", "span_id", "name", "service", "start_ns", "duration_ns", "status", "resource", "scope",
    "attributes", "more", "kind", "parent_id",
)  # fmt: skip
_PLACE = {column: place for place, column in enumerate(COLUMNS)}
_NAME, _RESOURCE, _SCOPE, _ATTRIBUTES, _MORE = (
    _PLACE[column] for column in ("name", "resource", "scope", "attributes", "more")
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": op.eq, "!=": op.ne, "<": op.lt, "<=": op.le, ">": op.gt, ">=": op.ge, "IS": op.is_, "IS NOT": op.is_not,
}  # fmt: skip

# What is asked of a trace as a whole, of its row in TRACES
TRACES = "traces LEFT JOIN services ON services.id = root_service"
OF_TRACE = {
    "trace:id": "trace_id",
    "traceDuration": "end_ns - start_ns",
    "rootName": f"coalesce(root_name, '{NO_ROOT}')",
    "rootServiceName": f"iif(root_name IS NULL, '{NO_ROOT}', services.name)",
}

RowTest = Callable[[Any, set[str]], bool]  # a row of `COLUMNS`, and its tokens


class Inexpressible(Exception):
    """SQL cannot say it, or not in a reasonable time."""


@dataclass(slots=True)
class Found:
    """What a leaf came to in one segment: tokens, or for a `HasKey` the letters of keys and how many values they have.

    `column` is where the tokens stand: resource, scope, name, or None for the lists of attributes. Of resources and
    scopes, which are few, `others` are those that the leaf does not hold for.
    """

    tokens: set[str] = field(default_factory=set)
    column: str | None = None
    keys: dict[str, int] = field(default_factory=dict)
    others: set[str] | None = None

    @property
    def is_nowhere(self) -> bool:
        """Whether no span of the segment has it."""
        return not (self.tokens or self.keys)

    def terms(self, most: int) -> set[str] | None:
        """All tokens; None if they are more than `most`."""
        if len(self.tokens) + sum(self.keys.values()) > most:
            return None
        return self.tokens.union(f"{letters}{n + 1}" for letters, count in self.keys.items() for n in range(count))


class Conditions:
    """A condition, in whichever segments it is asked for."""

    def __init__(self, reader: Reader, segments: Segments, condition: Condition) -> None:
        self.condition = condition
        self._reader = reader
        self._segments = segments
        self._keys: dict[tuple[int, str], list[Key]] | None = None
        self._found: dict[int, dict[Condition, Found]] = {}

    async def index_query(self, segment: Segment) -> str | None:
        """An FTS5 query for spans that may match: "" if there is none to ask, None if no span can match."""
        return _index_query(self.condition, await self.resolve(segment))

    async def where(self, segment: Segment) -> tuple[str, list[Any]]:
        """The condition as SQL about the spans of a segment, and what is bound in it.

        Raises:
            Inexpressible: it is not exact, or would take too many tokens.
        """
        found = await self.resolve(segment)
        parameters: list[Any] = []
        text = _where(self.condition, found, segment, parameters)
        return text, parameters

    def on_columns(self) -> tuple[str, list[Any]]:
        """What must hold of columns of `spans`, as SQL and what is bound in it."""
        columns = [part for part in parts_of(self.condition) if isinstance(part, Column)]
        texts = [f"{part.column} {part.operator} ?" for part in columns]
        return " AND ".join(["1", *texts]), [part.value for part in columns]

    async def filter(self, rows: list[Any], *, columns_hold: bool) -> list[Any]:
        """Of these rows of spans, with `COLUMNS`, those for which the condition holds.

        If what `on_columns` says holds for all of them, it is not looked at again.
        """
        settled: Any = Column | OfTrace | Everything if columns_hold else OfTrace | Everything
        parts = [part for part in parts_of(self.condition) if not isinstance(part, settled)]
        if not parts:
            return rows
        kept: list[Any] = []
        for segment, own in self._segments.split(rows):
            found = await self.resolve(segment)
            tests = [_test(part, found) for part in parts]
            by_tokens = any(_is_by_tokens(leaf, found) for part in parts for leaf in leaves(part))
            kept += await work(_fulfilling, own, tests, by_tokens, size=len(own))
        return kept

    async def estimate(self, segment: Segment) -> int:
        """About how many spans of a segment meet the condition, by its rarest part."""
        found = await self.resolve(segment)
        return await self._estimate(self.condition, found, segment)

    async def resolve(self, segment: Segment) -> dict[Condition, Found]:
        """What each leaf that is about tokens comes to in a segment; nothing, where it makes no difference."""
        if segment.id not in self._found:
            if self._keys is None:
                names = {leaf.name for leaf in leaves(self.condition) if isinstance(leaf, HasValue | HasKey)}
                self._keys = await keys_named(self._reader, names) if names else {}
            found: dict[Condition, Found] = {}
            await self._resolve(segment.id, self.condition, found)
            by_tokens = [leaf for leaf in leaves(self.condition) if isinstance(leaf, HasValue | HasKey | HasWord)]
            self._found[segment.id] = {leaf: found.get(leaf) or Found() for leaf in by_tokens}
        return self._found[segment.id]

    def keys(self, segment: int, scope: str, name: str) -> list[Key]:
        """The keys of a segment that a leaf is about: one for each type of its values."""
        fixed = [number for number, fixed in FIXED_KEYS.items() if scope == INTRINSIC and fixed == name]
        if fixed:
            return [Key(number, INTRINSIC, values.STRING) for number in fixed]
        assert self._keys is not None
        return [key for key in self._keys.get((segment, name), []) if key.scope == scope and key.type != values.EMPTY]

    async def _resolve(self, segment: int, condition: Condition, found: dict[Condition, Found]) -> None:
        match condition:
            case All(parts):
                for part in parts:
                    await self._resolve(segment, part, found)
                    if part in found and found[part].is_nowhere:
                        return  # whatever the others are
            case Some(parts):
                for part in parts:
                    await self._resolve(segment, part, found)
            case Not(part):
                await self._resolve(segment, part, found)
            case HasValue() | HasKey() if condition not in found:
                found[condition] = await self._resolve_leaf(segment, condition)
            case HasWord(word):
                own = await tokens_with_word(self._reader, segment, word)
                found[condition] = Found(own | await self._origins_with(segment, own))

    async def _resolve_leaf(self, segment: int, leaf: HasValue | HasKey) -> Found:
        keys = self.keys(segment, leaf.scope, leaf.name)
        column = _column_of(leaf)
        if column in ("resource", "scope"):
            return await self._resolve_origins(segment, leaf, keys, column)
        if isinstance(leaf, HasValue):
            return Found(await self._values(segment, keys, leaf), column)
        counts = {tokens.letters(key.number): await count_of_key(self._reader, segment, key.number) for key in keys}
        return Found(column=column, keys={letters: count for letters, count in counts.items() if count})

    async def _resolve_origins(self, segment: int, leaf: HasValue | HasKey, keys: list[Key], column: str) -> Found:
        """What is said of resources or scopes: which of them it holds for."""
        origins = await self._segments.origins(segment, column)
        if isinstance(leaf, HasValue):
            wanted = await self._values(segment, keys, leaf)
            fitting = {origin for origin, own in origins.items() if not wanted.isdisjoint(own)}
        else:
            letters = {tokens.letters(key.number) for key in keys}
            fitting = {origin for origin, own in origins.items() if not letters.isdisjoint(map(tokens.prefix, own))}
        return Found(fitting, column, others=origins.keys() - fitting)

    async def _values(self, segment: int, keys: list[Key], leaf: HasValue) -> set[str]:
        found: set[str] = set()
        for key in keys:
            found |= await tokens_with(self._reader, segment, key, leaf.operator, leaf.literal.value)
        return found

    async def _estimate(self, condition: Condition, found: dict[Condition, Found], segment: Segment) -> int:
        every = segment.last_span - segment.first_span + 1
        if isinstance(condition, All):
            return min([await self._estimate(part, found, segment) for part in condition.parts])
        if isinstance(condition, Some):
            return min(every, sum([await self._estimate(part, found, segment) for part in condition.parts]))
        wanted = found[condition].terms(MOST_TERMS) if condition in found else None
        if isinstance(condition, Column):
            wanted = _column_tokens(condition)
        if wanted is None:
            return every
        marks = ", ".join("?" * len(wanted))
        sql = f"SELECT coalesce(sum(doc), 0) FROM counts_{segment.id} WHERE term IN ({marks})"
        ((count,),) = await self._reader.rows(sql, list(wanted))
        return int(count)

    async def _origins_with(self, segment: int, wanted: set[str]) -> set[str]:
        """The tokens of the resources and scopes that have one of these."""
        if not wanted:
            return set()
        return {
            origin
            for column in ("resource", "scope")
            for origin, own in (await self._segments.origins(segment, column)).items()
            if not wanted.isdisjoint(own)
        }


def _column_of(leaf: HasValue | HasKey) -> str | None:
    if leaf.scope == RESOURCE_SCOPE:
        return "resource"
    if leaf.scope == SCOPE_SCOPE or leaf.name.startswith("instrumentation:"):
        return "scope"
    return "name" if (leaf.scope, leaf.name) == (INTRINSIC, "name") else None


def _fulfilling(rows: list[Any], tests: list[RowTest], by_tokens: bool) -> list[Any]:
    """The rows that pass all tests; their tokens are taken apart, 2 µs each, if a test asks for them."""
    kept = []
    own: set[str] = set()
    for row in rows:
        if by_tokens:
            own = {f"a{row[_RESOURCE]}", f"b{row[_SCOPE]}", f"e{row[_NAME]}", *row[_ATTRIBUTES].split()}
            if row[_MORE]:
                own.update(row[_MORE].split())
        if all(test(row, own) for test in tests):
            kept.append(row)
    return kept


def _is_by_tokens(leaf: Condition, found: dict[Condition, Found]) -> bool:
    return leaf in found and found[leaf].column is None and not found[leaf].is_nowhere


def _test(condition: Condition, found: dict[Condition, Found]) -> RowTest:
    match condition:
        case All(parts):
            tests = [_test(part, found) for part in parts]
            return lambda row, own: all(test(row, own) for test in tests)
        case Some(parts):
            tests = [_test(part, found) for part in parts]
            return lambda row, own: any(test(row, own) for test in tests)
        case Not(part):
            test = _test(part, found)
            return lambda row, own: not test(row, own)
        case Column(column, operator, value):
            place, compare = _PLACE[column], _COMPARE[operator]
            return lambda row, own: compare(row[place], value)
        case HasKey() if found[condition].keys:
            keys = found[condition].keys
            return lambda row, own: any(tokens.prefix(token) in keys for token in own)
        case HasValue() | HasKey() if (home := found[condition].column) is not None:
            place, numbers = _PLACE[home], {int(token[1:]) for token in found[condition].tokens}
            return lambda row, own: row[place] in numbers
        case HasValue() | HasKey() | HasWord():
            wanted = found[condition].tokens
            return lambda row, own: not own.isdisjoint(wanted)
    return lambda row, own: True


def _index_query(condition: Condition, found: dict[Condition, Found]) -> str | None:
    match condition:
        case All(parts):
            queries = [_index_query(part, found) for part in parts]
            if None in queries:
                return None
            return " AND ".join(f"({query})" for query in queries if query)
        case Some(parts):
            queries = [query for part in parts if (query := _index_query(part, found)) is not None]
            if not queries:
                return None
            return "" if "" in queries else " OR ".join(f"({query})" for query in queries)
        case Column():
            return _any_of(_column_tokens(condition))
        case HasValue() | HasKey() | HasWord():
            return _any_of(found[condition].terms(MOST_TERMS))
        case Not(HasValue() | HasKey() as leaf) if (others := found[leaf].others) is not None:
            return _any_of(others if len(others) <= MOST_TERMS else None)
        case Not(Everything()):
            return None
    return ""


def is_by_index(condition: Condition, found: dict[Condition, Found]) -> bool:
    """Whether the index query of a condition finds just the spans for which it holds."""
    match condition:
        case All(parts) | Some(parts):
            return all(is_by_index(part, found) for part in parts)
        case HasValue() | HasKey() | HasWord():
            return found[condition].terms(MOST_TERMS) is not None
        case Not(HasValue() | HasKey() as leaf):
            return (others := found[leaf].others) is not None and len(others) <= MOST_TERMS
        case Everything():
            return condition.is_exact
    return False


def _any_of(wanted: set[str] | None) -> str | None:
    """An index query for any of the tokens: "" if they are too many, None if there are none."""
    return "" if wanted is None else " OR ".join(sorted(wanted)) or None


def _column_tokens(condition: Column) -> set[str] | None:
    """The tokens, more or less, of spans with this in a column; None if it has none."""
    if condition.column == "status" and condition.operator == "=" and condition.value:
        return {f"c{condition.value & 0xFFFF}"}
    if condition.column != "duration_ns":
        return None
    low, high = math.floor(condition.value), math.ceil(condition.value)
    if condition.operator in (">", ">=", "!="):
        high = MAX_TIME_NS
    if condition.operator in ("<", "<=", "!="):
        low = 0
    return tokens.duration_tokens(max(0, low), min(high, MAX_TIME_NS)) if high >= 0 else set()


def _where(condition: Condition, found: dict[Condition, Found], segment: Segment, bound: list[Any]) -> str:
    match condition:
        case Everything(is_exact=True):
            return "1"
        case All(parts):
            if any(_is_nowhere(part, found) for part in parts):
                return "0"  # before another part is found to be inexpressible
            return "(" + " AND ".join(_where(part, found, segment, bound) for part in parts) + ")"
        case Some(parts):
            return "(" + " OR ".join(_where(part, found, segment, bound) for part in parts) + ")"
        case Not(part):
            return f"NOT ({_where(part, found, segment, bound)})"
        case Column(column, operator, value):
            bound.append(value)
            return f"spans.{column} {operator} ?"
        case OfTrace(intrinsic, operator, literal) if operator in _COMPARE:
            bound.append(read_trace_id(literal) if intrinsic == "trace:id" else literal.value)
            of_trace = f"SELECT traces.id FROM {TRACES} WHERE {OF_TRACE[intrinsic]} {operator} ?"
            return f"spans.trace IN ({of_trace})"
        case HasValue() | HasKey() | HasWord():
            return _has(found[condition], segment, bound)
    raise Inexpressible


def _is_nowhere(condition: Condition, found: dict[Condition, Found]) -> bool:
    """Whether no span of a segment has what is asked for."""
    return condition in found and found[condition].is_nowhere


def read_trace_id(literal: Static) -> bytes:
    """The id that a literal means, in any case and padding; b"", which no trace has, if it is none."""
    digits = str(literal.value).lstrip("0").zfill(32)
    return bytes.fromhex(digits) if re.fullmatch("[0-9a-fA-F]{32}", digits) else b""


def _has(found: Found, segment: Segment, bound: list[Any]) -> str:
    terms = found.terms(MOST_TERMS_IN_SQL)
    if terms is None:
        raise Inexpressible
    if not terms:
        return "0"
    if found.column:
        return f"spans.{found.column} IN ({', '.join(token[1:] for token in terms)})"
    bound.append(" OR ".join(terms))
    index = f"postings_{segment.id}"
    return f"spans.id IN (SELECT rowid FROM {index} WHERE {index} MATCH ?)"
