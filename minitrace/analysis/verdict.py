"""A trace in one sentence, each part with the rows that it is about.

```
1.24 s · 71% in payment's own time · 14× SELECT stock (N+1?) · 1 error, seen in 3 spans
```

It says what somebody would look for first, and nothing that is small. What it names is telemetry, so it is text from
strangers, cut to a readable length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from minitrace import present
from minitrace.analysis import critical, repeats, sequences, timing
from minitrace.analysis.repeats import Run
from minitrace.analysis.signatures import is_call, label, shortened
from minitrace.analysis.tree import Tree

MOST_CLAIMS = 6
LEAST_OWN = 0.3  # of the trace, for one service or operation to be where the time went
LEAST_REPEAT = 0.05  # of the trace, all together; or so many:
MANY = 10


@dataclass(frozen=True, slots=True)
class Claim:
    """A part of the verdict.

    `kind` is one of duration, own, sequence, repeat, untraced, error, missing, skew. `row` is where to look first, None
    where no row is as long as the trace; `rows` are all that are meant, in order.
    """

    kind: str
    text: str
    row: int | None = None
    rows: tuple[int, ...] = ()


def verdict(
    tree: Tree,
    runs: Sequence[Run] | None = None,
    *,
    path: Sequence[critical.Stretch] | None = None,
    chains: Sequence[sequences.Sequence] | None = None,
    gaps: Mapping[int, Sequence[tuple[int, int]]] | None = None,
) -> list[Claim]:
    """What is most telling about a trace: at most 6 claims, its duration first; none of an empty trace.

    The critical `path`, `runs`, `chains` (sequences) and `gaps` are found here, unless they are known already.
    """
    if not tree.nodes:
        return []
    own = _own(tree, critical.critical_path(tree) if path is None else path)
    claims = (
        _duration(tree),
        own,
        _sequence(sequences.sequences(tree) if chains is None else chains),
        _repeat(tree, repeats.runs(tree) if runs is None else runs),
        _untraced(tree, timing.gaps(tree) if gaps is None else gaps, told=set(own.rows if own else ())),
        _errors(tree),
        _missing(tree),
        _skew(tree),
    )
    return [claim for claim in claims if claim][:MOST_CLAIMS]


def _duration(tree: Tree) -> Claim:
    is_timed = len(tree.timeless) < len(tree)
    is_of_one = (tree.begins[0], tree.ends[0]) == (0, tree.duration_ns)  # else no row is as long as that
    text = present.duration(tree.duration_ns) if is_timed else "no times"
    return Claim("duration", text, 0 if is_of_one else None, (0,) if is_of_one else ())


# Where the time went


def _own(tree: Tree, path: Sequence[critical.Stretch]) -> Claim | None:
    """Who held the trace up longest: a service by its own work, or an operation if there is but one service.

    What a call to somebody else takes is not its service's work, so each of these counts by itself; where neither is
    much, all that a service did counts together.
    """
    if len(tree) == 1:
        return None  # there is nobody else it could be
    spent: Counter[int] = Counter()
    for row, begin, end in path:
        spent[row] += end - begin
    if len({node.span.service for node in tree.nodes}) == 1:
        return _most(tree, spent, lambda row: _operation(tree, row))
    return _most(tree, spent, lambda row: _work(tree, row)) or _most(tree, spent, lambda row: _service(tree, row))


def _most(tree: Tree, spent: Counter[int], place: Callable[[int], str]) -> Claim | None:
    """The place at which most time was spent, if that is a good part of the trace."""
    rows_at: dict[str, list[int]] = {}
    known: dict[tuple[int, str, int, bool], str] = {}  # places by what decides them, where attributes do not
    for row in spent:
        span = tree.span(row)
        if span.attributes:
            name = place(row)
        else:
            key = id(span.resource), span.name, span.kind, tree.sizes[row] > 1
            name = known[key] = known.get(key) or place(row)
        rows_at.setdefault(name, []).append(row)
    times = {name: sum([spent[row] for row in rows]) for name, rows in rows_at.items()}
    name = max(times, key=times.__getitem__, default="")
    if not times or times[name] < tree.duration_ns * LEAST_OWN or not times[name]:
        return None
    rows = tuple(sorted(rows_at[name]))
    text = f"{present.share(times[name], tree.duration_ns)} in {name}"
    return Claim("own", text, max(rows, key=spent.__getitem__), rows)


def _operation(tree: Tree, row: int) -> str:
    return label(tree.span(row)) + (" itself" if tree.sizes[row] > 1 else "")


def _work(tree: Tree, row: int) -> str:
    span = tree.span(row)
    return f"{_service(tree, row)}'s {label(span) if is_call(span) else 'own time'}"


def _service(tree: Tree, row: int) -> str:
    return shortened(tree.span(row).service)


# What could be otherwise


def _sequence(chains: Sequence[sequences.Sequence]) -> Claim | None:
    if not chains:
        return None
    best = max(chains, key=lambda chain: chain.saved_ns)
    text = f"{present.count(len(best.rows), 'call')} one after another could save {present.duration(best.saved_ns)}"
    return Claim("sequence", text, best.rows[0], best.rows)


def _repeat(tree: Tree, runs: Sequence[Run]) -> Claim | None:
    large = [run for run in runs if len(run.rows) >= MANY or run.total_ns >= max(1, tree.duration_ns * LEAST_REPEAT)]
    if not large:
        return None
    run = max(large, key=lambda run: run.total_ns)
    text = f"{present.integer(len(run.rows))}× {run.label}{' (N+1?)' if run.is_call else ''}"
    return Claim("repeat", text, run.rows[0], run.rows)


def _untraced(tree: Tree, gaps: Mapping[int, Sequence[tuple[int, int]]], told: set[int]) -> Claim | None:
    """The row with the longest gaps, unless that is what was `told` as own time already."""
    times = {row: sum(end - begin for begin, end in stretches) for row, stretches in gaps.items() if row not in told}
    if not times:
        return None
    row = max(times, key=times.__getitem__)
    name = shortened(tree.span(row).name) or label(tree.span(row))
    return Claim("untraced", f"{present.duration(times[row])} untraced in {name}", row, (row,))


# What went wrong


def _errors(tree: Tree) -> Claim | None:
    """Errors with no error below them: those above are their echo. First the one that echoed highest, or is deepest."""
    failed = [row for row, node in enumerate(tree.nodes) if node.span.is_error]
    echoes = _above(tree, failed)
    origins = tuple(row for row in failed if row not in echoes)
    if not origins:
        return None
    heights: dict[int, int] = {}  # so many failed one right above the other
    for row in failed:
        heights[row] = heights.get(tree.parents[row], 0) + 1
    worst = max(origins, key=lambda row: (heights[row], tree.nodes[row].depth))
    spread = f", seen in {present.count(len(failed), 'span')}" if len(failed) > len(origins) else ""
    return Claim("error", present.count(len(origins), "error") + spread, worst, origins)


def _above(tree: Tree, rows: Sequence[int]) -> set[int]:
    """All rows above any of these."""
    found: set[int] = set()
    for row in rows:
        parent = tree.parents[row]
        while parent >= 0 and parent not in found:
            found.add(parent)
            parent = tree.parents[parent]
    return found


def _missing(tree: Tree) -> Claim | None:
    """Parents that never came. Where spans were removed to make room, that is why, and it is said elsewhere."""
    tops = tuple(row for row in tree.tops() if tree.span(row).parent_id)
    if not tops or tree.trace.removed_count:
        return None
    known = {node.span.span_id for node in tree.nodes}  # the parent of a top that was cut from a cycle is there
    orphans = tuple(row for row in tops if tree.span(row).parent_id not in known)
    if not orphans:
        return None
    parents = {tree.span(row).parent_id for row in orphans}
    text = f"{present.count(len(parents), 'parent')} not received" if tree.trace.root else "root not received"
    return Claim("missing", text, orphans[0], orphans)


def _skew(tree: Tree) -> Claim | None:
    """Rows that were moved by themselves, not along with their parent."""
    moved = sorted(row for row, shift in tree.shifts.items() if shift != tree.shifts.get(tree.parents[row], 0))
    services = {tree.span(row).service for row in moved}
    if not moved:
        return None
    clocks = "clock" if len(services) == 1 else "clocks"
    return Claim("skew", f"{clocks} of {present.count(len(services), 'service')} adjusted", moved[0], tuple(moved))
