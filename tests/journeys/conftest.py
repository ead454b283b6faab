"""A real server for each journey, which must have nothing to complain of at its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import Server

pytest.register_assert_rewrite("tests.journeys.clients.outcome")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server on an empty file; it must also stop well."""
    with Server(tmp_path / "traces.db") as running:
        yield running
    assert running.exit_code == 0, running.stderr
