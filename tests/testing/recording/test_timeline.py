"""What was going on when, against a plain look through all spans."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minitrace.model import Resource, Scope, Span
from minitrace.testing.recording.timeline import Clock, Frame, Timeline

STEPS = st.lists(st.sampled_from(["begin", "root", "end", "wait"]), max_size=40)


class Counter:
    """Nanoseconds that pass when they are told to, and with each look."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        self.now_ns += 2  # what starts has a time of its own: those in between are asked for
        return self.now_ns


def lived(steps: list[str]) -> tuple[Timeline, list[Frame], Counter]:
    """A timeline on which this happened, and all frames that there were."""
    clock = Counter()
    timeline = Timeline(Resource(), Scope(), clock)
    frames: list[Frame] = []
    for step in steps:
        if step == "begin" or step == "root":
            trace_id = len(frames).to_bytes(16, "big") if step == "root" else b""
            frames.append(timeline.begin(str(len(frames)), {}, trace_id=trace_id))
        elif step == "end" and timeline.innermost:
            timeline.end(timeline.innermost)
        else:
            clock.now_ns += 10
    return timeline, frames, clock


@given(STEPS, st.integers(0, 400))
def test_what_was_going_on_is_the_span_that_began_last_of_those_that_had_not_ended(
    steps: list[str], time_ns: int
) -> None:
    timeline, frames, _ = lived(steps)
    time_ns |= 1  # between two events
    going = [f for f in frames if f.span.start_ns <= time_ns and not 0 < f.span.end_ns < time_ns]
    assert timeline.at(time_ns) is (going[-1] if going else None)


@given(STEPS)
def test_each_span_is_within_its_parent_and_given_once(steps: list[str]) -> None:
    timeline, frames, _ = lived(steps)
    taken = timeline.take()
    while timeline.innermost:
        timeline.end(timeline.innermost)
    taken += timeline.take()
    by_id = {span.span_id: span for span in taken}
    assert len(taken) == len(by_id) == len(frames)
    assert all(_is_within(span, by_id[span.parent_id]) for span in taken if span.parent_id)


def _is_within(span: Span, parent: Span) -> bool:
    return span.trace_id == parent.trace_id and parent.start_ns < span.start_ns < span.end_ns < parent.end_ns


def test_what_ends_around_others_ends_them_at_the_same_time() -> None:
    timeline = Timeline(Resource(), Scope(), Counter())
    outer = timeline.begin("outer", {})
    inner = timeline.begin("inner", {})
    timeline.end(outer, 100)
    timeline.end(inner)
    assert (inner.span.end_ns, outer.span.end_ns) == (100, 100)
    assert [span.name for span in timeline.take()] == ["inner", "outer"]


def test_what_started_within_a_forgotten_span_belongs_to_the_one_around_it() -> None:
    timeline = Timeline(Resource(), Scope(), Counter())
    outer = timeline.begin("outer", {})
    inner = timeline.begin("inner", {})
    timeline.end(inner)
    timeline.forget(inner)
    assert timeline.at(inner.span.start_ns + 1) is outer
    assert timeline.take() == []


def test_the_clock_follows_the_wall_unless_that_jumps() -> None:
    wall_ns, steady_ns = 10**18, 5
    clock = Clock(lambda: wall_ns, lambda: steady_ns)
    steady_ns, wall_ns = 1_005, wall_ns + 1_400  # it drifts
    assert clock() == 10**18 + 1_400
    steady_ns, wall_ns = 2_005, 86_400 * 10**9  # a test travels
    assert clock() == 10**18 + 2_400
    steady_ns, wall_ns = 3_005, 10**18 + 3_500  # and comes home
    assert clock() == 10**18 + 3_500


def test_a_time_before_the_beginning_or_after_now_is_not_covered() -> None:
    timeline, _, _ = lived(["begin", "end"])
    assert [timeline.covers(time_ns) for time_ns in (0, 2, 4, 10**18)] == [False, True, True, False]
