"""Any spans and log records, through either encoding and through the file, are the same again."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minitrace.model import Event, Link, LogRecord, Resource, Scope, Span, Status, Value
from minitrace.otlp import json as otlp_json
from minitrace.otlp.decode import decode_traces
from minitrace.otlp.encode import encode_export, encode_logs, logs_data, traces_data
from minitrace.otlp.log_records import decode_logs
from minitrace.store.store import Store

TEXTS = st.text(max_size=12)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
SCALARS = st.none() | TEXTS | st.booleans() | NUMBERS | st.binary(max_size=9)
VALUES: st.SearchStrategy[Value] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
ATTRIBUTES = st.dictionaries(TEXTS, VALUES, max_size=4)
COUNTS = st.integers(0, 2**32 - 1)
TIMES = st.integers(0, 2**64 - 1)
TRACE_IDS = st.binary(min_size=16, max_size=16).filter(any)
SPAN_IDS = st.binary(min_size=8, max_size=8).filter(any)
RESOURCES = st.builds(Resource, ATTRIBUTES, COUNTS, TEXTS)
SCOPES = st.builds(Scope, TEXTS, TEXTS, ATTRIBUTES, COUNTS, TEXTS)


def spans_of(trace_ids: st.SearchStrategy[bytes]) -> st.SearchStrategy[Span]:
    """A span with everything in it."""
    return st.builds(
        Span,
        trace_id=trace_ids,
        span_id=SPAN_IDS,
        name=TEXTS,
        start_ns=TIMES,
        end_ns=TIMES,
        parent_id=st.just(b"") | SPAN_IDS,
        kind=st.integers(0, 9),
        status=st.builds(Status, st.integers(0, 3), TEXTS),
        attributes=ATTRIBUTES,
        events=st.lists(st.builds(Event, TIMES, TEXTS, ATTRIBUTES, COUNTS), max_size=2),
        links=st.lists(st.builds(Link, TRACE_IDS, SPAN_IDS, TEXTS, ATTRIBUTES, COUNTS, COUNTS), max_size=2),
        trace_state=TEXTS,
        flags=COUNTS,
        dropped_attributes=COUNTS,
        dropped_events=COUNTS,
        dropped_links=COUNTS,
        resource=RESOURCES,
        scope=SCOPES,
    )


LOG_RECORDS = st.builds(
    LogRecord,
    time_ns=TIMES.filter(bool),  # a record without one is given one
    observed_ns=TIMES,
    severity=st.integers(0, 30),
    severity_text=TEXTS | st.just("WARN"),
    body=VALUES,
    attributes=ATTRIBUTES,
    dropped_attributes=COUNTS,
    flags=COUNTS,
    trace_id=TRACE_IDS,
    span_id=st.just(b"") | SPAN_IDS,
    event_name=TEXTS,
    resource=RESOURCES,
    scope=SCOPES,
)


@given(spans_of(TRACE_IDS))
def test_protobuf_and_json_carry_the_same_span(span: Span) -> None:
    as_json = json.dumps(otlp_json.dump(traces_data([span]))).encode()
    assert decode_traces(encode_export([span]), is_json=False).spans == [span]
    assert decode_traces(as_json, is_json=True).spans == [span]


@given(LOG_RECORDS)
def test_protobuf_and_json_carry_the_same_record(record: LogRecord) -> None:
    as_json = json.dumps(otlp_json.dump(logs_data([record]))).encode()
    assert decode_logs(encode_logs([record]), is_json=False).records == [record]
    assert decode_logs(as_json, is_json=True).records == [record]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(spans_of(st.just(b"the same trace 1")), min_size=1, max_size=4, unique_by=lambda span: span.span_id))
def test_the_file_gives_back_the_same_spans(tmp_path_factory: pytest.TempPathFactory, spans: list[Span]) -> None:
    async def stored() -> list[Span]:
        async with await Store.open(tmp_path_factory.mktemp("s") / "a.db") as store:
            await store.add(spans)
            return (await store.trace(spans[0].trace_id)).spans

    assert asyncio.run(stored()) == spans


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(LOG_RECORDS, min_size=1, max_size=4))
def test_the_file_gives_back_the_same_records(
    tmp_path_factory: pytest.TempPathFactory, records: list[LogRecord]
) -> None:
    async def stored() -> list[LogRecord]:
        async with await Store.open(tmp_path_factory.mktemp("s") / "a.db") as store:
            await store.add_logs(records)
            return (await store.logs_after(0))[1]

    assert asyncio.run(stored()) == decode_logs(encode_logs(records), is_json=False).records
