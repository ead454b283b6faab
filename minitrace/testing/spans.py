"""Spans as a test reads them: ids in hex, kinds and statuses as words, attributes by ``span["key"]``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, overload

from minitrace import model, present
from minitrace.testing.failures import TracesFailure
from minitrace.testing.snapshots import Origin, Seen, Snapshot

Kind = Literal["unspecified", "internal", "server", "client", "producer", "consumer"]
Status = Literal["unset", "ok", "error"]
AttributeValue = model.Value

_KINDS: tuple[Kind, ...] = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES: tuple[Status, ...] = ("unset", "ok", "error")
LONGEST_HINT = 120  # pytest shows it twice, and cuts a value at 240


class NoSuchAttribute(KeyError):
    """A span has no attribute of that name; the text says which it has."""

    def __init__(self, owner: str, key: str, keys: Collection[str]) -> None:
        super().__init__(key)
        close = get_close_matches(key, keys, 1)
        wanted = f": did you mean {close[0]!r}?" if close else ""
        has = f" It has {', '.join(sorted(keys))}" if keys else " It has none"
        self._text = f"{owner} has no attribute {key!r}{wanted or '.'}{has}"

    def __str__(self) -> str:
        return self._text


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at one moment within a span."""

    name: str
    time_ns: int
    attributes: Mapping[str, AttributeValue]

    def __getitem__(self, key: str) -> AttributeValue:
        return _attribute(f"event {self.name!r}", key, self.attributes)


@dataclass(frozen=True, slots=True)
class Link:
    """A pointer from a span to another one, usually in another trace."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True, slots=True, repr=False)
class Span:
    """One captured span. Times are nanoseconds since 1970."""

    name: str
    kind: Kind
    status: Status
    status_message: str
    trace_id: str
    span_id: str
    parent_id: str | None
    service: str
    scope: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, AttributeValue]
    resource: Mapping[str, AttributeValue]
    events: tuple[Event, ...]
    links: tuple[Link, ...]
    origin: Origin
    pid: int | None
    _among: Among = field(compare=False)

    @property
    def duration(self) -> timedelta:
        """How long it took, in whole microseconds."""
        return timedelta(microseconds=(self.end_ns - self.start_ns) // 1000)

    @property
    def children(self) -> SpanList:
        """The spans directly below it, as far as they had arrived when it was found."""
        return self._among.children(self)

    @property
    def parent(self) -> Span | None:
        """The span above it; None for a root, and where it has not arrived."""
        return self._among.parent(self)

    def __hash__(self) -> int:
        return hash((self.trace_id, self.span_id))

    def __getitem__(self, key: str) -> AttributeValue:
        return _attribute(f"span {self.name!r}", key, self.attributes)

    def __repr__(self) -> str:
        status = f" {self.status}" if self.status != "unset" else ""
        duration = present.plain(present.duration(self.end_ns - self.start_ns))
        return f"<Span {self.name!r} {self.kind}{status} {duration}>"


class SpanList(Sequence[Span]):
    """Spans that were found, in order of start. True when there are any; else its repr says what there is instead."""

    def __init__(self, spans: Sequence[Span], among: Among, query: str = "") -> None:
        self._spans = tuple(spans)
        self._among = among
        self._query = query

    @overload
    def __getitem__(self, index: int) -> Span: ...
    @overload
    def __getitem__(self, index: slice) -> SpanList: ...
    def __getitem__(self, index: int | slice) -> Span | SpanList:
        if isinstance(index, slice):
            return SpanList(self._spans[index], self._among)
        return self._spans[index]

    def __len__(self) -> int:
        return len(self._spans)

    def __iter__(self) -> Iterator[Span]:
        return iter(self._spans)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, SpanList | list | tuple) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as a list

    def __repr__(self) -> str:
        instead = self._among.instead_of(self._query) if self._query and not self else ""
        return f"SpanList({self.names})" + (f", but {instead}" if instead else "")

    @property
    def names(self) -> list[str]:
        """The names of the spans, in their order."""
        return [span.name for span in self]

    def one(self) -> Span:
        """The only span; TracesFailure if there is none, or more."""
        if len(self) != 1:
            found = f"{len(self)}: {', '.join(self.names)}" if self else "none"
            raise TracesFailure(f"expected one span, found {found}")
        return self[0]

    def find(self, query: str) -> SpanList:
        """Those of its spans that a query finds; it may speak of spans around them."""
        own = set(map(id, self._spans))
        return SpanList([span for span in self._among.find(query) if id(span) in own], self._among)


class Among:
    """The spans of one snapshot, each made once for reading, so that `is` and `in` do what they say."""

    def __init__(self, snapshot: Snapshot, find: Callable[[Snapshot, str], list[model.Span]]) -> None:
        self.snapshot = snapshot
        self._find = find
        self._views: dict[int, Span] = {}

    def find(self, query: str) -> SpanList:
        """The spans a query finds."""
        return self.listed(self._find(self.snapshot, query), query)

    def listed(self, spans: Iterable[model.Span], query: str = "") -> SpanList:
        """These spans for reading, in order of start; what found them, if that was a query."""
        in_order = sorted(spans, key=lambda span: (span.start_ns, span.span_id))
        return SpanList(list(map(self.view, in_order)), self, query)

    def instead_of(self, query: str) -> str:
        """What there is instead of what a query does not find, in a line that pytest shows whole."""
        from minitrace.analysis.drawing import one_line  # for the few tests that fail
        from minitrace.testing.reasons import clauses

        if not self.snapshot.seen:
            return "no span was captured"
        lines = clauses.near_misses(query, self.snapshot.traces())
        return one_line("; ".join(map(str.strip, lines)).replace(":;", ":"), LONGEST_HINT)

    def view(self, span: model.Span) -> Span:
        """A span for reading."""
        if id(span) not in self._views:
            self._views[id(span)] = _read(self._seen[id(span)], self)
        return self._views[id(span)]

    def children(self, span: Span) -> SpanList:
        """The spans that name it as their parent, in order of start."""
        return self.listed(self._below.get((span.trace_id, span.span_id), ()))

    def parent(self, span: Span) -> Span | None:
        """The span it names as its parent."""
        above = self._by_id.get((span.trace_id, span.parent_id or ""))
        return self.view(above) if above else None

    @cached_property
    def _seen(self) -> dict[int, Seen]:
        return {id(one.span): one for one in self.snapshot.seen}

    @cached_property
    def _by_id(self) -> dict[tuple[str, str], model.Span]:
        return {(span.trace_id.hex(), span.span_id.hex()): span for span in self.snapshot.spans}

    @cached_property
    def _below(self) -> dict[tuple[str, str], list[model.Span]]:
        below: dict[tuple[str, str], list[model.Span]] = {}
        for span in self.snapshot.spans:
            below.setdefault((span.trace_id.hex(), span.parent_id.hex()), []).append(span)
        return below


def _read(seen: Seen, among: Among) -> Span:
    span = seen.span
    return Span(
        name=span.name,
        kind=_word(_KINDS, span.kind),
        status=_word(_STATUSES, span.status.code),
        status_message=span.status.message,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_id.hex() or None,
        service=span.service,
        scope=span.scope.name,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        attributes=MappingProxyType(span.attributes),
        resource=MappingProxyType(span.resource.attributes),
        events=tuple(Event(e.name, e.time_ns, MappingProxyType(e.attributes)) for e in span.events),
        links=tuple(
            Link(link.trace_id.hex(), link.span_id.hex(), MappingProxyType(link.attributes)) for link in span.links
        ),
        origin=seen.origin,
        pid=seen.pid,
        _among=among,
    )


def _attribute(owner: str, key: str, attributes: Mapping[str, AttributeValue]) -> AttributeValue:
    if key not in attributes:
        raise NoSuchAttribute(owner, key, attributes)
    return attributes[key]


def _word(words: Sequence[Any], code: int) -> Any:
    """A code's word; that of 0 for a code newer than we are."""
    return words[code] if 0 <= code < len(words) else words[0]
