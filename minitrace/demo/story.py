"""A clock and `with` blocks to spans.

A block is a span: it starts and ends where the clock stands, below the block around it. Time
passes only where the story says so, which makes the times of all spans agree.

```
with story.serve(FRONTEND, "GET", "/cart", "/cart"):                GET /cart
    with story.rpc(CART, "shop.cart.v1.Cart/Get"):                  └── shop.cart.v1.Cart/Get      client
        story.redis("HGETALL cart:7", ms=0.6)                           └── shop.cart.v1.Cart/Get  server
    story.work(4)                                                           └── HGETALL
```

A `Failure` that leaves a block marks its span as ERROR, with the exception where it was raised, which is logged there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from random import Random

from minitrace.demo.failures import Failure
from minitrace.demo.services import Release, Service
from minitrace.model import Attributes, Event, Kind, Link, LogRecord, Severity, Span, Status, StatusCode

MS = 1_000_000
NETWORK_MS = 0.35  # one way, within a cluster
SPREAD = 0.45  # sigma of the lognormal latencies: one in twenty takes twice the median or more

HTTP_STATUS = "http.response.status_code"
RPC_STATUS = "rpc.response.status_code"
_KEY = "messaging.kafka.message.key"
_OF_ONE_MESSAGE = (_KEY, "messaging.kafka.offset", "messaging.message.body.size")
PORTS = {"postgresql": 5432, "mysql": 3306}

SAMPLED = 0x01
PARENT_KNOWN = 0x100  # OTLP's SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE
PARENT_REMOTE = 0x200

Block = AbstractContextManager[Span]
_RELEASE = Release()


class Story:
    """What happens, on one clock that starts at 0; `finish` gives it a date.

    `is_short_of_connections` says that payments have to wait for their database. `records` is what was logged.
    """

    def __init__(self, rng: Random, release: Release | None = None, *, is_short_of_connections: bool = False) -> None:
        self.rng = rng
        self.release = release or _RELEASE
        self.is_short_of_connections = is_short_of_connections
        self.records: list[LogRecord] = []
        self.now_ns = 0
        self._spans: list[Span] = []
        self._open: list[tuple[Service, Span]] = []  # the innermost last

    def finish(self, end_ns: int) -> list[Span]:
        """All spans, in order of start, the last of them ending at `end_ns`; `records` are dated alike."""
        shift = end_ns - max(span.end_ns for span in self._spans)
        for span in self._spans:
            span.start_ns += shift
            span.end_ns += shift
            for event in span.events:
                event.time_ns += shift
        dated = ((record, record.time_ns + shift) for record in self.records)
        self.records = [replace(record, time_ns=time_ns, observed_ns=time_ns) for record, time_ns in dated]
        return sorted(self._spans, key=lambda span: span.start_ns)

    # Time and chance

    def work(self, ms: float, spread: float = SPREAD) -> None:
        """Let time pass: `ms` is the median, with a long tail."""
        self.now_ns += max(1, int(ms * MS * self.rng.lognormvariate(0, spread)))

    def chance(self, probability: float) -> bool:
        """Whether it happens this time."""
        return self.rng.random() < probability

    @contextmanager
    def parallel(self) -> Iterator[Callable[[], AbstractContextManager[None]]]:
        """What happens at once: every ``with branch():`` inside starts here; after it the slowest is done."""
        fork_ns = slowest_ns = self.now_ns

        @contextmanager
        def branch() -> Iterator[None]:
            nonlocal fork_ns, slowest_ns
            fork_ns += self.rng.randint(20_000, 90_000)  # one task starts the next
            self.now_ns = fork_ns
            try:
                yield
            finally:
                slowest_ns = max(slowest_ns, self.now_ns)

        try:
            yield branch
        finally:
            self.now_ns = max(slowest_ns, self.now_ns)

    # Spans within a service

    @property
    def here(self) -> Service:
        """The service that is at work."""
        return self._open[-1][0]

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Attributes | None = None,
        *,
        role: str = "app",
        kind: Kind = Kind.INTERNAL,
        service: Service | None = None,
        parent: Span | None = None,
        links: Sequence[Link] = (),
    ) -> Iterator[Span]:
        """A span of the service at work, or of `service`; a root if there is nothing to be below."""
        if parent is None and self._open:
            parent = self._open[-1][1]
        service = service or self.here
        remote = PARENT_REMOTE if parent and kind in (Kind.SERVER, Kind.CONSUMER) else 0
        span = Span(
            trace_id=parent.trace_id if parent else self.rng.randbytes(16),
            span_id=self.rng.randbytes(8),
            parent_id=parent.span_id if parent else b"",
            name=name,
            kind=kind,
            start_ns=self.now_ns,
            end_ns=self.now_ns,
            attributes=dict(attributes or {}),
            links=list(links),
            flags=SAMPLED | PARENT_KNOWN | remote,
            resource=self.release.resource(service),
            scope=service.scopes[role],
        )
        self._spans.append(span)
        self._open.append((service, span))
        try:
            yield span
        except Failure as failure:
            self._record(failure, span)
            raise
        finally:
            self._open.pop()
            span.end_ns = self.now_ns

    def leaf(
        self,
        name: str,
        attributes: Attributes,
        *,
        role: str,
        kind: Kind,
        ms: float,
        spread: float = SPREAD,
        fails: Failure | None = None,
    ) -> Span:
        """A span with nothing below it, that may end by raising `fails`."""
        with self.span(name, attributes, role=role, kind=kind) as span:
            self.work(ms, spread)
            if fails:
                raise fails
        return span

    def event(self, name: str, attributes: Attributes | None = None) -> None:
        """Something happens within the innermost span."""
        self._open[-1][1].events.append(Event(self.now_ns, name, attributes or {}))

    def log(self, severity: Severity, body: str, attributes: Attributes | None = None) -> None:
        """The service at work says something, in the innermost span."""
        service, span = self._open[-1]
        said = self.release.record(service, self.now_ns, severity, body, attributes)
        self.records.append(replace(said, trace_id=span.trace_id, span_id=span.span_id, flags=SAMPLED))

    def _record(self, failure: Failure, span: Span) -> None:
        span.status = Status(StatusCode.ERROR, failure.message)
        span.attributes["error.type"] = failure.error_type
        if failure.is_recorded:
            return
        failure.is_recorded = True
        exception: Attributes = {
            "exception.type": failure.error_type,
            "exception.message": failure.message,
            "exception.stacktrace": failure.stacktrace,
        }
        span.events.append(Event(self.now_ns, "exception", exception))
        severity = Severity.ERROR if failure.http_status >= 500 else Severity.WARN
        self.log(severity, f"{span.name}: {failure.message}", exception)

    # Requests between services

    @contextmanager
    def serve(
        self, service: Service, method: str, route: str, path: str, attributes: Attributes | None = None
    ) -> Iterator[Span]:
        """A service answers an HTTP request; from outside the shop if nothing is open."""
        path, _, query = path.partition("?")
        described: Attributes = {
            "http.request.method": method,
            "http.route": route,
            "url.path": path,
            **({"url.query": query} if query else {}),
            "url.scheme": "http",
            "server.address": service.name,
            "server.port": service.port,
            "network.protocol.version": "1.1",
            HTTP_STATUS: 200,
            **(attributes or {}),
        }
        name = f"{method} {route}"
        with self.span(name, described, role="server", kind=Kind.SERVER, service=service) as server:
            self.work(0.2)
            try:
                yield server
            except Failure as failure:
                server.attributes[HTTP_STATUS] = failure.http_status
                raise
            self.work(0.1)

    @contextmanager
    def call(self, service: Service, method: str, route: str, path: str) -> Iterator[Span]:
        """The service at work calls another one by HTTP; yields the span of the one called."""
        described: Attributes = {
            "http.request.method": method,
            "url.full": f"http://{service.name}:{service.port}{path}",
            "url.template": route,
            "server.address": service.name,
            "server.port": service.port,
        }
        with self.span(f"{method} {route}", described, role="client", kind=Kind.CLIENT) as client:
            self.work(NETWORK_MS)
            try:
                with self.serve(service, method, route, path) as server:
                    yield server
            except Failure as failure:
                failure.leave(service, str(failure.http_status))
                raise
            finally:
                self.work(NETWORK_MS)
                client.attributes[HTTP_STATUS] = server.attributes[HTTP_STATUS]

    @contextmanager
    def rpc(self, service: Service, method: str) -> Iterator[Span]:
        """The service at work calls another one by gRPC; yields the span of the one called."""
        described: Attributes = {
            "rpc.system.name": "grpc",
            "rpc.method": method,
            "server.address": service.name,
            "server.port": service.port,
            RPC_STATUS: "OK",
        }
        with self.span(method, described, role="grpc", kind=Kind.CLIENT) as client:
            self.work(NETWORK_MS)
            try:
                with self.span(method, described, role="grpc", kind=Kind.SERVER, service=service) as server:
                    self.work(0.15)
                    yield server
            except Failure as failure:
                client.attributes[RPC_STATUS] = server.attributes[RPC_STATUS] = failure.grpc_status
                failure.leave(service, failure.grpc_status)
                raise
            finally:
                self.work(NETWORK_MS)

    def external(self, method: str, host: str, path: str, *, ms: float, status: int = 200, resend: int = 0) -> Span:
        """A request to somebody who sends us no spans; `resend` counts the tries before it."""
        described: Attributes = {
            "http.request.method": method,
            "url.full": f"https://{host}{path}",
            "url.template": path,
            "server.address": host,
            "server.port": 443,
            HTTP_STATUS: status,
        }
        if resend:
            described["http.request.resend_count"] = resend
        span = self.leaf(f"{method} {path}", described, role="client", kind=Kind.CLIENT, ms=ms)
        if status >= 400:
            span.status = Status(StatusCode.ERROR)
            span.attributes["error.type"] = str(status)
        return span

    # Databases and queues

    def query(
        self,
        text: str,
        *,
        ms: float,
        spread: float = SPREAD,
        rows: int | None = None,
        table: str = "",
        fails: Failure | None = None,
    ) -> Span:
        """An SQL statement, named by its verb and `table`."""
        operation = text.split()[0]
        system = self.here.database
        described: Attributes = {
            "db.system.name": system,
            "db.namespace": self.here.name,
            "db.operation.name": operation,
            "db.query.text": text,
            "server.address": f"{system}.{self.here.name}.internal",
            "server.port": PORTS[system],
        }
        if table:
            described["db.collection.name"] = table
        if rows is not None:
            described["db.response.returned_rows"] = rows
        name = f"{operation} {table}".strip()
        return self.leaf(name, described, role="sql", kind=Kind.CLIENT, ms=ms, spread=spread, fails=fails)

    def connect(self, *, pool_size: int) -> Block:
        """A connection is taken from the pool, which takes no time unless all of them are in use."""
        system = self.here.database
        described: Attributes = {
            "db.system.name": system,
            "db.namespace": self.here.name,
            "db.postgresql.max.client": pool_size,
            "server.address": f"{system}.{self.here.name}.internal",
            "server.port": PORTS[system],
        }
        return self.span("pg-pool.connect", described, role="sql", kind=Kind.CLIENT)

    def redis(self, command: str, *, ms: float = 0.4, hit: bool | None = None) -> Span:
        """A Redis command; `hit` says whether a read found something."""
        operation = command.split()[0]
        described: Attributes = {
            "db.system.name": "redis",
            "db.namespace": "0",
            "db.operation.name": operation,
            "db.query.text": command,
            "server.address": "redis.internal",
            "server.port": 6379,
        }
        if hit is not None:
            described["cache.hit"] = hit
        return self.leaf(operation, described, role="redis", kind=Kind.CLIENT, ms=ms)

    def publish(self, topic: str, key: str) -> Span:
        """The service at work sends a Kafka message; the span is what consumers continue."""
        described: Attributes = {
            "messaging.system": "kafka",
            "messaging.destination.name": topic,
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.partition.id": str(self.rng.randrange(6)),
            "messaging.kafka.offset": self.rng.randint(40_000, 90_000),
            _KEY: key,
            "messaging.message.body.size": self.rng.randint(240, 2_400),
            "server.address": "kafka.internal",
            "server.port": 9092,
        }
        return self.leaf(f"send {topic}", described, role="kafka", kind=Kind.PRODUCER, ms=1.8)

    def consume(self, service: Service, message: Span, *, after_ms: float) -> Block:
        """A worker takes up a message, below its producer, which has ended by then."""
        self.now_ns = message.end_ns
        self.work(after_ms)
        return self._process(service, _received(message.attributes, service), parent=message)

    def consume_apart(self, service: Service, message: Span, *, after_ms: float) -> Block:
        """A worker takes up a message in a trace of its own, with a link to its producer."""
        self.now_ns = message.end_ns
        self.work(after_ms)
        return self._process(service, _received(message.attributes, service), links=[_link(message)])

    def consume_batch(self, messages: Sequence[Span]) -> Block:
        """The service at work takes up messages that were waiting, with a link to each producer."""
        described = _received(messages[0].attributes, self.here)
        for single in _OF_ONE_MESSAGE:
            del described[single]
        described["messaging.batch.message_count"] = len(messages)
        return self._process(self.here, described, links=[_link(message) for message in messages])

    def _process(
        self, service: Service, described: Attributes, parent: Span | None = None, links: Sequence[Link] = ()
    ) -> Block:
        name = "process " + str(described["messaging.destination.name"])
        return self.span(name, described, role="kafka", kind=Kind.CONSUMER, service=service, parent=parent, links=links)


def _received(sent: Attributes, service: Service) -> Attributes:
    return {
        **sent,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": service.name,
    }


def _link(message: Span) -> Link:
    described = {_KEY: message.attributes[_KEY]}
    return Link(message.trace_id, message.span_id, attributes=described, flags=SAMPLED)
