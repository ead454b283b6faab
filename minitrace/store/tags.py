"""What there is to choose from while a query is typed: the names of attributes, and the values of one.

Both are read off the tokens of one segment after the other, the newest first:

- All spans: the index of a segment knows how many spans have each token; `keys` knows the names.
- The spans that meet a condition: the tokens of the newest of them are counted, `FEW_SPANS` in each segment. So what
  is common among them is found, and what is rare may be missing. Parts of the condition that neither SQL nor the
  index can say count as true.

What resources and scopes have stands once for many spans: it counts as often as they do.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncGenerator, Container, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from minitrace.errors import QueryTimeout
from minitrace.model import MAX_TIME_NS, Kind, StatusCode
from minitrace.store import tokens, values
from minitrace.store.conditions import ALL, parts_of
from minitrace.store.database import Reader, work
from minitrace.store.dictionary import keys_named
from minitrace.store.plan import cover
from minitrace.store.resolve import OF_TRACE, TRACES, Conditions, Inexpressible
from minitrace.store.segment import INTRINSIC, LOG_SCOPE, RECORD, RESOURCE_SCOPE, SCOPE_SCOPE, SPAN_SCOPE
from minitrace.store.segments import Segment, Segments
from minitrace.traceql.ast import Attribute, Field, Intrinsic, Value

MOST_VALUES = 5_000  # what Grafana asks for
LONGEST_VALUE = 2_048  # characters; nobody chooses a longer one from a list
FEW_SPANS = 1_000  # that meet a condition, of each segment: 2 ms to find them, if they are common, and 2 ms to count
MANY_SPANS = 10_000  # and of all segments
MANY_TOKENS = 10_000  # of a key, 4 µs each: where the newest segments have as many, older ones are not looked at
MANY_TRACES = 100_000  # the newest ones, that are asked for their roots: 50 ms

_RESOURCES, _SCOPES = tokens.letters(tokens.RESOURCE), tokens.letters(tokens.SCOPE)
_ORIGINS = {_RESOURCES: "resource", _SCOPES: "scope"}
_ROOTS = ("rootName", "rootServiceName")
_TEXTS = ("name", "statusMessage", "event:name", "instrumentation:name", "instrumentation:version")
_FIXED: dict[str, list[Value]] = {
    "status": [StatusCode.OK, StatusCode.ERROR, StatusCode.UNSET],
    "kind": [Kind.CLIENT, Kind.SERVER, Kind.PRODUCER, Kind.CONSUMER, Kind.INTERNAL, Kind.UNSPECIFIED],
}
_TYPES = (values.STRING, values.BOOL, values.INT, values.DOUBLE, values.ARRAY)  # what TraceQL can compare
# All tokens of a span, but for its duration and status
_TOKENS = "attributes || ' a' || resource || ' b' || scope || ' e' || name || coalesce(' ' || more, '')"

Found = Counter[tuple[type, Any]]  # values, told apart by their type as well: 1, 1.0 and True are equal


@dataclass(frozen=True, slots=True)
class Among:
    """The spans to choose from: those that meet the condition, and start in the time.

    The time is heeded where there is a condition; otherwise it only leaves out segments that are too old.
    """

    condition: Field | None = None
    start_ns: int = 0
    end_ns: int = MAX_TIME_NS


async def tags(reader: Reader, among: Among) -> dict[str, list[str]]:
    """The names of attributes by their scope, in alphabetical order; at the deadline those found so far."""
    found: set[tuple[str, str]] = set()
    with suppress(QueryTimeout):
        spans = await _Spans.of(reader, among)
        async for segment in spans.newest():
            found |= (await spans.names(segment, await spans.where(segment))).keys()
    by_scope: dict[str, list[str]] = {}
    for scope, name in sorted(found):
        by_scope.setdefault(scope, []).append(name)
    return by_scope


async def tag_counts(reader: Reader, among: Among) -> AsyncGenerator[Counter[tuple[str, str]]]:
    """How many spans have each attribute, by its scope and name; after every segment what was found so far.

    They are counted among the newest spans that meet the condition, or the newest of all.
    """
    found: Counter[tuple[str, str]] = Counter()
    with suppress(QueryTimeout):
        spans = await _Spans.of(reader, among)
        async for segment in spans.newest():
            these = await spans.where(segment)
            if these is None and not found:
                found.update(await spans.names(segment, spans.all(segment)))
            found.update(await spans.names(segment, these))
            yield found


async def tag_values(reader: Reader, field: Attribute | Intrinsic, among: Among, limit: int) -> list[Value]:
    """The values of an attribute or intrinsic, the commonest first; at the deadline those found so far.

    Elements of arrays are values of their own. There are none for ids, durations, and places in a trace.
    """
    if isinstance(field, Intrinsic) and field.name in _FIXED:
        return _FIXED[field.name][:limit]
    found: Found = Counter()
    async for counts in value_counts(reader, field, among, limit):
        found = counts
    return [value for (_, value), _ in found.most_common(limit)]


async def value_counts(reader: Reader, field: Attribute | Intrinsic, among: Among, limit: int) -> AsyncGenerator[Found]:
    """How many spans have each value of a field; after every segment what was found so far. No states and kinds."""
    found: Found = Counter()
    with suppress(QueryTimeout):
        spans = await _Spans.of(reader, among)
        is_of_root = isinstance(field, Intrinsic) and field.name in _ROOTS
        async for part in _roots(spans, field.name) if is_of_root else _values(spans, field, limit):
            found.update(part)
            yield found


async def _values(spans: _Spans, field: Attribute | Intrinsic, limit: int) -> AsyncGenerator[Found]:
    """The values in one segment after the other, and how many spans have each."""
    scopes = _scopes(field)
    keys = await keys_named(spans.reader, [field.name]) if scopes else {}
    async for segment in spans.newest():
        own = [key for key in keys.get((segment.id, field.name), []) if key.scope in scopes and key.type in _TYPES]
        if not own:
            continue
        types = {tokens.letters(key.number): key.type for key in own}
        stored = {_origin(key.scope, field.name) or tokens.letters(key.number) for key in own}
        counts = await spans.counts(segment, types, stored)
        commonest = await work(_commonest, segment.id, counts, limit, size=len(counts))
        ids = ", ".join(map(str, sorted(commonest)))
        sql = f"SELECT id, value FROM dictionary WHERE id IN ({ids}) AND length(value) <= {LONGEST_VALUE}"
        rows = await spans.reader.rows(sql)
        yield await work(_read, rows, commonest, types, counts, size=len(rows))


def _scopes(field: Attribute | Intrinsic) -> tuple[str, ...]:
    """The scopes whose keys of this name are meant. A parent's attributes are those of spans, too."""
    if isinstance(field, Intrinsic):
        return (INTRINSIC,) if field.name in _TEXTS else ()
    return (field.scope,) if field.scope else (SPAN_SCOPE, RESOURCE_SCOPE)


def _origin(scope: str, name: str) -> str | None:
    """The letters of the resources or scopes, where a key's tokens stand with those."""
    if scope == RESOURCE_SCOPE:
        return _RESOURCES
    return _SCOPES if scope == SCOPE_SCOPE or name.startswith("instrumentation:") else None


def _commonest(segment: int, counts: Counter[str], limit: int) -> dict[int, str]:
    """The commonest tokens by the ids of their values."""
    return tokens.ids_of(segment, (token for token, _ in counts.most_common(limit)))


def _read(rows: list[Any], by_id: dict[int, str], types: dict[str, str], counts: Counter[str]) -> Found:
    """Values from rows of `dictionary`, and the counts of their tokens."""
    found: Found = Counter()
    for id_, column in rows:
        token = by_id[id_]
        for value in _elements(values.from_column(types[tokens.prefix(token)], column)):
            found[type(value), value] += counts[token]
    return found


def _elements(value: Any) -> Iterator[str | int | float]:
    """What can be written in a query of a value, or of each element of an array."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str | int) or (isinstance(one, float) and math.isfinite(one)):
            yield one


async def _roots(spans: _Spans, intrinsic: str) -> AsyncGenerator[Found]:
    """What the roots of traces are, and how many traces have each; those with a condition: how many spans."""
    value = OF_TRACE[intrinsic]
    async for segment in spans.newest():
        these = await spans.where(segment)
        if these is None:
            newest = f"traces.id IN (SELECT id FROM traces ORDER BY id DESC LIMIT {MANY_TRACES})"
            yield _texts(await spans.reader.rows(f"SELECT {value}, count(*) FROM {TRACES} WHERE {newest} GROUP BY 1"))
            return
        where, bound = these
        sql = f"""
            SELECT {value}, count(*)
            FROM (SELECT trace FROM spans {where}) AS found CROSS JOIN {TRACES}
            WHERE traces.id = found.trace
            GROUP BY 1
        """
        yield _texts(await spans.reader.rows(sql, bound))


def _texts(rows: list[Any]) -> Found:
    return Counter({(str, text): count for text, count in rows})


class _Spans:
    """The spans of `Among`, segment by segment, as their tokens tell of them."""

    def __init__(self, reader: Reader, segments: Segments, among: Among) -> None:
        self.reader = reader
        self._segments = segments
        self._among = among
        parts = parts_of(cover(among.condition))
        self._parts = [Conditions(reader, segments, part) for part in parts if part != ALL]
        self._span_count = self._token_count = 0

    @classmethod
    async def of(cls, reader: Reader, among: Among) -> _Spans:
        return cls(reader, await Segments.read(reader), among)

    async def newest(self) -> AsyncGenerator[Segment]:
        """The segments in the time, the newest first, until enough was counted."""
        for segment in sorted(self._segments.all, key=lambda one: (one.newest_start_ns, one.id), reverse=True):
            if self._span_count >= MANY_SPANS or self._token_count >= MANY_TOKENS:
                return
            if segment.newest_start_ns >= self._among.start_ns:
                yield segment

    async def where(self, segment: Segment) -> tuple[str, list[Any]] | None:
        """What stands behind ``FROM spans`` for the newest spans of a segment, and what is bound in it.

        None if nothing is asked of them that SQL can say.
        """
        texts, bound = [], list[Any]()
        for part in list(self._parts):
            asked = await _ask(part, segment)
            if asked is None:
                self._parts.remove(part)  # in older segments it will be no better
            else:
                texts.append(asked[0])
                bound += asked[1]
        if not texts:
            return None
        sql, times = self.all(segment, " AND ".join(texts))
        return sql, [*bound, *times]

    def all(self, segment: Segment, condition: str = "1") -> tuple[str, list[Any]]:
        """The same for the newest spans of a segment in the time, whatever else is asked."""
        # NOT INDEXED: in the order of their ids, and not by trace, of which there may be 100 000
        sql = f"""
            NOT INDEXED
            WHERE {condition} AND start_ns BETWEEN ? AND ? AND spans.id BETWEEN ? AND ?
            ORDER BY spans.id DESC
            LIMIT {FEW_SPANS}
        """
        return sql, [self._among.start_ns, self._among.end_ns, segment.first_span, segment.last_span]

    async def names(self, segment: Segment, these: tuple[str, list[Any]] | None) -> Counter[tuple[str, str]]:
        """The scope and name of each attribute of the spans that `where` found, and how many of them have it.

        Of all attributes in a segment, without counts, where it found nothing to ask.
        """
        sql = "SELECT scope, name, number FROM keys WHERE segment = ? AND scope NOT IN (?, ?, ?)"
        keys = await self.reader.rows(sql, (segment.id, INTRINSIC, LOG_SCOPE, RECORD))
        if these is None:
            return Counter({(scope, name): 0 for scope, name, _ in keys})
        counts = await work(_by_key, await self._matching(segment, *these), size=FEW_SPANS)
        found: Counter[tuple[str, str]] = Counter()
        for scope, name, key in keys:
            if count := counts[tokens.letters(key)]:
                found[scope, name] += count
        return found

    async def counts(self, segment: Segment, wanted: Container[str], stored: set[str]) -> Counter[str]:
        """How many spans have each token that begins with the wanted letters; `stored` are those the index has."""
        these = await self.where(segment)
        found = await self._indexed(segment, stored) if these is None else await self._matching(segment, *these)
        own = await work(_beginning, found, wanted, size=len(found))
        self._token_count += len(own)
        return own

    async def _indexed(self, segment: Segment, stored: set[str]) -> Counter[str]:
        """How many spans of a segment have each token of some letters, by its index."""
        # digits end before ":", so that these are the tokens of this key and no other
        sql = f"SELECT term, doc FROM counts_{segment.id} WHERE term >= ? AND term < ?"
        found: Counter[str] = Counter()
        for letters in stored:
            rows = await self.reader.rows(sql, (f"{letters}0", f"{letters}:"))
            await work(found.update, dict(rows), size=len(rows))
        return await self._with_origins(segment, found, stored)

    async def _matching(self, segment: Segment, where: str, bound: list[Any]) -> Counter[str]:
        """How many of the spans that meet a condition have each token."""
        rows = await self.reader.rows(f"SELECT {_TOKENS} FROM spans {where}", bound)
        self._span_count += len(rows)
        return await self._with_origins(segment, await work(_count, rows, size=len(rows)), _ORIGINS)

    async def _with_origins(self, segment: Segment, counts: Counter[str], letters: Container[str]) -> Counter[str]:
        """Add what the resources and scopes have, if they are of these letters, as often as they are counted."""
        for column in (column for letter, column in _ORIGINS.items() if letter in letters):
            for origin, own in (await self._segments.origins(segment.id, column)).items():
                if count := counts[origin]:
                    counts.update(dict.fromkeys(own, count))
        return counts


async def _ask(part: Conditions, segment: Segment) -> tuple[str, list[Any]] | None:
    """A condition as SQL; of one that SQL cannot say, what the index knows of it, and None if that is nothing."""
    try:
        return await part.where(segment)
    except Inexpressible:
        query = await part.index_query(segment)  # finds rather too many than too few
    if query is None:
        return "0", []
    index = f"postings_{segment.id}"
    return (f"spans.id IN (SELECT rowid FROM {index} WHERE {index} MATCH ?)", [query]) if query else None


def _count(rows: Iterable[tuple[str]]) -> Counter[str]:
    return Counter(" ".join(text for (text,) in rows).split())


def _by_key(counts: Counter[str]) -> Counter[str]:
    """Counts of tokens by the letters of their keys."""
    found: Counter[str] = Counter()
    for token, count in counts.items():
        found[tokens.prefix(token)] += count
    return found


def _beginning(counts: Counter[str], letters: Container[str]) -> Counter[str]:
    return Counter({token: count for token, count in counts.items() if tokens.prefix(token) in letters})
