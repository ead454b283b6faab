"""Rows to spans: one trace, whole."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
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
    SELECT id, trace, span_id, parent_id, resource, scope, name, kind, status, start_ns, duration_ns, flags, attributes,
        details
    FROM spans
    WHERE {these}
    ORDER BY id
"""
_RESOURCES = "SELECT id, attributes, dropped_attributes, schema_url, entities FROM resources WHERE id IN ({ids})"
_SCOPES = "SELECT id, name, version, attributes, dropped_attributes, schema_url FROM scopes WHERE id IN ({ids})"
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
    spans = (await load_many(reader, [found[0][0]]))[found[0][0]] if found else []
    if not spans:
        raise TraceNotFound(f"no span of trace {trace_id.hex()} is stored")
    return Trace(trace_id, spans, removed_count=found[0][1], is_pinned=bool(found[0][2]))


async def load_many(reader: Reader, rows: Iterable[int], wanted: Wanted = EVERYTHING) -> dict[int, list[Span]]:
    """The spans of traces, by the traces' ids in `traces`."""
    spans: dict[int, list[Span]] = {trace: [] for trace in rows}
    for row, span in await _spans(reader, f"trace IN ({', '.join(map(str, spans))})", wanted):
        spans[row[1]].append(span)
    return spans


async def load_some(reader: Reader, rows: Iterable[int], wanted: Wanted = EVERYTHING) -> dict[int, Span]:
    """Those spans that have these ids in `spans`, by them."""
    found = await _spans(reader, f"id IN ({', '.join(map(str, rows))})", wanted)
    return {row[0]: span for row, span in found}


async def _spans(reader: Reader, these: str, wanted: Wanted) -> list[tuple[Any, Span]]:
    """Spans with their rows, in the order of their ids."""
    rows = await reader.rows(_SPANS.format(these=these))
    ids = ", ".join({str(row[1]) for row in rows})
    trace_ids = dict(await reader.rows(f"SELECT id, trace_id FROM traces WHERE id IN ({ids})"))
    spans: list[Span] = []
    for segment, first, last in await reader.rows(_SEGMENTS):
        own = rows[bisect_left(rows, first, key=_row_id) : bisect_right(rows, last, key=_row_id)]
        if own:
            spans += await _segment_spans(reader, segment, own, trace_ids, wanted)
    return list(zip(rows, spans, strict=True))


async def _segment_spans(
    reader: Reader, segment: int, rows: list[Any], trace_ids: dict[int, bytes], wanted: Wanted
) -> list[Span]:
    resource_rows = await reader.rows(_RESOURCES.format(ids=_ids(segment, {row[4] for row in rows})))
    scope_rows = await reader.rows(_SCOPES.format(ids=_ids(segment, {row[5] for row in rows})))
    keys = {number: key for number, *key in await reader.rows(_KEYS, (segment,))}
    seen: set[str] = set()
    for text in (*(row[12] for row in rows), *(row[1] for row in resource_rows), *(row[3] for row in scope_rows)):
        seen.update(text.split())
    by_id = tokens.ids_of(segment, seen)
    if wanted.attributes is not None:
        kept = {number for number, (scope, name, _) in keys.items() if wanted.has(scope, name)}
        by_id = {value_id: token for value_id, token in by_id.items() if tokens.key_of(value_id) in kept}
    by_id.update(tokens.ids_of(segment, {f"e{row[6]}" for row in rows}))
    value_rows = await reader.rows(
        f"SELECT id, value FROM dictionary WHERE id IN ({', '.join(map(str, sorted(by_id)))})"
    )

    def build() -> list[Span]:
        known = _known(value_rows, by_id, keys)
        resources = {row[0] - tokens.numbered_id(segment, 0): _resource(row, known) for row in resource_rows}
        scopes = {row[0] - tokens.numbered_id(segment, 0): _scope(row, known) for row in scope_rows}
        return [_span(row, trace_ids[row[1]], known, resources[row[4]], scopes[row[5]], wanted.details) for row in rows]

    return await work(build, size=len(rows))


def _known(value_rows: list[Any], by_id: dict[int, str], keys: dict[int, list[str]]) -> Known:
    """What tokens stand for: key and value."""
    known: Known = {}
    for value_id, column in value_rows:
        _, name, type_ = keys[tokens.key_of(value_id)]
        known[by_id[value_id]] = (name, column if type_ == values.STRING else values.from_column(type_, column))
    return known


def _ids(segment: int, numbers: Iterable[int]) -> str:
    return ", ".join(str(tokens.numbered_id(segment, number)) for number in numbers)


def _span(row: Any, trace_id: bytes, known: Known, resource: Resource, scope: Scope, with_details: bool) -> Span:
    _, _, span_id, parent_id, _, _, name, kind, status, start_ns, duration_ns, flags, attributes, details = row
    return Span(
        trace_id,
        span_id,
        str(known[f"e{name}"][1]),
        parent_id=parent_id or b"",
        kind=kind,
        attributes=_attributes(attributes.split(), known),
        flags=flags,
        resource=resource,
        scope=scope,
        **read_rest(status, start_ns, duration_ns, details if with_details else None),
    )


def read_rest(status: int, start_ns: int, duration_ns: int, details: bytes | None) -> dict[str, Any]:
    """The fields of a `Span` that stand in these columns; what is in `details` is the exact value."""
    if not details:
        return {"status": Status(status), "start_ns": start_ns, "end_ns": start_ns + duration_ns}
    message = messages.RawSpan.FromString(details)
    times = message.start_time_unix_nano, message.end_time_unix_nano
    start_ns, end_ns = times if any(times) else (start_ns, start_ns + duration_ns)
    return {**read_details(message), "start_ns": start_ns, "end_ns": end_ns}


def _attributes(wanted: Iterable[str], known: Known) -> Attributes:
    return dict(filter(None, map(known.get, wanted)))


def _resource(row: Any, known: Known) -> Resource:
    _, attributes, dropped_attributes, schema_url, entities = row
    return Resource(
        _attributes(attributes.split(), known), dropped_attributes, schema_url, values.load_entities(entities)
    )


def _scope(row: Any, known: Known) -> Scope:
    _, name, version, attributes, dropped_attributes, schema_url = row
    own = attributes.split()[:-TOKENS_OF_SCOPE]
    return Scope(name, version, _attributes(own, known), dropped_attributes, schema_url)
