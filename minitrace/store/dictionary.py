"""The distinct keys and values of attributes: what there is to choose from, and which values fit a condition.

Every segment has its own; what they have in common is put together here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from minitrace.model import Value
from minitrace.store import tokens, values
from minitrace.store.database import Reader, work
from minitrace.store.segment import EXACT, INTRINSIC, RESOURCE_SCOPE, SCOPE_SCOPE, exact_word

Operator = Literal["=", ">", ">=", "<", "<=", "contains", "fits"]
MAX_PATTERN = 10_000  # characters; SQLite refuses patterns of 50 000 bytes
_NUMBERS = (values.INT, values.DOUBLE)
_LAST = (1 << tokens.COUNT_BITS) - 1  # the largest count of a key's values


@dataclass(frozen=True, slots=True)
class AttributeKey:
    """A key of one scope and type; `value_count` distinct values are in the largest segment that has it."""

    scope: str
    name: str
    type: str
    value_count: int


@dataclass(frozen=True, slots=True)
class ValueCount:
    """A value, and how many spans have it."""

    value: Value
    span_count: int


@dataclass(frozen=True, slots=True)
class Attribute:
    """A condition on an attribute, or on an intrinsic that is kept like one (scope "intrinsic").

    Values are compared within their kind: strings with strings, numbers with numbers. "contains" is about a
    part of a string, in any case of ASCII letters; "fits" hands every distinct string to `value`, a predicate.
    Without a `scope` the span's, its resource's, scope's, events' and links' attributes count.
    """

    name: str
    operator: Operator
    value: str | int | float | bool | Callable[[str], Any]
    scope: str | None = None


async def attribute_keys(reader: Reader) -> list[AttributeKey]:
    """All keys, in alphabetical order."""
    # A value's id is that of its segment and key, and its count: the last one tells how many there are.
    sql = f"""
        SELECT scope, name, type, max(value_count)
        FROM (
            SELECT scope, name, type, (
                SELECT max(id) - first_id FROM dictionary WHERE id BETWEEN first_id AND first_id + {_LAST}
            ) AS value_count
            FROM (
                SELECT *, (segment << {tokens.KEY_BITS} | number) << {tokens.COUNT_BITS} AS first_id
                FROM keys JOIN segments ON segments.id = keys.segment
                WHERE state < 2
            )
        )
        WHERE value_count
        GROUP BY scope, name, type
        ORDER BY scope, name, type
    """
    return [AttributeKey(*row) for row in await reader.rows(sql)]


async def attribute_values(reader: Reader, scope: str, name: str, limit: int) -> list[ValueCount]:
    """The values of a key, of any type, the commonest first."""
    found: Counter[tuple[str, values.Column]] = Counter()
    sql = """
        SELECT segment, number, type
        FROM keys JOIN segments ON segments.id = keys.segment
        WHERE state < 2 AND scope = ? AND name = ?
    """
    for segment, number, type_ in await reader.rows(sql, (scope, name)):
        counts = await _counts(reader, segment, number, _origins_of(scope, name))
        commonest = tokens.ids_of(segment, (token for token, _ in counts.most_common(limit * 2)))
        ids = ", ".join(map(str, commonest))
        for value_id, column in await reader.rows(f"SELECT id, value FROM dictionary WHERE id IN ({ids})"):
            found[type_, column] += counts[commonest[value_id]]
    return [ValueCount(values.from_column(*value), count) for value, count in found.most_common(limit)]


def _origins_of(scope: str, name: str) -> tuple[str, int] | None:
    """The table, and the key of its numbers, where the values of a key stand once for many spans."""
    if scope == RESOURCE_SCOPE:
        return "resources", tokens.RESOURCE
    if scope == SCOPE_SCOPE or name.startswith("instrumentation:"):
        return "scopes", tokens.SCOPE
    return None


async def _counts(reader: Reader, segment: int, key: int, origins: tuple[str, int] | None) -> Counter[str]:
    """How many spans have each token of a key in one segment."""
    letters = tokens.letters(origins[1] if origins else key)
    # digits end before ":", so that these are the tokens of this key and no other
    sql = f"SELECT term, doc FROM counts_{segment} WHERE term >= ? AND term < ?"
    counts = Counter(dict(await reader.rows(sql, (f"{letters}0", f"{letters}:"))))
    if not origins:
        return counts
    found: Counter[str] = Counter()
    own = re.compile(rf"\b{tokens.letters(key)}[0-9]+\b")
    first = tokens.numbered_id(segment, 0)
    sql = f"SELECT id - ?, attributes FROM {origins[0]} WHERE id BETWEEN ? AND ?"
    for number, attributes in await reader.rows(sql, (first, first, tokens.numbered_id(segment + 1, 0) - 1)):
        for token in own.findall(attributes):
            found[token] += counts[f"{letters}{number}"]
    return found


@dataclass(frozen=True, slots=True)
class Key:
    """A key of one segment: its number, scope and type."""

    number: int
    scope: str
    type: str


async def keys_named(reader: Reader, names: Iterable[str]) -> dict[tuple[int, str], list[Key]]:
    """The keys with one of these names, by segment and name."""
    wanted = list(names)
    found: dict[tuple[int, str], list[Key]] = {}
    sql = f"SELECT segment, name, number, scope, type FROM keys WHERE name IN ({', '.join('?' * len(wanted))})"
    for segment, name, *key in await reader.rows(sql, wanted):
        found.setdefault((segment, name), []).append(Key(*key))
    return found


async def tokens_with(reader: Reader, segment: int, keys: Iterable[Key], wanted: Attribute) -> set[str]:
    """The tokens of a segment's values that fulfil a condition; of these keys those that can."""
    found: set[str] = set()
    for key in keys:
        is_meant = key.scope == wanted.scope if wanted.scope else key.scope != INTRINSIC
        if is_meant and _can_fit(wanted, key.type):
            found |= await _tokens_of_key(reader, segment, key.number, wanted)
    return found


def _can_fit(wanted: Attribute, type_: str) -> bool:
    match wanted.value:
        case bool():
            return type_ == values.BOOL
        case int() | float():
            return type_ in _NUMBERS
    return type_ == values.STRING


async def _tokens_of_key(reader: Reader, segment: int, key: int, wanted: Attribute) -> set[str]:
    first = tokens.first_id(segment, key)
    bounds = (first, first + _LAST)
    value = wanted.value
    if wanted.operator == "=" and isinstance(value, str):
        sql = f"""
            SELECT dictionary.id
            FROM words_{segment} CROSS JOIN dictionary ON dictionary.id = words_{segment}.rowid
            WHERE words_{segment} MATCH ? AND words_{segment}.rowid BETWEEN ? AND ? AND value = ?
        """
        rows = await reader.rows(sql, (f'"{exact_word(value)}"', *bounds, value))
    elif wanted.operator == "contains" and len(str(value)) < MAX_PATTERN:
        # three times as quick as instr(lower(value), …), which takes what is too long for a pattern
        sql = "SELECT id FROM dictionary WHERE id BETWEEN ? AND ? AND value LIKE ? ESCAPE char(92)"
        escaped = re.sub(r"([\\%_])", r"\\\1", str(value))
        rows = await reader.rows(sql, (*bounds, f"%{escaped}%"))
    elif wanted.operator == "contains":
        sql = "SELECT id FROM dictionary WHERE id BETWEEN ? AND ? AND instr(lower(value), lower(?))"
        rows = await reader.rows(sql, (*bounds, value))
    elif callable(value):
        rows = await reader.rows("SELECT id, value FROM dictionary WHERE id BETWEEN ? AND ?", bounds)
        rows = await work(_fitting, rows, value, size=len(rows))
    else:
        sql = f"SELECT id FROM dictionary WHERE id BETWEEN ? AND ? AND value {wanted.operator} ?"
        rows = await reader.rows(sql, (*bounds, value))
    return tokens.tokens_of(row[0] for row in rows)


def _fitting(rows: list[Any], fits: Callable[[str], Any]) -> list[Any]:
    return [row for row in rows if fits(row[1])]


async def tokens_with_word(reader: Reader, segment: int, word: str) -> set[str]:
    """The tokens of a segment's values in which a word begins with this one, in any case.

    A "word" with other characters than letters and digits in it must stand in the value as it is.
    """
    parts = [part for part in re.split(r"[\W_]+", word.replace(EXACT, "")) if part]
    if not parts:
        sql = "SELECT id FROM dictionary WHERE id BETWEEN ? AND ? AND typeof(value) != 'blob' AND instr(value, ?)"
        bounds = (tokens.first_id(segment), tokens.first_id(segment + 1) - 1)
        return tokens.tokens_of(row[0] for row in await reader.rows(sql, (*bounds, word)))
    query = " AND ".join(f'"{part}" *' for part in parts)
    if parts == [word]:
        rows = await reader.rows(f"SELECT rowid FROM words_{segment} WHERE words_{segment} MATCH ?", (query,))
    else:
        sql = f"""
            SELECT dictionary.id
            FROM words_{segment} CROSS JOIN dictionary ON dictionary.id = words_{segment}.rowid
            WHERE words_{segment} MATCH ? AND instr(lower(value), lower(?))
        """
        rows = await reader.rows(sql, (query, word))
    return tokens.tokens_of(row[0] for row in rows)
