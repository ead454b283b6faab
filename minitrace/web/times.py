"""The time a page is about: relative to now, or from a moment to another."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote_plus

from minitrace import present
from minitrace.durations import parse_duration
from minitrace.model import MAX_TIME_NS

PERIODS = {
    "15m": "last 15 minutes",
    "1h": "last hour",
    "6h": "last 6 hours",
    "24h": "last 24 hours",
    "7d": "last 7 days",
    "30d": "last 30 days",
}
USUAL_PERIOD = "1h"  # of pages that are about a range in any case
_MS = 1_000_000
TIME_HELP = "Write a date and a time, such as 2026-11-22T13:00."


def parse_time(text: str) -> int:
    """Read a date and time in ISO 8601, in this machine's zone where it names none, in nanoseconds since 1970.

    Raises:
        ValueError: the text is not a date and time.
    """
    try:
        moment = datetime.fromisoformat(text).astimezone()
        seconds = int(moment.timestamp())
    except (OverflowError, OSError) as error:  # the year 1, on some platforms
        raise ValueError(text) from error
    return min(max(0, seconds * 10**9 + moment.microsecond * 1000), MAX_TIME_NS)


def local_text(time_ns: int) -> str:
    """A time in this machine's zone, to the millisecond: all that a browser's field for it takes."""
    moment = datetime.fromtimestamp(time_ns // 10**9, UTC).astimezone().replace(tzinfo=None)
    milliseconds = time_ns // 10**6 % 1000
    return moment.isoformat() + (f".{milliseconds:03d}" if milliseconds else "")


def read_time(values: dict[str, str], name: str, problems: dict[str, str]) -> int | None:
    """The time that a parameter tells; None without one. It becomes what a browser's field takes, or a problem."""
    if name not in values:
        return None
    try:
        time_ns = parse_time(values[name].strip())
    except ValueError:
        problems[name] = TIME_HELP
        return None
    values[name] = local_text(time_ns)
    return time_ns


def exact_range(start_ns: int, end_ns: int) -> str:
    """A range of time as the address of a page has it, rounded outward to milliseconds."""
    return f"from={_moment(start_ns)}&to={_moment(end_ns + _MS - 1)}"


def _moment(time_ns: int) -> str:
    """A time in UTC, to the millisecond."""
    return quote_plus(present.iso(min(max(1, time_ns), MAX_TIME_NS - 1))[:-4] + "Z")


def asked_range(values: Mapping[str, str]) -> dict[str, str]:
    """The parameters that tell the same range to another page."""
    exact = {name: values[name] for name in ("from", "to") if name in values}
    return exact if "from" in exact else {**exact, "since": values.get("since", USUAL_PERIOD)}


def read_range(values: dict[str, str], now_ns: int, problems: dict[str, str]) -> tuple[int, int]:
    """From when to when: `from` and `to`; without them `since`, a period up to the end. The usual one is left out."""
    if values.get("since") not in PERIODS or values["since"] == USUAL_PERIOD:
        values.pop("since", None)
    start_ns, end_ns = (read_time(values, name, problems) for name in ("from", "to"))
    end_ns = now_ns if end_ns is None else end_ns
    if start_ns is None:
        start_ns = max(0, end_ns - parse_duration(values.get("since", USUAL_PERIOD)))
    if start_ns >= end_ns and not problems:
        problems["to"] = "This is not after the beginning."
    return start_ns, end_ns
