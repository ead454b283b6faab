"""What a place can be asked for, and how a trace reads that was found there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from minitrace.model import LogRecord, Trace
from minitrace.otlp.log_records import decode_logs


class Source(Protocol):
    """A place that has traces; `name` is its address or its path, for messages."""

    name: str

    def search(self, parameters: Mapping[str, str]) -> Answer:
        """What ``/api/search`` answers to these parameters. Raises MinitraceError."""
        ...

    def trace(self, trace_id: bytes) -> Trace:
        """A whole trace. Raises TraceNotFound, MinitraceError."""
        ...

    def logs(self, parameters: Mapping[str, str]) -> LogAnswer:
        """What ``/api/logs`` answers to these parameters. Raises MinitraceError."""
        ...

    def arrivals(self, parameters: Mapping[str, str], deadline_s: float) -> Iterator[list[Found]]:
        """What arrives and matches from the first turn on; a turn may bring nothing, as the first does.

        Ends soon after `deadline_s`, in seconds of time.monotonic(). Raises MinitraceError.
        """
        ...

    def page(self, trace_id: bytes) -> str:
        """The address of the trace's page; "" where there is none."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


@dataclass(frozen=True)
class Found:
    """A trace in one line; `document` is what the API says of it."""

    document: dict[str, Any]

    @cached_property
    def trace_id(self) -> bytes:
        """Its id."""
        return bytes.fromhex(self.document["traceID"].zfill(32))

    @property
    def start_ns(self) -> int:
        """When it began."""
        return int(self.document["startTimeUnixNano"])

    @property
    def duration_ms(self) -> int:
        """How long it took, in whole milliseconds: the API tells no less."""
        return int(self.document.get("durationMs", 0))

    @property
    def service(self) -> str:
        """The service of its root, or words that say that the root was not received."""
        return str(self.document.get("rootServiceName", ""))

    @property
    def name(self) -> str:
        """The name of its root; "" while that was not received."""
        return str(self.document.get("rootTraceName", ""))

    @property
    def span_count(self) -> int:
        """How many spans it has."""
        return self._sum("spanCount")

    @property
    def error_count(self) -> int:
        """How many of them failed."""
        return self._sum("errorCount")

    def _sum(self, key: str) -> int:
        return sum(int(counts.get(key, 0)) for counts in self.document.get("serviceStats", {}).values())


@dataclass(frozen=True)
class Answer:
    """What a search found; `document` is what the API says."""

    document: dict[str, Any]

    @cached_property
    def traces(self) -> list[Found]:
        """The traces, newest first."""
        return [Found(trace) for trace in self.document.get("traces", [])]

    @property
    def is_complete(self) -> bool:
        """Whether all traces were looked at that the search is about, or enough of them."""
        metrics = self.document.get("metrics", {})
        return bool(metrics.get("completedJobs", 1) >= metrics.get("totalJobs", 1))


@dataclass(frozen=True)
class LogAnswer:
    """What a search for log records found; `document` is what the API says."""

    document: dict[str, Any]

    @cached_property
    def records(self) -> list[LogRecord]:
        """The records, newest first."""
        return decode_logs(json.dumps(self.document).encode(), is_json=True).records

    @property
    def is_complete(self) -> bool:
        """Whether all records were looked at that the search is about, or enough of them."""
        return bool(self.document.get("complete", True))

    @property
    def has_more(self) -> bool:
        """Whether there are more than these."""
        return "next" in self.document
