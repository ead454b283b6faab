"""`minitrace logs`: a server and a file give the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from minitrace.otlp.encode import encode_logs
from minitrace.otlp.log_records import decode_logs
from minitrace.store.growing_file import new_file
from minitrace.store.store import Store
from tests.cli.conftest import Run
from tests.running import Server
from tests.samples import record, span, trace_id

RECORDS = [
    record("starting\nwith two lines", severity=9),
    record(
        "card declined",
        at_ms=20,
        severity=17,
        trace="pay",
        span="charge",
        attributes={"order": 7, "event.name": "card declined"},
    ),
    record({"paid": True}, at_ms=1500, service="pay"),
]


@pytest.fixture(scope="module")
def logging_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that was sent `RECORDS`; only asked."""
    with Server(tmp_path_factory.mktemp("server") / "server.db") as running:
        headers = {"content-type": "application/x-protobuf"}
        httpx.post(f"{running.url}/v1/logs", content=encode_logs(RECORDS), headers=headers).raise_for_status()
        yield running


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    """A file with `RECORDS`, which nobody has open."""

    async def store() -> None:
        async with await Store.open(tmp_path / "file.db") as opened:
            await opened.add_logs(RECORDS)

    asyncio.run(store())
    return tmp_path / "file.db"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([], [2, 1, 0]),
        (["card", "declined"], [1]),
        (["--level", "info"], [1, 0]),
        (["--service", "pay"], [2]),
        (["--attribute", "order=7"], [1]),
        (["--attribute", "event.name=card declined", "--attribute", "order=7"], [1]),
        (["--trace", f"00-{trace_id('pay').hex()}-{'1' * 16}-01"], [1]),
        (["--from", "2023-11-14T22:13:21Z"], [2]),
        (["--limit", "1"], [2]),
        (["--since", "1h"], []),
    ],
)
def test_a_server_and_a_file_with_the_same_records_find_the_same(
    run: Run, logging_server: Server, log_file: Path, arguments: list[str], found: list[int]
) -> None:
    of_server = run("logs", *arguments, "--json", "--server", logging_server.url)
    of_file = run("logs", *arguments, "--json", "--db", log_file)
    assert decode_logs(of_server[1].encode(), is_json=True).records == [RECORDS[place] for place in found]
    assert json.loads(of_file[1])["resourceLogs"] == json.loads(of_server[1])["resourceLogs"]
    assert of_server[0] == of_file[0] == (0 if found else 1)


def test_a_record_is_a_line(run: Run, log_file: Path) -> None:
    code, out, err = run("logs", "--db", log_file)
    lines = [line.split(maxsplit=2)[2] if number else line for number, line in enumerate(out.splitlines())]
    assert (code, err, lines[0].split()) == (0, "", ["TIME", "LEVEL", "SERVICE", "TRACE", "RECORD"])
    assert f"error  shop     {trace_id('pay').hex()}  card declined" in out
    assert "starting with two lines" in out
    assert '{"paid": true}' in out


def test_that_there_are_more_is_said_beside_the_answer(run: Run, log_file: Path) -> None:
    assert run("logs", "--limit", "2", "--db", log_file)[2] == "minitrace: the newest 2; --limit shows more\n"
    assert run("logs", "nothing", "--db", log_file) == (1, "", "minitrace: no log record fits\n")


def test_a_trace_is_named_as_the_list_names_it(run: Run, tmp_path: Path) -> None:
    with new_file(tmp_path / "a.db") as file:
        file.add([span("charge", trace="pay")])
        file.add_logs([record("of it", trace="pay"), record("of none"), record("only logs", trace=b"\1" * 16)])
    for text, found in ((trace_id("pay").hex()[:8], "of it"), ("last", "of it"), ("01" * 16, "only logs")):
        code, out, _ = run("logs", "--trace", text, "--db", tmp_path / "a.db")
        assert (code, [line.split("  ")[-1] for line in out.splitlines()[1:]]) == (0, [found]), text
    code, out, err = run("logs", "--trace", "01010101", "--db", tmp_path / "a.db")
    assert (code, out, err) == (1, "", "minitrace: no trace is stored whose id begins with 01010101\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--level", "bad"], "level='bad': write one of trace, debug, info, warn, error, fatal"),
        (["--trace", "xyz"], "'xyz' is no trace id: give one, its first 8 digits, or a traceparent"),
        (["--since", "1h", "--to", "2026-11-22"], "--since does not go together with --from or --to"),
        (["--attribute", "n>3"], "--attribute 'n>3' has no value: write KEY=VALUE"),
    ],
)
def test_what_makes_no_sense_is_told_with_what_would(run: Run, log_file: Path, arguments: list[str], said: str) -> None:
    code, out, err = run("logs", *arguments, "--db", log_file)
    assert (code, out) == (2, "")
    assert said in err
