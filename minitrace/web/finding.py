"""Finding spans within a trace: by a part of any text, by attributes, by TraceQL.

| text                        | finds spans                                                              |
|-----------------------------|--------------------------------------------------------------------------|
| `declined`                  | with this in their name, service, id, kind, status, events, attributes   |
| `card.network=visa`         | with this attribute, or with the text as it stands                       |
| `http.status_code>=500`     | for which it holds                                                       |
| `{ duration > 1s }`         | that the query finds; all of TraceQL works, as the trace is whole         |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import chain

from minitrace import present
from minitrace.errors import DecodeError, TraceQLError
from minitrace.model import Attributes, Span
from minitrace.store.dictionary import AttributeKey
from minitrace.traceql.ast import Binary, Field, Pipeline, SpansetFilter
from minitrace.traceql.evaluate import Program
from minitrace.traceql.parser import parse
from minitrace.traceql.patterns import PatternError
from minitrace.web import terms

MAX_TEXT = 1000  # characters


def is_query(text: str) -> bool:
    """Whether a text is TraceQL, or meant to be."""
    return text.lstrip(" (").startswith("{")


def find(spans: Sequence[Span], text: str, keys: Sequence[AttributeKey] = ()) -> set[bytes]:
    """The ids of the spans that a text finds; `keys` tell the types of attributes.

    Raises:
        TraceQLError: the text is TraceQL with a mistake.
        DecodeError: the text is too long.
    """
    text = text.strip()
    if not text:
        return set()
    if len(text) > MAX_TEXT:
        raise DecodeError(f"find at most {MAX_TEXT} characters")
    if is_query(text):
        return _by_query(spans, text)
    has = span_has(text)
    return {span.span_id for span in spans if has(span)} | _by_terms(spans, text, keys)


def _by_query(spans: Sequence[Span], text: str) -> set[bytes]:
    query = parse(text)
    if not isinstance(query.root, Pipeline):
        raise TraceQLError("this query gives series, not spans", text, 0, len(text))
    return _run(query.root, spans, text)


def _by_terms(spans: Sequence[Span], text: str, keys: Sequence[AttributeKey]) -> set[bytes]:
    try:
        conditions: list[Field] = list(terms.conditions(terms.read_terms(text), keys))
    except DecodeError:  # then it is only text
        return set()
    return _run(Pipeline((SpansetFilter(reduce(lambda a, b: Binary("&&", a, b), conditions)),)), spans, text)


def _run(pipeline: Pipeline, spans: Sequence[Span], text: str) -> set[bytes]:
    try:
        spansets = Program(pipeline).run(spans)
    except PatternError as error:
        raise TraceQLError(str(error), text, 0, len(text)) from error
    return {span.span_id for spanset in spansets for span in spanset.spans}


def span_has(text: str) -> Callable[[Span], bool]:
    """A test whether a span has this in one of its texts, whatever the case."""
    part = text.lower()
    known: dict[str, bool] = {}

    def holds(other: str) -> bool:
        found = known.get(other)
        if found is None:
            found = known[other] = part in other.lower()
        return found

    return lambda span: any(map(holds, _texts(span)))


def _texts(span: Span) -> Iterator[str]:
    yield span.name
    yield span.service
    yield present.kind(span.kind)
    yield span.span_id.hex()
    yield span.status.message
    yield from _pairs(span.attributes)
    for event in span.events:
        yield event.name
    events = chain.from_iterable(_pairs(event.attributes) for event in span.events)
    links = chain.from_iterable(_pairs(link.attributes) for link in span.links)
    yield from chain(events, links, _pairs(span.resource.attributes))
    yield span.scope.name


def _pairs(attributes: Attributes) -> Iterator[str]:
    for key, value in attributes.items():
        yield f"{key}={value if type(value) is str else present.value(value)}"
