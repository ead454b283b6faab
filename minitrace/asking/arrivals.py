"""Traces as they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from minitrace.asking.source import Found, Source
from minitrace.model import MAX_TIME_NS

AT_FIRST = 200  # traces that were there before, the newest
REMEMBERED = 10_000  # traces that are not told again


def arrivals(
    source: Source, parameters: Mapping[str, str], since_ns: int | None = None, deadline_s: float = float("inf")
) -> Iterator[Found]:
    """Traces that match `parameters`, each once, when they arrive; first those that went on after `since_ns`, if given.

    Ends at `deadline_s`, in seconds of time.monotonic().

    Raises:
        MinitraceError: the source no longer answers.
    """
    told: dict[bytes, None] = {}
    for turn, arrived in enumerate(source.arrivals(parameters, deadline_s)):
        # only now: what comes between a search and the first turn would be lost
        before = _before(source, parameters, since_ns) if turn == 0 and since_ns is not None else []
        for found in (*before, *arrived):
            if found.trace_id not in told:
                told[found.trace_id] = None
                yield found
        while len(told) > REMEMBERED:
            del told[next(iter(told))]


def _before(source: Source, parameters: Mapping[str, str], since_ns: int) -> list[Found]:
    times = {"start": str(since_ns), "end": str(MAX_TIME_NS)}
    return source.search({**parameters, **times, "limit": str(AT_FIRST)}).traces[::-1]
