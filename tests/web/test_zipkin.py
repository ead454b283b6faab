"""Zipkin's receiver, as its reporters meet it."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest

from minitrace.store.store import Store

SPAN = {
    "traceId": "98ea06179383cd13",
    "id": "98ea06179383cd13",
    "kind": None,
    "name": "checkout",
    "timestamp": 1_700_000_000_000_000,
    "duration": 80_000,
    "localEndpoint": {"serviceName": "shop"},
}
TRACE = bytes.fromhex("98ea06179383cd13".zfill(32))


@pytest.mark.parametrize("content_type", [None, "application/json", "application/json; charset=utf-8", "text/plain"])
async def test_spans_are_stored_and_answered_with_202_alone(
    client: httpx.AsyncClient, store: Store, content_type: str | None
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = await client.post("/api/v2/spans", content=json.dumps([SPAN]), headers=headers)
    assert (answer.status_code, answer.content) == (202, b"")
    (span,) = (await store.trace(TRACE)).spans
    assert (span.name, span.service, span.duration_ns) == ("checkout", "shop", 80_000_000)


async def test_spans_may_be_packed(client: httpx.AsyncClient, store: Store) -> None:
    headers = {"content-encoding": "gzip"}
    answer = await client.post("/api/v2/spans", content=gzip.compress(json.dumps([SPAN]).encode()), headers=headers)
    assert (answer.status_code, (await store.stats()).span_count) == (202, 1)


async def test_a_span_that_comes_twice_is_stored_once(client: httpx.AsyncClient, store: Store) -> None:
    for _ in range(2):
        await client.post("/api/v2/spans", json=[SPAN])
    assert (await store.stats()).span_count == 1


@pytest.mark.parametrize("content", [b"[]", b""])
async def test_a_list_without_spans_asks_whether_anybody_is_there(client: httpx.AsyncClient, content: bytes) -> None:
    assert (await client.post("/api/v2/spans", content=content)).status_code == 202
    assert (await client.get("/_/receiver.json?trouble=1")).json()["requests"] == []


async def test_one_wrong_span_is_named_and_no_other_is_stored(client: httpx.AsyncClient, store: Store) -> None:
    answer = await client.post("/api/v2/spans", json=[SPAN, SPAN | {"traceId": "?"}])
    assert (answer.status_code, answer.text) == (400, 'span 2: traceId is not 1 to 32 hex digits but "?"\n')
    assert answer.headers["content-type"].startswith("text/plain")
    assert (await store.stats()).span_count == 0


async def test_thrift_is_told_to_be_the_first_version(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v2/spans", content=b"", headers={"content-type": "application/x-thrift"})
    assert (answer.status_code, answer.text) == (
        415,
        "415 Content-Type application/x-thrift is Zipkin's version 1, "
        "supported: [application/json, application/x-protobuf]\n",
    )


@pytest.mark.parametrize("content_type", [None, "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_a_page_cannot_send_what_it_need_not_ask_for(
    client: httpx.AsyncClient, store: Store, content_type: str | None
) -> None:
    headers = {"origin": "http://localhost:3000"} | ({"content-type": content_type} if content_type else {})
    answer = await client.post("/api/v2/spans", content=json.dumps([SPAN]), headers=headers)
    assert (answer.status_code, (await store.stats()).span_count) == (415, 0)


async def test_a_page_on_localhost_may_send_spans(client: httpx.AsyncClient) -> None:
    origin = {"origin": "http://localhost:3000"}
    preflight = await client.options("/api/v2/spans", headers=origin | {"access-control-request-method": "POST"})
    answer = await client.post("/api/v2/spans", json=[SPAN], headers=origin)
    assert (preflight.status_code, answer.status_code) == (204, 202)
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"


@pytest.mark.parametrize(
    ("origin", "status"), [("http://localhost:3000", 202), ("http://evil.test", 403), ("null", 403)]
)
async def test_a_beacon_is_taken_from_pages_that_may_send(
    client: httpx.AsyncClient, store: Store, origin: str, status: int
) -> None:
    headers = {"origin": origin, "content-type": "text/plain;charset=UTF-8", "sec-fetch-mode": "no-cors"}
    answer = await client.post("/api/v2/spans", content=json.dumps([SPAN]), headers=headers)
    assert (answer.status_code, (await store.stats()).span_count) == (status, int(status == 202))
