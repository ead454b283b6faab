"""A test's spans as text that is the same in every run, for snapshots.

```
pipeline doc.id=doc-1
  fetch
  parse { status = error }
  embed x4
```

No times and no ids are in it, and the order is not that of the clock alone. Of two siblings, the one that had ended
when the other began comes first, always. What ran at the same time, in whatever order it happened to begin, is sorted:
those called like the line before, then by name, attributes and what is below. Siblings alike that follow on each other
are one line. What comes out is a shape, too, as `parser.parse` reads them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import inf

from minitrace.model import MAX_TIME_NS, Node, Span, Trace, Value
from minitrace.testing.shapes import selection
from minitrace.testing.shapes.notation import readable, written

IS_ERROR = "{ status = error }"

Row = tuple[Node, Node | None, int]  # a node, the nearest one above it that is shown, and its depth among those


def outline(
    traces: Sequence[Trace],
    query: str | None = None,
    *,
    attrs: Sequence[str] = (),
    status: bool = True,
    collapse: bool = True,
    services: bool = False,
) -> str:
    """All traces as indented names, one line a span, or as many as are alike; each line ends with a newline.

    Of a `query` only the spans that it finds are shown, each below the nearest one above it. `attrs` names attributes
    of spans or their resources, shown in this order where there are any. `status` says which spans have an error,
    `services` which service they are of where that is another than above.

    Raises:
        TraceQLError: the query is none, or does not find spans.
    """
    writer = _Writer(tuple(attrs), status, collapse, services)
    shown = None if query is None else selection.found(query, traces)
    nodes = (node for trace in traces for node in trace.rows())
    return "".join(f"{line}\n" for line in writer.lines(_shown(nodes, shown)))


def subtrees(nodes: Iterable[Node]) -> list[str]:
    """Siblings and all below them, as lines."""
    return _Writer((), True, True, False).lines(row for node in nodes for row in _shown(node.walk(), None, node.depth))


def attribute(span: Span, key: str) -> Value:
    """A span's attribute, or else its resource's; None for none."""
    value = span.attributes.get(key)
    return span.resource.attributes.get(key) if value is None else value


@dataclass(slots=True)
class Block:
    """A span with all below it, as text. `lines` are those of its children, indented."""

    span: Span
    head: str
    lines: list[str] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, list[str]]:
        """What blocks that ran at the same time are sorted by."""
        return self.span.name, self.head, self.lines

    @property
    def interval(self) -> tuple[float, float]:
        """When it began and ended; without usable times it may have run at any."""
        span = self.span
        return (span.start_ns, span.end_ns) if 0 < span.start_ns <= span.end_ns < MAX_TIME_NS else (-1, inf)


@dataclass(frozen=True, slots=True)
class _Writer:
    attrs: tuple[str, ...]
    has_status: bool
    is_collapsed: bool
    has_services: bool

    def lines(self, rows: Iterable[Row]) -> list[str]:
        """Bottom up, without recursion: a block is whole before the one above it."""
        below: dict[int, list[Block]] = {id(None): []}
        for node, above, depth in reversed(list(rows)):
            block = Block(node.span, self._head(node.span, above.span if above else None))
            block.lines = self._joined(below.pop(id(node), []), "  " * (depth + 1))
            below.setdefault(id(above), []).append(block)
        return self._joined(below[id(None)], "")

    def _head(self, span: Span, above: Span | None) -> str:
        is_elsewhere = self.has_services and (above is None or above.service != span.service)
        name = readable(f"{span.service}: {span.name}" if is_elsewhere else span.name)
        values = [(key, attribute(span, key)) for key in self.attrs]
        parts = [name, *(f"{key}={written(value)}" for key, value in values if value is not None)]
        if self.has_status and span.is_error:
            parts.append(IS_ERROR)
        return " ".join(parts)

    def _joined(self, blocks: list[Block], indent: str) -> list[str]:
        """Siblings in their order, those alike that follow on each other as one."""
        lines: list[str] = []
        ordered = in_order(blocks)
        groups = groupby(ordered, lambda block: block.key) if self.is_collapsed else ((b.key, [b]) for b in ordered)
        for (_, head, below), alike in groups:
            count = len(list(alike))
            lines.append(f"{indent}{head} x{count}" if count > 1 else indent + head)
            lines += below
        return lines


def _shown(nodes: Iterable[Node], shown: set[int] | None, top: int = 0) -> Iterator[Row]:
    """The nodes that are shown, of all in depth-first order, the highest of which are `top` levels deep."""
    path: list[tuple[Node | None, int]] = []  # for each level of the tree: the nearest shown one, and its depth
    for node in nodes:
        del path[node.depth - top :]
        above, depth = path[-1] if path else (None, -1)
        is_shown = shown is None or id(node.span) in shown
        path.append((node, depth + 1) if is_shown else (above, depth))
        if is_shown:
            yield node, above, depth + 1


def in_order(blocks: Sequence[Block]) -> list[Block]:
    """Siblings in an order that depends only on which of them ended before which others began.

    Again and again the next one is chosen among those before which nothing else must come: one with the name of the
    last one if there is any, or else the first by `Block.key`. Sorting whatever overlaps as a heap would tear apart
    a sequence beside which something long ran.
    """
    waiting = sorted(blocks, key=lambda block: block.interval, reverse=True)
    ends = sorted(((*block.interval[::-1], at) for at, block in enumerate(blocks)), reverse=True)
    places = {id(block): at for at, block in enumerate(blocks)}
    ready: list[Block] = []
    placed: set[int] = set()
    ordered: list[Block] = []
    while len(ordered) < len(blocks):
        while ends[-1][2] in placed:
            ends.pop()
        end, start, _ = ends[-1]  # of those left, the first to end: what begins later comes later
        while waiting and (waiting[-1].interval[0] < end or waiting[-1].interval == (start, end)):
            insort(ready, waiting.pop(), key=lambda block: block.key)
        block = ready.pop(_next(ready, ordered[-1].span.name if ordered else ""))
        ordered.append(block)
        placed.add(places[id(block)])
    return ordered


def _next(ready: Sequence[Block], last: str) -> int:
    at = bisect_left(ready, last, key=lambda block: block.span.name)
    return at if at < len(ready) and ready[at].span.name == last else 0
