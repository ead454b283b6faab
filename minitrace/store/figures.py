"""What spans amount to: how many there are, how many of them failed, how long they took."""

from __future__ import annotations

from dataclasses import dataclass

from minitrace.store.histogram import Histogram

Worst = tuple[bool, int, int]


@dataclass(slots=True)
class Figures:
    """Sums over some spans, to which more can be added; `digits` are those of their `Histogram`.

    `worst` is the slowest of those that failed, or else of all, where somebody noted it: whether, how long, its row.
    """

    count: int = 0
    error_count: int = 0
    duration_ns: int = 0
    digits: int = 0
    worst: Worst | None = None

    @classmethod
    def of(cls, durations_ns: list[int], worst: Worst) -> Figures:
        """Those of some spans, all of which failed, or none, as the worst of them did."""
        count = len(durations_ns)
        return cls(count, count if worst[0] else 0, sum(durations_ns), Histogram.of(durations_ns).digits, worst)

    def add(self, other: Figures) -> None:
        """Add those of other spans."""
        self.add_sums(other.count, other.error_count, other.duration_ns, other.digits)
        if other.worst is not None:
            self.find_worse(other.worst)

    def add_sums(self, count: int, error_count: int, duration_ns: int, digits: int) -> None:
        """The same without the worst, for what was never a `Figures`."""
        self.count += count
        self.error_count += error_count
        self.duration_ns += duration_ns
        self.digits += digits

    def find_worse(self, one: Worst) -> None:
        """Note a span that may be worse than the worst."""
        if self.worst is None or one > self.worst:
            self.worst = one

    def take_off(self, other: Figures) -> None:
        """Take those of some spans off that were added. If the worst is among them, the next worst is not known."""
        self.count -= other.count
        self.error_count -= other.error_count
        self.duration_ns -= other.duration_ns
        self.digits -= other.digits
        if self.worst == other.worst:
            self.worst = None

    @property
    def error_share(self) -> float:
        """How many of them failed, from 0 to 1."""
        return self.error_count / self.count if self.count else 0.0

    @property
    def histogram(self) -> Histogram:
        """How many took how long."""
        return Histogram(self.digits)

    @property
    def p95_ns(self) -> int:
        """The duration up to which 95 % of them lie, in nanoseconds."""
        return round(self.histogram.quantile(0.95))
