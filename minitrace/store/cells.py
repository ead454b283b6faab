"""Cells: what the spans of one series amount to in one bucket of time, and many of them as bytes.

```
blob   = number of cells, heads, counts
head   = bucket  series  count  sum of durations  slowest span: which, how long  histogram: lowest digit, size, width
series = (service or name) << 5 | kind << 2 | status
```

A bucket is TraceQL's, of 10 or 60 s: its right edge belongs to it. They are numbered from 1970. Where there are many
operations, most cells have one span or two: then a cell is a head of 31 bytes and a few counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct

from minitrace.store import histogram

KIND_BITS, STATUS_BITS = 3, 2
_NUMBER = Struct("<I")
_HEAD = Struct("<IIIQHfHHB")
_LARGEST_SUM = 2**64 - 1  # of two spans of 300 years each

# Bucket, series, count, sum of durations, slowest span and its duration, and the histogram for `histogram.load`.
# Spans are numbered from the first of their piece, durations are nanoseconds.
Cell = tuple[int, int, int, int, int, float, int, int, bytes]
Packed = tuple[bytes, bytes]


def pack_one(bucket: int, series: int, total_ns: int, digits: list[int], slowest: int, slowest_ns: int) -> Packed:
    """A cell of durations whose sum and `histogram.digit_of` are given: its head and its counts."""
    low, width, counts = histogram.dump(digits)
    if total_ns > _LARGEST_SUM:
        total_ns = _LARGEST_SUM
    size = len(counts) // width
    return _HEAD.pack(bucket, series, len(digits), total_ns, slowest, slowest_ns, low, size, width), counts


def pack(cells: Iterable[Packed]) -> bytes:
    """Cells of `pack_one`, in one piece."""
    heads, counts = [], []
    for head, own in cells:
        heads.append(head)
        counts.append(own)
    return b"".join((_NUMBER.pack(len(heads)), *heads, *counts))


def unpack(blob: bytes) -> Iterator[Cell]:
    """The cells in a blob."""
    (number,) = _NUMBER.unpack_from(blob)
    at = _NUMBER.size + number * _HEAD.size
    heads = memoryview(blob)[_NUMBER.size : at]
    for bucket, series, count, total_ns, slowest, slowest_ns, low, size, width in _HEAD.iter_unpack(heads):
        end = at + size * width
        yield bucket, series, count, total_ns, slowest, slowest_ns, low, width, blob[at:end]
        at = end


def series_of(subject: int, kind: int, status: int) -> int:
    """The number of a series; `subject` is a service's id, or the count of a name."""
    return (subject << KIND_BITS | kind) << STATUS_BITS | status


def read_series(series: int) -> tuple[int, int, int]:
    """What `series_of` put together: subject, kind and status."""
    rest = series >> STATUS_BITS
    return rest >> KIND_BITS, rest & (1 << KIND_BITS) - 1, series & (1 << STATUS_BITS) - 1
