"""Text to shape: indented lines, as `shapes` describes them, to what `span()` would give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from minitrace.errors import ShapeError, TraceQLError
from minitrace.testing.finding import program
from minitrace.testing.shapes.notation import ATTRIBUTE, FILTER, LINE, MORE, REMARK, STRING, unquoted
from minitrace.testing.shapes.shape import SpanShape, Written, ambiguous

MAX_DEPTH = 100  # matching goes down by recursion

_OPENED = re.compile(r"(?<!\S)\{")
_CLOSED = re.compile(FILTER)
_EARLY = re.compile(r"\s(?:[x×]\d+(?:\.\.\d*)?|\(in order\))$")


def parse(text: str) -> SpanShape:
    """The shape in a text: its tops are the children of what is returned, which has no name.

    Raises:
        ShapeError: a line cannot be read; the error says which, and what would do.
        TraceQLError: the filter of a line is not TraceQL.
    """
    open_lines = [_Open(-1, SpanShape(""))]
    number = 0
    for start, line in _lines(text):
        number += bool(line.strip() or number)  # blank lines in front are not counted: the text begins below its quotes
        content = line.strip()
        if not content or REMARK.match(content):
            continue
        at = start + len(line) - len(line.lstrip())
        _hang(open_lines, _Place(text, number, at, content), len(line.expandtabs()) - len(line.expandtabs().lstrip()))
    while len(open_lines) > 1:
        _close(open_lines)
    if not open_lines[0].children and not open_lines[0].has_more:
        raise ShapeError("the shape is empty: write the name of a span, and those below it indented")
    return open_lines[0].shape()


@dataclass(slots=True)
class _Open:
    """A line to which others may still be added."""

    indent: int
    own: SpanShape
    children: list[SpanShape] = field(default_factory=list)
    has_more: bool = False
    below: int | None = None  # how far its children are indented

    def shape(self) -> SpanShape:
        return replace(self.own, children=tuple(self.children), has_more=self.has_more)


@dataclass(frozen=True, slots=True)
class _Place:
    """A line of a shape: its number, its text, and where in the whole that begins."""

    whole: str
    number: int
    at: int
    text: str

    def error(self, message: str, start: int = 0, end: int | None = None) -> ShapeError:
        end = len(self.text) if end is None else end
        return ShapeError(f"line {self.number}: {message}", self.whole, self.at + start, self.at + end)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for line in text.split("\n"):
        yield start, line
        start += len(line) + 1


def _hang(open_lines: list[_Open], place: _Place, indent: int) -> None:
    """Put a line below the one it belongs to."""
    while open_lines[-1].indent >= indent:
        _close(open_lines)
    above = open_lines[-1]
    if above.below is None:
        above.below = indent
    elif above.below != indent:
        raise place.error(f"this is {indent} columns in, what it stands beside {above.below}: indent them alike")
    if MORE.fullmatch(place.text):
        above.has_more = True
        open_lines.append(_Open(indent, _NOTHING_BELOW))
        return
    if above.own is _NOTHING_BELOW:
        raise place.error('nothing can stand below "...": indent this like the line above')
    if len(open_lines) > MAX_DEPTH:
        raise place.error(f"this is more than {MAX_DEPTH} levels down: begin further down, with root=")
    open_lines.append(_Open(indent, _read(place)))


_NOTHING_BELOW = SpanShape("...")


def _close(open_lines: list[_Open]) -> None:
    done = open_lines.pop()
    if done.own is not _NOTHING_BELOW:
        open_lines[-1].children.append(done.shape())


def _read(place: _Place) -> SpanShape:
    """One line, without what is below it."""
    found = LINE.fullmatch(place.text)
    if not found:
        raise _unreadable(place)
    name, is_exact = _name(place, found)
    least, most = _count(place, found)
    if found["optional"] and least > 1:
        raise place.error(ambiguous(name, least, most))
    return SpanShape(
        name,
        0 if found["optional"] else least,
        most,
        _where(place, found),
        _attributes(place, found),
        is_ordered=found["ordered"] is not None,
        is_exact=is_exact,
        line=place.number,
    )


def _name(place: _Place, found: re.Match[str]) -> tuple[str, bool]:
    """The name, and whether it is no pattern."""
    name = found["name"] or "*"
    if not name.startswith('"') and (early := _EARLY.search(name)):
        message = "a count, and then (in order), are last in a line; a name that ends like this stands in quotes"
        raise place.error(message, early.start() + 1 + found.start("name"), found.end("name"))
    return _text(place, name, found.start("name")), name.startswith('"')


def _attributes(place: _Place, found: re.Match[str]) -> dict[str, object]:
    start, _ = found.span("attributes")
    return {
        each[1]: Written(_text(place, each[2], start + each.start(2)))
        for each in ATTRIBUTE.finditer(found["attributes"])
    }


def _text(place: _Place, text: str, start: int) -> str:
    """What a name or value says, in quotes or not."""
    try:
        return unquoted(text)
    except ValueError:
        message = r'what stands in quotes is a JSON string: \" and \\ stand for " and \ there'
        raise place.error(message, start, start + len(text)) from None


def _count(place: _Place, found: re.Match[str]) -> tuple[int, int | None]:
    if found["least"] is None:
        return 1, 1
    least = int(found["least"])
    most = least if found["range"] is None else int(found["most"]) if found["most"] else None
    if most is not None and most < least:
        raise place.error(
            f"no number is {least} or more and {most} or less: try x{most}..{least}", found.start("least")
        )
    return least, most


def _where(place: _Place, found: re.Match[str]) -> str | None:
    where = found["filter"]
    if where is None:
        return None
    try:
        program(where)
    except TraceQLError as error:
        start = place.at + found.start("filter")
        message = f"line {place.number}: {error.message}"
        raise TraceQLError(message, place.whole, start + error.start, start + error.end) from None
    return where


def _unreadable(place: _Place) -> ShapeError:
    """Why no line looks like this one."""
    if place.text.startswith('"') and not re.match(STRING, place.text):
        return place.error('the name has no closing "', 0, 1)
    opened = _OPENED.search(place.text)
    if opened:
        closed = _CLOSED.match(place.text, opened.start())
        if not closed:
            return place.error('the filter has no closing "}"; a name with " {" in it stands in quotes', opened.start())
        return place.error("a filter is followed by a count (x3, x1..3), (in order) or nothing", closed.end())
    if place.text.startswith('"'):
        return place.error("a name in quotes is followed by key=value, { filter }, a count (x3, x1..3) or nothing")
    return place.error("a line begins with a name")
