"""Single traces of any size, the same every time: what `ui.py` opens.

Twelve services call each other through 26 operations, at most 15 levels deep and one after another; ten attributes
a span, 1 % errors, an event on 2 %. Now and then a span asks the database the same question up to twenty times, as
programs do. A leaf takes some 0.1 ms, so that 50 000 spans are five seconds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import cycle, islice

from minitrace.model import Attributes, Event, Kind, Resource, Scope, Span, Status, StatusCode
from minitrace.otlp.encode import encode_export

START_NS = 1_700_000_000_000_000_000
NS_PER_SPAN = 100_000
MAX_DEPTH = 15
SPANS_PER_REQUEST = 2_000

SERVICES = [
    "frontend", "cart", "checkout", "payment", "shipping", "stock", "pricing", "search", "accounts", "mailer", "ledger",
    "media",
]  # fmt: skip
CALLS = [
    "GET /cart", "POST /checkout", "POST /charge", "GET /stock/{id}", "GET /prices", "POST /shipments", "GET /account",
    "PUT /cart/items", "GET /search", "POST /mail", "GET /media/{id}", "POST /entries", "GET /health",
]  # fmt: skip
WORK = ["render", "validate", "authorize", "serialize", "reserve", "convert", "sign", "compress"]
QUERIES = ["SELECT orders", "SELECT stock", "INSERT entries", "UPDATE carts", "SELECT accounts"]
# 26 operations: their service, kind and name
OPERATIONS = [
    (service, kind, name)
    for service, (kind, name) in zip(
        cycle(SERVICES),
        [(kind, name) for kind, names in ((Kind.SERVER, CALLS), (Kind.INTERNAL, WORK)) for name in names]
        + [(Kind.CLIENT, name) for name in QUERIES],
        strict=False,
    )
]
_RESOURCES = {name: Resource({"service.name": name, "host.name": f"{name}-1"}) for name in SERVICES}
_SCOPE = Scope("benchmark", "1.0")
_FAILED = Status(StatusCode.ERROR, "upstream did not answer")


class Maker:
    """The spans of one trace, parents before their children."""

    def __init__(self, size: int, seed: int = 1) -> None:
        self._rng = random.Random(f"{seed}/{size}")
        self.trace_id = self._rng.randbytes(16)
        self.spans: list[Span] = []
        self._grow(b"", START_NS, START_NS + size * NS_PER_SPAN, size, 1, OPERATIONS[0])

    def one_more(self) -> Span:
        """A short span below the root, which nobody has seen yet."""
        root = self.spans[0]
        begin = self._rng.randrange(root.start_ns, root.end_ns)
        return self._span(root.span_id, begin, begin + NS_PER_SPAN, self._rng.choice(OPERATIONS))

    def _grow(
        self, parent_id: bytes, start_ns: int, end_ns: int, size: int, depth: int, operation: tuple[str, Kind, str]
    ) -> None:
        """A span of that many, itself included: its children share its time, each as it has spans below it."""
        span = self._span(parent_id, start_ns, end_ns, operation)
        self.spans.append(span)
        same = self._rng.choice(OPERATIONS[-len(QUERIES) :]) if 5 < size <= 20 and self._rng.random() < 0.2 else None
        parts = [1] * (size - 1) if same or depth == MAX_DEPTH - 1 else self._split(size - 1)
        each_ns = (end_ns - start_ns) / size
        begin = start_ns + each_ns / 2
        for part in parts:
            took = each_ns * part * self._rng.uniform(0.5, 0.95)
            self._grow(
                span.span_id, int(begin), int(begin + took), part, depth + 1, same or self._rng.choice(OPERATIONS)
            )
            begin += each_ns * part

    def _split(self, size: int) -> list[int]:
        """Between one and five parts, none of them empty."""
        count = min(size, self._rng.randint(2, 5))
        cuts = sorted(self._rng.sample(range(1, size), count - 1)) if size > 1 else []
        return [end - begin for begin, end in zip([0, *cuts], [*cuts, size], strict=True) if end > begin]

    def _span(self, parent_id: bytes, start_ns: int, end_ns: int, operation: tuple[str, Kind, str]) -> Span:
        rng, (service, kind, name) = self._rng, operation
        return Span(
            self.trace_id,
            rng.randbytes(8),
            name,
            start_ns,
            end_ns,
            parent_id,
            kind,
            _FAILED if rng.random() < 0.01 else Status(),
            self._attributes(kind, name),
            [Event(start_ns + 1_000, "cache.miss", {"cache.key": "k"})] if rng.random() < 0.02 else [],
            resource=_RESOURCES[service],
            scope=_SCOPE,
        )

    def _attributes(self, kind: Kind, name: str) -> Attributes:
        number = self._rng.randrange(100_000)
        about: Attributes = (
            {"db.system.name": "postgresql", "db.query.text": f"{name} WHERE id = {number}", "server.port": 5432}
            if kind == Kind.CLIENT
            else {"url.path": f"/x/{number}", "http.request.method": name.split()[0], "http.response.status_code": 200}
        )
        return about | {
            "session.id": f"s-{number % 97}", "enduser.id": f"user-{number % 1_000}", "thread.id": number % 16,
            "thread.name": f"worker-{number % 16}", "cache.hit": number % 3 > 0, "items.count": number % 50,
            "feature.flag": f"flag-{number % 40}",
        }  # fmt: skip


def requests(spans: Sequence[Span]) -> Iterator[tuple[bytes, int]]:
    """Serialized ExportTraceServiceRequests, each with the number of its spans."""
    rest = iter(spans)
    while part := list(islice(rest, SPANS_PER_REQUEST)):
        yield encode_export(part), len(part)
