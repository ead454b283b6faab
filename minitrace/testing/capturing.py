"""What belongs to whom: a `Capture` holds the spans of one test, and each span finds the way to its own.

```
in this process     the innermost capture that was active when the span started        active()
from elsewhere      the token in the address it was sent to                            by_token()
                    the trace id that a test handed out with its request               by_trace()
                    the resource's minitrace.test.id                                   by_token()
all others          the session's own                                                  unowned()
```

A capture hands all it takes on to the one it was opened in: a module's sees the spans of all its tests, a test only
its own. Which captures are active is one stack for the whole process, not a context variable: spans start in
threads that know nothing of the test.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from minitrace import model
from minitrace.testing.clock import now
from minitrace.testing.readable import Reader
from minitrace.testing.snapshots import Circumstances as Circumstances
from minitrace.testing.snapshots import Key as Key
from minitrace.testing.snapshots import Origin as Origin
from minitrace.testing.snapshots import Request as Request
from minitrace.testing.snapshots import Seen as Seen
from minitrace.testing.snapshots import Snapshot as Snapshot

if TYPE_CHECKING:
    from minitrace.testing.traces import Traces

MAX_SPANS = 10_000
MAX_REQUESTS = 100  # of a capture, kept for the diagnosis
MAX_ENDED, MAX_ENDED_SPANS = 200, 50_000  # captures that are over and still take what comes late
TEST_ID = "minitrace.test.id"  # the resource attribute that names a capture
OTHER_PLUGINS = {"pytest-opentelemetry", "logfire.pytest"}  # scopes of spans about tests, not by them
_RANK: dict[Origin, int] = {"in-process": 0, "fork": 1, "otlp": 2}


class Capture:
    """The spans of one test. Any thread may add to it, any may look.

    `condition` is notified after every arrival and every end of a span; `listeners` are called then, outside of the
    lock, on the thread that brought the span. `chain` is this capture and those around it, which get all it gets.
    """

    def __init__(
        self,
        *,
        name: str = "",
        max_spans: int = MAX_SPANS,
        exclude_scopes: Collection[str] = (),
        enclosing: Capture | None = None,
        bsp_delay_ms: int = 50,
    ) -> None:
        self.token = secrets.token_hex(8)  # not from `random`, which tests seed
        self.name = name
        self.pid = os.getpid()
        self.chain: tuple[Capture, ...] = (self, *(enclosing.chain if enclosing else ()))
        self.bsp_delay_ms = bsp_delay_ms
        self.condition = threading.Condition()
        self.listeners: set[Callable[[], None]] = set()
        self.elsewhere = 0
        self.arrived_at = float("-inf")  # when another process sent spans last, by the clock of waits
        self._max_spans = max_spans
        self._exclude_scopes = OTHER_PLUGINS | _pytest_otel() | set(exclude_scopes)
        self._seen: list[Seen | Any] = []  # Any: the SDK's own spans, until somebody looks
        self._unread: list[int] = []  # where those are
        self._places: dict[Key, int] = {}  # of the spans in `_seen`
        self._open: dict[Key, str] = {}
        self._dropped = 0
        self._version = 0
        self._snapshot: Snapshot | None = None
        self._reader = Reader()
        self._remote_parent: Key | None = None
        self._requests: deque[Request] = deque(maxlen=MAX_REQUESTS)
        self._excluded: Counter[str] = Counter()
        self._above: dict[Key, bytes] = {}  # the parents of those that are left out, for their children
        self._unsampled = 0

    @property
    def span_count(self) -> int:
        """How many spans it holds."""
        return len(self._seen)

    # What the hub and the receiver bring

    def started(self, key: Key, name: str, scope: str = "", parent_id: bytes = b"") -> None:
        """A span of this process started."""
        for capture in self.chain:
            with capture.condition:
                if not capture._leave_out(key, scope, parent_id):
                    capture._open[key] = name
                    capture._snapshot = None

    def ended(self, span: model.Span) -> None:
        """A span of this process ended."""
        key = span.trace_id, span.span_id
        self.started(key, span.name, span.scope.name, span.parent_id)
        self.ended_unread(key, Seen(span, "in-process", self.pid))

    def ended_unread(self, key: Key, span: Any) -> None:
        """`ended`, with the SDK's ReadableSpan: it is read when somebody looks, not while the program runs."""
        for capture in self.chain:
            with capture.condition:
                if capture._open.pop(key, None) is not None:
                    capture._take(key, span, "in-process")
                capture._changed()
            capture._tell()

    def arrived(self, spans: Sequence[model.Span], origin: Origin) -> None:
        """Spans came from another process."""
        for capture in self.chain:
            with capture.condition:
                for span in spans:
                    capture._arrive(span, origin)
                if origin == "otlp":
                    capture.arrived_at = now()
                capture._changed()
            capture._tell()

    def requested(self, request: Request) -> None:
        """The receiver answered a request."""
        for capture in self.chain:
            capture._requests.append(request)

    def unsampled(self) -> None:
        """A sampler dropped a span that started here."""
        for capture in self.chain:
            with capture.condition:
                capture._unsampled += 1

    # What those who look ask

    def snapshot(self) -> Snapshot:
        """What it holds now; the same object until something happens."""
        with self.condition:
            while (snapshot := self._snapshot) is None:
                version = self._version
                self._read()
                seen = map(self._rehung, tuple(self._seen)) if self._above else self._seen
                snapshot = Snapshot(tuple(seen), self._dropped, tuple(self._open.values()), version)
                if version == self._version:  # else the garbage collector has ended a span meanwhile, on this thread
                    self._snapshot = snapshot
            return snapshot

    def remote_parent(self) -> Key:
        """Trace id and span id for a request to another process, whose spans then come here; always the same."""
        with self.condition:
            if self._remote_parent is None:
                self._remote_parent = secrets.token_bytes(16), secrets.token_bytes(8)
                _by_trace[self._remote_parent[0]] = self
                for capture in self.chain:
                    capture._above[self._remote_parent] = b""  # the test is no span: who continues it is a root
            return self._remote_parent

    def clear(self) -> None:
        """Forget what came so far, and what was dropped; spans that are still open come when they end."""
        with self.condition:
            self._seen.clear()
            self._unread.clear()
            self._places.clear()
            self._dropped = 0
            self._reader = Reader()  # which keeps what it read of providers
            self._changed()
        self._tell()

    def circumstances(self) -> Circumstances:
        """What it knows besides its spans."""
        from minitrace.testing import providers  # it knows of captures

        with self.condition:
            return Circumstances(
                is_sdk_installed=providers.is_sdk_installed(),
                is_sdk_disabled=providers.is_sdk_disabled(),
                provider_count=providers.count(),
                samplers_off=providers.samplers_off(),
                excluded=dict(self._excluded),
                unsampled=self._unsampled,
                requests=tuple(self._requests),
                elsewhere=self.elsewhere,
            )

    # All below with the lock held, but for _tell

    def _arrive(self, span: model.Span, origin: Origin) -> None:
        key = span.trace_id, span.span_id
        if not self._leave_out(key, span.scope.name, span.parent_id):
            pid = span.resource.attributes.get("process.pid")
            self._take(key, Seen(span, origin, pid if isinstance(pid, int) else None), origin)

    def _leave_out(self, key: Key, scope: str, parent_id: bytes) -> bool:
        """Whether a span is left out; if it is, note what is above it."""
        if scope not in self._exclude_scopes:
            return False
        self._excluded[scope] += 1
        self._above[key] = parent_id
        return True

    def _take(self, key: Key, span: Seen | Any, origin: Origin) -> None:
        """Keep a span: one of this process always, others once; what this process made itself tells most."""
        place = self._places.get(key)
        if place is None or origin == self._origin(place) == "in-process":  # ids come twice where tests seed `random`
            self._append(key, span)
        elif _RANK[origin] < _RANK[self._origin(place)]:
            self._put(place, span)

    def _append(self, key: Key, span: Seen | Any) -> None:
        if len(self._seen) >= self._max_spans:
            self._dropped += 1
            return
        self._places[key] = len(self._seen)
        self._seen.append(None)
        self._put(len(self._seen) - 1, span)

    def _put(self, place: int, span: Seen | Any) -> None:
        self._seen[place] = span
        if not isinstance(span, Seen):
            self._unread.append(place)

    def _origin(self, place: int) -> Origin:
        span = self._seen[place]
        return span.origin if isinstance(span, Seen) else "in-process"

    def _read(self) -> None:
        for place in self._unread:
            span = self._reader.span(self._seen[place])
            span.resource.attributes.pop(TEST_ID, None)  # of a provider made in an earlier test, perhaps
            self._seen[place] = Seen(span, "in-process", self.pid)
        self._unread.clear()

    def _rehung(self, one: Seen) -> Seen:
        """A child of spans that are left out hangs from what is above those; where that is not known, it is a root."""
        trace_id, parent_id = one.span.trace_id, one.span.parent_id
        while (trace_id, parent_id) in self._above:
            parent_id = self._above[trace_id, parent_id]
        if parent_id == one.span.parent_id:
            return one
        key = trace_id, parent_id
        is_here = key in self._places or key in self._open
        return replace(one, span=replace(one.span, parent_id=parent_id if is_here else b""))

    def _changed(self) -> None:
        self._version += 1
        self._snapshot = None
        self.condition.notify_all()

    def _tell(self) -> None:
        for listener in tuple(self.listeners):
            listener()


def _pytest_otel() -> set[str]:
    """The scope of pytest-otel's spans: the name of its session, which its users may choose."""
    plugin = sys.modules.get("pytest_otel")
    return {str(plugin.session_name)} if plugin and plugin.session_name else set()


class Unowned(Capture):
    """What belongs to no test; the tests that are running get to know that there is something."""

    def arrived(self, spans: Sequence[model.Span], origin: Origin) -> None:
        """Spans came from another process, and nobody knows for whom."""
        super().arrived(spans, origin)
        for capture in _stack:
            capture.elsewhere += len(spans)

    def requested(self, request: Request) -> None:
        """The receiver answered a request to nobody's endpoint: one that failed may have been meant for any test."""
        super().requested(request)
        if request.status != 200:
            for capture in _stack:
                capture._requests.append(request)


_stack: list[Capture] = []
_ended: deque[Capture] = deque()
_by_token: dict[str, Capture] = {}
_by_trace: dict[bytes, Capture] = {}
_unowned = Unowned(name="no test")
_otherwise: Capture | None = None  # active where no other one is


def active() -> Capture | None:
    """The innermost capture of this process."""
    try:
        return _stack[-1]
    except IndexError:  # asked for and not looked at before: another thread may take the last one away
        return _otherwise


def take_all() -> None:
    """From here on, spans that start while nothing is captured are taken, too: they are the session's own."""
    from minitrace.testing import providers  # they ask which capture is active

    global _otherwise
    _otherwise = _by_token[_unowned.token] = _unowned
    providers.ensure()


def by_token(token: str) -> Capture | None:
    """The capture with a token; one that is over, too, as late spans are still its own."""
    return _by_token.get(token)


def by_trace(trace_id: bytes) -> Capture | None:
    """The capture that handed out a trace id."""
    return _by_trace.get(trace_id)


def unowned() -> Capture:
    """The session's own capture: what belongs to no test."""
    return _unowned


def take_part(token: str, pid: int) -> None:
    """In a child of process `pid`: what starts here belongs to its capture with that token."""
    capture = Capture(name="the parent's")
    capture.token, capture.pid = token, pid
    _by_token[token] = capture
    _stack.append(capture)


def renew_locks() -> None:
    """For a forked child: another thread of the parent may have held one of them, and is not here to let go."""
    for capture in (*_by_token.values(), _unowned):
        capture.condition = threading.Condition()


@contextmanager
def activated(capture: Capture) -> Iterator[None]:
    """The capture is the innermost, and takes what comes for it from then on."""
    _by_token[capture.token] = capture
    _stack.append(capture)
    try:
        yield
    finally:
        _stack.remove(capture)
        _ended.append(capture)
        while len(_ended) > 1 and (len(_ended) > MAX_ENDED or sum(c.span_count for c in _ended) > MAX_ENDED_SPANS):
            _forget(_ended.popleft())


def _forget(capture: Capture) -> None:
    _by_token.pop(capture.token, None)
    if capture._remote_parent:
        _by_trace.pop(capture._remote_parent[0], None)


@contextmanager
def capture(
    *,
    max_spans: int = MAX_SPANS,
    exclude_scopes: Collection[str] = (),
    env: Literal["set", "keep", "off"] = "set",
    name: str = "",
    timeout_s: float = 5.0,
    bsp_delay_ms: int = 50,
    budget_scale: float = 1.0,
    hook: bool = True,
) -> Iterator[Traces]:
    """Capture the spans that start within the block, in whatever thread, and those its child processes send.

    No more than `max_spans` are kept, and none whose instrumentation scope is one of `exclude_scopes`. `env` says
    what becomes of the environment that children inherit: "set" makes them send their spans here, "keep" leaves what
    is set already as it is, "off" changes nothing. `name` is the test's, for messages; `timeout_s` is how long waits
    last; child processes send every `bsp_delay_ms`; time budgets are multiplied by `budget_scale`. Without `hook` the
    tracer providers of this process are left alone, and only what is sent is captured.

    No span is current when the block begins, so its first ones are roots. A capture within another hands on to it all
    that it takes.
    """
    # They look at captures, so they are imported here, where the first one begins.
    from minitrace.testing import providers, surroundings
    from minitrace.testing.traces import Traces

    if hook:
        providers.ensure()
    own = Capture(
        name=name, max_spans=max_spans, exclude_scopes=exclude_scopes, enclosing=_around(), bsp_delay_ms=bsp_delay_ms
    )
    with surroundings.clean_context(), surroundings.environment(own, env), activated(own):
        yield Traces(own, timeout_s=timeout_s, budget_scale=budget_scale)


def _around() -> Capture | None:
    """The active capture, but for that of the process this one was forked from."""
    around = _stack[-1] if _stack else None
    return around if around is not None and around.pid == os.getpid() else None
