"""Seeded traces as a fleet of twenty services would export them, already encoded.

One resource and at most 512 spans a request, 5 to 80 spans a trace and two long traces, ten attributes a span,
eight a resource, events on a tenth of the spans, some of them with a stack trace, 2 % errors, 2 % links: about
500 bytes a span. Values come as often as they do in life: a handful of methods, hundreds of routes, a session
for each trace, a URL of its own for many a span; four new key=value pairs on five spans.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from minitrace.otlp import messages

SPANS_PER_REQUEST = 512
START_NS = 1_700_000_000_000_000_000
TRACES_IN_FLIGHT = 1_200  # whose spans wait together in their exporters
LONG_TRACES = {40: 1_000, 400: 10_000}  # the spans of the 40th and the 400th trace

SERVICES = [
    "frontend", "cart", "checkout", "payment", "shipping", "inventory", "pricing", "search", "recommendation",
    "reviews", "accounts", "auth", "mailer", "ledger", "invoices", "fraud", "warehouse", "catalog", "media", "gateway",
]  # fmt: skip
METHODS = ["GET", "GET", "GET", "POST", "PUT", "DELETE"]
STATUSES = [200] * 80 + [201] * 8 + [204] * 4 + [301, 304, 400, 401, 404, 404, 409, 429]
TABLES = ["orders", "users", "items", "stock", "payments", "sessions", "prices", "reviews", "audit", "events"]
WORDS = [
    "timeout", "connection", "refused", "upstream", "deadline", "exceeded", "invalid", "token", "missing", "retry",
    "overflow", "handshake", "certificate", "expired", "partition", "leader", "quorum", "checksum", "mismatch", "quota",
]  # fmt: skip

_KINDS = {"server": 2, "client": 3, "internal": 1, "producer": 4}


class Corpus:
    """The traces of one seed; `trace_ids` and `sizes` tell of each trace made, in order."""

    def __init__(self, seed: int = 1) -> None:
        self.trace_ids: list[bytes] = []
        self.sizes: list[int] = []
        self._rng = random.Random(seed)
        self._known: dict[tuple[str, object], bytes] = {}
        self._resources = [self._resource(name, n) for name in SERVICES for n in range(2 + len(name) % 2)]
        self._now_ns = START_NS
        self._nouns = self._verbs = WORDS

    def requests(self, spans: int) -> Iterator[tuple[bytes, int]]:
        """Serialized ExportTraceServiceRequests, each with the number of its spans, until `spans` were made."""
        waiting: list[list[bytes]] = [[] for _ in self._resources]
        made = 0
        while made < spans:
            made += self._trace(waiting)
            is_last = made >= spans
            if is_last or len(self.sizes) % TRACES_IN_FLIGHT == 0:
                for resource, group in zip(self._resources, waiting, strict=True):
                    while len(group) >= SPANS_PER_REQUEST or (group and is_last):
                        part = group[:SPANS_PER_REQUEST]
                        del group[:SPANS_PER_REQUEST]
                        yield _request(resource, part), len(part)

    def _trace(self, waiting: list[list[bytes]]) -> int:
        """Make one trace; its spans go to the exporters of five services. Returns how many they are."""
        rng = self._rng
        trace_id = rng.randbytes(16)
        size = LONG_TRACES.get(len(self.sizes), min(80, 5 + int(rng.expovariate(1 / 21))))
        self._now_ns += rng.randrange(1_000_000, 40_000_000)
        instances = rng.sample(range(len(self._resources)), 5)
        session, user = f"s-{rng.getrandbits(48):012x}", rng.randrange(20_000)
        ids = [rng.randbytes(8) for _ in range(size)]
        start_ns = self._now_ns
        for number, span_id in enumerate(ids):
            parent = ids[rng.randrange(max(0, number - 12), number)] if number else b""
            start_ns += rng.randrange(10_000, 900_000)
            instance = instances[number % 5 if number else 0]
            self._nouns = TABLES[instance % 9 :][:2]  # a service's operations are its own, some ninety of them
            self._verbs = WORDS[instance % 14 :][:6]
            waiting[instance].append(self._span(trace_id, span_id, parent, start_ns, session, user))
        self.trace_ids.append(trace_id)
        self.sizes.append(size)
        return size

    def _span(self, trace_id: bytes, span_id: bytes, parent: bytes, start_ns: int, session: str, user: int) -> bytes:
        rng = self._rng
        kind = (
            "server" if not parent else rng.choice(("server", "client", "client", "internal", "internal", "producer"))
        )
        name, attributes = getattr(self, f"_{kind}")()
        attributes += [
            self._often("session.id", session),
            self._often("enduser.id", f"user-{user}"),
            self._often("thread.id", rng.randrange(64)),
            self._often("thread.name", f"worker-{rng.randrange(64)}"),
        ]
        span = messages.RawSpan(
            trace_id=trace_id,
            span_id=span_id,
            parent_span_id=parent,
            flags=0x101,
            name=name,
            kind=_KINDS[kind],
            start_time_unix_nano=start_ns,
            end_time_unix_nano=start_ns + int(rng.lognormvariate(15, 1.6)),
            attributes=attributes,
        )
        fails = rng.random() < 0.02
        if fails:
            span.status = messages.SpanStatus(code=2, message=self._sentence(3)).SerializeToString()
        if fails or rng.random() < 0.08:
            span.events.append(self._event(start_ns, fails))
        if rng.random() < 0.02 and self.trace_ids:
            link = messages.RawLink(trace_id=rng.choice(self.trace_ids), span_id=rng.randbytes(8))
            link.attributes.append(self._often("messaging.operation", "receive"))
            span.links.append(link.SerializeToString())
        content: bytes = span.SerializeToString()
        return content

    def _server(self) -> tuple[str, list[bytes]]:
        rng = self._rng
        method, route = rng.choice(METHODS), f"/api/v1/{rng.choice(self._nouns)}/{{id}}/{rng.choice(self._verbs)}"
        url = f"https://shop.example{route}?page={rng.randrange(30)}".replace("{id}", str(rng.randrange(1_000_000)))
        return f"{method} {route}", [
            self._often("http.request.method", method),
            self._often("http.route", route),
            self._once("url.full", url),
            self._often("http.response.status_code", 503 if rng.random() < 0.004 else rng.choice(STATUSES)),
            self._often("server.address", f"{rng.choice(SERVICES)}.internal"),
            self._often("network.protocol.version", "1.1"),
        ]

    def _client(self) -> tuple[str, list[bytes]]:
        rng = self._rng
        table, verb = rng.choice(self._nouns), rng.choice(("SELECT", "SELECT", "SELECT", "INSERT INTO", "UPDATE"))
        columns = "(id, created_at, updated_at, state, total)"
        condition = f"{rng.choice(TABLES)}_{rng.choice(WORDS)} = $1 AND id = {rng.randrange(100_000)}"
        query = f"{verb} {table} {columns} WHERE {condition}"
        return f"{verb} {table}", [
            self._often("db.system.name", "postgresql"),
            self._often("db.namespace", f"shop-{rng.randrange(4)}"),
            self._once("db.query.text", query),
            self._often("db.collection.name", table),
            self._often("db.response.returned_rows", rng.randrange(1_000)),
            self._often("server.port", 5432),
        ]

    def _internal(self) -> tuple[str, list[bytes]]:
        rng = self._rng
        function = f"{rng.choice(self._nouns)}_{rng.choice(self._verbs)}"
        return f"{function}()", [
            self._often("code.function.name", f"shop.{function}"),
            self._often("code.file.path", f"/srv/shop/{function}.py"),
            self._often("code.line.number", rng.randrange(500)),
            self._often("cache.hit", rng.random() < 0.8),
            self._often("feature.flag", f"flag-{rng.randrange(40)}"),
            self._often("items.count", rng.randrange(200)),
        ]

    def _producer(self) -> tuple[str, list[bytes]]:
        rng = self._rng
        topic = f"{rng.choice(self._nouns)}.{rng.choice(self._verbs)}"
        return f"publish {topic}", [
            self._often("messaging.system", "kafka"),
            self._often("messaging.destination.name", topic),
            self._often("messaging.destination.partition.id", str(rng.randrange(12))),
            self._once("messaging.message.id", f"{rng.getrandbits(64):016x}"),
            self._often("messaging.message.body.size", rng.randrange(4_000)),
            self._often("messaging.batch.message_count", rng.randrange(1, 50)),
        ]

    def _event(self, start_ns: int, fails: bool) -> bytes:
        if not fails:
            attributes = [self._often("cache.key", f"key-{self._rng.randrange(5_000)}")]
            content: bytes = messages.RawEvent(
                time_unix_nano=start_ns + 5_000, name="cache.miss", attributes=attributes
            ).SerializeToString()
            return content
        frames = "\n".join(
            f'  File "/srv/shop/{self._rng.choice(TABLES)}.py", line {line}, in {self._rng.choice(WORDS)}'
            for line in range(10, 130, 10)
        )
        attributes = [
            self._often("exception.type", self._rng.choice(("TimeoutError", "ValueError", "ConnectionError"))),
            self._once("exception.message", self._sentence(5)),
            self._once("exception.stacktrace", f"Traceback (most recent call last):\n{frames}"),
        ]
        event = messages.RawEvent(time_unix_nano=start_ns + 9_000, name="exception", attributes=attributes)
        return bytes(event.SerializeToString())

    def _sentence(self, words: int) -> str:
        return " ".join(self._rng.choices(WORDS, k=words))

    def _resource(self, service: str, instance: int) -> bytes:
        content: bytes = messages.Resource(
            attributes=[
                _key_value("service.name", service),
                _key_value("service.version", f"1.{len(service)}.{instance}"),
                _key_value("service.instance.id", f"{service}-{instance}"),
                _key_value("deployment.environment.name", "laptop"),
                _key_value("host.name", f"node-{(len(service) + instance) % 7}"),
                _key_value("process.pid", 1_000 + 10 * len(service) + instance),
                _key_value("telemetry.sdk.language", ("python", "go", "java", "nodejs")[len(service) % 4]),
                _key_value("telemetry.sdk.name", "opentelemetry"),
            ]
        ).SerializeToString()
        return content

    def _often(self, key: str, value: str | int | bool) -> bytes:
        """A serialized KeyValue that is worth remembering."""
        pair = (key, value)
        if pair not in self._known:
            if len(self._known) > 100_000:
                self._known.clear()
            self._known[pair] = _key_value(key, value).SerializeToString()
        return self._known[pair]

    @staticmethod
    def _once(key: str, value: str) -> bytes:
        content: bytes = _key_value(key, value).SerializeToString()
        return content


def _key_value(key: str, value: str | int | bool) -> messages.Message:
    kind = {bool: "bool_value", int: "int_value", str: "string_value"}[type(value)]
    message: messages.Message = messages.KeyValue(key=key, value={kind: value})
    return message


def _request(resource: bytes, spans: list[bytes]) -> bytes:
    scope = messages.InstrumentationScope(name="shop.tracing", version="2.1.0").SerializeToString()
    scope_spans = messages.RawScopeSpans(scope=scope, spans=spans)
    group = messages.RawResourceSpans(resource=resource, scope_spans=[scope_spans])
    content: bytes = messages.RawTracesData(resource_spans=[group]).SerializeToString()
    return content
