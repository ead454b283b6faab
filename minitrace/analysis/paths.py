"""A flame graph: spans of one service and name merged, wherever they were reached the same way.

```
trace                           paths            own  total
checkout  POST /pay             POST /pay         30    100
├── stock  SELECT               ├── SELECT ×2     50     50
├── stock  SELECT               └── charge        20     20
└── payment  charge
```

Widths are own times, which add up whatever overlaps: the total of a path is the own time of all below it and itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from minitrace.analysis.timing import own_times
from minitrace.analysis.tree import Tree


@dataclass(slots=True, eq=False)
class CallPath:
    """Spans with the same service and name, below the same path. `row` is the slowest of them.

    Paths can be 20 000 deep: walk them with a stack.
    """

    service: str
    name: str
    row: int
    span_count: int = 0
    error_count: int = 0
    own_ns: int = 0
    total_ns: int = 0
    children: list[CallPath] = field(default_factory=list, repr=False)  # the largest total first


def paths(tree: Tree, own: Sequence[int] | None = None) -> CallPath:
    """All paths, below one that stands for the trace: it has no service and name, counts no spans, and its row is -1.

    `own` are the rows' own times, where they are known.
    """
    root = CallPath("", "", -1)
    below = _merged(tree, root, own_times(tree) if own is None else own)
    for above, path in reversed(below):  # all that is below a path was met after it
        path.total_ns += path.own_ns
        above.total_ns += path.total_ns
        above.children.append(path)
    for path in (root, *(path for _, path in below)):
        if len(path.children) > 1:
            path.children.sort(key=lambda child: (-child.total_ns, child.row))
    return root


def _merged(tree: Tree, root: CallPath, own: Sequence[int]) -> list[tuple[CallPath, CallPath]]:
    """Each path after the one above it, in order of first appearance; nothing is added up yet."""
    durations = [end - begin for begin, end in zip(tree.begins, tree.ends, strict=True)]
    path_of: list[CallPath] = []  # each row's
    known: dict[tuple[int, str, str], CallPath] = {}  # by what is above, its identity, and service and name
    below: list[tuple[CallPath, CallPath]] = []
    for row, (node, parent) in enumerate(zip(tree.nodes, tree.parents, strict=True)):
        span, above = node.span, path_of[parent] if parent >= 0 else root
        key = (id(above), span.service, span.name)
        path = known.get(key)
        if path is None:
            path = known[key] = CallPath(key[1], key[2], row)
            below.append((above, path))
        path_of.append(path)
        path.span_count += 1
        path.error_count += span.is_error
        path.own_ns += own[row]
        if durations[row] > durations[path.row]:
            path.row = row
    return below
