"""What a client calls that sends no spans itself, by the attributes of the call: databases, queues, other hosts.

```
db.system.name = postgresql, db.namespace = orders            database  postgresql orders
messaging.system = kafka, messaging.destination.name = mails  queue     kafka mails
peer.service = bank, server.address = 10.0.0.7                external  bank
```

OpenTelemetry's semantic conventions, and the names that attributes had before they were stable: of several the first
that a span has counts. See https://opentelemetry.io/docs/specs/semconv/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from minitrace.store import tokens, values
from minitrace.store.database import Reader
from minitrace.store.dictionary import keys_named
from minitrace.store.segment import SPAN_SCOPE

MOST_CHARACTERS = 200  # of a name; what has more is no name

_ADDRESS = ("server.address", "net.peer.name", "http.host", "net.peer.ip", "network.peer.address", "net.sock.peer.addr")
_URL = ("url.full", "http.url")
_DATABASE = (("db.system.name", "db.system"), ("db.namespace", "db.name", *_ADDRESS))
_QUEUE = (("messaging.system",), ("messaging.destination.name", "messaging.destination", *_ADDRESS))
_EXTERNAL = ("peer.service", "service.peer.name", *_ADDRESS, *_URL, "rpc.service")
NAMES = tuple(dict.fromkeys([*_DATABASE[0], *_DATABASE[1], *_QUEUE[0], *_QUEUE[1], *_EXTERNAL]))

Condition = tuple[str, str]  # an attribute of a span, and its value; of a URL only the host


class LeafKind(StrEnum):
    """What stands at the other end of a call."""

    DATABASE = "database"
    QUEUE = "queue"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Leaf:
    """The other end of a call; `conditions` say by which attributes it was known. There may be several ways."""

    kind: LeafKind
    name: str
    conditions: tuple[Condition, ...]


def is_url(attribute: str) -> bool:
    """Whether a condition is about the host of this attribute's value."""
    return attribute in _URL


def leaf_of(attributes: Mapping[str, str]) -> Leaf | None:
    """What a span with these attributes calls; None if they do not tell."""
    for kind, (systems, names) in ((LeafKind.DATABASE, _DATABASE), (LeafKind.QUEUE, _QUEUE)):
        if system := _first(attributes, systems):
            parts = [system, *filter(None, [_first(attributes, names)])]
            return Leaf(kind, " ".join(value for _, value in parts), tuple(parts))
    peer = _first(attributes, _EXTERNAL)
    return Leaf(LeafKind.EXTERNAL, peer[1], (peer,)) if peer else None


def _first(attributes: Mapping[str, str], names: Iterable[str]) -> Condition | None:
    for name in names:
        value = attributes.get(name, "")
        if value and is_url(name):
            value = _host(value)
        if value and len(value) <= MOST_CHARACTERS:
            return name, value
    return None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # brackets that no IPv6 address is in
        return ""


class Leaves:
    """What the spans of one segment call, by the text of their tokens: most of them have one of a few combinations."""

    def __init__(self, segment: int, types: Mapping[str, str], names: Mapping[str, str]) -> None:
        self._segment = segment
        self._types = types  # of keys, by the letters of their tokens
        self._names = names
        self._known: dict[tuple[str, ...], Leaf | None] = {}

    @classmethod
    async def read(cls, reader: Reader, segment: int) -> Leaves:
        """The keys of a segment that tell it."""
        types, names = {}, {}
        for (of_segment, name), keys in (await keys_named(reader, NAMES)).items():
            for key in keys:
                if of_segment == segment and key.scope == SPAN_SCOPE and key.type in (values.STRING, values.INT):
                    letters = tokens.letters(key.number)
                    types[letters], names[letters] = key.type, name
        return cls(segment, types, names)

    async def of(self, reader: Reader, texts: Iterable[str]) -> Callable[[str], Leaf | None]:
        """A function from such a text, one of these, to what is called."""
        find = tokens.finder(sorted(map(tokens.key_number, self._types)))
        found = {text: tuple(find(text)) for text in dict.fromkeys(texts)}
        new = [combination for combination in dict.fromkeys(found.values()) if combination not in self._known]
        by_id = tokens.ids_of(self._segment, {token for combination in new for token in combination})
        rows: list[Any] = []
        if by_id:
            sql = "SELECT id, value FROM dictionary WHERE id IN (SELECT value FROM json_each(?))"
            rows = await reader.rows(sql, [str(list(by_id))])
        value_of = {by_id[id_]: str(value) for id_, value in rows}
        for combination in new:
            attributes = {self._names[tokens.prefix(token)]: value_of.get(token, "") for token in combination}
            self._known[combination] = leaf_of(attributes)
        return lambda text: self._known[found[text]]
