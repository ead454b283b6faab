"""Which log records are kept, with what; which are rejected one by one; and which requests are refused whole."""

from __future__ import annotations

from typing import Any

import pytest

from minitrace.errors import DecodeError, TooLarge
from minitrace.model import LogRecord, Severity
from minitrace.otlp import messages
from minitrace.otlp.log_records import MAX_RECORDS, LogExport, decode_logs
from tests.otlp.test_decode import varint

TRACE, SPAN = b"t" * 16, b"s" * 8


def request(*records: dict[str, Any]) -> bytes:
    message = messages.ExportLogsServiceRequest()
    scope_logs = message.resource_logs.add().scope_logs.add()
    for record in records:
        scope_logs.log_records.add(**record)
    content: bytes = message.SerializeToString()
    return content


def decoded(*records: dict[str, Any]) -> LogExport:
    return decode_logs(request(*records), is_json=False)


@pytest.mark.parametrize(
    ("ids", "kept"),
    [
        ({"trace_id": TRACE, "span_id": SPAN}, (TRACE, SPAN)),
        ({"trace_id": TRACE}, (TRACE, b"")),
        ({"trace_id": TRACE, "span_id": bytes(8)}, (TRACE, b"")),
        ({"trace_id": TRACE, "span_id": b"short"}, (TRACE, b"")),
        ({"trace_id": bytes(16), "span_id": SPAN}, (b"", b"")),
        ({"trace_id": b"short", "span_id": SPAN}, (b"", b"")),
        ({"span_id": SPAN}, (b"", b"")),
        ({}, (b"", b"")),
    ],
)
def test_a_record_keeps_the_ids_that_lead_somewhere(ids: dict[str, Any], kept: tuple[bytes, bytes]) -> None:
    (record,) = decoded(ids).records
    assert (record.trace_id, record.span_id) == kept


@pytest.mark.parametrize(
    ("times", "time_ns"),
    [
        ({"time_unix_nano": 1, "observed_time_unix_nano": 2}, 1),
        ({"observed_time_unix_nano": 2}, 2),
    ],
)
def test_a_record_without_a_time_has_that_of_its_observation(times: dict[str, Any], time_ns: int) -> None:
    assert decoded(times).records[0].time_ns == time_ns


def test_a_record_without_any_time_has_that_of_its_arrival() -> None:
    export = decoded({"severity_text": "INFO"})
    assert export.records[0].time_ns == export.received_ns > 0


def test_a_record_with_a_broken_text_is_rejected_alone() -> None:
    good, text = request({"severity_text": "fine"}), b"\x1a\x03" + b"\xff" * 3
    scope_logs = b"\x12" + varint(len(text)) + text
    resource_logs = b"\x12" + varint(len(scope_logs)) + scope_logs
    export = decode_logs(good + b"\x0a" + varint(len(resource_logs)) + resource_logs, is_json=False)
    assert [record.severity_text for record in export.records] == ["fine"]
    assert (export.rejected, export.reason[:14]) == (1, "log record 1: ")


@pytest.mark.parametrize("ids", ['"traceId": "xyz"', '"traceId": "0x5b"', f'"traceId": "{TRACE.hex()}", "spanId": "7"'])
def test_a_record_of_json_is_kept_without_an_id_that_is_none_and_its_sender_told(ids: str) -> None:
    body = f'{{"resourceLogs": [{{"scopeLogs": [{{"logRecords": [{{"severityText": "fine"}}, {{{ids}}}]}}]}}]}}'
    export = decode_logs(body.encode(), is_json=True)
    assert [record.span_id for record in export.records] == [b"", b""]
    assert (export.rejected, export.warning[:39]) == (0, "a trace or span id of 1 log record is n")


def test_ids_of_zeros_are_a_way_to_have_none() -> None:
    assert decoded({"trace_id": bytes(16), "span_id": bytes(8)}, {}).warning == ""


def test_what_a_program_says_twice_has_two_checksums_and_the_same_ones_when_sent_again() -> None:
    once = {"time_unix_nano": 1, "severity_text": "INFO"}
    first, again = ([checksum for _, checksum in decoded(once, once).groups[0].records] for _ in range(2))
    assert len(set(first)) == 2
    assert first == again


def test_too_many_records_are_refused_whole() -> None:
    message = messages.ExportLogsServiceRequest()
    records = message.resource_logs.add().scope_logs.add().log_records
    for _ in range(MAX_RECORDS + 1):
        records.add()
    with pytest.raises(TooLarge, match="200001 log records in one request; the limit is 200000"):
        decode_logs(message.SerializeToString(), is_json=False)


def test_a_body_that_is_no_request_is_refused() -> None:
    with pytest.raises(DecodeError, match="is not a protobuf ExportLogsServiceRequest"):
        decode_logs(b"\xff", is_json=False)


@pytest.mark.parametrize(
    ("number", "text", "level"),
    [
        (9, "", Severity.INFO),
        (12, "", Severity.INFO),
        (13, "whatever", Severity.WARN),
        (24, "", Severity.FATAL),
        (0, "Warning", Severity.WARN),
        (0, "", Severity.UNSPECIFIED),
        (25, "err", Severity.ERROR),
        (-1, "", Severity.UNSPECIFIED),
    ],
)
def test_the_level_of_a_record_is_by_its_number_or_else_by_its_name(number: int, text: str, level: Severity) -> None:
    assert LogRecord(1, severity=number, severity_text=text).level is level
