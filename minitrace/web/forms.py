"""The search form: query string to what the store looks for, and back to a URL.

```
text=declined  service=payment  status=error      { resource.service.name = "payment" && status = error }, and a word
text={ .a = 1 }                 status=error      { .a = 1 && status = error }
text={ } | count() > 3          min=1s            { } | count() > 3 | { duration >= 1s }
```

A field that cannot be read is a problem with a text that says what works; the other fields stand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import reduce
from urllib.parse import urlencode

from minitrace.durations import parse_duration
from minitrace.errors import DecodeError, TraceQLError
from minitrace.model import MAX_TIME_NS, UNKNOWN_SERVICE, StatusCode
from minitrace.store.dictionary import AttributeKey
from minitrace.store.plan import plan
from minitrace.store.search import Search
from minitrace.traceql.ast import (
    Attribute,
    Binary,
    Duration,
    Field,
    Intrinsic,
    Pipeline,
    Query,
    SpansetFilter,
    Static,
    Unary,
)
from minitrace.traceql.parser import parse
from minitrace.web import terms
from minitrace.web.box import Box, read_box

# and their order in URLs
FIELDS = ("text", "service", "name", "attributes", "status", "min", "max", "since", "from", "to", "limit")
CONDITIONS = ("service", "name", "attributes", "status", "min", "max")
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
SPANS_SHOWN = 3  # of each spanset

_EVERYTHING = Query(Pipeline((SpansetFilter(),)))
_DURATION_HELP = "Write a number and a unit, such as 250ms, 1.5s or 2m."
_TIME_HELP = "Write a date and a time, such as 2026-11-22T13:00."
_EVENTS_HELP = "With words in the box, only one attribute of events or links can be asked for."


@dataclass(frozen=True)
class SearchForm:
    """What was asked: `values` as typed, without empty fields, and what they mean.

    `query` and `words` are box and fields together. `problems` holds a text for each field that could not be read;
    `query` leaves those out.
    """

    values: dict[str, str]
    box: Box
    query: Query
    start_ns: int | None = None
    end_ns: int | None = None
    limit: int = DEFAULT_LIMIT
    before: str | None = None
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def search(self) -> Search:
        """What the store is to look for."""
        assert isinstance(self.query.root, Pipeline), "the box refuses metrics"
        return Search(
            self.query.root,
            words=self.box.words,
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            limit=self.limit,
            spans_per_set=SPANS_SHOWN,
            before=self.before,
        )

    @property
    def written(self) -> str:
        """All but the words as one query; "" where the fields add nothing to what the box says."""
        return str(self.query) if self.values.keys() & set(CONDITIONS) and not self.problems else ""

    @property
    def attributes(self) -> list[Attribute]:
        """The attributes that the query is about."""
        return [node for node in self.query.walk() if isinstance(node, Attribute)]

    @property
    def has_span_conditions(self) -> bool:
        """Whether it asks for certain spans, and not only for a time."""
        return bool(self.values.keys() & {"text", *CONDITIONS})

    @property
    def is_empty(self) -> bool:
        """Whether it asks for everything."""
        return not self.values.keys() - {"limit"} and not self.before

    def url(self, **changes: str | None) -> str:
        """The search page with this form, some fields changed; the shortest that means the same."""
        values: dict[str, str | None] = {**self.values, **changes}
        pairs = [(name, value) for name in (*FIELDS, "before") if (value := values.get(name))]
        return "/search" + ("?" + urlencode(pairs) if pairs else "")

    def query_url(self, query: str) -> str:
        """The search page with this query in the box, and nothing in the fields but the time."""
        return self.url(**dict.fromkeys(CONDITIONS), text=query)


def read_form(query: Mapping[str, str], now_ns: int, keys: Sequence[AttributeKey] = ()) -> SearchForm:
    """The form that a query string holds; unknown fields are ignored. `keys` are those that attributes have."""
    values = {name: text for name in FIELDS if (text := query.get(name, "")).strip()}
    fields = _Fields(values)
    start_ns, end_ns = fields.time("from"), fields.time("to")
    if start_ns is None and values.get("since") in PERIODS:
        start_ns = now_ns - parse_duration(values["since"])
    box = read_box(values.get("text", ""))
    if box.problem:
        fields.problems["text"] = box.problem
    return SearchForm(
        values,
        box,
        fields.query(box, fields.conditions(keys)),
        start_ns,
        end_ns,
        _limit(values.get("limit", "").strip()),
        query.get("before") or None,
        fields.problems,
    )


class _Fields:
    """Reads one field after the other, and notes the problems."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values
        self.problems: dict[str, str] = {}

    def duration(self, name: str) -> int | None:
        try:
            return parse_duration(self.values[name]) if name in self.values else None
        except DecodeError:
            self.problems[name] = _DURATION_HELP
            return None

    def time(self, name: str) -> int | None:
        try:
            time_ns = parse_time(self.values[name].strip()) if name in self.values else None
        except ValueError:
            self.problems[name] = _TIME_HELP
            return None
        if time_ns is not None:
            self.values[name] = _local_text(time_ns)  # all that the browser's field for it takes
        return time_ns

    def conditions(self, keys: Sequence[AttributeKey]) -> list[Field]:
        """What the fields say of a span."""
        found: list[Field] = []
        if "service" in self.values:
            found.append(of_service(self.values["service"]))
        if "name" in self.values:
            found.append(Binary("=", Intrinsic("name"), Static(self.values["name"])))
        if self.values.get("status") in STATUSES:
            found.append(Binary("=", Intrinsic("status"), Static(STATUSES[self.values["status"]])))
        return found + self.durations() + self.terms(keys)

    def durations(self) -> list[Field]:
        shortest, longest = self.duration("min"), self.duration("max")
        if shortest is not None and longest is not None and shortest > longest:
            self.problems["max"] = "This is shorter than the shortest."
        limits = ((">=", shortest), ("<=", longest))
        return [Binary(sign, Intrinsic("duration"), Static(Duration(ns))) for sign, ns in limits if ns is not None]

    def terms(self, keys: Sequence[AttributeKey]) -> list[Field]:
        try:
            return [*terms.conditions(terms.read_terms(self.values.get("attributes", "")), keys)]
        except DecodeError as error:
            self.problems["attributes"] = str(error)
            return []

    def query(self, box: Box, conditions: list[Field]) -> Query:
        """The box and the fields together. It is read from its text: what is shown is what is searched."""
        together = box.query or _EVERYTHING
        if conditions:
            try:
                together = parse(str(narrowed(together, conditions)))
            except TraceQLError as error:  # too long, or nothing can stand behind what is in the box
                name = "text" if box.query else "attributes"
                self.problems[name] = f"together with the fields below this is no query: {error.message}"
        if box.words and isinstance(together.root, Pipeline) and not plan(together.root, box.words).is_exact:
            self.problems["attributes"] = _EVENTS_HELP
        return together


def narrowed(query: Query, conditions: Sequence[Field]) -> Query:
    """The query for spans that fulfil these conditions as well."""
    assert isinstance(query.root, Pipeline), "the box refuses metrics"
    first, *rest = query.root.stages
    if isinstance(first, SpansetFilter) and not rest:
        stages = (SpansetFilter(_all_of([*_parts(first.condition), *conditions])),)
        return replace(query, root=Pipeline(stages))
    return replace(query, root=Pipeline((*query.root.stages, SpansetFilter(_all_of(conditions)))))


def _all_of(conditions: Sequence[Field]) -> Field:
    # && and || bind alike: only on the right does a condition with || get the parentheses that people expect
    in_order = sorted(conditions, key=lambda one: isinstance(one, Binary) and one.operator == "||")
    return reduce(lambda left, right: Binary("&&", left, right), in_order)


def _parts(condition: Field | None) -> list[Field]:
    """The conditions that are joined by &&."""
    if isinstance(condition, Binary) and condition.operator == "&&":
        return [*_parts(condition.left), *_parts(condition.right)]
    return [] if condition is None else [condition]


def of_service(name: str) -> Field:
    """The condition for the spans of a service, those that name none included where it is "unknown_service"."""
    service = Attribute("resource", "service.name")
    if name != UNKNOWN_SERVICE:
        return Binary("=", service, Static(name))
    has_none = Unary("!", Binary("!=", service, Static("")))  # neither a name nor the empty one
    return Binary("||", Binary("=", service, Static(name)), has_none)


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
