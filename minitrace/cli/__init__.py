"""The command line: parse, call, print.

Exit codes: 0 done, 1 nothing was found, 2 a setting or a query makes no sense or nothing answers, 3 the file cannot be
used, 4 another minitrace has it, 5 it is damaged, 6 it is newer than we are, or not ours; 130 stopped by Ctrl-C.
`minitrace run` passes on that of the command.

| module | |
|---|---|
| `parser` | every command and its flags |
| `serve`, `demo`, `db`, `search`, `trace`, … | a command each, imported when it is called |
| `asked`, `terminal`, `exits` | where and what is asked; how it is shown; exit codes |
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from minitrace import errors
from minitrace.cli import terminal
from minitrace.cli.exits import EXIT_CODES
from minitrace.cli.parser import joined, make_parser

__all__ = ["EXIT_CODES", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    terminal.open_output()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser, commands = make_parser()
    parsed = parser.parse_args(_with_command(arguments, commands))
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    module, _, function = parsed.command.partition(":")
    try:
        # imported now: `minitrace --help` does not wait for a server, nor `minitrace search` for uvicorn
        run: Callable[..., int] = getattr(import_module(f"minitrace.cli.{module}"), function or "run")
        return int(run(parsed))
    except errors.MinitraceError as error:
        print(f"minitrace: {error}", file=sys.stderr)
        return EXIT_CODES.get(type(error), 2)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `| head` has seen enough
        sys.stderr.close()  # else Python complains of stdout once more
        return 141


def _with_command(arguments: list[str], commands: list[str]) -> list[str]:
    """The arguments with "serve" in front, unless they name a command or ask about the program itself."""
    if arguments[:1] == ["search"]:
        return joined(arguments)
    if arguments and (arguments[0] in commands or arguments[0] in ("-h", "--help", "--version")):
        return arguments
    return ["serve", *arguments] if not arguments or arguments[0].startswith("-") else arguments
