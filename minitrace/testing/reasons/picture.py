"""Traces as a drawing that fits a failing test's message, however large they are.

```
trace f30cd9bf  5 spans  20.3 ms  in-process
  shop: GET /orders             20.3 ms  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
  ├── SELECT orders             10.2 ms  ━━━━━━━━━━━━━━━━
  └── ×3 SELECT item (N+1?)  Σ 9.43 ms                   ╺━━━━━━━━━━━━━━
… 3 more traces with 3 spans: ×3 shop: GET /health
```

Siblings that are alike have one line, but for those that failed. Where there is no room for all, lines are chosen as
`analysis.skeleton` chooses them: failures first, then what is above them, what repeats, what was slow. Of calls nested
deeper than the width allows the first and the last levels are kept, and failures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from minitrace import present
from minitrace.analysis import drawing, repeats, skeleton
from minitrace.analysis.drawing import one_line, plainer, shortened
from minitrace.analysis.repeats import Run
from minitrace.analysis.skew import shifts
from minitrace.analysis.tree import Tree, pruned, tree
from minitrace.model import Trace
from minitrace.testing.capturing import Snapshot

MOST_LINES, MOST_COLUMNS = 60, 120
LEAST_COLUMNS = drawing.LEAST_WIDTH + 2
LEAST_LINES = 6  # of a trace that is drawn at all, if it has so many
LEAST_RUN = 3  # so many siblings alike have one line
LONGEST_LABEL = 26  # of calls that repeat: the mark behind must not be cut off
ID_DIGITS = 8
ROOTS_NAMED = 3  # of the traces that are only counted


def picture(
    traces: Sequence[Trace],
    *,
    width: int = 100,
    most: int = 40,
    is_ascii: bool = False,
    origins: Mapping[bytes, str] | None = None,
) -> str:
    """The traces in at most `most` lines (6 to 60) of `width` cells (42 to 120), those with errors first.

    `origins` says by trace id how the spans came. No newline at the end; "" for no traces.
    """
    width = min(max(width, LEAST_COLUMNS), MOST_COLUMNS)
    ranked = sorted((trace for trace in traces if trace.spans), key=_rank)
    room = min(max(most, LEAST_LINES), MOST_LINES) - (len(ranked) > 1)  # one line to count those without room
    lines: list[str] = []
    drawn = 0
    while drawn < len(ranked) and (share := _share(ranked[drawn:], room - len(lines))):
        lines += _lines(ranked[drawn], (origins or {}).get(ranked[drawn].trace_id, ""), width, share)
        drawn += 1
    if drawn < len(ranked):
        lines.append(shortened(_rest(ranked[drawn:]), width))
    if is_ascii:
        lines = [plainer(line)[:width] for line in lines]  # "…" has three letters there
    return "\n".join(lines)


def origins(snapshot: Snapshot) -> dict[bytes, str]:
    """How the spans of each trace came: ``in-process``, or ``in-process + otlp``."""
    found: dict[bytes, dict[str, None]] = {}
    for seen in snapshot.seen:
        found.setdefault(seen.span.trace_id, {})[seen.origin] = None
    return {trace_id: " + ".join(ways) for trace_id, ways in found.items()}


def for_stream(text: str, encoding: str | None) -> str:
    """A text as a stream of this encoding can show it; in ASCII where nobody knows the encoding."""
    try:
        shown = (letter if letter.encode(encoding or "ascii", "ignore") else plainer(letter) for letter in text)
        return "".join(shown)
    except LookupError:
        return plainer(text)


def _rank(trace: Trace) -> tuple[bool, bool, int]:
    """Errors first, then what is more than one span, then what came first."""
    return not trace.error_count, len(trace.spans) == 1, trace.start_ns


def _share(traces: Sequence[Trace], room: int) -> int:
    """How many lines the first of these traces may take: half of the room, more where few are waiting; or 0."""
    if room < min(LEAST_LINES, len(traces[0].spans) + 1):
        return 0
    return min(max(room - (len(traces) - 1) * LEAST_LINES, room // 2, LEAST_LINES), room)


def _lines(trace: Trace, origin: str, width: int, most: int) -> Iterator[str]:
    """One trace: its head, and the lines below it."""
    yield shortened(_head(trace, origin), width)
    rows = tree(trace, shifts(trace))
    kept, runs = _chosen(rows, drawing.deepest(width - 2), most - 1)
    for line in drawing.draw(pruned(rows, kept), width=width - 2, runs=runs, most=most).splitlines():
        yield f"  {line}"


def _head(trace: Trace, origin: str) -> str:
    errors = present.count(trace.error_count, "error") if trace.error_count else ""
    facts = [present.count(len(trace.spans), "span"), present.duration(trace.duration_ns), errors, origin]
    return present.plain("  ".join([f"trace {trace.trace_id.hex()[:ID_DIGITS]}", *filter(None, facts)]))


def _rest(traces: Sequence[Trace]) -> str:
    """How many traces are not drawn, and what they are."""
    names = Counter(_root_title(trace) for trace in traces)
    named = [f"×{count} {name}" if count > 1 else name for name, count in names.most_common(ROOTS_NAMED)]
    spans = present.count(sum(len(trace.spans) for trace in traces), "span")
    etc = ["…"] if len(names) > ROOTS_NAMED else []
    return present.plain(f"… {present.count(len(traces), 'more trace')} with {spans}: {', '.join(named + etc)}")


def _root_title(trace: Trace) -> str:
    top = (trace.root or trace.tops[0]).span
    return f"{one_line(top.service, 40)}: {one_line(top.name, 40)}"


# Which lines


def _chosen(rows: Tree, deepest: int, room: int) -> tuple[list[int], list[Run]]:
    """The rows that a drawing of at most `room` lines has, and which of these are runs in it, by their place there."""
    runs = _runs(rows)
    leaves = [run for run in runs if all(rows.sizes[row] == 1 for row in run.rows)]
    failures = skeleton.origins(rows)
    for folded in (leaves, runs):
        lines = _Lines(rows, folded, failures, deepest)
        if len(lines.all) <= room:
            return lines.kept(lines.all)
    return lines.kept(lines.most_important(room - 1))  # and one line to count what is below none of them


class _Lines:
    """The lines that a drawing could have: a row for each span, the first one for each run."""

    def __init__(self, rows: Tree, runs: Sequence[Run], failures: Collection[int], deepest: int) -> None:
        self._rows = rows
        self._runs = {run.rows[0]: run for run in runs}
        self._line_of = _lines_of_rows(rows, runs)
        self._failures = failures
        lines = dict.fromkeys(self._line_of)
        self.all = lines.keys() & _reachable(rows, deepest, self._failures)

    def most_important(self, room: int) -> set[int]:
        """So many lines."""
        found: set[int] = set()
        for row, _ in skeleton.wanted(self._rows, self._runs.values(), self._failures):
            if len(found) == room:
                break
            found |= self.all & {self._line_of[row]}
        return found

    def kept(self, lines: set[int]) -> tuple[list[int], list[Run]]:
        """The rows of these lines, in order; and the runs among them, by their place there."""
        runs = [run for first, run in self._runs.items() if first in lines]
        kept = sorted(lines.union(*(run.rows for run in runs)))
        place = {row: at for at, row in enumerate(kept)}
        return kept, [replace(run, rows=tuple(place[row] for row in run.rows)) for run in runs]


def _runs(rows: Tree) -> list[Run]:
    """Siblings alike, without those in which something failed; calls are marked as an N+1."""
    failed = list(accumulate((node.span.is_error for node in rows.nodes), initial=0))
    found = []
    for run in repeats.runs(rows, LEAST_RUN):
        fine = tuple(row for row in run.rows if failed[row] == failed[row + rows.sizes[row]])
        if len(fine) >= LEAST_RUN:
            total_ns = sum(rows.ends[row] - rows.begins[row] for row in fine)
            found.append(replace(run, rows=fine, total_ns=total_ns, label=_label(rows, run)))
    return found


def _label(rows: Tree, run: Run) -> str:
    is_n_plus_one = run.is_call and rows.span(run.rows[0]).parent_id
    return f"{shortened(run.label, LONGEST_LABEL)} (N+1?)" if is_n_plus_one else run.label


def _lines_of_rows(rows: Tree, runs: Iterable[Run]) -> list[int]:
    """The line that each row is told in: its own, or that of the outermost run it is in or below."""
    run_of = {row: run.rows[0] for run in runs for row in run.rows}
    lines: list[int] = []
    folded_until = 0
    for row in range(len(rows)):
        if row < folded_until:
            lines.append(lines[-1])
        elif row in run_of:
            lines.append(run_of[row])
            folded_until = row + rows.sizes[row]
        else:
            lines.append(row)
    return lines


def _reachable(rows: Tree, deepest: int, failures: Iterable[int]) -> set[int]:
    """All rows; of a tree too deep to be drawn only the first and the last levels, and failures."""
    depths = [node.depth for node in rows.nodes]
    if max(depths, default=0) <= deepest:
        return set(range(len(rows)))
    heights = [0] * len(rows)  # how many levels are below
    for row in range(len(rows) - 1, -1, -1):
        if (parent := rows.parents[row]) >= 0:
            heights[parent] = max(heights[parent], heights[row] + 1)
    first = (deepest + 1) // 2
    last = deepest - first  # no failure is below another one: there is a level left for one
    return {row for row, depth in enumerate(depths) if depth < first or heights[row] < last}.union(failures)
