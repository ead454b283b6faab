"""The search form: query string to Filter, and back to a URL.

A field that cannot be read is a problem with a text that says what works; the other fields stand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode

from minitrace.durations import parse_duration
from minitrace.errors import DecodeError
from minitrace.model import MAX_TIME_NS, StatusCode
from minitrace.store.conditions import Filter
from minitrace.store.dictionary import Attribute, AttributeKey
from minitrace.web import terms

# and their order in URLs
FIELDS = ("text", "service", "name", "attributes", "status", "min", "max", "since", "from", "to", "limit")
SPAN_FIELDS = ("text", "service", "name", "attributes", "status", "min", "max")
STATUSES = {"error": StatusCode.ERROR, "ok": StatusCode.OK, "unset": StatusCode.UNSET}
PERIODS = {
    "15m": "last 15 minutes",
    "1h": "last hour",
    "6h": "last 6 hours",
    "24h": "last 24 hours",
    "7d": "last 7 days",
    "30d": "last 30 days",
}
DEFAULT_LIMIT = 50
MAX_LIMIT = 500

_DURATION_HELP = "Write a number and a unit, such as 250ms, 1.5s or 2m."
_TIME_HELP = "Write a date and a time, such as 2026-11-22T13:00."


@dataclass(frozen=True)
class SearchForm:
    """What was asked: `values` as typed, without empty fields, and what they mean.

    `problems` holds a text for each field that could not be read; `filter` leaves those out.
    """

    values: dict[str, str]
    filter: Filter
    limit: int = DEFAULT_LIMIT
    before: str | None = None
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def has_span_conditions(self) -> bool:
        """Whether it asks for certain spans, and not only for a time."""
        return any(name in self.values for name in SPAN_FIELDS)

    @property
    def is_empty(self) -> bool:
        """Whether it asks for everything."""
        return not self.values.keys() - {"limit"} and not self.before

    def url(self, **changes: str | None) -> str:
        """The search page with this form, some fields changed; the shortest that means the same."""
        values: dict[str, str | None] = {**self.values, **changes}
        pairs = [(name, value) for name in (*FIELDS, "before") if (value := values.get(name))]
        return "/search" + ("?" + urlencode(pairs) if pairs else "")


def read_form(query: Mapping[str, str], now_ns: int, keys: Sequence[AttributeKey] = ()) -> SearchForm:
    """The form that a query string holds; unknown fields are ignored. `keys` are those that attributes have."""
    values = {name: text for name in FIELDS if (text := query.get(name, "")).strip()}
    problems: dict[str, str] = {}

    def read_duration(name: str) -> int | None:
        try:
            return parse_duration(values[name]) if name in values else None
        except DecodeError:
            problems[name] = _DURATION_HELP
            return None

    def read_time(name: str) -> int | None:
        try:
            time_ns = parse_time(values[name].strip()) if name in values else None
        except ValueError:
            problems[name] = _TIME_HELP
            return None
        if time_ns is not None:
            values[name] = _local_text(time_ns)  # all that the browser's field for it takes
        return time_ns

    def read_attributes() -> tuple[Attribute, ...]:
        try:
            return terms.conditions(terms.read_terms(values.get("attributes", "")), keys)
        except DecodeError as error:
            problems["attributes"] = str(error)
            return ()

    shortest, longest = read_duration("min"), read_duration("max")
    if shortest is not None and longest is not None and shortest > longest:
        problems["max"] = "This is shorter than the shortest."
    start_ns = read_time("from")
    if start_ns is None and values.get("since") in PERIODS:
        start_ns = now_ns - parse_duration(values["since"])
    status = STATUSES.get(values.get("status", ""))
    wanted = Filter(
        service=values.get("service"),
        name=values.get("name"),
        status=None if status is None else int(status),
        min_duration_ns=shortest,
        max_duration_ns=longest,
        start_ns=start_ns,
        end_ns=read_time("to"),
        text=values.get("text"),
        attributes=read_attributes(),
    )
    return SearchForm(values, wanted, _limit(values.get("limit", "").strip()), query.get("before") or None, problems)


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


def _local_text(time_ns: int) -> str:
    moment = datetime.fromtimestamp(time_ns // 10**9, UTC).astimezone().replace(tzinfo=None)
    milliseconds = time_ns // 10**6 % 1000
    return moment.isoformat() + (f".{milliseconds:03d}" if milliseconds else "")


def _limit(text: str) -> int:
    return min(max(int(text), 1), MAX_LIMIT) if re.fullmatch(r"[0-9]{1,6}", text) else DEFAULT_LIMIT
