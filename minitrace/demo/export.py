"""The shop's traces to a running server, by OTLP over HTTP.

Spec: https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError as ProtobufError

from minitrace import present
from minitrace.demo.shop import shop_trace
from minitrace.errors import ConfigError, MinitraceError
from minitrace.model import Span
from minitrace.otlp import messages
from minitrace.otlp.encode import encode_export

BACKFILL_NS = 15 * 60 * 1_000_000_000
TRACES_PER_REQUEST = 50  # about 850 spans, 320 kB
TIMEOUT_S = 10
TRIES = 6
LONGEST_WAIT_S = 30
REPORT_EVERY_S = 1

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
) -> int:
    """Send `backfill` traces of the last 15 minutes at once, then `count` live ones at `rate` a second.

    Returns how many spans the server acknowledged. `stop` ends it early, between two requests or
    while it waits. The same `seed` gives the same traces, but for their times. `report` gets a line
    of progress at most once a second, and a last one at the end.

    Raises:
        ConfigError: `endpoint` or `rate` makes no sense.
        MinitraceError: nobody answers, or the server does not take the spans.
    """
    if rate <= 0:
        raise ConfigError(f"rate {rate:g} is not a number of traces a second: use one above 0")
    rng = random.Random(seed)  # noqa: S311 (nothing here is secret)
    pause = _Pause(stop or threading.Event())
    progress = _Progress(report)
    with closing(_Exporter(endpoint, token, pause)) as exporter, suppress(_Stopped):
        for traces in _in_groups(_history(rng, backfill, time.time_ns()), TRACES_PER_REQUEST):
            pause.wait(0)
            progress.add(len(traces), exporter.export([span for trace in traces for span in trace]))
        due_s = time.monotonic()
        for _ in range(count):
            pause.wait(due_s - time.monotonic())
            progress.add(1, exporter.export(shop_trace(rng, time.time_ns())))
            # After a delay the rate goes on as before, rather than making up for it.
            due_s = max(due_s + 1 / rate, time.monotonic())
    progress.tell()
    return progress.spans


def _history(rng: random.Random, count: int, now_ns: int) -> Iterator[list[Span]]:
    """Traces spread at random over the last 15 minutes, the oldest first."""
    for age_ns in sorted((rng.randrange(BACKFILL_NS) for _ in range(count)), reverse=True):
        yield shop_trace(rng, now_ns - age_ns)


def _in_groups(traces: Iterator[list[Span]], size: int) -> Iterator[list[list[Span]]]:
    """`itertools.batched`, which Python has from 3.12."""
    group: list[list[Span]] = []
    for trace in traces:
        group.append(trace)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


class _Stopped(Exception):
    """Somebody set `stop`."""


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
        self.traces = 0
        self.spans = 0
        self._report = report
        self._told_traces = 0
        self._told_s = time.monotonic()

    def add(self, traces: int, spans: int) -> None:
        """Count one request's; a line if the last one is a second old."""
        self.traces += traces
        self.spans += spans
        if time.monotonic() - self._told_s >= REPORT_EVERY_S:
            self.tell()

    def tell(self) -> None:
        """A line, unless it would repeat the one before."""
        if self.traces == self._told_traces:
            return
        self._report(f"sent {present.count(self.traces, 'trace')}, {present.count(self.spans, 'span')}")
        self._told_traces, self._told_s = self.traces, time.monotonic()


class _Exporter:
    """One server and the connection to it, which stays open between requests."""

    def __init__(self, endpoint: str, token: str, pause: _Pause) -> None:
        self._endpoint = endpoint
        self._token = token
        self._pause = pause
        self._connection, self._path = _connection(endpoint)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def export(self, spans: list[Span]) -> int:
        """How many of these spans the server acknowledged. While it is busy, try again."""
        body = encode_export(spans)
        for _ in range(TRIES):
            try:
                response, answer = self._post(body)
            except (HTTPException, OSError) as error:
                raise MinitraceError(
                    f"no minitrace answers at {self._endpoint}; "
                    'start one with "minitrace", or name another with --endpoint'
                ) from error
            if response.status == 200:
                return len(spans) - _rejected(answer)
            if response.status not in (429, 503):
                raise MinitraceError(self._refusal(response, answer))
            self._pause.wait(_retry_after_s(response))
        raise MinitraceError(f"{self._refusal(response, answer)} ({TRIES} times); try again later")

    def _post(self, body: bytes) -> tuple[HTTPResponse, bytes]:
        was_open = self._connection.sock is not None
        try:
            return self._exchange(body)
        except ConnectionError:
            # A server may close a connection that was idle.
            if not was_open:
                raise
            return self._exchange(body)

    def _exchange(self, body: bytes) -> tuple[HTTPResponse, bytes]:
        headers = {"Content-Type": PROTOBUF, "User-Agent": "minitrace-demo"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            # A server may answer before it has read the whole body: that it wants a token, say.
            with suppress(BrokenPipeError):
                self._connection.request("POST", self._path, body, headers)
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
    """A connection to an endpoint, not open yet, and the path to send traces to."""
    try:
        url = urlsplit(endpoint)
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if not host or url.scheme not in ("http", "https"):
        raise ConfigError(f"endpoint {endpoint!r} is not a URL such as http://localhost:4318")
    connection = HTTPSConnection if url.scheme == "https" else HTTPConnection
    return connection(host, port, timeout=TIMEOUT_S), f"{url.path.rstrip('/')}/v1/traces"


def _rejected(answer: bytes) -> int:
    """How many spans an ExportTraceServiceResponse says were not stored; 0 if it is not one."""
    try:
        response = messages.ExportTraceServiceResponse.FromString(answer)
    except ProtobufError:
        return 0
    return int(response.partial_success.rejected_spans)


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
