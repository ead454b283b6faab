"""Every error minitrace raises on purpose.

```
MinitraceError
├── ConfigError      a setting makes no sense                                exit 2
├── DecodeError      the bytes are not what the content type says            400
├── TooLarge         a limit on bytes or counts                              413
├── TraceQLError     not a query we understand; the message helps            400
├── ShapeError       not a shape of spans; the message helps
├── TraceNotFound    no span of that trace is stored                         404
├── QueryTimeout     the query ran past its deadline                         503
├── StoreBusy        the writer cannot take it now; try again                503, Retry-After: 1
└── StoreError       the file cannot be used                                exit 3
    ├── SchemaError  the file is newer than this minitrace, or not ours      exit 6
    ├── StoreDamaged the file is damaged, or no database at all              exit 5
    └── StoreLocked  another minitrace has the file open                     exit 4
```

Modules raise what they know; the rims (web, cli) turn errors into answers.
The HTTP statuses are one dictionary in `web/answers.py`.
"""

DRAWN = 100  # characters of a query's line that are drawn
DRAWN_BEFORE = 32  # of them before the place that is wrong: a phone shows some 45


class MinitraceError(Exception):
    """Something minitrace can explain; its text is written for the person who reads it."""


class ConfigError(MinitraceError):
    """A setting makes no sense."""


class DecodeError(MinitraceError):
    """The bytes are not what the content type says."""


class TooLarge(MinitraceError):
    """A limit on bytes or counts was passed."""


class TraceQLError(MinitraceError):
    """Not a query minitrace understands, from character `start` of it up to `end`.

    Its text is the message, and below it the line of the query with a caret. `message` is the first alone.
    """

    def __init__(self, message: str, query: str = "", start: int = 0, end: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.query = query
        self.start = start
        self.end = start + 1 if end is None else max(start, end)

    @property
    def drawing(self) -> str:
        """The line of the query that is wrong, and a caret under the place; "" where there is no query."""
        return _drawn(self.query, self.start, self.end) if self.query else ""

    def __str__(self) -> str:
        return f"{self.message}\n{self.drawing}" if self.query else self.message


class ShapeError(MinitraceError):
    """Not the shape of spans, from character `start` of its text up to `end`; drawn like a wrong query."""

    def __init__(self, message: str, text: str = "", start: int = 0, end: int = 0) -> None:
        super().__init__(f"{message}\n{_drawn(text, start, end)}" if text else message)


def _drawn(text: str, start: int, end: int) -> str:
    """The line of a text in which a place is, and carets under the place."""
    first = text.rfind("\n", 0, start) + 1
    line = text[first:].split("\n", 1)[0]
    column = start - first
    if column > DRAWN_BEFORE:  # a long line: what is before the place is cut
        cut = column - DRAWN_BEFORE
        line, column = "…" + line[cut:], DRAWN_BEFORE + 1
    if len(line) > DRAWN:
        line = line[:DRAWN] + "…"
    carets = "^" * max(1, min(end - start, len(line) - column))
    return f"  {line.expandtabs(1)}\n  {' ' * column}{carets}"


class TraceNotFound(MinitraceError):
    """No span of that trace is stored."""


class QueryTimeout(MinitraceError):
    """The query ran past its deadline."""


class StoreBusy(MinitraceError):
    """The writer cannot take more now; try again in a second."""


class StoreError(MinitraceError):
    """The database file cannot be used."""


class SchemaError(StoreError):
    """The file is newer than this minitrace, or not one of ours."""


class StoreDamaged(StoreError):
    """The file is damaged, or no database at all."""


class StoreLocked(StoreError):
    """Another minitrace has the file open."""
