"""Spans grouped in SQL by a field: an expression over the columns of `spans`, and what its results stand for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from minitrace.model import Kind, StatusCode
from minitrace.store import tokens, values
from minitrace.store.database import Reader
from minitrace.store.dictionary import Key, count_of_key, keys_named
from minitrace.store.resolve import OF_TRACE, TRACES, Inexpressible
from minitrace.store.segment import RESOURCE_SCOPE, SCOPE_SCOPE, SPAN_SCOPE
from minitrace.store.segments import Segments
from minitrace.traceql.ast import Attribute, Intrinsic, Value
from minitrace.traceql.values import known

Meanings = dict[Any, Value]  # by what the expression gave
MOST_VALUES = 64  # of a span's attribute; each is looked for in the text of its tokens
_STATUSES = {code.value: code for code in StatusCode}
_KINDS = {kind.value: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Grouping:
    """An SQL expression about a span, and a function from what it gave to values of the field; None for nil."""

    sql: str
    meanings: Callable[[Iterable[Any]], Awaitable[Meanings]]


async def grouping(reader: Reader, segments: Segments, segment: int, field: Attribute | Intrinsic) -> Grouping:
    """How to group the spans of a segment by a field.

    Raises:
        Inexpressible: it stands neither in a column, nor with the resource or scope.
    """
    if isinstance(field, Intrinsic):
        return _by_intrinsic(reader, segment, field.name)
    if field.of_parent:
        raise Inexpressible
    keys = (await keys_named(reader, [field.name])).get((segment, field.name), [])
    keys = [key for key in keys if key.type != values.EMPTY]
    of_span = [key for key in keys if key.scope == SPAN_SCOPE]
    match field.scope:
        case "instrumentation":
            return _by_origin(reader, segments, segment, keys, SCOPE_SCOPE)
        case "resource":
            return _by_origin(reader, segments, segment, keys, RESOURCE_SCOPE)
        case "span":
            return await _by_token(reader, segment, of_span, _NOWHERE)
        case None:  # what the span has hides what its resource has
            return await _by_token(
                reader, segment, of_span, _by_origin(reader, segments, segment, keys, RESOURCE_SCOPE)
            )
    raise Inexpressible


def _by_origin(reader: Reader, segments: Segments, segment: int, keys: Iterable[Key], scope: str) -> Grouping:
    """By what resources or scopes have, of keys of one name."""
    column, letter = ("resource", "a") if scope == RESOURCE_SCOPE else ("scope", "b")
    types = {tokens.letters(key.number): key.type for key in keys if key.scope == scope}

    async def meanings(found: Iterable[Any]) -> Meanings:
        origins = await segments.origins(segment, column)
        own = {
            number: next((token for token in origins[f"{letter}{number}"] if tokens.prefix(token) in types), None)
            for number in found
        }
        read = await _values(reader, segment, types, {token for token in own.values() if token})
        return {number: read[token] if token else None for number, token in own.items()}

    return Grouping(f"spans.{column}", meanings)


async def _by_token(reader: Reader, segment: int, keys: Sequence[Key], otherwise: Grouping) -> Grouping:
    """By what spans themselves have, if that is one of a few values; by something else where they have nothing."""
    if not keys:
        return otherwise
    types = {tokens.letters(key.number): key.type for key in keys}
    counts = [await count_of_key(reader, segment, key.number) for key in keys]
    if sum(counts) > MOST_VALUES:
        raise Inexpressible
    own = [f"{letters}{n + 1}" for letters, count in zip(types, counts, strict=True) for n in range(count)]
    marks = ", ".join("?" * len(own))
    docs = dict(await reader.rows(f"SELECT term, doc FROM counts_{segment} WHERE term IN ({marks})", own))
    own.sort(key=lambda token: -docs.get(token, 0))  # the first that fits ends the search
    cases = "".join(f" WHEN instr(' ' || spans.attributes || ' ', ' {token} ') THEN '{token}'" for token in own)

    async def meanings(found: Iterable[Any]) -> Meanings:
        of_span = {one for one in found if isinstance(one, str)}
        others = await otherwise.meanings([one for one in found if not isinstance(one, str)])
        return {**others, **await _values(reader, segment, types, of_span)}

    has_none = " AND ".join(f"NOT instr(spans.attributes, '{letters}')" for letters in types)  # most spans, quickly
    return Grouping(f"CASE WHEN {has_none} THEN {otherwise.sql} {cases} ELSE {otherwise.sql} END", meanings)


async def _values(reader: Reader, segment: int, types: dict[str, str], wanted: Iterable[str]) -> dict[str, Value]:
    """What tokens stand for, out of keys of these types."""
    by_id = tokens.ids_of(segment, wanted)
    rows = await reader.rows(f"SELECT id, value FROM dictionary WHERE id IN ({', '.join(map(str, by_id))})")
    return {by_id[id_]: known(values.from_column(types[tokens.prefix(by_id[id_])], value)) for id_, value in rows}


def _by_intrinsic(reader: Reader, segment: int, name: str) -> Grouping:
    if name in ("rootName", "rootServiceName"):
        return Grouping(f"(SELECT {OF_TRACE[name]} FROM {TRACES} WHERE traces.id = spans.trace)", as_it_is)
    if name == "status":
        return Grouping("spans.status", _by(lambda number: _STATUSES.get(number, StatusCode.UNSET)))
    if name == "kind":
        return Grouping("spans.kind", _by(lambda number: _KINDS.get(number, Kind.UNSPECIFIED)))
    if name != "name":
        raise Inexpressible

    async def meanings(found: Iterable[Any]) -> Meanings:
        first = tokens.first_id(segment, tokens.NAME)
        ids = ", ".join(str(first + number) for number in found)
        rows = await reader.rows(f"SELECT id - {first}, value FROM dictionary WHERE id IN ({ids})")
        return dict(rows)

    return Grouping("spans.name", meanings)


def _by(meaning: Callable[[Any], Value]) -> Callable[[Iterable[Any]], Awaitable[Meanings]]:
    async def meanings(found: Iterable[Any]) -> Meanings:
        return {one: meaning(one) for one in found}

    return meanings


as_it_is = _by(lambda value: value)
_NOWHERE = Grouping("NULL", as_it_is)
