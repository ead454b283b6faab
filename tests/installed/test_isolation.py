"""Each test sees its own spans, whatever others do: two hundred of them, threads, a span that outlives its test."""

from __future__ import annotations

import threading

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, Tracer

from minitrace.testing import Traces

shared = trace.get_tracer("shared")
own = TracerProvider().get_tracer("own")
leaked: list[Span] = []


@pytest.mark.parametrize("tracer", [shared, own], ids=["shared", "own"])
@pytest.mark.parametrize("number", range(100))
def test_a_test_sees_its_own_spans_alone(traces: Traces, tracer: Tracer, number: int) -> None:
    with tracer.start_as_current_span(f"work {number}"):
        thread = threading.Thread(target=lambda: tracer.start_span(f"thread {number}").end())
        thread.start()
        thread.join()
    assert sorted(traces.find().names) == [f"thread {number}", f"work {number}"]


def test_a_span_that_is_left_open_is_of_the_test_it_started_in(traces: Traces) -> None:
    leaked.append(shared.start_span("left open"))
    trace.set_span_in_context(leaked[0])
    assert traces.find().names == []


def test_the_test_after_does_not_see_it_end(traces: Traces) -> None:
    for span in leaked:
        span.end()
    with shared.start_as_current_span("after"):
        pass
    assert traces.find().names == ["after"]
    assert traces.one().parent_id is None
