"""The command line: parse, call, print.

Exit codes: 0 done, 2 a setting makes no sense or nothing answers, 3 the file cannot be used,
4 another minitrace has it, 6 it is newer than we are.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from minitrace import __version__, config, errors

if TYPE_CHECKING:
    from minitrace.server import Listening

EXIT_CODES: dict[type[errors.MinitraceError], int] = {
    errors.StoreError: 3,
    errors.StoreLocked: 4,
    errors.SchemaError: 6,
}
_EPILOG = """\
Without a command, minitrace serves.

  minitrace                       serve on http://localhost:4318
  minitrace --demo                the same, with a shop's traces to look at
  minitrace --port 0 --db :memory:
                                  any free port, nothing kept
  minitrace demo --rate 20        send the shop's traces to a running server
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser, commands = _parser()
    parsed = parser.parse_args(_with_command(arguments, commands))
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        return int(parsed.run(parsed))
    except errors.MinitraceError as error:
        print(f"minitrace: {error}", file=sys.stderr)
        return EXIT_CODES.get(type(error), 2)
    except KeyboardInterrupt:
        return 130


def _parser() -> tuple[ArgumentParser, list[str]]:
    parser = ArgumentParser(
        prog="minitrace",
        description="The tracing server on your laptop: OTLP in, one SQLite file, a UI at the same port.",
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"minitrace {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")

    text = "take telemetry, store it, show it; the command that is meant when none is given"
    serve = commands.add_parser("serve", help=text, description=text[0].upper() + text[1:] + ".")
    config.add_arguments(serve)
    serve.add_argument("--demo", action="store_true", help="also send the demo shop's traces to this server")
    _add_demo_amounts(serve, only_with="; with --demo")
    serve.set_defaults(run=_serve)

    text = "send a believable shop's traces to a running server"
    demo = commands.add_parser("demo", help=text, description=text[0].upper() + text[1:] + ", through OTLP/HTTP.")
    demo.add_argument(
        "--endpoint",
        default=os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318"),
        metavar="URL",
        help="where to send (default: http://localhost:4318) [OTEL_EXPORTER_OTLP_ENDPOINT]",
    )
    demo.add_argument(
        "--token", default=os.environ.get("MINITRACE_TOKEN", ""), help="the server's token [MINITRACE_TOKEN]"
    )
    _add_demo_amounts(demo)
    demo.set_defaults(run=_demo)
    return parser, list(commands.choices)


def _add_demo_amounts(parser: ArgumentParser, only_with: str = "") -> None:
    parser.add_argument(
        "--backfill", type=_amount, default=60, metavar="N",
        help=f"traces sent at once, dated over the last 15 minutes (default: 60{only_with})",
    )  # fmt: skip
    parser.add_argument(
        "--count",
        type=_amount,
        default=120,
        metavar="N",
        help=f"traces sent after that, live (default: 120{only_with})",
    )
    parser.add_argument(
        "--rate", type=_rate, default=1.0, metavar="N", help=f"live traces per second (default: 1{only_with})"
    )


def _amount(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _rate(text: str) -> float:
    number = float(text)
    if not 0 < number <= 10_000:
        raise ValueError(text)
    return number


_amount.__name__, _rate.__name__ = "number", "rate above 0"  # what argparse calls them in its errors


def _with_command(arguments: list[str], commands: list[str]) -> list[str]:
    """The arguments with "serve" in front, unless they name a command or ask about the program itself."""
    if arguments and (arguments[0] in commands or arguments[0] in ("-h", "--help", "--version")):
        return arguments
    return ["serve", *arguments] if not arguments or arguments[0].startswith("-") else arguments


def _serve(parsed: Namespace) -> int:
    from minitrace.server import serve  # slow to import; `minitrace --help` does not wait for it

    settings = config.read(parsed)
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def on_ready(listening: Listening) -> None:
        print(_greeting(listening), flush=True)
        if parsed.demo:
            threads.append(threading.Thread(target=_send_demo, args=(parsed, listening.url, listening.token, stop)))
            threads[0].start()

    try:
        serve(settings, on_ready)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return 0


def _greeting(listening: Listening) -> str:
    kept = " (temporary: removed at exit)" if listening.is_temporary else ""
    lines = [
        f"minitrace {__version__} is ready",
        "",
        f"  open      {listening.ui_url}",
        f"  send to   export OTEL_EXPORTER_OTLP_ENDPOINT={listening.url}",
        "            export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        "            export OTEL_BSP_SCHEDULE_DELAY=500   # optional: spans come at once, not after 5 s",
    ]
    if listening.token:
        token = quote(listening.token, safe="") if listening.is_token_new else "TOKEN"
        header = f"Authorization=Bearer%20{token}"
        lines.append(f'            export OTEL_EXPORTER_OTLP_HEADERS="{header}"')
    return "\n".join([*lines, f"  stored in {listening.path}{kept}", "", "Ctrl-C stops it."])


def _demo(parsed: Namespace) -> int:
    stop = threading.Event()
    try:
        _send(parsed, parsed.endpoint, parsed.token, stop, report=print)
    except KeyboardInterrupt:
        stop.set()
    return 0


def _send_demo(parsed: Namespace, url: str, token: str, stop: threading.Event) -> None:
    try:
        _send(parsed, url, token, stop, report=lambda line: None)  # the pages show it
    except errors.MinitraceError as error:
        if not stop.is_set():
            print(f"minitrace: {error}", file=sys.stderr)


def _send(parsed: Namespace, url: str, token: str, stop: threading.Event, report: Callable[[str], None]) -> None:
    from minitrace import demo

    demo.send(
        url, count=parsed.count, rate=parsed.rate, backfill=parsed.backfill, token=token, stop=stop, report=report
    )
