"""`minitrace logs`."""

from __future__ import annotations

import json
import re
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence

from minitrace import present
from minitrace.analysis.drawing import one_line
from minitrace.asking import ids
from minitrace.asking.ids import LEAST_DIGITS
from minitrace.asking.source import LogAnswer, Source
from minitrace.cli import asked, terminal
from minitrace.cli.exits import NOTHING_FOUND
from minitrace.errors import ConfigError, TraceNotFound
from minitrace.model import LogRecord
from minitrace.web.lookup import find_ids
from minitrace.web.terms import Term

_BEGINNING = re.compile(rf"{ids.LAST}|[0-9a-fA-F]{{{LEAST_DIGITS},31}}")
HEAD = ("TIME", "LEVEL", "SERVICE", "TRACE", "RECORD")


def run(parsed: Namespace) -> int:
    """List log records that fit. Returns the exit code."""
    with asked.source(parsed) as source:
        try:
            answer = source.logs(_parameters(parsed, source))
        except TraceNotFound as error:
            asked.note(str(error))
            return NOTHING_FOUND
    if parsed.json:
        print(json.dumps(answer.document, ensure_ascii=False))
    elif answer.records:
        rows = [HEAD, *_rows(answer.records, time.time_ns(), terminal.width())]
        print("\n".join(terminal.table(rows, (), terminal.width())))
    _tell(parsed, answer)
    return 0 if answer.records else NOTHING_FOUND


def _parameters(parsed: Namespace, source: Source) -> dict[str, str]:
    """What the API is asked. Raises ConfigError; TraceNotFound: no trace has an id that begins so."""
    if parsed.since and (parsed.start or parsed.end):
        raise ConfigError("--since does not go together with --from or --to: give one of them")
    asked_for = {
        "q": " ".join(parsed.words),
        "level": parsed.level,
        "service": parsed.service,
        "attributes": " ".join(map(_term, parsed.attribute)),
        "trace": _trace(parsed.trace, source).hex() if parsed.trace else "",
        "since": f"{parsed.since}ns" if parsed.since else "",
        "from": parsed.start or "",
        "to": parsed.end or "",
        "limit": str(parsed.limit),
    }
    return {name: text for name, text in asked_for.items() if text}


def _trace(text: str, source: Source) -> bytes:
    """The trace that is meant: one of which only records are stored is named by its whole id."""
    named = find_ids(text)
    if not named and not _BEGINNING.fullmatch(text):
        raise ConfigError(f"{text[:80]!r} is no trace id: give one, its first {LEAST_DIGITS} digits, or a traceparent")
    try:
        return ids.find(source, text).trace_id if _BEGINNING.fullmatch(text) else named[0].trace_id
    except TraceNotFound:
        if named:
            return named[0].trace_id
        raise


def _term(text: str) -> str:
    """KEY=VALUE as one term: the shell has taken the quotes of a value with spaces. Raises ConfigError."""
    name, sign, value = text.partition("=")
    if not sign:
        raise ConfigError(f"--attribute {text[:80]!r} has no value: write KEY=VALUE")
    return str(Term(name, "=", value, value)) if " " in value and '"' not in text else text


def _rows(records: Sequence[LogRecord], now_ns: int, width: int) -> Iterator[tuple[str, ...]]:
    for record in records:
        text = record.body if isinstance(record.body, str) else present.value(record.body)
        yield (
            present.plain(present.moment(record.time_ns, now_ns)),
            record.level.name.lower() if record.level else "",
            one_line(record.service),
            record.trace_id.hex()[: LEAST_DIGITS if width else None],
            one_line(text if record.body is not None else record.event_name, width or len(text) + 1),
        )


def _tell(parsed: Namespace, answer: LogAnswer) -> None:
    """What is not in the table: that it is empty, or not all."""
    if not answer.is_complete:
        asked.note("there was no time to look at all records: give a shorter time with --since, or ask for more")
    if answer.has_more and not parsed.json:
        asked.note(f"the newest {parsed.limit}; --limit shows more")
    if not answer.records:
        asked.note("no log record fits")
