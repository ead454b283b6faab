"""A trace in so many characters, for whoever reads with a budget: what failed, what repeats, what was slow.

```
1.24 s · 71% in payment's own time · 14× SELECT stock (N+1?) · 1 error
frontend: GET /checkout  1.24 s  (+9 spans)
 stock: x14 SELECT stock  sum 310 ms
 ! payment: POST /charge  881 ms  CardError: card declined  (+2 spans)
(+1 span elsewhere)
```

A line each for spans, in their order and as far to the right as they are deep (up to 20), whether or not what is
between is shown. ! marks an error, x14 stands for as many siblings alike. (+9 spans) are below and left out.

Lines are chosen in an order of importance, and the choice ends at the first that has no room. A line's room does not
depend on the others, so the bound holds without a look at the whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from minitrace import present
from minitrace.analysis import critical, repeats
from minitrace.analysis.drawing import one_line
from minitrace.analysis.repeats import Run
from minitrace.analysis.summary import exception
from minitrace.analysis.tree import Tree
from minitrace.analysis.verdict import verdict

CHARACTERS_PER_TOKEN = 4  # about, of English and of names in programs
DEEPEST = 20
LONGEST_NAME = 80
LONGEST_MESSAGE = 160
HEAD = 4  # the verdict gets this part of the room, its duration at least


def skeleton(tree: Tree, most: int) -> str:
    """The trace in at most `most` characters; no newline at its end."""
    runs = repeats.runs(tree)
    head = _head(tree, runs, most)
    chosen = _Chosen(tree, runs, most - len(head))
    chosen.fill()
    return "\n".join(filter(None, [head, *chosen.lines()]))[:most]


def _head(tree: Tree, runs: Sequence[Run], most: int) -> str:
    """As many claims of the verdict as have room."""
    head = ""
    for claim in verdict(tree, runs):
        longer = f"{head} · {present.plain(one_line(claim.text))}".removeprefix(" · ")
        if len(longer) > max(most // HEAD, 10):
            break
        head = longer
    return head


class Line(NamedTuple):
    """A line of the skeleton: a span, or, of a run, the spans that have no line of their own."""

    row: int  # the first one of a run
    is_run: bool = False


class _Chosen:
    """The lines that have room, and what they say."""

    def __init__(self, tree: Tree, runs: Sequence[Run], most: int) -> None:
        self._tree = tree
        self._runs = {run.rows[0]: run for run in runs}
        self._run_of = {row: Line(run.rows[0], is_run=True) for run in runs for row in run.rows}
        self._room = most - len(_below(len(tree), " elsewhere")) - 1
        self._shown: set[Line] = set()
        self._origins = origins(tree)

    def fill(self) -> None:
        """Choose lines until one has no room."""
        for line in wanted(self._tree, self._runs.values(), self._origins):
            if line in self._shown or self._run_of.get(line.row) in self._shown:
                continue
            room = len(self._text(line, None, self._most_below(line))) + 1
            if room > self._room:
                return
            self._room -= room
            self._shown.add(line)

    def lines(self) -> Iterator[str]:
        """The chosen lines, in order, and what is left out."""
        owners = self._owners()
        counts = Counter(owners)
        told: set[Line | None] = {None}
        for row, owner in enumerate(owners):
            if owner not in told and owner is not None and self._is_of(row, owner):
                told.add(owner)
                parent = self._tree.parents[row]
                above = owners[parent] if parent >= 0 else None
                yield self._text(owner, above, counts[owner] - self._told_by(owner))
        if counts[None]:
            yield _below(counts[None], " elsewhere").strip()

    def _owners(self) -> list[Line | None]:
        """The line that tells each row, or counts it as one below; None for those that only the last line counts."""
        owners: list[Line | None] = []
        for row, parent in enumerate(self._tree.parents):
            run = self._run_of.get(row)
            if (own := Line(row)) in self._shown:
                owners.append(own)
            elif run in self._shown:
                owners.append(run)
            else:
                owners.append(owners[parent] if parent >= 0 else None)
        return owners

    def _is_of(self, row: int, line: Line) -> bool:
        return self._run_of.get(row) == line if line.is_run else row == line.row

    def _told_by(self, line: Line) -> int:
        """How many spans a line stands for, without those that it counts as below."""
        return len(self._members(line)) if line.is_run else 1

    def _members(self, line: Line) -> list[int]:
        return [row for row in self._runs[line.row].rows if Line(row) not in self._shown]

    def _most_below(self, line: Line) -> int:
        rows = self._runs[line.row].rows if line.is_run else (line.row,)
        return sum(self._tree.sizes[row] for row in rows)

    def _text(self, line: Line, above: Line | None, below: int) -> str:
        """A line; `above` is the one it stands below, which has its service, too, or not."""
        tree, span = self._tree, self._tree.span(line.row)
        is_named = above is None or tree.span(above.row).service != span.service
        service = f"{one_line(span.service, LONGEST_NAME)}: " if is_named else ""
        indent = " " * min(tree.nodes[line.row].depth, DEEPEST)
        said = self._of_run(line) if line.is_run else self._of_span(line.row, service)
        return f"{indent}{service if line.is_run else ''}{said}{_below(below)}"

    def _of_run(self, line: Line) -> str:
        rows, tree = self._members(line), self._tree
        total_ns = sum(tree.ends[row] - tree.begins[row] for row in rows)
        name = one_line(self._runs[line.row].label, LONGEST_NAME)
        failed = sum(tree.span(row).is_error for row in rows)
        total = present.plain(present.duration(total_ns))
        return f"x{len(rows)} {name}  sum {total}{f', {failed} failed' if failed else ''}"

    def _of_span(self, row: int, service: str) -> str:
        span = self._tree.span(row)
        name = one_line(span.name, LONGEST_NAME) or "(no name)"
        kind, message = map(one_line, exception(span)) if span.is_error else ("", "")
        # Those above an origin tell what they heard from it, unless it was raised there.
        is_own = row in self._origins or any(event.name == "exception" for event in span.events)
        error = ": ".join(filter(None, (kind, message if is_own else "")))[:LONGEST_MESSAGE]
        mark = "! " if span.is_error else ""
        return f"{mark}{service}{name}  {present.plain(present.duration(span.duration_ns))}  {error}".rstrip()


def wanted(tree: Tree, runs: Iterable[Run], failures: Collection[int]) -> Iterator[Line]:
    """Lines, the most important first; some of them twice. `failures` are the tree's `origins`."""
    distinct = sorted({_failure(tree, row): row for row in reversed([*failures])}.values())
    yield from map(Line, distinct)
    yield from map(Line, tree.tops())
    yield from map(Line, _ancestors(tree, distinct))
    yield from (Line(run.rows[0], is_run=True) for run in sorted(runs, key=lambda run: -run.total_ns))
    yield from map(Line, _slowest(tree))
    yield from map(Line, failures)
    yield from map(Line, sorted(range(len(tree)), key=lambda row: tree.begins[row] - tree.ends[row]))


def origins(tree: Tree) -> dict[int, None]:
    """Failed rows with none below them that failed: where errors come from."""
    is_failed_below = [False] * len(tree)
    for row in range(len(tree) - 1, 0, -1):
        if (parent := tree.parents[row]) >= 0:
            is_failed_below[parent] |= is_failed_below[row] or tree.span(row).is_error
    return {row: None for row in range(len(tree)) if tree.span(row).is_error and not is_failed_below[row]}


def _failure(tree: Tree, row: int) -> tuple[str, str, str]:
    """What failures have in common of which one is enough to see."""
    span = tree.span(row)
    return span.service, span.name, exception(span)[0]


def _ancestors(tree: Tree, rows: Sequence[int]) -> Iterator[int]:
    """What rows are below, from each upwards; none twice."""
    seen = {-1}
    for row in rows:
        above = tree.parents[row]
        while above not in seen:
            seen.add(above)
            yield above
            above = tree.parents[above]


def _slowest(tree: Tree) -> list[int]:
    """The rows that the trace waited for, the longest first."""
    spent: Counter[int] = Counter()
    for row, begin, end in critical.critical_path(tree):
        spent[row] += end - begin
    return [row for row, _ in spent.most_common()]


def _below(count: int, where: str = "") -> str:
    return f"  (+{present.plain(present.count(count, 'span'))}{where})" if count else ""
