"""Roll-ups: what the spans of a piece amount to, by bucket, service, operation, kind and status.

```
segment 1                segment 2, which is being filled
├──────┼──────┼──────┼─┤ ├──────┼──────┼───
 rolled up              │        rolled up  counted from its spans, when somebody asks
```

A piece is `SPANS_PER_PIECE` spans in the order of their arrival. It is rolled up in the transaction that stores its
last span; what has no roll-up is counted from its spans, in the same way, whenever somebody asks. So none is
wrong: where spans leave, that of their piece is dropped (`forget`), and made again later (`without`). Late
spans lie in a late piece, in the bucket they started in; spans that came twice are rows of `spans` once.

A piece has one row for each service, with its operations by 10 s, and two with all services, by 10 s and by 60 s: a
page of an hour reads some hundred rows. Only the first `MAX_SERVICES` services and `MAX_NAMES` names that a segment
sees have series of their own; 0 stands for the others together.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from minitrace.model import Kind, StatusCode
from minitrace.store import cells, tokens
from minitrace.store.cells import KIND_BITS, STATUS_BITS
from minitrace.store.histogram import digit_of

# 25 ms, if they have to be counted. Another number needs a migration that empties `red`, whose rows say only where
# a piece begins.
SPANS_PER_PIECE = 1 << 14
STEP_S, MINUTE_S = 10, 60
NS = 1_000_000_000
MAX_SERVICES = 200
NAME_BITS = 11
MAX_NAMES = (1 << NAME_BITS) - 1
_BITS = KIND_BITS + STATUS_BITS
_SERVICE_SHIFT = NAME_BITS + _BITS
_OPERATION, _KIND_AND_STATUS = (1 << _SERVICE_SHIFT) - 1, (1 << _BITS) - 1
OTHERS = 0  # services, or names, that have no series of their own
ALL = -1  # stands for a service in the rows of `red` that are about all of them

# Services come before names, names before kinds: their bits in one number, which groups in half the time.
_SERIES = f"""
    ((({{service}} << {NAME_BITS} | iif(name <= {{names}} AND {{service}}, name, {OTHERS})) << {KIND_BITS}
        | iif(kind BETWEEN 1 AND {max(Kind)}, kind, 0)) << {STATUS_BITS}
        | iif(status BETWEEN 1 AND {max(StatusCode)}, status, 0))
"""
# `id` is that of the slowest span: https://sqlite.org/lang_select.html#bareagg
_COUNT = f"""
    SELECT (start_ns - 1) / {STEP_S * NS}, {_SERIES}, max(duration_ns), id, count(*), group_concat(duration_ns)
    FROM spans
    WHERE id BETWEEN ? AND ? AND start_ns BETWEEN ? AND ?
    GROUP BY 2, 1 -- the other way round most comparisons would need both
"""
_SERVICES = "SELECT service FROM resources WHERE id BETWEEN ? AND ? GROUP BY service ORDER BY min(id) LIMIT ?"
_INSERT = """
    INSERT OR REPLACE INTO red (service, step_s, first_span, first_bucket, last_bucket, cells)
    VALUES (?, ?, ?, ?, ?, ?)
"""
_FORGET = """
    DELETE FROM red
    WHERE first_span IN (
        SELECT first_span + (value - first_span) / :size * :size
        FROM json_each(:spans) JOIN segments ON value BETWEEN first_span AND last_span
    )
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """A range of ids of spans, all of one segment."""

    segment: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Part:
    """A row of `red`: cells of a service's operations, or of `ALL` services, in buckets from `first` to `last`."""

    service: int
    step_s: int
    first_bucket: int
    last_bucket: int
    cells: bytes


class _Groups(dict[tuple[int, int], list[Any]]):
    """The spans of services by bucket and series: sum of durations, digits, the slowest span, its duration."""

    def add(self, key: tuple[int, int], total_ns: int, digits: list[int], slowest: int, slowest_ns: int) -> None:
        """Add spans. The digits are the group's from now on."""
        known = self.get(key)
        if known is None:
            self[key] = [total_ns, digits, slowest, slowest_ns]
            return
        known[0] += total_ns
        known[1] += digits
        if slowest_ns > known[3]:
            known[2:] = slowest, slowest_ns

    def packed(self) -> list[tuple[int, cells.Packed]]:
        """A cell for each, and its bucket."""
        return [(bucket, cells.pack_one(bucket, series, *own)) for (bucket, series), own in self.items()]


def pieces(segment: int, first_span: int, last_span: int, *, is_full: bool) -> Iterator[Piece]:
    """The pieces of a segment in which all have come that will come; `is_full` if it gets no more spans."""
    for first in range(first_span, last_span + 1, SPANS_PER_PIECE):
        last = first + SPANS_PER_PIECE - 1
        if last <= last_span or is_full:
            yield Piece(segment, first, min(last, last_span))


def count_of(piece: Piece, services: list[Any], start_ns: int = 1, end_ns: int = 2**63 - 1) -> tuple[str, list[Any]]:
    """SQL for `parts`, with what is bound: the spans of a piece that start from one time to another, both included.

    `services` are the rows of `services_of`.
    """
    service = "service"
    if len(services) > MAX_SERVICES:
        own = ", ".join(str(row[0]) for row in services[:MAX_SERVICES])
        service = f"iif(service IN ({own}), service, {OTHERS})"
    return _COUNT.format(service=service, names=MAX_NAMES), [piece.first, piece.last, start_ns, end_ns]


def services_of(segment: int) -> tuple[str, list[int]]:
    """SQL for the services of a segment in the order in which it saw them, one more than are kept apart."""
    return _SERVICES, [tokens.numbered_id(segment, 0), tokens.numbered_id(segment + 1, 0) - 1, MAX_SERVICES + 1]


def parts(piece: Piece, rows: list[tuple[int, int, int, int, int, str]]) -> list[Part]:
    """The roll-up of a piece from the rows of `count_of`."""
    operations: dict[int, list[tuple[int, cells.Packed]]] = defaultdict(list)
    by_step = _Groups()
    durations_ns = json.loads(f"[{','.join([row[-1] for row in rows])}]")  # at once: most rows are of one span
    digits = list(map(digit_of, durations_ns))
    end = 0
    for bucket, series, slowest_ns, slowest, count, _ in rows:
        first, end = end, end + count
        total_ns, own = sum(durations_ns[first:end]), digits[first:end]
        slowest -= piece.first
        service = series >> _SERVICE_SHIFT
        cell = cells.pack_one(bucket, series & _OPERATION, total_ns, own, slowest, slowest_ns)
        operations[service].append((bucket, cell))
        by_step.add((bucket, service << _BITS | series & _KIND_AND_STATUS), total_ns, own, slowest, slowest_ns)
    found = [_part(service, STEP_S, packed) for service, packed in operations.items()]
    found.append(_part(ALL, STEP_S, by_step.packed()))
    by_minute = _Groups()
    for (bucket, series), group in by_step.items():
        by_minute.add((bucket * STEP_S // MINUTE_S, series), *group)
    found.append(_part(ALL, MINUTE_S, by_minute.packed()))
    return found


def _part(service: int, step_s: int, own: list[tuple[int, cells.Packed]]) -> Part:
    buckets = [bucket for bucket, _ in own] or [0]
    return Part(service, step_s, min(buckets), max(buckets), cells.pack(cell for _, cell in own))


# What changes the file


def roll_up(connection: sqlite3.Connection, piece: Piece) -> None:
    """Make the roll-up of a piece that has none, within a transaction."""
    made = parts(piece, _counted(connection, piece))
    rows = [(part.service, part.step_s, piece.first, part.first_bucket, part.last_bucket, part.cells) for part in made]
    connection.executemany(_INSERT, rows)


def _counted(connection: sqlite3.Connection, piece: Piece) -> list[tuple[int, int, int, int, int, str]]:
    services = connection.execute(*services_of(piece.segment)).fetchall()
    return connection.execute(*count_of(piece, services)).fetchall()


def roll_up_full(connection: sqlite3.Connection, segment: int, written: int) -> None:
    """Roll up the pieces that a transaction filled, which wrote the spans from `written` on."""
    ((first, last),) = connection.execute("SELECT first_span, last_span FROM segments WHERE id = ?", (segment,))
    for piece in pieces(segment, first, last, is_full=False):
        if piece.last >= written:
            roll_up(connection, piece)


def without(connection: sqlite3.Connection) -> Piece | None:
    """The newest piece that could have a roll-up and has none."""
    segments = connection.execute("SELECT id, first_span, last_span FROM segments WHERE state = 0 ORDER BY id DESC")
    rolled = {row[0] for row in connection.execute("SELECT first_span FROM red WHERE service = ?", (ALL,))}
    for number, (segment, first, last) in enumerate(segments.fetchall()):
        for piece in reversed(list(pieces(segment, first, last, is_full=number > 0))):
            if piece.first not in rolled:
                return piece
    return None


def forget(connection: sqlite3.Connection, spans: Iterable[int]) -> None:
    """Drop the roll-ups of the pieces that these spans are in, which leave."""
    connection.execute(_FORGET, {"spans": json.dumps(list(spans)), "size": SPANS_PER_PIECE})


def forget_segment(connection: sqlite3.Connection, segment: int) -> None:
    """Drop the roll-ups of a segment that leaves; what is left of them says that there is nothing."""
    ((first, last),) = connection.execute("SELECT first_span, last_span FROM segments WHERE id = ?", (segment,))
    connection.execute("DELETE FROM red WHERE first_span BETWEEN ? AND ?", (first, last))


# Whether it is right


def wrong(connection: sqlite3.Connection) -> Iterator[Piece]:
    """The pieces whose roll-up is not what their spans amount to."""
    segments = connection.execute("SELECT id, first_span, last_span FROM segments WHERE state = 0").fetchall()
    for segment, first, last in segments:
        for piece in pieces(segment, first, last, is_full=True):
            sql = "SELECT service, step_s, cells FROM red WHERE first_span = ? ORDER BY service, step_s"
            said = connection.execute(sql, (piece.first,)).fetchall()
            if said and not _are_alike(said, _made(connection, piece)):
                yield piece


def _made(connection: sqlite3.Connection, piece: Piece) -> list[tuple[int, int, bytes]]:
    """What the rows of a piece should have."""
    made = parts(piece, _counted(connection, piece))
    return sorted((part.service, part.step_s, part.cells) for part in made)


def _are_alike(said: list[tuple[int, int, bytes]], made: list[tuple[int, int, bytes]]) -> bool:
    try:
        return _counts(said) == _counts(made)
    except (struct.error, TypeError):  # these are no cells
        return False


def _counts(rows: list[tuple[int, int, bytes]]) -> list[tuple[int, int, list[tuple[object, ...]]]]:
    """The cells of rows, in any order, without their slowest spans: two may be as slow."""
    return [(*of, sorted((*cell[:4], *cell[6:]) for cell in cells.unpack(blob))) for *of, blob in rows]  # type: ignore[misc]
