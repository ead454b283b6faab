"""Whom commands ask."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from minitrace.store.lock import Lock
from tests.cli.conftest import Run
from tests.running import Server

NOBODY = "http://127.0.0.1:1"


class Welcome(http.server.BaseHTTPRequestHandler):
    """Answers whatever is asked."""

    def do_GET(self) -> None:
        """It is well."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status":"Server available"}')


@pytest.fixture
def collector() -> Iterator[str]:
    """Something else that answers HTTP, as an OpenTelemetry Collector does."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Welcome) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Server]:
    """A server that asks for a token."""
    with Server(tmp_path / "guarded.db", "--token", "open sesame") as running:
        yield running


def test_where_no_server_answers_the_usual_file_is_read_and_that_is_said(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", NOBODY)
    monkeypatch.setenv("MINITRACE_DB", str(file))
    code, out, err = run("search", "--limit", "5")
    assert (code, len(out.splitlines())) == (0, 4)
    assert err == f"minitrace: no minitrace answers at {NOBODY}: reading {file}\n"


def test_a_collector_is_no_minitrace(run: Run, file: Path, collector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
    monkeypatch.setenv("MINITRACE_DB", str(file))
    assert run("search")[2].endswith(f"minitrace: no minitrace answers at {collector}: reading {file}\n")


def test_where_there_is_nothing_to_ask_the_remedy_is_said(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", NOBODY)
    monkeypatch.setenv("MINITRACE_DB", str(tmp_path / "none.db"))
    code, _, err = run("trace", "last")
    assert code == 2
    assert err == (
        f"minitrace: no minitrace answers at {NOBODY}, and there is no file {tmp_path / 'none.db'} yet; "
        'start one with "minitrace", or name another with --server or --db\n'
    )


@pytest.mark.parametrize("is_flag", [True, False])
def test_a_server_that_was_named_is_not_replaced_by_a_file(
    run: Run, file: Path, is_flag: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINITRACE_DB", str(file))
    if not is_flag:
        monkeypatch.setenv("MINITRACE_URL", NOBODY)
    code, _, err = run("search", *(["--server", NOBODY] if is_flag else []))
    assert code == 2
    assert err == f'minitrace: no minitrace answers at {NOBODY}; start one with "minitrace", or name a file with --db\n'


def test_a_token_is_asked_for_and_taken(run: Run, guarded: Server) -> None:
    place = ["--server", guarded.url]
    assert run("search", *place)[2] == (
        f"minitrace: {guarded.url} wants a token; pass it with --token or MINITRACE_TOKEN\n"
    )
    assert "does not take this token" in run("search", *place, "--token", "guess")[2]
    code, _, err = run("search", *place, "--token", "open sesame")
    assert (code, err) == (1, "minitrace: no trace matches\n")


def test_a_file_is_let_go_of_and_nothing_stays_beside_it(run: Run, file: Path) -> None:
    before = sorted(path.name for path in file.parent.iterdir())
    assert run("search", "--db", file)[0] == 0
    assert sorted(path.name for path in file.parent.iterdir()) == before
    Lock(file).release()


def test_a_file_that_is_none_has_its_exit_code(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("no database " * 100)
    assert run("search", "--db", tmp_path / "a.db")[0] == 5
    assert run("search", "--db", tmp_path / "b.db")[0] == 3


def test_a_server_without_a_file_cannot_be_read_without_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", NOBODY)
    monkeypatch.setenv("MINITRACE_DB", ":memory:")
    code, _, err = run("search")
    assert (code, '":memory:" is no file' in err) == (2, True)
