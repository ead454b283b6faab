"""What a search asks of a span, as tokens of a segment.

A condition is met by a span that has one of a set of tokens; the set is made for each segment when it is first
needed. Durations are compared by their column, too: their tokens only say how many digits they have, and the first.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from minitrace.model import MAX_TIME_NS
from minitrace.store import tokens, values
from minitrace.store.database import Reader, work
from minitrace.store.dictionary import Attribute, Key, keys_named, tokens_with, tokens_with_word
from minitrace.store.segment import EVENT_SCOPE, INTRINSIC, LINK_SCOPE, SPAN_SCOPE

MOST_TERMS = 400  # in the index query of one condition: 10 µs each
_SPANS_OWN = (SPAN_SCOPE, EVENT_SCOPE, LINK_SCOPE, INTRINSIC)  # whose tokens stand in the span's row
_NAME = Key(tokens.NAME, INTRINSIC, values.STRING)


@dataclass(frozen=True, slots=True)
class Filter:
    """What to look for: every condition must hold on one and the same span.

    `start_ns` (included) and `end_ns` (not included) bound the start of the trace. `text` is words, each of which
    must begin a word of the span's name, status message, event names or any value of its attributes, or its
    resource's, scope's, events' or links', in any case.
    """

    service: str | None = None
    name: str | None = None
    status: int | None = None
    kind: int | None = None
    min_duration_ns: int | None = None
    max_duration_ns: int | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    text: str | None = None
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of the file, with the range of its spans' ids."""

    id: int
    first_span: int
    newest_start_ns: int


def _with_tokens(rows: list[Any], sets: list[set[str]]) -> list[Any]:
    """The rows that have a token of every set."""
    kept = []
    for row in rows:
        own = {f"a{row[8]}", f"b{row[9]}", f"e{row[3]}", *row[10].split(), *(row[11] or "").split()}
        if not any(own.isdisjoint(found) for found in sets):
            kept.append(row)
    return kept


class Conditions:
    """The conditions of one search."""

    def __init__(self, reader: Reader, wanted: Filter) -> None:
        self.segments: list[Segment] = []  # by their ids
        self._reader = reader
        self._wanted = wanted
        self._words = tuple(dict.fromkeys((wanted.text or "").split()))
        self._keys: dict[tuple[int, str], list[Key]] = {}
        self._origins: dict[int, list[tuple[str, set[str]]]] = {}  # tokens of resources and scopes, and what they have
        self._sets: dict[int, list[set[str]]] = {}
        self.are_any = any(
            value is not None and value != ()
            for value in (wanted.service, wanted.name, wanted.status, wanted.kind, wanted.min_duration_ns,
                          wanted.max_duration_ns, self._words, wanted.attributes)
        )  # fmt: skip

    async def prepare(self) -> None:
        """Read which segments there are, and the keys that are asked for."""
        sql = "SELECT id, first_span, newest_start_ns FROM segments WHERE state < 2 ORDER BY id"
        self.segments = [Segment(*row) for row in await self._reader.rows(sql)]
        self._firsts = [segment.first_span for segment in self.segments]
        if self._wanted.attributes:
            self._keys = await keys_named(self._reader, {attribute.name for attribute in self._wanted.attributes})

    def segment_of(self, span: int) -> Segment:
        """The segment of a span's row."""
        return self.segments[bisect_right(self._firsts, span) - 1]

    async def index_query(self, segment: Segment) -> str | None:
        """An FTS5 query for spans that may match: "" if there is none to ask, None if no span can match."""
        sets = [*await self._token_sets(segment), *self._coarse_sets()]
        if not all(sets):
            return None
        terms = [" OR ".join(sorted(found)) for found in sets if len(found) <= MOST_TERMS]
        return " AND ".join(f"({term})" for term in terms)

    def on_columns(self) -> tuple[str, list[Any]]:
        """The conditions that columns of `spans` can tell, as SQL and what is bound in it."""
        wanted = self._wanted
        conditions, parameters = ["1"], []
        for condition, value in (
            ("status = ?", wanted.status),
            ("kind = ?", wanted.kind),
            ("duration_ns >= ?", wanted.min_duration_ns),
            ("duration_ns <= ?", wanted.max_duration_ns),
            ("service = (SELECT id FROM services WHERE services.name = ?)", wanted.service),
        ):
            if value is not None:
                conditions.append(condition)
                parameters.append(value)
        return " AND ".join(conditions), parameters

    async def filter(self, rows: list[Any]) -> list[Any]:
        """Of these rows of spans (see `search.py`) those that meet all conditions that are about tokens."""
        if not (self._wanted.name is not None or self._words or self._wanted.attributes):
            return rows
        firsts = [*self._firsts[1:], MAX_TIME_NS]
        kept: list[Any] = []
        for segment, next_first in zip(self.segments, firsts, strict=True):
            own = [row for row in rows if segment.first_span <= row[0] < next_first]
            if own:
                kept += await work(_with_tokens, own, await self._token_sets(segment), size=len(own))
        return kept

    def _coarse_sets(self) -> list[set[str]]:
        """Tokens for what columns tell exactly."""
        wanted, found = self._wanted, []
        if wanted.status:
            found.append({f"c{wanted.status & 0xFFFF}"})
        if wanted.min_duration_ns is not None or wanted.max_duration_ns is not None:
            longest = MAX_TIME_NS if wanted.max_duration_ns is None else wanted.max_duration_ns
            found.append(tokens.duration_tokens(wanted.min_duration_ns or 0, longest))
        return found

    async def _token_sets(self, segment: Segment) -> list[set[str]]:
        """For each condition the tokens that meet it."""
        if segment.id not in self._sets:
            wanted = self._wanted
            found = []
            if wanted.service is not None:
                found.append(await self._service_tokens(segment.id, wanted.service))
            if wanted.name is not None:
                name = Attribute("name", "=", wanted.name, INTRINSIC)
                found.append(await tokens_with(self._reader, segment.id, [_NAME], name))
            found += [await self._attribute_tokens(segment.id, attribute) for attribute in wanted.attributes]
            for word in self._words:
                own = await tokens_with_word(self._reader, segment.id, word)
                found.append(await self._with_origins(segment.id, own))
            self._sets[segment.id] = found
        return self._sets[segment.id]

    async def _attribute_tokens(self, segment: int, attribute: Attribute) -> set[str]:
        keys = self._keys.get((segment, attribute.name), [])
        own = await tokens_with(self._reader, segment, keys, attribute)
        if attribute.scope in _SPANS_OWN or all(key.scope in _SPANS_OWN for key in keys):
            return own
        return await self._with_origins(segment, own)

    async def _service_tokens(self, segment: int, service: str) -> set[str]:
        sql = """
            SELECT id FROM resources
            WHERE id BETWEEN ? AND ? AND service = (SELECT id FROM services WHERE name = ?)
        """
        rows = await self._reader.rows(sql, (*self._origin_bounds(segment), service))
        return {f"a{row[0] - tokens.numbered_id(segment, 0)}" for row in rows}

    async def _with_origins(self, segment: int, found: set[str]) -> set[str]:
        """These tokens, and those of the resources and scopes that have one of them."""
        if not found:
            return found
        if segment not in self._origins:
            first = tokens.numbered_id(segment, 0)
            self._origins[segment] = [
                (f"{letter}{id_ - first}", set(attributes.split()))
                for letter, table in (("a", "resources"), ("b", "scopes"))
                for id_, attributes in await self._reader.rows(
                    f"SELECT id, attributes FROM {table} WHERE id BETWEEN ? AND ?", self._origin_bounds(segment)
                )
            ]
        found.update([token for token, own in self._origins[segment] if not found.isdisjoint(own)])
        return found

    def _origin_bounds(self, segment: int) -> tuple[int, int]:
        return tokens.numbered_id(segment, 0), tokens.numbered_id(segment + 1, 0) - 1
