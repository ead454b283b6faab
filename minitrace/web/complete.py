"""Completion and diagnostics for a box into which TraceQL is typed.

`GET /_/complete?q=&pos=[&since=&from=&to=]` answers for the text `q` with the caret at character `pos` of it

```
{"from": 2, "to": 4, "diagnostic": null,
 "items": [{"label": "name", "insert": "name ", "kind": "key", "detail": "the span's name", "count": 0}, …]}
```

An item is chosen by putting its `insert` in the place of the characters from `from` to `to`. Those that begin with what
was typed come first, among them the commonest; `kind` is key, value, operator, function, keyword or scope. The
`diagnostic` says what cannot be read, and where, unless that is only what is still being typed.

Plain words are completed as if a filter began in front of them, and as services and names of spans.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntEnum
from heapq import nsmallest
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from minitrace import present
from minitrace.durations import parse_duration
from minitrace.errors import TraceQLError
from minitrace.model import MAX_TIME_NS
from minitrace.store.tags import Among
from minitrace.traceql.ast import Attribute, Field, Intrinsic, static_text
from minitrace.traceql.completion import Place, place_at
from minitrace.traceql.names import pattern_text, string_text
from minitrace.traceql.parser import parse
from minitrace.traceql.vocabulary import Word
from minitrace.web.box import read_box
from minitrace.web.choices import Choices
from minitrace.web.named import store_of
from minitrace.web.parameters import MINUTE_NS, read_number
from minitrace.web.times import PERIODS, parse_time
from minitrace.web.wanted import while_wanted

MOST_ITEMS = 50
MOST_NAMED = 12  # services, and operations
LONGEST_LABEL = 120  # characters
MOST_COMMON = 4  # intrinsics that most questions are about
LONGEST_WORDS = 100  # a longer text is a log line
_SERVICE, _NAME = Attribute("resource", "service.name"), Intrinsic("name")
_BRACE = "{ "  # begins a filter in front of plain words
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_UNITS = ("ms", "s", "us", "m", "h")
_DURATIONS = ("100ms", "1s", "10ms", "1ms", "10s", "1m")
_WITHOUT_ARGUMENT = ("count", "coalesce", "rate", "count_over_time")
_TOUCHING = frozenset("(!-.")  # what stands behind one of these may touch it


class Group(IntEnum):
    """What is offered first, where all else is alike."""

    VALUE, COMMON, KEY, SCOPE, RARE, ODD = range(6)


@dataclass(frozen=True, slots=True)
class Item:
    """Something to choose. `names` are what it is found by beside its label."""

    label: str
    insert: str
    kind: str
    group: Group
    detail: str = ""
    count: int = 0
    names: tuple[str, ...] = ()

    def order(self, typed: str) -> tuple[bool, Group, int] | None:
        """By what items are sorted; None for one that does not contain what was typed."""
        names = [name.casefold() for name in (self.label, *self.names)]
        if not any(typed in name for name in names):
            return None
        return not any(name.startswith(typed) for name in names), self.group, -self.count


@while_wanted
async def complete(request: Request) -> Response:
    """What may stand at the caret, and what cannot be read."""
    text = request.query_params.get("q", "")
    position = min(read_number(request.query_params, "pos", len(text)), len(text))
    asked = _Asked(request)
    if not text.strip() or read_box(text).words:
        return _answer(0, len(text), await asked.for_words(text, position), None)
    place = place_at(text, position)
    items = [replace(item, insert=_spaced(item.insert, text, place)) for item in await asked.items(place)]
    return _answer(place.start, place.end, items, diagnostic(text, position, place))


routes = [Route("/_/complete", complete)]


def _answer(start: int, end: int, items: list[Item], problem: TraceQLError | None) -> Response:
    shown = [
        {"label": one.label, "insert": one.insert, "kind": one.kind, "detail": one.detail, "count": one.count}
        for one in items
    ]
    found = problem and {
        "message": problem.message, "from": problem.start, "to": problem.end, "drawing": problem.drawing
    }  # fmt: skip
    return JSONResponse({"from": start, "to": end, "items": shown, "diagnostic": found})


def diagnostic(text: str, position: int, place: Place) -> TraceQLError | None:
    """Why a text cannot be read; None if it can, or if nothing is wrong but what is being typed.

    That is an end that is missing behind the caret, and a mistake that the caret touches.
    """
    try:
        parse(text)
    except TraceQLError as error:
        is_unfinished = place.is_readable and not place.is_whole and not text[position:].strip()
        is_here = error.end >= place.start and not text[place.end : error.start].strip()
        return None if is_unfinished or is_here else error
    return None


def _spaced(insert: str, text: str, place: Place) -> str:
    """With a space on either side, where there is none and one is usual."""
    before, behind = text[: place.start][-1:], text[place.end : place.end + 1]
    if before and not before.isspace() and before not in _TOUCHING and insert[0] not in "),":
        insert = " " + insert
    return insert.rstrip() if behind and (behind.isspace() or behind in "),") else insert


class _Asked:
    """Looks up what a request asks for."""

    def __init__(self, request: Request) -> None:
        self.store = store_of(request)
        self.choices: Choices = request.app.state.choices
        self.start_ns, self.end_ns = _read_range(request.query_params, time.time_ns())

    def among(self, condition: Field | None) -> Among:
        return Among(condition, self.start_ns, self.end_ns)

    async def items(self, place: Place) -> list[Item]:
        """What may stand at a place, the best first."""
        found = [*_words(place), *_durations(place)]
        if place.has_value and place.field:
            counts = await self.choices.values(self.store, place.field, self.among(place.condition))
            found += _values(place, counts)
        if place.has_keys and ("." in place.typed or not place.operator):
            found += _keys(place, await self.choices.keys(self.store, self.among(place.condition)))
        return _best(found, place.typed)

    async def for_words(self, text: str, position: int) -> list[Item]:
        """What plain words may be the beginning of; each takes the place of the whole text."""
        if text[position:].strip() or "{" in text or len(text) > LONGEST_WORDS:
            return []
        place = place_at(_BRACE + text, len(_BRACE + text))
        items = await self.items(place) if place.is_readable else []
        before = (_BRACE + text)[: place.start]
        begun = [replace(item, insert=before + _spaced(item.insert, before, place)) for item in items]
        return [*await self.named(text.strip()), *begun][:MOST_ITEMS]

    async def named(self, text: str) -> list[Item]:
        """Services and names of spans that contain a text, as queries."""
        if not text:
            return []
        fields: dict[Attribute | Intrinsic, str] = {_SERVICE: "service", _NAME: "operation"}
        counted = await asyncio.gather(*(self.choices.values(self.store, field, self.among(None)) for field in fields))
        found: list[Item] = []
        for (field, detail), counts in zip(fields.items(), counted, strict=True):
            likely = _likely(counts, text)
            texts = ((value, count) for (type_, value), count in likely if type_ is str)
            found += _best((_named(field, value, detail, count) for value, count in texts), text)[:MOST_NAMED]
        return found


def _read_range(parameters: Mapping[str, str], now_ns: int) -> tuple[int, int]:
    """From when to when spans are looked at, as the search form has it; what cannot be read is no limit."""
    times: dict[str, int] = {}
    for name in ("from", "to"):
        with suppress(ValueError):
            times[name] = parse_time(parameters.get(name, "").strip())
    period = parameters.get("since", "")
    if period in PERIODS:  # by the minute, so that the next letter asks for the same
        times.setdefault("from", (now_ns - parse_duration(period)) // MINUTE_NS * MINUTE_NS)
    return times.get("from", 0), times.get("to", MAX_TIME_NS)


def _best(items: Iterable[Item], typed: str) -> list[Item]:
    """The best of those that contain what was typed, without what is typed in full."""
    typed_folded = typed.casefold()
    ranked = [(order, item) for item in items if (order := item.order(typed_folded)) and item.insert.strip() != typed]
    return [item for _, item in sorted(ranked, key=lambda pair: pair[0])[:MOST_ITEMS]]


def _words(place: Place) -> Iterator[Item]:
    """Words of the language. Behind a comparison, those that are no value of its type wait until a letter is typed."""
    for index, word in enumerate(place.words):
        group = _group(place, word, index)
        if place.typed or not place.type or group == Group.VALUE:
            yield Item(word.text, _written(word), word.kind, group, word.meaning)


def _group(place: Place, word: Word, index: int) -> Group:
    if word.kind == "keyword":
        is_value = place.type in ("status", "kind") or word.text in ("true", "false", "nil")
        return Group.VALUE if is_value and place.type else Group.ODD
    if word.kind == "scope":
        return Group.SCOPE
    if word.kind == "operator":
        return Group.ODD if place.has_keys else Group.COMMON
    return Group.RARE if word.kind == "key" and index >= MOST_COMMON else Group.COMMON


def _written(word: Word) -> str:
    if word.kind == "function":
        return f"{word.text}() " if word.text in _WITHOUT_ARGUMENT else f"{word.text}("
    return word.text if word.kind == "scope" or word.text in "!-(" else f"{word.text} "


def _durations(place: Place) -> Iterator[Item]:
    if place.type != "duration" or place.is_quoted:
        return
    number = _NUMBER.match(place.typed)
    for text in (number[0] + unit for unit in _UNITS) if number else _DURATIONS:
        yield Item(text, f"{text} ", "value", Group.VALUE)


def _likely(counts: Mapping[tuple[type, Any], int], typed: str) -> list[tuple[tuple[type, Any], int]]:
    """The values that `_best` will choose from, out of thousands: an item is made for each of them."""
    folded = typed.casefold()
    texts = ((value if type_ is str else static_text(value)).casefold() for type_, value in counts)
    fitting = [(text, item) for text, item in zip(texts, counts.items(), strict=True) if folded in text]
    best = nsmallest(MOST_ITEMS, fitting, key=lambda pair: (not pair[0].startswith(folded), -pair[1][1]))
    return [item for _, item in best]


def _values(place: Place, counts: Mapping[tuple[type, Any], int]) -> Iterator[Item]:
    for (type_, value), count in _likely(counts, place.typed):
        if type_ is str:
            text = pattern_text(value) if place.operator in ("=~", "!~") else value
            yield Item(_label(value), f"{string_text(text)} ", "value", Group.VALUE, "", count, (value,))
        elif not place.is_quoted and place.operator not in ("=~", "!~"):
            text = static_text(value)
            yield Item(text, f"{text} ", "value", Group.VALUE, "", count)


def _keys(place: Place, counts: Mapping[tuple[str, str], int]) -> Iterator[Item]:
    """Attributes, written with their scope, unless another way was begun."""
    of_parent = place.typed.startswith("parent.")
    parent = "parent." if of_parent else ""
    for (scope, name), count in counts.items():
        if of_parent and scope not in ("span", "resource"):
            continue
        is_bare = place.typed.startswith(".") and scope in ("span", "resource")
        text = str(Attribute(None if is_bare else scope, name, of_parent))
        names = (name, f"{parent}{'' if is_bare else scope}.{name}")  # as they are typed, without quotes
        yield Item(present.printable(text), f"{text} ", "key", Group.KEY, scope, count, names)


def _named(field: Attribute | Intrinsic, value: str, detail: str, count: int) -> Item:
    return Item(_label(value), f"{{ {field} = {string_text(value)} }}", "value", Group.VALUE, detail, count, (value,))


def _label(text: str) -> str:
    """A value on one line."""
    text = " ".join(text.split())
    return present.printable(text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…")
