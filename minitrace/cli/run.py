"""`minitrace run`."""

from __future__ import annotations

import os
import secrets
import shlex
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from minitrace.asking.places import Place
from minitrace.asking.server import Server
from minitrace.cli import asked, child
from minitrace.cli.closing import Closing
from minitrace.cli.companion import companion, free
from minitrace.config import MEMORY
from minitrace.errors import ConfigError, MinitraceError
from minitrace.git import checkout
from minitrace.store.runs import RunKind

Note = Callable[[str], None]


def run(parsed: Namespace) -> int:
    """Run a command with its traces sent here. Returns the command's exit code."""
    command = _command(parsed)
    note: Note = (lambda text: None) if parsed.quiet else asked.note
    with _server(asked.place(parsed), note) as (server, remark):
        run_id, label = secrets.token_hex(8), parsed.name or shlex.join(command)
        _begin(server, run_id, label)
        code = _run(command, child.environment(os.environ, command, run_id, server.name, parsed.token))
        try:
            _end(server, run_id, code)
            _tell(Closing(server, run_id, label, remark), note)
        except MinitraceError as error:  # whatever becomes of us, the command has ended as it has
            print(f"minitrace: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            pass
    return code


def _command(parsed: Namespace) -> Sequence[str]:
    words: list[str] = parsed.arguments
    command = words[1:] if words[:1] == ["--"] else words
    if not command:
        raise ConfigError("there is no command to run: write it after --, as in minitrace run -- pytest -q")
    return command


@contextmanager
def _server(place: Place, note: Note) -> Iterator[tuple[Server, str]]:
    """The server to send to; and how to see more of the run where that ends with it. Raises MinitraceError."""
    running = None if place.db else place.running()
    if running:
        yield running, ""
        running.close()
        return
    if place.is_server_named and not place.db:
        raise place.silence()
    path = place.file().path
    db = path if place.db else free(path)
    with companion(db) as url:
        where = "a temporary file, as another minitrace has the usual one" if db == MEMORY else db
        note(f"{url} shows what comes until the command ends; stored in {where}")
        server = Server(url)
        yield server, _remark(place, db)
        server.close()


def _remark(place: Place, db: Path | str) -> str:
    if db == MEMORY:
        return f"these traces are not kept; to keep them, stop the minitrace that has {place.file().path}"
    flag = f" --db {shlex.quote(str(db))}" if place.db else ""
    return f"to see more: minitrace trace ID{flag}, or all of it: minitrace{flag}"


def _begin(server: Server, run_id: str, label: str) -> None:
    directory = Path.cwd()
    found = checkout(directory)
    server.post(
        "/_/runs",
        {
            "id": run_id,
            "kind": RunKind.COMMAND,
            "label": label,
            "directory": str(directory),
            "started_ns": time.time_ns(),
            "git_commit": found.commit,
            "git_branch": found.branch,
            "is_dirty": found.is_dirty,
        },
    )


def _run(command: Sequence[str], environ: dict[str, str]) -> int:
    try:
        return child.run(command, environ)
    except FileNotFoundError:
        asked.note(f"{command[0]}: command not found")
        return child.NOT_FOUND
    except OSError as error:
        asked.note(f"{command[0]}: {error.strerror}")
        return child.NOT_ALLOWED


def _end(server: Server, run_id: str, code: int) -> None:
    server.post(f"/_/runs/{run_id}/end", {"exit_code": code})


def _tell(closing: Closing, note: Note) -> None:
    answer, is_quiet = closing.settle()
    note("\n  ".join(closing.lines(answer, is_quiet=is_quiet)))
