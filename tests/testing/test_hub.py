"""Each span of this process goes to the capture in which it started, from whatever thread."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from minitrace.testing import capture, capturing, hub, providers
from minitrace.testing.hub import HUB

PROVIDER = TracerProvider(shutdown_on_exit=False)  # made before any capture
TRACER = PROVIDER.get_tracer("app", "1.0")


def test_a_span_is_read_as_it_was_made() -> None:
    with capture() as traces, TRACER.start_as_current_span("POST /checkout", kind=trace.SpanKind.SERVER) as span:
        span.set_attribute("http.response.status_code", 201)
    found = traces.one('{ name = "POST /checkout" }')
    assert found["http.response.status_code"] == 201
    assert (found.kind, found.status, found.scope, found.parent_id) == ("server", "unset", "app", None)
    assert (found.origin, found.pid) == ("in-process", os.getpid())


@pytest.mark.parametrize("number", range(200))
def test_a_test_sees_only_its_own_spans(number: int) -> None:
    with capture() as traces, TRACER.start_as_current_span(f"test {number}"):
        TRACER.start_span("same name").end()
    assert traces.find().names == [f"test {number}", "same name"]


LEAKED: list[trace.Span] = []


def test_a_span_that_is_left_open() -> None:
    with capture() as traces:
        LEAKED.append(TRACER.start_span("leaked"))
    assert traces.find().names == []
    assert traces.capture.snapshot().open == ("leaked",)


def test_is_none_of_the_test_in_which_it_ends() -> None:
    span = LEAKED.pop() if LEAKED else TRACER.start_span("before")
    with capture() as traces:
        span.end()
        TRACER.start_span("own").end()
    assert traces.find().names == ["own"]


def test_it_belongs_to_the_capture_in_which_it_started() -> None:
    with capture() as first:
        leaked = TRACER.start_span("leaked")
    with capture() as second:
        leaked.end()
    assert (first.find().names, second.find().names) == (["leaked"], [])


def test_ids_that_come_twice_because_tests_seed_random_are_told_apart() -> None:
    with capture() as outer:
        random.seed(1)
        with capture() as first:
            leaked = TRACER.start_span("leaked")
        random.seed(1)
        with capture() as second:
            own = TRACER.start_span("own")
            assert own.get_span_context() == leaked.get_span_context()
            leaked.end()
            own.end()
    assert (first.find().names, second.find().names) == (["leaked"], ["own"])
    assert outer.count() >= 1


def test_spans_of_threads_and_tasks_are_captured() -> None:
    def work(name: str) -> None:
        with TRACER.start_as_current_span(name):
            pass

    async def tasks() -> None:
        await asyncio.gather(asyncio.to_thread(work, "to_thread"), task())

    async def task() -> None:
        work("task")

    with capture() as traces:
        thread = threading.Thread(target=work, args=("thread",))
        thread.start()
        thread.join()
        asyncio.run(tasks())
    assert sorted(traces.find().names) == ["task", "thread", "to_thread"]


def test_while_nothing_is_captured_nothing_is_kept() -> None:
    with capture():
        pass
    before = len(HUB._owners)
    spans = [TRACER.start_span("idle") for _ in range(10)]
    assert len(HUB._owners) == before
    for span in spans:
        span.end()


def test_a_span_that_is_dropped_unended_gives_its_place_to_no_other() -> None:
    """Spans are known by the identity of an object, and that of one which is gone may be another's."""
    with capture() as traces:
        for _ in range(100):
            TRACER.start_span("dropped")
    for _ in range(100):
        TRACER.start_span("nobody's").end()
    assert traces.find() == []


def test_a_provider_gets_the_hub_once() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    with capture():
        providers.attach(provider)
        providers.attach(provider)
    assert len(provider._active_span_processor._span_processors) == 1


def test_the_token_of_an_earlier_test_is_no_attribute_of_the_application() -> None:
    with capture():
        provider = TracerProvider(shutdown_on_exit=False)  # its resource is made of what is set now
    assert "minitrace.test.id" in provider.resource.attributes
    with capture() as traces:
        provider.get_tracer("app").start_span("a").end()
    assert "minitrace.test.id" not in traces.one().resource
    assert "service.name" in traces.one().resource


def test_a_provider_that_was_shut_down_still_makes_spans() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    with capture() as traces:
        provider.shutdown()
        provider.get_tracer("app").start_span("late").end()
        assert provider.force_flush()
    assert traces.find().names == ["late"]


def test_spans_are_read_when_somebody_looks() -> None:
    with capture() as traces:
        TRACER.start_span("a").end()
        assert len(traces.capture._unread) == 1
        traces.find()
        assert traces.capture._unread == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_capture_in_a_forked_child_is_the_childs_own() -> None:
    """As where every test runs in a process of its own."""
    with capture() as parents:
        pid = os.fork()
        if pid == 0:
            with capture(env="off") as childs:
                TRACER.start_span("in the child").end()
            os._exit(0 if childs.find().names == ["in the child"] and not parents.find() else 1)
        assert os.waitpid(pid, 0)[1] == 0
    assert parents.find() == []


class Leaked:
    """A span that the garbage collector ends."""

    def __init__(self) -> None:
        self._itself = self
        self._span = TRACER.start_span("leaked")

    def __del__(self) -> None:
        self._span.end()


@pytest.fixture
def _own_collection() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.enable()


@pytest.mark.usefixtures("_own_collection")
def test_spans_that_the_garbage_collector_ends_may_come_while_somebody_looks() -> None:
    left_out = PROVIDER.get_tracer("left out")
    with capture(exclude_scopes=["left out"]) as traces, left_out.start_as_current_span("above"):
        for threshold in range(2, 60):
            gc.disable()
            Leaked()
            TRACER.start_span("below").end()
            gc.set_threshold(threshold)
            gc.enable()
            traces.capture.snapshot()
            gc.disable()
            assert len(traces.capture.snapshot().seen) == traces.capture.span_count


class Unreadable:
    """Not a span, though a provider hands it over."""


def test_what_goes_wrong_in_the_hub_is_logged_and_not_raised(caplog: pytest.LogCaptureFixture) -> None:
    with capture() as traces:
        HUB.on_start(Unreadable())
        HUB.on_end(Unreadable())
        TRACER.start_span("a").end()
    assert [record.message for record in caplog.records] == ["a span is not captured"] * 2
    assert traces.find().names == ["a"]


def test_spans_that_never_end_are_forgotten_with_their_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HUB, "_most", len(HUB._owners) + 10)
    monkeypatch.setattr(capturing, "MAX_ENDED", 0)
    monkeypatch.setattr(hub, "MOST_OPEN", 20)
    before = len(HUB._owners)
    with capture() as around:
        long = TRACER.start_span("long")
        for _ in range(100):
            with capture():
                TRACER.start_span("never ends")
        assert len(HUB._owners) <= max(20, 2 * before) + 10
        long.end()
    assert around.find().names == ["long"]


def test_what_is_cleared_keeps_nothing_of_a_provider() -> None:
    with capture() as traces:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.get_tracer("app").start_span("a").end()
        assert len(traces.find()) == 1
        resource = weakref.ref(provider.resource)
        del provider
        traces.clear()
        gc.collect()
        assert resource() is None


class RecordsOnly(Sampler):
    """Spans are made, and not exported."""

    def should_sample(self, *arguments: Any, **named: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_ONLY)

    def get_description(self) -> str:
        return "RecordsOnly"


def test_spans_that_no_exporter_would_get_are_left_out_and_counted() -> None:
    provider = TracerProvider(RecordsOnly(), shutdown_on_exit=False)
    with capture() as traces:
        provider.get_tracer("app").start_span("recorded").end()
    assert traces.find() == []
    assert traces.capture.circumstances().unsampled == 1


def test_a_processor_of_the_program_may_make_spans_of_its_own() -> None:
    class Audit(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            if span.name == "order":
                with tracer.start_as_current_span("audit"):
                    pass

    provider = TracerProvider(shutdown_on_exit=False)
    tracer = provider.get_tracer("app")
    provider.add_span_processor(Audit())
    with capture() as traces, tracer.start_as_current_span("order"):
        pass
    assert sorted(traces.find().names) == ["audit", "order"]
