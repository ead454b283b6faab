"""Values to text for people: durations, times, sizes, attribute values.

Nothing here knows HTML; templates use these as filters, the command line and test failures as they are.
"""

from __future__ import annotations

import base64
import json
import math
from datetime import UTC, datetime

from minitrace.model import Kind, StatusCode, Value, usable_time

THIN_SPACE = "\u2009"
_UNITS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"))
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)}
# Bidirectional overrides can make a name read as another one: CVE-2021-42574.
_CONTROLS |= {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def duration(duration_ns: int) -> str:
    """A duration in three significant digits and one unit: ``1.24 s``, ``84 ms``, ``12.3 µs``, ``3 m 20 s``."""
    if duration_ns >= 60_000_000_000:
        return _minutes(duration_ns // 1_000_000_000)
    for size, unit in _UNITS:
        # 999 600 ns would read "1000 µs": the next unit starts where three digits round up
        if duration_ns >= size * 0.9995:
            return f"{_three_digits(duration_ns / size)}{THIN_SPACE}{unit}"
    return f"{duration_ns}{THIN_SPACE}ns"


def _minutes(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    shown = [f"{number}{THIN_SPACE}{unit}" for number, unit in parts if number][:2]
    return " ".join(shown)


def _three_digits(number: float) -> str:
    decimals = 2 if number < 9.995 else 1 if number < 99.95 else 0
    text = f"{number:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: ``1 span``, ``2 spans``, ``12 345 spans``."""
    return f"{integer(number)} {noun if number == 1 else plural or noun + 's'}"


def integer(number: int) -> str:
    """A whole number in groups of three: ``1 234 567``."""
    return f"{number:,}".replace(",", THIN_SPACE)


def rate(number: int, duration_ns: int) -> str:
    """How often something happened in a time: ``12.3/s``, ``4.2/min``, ``0.5/h``."""
    for seconds, unit in ((1, "s"), (60, "min"), (3600, "h")):
        often = number * seconds * 1_000_000_000 / duration_ns
        if often >= 0.9995 or not number or unit == "h":
            break
    text = integer(round(often)) if often >= 999.5 else _three_digits(often)
    return f"{text}/{unit}"


def size(size_bytes: int) -> str:
    """A size in powers of 1024: ``512 B``, ``3.4 MB``."""
    if size_bytes < 1024:
        return f"{size_bytes}{THIN_SPACE}B"
    exponent = min(int(math.log(size_bytes, 1024)), 4)
    return f"{_three_digits(size_bytes / 1024**exponent)}{THIN_SPACE}{' KMGT'[exponent]}B"


def time(time_ns: int, *, utc: bool = False) -> str:
    """A moment to the millisecond, in this machine's time zone: ``2026-11-22 13:03:11.042``."""
    return _to_the_millisecond(time_ns, "%Y-%m-%d %H:%M:%S", utc=utc)


def clock(time_ns: int) -> str:
    """A moment's time of day, in this machine's time zone: ``13:03:11.042``."""
    return _to_the_millisecond(time_ns, "%H:%M:%S")


def moment(time_ns: int, now_ns: int) -> str:
    """A moment in a list of recent ones: the time of day, after the date where it is not today's."""
    moment, now = _moment(time_ns), _moment(now_ns)
    if not moment or not now or moment.date() == now.date():
        return clock(time_ns)
    return moment.strftime("%b %d " if moment.year == now.year else "%Y-%m-%d ") + clock(time_ns)


def offset(time_ns: int, start_ns: int) -> str:
    """When something happened, counted from a start: ``+84 ms``, ``−3 µs``."""
    if not (usable_time(time_ns) and usable_time(start_ns)):
        return "no time"
    return ("+" if time_ns >= start_ns else "−") + duration(abs(time_ns - start_ns))


def share(part: float, whole: float) -> str:
    """A part of a whole: ``38%``, ``1.2%``, ``under 0.1%``; "" of nothing."""
    if whole <= 0:
        return ""
    per_cent = part / whole * 100
    if 0 < per_cent < 0.1:
        return "under 0.1%"
    return f"{per_cent:.{0 if per_cent >= 9.95 else 1}f}".removesuffix(".0") + "%"


def iso(time_ns: int) -> str:
    """A moment in ISO 8601, UTC, to the microsecond; "" where it cannot be written so."""
    moment = _moment(time_ns, utc=True)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ns // 1000 % 1_000_000:06d}Z" if moment else ""


def age(time_ns: int, now_ns: int) -> str:
    """How long ago: ``just now``, ``42 s ago``, ``3 h ago``, ``in the future``."""
    seconds = (now_ns - time_ns) // 1_000_000_000
    if seconds < -2:
        return "in the future"
    if seconds < 2:
        return "just now"
    for limit, size_s, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // size_s}{THIN_SPACE}{unit} ago"
    return f"{integer(seconds // 86_400)} d ago"


def _to_the_millisecond(time_ns: int, pattern: str, *, utc: bool = False) -> str:
    moment = _moment(time_ns, utc=utc)
    return f"{moment.strftime(pattern)}.{time_ns // 1_000_000 % 1000:03d}" if moment else "no time"


def _moment(time_ns: int, *, utc: bool = False) -> datetime | None:
    if not usable_time(time_ns):
        return None
    moment = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    return moment if utc else moment.astimezone()


def kind(number: int) -> str:
    """A span kind's name in lower case; ``kind 9`` for one newer than we are."""
    return Kind(number).name.lower() if number in Kind.__members__.values() else f"kind {number}"


def status(code: int) -> str:
    """A status code's name in lower case; ``status 9`` for one newer than we are."""
    return StatusCode(code).name.lower() if code in StatusCode.__members__.values() else f"status {code}"


def value(value: Value) -> str:
    """An attribute value as one text: strings bare, bytes in base64, lists and maps as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return json.dumps(_jsonable(value), ensure_ascii=False)


def value_type(value: Value) -> str:
    """The name of an attribute value's type: string, bool, int, double, bytes, array, map, empty."""
    names = {
        str: "string",
        bool: "bool",
        int: "int",
        float: "double",
        bytes: "bytes",
        list: "array",
        dict: "map",
    }
    return names.get(type(value), "empty")


def plain(text: str) -> str:
    """With spaces that are as wide as all others: for terminals and programs, not all of which have a thin one."""
    return text.replace(THIN_SPACE, " ")


def printable(text: str) -> str:
    """Text that is safe on a terminal and reads as it is: control and bidi characters spelt out."""
    return text.translate(_CONTROLS)


def _jsonable(value: Value) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    return value
