"""Clients that export without a pause while the server is stopped, or killed."""

from __future__ import annotations

import itertools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Self

from minitrace.otlp.encode import encode_export
from tests.running import until
from tests.samples import span

SENDERS = 4
SPANS_PER_EXPORT = 10


class Gone(Exception):
    """Nobody answers any more."""


class Senders(ABC):
    """Several of them, each with a connection; `acknowledged` are the names of the spans that were taken."""

    def __init__(self, prefix: str = "span") -> None:
        self.acknowledged: set[str] = set()
        self._threads = [threading.Thread(target=self._send, args=(f"{prefix} {n}",)) for n in range(SENDERS)]

    @abstractmethod
    def connected(self) -> AbstractContextManager[Callable[[bytes], bool]]:
        """What sends an ExportTraceServiceRequest, and tells whether it was taken. It raises Gone."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        until(lambda: len(self.acknowledged) >= 20 * SPANS_PER_EXPORT)
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def _send(self, prefix: str) -> None:
        with self.connected() as export:
            for number in itertools.count():
                trace = f"{prefix} {number}"
                names = [f"{trace} {n}" for n in range(SPANS_PER_EXPORT)]
                try:
                    is_taken = export(encode_export([span(name, trace=trace) for name in names]))
                except Gone:
                    return
                if is_taken:
                    self.acknowledged.update(names)
