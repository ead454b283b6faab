"""The shop's traces and logs to a running server, by OTLP over HTTP.

Spec: https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from google.protobuf.message import DecodeError as ProtobufError

from minitrace import present
from minitrace.demo.incident import EXHAUSTED, Incident
from minitrace.demo.journal import journal
from minitrace.demo.services import Release
from minitrace.demo.shop import Telemetry, shop_request
from minitrace.errors import ConfigError, MinitraceError
from minitrace.otlp import messages
from minitrace.otlp.encode import encode_export, encode_logs

BACKFILL_NS = 15 * 60 * 1_000_000_000
REQUESTS_AT_ONCE = 50  # about 850 spans, 320 kB, and 150 log records
TIMEOUT_S = 10
TRIES = 6
LONGEST_WAIT_S = 30
REPORT_EVERY_S = 10

PROTOBUF = "application/x-protobuf"


def send(
    endpoint: str,
    *,
    count: int,
    rate: float,
    backfill: int,
    token: str = "",
    seed: int | None = None,
    stop: threading.Event | None = None,
    report: Callable[[str], None] = print,
    announce: Callable[[str], None] = print,
    release: Release | None = None,
) -> int:
    """Send `backfill` traces of the last 15 minutes at once, then `count` live ones at `rate` a second; logs, too.

    Returns how many spans the server acknowledged. `stop` ends it early, between two requests or
    while it waits. The same `seed` gives the same traces, but for their times;
    `release` is what is deployed. `report` gets a line
    of progress every ten seconds, and a last one at the end. Where payments were slow for a while (`Incident`),
    `announce` is told when, and where to look, once that was sent; `report` at the end again.

    Raises:
        ConfigError: `endpoint` or `rate` makes no sense.
        MinitraceError: nobody answers, or the server does not take the spans.
    """
    if rate <= 0:
        raise ConfigError(f"rate {rate:g} is not a number of traces a second: use one above 0")
    rng = random.Random(seed)  # noqa: S311 (nothing here is secret)
    release = release or Release()
    pause = _Pause(stop or threading.Event())
    progress = _Progress(report)
    history = _History(backfill, time.time_ns(), release)
    with closing(_Exporter(endpoint, token, pause)) as exporter, suppress(_Stopped):
        for requests in _in_groups(history.requests(rng), REQUESTS_AT_ONCE):
            pause.wait(0)
            progress.add(len(requests), exporter.export(_joined(requests)))
        if history.is_slow:
            progress.tell()
            announce(history.remark(endpoint))
        due_s = time.monotonic()
        for _ in range(count):
            pause.wait(due_s - time.monotonic())
            progress.add(1, exporter.export(shop_request(rng, time.time_ns(), release)))
            # After a delay the rate goes on as before, rather than making up for it.
            due_s = max(due_s + 1 / rate, time.monotonic())
    progress.tell()
    if history.is_slow and count:
        report(history.remark(endpoint))
    return progress.spans


class _History:
    """The last 15 minutes of the shop, with payments that are slow for a while; `is_slow` once one was made."""

    def __init__(self, count: int, now_ns: int, release: Release) -> None:
        self.is_slow = False
        self._count = count
        self._start_ns, self._now_ns = now_ns - BACKFILL_NS, now_ns
        self._release = release
        self._incident = Incident.before(now_ns)

    def requests(self, rng: random.Random) -> Iterator[Telemetry]:
        """Requests spread at random, the oldest first; with that comes what is logged outside of them."""
        outside = journal(self._release, self._start_ns, self._now_ns, self._incident)
        for age_ns in sorted((rng.randrange(BACKFILL_NS) for _ in range(self._count)), reverse=True):
            spans, records = shop_request(rng, self._now_ns - age_ns, self._release, self._incident)
            self.is_slow = self.is_slow or any(record.body == EXHAUSTED for record in records)
            yield Telemetry(spans, [*outside, *records])
            outside = []

    def remark(self, endpoint: str) -> str:
        """When payments were slow, and where to look."""
        start, end = (present.clock(ns)[:5] for ns in (self._incident.start_ns, self._incident.end_ns))
        # Not relative to now: the line is read later, too.
        times = {name: f"{present.iso(ns)[:19]}Z" for name, ns in (("from", self._start_ns), ("to", self._now_ns))}
        query = urlencode(times, safe=":")
        return f"the shop's payments were slow from {start} to {end}: {endpoint.rstrip('/')}/red?{query} shows where"


def _in_groups(requests: Iterator[Telemetry], size: int) -> Iterator[list[Telemetry]]:
    """`itertools.batched`, which Python has from 3.12."""
    group: list[Telemetry] = []
    for request in requests:
        group.append(request)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _joined(requests: list[Telemetry]) -> Telemetry:
    spans, records = zip(*requests, strict=True)
    return Telemetry(list(chain(*spans)), list(chain(*records)))


class _Stopped(Exception):
    """Somebody set `stop`."""


class _UnknownPath(MinitraceError):
    """The server does not take this signal."""


class _Pause:
    """Waiting that ends when `stop` is set."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def wait(self, seconds: float) -> None:
        """Wait; raises `_Stopped` as soon as somebody says so."""
        if self._stop.wait(seconds):
            raise _Stopped


class _Progress:
    """Counts what was acknowledged, and says so now and then."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self.spans = 0
        self._traces = 0
        self._records = 0
        self._report = report
        self._told_traces = 0
        self._told_s = time.monotonic()

    def add(self, traces: int, sent: _Sent) -> None:
        """Count what was sent at once; a line if the last one is long ago."""
        self.spans += sent.spans
        self._traces += traces
        self._records += sent.records
        if time.monotonic() - self._told_s >= REPORT_EVERY_S:
            self.tell()

    def tell(self) -> None:
        """A line, unless it would repeat the one before."""
        if self._traces == self._told_traces:
            return
        counts = (self._traces, "trace"), (self.spans, "span"), (self._records, "log record")
        self._report("sent " + ", ".join(present.count(*one) for one in counts))
        self._told_traces, self._told_s = self._traces, time.monotonic()


class _Sent(NamedTuple):
    """How much of it a server acknowledged."""

    spans: int
    records: int


class _Exporter:
    """One server and the connection to it, which stays open between requests."""

    def __init__(self, endpoint: str, token: str, pause: _Pause) -> None:
        self._endpoint = endpoint
        self._token = token
        self._pause = pause
        self._connection, self._path = _connection(endpoint)
        self._takes_logs = True

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def export(self, telemetry: Telemetry) -> _Sent:
        """How much of it the server acknowledged. While it is busy, try again."""
        spans, records = telemetry
        rejected = rejected_records = 0
        if spans:
            answer = self._post("/v1/traces", encode_export(spans))
            rejected = _partial_success(messages.ExportTraceServiceResponse, answer).rejected_spans
        if not self._takes_logs:
            records = []
        try:
            if records:
                answer = self._post("/v1/logs", encode_logs(records))
                rejected_records = _partial_success(messages.ExportLogsServiceResponse, answer).rejected_log_records
        except _UnknownPath:  # of a server that takes spans alone
            self._takes_logs, records = False, []
        return _Sent(len(spans) - rejected, len(records) - rejected_records)

    def _post(self, path: str, body: bytes) -> bytes:
        for _ in range(TRIES):
            try:
                response, answer = self._reconnecting(path, body)
            except (HTTPException, OSError) as error:
                raise MinitraceError(
                    f"no minitrace answers at {self._endpoint}; "
                    'start one with "minitrace", or name another with --endpoint'
                ) from error
            if response.status == 200:
                return answer
            if response.status in (404, 405, 501):
                raise _UnknownPath(self._refusal(response, answer))
            if response.status not in (429, 503):
                raise MinitraceError(self._refusal(response, answer))
            self._pause.wait(_retry_after_s(response))
        raise MinitraceError(f"{self._refusal(response, answer)} ({TRIES} times); try again later")

    def _reconnecting(self, path: str, body: bytes) -> tuple[HTTPResponse, bytes]:
        was_open = self._connection.sock is not None
        try:
            return self._exchange(path, body)
        except ConnectionError:
            # A server may close a connection that was idle.
            if not was_open:
                raise
            return self._exchange(path, body)

    def _exchange(self, path: str, body: bytes) -> tuple[HTTPResponse, bytes]:
        headers = {"Content-Type": PROTOBUF, "User-Agent": "minitrace-demo"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            # A server may answer before it has read the whole body: that it wants a token, say.
            with suppress(BrokenPipeError):
                self._connection.request("POST", self._path + path, body, headers)
            response = self._connection.getresponse()
            return response, response.read()
        except BaseException:
            self._connection.close()
            raise

    def _refusal(self, response: HTTPResponse, answer: bytes) -> str:
        if response.status == 401 and self._token:
            return f"{self._endpoint} does not take this token; pass its own with --token or MINITRACE_TOKEN"
        if response.status == 401:
            return f"{self._endpoint} wants a token; pass it with --token or MINITRACE_TOKEN"
        return f"{self._endpoint} answered {response.status}: {_reason(response, answer)}"


def _connection(endpoint: str) -> tuple[HTTPConnection, str]:
    """A connection to an endpoint, not open yet, and the path that it begins with."""
    try:
        url = urlsplit(endpoint)
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if not host or url.scheme not in ("http", "https"):
        raise ConfigError(f"endpoint {endpoint!r} is not a URL such as http://localhost:4318")
    connection = HTTPSConnection if url.scheme == "https" else HTTPConnection
    return connection(host, port, timeout=TIMEOUT_S), url.path.rstrip("/")


def _partial_success(message: Any, answer: bytes) -> Any:
    """What an answer of this kind says about what was not stored; nothing if it is not one."""
    try:
        return message.FromString(answer).partial_success
    except ProtobufError:
        return message().partial_success


def _reason(response: HTTPResponse, answer: bytes) -> str:
    """The first line of what the server says about an error: OTLP's Status, or text."""
    text = answer.decode(errors="replace")
    if response.headers.get_content_type() == PROTOBUF:
        with suppress(ProtobufError):
            text = messages.Status.FromString(answer).message
    lines = text.strip().splitlines()
    return present.printable(lines[0][:200] if lines else response.reason)


def _retry_after_s(response: HTTPResponse) -> float:
    """How long the server wants us to wait; a second if it does not say, half a minute at most."""
    text = response.headers.get("Retry-After", "")
    return min(int(text), LONGEST_WAIT_S) if text.isdecimal() else 1
