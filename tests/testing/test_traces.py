"""What a test asks of what it captured. What the answers are, the modules' own tests say."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider

from minitrace import model
from minitrace.errors import DecodeError
from minitrace.testing import Inconclusive, TraceQLError, Traces, TracesFailure, TracesTimeout, capture
from tests.samples import span

PROVIDER = TracerProvider(shutdown_on_exit=False)
TRACER = PROVIDER.get_tracer("app")


@pytest.fixture
def traces() -> Iterator[Traces]:
    """A checkout that charges a card, in this process."""
    with capture(name="test_checkout", timeout_s=0.2) as traces:
        with TRACER.start_as_current_span("checkout"), TRACER.start_as_current_span("charge") as charge:
            charge.set_attribute("card", "visa")
        yield traces


def test_spans_are_found_by_traceql(traces: Traces) -> None:
    assert traces.find('{ name = "checkout" } >> { span.card = "visa" }').names == ["charge"]
    assert traces.find().names == ["checkout", "charge"]
    assert traces.one('{ name = "charge" }')["card"] == "visa"
    assert traces.count("{ span.card != nil }") == 1
    assert traces.roots().names == ["checkout"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda traces, query: traces.find(query),
        lambda traces, query: traces.one(query),
        lambda traces, query: traces.count(query),
        lambda traces, query: traces.find().find(query),
        lambda traces, query: traces.wait_for(query),
        lambda traces, query: traces.assert_none(query),
        lambda traces, query: traces.assert_no_errors(ignore=query),
        lambda traces, query: traces.assert_budget(query, count=1),
        lambda traces, query: traces.assert_no_n_plus_one(query=query),
        lambda traces, query: traces.tree(query),
    ],
)
@pytest.mark.parametrize("has_spans", [True, False])
def test_a_query_that_is_none_says_where_and_is_never_no_match(ask, has_spans: bool, traces: Traces) -> None:  # type: ignore[no-untyped-def]
    if not has_spans:
        traces.clear()
    with pytest.raises(TraceQLError, match=r"(?s)\{ nme = \"charge\" \}.*\^"):
        ask(traces, '{ nme = "charge" }')


def test_one_that_is_not_there_is_a_failure_of_the_test(traces: Traces) -> None:
    with pytest.raises(TracesFailure, match="refund"):
        traces.one('{ name = "refund" }')
    assert issubclass(TracesTimeout, TracesFailure)
    assert issubclass(Inconclusive, TracesFailure)
    assert issubclass(TracesFailure, AssertionError)


def test_what_was_there_before_the_wait_is_waited_for(traces: Traces) -> None:
    assert traces.wait_for('{ name = "charge" }').names == ["charge"]
    assert traces.wait_for("{ }", count=2, timeout=0).names == ["checkout", "charge"]


def test_a_wait_ends_when_the_span_comes(traces: Traces) -> None:
    thread = threading.Thread(target=lambda: TRACER.start_span("late").end())
    thread.start()
    assert traces.wait_for('{ name = "late" }', timeout=20).names == ["late"]
    thread.join()


def test_a_wait_that_is_too_long_says_what_is_there(traces: Traces) -> None:
    with pytest.raises(TracesTimeout, match=r"(?s)refund.*checkout"):
        traces.wait_for('{ name = "refund" }', timeout=0.01)


async def test_a_task_waits_without_stopping_the_loop(traces: Traces) -> None:
    assert (await traces.wait_for_async('{ name = "charge" }')).names == ["charge"]
    assert (await traces.wait_complete_async()).names == ["checkout", "charge"]
    with pytest.raises(TracesTimeout, match="refund"):
        await traces.wait_for_async('{ name = "refund" }', timeout=0.01)


def test_traces_are_complete_when_all_spans_have_ended(traces: Traces) -> None:
    assert traces.wait_complete().names == ["checkout", "charge"]
    left_open = TRACER.start_span("left open")
    with pytest.raises(TracesTimeout) as raised:
        traces.wait_complete(timeout=0.01)
    lines = str(raised.value).splitlines()
    assert lines[:2] == ["the traces were not complete within 0.01 s", "  left open has not ended"]
    assert "checkout" in lines[3]  # they are drawn
    left_open.end()


def test_an_absence_is_proven_only_when_all_spans_are_known(traces: Traces) -> None:
    traces.assert_none('{ name = "refund" }')
    traces.assert_no_errors()
    left_open = TRACER.start_span("left open")
    with pytest.raises(Inconclusive, match=r"(?s)INCONCLUSIVE.*left open"):
        traces.assert_no_errors()
    with pytest.raises(Inconclusive, match=r"(?s)INCONCLUSIVE.*left open"):
        traces.assert_none('{ name = "refund" }')
    left_open.end()
    traces.assert_none('{ name = "refund" }')


def test_an_absence_is_not_proven_when_spans_were_dropped() -> None:
    with capture(max_spans=1) as traces:
        TRACER.start_span("kept").end()
        TRACER.start_span("lost").end()
    with pytest.raises(Inconclusive, match=r"(?s)INCONCLUSIVE.*1 span"):
        traces.assert_none('{ name = "lost" }')


def test_an_absence_waits_for_spans_of_other_processes(traces: Traces) -> None:
    traces.capture.arrived([span("SELECT", "still on its way")], "otlp")
    with pytest.raises(Inconclusive, match=r"(?s)INCONCLUSIVE.*parent of SELECT has not arrived"):
        traces.assert_no_errors()
    traces.capture.arrived([span("still on its way", status=model.Status(2))], "otlp")
    with pytest.raises(TracesFailure, match="still on its way"):
        traces.assert_no_errors()


def test_a_shape_is_no_proof_of_absence_unless_it_is_strict(traces: Traces) -> None:
    traces.capture.arrived([span("SELECT", "still on its way", trace="other")], "otlp")
    traces.assert_tree("checkout\n  charge", root="checkout")
    with pytest.raises(Inconclusive, match="parent of SELECT has not arrived"):
        traces.assert_tree("checkout\n  charge", root="checkout", strict=True)


def test_budgets_are_durations(traces: Traces) -> None:
    traces.assert_budget('{ name = "charge" }', max="1m", count=1)
    traces.assert_budget('{ name = "charge" }', max=timedelta(minutes=1))
    with pytest.raises(TracesFailure, match="charge"):
        traces.assert_budget('{ name = "charge" }', max="1ns")
    with pytest.raises(DecodeError, match="is not a duration"):
        traces.assert_budget('{ name = "charge" }', max="soon")


def test_a_slow_machine_has_larger_budgets() -> None:
    with capture(budget_scale=3) as traces:
        traces.capture.ended(span("slow", duration_ms=25))
    traces.assert_budget("{ }", max="10ms")
    with pytest.raises(TracesFailure, match="slow"):
        traces.assert_budget("{ }", max="8ms")


def test_the_shape_and_its_text(traces: Traces) -> None:
    traces.assert_tree("checkout\n  charge")
    assert traces.tree(attrs=["card"]) == "checkout\n  charge card=visa\n"
    with pytest.raises(TracesFailure, match="refund"):
        traces.assert_tree("checkout\n  refund")


def test_they_are_drawn(traces: Traces) -> None:
    assert "charge" in traces.render(width=80)


def test_they_are_kept_in_a_file(traces: Traces, tmp_path: Path) -> None:
    path = traces.save(tmp_path / "kept.db")
    assert path.read_bytes().startswith(b"SQLite format 3")


def test_what_was_before_is_forgotten(traces: Traces) -> None:
    traces.clear()
    TRACER.start_span("after").end()
    assert traces.find().names == ["after"]


def test_a_child_process_sends_its_spans_here(traces: Traces) -> None:
    child = """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
provider.get_tracer("worker").start_span("job").end()
"""
    subprocess.run([sys.executable, "-c", child], check=True, timeout=60)
    job = traces.wait_for('{ name = "job" }', timeout=20).one()
    assert job.origin == "otlp"
    traces.assert_none('{ name = "other" }')


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_sends_its_spans_home(traces: Traces) -> None:
    pid = os.fork()
    if pid == 0:
        TRACER.start_span("in the child").end()
        os._exit(0)
    os.waitpid(pid, 0)
    child = traces.wait_for('{ name = "in the child" }', timeout=20).one()
    assert (child.origin, child.pid) == ("fork", pid)
    assert traces.one('{ name = "charge" }').pid == os.getpid()


def test_traces_show_whose_they_are(traces: Traces) -> None:
    assert repr(traces) == "<Traces of test_checkout: 2 spans>"


APP = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("app")
with tracer.start_as_current_span("checkout", attributes={"items": ["a", "b"]}):
    for n in range(3):
        with tracer.start_as_current_span("SELECT", attributes={"row": n}) as span:
            if n == 2:
                span.set_status(trace.StatusCode.ERROR, "gone")
provider.shutdown()
"""


def test_a_program_gives_the_same_tree_from_this_process_and_from_another() -> None:
    with capture() as here:
        exec(APP, {})
    with capture() as there:
        subprocess.run([sys.executable, "-c", APP], check=True, timeout=60)
    there.wait_complete(timeout=20)
    attrs = ["items", "row"]
    assert here.tree(attrs=attrs, collapse=False) == there.tree(attrs=attrs, collapse=False)
    assert ({span.origin for span in here.find()}, {span.origin for span in there.find()}) == ({"in-process"}, {"otlp"})


def test_a_program_that_also_exports_has_each_span_once() -> None:
    with capture() as traces:
        exec(APP, {})  # its exporter sends to the capture, too, and is done when it shuts down
        assert traces.capture.circumstances().requests[0].spans == 4
    assert traces.count() == 4


def test_what_continues_a_tests_headers_is_a_root() -> None:
    with capture() as outer, capture() as traces:
        _, trace, parent, _ = traces.headers["traceparent"].split("-")
        traces.capture.arrived([span("GET /", trace=bytes.fromhex(trace), parent_id=bytes.fromhex(parent))], "otlp")
    assert traces.roots().names == outer.roots().names == ["GET /"]
    assert "[parent" not in traces.render()
