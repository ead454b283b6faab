"""Tempo's search, ``GET /api/search``: its parameters to a `Search`, and what was found to its JSON.

Grafana reads this answer strictly: one unknown field fails the query, so the keys are exactly Tempo's of 2025.
Ids are hex; whole numbers of 64 bits are strings, of 32 bits numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial, reduce
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minitrace.durations import parse_duration
from minitrace.errors import DecodeError
from minitrace.model import MAX_TIME_NS, Kind, StatusCode
from minitrace.store.matches import SearchResult, SpanMatch, SpansetMatch, TraceMatch
from minitrace.store.orders import Order
from minitrace.store.search import Search
from minitrace.store.store import Store
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
    Value,
    static_text,
)
from minitrace.traceql.fields import NO_ROOT
from minitrace.traceql.names import go_duration, pattern_text
from minitrace.traceql.parser import parse
from minitrace.web import pieces
from minitrace.web.parameters import SECOND_NS, read_number
from minitrace.web.uniform import uniform
from minitrace.web.wanted import while_wanted

DEFAULT_LIMIT = 20
LARGEST_LIMIT = 1000
TRACES_A_PIECE = 20
ALL_SPANS = 2**31  # of a spanset
MAX_SECONDS = 2**32 - 1  # what is more are nanoseconds

_TAG = re.compile(r'\s*([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))(?=\s|$)')
_TAGS = {
    "name": Intrinsic("name"),
    "root.name": Intrinsic("rootName"),
    "root.service.name": Intrinsic("rootServiceName"),
}
_FLOATS = {math.inf: "Infinity", -math.inf: "-Infinity"}


@while_wanted
async def search(request: Request) -> Response:
    """``GET /api/search``: traces that match, newest first unless ``sort`` says otherwise."""
    store: Store = request.app.state.store
    result = await store.search(read_search(request.query_params))
    after = f',"metrics":{pieces.dump(_metrics(result))}}}'
    return pieces.answer(pieces.enclosed('{"traces":', pieces.listed(_traces(result)), after))


routes = [Route("/api/search", search)]


def read_search(parameters: Mapping[str, str]) -> Search:
    """The search that the parameters of ``/api/search`` ask for.

    Beyond Tempo's there are ``words``, in place of ``q``, and ``sort``; times may be nanoseconds.

    Raises:
        TraceQLError, DecodeError: a parameter cannot be read.
    """
    start_ns, end_ns = _times(parameters)
    words = tuple(parameters.get("words", "").split())
    if words and parameters.get("q"):
        raise DecodeError("q and words do not go together: give one of them")
    return Search(
        _pipeline(parameters),
        words,
        start_ns=start_ns,
        end_ns=end_ns,
        limit=min(read_number(parameters, "limit", DEFAULT_LIMIT, low=1), LARGEST_LIMIT),
        spans_per_set=read_number(parameters, "spss", 3) or ALL_SPANS,
        order=_order(parameters),
    )


def _order(parameters: Mapping[str, str]) -> Order:
    try:
        return Order(parameters.get("sort") or Order.NEWEST)
    except ValueError:
        raise DecodeError(f"sort={parameters['sort'][:40]!r} is no order: use {', '.join(Order)}") from None


def search_answer(result: SearchResult) -> dict[str, Any]:
    """What was found, as ``/api/search`` tells it."""
    return {"traces": [trace_answer(match) for match in uniform(result.matches)], "metrics": _metrics(result)}


def _traces(result: SearchResult) -> Iterator[str]:
    matches = uniform(result.matches)
    for at in range(0, len(matches), TRACES_A_PIECE):
        yield ",".join(pieces.dump(trace_answer(match)) for match in matches[at : at + TRACES_A_PIECE])


def _metrics(result: SearchResult) -> dict[str, Any]:
    return {"inspectedTraces": result.inspected, "completedJobs": int(result.complete), "totalJobs": 1}


def trace_answer(match: TraceMatch) -> dict[str, Any]:
    """A trace that was found, as the API tells it."""
    summary = match.summary
    return {
        "traceID": summary.trace_id.hex(),
        "rootServiceName": NO_ROOT if summary.root_name is None else summary.root_service,
        "rootTraceName": summary.root_name or "",
        "startTimeUnixNano": str(summary.start_ns),
        "durationMs": min(summary.duration_ns // 1_000_000, 2**32 - 1),
        "spanSets": [_spanset_answer(spanset) for spanset in match.spansets],
        "serviceStats": {
            count.name: {"spanCount": count.span_count}
            | ({"errorCount": count.error_count} if count.error_count else {})
            for count in summary.services
        },
    }


def _spanset_answer(spanset: SpansetMatch) -> dict[str, Any]:
    answer = {"spans": [_span_answer(span) for span in spanset.spans], "matched": spanset.matched}
    return answer | ({"attributes": key_values(spanset.attributes.items())} if spanset.attributes else {})


def _span_answer(span: SpanMatch) -> dict[str, Any]:
    answer = {
        "spanID": span.span_id.hex(),
        "name": span.name,
        "startTimeUnixNano": str(span.start_ns),
        "durationNanos": str(span.duration_ns),
    }
    return answer | ({"attributes": key_values(span.attributes.items())} if span.attributes else {})


def key_values(pairs: Iterable[tuple[str, Value]]) -> list[dict[str, Any]]:
    """Attributes as OTLP's KeyValue in JSON, with Tempo's texts for what OTLP has no type for."""
    return [{"key": key, "value": _any_value(value)} for key, value in pairs]


def _any_value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if value is None or isinstance(value, StatusCode | Kind):
        return {"stringValue": static_text(value)}
    if isinstance(value, Duration):
        return {"stringValue": go_duration(value)}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else _FLOATS.get(value, "NaN")}
    if isinstance(value, list):
        return {"arrayValue": {"values": list(map(_any_value, value))}}
    return {"stringValue": value}


def read_query(parameters: Mapping[str, str]) -> Query:
    """The TraceQL of ``q``, or of its alias ``query``. Raises TraceQLError."""
    return parse(parameters.get("q") or parameters.get("query") or "")


def _pipeline(parameters: Mapping[str, str]) -> Pipeline:
    """What ``q`` asks for, or else ``tags``, ``minDuration`` and ``maxDuration``. Raises TraceQLError, DecodeError."""
    form = SpansetFilter(_read_form(parameters))
    if not parameters.get("q") or form.condition is not None:
        if parameters.get("q"):
            raise DecodeError("q and tags, minDuration or maxDuration do not go together: put all into q")
        return Pipeline((form,))
    query = read_query(parameters)
    if not isinstance(query.root, Pipeline):
        raise DecodeError("this query gives series, not traces: ask /api/metrics/query_range")
    return query.root


def _read_form(parameters: Mapping[str, str]) -> Field | None:
    """Tempo's search without TraceQL: parts of attribute values, and how long the trace takes."""
    conditions = list(map(_read_tag, _read_tags(parameters.get("tags", ""))))
    limits = []
    for operator, parameter in ((">=", "minDuration"), ("<=", "maxDuration")):
        if parameters.get(parameter):
            limits.append(parse_duration(parameters[parameter]))
            conditions.append(Binary(operator, Intrinsic("traceDuration"), Static(Duration(limits[-1]))))
    if limits != sorted(limits):
        raise DecodeError("maxDuration is below minDuration")
    return reduce(partial(Binary, "&&"), conditions) if conditions else None


def _read_tags(text: str) -> Iterator[tuple[str, str]]:
    """The pairs of logfmt: ``http.method=GET db.statement="a b"``. Raises DecodeError."""
    seen = set()
    place = 0
    while place < len(text.rstrip()):
        tag = _TAG.match(text, place)
        if tag is None:
            raise DecodeError(f'tags: write key=value or key="a value" at {text[place : place + 40]!r}')
        if tag[1] in seen:
            raise DecodeError(f"tags: {tag[1][:40]!r} is there twice")
        seen.add(tag[1])
        yield tag[1], tag[3] if tag[2] is None else re.sub(r"\\(.)", r"\1", tag[2])
        place = tag.end()


def _read_tag(tag: tuple[str, str]) -> Field:
    key, text = tag
    field = _TAGS.get(key, Attribute(None, key))
    return Binary("=~", field, Static(f"(?i).*{pattern_text(text)}.*"))


def _times(parameters: Mapping[str, str]) -> tuple[int | None, int | None]:
    """The range of ``start`` and ``end`` in nanoseconds; they are whole seconds, or nanoseconds. Raises DecodeError."""
    if bool(parameters.get("start")) != bool(parameters.get("end")):
        raise DecodeError("start and end go together: give both, in seconds since 1970, or neither")
    if not parameters.get("start"):
        return None, None
    start, end = (read_number(parameters, name, 0, high=MAX_TIME_NS) for name in ("start", "end"))
    start_ns, end_ns = (time * SECOND_NS if time <= MAX_SECONDS else time for time in (start, end))
    if end_ns <= start_ns:
        raise DecodeError(f"end={end} is not after start={start}")
    return start_ns, end_ns
