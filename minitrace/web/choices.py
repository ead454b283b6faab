"""What there is to choose from while a query is typed: counted once for all letters of a word, and never waited for.

A count goes from segment to segment, the newest first, and takes 0.1 s at a million spans; the next letter comes sooner
than that, and wants the same. So an answer has what was found until now, and the count goes on for the next one.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import suppress
from typing import Any

from minitrace.store.store import Store
from minitrace.store.tags import Among
from minitrace.traceql.ast import Attribute, Intrinsic

PATIENCE_S = 0.015  # where something is known already; a segment takes 2 to 10 ms
LONGEST_S = 0.2  # where nothing is
FRESH_S = 10.0
MOST_VALUES = 2_000  # of each segment, the commonest: with 5 000 an answer of rare values took twice as long
MOST_KEPT = 20  # counts, of up to a few thousand values each
MOST_AT_ONCE = 2  # of three connections that read


class _Count:
    """A count that goes on in the background."""

    def __init__(self, counts: AsyncGenerator[Counter[Any]]) -> None:
        self.found: Counter[Any] = Counter()
        self.is_begun = asyncio.Event()
        self.began = time.monotonic()
        self.task = asyncio.create_task(self._run(counts), name="minitrace choices")

    async def _run(self, counts: AsyncGenerator[Counter[Any]]) -> None:
        try:
            async for found in counts:
                self.found = found
                self.is_begun.set()
        finally:
            self.is_begun.set()

    async def wait(self) -> Counter[Any]:
        """What is known soon. Raises what went wrong."""
        await asyncio.wait((self.task,), timeout=PATIENCE_S)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.is_begun.wait(), LONGEST_S)
        if self.task.done() and not self.task.cancelled():
            self.task.result()
        return self.found

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.began < FRESH_S and not self.task.cancelled()


class Choices:
    """The counts of the last questions. Few go on at once: who asks for something else no longer wants the oldest."""

    def __init__(self) -> None:
        self._counts: OrderedDict[Hashable, _Count] = OrderedDict()

    async def values(self, store: Store, field: Attribute | Intrinsic, among: Among) -> Counter[tuple[type, Any]]:
        """How many spans have each value, by type and value, as far as it is known by now."""
        return await self._found(("values", field, among), lambda: store.value_counts(field, among, limit=MOST_VALUES))

    async def keys(self, store: Store, among: Among) -> Counter[tuple[str, str]]:
        """How many of the newest spans have each attribute, by scope and name, as far as it is known by now."""
        return await self._found(("keys", among), lambda: store.tag_counts(among))

    async def _found(self, key: Hashable, begin: Callable[[], AsyncGenerator[Counter[Any]]]) -> Counter[Any]:
        count = self._counts.get(key)
        if count is None or not count.is_fresh:
            self._make_room()
            count = self._counts[key] = _Count(begin())
        self._counts.move_to_end(key)
        return await count.wait()

    async def close(self) -> None:
        """End what goes on, before the store is closed."""
        tasks = [count.task for count in self._counts.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _make_room(self) -> None:
        while len(self._counts) >= MOST_KEPT:
            self._counts.popitem(last=False)[1].task.cancel()
        running = [count.task for count in self._counts.values() if not count.task.done()]
        for task in running[: 1 - MOST_AT_ONCE]:
            task.cancel()
