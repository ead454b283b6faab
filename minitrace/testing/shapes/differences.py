"""Where spans differ from a shape: its lines, each with a mark in front where something is different.

```
  POST /orders
    SELECT stock
~   charge { span.amount > 0 }   # span.amount is 0
      HTTP POST x1..3
-   send email
    # others here: notify, audit x2
```

``-`` is missing, ``+`` is too much, ``~`` is there but not so. Spans are compared with the lines that they differ from
least.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cached_property

from minitrace.model import Node, Span, Trace
from minitrace.testing import finding
from minitrace.testing.shapes import outline
from minitrace.testing.shapes.fitting import Matcher, Place, other_attributes
from minitrace.testing.shapes.notation import readable
from minitrace.testing.shapes.shape import SpanShape
from minitrace.traceql import values
from minitrace.traceql.ast import Static
from minitrace.traceql.fields import Row, compile_field
from minitrace.traceql.structure import TraceRows

MOST_COMPARED = 50  # spans of a place that are compared with each of its lines
MOST_NAMES = 6  # of what else is in a place
LONGEST_NAME = 100  # of which the likeness is looked at
MOST_SHOWN = 3  # spans that differ from the same line

_WEIGHTS = {" ": 0, "~": 1, "-": 2, "+": 2}


@dataclass(frozen=True, slots=True)
class Difference:
    """A line of the comparison.

    `mark` is " " where nothing differs. `shape` is the line of the shape, if it is one; `span` what it was compared
    with.
    """

    mark: str
    depth: int
    text: str
    remark: str = ""
    shape: SpanShape | None = None
    span: Span | None = None

    def __str__(self) -> str:
        indented = f"{self.mark} {'  ' * self.depth}{self.text}"
        return f"{indented}{'   ' if self.text else ''}# {self.remark}" if self.remark else indented


class Comparison:
    """The spans of some traces, compared with a shape."""

    def __init__(self, traces: Sequence[Trace], matcher: Matcher) -> None:
        self._traces = traces
        self._matcher = matcher
        self._pairs: dict[tuple[int, int], list[Difference]] = {}

    def at_top(self, shape: SpanShape, roots: Sequence[Node]) -> list[Difference]:
        """A whole shape and all roots."""
        return list(self._place(self._matcher.top(shape, roots), 0))

    def _pair(self, line: SpanShape, node: Node) -> list[Difference]:
        """A line and a span that might be meant by it, and all below them."""
        key = (id(line), id(node))
        if key not in self._pairs:
            remark = "; ".join(self._reasons(line, node.span))
            below = self._place(self._matcher.place(line, node.children), 1)
            self._pairs[key] = [Difference("~" if remark else " ", 0, line.title, remark, line, node.span), *below]
        return self._pairs[key]

    def _place(self, place: Place, depth: int) -> Iterator[Difference]:
        """The lines of a place in their order, then what is too much, then what else there is."""
        given = place.given()
        if place.is_ordered and place.is_filled(given):
            yield from _sequence(place, given, depth)
            return
        near = self._near(place, given)
        meant = {at for some in near for at in some}
        left = [at for at, line in enumerate(given) if line is None and at not in meant and at not in place.others]
        surplus = [
            at for at in left if place.suits[at]
        ]  # of a line that has enough: one that they fit, if there is any
        counts = place.counts([*given, *((place.fits[at] or place.suits[at])[0] for at in surplus)])
        shown = [found for at in range(len(place.lines)) for found in self._line(place, at, counts[at], near[at])]
        shown += _extra([place.nodes[at] for at in left if at not in surplus])
        shown += _others(shown, [place.nodes[at].span for at in sorted(place.others - meant) if given[at] is None])
        yield from (replace(found, depth=found.depth + depth) for found in shown)

    def _near(self, place: Place, given: Sequence[int | None]) -> list[list[int]]:
        """For each line those of the spans without one that might be meant by it, the nearest first."""
        near: list[list[int]] = [[] for _ in place.lines]
        counts = place.counts(given)
        meant: set[int] = set()
        left = [at for at, line in enumerate(given) if line is None and not place.fits[at]]
        for _, line, at in sorted(self._candidates(place, left)):
            wanted = place.least[line] if at in place.others else place.most[line]
            if at not in meant and counts[line] + len(near[line]) < wanted:
                near[line].append(at)
                meant.add(at)
        return near

    def _candidates(self, place: Place, left: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        """How much a span differs from a line that has its name; the line; the span."""
        for at in left[:MOST_COMPARED]:
            for number, line in enumerate(place.lines):
                if self._matcher.is_named(line, place.nodes[at].span):
                    yield sum(_WEIGHTS[found.mark] for found in self._pair(line, place.nodes[at])), number, at

    def _line(self, place: Place, at: int, count: int, near: Sequence[int]) -> Iterator[Difference]:
        """A line of the shape and what is below it, as often as spans differ from it."""
        line, total = place.lines[at], count + len(near)
        if total == 0 and place.least[at]:
            yield from _whole(line, "-")
        elif not place.least[at] <= total <= place.most[at]:
            yield from _whole(line, " ", "there once" if total == 1 else f"there {total} times")
        elif not near:
            yield from _whole(line, " ")
        alike: dict[tuple[str, ...], list[list[Difference]]] = {}
        for other in near:
            pair = self._pair(line, place.nodes[other])
            alike.setdefault(tuple(map(str, pair)), []).append(pair)
        for pairs in list(alike.values())[:MOST_SHOWN]:
            own, *below = pairs[0]
            share = f"{len(pairs)} of {total}" if total > 1 else ""
            yield replace(own, remark="; ".join(filter(None, [share, own.remark])))
            yield from below

    def _reasons(self, line: SpanShape, span: Span) -> Iterator[str]:
        """In what a span is not as its line says."""
        for key in other_attributes(line, span):
            yield _is(key, outline.attribute(span, key))
        if line.where is not None and not self._matcher.is_found(line, span):
            row = self._rows[id(span)]
            shown = [(str(one), values.known(compile_field(one)(row))) for one in finding.program(line.where).shown]
            yield ", ".join(f"{name} is {Static(value)}" for name, value in shown) or "the filter does not hold"

    @cached_property
    def _rows(self) -> dict[int, Row]:
        return {
            id(row.span): row for trace in self._traces for row in TraceRows(trace.spans, orphans_are_roots=True).rows
        }


def _is(key: str, value: object) -> str:
    return f"has no {key}" if value is None else f"{key} is {value!r}"


def _whole(line: SpanShape, mark: str, remark: str = "") -> Iterator[Difference]:
    """A line and all below it, none of which differs by itself."""
    yield Difference("~" if remark else mark, 0, line.title, remark, line)
    for child in line.children:
        yield from (replace(found, depth=found.depth + 1) for found in _whole(child, mark))
    if line.has_more:
        yield Difference(" ", 1, "...")


def _extra(nodes: Sequence[Node]) -> Iterator[Difference]:
    for text in outline.subtrees(nodes):
        yield Difference("+", (len(text) - len(text.lstrip())) // 2, text.lstrip())


def _others(shown: Sequence[Difference], spans: Sequence[Span]) -> Iterator[Difference]:
    """What else is in a place where something is missing: it may only have another name."""
    missing = [found.shape.name for found in shown if found.mark == "-" and found.depth == 0 and found.shape]
    if spans and missing:
        yield Difference(" ", 0, "", f"others here: {names(spans, like=missing)}")


def _sequence(place: Place, given: Sequence[int | None], depth: int) -> Iterator[Difference]:
    """The lines of a place where all is there, but not in this order: the first span out of it is marked."""
    late, last = _first_late(given)
    for at, line in enumerate(place.lines):
        remark = f"comes after {place.lines[last].title}" if at == late else ""
        yield from (replace(found, depth=found.depth + depth) for found in _whole(line, " ", remark))


def _first_late(given: Sequence[int | None]) -> tuple[int, int]:
    """A line of which a span comes after one of a later line; and that one. -1 where there is none."""
    last = -1
    for line in given:
        if line is not None and line < last:
            return line, last
        last = max(last, -1 if line is None else line)
    return -1, -1


def names(spans: Sequence[Span], like: Sequence[str] = ()) -> str:
    """Their names, each once, with how often it occurs; those first that are like one of some others."""
    counts = Counter(span.name for span in spans)
    found = sorted(counts, key=lambda name: (-max((_likeness(name, other) for other in like), default=0), name))
    shown = [f"{readable(name)} x{counts[name]}" if counts[name] > 1 else readable(name) for name in found[:MOST_NAMES]]
    return ", ".join(shown + ([f"{len(found) - MOST_NAMES} more names"] if len(found) > MOST_NAMES else []))


def _likeness(name: str, other: str) -> float:
    return SequenceMatcher(None, name[:LONGEST_NAME], other[:LONGEST_NAME]).ratio()
