"""Files of spans, in whichever format."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.errors import DecodeError, TooLarge
from minitrace.formats import detection, jaeger, tempo
from minitrace.model import Span
from minitrace.otlp import decode
from minitrace.otlp import json as otlp_json
from minitrace.otlp.encode import encode_export, encode_logs, logs_data, traces_data
from tests.samples import TRACE, record, span

SPANS = [span("checkout"), span("charge", "checkout", service="bank")]
OTLP = otlp_json.dump(traces_data(SPANS))
TEMPO = otlp_json.dump(traces_data(SPANS), ids="base64", enums="name")["resourceSpans"]
RECORDS = [record("card declined", trace=TRACE, span="charge", severity=17), record({"n": 1}, service="bank")]
LOGS = otlp_json.dump(logs_data(RECORDS))
ZIPKIN = {"traceId": TRACE.hex(), "id": "1f", "timestamp": 1}


def read(content: bytes | str | Any) -> detection.Reading:
    if isinstance(content, str):
        content = content.encode()
    return detection.read_any(content if isinstance(content, bytes) else json.dumps(content).encode(), now_ns=1)


def old_names(groups: Any) -> Any:
    text = json.dumps(groups).replace("scopeSpans", "instrumentationLibrarySpans")
    return json.loads(text.replace('"scope"', '"instrumentationLibrary"'))


@pytest.mark.parametrize(
    ("content", "format_"),
    [
        (OTLP, "OTLP JSON"),
        ({"resource_spans": OTLP["resourceSpans"]}, "OTLP JSON"),
        ({"result": OTLP}, "OTLP JSON"),  # Jaeger's API, version 3
        (json.dumps(OTLP, indent=2), "OTLP JSON"),
        (f"\n{json.dumps(OTLP)}\r\n\r\n", "OTLP JSON"),
        ("\ufeff" + json.dumps(OTLP), "OTLP JSON"),
        (json.dumps(OTLP).encode("utf-16"), "OTLP JSON"),  # PowerShell's ">"
        (gzip.compress(json.dumps(OTLP).encode()), "OTLP JSON"),
        (encode_export(SPANS), "OTLP protobuf"),
        ({"batches": TEMPO}, "Tempo JSON"),
        ({"batches": OTLP["resourceSpans"]}, "Tempo JSON"),  # Grafana's download has hex
        ({"trace": {"resourceSpans": TEMPO}, "metrics": {}}, "Tempo JSON"),
        ({"batches": old_names(TEMPO)}, "Tempo JSON"),
        ({"data": [jaeger.trace_json(SPANS)], "batches": TEMPO}, "Tempo JSON"),  # our own answer for both
        ({"data": [jaeger.trace_json(SPANS)], "errors": None}, "Jaeger JSON"),
        (jaeger.trace_json(SPANS), "Jaeger JSON"),
        ([jaeger.trace_json(SPANS)], "Jaeger JSON"),
    ],
)
def test_spans_are_found_in_each_format(content: Any, format_: str) -> None:
    assert read(content) == detection.Reading(format_, SPANS)


@pytest.mark.parametrize("content", [[ZIPKIN], [[ZIPKIN]], ZIPKIN])
def test_zipkins_spans_are_found_in_a_list_in_traces_and_alone(content: Any) -> None:
    reading = read(content)
    assert (reading.format, [found.span_id.hex() for found in reading.spans]) == ("Zipkin JSON", ["000000000000001f"])


@pytest.mark.parametrize(
    ("content", "format_"),
    [
        (LOGS, "OTLP JSON"),
        ({"resource_logs": LOGS["resourceLogs"]}, "OTLP JSON"),
        ({**LOGS, "complete": True, "next": "1.2"}, "OTLP JSON"),  # as our own API answers
        (json.dumps(LOGS) + "\n" + json.dumps({"resourceMetrics": []}), "OTLP JSON lines"),
        (encode_logs(RECORDS), "OTLP protobuf"),
        (gzip.compress(encode_logs(RECORDS)), "OTLP protobuf"),
    ],
)
def test_log_records_are_told_from_spans(content: Any, format_: str) -> None:
    assert read(content) == detection.Reading(format_, records=RECORDS)


def test_lines_and_documents_may_be_of_both_kinds() -> None:
    for content in (json.dumps(LOGS) + "\n" + json.dumps(OTLP), {**LOGS, **OTLP}):
        reading = read(content)
        assert (reading.spans, reading.records) == (SPANS, RECORDS)


@pytest.mark.parametrize("content", [encode_export([span("a", trace=b"short")]), b"\x0a\x02\x12\x00"])
def test_protobuf_whose_spans_are_broken_is_not_taken_for_log_records(content: bytes) -> None:
    with pytest.raises(DecodeError, match="there is no span or log record in it"):
        read(content)


def test_a_log_record_without_a_time_happened_when_it_is_read() -> None:
    groups = [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "when"}}]}]}]
    assert [one.time_ns for one in read({"resourceLogs": groups}).records] == [1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"resourceLogs": {}}, "resourceLogs is not a list but"),
        ({"resourceLogs": [7]}, "resourceLogs"),
        ({"resourceLogs": [{"scopeLogs": [{"logRecords": 7}]}]}, "logRecords"),
        ({"resourceLogs": [{"scopeLogs": 7}]}, "scopeLogs"),
        ({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "soon"}]}]}]}, "timeUnixNano"),
    ],
)
def test_what_is_wrong_with_log_records_is_told_with_its_place(content: Any, said: str) -> None:
    with pytest.raises(DecodeError, match=said):
        read(content)


def lines(*documents: Any) -> str:
    return "\n".join(json.dumps(document, ensure_ascii=False) for document in documents)


def test_each_line_may_be_a_document() -> None:
    one, two = (otlp_json.dump(traces_data([one])) for one in SPANS)
    for text in (lines(one, two), lines(one) + "\r\n\r\n" + lines(two) + "\r\n"):
        assert read(text) == detection.Reading("OTLP JSON lines", SPANS)


def test_a_line_may_have_a_separator_of_unicode_in_it() -> None:
    spans = [span("a\u2028b\x85c"), span("d")]
    assert read(lines(*(otlp_json.dump(traces_data([one])) for one in spans))).spans == spans


def test_lines_of_logs_and_metrics_are_passed_over() -> None:
    assert read(lines({"resourceLogs": []}, OTLP, {"resourceMetrics": []})).problems == []


@pytest.mark.parametrize(
    ("text", "number"),
    [(lines(OTLP, OTLP)[:-9], 2), ('{"resourceSp\n' + lines(OTLP), 1)],
)
def test_a_line_that_is_cut_off_is_told_and_the_others_are_read(text: str, number: int) -> None:
    reading = read(text)
    assert reading.spans == SPANS
    assert len(reading.problems) == 1
    assert reading.problems[0].startswith(f"line {number}: not JSON: ")


def test_a_document_over_several_lines_that_is_cut_off_is_none() -> None:
    with pytest.raises(DecodeError, match=r"^not JSON: "):
        read(json.dumps(OTLP, indent=1)[:-4])


def test_spans_that_cannot_be_used_are_counted_with_the_first_reason() -> None:
    spans: list[Span] = [*SPANS, span("bad", trace=b"x"), span("worse", trace=b"")]
    reading = read(otlp_json.dump(traces_data(spans)))
    assert reading.spans == SPANS
    assert reading.problems == [
        "2 spans left out: span 1 ('bad'): trace id 78 is not 16 bytes with one that is not zero"
    ]


def test_a_wrong_span_of_jaeger_or_zipkin_is_left_out_alone() -> None:
    trace = jaeger.trace_json(SPANS)
    trace["spans"][1]["startTime"] = "?"
    assert read(trace).spans == SPANS[:1]
    assert read([ZIPKIN, ZIPKIN | {"id": "?"}]).problems == [
        '1 span left out: span 2: id is not 1 to 16 hex digits but "?"'
    ]


def test_problems_are_told_up_to_a_number() -> None:
    reading = read(lines(OTLP) + "\n" + "{}\n" * 1500)
    assert (len(reading.problems), reading.problems[-1]) == (detection.MAX_PROBLEMS + 1, "and 1 480 more")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"<!doctype html>", "it is a page, and no data: open it in a browser"),
        (b"SQLite format 3\0", "it is a database"),
        (b"hello", "none of the formats"),
        (b"{}", 'OTLP JSON has spans in "resourceSpans" and log records in "resourceLogs", Jaeger JSON'),
        (b"[]", "none of the formats"),
        (b'{"resourceSpans": []}', 'there is no span or log record in it: OTLP JSON has spans in "resourceSpans"'),
        (b'{"resourceSpans": [', "not JSON: Expecting value: line 1 column 20"),
        (b'{"resourceSpans": 5}', "resourceSpans is not a list but 5"),
        (b'{"batches": [5]}', "batch 1: it is not an object but 5"),
        (b'{"resourceLogs": []}', "there is no span or log record in it"),
        (b"\n\xff\xff", "none of the formats|not a protobuf"),
        (b"[" * 100_000, "not JSON: "),
        (b"\x1f\x8bhello", "begins as gzip does, but cannot be unpacked"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_would_be_right(content: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        read(content)


def test_a_document_may_have_more_spans_than_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_SPANS", 4)
    monkeypatch.setattr(tempo, "SPANS_A_PART", 3)
    spans = [span(f"{number}", service=f"{number}") for number in range(10)]
    parts = list(detection.readings(json.dumps(otlp_json.dump(traces_data(spans))).encode(), now_ns=1))
    assert [len(part.spans) for part in parts] == [3, 3, 3, 1]
    assert [found for part in parts for found in part.spans] == spans


def test_what_unpacks_to_too_much_is_refused() -> None:
    with pytest.raises(TooLarge, match="it unpacks to more than 1000 bytes"):
        detection.read_any(gzip.compress(b" " * 2000), now_ns=1, max_bytes=1000)


WORDS = [
    "resourceSpans",
    "scopeSpans",
    "spans",
    "batches",
    "trace",
    "data",
    "traceId",
    "id",
    "traceID",
    "tags",
    "spanID",
    "processes",
    "links",
    "key",
    "value",
    "annotations",
    "localEndpoint",
    "references",
    "logs",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(WORDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.binary(max_size=80) | JSON.map(lambda document: json.dumps(document).encode()))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with suppress(DecodeError):
        assert read(content).spans
