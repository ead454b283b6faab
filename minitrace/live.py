"""Who is watching: publish which traces changed, subscribe to that; and what the receiver saw lately.

Everything runs on the server's event loop. A watcher that falls behind gets the union of what it missed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from minitrace import present

NOTES = 20  # how many are kept
NOTE_CHARACTERS = 400

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Note:
    """Something the receiver noticed, for "why is nothing arriving?"; `times` counts repetitions."""

    time_ns: int
    text: str
    times: int = 1


class _Watcher:
    def __init__(self) -> None:
        self.changed: set[bytes] = set()
        self.wake = asyncio.Event()


class Live:
    """The meeting point of the receiver and the pages that watch."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()  # what is accepted and not stored: data points, log records
        self._notes: deque[Note] = deque(maxlen=NOTES)
        self._watchers: set[_Watcher] = set()
        self._closed = False

    @property
    def notes(self) -> Sequence[Note]:
        """What the receiver noticed, newest first."""
        return list(reversed(self._notes))

    def note(self, text: str, *, warn: bool = False) -> None:
        """Keep a line for the first-run page; a repeated one is counted. `warn` logs its first time.

        The text may quote a client: control characters are spelt out, and it is cut at `NOTE_CHARACTERS`.
        """
        text = present.printable(text).replace("\n", " ")[:NOTE_CHARACTERS]
        known = next((note for note in self._notes if note.text == text), None)
        if known:
            self._notes.remove(known)
        self._notes.append(Note(time.time_ns(), text, known.times + 1 if known else 1))
        if warn and not known:
            log.warning(text)

    def publish(self, trace_ids: Iterable[bytes]) -> None:
        """Tell every watcher that these traces have new spans, committed."""
        changed = set(trace_ids)
        for watcher in self._watchers:
            watcher.changed |= changed
            watcher.wake.set()

    async def changes(self) -> AsyncIterator[set[bytes]]:
        """The ids of traces that changed since the last turn; ends when the server stops."""
        watcher = _Watcher()
        self._watchers.add(watcher)
        try:
            while not self._closed:
                await watcher.wake.wait()
                watcher.wake.clear()
                changed, watcher.changed = watcher.changed, set()
                if changed:
                    yield changed
        finally:
            self._watchers.discard(watcher)

    def close(self) -> None:
        """End every `changes`: the server stops, and would wait for their streams."""
        self._closed = True
        for watcher in self._watchers:
            watcher.wake.set()
