"""The form of the page of logs: query string to what the store looks for, and back to a URL.

```
q=card declined   words, all in one record        trace=4bf9… span=00f0…   of a trace, of one of its spans
level=warn        at least so bad                 since=1h, from=, to=     as on the search page
service=payment   of one service                  attributes=k=v k2="v 2"  with these values
```

A field that cannot be read is a problem with a text that says what works; the other fields stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from minitrace.durations import parse_duration
from minitrace.errors import DecodeError
from minitrace.model import MAX_TIME_NS, Severity
from minitrace.store.logs import LogSearch
from minitrace.web.lookup import read_id
from minitrace.web.terms import Term, read_terms
from minitrace.web.times import read_time

# and their order in URLs
PARAMETERS = ("q", "level", "service", "attributes", "trace", "span", "since", "from", "to", "limit")
LEVELS = {severity.name.lower(): severity for severity in Severity if severity}
DEFAULT_LIMIT = 100
MAX_LIMIT = 1000


@dataclass(frozen=True)
class LogForm:
    """What was asked, and what it means. `values` are the parameters of its URL, without empty ones."""

    values: dict[str, str]
    search: LogSearch
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether it asks for everything."""
        return not set(self.values) - {"limit"} and not self.search.before

    def url(self, **changes: str | None) -> str:
        """The page of logs with this form, some parameters changed."""
        values: dict[str, str | None] = {**self.values, **changes}
        pairs = [(name, value) for name in (*PARAMETERS, "before") if (value := values.get(name))]
        return "/logs" + ("?" + urlencode(pairs) if pairs else "")


def read_log_form(parameters: Mapping[str, str], now_ns: int) -> LogForm:
    """The form that a query string holds; unknown parameters are ignored."""
    values = {name: text for name in PARAMETERS if (text := parameters.get(name, "")).strip()}
    problems: dict[str, str] = {}
    search = LogSearch(
        words=values.get("q", ""),
        severity=_level(values, problems),
        service=values.get("service", ""),
        attributes=_attributes(values, problems),
        trace_id=_id(values, "trace", 32, problems),
        span_id=_id(values, "span", 16, problems),
        limit=_limit(values, problems),
        before=parameters.get("before", ""),
    )
    return LogForm(values, _within(search, values, now_ns, problems), problems)


def _level(values: Mapping[str, str], problems: dict[str, str]) -> int:
    name = values.get("level", "").strip().lower()
    if name and name not in LEVELS:
        problems["level"] = f"Write one of {', '.join(LEVELS)}."
    return LEVELS.get(name, 0)


def _attributes(values: Mapping[str, str], problems: dict[str, str]) -> tuple[tuple[str, str], ...]:
    try:
        terms = read_terms(values.get("attributes", ""))
    except DecodeError as error:
        problems["attributes"] = str(error)
        return ()
    if any(term.operator != "=" for term in terms):
        problems["attributes"] = "Attributes of logs are looked up by their value: write key=value."
        return ()
    return tuple((_key(term), term.text) for term in terms)


def _key(term: Term) -> str:
    """The key meant: resource and scope are looked at anyway; records have keys such as ``event.name``."""
    return term.name if term.scope in (None, "resource", "instrumentation") else f"{term.scope}.{term.name}"


def _id(values: Mapping[str, str], name: str, digits: int, problems: dict[str, str]) -> bytes:
    text = values.get(name, "").strip()
    found = read_id(text, digits)
    if text and found is None:
        problems[name] = f"This is not a {name} id. One has {digits} hex digits."
    return found or b""


def _limit(values: dict[str, str], problems: dict[str, str]) -> int:
    text = values.get("limit", "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= MAX_LIMIT):
        problems["limit"] = f"Write a number from 1 to {MAX_LIMIT}."
        return DEFAULT_LIMIT
    return int(text or DEFAULT_LIMIT)


def _within(search: LogSearch, values: dict[str, str], now_ns: int, problems: dict[str, str]) -> LogSearch:
    """The same within the time that is asked for: a moment counts more than a time before now."""
    start_ns, end_ns = (read_time(values, name, problems) for name in ("from", "to"))
    if "since" in values and "from" not in values:
        try:
            start_ns = max(0, now_ns - parse_duration(values["since"]))
        except DecodeError:
            problems["since"] = "Write a duration, such as 15m, 1h or 24h."
    return replace(search, start_ns=start_ns or 0, end_ns=MAX_TIME_NS if end_ns is None else end_ns)
