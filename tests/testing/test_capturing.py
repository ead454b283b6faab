"""Each span finds the capture it belongs to, and is in it once."""

from __future__ import annotations

import gc
import itertools
import random
import sys
import threading
import types
import weakref
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace import model
from minitrace.testing import Traces, capture, capturing
from minitrace.testing.capturing import Capture, Origin, Request, activated
from tests.samples import span


@pytest.fixture
def traces() -> Iterator[Traces]:
    with capture(env="off") as traces:
        yield traces


def names(capture: Capture) -> list[str]:
    return [span.name for span in capture.snapshot().spans]


# Whose it is


def test_the_innermost_capture_is_active() -> None:
    outer, inner = Capture(), Capture()
    assert capturing.active() is None
    with activated(outer):
        with activated(inner):
            assert capturing.active() is inner
        assert capturing.active() is outer
    assert capturing.active() is None


def test_captures_may_end_in_another_order_than_they_began() -> None:
    first, second = Capture(), Capture()
    with ExitStack() as one, ExitStack() as other:
        one.enter_context(activated(first))
        other.enter_context(activated(second))
        one.close()
        assert capturing.active() is second


def test_other_threads_see_the_same_active_capture() -> None:
    own, seen = Capture(), []
    with activated(own):
        thread = threading.Thread(target=lambda: seen.append(capturing.active()))
        thread.start()
        thread.join()
    assert seen == [own]


def test_a_capture_hands_on_to_the_one_around_it(traces: Traces) -> None:
    traces.capture.arrived([span("before")], "otlp")
    with capture(env="off") as inner:
        inner.capture.arrived([span("within")], "otlp")
    assert (traces.find().names, inner.find().names) == (["before", "within"], ["within"])


def test_a_capture_that_is_over_still_takes_what_comes_late() -> None:
    with capture(env="off") as traces:
        token = traces.capture.token
    late = capturing.by_token(token)
    assert late is traces.capture
    late.arrived([span("late")], "otlp")
    assert traces.find().names == ["late"]


def test_captures_that_are_long_over_are_forgotten() -> None:
    first = Capture()
    token, trace_id = first.token, first.remote_parent()[0]
    with activated(first):
        pass
    for _ in range(capturing.MAX_ENDED):
        with activated(Capture()):
            pass
    assert capturing.by_token(token) is None
    assert capturing.by_trace(trace_id) is None
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None


def test_large_captures_are_forgotten_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturing, "MAX_ENDED_SPANS", 3)
    captures = [Capture() for _ in range(3)]
    for own in captures:
        own.arrived([span("a"), span("b")], "otlp")
        with activated(own):
            pass
    assert [capturing.by_token(own.token) is own for own in captures] == [False, False, True]


def test_a_request_of_a_test_leads_to_its_capture(traces: Traces) -> None:
    _, trace_id, span_id, flags = traces.headers["traceparent"].split("-")
    assert capturing.by_trace(bytes.fromhex(trace_id)) is traces.capture
    assert (len(span_id), flags) == (16, "01")
    assert traces.headers["baggage"] == f"minitrace.test={traces.capture.token}"


def test_all_requests_of_a_test_are_one_trace(traces: Traces) -> None:
    assert traces.headers == traces.headers


def test_ids_of_captures_do_not_come_twice_where_tests_seed_random() -> None:
    random.seed(1)
    first = Capture()
    random.seed(1)
    second = Capture()
    assert first.token != second.token
    assert first.remote_parent() != second.remote_parent()


def test_what_belongs_to_no_test_is_counted_by_those_that_run(traces: Traces) -> None:
    before = len(names(capturing.unowned()))
    capturing.unowned().arrived([span("whose", trace="nobody's")], "otlp")
    assert len(names(capturing.unowned())) == before + 1
    assert traces.find().names == []
    assert traces.capture.circumstances().elsewhere == 1


def test_a_bad_request_to_nobody_is_shown_to_the_tests_that_run(traces: Traces) -> None:
    good, bad = Request("/v1/traces", 200, "", 1), Request("/v1/trace", 404, "nothing is there", 0)
    for request in (good, bad):
        capturing.unowned().requested(request)
    traces.capture.requested(good)
    assert traces.capture.circumstances().requests == (bad, good)


# Once each


ORIGINS: list[Origin] = ["in-process", "fork", "otlp"]


@pytest.mark.parametrize("first", ORIGINS)
@pytest.mark.parametrize("second", ORIGINS)
def test_of_a_span_that_comes_twice_the_nearest_origin_is_kept(first: Origin, second: Origin) -> None:
    own = Capture()
    bring(own, span("s", attributes={"from": first}), first)
    bring(own, span("s", attributes={"from": second}), second)
    if first == second == "in-process":
        assert len(own.snapshot().seen) == 2  # the hub sees each span once: these are two, of one seed
    else:
        nearest = min(first, second, key=ORIGINS.index)
        [one] = own.snapshot().seen
        assert (one.origin, one.span.attributes["from"]) == (nearest, nearest)


def bring(own: Capture, one: model.Span, origin: Origin) -> None:
    if origin == "in-process":
        own.ended(one)
    else:
        own.arrived([one], origin)


arrivals = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.sampled_from(ORIGINS), st.sampled_from([0, 1, 2]))
)


@given(arrivals, st.integers(0, 4))
def test_captures_in_each_other_hold_what_an_oracle_says(
    brought: list[tuple[str, str, Origin, int]], most: int
) -> None:
    captures = [Capture(max_spans=most)]
    for _ in range(2):
        captures.append(Capture(max_spans=most, enclosing=captures[-1]))
    kept: list[list[tuple[str, str, Origin]]] = [[], [], []]
    dropped = [0, 0, 0]
    for name, trace, origin, to in brought:
        bring(captures[to], span(name, trace=trace), origin)
        for depth in range(to + 1):
            held = kept[depth]
            same = [one for one in held if one[:2] == (name, trace)]
            better = [one for one in same if ORIGINS.index(one[2]) > ORIGINS.index(origin)]
            if better:
                held[held.index(better[0])] = (name, trace, origin)
            elif same and origin != "in-process":
                pass
            elif len(held) < most:
                held.append((name, trace, origin))
            else:
                dropped[depth] += 1
    for depth, own in enumerate(captures):
        snapshot = own.snapshot()
        assert [(one.span.name, one.span.trace_id, one.origin) for one in snapshot.seen] == [
            (name, span(name, trace=trace).trace_id, origin) for name, trace, origin in kept[depth]
        ]
        assert snapshot.dropped == dropped[depth]


def test_threads_that_end_spans_at_once_lose_none() -> None:
    own = Capture(enclosing=(outer := Capture()))

    def work(worker: int) -> None:
        for n in range(200):
            own.ended(span(f"{worker}.{n}"))
            own.snapshot()

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names(own))) == len(set(names(outer))) == len(names(own)) == 1600
    assert own.snapshot().open == ()


# What is not there


def test_spans_beyond_the_limit_are_counted() -> None:
    own = Capture(max_spans=2)
    own.arrived([span("a"), span("b"), span("c")], "otlp")
    own.arrived([span("a")], "otlp")  # known
    assert (names(own), own.snapshot().dropped) == (["a", "b"], 1)


def test_spans_that_have_not_ended_are_named() -> None:
    own = Capture()
    own.started((b"t", b"1"), "first")
    own.started((b"t", b"2"), "second")
    assert own.snapshot().open == ("first", "second")


def test_after_clear_only_what_is_open_comes() -> None:
    own = Capture(max_spans=1)
    started = span("open")
    own.started((started.trace_id, started.span_id), "open")
    own.arrived([span("before"), span("too many")], "otlp")
    own.clear()
    assert (names(own), own.snapshot().dropped, own.snapshot().open) == ([], 0, ("open",))
    own.ended(started)
    assert (names(own), own.snapshot().open) == (["open"], ())


def test_scopes_are_left_out_and_counted() -> None:
    own = Capture(exclude_scopes=["noise"])
    own.arrived([span("a", scope=model.Scope("noise")), span("b")], "otlp")
    own.ended(span("c", scope=model.Scope("noise")))
    own.ended(span("d", scope=model.Scope("pytest-opentelemetry")))
    assert names(own) == ["b"]
    assert own.circumstances().excluded == {"noise": 2, "pytest-opentelemetry": 1}


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_children_of_spans_that_are_left_out_hang_from_what_is_above_those(order: tuple[int, ...]) -> None:
    noise = model.Scope("noise")
    spans = [
        span("GET /"),
        span("middleware", "GET /", scope=noise),
        span("session", "middleware", scope=noise),
        span("SELECT", "session"),
    ]
    own = Capture(exclude_scopes=["noise"])
    for number in order:
        own.arrived([spans[number]], "otlp")
        own.snapshot()
    parents = {one.name: one.parent_id for one in own.snapshot().spans}
    assert parents == {"GET /": b"", "SELECT": span("GET /").span_id}


def test_what_is_above_them_may_still_be_open() -> None:
    own, noise = Capture(), model.Scope("pytest-opentelemetry")
    own.started((span("GET /").trace_id, span("GET /").span_id), "GET /")
    own.ended(span("middleware", "GET /", scope=noise))
    own.ended(span("SELECT", "middleware"))
    [select] = own.snapshot().spans
    assert select.parent_id == span("GET /").span_id


def test_children_of_a_test_that_another_plugin_traces_are_roots() -> None:
    plugin = model.Scope("pytest-opentelemetry")
    own = Capture()
    own.arrived([span("call", "the test, which began before", scope=plugin), span("job", "call")], "otlp")
    [job] = own.snapshot().spans
    assert job.parent_id == b""


def test_the_session_of_pytest_otel_may_have_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest_otel", types.SimpleNamespace(session_name="nightly"))
    own = Capture()
    own.arrived([span("Running test_x", scope=model.Scope("nightly")), span("job")], "otlp")
    assert names(own) == ["job"]


# Looking


def test_a_snapshot_stays_the_same_until_something_happens() -> None:
    own = Capture()
    own.arrived([span("a")], "otlp")
    first = own.snapshot()
    assert own.snapshot() is first
    own.arrived([span("b")], "otlp")
    assert (len(first.seen), len(own.snapshot().seen)) == (1, 2)
    assert own.snapshot().version > first.version


def test_traces_are_in_order_of_their_first_start() -> None:
    own = Capture()
    own.arrived([span("b", trace="late", start_ms=2), span("a", trace="early"), span("c", trace="late")], "otlp")
    assert [[one.name for one in trace.spans] for trace in own.snapshot().traces()] == [["b", "c"], ["a"]]


def test_an_arrival_wakes_those_who_wait_on_the_condition() -> None:
    own = Capture()
    with own.condition:
        thread = threading.Thread(target=lambda: own.arrived([span("a")], "otlp"))
        thread.start()  # it needs the lock, which is let go only by waiting
        assert own.condition.wait(timeout=60)
    thread.join()


def test_listeners_hear_of_arrivals_outside_of_the_lock() -> None:
    own, heard = Capture(), []
    own.listeners.add(lambda: heard.append(len(in_another_thread(own))))
    own.arrived([span("a"), span("b")], "otlp")
    own.ended(span("c"))
    assert heard == [2, 3]


def in_another_thread(own: Capture) -> list[str]:
    """What another thread sees: it would wait for ever if this one held the lock."""
    found: list[list[str]] = []
    thread = threading.Thread(target=lambda: found.append(names(own)))
    thread.start()
    thread.join(timeout=20)
    return found[0]
