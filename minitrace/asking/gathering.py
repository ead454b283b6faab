"""Files with traces and log records, gathered in a new file that a server may open; none of them is changed.

| a file | is |
|---|---|
| that begins with `SQLite format 3`, or whose name ends in .db | one of minitrace's, also while a server has it open |
| any other | in one of the formats that `formats.detection` finds out, packed or not |
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from minitrace.asking.file import File
from minitrace.errors import DecodeError, StoreError, TooLarge
from minitrace.formats.detection import HINT, readings
from minitrace.model import Span
from minitrace.store import attachment
from minitrace.store.database import make_private
from minitrace.store.growing_file import AT_ONCE, GrowingFile, new_file
from minitrace.store.maintenance import copy_pages, process_of, reading

SHOWN_PROBLEMS = 3  # of a file
_HEAD_BYTES = 64


def gather(
    files: Sequence[Path], target: Path, note: Callable[[str], None], *, name_of: Callable[[Path], object] = str
) -> None:
    """Make a file with all that others hold; `note` gets a line for what could not be taken or may surprise.

    One of ours is copied as it is; of several, the spans are, and one that cannot be read is only noted. `name_of` says
    what a file is called.

    Raises:
        StoreError: the only file cannot be read.
        DecodeError: it is in none of the formats, or there is no span and no log record in it.
    """
    for path in files:
        if process := process_of(path):
            note(f"process {process} has {path} open: this is what it holds now, and not what comes")
    if len(files) == 1 and _is_ours(files[0]):
        with reading(files[0]) as source:
            make_private(target)
            copy_pages(source, target)
        return
    with new_file(target) as gathered:
        for path in files:
            try:
                _add(path, gathered, str(name_of(path)), note)
            except (StoreError, DecodeError) as error:
                if len(files) == 1:
                    raise
                note(str(error))


def begins(path: Path, sign: bytes) -> bool:
    """Whether a file begins so, spaces aside. Raises StoreError: it cannot be read."""
    return _head(path).lstrip().startswith(sign)


def _is_ours(path: Path) -> bool:
    return path.suffix == ".db" or attachment.is_ours(_head(path))


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None


def _add(path: Path, gathered: GrowingFile, name: str, note: Callable[[str], None]) -> None:
    if not _is_ours(path):
        _take(path, gathered, name, note)
        return
    file = File(path)
    try:
        for spans in file.spans():
            gathered.add(spans)
        for records in file.records():
            gathered.add_logs(records)
    finally:
        file.close()


def _take(path: Path, gathered: GrowingFile, name: str, note: Callable[[str], None]) -> None:
    """Store a text's documents; one that cannot be read may be the last line of a Collector that was stopped."""
    problems: list[str] = []
    waiting: list[Span] = []
    taken = 0
    try:
        for found in readings(path.read_bytes(), now_ns=time.time_ns()):
            problems += found.problems
            waiting += found.spans
            taken += len(found.spans) + len(found.records)
            gathered.add_logs(found.records)
            if len(waiting) >= AT_ONCE:
                gathered.add(waiting)
                waiting = []
    except (DecodeError, TooLarge) as error:
        raise DecodeError(f"there is no span or log record in {name}: {error}") from None
    if not taken:
        raise DecodeError(f"there is no span or log record in {name}: {problems[0] if problems else HINT}")
    gathered.add(waiting)
    for problem in problems[:SHOWN_PROBLEMS]:
        note(f"{name}: {problem}")
    if (more := len(problems) - SHOWN_PROBLEMS) > 0:
        note(f"{name}: and {more} more")
