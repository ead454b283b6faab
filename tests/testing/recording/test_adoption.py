"""Spans of an application, put below those of a session."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from minitrace.model import Event, Link, Resource, Scope, Span, Trace
from minitrace.testing.readable import IS_REMOTE
from minitrace.testing.recording.adoption import Adoption
from minitrace.testing.recording.timeline import Frame, Timeline
from tests.samples import T0, draw, span, span_id, trace_id

MS = 1_000_000


class TwoTests:
    """Two tests one after the other, of 10 ms each, the second 20 ms after the first; the session around them."""

    def __init__(self) -> None:
        self.now_ns = T0
        timeline = Timeline(Resource(), Scope(), lambda: self.now_ns)
        self.frames: list[Frame] = []
        for number in range(2):
            self.now_ns = T0 + number * 20 * MS
            test = timeline.begin(f"test {number}", {}, trace_id=trace_id(f"test {number}"))
            self.now_ns += 1 * MS
            call = timeline.begin("call", {})
            self.now_ns += 8 * MS
            timeline.end(call)
            self.now_ns += 1 * MS
            timeline.end(test)
            self.frames += [test, call]
        session = Frame(Span(trace_id("session"), span_id("session"), "session", T0, T0 + 100 * MS), None)
        self.frames.append(session)
        self.adoption = Adoption(timeline, session, "abc123")

    def drawn(self, *batches: Iterable[Span]) -> dict[str, str]:
        """The traces by the name of their root, when these came."""
        adopted = [one for batch in batches for one in self.adoption.adopt(list(batch))]
        spans = [frame.span for frame in self.frames] + adopted
        traces = {id_: [one for one in spans if one.trace_id == id_] for id_ in {one.trace_id for one in spans}}
        drawings = [draw(Trace(id_, ours)) for id_, ours in traces.items()]
        return {drawing.partition("\n")[0]: drawing for drawing in drawings}


@pytest.fixture
def tests() -> TwoTests:
    return TwoTests()


def test_a_root_is_the_child_of_what_went_on_when_it_started(tests: TwoTests) -> None:
    drawn = tests.drawn(
        [
            span("in setup", trace="a", start_ms=0.5),
            span("in call", trace="b", start_ms=2),
            span("between", trace="c", start_ms=15),
            span("in the second", trace="d", start_ms=22),
        ]
    )
    assert drawn["test 0"] == "test 0\n  in setup\n  call\n    in call"
    assert drawn["test 1"] == "test 1\n  call\n    in the second"
    assert drawn["session"] == "session\n  between"


def test_a_trace_stays_together_whatever_comes_first(tests: TwoTests) -> None:
    child, root = span("child", "root", trace="a", start_ms=3), span("root", trace="a", start_ms=2, duration_ms=90)
    late = span("late", "root", trace="a", start_ms=25)
    assert tests.drawn([child], [late], [root])["test 0"] == "test 0\n  call\n    root\n      child\n      late"


def test_a_span_that_comes_twice_is_taken_once(tests: TwoTests) -> None:
    one = span("one", trace="a", start_ms=2)
    assert tests.drawn([one], [one])["test 0"] == "test 0\n  call\n    one"


@pytest.mark.parametrize(
    ("flags", "drawn"),
    [(IS_REMOTE, "test 0\n  call\n    served"), (0, "test 0\n  call\nserved")],
    ids=["from elsewhere", "lost"],
)
def test_a_parent_that_never_was_is_replaced_if_it_was_somewhere_else(tests: TwoTests, flags: int, drawn: str) -> None:
    served = span("served", "made up", trace="a", start_ms=2, flags=flags)
    assert tests.drawn([served])["test 0"] == drawn


def test_a_parent_in_another_process_stays_the_parent(tests: TwoTests) -> None:
    client = span("client", trace="a", start_ms=2)
    server = span("server", "client", trace="a", start_ms=3, flags=IS_REMOTE, service="other")
    assert tests.drawn([client], [server])["test 0"] == "test 0\n  call\n    client\n      server"


def test_links_follow_the_traces_that_they_point_at(tests: TwoTests) -> None:
    (first, second) = tests.adoption.adopt(
        [
            span("first", trace="a", start_ms=2),
            span("second", trace="b", start_ms=22, links=[Link(trace_id("a"), span_id("first"))]),
        ]
    )
    assert (second.links[0].trace_id, second.links[0].span_id) == (first.trace_id, first.span_id)


def test_what_is_adopted_names_the_run_and_the_trace_that_it_had(tests: TwoTests) -> None:
    own = span("one", trace="a", start_ms=2)
    (adopted,) = tests.adoption.adopt([own])
    assert adopted.resource.attributes == {"service.name": "shop", "minitrace.run.id": "abc123"}
    assert adopted.attributes == {"minitrace.app.trace_id": trace_id("a").hex()}
    assert (own.trace_id, own.attributes) == (trace_id("a"), {})  # captures have it, too


def test_a_trace_of_another_time_is_moved_to_the_test_that_it_came_with(tests: TwoTests) -> None:
    call = tests.frames[1]
    frozen = span(
        "frozen", trace="a", start_ms=-86_400_000, duration_ms=3, events=[Event(T0 - 86_400_000 * MS, "paid")]
    )
    child = span("child", "frozen", trace="a", start_ms=-86_400_000 + 1)
    (top, below) = tests.adoption.adopt([frozen, child], call)
    assert (top.trace_id, top.parent_id) == (call.trace_id, call.span.span_id)
    assert (top.start_ns, top.duration_ns, top.events[0].time_ns) == (call.span.start_ns, 3 * MS, call.span.start_ns)
    assert below.start_ns == call.span.start_ns + MS
