"""One process on one port takes everything at the same time, and loses nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.journeys.mixture import send_mixed
from tests.running import Server

pytestmark = pytest.mark.journey


def stored(path: Path) -> tuple[int, int]:
    """How many spans a file has, and how many different ones."""
    with closing(sqlite3.connect(path)) as connection:
        [(count, distinct)] = connection.execute("SELECT count(*), count(DISTINCT span_id) FROM spans").fetchall()
    return count, distinct


def test_fifty_connections_that_speak_everything_lose_nothing(server: Server) -> None:
    address = f"127.0.0.1:{server.port}"
    sent = send_mixed(address, seed=1, connections=50, requests=5, most_spans=40)
    assert sent > 4_000
    assert server.stop() == 0
    assert stored(server.path) == (sent, sent)
    assert server.stderr == ""


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_for_minutes(server: Server, seed: int) -> None:
    address = f"127.0.0.1:{server.port}"
    sent = send_mixed(address, seed=seed, connections=50, requests=150, most_spans=60)
    assert server.stop() == 0
    assert stored(server.path) == (sent, sent)
    assert server.stderr == ""
