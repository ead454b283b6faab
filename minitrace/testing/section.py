"""What a test's report shows of its traces: the drawing, and how to open what is saved.

```
trace f30cd9bf  5 spans  20.3 ms  in-process
  shop: GET /orders       20.3 ms  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
  └── SELECT orders       10.2 ms  ━━━━━━━━━━━━━━━━
open    minitrace open .minitrace/failed/2026-11-22T13-41-05Z-4f2a91/test_orders__test_list-1f3a9c2e.db
browse  .minitrace/failed/2026-11-22T13-41-05Z-4f2a91/test_orders__test_list-1f3a9c2e.html
```

A message that has the drawing already is not followed by a second one.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from minitrace.analysis.drawing import cells
from minitrace.testing.capturing import Circumstances, Snapshot
from minitrace.testing.keeping import Kept
from minitrace.testing.reasons.diagnosis import diagnosis
from minitrace.testing.reasons.picture import MOST_COLUMNS, MOST_LINES, for_stream, origins, picture

TELLING = 40  # letters: a line that begins alike is the same line, cut or broken elsewhere


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where people read reports."""

    columns: int
    encoding: str
    folder: Path  # where they type commands

    @property
    def width(self) -> int:
        """How many columns a line may take."""
        return min(self.columns, MOST_COLUMNS)

    def plain(self, text: str) -> str:
        """A text as it can be shown there."""
        return for_stream(text, self.encoding)

    def folded(self, text: str) -> Iterator[str]:
        """The lines of a text, those broken that are too long."""
        for line in text.splitlines():
            yield from wrap(line, self.width, subsequent_indent="  ") if cells(line) > self.width else [line]

    def picture(self, snapshot: Snapshot, most: int) -> str:
        """The traces, drawn for it."""
        is_ascii = self.plain("━") != "━"
        return picture(snapshot.traces(), width=self.width, most=most, is_ascii=is_ascii, origins=origins(snapshot))


def section(
    snapshot: Snapshot, circumstances: Circumstances | None, kept: Kept | None, message: str, terminal: Terminal
) -> str:
    """The text for a test that ended with `message`; "" where there is nothing to say.

    With `circumstances`, the test asked for spans: why none came is told, unless the message tells it.
    """
    files = [terminal.plain(line) for line in _files(kept or Kept(), terminal.folder)]
    if snapshot.seen:
        said = terminal.picture(snapshot, MOST_LINES - len(files))
    else:
        said = terminal.plain(diagnosis(circumstances)) if circumstances else ""
    is_said = said.partition("\n")[0][:TELLING] in message
    return "\n".join([*([] if is_said else terminal.folded(said)), *files])


def _files(kept: Kept, folder: Path) -> Iterator[str]:
    if kept.db:
        yield f"open    minitrace open {shlex.quote(near(kept.db, folder))}"
    for page in kept.pages[:1]:
        yield f"browse  {near(page, folder)}"
    if kept.problem:
        yield kept.problem


def near(path: Path, folder: Path) -> str:
    """A path as one would type it in a folder."""
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)
