"""Rows to spans: one trace, whole."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from minitrace.errors import TraceNotFound
from minitrace.model import Attributes, Resource, Scope, Span, Status, Trace, Value
from minitrace.otlp import messages
from minitrace.otlp.decode import read_details
from minitrace.store import tokens, values
from minitrace.store.database import Reader, work
from minitrace.store.segment import TOKENS_OF_SCOPE

_TRACE = "SELECT id, removed_count, is_pinned FROM traces WHERE trace_id = ?"
_SEGMENTS = "SELECT id, first_span, last_span FROM segments ORDER BY id"
_SPANS = """
    SELECT id, trace, span_id, parent_id, resource, scope, name, kind, status, start_ns, duration_ns, flags, details,
        attributes
    FROM spans
    WHERE {these}
    ORDER BY id
"""
_RESOURCES = "SELECT id, dropped_attributes, schema_url, entities, attributes FROM resources WHERE id IN ({ids})"
_SCOPES = "SELECT id, name, version, dropped_attributes, schema_url, attributes FROM scopes WHERE id IN ({ids})"
_KEYS = "SELECT number, scope, name, type FROM keys WHERE segment = ?"

_row_id = itemgetter(0)
Known = dict[str, tuple[str, Value]]  # key and value, by token


@dataclass(frozen=True, slots=True)
class Wanted:
    """What spans are loaded with: attributes of these scopes and names, all for None; status message, events, links."""

    attributes: frozenset[tuple[str, str]] | None = None
    details: bool = True

    def has(self, scope: str, name: str) -> bool:
        """Whether an attribute is asked for."""
        return self.attributes is None or (scope, name) in self.attributes


EVERYTHING = Wanted()


async def load(reader: Reader, trace_id: bytes) -> Trace:
    """All stored spans of a trace; they share their Resource and Scope objects.

    Raises:
        TraceNotFound: none is stored.
    """
    found = await reader.rows(_TRACE, (trace_id,))
    spans = (await Loader(reader).traces([found[0][0]]))[found[0][0]] if found else []
    if not spans:
        raise TraceNotFound(f"no span of trace {trace_id.hex()} is stored")
    return Trace(trace_id, spans, removed_count=found[0][1], is_pinned=bool(found[0][2]))


class Loader:
    """Loads spans, with what is wanted of them. What it has read of a segment it remembers for the next ones."""

    def __init__(self, reader: Reader, wanted: Wanted = EVERYTHING) -> None:
        self._reader = reader
        self._wanted = wanted
        self._segments: list[_Segment] | None = None

    async def traces(self, ids: Iterable[int]) -> dict[int, list[Span]]:
        """The spans of traces, by the traces' ids in `traces`."""
        spans: dict[int, list[Span]] = {trace: [] for trace in ids}
        for row, span in await self._load(f"trace IN ({', '.join(map(str, spans))})"):
            spans[row[1]].append(span)
        return spans

    async def spans(self, ids: Iterable[int]) -> dict[int, Span]:
        """Those spans that have these ids in `spans`, by them."""
        return {row[0]: span for row, span in await self._load(f"id IN ({', '.join(map(str, ids))})")}

    async def _load(self, these: str) -> list[tuple[Any, Span]]:
        """Spans with their rows, in the order of their ids."""
        rows = await self._reader.rows(_SPANS.format(these=these))
        ids = ", ".join({str(row[1]) for row in rows})
        trace_ids = dict(await self._reader.rows(f"SELECT id, trace_id FROM traces WHERE id IN ({ids})"))
        if self._segments is None:
            self._segments = [_Segment(self._reader, self._wanted, *row) for row in await self._reader.rows(_SEGMENTS)]
        spans: list[Span] = []
        for segment in self._segments:
            own = rows[bisect_left(rows, segment.first, key=_row_id) : bisect_right(rows, segment.last, key=_row_id)]
            if own:
                spans += await segment.spans(own, trace_ids)
        return list(zip(rows, spans, strict=True))


class _Segment:
    """A segment of the file, with what was read of it."""

    def __init__(self, reader: Reader, wanted: Wanted, id_: int, first: int, last: int) -> None:
        self.first, self.last = first, last
        self._id = id_
        self._reader = reader
        self._wanted = wanted
        self._keys: dict[int, tuple[str, str, str]] = {}  # scope, name and type, by number
        self._tokens: Callable[[str], list[str]] = str.split  # of a text, those that are wanted
        self._known: Known = {}
        self._names: dict[int, str] = {}
        self._resources: dict[int, Resource] = {}
        self._scopes: dict[int, Scope] = {}

    async def spans(self, rows: list[Any], trace_ids: dict[int, bytes]) -> list[Span]:
        """The spans of rows of this segment."""
        if not self._keys:
            self._keys = {number: key for number, *key in await self._reader.rows(_KEYS, (self._id,))}
            if self._wanted.attributes is not None:
                kept = [number for number, (scope, name, _) in self._keys.items() if self._wanted.has(scope, name)]
                self._tokens = tokens.finder(kept)
        resources, scopes = await self._origins(rows)
        await self._learn([text for own in (rows, resources, scopes) for text in map(itemgetter(-1), own)])
        await self._learn_names({row[6] for row in rows} - self._names.keys())
        for row in resources:
            self._resources[row[0] - tokens.numbered_id(self._id, 0)] = self._resource(row)
        for row in scopes:
            self._scopes[row[0] - tokens.numbered_id(self._id, 0)] = self._scope(row)
        return await work(lambda: [self._span(row, trace_ids[row[1]]) for row in rows], size=len(rows))

    async def _origins(self, rows: list[Any]) -> tuple[list[Any], list[Any]]:
        """The rows of the resources and scopes that are not known yet."""
        resources = _ids(self._id, {row[4] for row in rows} - self._resources.keys())
        scopes = _ids(self._id, {row[5] for row in rows} - self._scopes.keys())
        return (
            await self._reader.rows(_RESOURCES.format(ids=resources)) if resources else [],
            await self._reader.rows(_SCOPES.format(ids=scopes)) if scopes else [],
        )

    async def _learn(self, texts: list[str]) -> None:
        """Read what the tokens in these texts stand for."""
        new = set(self._tokens(" ".join(texts))) - self._known.keys()
        by_id = tokens.ids_of(self._id, new)
        ids = ", ".join(map(str, sorted(by_id)))
        rows = await self._reader.rows(f"SELECT id, value FROM dictionary WHERE id IN ({ids})") if by_id else []
        for value_id, column in rows:
            _, name, type_ = self._keys[tokens.key_of(value_id)]
            value = column if type_ == values.STRING else values.from_column(type_, column)
            self._known[by_id[value_id]] = (name, value)

    async def _learn_names(self, numbers: set[int]) -> None:
        first = tokens.first_id(self._id, tokens.NAME)
        ids = ", ".join(str(first + number) for number in sorted(numbers))
        sql = f"SELECT id - {first}, value FROM dictionary WHERE id IN ({ids})"
        self._names.update(await self._reader.rows(sql) if ids else [])

    def _span(self, row: Any, trace_id: bytes) -> Span:
        _, _, span_id, parent_id, resource, scope, name, kind, status, start_ns, duration_ns, flags, details, own = row
        span = Span(
            trace_id, span_id, self._names[name], start_ns, start_ns + duration_ns, parent_id or b"", kind,
            Status(status), self._attributes(own), flags=flags, resource=self._resources[resource],
            scope=self._scopes[scope],
        )  # fmt: skip
        if details and self._wanted.details:
            for field, value in read_rest(status, start_ns, duration_ns, details).items():
                setattr(span, field, value)
        return span

    def _attributes(self, text: str) -> Attributes:
        return dict(map(self._known.__getitem__, self._tokens(text)))

    def _resource(self, row: Any) -> Resource:
        _, dropped_attributes, schema_url, entities, own = row
        return Resource(self._attributes(own), dropped_attributes, schema_url, values.load_entities(entities))

    def _scope(self, row: Any) -> Scope:
        _, name, version, dropped_attributes, schema_url, own = row
        attributes = " ".join(own.split()[:-TOKENS_OF_SCOPE])
        return Scope(name, version, self._attributes(attributes), dropped_attributes, schema_url)


def _ids(segment: int, numbers: Iterable[int]) -> str:
    return ", ".join(str(tokens.numbered_id(segment, number)) for number in numbers)


def read_rest(status: int, start_ns: int, duration_ns: int, details: bytes | None) -> dict[str, Any]:
    """The fields of a `Span` that stand in these columns; what is in `details` is the exact value."""
    if not details:
        return {"status": Status(status), "start_ns": start_ns, "end_ns": start_ns + duration_ns}
    message = messages.RawSpan.FromString(details)
    times = message.start_time_unix_nano, message.end_time_unix_nano
    start_ns, end_ns = times if any(times) else (start_ns, start_ns + duration_ns)
    return {**read_details(message), "start_ns": start_ns, "end_ns": end_ns}
