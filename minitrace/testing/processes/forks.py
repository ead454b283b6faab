"""How the spans of a child come home: one by one, by HTTP, to the process that captures.

A forked child has copies of its parent's captures, at which nobody looks. It may end at any moment with ``os._exit``,
as those of multiprocessing do, so nothing is held back.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from dataclasses import replace
from urllib.parse import urlsplit

from minitrace import model
from minitrace.otlp.encode import encode_export
from minitrace.otlp.http import PROTOBUF
from minitrace.testing import capturing
from minitrace.testing.capturing import Capture

# A process that has ended refuses at once; one that is stopped, or busy for long, does not answer.
TIMEOUT_S = 5.0
ORIGIN_HEADER = "minitrace-origin"  # tells what comes from here from what exporters send
ORIGIN = "fork"

homes: dict[int, str] = {}  # where processes that capture listen, by their ids


class Line:
    """The only connection of this process to another one's receiver. Once it fails, it stays silent."""

    def __init__(self, url: str) -> None:
        from http.client import HTTPConnection  # only children should pay for it

        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)
        self._turn = threading.RLock()
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._is_busy = False
        self._is_lost = False
        atexit.register(self._connection.close)

    def post(self, path: str, content: bytes) -> None:
        """Send, and wait for the answer; it is sent later if this thread is sending already.

        The garbage collector may end a span at any moment, also in here.
        """
        with self._turn:
            self._waiting.append((path, content))
            if self._is_busy:
                return
            self._is_busy = True
            try:
                while self._waiting:
                    self._send(*self._waiting.popleft())
            finally:
                self._is_busy = False

    def _send(self, path: str, content: bytes) -> None:
        from http.client import HTTPException

        if self._is_lost:
            return
        try:
            self._connection.request("POST", path, content, {"Content-Type": PROTOBUF, ORIGIN_HEADER: ORIGIN})
            self._connection.getresponse().read()
        except (OSError, HTTPException):
            self._is_lost = True
            self._connection.close()


_lines: dict[str, Line] = {}
_opening = threading.RLock()


def export(span: model.Span, token: str) -> None:
    """Send a span to the process whose capture has this token; returns when it is there, or cannot come there."""
    capture = capturing.by_token(token)
    url = home(capture) if capture else ""
    if not url:
        return
    with _opening:
        if url not in _lines:
            _lines[url] = Line(url)
    _lines[url].post(f"/t/{token}/v1/traces", encode_export([_of_this_process(span)]))


def home(capture: Capture) -> str:
    """Where the process of a capture listens; "" where that is not known."""
    if capture.pid == os.getpid():
        from minitrace.testing.processes import receiver  # a child never needs it

        return receiver.endpoint()
    return homes.get(capture.pid, "")


def _of_this_process(span: model.Span) -> model.Span:
    """The span, with a resource that no longer claims to be its parent."""
    attributes = {**span.resource.attributes, "process.pid": os.getpid()}
    return replace(span, resource=replace(span.resource, attributes=attributes))


def _after_fork_in_child() -> None:
    """Begin with locks that nobody holds, and without the parent's connections."""
    global _opening
    _opening = threading.RLock()
    _lines.clear()
    capturing.renew_locks()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
