"""The fixed words of TraceQL with their meanings, as completion offers them.

The words themselves are the grammar's: a test goes through its tables and asks for the meaning of each.
"""

from __future__ import annotations

from typing import NamedTuple


class Word(NamedTuple):
    """A word or sign of the language. `kind` is scope, key, operator, function or keyword."""

    text: str
    kind: str
    meaning: str = ""


def _words(kind: str, meanings: dict[str, str]) -> tuple[Word, ...]:
    return tuple(Word(text, kind, meaning) for text, meaning in meanings.items())


# What most people want first is first in each of them.
INTRINSICS = _words(
    "key",
    {
        "name": "the span's name: its operation",
        "duration": "how long the span took",
        "status": "error, ok or unset",
        "kind": "server, client, producer, consumer, internal or unspecified",
        "rootName": "the name of the trace's root span",
        "rootServiceName": "the service of the trace's root span",
        "traceDuration": "how long the whole trace took",
        "statusMessage": "what the span says of its error",
        "event:name": "the name of an event",
        "event:timeSinceStart": "when an event was, from the start of its span",
        "trace:id": "the id of the trace",
        "span:id": "the id of the span",
        "span:parentID": "the id of the span's parent",
        "span:childCount": "how many children the span has",
        "link:traceID": "the id of a trace that is linked",
        "link:spanID": "the id of a span that is linked",
        "instrumentation:name": "the library that made the span",
        "instrumentation:version": "its version",
        "nestedSetParent": "the number of the parent; below 0 for a root",
        "nestedSetLeft": "the span's number, on the way down",
        "nestedSetRight": "the span's number, on the way up",
    },
)
SCOPES = _words(
    "scope",
    {
        "span.": "attributes of the span",
        "resource.": "attributes of the service and where it runs",
        "event.": "attributes of events",
        "link.": "attributes of links",
        "instrumentation.": "attributes of the library",
        "parent.": "attributes of the parent span",
    },
)
OPERATORS = _words(
    "operator",
    {
        "=": "equal",
        "!=": "not equal",
        "=~": "fits a pattern",
        "!~": "does not fit a pattern",
        ">": "more than",
        ">=": "at least",
        "<": "less than",
        "<=": "at most",
        "&&": "and",
        "||": "or",
        "!": "not",
        "+": "plus",
        "-": "minus",
        "*": "times",
        "/": "divided by",
        "%": "remainder of",
        "^": "to the power of",
    },
)
STRUCTURE = _words(
    "operator",
    {
        "|": "then",
        "&&": "and, in one trace",
        "||": "or",
        ">>": "which has a descendant",
        ">": "which has a child",
        "<<": "which has an ancestor",
        "<": "which has a parent",
        "~": "which has a sibling",
        "!>>": "which are no ancestor of",
        "!>": "which are no parent of",
        "!<<": "which are no descendant of",
        "!<": "which are no child of",
        "!~": "which are no sibling of",
        "&>>": "with a descendant, both",
        "&>": "with a child, both",
        "&<<": "with an ancestor, both",
        "&<": "with a parent, both",
        "&~": "with a sibling, both",
    },
)
BRACKETS = _words(
    "operator",
    {"}": "ends the filter", "{": "a filter of spans", ")": "closes", "(": "opens", ",": "and another"},
)
FUNCTIONS = _words(
    "function",
    {
        "count": "how many spans",
        "avg": "the mean of a number",
        "max": "the largest",
        "min": "the smallest",
        "sum": "the sum of a number",
        "by": "split by a value",
        "select": "attributes to show",
        "coalesce": "join what by() has split",
        "rate": "spans a second, over time",
        "count_over_time": "how many spans, over time",
        "avg_over_time": "the mean, over time",
        "max_over_time": "the largest, over time",
        "min_over_time": "the smallest, over time",
        "sum_over_time": "the sum, over time",
        "quantile_over_time": "a quantile, over time",
        "histogram_over_time": "a histogram, over time",
        "compare": "what the spans of a filter have that others have not",
        "topk": "the series that are largest",
        "bottomk": "the series that are smallest",
        "with": "hints for the search",
    },
)
KEYWORDS = _words(
    "keyword",
    {
        "error": "it failed",
        "ok": "set by the application",
        "unset": "nothing was said",
        "server": "answers a request",
        "client": "makes a request",
        "producer": "sends a message",
        "consumer": "receives a message",
        "internal": "within the service",
        "unspecified": "nothing was said",
        "true": "",
        "false": "",
        "nil": "is missing",
    },
)
