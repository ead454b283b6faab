"""The distinct keys and values of attributes: what there is to choose from, and which values fit a condition.

Every segment has its own; what they have in common is put together here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from minitrace.store import tokens, values
from minitrace.store.database import IN_THREAD, Reader, work
from minitrace.store.segment import EXACT, INTRINSIC, LOG_SCOPE, RECORD, SCOPE_SCOPE, SCOPES_OF_SPANS, exact_word
from minitrace.traceql import ast as traceql
from minitrace.traceql.fields import compile_test
from minitrace.traceql.names import pattern_text
from minitrace.traceql.patterns import CALL_BUDGET_S, Pattern, compile_pattern

MOST_ALTERNATIVES = 100  # of a pattern such as "a|b", each looked up
MAX_PATTERN = 10_000  # characters; SQLite refuses patterns of 50 000 bytes
# Also what is a letter to Python, and none to FTS5: signs of New Tai Lue and of the Vedas. It refuses words with them.
_BETWEEN_WORDS = re.compile(r"[\W_\u19b0-\u19c9\u1cf2\u1cf3]+")
_NUMBERS = (values.INT, values.DOUBLE)
_LAST = (1 << tokens.COUNT_BITS) - 1  # the largest count of a key's values


@dataclass(frozen=True, slots=True)
class AttributeKey:
    """A key of one scope and type; `value_count` distinct values are in the largest segment that has it."""

    scope: str
    name: str
    type: str
    value_count: int


async def attribute_keys(reader: Reader) -> list[AttributeKey]:
    """All keys of spans, in alphabetical order."""
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
                WHERE state < 2 AND scope NOT IN ('{LOG_SCOPE}', '{RECORD}')
            )
        )
        WHERE value_count
        GROUP BY scope, name, type
        ORDER BY scope, name, type
    """
    return [AttributeKey(*row) for row in await reader.rows(sql)]


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


async def count_of_key(reader: Reader, segment: int, key: int) -> int:
    """How many values a key has in a segment: they are counted from 1."""
    first = tokens.first_id(segment, key)
    ((last,),) = await reader.rows("SELECT max(id) FROM dictionary WHERE id BETWEEN ? AND ?", (first, first + _LAST))
    return last - first if last else 0


async def tokens_with(reader: Reader, segment: int, key: Key, operator: str, literal: traceql.Value) -> set[str]:
    """The tokens of a key's values for which `value operator literal` holds, as TraceQL means it."""
    first = tokens.first_id(segment, key.number)
    bounds = (first, first + _LAST)
    if key.type == values.ARRAY and operator != "is":
        found = await _among_arrays(reader, bounds, operator, literal)
    elif not _is_comparable(key.type, literal):
        return set()
    elif operator in ("=~", "!~"):
        found = await _among_strings(reader, bounds, segment, operator, compile_pattern(str(literal)))
    elif operator == "=" and isinstance(literal, str):
        found = await _equal_strings(reader, bounds, segment, [literal])
    else:
        found = await _among_ordered(reader, bounds, operator, literal)
    return tokens.tokens_of(found)


def _is_comparable(type_: str, literal: traceql.Value) -> bool:
    """Whether values of a type can be compared with a literal; all other comparisons are false."""
    if type(literal) is bool:
        return type_ == values.BOOL
    if type(literal) in (int, float, traceql.Duration):
        return type_ in _NUMBERS
    return type(literal) is str and type_ == values.STRING


async def _among_ordered(
    reader: Reader, bounds: tuple[int, int], operator: str, literal: traceql.Value
) -> Iterable[int]:
    """SQLite compares numbers exactly, and strings byte by byte, as TraceQL does. NaN is stored as NULL."""
    or_nan = " OR value IS NULL" if operator == "!=" else ""
    sql = f"SELECT id FROM dictionary WHERE id BETWEEN ? AND ? AND (value {operator} ?{or_nan})"
    return (row[0] for row in await reader.rows(sql, (*bounds, literal)))


async def _among_arrays(
    reader: Reader, bounds: tuple[int, int], operator: str, literal: traceql.Value
) -> Iterable[int]:
    rows = await reader.rows("SELECT id, value FROM dictionary WHERE id BETWEEN ? AND ?", bounds)
    test = compile_test(operator, literal)

    def fulfilling() -> list[int]:
        return [id_ for id_, column in rows if test(values.from_column(values.ARRAY, column))]  # type: ignore[arg-type]

    return await work(fulfilling, size=IN_THREAD)


async def _equal_strings(reader: Reader, bounds: tuple[int, int], segment: int, wanted: Sequence[str]) -> Iterable[int]:
    """The strings that are one of these, by the index of words."""
    words = " OR ".join(f'"{exact_word(text)}"' for text in wanted)
    sql = f"""
        SELECT dictionary.id
        FROM words_{segment} CROSS JOIN dictionary ON dictionary.id = words_{segment}.rowid
        WHERE words_{segment} MATCH ? AND words_{segment}.rowid BETWEEN ? AND ?
            AND value IN ({", ".join("?" * len(wanted))})
    """
    return sorted(row[0] for row in await reader.rows(sql, (words, *bounds, *wanted)))


async def _among_strings(
    reader: Reader, bounds: tuple[int, int], segment: int, operator: str, pattern: Pattern
) -> Iterable[int]:
    """The strings that a pattern fits, or does not."""
    if operator == "=~" and pattern.alternatives is not None and len(pattern.alternatives) <= MOST_ALTERNATIVES:
        return await _equal_strings(reader, bounds, segment, pattern.alternatives)
    part = part_of(pattern.text)
    if operator == "=~" and part is not None:
        sql = "SELECT id FROM dictionary WHERE id BETWEEN ? AND ? AND instr(value, ?)"
        return (row[0] for row in await reader.rows(sql, (*bounds, part)))
    condition, bound = _necessary(pattern) if operator == "=~" else ("1", [])
    sql = f"SELECT id, value FROM dictionary WHERE id BETWEEN ? AND ? AND {condition}"
    rows = await reader.rows(sql, (*bounds, *bound))

    def fitting() -> list[int]:
        fits = operator == "=~"
        budget_s = max(0.0, min(reader.deadline - time.monotonic(), CALL_BUDGET_S))
        return [
            row[0]
            for row, does in zip(rows, pattern.among([row[1] for row in rows], budget_s), strict=True)
            if does is fits
        ]

    return await work(fitting, size=IN_THREAD)


def _necessary(pattern: Pattern) -> tuple[str, list[Any]]:
    """What SQLite can say, more quickly, of all values that a pattern fits."""
    if pattern.prefix and "\0" not in pattern.prefix:  # where SQLite's texts end
        return "substr(value, 1, ?) = ?", [len(pattern.prefix), pattern.prefix]
    part = part_of(pattern.text.removeprefix("(?i)"))
    if part and part.isascii() and len(part) < MAX_PATTERN:
        # LIKE knows the cases of ASCII only, and ends at a NUL; what has other characters is left to the pattern.
        escaped = re.sub(r"([\\%_])", r"\\\1", part)
        is_odd = "length(value) != length(CAST(value AS BLOB))"
        return f"(value LIKE ? ESCAPE char(92) OR {is_odd})", [f"%{escaped}%"]
    return "1", []


def part_of(pattern: str) -> str | None:
    """The text that a pattern such as ``.*text.*`` finds anywhere; None for other patterns."""
    inner = pattern[2:-2]
    if not (len(pattern) > 4 and pattern.startswith(".*") and pattern.endswith(".*")):
        return None
    text = re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)
    return text if inner == pattern_text(text) else None


def words_in(text: str) -> list[str]:
    """The words of a text as the indexes have them."""
    return [word for word in _BETWEEN_WORDS.split(text.replace(EXACT, "")) if word]


async def tokens_with_word(
    reader: Reader, segment: int, word: str, scopes: Container[str] = SCOPES_OF_SPANS
) -> set[str]:
    """The tokens of a segment's values, of keys of these scopes, in which a word begins with this one, in any case.

    A "word" with other characters than letters and digits in it must stand in the value as it is.
    """
    parts = words_in(word)
    if not parts:
        sql = "SELECT id FROM dictionary WHERE id BETWEEN ? AND ? AND typeof(value) != 'blob' AND instr(value, ?)"
        bounds = (tokens.first_id(segment), tokens.first_id(segment + 1) - 1)
        return await _of_scopes(reader, segment, await reader.rows(sql, (*bounds, word)), scopes)
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
    return await _of_scopes(reader, segment, rows, scopes)


async def _of_scopes(reader: Reader, segment: int, rows: Sequence[Any], scopes: Container[str]) -> set[str]:
    """The tokens of these rows of `dictionary`, as far as their keys are of these scopes."""
    # The name and the version of a scope are intrinsics, as TraceQL calls them.
    sql = f"""
        SELECT number, iif(name LIKE '{SCOPE_SCOPE}:%' AND scope = '{INTRINSIC}', '{SCOPE_SCOPE}', scope)
        FROM keys
        WHERE segment = ?
    """
    keys = await reader.rows(sql, (segment,)) if rows else []
    kept = {number for number, scope in keys if scope in scopes}
    return tokens.tokens_of(row[0] for row in rows if tokens.key_of(row[0]) in kept)
