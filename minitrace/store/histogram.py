"""Exponential histograms of durations: buckets that grow by the same factor, so that every quantile is as exact.

OpenTelemetry's, at scale 3: bucket i counts durations in (2^(i/8), 2^((i+1)/8)] nanoseconds, and one more those of 0.
A quantile is at most 4.4 % from the duration that it stands for, whether that is a microsecond or an hour. See
https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram

A histogram is one integer, whose digits to the base of 2^32 are the counts. So two of them are added as
integers are, and 500 counts at once. In the file only the digits between the first and the last are kept.

digit   0    1    2 …            9        17
counts  0    1              up to 2  up to 4    ns
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from math import isqrt

SCALE = 3
ERROR = (2**2**-SCALE - 1) / (2**2**-SCALE + 1)  # of a quantile, as a share of the duration
_DIGIT_BYTES = 4
_OCTAVES = 63
# The highest duration of each digit. The root of a root is exact, rounded down; a float's would not be.
BOUNDS = [0, *(isqrt(isqrt(isqrt(1 << number))) for number in range((_OCTAVES << SCALE) + 1))]
digit_of = partial(bisect_left, BOUNDS)  # the digit that counts a duration; of each span, so without a frame for it


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many durations there are of which length."""

    digits: int = 0

    @classmethod
    def of(cls, durations_ns: Iterable[int]) -> Histogram:
        """That of some durations."""
        counts = Counter(map(digit_of, durations_ns))
        return cls(sum(number << (_DIGIT_BYTES * 8 * digit) for digit, number in counts.items()))

    @property
    def counts(self) -> dict[int, int]:
        """How many durations there are by digit, in ascending order; none that are 0."""
        size = -(-self.digits.bit_length() // (_DIGIT_BYTES * 8)) * _DIGIT_BYTES
        raw = self.digits.to_bytes(size, "little")
        numbers = (int.from_bytes(raw[at : at + _DIGIT_BYTES], "little") for at in range(0, size, _DIGIT_BYTES))
        return {digit: number for digit, number in enumerate(numbers) if number}

    @property
    def count(self) -> int:
        """How many durations there are."""
        return sum(self.counts.values())

    def quantile(self, share: float) -> float:
        """The duration, in nanoseconds, up to which a share of them lies; 0 without any. Wrong by `ERROR` at most."""
        return self.quantiles([share])[0]

    def quantiles(self, shares: Iterable[float]) -> list[float]:
        """The same for several shares."""
        counts = self.counts
        total = sum(counts.values())
        return [_at_rank(counts, max(1, math.ceil(share * total))) for share in shares]


def edges(digit: int) -> tuple[float, float]:
    """The durations, in nanoseconds, between which those of a digit lie; the upper one is one of them."""
    return (2 ** ((digit - 2) / (1 << SCALE)), 2 ** ((digit - 1) / (1 << SCALE))) if digit else (0.0, 0.0)


def _at_rank(counts: dict[int, int], rank: int) -> float:
    """What stands for the duration of this rank: what is as far from both edges, as a share of them."""
    for digit, number in counts.items():
        rank -= number
        if rank <= 0:
            low, high = edges(digit)
            return 2 * low * high / (low + high) if digit else 0.0
    return 0.0


def dump(digits: list[int]) -> tuple[int, int, bytes]:
    """Some durations, each as `digit_of` has it: the lowest digit, how many bytes each count has, the counts."""
    if len(digits) == 1:  # nearly all where there are many operations
        return digits[0], 1, b"\1"
    low = min(digits)
    size = max(digits) - low + 1
    if len(digits) < 256:
        small = bytearray(size)
        for digit in digits:
            small[digit - low] += 1
        return low, 1, bytes(small)
    counts = [0] * size
    for digit in digits:
        counts[digit - low] += 1
    return low, _DIGIT_BYTES, b"".join(number.to_bytes(_DIGIT_BYTES, "little") for number in counts)


def load(low: int, width: int, counts: bytes) -> int:
    """The integer of what `dump` gave; for `Histogram`, or to be added to others first."""
    if len(counts) == 1:
        return counts[0] << (_DIGIT_BYTES * 8 * low)
    if width != _DIGIT_BYTES:
        wide = bytearray(len(counts) * _DIGIT_BYTES)
        wide[::_DIGIT_BYTES] = counts
        counts = bytes(wide)
    return int.from_bytes(counts, "little") << (_DIGIT_BYTES * 8 * low)
