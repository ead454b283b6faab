"""How long a span took among others of its operation: slower than most, or as usual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from minitrace import present
from minitrace.analysis.breakdown import percentile

LEAST = 5  # of fewer others nothing can be said


@dataclass(frozen=True, slots=True)
class Standing:
    """A duration among `count` others. Places are per cent of a logarithmic scale from the fastest to the slowest."""

    count: int
    text: str
    p50_ns: int
    p95_ns: int
    p50_place: float
    p95_place: float
    place: float


def standing(duration_ns: int, durations: Sequence[int]) -> Standing | None:
    """Where a duration stands among its operation's, of which it may be one; None where there are fewer than five."""
    others = sorted(durations)
    if duration_ns in others:
        others.remove(duration_ns)
    if len(others) < LEAST:
        return None
    p50_ns, p95_ns = percentile(others, 50), percentile(others, 95)
    fastest, slowest = min(others[0], duration_ns), max(others[-1], duration_ns)
    places = [_place(ns, fastest, slowest) for ns in (p50_ns, p95_ns, duration_ns)]
    return Standing(len(others), _text(duration_ns, others), p50_ns, p95_ns, *places)


def _text(duration_ns: int, others: Sequence[int]) -> str:
    faster = sum(other < duration_ns for other in others)
    slower = sum(other > duration_ns for other in others)
    if faster == slower:
        return "in the middle"
    word, number = ("slower", faster) if faster > slower else ("faster", slower)
    return f"{word} than {'all' if number == len(others) else present.share(number, len(others))}"


def _place(ns: int, fastest: int, slowest: int) -> float:
    low, high = log(max(1, fastest)), log(max(1, slowest))
    return 50.0 if low == high else (log(max(1, ns)) - low) / (high - low) * 100
