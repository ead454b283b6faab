"""A trace to the rows of its waterfall, in columns, as the page draws them and as JSON has them.

```
checkout  POST /pay          ██████████████████████  1.24 s
├ cart      GetCart          ██                        84 ms
├ stock     ×14 SELECT         ██████              Σ 310 ms     a run: its spans are the rows below it
└ payment   POST /charge         ███████████████▾▾    881 ms
```

Most rows are spans. A *run* stands for siblings that repeat, a *missing* row for a parent that was not received and
that several spans name, a *cut* row for those left out because nobody reads 100 000. Columns are compact: the page of
50 000 spans is drawn again from some megabytes, without its spans.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from minitrace import present
from minitrace.analysis.critical import Stretch, critical_path
from minitrace.analysis.repeats import Run
from minitrace.analysis.timing import gaps, outliving, own_times
from minitrace.analysis.tree import Tree
from minitrace.model import MAX_TIME_NS, Severity, Span, StatusCode, usable_time
from minitrace.web.pieces import dump

if TYPE_CHECKING:  # see opened.py
    from minitrace.store.logs import LogMark

    Said = Mapping[bytes, Sequence[LogMark]]  # log records, by span id

ERROR, CRITICAL, SLOW, OUTLIVES, RUN, MISSING, CUT, TIMELESS = (1 << bit for bit in range(8))
MAX_ROWS = 100_000
SLOW_SHARE = 20  # own time of at least a twentieth of the trace
MAX_TICKS = 200  # of one row
NO_SPAN = RUN | MISSING | CUT
STATUS_KEYS = ("http.response.status_code", "http.status_code", "rpc.grpc.status_code")
_COLUMNS = ("depth", "size", "service", "name", "kind", "begin", "length", "own", "flags")


def _column() -> array[int]:
    return array("q")


@dataclass(slots=True)
class Rows:
    """One entry a row in every column, depth first; times are nanoseconds since `start_ns`.

    `size` counts the rows of a subtree with its own. `ids` are eight bytes a row: of the span, of a run's first
    span, of the missing parent. `critical` is (row, begin, end), one after another in that order. `more` is what few
    rows have.
    """

    trace_id: bytes
    start_ns: int
    duration_ns: int
    total: int
    services: list[tuple[str, int]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    depth: array[int] = field(default_factory=_column)
    size: array[int] = field(default_factory=_column)
    service: array[int] = field(default_factory=_column)
    name: array[int] = field(default_factory=_column)
    kind: array[int] = field(default_factory=_column)
    begin: array[int] = field(default_factory=_column)
    length: array[int] = field(default_factory=_column)
    own: array[int] = field(default_factory=_column)
    flags: array[int] = field(default_factory=_column)
    ids: bytes = b""
    critical: array[int] = field(default_factory=_column)
    more: dict[int, dict[str, Any]] = field(default_factory=dict)
    cut: int = 0
    _json: bytes = b""

    def __len__(self) -> int:
        return len(self.depth)

    def id(self, row: int) -> bytes:
        """The span id of a row."""
        return self.ids[row * 8 : row * 8 + 8]

    def children(self, row: int) -> Iterator[int]:
        """The rows right below a row."""
        child, end = row + 1, row + self.size[row]
        while child < end:
            yield child
            child += self.size[child]

    def parent(self, row: int) -> int:
        """The row that a row hangs below; -1 for a top."""
        depth = self.depth[row]
        return next((above for above in range(row - 1, -1, -1) if self.depth[above] < depth), -1) if depth else -1

    def find(self, span_id: bytes) -> int | None:
        """The row of a span, or None."""
        place = self.ids.find(span_id)
        while place >= 0:
            if place % 8 == 0 and not self.flags[place // 8] & NO_SPAN:
                return place // 8
            place = self.ids.find(span_id, place + 1)
        return None

    def json(self) -> bytes:
        """What the page's module draws, made once."""
        self._json = self._json or self._document()
        return self._json

    def _document(self) -> bytes:
        """Column by column, as one call would hold Python's lock too long."""
        head = {
            "trace": self.trace_id.hex(),
            "start": str(self.start_ns),
            "duration": self.duration_ns,
            "total": self.total,
            "cut": self.cut,
            "services": [(name, slot, present.printable(name)) for name, slot in self.services],
            "names": [present.printable(name) or "(no name)" for name in self.names],
        }
        parts = [json.dumps(head, ensure_ascii=False)[1:-1]]
        parts += (f'"{column}":{dump(list(getattr(self, column)))}' for column in _COLUMNS)
        parts += [
            f'"critical":{dump(list(self._critical()))}',
            f'"more":{dump(self.more)}',
            f'"ids":"{self.ids.hex()}"',
        ]
        # "<" could end the script element that it may stand in
        return ("{" + ",".join(parts) + "}").replace("<", "\\u003c").encode("utf-8", "replace")

    def _critical(self) -> Iterator[int]:
        """The critical path in small numbers: rows since the one before, begin since the row's, length."""
        numbers, before = iter(self.critical), 0
        for row, begin, end in zip(numbers, numbers, numbers, strict=True):
            yield from (row - before, begin - self.begin[row], end - begin)
            before = row


def rows(
    tree: Tree,
    runs: Sequence[Run] = (),
    slots: Mapping[str, int] | None = None,
    root: int | None = None,
    *,
    path: Sequence[Stretch] | None = None,
    said: Said | None = None,
) -> Rows:
    """The rows of a trace, or of what hangs below the tree's row `root`; `slots` are the colours of services.

    The critical `path` is found here, unless it is known already. `said` are the log records of spans.
    """
    order, depths, groups = _arranged(tree, runs, root)
    found = Rows(tree.trace.trace_id, tree.start_ns, tree.duration_ns, len(tree))
    found.depth = array("q", depths)
    found.size = _sizes(depths)
    if len(order) > MAX_ROWS:
        order = _cut(found, order, groups)
    _fill(found, tree, order, groups, slots or {}, critical_path(tree) if path is None else path, said or {})
    return found


@dataclass(slots=True)
class _Group:
    """A row that is no span, and the tree's rows below it; for a cut row the one above it, whose id it gets."""

    flag: int
    rows: Sequence[int]
    id: bytes
    label: str = ""
    run: Run | None = None
    cut: int = 0


def _arranged(tree: Tree, runs: Sequence[Run], root: int | None) -> tuple[list[int], list[int], list[_Group]]:
    """The order in which rows of the tree are shown, and their depths; group n is -1 - n."""
    groups: list[_Group] = [_Group(RUN, run.rows, tree.span(run.rows[0]).span_id, run.label, run) for run in runs]
    groups += _missing(tree, {row for run in runs for row in run.rows})
    by_first = {group.rows[0]: -1 - number for number, group in enumerate(groups)}
    inside = set(chain.from_iterable(group.rows for group in groups))
    parents = sorted({tree.parents[group.rows[0]] for group in groups})
    order: list[int] = []
    depths: list[int] = []
    tops = list(tree.tops()) if root is None else [root]
    offset = 0 if root is None else tree.nodes[root].depth
    stack = [(row, -offset) for row in reversed(_grouped(tops, by_first, inside) if root is None else tops)]
    while stack:
        row, deeper = stack.pop()
        if row < 0:
            order.append(row)
            members = groups[-1 - row].rows
            depths.append(tree.nodes[members[0]].depth + deeper)
            stack += [(member, deeper + 1) for member in reversed(members)]
            continue
        end = row + tree.sizes[row]
        place = bisect_left(parents, row)
        if place == len(parents) or parents[place] >= end:  # no group below: all of it as it is
            order += range(row, end)
            depths += [node.depth + deeper for node in tree.nodes[row:end]]
            continue
        order.append(row)
        depths.append(tree.nodes[row].depth + deeper)
        below = _grouped(tree.children(row), by_first, inside)
        stack += [(child, deeper) for child in reversed(below)]
    return order, depths, groups


def _grouped(siblings: Iterable[int], by_first: Mapping[int, int], inside: Collection[int]) -> list[int]:
    """Siblings with each group in the place of its first."""
    return [by_first.get(row, row) for row in siblings if row in by_first or row not in inside]


def _missing(tree: Tree, repeated: Collection[int]) -> list[_Group]:
    """Parents that were not received, where several spans name them; one alone has its badge.

    A top may also name itself, or stand where a cycle was cut: always one alone.
    """
    orphans: dict[bytes, list[int]] = defaultdict(list)
    for row in tree.tops():
        parent_id = tree.span(row).parent_id
        if parent_id and row not in repeated:
            orphans[parent_id].append(row)
    return [_Group(MISSING, rows, parent_id) for parent_id, rows in orphans.items() if len(rows) > 1]


def _sizes(depths: Sequence[int]) -> array[int]:
    """How many rows each subtree has, from the depths of rows in order."""
    sizes = array("q", [1]) * len(depths)
    above: list[int] = []
    for row, depth in enumerate(depths):
        while len(above) > depth:
            done = above.pop()
            sizes[done] = row - done
        above.append(row)
    for row in above:
        sizes[row] = len(depths) - row
    return sizes


def _cut(found: Rows, order: list[int], groups: list[_Group]) -> list[int]:
    """The upper levels, as many as may be shown; what is left out below a row becomes one row, its last."""
    depths = found.depth
    kept = _upper(depths)
    owners = _column()  # the row below which each row that is not kept is counted
    above: list[int] = []
    left_out: dict[int, int] = defaultdict(int)
    for row, depth in enumerate(depths):
        del above[depth:]
        parent = above[-1] if above else -1
        owners.append(parent if parent < 0 or kept[parent] else owners[parent])
        above.append(row)
        if not kept[row]:
            left_out[owners[row]] += 1
    found.cut = sum(left_out.values())
    shown: list[int] = []
    levels: list[int] = []
    ends: list[tuple[int, int]] = []  # open subtrees with something left out: where they end, their row
    for row in range(len(depths) + 1):
        while ends and ends[-1][0] == row:
            _, owner = ends.pop()
            groups.append(_cut_below(order[owner], groups, left_out[owner]))
            shown.append(-len(groups))
            levels.append(depths[owner] + 1)
        if row < len(depths) and kept[row]:
            shown.append(order[row])
            levels.append(depths[row])
            if row in left_out:
                ends.append((row + found.size[row], row))
    if -1 in left_out:
        groups.append(_Group(CUT, [0], b"", cut=left_out[-1]))
        shown.append(-len(groups))
        levels.append(0)
    found.depth = array("q", levels)
    found.size = _sizes(levels)
    return shown


def _cut_below(parent: int, groups: list[_Group], number: int) -> _Group:
    rows = [parent] if parent >= 0 else groups[-1 - parent].rows
    return _Group(CUT, rows, b"", cut=number)


def _upper(depths: Sequence[int]) -> bytearray:
    """Which rows are kept: whole levels from the top, and of the next one those that come first."""
    counts = array("q", [0]) * (max(depths) + 2)
    for depth in depths:
        counts[depth] += 1
    whole, level = 0, 0
    while whole + counts[level] <= MAX_ROWS:
        whole += counts[level]
        level += 1
    rest = MAX_ROWS - whole
    kept = bytearray(len(depths))
    for row, depth in enumerate(depths):
        if depth < level or (depth == level and rest > 0):
            kept[row] = 1
            rest -= depth == level
    return kept


def _fill(
    found: Rows,
    tree: Tree,
    order: list[int],
    groups: list[_Group],
    slots: Mapping[str, int],
    path: Sequence[Stretch],
    said: Said,
) -> None:
    """Columns by the tree's rows, then those of groups from the last to the first: group n is at -1 - n in both."""
    own = own_times(tree)
    spans = [node.span for node in tree.nodes]
    firsts = [spans[group.rows[0]] for group in reversed(groups)]
    shown = [_extent(tree, own, group) for group in reversed(groups)]
    flags = _flags(tree, own, {stretch.row for stretch in path})
    flags += [group.flag | (TIMELESS if tree.timeless.issuperset(group.rows) else 0) for group in reversed(groups)]

    def column(values: list[int]) -> array[int]:
        return array("q", map(values.__getitem__, order))

    resources = {id(span.resource): span.resource for span in spans}
    by_resource = {key: resource.service for key, resource in resources.items()}
    services = {name: number for number, name in enumerate(dict.fromkeys(by_resource.values()))}
    numbers = {resource: services[name] for resource, name in by_resource.items()}
    labels = [span.name for span in spans] + [group.label for group in reversed(groups)]
    names = {name: number for number, name in enumerate(dict.fromkeys(labels))}
    found.services = [(name, slots.get(name, number)) for name, number in services.items()]
    found.names = list(names)
    found.service = column([numbers[id(span.resource)] for span in chain(spans, firsts)])
    found.name = column([names[label] for label in labels])
    found.kind = column([span.kind for span in spans] + [first.kind for first in firsts])
    found.begin = column(tree.begins + [begin for begin, _, _ in shown])
    lengths = [end - begin for begin, end in zip(tree.begins, tree.ends, strict=True)]
    found.length = column(lengths + [length for _, length, _ in shown])
    found.own = column(own + [own_ns for _, _, own_ns in shown])
    found.flags = column(flags)
    ids = [span.span_id for span in spans] + [
        group.id or first.span_id for group, first in zip(reversed(groups), firsts, strict=True)
    ]
    found.ids = b"".join(map(ids.__getitem__, order))
    places = {row: place for place, row in enumerate(order)}
    critical = sorted((places[one.row], one.begin, one.end) for one in path if one.row in places)
    found.critical = array("q", chain.from_iterable(critical))
    _fill_more(found, tree, groups, places, said)


def _flags(tree: Tree, own: Sequence[int], critical: Iterable[int]) -> list[int]:
    flags = [ERROR if node.span.status.code == StatusCode.ERROR else 0 for node in tree.nodes]
    least_ns = tree.duration_ns // SLOW_SHARE or 1
    slow = (row for row, own_ns in enumerate(own) if own_ns >= least_ns)
    for flag, rows in ((CRITICAL, critical), (SLOW, slow), (OUTLIVES, outliving(tree)), (TIMELESS, tree.timeless)):
        for row in rows:
            flags[row] |= flag
    return flags


def _extent(tree: Tree, own: Sequence[int], group: _Group) -> tuple[int, int, int]:
    """When a row that is no span begins, how long it is, and its own time, as far as a column can hold it."""
    timed = [row for row in group.rows if row not in tree.timeless] or group.rows
    begin = min(tree.begins[row] for row in timed)
    length = 0 if group.flag == CUT else max(tree.ends[row] for row in timed) - begin
    return begin, length, min(sum(own[row] for row in group.rows), MAX_TIME_NS) if group.flag == RUN else 0


def _fill_more(found: Rows, tree: Tree, groups: Sequence[_Group], places: Mapping[int, int], said: Said) -> None:
    """What few rows have: badges, ticks of events and logs, a status, links, shifts, gaps; figures of groups."""
    for number, group in enumerate(groups):
        if group.run and -1 - number in places:
            run = group.run
            figures = {"count": len(run.rows), "total": run.total_ns, "median": run.median_ns}
            found.more[places[-1 - number]] = {"run": figures}
        elif group.flag == CUT:
            found.more[places[-1 - number]] = {"cut": group.cut}
    untraced = gaps(tree)
    missing = (group for number, group in enumerate(groups) if group.flag == MISSING and -1 - number in places)
    grouped = {row for group in missing for row in group.rows}  # the row above them says it
    for row, node in enumerate(tree.nodes):
        span = node.span
        marks = said.get(span.span_id, ())
        has_more = span.attributes or node.problems or span.events or span.links or marks
        if not (has_more or row in tree.shifts or row in untraced):
            continue
        more: dict[str, Any] = {}
        if problems := [one for one in node.problems if row not in grouped or not one.endswith("not received")]:
            more["badges"] = problems
        if (span.events or marks) and (ticks := _ticks(span, marks, tree.start_ns - tree.shifts.get(row, 0))):
            more["ticks"] = ticks
        if span.links:
            more["links"] = len(span.links)
        if status := next((span.attributes[key] for key in STATUS_KEYS if key in span.attributes), None):
            more["pill"] = str(status)[:24]
        if row in tree.shifts:
            more["shift"] = tree.shifts[row]
        if row in untraced:
            more["gaps"] = untraced[row]
        if more and row in places:
            found.more[places[row]] = more


def _ticks(span: Span, marks: Sequence[LogMark], start_ns: int) -> list[tuple[int, str, int]]:
    """Its events and log records: when, counted from a start, what, and whether it is an exception or an error."""
    ticks = [(event.time_ns, event.name[:200], int(event.name == "exception")) for event in span.events[:MAX_TICKS]]
    ticks += [(mark.time_ns, _said(mark), int(mark.severity >= Severity.ERROR)) for mark in marks[:MAX_TICKS]]
    return [(time_ns - start_ns, name, is_fault) for time_ns, name, is_fault in ticks if usable_time(time_ns)]


def _said(mark: LogMark) -> str:
    return f"{Severity.of(mark.severity).name.lower() if mark.severity else 'log'}: {mark.text}"
