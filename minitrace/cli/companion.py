"""A server beside a command, where none is running: a process of its own, which ends when it is told to.

Its input is a pipe from us that nothing is written to. The pipe ends with us, however we end, and so the server does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from minitrace.config import MEMORY, variable
from minitrace.errors import MinitraceError, StoreLocked
from minitrace.store.lock import Lock

STOP_S = 10
_URL = "export OTEL_EXPORTER_OTLP_ENDPOINT="
# They are about a server that others reach; this one is for a command alone.
_LEFT_OUT = {
    variable(name)
    for name in ("host", "port", "grpc_port", "listen", "db", "token", "ingest_token", "allow_host", "allow_origin")
}


@contextmanager
def companion(db: Path | str) -> Iterator[str]:
    """The address of a server that stores in `db`, while the context lasts.

    Raises:
        MinitraceError: it does not start; says why.
    """
    arguments = ("serve", "--host", "127.0.0.1", "--port", "0", "--grpc-port", "0", "--db", str(db), "--end-with-input")
    # A signal that ends Python at once would leave the server behind, and with it the lock of the file.
    numbers = (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))
    ends = {number: signal.signal(number, _leave) for number in dict.fromkeys(numbers)}
    environ = {name: text for name, text in os.environ.items() if name not in _LEFT_OUT}
    with tempfile.TemporaryFile() as said:
        server = subprocess.Popen(  # noqa: S603 (this Python)
            [sys.executable, "-m", "minitrace", *arguments],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,  # Ctrl-C is meant for the command
        )
        try:
            yield _url(server, said)
        finally:
            server.terminate()
            try:
                server.wait(STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            for pipe in filter(None, (server.stdin, server.stdout)):
                pipe.close()
            for number, before in ends.items():
                signal.signal(number, before)


def free(path: Path) -> Path | str:
    """The file, or a temporary one if another minitrace has that open."""
    try:
        if lock := Lock.for_reading(path):
            lock.release()
    except StoreLocked:
        return MEMORY
    return path


def _leave(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _url(server: subprocess.Popen[bytes], said: IO[bytes]) -> str:
    """The address, once it answers there."""
    assert server.stdout
    for line in server.stdout:
        _, found, url = line.decode(errors="replace").partition(_URL)
        if found:
            return url.strip()
    server.wait()
    said.seek(0)
    problem = said.read().decode(errors="replace").strip().removeprefix("minitrace: ")
    raise MinitraceError(f"no server answers, and one beside the command did not start: {problem}")
