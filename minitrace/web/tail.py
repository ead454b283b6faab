"""The tail of the file, for all who watch it: what has arrived and matches, in turns.

```
publish → a turn: a quarter of a second in which more may come, then the place where the file ends now
        → each watcher: what lies between the place it had and that one, asked once for all who ask the same
```

Every watcher goes from place to place, and says to its client where it is; a client that comes back goes on from
there. A watcher whose client reads slowly misses turns, and then asks for all of them at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from minitrace.errors import QueryTimeout
from minitrace.live import Live
from minitrace.store.arrivals import Arrivals
from minitrace.store.search import Search
from minitrace.store.store import Store
from minitrace.web.named import slots_of

TURN_S = 0.25  # how long a turn takes at least
QUIET_S = 15.0


@dataclass(slots=True, eq=False)
class Round:
    """What a question found in a turn, and the colours of services; `texts` are for others who show it the same way."""

    arrivals: Arrivals
    slots: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


class Tail:
    """Turns in which the file grows, and what was found in the latest one."""

    def __init__(self, store: Store, live: Live) -> None:
        self._store = store
        self._live = live
        self._place = 0
        self._turned_s = 0.0
        self._looking = asyncio.Lock()
        self._watchers = 0
        self._turn: asyncio.Task[bool] | None = None
        self._asked: dict[tuple[Search, int], asyncio.Task[Round]] = {}  # since the latest turn

    async def rounds(self, question: Search, after: int) -> AsyncIterator[Round]:
        """What arrives behind a place and matches. Ends with the server.

        While nothing does, there is a round with nothing in it now and then: of the place alone.
        """
        self._watchers += 1
        told_s = time.monotonic()
        try:
            await self._look()  # nobody may have done so for long, and `after` is not to be ahead
            while await self._grown(after):
                found = await self._ask(question, after) if self._place != after else Round(Arrivals(after))
                after = found.arrivals.place if found else after
                if found and (found.arrivals.has_news or time.monotonic() - told_s >= QUIET_S):
                    told_s = time.monotonic()
                    yield found
        finally:
            self._watchers -= 1
            if not self._watchers and self._turn:
                self._turn.cancel()
                self._turn = None

    async def _grown(self, after: int) -> bool:
        """Wait until the file ends behind a place, or `QUIET_S` have passed; False when the server stops."""
        if self._place != after and self._place:
            return True
        if self._turn is None or self._turn.done():
            self._turn = asyncio.create_task(self._take_turn(), name="minitrace tail")
        turn = self._turn
        await asyncio.wait({turn}, timeout=QUIET_S)
        return not turn.done() or (not turn.cancelled() and turn.result())

    async def _take_turn(self) -> bool:
        """Wait for the file to grow, and see how far it did; False when the server stops."""
        changes = self._live.changes()
        change = asyncio.ensure_future(anext(changes, None))
        try:
            await asyncio.sleep(self._turned_s + TURN_S - asyncio.get_running_loop().time())
            if await self._look():  # it grew before anybody was listening
                return True
            if await change is None:
                return False
            await asyncio.sleep(TURN_S)
            await self._look()
            return True
        finally:
            change.cancel()

    async def _look(self) -> bool:
        """Whether the file ends elsewhere than it did; the questions of the turn before are forgotten then."""
        async with self._looking:  # one after the other, so that the place never goes back
            place = await self._end()
            if place == self._place:
                return False
            self._place, self._asked = place, {}
            self._turned_s = asyncio.get_running_loop().time()
            return True

    async def _end(self) -> int:
        while True:
            try:
                return await self._store.place()
            except QueryTimeout:  # too many at once
                if self._live.is_closed:
                    return self._place
                await asyncio.sleep(TURN_S)

    async def _ask(self, question: Search, after: int) -> Round | None:
        """What was found behind a place; None if the store is too busy, and the next turn asks again."""
        key = (question, after)
        if key not in self._asked:
            self._asked[key] = asyncio.create_task(self._find(question, after, self._place), name="minitrace round")
        asking = self._asked[key]
        try:
            return await asyncio.shield(asking)
        except QueryTimeout:
            await asyncio.sleep(TURN_S)
            if self._asked.get(key) is asking:
                del self._asked[key]
            return None

    async def _find(self, question: Search, after: int, until: int) -> Round:
        found = await self._store.arrivals(question, after, until)
        return Round(found, await slots_of(self._store) if found.has_news else {})
