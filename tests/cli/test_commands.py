"""The command line, as typed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from minitrace import __version__, cli
from minitrace.store.lock import Lock
from minitrace.store.store import Store
from tests.samples import span


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        code = cli.main(list(arguments))
    except SystemExit as exit_:  # argparse leaves so
        code = int(exit_.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version", capsys=capsys) == (0, f"minitrace {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--help"], ["serve", "demo", "Without a command, minitrace serves"]),
        (["serve", "--help"], ["--port N", "--demo", "MINITRACE_DB"]),
        (["db", "--help"], ["info", "check", "vacuum", "backup", "recover", "Exit codes"]),
        (["db", "backup", "--help"], ["--db FILE", "--force", "MINITRACE_DB"]),
        (["demo", "--help"], ["--rate", "--count", "OTEL_EXPORTER_OTLP_ENDPOINT"]),
    ],
)
def test_help_is_whole_without_a_server(
    arguments: list[str], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(*arguments, capsys=capsys)
    assert code == 0
    for words in said:
        assert words in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "http"], "argument --port: invalid int value: 'http'"),
        (["--port", "99999"], "99999 is not a port"),
        (["--durability", "max"], "argument --durability: invalid choice: 'max'"),
        (["sevre"], "invalid choice: 'sevre'"),
        (["demo", "--rate", "0"], "invalid rate above 0 value: '0'"),
        (["demo", "--count", "-5"], "invalid number value: '-5'"),
        (["--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_a_wrong_word_is_named_and_exits_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(*arguments, capsys=capsys)
    assert code == 2
    assert said in err


def test_a_taken_port_is_one_sentence_with_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, err = run("--port", str(port), "--db", str(tmp_path / "a.db"), capsys=capsys)
    assert (code, out) == (2, "")
    assert err == (
        f"minitrace: port {port} is taken, perhaps by another minitrace or a Collector: "
        "stop that one, or start with --port 0 for a free port\n"
    )
    assert not (tmp_path / "a.db").exists()


def test_an_address_that_is_not_ours_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("--host", "192.0.2.1", "--port", "0", "--db", str(tmp_path / "a.db"), capsys=capsys)
    assert code == 2
    assert "cannot listen on 192.0.2.1" in err


@pytest.mark.parametrize(
    ("make", "code", "said"),
    [
        (lambda path: path.mkdir(), 3, "Is a directory. Start with another --db"),
        (
            lambda path: path.write_text("no database " * 100),
            5,
            "Put a backup in its place, or start with another --db",
        ),
        (lambda path: make_other(path), 6, "not minitrace's. Start with another --db"),
    ],
)
def test_a_file_that_cannot_be_used_has_its_exit_code_and_the_remedy(
    make: Callable[[Path], None], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "a.db")
    found, _, err = run("--port", "0", "--db", str(tmp_path / "a.db"), capsys=capsys)
    assert found == code
    assert err.count("\n") == 1
    assert said in err


def make_other(path: Path) -> None:
    """The database of another application."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """One of minitrace's files, with two spans."""

    async def fill() -> None:
        async with await Store.open(tmp_path / "a.db") as store:
            await store.add([span("checkout"), span("charge", "checkout")])

    asyncio.run(fill())
    return tmp_path / "a.db"


def test_db_info_says_what_is_in_the_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("db", "info", str(file), capsys=capsys)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{file}  (not in use)"
    assert "  stored    2 spans in 1 trace of 1 service; 0 pinned" in lines
    assert lines[-1].startswith("warning: SQLite ") == (sqlite3.sqlite_version_info < (3, 51, 3))
    assert "\u2009" not in out


def test_db_info_for_machines_is_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("db", "info", "--json", str(file), capsys=capsys)
    told = json.loads(out)
    assert (code, told["span_count"], told["segments"][0]["span_count"]) == (0, 2, 2)
    assert told["size_bytes"] == file.stat().st_size


def test_the_file_of_db_is_the_one_that_is_served(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINITRACE_DB", str(file))
    assert run("db", "check", capsys=capsys) == (0, "no problem found in 2 spans\n", "")
    monkeypatch.setenv("MINITRACE_DB", ":memory:")
    code, _, err = run("db", "check", capsys=capsys)
    assert (code, err) == (2, 'minitrace: ":memory:" is no file, and is gone when its server is. Name a file\n')


def test_db_check_lists_problems_and_what_to_do_and_exits_5(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE traces SET span_count = 9")
    code, out, err = run("db", "check", str(file), capsys=capsys)
    assert (code, err) == (5, "")
    assert out.startswith(f"1 problem found in {file}:\n\n  the summary of trace ")
    assert f"minitrace db recover {file}" in out


def test_db_backup_says_what_the_copy_has(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("db", "backup", "--db", str(file), str(tmp_path / "copy.db"), capsys=capsys)
    assert (code, out.partition(",")[0]) == (0, f"{tmp_path / 'copy.db'}: 2 spans")
    code, _, err = run("db", "backup", "--db", str(file), str(tmp_path / "copy.db"), capsys=capsys)
    assert code == 3
    assert "add --force to replace it" in err


def test_db_vacuum_says_both_sizes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("db", "vacuum", str(file), capsys=capsys)
    assert code == 0
    assert re.fullmatch(rf"{file}: [\d.]+ [KM]B before, [\d.]+ [KM]B now\n", out)


def test_db_vacuum_of_a_file_in_use_exits_4(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = Lock(file)
    code, _, err = run("db", "vacuum", str(file), capsys=capsys)
    lock.release()
    assert code == 4
    assert err == (
        f"minitrace: another minitrace (process {os.getpid()}) is using {file}. Stop it, or start with another --db\n"
    )


def test_db_recover_says_what_was_saved_and_where_the_rest_is(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("db", "recover", str(file), capsys=capsys)
    assert code == 0
    assert out.splitlines()[0] == f"saved 2 of 2 spans into {file}"
    assert Path(out.splitlines()[-1].removeprefix("the damaged file is kept as ")).exists()


def test_a_demo_without_a_server_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code, _, err = run("demo", "--endpoint", f"http://127.0.0.1:{port}", capsys=capsys)
    assert code == 2
    assert f"no minitrace answers at http://127.0.0.1:{port}" in err
