"""The segments of the file, as one reader sees them; those that are still being filled are `segment.py`'s."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from minitrace.model import MAX_TIME_NS
from minitrace.store import tokens
from minitrace.store.database import Reader

ORIGINS = {"resource": "a", "scope": "b"}  # what many spans share, and the letters of its tokens


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of the file, with the range of its spans' ids; `is_whole` unless retention takes some away."""

    id: int
    first_span: int
    last_span: int
    newest_start_ns: int
    is_whole: bool


class Segments:
    """The segments of the file, as one reader sees them, and what their resources and scopes have."""

    def __init__(self, reader: Reader, all_: list[Segment]) -> None:
        self.all = all_  # by their ids
        self._reader = reader
        self._firsts = [segment.first_span for segment in all_]
        self._origins: dict[tuple[int, str], dict[str, set[str]]] = {}

    @classmethod
    async def read(cls, reader: Reader) -> Segments:
        """Those that still have spans."""
        sql = "SELECT id, first_span, last_span, newest_start_ns, state = 0 FROM segments WHERE state < 2 ORDER BY id"
        return cls(reader, [Segment(*row) for row in await reader.rows(sql)])

    def of(self, span: int) -> Segment:
        """The segment of a span's row."""
        return self.all[bisect_right(self._firsts, span) - 1]

    def split(self, rows: list[Any]) -> list[tuple[Segment, list[Any]]]:
        """Rows of spans by their segments; the first column is the span's id."""
        firsts = [*self._firsts[1:], MAX_TIME_NS]
        parts = [
            (segment, [row for row in rows if segment.first_span <= row[0] < next_first])
            for segment, next_first in zip(self.all, firsts, strict=True)
        ]
        return [(segment, own) for segment, own in parts if own]

    async def origins(self, segment: int, column: str) -> dict[str, set[str]]:
        """The tokens of a segment's resources or scopes, and what each of them has."""
        if (segment, column) not in self._origins:
            first = tokens.numbered_id(segment, 0)
            bounds = (first, tokens.numbered_id(segment + 1, 0) - 1)
            sql = f"SELECT id, attributes FROM {column}s WHERE id BETWEEN ? AND ?"
            self._origins[segment, column] = {
                f"{ORIGINS[column]}{id_ - first}": set(attributes.split())
                for id_, attributes in await self._reader.rows(sql, bounds)
            }
        return self._origins[segment, column]
