"""One of our files that came as bytes: what is in it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from minitrace.errors import MinitraceError
from minitrace.model import LogRecord, Span
from minitrace.store.database import Readers, explained, read_option
from minitrace.store.maintenance import reading
from minitrace.store.questions import Questions

SIGN = b"SQLite format 3\0"  # https://sqlite.org/fileformat.html#magic_header_string
READ_S = 30.0  # for some thousand spans


def is_ours(content: bytes) -> bool:
    """Whether it is a database, as only one of ours can be."""
    return content.startswith(SIGN)


async def contents(content: bytes, name: str) -> tuple[list[Span], list[LogRecord]]:
    """All spans and log records of a file, which errors call `name`. Raises StoreError."""
    with tempfile.TemporaryDirectory(prefix="minitrace-") as folder:
        path = Path(folder) / "attachment.db"
        path.write_bytes(content)
        try:
            return await _contents(path)
        except MinitraceError as error:
            raise type(error)(str(error).replace(str(path), name)) from None


async def _contents(path: Path) -> tuple[list[Span], list[LogRecord]]:
    all_spans: list[Span] = []
    all_records: list[LogRecord] = []
    with reading(path):
        pass  # it is ours
    with explained(path):
        readers = await Readers.open(path, READ_S, number=1, option=read_option(path, is_used=False))
        try:
            questions = Questions(path, readers)
            place, spans = await questions.spans_after(0)
            while spans:
                all_spans += spans
                place, spans = await questions.spans_after(place)
            place, records = await questions.logs_after(0)
            while records:
                all_records += records
                place, records = await questions.logs_after(place)
        finally:
            await readers.close()
    return all_spans, all_records
