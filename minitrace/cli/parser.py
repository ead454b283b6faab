"""Every command and its flags. What a command does is in the module that `command` names."""

from __future__ import annotations

import os
from argparse import REMAINDER, SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Any

from minitrace import __version__, config
from minitrace.durations import parse_duration
from minitrace.errors import DecodeError

LARGEST_LIMIT = 1000  # the API's
FORMATS = ("otlp", "jsonl", "jaeger")  # web.documents.Format
ORDERS = ("-start", "start", "-duration", "duration", "-spans", "spans", "-errors", "name")  # store.orders.Order
_EPILOG = """\
Without a command, minitrace serves.

  minitrace                       serve on http://localhost:4318
  minitrace --demo                the same, with a shop's traces and logs to look at
  minitrace --port 0 --db :memory:
                                  any free port, nothing kept
  minitrace run -- pytest -q      run a command and say what its traces tell
  minitrace search '{ status = error }' --since 1h
  minitrace logs --level error    log records
  minitrace trace last            the newest trace, drawn
  minitrace tail                  traces as they come
  minitrace wait '{ name = "charge" }' --timeout 30
  minitrace export last -o t.json a trace, or what a search finds, as a file
  minitrace open traces.db        look at a file, or at the last session of tests: minitrace open
  minitrace demo --rate 20        send the shop's traces to a running server
  minitrace db info               what is in the file; see also: minitrace db --help

search, logs, trace, tail, wait and export ask the server at --server, MINITRACE_URL, OTEL_EXPORTER_OTLP_ENDPOINT or
http://localhost:4318. With --db FILE they read that file, also while a server has it open. Where no server is named and
none answers, they read the file that minitrace stores in.
"""
_SEARCH_EPILOG = """\
A query is TraceQL, or words that are all in the attributes, names or messages of one span. Without one, the newest
traces are shown.

  minitrace search '{ status = error && resource.service.name = "cart" }' --since 1h
  minitrace search card declined
  minitrace search '{ duration > 1s }' --json | jq -r '.traces[].traceID'
  minitrace search '{ kind = server }' --sort -duration --limit 5
  minitrace search --db ~/traces.db --from 2026-11-22T13:00 --to 2026-11-22T14:00

Exit codes: 0 something was found, 1 nothing was, 2 the query makes no sense or nothing answers.
"""
_LOGS_EPILOG = """\
The beginning of a word is enough. Without words and flags, the newest records of all are shown. Records without a trace
are found, too; the column TRACE says which have one, for `minitrace trace`.

  minitrace logs --level error --since 1h
  minitrace logs card declined --service payment
  minitrace logs --trace 4bf92f3577b34da6a3ce929d0e0e4736
  minitrace logs --attribute code.function.name=charge --json

Exit codes: 0 something was found, 1 nothing was, 2 a flag makes no sense or nothing answers.
"""
_TRACE_EPILOG = """\
ID is a trace id, the beginning of one (8 digits or more), a traceparent, or "last" for the newest trace.

  minitrace trace last
  minitrace trace 4bf92f35
  minitrace trace 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 --json > trace.json
  minitrace trace last --budget 500     for a prompt: at most 500 tokens of about 4 characters

Exit codes: 0 shown, 1 no such trace, 2 ID is none or nothing answers.
"""
_TAIL_EPILOG = """\
A trace is told once, when it first matches. Ctrl-C ends it.

  minitrace tail
  minitrace tail '{ status = error }'
  minitrace tail '{ kind = server }' --json | jq .durationMs

Exit codes: 130 ended by Ctrl-C, 2 the query makes no sense or nothing answers.
"""
_WAIT_EPILOG = """\
Only traces with spans that arrive after it began count, and with --since those that went on in the time before, too.

  minitrace wait '{ name = "charge" && status = error }' --timeout 30
  curl -s localhost:8080/pay & minitrace wait '{ span.http.route = "/pay" }'
  minitrace wait '{ resource.service.name = "mail" }' --since 1m --json

Exit codes: 0 a trace matched, 1 none did in time, 2 the query makes no sense or nothing answers.
"""
_EXPORT_EPILOG = """\
What is meant are traces by their ids, as `minitrace trace` takes them, or a query as of `minitrace search`; without
any, the newest traces.

  minitrace export last --output trace.json
  minitrace export '{ status = error }' --since 1h -o errors.jsonl.gz
  minitrace export 4bf92f35 a3ce929d --format jaeger > for-jaeger-ui.json
  minitrace export --db ~/traces.db --limit 10000 -o all.jsonl
  minitrace export last --logs -o trace-and-logs.jsonl

otlp is one document that any backend takes, jsonl one of each trace, a line each, jaeger what Jaeger's UI takes as a
file; it says less. `minitrace open FILE` shows any of them.

Exit codes: 0 written, 1 nothing was found, 2 the query makes no sense, nothing answers or FILE cannot be written.
"""
_RUN_EPILOG = """\
The command gets the variables that OpenTelemetry's SDKs read. Its input and output are left alone, signals go to it,
and its exit code is passed on (128 + n where signal n ended it). If no server answers, one runs beside the command
and ends with it; its traces stay in the file.

  minitrace run -- pytest -q
  minitrace run -- opentelemetry-instrument python app.py
  minitrace run --name checkout -- npm test
  minitrace run -q -- ./bench.sh

A run is compared with the one before of the same command, or name, in the same directory; if there is none, with one
that differs in its flags alone.
"""
_OPEN_EPILOG = """\
FILE is a .db of minitrace, a trace saved as .html, OTLP JSON of spans or log records (one document, or one on each
line, as a Collector's file exporter writes them), OTLP protobuf, or JSON of Jaeger, Zipkin or Tempo; packed with gzip
or zstd, or not; or - for standard input. Of a folder, all of these are shown together. Of .minitrace it is the last
session of tests: those that failed, or all that `pytest --minitrace` recorded. Without FILE, that is meant.

  minitrace open
  minitrace open .minitrace/failed/2026-11-22T13-41-05Z-4f2a91/test_orders__test_list-1f3a9c2e.db
  minitrace open collector.jsonl.gz jaeger.json
  curl -s http://jaeger:16686/api/traces/4bf92f3577b34da6a3ce929d0e0e4736 | minitrace open -
  minitrace open ~/Downloads/failed-tests --no-browser --port 8080

Files are copied and never changed, also while a server has them open; the copy is gone at the end. To go on storing in
a file: minitrace --db FILE.

Exit codes: 0 done, 2 there is nothing to open, 3 to 6 the file cannot be used.
"""
_DEMO_EPILOG = """\
  minitrace demo --backfill 500 --count 0
  minitrace run -- minitrace demo --count 50 --rate 20
  minitrace run -- minitrace demo --count 50 --rate 20 --regressed

In those 15 minutes payments are slow for a while; the last line says when, and where to look. docs/full-loop.md goes
from there to the cause.

--regressed is the shop after a bad release: inventory asks for the stock of a cart one product at a time, and payment's
INSERT charges is slow; both say a newer service.version.
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
_DB_HELP = "the file (default: the one minitrace stores in) [MINITRACE_DB]"


def make_parser() -> tuple[ArgumentParser, list[str]]:
    """The parser of the whole command line, and the names of the commands."""
    parser = ArgumentParser(
        prog="minitrace",
        description="The tracing server on your laptop: OTLP in, one SQLite file, a UI at the same port.",
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"minitrace {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    _add_serve(commands)
    _add_run(commands)
    _add_search(commands)
    _add_logs(commands)
    _add_trace(commands)
    _add_tail(commands)
    _add_wait(commands)
    _add_export(commands)
    _add_open(commands)
    _add_demo(commands)
    _add_db(commands)
    return parser, list(commands.choices)


def joined(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``--sort -duration`` as one: for argparse, what begins with "-" is no value."""
    words = list(arguments)
    for place in range(len(words) - 2, -1, -1):
        if words[place] == "--sort" and words[place + 1] in ORDERS:
            words[place : place + 2] = [f"--sort={words[place + 1]}"]
    return words


def _command(commands: Any, name: str, help: str, *, more: str = "", epilog: str = "", usage: str | None = None) -> Any:
    parser = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}{more}.",
        epilog=epilog,
        usage=usage,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=name)
    return parser


def _add_serve(commands: Any) -> None:
    text = "take telemetry, store it, show it; the command that is meant when none is given"
    serve = _command(commands, "serve", text)
    config.add_arguments(serve)
    serve.add_argument("--demo", action="store_true", help="also send the demo shop's traces to this server")
    _add_demo_amounts(serve, only_with="; with --demo")
    serve.add_argument("--end-with-input", action="store_true", help=SUPPRESS)  # for `companion`


def _add_run(commands: Any) -> None:
    text = "run a command with its traces sent here, and say what they tell"
    run = _command(commands, "run", text, epilog=_RUN_EPILOG, usage="minitrace run [-h] [options] -- COMMAND …")
    run.add_argument("--name", default="", help="what to call the run (default: the command line)")
    run.add_argument("-q", "--quiet", action="store_true", help="say nothing but mistakes")
    _add_place(run, db_help="the file to store in, where no server answers [MINITRACE_DB]")
    run.add_argument("arguments", nargs=REMAINDER, metavar="COMMAND …", help="the command, after --")


def _add_search(commands: Any) -> None:
    search = _command(commands, "search", "list traces that match, newest first", epilog=_SEARCH_EPILOG)
    _add_query(search)
    _add_times(search)
    search.add_argument(
        "--limit", type=_limit, default=20, metavar="N", help=f"how many, up to {LARGEST_LIMIT} (default: 20)"
    )
    search.add_argument(
        "--sort",
        choices=ORDERS,
        default="-start",
        metavar="ORDER",
        help=f"{', '.join(ORDERS)} (default: -start, newest first)",
    )
    search.add_argument("--json", action="store_true", help="as JSON, in the shape of Tempo's /api/search")
    _add_place(search)


def _add_logs(commands: Any) -> None:
    logs = _command(commands, "logs", "list log records, newest first", epilog=_LOGS_EPILOG)
    text = "words that are all in one record, in its text or its values"
    logs.add_argument("words", nargs="*", metavar="WORD", help=text)
    logs.add_argument("--level", default="", help="this severity or worse: trace, debug, info, warn, error or fatal")
    logs.add_argument("--service", default="", metavar="NAME", help="only of this service")
    logs.add_argument(
        "--attribute",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="only with this attribute, of the record or its service; may be given again",
    )
    logs.add_argument("--trace", default="", metavar="ID", help="only of this trace: its id or the beginning of it")
    logs.add_argument("--since", type=_duration, metavar="DURATION", help="of this time until now, such as 1h or 30m")
    logs.add_argument("--from", dest="start", metavar="TIME", help="from this time on, such as 2026-11-22T13:00")
    logs.add_argument("--to", dest="end", metavar="TIME", help="up to this time")
    logs.add_argument(
        "--limit", type=_limit, default=50, metavar="N", help=f"how many, up to {LARGEST_LIMIT} (default: 50)"
    )
    logs.add_argument("--json", action="store_true", help="as OTLP JSON, as /api/logs answers")
    _add_place(logs)


def _add_trace(commands: Any) -> None:
    trace = _command(
        commands, "trace", "show one trace: what is most telling, its tree, its errors", epilog=_TRACE_EPILOG
    )
    trace.add_argument("id", nargs="+", metavar="ID", help='trace id, its beginning, traceparent, or "last"')
    trace.add_argument(
        "--width", type=_amount, default=0, metavar="N", help="columns (default: the terminal's, or 100)"
    )
    form = trace.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="all of it, as OTLP JSON")
    form.add_argument(
        "--budget",
        type=_amount,
        metavar="N",
        help="a skeleton of at most N tokens, at 4 characters each: what failed, repeats or was slow",
    )
    _add_place(trace)


def _add_tail(commands: Any) -> None:
    tail = _command(commands, "tail", "print traces that match as they come, a line each", epilog=_TAIL_EPILOG)
    _add_query(tail)
    tail.add_argument(
        "--since", type=_duration, metavar="DURATION", help="begin with those of the time before, such as 10m"
    )
    tail.add_argument("--json", action="store_true", help="a line of JSON each, as in Tempo's /api/search")
    _add_place(tail)


def _add_wait(commands: Any) -> None:
    wait = _command(commands, "wait", "wait until a trace matches", epilog=_WAIT_EPILOG)
    _add_query(wait)
    wait.add_argument(
        "--timeout", type=_timeout, default=30.0, metavar="SECONDS", help="how long, such as 30 or 2m (default: 30)"
    )
    wait.add_argument(
        "--since", type=_duration, metavar="DURATION", help="count those of the time before, too, such as 1m"
    )
    wait.add_argument("--json", action="store_true", help="print the trace as JSON, as in Tempo's /api/search")
    _add_place(wait)


def _add_export(commands: Any) -> None:
    text = "write traces into a file: one, or those that match"
    export = _command(commands, "export", text, epilog=_EXPORT_EPILOG)
    export.add_argument("query", nargs="*", metavar="QUERY|ID", help="TraceQL, in quotes; words; or ids of traces")
    export.add_argument(
        "--format", choices=FORMATS, metavar="FORMAT", help=f"{', '.join(FORMATS)} (default: by FILE's ending, or otlp)"
    )
    export.add_argument("--logs", action="store_true", help="with their log records, on lines of their own: for jsonl")
    export.add_argument(
        "-o", "--output", default="-", metavar="FILE", help="packed if it ends in .gz (default: -, standard output)"
    )
    _add_times(export)
    export.add_argument("--limit", type=_amount, default=1000, metavar="N", help="how many traces (default: 1000)")
    _add_place(export)


def _add_open(commands: Any) -> None:
    text = "look at files with traces, such as those of tests that failed"
    open_ = _command(commands, "open", text, epilog=_OPEN_EPILOG)
    open_.add_argument("files", nargs="*", metavar="FILE", help="file or folder, or - (default: .minitrace)")
    open_.add_argument("--no-browser", action="store_true", help="say where it is, and open nothing")
    open_.add_argument("--port", type=int, default=0, metavar="N", help="port to serve on (default: a free one)")


def _add_query(parser: ArgumentParser) -> None:
    parser.add_argument("query", nargs="*", metavar="QUERY", help="TraceQL, in quotes; or words")


def _add_times(parser: ArgumentParser) -> None:
    parser.add_argument("--since", type=_duration, metavar="DURATION", help="of this time until now, such as 1h or 30m")
    parser.add_argument("--from", dest="start", metavar="TIME", help="from this time on, such as 2026-11-22T13:00")
    parser.add_argument("--to", dest="end", metavar="TIME", help="up to this time")


def _add_place(parser: ArgumentParser, db_help: str = "read this file instead of asking a server") -> None:
    parser.add_argument(
        "--server",
        default="",
        metavar="URL",
        help="the server (default: http://localhost:4318) [MINITRACE_URL, OTEL_EXPORTER_OTLP_ENDPOINT]",
    )
    _add_token(parser)
    parser.add_argument("--db", default="", metavar="FILE", help=db_help)


def _add_token(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--token", default=os.environ.get("MINITRACE_TOKEN", ""), help="the server's token [MINITRACE_TOKEN]"
    )


def _add_demo(commands: Any) -> None:
    text = "send a believable shop's traces and logs to a running server"
    demo = _command(commands, "demo", text, more=", through OTLP/HTTP", epilog=_DEMO_EPILOG)
    demo.add_argument(
        "--endpoint",
        default=os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318"),
        metavar="URL",
        help="where to send (default: http://localhost:4318) [OTEL_EXPORTER_OTLP_ENDPOINT]",
    )
    _add_token(demo)
    _add_demo_amounts(demo)
    demo.add_argument("--regressed", action="store_true", help="the shop after a bad release: slower, with an N+1")


def _add_demo_amounts(parser: ArgumentParser, only_with: str = "") -> None:
    parser.add_argument(
        "--backfill", type=_amount, default=600, metavar="N",
        help=f"traces sent at once, dated over the last 15 minutes (default: 600{only_with})",
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


def _add_db(commands: Any) -> None:
    text = "look at the database file, check it, make it smaller, copy it, or save what a damaged one holds"
    db = _command(commands, "db", text, epilog=_DB_EPILOG)
    commands = db.add_subparsers(metavar="COMMAND", title="commands", required=True)

    def add(name: str, help: str, more: str = "") -> ArgumentParser:
        parser: ArgumentParser = _command(commands, name, help, more=f". {more}".rstrip(". "))
        parser.set_defaults(command=f"db:{name}")
        return parser

    info = add("info", "say what is in the file and how large it is")
    info.add_argument("--json", action="store_true", help="as JSON: sizes in bytes, times in nanoseconds since 1970")
    check = add(
        "check", "look for damage in the file",
        "Works on a copy in the folder for temporary files (TMPDIR). Exit code 5 if there is damage",
    )  # fmt: skip
    vacuum = add(
        "vacuum", "write the file anew, without the gaps that removed spans have left",
        "The server must be stopped. For the time of it, twice the size of the file is needed beside it",
    )  # fmt: skip
    backup = add(
        "backup", "copy the file, as it is at one moment",
        "Spans may come meanwhile; all that were acknowledged before are in the copy, which is checked",
    )  # fmt: skip
    recover = add(
        "recover", "save what a damaged file still holds into a new file in its place",
        "The server must be stopped. The damaged file is kept as FILE.corrupt-TIME",
    )  # fmt: skip
    for parser in (info, check, vacuum):
        parser.add_argument("file", nargs="?", metavar="FILE", help=_DB_HELP)
    recover.add_argument("file", metavar="FILE", help="the damaged file")
    backup.add_argument("--db", dest="file", metavar="FILE", help=_DB_HELP)
    backup.add_argument("target", metavar="DEST", help="where the copy goes; its owner alone may read it")
    backup.add_argument("--force", action="store_true", help="replace DEST if it exists")


def _amount(text: str) -> int:
    if (number := int(text)) < 0:
        raise ValueError(text)
    return number


def _limit(text: str) -> int:
    if not 1 <= (number := int(text)) <= LARGEST_LIMIT:
        raise ValueError(text)
    return number


def _rate(text: str) -> float:
    if not 0 < (number := float(text)) <= 10_000:
        raise ValueError(text)
    return number


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except DecodeError:
        raise ValueError(text) from None


def _timeout(text: str) -> float:
    """Seconds, with or without a unit."""
    return float(text) if text.replace(".", "", 1).isdigit() else _duration(text) / 1e9


# what argparse calls them in its errors
_amount.__name__, _rate.__name__, _limit.__name__ = "number", "rate above 0", f"number from 1 to {LARGEST_LIMIT}"
_duration.__name__ = _timeout.__name__ = "duration such as 30s or 5m"
