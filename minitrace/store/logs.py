"""Which log records fit a search, newest first.

```
LogSearch → in each segment, newest first: a query for its index, and SQL about rows → ids → records
```

What is rare in a segment is found by its index. What is common (5 000 of its records have it) is found by walking
through them in the order of time, which soon has enough. Segments overlap in time, as what happened earlier may arrive
later: a search ends when no segment that is left has a newer record than the last one found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from minitrace import present
from minitrace.errors import QueryTimeout
from minitrace.model import MAX_TIME_NS, LogRecord, Severity
from minitrace.store import tokens, values
from minitrace.store.candidates import Place
from minitrace.store.database import Reader
from minitrace.store.dictionary import keys_named, tokens_with, tokens_with_word, words_in
from minitrace.store.log_rows import LogLoader
from minitrace.store.segment import SCOPES_OF_LOGS
from minitrace.store.segments import ORIGINS, Segments
from minitrace.store.tokens import LOG_SIGN
from minitrace.traceql.ast import Value

FEW = 5_000  # records of a segment that are looked up one by one
MOST_TERMS = 400  # in the index query for one word: 10 µs each; what has more is common, and found by walking
MOST_SPELT = 32  # words that begin with one, each named in the query
MOST_SEVERE = 24
MOST_BYTES = 16 << 20  # of a page, about: some records have bodies of a megabyte
AT_ONCE = 50  # records that are loaded before it is seen how long they are
MOST_OF_TRACE = 10_000  # records that are loaded of one trace
MOST_BYTES_OF_TRACE = 64 << 20
MARK_CHARACTERS = 200  # of a body, in a word
MARK_BYTES = 4_000  # of a list or a map whose beginning is told

# Chinese, Japanese, Thai, Lao, Burmese, Khmer: to the index, a sentence is one word.
_WITHOUT_SPACES = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]"
)
_SEGMENTS = """
    SELECT id, first_log, last_log, newest_log_ns
    FROM segments
    WHERE last_log >= first_log AND state = 0 AND newest_log_ns >= ? AND oldest_log_ns <= ?
    ORDER BY newest_log_ns DESC, id DESC
"""


Found = tuple[int, int]  # time and id


@dataclass(frozen=True, slots=True)
class LogSearch:
    """What is asked for; all of it must hold.

    Each of `words` begins a word of the body or of a value; with other characters than letters and digits in it, it
    stands in one of them as it is, in any case, and so does one of a script without spaces in the body. `severity` is
    the least one. An attribute, of the record, its scope or its resource, has a value that is written so. Times are
    nanoseconds, the end not included. `before` is a cursor.
    """

    words: str = ""
    severity: int = 0
    service: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    trace_id: bytes = b""
    span_id: bytes = b""
    start_ns: int = 0
    end_ns: int = MAX_TIME_NS
    limit: int = 100
    before: str = ""


@dataclass(slots=True)
class LogResult:
    """Records that fit, newest first.

    `complete` is False if the deadline came before the limit and before the oldest record: `looked_back_to_ns` says how
    far all of them are found. `next` continues after the last one, None when there is nothing behind it. Long records
    may make a page end before its limit.
    """

    records: list[LogRecord] = field(default_factory=list)
    complete: bool = True
    looked_back_to_ns: int | None = None
    next: str | None = None


async def search_logs(reader: Reader, wanted: LogSearch) -> LogResult:
    """A page of the records that fit. Raises DecodeError: `before` is not a cursor of ours."""
    if not await reader.rows("SELECT 1 FROM sqlite_master WHERE name = 'logs'"):  # an older file, which is only read
        return LogResult()
    search = _Search(reader, wanted)
    places, looked_back_to_ns = await search.places()
    records, count = await _load(reader, [id_ for _, id_ in places[: wanted.limit]], MOST_BYTES)
    page, has_more = places[:count], len(places) > count
    return LogResult(
        records,
        has_more or looked_back_to_ns is None,
        looked_back_to_ns,
        str(Place(*page[-1])) if has_more else None,
    )


async def _load(reader: Reader, ids: Sequence[int], most_bytes: int) -> tuple[list[LogRecord], int]:
    """The records with these ids, up to the one that brings them to so many bytes; and how many of the ids that are."""
    loader, found = LogLoader(reader), []
    size, done, at_once = 0, 0, AT_ONCE
    while done < len(ids):
        records = await loader.records(ids[done : done + at_once])
        for id_ in ids[done : done + at_once]:
            done += 1
            if id_ in records:
                found.append(records[id_])
                size += len(str(found[-1].body)) + len(str(found[-1].attributes))
            if size >= most_bytes:
                return found, done
        at_once = 1 + (most_bytes - size) * len(found) // (size + 1)  # that should do, if they are as long
    return found, done


async def logs_of_trace(reader: Reader, trace_id: bytes, span_id: bytes = b"") -> list[LogRecord]:
    """The records of a trace, or of one of its spans, oldest first; the first of them, if they are too many."""
    which, bound = ("trace_id = ? AND span_id = ?", [trace_id, span_id]) if span_id else ("trace_id = ?", [trace_id])
    rows = await reader.rows(f"SELECT id FROM logs WHERE {which} ORDER BY time_ns, id LIMIT {MOST_OF_TRACE}", bound)
    records, _ = await _load(reader, [row[0] for row in rows], MOST_BYTES_OF_TRACE)
    return records


async def unknown_logs(reader: Reader, records: Sequence[LogRecord]) -> list[LogRecord]:
    """Those of the records that are not stored, in their order. What is compared is all that they say."""
    times = json.dumps(sorted({min(record.time_ns, MAX_TIME_NS) for record in records}))
    rows = await reader.rows("SELECT id FROM logs WHERE time_ns IN (SELECT value FROM json_each(?))", (times,))
    stored: dict[tuple[Any, ...], list[LogRecord]] = {}
    for record in (await LogLoader(reader).records(row[0] for row in rows)).values():
        stored.setdefault(_mark_of(record), []).append(record)
    unknown = []
    for record in records:
        alike = stored.get(_mark_of(record), [])
        if record in alike:
            alike.remove(record)
        else:
            unknown.append(record)
    return unknown


def _mark_of(record: LogRecord) -> tuple[Any, ...]:
    """What tells most records apart."""
    return record.time_ns, record.trace_id, record.span_id, str(record.body), str(record.attributes)


@dataclass(frozen=True, slots=True)
class LogMark:
    """A record in a word: when, how bad (a severity number), by whom, and the beginning of what it says."""

    time_ns: int
    severity: int
    span_id: bytes
    service: str
    text: str


async def count_of_trace(reader: Reader, trace_id: bytes) -> int:
    """How many records a trace has."""
    ((count,),) = await reader.rows("SELECT count(*) FROM logs WHERE trace_id = ?", (trace_id,))
    return int(count)


async def marks_of_trace(reader: Reader, trace_id: bytes) -> list[LogMark]:
    """The records of a trace, oldest first; the first `MOST_OF_TRACE` of them."""
    sql = f"""
        SELECT time_ns, severity, span_id, services.name, body_type,
            CASE WHEN body_type IS NULL THEN substr(body, 1, {MARK_CHARACTERS})
                WHEN length(body) < {MARK_BYTES} THEN body END
        FROM logs JOIN services ON services.id = service
        WHERE trace_id = ?
        ORDER BY time_ns, logs.id
        LIMIT {MOST_OF_TRACE}
    """
    return [
        LogMark(time_ns, severity, span_id or b"", service, _beginning(body_type, body))
        for time_ns, severity, span_id, service, body_type, body in await reader.rows(sql, (trace_id,))
    ]


def _beginning(body_type: str | None, body: Any) -> str:
    """The first line of a body, or its beginning."""
    if body is None:
        return ""
    text = present.value(values.from_column(body_type, body)) if body_type else str(body)
    return text[:MARK_CHARACTERS].split("\n", 1)[0]


_Sql = tuple[str, list[Any]]  # a condition, and what is bound in it
ALL_ROWS: _Sql = ("1", [])


@dataclass(frozen=True, slots=True)
class _Condition:
    """What must hold in a segment: as a query for its index, "" for none, and as SQL about rows."""

    term: str = ""
    rows: _Sql = ALL_ROWS


class _Search:
    """One search, from segment to segment."""

    def __init__(self, reader: Reader, wanted: LogSearch) -> None:
        self._reader = reader
        self._wanted = wanted
        self._words = list(dict.fromkeys(wanted.words.split()))
        self._end = Place.read(wanted.before) if wanted.before else Place(min(wanted.end_ns, MAX_TIME_NS), 0)
        if not wanted.before and wanted.end_ns >= MAX_TIME_NS:
            self._end = Place(MAX_TIME_NS, MAX_TIME_NS)  # there are records of that very time

    async def places(self) -> tuple[list[Found], int | None]:
        """One more than the limit, newest first; and how far back all were found, None if to the end."""
        wanted = self._wanted
        if not (self._words or wanted.service or wanted.attributes or wanted.severity >= Severity.WARN):
            return await self._in_time_order(*self._rows()), None
        found: list[Found] = []
        reached_ns = None
        try:
            self._segments = await Segments.read(self._reader)
            self._keys = await keys_named(self._reader, [name for name, _ in wanted.attributes])
            for id_, first, last, newest_ns in await self._reader.rows(_SEGMENTS, (wanted.start_ns, self._end.time_ns)):
                if len(found) > wanted.limit and found[-1][0] > newest_ns:
                    break
                reached_ns = newest_ns
                found = sorted([*found, *await self._in_segment(id_, first, last)], reverse=True)[: wanted.limit + 1]
        except QueryTimeout:
            self._reader.deadline += 1.0  # to load what was found
            return [place for place in found if place[0] > (reached_ns or 0)], reached_ns or self._end.time_ns
        return found, None

    def _rows(self) -> tuple[str, list[Any]]:
        """What must hold of a row whichever its segment is, and what is bound in it."""
        wanted = self._wanted
        parts: list[tuple[str, list[Any]]] = [
            ("(time_ns, id) < (?, ?)", [self._end.time_ns, self._end.row]),
            ("time_ns >= ?", [wanted.start_ns]),
        ]
        if wanted.severity:
            parts.append(("severity BETWEEN ? AND ?", [wanted.severity, MOST_SEVERE]))
        if wanted.trace_id:
            parts.append(("trace_id = ?", [wanted.trace_id]))
        if wanted.span_id:
            parts.append(("span_id = ?", [wanted.span_id]))
        return _joined(parts)

    async def _in_segment(self, segment: int, first: int, last: int) -> list[Found]:
        """The newest records of a segment that fit, one more than the limit."""
        conditions = [*await self._of_attributes(segment), *await self._of_words(segment), *await self._of_service()]
        if None in conditions:
            return []
        these = ("id BETWEEN ? AND ?", [first, last])
        where, bound = _joined([self._rows(), these, *(one.rows for one in conditions if one)])
        terms = [one.term for one in conditions if one and one.term]
        if self._wanted.severity >= Severity.WARN:
            letters = tokens.letters(tokens.SEVERITY)
            terms.append(_any_of(f"{letters}{number}" for number in range(self._wanted.severity, MOST_SEVERE + 1)))
        if not terms:
            return await self._in_time_order(where, bound)
        query, index = " AND ".join(f"({term})" for term in terms), f"logwords_{segment}"
        matching = f"SELECT rowid FROM {index} WHERE {index} MATCH ?"
        few = [row[0] for row in await self._reader.rows(f"{matching} LIMIT {FEW + 1}", (query,))]
        if len(few) > FEW:
            return await self._in_time_order(f"{where} AND id IN ({matching})", [*bound, query])
        sql = f"SELECT time_ns, id FROM logs WHERE id IN (SELECT value FROM json_each(?)) AND {where}"
        rows = await self._reader.rows(sql, (str(few), *bound)) if few else []
        return sorted(((row[0], row[1]) for row in rows), reverse=True)[: self._wanted.limit + 1]

    async def _in_time_order(self, where: str, bound: Sequence[Any]) -> list[Found]:
        index = "" if self._wanted.trace_id else "INDEXED BY logs_by_time"
        sql = f"SELECT time_ns, id FROM logs {index} WHERE {where} ORDER BY time_ns DESC, id DESC LIMIT ?"
        return [(row[0], row[1]) for row in await self._reader.rows(sql, (*bound, self._wanted.limit + 1))]

    async def _of_service(self) -> list[_Condition | None]:
        if not self._wanted.service:
            return []
        rows = await self._reader.rows("SELECT id FROM services WHERE name = ?", (self._wanted.service,))
        return [_Condition(_any_of([f"{tokens.letters(tokens.SERVICE)}{rows[0][0]}"])) if rows else None]

    async def _of_attributes(self, segment: int) -> list[_Condition | None]:
        conditions: list[_Condition | None] = []
        for name, text in self._wanted.attributes:
            found: set[str] = set()
            for key in self._keys.get((segment, name), []):
                if key.scope in SCOPES_OF_LOGS:
                    for literal in _literals(text):
                        found |= await tokens_with(self._reader, segment, key, "=", literal)
            found |= await self._origins_with(segment, found)
            if len(found) <= MOST_TERMS:
                conditions.append(_Condition(_any_of(found)) if found else None)
            else:
                conditions.append(_Condition(rows=_has_any(found)))
        return conditions

    async def _of_words(self, segment: int) -> list[_Condition]:
        conditions = []
        for word in self._words:
            found = await tokens_with_word(self._reader, segment, word, SCOPES_OF_LOGS)
            found |= await self._origins_with(segment, found)
            pieces = words_in(word)
            in_body = " AND ".join([await self._beginning_with(segment, piece) for piece in pieces])
            text, bound = _has_any(found) if found else ("0", [])
            rows = (f"(instr(lower(body), lower(?)) OR {text})", [word, *bound])
            if not pieces or len(found) > MOST_TERMS or _WITHOUT_SPACES.search(word):
                conditions.append(_Condition(rows=rows))
            else:
                term = f"({in_body}) OR {_any_of(found)}" if found else in_body
                conditions.append(_Condition(term, ALL_ROWS if pieces == [word] else rows))
        return conditions

    async def _beginning_with(self, segment: int, word: str) -> str:
        """A query for words of bodies that begin with this one.

        FTS5 puts a list together of all that have one of them, before it looks at the other words: 12 ms where all
        131 072 records have it. Where they are few, to name them is quicker.
        """
        start = word.lower()
        if not start.isascii():  # FTS5 leaves out accents
            return f'"{word}" *'
        sql = f"SELECT term FROM logterms_{segment} WHERE term >= ? AND term < ? LIMIT {MOST_SPELT + 1}"
        words = [row[0] for row in await self._reader.rows(sql, (start, f"{start}{chr(0x10FFFF)}"))]
        if len(words) > MOST_SPELT:
            return f'"{word}" *'
        return "(" + " OR ".join(f'"{one}"' for one in words or [start]) + ")"

    async def _origins_with(self, segment: int, wanted: set[str]) -> set[str]:
        """The tokens of resources and scopes that have one of these."""
        found: set[str] = set()
        for column in ORIGINS:
            for origin, own in (await self._segments.origins(segment, column)).items():
                if not wanted.isdisjoint(own):
                    found.add(origin)
        return found


def _joined(parts: Iterable[_Sql]) -> _Sql:
    kept = [part for part in parts if part is not ALL_ROWS]
    return " AND ".join(part for part, _ in kept), [value for _, bound in kept for value in bound]


def _any_of(found: Iterable[str]) -> str:
    return " OR ".join(f'"{LOG_SIGN}{token}"' for token in sorted(found))


def _has_any(found: Iterable[str]) -> _Sql:
    """That a row has one of these tokens: for what its index is not asked."""
    own = "'a' || resource || ' b' || scope || ' ' || trim(attributes || ' ' || more)"
    each = f"""json_each('["' || replace({own}, ' ', '","') || '"]')"""
    test = f"EXISTS (SELECT 1 FROM {each} WHERE value IN (SELECT value FROM json_each(?)))"
    return test, [json.dumps([*found])]


def _literals(text: str) -> list[Value]:
    """The values that are written so: ``1`` is a number, too."""
    found: list[Value] = [text]
    if text in ("true", "false"):
        found.append(text == "true")
    with suppress(ValueError):
        found.append(int(text) if re.fullmatch(r"-?\d{1,18}", text) else float(text))
    return found
