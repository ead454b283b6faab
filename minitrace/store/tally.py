"""The tally: what was stored since this process began, counted once each, for Prometheus.

```
rows of spans   ├── there before ──┼── counted ──┼── moved ──┼── not yet counted ──┤
                               begin           place                             newest
```

Nothing is counted while spans arrive, and nothing at all before somebody asks: then all that has come since, a piece of
the file after the other, and from then on what came since the last time. What leaves is counted before it does
(`reach`), so that counters are right whatever becomes of the spans. A span of a pinned trace that moves to other rows
is counted in the first ones (`moving`); one that was sent twice is one row.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from minitrace.errors import QueryTimeout
from minitrace.store.crossings import of_piece
from minitrace.store.database import IN_THREAD, Reader, Readers, work
from minitrace.store.edge_counters import EdgeCounters
from minitrace.store.pieces import Piece
from minitrace.store.segments import Segments
from minitrace.store.span_counters import SpanCounters
from minitrace.store.timings import Exemplar

SPANS_PER_PIECE = 1 << 12  # 50 ms
REST = 4.0  # times as long as a piece took, while requests wait to be stored: they come first
PIECE_S = 10.0  # how long it may take nevertheless, whatever the timeout of a page is

log = logging.getLogger(__name__)

_IDS = """
    SELECT spans.id, trace_id, span_id
    FROM spans JOIN traces ON traces.id = spans.trace
    WHERE spans.id IN (SELECT value FROM json_each(?))
"""


class Tally:
    """Counters of spans and of calls between services, and how far they are. Who reads them has the lock."""

    def __init__(
        self, readers: Readers, place: int, dimensions: Sequence[str] = (), is_storing: Callable[[], bool] = bool
    ) -> None:
        self.lock = asyncio.Lock()
        self.spans = SpanCounters(dimensions)
        self.edges = EdgeCounters()
        self.place = place  # all rows up to this one are counted, or were there before
        self.newest = place  # the last row that was there when somebody looked
        self._readers = readers
        self._is_storing = is_storing
        self._is_wanted = False  # somebody has scraped
        self._is_asked = False  # somebody scrapes, and may know of spans that came after the last look
        self._counting = asyncio.Lock()
        self._moved: list[range] = []  # rows that are not counted, behind the place
        self._services: dict[int, str] = {}
        self._task: asyncio.Task[None] | None = None

    async def catch_up(self, patience_s: float) -> None:
        """Count what is stored by now, for so long; then go on with it behind the back of who asks."""
        self._is_wanted = self._is_asked = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._count(), name="minitrace tally")
        await asyncio.wait({self._task}, timeout=patience_s)

    async def reach(self, row: int) -> None:
        """Count up to a row, which is about to leave. Raises QueryTimeout."""
        while self._is_wanted and self.place < row:
            if not await asyncio.shield(self._count_piece()):  # half a piece would be counted twice
                return

    @asynccontextmanager
    async def moving(self) -> AsyncIterator[list[range]]:
        """While spans are written again, in place of others: takes the rows of those that were counted before."""
        async with self._counting:
            yield self._moved

    async def forget(self, last_span: int) -> None:
        """Rows up to this one have left, or some of them: they are no exemplars any more."""
        async with self.lock:
            self.spans.forget(last_span)
            self.edges.forget(last_span)

    async def close(self) -> None:
        """Count no more."""
        self._is_wanted = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _count(self) -> None:
        try:
            while self._is_asked:
                self._is_asked = False
                began = time.monotonic()
                while await self._count_piece():
                    if self._is_storing():
                        await asyncio.sleep(REST * (time.monotonic() - began))
                    began = time.monotonic()
        except (QueryTimeout, sqlite3.Error) as error:  # the next scrape may do better, and says how much is left
            log.warning("could not count all spans for /metrics: %s", error)

    async def _count_piece(self) -> bool:
        """Count the next rows; False if there are none, and what waited for others is settled."""
        async with self._counting, self._readers.snapshot() as reader:
            reader.deadline += PIECE_S
            piece = self._next(await Segments.read(reader))
            services = await self._names(reader)
            if piece is None:
                late = await self.edges.find_late(reader)
                async with self.lock:
                    fresh = self.edges.settle(late, services, self.place, time.time_ns())
                await self._resolve(reader, fresh)
                return False
            spans, crossings = await self.spans.find(reader, piece), await of_piece(reader, piece, only_calls=True)
            async with self.lock:
                self.place = piece.last
                fresh = await work(self.spans.add, spans, services, time.time_ns(), size=len(spans))
                fresh += await work(self.edges.add, piece, crossings, services, time.time_ns(), size=IN_THREAD)
            await self._resolve(reader, fresh)
            return True

    def _next(self, segments: Segments) -> Piece | None:
        self.newest = max((segment.last_span for segment in segments.all), default=self.newest)
        for segment in segments.all:
            self._skip_moved()
            first = max(self.place + 1, segment.first_span)
            last = min(segment.last_span, first + SPANS_PER_PIECE - 1)
            if first <= last:
                last = min(last, self._moved[0].start - 1) if self._moved else last
                return Piece(segment, first, last, is_final=True)
        self.place = max(self.place, self.newest)
        return None

    def _skip_moved(self) -> None:
        """Go on behind moved rows, if the next ones are."""
        while self._moved and self._moved[0].start <= self.place + 1:
            self.place = max(self.place, self._moved.pop(0).stop - 1)

    async def _resolve(self, reader: Reader, fresh: list[Exemplar]) -> None:
        """Look up the ids of exemplars."""
        ids = {row: own for row, *own in await reader.rows(_IDS, [str([one.span for one in fresh])])}
        async with self.lock:
            for one in fresh:
                one.trace_id, one.span_id = ids.get(one.span, (b"", b""))

    async def _names(self, reader: Reader) -> dict[int, str]:
        """The names of services by their numbers."""
        sql = "SELECT id, name FROM services WHERE id > ?"
        self._services.update(await reader.rows(sql, [max(self._services, default=0)]))
        return self._services


def parted(rows: Sequence[int], place: int) -> tuple[list[int], list[int]]:
    """Rows up to a place, and those behind it."""
    return [row for row in rows if row <= place], [row for row in rows if row > place]
