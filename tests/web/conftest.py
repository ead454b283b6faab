"""The real app over a real store, asked through httpx."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from minitrace.config import Config
from minitrace.live import Live
from minitrace.store.store import Store
from minitrace.web.app import create_app


@pytest.fixture
def live() -> Live:
    """The app's live."""
    return Live()


@pytest.fixture
async def client(store: Store, live: Live) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app with an empty store."""
    app = create_app(Config(max_body_bytes=1_000_000), store=store, live=live)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4318") as opened:
        yield opened
