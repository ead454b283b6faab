"""A stack trace to its stretches: the frames of one's own code, and those of libraries in between.

Every language prints them in its own way; what tells a library is where its files lie, or its package in Java and .NET.
Lines are never changed, joined or left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

_FRAME = re.compile(r'\s*(?:at |File "|from |#\d+ |\S+:\d+:in )|\t\S+\.go:\d')
_LIBRARY = re.compile(
    r"""
    (?:site|dist)-packages[/\\] | [/\\]lib[/\\]python\d | <frozen\s                # Python
    | node_modules[/\\] | [\s(]node: | \(<anonymous>\)                            # Node
    | ^\s*at\ (?:[\w.]+//?)*(?:javax?|jdk|sun|com\.(?:sun|zaxxer)|jakarta|kotlinx?|scala|groovy|reactor
        |io\.(?:grpc|netty|vertx|micrometer|opentelemetry)
        |org\.(?:springframework|apache|hibernate|eclipse|jboss|postgresql|junit))\.
    | ^\s*at\ (?:System|Microsoft|Npgsql)\.                                       # .NET
    | [/\\]gems[/\\] | [/\\]vendor[/\\] | /pkg/mod/ | /go/src/ | /rustc/ | \.cargo/
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Lines one after another, line breaks included. `frame_count` is of those in a library; 0 for one's own code."""

    text: str
    frame_count: int = 0


def stretches(text: str) -> list[Stretch]:
    """The stretches of a stack trace; their texts together are the trace."""
    found = []
    for is_library, group in groupby(_sided(text.splitlines(keepends=True)), key=lambda pair: pair[0]):
        lines = [line for _, line in group]
        found.append(Stretch("".join(lines), max(1, sum(map(_is_frame, lines))) if is_library else 0))
    return found


def _sided(lines: list[str]) -> Iterator[tuple[bool, str]]:
    """Each line, and whether it belongs to a library."""
    is_library = False
    for line, following in zip(lines, [*lines, ""][1:], strict=True):
        # Go names the function on one line, and on the next where it is
        place = following if following.startswith("\t") and ".go:" in following else line
        if _is_frame(place):
            is_library = bool(_LIBRARY.search(place))
        elif line[:1] not in (" ", "\t"):
            is_library = False
        yield is_library, line


def _is_frame(line: str) -> bool:
    return _FRAME.match(line) is not None
