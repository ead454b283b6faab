"""Where the spans of a session go: into a file, and to a minitrace if one answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from minitrace.asking.places import Place
from minitrace.asking.server import Server
from minitrace.errors import ConfigError, MinitraceError, StoreLocked
from minitrace.store.growing_file import GrowingFile
from minitrace.store.lock import Lock
from minitrace.store.runs import Run
from minitrace.testing.keeping import begin

SESSIONS = "sessions"
MOST_SESSIONS = 10
LOOK_S = 0.25  # for a server that nobody has named; where there is none, that is known at once
SEND_S = 3.0
FLUSH_BYTES, FLUSH_S = 256_000, 1.0
SERVER_LEFT_OUT = ("ended_ns", "exit_code")  # of a run that begins


class Destinations:
    """A file, and perhaps a server. What was added is written when a second has passed, or enough has come.

    `problems` are for people: what went wrong on the way. The tests go on.

    Raises:
        StoreError: the file cannot be written.
    """

    def __init__(self, path: Path, server: Server | None, run: Run, *, is_run_known: bool) -> None:
        self.path = path
        self.server = server
        self.problems: list[str] = []
        self.span_count = 0
        self._run = run
        self._is_run_known = is_run_known
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._flushed_s = 0.0  # the first test is written at once
        self._file = GrowingFile(path)
        self._try(lambda: self._file.begin_run(run))
        if not is_run_known:
            self._send(lambda server: server.post("/_/runs", _document(run)))

    def add(self, body: bytes) -> None:
        """Take spans, as an ExportTraceServiceRequest."""
        self._waiting.append(body)
        self._waiting_bytes += len(body)
        if self._waiting_bytes >= FLUSH_BYTES or time.monotonic() - self._flushed_s >= FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        body = b"".join(self._waiting)  # messages of protobuf, one after another, are one message
        self._waiting, self._waiting_bytes = [], 0
        if body:
            self._try(lambda: self._store(body))
            self._send(lambda server: server.export(body))
        self._flushed_s = time.monotonic()

    def close(self, exit_code: int) -> None:
        """Write what waits, say how the run ended, and let go of the file."""
        self.flush()
        self._try(lambda: self._file.end_run(self._run.id, exit_code, time.time_ns()))
        if not self._is_run_known:
            self._send(lambda server: server.post(f"/_/runs/{self._run.id}/end", {"exit_code": exit_code}))
        self._file.close()
        if self.server:
            self.server.close()

    def _store(self, body: bytes) -> None:
        self.span_count += self._file.take(body).added

    def _send(self, send: Callable[[Server], object]) -> None:
        if self.server and (problem := _problem(lambda server=self.server: send(server))):  # type: ignore[misc]
            self.problems.append(f"{problem}; what came after that is in the file alone")
            self.server = None

    def _try(self, write: Callable[[], object]) -> None:
        if (problem := _problem(write)) and problem not in self.problems:
            self.problems.append(problem)


def _problem(act: Callable[[], object]) -> str:
    try:
        act()
    except MinitraceError as error:
        return str(error)
    return ""


def find_server(place: Place) -> tuple[Server | None, str]:
    """The minitrace to send to; and why there is none where one was named by a variable.

    Raises:
        ConfigError: none answers where one was named on the command line.
        MinitraceError: it wants another token.
    """
    server = Server(place.url, place.token, SEND_S)
    if server.answers(SEND_S if place.is_server_named else LOOK_S):
        return server, ""
    if place.server:
        raise ConfigError(f'no minitrace answers at {place.url}; start one with "minitrace"')
    return None, f"no minitrace answers at {place.url}" if place.is_server_named else ""


def new_session(folder: Path, name: str) -> Path:
    """The file of a session that begins, in a folder of ours, from which the oldest leave. Raises OSError.

    `minitrace open` opens it, until a test fails.
    """
    begin(folder, f"{SESSIONS}/{name}.db")
    sessions = folder / SESSIONS
    sessions.mkdir(exist_ok=True)
    for path in sorted(sessions.glob("*.db"))[: -MOST_SESSIONS + 1]:
        with suppress(OSError, StoreLocked):
            _remove(path)
    return sessions / f"{name}.db"


def _remove(path: Path) -> None:
    """Remove a file and what stands beside it. Raises StoreLocked: a minitrace has it open; OSError."""
    lock = Lock.for_reading(path)
    try:
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}.lock"):
            path.with_name(name).unlink(missing_ok=True)
    finally:
        if lock:
            lock.release()


def _document(run: Run) -> dict[str, object]:
    return {name: value for name, value in asdict(run).items() if name not in SERVER_LEFT_OUT}
