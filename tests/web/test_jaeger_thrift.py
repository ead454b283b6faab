"""Jaeger's receiver, as its clients meet it."""

from __future__ import annotations

import httpx
import pytest

from minitrace.store.store import Store
from tests.formats.test_jaeger_thrift import RECORDED

TRACE = bytes.fromhex("5b8efff79803810381ffffffffffffff")


@pytest.mark.parametrize(
    "content_type", ["application/x-thrift", "application/vnd.apache.thrift.binary; charset=utf-8"]
)
@pytest.mark.parametrize("query", ["?format=jaeger.thrift", ""])
async def test_a_batch_is_stored_and_answered_with_202_alone(
    client: httpx.AsyncClient, store: Store, content_type: str, query: str
) -> None:
    answer = await client.post("/api/traces" + query, content=RECORDED, headers={"content-type": content_type})
    assert (answer.status_code, answer.content) == (202, b"")
    (span,) = (await store.trace(TRACE)).spans
    assert (span.name, span.service, span.attributes["n"]) == ("charge", "bank", -5)


async def test_a_batch_that_is_cut_off_is_refused_in_words(client: httpx.AsyncClient, store: Store) -> None:
    headers = {"content-type": "application/x-thrift"}
    answer = await client.post("/api/traces", content=RECORDED[:-40], headers=headers)
    assert (answer.status_code, answer.text.startswith("the body is cut off, or no Thrift")) == (400, True)
    assert (await store.stats()).span_count == 0


async def test_another_type_hears_which_ones_are_taken(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/traces", json={})
    assert (answer.status_code, answer.text) == (
        415,
        "415 Content-Type application/json is not Jaeger's Thrift, "
        "supported: [application/x-thrift, application/vnd.apache.thrift.binary]\n",
    )
