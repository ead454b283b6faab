"""The frames of a flame graph."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.analysis.tree import Tree, tree
from minitrace.model import Span, Trace
from minitrace.web import flame as module
from minitrace.web.flame import MAX_FRAMES, MAX_LEVELS, Flame, Rest, flame
from tests.samples import TRACE, span, span_id


def _tree(*spans: Span) -> Tree:
    return tree(Trace(TRACE, spans))


def _drawn(found: Flame) -> list[tuple[str, int, float, float]]:
    frames = [(frame.path.name, frame.level, round(frame.left, 2), round(frame.width, 2)) for frame in found.frames]
    return sorted(frames, key=lambda frame: frame[1:3])


CHECKOUT = (
    span("checkout", duration_ms=100),
    span("cart", "checkout", start_ms=0, duration_ms=10),
    span("charge", "checkout", start_ms=10, duration_ms=40),
    span("cart", "checkout", id="cart again", start_ms=50, duration_ms=20),
    span("bank", "charge", start_ms=20, duration_ms=25),
)


def test_a_frame_is_as_wide_as_the_time_in_it_and_below() -> None:
    assert _drawn(flame(_tree(*CHECKOUT))) == [
        ("checkout", 0, 0, 100),
        ("charge", 1, 0, 40),
        ("cart", 1, 40, 30),
        ("bank", 2, 0, 25),
    ]


def test_a_span_id_leads_to_the_call_path_it_belongs_to() -> None:
    found = flame(_tree(*CHECKOUT), span_id("cart"))
    assert [(crumb.path.name, crumb.span.span_id) for crumb in found.trail] == [
        ("checkout", span_id("checkout")),
        ("cart", span_id("cart again")),  # the slowest of its spans, not the one asked for
    ]
    assert _drawn(found) == [("cart", 0, 0, 100)]
    assert found.total_ns == 100_000_000


def test_an_id_that_is_not_here_leads_to_the_whole_trace() -> None:
    assert flame(_tree(*CHECKOUT), span_id("nobody")).trail == []


def test_a_trace_without_any_time_has_no_frames() -> None:
    found = flame(_tree(span("a", duration_ms=0), span("b", "a", duration_ms=0)))
    assert (found.frames, found.rests, found.levels) == ([], [], 0)


def test_what_is_too_narrow_is_drawn_as_one() -> None:
    narrow = [span(f"child {n}", "root", start_ms=n, duration_ms=1) for n in range(1000)]
    found = flame(_tree(span("root", duration_ms=1000), *narrow))
    assert [frame.path.name for frame in found.frames] == ["root"]
    assert found.rests == [Rest(1000, 1_000_000_000, 1, 0.0, 100.0)]


def test_what_is_too_narrow_even_together_is_not_drawn() -> None:
    found = flame(_tree(span("root", duration_ms=1000), span("child", "root", duration_ms=1)))
    assert found.rests == []


def test_what_is_deeper_than_the_last_level_is_one_frame_away() -> None:
    chain = [span(f"{n}", f"{n - 1}" if n else "", duration_ms=100) for n in range(MAX_LEVELS + 1)]
    found = flame(_tree(*chain))
    assert found.levels == MAX_LEVELS
    assert [frame.path.name for frame in found.frames if frame.is_deeper] == [f"{MAX_LEVELS - 1}"]
    assert not any(frame.is_deeper for frame in flame(_tree(*chain[:-1])).frames)
    deeper = flame(_tree(*chain), span_id(f"{MAX_LEVELS - 1}"))
    assert [frame.path.name for frame in deeper.frames] == [f"{MAX_LEVELS - 1}", f"{MAX_LEVELS}"]


def test_of_too_many_frames_the_widest_are_drawn() -> None:
    spans = [span("root", duration_ms=1)]
    for n in range(400):
        spans.append(span(f"parent {n}", "root", start_ms=3 * n, duration_ms=2.5 - n / 1000))
        spans.append(span(f"child {n}", f"parent {n}", start_ms=3 * n, duration_ms=2.4 - n / 1000))
    found = flame(_tree(*spans))
    assert (len(found.frames), found.is_cut) == (MAX_FRAMES, True)
    drawn = {frame.path.name for frame in found.frames}
    assert {f"parent {n}" for n in range(200)} <= drawn
    assert "child 399" not in drawn
    assert not flame(_tree(*spans[:101])).is_cut


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3), st.integers(0, 50), st.integers(0, 50)), max_size=30),
    st.sampled_from([0.15, 20.0]),
)
def test_every_frame_lies_below_its_parent_and_beside_the_others(
    shape: list[tuple[int, int, int, int]], least: float
) -> None:
    spans = [
        span(f"op {name}", str(parent % n) if n else "", id=str(n), start_ms=start, duration_ms=length)
        for n, (parent, name, start, length) in enumerate(shape)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LEAST_WIDTH", least)
        found = flame(_tree(*spans))
    pieces = [(frame.level, frame.left, frame.left + frame.width) for frame in found.frames]
    above = set(pieces)
    pieces += [(rest.level, rest.left, rest.left + rest.width) for rest in found.rests]
    for level, left, right in pieces:
        assert right <= 100.0001
        assert not level or any(
            up == level - 1 and begin - 0.0001 <= left and right <= end + 0.0001 for up, begin, end in above
        )
        others = [piece for piece in pieces if piece[0] == level and piece != (level, left, right)]
        assert all(end <= left + 0.0001 or begin >= right - 0.0001 for _, begin, end in others)
