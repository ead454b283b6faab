"""A file, read without writing to it; also one that a server has open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from minitrace.asking.source import Answer, Found, LogAnswer
from minitrace.errors import StoreLocked
from minitrace.model import LogRecord, Span, Trace
from minitrace.store.database import Readers, explained, read_option
from minitrace.store.lock import Lock
from minitrace.store.maintenance import reading
from minitrace.store.matches import TraceMatch
from minitrace.store.questions import Questions
from minitrace.web.log_pages import logs_answer, read_logs
from minitrace.web.tempo_search import read_search, search_answer, trace_answer

TIMEOUT_S = 10.0  # nobody else waits for it
STEP_S = 0.25  # between two looks
AT_ONCE = "500"  # traces that arrived between them

T = TypeVar("T")


class File:
    """One of minitrace's files. `is_watched`: a server may open it meanwhile.

    A file that nobody has open is read without a write-ahead log, and kept from being opened until `close`; with
    `is_watched` neither, which can leave an empty log beside it.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """

    def __init__(self, path: Path, *, is_watched: bool = False) -> None:
        with reading(path):
            pass  # it is there, and ours
        self.name = str(path)
        self._path = path
        self._lock, option = (None, "mode=ro") if is_watched else _hold(path)
        self._runner = asyncio.Runner()
        self._readers = self._run(Readers.open(path, TIMEOUT_S, number=1, option=option))
        self._questions = Questions(path, self._readers)

    def search(self, parameters: Mapping[str, str]) -> Answer:
        """What the API would answer. Raises MinitraceError."""
        return Answer(search_answer(self._run(self._questions.search(read_search(parameters)))))

    def trace(self, trace_id: bytes) -> Trace:
        """A whole trace. Raises TraceNotFound."""
        return self._run(self._questions.trace(trace_id))

    def logs(self, parameters: Mapping[str, str]) -> LogAnswer:
        """What the API would answer. Raises MinitraceError."""
        form = read_logs(parameters)
        return LogAnswer(logs_answer(self._run(self._questions.logs(form.search))))

    def spans(self) -> Iterator[list[Span]]:
        """All that it holds, some thousand at a time. Raises MinitraceError."""
        place, spans = self._run(self._questions.spans_after(0))
        while spans:
            yield spans
            place, spans = self._run(self._questions.spans_after(place))

    def records(self) -> Iterator[list[LogRecord]]:
        """The same with its log records."""
        place, records = self._run(self._questions.logs_after(0))
        while records:
            yield records
            place, records = self._run(self._questions.logs_after(place))

    def arrivals(self, parameters: Mapping[str, str], deadline_s: float) -> Iterator[list[Found]]:
        """What arrives and matches: the file is looked at several times a second."""
        wanted = read_search({**parameters, "limit": AT_ONCE})

        async def turn(after: int | None) -> tuple[int, list[TraceMatch]]:
            place = await self._questions.place()
            if after is None or after == place:
                return place, []
            return place, (await self._questions.arrivals(wanted, after, place)).matches

        place, _ = self._run(turn(None))
        yield []
        while (left_s := deadline_s - time.monotonic()) > 0:
            time.sleep(min(STEP_S, left_s))
            place, matches = self._run(turn(place))
            yield [Found(trace_answer(match)) for match in reversed(matches)]

    def page(self, trace_id: bytes) -> str:
        """No address: nobody serves it."""
        return ""

    def close(self) -> None:
        """Close it, and let others open it."""
        self._run(self._readers.close())
        self._runner.close()
        if self._lock:
            self._lock.release()

    def _run(self, action: Coroutine[Any, Any, T]) -> T:
        with explained(self._path):
            return self._runner.run(action)


def _hold(path: Path) -> tuple[Lock | None, str]:
    """The lock of a file that nobody has open, and how to open it to read."""
    try:
        return Lock.for_reading(path), read_option(path, is_used=False)
    except StoreLocked:
        return None, read_option(path, is_used=True)
