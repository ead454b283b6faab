"""OTLP/JSON's own rules."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.errors import DecodeError
from minitrace.model import Span
from minitrace.otlp import json as otlp_json
from minitrace.otlp import messages
from minitrace.otlp.decode import decode_traces

SPAN = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "a"}


def request(span: dict[str, Any]) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


def decoded(**fields: Any) -> Span:
    (span,) = decode_traces(request({**SPAN, **fields}), is_json=True).spans
    return span


def attribute(value: dict[str, Any]) -> Any:
    return decoded(attributes=[{"key": "k", "value": value}]).attributes["k"]


def test_ids_are_hex_in_any_case() -> None:
    span = decoded(traceId="5B8EFFF798038103D269B633813FC60C", parentSpanId="EEE19B7ec3c1b173")
    assert (span.trace_id.hex(), span.parent_id.hex()) == ("5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b173")


def test_snake_case_is_read_too() -> None:
    span = decoded(parent_span_id="eee19b7ec3c1b173", start_time_unix_nano="5")
    assert (span.parent_id.hex(), span.start_ns) == ("eee19b7ec3c1b173", 5)


def test_unknown_keys_are_ignored_at_any_depth() -> None:
    assert decoded(new={"a": [1]}, status={"code": 2, "more": 1}).status.code == 2


def test_null_is_absent() -> None:
    span = decoded(parentSpanId=None, attributes=None, status=None, kind=None)
    assert (span.parent_id, span.attributes, span.kind) == (b"", {}, 0)


@pytest.mark.parametrize(("kind", "number"), [(3, 3), ("3", 3), ("SPAN_KIND_CLIENT", 3), (77, 77)])
def test_enums_are_numbers_or_names_also_unknown_ones(kind: object, number: int) -> None:
    assert decoded(kind=kind).kind == number


@pytest.mark.parametrize(
    ("value", "number"),
    [("9007199254740993", 2**53 + 1), (2**53 + 1, 2**53 + 1), ("-9223372036854775808", -(2**63)), (42.0, 42)],
)
def test_integers_are_exact_as_text_or_number(value: object, number: int) -> None:
    assert attribute({"intValue": value}) == number


@pytest.mark.parametrize(
    ("value", "number"), [(1, 1.0), (1.5, 1.5), ("Infinity", math.inf), ("-Infinity", -math.inf), ("2.5", 2.5)]
)
def test_doubles(value: object, number: float) -> None:
    found = attribute({"doubleValue": value})
    assert (found, type(found)) == (number, float)


def test_a_double_may_be_nan() -> None:
    assert math.isnan(attribute({"doubleValue": "NaN"}))


@pytest.mark.parametrize("text", ["+/8=", "-_8=", "-_8"])
def test_bytes_are_base64_also_url_safe_and_without_padding(text: str) -> None:
    assert attribute({"bytesValue": text}) == b"\xfb\xff"


def test_a_value_without_a_member_is_empty() -> None:
    assert attribute({}) is None


def test_an_unpaired_surrogate_becomes_a_replacement_character() -> None:
    assert decoded(name="a\ud800b").name == "a?b"


def test_arrays_and_maps_nest() -> None:
    nested = {"arrayValue": {"values": [{"kvlistValue": {"values": [{"key": "x", "value": {"boolValue": False}}]}}]}}
    assert attribute(nested) == [{"x": False}]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is not JSON"),
        (b"1234", "not a JSON object but 1234"),
        (b"[]", "not a JSON object but []"),
        (b"{", "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b'{"resourceSpans": {}}', "ExportTraceServiceRequest.resourceSpans is not a list but {}"),
        (b'{"resourceSpans": [1]}', "resourceSpans[0] is not an object but 1"),
        (request({**SPAN, "traceId": "xyz"}), 'spans[0].traceId is not hex: "xyz"'),
        (request({**SPAN, "name": 5}), "spans[0].name is not a string but 5"),
        (request({**SPAN, "kind": "CLIENT"}), "SPAN_KIND_CLIENT, SPAN_KIND_PRODUCER"),
        (request({**SPAN, "startTimeUnixNano": -1}), "startTimeUnixNano is not an integer from 0"),
        (request({**SPAN, "startTimeUnixNano": 2**64}), "startTimeUnixNano is not an integer from 0"),
        (request({**SPAN, "attributes": [{"value": {"boolValue": "no"}}]}), 'boolValue is not true or false but "no"'),
        (request({**SPAN, "attributes": [{"value": {"bytesValue": "*"}}]}), "bytesValue is not base64"),
        (request({**SPAN, "attributes": [{"value": {"doubleValue": "x"}}]}), "doubleValue is not a number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(body: bytes, said: str) -> None:
    with pytest.raises(DecodeError) as error:
        decode_traces(body, is_json=True)
    assert said in str(error.value)


@pytest.mark.parametrize("depth", [60, 400, 100_000])
def test_deep_nesting_is_refused_not_a_crash(depth: int) -> None:
    value = '{"arrayValue":{"values":[' * depth + "{}" + "]}}" * depth
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"k","value":%s}]}]}]}]}' % value.encode()
    with pytest.raises(DecodeError):
        decode_traces(body, is_json=True)


def test_nesting_past_the_limit_of_values_is_cut_and_says_so() -> None:
    value: dict[str, Any] = {"stringValue": "core"}
    for _ in range(33):
        value = {"arrayValue": {"values": [value]}}
    found = attribute(value)
    for _ in range(32):
        (found,) = found
    assert found == "[nested deeper than 32 levels]"


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.booleans())
def test_random_bytes_are_read_or_refused_never_a_crash(body: bytes, is_json: bool) -> None:
    with contextlib.suppress(DecodeError):  # any other exception fails
        decode_traces(body, is_json=is_json)


@pytest.mark.parametrize(("depth", "fits"), [(47, True), (48, False)])
def test_json_and_protobuf_nest_equally_deep(depth: int, fits: bool) -> None:
    value = '{"arrayValue":{"values":[' * depth + "{}" + "]}}" * depth
    body = request({**SPAN, "attributes": [{"key": "k", "value": json.loads(value)}]})
    message = messages.ExportTraceServiceRequest()
    if not fits:
        with pytest.raises(DecodeError, match="nested deeper"):
            otlp_json.parse(body, message)
        return
    otlp_json.parse(body, message)
    messages.ExportTraceServiceRequest.FromString(message.SerializeToString())


def test_tempo_json_has_base64_ids_and_names_for_enums() -> None:
    message = messages.ExportTraceServiceRequest()
    otlp_json.parse(request({**SPAN, "kind": 3, "status": {"code": 2}}), message)
    (span,) = otlp_json.dump(message, ids="base64", enums="name")["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (span["traceId"], span["kind"], span["status"]) == (
        "W47/95gDgQPSabYzgT/GDA==",
        "SPAN_KIND_CLIENT",
        {"code": "STATUS_CODE_ERROR"},
    )


def test_otlp_json_comes_back_as_it_was() -> None:
    text = request(
        {**SPAN, "startTimeUnixNano": "5", "kind": 3, "attributes": [{"key": "k", "value": {"doubleValue": "NaN"}}]}
    )
    message = messages.ExportTraceServiceRequest()
    otlp_json.parse(text, message)
    assert otlp_json.dump(message) == json.loads(text)
