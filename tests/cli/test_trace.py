"""`minitrace trace`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minitrace.otlp.decode import decode_traces
from tests.cli.conftest import SPANS, Run, fill
from tests.running import Server
from tests.samples import span, trace_id

PAY = trace_id("pay").hex()


@pytest.mark.parametrize(
    "text", ["last", PAY, PAY[:8], PAY.upper()[:13], f"00-{PAY}-00f067aa0ba902b7-01", f"trace_id={PAY}"]
)
def test_a_trace_has_many_names(run: Run, server: Server, file: Path, text: str) -> None:
    for place in (["--server", server.url], ["--db", str(file)]):
        code, out, _ = run("trace", text, *place)
        assert code == 0
        assert f"\ntrace {PAY}" in out


def test_it_is_told_in_a_sentence_a_tree_and_its_errors(run: Run, file: Path) -> None:
    _, out, _ = run("trace", PAY, "--db", file, "--width", "60")
    assert out.splitlines() == [
        "1.24 s · 71% in payment's own time · 360 ms untraced in POST /pay · 1 error, seen in 2 spans",
        "",
        "⨯ shop: POST /pay      1.24 s",
        "└── ⨯ payment: charge  881 ms",
        "",
        "Errors:",
        "  payment: charge  card declined",
        "",
        f"trace {PAY}",
    ]


def test_a_server_adds_the_address_of_its_page(run: Run, server: Server) -> None:
    assert run("trace", PAY, "--server", server.url)[1].endswith(f"trace {PAY}  {server.url}/trace/{PAY}\n")


def test_json_is_otlp_and_has_every_span(run: Run, server: Server, file: Path) -> None:
    for place in (["--server", server.url], ["--db", str(file)]):
        _, out, _ = run("trace", PAY, "--json", *place)
        assert decode_traces(out.encode(), is_json=True).spans == [one for one in SPANS if one.trace_id.hex() == PAY]
        assert json.loads(out)


@pytest.mark.parametrize("budget", [0, 10, 25, 40])
def test_a_budget_is_kept(run: Run, file: Path, budget: int) -> None:
    _, out, _ = run("trace", PAY, "--budget", str(budget), "--db", file)
    assert len(out.rstrip("\n")) <= 4 * budget
    assert ("! payment: charge" in out) == (budget >= 25)


def test_a_beginning_of_two_traces_names_them(run: Run, tmp_path: Path) -> None:
    alike = [bytes.fromhex("0000abcd" + "0" * 22 + end) for end in ("01", "02")]
    fill(tmp_path / "a.db", [span("a", trace=trace) for trace in alike])
    code, _, err = run("trace", "0000abcd", "--db", tmp_path / "a.db")
    assert code == 2
    assert err.splitlines()[0] == "minitrace: 2 traces begin with 0000abcd; give more digits:"
    assert {line.strip() for line in err.splitlines()[1:]} == {trace.hex() for trace in alike}


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("f" * 32, 1, f"no span of trace {'f' * 32} is stored"),
        ("ffffffff", 1, "no trace is stored whose id begins with ffffffff"),
        ("checkout", 2, "'checkout' is no trace id: give one, its first 8 digits or more, a traceparent, or last"),
        ("ffff", 2, "'ffff' is no trace id"),
    ],
)
def test_what_names_no_trace_is_told(run: Run, file: Path, text: str, code: int, said: str) -> None:
    found, out, err = run("trace", text, "--db", file)
    assert (found, out) == (code, "")
    assert err.startswith(f"minitrace: {said}")


def test_a_terminal_without_utf_8_gets_a_plainer_drawing(file: Path) -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "minitrace", "trace", "last", "--db", str(file)]
    out = subprocess.run(command, env=environ, capture_output=True, check=True).stdout.decode("ascii")
    assert "`-- ! payment: charge" in out


@pytest.mark.skipif(os.name == "nt", reason="shells of other systems")
def test_a_closed_output_is_no_mistake(file: Path) -> None:
    shell = f"{sys.executable} -m minitrace search --db {file} >&-"
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
