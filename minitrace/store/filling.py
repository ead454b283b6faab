"""Which segment is being filled, and when the next one begins."""

from __future__ import annotations

import sqlite3

from minitrace.store.retention import Limits
from minitrace.store.segment import Segment, Services
from minitrace.store.tokens import COUNT_BITS, first_id, numbered_id


class Filling:
    """The newest segment. Lives in the writer's thread, but for its beginning."""

    def __init__(self, connection: sqlite3.Connection, limits: Limits) -> None:
        self._limits = limits
        self._began_ns = 0
        self.services = Services(connection.execute("SELECT name, id FROM services"))
        self.segment = self._resumed(connection)

    def make_room(self, now_ns: int, size_bytes: int) -> None:
        """Begin another segment if this one has all it should take before a request of that size."""
        limits, segment = self._limits, self.segment
        self._began_ns = self._began_ns or now_ns
        if (
            segment.is_crowded
            or segment.row_count >= limits.segment_rows
            or segment.size_bytes >= limits.segment_bytes
            or now_ns - self._began_ns >= limits.segment_age_ns
        ):
            self.next_segment()
            self._began_ns = now_ns
        self.segment.size_bytes += size_bytes

    def next_segment(self) -> Segment:
        """Begin another segment."""
        self.segment.forget()  # now: it and its dicts know each other, and would wait for Python to find that out
        self.segment = Segment(self.segment.number + 1, self.services)
        return self.segment

    def _resumed(self, connection: sqlite3.Connection) -> Segment:
        """The newest segment of the file, to go on with; the first one of a new file."""
        newest = connection.execute(
            "SELECT id, span_count + log_count, first_received_ns, state FROM segments ORDER BY id DESC LIMIT 1"
        ).fetchone()
        if newest is None:
            return Segment(1, self.services)
        number, row_count, self._began_ns, state = newest
        if state:  # it is leaving
            return Segment(number + 1, self.services)

        def highest(table: str, above: int, below: int) -> int:
            sql = f"SELECT max(id) FROM {table} WHERE id > ? AND id < ?"
            (id_,) = connection.execute(sql, (above, below)).fetchone()
            return (id_ or above) - above

        rows = connection.execute("SELECT number, scope, name, type FROM keys WHERE segment = ?", (number,)).fetchall()
        keys = [
            (*row, highest("dictionary", first_id(number, row[0]), first_id(number, row[0]) + (1 << COUNT_BITS)))
            for row in rows
        ]
        segment = Segment(number, self.services)
        bounds = numbered_id(number, 0), numbered_id(number + 1, 0)
        segment.resume(row_count, keys, highest("resources", *bounds), highest("scopes", *bounds))
        return segment
