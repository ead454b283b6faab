"""The receiver, as the Collector's own tests ask it, and where the specification differs, as that says."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import zlib
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minitrace.live import Live
from minitrace.model import LogRecord
from minitrace.otlp import json as otlp_json
from minitrace.otlp import messages
from minitrace.otlp.encode import encode_export, encode_logs, logs_data, traces_data
from minitrace.store import writing
from minitrace.store.store import Store
from tests.samples import T0, TRACE, span

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PROTOBUF, JSON = "application/x-protobuf", "application/json"
TRACES_JSON = json.dumps(
    {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
                "scopeSpans": [{"spans": [{"traceId": TRACE.hex(), "spanId": "1" * 16, "name": "json"}]}],
            }
        ]
    }
).encode()
LOGS_JSON = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"hi"}}]}]}]}'
METRICS_JSON = (
    b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{"asInt":"1"}]}}]}]}]}'
)


def logs_protobuf() -> bytes:
    request = messages.ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add()
    content: bytes = request.SerializeToString()
    return content


def metrics_protobuf() -> bytes:
    request = messages.ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.add().sum.data_points.add()
    content: bytes = request.SerializeToString()
    return content


BODIES = {
    ("/v1/traces", JSON): TRACES_JSON,
    ("/v1/logs", JSON): LOGS_JSON,
    ("/v1/metrics", JSON): METRICS_JSON,
    ("/v1/traces", PROTOBUF): encode_export([span("protobuf")]),
    ("/v1/logs", PROTOBUF): logs_protobuf(),
    ("/v1/metrics", PROTOBUF): metrics_protobuf(),
}
SIGNALS = ["/v1/traces", "/v1/logs", "/v1/metrics"]
PACKERS: dict[str, Any] = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}


async def post(
    client: httpx.AsyncClient, path: str, content: bytes, type_: str = PROTOBUF, **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(path, content=content, headers={"content-type": type_, **named})


async def stored(store: Store) -> int:
    return (await store.stats()).span_count


def message_of(response: httpx.Response) -> str:
    """The text of the google.rpc.Status in an error's body, after a look at its code."""
    if response.headers["content-type"] == JSON:
        status = response.json()
        code, text = status["code"], status["message"]
    else:
        parsed = messages.Status.FromString(response.content)
        code, text = parsed.code, parsed.message
    assert code == {400: 3, 413: 3, 503: 14, 500: 13}[response.status_code]
    return str(text)


@pytest.mark.parametrize(("path", "type_"), BODIES)
async def test_success_is_an_empty_message_in_the_type_of_the_request(
    client: httpx.AsyncClient, path: str, type_: str
) -> None:
    response = await post(client, path, BODIES[path, type_], type_)
    assert (response.status_code, response.headers["content-type"]) == (200, type_)
    assert response.content == (b"{}" if type_ == JSON else b"")


@pytest.mark.parametrize("given_", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json;x=1"])
async def test_the_type_may_have_parameters_and_any_case_and_is_echoed_bare(
    client: httpx.AsyncClient, given_: str
) -> None:
    response = await post(client, "/v1/traces", TRACES_JSON, given_)
    assert (response.status_code, response.headers["content-type"]) == (200, JSON)


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize(("path", "type_"), BODIES)
async def test_packed_bodies_are_unpacked(client: httpx.AsyncClient, path: str, type_: str, encoding: str) -> None:
    response = await post(client, path, PACKERS[encoding](BODIES[path, type_]), type_, content_encoding=encoding)
    assert response.status_code == 200


async def test_spans_are_stored_when_200_is_answered(client: httpx.AsyncClient, store: Store) -> None:
    await post(client, "/v1/traces", encode_export([span("a"), span("b", "a")]))
    assert [item.name for item in (await store.trace(TRACE)).spans] == ["a", "b"]


async def test_a_trailing_slash_is_the_same_path(client: httpx.AsyncClient, store: Store) -> None:
    assert (await post(client, "/v1/traces/", encode_export([span("a")]))).status_code == 200
    assert await stored(store) == 1


@pytest.mark.parametrize("path", SIGNALS)
@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE", "HEAD"])
async def test_only_post_is_taken(client: httpx.AsyncClient, path: str, method: str) -> None:
    response = await client.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.headers["content-type"].startswith("text/plain")
    if method != "HEAD":
        assert response.text == "405 method not allowed, supported: [POST]"


@pytest.mark.parametrize("path", SIGNALS)
@pytest.mark.parametrize(
    "type_",
    [
        "",
        "invalid",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
    ],
)
async def test_other_types_are_refused_and_nothing_is_stored(
    client: httpx.AsyncClient, store: Store, path: str, type_: str
) -> None:
    response = await client.post(path, content=TRACES_JSON, headers={"content-type": type_} if type_ else {})
    assert response.status_code == 415
    assert response.text == "415 unsupported media type, supported: [application/json, application/x-protobuf]"
    assert await stored(store) == 0


@pytest.mark.parametrize("path", SIGNALS)
@pytest.mark.parametrize(
    ("type_", "content"),
    [(JSON, b"1234"), (JSON, b""), (JSON, b"{"), (PROTOBUF, b"\xff\xff\xff"), (PROTOBUF, b"1234")],
)
async def test_what_cannot_be_decoded_is_400_in_the_encoding_of_the_request(
    client: httpx.AsyncClient, path: str, type_: str, content: bytes
) -> None:
    response = await post(client, path, content, type_)
    assert (response.status_code, response.headers["content-type"]) == (400, type_)
    assert "the body is not" in message_of(response)


async def test_a_span_with_a_string_that_is_not_utf8_is_rejected_by_itself(
    client: httpx.AsyncClient, store: Store
) -> None:
    content = encode_export([span("XXXX"), span("good")]).replace(b"XXXX", b"\xff\xfe\xfd\xfc")
    response = await post(client, "/v1/traces", content)
    partial = messages.ExportTraceServiceResponse.FromString(response.content).partial_success
    assert (response.status_code, partial.rejected_spans, await stored(store)) == (200, 1, 1)
    assert "UTF-8" in partial.error_message


@pytest.mark.parametrize("path", SIGNALS)
@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate"])
@pytest.mark.parametrize("type_", [JSON, PROTOBUF])
async def test_a_body_that_is_not_in_its_encoding_is_400(
    client: httpx.AsyncClient, path: str, encoding: str, type_: str
) -> None:
    response = await post(client, path, BODIES[path, type_], type_, content_encoding=encoding)
    assert (response.status_code, response.headers["content-type"]) == (400, type_)
    assert f"the body is not {encoding}" in message_of(response)


async def test_no_type_and_an_unknown_encoding_is_a_json_error(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/traces", content=b"x", headers={"content-encoding": "invalid"})
    assert (response.status_code, response.headers["content-type"]) == (400, JSON)
    assert "unsupported Content-Encoding 'invalid'" in message_of(response)


async def test_an_encoding_twice_is_refused(client: httpx.AsyncClient) -> None:
    response = await post(client, "/v1/traces", b"x", content_encoding="gzip, gzip")
    assert response.status_code == 415


@pytest.mark.parametrize("content", [b"", b"\x0a\x00"])
async def test_a_request_without_spans_is_fine(client: httpx.AsyncClient, content: bytes) -> None:
    assert (await post(client, "/v1/traces", content)).status_code == 200


@pytest.mark.parametrize("content", [b"{}", b'{"key":"value"}', b'{"resourceSpans":null}'])
async def test_json_without_spans_is_fine(client: httpx.AsyncClient, content: bytes) -> None:
    assert (await post(client, "/v1/traces", content, JSON)).status_code == 200


@pytest.mark.parametrize("type_", [JSON, PROTOBUF])
async def test_one_bad_span_is_rejected_and_the_others_are_stored(
    client: httpx.AsyncClient, store: Store, type_: str
) -> None:
    spans = [span(f"s{n}") for n in range(511)] + [span("bad", trace_id=bytes(16))]
    as_json = json.dumps(otlp_json.dump(traces_data(spans))).encode()
    content = as_json if type_ == JSON else encode_export(spans)
    response = await post(client, "/v1/traces", content, type_)
    assert (response.status_code, await stored(store)) == (200, 511)
    if type_ == JSON:
        partial = response.json()["partialSuccess"]
        assert partial["rejectedSpans"] == "1"
        assert "span 511 ('bad'): trace id 0000" in partial["errorMessage"]
    else:
        parsed = messages.ExportTraceServiceResponse.FromString(response.content)
        assert parsed.partial_success.rejected_spans == 1


async def test_a_body_of_just_the_limit_is_taken_and_one_byte_more_is_413(client: httpx.AsyncClient) -> None:
    limit = 1_000_000
    content = encode_export([span("a", attributes={"k": "x" * 999_000})])
    padding = limit - len(content)
    fits = encode_export([span("a", attributes={"k": "x" * (999_000 + padding)})])
    assert len(fits) == limit
    assert (await post(client, "/v1/traces", fits)).status_code == 200
    response = await post(client, "/v1/traces", fits + b"\x00")
    assert response.status_code == 413
    assert "more than 1000000 bytes" in message_of(response)


async def test_a_chunked_body_is_counted_as_it_comes(client: httpx.AsyncClient, store: Store) -> None:
    async def chunks(number: int) -> Any:
        for _ in range(number):
            yield b"\x00" * 100_000

    content = encode_export([span("a")])

    async def halves() -> Any:
        yield content[:10]
        yield content[10:]

    headers = {"content-type": PROTOBUF}
    assert (await client.post("/v1/traces", content=halves(), headers=headers)).status_code == 200
    assert (await client.post("/v1/traces", content=chunks(11), headers=headers)).status_code == 413
    assert await stored(store) == 1


@pytest.mark.parametrize("encoding", PACKERS)
async def test_a_small_body_that_unpacks_past_the_limit_is_413(client: httpx.AsyncClient, encoding: str) -> None:
    bomb = PACKERS[encoding](bytes(50_000_000))
    assert len(bomb) < 60_000
    response = await post(client, "/v1/traces", bomb, content_encoding=encoding)
    assert response.status_code == 413


async def test_a_busy_store_is_503_with_retry_after_and_nothing_is_read(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MAX_WAITING_BYTES", 0)
    response = await post(client, "/v1/traces", b"not even protobuf")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert message_of(response)


async def hinder(store: Store, sql: str) -> None:
    """Run a statement on the writer's own connection."""
    await store._writing.run(store._writer.connection.execute, sql)


async def test_a_database_that_cannot_be_written_is_503_and_later_it_works(
    client: httpx.AsyncClient, store: Store
) -> None:
    await hinder(store, "PRAGMA query_only = ON")
    refused = await post(client, "/v1/traces", encode_export([span("a")]))
    await hinder(store, "PRAGMA query_only = OFF")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert await stored(store) == 0
    assert (await post(client, "/v1/traces", encode_export([span("a")]))).status_code == 200
    assert await stored(store) == 1


@pytest.mark.parametrize("type_", [JSON, PROTOBUF])
async def test_a_mistake_of_ours_is_500_and_the_next_request_works(
    client: httpx.AsyncClient, store: Store, type_: str
) -> None:
    connection = store._writer.connection
    store._writer.connection = None  # type: ignore[assignment]
    broken = await post(client, "/v1/traces", BODIES["/v1/traces", type_], type_)
    store._writer.connection = connection
    assert (broken.status_code, broken.headers["content-type"], await stored(store)) == (500, type_, 0)
    assert "its log says why" in message_of(broken)
    assert (await post(client, "/v1/traces", BODIES["/v1/traces", type_], type_)).status_code == 200
    assert await stored(store) == 1


async def test_of_four_requests_the_two_that_were_accepted_are_stored(client: httpx.AsyncClient, store: Store) -> None:
    statuses = []
    for number, hindrance in enumerate(["", "PRAGMA query_only = ON", "PRAGMA query_only = ON", ""]):
        await hinder(store, hindrance or "PRAGMA query_only = OFF")
        statuses.append((await post(client, "/v1/traces", encode_export([span(f"batch {number}")]))).status_code)
    assert statuses == [200, 503, 503, 200]
    assert sorted(item.name for item in (await store.trace(TRACE)).spans) == ["batch 0", "batch 3"]


async def test_fifty_clients_at_once_lose_nothing(client: httpx.AsyncClient, store: Store) -> None:
    bodies = [encode_export([span(f"c{n}-{m}", trace=f"t{n}") for m in range(10)]) for n in range(50)]
    responses = await asyncio.gather(*(post(client, "/v1/traces", body) for body in bodies))
    assert {response.status_code for response in responses} == {200}
    assert await stored(store) == 500


async def test_metrics_are_counted_and_said_to_be_not_stored(client: httpx.AsyncClient, live: Live) -> None:
    for path in ("/v1/metrics", "/v1/metrics"):
        await post(client, path, BODIES[path, PROTOBUF])
    assert live.requests.totals.points == 2
    assert "2 data points counted" in (await client.get("/search")).text
    assert [(one.path, one.times, one.other_count, one.problem) for one in live.requests.latest()] == [
        ("/v1/metrics", 2, 2, "")
    ]


@pytest.mark.parametrize("type_", [PROTOBUF, JSON])
async def test_logs_are_stored_once_however_often_they_are_sent(
    client: httpx.AsyncClient, store: Store, live: Live, type_: str
) -> None:
    records = [LogRecord(T0 + n, body=f"charged card {n}", trace_id=TRACE) for n in range(2)]
    body = encode_logs(records) if type_ == PROTOBUF else json.dumps(otlp_json.dump(logs_data(records))).encode()
    for _ in range(2):
        response = await post(client, "/v1/logs", body, type_)
        assert (response.status_code, response.content) == (200, b"" if type_ == PROTOBUF else b"{}")
    assert await store.trace_logs(TRACE) == records
    (request,) = live.requests.latest()
    assert (request.record_count, request.duplicates, request.trace_count, request.problem) == (2, 2, 2, "")


async def test_a_broken_log_record_is_rejected_as_a_partial_success(client: httpx.AsyncClient, live: Live) -> None:
    message = messages.ExportLogsServiceRequest()
    message.resource_logs.add().scope_logs.add().log_records.add(severity_text="xyz")
    broken = message.SerializeToString().replace(b"xyz", b"\xff" * 3)
    response = await post(client, "/v1/logs", encode_logs([LogRecord(T0)]) + broken)
    answer = messages.ExportLogsServiceResponse.FromString(response.content)
    assert (response.status_code, answer.partial_success.rejected_log_records) == (200, 1)
    (request,) = live.requests.latest()
    assert request.problem.startswith("1 log record rejected: log record 1: ")
    assert request.cure == "The other log records of the request were stored."


async def test_a_sender_is_told_of_ids_that_are_none_and_its_log_records_are_stored(
    client: httpx.AsyncClient, live: Live
) -> None:
    body = b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"traceId": "none"}, {}]}]}]}'
    response = await post(client, "/v1/logs", body, JSON)
    warning = "a trace or span id of 1 log record is not hex or has the wrong length; stored without it"
    assert (response.status_code, response.json()) == (200, {"partialSuccess": {"errorMessage": warning}})
    (request,) = live.requests.latest()
    assert (request.record_count, request.rejected, request.problem) == (2, 0, warning)
    assert request.cure == "They are found by what they say. A trace id has 32 hex digits, that of a span 16."


async def test_watchers_hear_of_a_trace_that_got_log_records(client: httpx.AsyncClient, live: Live) -> None:
    changes = live.changes()
    waiting = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0)
    await post(client, "/v1/logs", encode_logs([LogRecord(T0, trace_id=TRACE), LogRecord(T0)]))
    assert await waiting == {TRACE}


async def test_watchers_hear_of_a_trace_after_it_is_committed(
    client: httpx.AsyncClient, store: Store, live: Live
) -> None:
    changes = live.changes()
    heard = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0)
    await post(client, "/v1/traces", encode_export([span("a")]))
    assert await heard == {TRACE}
    assert await store.known([TRACE]) == [TRACE]
    await changes.aclose()  # type: ignore[attr-defined]


ALLOWED = {200, 400, 413, 415}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(SIGNALS),
    type_=st.sampled_from([JSON, PROTOBUF]),
    encoding=st.sampled_from(["", "gzip", "zstd", "deflate", "br"]),
    start=st.integers(0, 400),
    junk=st.binary(max_size=8),
)
async def test_damaged_bodies_are_answered_never_5xx(
    client: httpx.AsyncClient, path: str, type_: str, encoding: str, start: int, junk: bytes
) -> None:
    content = BODIES[path, type_]
    damaged = content[:start] + junk + content[start + len(junk) :]
    packed = PACKERS[encoding](damaged) if encoding in PACKERS else damaged
    headers = {"content_encoding": encoding} if encoding else {}
    assert (await post(client, path, packed, type_, **headers)).status_code in ALLOWED
