"""`minitrace open`: what is opened, and what is said of files that cannot be. A journey opens a page for real."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from minitrace.asking.file import File
from minitrace.asking.gathering import gather
from minitrace.cli.open import meant
from minitrace.errors import DecodeError, StoreDamaged, StoreError
from minitrace.model import Span, Trace
from minitrace.otlp import json as otlp_json
from minitrace.otlp.encode import encode_logs, logs_data, traces_data
from minitrace.store.lock import Lock
from minitrace.store.maintenance import describe
from minitrace.testing.keeping import Folder, begin, save
from minitrace.web.documents import Format, document, traces_json
from tests.cli import conftest
from tests.cli.conftest import Run, fill
from tests.samples import TRACE, record, span

SPANS = sorted(conftest.SPANS, key=lambda span: span.start_ns)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Where files are gathered."""
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary" / "copy.db"


def gathered(copy: Path, *files: Path) -> tuple[list[Span], list[str]]:
    """All spans that come of files, in order of start, and what is said."""
    notes: list[str] = []
    gather(files, copy, notes.append)
    file = File(copy)
    spans = [span for part in file.spans() for span in part]
    file.close()
    return sorted(spans, key=lambda span: span.start_ns), notes


def line(*spans: Span) -> str:
    return json.dumps(otlp_json.dump(traces_data(spans)), ensure_ascii=False)


def test_a_file_is_copied_with_all_that_is_in_it_and_left_as_it_was(file: Path, copy: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE traces SET is_pinned = 1")
    connection.close()
    before = file.read_bytes()
    assert gathered(copy, file) == (SPANS, [])
    assert describe(copy).pinned_count == 3
    assert file.read_bytes() == before
    assert sorted(path.name for path in file.parent.glob("file*")) == ["file.db", "file.db.lock"]


def test_a_file_that_a_server_has_open_is_shown_as_it_is_and_that_is_said(file: Path, copy: Path) -> None:
    lock = Lock(file)
    spans, notes = gathered(copy, file)
    lock.release()
    assert spans == SPANS
    assert "this is what it holds now, and not what comes" in notes[0]


def test_log_records_are_shown_too_also_where_there_is_no_span(tmp_path: Path, copy: Path) -> None:
    logs = json.dumps(otlp_json.dump(logs_data([record("one"), record("two", at_ms=1)])))
    (tmp_path / "both.jsonl").write_text(f"{line(*SPANS)}\n{logs}\n")
    (tmp_path / "logs.bin").write_bytes(encode_logs([record("three", at_ms=2)]))
    assert gathered(copy, tmp_path / "both.jsonl", tmp_path / "logs.bin") == (SPANS, [])
    file = File(copy)
    assert [one.body for part in file.records() for one in part] == ["one", "two", "three"]
    file.close()


def test_many_files_are_shown_together(tmp_path: Path, copy: Path) -> None:
    many = [span(f"{n}", trace="many", start_ms=n - 9_000) for n in range(9_000)]
    fill(tmp_path / "many.db", many)
    fill(tmp_path / "few.db", SPANS)
    (tmp_path / "one.json").write_text(line(span("one", start_ms=90_000)))
    spans, notes = gathered(copy, tmp_path / "many.db", tmp_path / "few.db", tmp_path / "one.json")
    assert spans == [*many, *SPANS, span("one", start_ms=90_000)]
    assert notes == []


@pytest.mark.parametrize("is_pretty", [False, True])
def test_a_trace_that_was_downloaded_is_shown(tmp_path: Path, copy: Path, is_pretty: bool) -> None:
    spans = [span("a"), span("b", "a")]
    (tmp_path / "trace.json").write_text("".join(traces_json(spans, is_pretty=is_pretty)))
    assert gathered(copy, tmp_path / "trace.json") == (spans, [])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_text_may_be_in_any_of_jsons_encodings(tmp_path: Path, copy: Path, encoding: str) -> None:
    (tmp_path / "trace.json").write_text(line(span("größe\u2028")), encoding=encoding)
    assert gathered(copy, tmp_path / "trace.json") == ([span("größe\u2028")], [])


def test_a_collectors_file_is_shown_whose_last_line_was_cut_off(tmp_path: Path, copy: Path) -> None:
    lines = [line(span("a")), "", '{"resourceLogs":[]}', line(span("b\u2028")), line(span("c"))[:-9]]
    (tmp_path / "c.ndjson").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    spans, notes = gathered(copy, tmp_path / "c.ndjson")
    assert spans == [span("a"), span("b\u2028")]
    assert [note.partition("JSON")[0] for note in notes] == [f"{tmp_path / 'c.ndjson'}: line 5: not "]


@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_what_was_exported_is_shown(
    tmp_path: Path, copy: Path, format: Format, packed: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "exported").write_bytes(packed("".join(document([SPANS[:2], SPANS[2:]], format)).encode()))
    spans, notes = gathered(copy, tmp_path / "exported")
    assert ([one.name for one in spans], notes) == ([one.name for one in SPANS], [])
    if format is not Format.JAEGER:
        assert spans == SPANS


def test_spans_of_zipkin_and_tempo_are_shown(tmp_path: Path, copy: Path) -> None:
    (tmp_path / "z.json").write_text('[{"traceId": "1f", "id": "2f", "name": "get", "timestamp": 5, "duration": 1}]')
    tempo = {"batches": otlp_json.dump(traces_data([span("a")]), ids="base64", enums="name")["resourceSpans"]}
    (tmp_path / "t.json").write_text(json.dumps(tempo))
    spans, notes = gathered(copy, tmp_path / "z.json", tmp_path / "t.json")
    assert ([one.name for one in spans], notes) == (["get", "a"], [])


def test_problems_beyond_the_first_are_counted(tmp_path: Path, copy: Path) -> None:
    (tmp_path / "c.jsonl").write_text(line(span("a")) + "\n{" * 5)
    _, notes = gathered(copy, tmp_path / "c.jsonl")
    assert len(notes) == 4
    assert notes[3] == f"{tmp_path / 'c.jsonl'}: and 2 more"


def test_lines_by_the_thousand_are_shown(tmp_path: Path, copy: Path) -> None:
    spans = [span(f"{n}", start_ms=n) for n in range(9_000)]
    (tmp_path / "c.jsonl").write_text("\n".join(line(*spans[n : n + 3]) for n in range(0, 9_000, 3)))
    assert gathered(copy, tmp_path / "c.jsonl") == (spans, [])


def test_spans_that_are_not_usable_are_counted(tmp_path: Path, copy: Path) -> None:
    (tmp_path / "c.json").write_text(line(span("a"), span("no id", trace=b""), span("nor this", trace=b"")))
    spans, notes = gathered(copy, tmp_path / "c.json")
    assert spans == [span("a")]
    assert notes[0].startswith(f"{tmp_path / 'c.json'}: 2 spans left out: ")
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("", "it is empty"),
        ('{"name": "shop", "version": 1}', 'OTLP JSON has spans in "resourceSpans"'),
        ('{"resourceLogs": []}', 'OTLP JSON has spans in "resourceSpans"'),
        (line(span("no id", trace=b"")), "trace"),
    ],
)
def test_a_text_without_spans_says_why(tmp_path: Path, copy: Path, text: str, said: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(DecodeError, match=rf"there is no span or log record in .*c\.json: .*{said}"):
        gathered(copy, tmp_path / "c.json")


def test_one_of_many_files_that_cannot_be_read_is_noted(tmp_path: Path, copy: Path, file: Path) -> None:
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "text.db").write_text("no database" * 100)
    spans, notes = gathered(copy, tmp_path / "package.json", tmp_path / "text.db", file)
    assert spans == SPANS
    assert ["package.json" in notes[0], "is no SQLite database" in notes[1]] == [True, True]


def test_a_file_that_is_no_database_alone_is_refused(tmp_path: Path, copy: Path) -> None:
    (tmp_path / "text.db").write_text("no database" * 100)
    with pytest.raises(StoreDamaged, match="is no SQLite database"):
        gathered(copy, tmp_path / "text.db")
    with pytest.raises(StoreError, match=r"there is no file .*gone\.db"):
        gathered(copy, tmp_path / "gone.db")
    with pytest.raises(StoreError, match=r"cannot read .*gone\.json: no such file"):
        gathered(copy, tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "no test has left traces here, as there is no .minitrace. Name a file"),
        (["gone.db"], 2, "there is no gone.db. Name a file, or a folder with some"),
        (["folder"], 2, "no file with traces is in folder: name one that ends in .db, .html, .json or .jsonl"),
        (["text"], 2, "there is no span or log record in text: it is none of the formats that are understood"),
        (["text.db"], 5, "text.db is no SQLite database"),
        (["foreign.db"], 6, "the file is an SQLite database, but not minitrace's"),
        (["nothing.db"], 3, "there is nothing in nothing.db yet"),
        (["empty.db"], 2, "there is no trace and no log record in empty.db"),
        (["c.json"], 2, "there is no span or log record in c.json: not JSON"),
    ],
)
def test_what_cannot_be_opened_is_said_with_a_remedy(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("text", "text.db"):
        (tmp_path / name).write_text("no database" * 100)
    (tmp_path / "c.json").write_text("{")
    (tmp_path / "nothing.db").touch()
    save([], tmp_path / "empty.db")
    connection = sqlite3.connect(tmp_path / "foreign.db")
    connection.executescript("CREATE TABLE theirs (x)")
    connection.close()
    exit_code, out, err = run("open", "--no-browser", *arguments)
    assert (exit_code, out) == (code, "")
    assert err.startswith(f"minitrace: {said}")


def test_a_project_stands_for_the_tests_that_failed_last(tmp_path: Path) -> None:
    for session in ("2026-11-22T13-41-05Z-aa", "2026-11-22T14-41-05Z-aa"):
        folder = Folder(tmp_path / ".minitrace", session)
        assert folder.keep(f"test_a.py::test_{session}", [Trace(TRACE, [span("a")])]).db
        folder.close()
    for name in (tmp_path, tmp_path / ".minitrace"):
        assert [path.parent.name for path in meant(name)] == ["2026-11-22T14-41-05Z-aa"]


def test_what_is_latest_may_be_a_file(tmp_path: Path) -> None:
    begin(tmp_path / ".minitrace", "sessions/today.db")
    file = save([span("a")], tmp_path / ".minitrace" / "sessions" / "today.db")
    assert meant(tmp_path) == [file]


def test_a_page_is_only_opened(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "a trace.html"
    page.write_text("\n<!doctype html>")
    assert run("open", "--no-browser", page) == (0, f"{page.as_uri()}\n", "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "there is no span or log record in standard input: it is empty"),
        (b"{}", "there is no span or log record in standard input: it is none of the formats"),
    ],
)
def test_standard_input_has_a_name(run: Run, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    code, out, err = run("open", "--no-browser", "-")
    assert (code, out) == (2, "")
    assert err.startswith(f"minitrace: {said}")
