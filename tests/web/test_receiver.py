"""What the receiver says of requests: what came, what became of it, and what would help."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
import pytest

from minitrace.config import Config
from minitrace.live import Live, Received
from minitrace.model import LogRecord
from minitrace.otlp.encode import encode_export, encode_logs
from minitrace.store.store import Store
from minitrace.web import receiver, receiver_pages
from minitrace.web.app import create_app
from tests.samples import T0, span
from tests.web.pagetext import Page

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}


async def seen(client: httpx.AsyncClient, trouble: bool = False) -> list[dict[str, Any]]:
    answer = await client.get("/_/receiver.json", params={"trouble": "1"} if trouble else {})
    requests: list[dict[str, Any]] = answer.json()["requests"]
    return requests


async def test_an_export_is_told_with_what_was_sent_and_stored(client: httpx.AsyncClient) -> None:
    content = gzip.compress(encode_export([span("a"), span("b", trace="other")]))
    headers = PROTOBUF | {"content-encoding": "gzip", "user-agent": "OTel-OTLP-Exporter-Python/1.38.0"}
    for _ in range(2):
        await client.post("/v1/traces", content=content, headers=headers)
    (one,) = await seen(client)
    assert {key: value for key, value in one.items() if key not in ("time_ns", "first_ns", "rate")} == {
        "times": 2,
        "method": "POST",
        "path": "/v1/traces",
        "content_type": "application/x-protobuf",
        "encoding": "gzip",
        "client": "OTel-OTLP-Exporter-Python/1.38.0",
        "size_bytes": 2 * len(content),
        "status": 200,
        "spans": 2,
        "log_records": 0,
        "traces": 4,
        "duplicates": 2,
        "rejected": 0,
        "not_stored": 0,
        "problem": "",
        "cure": "",
    }


@pytest.mark.parametrize(
    ("path", "headers", "content", "status", "problem", "cure"),
    [
        ("/", PROTOBUF, b"", 405, "nothing is taken at this path", "Did you mean /v1/traces?"),
        ("/v1/trace", PROTOBUF, b"", 404, "nothing is taken at this path", "Did you mean /v1/traces?"),
        ("/v1/traces/v1/traces", PROTOBUF, b"", 404, "nothing", "Leave out what stands before /v1/traces."),
        ("/otlp/v1/traces", PROTOBUF, b"", 404, "nothing", "an address without a path"),
        ("/api/v2/spans", JSON, b"{}", 400, "the body: it is not a list but {}", "Content-Type"),
        ("/api/v1/spans", JSON, b"[]", 404, "nothing", "version 2, to /api/v2/spans"),
        ("/api/traces", {"content-type": "application/x-thrift"}, b"", 400, "cut off, or no Thrift", "Content-Type"),
        ("/api/traces", JSON, b"{}", 415, "application/json is not Jaeger's Thrift", "application/x-thrift"),
        ("/telemetry", PROTOBUF, b"", 404, "nothing", "Telemetry goes to /v1/traces"),
        ("/v1/traces", {"content-type": "text/plain"}, b"", 415, "Content-Type text/plain", "=http/protobuf"),
        ("/v1/traces", JSON | {"content-encoding": "br"}, b"", 400, "unsupported Content-Encoding", "gzip"),
        ("/v1/traces", JSON, b'{"resourceSpans": [}', 400, "line 1 column 20", "Content-Type"),
        ("/v1/traces", PROTOBUF, b"\xff", 400, "not a protobuf", "Content-Type"),
        ("/v1/traces", JSON, b" " * 1_000_001, 413, "1", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
        ("/v1/traces", PROTOBUF, b"", 200, "there was no span in it", "sampler"),
        ("/v1/traces", PROTOBUF | {"origin": "https://shop.example"}, b"", 403, "--allow-origin https://shop", ""),
        ("/v1/traces", PROTOBUF | {"host": "shop.example"}, b"", 421, "--allow-host shop.example", ""),
    ],
)
async def test_trouble_is_told_with_its_cure(
    client: httpx.AsyncClient, path: str, headers: dict[str, str], content: bytes, status: int, problem: str, cure: str
) -> None:
    await client.post(path, content=content, headers=headers)
    (one,) = await seen(client, trouble=True)
    assert one["status"] == status
    assert problem in one["problem"]
    assert cure in one["cure"]


async def test_rejected_spans_are_counted_beside_those_that_were_stored(client: httpx.AsyncClient) -> None:
    spans = [{"traceId": "0" * 32, "spanId": "1" * 16}, {"traceId": "1" * 32, "spanId": "1" * 16}]
    await client.post("/v1/traces", json={"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
    (one,) = await seen(client, trouble=True)
    assert (one["spans"], one["rejected"]) == (1, 1)
    assert one["problem"].startswith("1\u2009span rejected" if "\u2009" in one["problem"] else "1 span rejected")
    assert "not all zero" in one["cure"]


async def test_a_full_queue_is_trouble_that_passes(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minitrace.store.writing.MAX_WAITING_BYTES", 0)
    await client.post("/v1/traces", content=b"", headers=PROTOBUF)
    (one,) = await seen(client)
    assert (one["status"], one["cure"][:26]) == (503, "The client sends it again ")


async def test_a_missing_token_is_trouble_and_no_token_is_kept(store: Store) -> None:
    live = Live()
    transport = httpx.ASGITransport(create_app(Config(token="s3cret"), store=store, live=live))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4318") as client:
        await client.post("/v1/traces?token=wrong", headers=PROTOBUF | {"authorization": "Bearer wrong"})
    (one,) = live.requests.latest(only_trouble=True)
    assert one.status == 401
    assert "OTEL_EXPORTER_OTLP_HEADERS" in one.problem
    assert "wrong" not in str(receiver.answer(one))


async def test_a_form_that_goes_astray_is_no_telemetry(client: httpx.AsyncClient) -> None:
    await client.post("/nowhere", data={"a": "b"})
    assert await seen(client) == []


def refused(problem: str = "nothing is taken here", **scope: Any) -> list[Received]:
    """What is kept of a request that was answered with 404."""
    live = Live()
    receiver.note_refused(
        live, {"type": "http", "method": "POST", "path": "/v1/trace", "headers": [], **scope}, 404, problem
    )
    return live.requests.latest()


def test_only_what_looks_like_telemetry_is_kept_of_refused_requests() -> None:
    assert len(refused()) == 1
    assert refused(method="GET") == []
    assert refused(headers=[(b"content-type", b"Multipart/Form-Data; boundary=x")]) == []


def test_a_path_is_shown_as_the_application_sees_it() -> None:
    (one,) = refused(path="/traces/v1/trace", root_path="/traces")
    assert one.path == "/v1/trace"


@pytest.mark.parametrize(
    ("length", "size_bytes"), [(b"17", 17), (b"9" * 5_000, 0), (b"-1", 0), ("²".encode("latin-1"), 0)]
)
def test_a_length_is_taken_if_it_can_be_one(length: bytes, size_bytes: int) -> None:
    (one,) = refused(headers=[(b"content-length", length)])
    assert one.size_bytes == size_bytes


def test_a_problem_is_told_on_one_line() -> None:
    (one,) = refused("bad\x07\nname")
    assert one.problem == "bad\\x07 name"


def test_an_encoding_is_known_however_it_is_written() -> None:
    request = Received("POST", "/v1/traces", encoding=" GZip", status=400)
    assert receiver.cure(request).startswith("The body is not what its Content-Type says")


# The page


async def test_the_page_says_how_to_send_while_nothing_has_come(client: httpx.AsyncClient) -> None:
    text = Page((await client.get("/_/receiver")).text).text
    assert "Nothing has come yet." in text
    assert "http://localhost:4318" in text


async def test_the_page_shows_each_request_and_can_leave_out_what_is_well(client: httpx.AsyncClient) -> None:
    await client.post("/v1/traces", content=encode_export([span("a")]), headers=PROTOBUF)
    assert Page((await client.get("/_/receiver")).text).one("td", class_="outcome").text == "200 1 span in 1 trace"
    text = Page((await client.get("/_/receiver?trouble=1")).text).text
    assert "No trouble: all that came was taken." in text


async def test_metrics_are_said_to_be_not_stored(client: httpx.AsyncClient) -> None:
    await client.post("/v1/metrics", content=b"", headers=PROTOBUF)
    text = Page((await client.get("/_/receiver")).text).text
    assert "0 data points: accepted and counted, not stored" in text


async def test_log_records_are_told_apart_from_those_sent_before(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        await client.post("/v1/logs", content=encode_logs([LogRecord(T0, body="hi")]), headers=PROTOBUF)
    assert (
        Page((await client.get("/_/receiver")).text).one("td", class_="outcome").text
        == "200 1 log record, 1 sent before"
    )


async def test_the_stream_tells_of_the_next_request_and_ends_with_the_server(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver_pages, "STEP_S", 0.0)
    stream = receiver_pages.messages(live, "", False)
    assert "Nothing has come yet." in await anext(stream)
    live.requests.add(Received("POST", "/v1/trace", status=404, problem="wrong"))
    assert "/v1/trace" in await anext(stream)
    live.close()
    assert [message async for message in stream] == []


@pytest.mark.parametrize(
    ("times", "seconds", "text"),
    [(1, 0, ""), (101, 10, "× 101, 10.0/s"), (3, 40, "× 3, 3/min"), (2, 0, "× 2")],
)
def test_the_rate_of_repeated_requests(times: int, seconds: int, text: str) -> None:
    request = Received("POST", "/", times=times, first_ns=10**18, time_ns=10**18 + seconds * 10**9)
    assert receiver_pages.rate(request) == text
