"""What people see: lines and tables that fit their terminal, progress while they wait."""

from __future__ import annotations

import codecs
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

from minitrace.analysis.drawing import cells, plainer, shortened

Report = Callable[[str], None]


def open_output() -> None:
    """Make stdout and stderr take any text, whatever their encoding; a stdout that is closed takes it and is silent."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (until the end)
    codecs.register_error("plainer", _plainer)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
            stream.reconfigure(errors="plainer")


def _plainer(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return plainer(error.object[error.start : error.end]), error.end


@contextmanager
def progress() -> Iterator[Report]:
    """What shows one line, over the one before, to who watches at a terminal."""
    is_watched = sys.stderr.isatty()

    def report(line: str) -> None:
        if is_watched:
            print(f"\r\x1b[K{line} …", end="", file=sys.stderr, flush=True)

    try:
        yield report
    finally:
        if is_watched:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def width() -> int:
    """The columns of the terminal; 0 where the output goes somewhere else, whose lines may be long."""
    return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 0


def table(rows: Sequence[Sequence[str]], right: Sequence[int], most: int = 0) -> Iterator[str]:
    """Rows as aligned lines of at most `most` cells, 0 for any; the columns in `right` stand to the right."""
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = [
            " " * (wide - cells(text)) + text if number in right else text + " " * (wide - cells(text))
            for number, (text, wide) in enumerate(zip(row, widths, strict=True))
        ]
        line = "  ".join(padded).rstrip()
        yield shortened(line, most) if most else line
