"""The command line: parse, call, print.

Exit codes: 0 done, 2 a setting makes no sense or nothing answers, 3 the file cannot be used,
4 another minitrace has it, 5 it is damaged, 6 it is newer than we are, or not ours; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
import threading
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from minitrace import __version__, config, errors, present

if TYPE_CHECKING:
    from minitrace.server import Listening
    from minitrace.store.maintenance import Description, SegmentDescription

EXIT_CODES: dict[type[errors.MinitraceError], int] = {
    errors.StoreError: 3,
    errors.StoreLocked: 4,
    errors.StoreDamaged: 5,
    errors.SchemaError: 6,
}
_EPILOG = """\
Without a command, minitrace serves.

  minitrace                       serve on http://localhost:4318
  minitrace --demo                the same, with a shop's traces to look at
  minitrace --port 0 --db :memory:
                                  any free port, nothing kept
  minitrace demo --rate 20        send the shop's traces to a running server
  minitrace db info               what is in the file; see also: minitrace db --help
"""
_DB_EPILOG = """\
FILE is the one that minitrace stores in when no other is named: --db's default, or MINITRACE_DB.
info, check and backup may be used while a server has the file open, and never write to it.

  minitrace db info
  minitrace db backup ~/traces.db
  minitrace db check ~/traces.db
  minitrace --db ~/traces.db      serve a backup

Exit codes: 0 done, 3 the file cannot be used, 4 a server has it open, 5 it is damaged,
6 it is newer than this minitrace, or not minitrace's.
"""


SHOWN_SEGMENTS = 3  # of the oldest, and of the newest
_DB_HELP = "the file (default: the one minitrace stores in) [MINITRACE_DB]"


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

    text = "look at the database file, check it, make it smaller, copy it, or save what a damaged one holds"
    _add_db_commands(
        commands.add_parser(
            "db",
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=_DB_EPILOG,
            formatter_class=RawDescriptionHelpFormatter,
        )
    )
    return parser, list(commands.choices)


def _add_db_commands(db: ArgumentParser) -> None:
    commands = db.add_subparsers(metavar="COMMAND", title="commands", required=True)

    def add(name: str, run: Callable[[Namespace], int], help: str, more: str = "") -> ArgumentParser:
        parser = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}. {more}")
        parser.set_defaults(run=run)
        return parser

    info = add("info", _db_info, "say what is in the file and how large it is")
    info.add_argument("--json", action="store_true", help="as JSON: sizes in bytes, times in nanoseconds since 1970")
    check = add(
        "check", _db_check, "look for damage in the file",
        "Works on a copy in the folder for temporary files (TMPDIR). Exit code 5 if there is damage.",
    )  # fmt: skip
    vacuum = add(
        "vacuum", _db_vacuum, "write the file anew, without the gaps that removed spans have left",
        "The server must be stopped. For the time of it, twice the size of the file is needed beside it.",
    )  # fmt: skip
    backup = add(
        "backup", _db_backup, "copy the file, as it is at one moment",
        "Spans may come meanwhile; all that were acknowledged before are in the copy, which is checked.",
    )  # fmt: skip
    recover = add(
        "recover", _db_recover, "save what a damaged file still holds into a new file in its place",
        "The server must be stopped. The damaged file is kept as FILE.corrupt-TIME.",
    )  # fmt: skip
    for parser in (info, check, vacuum):
        parser.add_argument("file", nargs="?", metavar="FILE", help=_DB_HELP)
    recover.add_argument("file", metavar="FILE", help="the damaged file")
    backup.add_argument("--db", dest="file", metavar="FILE", help=_DB_HELP)
    backup.add_argument("target", metavar="DEST", help="where the copy goes; its owner alone may read it")
    backup.add_argument("--force", action="store_true", help="replace DEST if it exists")


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


def _db_info(parsed: Namespace) -> int:
    from minitrace.store.maintenance import describe

    description = describe(_db_file(parsed))
    if parsed.json:
        print(json.dumps({**asdict(description), "warning": description.warning}, indent=2))
        return 0
    print(_plain("\n".join(_described(description))))
    if description.warning:
        print(f"\nwarning: {description.warning}")
    return 0


def _described(description: Description) -> Iterator[str]:
    """The lines of `minitrace db info`."""
    size, integer, now_ns = present.size, present.integer, time.time_ns()
    used = f"in use by process {description.process}" if description.process else "not in use"
    written = f"last written by SQLite {description.written_by}; " if description.written_by else ""
    yield f"{description.path}  ({used})"
    yield ""
    yield (
        f"  size      {size(description.size_bytes)}, of which {size(description.free_bytes)} free; "
        f"write-ahead log {size(description.log_bytes)}"
    )
    yield f"  schema    {description.schema}; {written}this is SQLite {description.sqlite}"
    yield (
        f"  stored    {present.count(description.span_count, 'span')} "
        f"in {present.count(description.trace_count, 'trace')} "
        f"of {present.count(description.service_count, 'service')}; {integer(description.pinned_count)} pinned"
    )
    segments = description.segments
    if segments:
        oldest_ns, newest_ns = segments[0].first_received_ns, max(segment.last_received_ns for segment in segments)
        yield f"  arrived   {present.time(oldest_ns)} ({present.age(oldest_ns, now_ns)})"
        yield f"       to   {present.time(newest_ns)} ({present.age(newest_ns, now_ns)})"
    leaving = sum(segment.is_leaving for segment in segments)
    yield f"  segments  {len(segments)}" + (f", {leaving} of them being removed" if leaving else "")
    for segment in segments if len(segments) <= 2 * SHOWN_SEGMENTS else segments[:SHOWN_SEGMENTS]:
        yield _segment_line(segment, now_ns)
    if len(segments) > 2 * SHOWN_SEGMENTS:
        yield "            …"
        for segment in segments[-SHOWN_SEGMENTS:]:
            yield _segment_line(segment, now_ns)
    if description.tables:
        yield "  tables"
        rest, all_bytes = dict(description.tables), sum(description.tables.values())
        for name, size_bytes in description.tables.items():
            if size_bytes * 50 >= all_bytes:
                yield _table_line(name, rest.pop(name), all_bytes)
        yield _table_line("others", sum(rest.values()), all_bytes)


def _segment_line(segment: SegmentDescription, now_ns: int) -> str:
    ages = dict.fromkeys(
        present.age(came_ns, now_ns) for came_ns in (segment.first_received_ns, segment.last_received_ns)
    )
    return f"            {segment.id:<4}{present.count(segment.span_count, 'span'):>15}   {' to '.join(ages)}"


def _table_line(name: str, size_bytes: int, all_bytes: int) -> str:
    return f"            {name:<16}{present.size(size_bytes):>9}  {present.share(size_bytes, all_bytes):>5}"


def _db_check(parsed: Namespace) -> int:
    from minitrace.store.integrity import MAX_PROBLEMS, check

    path = _db_file(parsed)
    with _progress() as report:
        found = check(path, report)
    if not found.problems:
        print(_plain(f"no problem found in {present.count(found.span_count, 'span')}"))
        return 0
    more = " or more" if len(found.problems) >= MAX_PROBLEMS else ""
    print(f"{present.count(len(found.problems), 'problem')}{more} found in {path}:\n")
    for problem in found.problems:
        print("  " + problem.replace("\n", "\n    "))
    print(
        f"\nstop the server, then save what can be read: minitrace db recover {shlex.quote(str(path))}"
        "\nor put a backup in the file's place. minitrace has changed nothing"
    )
    return EXIT_CODES[errors.StoreDamaged]


def _db_vacuum(parsed: Namespace) -> int:
    from minitrace.store.maintenance import vacuum

    path = _db_file(parsed)
    before, after = vacuum(path)
    print(_plain(f"{path}: {present.size(before)} before, {present.size(after)} now"))
    return 0


def _db_backup(parsed: Namespace) -> int:
    from minitrace.store.maintenance import back_up

    target = Path(parsed.target)
    count = back_up(_db_file(parsed), target, is_forced=parsed.force)
    print(_plain(f"{target}: {present.count(count, 'span')}, {present.size(target.stat().st_size)}, checked"))
    return 0


def _db_recover(parsed: Namespace) -> int:
    from minitrace.store.recovery import recover

    path = Path(parsed.file)
    with _progress() as report:
        found = recover(path, report)
    print(
        _plain(
            f"saved {present.integer(found.span_count)} of {present.count(found.expected_count, 'span')} into {path}"
        )
    )
    losses = {
        "traces without some of their spans": found.incomplete_traces,
        "traces without any": found.lost_traces,
        "spans without some of their values": found.incomplete_spans,
    }
    for name, number in losses.items():
        if number:
            print(_plain(f"  {name}: {present.integer(number)}"))
    print(f"the damaged file is kept as {found.original}")
    return 0


def _db_file(parsed: Namespace) -> Path:
    """The file that was named, or the one that `minitrace serve` would store in."""
    name = parsed.file or os.environ.get(config.variable("db"), "")
    if name == config.MEMORY:
        raise errors.ConfigError(f'"{config.MEMORY}" is no file, and is gone when its server is. Name a file')
    return config.Config(db=name).path


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What shows one line, over the one before, to who watches at a terminal."""
    is_watched = sys.stderr.isatty()

    def report(line: str) -> None:
        if is_watched:
            print(f"\r\x1b[K{line} …", end="", file=sys.stderr, flush=True)

    try:
        yield report
    finally:
        if is_watched:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _plain(text: str) -> str:
    """For terminals, not all of which have a thin space."""
    return text.replace(present.THIN_SPACE, " ")
