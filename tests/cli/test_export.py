"""`minitrace export`: what is written, where, and what is said of it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from minitrace.asking.file import File
from minitrace.asking.pages import found, logs_of
from minitrace.formats import detection
from minitrace.formats.jaeger import trace_json
from minitrace.model import Resource, Span
from minitrace.otlp.decode import decode_traces
from minitrace.store.growing_file import new_file
from tests.cli.conftest import SPANS, Run, fill, send
from tests.running import Server
from tests.samples import T0, record, span, trace_id


def traces_in(content: bytes) -> dict[str, set[str]]:
    """Names of spans by trace, of what was written."""
    found: dict[str, set[str]] = {}
    for one in detection.read_any(content, now_ns=0).spans:
        found.setdefault(one.trace_id.hex(), set()).add(one.name)
    return found


def names(*traces: str) -> dict[str, set[str]]:
    """The same of `SPANS`."""
    ids = [trace_id(name) for name in traces]
    return {id_.hex(): {span.name for span in SPANS if span.trace_id == id_} for id_ in ids}


def ordered(spans: list[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: (span.start_ns, span.name))


@pytest.fixture(params=["file", "server"])
def place(request: pytest.FixtureRequest) -> list[str]:
    """Flags for a file and for a server that have the same."""
    if request.param == "file":
        return ["--db", str(request.getfixturevalue("file"))]
    server: Server = request.getfixturevalue("server")
    return ["--server", server.url]


def test_all_that_is_stored_is_one_document(run: Run, place: list[str]) -> None:
    code, out, err = run("export", *place)
    assert (code, err) == (0, "")
    assert ordered(decode_traces(out.encode(), is_json=True).spans) == ordered(SPANS)


def test_log_records_stand_on_lines_behind_their_trace(run: Run, tmp_path: Path) -> None:
    said = [record(f"{n}", at_ms=n, trace="pay") for n in range(3)]
    with new_file(tmp_path / "said.db") as file:
        file.add(SPANS)
        file.add_logs([*said, record("of no trace")])
    target = tmp_path / "out.jsonl"
    code, out, _ = run("export", trace_id("pay").hex(), "--logs", "--db", tmp_path / "said.db", "-o", target)
    assert (code, out.split(": ")[1][:33]) == (0, "1 trace, 2 spans, 3 log records, ")
    found = detection.read_any(target.read_bytes(), now_ns=0)
    assert [one.body for one in found.records] == ["2", "1", "0"]
    assert len(found.spans) == 2
    code, out, _ = run("export", "--logs", "--db", tmp_path / "said.db")
    assert out.count("resourceLogs") == 1
    assert "of no trace" not in out


def test_a_trace_with_many_log_records_is_asked_for_page_by_page(tmp_path: Path) -> None:
    with new_file(tmp_path / "said.db") as file:
        file.add_logs([record(f"{n}", at_ms=n // 2, trace="pay") for n in range(7)])
    source = File(tmp_path / "said.db")
    found = [one.body for page in logs_of(source, trace_id("pay"), at_once=2) for one in page]
    source.close()
    assert sorted(map(str, found)) == [str(n) for n in range(7)]


def test_log_records_go_with_lines_only(run: Run, file: Path) -> None:
    code, out, err = run("export", "--logs", "--format", "otlp", "--db", file)
    assert (code, out) == (2, "")
    assert "--logs goes with jsonl" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["{ status = error }"], ["pay"]),
        (["GET", "cart"], ["cart"]),
        (["--limit", "1"], ["pay"]),
        (["last"], ["pay"]),
        ([trace_id("cart").hex()], ["cart"]),
        ([trace_id("cart").hex()[:9], trace_id("part").hex()], ["cart", "part"]),
        ([f"00-{trace_id('part').hex()}-00f067aa0ba902b7-01"], ["part"]),
        (["--from", "2023-11-14T22:14:20Z"], ["pay"]),
        (["{ }", "--to", "2023-11-14T22:13:40Z"], ["cart"]),
    ],
    ids=str,
)
def test_what_is_meant_is_written(run: Run, file: Path, arguments: list[str], expected: list[str]) -> None:
    code, out, _ = run("export", *arguments, "--db", file)
    assert (code, traces_in(out.encode())) == (0, names(*expected))


def test_a_server_gives_spans_as_it_was_given_them(run: Run, tmp_path: Path) -> None:
    odd = span("odd", resource=Resource(), duration_ms=-5)
    with Server(tmp_path / "odd.db") as server:
        send(server, [odd])
        code, out, _ = run("export", "last", "--server", server.url)
    assert (code, decode_traces(out.encode(), is_json=True).spans) == (0, [odd])


def test_each_format_can_be_read_again(run: Run, file: Path) -> None:
    lines = run("export", "--format", "jsonl", "--db", file)[1].splitlines()
    assert [len(decode_traces(line.encode(), is_json=True).spans) for line in lines] == [2, 1, 2]
    (trace,) = json.loads(run("export", "{ status = error }", "--format", "jaeger", "--db", file)[1])["data"]
    stored = File(file)
    assert trace == trace_json(stored.trace(trace_id("pay")).spans)
    stored.close()


@pytest.mark.parametrize(
    ("name", "begins"),
    [("t.json", '{"resourceSpans"'), ("t.jsonl", '{"resourceSpans"'), ("t.jaeger.json", '{"data"'), ("t", '{"res')],
)
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_the_ending_of_a_file_says_what_it_becomes(
    run: Run, file: Path, tmp_path: Path, name: str, begins: str, packed: str
) -> None:
    target = tmp_path / (name + packed)
    target.write_text("what was there")
    code, out, err = run("export", "--db", file, "-o", target)
    size = target.stat().st_size
    assert (code, err) == (0, "")
    assert out.startswith(f"{target}: 3 traces, 5 spans, ")
    content = gzip.decompress(target.read_bytes()) if packed else target.read_bytes()
    assert content.decode().startswith(begins)
    assert traces_in(target.read_bytes()) == names("cart", "pay", "part")
    assert size > 100
    assert sorted(path.name for path in tmp_path.iterdir() if path != target) == ["file.db", "file.db.lock"]


def test_what_was_exported_can_be_opened(run: Run, file: Path, tmp_path: Path) -> None:
    for name in ("t.json", "t.jsonl.gz"):
        run("export", "--db", file, "-o", tmp_path / name)
        assert ordered(detection.read_any((tmp_path / name).read_bytes(), now_ns=0).spans) == ordered(SPANS)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{ name = `nothing` }"], 1, "no trace matches, so nothing was written"),
        (["12345678"], 1, "no trace is stored whose id begins with 12345678"),
        (["{ name = }"], 2, "expected a value"),
        (["last", "--since", "1h"], 2, "--since, --from and --to go with a query"),
        (["-o", "gone/t.json"], 2, "cannot write gone/t.json: no such file or directory"),
        (["-o", "."], 2, "cannot write .: is a directory"),
        (["--format", "csv"], 2, "invalid choice: 'csv'"),
    ],
    ids=str,
)
def test_what_cannot_be_exported_is_said_with_a_remedy(
    run: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    exit_code, out, err = run("export", *arguments, "--db", file)
    assert (exit_code, out) == (code, "")
    assert said in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.db", "file.db.lock"]


def test_a_limit_that_leaves_traces_out_is_said(run: Run, file: Path) -> None:
    assert run("export", "--limit", "2", "--db", file)[2] == "minitrace: the first 2; --limit exports more\n"
    assert run("export", "--limit", "3", "--db", file)[2] == ""


@pytest.mark.parametrize("parameters", [{}, {"q": "{ span.n < 8 }"}, {"start": f"{T0}", "end": f"{T0 + 75 * 10**8}"}])
def test_pages_go_on_where_the_one_before_ended(tmp_path: Path, parameters: Mapping[str, Any]) -> None:
    spans = [span("GET /", trace=f"{n}", start_ms=1000 * (n // 2), attributes={"n": n // 2}) for n in range(20)]
    fill(tmp_path / "t.db", spans)
    file, notes = File(tmp_path / "t.db"), list[str]()
    expected = [one.trace_id for one in file.search({**parameters, "limit": "100"}).traces]
    told = [one.trace_id for one in found(file, parameters, 100, notes.append, at_once=3)]
    file.close()
    assert (sorted(told), notes) == (sorted(expected), [])
    assert len(told) == (16 if parameters else 20)


def test_more_traces_of_one_moment_than_a_page_has_are_not_passed_over_in_silence(tmp_path: Path) -> None:
    fill(tmp_path / "t.db", [span("GET /", trace=f"{n}") for n in range(5)])
    file, notes = File(tmp_path / "t.db"), list[str]()
    told = list(found(file, {}, 100, notes.append, at_once=3))
    file.close()
    assert len(told) == 3
    assert notes == ["more than 3 traces begin at the same moment: not all of them are told"]
