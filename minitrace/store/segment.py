"""The segment that is being filled, in memory: which values, resources and scopes it has seen, and their tokens.

Attributes arrive as serialized KeyValues, and nine of ten were seen before: a dict from those bytes to their
token spares the decoding (see `Values`). What is new is numbered here at once, and stays in `pending` until a
transaction was committed with it. So a row of `dictionary` is committed before, or with, the first span that has its
token, and a transaction that fails leaves nothing undone.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from minitrace.model import Value
from minitrace.otlp.decode import read_attribute, read_resource, read_scope
from minitrace.store import tokens, values

MAX_VALUES = 250_000  # about 300 bytes of memory each
MAX_ORIGINS = 10_000  # resources and scopes; every process of a service is a resource of its own, of about a kilobyte
MAX_INDEXED = 4096  # characters of a value whose words can be found; 10 MB took the index 1.1 s
LONGEST_KEY = 256  # bytes of a KeyValue that is remembered as it is; a longer one by its hash

EXACT = "\ue000"  # begins the word that stands for a whole value; nobody types it, and FTS5 takes it for a letter

SPAN_SCOPE, RESOURCE_SCOPE, SCOPE_SCOPE, EVENT_SCOPE, LINK_SCOPE, INTRINSIC = (
    "span", "resource", "instrumentation", "event", "link", "intrinsic",
)  # fmt: skip
LOG_SCOPE, RECORD = "log", "record"  # attributes of log records, and their intrinsics: no query for spans is about them
SEVERITY_TEXT, EVENT_NAME = "severityText", "eventName"
SCOPES_OF_SPANS = frozenset({SPAN_SCOPE, RESOURCE_SCOPE, SCOPE_SCOPE, EVENT_SCOPE, LINK_SCOPE, INTRINSIC})
SCOPES_OF_LOGS = frozenset({LOG_SCOPE, RECORD, RESOURCE_SCOPE, SCOPE_SCOPE})
TOKENS_OF_SCOPE = 2  # its name and version, behind those of its own attributes
FIXED_KEYS = {tokens.NAME: "name", tokens.STATUS_MESSAGE: "statusMessage"}

Row = tuple[Any, ...]


class Values(dict[bytes, str]):
    """Serialized KeyValues of one scope and their tokens; a new one gets its token when it is looked up.

    Looking up raises google.protobuf.message.DecodeError for bytes that are no KeyValue.
    """

    def __init__(self, segment: Segment, scope: str) -> None:
        self._segment = segment
        self._scope = scope

    def __missing__(self, raw: bytes) -> str:
        key = raw if len(raw) <= LONGEST_KEY else blake2b(raw, digest_size=16).digest()
        token = self.get(key)
        if token is None:
            token = self[key] = self._segment.token(self._scope, *read_attribute(raw))
        return token


class Texts(dict[str, str]):
    """Texts of one intrinsic and their tokens, as `Values`."""

    def __init__(self, segment: Segment, name: str, scope: str = INTRINSIC) -> None:
        self._segment = segment
        self._scope = scope
        self._name = name

    def __missing__(self, text: str) -> str:
        token = self[text] = self._segment.token(self._scope, self._name, text)
        return token


class Services(dict[str, int]):
    """The ids of services by name. A new name gets the next one, and waits in `pending` to be written."""

    def __init__(self, stored: Iterable[tuple[str, int]]) -> None:
        super().__init__(stored)
        self._last = max(self.values(), default=0)
        self.pending: list[Row] = []

    def __missing__(self, name: str) -> int:
        self._last += 1
        self[name] = self._last
        self.pending.append((self._last, name))
        return self._last


@dataclass(slots=True)
class Pending:
    """Rows that the segment's next transaction writes, by table."""

    keys: list[Row] = field(default_factory=list)
    resources: list[Row] = field(default_factory=list)
    scopes: list[Row] = field(default_factory=list)
    operations: list[Row] = field(default_factory=list)
    values: dict[int, list[Row]] = field(default_factory=dict)  # id, column, words; by the key's number

    def values_by_id(self) -> Iterator[Row]:
        """The values in the order of their ids, without sorting them all: 100 000 would take 60 ms."""
        for number in sorted(self.values):
            yield from self.values[number]

    def clear(self) -> None:
        """They are committed."""
        for rows in (self.keys, self.resources, self.scopes, self.operations, *self.values.values()):
            rows.clear()


class _Key:
    """A key of one scope and type: its number, how many values of it there are, and those that wait to be written."""

    __slots__ = ("count", "first_id", "letters", "pending")

    def __init__(self, segment: int, number: int, count: int, pending: Pending) -> None:
        self.first_id = tokens.first_id(segment, number)
        self.letters = tokens.letters(number)
        self.count = count
        self.pending = pending.values.setdefault(number, [])


class Segment:
    """A segment that takes more spans and log records.

    `row_count`, of both, and `size_bytes`, of the requests as they came, are what was laid out for it, stored or not.
    """

    def __init__(self, number: int, services: Services) -> None:
        self.number = number
        self.row_count = 0
        self.size_bytes = 0
        self.value_count = 0
        self.pending = Pending()
        self.span_values = Values(self, SPAN_SCOPE)
        self.event_values = Values(self, EVENT_SCOPE)
        self.link_values = Values(self, LINK_SCOPE)
        self.log_values = Values(self, LOG_SCOPE)
        self.event_names = Texts(self, "event:name")
        self.link_traces = Texts(self, "link:traceID")
        self.severity_texts = Texts(self, SEVERITY_TEXT, RECORD)
        self.log_event_names = Texts(self, EVENT_NAME, RECORD)
        self.names: dict[str, int] = {}
        self.statuses: dict[bytes, tuple[int, str]] = {b"": (0, "")}
        self._services = services
        self._scope_names = Texts(self, "instrumentation:name")
        self._scope_versions = Texts(self, "instrumentation:version")
        self._keys: dict[tuple[str, str, str], _Key] = {}
        self._next_key = tokens.FIRST_KEY
        self._resources: dict[tuple[bytes, str], tuple[int, int]] = {}
        self._scopes: dict[tuple[bytes, str], int] = {}
        self._resource_count = self._scope_count = 0
        self._operations: defaultdict[int, set[int]] = defaultdict(set)
        for number_, name in FIXED_KEYS.items():
            self._add_key(number_, INTRINSIC, name, values.STRING)

    def resume(
        self, row_count: int, keys: Iterable[tuple[int, str, str, str, int]], resource_count: int, scope_count: int
    ) -> None:
        """Go on after the rows that are stored: keys with the count of their values, and numbers already given.

        The values themselves are not read: one that comes again gets a second row in `dictionary`, which harms nothing.
        """
        self.row_count = row_count
        self._resource_count, self._scope_count = resource_count, scope_count
        for number, scope, name, type_, count in keys:
            self._keys[scope, name, type_] = _Key(self.number, number, count, self.pending)
            self._next_key = max(self._next_key, number + 1)
            self.value_count += count

    def forget(self) -> None:
        """Let go of what was remembered: it will get no more spans. What waits to be written stays."""
        for known in (self.span_values, self.event_values, self.link_values, self.log_values):
            known.clear()
        for texts in (self.event_names, self.link_traces, self.severity_texts, self.log_event_names):
            texts.clear()
        for remembered in (self.names, self.statuses, self._operations, self._resources, self._scopes, self._keys):
            remembered.clear()

    @property
    def is_crowded(self) -> bool:
        """Whether it has as many values, resources or scopes as should be kept in memory."""
        origins = len(self._resources) + len(self._scopes)
        return self.value_count >= MAX_VALUES or origins >= MAX_ORIGINS

    def token(self, scope: str, name: str, value: Value) -> str:
        """A token for a value that has none."""
        type_ = values.type_of(value)
        key = self._keys.get((scope, name, type_)) or self._add_key(self._next_key, scope, name, type_)
        key.count += 1
        self.value_count += 1
        column = values.to_column(value)
        words = f"{column[:MAX_INDEXED]} {exact_word(column)}" if type(column) is str else _words(column)
        key.pending.append((key.first_id + key.count, column, words))
        return f"{key.letters}{key.count}"

    def name(self, name: str) -> int:
        """The count of a span name that has none."""
        token = self.token(INTRINSIC, "name", name)
        count = self.names[name] = int(token[len(tokens.letters(tokens.NAME)) :])
        return count

    def status(self, code: int, message: str) -> tuple[int, str]:
        """A status code, and the token of its message; "" for none."""
        return code, self.token(INTRINSIC, "statusMessage", message) if message else ""

    def resource(self, raw: bytes, schema_url: str) -> tuple[int, int]:
        """The number of a serialized Resource, and its service's id. Raises google.protobuf.message.DecodeError."""
        known = self._resources.get((raw, schema_url))
        if known is not None:
            return known
        resource = read_resource(raw, schema_url)
        service = self._services[resource.service]
        attributes = [self.token(RESOURCE_SCOPE, *item) for item in resource.attributes.items()]
        self._resource_count += 1
        self.pending.resources.append((
            tokens.numbered_id(self.number, self._resource_count), service, " ".join(attributes),
            resource.dropped_attributes, schema_url, values.dump_entities(resource.entities),
        ))  # fmt: skip
        known = self._resources[raw, schema_url] = (self._resource_count, service)
        return known

    def scope(self, raw: bytes, schema_url: str) -> int:
        """The number of a serialized InstrumentationScope. Raises google.protobuf.message.DecodeError."""
        known = self._scopes.get((raw, schema_url))
        if known is not None:
            return known
        scope = read_scope(raw, schema_url)
        attributes = [self.token(SCOPE_SCOPE, *item) for item in scope.attributes.items()]
        attributes += [self._scope_names[scope.name], self._scope_versions[scope.version]]
        self._scope_count += 1
        self.pending.scopes.append((
            tokens.numbered_id(self.number, self._scope_count), scope.name, scope.version, " ".join(attributes),
            scope.dropped_attributes, schema_url,
        ))  # fmt: skip
        self._scopes[raw, schema_url] = self._scope_count
        return self._scope_count

    def operations(self, service: int) -> set[int]:
        """The counts of the names of a service's spans; who adds one, adds its row to `pending.operations`."""
        return self._operations[service]

    def _add_key(self, number: int, scope: str, name: str, type_: str) -> _Key:
        key = self._keys[scope, name, type_] = _Key(self.number, number, 0, self.pending)
        self._next_key = max(self._next_key, number + 1)
        self.pending.keys.append((self.number, number, scope, name, type_))
        return key


def _words(column: values.Column) -> str:
    """What can be found of a value that is no string."""
    return "" if column is None or isinstance(column, bytes) else str(column)


def exact_word(text: str) -> str:
    """The word that stands for a whole string, among all its words."""
    return f"{EXACT}{zlib.crc32(text.encode()):x}"
