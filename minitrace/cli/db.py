"""`minitrace db`: look at the file, check it, make it smaller, copy it, save what a damaged one holds."""

from __future__ import annotations

import json
import os
import shlex
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from minitrace import config, errors, present
from minitrace.cli import terminal
from minitrace.cli.exits import EXIT_CODES
from minitrace.store import integrity, maintenance, recovery
from minitrace.store.maintenance import Description, SegmentDescription

SHOWN_SEGMENTS = 3  # of the oldest, and of the newest


def info(parsed: Namespace) -> int:
    """Say what is in the file and how large it is. Returns the exit code."""
    description = maintenance.describe(_file(parsed))
    if parsed.json:
        print(json.dumps({**asdict(description), "warning": description.warning}, indent=2))
        return 0
    print(present.plain("\n".join(_described(description))))
    if description.warning:
        print(f"\nwarning: {description.warning}")
    return 0


def _described(description: Description) -> Iterator[str]:
    """The lines of `minitrace db info`."""
    size, integer, now_ns = present.size, present.integer, time.time_ns()
    used = f"in use by process {description.process}" if description.process else "not in use"
    written = f"last written by SQLite {description.written_by}; " if description.written_by else ""
    yield f"{description.path}  ({used})"
    yield ""
    yield (
        f"  size      {size(description.size_bytes)}, of which {size(description.free_bytes)} free; "
        f"write-ahead log {size(description.log_bytes)}"
    )
    yield f"  schema    {description.schema}; {written}this is SQLite {description.sqlite}"
    yield (
        f"  stored    {present.count(description.span_count, 'span')} "
        f"in {present.count(description.trace_count, 'trace')} "
        f"of {present.count(description.service_count, 'service')}; {integer(description.pinned_count)} pinned"
        + (f"; {present.count(description.log_count, 'log record')}" if description.log_count else "")
    )
    segments = description.segments
    if segments:
        oldest_ns, newest_ns = segments[0].first_received_ns, max(segment.last_received_ns for segment in segments)
        yield f"  arrived   {present.time(oldest_ns)} ({present.age(oldest_ns, now_ns)})"
        yield f"       to   {present.time(newest_ns)} ({present.age(newest_ns, now_ns)})"
    leaving = sum(segment.is_leaving for segment in segments)
    yield f"  segments  {len(segments)}" + (f", {leaving} of them being removed" if leaving else "")
    for segment in segments if len(segments) <= 2 * SHOWN_SEGMENTS else segments[:SHOWN_SEGMENTS]:
        yield _segment_line(segment, now_ns)
    if len(segments) > 2 * SHOWN_SEGMENTS:
        yield "            …"
        for segment in segments[-SHOWN_SEGMENTS:]:
            yield _segment_line(segment, now_ns)
    if description.tables:
        yield "  tables"
        rest, all_bytes = dict(description.tables), sum(description.tables.values())
        for name, size_bytes in description.tables.items():
            if size_bytes * 50 >= all_bytes:
                yield _table_line(name, rest.pop(name), all_bytes)
        yield _table_line("others", sum(rest.values()), all_bytes)


def _segment_line(segment: SegmentDescription, now_ns: int) -> str:
    ages = dict.fromkeys(
        present.age(came_ns, now_ns) for came_ns in (segment.first_received_ns, segment.last_received_ns)
    )
    logs = f", {present.count(segment.log_count, 'log record')}" if segment.log_count else ""
    return f"            {segment.id:<4}{present.count(segment.span_count, 'span'):>15}{logs}   {' to '.join(ages)}"


def _table_line(name: str, size_bytes: int, all_bytes: int) -> str:
    return f"            {name:<16}{present.size(size_bytes):>9}  {present.share(size_bytes, all_bytes):>5}"


def check(parsed: Namespace) -> int:
    """Look for damage in the file. Returns the exit code."""
    path = _file(parsed)
    with terminal.progress() as report:
        found = integrity.check(path, report)
    if not found.problems:
        logs = f" and {present.count(found.log_count, 'log record')}" if found.log_count else ""
        print(present.plain(f"no problem found in {present.count(found.span_count, 'span')}{logs}"))
        return 0
    more = " or more" if len(found.problems) >= integrity.MAX_PROBLEMS else ""
    print(f"{present.count(len(found.problems), 'problem')}{more} found in {path}:\n")
    for problem in found.problems:
        print("  " + problem.replace("\n", "\n    "))
    print(
        f"\nstop the server, then save what can be read: minitrace db recover {shlex.quote(str(path))}"
        "\nor put a backup in the file's place. minitrace has changed nothing"
    )
    return EXIT_CODES[errors.StoreDamaged]


def vacuum(parsed: Namespace) -> int:
    """Write the file anew, without the gaps that removed spans have left. Returns the exit code."""
    path = _file(parsed)
    before, after = maintenance.vacuum(path)
    print(present.plain(f"{path}: {present.size(before)} before, {present.size(after)} now"))
    return 0


def backup(parsed: Namespace) -> int:
    """Copy the file, as it is at one moment. Returns the exit code."""
    target = Path(parsed.target)
    count = maintenance.back_up(_file(parsed), target, is_forced=parsed.force)
    print(present.plain(f"{target}: {present.count(count, 'span')}, {present.size(target.stat().st_size)}, checked"))
    return 0


def recover(parsed: Namespace) -> int:
    """Save what a damaged file still holds into a new file in its place. Returns the exit code."""
    path = Path(parsed.file)
    with terminal.progress() as report:
        found = recovery.recover(path, report)
    print(
        present.plain(
            f"saved {present.integer(found.span_count)} of {present.count(found.expected_count, 'span')} into {path}"
        )
    )
    losses = {
        "traces without some of their spans": found.incomplete_traces,
        "traces without any": found.lost_traces,
        "spans without some of their values": found.incomplete_spans,
    }
    for name, number in losses.items():
        if number:
            print(present.plain(f"  {name}: {present.integer(number)}"))
    if found.expected_log_count:
        saved = f"{present.integer(found.log_count)} of {present.count(found.expected_log_count, 'log record')}"
        print(present.plain(f"  saved {saved}"))
    print(f"the damaged file is kept as {found.original}")
    return 0


def _file(parsed: Namespace) -> Path:
    """The file that was named, or the one that `minitrace serve` would store in."""
    name = parsed.file or os.environ.get(config.variable("db"), "")
    if name == config.MEMORY:
        raise errors.ConfigError(f'"{config.MEMORY}" is no file, and is gone when its server is. Name a file')
    return config.Config(db=name).path
