"""A running server, asked over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from minitrace import present
from minitrace.asking.source import Answer, Found, LogAnswer
from minitrace.errors import ConfigError, MinitraceError, QueryTimeout, TraceNotFound
from minitrace.model import Trace
from minitrace.otlp.decode import decode_traces
from minitrace.otlp.http import PROTOBUF

TIMEOUT_S = 30  # a query ends earlier by the server's own deadline
LOOK_S = 2  # for a first answer
LONG_S = 1e6  # beyond it is for ever
SHOWN = 500  # characters of what a server says


class Server:
    """One server, on a connection that is kept.

    Raises:
        ConfigError: `url` is no address.
    """

    def __init__(self, url: str, token: str = "", timeout_s: float = TIMEOUT_S) -> None:
        self.name = url.rstrip("/")
        self._connection, self._path = _connection(url, timeout_s)
        self._headers = {"User-Agent": "minitrace"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._token = token

    def answers(self, within_s: float = LOOK_S) -> bool:
        """Whether a minitrace answers there, which is to say neither nobody nor a Collector.

        Raises:
            MinitraceError: one does, and wants another token.
        """
        before_s = self._connection.timeout
        self._wait_at_most(within_s)
        try:
            response, body = self._ask("GET", "/healthz")
        except (HTTPException, OSError):
            return False
        finally:
            self._wait_at_most(before_s)
        if (response.status, body) == (200, b"ok\n"):
            return True
        self.close()
        if response.status == 401:
            raise MinitraceError(self._refusal(response, body))
        return False

    def search(self, parameters: Mapping[str, str]) -> Answer:
        """What ``/api/search`` answers. Raises MinitraceError."""
        return Answer(json.loads(self.get(f"/api/search?{urlencode(parameters)}")))

    def trace(self, trace_id: bytes) -> Trace:
        """A whole trace. Raises TraceNotFound, MinitraceError."""
        # not Tempo's address: that answers with what Grafana can draw, which may be less
        body = self.get(f"/trace/{trace_id.hex()}/otlp.json", accept=PROTOBUF)
        return Trace(trace_id, decode_traces(body, is_json=False).spans)

    def logs(self, parameters: Mapping[str, str]) -> LogAnswer:
        """What ``/api/logs`` answers. Raises MinitraceError."""
        return LogAnswer(json.loads(self.get(f"/api/logs?{urlencode(parameters)}")))

    def arrivals(self, parameters: Mapping[str, str], deadline_s: float) -> Iterator[list[Found]]:
        """What arrives and matches, over a connection of its own. Raises MinitraceError."""
        text = parameters.get("q") or parameters.get("words") or ""
        stream = Server(self.name, self._token)
        try:
            for line in stream._lines(f"/live/traces.ndjson?{urlencode({'q': text})}", deadline_s):
                document = json.loads(line) if line.strip() else {}
                yield [Found(document)] if "traceID" in document else []
        finally:
            stream.close()

    def page(self, trace_id: bytes) -> str:
        """The address of the trace's page."""
        return f"{self.name}/trace/{trace_id.hex()}"

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def get(self, path: str, accept: str = "application/json") -> bytes:
        """What is answered to a path. Raises TraceNotFound, QueryTimeout, MinitraceError."""
        return self._answer("GET", path, {"Accept": accept})

    def post(self, path: str, document: Any) -> bytes:
        """What is answered to a JSON document. Raises MinitraceError."""
        return self._answer("POST", path, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def export(self, body: bytes) -> None:
        """Send spans, as an ExportTraceServiceRequest. Raises MinitraceError."""
        self._answer("POST", "/v1/traces", {"Content-Type": "application/x-protobuf"}, body)

    def _lines(self, path: str, deadline_s: float) -> Iterator[bytes]:
        """The lines of an answer that goes on, as they come; an empty one when it begins. Raises MinitraceError."""
        try:
            self._connection.request("GET", self._path + path, headers=self._headers)
            waiting = self._connection.sock  # it is given away if the connection is to be closed
            response = self._connection.getresponse()
            if response.status != 200:
                raise MinitraceError(self._refusal(response, response.read()))
            line = b"\n"
            while line and (left_s := deadline_s - time.monotonic()) > 0:
                yield line
                waiting.settimeout(left_s if left_s < LONG_S else None)
                line = response.readline()
        except TimeoutError:
            return
        except (HTTPException, OSError) as error:
            raise self._silence() from error
        if not line:
            raise self._silence()

    def _answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> bytes:
        try:
            response, answer = self._ask(method, path, headers, body)
        except (HTTPException, OSError) as error:
            raise self._silence() from error
        if 200 <= response.status < 300:
            return answer
        errors = {404: TraceNotFound, 503: QueryTimeout}
        raise errors.get(response.status, MinitraceError)(self._refusal(response, answer))

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> tuple[HTTPResponse, bytes]:
        was_open = self._connection.sock is not None
        try:
            return self._exchange(method, path, headers, body)
        except (ConnectionError, HTTPException):
            if not was_open:
                raise
            return self._exchange(method, path, headers, body)  # it may close a connection that was idle

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str] | None, body: bytes | None
    ) -> tuple[HTTPResponse, bytes]:
        try:
            self._connection.request(method, self._path + path, body, {**self._headers, **(headers or {})})
            response = self._connection.getresponse()
            return response, response.read()
        except BaseException:
            self._connection.close()
            raise

    def _wait_at_most(self, seconds: float | None) -> None:
        self._connection.timeout = seconds
        if self._connection.sock:  # it keeps what was set when it was opened
            self._connection.sock.settimeout(seconds)

    def _silence(self) -> MinitraceError:
        return MinitraceError(f"{self.name} no longer answers. Is minitrace running? --db FILE reads its file")

    def _refusal(self, response: HTTPResponse, answer: bytes) -> str:
        if response.status == 401 and self._token:
            return f"{self.name} does not take this token; pass its own with --token or MINITRACE_TOKEN"
        if response.status == 401:
            return f"{self.name} wants a token; pass it with --token or MINITRACE_TOKEN"
        text = present.printable(answer.decode(errors="replace").rstrip()[:SHOWN])
        if response.headers.get_content_type() == "text/plain" and text:
            return text
        return f"{self.name} answered {response.status} {response.reason}"


def authorization(token: str) -> str:
    """A token as the value of OTEL_EXPORTER_OTLP_HEADERS, which is percent-encoded."""
    return f"Authorization=Bearer%20{quote(token, safe='')}"


def _connection(url: str, timeout_s: float) -> tuple[HTTPConnection, str]:
    """A connection to a server, not open yet, and what its paths begin with."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigError(f"server {url!r} is not a URL such as http://localhost:4318")
    connection = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return connection(host, port, timeout=timeout_s), parts.path.rstrip("/")
