"""What was counted in segments that get no more spans: the next query need not count it again.

A dashboard asks the same every few seconds. Of a million spans all but the newest segment's were counted before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

MAX_ROWS = 100_000  # in all; about 200 bytes each


class Rollups:
    """Counted rows by what was asked of which segment; those that were not asked for the longest leave first."""

    def __init__(self) -> None:
        self._rows: OrderedDict[Hashable, list[Any]] = OrderedDict()
        self._size = 0

    def get(self, key: Hashable) -> list[Any] | None:
        """The rows, if they are kept."""
        if key not in self._rows:
            return None
        self._rows.move_to_end(key)
        return self._rows[key]

    def keep(self, key: Hashable, rows: list[Any]) -> None:
        """Keep rows, and let others go to make room; a tenth of the room is the most that one key gets."""
        if key in self._rows or len(rows) > MAX_ROWS // 10:
            return
        self._rows[key] = rows
        self._size += len(rows) + 1
        while self._size > MAX_ROWS:
            _, gone = self._rows.popitem(last=False)
            self._size -= len(gone) + 1
