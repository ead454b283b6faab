"""A file with traces, and a server with the same ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from minitrace import cli
from minitrace.model import Kind, Span, Status, StatusCode
from minitrace.otlp.encode import encode_export
from minitrace.store.store import Store
from tests.running import Server
from tests.samples import span

FAILED = Status(StatusCode.ERROR, "card declined")
SPANS = [
    span("GET /cart", trace="cart", kind=Kind.SERVER, duration_ms=40),
    span("SELECT carts", "GET /cart", trace="cart", start_ms=5, duration_ms=30),
    span("POST /pay", trace="pay", kind=Kind.SERVER, start_ms=60_000, duration_ms=1240.9, status=FAILED),
    span("charge", "POST /pay", trace="pay", service="payment", start_ms=60_100, duration_ms=881, status=FAILED),
    span("orphan", "nobody", trace="part", start_ms=30_000, duration_ms=0.2),
]

Ran = tuple[int, str, str]
Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line: its exit code, and what it wrote to stdout and stderr."""
    for name in ("MINITRACE_URL", "MINITRACE_DB", "MINITRACE_TOKEN", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)

    def ran(*arguments: str | Path) -> Ran:
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as exit_:  # argparse leaves so
            code = int(exit_.code or 0)
        return code, *capsys.readouterr()

    return ran


def fill(path: Path, spans: list[Span]) -> None:
    """Store spans in a file."""

    async def store() -> None:
        async with await Store.open(path) as opened:
            await opened.add(spans)

    asyncio.run(store())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with `SPANS`, which nobody has open."""
    fill(tmp_path / "file.db", SPANS)
    return tmp_path / "file.db"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that was sent `SPANS`; only asked."""
    with Server(tmp_path_factory.mktemp("server") / "server.db") as running:
        send(running, SPANS)
        yield running


def send(server: Server, spans: list[Span]) -> None:
    """Export spans to a server, as an SDK does."""
    headers = {"content-type": "application/x-protobuf"}
    httpx.post(f"{server.url}/v1/traces", content=encode_export(spans), headers=headers).raise_for_status()
