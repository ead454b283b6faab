"""Who is watching: publish which traces changed, subscribe to that; and the latest requests to the receiver.

Everything runs on the server's event loop. A watcher that falls behind gets the union of what it missed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from minitrace import present

MOST_REQUESTS = 100  # that are kept, those that are alike counted as one
TEXT_CHARACTERS = 400  # of what a client sent, or was told
ALIKE_NS = 60 * 10**9  # after a silence as long as this a request stands for itself again

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Received:
    """A request to the receiver, or `times` of them that were alike, and what became of it.

    `status` is 0 where HTTP was not even spoken. `problem` says what was wrong, `cure` what to do about it. Numbers
    are sums; `size_bytes` is what was sent, packed as it was.
    """

    method: str
    path: str
    content_type: str = ""
    encoding: str = ""
    client: str = ""
    status: int = 0
    problem: str = ""
    cure: str = ""
    size_bytes: int = 0
    span_count: int = 0
    record_count: int = 0  # of logs
    trace_count: int = 0
    duplicates: int = 0
    rejected: int = 0
    without_ids: int = 0  # of those: ids that cannot be any
    other_count: int = 0  # data points, which are not stored
    times: int = 1
    time_ns: int = field(default_factory=time.time_ns)
    first_ns: int = 0

    @property
    def name(self) -> str:
        """What was asked, and the answer: ``POST /v1/trace 404``."""
        return " ".join(filter(None, (self.method, self.path, str(self.status or ""))))

    @property
    def is_trouble(self) -> bool:
        """Whether somebody should look at it."""
        return bool(self.problem)

    @property
    def rate(self) -> float:
        """How many came in a second; 0 for a single one."""
        return (self.times - 1) * 1e9 / (self.time_ns - self.first_ns) if self.time_ns > self.first_ns else 0.0

    @property
    def kind(self) -> tuple[str | int, ...]:
        """Alike are those of which this is the same."""
        return self.method, self.path, self.content_type, self.encoding, self.client, self.status, self.problem

    def add(self, other: Received) -> None:
        """Count another one that is alike and came later."""
        self.time_ns = other.time_ns
        self.times += other.times
        self.size_bytes += other.size_bytes
        self.span_count += other.span_count
        self.record_count += other.record_count
        self.trace_count += other.trace_count
        self.duplicates += other.duplicates
        self.rejected += other.rejected
        self.without_ids += other.without_ids
        self.other_count += other.other_count


@dataclass(slots=True)
class Totals:
    """What all requests to the receiver brought; `refused` counts those by status that it did not take, TLS as 0."""

    spans: int = 0
    duplicates: int = 0
    records: int = 0
    points: int = 0
    rejected: Counter[str] = field(default_factory=Counter)  # spans, by reason
    rejected_records: int = 0
    refused: Counter[int] = field(default_factory=Counter)

    def add(self, request: Received) -> None:
        """Count what a request brought."""
        is_log = request.path.startswith(("/v1/logs", "LogsService/"))
        self.spans += request.span_count
        self.records += request.record_count
        self.duplicates += request.duplicates
        self.points += request.other_count
        if is_log:
            self.rejected_records += request.rejected
        else:
            self.rejected.update(ids=request.without_ids, undecodable=request.rejected - request.without_ids)
        if not 200 <= request.status < 300:
            self.refused[request.status] += 1


class Requests:
    """The latest requests to the receiver; `count` tells how many there ever were, `totals` what they brought."""

    def __init__(self) -> None:
        self.count = 0
        self.totals = Totals()
        self._latest: dict[tuple[str | int, ...], Received] = {}  # the newest last

    def add(self, request: Received) -> None:
        """Keep a request. What is wrong with it is logged when it happens first."""
        self.count += 1
        self.totals.add(request)
        known = self._latest.pop(request.kind, None)
        if known and request.time_ns - known.time_ns < ALIKE_NS:
            known.add(request)
            request = known
        else:
            request.first_ns = request.time_ns
            if request.is_trouble and request.status not in (200, 503) and not known:
                log.warning("%s: %s", request.name, ". ".join(filter(None, (request.problem, request.cure))))
        self._latest[request.kind] = request
        if len(self._latest) > MOST_REQUESTS:
            del self._latest[next(iter(self._latest))]

    def latest(self, *, only_trouble: bool = False) -> list[Received]:
        """Those that are kept, the newest first."""
        return [one for one in reversed(self._latest.values()) if one.is_trouble or not only_trouble]


def shown(text: str) -> str:
    """What a client sent, as one short line: control characters are spelt out."""
    if len(text) <= TEXT_CHARACTERS and text.isascii() and text.isprintable():
        return text
    return present.printable(text[: 2 * TEXT_CHARACTERS]).replace("\n", " ")[:TEXT_CHARACTERS]


class _Watcher:
    def __init__(self) -> None:
        self.changed: set[bytes] = set()
        self.wake = asyncio.Event()


class Live:
    """The meeting point of the receiver and the pages that watch."""

    def __init__(self) -> None:
        self.requests = Requests()
        self.stream_count = 0  # answers that go on until somebody leaves
        self._watchers: set[_Watcher] = set()
        self._closed = False

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

    @property
    def is_closed(self) -> bool:
        """Whether the server stops."""
        return self._closed

    def close(self) -> None:
        """End every `changes`: the server stops, and would wait for their streams."""
        self._closed = True
        for watcher in self._watchers:
            watcher.wake.set()
