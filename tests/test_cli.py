"""The command line, as typed."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from minitrace import __version__, cli


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


def test_a_file_that_cannot_be_used_exits_3_with_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.db").write_text("no database, but a file that is long enough to look like one " * 20)
    code, _, err = run("--port", "0", "--db", str(tmp_path / "a.db"), capsys=capsys)
    assert code == 3
    assert err.count("\n") == 1
    assert "file is not a database. Start with another --db" in err


def test_a_demo_without_a_server_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code, _, err = run("demo", "--endpoint", f"http://127.0.0.1:{port}", capsys=capsys)
    assert code == 2
    assert f"no minitrace answers at http://127.0.0.1:{port}" in err
