"""The search form: query string to what the store looks for, and back to a URL.

With TraceQL in the box, or nothing, the fields are a view of that query, and a change of them is a change of it:

```
q={ .a = 1 }                     status=error      q={ .a = 1 && status = error }
q=          service=payment      min=1s            q={ resource.service.name = "payment" && duration >= 1s }
q={ } | count() > 3              min=1s            q={ } | count() > 3 | { duration >= 1s }
q=declined  service=payment                        the same: words stand beside the fields
```

A browser sends all of the form, whatever was changed in it. `was` is the query that the page was made with: the fields
that differ from what that query says were changed by hand, and these changes are applied to the query in the box.
A field that cannot be read is a problem with a text that says what works; the other fields stand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from urllib.parse import urlencode

from minitrace.durations import parse_duration
from minitrace.errors import DecodeError, TraceQLError
from minitrace.store.dictionary import AttributeKey
from minitrace.store.orders import Order
from minitrace.store.plan import plan
from minitrace.store.search import Search
from minitrace.traceql.ast import Attribute, Duration, Intrinsic, Pipeline, Query, Select, Static
from minitrace.traceql.ast import Field as Condition
from minitrace.traceql.parser import parse
from minitrace.web import columns, fields
from minitrace.web.box import Box, read_box
from minitrace.web.columns import Column
from minitrace.web.refining import EVERYTHING, added, conditions, has, removed
from minitrace.web.times import PERIODS, read_time

# and their order in URLs
PARAMETERS = ("q", *fields.FIELDS, "since", "from", "to", "sort", "cols", "group", "pin", "limit")
KEPT = ("sort", "cols", "group", "pin", "limit")  # that no control of the form shows
DEFAULT_LIMIT = 50
MAX_LIMIT = 500
SPANS_SHOWN = 3  # of each spanset

_EVENTS_HELP = "With words in the box, only one attribute of events or links can be asked for."


@dataclass(frozen=True)
class SearchForm:
    """What was asked, and what it means.

    `values` are the parameters of its URL, without empty ones: fields are among them only beside words. `controls` are
    what the fields show. `query` and the words of the box are all of it together; `was` is the text that the next form
    is compared with. `problems` holds a text for each field that could not be read; `query` leaves those out.
    """

    values: dict[str, str]
    controls: dict[str, str]
    box: Box
    query: Query = EVERYTHING
    was: str = ""
    problems: dict[str, str] = field(default_factory=dict)
    start_ns: int | None = None
    end_ns: int | None = None
    order: Order = Order.NEWEST
    columns: tuple[Column, ...] = columns.USUAL
    pins: tuple[Attribute | Intrinsic, ...] = ()
    limit: int = DEFAULT_LIMIT
    before: str | None = None

    @property
    def text(self) -> str:
        """What stands in the box."""
        return self.values.get("q", "")

    @property
    def search(self) -> Search:
        """What the store is to look for, with what the columns show."""
        assert isinstance(self.query.root, Pipeline), "the box refuses metrics"
        shown = tuple(column.field for column in self.columns if column.field)
        stages = (*self.query.root.stages, *((Select(shown),) if shown else ()))
        return Search(
            Pipeline(stages),
            words=self.box.words,
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            limit=self.limit,
            spans_per_set=SPANS_SHOWN,
            before=self.before,
            order=self.order,
        )

    @property
    def is_grouped(self) -> bool:
        """Whether operations are shown, and not traces."""
        return self.values.get("group") == "op"

    @property
    def attributes(self) -> list[Attribute]:
        """The attributes that the query is about."""
        return [node for node in self.query.walk() if isinstance(node, Attribute)]

    @property
    def has_span_conditions(self) -> bool:
        """Whether it asks for certain spans, and not only for a time."""
        return bool(self.box.words) or self.query != EVERYTHING

    @property
    def is_empty(self) -> bool:
        """Whether it asks for everything."""
        return not self.has_span_conditions and self.start_ns is None and self.end_ns is None and not self.before

    @property
    def kept(self) -> list[tuple[str, str]]:
        """The parameters that no control shows, for hidden fields."""
        return [(name, self.values[name]) for name in KEPT if name in self.values]

    def url(self, **changes: str | None) -> str:
        """The search page with this form, some parameters changed; the shortest that means the same."""
        values: dict[str, str | None] = {**self.values, **changes}
        pairs = [(name, value) for name in (*PARAMETERS, "before") if (value := values.get(name))]
        return "/search" + ("?" + urlencode(pairs) if pairs else "")

    def query_url(self, query: Query | str, **changes: str | None) -> str:
        """The search page with this query in the box and the fields, and the same time."""
        text = "" if query == EVERYTHING else str(query)
        return self.url(**dict.fromkeys(fields.FIELDS), **{"q": text, **changes})

    def toggled(self, condition: Condition) -> str:
        """The search page with one condition more, or less if it has it; "" where words leave no place for it."""
        if not has(self.query, condition):
            return self.narrowed(condition)
        return self._refined(removed(self.query, condition))

    def narrowed(self, condition: Condition, **changes: str | None) -> str:
        """The search page with one condition more, and other changes; "" where words leave no place for it."""
        return self._refined(added(self.query, condition), **changes)

    def _refined(self, query: Query, **changes: str | None) -> str:
        if not self.box.words:
            return self.query_url(query, **changes)
        said = fields.derived(query, in_browser=False)
        is_said = sum(map(len, said.values())) == len(conditions(query))
        return self.url(**{**dict.fromkeys(fields.FIELDS), **fields.texts(said), **changes}) if is_said else ""


def read_form(parameters: Mapping[str, str], now_ns: int, keys: Sequence[AttributeKey] = ()) -> SearchForm:
    """The form that a query string holds; unknown parameters are ignored. `keys` are those that attributes have."""
    typed = {name: text for name in PARAMETERS if (text := parameters.get(name, "")).strip()}
    reader = _Reader(typed, parameters.get("was", ""), keys)
    start_ns, end_ns = reader.time("from"), reader.time("to")
    if start_ns is None and "since" in typed:
        start_ns = now_ns - parse_duration(typed["since"])
    query = reader.query()
    shown = columns.read_columns(typed.get("cols", ""))
    pins = columns.read_fields([typed.get("pin", "")])
    typed |= {"cols": columns.cols_text(shown), "pin": ",".join(map(str, pins))}
    return SearchForm(
        {name: text for name in PARAMETERS if (text := (typed | reader.values(query)).get(name, ""))},
        reader.controls(query),
        reader.box,
        query,
        reader.was if reader.problems else reader.values(query).get("q", ""),
        reader.problems,
        start_ns,
        end_ns,
        Order(typed.get("sort", Order.NEWEST)),
        shown,
        pins,
        _limit(typed.get("limit", "").strip()),
        parameters.get("before") or None,
    )


class _Reader:
    """Reads one thing after the other, and notes the problems."""

    def __init__(self, typed: dict[str, str], was: str, keys: Sequence[AttributeKey]) -> None:
        self.problems: dict[str, str] = {}
        self.was = was
        self.box = read_box(typed.get("q", ""))
        if self.box.problem:
            self.problems["q"] = self.box.problem
        self._typed = typed
        self._keys = keys
        self._before = fields.derived(read_box(was).query or EVERYTHING)
        self._after = {name: self._reading(name) for name in fields.FIELDS}
        if typed.get("since") not in PERIODS:
            typed.pop("since", None)
        if typed.get("sort") not in set(Order) - {Order.NEWEST}:
            typed.pop("sort", None)

    def time(self, name: str) -> int | None:
        return read_time(self._typed, name, self.problems)

    def query(self) -> Query:
        """The query in the box, with what was changed in the fields.

        It is read from its text: what is shown is what is searched.
        """
        self._compare_durations()
        query = self.box.query or EVERYTHING
        try:
            if self._changed:
                query = parse(str(self._changed_of(query)))
        except TraceQLError as error:  # too long, or nothing can stand behind what is in the box
            name = "q" if self.box.query else "attributes"
            self.problems[name] = f"together with the fields below this is no query: {error.message}"
        if self.box.words and isinstance(query.root, Pipeline) and not plan(query.root, self.box.words).is_exact:
            self.problems["attributes"] = _EVENTS_HELP
        return query

    def values(self, query: Query) -> dict[str, str]:
        """The parameters for box and fields, "" for those that go."""
        typed = {name: self._typed.get(name, "") for name in ("q", *fields.FIELDS)}
        if self.problems:
            return typed
        if self.box.words:
            return typed | {name: "" for name in fields.FIELDS if name not in self._changed}
        if self._changed:
            typed["q"] = "" if query == EVERYTHING else str(query)
        return typed | dict.fromkeys(fields.FIELDS, "")

    def controls(self, query: Query) -> dict[str, str]:
        """What the fields show: what was typed, where it means what the query says."""
        if self.problems or self.box.words:
            return {name: self.values(query)[name] for name in fields.FIELDS}
        said = fields.derived(query)
        texts = dict.fromkeys(fields.FIELDS, "") | fields.texts(said)
        same = [
            name for name, reading in self._after.items() if list(reading.values()) == list(said.get(name, {}).values())
        ]
        return texts | {name: self._typed[name] for name in same if name in self._typed and said.get(name)}

    def _reading(self, name: str) -> fields.Reading:
        """What a field says; what it said before where it was not touched, or cannot be read."""
        before = self._before.get(name, {})
        text = self._typed.get(name, "")
        if text == " ".join(before):
            return before
        try:
            return fields.read(name, text, self._keys) if text else {}
        except DecodeError as error:
            self.problems[name] = str(error)
            return before

    @property
    def _changed(self) -> dict[str, tuple[list[Condition], list[Condition]]]:
        """The conditions that were changed by hand, by field: those that went, and those that came."""
        both = {name: fields.changes(self._before.get(name, {}), after) for name, after in self._after.items()}
        return {name: change for name, change in both.items() if any(change)}

    def _changed_of(self, query: Query) -> Query:
        """The query with these changes; what the box says of a changed field meanwhile gives way to it."""
        there = fields.derived(query)
        for name, (gone, come) in self._changed.items():
            outdated = gone if name == "attributes" else [*gone, *there.get(name, {}).values()]
            query = reduce(added, come, reduce(removed, outdated, query))
        return query

    def _compare_durations(self) -> None:
        shortest, longest = self._after["min"], self._after["max"]
        if {"min", "max"} & self._changed.keys() and shortest and longest and _ns(shortest) > _ns(longest):
            self.problems["max"] = "This is shorter than the shortest."


def _ns(reading: fields.Reading) -> int:
    """The duration in a field's only condition."""
    (condition,) = reading.values()
    return next(
        int(node.value) for node in condition.walk() if isinstance(node, Static) and isinstance(node.value, Duration)
    )


def _limit(text: str) -> int:
    return min(max(int(text), 1), MAX_LIMIT) if re.fullmatch(r"[0-9]{1,6}", text) else DEFAULT_LIMIT
