"""Rate, errors and durations over a range of time: of all services, of a service's operations, or of one operation.

Most of it stands in roll-ups (`rolling.py`); what has none yet is counted from its spans. Either way counts are exact,
and quantiles within `histogram.ERROR`. Everything goes from the newest spans to the oldest; what the deadline left
out, is older.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from minitrace.errors import QueryTimeout
from minitrace.model import Kind, StatusCode
from minitrace.store import cells, rolling, tokens
from minitrace.store.database import IN_THREAD, Reader, work
from minitrace.store.figures import Figures
from minitrace.store.histogram import load
from minitrace.store.rolling import ALL, MINUTE_S, NS, OTHERS, STEP_S, Part, Piece
from minitrace.store.segments import Segment, Segments

MAX_STEPS = 1_000
BYTES_AT_ONCE = 20_000  # of cells that may be added up while everybody else waits: a millisecond


@dataclass(frozen=True, slots=True)
class RedQuestion:
    """What is asked. Start and end are widened to whole steps, a step to whole buckets of 10 s.

    A step covers the spans that start in (its beginning, its end], as a bucket of TraceQL's metrics does. Without a
    service it is about all services, without an operation about all of its operations, without kinds about all spans.
    `is_compared` asks for the range before, too, which is as long.

    Raises:
        ValueError: that would be more than `MAX_STEPS` steps.
    """

    start_ns: int
    end_ns: int
    step_ns: int
    service: str | None = None
    operation: str | None = None
    kinds: frozenset[Kind] = frozenset()
    is_compared: bool = False

    def __post_init__(self) -> None:
        step_ns = max(1, -(-self.step_ns // (STEP_S * NS))) * STEP_S * NS
        object.__setattr__(self, "step_ns", step_ns)
        object.__setattr__(self, "start_ns", max(0, self.start_ns) // step_ns * step_ns)
        object.__setattr__(self, "end_ns", max(-(-self.end_ns // step_ns) * step_ns, self.start_ns + step_ns))
        if self.step_count > MAX_STEPS:
            raise ValueError(
                f"{self.step_count} steps are more than {MAX_STEPS}. Make the range shorter, or a step longer"
            )

    @property
    def step_count(self) -> int:
        """How many steps there are."""
        return (self.end_ns - self.start_ns) // self.step_ns

    @property
    def before(self) -> RedQuestion:
        """The same about the range before."""
        return replace(self, start_ns=2 * self.start_ns - self.end_ns, end_ns=self.start_ns)


@dataclass(frozen=True, slots=True)
class RedExemplar:
    """A span that was among the slowest of a step, or among its slowest failures; `subject` names its series."""

    trace_id: bytes
    span_id: bytes
    start_ns: int
    duration_ns: int
    is_error: bool
    subject: str | None


@dataclass(slots=True)
class RedSeries:
    """A service or an operation: figures of all of the range, of that before if it was asked for, and counts by step.

    `subject` is its name; None for all that have no series of their own. `slowest_ns` is by step, 0 where nothing was.
    """

    subject: str | None
    figures: Figures
    counts: list[int]
    error_counts: list[int]
    slowest_ns: list[float]
    before: Figures | None = None


@dataclass(slots=True)
class RedAnswer:
    """Rate, errors and durations: of all that was asked about, in all and by step, and of its parts.

    `series` are services, or operations; the one that took the longest in all comes first. `complete` is False if
    the deadline came before all was counted, for a `reason`. `counted` spans had no roll-up. `others` are spans of
    services, or operations, that have no series of their own: more of them were seen than are told apart.
    """

    question: RedQuestion
    figures: Figures
    steps: list[Figures]
    series: list[RedSeries]
    before: Figures | None = None
    exemplars: list[RedExemplar] = field(default_factory=list)
    complete: bool = True
    reason: str = ""
    counted: int = 0
    others: int = 0


async def red(reader: Reader, question: RedQuestion) -> RedAnswer:
    """Answer a question; what the time did not suffice for is left out, and said."""
    tally, before = _Tally(question), _Tally(question.before)
    counter = _Counter(reader, question)
    reason = ""
    try:
        await counter.count(tally)
        if question.is_compared:
            await counter.count(before)
    except QueryTimeout as error:
        reason = str(error)
    answer = tally.answer()
    if question.is_compared:
        answer.before = before.answer().figures
        known = {series.subject: series.figures for series in before.answer().series}
        for series in answer.series:
            series.before = known.get(series.subject, Figures())
    answer.complete, answer.reason, answer.counted = not reason, reason, counter.counted
    if not reason:
        answer.exemplars = await _exemplars(reader, tally)
    return answer


class _Counter:
    """What a question needs of the file."""

    def __init__(self, reader: Reader, question: RedQuestion) -> None:
        self.counted = 0
        self._reader = reader
        self._question = question
        self._names: dict[int, dict[int, str | None]] = {}
        self._segments: Segments | None = None

    async def count(self, tally: _Tally) -> None:
        """Count what is asked for. Raises QueryTimeout; what was counted stays."""
        question = tally.question
        self._segments = self._segments or await Segments.read(self._reader)
        service = await self._service()
        if service is None:
            return
        step_s = _step_s(question)
        wanted = (service, step_s)
        rolled = {
            row[0]
            for row in await self._rows("SELECT first_span FROM red WHERE service = ? AND step_s = ?", ALL, STEP_S)
        }
        self.counted = 0
        for piece in _unrolled(self._segments, rolled):
            parts = await self._counted(piece, question)
            await self._add(tally, [(piece.first, one.cells) for one in parts if (one.service, one.step_s) == wanted])
        sql = """
            SELECT first_span, cells FROM red
            WHERE service = ? AND step_s = ? AND last_bucket >= ? AND first_bucket < ?
            ORDER BY first_span DESC
        """
        bounds = (question.start_ns // (step_s * NS), question.end_ns // (step_s * NS))
        await self._add(tally, await self._rows(sql, *wanted, *bounds))

    async def _service(self) -> int | None:
        """The service whose rows of `red` tell; None if there is none of that name."""
        if self._question.service is None:
            return ALL
        rows = await self._rows("SELECT id FROM services WHERE name = ?", self._question.service)
        return rows[0][0] if rows else None

    async def _counted(self, piece: Piece, question: RedQuestion) -> list[Part]:
        """What a piece amounts to that has no roll-up."""
        services = await self._reader.rows(*rolling.services_of(piece.segment))
        sql, bound = rolling.count_of(piece, services, question.start_ns + 1, question.end_ns)
        rows = await self._reader.rows(sql, bound)
        self.counted += piece.last - piece.first + 1
        return await work(rolling.parts, piece, rows, size=len(rows))

    async def _add(self, tally: _Tally, rows: list[tuple[int, bytes]]) -> None:
        """Count the cells of pieces, each given by its first span."""
        assert self._segments is not None
        named = [(first, blob, await self._subjects(self._segments.of(first))) for first, blob in rows]

        def add_all() -> None:
            for piece in named:
                self._reader.check()
                tally.add(*piece)

        size = sum(len(blob) for _, blob in rows)
        await work(add_all, size=IN_THREAD if size > BYTES_AT_ONCE else 0)

    async def _subjects(self, segment: Segment) -> dict[int, str | None]:
        """What the subjects of series stand for: services, or the names of a segment; not those of other operations."""
        key = 0 if self._question.service is None else segment.id
        if key not in self._names:
            if self._question.service is None:
                rows = await self._rows("SELECT id, name FROM services")
            else:
                first = tokens.first_id(segment.id, tokens.NAME)
                sql = "SELECT id - ?, value FROM dictionary WHERE id > ? AND id <= ?"
                rows = await self._rows(sql, first, first, first + rolling.MAX_NAMES)
            names: dict[int, str | None] = {OTHERS: None, **dict(rows)}
            wanted = self._question.operation
            self._names[key] = names if wanted is None else {id_: name for id_, name in names.items() if name == wanted}
        return self._names[key]

    async def _rows(self, sql: str, *bound: Any) -> list[Any]:
        return await self._reader.rows(sql, bound)


def _step_s(question: RedQuestion) -> int:
    """The longest buckets that fit into the steps of a question."""
    is_whole = question.step_ns % (MINUTE_S * NS) == 0
    return MINUTE_S if is_whole and question.service is None else STEP_S


def _unrolled(segments: Segments, rolled: set[int]) -> Iterable[Piece]:
    """The pieces without a roll-up, the newest first."""
    for segment in reversed(segments.all):
        pieces = list(rolling.pieces(segment.id, segment.first_span, segment.last_span, is_full=True))
        yield from (piece for piece in reversed(pieces) if piece.first not in rolled)


class _Tally:
    """Cells, added up by subject and by step."""

    def __init__(self, question: RedQuestion) -> None:
        self.question = question
        self.slowest: dict[tuple[int, bool], tuple[float, int, str | None]] = {}  # by step and whether it failed
        self.others = 0
        self._steps = [Figures() for _ in range(question.step_count)]
        self._series: dict[str | None, RedSeries] = {}

    def add(self, first_span: int, blob: bytes, subjects: dict[int, str | None]) -> None:
        """Count the cells of a piece whose subjects are among these."""
        question = self.question
        width = _step_s(question)
        first, ratio = question.start_ns // (width * NS), question.step_ns // (width * NS)
        kinds = question.kinds or frozenset(Kind)
        for bucket, series, count, total_ns, slowest, slowest_ns, low, size, raw in cells.unpack(blob):
            step = (bucket - first) // ratio
            subject, kind, status = cells.read_series(series)
            if not 0 <= step < len(self._steps) or kind not in kinds:
                continue
            self.others += count if subject == OTHERS else 0
            if subject not in subjects:
                continue
            name, error_count = subjects[subject], count if status == StatusCode.ERROR else 0
            of_name, digits = self._of(name), load(low, size, raw)
            of_name.counts[step] += count
            of_name.error_counts[step] += error_count
            if slowest_ns > of_name.slowest_ns[step]:
                of_name.slowest_ns[step] = slowest_ns
            of_name.figures.add_sums(count, error_count, total_ns, digits)
            self._steps[step].add_sums(count, error_count, total_ns, digits)
            if slowest_ns >= self.slowest.get((step, bool(error_count)), (0,))[0]:
                self.slowest[step, bool(error_count)] = (slowest_ns, first_span + slowest, name)

    def _of(self, name: str | None) -> RedSeries:
        found = self._series.get(name)
        if found is None:
            size = len(self._steps)
            found = self._series[name] = RedSeries(name, Figures(), [0] * size, [0] * size, [0.0] * size)
        return found

    def answer(self) -> RedAnswer:
        """What was counted."""
        figures = Figures()
        for step in self._steps:
            figures.add(step)
        series = sorted(self._series.values(), key=lambda one: (-one.figures.duration_ns, one.subject or ""))
        return RedAnswer(self.question, figures, self._steps, series, others=self.others)


async def _exemplars(reader: Reader, tally: _Tally) -> list[RedExemplar]:
    """The spans that were remembered, the earliest first."""
    found = {span: (is_error, subject) for (_, is_error), (_, span, subject) in tally.slowest.items()}
    ids = ", ".join(map(str, found))
    rows = await reader.rows(
        "SELECT spans.id, trace_id, span_id, spans.start_ns, duration_ns "
        f"FROM spans JOIN traces ON traces.id = spans.trace WHERE spans.id IN ({ids}) ORDER BY spans.start_ns, spans.id"
    )
    return [
        RedExemplar(trace_id, span_id, start_ns, duration_ns, *found[span])
        for span, trace_id, span_id, start_ns, duration_ns in rows
    ]
