"""An attribute to what is shown of it: text on one line or several, and searches for its value or for others."""

from __future__ import annotations

from dataclasses import dataclass, field

from minitrace import present
from minitrace.model import Attributes, Value
from minitrace.web.queries import comparison
from minitrace.web.stacktrace import Stretch, stretches
from minitrace.web.statements import json_lines, sql_lines

LONG = 120  # characters beside a key; more stand below it
MAX_SHOWN = 2048  # characters; more are folded
MAX_STACK = 65_536
STATEMENTS = frozenset(("db.query.text", "db.statement"))
STACK = "exception.stacktrace"


@dataclass(frozen=True, slots=True)
class Shown:
    """An attribute as a row of the panel.

    `only` and `without` are TraceQL, "" where there is none. `length` is that of a value that is folded, else 0.
    """

    key: str
    text: str
    type: str
    only: str = ""
    without: str = ""
    is_tall: bool = False
    length: int = 0
    stack: list[Stretch] = field(default_factory=list)

    @property
    def is_mixed(self) -> bool:
        """Whether it is a stack trace with frames of libraries among one's own."""
        return len(self.stack) > 1


def shown(attributes: Attributes, scope: str) -> list[Shown]:
    """The rows of attributes; `scope` is TraceQL's word for where they stand: span, resource, event …"""
    return [_shown(scope, key, value) for key, value in attributes.items()]


def readable(key: str, value: Value) -> str:
    """An attribute's value as text, on several lines where that reads better."""
    return present.printable(_lines(key, value, present.value(value)))


def _shown(scope: str, key: str, value: Value) -> Shown:
    plain = present.value(value)
    text = readable(key, value)
    stack = stretches(text) if key == STACK and "\n" in text and len(text) <= MAX_STACK else []
    return Shown(
        key,
        text,
        present.value_type(value),
        comparison(scope, key, "=", value),
        comparison(scope, key, "!=", value),
        is_tall="\n" in text or len(plain) > LONG,
        length=len(plain) if len(plain) > MAX_SHOWN and not stack else 0,
        stack=stack,
    )


def _lines(key: str, value: Value, plain: str) -> str:
    """A value on several lines where that reads better."""
    if isinstance(value, list | dict):
        return plain if len(plain) <= LONG else json_lines(plain) or plain
    if not isinstance(value, str):
        return plain
    return json_lines(plain) or (sql_lines(plain) if key in STATEMENTS else None) or plain
