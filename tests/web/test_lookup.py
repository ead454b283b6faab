"""Which ids are found in what people paste."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.web.lookup import FoundId, find_ids

T = "4bf92f3577b34da6a3ce929d0e0e4736"
S = "00f067aa0ba902b7"
SHORT = "463ac35c9f6413ad"
PADDED = "0" * 16 + SHORT


@pytest.mark.parametrize(
    ("text", "trace", "span", "exact"),
    [
        (T, T, None, True),
        (f"  {T.upper()}\n", T, None, True),
        (f'"{T}"', T, None, True),
        ("4bf92f35-77b3-4da6-a3ce-929d0e0e4736", T, None, True),
        (SHORT, PADDED, None, True),
        (f"00-{T}-{S}-01", T, S, True),
        (f"traceparent: 00-{T}-{S}-01", T, S, True),
        (f"Traceparent=00-{T}-{S}-00", T, S, True),
        (f"-H 'traceparent: 00-{T}-{S}-01'", T, S, False),
        (f"{T}-{S}-1", T, S, True),
        (f"b3: {T}-{S}", T, S, True),
        (f"b3: {SHORT}-{S}-d", PADDED, S, True),
        (f"{T}-{S}-1-05e3ac9a4f6e3b90", T, S, True),
        (f"{T}:{S}:0:1", T, S, True),
        (f"uber-trace-id: {T}:{S}:{S}:1", T, S, True),
        (f"uber-trace-id={T}%3A{S}%3A0%3A1", T, S, True),
        ("uber-trace-id: abc123:1f:0:1", "0" * 26 + "abc123", "0" * 14 + "1f", True),
        (f"{T}:f067aa0ba902b7:0:1", T, S, True),  # Jaeger drops the span's leading zeros
        (f"X-B3-TraceId: {SHORT}", PADDED, None, True),
        (f"X-B3-TraceId: {T}\nX-B3-ParentSpanId: {SHORT}\nX-B3-SpanId: {S}", T, S, True),
        (f"X-B3-SpanId: {S}\nX-B3-TraceId: {T}", T, S, True),
        (f'{{"trace_id":"{T}"}}', T, None, True),
        (f'{{"level":"error","msg":"no stock","trace_id":"{T}","span_id":"{S}"}}', T, S, False),
        (f'{{"traceId": "{T}", "parentSpanId": "{SHORT}", "spanId": "{S}"}}', T, S, True),
        (f"12:00:01 ERROR charge failed trace={T} span={S}", T, S, False),
        (f"otelTraceID={T} otelSpanID={S} otelServiceName=shop", T, S, False),
        (f"trace_id={T} span_id=0000000000000000 no span", T, None, False),
        (f"INFO [checkout,{T},{S}] charged", T, S, False),
        (  # OpenTelemetry's format for Python's logging
            f"2026-11-22 13:00:00,001 INFO [shop] [shop.py:7] [trace_id={T} span_id={S} "
            "resource.service.name=shop trace_sampled=True] - charged",
            T,
            S,
            False,
        ),
        (  # structlog
            f'{{"event": "charged", "level": "info", "timestamp": "2026-11-22T13:00:00Z", "span_id": "{S}", '
            f'"trace_id": "{T}"}}',
            T,
            S,
            False,
        ),
        (
            f"2026-11-23 10:15:30.123 [exec-1] INFO c.e.Orders - traceId={T} spanId={S} - charged",
            T,
            S,
            False,
        ),  # logback
        (f"INFO 4711 --- [shop] [exec-1] [{T}-{S}] c.e.Orders : charged", T, S, False),  # Spring Boot 3
        (f"      => SpanId:{S}, TraceId:{T}, ParentId:{'0' * 16} => ConnectionId:0HMVD", T, S, False),  # .NET
        (f'{{"@t":"2026-11-23T10:15:30Z","@mt":"charged","@tr":"{T}","@sp":"{S}"}}', T, S, False),  # Serilog
        (f'time=2026-11-23T10:15:30Z level=INFO msg="charged 7" trace_id={T} span_id={S}', T, S, False),  # Go's slog
        (f'{{"time":"2026-11-23T10:15:30Z","level":"INFO","traceID":"{T}","spanID":"{S}"}}', T, S, False),
        (
            f'::1 - - [23/Nov/2026:10:15:30 +0000] "GET / HTTP/1.1" 200 5 "-" "curl" "00-{T}-{S}-01"',
            T,
            S,
            False,
        ),  # nginx
        (f"request{{trace_id={T} span_id={S}}}: shop: charged", T, S, False),  # Rust's tracing
        (f"\x1b[36mtrace_id\x1b[0m=\x1b[35m{T}\x1b[0m", T, None, True),  # a terminal's colours
        (f"charged trace_id=0x{T} span_id=0x{S}", T, S, False),
        (f"0x{T}", T, None, True),
        (f"see http://localhost:16686/trace/{T}?x=1", T, None, False),
        (f"trace: {T.lstrip('4')}", "0" + T[1:], None, True),
    ],
)
def test_an_id_is_found_in(text: str, trace: str, span: str | None, exact: bool) -> None:
    expected = FoundId(bytes.fromhex(trace), bytes.fromhex(span) if span else None, exact)
    assert find_ids(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "checkout failed",
        "12:30:45:07",
        "00:1a:2b:3c:4d:5e",
        "0" * 32,
        f"00-{'0' * 32}-{S}-01",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",  # a SHA-256
        "trace=on",
        f"x{T}",
        T[:-1],
    ],
)
def test_no_id_is_found_in(text: str) -> None:
    assert find_ids(text) == []


def test_of_several_traces_each_keeps_its_own_span() -> None:
    other = "a" * 32
    found = find_ids(f"trace_id={T} span_id={S}\ntrace_id={other} span_id={SHORT}\n")
    assert [(i.trace_id.hex(), i.span_id and i.span_id.hex(), i.exact) for i in found] == [
        (T, S, False),
        (other, SHORT, False),
    ]


def test_the_same_id_twice_is_found_once() -> None:
    assert len(find_ids(f"{T} {T}")) == 1


def test_a_huge_paste_yields_few_ids() -> None:
    text = " ".join(f"{number:032x}" for number in range(1, 100_000))
    assert len(find_ids(text)) == 50


@pytest.mark.parametrize("part", ["a", "x-", "trace", "span_id", "a:", '"a" : ', "4bf92f3577b34da6-"])
def test_a_long_text_without_spaces_is_read_at_once(part: str) -> None:
    began = time.process_time()
    find_ids((part * 20_000)[:20_000])
    assert time.process_time() - began < 1  # 20 to 90 s where each place of a word may begin a key


@given(st.text(alphabet='0123456789abcdefT-:% \n=tracespnid"', max_size=300))
def test_any_text_yields_whole_ids(text: str) -> None:
    for found in find_ids(text):
        assert (len(found.trace_id), found.span_id is None or len(found.span_id) == 8) == (16, True)
