"""Times and durations to places on an axis, in per cent, and the few ticks that help to read it.

A time axis is linear, with ticks at round times of this machine's clock. A duration axis is logarithmic: 10 ms are as
far from 1 ms as 10 s are from 1 s. What is outside of an axis is placed at its end: places are always from 0 to 100.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from minitrace import present
from minitrace.model import MAX_TIME_NS

_US, _MS, _S = 1_000, 1_000_000, 1_000_000_000
_M, _H, _D = 60 * _S, 3600 * _S, 86_400 * _S
MAX_TICKS = 8
_MAX_TIMES = 6  # their labels stand side by side
_WANTED_TICKS = 3  # coarse steps that give fewer are refined
LEAST_TIME_NS = 10 * _MS  # the shortest time axis: times of day are written to the millisecond
_TIME_STEPS = (
    [count * unit for unit in (_MS, 10 * _MS, 100 * _MS) for count in (1, 2, 5)]
    + [count * unit for unit in (_S, _M) for count in (1, 2, 5, 10, 15, 30)]
    + [count * _H for count in (1, 2, 3, 6, 12)]
    + [count * _D for count in (1, 2, 7, 14, 30, 61, 122, 244, 365, 730, 1826, 3652, 7305, 18262)]
)
# What people call a round duration: in powers of ten below a minute, and then in minutes, hours and days.
_ROUND = [10**power for power in range(11)] + [_M, 10 * _M, _H, 10 * _H] + [10**power * _D for power in range(7)]
_ROUNDISH = sorted(
    [digit * 10**power for power in range(10) for digit in (1, 2, 5)]
    + [count * unit for unit in (_S, _M) for count in (10, 20, 30)]
    + [count * _M for count in (1, 2, 5)]
    + [count * _H for count in (1, 2, 5, 10)]
    + [digit * 10**power * _D for power in range(6) for digit in (1, 2, 5)]
)


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, in per cent of its length, and what stands there."""

    place: float
    label: str


class TimeAxis:
    """From `start_ns` to `end_ns`, made longer on both sides if that is less than `LEAST_TIME_NS`."""

    def __init__(self, start_ns: int, end_ns: int) -> None:
        start_ns = min(max(0, start_ns), MAX_TIME_NS - LEAST_TIME_NS)
        end_ns = min(max(start_ns, end_ns), MAX_TIME_NS)
        missing = max(0, LEAST_TIME_NS - (end_ns - start_ns))
        self.start_ns = max(0, start_ns - missing // 2)
        self.end_ns = max(end_ns, self.start_ns + LEAST_TIME_NS)

    def place(self, time_ns: int) -> float:
        """Per cent from the start of the axis."""
        inside = min(max(self.start_ns, time_ns), self.end_ns)
        return (inside - self.start_ns) / (self.end_ns - self.start_ns) * 100

    @property
    def ticks(self) -> list[Tick]:
        """Two to six ticks at round times, in their order."""
        offset_ns = _offset_ns(self.start_ns)
        for step in _TIME_STEPS:
            first = -(-(self.start_ns + offset_ns) // step) * step - offset_ns
            times = range(first, self.end_ns + 1, step)
            if len(times) <= _MAX_TIMES:
                break
        pattern = _pattern(times, step)
        return _distinct(Tick(self.place(time), _clock(time, pattern, step)) for time in times)


class DurationAxis:
    """From `shortest_ns` to `longest_ns`, made longer on both sides where they are near to each other.

    A duration of 0 has no logarithm: it is placed at the lower end.
    """

    def __init__(self, shortest_ns: int, longest_ns: int) -> None:
        low, high = max(1, shortest_ns), max(1, shortest_ns, longest_ns)
        if high < low * 1.2 + 10:
            low, high = max(1, int(low / 1.1) - 5), int(high * 1.1) + 5
        self.shortest_ns, self.longest_ns = low, high
        self.low, self.high = math.log10(low), math.log10(high)  # of nanoseconds

    def place(self, duration_ns: int) -> float:
        """Per cent from the lower end of the axis."""
        inside = min(max(self.shortest_ns, duration_ns), self.longest_ns)
        return min(max(0.0, (math.log10(inside) - self.low) / (self.high - self.low) * 100), 100.0)

    @property
    def ticks(self) -> list[Tick]:
        """Two to eight ticks at round durations, the shortest first."""
        choices = [choice for choice in self._choices() if 2 <= len(choice) <= MAX_TICKS]
        best = next((choice for choice in choices if len(choice) >= _WANTED_TICKS), choices[-1])
        return _distinct(Tick(self.place(ns), present.duration(ns)) for ns in best)

    def _choices(self) -> Iterator[Sequence[int]]:
        """Round durations within the axis, the coarsest first."""
        for step in (3, 2, 1):
            yield self._within(_ROUND[::step])
        yield self._within(_ROUNDISH)
        for step in reversed(_ROUNDISH):
            yield range(-(-self.shortest_ns // step) * step, self.longest_ns + 1, step)

    def _within(self, durations: Iterable[int]) -> list[int]:
        return [ns for ns in durations if self.shortest_ns <= ns <= self.longest_ns]


def _distinct(ticks: Iterable[Tick]) -> list[Tick]:
    """Ticks without those that read as another one: an hour comes twice when the clocks are set back."""
    return list({tick.label: tick for tick in ticks}.values())


def _pattern(times: Sequence[int], step: int) -> str:
    """How times are written so that each is clear beside the others."""
    days = {_local(time).date() for time in times}
    if len({day.year for day in days}) > 1:
        return "%Y-%m-%d"
    of_day = "%H:%M:%S" if step < _M else "%H:%M"
    if step >= _D:
        return "%b %d"
    return f"%b %d {of_day}" if len(days) > 1 else of_day


def _clock(time_ns: int, pattern: str, step: int) -> str:
    text = _local(time_ns).strftime(pattern)
    return f"{text}.{time_ns // _MS % 1000:03d}" if step < _S and pattern.endswith("%S") else text


def _offset_ns(time_ns: int) -> int:
    """What this machine's clock is ahead of UTC."""
    offset = _local(time_ns).utcoffset()
    return int(offset.total_seconds()) * _S if offset else 0


def _local(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns // _S, UTC).astimezone()
