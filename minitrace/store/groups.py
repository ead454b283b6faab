"""What a search finds, by the operation of the root."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from minitrace.analysis.breakdown import percentile
from minitrace.store.database import Reader, work
from minitrace.store.matching import Memory, matching, question
from minitrace.store.resolve import TRACES
from minitrace.store.search import Search

MOST_GROUPS = 500


@dataclass(slots=True)
class Group:
    """The matching traces of one root operation; service and name are None where the root was not received.

    `error_count` of them have errors; percentiles are by nearest rank, of their durations.
    """

    service: str | None
    name: str | None
    trace_count: int
    error_count: int
    p50_ns: int
    p95_ns: int
    longest_ns: int
    longest_trace_id: bytes
    newest_ns: int


@dataclass(slots=True)
class Groups:
    """Groups, the largest first, at most `MOST_GROUPS`; `complete` is False if some traces are in none, for a
    `reason`.
    """

    rows: list[Group] = field(default_factory=list)
    complete: bool = True
    reason: str = ""


async def groups(reader: Reader, memory: Memory, search: Search) -> Groups:
    """All that a search finds, whatever its limit and order, by root operation. Raises QueryTimeout."""
    key, began = ("groups", question(search)), memory.recent.version
    made: Groups | None = memory.recent.get(key)
    if made is None:
        found = await matching(reader, memory, search)
        sql = f"""
            SELECT services.name, root_name, end_ns - start_ns, error_count > 0, start_ns, trace_id
            FROM {TRACES}
            WHERE {found.where}
        """
        rows = await reader.rows(sql, found.bound)
        made = Groups(await work(_grouped, rows, size=len(rows)), found.complete, found.reason)
        memory.recent.keep(key, made, began)
    return made


def _grouped(rows: list[Any]) -> list[Group]:
    by_root: dict[tuple[str | None, str | None], list[Any]] = {}
    for service, name, *row in rows:
        by_root.setdefault((service, name), []).append(row)
    found = sorted(by_root.items(), key=lambda item: (-len(item[1]), item[0][0] or "", item[0][1] or ""))
    return [_group(*root, own) for root, own in found[:MOST_GROUPS]]


def _group(service: str | None, name: str | None, rows: list[Any]) -> Group:
    durations, failed, starts, _ = zip(*rows, strict=True)
    ordered = sorted(durations)
    longest_ns, *_, longest_trace = max(rows, key=lambda row: (row[0], row[2]))
    return Group(
        service, name, len(rows), sum(failed), percentile(ordered, 50), percentile(ordered, 95),
        longest_ns, longest_trace, max(starts),
    )  # fmt: skip
