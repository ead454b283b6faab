"""Traces as a document: whatever is in them comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.cli.parser import FORMATS
from minitrace.formats.detection import read_any
from minitrace.formats.jaeger import read_spans, trace_json
from minitrace.model import Span
from minitrace.web.documents import Document, Format, document
from minitrace.web.pieces import SPANS_A_PIECE
from tests.otlp.test_roundtrip import TRACE_IDS, spans_of
from tests.samples import span

TRACES = st.lists(TRACE_IDS, max_size=3, unique=True).flatmap(
    lambda ids: st.tuples(*(st.lists(spans_of(st.just(trace_id)), max_size=3) for trace_id in ids))
)


def known(spans: list[Span]) -> set[str]:
    return {repr(one) for one in spans}


@pytest.mark.parametrize("format", [Format.OTLP, Format.JSONL])
@given(TRACES)
def test_any_spans_come_back_from_otlp(format: Format, traces: tuple[list[Span], ...]) -> None:
    text = "".join(document(traces, format))
    spans = [span for own in traces for span in own]
    if spans:
        found = read_any(text.encode(), now_ns=0)
        assert (known(found.spans), found.problems) == (known(spans), [])


@given(TRACES)
def test_any_spans_come_back_from_jaegers_json_as_far_as_it_can_say_them(traces: tuple[list[Span], ...]) -> None:
    text = "".join(document(traces, Format.JAEGER))
    expected = [span for own in traces if own for span in read_spans(trace_json(own))]
    if expected:
        assert known(read_any(text.encode(), now_ns=0).spans) == known(expected)


def test_a_trace_without_spans_leaves_no_mark() -> None:
    growing = Document(Format.OTLP)
    assert list(growing.trace([])) == []
    text = growing.head + "".join(growing.trace([span("a")])) + "".join(growing.trace([])) + growing.tail
    assert read_any(text.encode(), now_ns=0).spans == [span("a")]


def test_a_large_trace_comes_in_pieces() -> None:
    spans = [span(f"s{n}") for n in range(2 * SPANS_A_PIECE + 1)]
    assert [len(list(Document(format).trace(spans))) for format in Format] == [3, 5, 5]


def test_the_command_line_knows_the_same_formats() -> None:
    assert list(FORMATS) == list(Format)
