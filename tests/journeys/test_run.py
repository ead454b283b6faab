"""`minitrace run`: real commands, with and without a server; what they get, and what is said of them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from tests.running import Program, Server, until

pytestmark = pytest.mark.journey

MINITRACE = (sys.executable, "-m", "minitrace")
SHOP = (*MINITRACE, "demo", "--backfill", "0", "--rate", "1000", "--count")


def run(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What came of ``minitrace run``, started in a folder."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(("MINITRACE_", "OTEL_"))}
    folders = {"HOME": str(cwd), "XDG_DATA_HOME": str(cwd / "data"), "GIT_CEILING_DIRECTORIES": str(cwd.parent)}
    return subprocess.run(
        [*MINITRACE, "run", *arguments],
        env={**inherited, **folders, "PYTHONPATH": str(Path(__file__).parents[2]), **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def at(server: Server) -> dict[str, str]:
    return {"MINITRACE_URL": server.url}


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_input_output_and_exit_code_are_the_commands(server: Server, tmp_path: Path) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"
    done = run("-q", "--", *python(code), env=at(server), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    (told, *_) = httpx.get(f"{server.url}/_/runs.json").json()["runs"]
    assert (told["kind"], told["exit_code"], told["directory"]) == ("command", 7, str(tmp_path))
    assert told["ended_ns"] > told["started_ns"]


def test_a_command_that_a_signal_ended_gives_128_and_its_number(server: Server, tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run("-q", "--", *python(code), env=at(server), cwd=tmp_path).returncode == 137


@pytest.mark.parametrize(("command", "code", "said"), [("nmp", 127, "command not found"), (".", 126, "denied")])
def test_a_command_that_cannot_be_started_is_told(
    server: Server, tmp_path: Path, command: str, code: int, said: str
) -> None:
    done = run("-q", "--", command, env=at(server), cwd=tmp_path)
    assert done.returncode == code
    assert f"minitrace: {command}: " in done.stderr
    assert said in done.stderr


def test_signals_go_to_the_command_which_may_take_its_time(server: Server, tmp_path: Path) -> None:
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('Ctrl-C stops it.: done', flush=True), sys.exit(3)))\n"
        "print('ready', flush=True)\n"
        "signal.pause()"
    )
    with Program(*MINITRACE, "run", "-q", "--", *python(code), env=at(server), cwd=tmp_path) as program:
        program.read_until("ready")
        assert program.stop(signal.SIGTERM) == 3


def test_two_runs_of_a_command_are_compared(server: Server, tmp_path: Path) -> None:
    before = run("--", *SHOP, "200", env=at(server), cwd=tmp_path)
    other = run("--name", "other", "--", *SHOP, "200", env=at(server), cwd=tmp_path)
    after = run("--", *SHOP, "200", "--regressed", env=at(server), cwd=tmp_path)
    assert (before.returncode, after.returncode) == (0, 0)
    assert "against" not in before.stderr + other.stderr
    lines = [line.strip() for line in after.stderr.splitlines()]
    assert re.fullmatch(r"minitrace: 2\d\d traces, \d+ \d{3} spans, \d+ traces with errors", lines[0])
    found = "\n".join(lines[lines.index(next(line for line in lines if line.startswith("against the run "))) :])
    assert re.match(rf"against the run \d+ s ago of {sys.executable} -m minitrace demo .*:\n", found)
    assert re.search(r"payment: INSERT charges: [\d.]+ → [\d.]+ ms", found)
    assert re.search(r"inventory: SELECT stock: 1 → [3-5] calls a trace", found)
    link = next(line for line in lines if "/compare?" in line)
    assert httpx.get(link).status_code == 200


def test_without_a_server_one_runs_beside_the_command_and_its_file_stays(tmp_path: Path) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}  # nobody
    done = run("--", *SHOP, "5", env=environ, cwd=tmp_path)
    assert done.returncode == 0
    path = tmp_path / "data" / "minitrace" / "minitrace.db"
    first, second, *_ = done.stderr.splitlines()
    assert re.fullmatch(
        rf"minitrace: http://localhost:\d+ shows what comes until the command ends; stored in {path}", first
    )
    assert re.match(r"minitrace: \d traces, \d+ spans", second)
    url = first.split()[1]
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    shown = subprocess.run(
        [*MINITRACE, "search", "--db", str(path), "--json"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert len(json.loads(shown.stdout)["traces"]) >= 5


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a signal that cannot be handled")
def test_a_server_beside_a_command_ends_with_us_even_if_we_are_killed(tmp_path: Path) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "MINITRACE_DB": str(tmp_path / "a.db")}
    code = "import os, signal; print(os.environ['MINITRACE_URL']); os.kill(os.getppid(), signal.SIGKILL)"
    with Program(*MINITRACE, "run", "-q", "--", *python(code), env=environ, cwd=tmp_path) as program:
        (url,) = program.read_until("http")
        assert program.wait() == -signal.SIGKILL
    until(lambda: _is_gone(url))


def _is_gone(url: str) -> bool:
    try:
        httpx.get(f"{url}/healthz")
    except httpx.TransportError:
        return True
    return False


def test_a_file_that_a_server_has_open_is_left_to_it(server: Server, tmp_path: Path) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "MINITRACE_DB": str(server.path)}
    done = run("--", *SHOP, "1", env=environ, cwd=tmp_path)
    assert done.returncode == 0
    assert "stored in a temporary file, as another minitrace has the usual one" in done.stderr
    named = run("--db", str(server.path), "--", *SHOP, "1", cwd=tmp_path)
    assert named.returncode == 2
    assert "is using" in named.stderr


def test_a_command_without_spans_is_told_what_to_do(server: Server, tmp_path: Path) -> None:
    done = run("--", *python("pass"), env=at(server), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        0,
        "minitrace: no span came; is the command instrumented? In Python: "
        "minitrace run -- opentelemetry-instrument COMMAND\n",
    )


def test_no_command_and_no_server_that_was_named_exit_2(tmp_path: Path) -> None:
    assert run(cwd=tmp_path).returncode == 2
    done = run("--server", "http://127.0.0.1:1", "--", "true", cwd=tmp_path)
    assert done.returncode == 2
    assert "no minitrace answers at http://127.0.0.1:1; start one" in done.stderr


def test_a_server_is_a_run_of_its_own(tmp_path: Path) -> None:
    with Server(tmp_path / "a.db") as server:
        until(lambda: httpx.get(f"{server.url}/_/runs.json").json()["runs"])
    with Server(tmp_path / "a.db") as server:
        runs = until(lambda: [run for run in httpx.get(f"{server.url}/_/runs.json").json()["runs"] if run["ended_ns"]])
    assert [(run["kind"], run["label"], run["exit_code"]) for run in runs] == [("server", "minitrace serve", 0)]
