"""A shape against the spans of a test.

A span *suits* a line by its name, attributes and filter; it *fits* if all below it does, too. Below a span:

* each child that suits a line is given to one that it fits, and each line gets as many as it wants;
* children that suit no line are others: allowed, unless all is strict and the shape has no ``...`` there.

At the top, where a test's capture may hold all kinds of traces, every root that fits no line is another one, and a
line that wants one is content with more: some root must match. Strict, the top is like every other place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from minitrace.model import Node, Span, Trace
from minitrace.testing.shapes import selection
from minitrace.testing.shapes.assignment import assigned, in_sequence
from minitrace.testing.shapes.outline import attribute
from minitrace.testing.shapes.shape import SpanShape


@dataclass(frozen=True, slots=True)
class Place:
    """The children of one line, and the spans that stand there.

    `suits` and `fits` have for each span the lines that it suits and fits; each line wants `least` to `most` spans.
    Spans in `others` need no line.
    """

    lines: Sequence[SpanShape]
    nodes: Sequence[Node]
    suits: Sequence[Sequence[int]]
    fits: Sequence[Sequence[int]]
    least: Sequence[int]
    most: Sequence[int]
    others: frozenset[int]
    is_ordered: bool = False

    def given(self) -> list[int | None]:
        """The line of each span, as far as there is room."""
        return assigned(self.fits, self.least, self.most)

    def counts(self, given: Sequence[int | None]) -> list[int]:
        """How many spans each line got."""
        return [sum(line == at for line in given) for at in range(len(self.lines))]

    def is_filled(self, given: Sequence[int | None]) -> bool:
        """Whether every line has enough, and every span that needs one a line; in whatever order."""
        enough = all(count >= least for count, least in zip(self.counts(given), self.least, strict=True))
        return enough and all(line is not None or at in self.others for at, line in enumerate(given))

    def is_in_sequence(self) -> bool:
        """Whether they can be given out in the order of the lines."""
        wanting = [fits for at, fits in enumerate(self.fits) if at not in self.others]
        return in_sequence(wanting, self.least, self.most)

    def fulfilled(self) -> bool:
        """Whether all lines have what they want, and all spans a line."""
        return self.is_in_sequence() if self.is_ordered else self.is_filled(self.given())


class Matcher:
    """What of a shape suits and fits what; each question is answered once."""

    def __init__(self, traces: Sequence[Trace], *, strict: bool) -> None:
        self._traces = traces
        self._strict = strict
        self._found: dict[str, set[int]] = {}
        self._fits: dict[tuple[int, int], bool] = {}

    def is_named(self, line: SpanShape, span: Span) -> bool:
        """Whether a span is called so, with its service in front or without."""
        names = (span.name, f"{span.service}: {span.name}")
        if line.is_exact:
            return line.name in names
        return any(selection.is_called(name, line.name) for name in names)

    def is_found(self, line: SpanShape, span: Span) -> bool:
        """Whether a line's filter finds a span; without one it finds all."""
        if line.where is None:
            return True
        if line.where not in self._found:
            self._found[line.where] = selection.found(line.where, self._traces)
        return id(span) in self._found[line.where]

    def suits(self, line: SpanShape, span: Span) -> bool:
        """Whether a span is what a line says, whatever is below it."""
        return self.is_named(line, span) and not other_attributes(line, span) and self.is_found(line, span)

    def fits(self, line: SpanShape, node: Node) -> bool:
        """Whether a span and all below it are what a line and all below it say."""
        key = (id(line), id(node))
        if key not in self._fits:
            self._fits[key] = self.suits(line, node.span) and self.place(line, node.children).fulfilled()
        return self._fits[key]

    def place(self, line: SpanShape, nodes: Sequence[Node]) -> Place:
        """What is below a line, and below a span."""
        lines, high = line.children, len(nodes)
        most = [high if line.most is None else line.most for line in lines]
        suited = [([at for at, line in enumerate(lines) if self.suits(line, node.span)], node) for node in nodes]
        suited.sort(key=lambda pair: (pair[1].span.start_ns, pair[0]))  # a coarse clock must not put them out of order
        suits, nodes = [some for some, _ in suited], [node for _, node in suited]
        fits = [[at for at in some if self.fits(lines[at], node)] for some, node in suited]
        allows = not self._strict or line.has_more
        others = frozenset(at for at, some in enumerate(suits) if not some) if allows else frozenset[int]()
        return Place(lines, nodes, suits, fits, [line.least for line in lines], most, others, line.is_ordered)

    def top(self, shape: SpanShape, roots: Sequence[Node]) -> Place:
        """The roots, below a shape's nameless line."""
        place = self.place(shape, roots)
        if self._strict:
            return place
        most = [max(len(roots), 1) if high == 1 else high for high in place.most]
        others = frozenset(at for at, fits in enumerate(place.fits) if not fits)
        return replace(place, most=most, others=others)


def other_attributes(line: SpanShape, span: Span) -> list[str]:
    """Which attributes of a line a span has not, or has with another value."""
    return [key for key, wanted in line.attrs.items() if not _is(wanted, attribute(span, key))]


def _is(wanted: object, value: object) -> bool:
    # An attribute that is missing is equal to None alone: not to an object that is equal to anything.
    return wanted is None if value is None else bool(wanted == value)
