"""The OTLP server of this process: takes the spans of other processes and hands them to the captures.

```
POST /t/<token>/v1/traces       to the capture with that token
POST /v1/traces                 by trace id, or by the resource's minitrace.test.id
POST …/v1/logs, …/v1/metrics    taken, and thrown away
```

It is bound once, when it is first asked for, to a free port of 127.0.0.1, and never stopped: its thread ends with the
process and waits for nobody. 200 means that the spans are in their capture.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
import threading
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from minitrace import model, present
from minitrace.errors import DecodeError, MinitraceError, TooLarge
from minitrace.otlp import compression, http, messages
from minitrace.otlp.decode import decode_traces
from minitrace.testing import capturing
from minitrace.testing.capturing import Capture, Request
from minitrace.testing.processes import fork_warning, forks
from minitrace.testing.processes.exchange import MAX_BODY_BYTES, Answer, Exchange, Head, NotHttp, Refused

LOCAL_HOSTS = ("127.0.0.1", "localhost")
SHOWN_CHARACTERS = 80  # of what a client sent
_RESPONSES = {
    "/v1/traces": messages.ExportTraceServiceResponse,
    "/v1/logs": messages.ExportLogsServiceResponse,
    "/v1/metrics": messages.ExportMetricsServiceResponse,
}
_TOKEN_PATH = "/t/"  # noqa: S105 (what a token comes after)


class Server:
    """An event loop in a thread, which stands still while the process forks.

    A fork copies one thread only. What the others held at that moment, locks above all, is held forever in the child,
    and Python warns of it from 3.12 on. So there is none of ours then; connections wait for a millisecond.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        # not epoll: forked children share it, and what they close there is closed here
        selector = selectors.PollSelector() if hasattr(selectors, "PollSelector") else selectors.DefaultSelector()
        self._loop = asyncio.SelectorEventLoop(selector)
        self._loop.set_debug(False)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.in_flight = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._bring_back_warning = fork_warning.nothing
        self._warning_due = self._loop.call_later(0, fork_warning.nothing)
        self._listening = self._loop.create_task(asyncio.start_server(self._serve, sock=self._socket))
        self.resume()

    def resume(self) -> None:
        """Go on; what came in the meantime was kept by the system."""
        self._thread = threading.Thread(target=self._loop.run_forever, name="minitrace receiver", daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Stop the thread where it is."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._warning_due.cancel()
        self._bring_back_warning()
        self._bring_back_warning = fork_warning.leave_out_warning()

    def resume_after_fork(self) -> None:
        """Go on in the parent, of whose threads Python may only now warn."""
        self._warning_due = self._loop.call_later(fork_warning.SHOWN_AFTER_S, self._bring_back_warning)
        self.resume()

    def let_go(self) -> None:
        """Close a forked child's copies of all sockets; those of the parent stay open."""
        self._bring_back_warning()
        os.close(self._socket.detach())
        for writer in self._writers:
            os.close(writer.get_extra_info("socket").fileno())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side closes it."""
        self._writers.add(writer)
        try:
            exchange = Exchange(reader, writer)
            while await self._answer_next(exchange):
                pass
        except (EOFError, OSError):
            pass  # clients that are killed are no news
        except NotHttp as error:
            note("", Request("", 0, str(error), 0))
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer_next(self, exchange: Exchange) -> bool:
        """Answer one request. Returns whether another one may follow."""
        head = await exchange.head()
        self.in_flight += 1
        try:
            try:
                body = await exchange.body(head)
            except MinitraceError as error:
                return await exchange.answer(refuse(head, error))
            return await exchange.answer(respond(head, body))
        finally:
            self.in_flight -= 1


def respond(head: Head, body: bytes) -> Answer:
    """The answer to a request, which is done by then: spans are in their captures."""
    token, path = split(head.path)
    try:
        check_sender(head)
        if head.method == "OPTIONS" and "origin" in head.headers:
            return Answer(204, sharing(head))
        media_type = check_request(head, path)
        content = compression.decompress(body, head.header("content-encoding"), MAX_BODY_BYTES)
        message = _take(content, token, head, media_type) if path == "/v1/traces" else _RESPONSES[path]()
    except MinitraceError as error:
        return refuse(head, error)
    return Answer(200, {"Content-Type": media_type} | sharing(head), http.encoded(media_type, message))


def refuse(head: Head, error: MinitraceError) -> Answer:
    """An error as the answer, kept for the diagnosis."""
    status = error.status if isinstance(error, Refused) else 413 if isinstance(error, TooLarge) else 400
    note(split(head.path)[0], Request(shown(head.path), status, str(error), 0))
    media_type = http.media_type(head.header("content-type")) or http.JSON
    content = http.encoded(media_type, http.problem(status, str(error)))
    return Answer(status, {"Content-Type": media_type} | sharing(head), content)


def _take(content: bytes, token: str, head: Head, media_type: str) -> Any:
    export = decode_traces(content, is_json=media_type == http.JSON)
    spans = export.spans  # decoded now, and maybe some more rejected
    message = export.reason or ("" if spans else "there was no span in it")
    note(token, Request(shown(head.path), 200, message, len(spans)))
    deliver(spans, token, "fork" if head.header(forks.ORIGIN_HEADER) == forks.ORIGIN else "otlp")
    return http.traces_response(export.rejected, export.reason)


def split(target: str) -> tuple[str, str]:
    """The token in a path, and the rest: ``/t/a1/v1/traces`` gives "a1" and "/v1/traces"; without a token it is ""."""
    path = target.partition("?")[0].rstrip("/")
    if not path.startswith(_TOKEN_PATH):
        return "", path
    token, slash, rest = path.removeprefix(_TOKEN_PATH).partition("/")
    return token, slash + rest


def check_sender(head: Head) -> None:
    """Raise Refused for what a web page of somewhere else sends, maybe by a name of its own that leads here."""
    host = head.header("host").partition(":")[0]
    if host not in LOCAL_HOSTS:
        raise Refused(421, f"Host {shown(host)!r} is not this machine: use 127.0.0.1")
    origin = head.header("origin")
    if origin and not is_local(origin):
        raise Refused(403, f"pages of Origin {shown(origin)!r} may not send here: only those of this machine")


def check_request(head: Head, path: str) -> str:
    """The media type of a request that can be taken; else raises Refused, which says what would do."""
    if path not in _RESPONSES:
        raise Refused(404, _wrong_path(path))
    if head.method != "POST":
        raise Refused(405, f"{head.method[:10]} is not how exporters send: use POST")
    media_type = http.media_type(head.header("content-type"))
    if media_type is None:
        content_type = shown(head.header("content-type") or "none")
        cure = "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf in the application"
        raise Refused(415, f"Content-Type {content_type} is not OTLP: {cure}")
    try:
        compression.check_encoding(head.header("content-encoding"))
    except DecodeError as error:
        raise Refused(415, str(error)) from None
    return media_type


def _wrong_path(path: str) -> str:
    if not path:
        return "spans go to /v1/traces below this address: OTLPSpanExporter(endpoint=…) needs all of it"
    return f"nothing is at {shown(path)}: spans go to /v1/traces below the endpoint, which exporters add themselves"


def is_local(origin: str) -> bool:
    """Whether a web page is one of this machine."""
    try:
        return urlsplit(origin).hostname in LOCAL_HOSTS
    except ValueError:
        return False


def sharing(head: Head) -> dict[str, str]:
    """The headers by which a web page may send, and read the answer."""
    origin = head.header("origin")
    if not is_local(origin):
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": head.header("access-control-request-headers"),
    }


def deliver(spans: list[model.Span], token: str, origin: capturing.Origin) -> None:
    """Give each span to the capture it belongs to."""
    parts: dict[Capture, list[model.Span]] = {}
    for span in spans:
        parts.setdefault(_owner(span, token), []).append(span)
    for capture, part in parts.items():
        capture.arrived(part, origin)


def _owner(span: model.Span, token: str) -> Capture:
    return (
        capturing.by_token(token)
        or capturing.by_trace(span.trace_id)
        or capturing.by_token(str(span.resource.attributes.get(capturing.TEST_ID, "")))
        or capturing.unowned()
    )


def note(token: str, request: Request) -> None:
    """Keep a request for the diagnosis: with its capture, or with nobody's."""
    (capturing.by_token(token) or capturing.unowned()).requested(request)


def shown(text: str) -> str:
    """What a client sent, for people."""
    return present.printable(text)[:SHOWN_CHARACTERS]


_binding = threading.Lock()  # held while the process forks
_server: Server | None = None
_let_go: list[Server] = []  # a child's copies of its parents' servers: collected, they would complain of being open


def endpoint() -> str:
    """``http://127.0.0.1:PORT`` of this process; the first call starts the server, in a millisecond or two.

    Raises:
        OSError: there is no port to be had.
    """
    global _server
    with _binding:
        if _server is None:
            _server = Server()
        return _server.url


def is_forbidden() -> bool:
    """Whether pytest-socket keeps tests from opening sockets: then they can do without other processes."""
    return socket.socket.__module__ == "pytest_socket"


def in_flight() -> int:
    """How many requests have begun and are not answered."""
    return _server.in_flight if _server else 0


def _before_fork() -> None:
    if (capture := capturing.active()) and not is_forbidden():
        with suppress(OSError):
            forks.homes[capture.pid] = forks.home(capture)
    _binding.acquire()
    if _server:
        _server.pause()


def _after_fork_in_parent() -> None:
    if _server:
        _server.resume_after_fork()
    _binding.release()


def _after_fork_in_child() -> None:
    global _server
    if _server:
        _server.let_go()
        _let_go.append(_server)
        _server = None
    _binding.release()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
