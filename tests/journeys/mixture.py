"""Everything that minitrace takes, sent by many connections at once."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from random import Random
from threading import Barrier

import grpc

from minitrace.formats import jaeger_thrift, zipkin_protobuf
from minitrace.model import Span
from minitrace.otlp import json as otlp_json
from minitrace.otlp.encode import encode_export, traces_data
from tests.formats.thrift_writer import write_struct
from tests.samples import span

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LARGE = 70_000  # bytes: more than a window of HTTP/2, or a buffer of a socket, may hold
TIMEOUT_S = 60

Spans = list[Span]
Sender = Callable[[str, Iterator[Spans]], int]  # host and port, what is to be sent -> how many spans were taken


def otlp_as_json(spans: Spans) -> bytes:
    """OTLP's ExportTraceServiceRequest."""
    return json.dumps(otlp_json.dump(traces_data(spans))).encode()


def zipkin_as_json(spans: Spans) -> bytes:
    """Zipkin's list, version 2."""
    return json.dumps(
        [
            {
                "traceId": sent.trace_id.hex(),
                "id": sent.span_id.hex(),
                "name": sent.name,
                "timestamp": sent.start_ns // 1000,
                "duration": (sent.end_ns - sent.start_ns) // 1000,
                "localEndpoint": {"serviceName": "zipkin"},
                "tags": sent.attributes,
            }
            for sent in spans
        ]
    ).encode()


def zipkin_as_protobuf(spans: Spans) -> bytes:
    """Zipkin's ListOfSpans."""
    message = zipkin_protobuf.ListOfSpans()
    for sent in spans:
        message.spans.add(traceId=sent.trace_id, id=sent.span_id, name=sent.name, timestamp=sent.start_ns // 1000)
    return bytes(message.SerializeToString())


def jaeger_as_thrift(spans: Spans) -> bytes:
    """Jaeger's Batch."""
    said = [
        {
            "trace_low": int.from_bytes(sent.trace_id[8:], signed=True),
            "trace_high": int.from_bytes(sent.trace_id[:8], signed=True),
            "span": int.from_bytes(sent.span_id, signed=True),
            "name": sent.name.encode(),
            "start": sent.start_ns // 1000,
            "duration": 5,
        }
        for sent in spans
    ]
    return write_struct(jaeger_thrift._BATCH, {"process": {"service": b"jaeger"}, "spans": said})


def over_http(path: str, media_type: str, encode: Callable[[Spans], bytes], packed: bool = False) -> Sender:
    """POSTs, one after the other on one connection."""

    def send(address: str, exports: Iterator[Spans]) -> int:
        headers = {"Content-Type": media_type} | ({"Content-Encoding": "gzip"} if packed else {})
        sent = 0
        with closing(http.client.HTTPConnection(address, timeout=TIMEOUT_S)) as connection:
            for spans in exports:
                body = encode(spans)
                connection.request("POST", path, gzip.compress(body) if packed else body, headers)
                answer = connection.getresponse()
                content = answer.read()
                assert answer.status in (200, 202), (path, answer.status, content)
                sent += len(spans)
        return sent

    return send


def over_grpc(packed: bool = False) -> Sender:
    """Calls, one after the other on one channel."""

    def send(address: str, exports: Iterator[Spans]) -> int:
        compression = grpc.Compression.Gzip if packed else grpc.Compression.NoCompression
        options = [("grpc.use_local_subchannel_pool", 1)]  # else all channels of a process are one connection
        sent = 0
        with grpc.insecure_channel(address, options, compression) as channel:
            export = channel.unary_unary(EXPORT)
            for spans in exports:
                assert export(encode_export(spans), timeout=TIMEOUT_S) == b""
                sent += len(spans)
        return sent

    return send


SENDERS = [
    sender
    for packed in (False, True)
    for sender in (
        over_http("/v1/traces", "application/x-protobuf", encode_export, packed),
        over_http("/v1/traces", "application/json", otlp_as_json, packed),
        over_grpc(packed),
        over_http("/api/v2/spans", "application/json", zipkin_as_json, packed),
        over_http("/api/v2/spans", "application/x-protobuf", zipkin_as_protobuf, packed),
        over_http("/api/traces?format=jaeger.thrift", "application/x-thrift", jaeger_as_thrift, packed),
    )
]


def exports(random: Random, count: int, most_spans: int) -> Iterator[Spans]:
    """What a connection sends: spans with ids of their own, now and then with something large."""
    for _ in range(count):
        trace_id = random.randbytes(16)
        size = random.randint(1, most_spans)
        text = "x" * (LARGE if random.random() < 0.1 else 10)
        attributes = {"text": text}
        yield [
            span(
                f"span {number}",
                trace=trace_id,
                span_id=random.randbytes(8),
                attributes=attributes if number == 0 else {},
            )
            for number in range(size)
        ]


def send_mixed(address: str, *, seed: int, connections: int, requests: int, most_spans: int) -> int:
    """Everything at once, each connection in a thread; how many spans were acknowledged.

    Raises:
        AssertionError, grpc.RpcError: something was refused.
    """
    together = Barrier(connections)

    def one(number: int) -> int:
        send = SENDERS[number % len(SENDERS)]
        together.wait(TIMEOUT_S)
        return send(address, exports(Random(seed * connections + number), requests, most_spans))

    with ThreadPoolExecutor(connections) as threads:
        return sum(threads.map(one, range(connections)))
