"""Clock skew: how far to move spans whose host's clock disagrees with their caller's.

A server cannot begin before its client asks, nor answer after the client has the answer. Where it seems to, it is set
in the middle of the client's span, and all below it moves along.

```
client           ──────────────         ──────────────
server   ────────                 →        ────────
  query    ────                              ────
```

What is stored never changes; a page shows by how much a row was moved, and can show it unmoved.
"""

from __future__ import annotations

from minitrace.model import Kind, Span, Trace, usable_time

_CALLERS = frozenset({Kind.CLIENT, Kind.PRODUCER})
_CALLED = frozenset({Kind.SERVER, Kind.CONSUMER})


def shifts(trace: Trace) -> dict[int, int]:
    """Rows to move, with by how many nanoseconds; give them to `tree`. Empty where no clock disagrees."""
    moves: dict[int, int] = {}  # by the node's identity: rows are counted only where something moves
    for node in trace.rows():
        if node.span.kind in _CALLERS:
            for child in node.children:
                if child.span.kind in _CALLED and (move := _move(child.span, node.span)):
                    moves[id(child)] = move
    return _passed_down(trace, moves) if moves else {}


def _move(called: Span, caller: Span) -> int:
    """How far to move what was called into the middle of its caller; 0 where it may stay."""
    lead = called.start_ns - caller.start_ns
    spare = caller.duration_ns - called.duration_ns
    # What took longer went on without its caller. A message may wait in a queue, but not arrive before it is sent.
    if spare < 0 or (lead >= 0 and (lead <= spare or called.kind == Kind.CONSUMER)):
        return 0
    if not (usable_time(called.start_ns) and usable_time(caller.start_ns)):
        return 0
    is_elsewhere = called.resource.attributes != caller.resource.attributes  # one process has one clock
    return spare // 2 - lead if is_elsewhere else 0


def _passed_down(trace: Trace, moves: dict[int, int]) -> dict[int, int]:
    """The moves of rows, each with those of the rows above it."""
    moved: dict[int, int] = {}
    above: list[int] = []  # how far the rows from a top to the one before were moved
    for row, node in enumerate(trace.rows()):
        del above[node.depth :]
        move = moves.get(id(node), 0) + (above[-1] if above else 0)
        above.append(move)
        if move and usable_time(node.span.start_ns):
            moved[row] = move
    return moved
