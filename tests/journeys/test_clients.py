"""What people send traces with: the same trace, by each protocol, to one server.

Python's, Node's and the browser's run wherever their packages can be had; the others when ``MINITRACE_CLIENTS=all``
says so, as getting and compiling them takes minutes the first time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.journeys.asking import search
from tests.journeys.clients.cases import CASES, GO, JAVA, Case
from tests.journeys.clients.outcome import check
from tests.journeys.clients.toolchains import Toolchain, installed
from tests.running import Server

AT_ONCE = 4  # processes; some are a JVM or a browser

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all of them; at the end it has nothing to complain of."""
    with Server(tmp_path_factory.mktemp("clients") / "traces.db") as running:
        yield running
    assert (running.exit_code, running.stderr) == (0, "")


def wanted(toolchain: Toolchain) -> bool:
    """Whether its clients are asked for."""
    return toolchain not in (GO, JAVA) or os.environ.get("MINITRACE_CLIENTS") == "all"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_trace_arrives_whole(one_server: Server, case: Case) -> None:
    if not wanted(case.client.toolchain):
        pytest.skip("MINITRACE_CLIENTS=all runs Go's and Java's as well")
    installed(case.client.toolchain)
    check(one_server, case)


@pytest.mark.soak
def test_all_of_them_at_the_same_time(server: Server) -> None:
    cases = [case for case in CASES if wanted(case.client.toolchain)]
    for case in cases:
        installed(case.client.toolchain)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(partial(check, server), cases))
    assert len(cases) == len(search(server, limit=len(cases) + 1))
