"""Parameters of a request, as Tempo's clients write them: numbers, times, durations, steps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from minitrace.durations import parse_duration
from minitrace.errors import DecodeError
from minitrace.model import MAX_TIME_NS

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
STEPS_PER_RANGE = 240  # about, where no step is asked for
MAX_STEPS = 11_000  # what Prometheus allows
_WHOLE_STEPS_NS = [seconds * SECOND_NS for seconds in (1, 5, 15, 60, 300, 3600)]
_SHORT_STEP_NS = 50_000_000
_NUMBER = re.compile(r"[0-9]{1,30}(?:\.[0-9]{0,30})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)


def read_number(parameters: Mapping[str, str], name: str, default: int, *, low: int = 0, high: int = 2**32 - 1) -> int:
    """A whole number from `low` to `high`. Raises DecodeError."""
    text = parameters.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and low <= int(text) <= high):
        raise DecodeError(f"{name}={text[:40]!r} is not a whole number from {low} to {high}")
    return int(text)


def read_time(parameters: Mapping[str, str], name: str) -> int | None:
    """A time in seconds or nanoseconds since 1970, or in ISO 8601, as nanoseconds. Raises DecodeError.

    Up to ten digits are seconds; fractions of them may follow a dot.
    """
    text = parameters.get(name)
    if not text:
        return None
    try:
        if not _NUMBER.fullmatch(text):
            moment = datetime.fromisoformat(text)
            time_ns = int(moment.timestamp()) * SECOND_NS + moment.microsecond * 1000
        elif text.isdigit() and len(text) > 10:
            time_ns = int(text)
        else:
            time_ns = int(text) * SECOND_NS if text.isdigit() else int(float(text) * SECOND_NS)
    except (ValueError, OverflowError, OSError):
        time_ns = -1
    if not 0 <= time_ns <= MAX_TIME_NS:
        raise DecodeError(
            f"{name}={text[:40]!r} is not a time: write seconds or nanoseconds since 1970, or 2026-11-22T13:00:00Z"
        )
    return time_ns


def read_step(parameters: Mapping[str, str], range_ns: int) -> int:
    """The step between samples in nanoseconds: a duration, or seconds; one that suits the range where none is given.

    Raises:
        DecodeError: it is no duration, not positive, or so short that there would be too many samples.
    """
    text = parameters.get("step")
    if not text:
        return default_step(range_ns)
    step_ns = int(float(text) * SECOND_NS) if _NUMBER.fullmatch(text) else _read_duration(text)
    if step_ns <= 0:
        raise DecodeError(f"step={text[:40]!r} is not a step: write a duration such as 30s, or seconds")
    if range_ns // step_ns > MAX_STEPS:
        least_s = range_ns / MAX_STEPS / SECOND_NS
        raise DecodeError(f"step={text[:40]!r} gives more than {MAX_STEPS} samples: make it at least {least_s:.3g}s")
    return step_ns


def default_step(range_ns: int) -> int:
    """About a 240th of the range: whole seconds, minutes or hours; of ranges below a minute multiples of 50 ms."""
    wanted_ns = range_ns // STEPS_PER_RANGE
    if range_ns < MINUTE_NS:
        return max(_SHORT_STEP_NS, wanted_ns // _SHORT_STEP_NS * _SHORT_STEP_NS)
    unit_ns = max((step for step in _WHOLE_STEPS_NS if step <= wanted_ns), default=SECOND_NS)
    return max(unit_ns, wanted_ns // unit_ns * unit_ns)


def _read_duration(text: str) -> int:
    try:
        return parse_duration(text)
    except DecodeError:
        return 0
