"""What the tests of the shop may ask for. Of minitrace, only live_server_url knows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from minitrace.testing import Server

from shop.bank import sandbox
from shop.jobs import Jobs
from shop.web import create_app


@pytest.fixture(scope="session")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Jobs:
    return Jobs(tmp_path_factory.mktemp("shop") / "jobs.db")


@pytest.fixture(scope="session")
def app(jobs: Jobs) -> Flask:
    """The shop, made once: the spans of filling its database belong to no test."""
    return create_app(sandbox(), jobs)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def live_server_url(minitrace_server: Server) -> Iterator[str]:
    """The shop in a process of its own, shared by all tests."""
    with subprocess.Popen(
        [sys.executable, "-m", "shop"],
        cwd=Path(__file__).parent,
        env=minitrace_server.env,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio alone."""
    return "asyncio"
