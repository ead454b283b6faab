"""The search box: what was typed into it, told apart.

| text                                     | is                                                   |
|------------------------------------------|------------------------------------------------------|
| `{ status = error }`, `count() > 3`      | a TraceQL query                                      |
| `{ status =`, `sum(`                     | one with a mistake: nothing else begins like this    |
| `status = error`, `http.route=/cart`     | words, and the query that was perhaps meant          |
| `declined`, `{"trace_id": "4bf9…"}`      | words; `lookup` finds the trace ids in them          |
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from minitrace.errors import TraceQLError
from minitrace.traceql import hints
from minitrace.traceql.ast import SCOPES, Binary, Compare, MetricsPipeline, Query
from minitrace.traceql.check import warnings
from minitrace.traceql.names import INTRINSIC_NAMES, string_text
from minitrace.traceql.parser import parse

EXAMPLES = (
    ("{ status = error }", "spans that failed"),
    ("{ duration > 1s && kind = server }", "slow requests"),
    ("{ .http.response.status_code >= 500 }", "an attribute of the span, or else of its resource"),
    ('{ name =~ "GET .*" && resource.service.name = "frontend" }', "a pattern fits the whole name"),
    ("{ kind = server } >> { status = error }", "a failure somewhere below a request"),
    ("{ status = error } | count() > 3", "traces with more than three failures"),
    ("{ } | by(resource.service.name) | avg(duration) > 1s", "services slow within a trace"),
    ("{ event.exception.type != nil } | select(event.exception.type)", "exceptions"),
)
_LONGEST_GUESSED = 200  # characters
_MOST_GUESSED = 3  # conditions; what has more is a log line

# Log lines may begin with a bracket as well: "(main) …", or JSON, where text in quotes comes first.
_BEGINS = re.compile(rf"[\s(]*(?:\{{(?!\s*[\"'])|(?:{'|'.join(hints.FUNCTIONS)})\()")
_CONDITION = re.compile(
    r"""\s*(?:(?:&&|,|and\b)\s*)?
    (?P<name> [.\w] [\w.:\-/]*) \s*
    (?P<sign> =~|!~|!=|>=|<=|==|=|>|<) \s*
    (?P<value> "(?:[^"\\]|\\.)*" | [^\s,"&=~<>]+) (?=[\s,&]|\Z) """,
    re.VERBOSE | re.IGNORECASE,
)
_SERVICE = "resource.service.name"


@dataclass(frozen=True, slots=True)
class Box:
    """What a text is: a `query`, a query with a `problem`, or `words`.

    `drawing` shows the place of the problem. `suggestion` is a query that was perhaps meant, "" for none. `warnings`
    are about a query that can be asked.
    """

    query: Query | None = None
    words: tuple[str, ...] = ()
    problem: str = ""
    drawing: str = ""
    suggestion: str = ""
    warnings: tuple[str, ...] = ()


def read_box(text: str) -> Box:
    """What a text in the search box is."""
    try:
        query = parse(text) if "{" in text or "(" in text else None  # else it is nothing, or an id
    except TraceQLError as error:
        if _BEGINS.match(text):
            return Box(problem=error.message, drawing=error.drawing)
        query = None
    if query is None:
        return Box(words=tuple(text.split()), suggestion=_meant_by(text))
    if query.is_metrics:
        return _metrics(next(node for node in query.walk() if isinstance(node, MetricsPipeline)))
    return Box(query, warnings=tuple(warning.message for warning in warnings(query)))


def _metrics(metrics: MetricsPipeline) -> Box:
    """What to say of a query for series: this is a part of it that traces can be searched by."""
    name = "compare" if isinstance(metrics.function, Compare) else metrics.function.name
    problem = f"{name}() gives series over time: ask /api/metrics/query_range for them, and here for their spans"
    return Box(problem=problem, suggestion=str(metrics.pipeline))


def _meant_by(text: str) -> str:
    """The query that words with conditions in them are without its braces; "" for words."""
    if len(text) > _LONGEST_GUESSED:
        return ""
    whole = _filter(text)
    if whole and any(isinstance(node, Binary) for node in whole.walk()):
        return str(whole)
    conditions: list[str] = []
    place = 0
    while place < len(text.rstrip()):
        match = _CONDITION.match(text, place)
        reading = next(filter(_filter, _readings(match)), None) if match else None
        if match is None or reading is None or len(conditions) == _MOST_GUESSED:
            return ""
        conditions.append(reading)
        place = match.end()
    return str(_filter(" && ".join(conditions)) or "")


def _readings(condition: re.Match[str]) -> Iterator[str]:
    """What a condition can be, the likeliest first: of an intrinsic or an attribute, with a value or a text."""
    name, sign, value = condition["name"], condition["sign"], condition["value"]
    names = [_SERVICE if name == "service" else f".{name.lstrip('.')}"]
    if name in INTRINSIC_NAMES or name.startswith(tuple(f"{scope}." for scope in SCOPES)):
        names.insert(0, name)
    for one, literal in product(names, (value, string_text(value))):
        yield f"{one} {'=' if sign == '==' else sign} {literal}"


def _filter(condition: str) -> Query | None:
    """The filter with this condition; None where that is no query."""
    try:
        return parse(f"{{ {condition} }}") if condition else None
    except TraceQLError:
        return None
