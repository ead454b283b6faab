"""Rates, errors and durations over time as drawings. Places are per cent of the plot.

```
1 s    ▂   ×         p99 ┄┄┄┄       a cell: spans that started then and took so long, linked to their search
100ms ▂▅█▅▅█▅▅  ·    p95 ╌╌╌╌       a dot: one of them that was remembered, linked to it
10 ms ▅███▅██▅█▅     p50 ────
      ▂▅▇▅▂▅▇▅▂      rate           a bar: those that started then, and the part that failed
```
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from minitrace import present
from minitrace.store.figures import Figures
from minitrace.store.histogram import BOUNDS
from minitrace.store.red import RedAnswer, RedExemplar
from minitrace.web.axes import DurationAxis, TimeAxis
from minitrace.web.histogram import Histogram, HistogramBar
from minitrace.web.red_form import Searches, search_url
from minitrace.web.scatter import LEVELS, Block, Dot
from minitrace.web.times import exact_range

SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
MOST_ROWS = 16  # of the heat map
_RADIUS = 4.0
_LEAST_HEIGHT = 6.0  # a single span beside thousands is still seen


@dataclass(frozen=True, slots=True)
class Line:
    """A quantile over time: a path in a plot of 100 by 100, broken where nothing was."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class RedCharts:
    """The plot of durations and the one of rates, above the same time axis; `bucket_ns` is the width of a bar."""

    times: TimeAxis
    axis: DurationAxis
    blocks: list[Block]
    lines: list[Line]
    dots: list[Dot]
    histogram: Histogram
    bucket_ns: int


def charts(answer: RedAnswer) -> RedCharts | None:
    """The drawings of an answer; None of one without spans."""
    digits = answer.figures.histogram.counts
    if not digits:
        return None
    question = answer.question
    axis = DurationAxis(BOUNDS[min(digits) - 1] if min(digits) else 0, BOUNDS[max(digits)])
    time_axis = TimeAxis(question.start_ns, question.end_ns)
    return RedCharts(
        time_axis,
        axis,
        _blocks(answer, axis),
        [_line(name, share, answer.steps, axis) for name, share in SHARES.items()],
        [_dot(exemplar, time_axis, axis) for exemplar in answer.exemplars],
        _histogram(answer),
        question.step_ns,
    )


def spark(values: Sequence[float]) -> str:
    """The area below values over time, as a path in a plot of 100 by 100."""
    most = max(values, default=0)
    if not most:
        return ""
    width = 100 / len(values)
    steps = "".join(f"V{100 - 100 * value / most:.0f}h{width:.2f}" for value in values)
    return f"M0 100{steps}V100z"


def _blocks(answer: RedAnswer, axis: DurationAxis) -> list[Block]:
    """The heat map: as many digits of the histogram in a row as make it no higher than `MOST_ROWS`."""
    question, searches = answer.question, Searches(answer.question)
    digits = answer.figures.histogram.counts
    size = next(
        size for size in (1, 2, 4, 8, 16, 32, 64) if _row(max(digits), size) - _row(min(digits), size) < MOST_ROWS
    )
    rows = {row: _Row.of(row, size, searches, axis) for row in {_row(digit, size) for digit in digits}}
    cells = [_by_row(step, size) for step in answer.steps]
    most = max(max(cell.values(), default=1) for cell in cells)
    width = 100 / len(cells)
    blocks = []
    for number, cell in enumerate(cells):
        start_ns = question.start_ns + number * question.step_ns
        range = exact_range(start_ns, start_ns + question.step_ns)
        for row, count in sorted(cell.items()):
            blocks.append(rows[row].block(number * width, width, count, most, range))
    return blocks


def _row(digit: int, size: int) -> int:
    return -(-digit // size)  # digit 0, of what took no time, has a row of its own


def _by_row(step: Figures, size: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for digit, count in step.histogram.counts.items():
        found[_row(digit, size)] = found.get(_row(digit, size), 0) + count
    return found


@dataclass(frozen=True, slots=True)
class _Row:
    """Durations of a heat map: where they are drawn, what they are called, the query for their spans."""

    top: float
    height: float
    text: str
    query: str

    @classmethod
    def of(cls, row: int, size: int, searches: Searches, axis: DurationAxis) -> _Row:
        above_ns = BOUNDS[(row - 1) * size] if row else None
        up_to_ns = BOUNDS[min(row * size, len(BOUNDS) - 1)]
        top = 100 - axis.place(up_to_ns)
        text = f"{present.duration(above_ns or 0)} – {present.duration(up_to_ns)}" if row else present.duration(0)
        height = max(1.0, 100 - axis.place(above_ns or 0) - top)
        return cls(top, height, text, searches.between(above_ns, up_to_ns))

    def block(self, left: float, width: float, count: int, most: int, range: str) -> Block:
        path = f"M{left:.2f} {self.top:.2f}h{width:.2f}v{self.height:.2f}h{-width:.2f}z"
        level = math.ceil(LEVELS * math.sqrt(count / most))
        return Block(path, level, "", search_url(self.query, range), f"{self.text}: {present.count(count, 'span')}")


def _line(name: str, share: float, steps: Sequence[Figures], axis: DurationAxis) -> Line:
    width = 100 / len(steps)
    path, is_on = [], False
    for number, step in enumerate(steps):
        if step.count:
            height = 100 - axis.place(round(step.histogram.quantile(share)))
            path.append(f"{'L' if is_on else 'M'}{(number + 0.5) * width:.2f} {height:.2f}h.01")
        is_on = step.count > 0
    return Line(name, "".join(path))


def _dot(exemplar: RedExemplar, times: TimeAxis, axis: DurationAxis) -> Dot:
    facts = [exemplar.subject or "(no name)", present.duration(exemplar.duration_ns), present.time(exemplar.start_ns)]
    return Dot(
        round(times.place(exemplar.start_ns), 2),
        round(100 - axis.place(exemplar.duration_ns), 2),
        _RADIUS,
        exemplar_url(exemplar),
        present.printable(" · ".join([*facts, "failed"] if exemplar.is_error else facts)),
        exemplar.is_error,
    )


def exemplar_url(exemplar: RedExemplar) -> str:
    """The page of its trace, with the span open."""
    return f"/trace/{exemplar.trace_id.hex()}?span={exemplar.span_id.hex()}"


def _histogram(answer: RedAnswer) -> Histogram:
    question, query = answer.question, Searches(answer.question).query()
    most = max(step.count for step in answer.steps)
    width = 100 / len(answer.steps)
    bars = []
    for number, step in enumerate(answer.steps):
        start_ns = question.start_ns + number * question.step_ns
        url = search_url(query, exact_range(start_ns, start_ns + question.step_ns))
        if step.count:
            bars.append(_bar(number * width, width, step, most, url, start_ns, question.step_ns))
    return Histogram(bars, most)


def _bar(left: float, width: float, step: Figures, most: int, url: str, start_ns: int, step_ns: int) -> HistogramBar:
    failed = f", {present.integer(step.error_count)} failed" if step.error_count else ""
    title = f"{present.rate(step.count, step_ns)}{failed}, from {present.time(start_ns)}"
    return HistogramBar(
        round(left, 2), round(width, 2), _height(step.count, most), _height(step.error_count, most), url, title
    )


def _height(count: int, most: int) -> float:
    return round(max(_LEAST_HEIGHT, count / most * 100), 2) if count else 0.0
