"""Jaeger's search, as TraceQL: one span that has all that is asked for.

| parameter        | condition                                                                       |
|------------------|---------------------------------------------------------------------------------|
| service, operation | ``resource.service.name = "shop"``, ``name = "GET /cart"``                    |
| durations        | ``duration >= 5ms``, ``duration <= 1s``                                         |
| a tag            | ``span.a = "1" || span.a = 1 || resource.a = "1" || …`` in all scopes            |
| some tags        | what else Jaeger shows as tags: `_SPECIAL`, and all that begins with resource.  |

A tag is compared as text: ``200`` finds the number and the string. Jaeger wants that span to start within the time,
where a search of ours finds traces that overlap it: that is looked at afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial, reduce

from minitrace.model import Kind, StatusCode
from minitrace.store.matches import TraceMatch, TraceSummary
from minitrace.store.search import Search
from minitrace.store.store import Store
from minitrace.traceql.ast import (
    Attribute,
    Binary,
    Duration,
    Field,
    Intrinsic,
    Pipeline,
    SpansetFilter,
    Static,
    Value,
)
from minitrace.web.fields import of_service

MOST_LOOKED_AT = 100  # of the spans of a trace that match, the first
DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1500  # what the form of Jaeger's UI allows
_SCOPES = ("span", "resource", "instrumentation", "event", "link")
_RESOURCE = "resource."
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,18})", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,14})\.[0-9]{0,14}[1-9]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for: the newest traces, at most `limit`, with a span that has all of this."""

    start_ns: int
    end_ns: int
    service: str = ""
    operation: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    shortest_ns: int | None = None
    longest_ns: int | None = None
    limit: int = DEFAULT_LIMIT


async def find(store: Store, wanted: Wanted) -> list[TraceSummary]:
    """The traces that were found until the deadline, newest first."""
    search = Search(
        pipeline(wanted),
        start_ns=wanted.start_ns,
        end_ns=wanted.end_ns,
        limit=wanted.limit,
        spans_per_set=MOST_LOOKED_AT,
    )
    found: list[TraceSummary] = []
    while True:
        result = await store.search(search)
        found += [match.summary for match in result.matches if _starts_within(match, wanted)]
        if len(found) >= wanted.limit or result.next is None or not result.complete:
            return found[: wanted.limit]
        search = replace(search, before=result.next)


def _starts_within(match: TraceMatch, wanted: Wanted) -> bool:
    """Whether a span that matches starts in the time; of very many only the first are looked at."""
    return match.matched > len(match.spans) or any(
        wanted.start_ns <= span.start_ns <= wanted.end_ns for span in match.spans
    )


def pipeline(wanted: Wanted) -> Pipeline:
    """The TraceQL of a search."""
    conditions = list(_conditions(wanted))
    return Pipeline((SpansetFilter(_all(conditions) if conditions else None),))


def _conditions(wanted: Wanted) -> Iterator[Field]:
    if wanted.service:
        yield of_service(wanted.service)
    if wanted.operation:
        yield Binary("=", Intrinsic("name"), Static(wanted.operation))
    if wanted.shortest_ns:
        yield Binary(">=", Intrinsic("duration"), Static(Duration(wanted.shortest_ns)))
    if wanted.longest_ns:
        yield Binary("<=", Intrinsic("duration"), Static(Duration(wanted.longest_ns)))
    for key, text in wanted.tags:
        yield _tag(key, text)


def _tag(key: str, text: str) -> Field:
    """The condition of a tag."""
    if special := _SPECIAL.get(key):
        return special(key, text)
    if key.startswith(_RESOURCE) and key != _RESOURCE:
        return _any(_equals(Attribute("resource", key.removeprefix(_RESOURCE)), text))
    return _any(condition for scope in _SCOPES for condition in _equals(Attribute(scope, key), text))


def _equals(field: Attribute, text: str) -> Iterator[Field]:
    return (Binary("=", field, Static(value)) for value in _values(text))


def _values(text: str) -> Iterator[Value]:
    """What is written as this text: itself, and a number or a boolean if that is how those are written."""
    yield text
    if text in ("true", "false"):
        yield text == "true"
    elif _WHOLE.fullmatch(text) and -(2**63) <= int(text) < 2**63:
        yield int(text)
    elif _DECIMAL.fullmatch(text):
        yield float(text)


def _error(key: str, text: str) -> Field:
    if text not in ("true", "false"):
        return _any(_equals(Attribute("span", key), text))
    return Binary("=" if text == "true" else "!=", Intrinsic("status"), Static(StatusCode.ERROR))


def _of_enum(name: str, values: type[Kind] | type[StatusCode], key: str, text: str) -> Field:
    """A kind or status by its name; what has no such name is a tag of a span."""
    value = values.__members__.get(text.upper())
    if value is None:
        return _any(_equals(Attribute("span", key), text))
    return Binary("=", Intrinsic(name), Static(value))


def _of_text(name: str, key: str, text: str) -> Field:
    """An intrinsic that Jaeger shows as a tag, or a tag of the same name."""
    return Binary("||", Binary("=", Intrinsic(name), Static(text)), _any(_equals(Attribute("span", key), text)))


def _event(key: str, text: str) -> Field:
    """An event's name is shown as its field ``event``."""
    own = [condition for scope in _SCOPES for condition in _equals(Attribute(scope, key), text)]
    return _any([Binary("=", Intrinsic("event:name"), Static(text)), *own])


_SPECIAL: dict[str, Callable[[str, str], Field]] = {
    "error": _error,
    "event": _event,
    "span.kind": partial(_of_enum, "kind", Kind),
    "span.status": partial(_of_enum, "status", StatusCode),
    "otel.status_code": partial(_of_enum, "status", StatusCode),
    "otel.status_description": partial(_of_text, "statusMessage"),
    "scope.name": partial(_of_text, "instrumentation:name"),
    "scope.version": partial(_of_text, "instrumentation:version"),
    "otel.scope.name": partial(_of_text, "instrumentation:name"),
    "otel.scope.version": partial(_of_text, "instrumentation:version"),
}


def _all(conditions: list[Field]) -> Field:
    return reduce(partial(Binary, "&&"), conditions)


def _any(conditions: Iterator[Field] | list[Field]) -> Field:
    return reduce(partial(Binary, "||"), conditions)
