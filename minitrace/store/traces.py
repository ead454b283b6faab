"""Rows to spans: those of a trace, or some; whole, or with what is wanted of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

from minitrace.errors import TraceNotFound
from minitrace.model import Attributes, Resource, Scope, Span, Status, StatusCode, Trace, Value
from minitrace.otlp import messages
from minitrace.otlp.decode import read_details
from minitrace.store import tokens, values
from minitrace.store.database import Reader, work
from minitrace.store.matches import ServiceCount, TraceSummary
from minitrace.store.segment import SPAN_SCOPE, TOKENS_OF_SCOPE

SPANS_AT_ONCE = 2_000  # each step with so many holds Python's lock for 2 ms at most
SPANS_PER_S = 20_000  # loaded by a busy machine; five times as many otherwise

_TRACE = "SELECT id, span_count, removed_count, is_pinned FROM traces WHERE trace_id = ?"
_SUMMARY = """
    SELECT traces.id, start_ns, end_ns, services.name, root_name, span_count, error_count,
        root_span_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM awaited WHERE trace = traces.id),
        removed_count, is_pinned
    FROM traces LEFT JOIN services ON services.id = root_service
    WHERE trace_id = ?
"""
_SERVICES = """
    SELECT name, span_count, error_count
    FROM trace_services JOIN services ON services.id = service
    WHERE trace = ?
    ORDER BY span_count DESC, service
"""
_THESE = "SELECT value FROM json_each(?)"  # numbers; as text of a statement they would be parsed, and kept with it
_TRACES = f"SELECT id, trace_id FROM traces WHERE id IN ({_THESE})"
_SEGMENTS = "SELECT id, first_span, last_span FROM segments ORDER BY id"
# Only ids pass through a sort: to sort whole rows took half as long again.
_SPANS = """
    SELECT id, trace, span_id, parent_id, resource, scope, name, kind, status, start_ns, duration_ns, flags,
        {details}, {attributes}
    FROM spans
    WHERE id IN ({{these}})
    ORDER BY id
"""
_OF_TRACES = f"SELECT id FROM spans WHERE trace IN ({_THESE})"
_RESOURCES = f"SELECT id, dropped_attributes, schema_url, entities, attributes FROM resources WHERE id IN ({_THESE})"
_SCOPES = f"SELECT id, name, version, dropped_attributes, schema_url, attributes FROM scopes WHERE id IN ({_THESE})"
_VALUES = """
    SELECT dictionary.id, dictionary.value
    FROM json_each(?) AS wanted CROSS JOIN dictionary ON dictionary.id = wanted.value
"""
_KEYS = "SELECT number, scope, name, type FROM keys WHERE segment = ?"

# Details of nothing but a status code, which has a column: to read them takes 4 µs, and some programs send OK always.
_STATUS_ONLY = {
    messages.RawSpan(status=messages.SpanStatus(code=code).SerializeToString()).SerializeToString()
    for code in StatusCode
}
_AS_IT_IS = (values.STRING, values.INT)  # types whose values the file has as they are
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

    def has_any(self, scope: str) -> bool:
        """Whether an attribute of a scope is asked for."""
        return self.attributes is None or any(scope == asked for asked, _ in self.attributes)


EVERYTHING = Wanted()


async def load(reader: Reader, trace_id: bytes, wanted: Wanted = EVERYTHING) -> Trace:
    """All stored spans of a trace, with what is wanted of them; they share Resource, Scope and Status objects.

    Raises:
        TraceNotFound: none is stored.
    """
    found = await reader.rows(_TRACE, (trace_id,))
    if not found:
        raise _not_found(trace_id)
    id_, span_count, removed, is_pinned = found[0]
    reader.deadline += span_count / SPANS_PER_S  # it is meant for searches; a trace is shown however large it is
    spans = (await Loader(reader, wanted).traces([id_]))[id_]

    def make() -> Trace:
        return Trace(trace_id, spans, removed_count=removed, is_pinned=bool(is_pinned))

    return await work(make, size=len(spans) // 4)  # four nodes are made in the time of one span


async def load_spans(reader: Reader, trace_id: bytes, span_id: bytes) -> list[Span]:
    """The spans of a trace with one id, as stored; usually one."""
    sql = "SELECT id FROM spans WHERE trace = (SELECT id FROM traces WHERE trace_id = ?) AND span_id = ?"
    found = await reader.rows(sql, (trace_id, span_id))
    return list((await Loader(reader).spans(row[0] for row in found)).values())


async def load_after(reader: Reader, place: int) -> tuple[int, list[Span]]:
    """The next spans behind a place in the order of their arrival, `SPANS_AT_ONCE` at most; and the place to go on."""
    rows = await reader.rows("SELECT id FROM spans WHERE id > ? ORDER BY id LIMIT ?", (place, SPANS_AT_ONCE))
    if not rows:
        return place, []
    found = await Loader(reader).spans(row[0] for row in rows)
    return rows[-1][0], list(found.values())


async def load_summary(reader: Reader, trace_id: bytes) -> TraceSummary:
    """A trace in one line, with its services, those with most spans first.

    Raises:
        TraceNotFound: no span of it is stored.
    """
    found = await reader.rows(_SUMMARY, (trace_id,))
    if not found:
        raise _not_found(trace_id)
    id_, start_ns, end_ns, root_service, root_name, span_count, error_count, has_all, removed, is_pinned = found[0]
    return TraceSummary(
        trace_id, start_ns, end_ns - start_ns, root_service, root_name, span_count, error_count,
        is_complete=bool(has_all) and not removed, removed_count=removed, is_pinned=bool(is_pinned),
        services=[ServiceCount(*row) for row in await reader.rows(_SERVICES, (id_,))],
    )  # fmt: skip


async def count_orphans(reader: Reader, trace_ids: Sequence[bytes]) -> dict[bytes, int]:
    """How many spans of each trace name a parent that is not stored; traces without such are left out."""
    sql = f"""
        SELECT trace_id, count(*)
        FROM traces JOIN spans ON spans.trace = traces.id
        WHERE trace_id IN ({", ".join("?" * len(trace_ids))})
            AND (spans.trace, spans.parent_id) IN (SELECT trace, span_id FROM awaited)
        GROUP BY trace_id
    """
    return dict(await reader.rows(sql, trace_ids))


def _not_found(trace_id: bytes) -> TraceNotFound:
    return TraceNotFound(f"no span of trace {trace_id.hex()} is stored")


class Loader:
    """Loads spans, with what is wanted of them. What it has read of a segment it remembers for the next ones."""

    def __init__(self, reader: Reader, wanted: Wanted = EVERYTHING) -> None:
        self._reader = reader
        self._wanted = wanted
        self._segments: list[_SpanSegment] | None = None
        self._trace_ids: dict[int, bytes] = {}
        self._sql = _SPANS.format(
            details="details" if wanted.details else "NULL",
            attributes="attributes" if wanted.has_any(SPAN_SCOPE) else "''",
        )

    async def traces(self, ids: Iterable[int]) -> dict[int, list[Span]]:
        """The spans of traces, by the traces' ids in `traces`."""
        spans: dict[int, list[Span]] = {trace: [] for trace in ids}
        async for rows, part in self._load(_OF_TRACES, list(spans)):
            for row, span in zip(rows, part, strict=True):
                spans[row[1]].append(span)
        return spans

    async def spans(self, ids: Iterable[int]) -> dict[int, Span]:
        """Those spans that have these ids in `spans`, by them."""
        spans: dict[int, Span] = {}
        async for rows, part in self._load(_THESE, list(ids)):
            spans.update(zip(map(_row_id, rows), part, strict=True))
        return spans

    async def _load(self, these: str, numbers: list[int]) -> AsyncGenerator[tuple[list[Any], list[Span]]]:
        """Rows with their spans, in the order of their ids, `SPANS_AT_ONCE`."""
        rows = await self._reader.rows(self._sql.format(these=these), (str(numbers),))
        if self._segments is None:
            rows_of_segments = await self._reader.rows(_SEGMENTS)
            self._segments = [_SpanSegment(self._reader, self._wanted, *row) for row in rows_of_segments]
        end = 0
        for segment in self._segments:
            begin = bisect_left(rows, segment.first, lo=end, key=_row_id)
            end = bisect_right(rows, segment.last, lo=begin, key=_row_id)
            for first in range(begin, end, SPANS_AT_ONCE):
                part = rows[first : min(end, first + SPANS_AT_ONCE)]
                rows[first : first + len(part)] = [None] * len(part)  # let go of part by part: 100 000 take 15 ms
                await self._read_trace_ids({row[1] for row in part}.difference(self._trace_ids))
                yield part, await segment.spans(part, self._trace_ids)

    async def _read_trace_ids(self, traces: set[int]) -> None:
        if traces:
            self._trace_ids.update(await self._reader.rows(_TRACES, (str(list(traces)),)))


class SegmentReader:
    """A segment of the file, with what was read of it: keys, values, resources and scopes.

    `first` and `last` are the ids of its spans, or of its log records: both have their resource and scope in the same
    columns of a row, the fifth and the sixth, and their attributes in the last one.
    """

    def __init__(self, reader: Reader, wanted: Wanted, id_: int, first: int, last: int) -> None:
        self.first, self.last = first, last
        self._id = id_
        self._reader = reader
        self._wanted = wanted
        self._keys: dict[int, tuple[str, str, str]] = {}  # scope, name and type, by number
        self._tokens: Callable[[str], list[str]] = str.split  # of a text, those that are wanted
        self._known: Known = {}
        self._resources: dict[int, Resource] = {}
        self._scopes: dict[int, Scope] = {}

    async def read(self, rows: list[Any], names: Iterable[str] = ()) -> list[list[str]]:
        """Read what rows of this segment need; returns the tokens of their attributes, one list for each row.

        `names` are more tokens that are needed.
        """
        if not self._keys:
            await self._read_keys()
        resources, scopes = await self._origins(rows)
        size = len(rows) + len(resources) + len(scopes)
        own, new = await work(self._take_apart, [row[-1] for row in chain(rows, resources, scopes)], size=size)
        new |= tokens.ids_of(self._id, set(names).difference(self._known))
        found = await self._rows(_VALUES, sorted(new))

        def learn() -> list[list[str]]:
            self._learn(found, new)
            first = tokens.numbered_id(self._id, 0)
            self._resources.update((row[0] - first, self._resource(row)) for row in resources)
            self._scopes.update((row[0] - first, self._scope(row)) for row in scopes)
            return own[: len(rows)]

        return await work(learn, size=size)

    async def _read_keys(self) -> None:
        self._keys = {number: key for number, *key in await self._reader.rows(_KEYS, (self._id,))}
        if self._wanted.attributes is not None:
            kept = [number for number, (scope, name, _) in self._keys.items() if self._wanted.has(scope, name)]
            self._tokens = tokens.finder(kept)

    async def _origins(self, rows: list[Any]) -> tuple[list[Any], list[Any]]:
        """The rows of the resources and scopes that are not known yet."""
        first = tokens.numbered_id(self._id, 0)
        resources = {row[4] for row in rows}.difference(self._resources)
        scopes = {row[5] for row in rows}.difference(self._scopes)
        return (
            await self._rows(_RESOURCES, [first + number for number in resources]),
            await self._rows(_SCOPES, [first + number for number in scopes]),
        )

    async def _rows(self, sql: str, ids: list[int]) -> list[Any]:
        return await self._reader.rows(sql, (str(ids),)) if ids else []

    def _take_apart(self, texts: list[str]) -> tuple[list[list[str]], dict[int, str]]:
        """The wanted tokens of each text; and those of them all that are not known, by their ids in `dictionary`."""
        own = list(map(self._tokens, texts))
        return own, tokens.ids_of(self._id, set(chain.from_iterable(own)).difference(self._known))

    def _learn(self, found: list[Any], new: dict[int, str]) -> None:
        """Note what new tokens stand for, of rows of `dictionary`."""
        for value_id, column in found:
            _, name, type_ = self._keys[tokens.key_of(value_id)]
            self._known[new[value_id]] = (name, column if type_ in _AS_IT_IS else values.from_column(type_, column))

    def _attributes(self, text: str) -> Attributes:
        return dict(map(self._known.__getitem__, self._tokens(text)))

    def _resource(self, row: Any) -> Resource:
        _, dropped_attributes, schema_url, entities, own = row
        return Resource(self._attributes(own), dropped_attributes, schema_url, values.load_entities(entities))

    def _scope(self, row: Any) -> Scope:
        _, name, version, dropped_attributes, schema_url, own = row
        attributes = " ".join(own.split()[:-TOKENS_OF_SCOPE])
        return Scope(name, version, self._attributes(attributes), dropped_attributes, schema_url)


class _SpanSegment(SegmentReader):
    """The same, for its spans."""

    async def spans(self, rows: list[Any], trace_ids: dict[int, bytes]) -> list[Span]:
        """The spans of rows of this segment."""
        own = await self.read(rows, {_name_token(row[6]) for row in rows})
        return await work(self._spans, rows, own, trace_ids, size=len(rows))

    def _spans(self, rows: list[Any], own: list[list[str]], trace_ids: dict[int, bytes]) -> list[Span]:
        """The spans of rows whose names, resources and tokens are known. Arguments by place: 0.3 µs less each."""
        resources, scopes, known = self._resources, self._scopes, self._known.__getitem__
        names = {name: str(known(_name_token(name))[1]) for name in {row[6] for row in rows}}
        statuses = {status: Status(status) for status in {row[8] for row in rows}}
        spans = []
        for row, each in zip(rows, own, strict=True):
            _, trace, id_, parent, resource, scope, name, kind, status, start_ns, duration_ns, flags, details, _ = row
            span = Span(
                trace_ids[trace], id_, names[name], start_ns, start_ns + duration_ns, parent or b"", kind,
                statuses[status], dict(map(known, each)) if each else {}, [], [], "", flags, 0, 0, 0,
                resources[resource], scopes[scope],
            )  # fmt: skip
            if details and details not in _STATUS_ONLY:
                for field, value in read_rest(status, start_ns, duration_ns, details).items():
                    setattr(span, field, value)
            spans.append(span)
        return spans


def _name_token(number: int) -> str:
    return f"{tokens.letters(tokens.NAME)}{number}"


def read_rest(status: int, start_ns: int, duration_ns: int, details: bytes | None) -> dict[str, Any]:
    """The fields of a `Span` that stand in these columns; what is in `details` is the exact value."""
    if not details:
        return {"status": Status(status), "start_ns": start_ns, "end_ns": start_ns + duration_ns}
    message = messages.RawSpan.FromString(details)
    times = message.start_time_unix_nano, message.end_time_unix_nano
    start_ns, end_ns = times if any(times) else (start_ns, start_ns + duration_ns)
    return {**read_details(message), "start_ns": start_ns, "end_ns": end_ns}
