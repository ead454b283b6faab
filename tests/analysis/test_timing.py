"""Own time, gaps, and what goes on after its parent."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given

from minitrace.analysis.timing import gaps, outliving, own_stretches, own_times
from minitrace.analysis.tree import Tree, tree
from minitrace.model import Span
from tests.analysis.growing import MANY, chain, fan, grown, moments, named, trees
from tests.samples import MS, span


def own(*spans: Span) -> dict[str, float]:
    rows = grown(*spans)
    return {rows.span(row).name: own_ns / MS for row, own_ns in enumerate(own_times(rows))}


def test_own_time_is_what_children_leave_and_overlap_counts_once() -> None:
    pay = span("pay", duration_ms=100)
    get = span("get", "pay", start_ms=10, duration_ms=30)
    load = span("load", "pay", start_ms=20, duration_ms=40)
    assert own(pay, get, load) == {"pay": 50, "get": 30, "load": 40}


def test_a_child_covers_only_what_lies_within_its_parent() -> None:
    pay = span("pay", start_ms=10, duration_ms=10)
    early = span("early", "pay", start_ms=5, duration_ms=8)
    late = span("late", "pay", start_ms=18, duration_ms=50)
    assert own(pay, early, late) == {"pay": 5, "early": 8, "late": 50}


def test_a_grandchild_takes_nothing_from_its_grandparent() -> None:
    pay = span("pay", duration_ms=100)
    get = span("get", "pay", start_ms=10, duration_ms=10)
    late = span("late", "get", start_ms=50, duration_ms=20)
    assert own(pay, get, late)["pay"] == 90


def test_a_child_without_times_covers_nothing() -> None:
    assert own(span("pay", duration_ms=10), span("lost", "pay", start_ns=0)) == {"pay": 10, "lost": 0}


@given(trees())
def test_own_time_is_the_nanoseconds_that_no_child_has(rows: Tree) -> None:
    for row, own_ns in enumerate(own_times(rows)):
        covered = set[int]().union(*(moments(rows, child) for child in rows.children(row)))
        assert own_ns == len(moments(rows, row) - covered)


@given(trees())
def test_own_stretches_are_those_nanoseconds_in_as_few_pieces_as_can_be(rows: Tree) -> None:
    for row in range(len(rows)):
        covered = set[int]().union(*(moments(rows, child) for child in rows.children(row)))
        stretches = own_stretches(rows, row)
        assert {moment for stretch in stretches for moment in range(*stretch)} == moments(rows, row) - covered
        assert all(end < begin for (_, end), (begin, _) in pairwise(stretches))
        assert all(begin < end for begin, end in stretches)


def test_a_gap_is_a_long_time_of_which_a_parent_says_nothing() -> None:
    rows = grown(
        span("pay", duration_ms=800),
        span("get", "pay", start_ms=39, duration_ms=61),
        span("charge", "pay", start_ms=140, duration_ms=60),  # 40 ms are a twentieth of the trace, not more
    )
    assert gaps(rows) == {0: [(200 * MS, 800 * MS)]}


def test_under_20_ms_nothing_is_a_gap_however_short_the_trace() -> None:
    parts = (span("get", "pay", start_ms=21, duration_ms=1), span("load", "pay", start_ms=23, duration_ms=17))
    assert gaps(grown(span("pay", duration_ms=60), *parts)) == {0: [(0, 21 * MS)]}


def test_a_span_without_children_is_no_gap() -> None:
    assert gaps(grown(span("pay", duration_ms=400))) == {}


def test_a_child_outlives_the_parent_that_ends_before_it() -> None:
    rows = grown(
        span("pay", duration_ms=10),
        span("with", "pay", start_ms=1, duration_ms=9),
        span("after", "pay", start_ms=2, duration_ms=9),
        span("within", "after", start_ms=3, duration_ms=8),
    )
    assert named(rows, *outliving(rows)) == ["after"]


def test_nothing_outlives_a_parent_without_times_nor_does_it() -> None:
    rows = grown(
        span("pay", duration_ms=10), span("lost", "pay", start_ns=0), span("get", "lost", start_ms=4, duration_ms=2)
    )
    assert outliving(rows) == set()


def test_a_moved_child_is_judged_where_it_was_moved_to() -> None:
    trace = grown(span("pay", duration_ms=10), span("get", "pay", start_ms=20, duration_ms=4)).trace
    rows = tree(trace, {1: -17 * MS})
    assert (own_times(rows), outliving(rows)) == ([6 * MS, 4 * MS], set())


def test_children_that_were_moved_past_each_other_both_cover_their_parent() -> None:
    parts = (span("get", "pay", start_ms=10), span("load", "pay", start_ms=20))
    rows = tree(grown(span("pay", duration_ms=100), *parts).trace, {1: 40 * MS})
    assert own_times(rows)[0] == 80 * MS
    assert own_stretches(rows, 0) == [(0, 20 * MS), (30 * MS, 50 * MS), (60 * MS, 100 * MS)]


def test_each_of_a_chain_of_20_000_has_its_own_time() -> None:
    rows = tree(chain())
    assert own_times(rows) == [2] * (MANY - 1) + [MANY - (MANY - 2)]
    assert own_stretches(rows, 5) == [(5, 6), (2 * MANY - 6, 2 * MANY - 5)]


def test_the_parent_of_20_000_has_what_is_between_them() -> None:
    rows = tree(fan())
    assert own_times(rows)[0] == MANY + 2
    assert len(own_stretches(rows, 0)) == MANY + 1
