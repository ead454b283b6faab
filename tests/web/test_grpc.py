"""OTLP/gRPC: what is stored, and what a client is told of what is not."""

from __future__ import annotations

import base64
import gzip
import zlib

import httpx
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from minitrace.config import Config
from minitrace.live import Live
from minitrace.otlp import messages
from minitrace.otlp.encode import encode_export
from minitrace.store import writing
from minitrace.store.store import Store
from minitrace.web import receiver_pages
from minitrace.web.app import create_app
from minitrace.web.guard import Guard
from tests.samples import span
from tests.web.calling import LOGS, METRICS, TRACES, call, packed

pytestmark = pytest.mark.anyio

OK, DEADLINE_EXCEEDED, NOT_FOUND, PERMISSION_DENIED = 0, 4, 5, 7
INVALID_ARGUMENT, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 3, 12, 13, 14, 16
HEALTH = "/grpc.health.v1.Health/Check"


@pytest.fixture
def app(store: Store, live: Live) -> Guard:
    """An app with an empty store."""
    return create_app(Config(max_body_bytes=1_000_000), store=store, live=live)


async def stored(store: Store) -> int:
    return (await store.stats()).span_count


async def test_spans_are_stored_and_an_empty_message_says_so(app: Guard, store: Store) -> None:
    called = await call(app, TRACES, packed(encode_export([span("a"), span("b")])))
    assert (called.http_status, called.headers["content-type"]) == (200, "application/grpc")
    assert (called.status, called.message, called.trailers) == (OK, b"", {"grpc-status": "0"})
    assert await stored(store) == 2


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", lambda content: content)]
)
async def test_a_message_may_be_packed(app: Guard, store: Store, encoding: str, pack: object) -> None:
    assert callable(pack)
    body = packed(pack(encode_export([span("a")])), flag=1)
    assert (await call(app, TRACES, body, headers={"grpc-encoding": encoding})).status == OK
    assert await stored(store) == 1


async def test_a_message_that_is_not_packed_is_taken_though_an_encoding_is_named(app: Guard, store: Store) -> None:
    called = await call(app, TRACES, packed(encode_export([span("a")])), headers={"grpc-encoding": "gzip"})
    assert called.status == OK
    assert await stored(store) == 1


async def test_logs_are_stored_and_metrics_counted(app: Guard, live: Live) -> None:
    logs = messages.ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add()
    metrics = messages.ExportMetricsServiceRequest()
    metrics.resource_metrics.add().scope_metrics.add().metrics.add().sum.data_points.add()
    for path, message in ((LOGS, logs), (METRICS, metrics)):
        assert (await call(app, path, packed(message.SerializeToString()))).status == OK
    assert live.requests.totals.points == 1
    assert [one.record_count for one in live.requests.latest()] == [0, 1]


async def test_spans_without_an_id_are_a_partial_success(app: Guard, store: Store) -> None:
    message = messages.ExportTraceServiceRequest.FromString(encode_export([span("a"), span("b")]))
    message.resource_spans[0].scope_spans[0].spans[0].span_id = b""
    called = await call(app, TRACES, packed(message.SerializeToString()))
    answer = messages.ExportTraceServiceResponse.FromString(called.message or b"")
    assert (called.status, answer.partial_success.rejected_spans) == (OK, 1)
    assert await stored(store) == 1


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "expected one message of 0 bytes after its 5, got 0 in all"),
        (packed(b"abc")[:-1], "expected one message of 3 bytes after its 5, got 7 in all"),
        (packed(b"") + packed(b""), "expected one message of 0 bytes after its 5, got 10 in all"),
        (packed(b"\xff"), "the body is not a protobuf ExportTraceServiceRequest"),
        (packed(b"abc", flag=1), "the body is not gzip, although it is said to be"),
        (packed(gzip.compress(bytes(2_000_000)), flag=1), "has more than 1000000 bytes"),
        (packed(bytes(2_000_000)), "has more than 1000000 bytes"),
    ],
    ids=["nothing", "cut off", "two messages", "no protobuf", "no gzip", "bomb", "too large"],
)
async def test_what_cannot_be_taken_is_not_to_be_sent_again(app: Guard, store: Store, body: bytes, text: str) -> None:
    called = await call(app, TRACES, body, headers={"grpc-encoding": "gzip"})
    assert (called.http_status, called.status, called.message) == (200, INVALID_ARGUMENT, None)
    assert text in called.text
    assert "grpc-status-details-bin" not in called.trailers
    assert await stored(store) == 0


async def test_an_unknown_encoding_is_told_which_are_known(app: Guard) -> None:
    called = await call(app, TRACES, packed(b""), headers={"grpc-encoding": "snappy"})
    assert called.status == UNIMPLEMENTED
    assert called.text == "unsupported grpc-encoding 'snappy': use gzip, deflate, zstd or none"
    assert called.headers["grpc-accept-encoding"] == "identity,gzip,deflate,zstd"


@pytest.mark.parametrize(
    "path", ["/opentelemetry.proto.collector.trace.v1.TraceService/Import", "/a.B/C", "/", "/v1/a"]
)
async def test_other_methods_are_unimplemented(app: Guard, path: str) -> None:
    called = await call(app, path, packed(b""))
    assert called.status == UNIMPLEMENTED
    assert called.text.startswith(f"there is no method {path}: over gRPC, minitrace takes Export of OTLP's Trace")


async def test_a_busy_store_says_when_to_try_again(app: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MAX_WAITING_BYTES", 0)
    called = await call(app, TRACES, packed(encode_export([span("a")])))
    details = called.trailers["grpc-status-details-bin"]
    content = base64.b64decode(details + "=" * (-len(details) % 4))
    status = messages.Status.FromString(content)
    assert (called.status, status.code, status.message) == (UNAVAILABLE, UNAVAILABLE, called.text)
    assert content.endswith(b"type.googleapis.com/google.rpc.RetryInfo\x12\x04\n\x02\x08\x01")
    assert Duration.FromString(content[-2:]).seconds == 1


async def test_a_deadline_that_has_passed_ends_the_call(app: Guard) -> None:
    called = await call(app, TRACES, packed(encode_export([span("a")])), headers={"grpc-timeout": "1n"})
    assert (called.status, called.text) == (DEADLINE_EXCEEDED, "the time that the client gave ran out")


@pytest.mark.parametrize("given", ["1H", "10S", "99999999u", "nonsense", ""])
async def test_a_deadline_in_time_changes_nothing(app: Guard, given: str) -> None:
    body = packed(encode_export([span("a")]))
    assert (await call(app, TRACES, body, headers={"grpc-timeout": given})).status == OK


@pytest.mark.parametrize(
    ("headers", "status", "text"),
    [
        ({"host": "evil.example"}, PERMISSION_DENIED, 'does not answer to Host "evil.example"'),
        ({"origin": "https://evil.example"}, PERMISSION_DENIED, "takes no telemetry from pages of Origin"),
        ({"authorization": "Bearer wrong"}, UNAUTHENTICATED, "send the header Authorization: Bearer TOKEN"),
    ],
)
async def test_what_the_guard_refuses_is_said_in_trailers(
    store: Store, headers: dict[str, str], status: int, text: str
) -> None:
    app = create_app(Config(token="s3cret"), store=store)
    called = await call(app, TRACES, packed(encode_export([span("a")])), headers=headers)
    assert (called.http_status, called.status) == (200, status)
    assert text in called.text
    assert await stored(store) == 0


@pytest.mark.parametrize("token", ["s3cret", "only-telemetry"])
async def test_either_token_opens_the_receiver_and_the_health_check(store: Store, token: str) -> None:
    app = create_app(Config(token="s3cret", ingest_token="only-telemetry"), store=store)
    headers = {"authorization": f"Bearer {token}"}
    assert (await call(app, TRACES, packed(encode_export([span("a")])), headers=headers)).status == OK
    assert (await call(app, HEALTH, packed(b""), headers=headers)).status == OK


async def test_words_that_are_no_ascii_are_escaped(app: Guard) -> None:
    called = await call(app, HEALTH, packed(StringValue(value="50 % é").SerializeToString()))
    assert called.trailers["grpc-message"] == "there is no service 50 %25 %C3%A9"
    assert called.text == "there is no service 50 % é"


@pytest.mark.parametrize("service", ["", "opentelemetry.proto.collector.trace.v1.TraceService"])
async def test_a_health_check_is_told_that_all_is_well(app: Guard, live: Live, service: str) -> None:
    called = await call(app, HEALTH, packed(StringValue(value=service).SerializeToString()))
    assert called.status == OK
    assert Int32Value.FromString(called.message or b"").value == 1  # SERVING
    assert live.requests.latest() == []  # it is no telemetry


@pytest.mark.parametrize(
    ("body", "status"), [(packed(b"\n\x01x"), NOT_FOUND), (packed(b"\xff"), INVALID_ARGUMENT), (b"", INVALID_ARGUMENT)]
)
async def test_a_health_check_of_something_else_fails(app: Guard, body: bytes, status: int) -> None:
    assert (await call(app, HEALTH, body)).status == status


@pytest.mark.parametrize("path", [TRACES, HEALTH])
async def test_over_http_1_a_call_is_told_that_it_needs_http_2(app: Guard, path: str) -> None:
    called = await call(app, path, packed(b""), http_version="1.1")
    assert called.http_status == 505
    assert b"gRPC needs HTTP/2" in called.body


@pytest.mark.parametrize("content_type", ["application/json", "application/grpc-web", "application/grpc+json", ""])
async def test_what_is_no_call_is_answered_as_http(client: httpx.AsyncClient, content_type: str) -> None:
    response = await client.post(TRACES, headers={"content-type": content_type}, content=packed(b""))
    assert response.status_code == 415
    assert "application/grpc" in response.text


async def test_a_call_is_posted(app: Guard) -> None:
    assert (await call(app, TRACES, b"", method="GET")).status == UNIMPLEMENTED


async def test_a_mistake_of_ours_is_internal_and_says_where_to_look(app: Guard, store: Store) -> None:
    connection = store._writer.connection
    store._writer.connection = None  # type: ignore[assignment]
    called = await call(app, TRACES, packed(encode_export([span("a")])))
    store._writer.connection = connection
    assert (called.status, called.text) == (INTERNAL, "minitrace failed to take this request; its log says why")


async def test_what_became_of_a_call_is_noted(app: Guard, live: Live) -> None:
    await call(app, TRACES, packed(encode_export([span("a")])), headers={"user-agent": "OTel grpc"})
    await call(app, TRACES, packed(b"\xff"))
    bad, good = live.requests.latest()
    assert (good.status, good.span_count, good.client, good.problem) == (200, 1, "OTel grpc", "")
    assert (bad.name, good.name) == ("gRPC TraceService/Export 400", "gRPC TraceService/Export 200")
    assert "not a protobuf" in bad.problem


async def test_a_call_to_another_service_is_noted_with_what_would_be_right(app: Guard, live: Live) -> None:
    await call(app, "/jaeger.api_v2.CollectorService/PostSpans", packed(b""))
    (one,) = live.requests.latest()
    assert (one.name, one.problem) == ("gRPC CollectorService/PostSpans 404", "nothing is taken at this path")
    assert one.cure.startswith("Taken are TraceService/Export")


async def test_the_receivers_page_tells_calls_that_bring_no_spans(app: Guard, live: Live) -> None:
    for path in (LOGS, METRICS):
        await call(app, path, packed(b""))
    assert [receiver_pages.line(one) for one in live.requests.latest()] == [
        "gRPC MetricsService/Export 200: 0 data points: accepted and counted, not stored",
        "gRPC LogsService/Export 200: 0 log records",
    ]
