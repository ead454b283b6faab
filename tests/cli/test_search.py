"""`minitrace search`: a server and a file give the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minitrace.cli.parser import ORDERS
from minitrace.store.orders import Order
from tests.cli.conftest import Run
from tests.running import Server
from tests.samples import trace_id

TIMES = ["--from", "2023-11-14T22:13:00Z", "--to", "2023-11-14T22:13:40Z"]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ([], ["POST /pay", "", "GET /cart"]),
        (["{ status = error }"], ["POST /pay"]),
        (["{ kind = server } | count() > 0"], ["POST /pay", "GET /cart"]),
        (["card", "declined"], ["POST /pay"]),
        (["--limit", "1"], ["POST /pay"]),
        (TIMES, ["GET /cart"]),
        (["--sort=-errors", "--limit", "1"], ["POST /pay"]),
        (["--sort", "-errors", "--limit", "1"], ["POST /pay"]),
        (["--sort", "start"], ["GET /cart", "", "POST /pay"]),
        (["--since", "1h"], []),
        (["{ name = `refund` }"], []),
    ],
)
def test_a_server_and_a_file_with_the_same_spans_find_the_same(
    run: Run, server: Server, file: Path, arguments: list[str], names: list[str]
) -> None:
    of_server = run("search", *arguments, "--json", "--server", server.url)
    of_file = run("search", *arguments, "--json", "--db", file)
    assert [trace["rootTraceName"] for trace in json.loads(of_server[1])["traces"]] == names
    assert of_server == of_file
    assert of_server[0] == (0 if names else 1)


def test_the_orders_are_those_of_the_store() -> None:
    assert set(ORDERS) == set(Order)


def test_the_table_is_aligned_and_ends_with_the_root(run: Run, file: Path) -> None:
    code, out, err = run("search", "--db", file)
    head, *rows = out.splitlines()
    place = head.index("ROOT")
    assert (code, err) == (0, "")
    assert [row[place:] for row in rows] == ["shop: POST /pay", "<root span not yet received>", "shop: GET /cart"]
    assert [row[head.index("TRACE") :].split()[0] for row in rows] == [
        trace_id(name).hex() for name in ("pay", "part", "cart")
    ]
    assert [row[: head.index("TRACE")].split()[-3:] for row in rows] == [
        ["s", "2", "2"], ["1", "ms", "1"], ["40", "ms", "2"],
    ]  # fmt: skip


def test_what_is_left_out_is_said_beside_the_table(run: Run, file: Path) -> None:
    assert run("search", "--limit", "2", "--db", file)[2] == "minitrace: the first 2; --limit shows more\n"


def test_a_mistake_in_a_query_is_drawn_and_exits_2(run: Run) -> None:
    code, out, err = run("search", "{ status = eror }")
    assert (code, out) == (2, "")
    assert err.splitlines()[1:] == ["  { status = eror }", "             ^^^^"]


def test_words_that_were_perhaps_a_query_are_told_as_one(run: Run, file: Path) -> None:
    code, _, err = run("search", "status = error", "--db", file)
    assert code == 1
    assert "as a query it would be '{ status = error }'" in err


def test_a_trace_id_that_is_searched_for_leads_to_the_other_command(run: Run, file: Path) -> None:
    pay = trace_id("pay").hex()
    assert run("search", pay, "--db", file)[2] == f"minitrace: no trace matches; for one trace: minitrace trace {pay}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "1h", "--from", "2023-11-14"], "--since does not go together with --from or --to"),
        (["--from", "yesterday"], "--from='yesterday' is not a time"),
        (["--since", "soon"], "argument --since: invalid duration such as 30s or 5m value: 'soon'"),
        (["--limit", "0"], "argument --limit: invalid number from 1 to 1000 value: '0'"),
        (["{ } | rate()"], "rate() gives series over time"),
    ],
)
def test_what_makes_no_sense_exits_2(run: Run, file: Path, arguments: list[str], said: str) -> None:
    code, _, err = run("search", "--db", file, *arguments)
    assert code == 2
    assert said in err
