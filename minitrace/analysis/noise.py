"""Attributes that are hardly ever the same twice, and so tell nothing: ids, times, ports, threads.

Some are known by name. Others give themselves away by how their values look.
"""

from __future__ import annotations

import re
from functools import lru_cache

from minitrace.model import Value

REMEMBERED = 4_096  # names, which come again with each span
_NAMES = frozenset(
    {
        "code.lineno",
        "code.line.number",
        "container.id",
        "container.name",
        "elapsed",
        "host.id",
        "host.ip",
        "host.mac",
        "host.name",
        "minitrace.run.id",
        "k8s.pod.ip",
        "k8s.pod.name",
        "k8s.pod.start_time",
        "messaging.kafka.offset",
        "messaging.message.body.size",
        "process.command_args",
        "service.instance.id",
    }
)
_ENDINGS = (".uid", ".uuid", ".port", "pid", ".offset", "_ms", "_ns", "_us", ".duration", "timestamp", "_at", ".time")
_BEGINNINGS = ("thread.", "process.creation", "process.command")
_ID_ENDINGS = (".id", "_id", "Id", ".key")
_RANDOM = re.compile(
    r"""
    [0-9a-f]{16,} | [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}  # ids
  | \d{4}-\d\d-\d\d[T\s]\d\d:\d\d.*  # times
    """,
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
_EARLIEST_S = 1_000_000_000  # numbers from here on are likely to be moments, in seconds or less


@lru_cache(REMEMBERED)
def is_noise(name: str) -> bool:
    """Whether an attribute of this name is another one each time, whatever happened."""
    return name in _NAMES or name.endswith(_ENDINGS) or name.startswith(_BEGINNINGS)


def is_id(name: str, value: Value) -> bool:
    """Whether a value stands for one thing among very many: an id, a moment."""
    if name.endswith(_ID_ENDINGS):
        return True
    if isinstance(value, str):
        return _RANDOM.fullmatch(value[:200]) is not None
    return isinstance(value, int | float) and abs(value) >= _EARLIEST_S
