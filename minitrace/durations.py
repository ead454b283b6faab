"""Text to durations: what Go, TraceQL and people write."""

from __future__ import annotations

import re

from minitrace.errors import DecodeError

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, micro sign
    "μs": 1_000,  # U+03BC, Greek mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
# Python refuses to read a number of more than 4300 digits, with another error than ours.
_PART = re.compile(r"\s*(\d{0,100})(?:\.(\d{0,100}))?\s*(ns|us|µs|μs|ms|s|m|h|d)", re.ASCII)
MAX_DURATION_NS = 2**63 - 1


def parse_duration(text: str) -> int:
    """Read a duration such as ``250ms``, ``1.5s`` or ``1h30m``, in nanoseconds.

    Go's syntax, with days and spaces allowed. Exact: fractions are kept as integers, so ``4.1ms`` is
    4_100_000, and digits below a nanosecond are dropped, as Go drops them.

    Raises:
        DecodeError: the text is not a duration, or one beyond 292 years.

    See https://pkg.go.dev/time#ParseDuration
    """
    position, total, stripped = 0, 0, text.strip()
    if stripped == "0":
        return 0
    while position < len(stripped):
        part = _PART.match(stripped, position)
        if part is None or not (part[1] or part[2]):
            break
        unit_ns = _UNITS_NS[part[3]]
        fraction = part[2] or ""
        total += int(part[1] or 0) * unit_ns + (int(fraction) * unit_ns // 10 ** len(fraction) if fraction else 0)
        position = part.end()
    if not stripped or position < len(stripped) or total > MAX_DURATION_NS:
        raise DecodeError(f"{text[:40]!r} is not a duration: write 250ms, 1.5s or 2m")
    return total
