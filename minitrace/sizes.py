"""Text to sizes: what people write for how much room something may take."""

from __future__ import annotations

import re

from minitrace.errors import DecodeError

_UNITS = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
# Python refuses to read a number of more than 4300 digits, with another error than ours.
_SIZE = re.compile(r"(\d{0,100})(?:\.(\d{0,100}))?\s*([kmgt]i?b|b)", re.ASCII | re.IGNORECASE)
MAX_SIZE_BYTES = 2**63 - 1


def parse_size(text: str) -> int:
    """Read a size such as ``500MB``, ``2 GB`` or ``1.5GiB``, in bytes.

    MB is a million bytes, MiB is 1024². Exact: ``1.1GB`` is 1_100_000_000, and digits below a byte are dropped.

    Raises:
        DecodeError: the text is not a size, or one beyond 8 EiB.
    """
    size = _SIZE.fullmatch(text.strip())
    if size is None or not (size[1] or size[2]):
        raise DecodeError(f"{text[:40]!r} is not a size: write 500MB, 2GB or 1.5GiB")
    unit_bytes = _UNITS[size[3].lower()]
    fraction = size[2] or ""
    size_bytes = int(size[1] or 0) * unit_bytes + (int(fraction) * unit_bytes // 10 ** len(fraction) if fraction else 0)
    if size_bytes > MAX_SIZE_BYTES:
        raise DecodeError(f"{text[:40]!r} is more than a file can be: write 500MB, 2GB or 1.5GiB")
    return size_bytes
