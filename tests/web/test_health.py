"""Whether the process answers, and whether it takes telemetry."""

from __future__ import annotations

import httpx
import pytest

from minitrace.store import writing


async def test_health_and_readiness(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [(await client.get(path)).status_code for path in ("/healthz", "/readyz")] == [200, 200]
    monkeypatch.setattr(writing, "MAX_WAITING_BYTES", 0)
    assert [(await client.get(path)).status_code for path in ("/healthz", "/readyz")] == [200, 503]


async def test_a_probe_of_zipkins_hears_that_it_is_up(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).json() == {"status": "UP"}
