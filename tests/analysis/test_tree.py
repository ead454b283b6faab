"""Rows: where each stands, and when it ran."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minitrace.analysis.tree import Tree, pruned, tree
from minitrace.model import MAX_TIME_NS, Trace
from tests.analysis.growing import MANY, chain, fan, grown, named, trees
from tests.samples import MS, T0, TRACE, span


def test_rows_stand_depth_first_with_the_size_of_their_subtree() -> None:
    rows = grown(span("charge", "pay", start_ms=2), span("pay"), span("get", "pay", start_ms=1), span("bank", "charge"))
    assert [(rows.span(row).name, rows.parents[row], rows.sizes[row]) for row in range(len(rows))] == [
        ("pay", -1, 4),
        ("get", 0, 1),
        ("charge", 0, 2),
        ("bank", 2, 1),
    ]


def test_times_count_from_the_earliest_begin_which_need_not_be_the_roots() -> None:
    rows = grown(span("pay", start_ms=3, duration_ms=4), span("early", "pay", start_ms=1, duration_ms=1))
    assert rows.start_ns == T0 + MS
    assert (rows.begins, rows.ends, rows.duration_ns) == ([2 * MS, 0], [6 * MS, MS], 6 * MS)


def test_spans_without_usable_times_stand_at_the_beginning_and_are_named() -> None:
    rows = grown(
        span("pay", start_ms=1, duration_ms=2),
        span("unset", "pay", start_ns=0),
        span("far", "pay", start_ns=MAX_TIME_NS),
    )
    assert named(rows, *sorted(rows.timeless)) == ["unset", "far"]
    assert (rows.begins, rows.ends, rows.start_ns) == ([0, 0, 0], [2 * MS, 0, 0], T0 + MS)


def test_a_trace_of_spans_without_times_has_no_duration() -> None:
    assert grown(span("unset", start_ns=0)).duration_ns == 0


def test_an_empty_trace_has_no_rows() -> None:
    rows = grown()
    assert (len(rows), list(rows.tops()), rows.duration_ns) == (0, [], 0)


def test_moved_rows_can_begin_the_trace() -> None:
    trace = Trace(TRACE, [span("pay", start_ms=1), span("get", "pay", start_ms=2)])
    rows = tree(trace, {1: -3 * MS})
    assert (rows.start_ns, rows.begins) == (T0 - MS, [2 * MS, 0])


def test_a_span_that_ends_before_it_starts_ends_where_it_starts() -> None:
    rows = grown(span("pay"), span("back", "pay", start_ms=4, duration_ms=-2))
    assert (rows.begins[1], rows.ends[1]) == (4 * MS, 4 * MS)


@given(trees())
def test_children_and_tops_are_the_rows_that_name_that_parent(rows: Tree) -> None:
    below = {row: list(rows.children(row)) for row in range(len(rows))} | {-1: list(rows.tops())}
    assert below == {
        row: [child for child, parent in enumerate(rows.parents) if parent == row] for row in range(-1, len(rows))
    }


@given(trees())
def test_a_subtree_is_a_slice(rows: Tree) -> None:
    for row, size in enumerate(rows.sizes):
        inside = {row}
        for below, parent in enumerate(rows.parents):  # parents come first
            if parent in inside:
                inside.add(below)
        assert inside == set(range(row, row + size))


def test_a_chain_of_20_000_is_one_subtree() -> None:
    assert tree(chain()).sizes == list(range(MANY, 0, -1))


def test_a_parent_has_20_000_children() -> None:
    assert len(list(tree(fan()).children(0))) == MANY


def test_in_a_pruned_tree_each_row_is_below_the_nearest_one_kept_and_what_was_cut_is_counted() -> None:
    rows = grown(
        span("pay"), span("get", "pay", start_ms=1, duration_ms=1), span("charge", "pay", start_ms=2),
        span("bank", "charge", start_ms=3), span("other", start_ms=4), span("below", "other", start_ms=5),
    )  # fmt: skip
    kept = pruned(rows, [0, 3, 5])
    assert [(kept.span(row).name, kept.parents[row], kept.nodes[row].depth) for row in range(len(kept))] == [
        ("pay", -1, 0),
        ("bank", 0, 1),
        ("below", -1, 0),
    ]
    assert (kept.begins, kept.cut) == ([0, 3 * MS, 5 * MS], {0: 2, -1: 1})


@given(trees(), st.sets(st.integers(0, 30)))
def test_of_a_pruned_tree_every_span_is_kept_or_counted(rows: Tree, chosen: set[int]) -> None:
    kept = pruned(rows, sorted(row for row in chosen if row < len(rows)))
    assert len(kept) + sum(kept.cut.values()) == len(rows)
    assert sum(kept.sizes[top] for top in kept.tops()) == len(kept)
    assert pruned(rows, range(len(rows))).parents == rows.parents
