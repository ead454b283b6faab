"""A trace as text: its tree, what each span took, and when, for a terminal, a chat or a failing test.

```
frontend: GET /checkout        1.24 s  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
├── cart: GetCart               84 ms  ━━╸
├── stock: ×14 SELECT stock  Σ 310 ms     ━╸━ ╺━╸━╸━
└── ⨯ payment: POST /charge    881 ms          ╺━━━━━━━━━━━━━━━━━━━━━
    └── transfer               220 ms              ╺━━━━╸
```

A service is named where it is another one than above. ⨯ marks an error; ×14 stands for as many siblings alike, which
took Σ together, and for all below them. (+9 spans) were below and left out before it was drawn, see `tree.pruned`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from minitrace import present
from minitrace.analysis.repeats import Run
from minitrace.analysis.tree import Tree
from minitrace.model import UNKNOWN_SERVICE

LEAST_WIDTH = 40
LEAST_LEVELS = 4  # are drawn however narrow it is
WIDTH_BESIDE_LEVELS = 52  # for the name of the deepest span, the durations, and bars
LONGEST_NAME = 0.48  # of the width: one name must not take all bars away
WIDTH_FOR_BARS = 72
LEAST_BAR, LONGEST_BAR = 20, 60
_HALVES = " ╸╺━"  # of a cell: none is covered, the left one, the right one, both
# What is drawn, and said beside it, where there is ASCII only
_PLAINER = dict(zip("│├└─━╸╺⨯·…→←µ×−Σ", [*"||`-===!-", "...", "->", "<-", *"ux-", "sum"], strict=True))


@dataclass(frozen=True, slots=True)
class Line:
    """A line before it is laid out. `rows` are those whose time its bar shows; a remark has none.

    `cut` stands behind the name, whatever becomes of that.
    """

    name: str
    duration: str
    rows: Sequence[int]
    cut: str = ""


def draw(tree: Tree, *, width: int = 100, runs: Iterable[Run] = (), most: int = 200) -> str:
    """The tree, a line for each span or run of spans, each at most `width` cells of a terminal; no newline at its end.

    Bars stand beside it where there is room. Spans after the first `most` lines are counted in one more line, those
    too deep for the width where they would stand.
    """
    width = max(width, LEAST_WIDTH)
    drawing = _Drawing(tree, runs, width)
    drawn = list(_laid_out(tree, list(drawing.lines(most)), width))
    if left_out := drawing.left_out(most):
        drawn.append(f"… {present.plain(present.count(left_out, 'more span'))}")
    return "\n".join(drawn)


def title(tree: Tree, row: int) -> str:
    """A span's service and name on one line: ``payment: POST /charge``."""
    span = tree.span(row)
    return f"{one_line(span.service)}: {one_line(span.name) or '(no name)'}"


def one_line(text: str, most: int = 500) -> str:
    """A stranger's text on one line, cut after `most` characters, control and bidi characters spelt out."""
    kept = text if len(text) <= most else text[: most - 1] + "…"
    return " ".join(present.printable(kept).split())


def deepest(width: int) -> int:
    """The depth down to which spans have lines of their own in a drawing of so many cells."""
    return max(LEAST_LEVELS, (width - WIDTH_BESIDE_LEVELS) // len("├── "))


def plainer(text: str) -> str:
    """A drawing, and what is said beside it, in ASCII; "?" for what has no likeness there."""
    return text if text.isascii() else "".join(c if c.isascii() else _PLAINER.get(c, "?") for c in text)


class _Drawing:
    """Which rows have a line, and what it says."""

    def __init__(self, tree: Tree, runs: Iterable[Run], width: int) -> None:
        self._tree = tree
        self._runs: Mapping[int, Run] = {run.rows[0]: run for run in runs}
        self._deepest = deepest(width)
        self._longest = int(width * LONGEST_NAME) if width >= WIDTH_FOR_BARS else width
        self._rows = list(self._shown())
        self._last = {tree.parents[row]: row for row in self._rows}  # the last one drawn below each parent

    def _shown(self) -> Iterator[int]:
        folded = {row for run in self._runs.values() for row in run.rows[1:]}
        row = 0
        while row < len(self._tree):
            if row not in folded:
                yield row
            row += self._tree.sizes[row] if row in folded or self._is_closed(row) else 1

    def _is_closed(self, row: int) -> bool:
        """Whether the rows below a row have no lines of their own."""
        return row in self._runs or self._tree.nodes[row].depth >= self._deepest

    def lines(self, most: int) -> Iterator[Line]:
        """The first lines, as many as asked for, and one below each of them for what is too deep."""
        rails: list[str] = []  # what stands in front of the lines below each row from a top to the one before
        for row in self._rows[:most]:
            depth = self._tree.nodes[row].depth
            del rails[depth:]
            is_last = self._last[self._tree.parents[row]] == row
            branch = "" if depth == 0 else "└── " if is_last else "├── "
            yield self._line(row, "".join(rails) + branch)
            rails.append("" if depth == 0 else "    " if is_last else "│   ")
            if (below := self._tree.sizes[row] - 1) and depth >= self._deepest and row not in self._runs:
                yield Line(f"{''.join(rails)}└── … {present.plain(present.count(below, 'span'))} below", "", ())

    def left_out(self, most: int) -> int:
        """How many spans come after the first lines, or were left out below none of them."""
        return sum(self._spans_of(row) for row in self._rows[most:]) + self._tree.cut.get(-1, 0)

    def _spans_of(self, row: int) -> int:
        if run := self._runs.get(row):
            return sum(self._tree.sizes[member] for member in run.rows)
        return self._tree.sizes[row] if self._is_closed(row) else 1

    def _line(self, row: int, lead: str) -> Line:
        """What a span or a run says of itself; `lead` is the branch it hangs on."""
        span, run = self._tree.span(row), self._runs.get(row)
        if run:
            mark = f"⨯{errors} " if (errors := self._errors(run)) else ""
            name = f"×{len(run.rows)} {one_line(run.label)}"
            rows, duration = run.rows, f"Σ {present.duration(run.total_ns)}"
        else:
            mark = "⨯ " if span.is_error else ""
            problems = (f" [{problem}]" for problem in self._tree.nodes[row].problems)
            name = (one_line(span.name) or "(no name)") + "".join(problems)
            rows, duration = (row,), present.duration(span.duration_ns)
        cut = "" if run else self._cut(row)
        name = shortened(f"{mark}{self._service(row)}{name}", self._longest - len(cut))
        return Line(lead + name, present.plain(duration), rows, cut)

    def _cut(self, row: int) -> str:
        """How many spans were left out below a row, in brackets; "" for none."""
        count = self._tree.cut.get(row, 0)
        return present.plain(f" (+{present.count(count, 'span')})") if count else ""

    def _errors(self, run: Run) -> int:
        """How many of the spans that a run's line stands for have an error."""
        tree = self._tree
        return sum(tree.span(below).is_error for row in run.rows for below in range(row, row + tree.sizes[row]))

    def _service(self, row: int) -> str:
        """The service in front of a name, where it is another one than above; at the top, where it has a name."""
        service, parent = self._tree.span(row).service, self._tree.parents[row]
        above = UNKNOWN_SERVICE if parent < 0 else self._tree.span(parent).service
        return "" if service == above or (parent < 0 and service.startswith(above)) else f"{one_line(service)}: "


def _laid_out(tree: Tree, lines: list[Line], width: int) -> Iterator[str]:
    """The lines in columns: name, duration, bar."""
    has_bars = width >= WIDTH_FOR_BARS and tree.duration_ns > 0
    durations = max((len(line.duration) for line in lines), default=0)
    room = width - durations - 2 - (LEAST_BAR + 2 if has_bars else 0)
    names = min(max((cells(line.name) + len(line.cut) for line in lines if line.rows), default=0), room)
    bars = min(width - names - durations - 4, LONGEST_BAR) if has_bars else 0
    for line in lines:
        if line.rows:
            bar = _bar(tree, line.rows, bars)
            name = shortened(line.name, names - len(line.cut)) + line.cut
            yield f"{fitted(name, names)}  {line.duration:>{durations}}  {bar}".rstrip()
        else:
            yield shortened(line.name, width)


def _bar(tree: Tree, rows: Sequence[int], width: int) -> str:
    """When these rows ran, to the half of a cell; a moment takes one, too."""
    halves = bytearray(2 * width)
    for row in rows if width else ():
        if row in tree.timeless:
            continue
        begin = min(tree.begins[row] * 2 * width // tree.duration_ns, 2 * width - 1)
        end = max(-(-tree.ends[row] * 2 * width // tree.duration_ns), begin + 1)
        halves[begin:end] = b"\1" * (end - begin)
    return "".join(_HALVES[left + 2 * right] for left, right in zip(halves[::2], halves[1::2], strict=True))


def fitted(text: str, width: int) -> str:
    """A text in exactly so many cells."""
    text = shortened(text, width)
    return text + " " * (width - cells(text))


def shortened(text: str, width: int) -> str:
    """A text in at most so many cells, an ellipsis in place of what is too much."""
    if cells(text) <= width:
        return text
    kept, used = "", 0
    for char in text:
        used += cells(char)
        if used >= width:
            break
        kept += char
    return kept + "…"


def cells(text: str) -> int:
    """How many cells of a terminal a text takes: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me", "Cf") else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )
