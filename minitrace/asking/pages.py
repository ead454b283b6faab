"""More traces or log records than are told at once: page by page, from the newest to the oldest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from minitrace.asking.source import Found, Source
from minitrace.model import LogRecord

AT_ONCE = 1000  # the most that the API tells


def found(
    source: Source, parameters: Mapping[str, str], limit: int, note: Callable[[str], None], *, at_once: int = AT_ONCE
) -> Iterator[Found]:
    """The newest traces that match, each once; `note` gets a line where these are not all.

    The API has no places to go on from: the next page is what began no later than the last trace of the one before.
    `start` and `end` are nanoseconds.

    Raises:
        MinitraceError: the source does not answer, or a parameter cannot be read.
    """
    told: set[bytes] = set()
    times = {name: parameters[name] for name in ("start", "end") if name in parameters}
    while True:
        page = source.search({**parameters, **times, "limit": str(at_once)})
        for one in page.traces:
            if one.trace_id in told:
                continue
            if len(told) == limit:
                note(f"the first {limit}; --limit exports more")
                return
            told.add(one.trace_id)
            yield one
        if not page.is_complete:
            note("there was no time to look at all traces: give a shorter time with --since")
            return
        if len(page.traces) < at_once:
            return
        start, end = int(times.get("start", 0)), page.traces[-1].start_ns + 1
        if "end" in times and end >= int(times["end"]):
            note(f"more than {at_once} traces begin at the same moment: not all of them are told")
            return
        times = {"start": str(start), "end": str(max(end, start + 1))}


def logs_of(source: Source, trace_id: bytes, *, at_once: int = AT_ONCE) -> Iterator[list[LogRecord]]:
    """The log records of a trace. Raises MinitraceError: the source does not answer."""
    parameters = {"trace": trace_id.hex(), "limit": str(at_once)}
    while True:
        page = source.logs(parameters)
        if page.records:
            yield page.records
        if not page.has_more:
            return
        parameters["before"] = page.document["next"]
