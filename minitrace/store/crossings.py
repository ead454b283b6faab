"""Where a piece of the file leaves its services: the spans that serve, calls and messages between services, and calls
of what sends no spans.

```
shop   POST /checkout   server     served by shop
shop   └── POST         client     answered: its server is here
pay        └── charge   server     served by pay, called by shop
pay            └── INSERT  client  a leaf of pay: nobody has answered
```

A client or producer is a leaf until it is *answered*: by a span of another service below it, by any other than an
internal one (below a gRPC client its HTTP client: the inner one counts), or by a consumer's link. Who answers may stand
in another piece of the file; that piece says so then, and the leaf is taken off when all are summed up. So what a piece
tells does not depend on when it was counted, and can be kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from minitrace.model import Kind, StatusCode
from minitrace.otlp import messages
from minitrace.otlp.decode import read_links
from minitrace.store.database import IN_THREAD, Reader, work
from minitrace.store.dependencies import CALLER, HAS_SHARED
from minitrace.store.leaves import Leaf, Leaves
from minitrace.store.pieces import Piece

LINKS_AT_ONCE = 5_000

_COLUMNS = f"""
    SELECT child.id, child.service, child.kind, child.status, child.start_ns, child.duration_ns,
        parent.id, parent.service, parent.kind, child.parent_id IS NOT NULL,
        iif(child.kind IN ({Kind.CLIENT.value}, {Kind.PRODUCER.value}), child.attributes, NULL),
        iif(child.kind = {Kind.CONSUMER.value}, child.details, NULL), child.trace, child.parent_id,
        parent.duration_ns
"""
_ROWS = f"""
    {_COLUMNS}
    FROM spans AS child LEFT JOIN spans AS parent ON parent.trace = child.trace AND parent.span_id = child.parent_id
    WHERE {{these}}
    ORDER BY child.id
"""
_ROWS_EXACTLY = f"""
    {_COLUMNS}
    FROM spans AS child LEFT JOIN spans AS parent ON parent.id = {CALLER.format(column="id")}
    WHERE {{these}}
    ORDER BY child.id
"""
_LINKED = """
    WITH wanted (consumer, trace_id, span_id) AS (VALUES {rows})
    SELECT consumer, wanted.trace_id, wanted.span_id, min(spans.id), spans.service, spans.duration_ns
    FROM wanted
    JOIN traces ON traces.trace_id = wanted.trace_id
    JOIN spans ON spans.trace = traces.id AND spans.span_id = wanted.span_id
    GROUP BY 1, 2, 3
"""
_OF_PIECE = "child.id BETWEEN ? AND ?"
_ONE_OF = "child.id IN (SELECT value FROM json_each(?))"


class Way(IntEnum):
    """What a crossing is. A message is a consumer below a span of another service, or linked to one; what is started is
    a trace, by a span that serves nobody.
    """

    SERVED = 0
    STARTED = 1
    CALL = 2
    MESSAGE = 3
    LINK = 4
    LEAF = 5


class Key(NamedTuple):
    """Crossings that are counted together; services are the file's numbers. Without a caller that is the service."""

    way: Way
    caller: int
    callee: int | Leaf


class Crossing(NamedTuple):
    """One of them: the span that was served, or called; of a leaf the client's. `client_ns` is how long it took for
    the client or producer that called it, if there is one.
    """

    key: Key
    span: int  # its row
    start_ns: int
    duration_ns: int
    is_error: bool
    client_ns: int | None = None


Link = tuple[int, bytes, bytes]  # the consumer's row, and the ids of the span it points at


@dataclass(slots=True)
class Crossings:
    """Those of a piece. All but `links` are rows of spans.

    `answered` are clients and producers that are no leaves, with who answers them; `others` those of them that are in
    other pieces. `callers` are called spans, with who calls them. `waiting` spans have a parent that is not stored yet,
    `links` lead to spans that are not.
    """

    all: list[Crossing] = field(default_factory=list)
    answered: dict[int, int] = field(default_factory=dict)
    others: set[int] = field(default_factory=set)
    callers: list[tuple[int, int]] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)


async def of_piece(reader: Reader, piece: Piece, *, only_calls: bool = False) -> Crossings:
    """All of a piece, as far as it is stored; or without what is served and started. Raises QueryTimeout."""
    rows = await _rows(reader, _OF_PIECE, [piece.first, piece.last])
    found = await work(_called if only_calls else _crossings, rows, size=IN_THREAD)
    linked = await work(_links, rows, await _trace_ids(reader, rows), size=IN_THREAD)
    await _add_links(reader, found, linked)
    found.others = {row for row in found.answered if not piece.first <= row <= piece.last}
    leaves = await Leaves.read(reader, piece.segment.id)
    found.all += await _leaves(reader, leaves, [row for row in rows if row[0] not in found.answered])
    return found


async def of_late(reader: Reader, waiting: list[int], links: list[Link]) -> Crossings:
    """The calls and messages of spans whose parents, or the ends of whose links, came after them."""
    found = Crossings()
    if waiting:
        rows = await _rows(reader, _ONE_OF, [str(waiting)])
        found = await work(_called, rows, size=len(rows))
    await _add_links(reader, found, links)
    return found


async def _rows(reader: Reader, these: str, bound: list[Any]) -> list[Any]:
    """One row for each span, with its parent if that is stored: of two with one id the one that `model.Trace` takes."""
    ((has_shared,),) = await reader.rows(HAS_SHARED.format(these=these), bound)
    rows = [] if has_shared else await reader.rows(_ROWS.format(these=these), bound)
    if has_shared or len({row[0] for row in rows}) < len(rows):
        rows = await reader.rows(_ROWS_EXACTLY.format(these=these), bound)
    return rows


def _crossings(rows: list[Any]) -> Crossings:
    """What is served, started, and called."""
    found = _called(rows)
    keys: dict[tuple[bool, int], Key] = {}
    for span, service, kind, status, start_ns, duration_ns, _, _, _, has_parent, *_ in rows:
        is_served = kind in (Kind.SERVER, Kind.CONSUMER)
        if is_served or not has_parent:
            one = is_served, service
            key = keys.get(one) or keys.setdefault(one, Key(Way.SERVED if is_served else Way.STARTED, service, service))
            found.all.append(Crossing(key, span, start_ns, duration_ns, status == StatusCode.ERROR))
    return found


def _called(rows: list[Any]) -> Crossings:
    """Calls and messages from parents, which clients were answered by them, and who waits for a parent."""
    found = Crossings()
    keys: dict[tuple[bool, int, int], Key] = {}
    for span, service, kind, status, start_ns, duration_ns, parent, caller, parent_kind, has_parent, *_, client in rows:
        if parent is None:
            if has_parent:
                found.waiting.append(span)
            continue
        if parent == span:
            continue
        if caller != service:
            found.callers.append((span, parent))
            is_message = kind == Kind.CONSUMER
            pair = is_message, caller, service
            key = keys.get(pair)
            if key is None:
                key = keys[pair] = Key(Way.MESSAGE if is_message else Way.CALL, caller, service)
            client_ns = client if parent_kind in _CALLING else None
            found.all.append(Crossing(key, span, start_ns, duration_ns, status == StatusCode.ERROR, client_ns))
        if parent_kind in _CALLING and (caller != service or kind > Kind.INTERNAL):
            found.answered[parent] = span
    return found


async def _leaves(reader: Reader, leaves: Leaves, rows: list[Any]) -> list[Crossing]:
    """The clients and producers among rows, as far as they say what they call."""
    calling = [row for row in rows if row[10] is not None]
    leaf_of = await leaves.of(reader, (row[10] for row in calling))
    found = []
    for span, service, _, status, start_ns, duration_ns, *_, text, _, _, _, _ in calling:
        if (leaf := leaf_of(text)) is not None:
            key = Key(Way.LEAF, service, leaf)
            found.append(Crossing(key, span, start_ns, duration_ns, status == StatusCode.ERROR))
    return found


async def _trace_ids(reader: Reader, rows: list[Any]) -> Mapping[int, bytes]:
    """The ids of the traces of consumers that may have links."""
    wanted = list({row[12] for row in rows if row[11] is not None})
    if not wanted:
        return {}
    sql = "SELECT id, trace_id FROM traces WHERE id IN (SELECT value FROM json_each(?))"
    return dict(await reader.rows(sql, [str(wanted)]))


def _links(rows: list[Any], trace_ids: Mapping[int, bytes]) -> list[Link]:
    """Where consumers' links lead, each once; not those to their parents, by which they are counted already."""
    found: dict[Link, None] = {}
    for row in rows:
        if row[11] is None:
            continue
        for link in read_links(messages.RawSpan.FromString(row[11])):
            if (link.trace_id, link.span_id) != (trace_ids.get(row[12]), row[13]):
                found[row[0], link.trace_id, link.span_id] = None
    return list(found)


async def _add_links(reader: Reader, found: Crossings, links: list[Link]) -> None:
    """Add the messages that links are whose ends are stored; the others wait."""
    ends: dict[Link, tuple[int, int, int]] = {}
    for at in range(0, len(links), LINKS_AT_ONCE):
        some = links[at : at + LINKS_AT_ONCE]
        sql = _LINKED.format(rows=", ".join(["(?, ?, ?)"] * len(some)))
        for consumer, trace_id, span_id, *end in await reader.rows(sql, [part for link in some for part in link]):
            ends[consumer, trace_id, span_id] = tuple(end)
    found.links = [link for link in links if link not in ends]
    if not ends:
        return
    sql = "SELECT id, service, start_ns, duration_ns, status FROM spans WHERE id IN (SELECT value FROM json_each(?))"
    consumers = {row[0]: row for row in await reader.rows(sql, [str(list({consumer for consumer, *_ in ends}))])}
    for (consumer, *_), (linked, caller, client_ns) in ends.items():
        if consumer not in consumers:  # it left the file while its link waited
            continue
        span, service, start_ns, duration_ns, status = consumers[consumer]
        found.answered[linked] = span
        if caller != service:
            found.callers.append((span, linked))
            key = Key(Way.LINK, caller, service)
            found.all.append(Crossing(key, span, start_ns, duration_ns, status == StatusCode.ERROR, client_ns))


_CALLING = frozenset({Kind.CLIENT.value, Kind.PRODUCER.value})
