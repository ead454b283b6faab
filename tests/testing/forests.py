"""Traces for tests, drawn as indented lines: what a span is called, when it ran, what it has.

```
POST /orders       0-100
  SELECT stock     1-5     db.rows=3
  charge           6-50    !
```

Times are milliseconds; ``!`` is an error. Without times a span begins where the line before it ended, and takes one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

from minitrace.model import Span, Status, StatusCode, Trace
from tests.samples import span

_LINE = re.compile(
    r"(?P<name>.*?)(?:\s+(?P<start>\d+)-(?P<end>\d+))?(?P<attributes>(?:\s+[\w.]+=\S+)*)(?P<error>\s+!)?"
)


def trace(text: str, *, name: str = "trace", reverse: bool = False) -> Trace:
    """The trace that a text draws; `reverse` has its spans in the order of arrival of a real one, children first."""
    spans = list(_spans(text, name))
    return Trace(spans[0].trace_id, spans[::-1] if reverse else spans)


def _spans(text: str, name: str) -> Iterator[Span]:
    above: list[tuple[int, str]] = []
    clock = itertools.count(step=2)
    for number, line in enumerate(filter(str.strip, text.split("\n"))):
        indent = len(line) - len(line.lstrip())
        above = [(column, id) for column, id in above if column < indent]
        found = _LINE.fullmatch(line.strip())
        assert found is not None
        start = int(found["start"]) if found["start"] else next(clock)
        end = int(found["end"]) if found["end"] else start + 1
        fields: dict[str, Any] = {"attributes": dict(_attributes(found["attributes"]))}
        if found["error"]:
            fields["status"] = Status(StatusCode.ERROR)
        id = f"{name}/{number}"
        parent = above[-1][1] if above else ""
        yield span(found["name"], parent, id=id, trace=name, start_ms=start, duration_ms=end - start, **fields)
        above.append((indent, id))


def _attributes(text: str) -> Iterator[tuple[str, str | int]]:
    for word in text.split():
        key, _, value = word.partition("=")
        yield key, int(value) if value.isdigit() else value
