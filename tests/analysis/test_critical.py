"""The critical path: which span held the trace up, at each moment."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given

from minitrace.analysis.critical import critical_path
from minitrace.analysis.tree import Tree, tree
from minitrace.model import Span
from tests.analysis.growing import MANY, chain, fan, grown, moments, trees
from tests.samples import MS, span


def path(*spans: Span) -> list[tuple[str, float, float]]:
    rows = grown(*spans)
    return [(rows.span(row).name, begin / MS, end / MS) for row, begin, end in critical_path(rows)]


def test_the_parent_has_the_path_where_it_waits_for_nobody() -> None:
    pay = span("pay", duration_ms=100)
    get = span("get", "pay", start_ms=10, duration_ms=20)
    charge = span("charge", "pay", start_ms=50, duration_ms=40)
    assert path(pay, get, charge) == [
        ("pay", 0, 10),
        ("get", 10, 30),
        ("pay", 30, 50),
        ("charge", 50, 90),
        ("pay", 90, 100),
    ]


def test_of_parallel_children_the_one_that_ends_last_is_on_the_path() -> None:
    pay = span("pay", duration_ms=100)
    short = span("short", "pay", start_ms=10, duration_ms=20)
    long = span("long", "pay", start_ms=10, duration_ms=90)
    assert path(pay, short, long) == [("pay", 0, 10), ("long", 10, 100)]


def test_a_child_that_still_runs_did_not_hold_up_what_came_next() -> None:
    pay = span("pay", duration_ms=100)
    aside = span("aside", "pay", start_ms=0, duration_ms=90)
    first = span("first", "pay", start_ms=10, duration_ms=40)
    second = span("second", "pay", start_ms=50, duration_ms=50)
    assert path(pay, aside, first, second) == [("pay", 0, 10), ("first", 10, 50), ("second", 50, 100)]


def test_a_child_that_outlives_its_parent_counts_up_to_the_parents_end() -> None:
    pay = span("pay", duration_ms=10)
    mail = span("mail", "pay", start_ms=4, duration_ms=500)
    smtp = span("smtp", "mail", start_ms=6, duration_ms=490)
    assert path(pay, mail, smtp) == [("pay", 0, 4), ("mail", 4, 6), ("smtp", 6, 10)]


def test_a_child_outside_its_parent_is_not_on_the_path() -> None:
    assert path(span("pay", duration_ms=10), span("late", "pay", start_ms=20)) == [("pay", 0, 10)]


def test_of_children_that_end_together_the_longest_is_on_the_path() -> None:
    pay = span("pay", duration_ms=10)
    children = [span(f"{start}", "pay", start_ms=start, duration_ms=10 - start) for start in (4, 2, 6)]
    assert path(pay, *children) == [("pay", 0, 2), ("2", 2, 10)]


def test_of_children_that_outlive_their_parent_the_one_that_began_first_is_on_the_path() -> None:
    pay = span("pay", duration_ms=10)
    mail = span("mail", "pay", start_ms=2, duration_ms=50)
    audit = span("audit", "pay", start_ms=4, duration_ms=500)
    assert path(pay, mail, audit) == [("pay", 0, 2), ("mail", 2, 10)]


def test_nobody_is_on_the_path_between_two_tops() -> None:
    assert path(span("first", duration_ms=10), span("second", start_ms=15, duration_ms=5)) == [
        ("first", 0, 10),
        ("second", 15, 20),
    ]


def test_a_top_that_runs_on_keeps_the_time_before_the_one_that_ends_last() -> None:
    root = span("root", duration_ms=100)
    get = span("get", "root", start_ms=20, duration_ms=75)
    orphans = [span(f"orphan {start}", "nobody", start_ms=start, duration_ms=20) for start in (10, 90)]
    assert path(root, get, *orphans) == [("root", 0, 20), ("get", 20, 90), ("orphan 90", 90, 110)]


def test_as_few_tops_as_can_be_share_the_path() -> None:
    tops = [span(f"{start}", start_ms=start, duration_ms=50) for start in range(0, 50, 10)]
    assert path(*tops) == [("0", 0, 40), ("40", 40, 90)]


def test_of_tops_that_begin_together_the_longest_is_on_the_path() -> None:
    root = span("root", duration_ms=90)
    orphan = span("orphan", "nobody", duration_ms=100)
    assert path(root, orphan, span("late", start_ms=80, duration_ms=30)) == [("orphan", 0, 80), ("late", 80, 110)]


def test_a_trace_without_a_duration_has_no_path() -> None:
    assert path(span("pay", duration_ms=0), span("get", "pay", duration_ms=0), span("lost", start_ns=0)) == []


@given(trees())
def test_each_moment_at_which_a_top_runs_belongs_to_one_row(rows: Tree) -> None:
    stretches = critical_path(rows)
    covered = [moment for _, begin, end in stretches for moment in range(begin, end)]
    tops = set[int]().union(*(moments(rows, top) for top in rows.tops()))
    assert covered == sorted(tops)
    assert all(begin < end for _, begin, end in stretches)


@given(trees())
def test_whoever_has_a_moment_runs_then_and_so_do_all_above(rows: Tree) -> None:
    for row, begin, end in critical_path(rows):
        while row >= 0:
            assert rows.begins[row] <= begin < end <= rows.ends[row]
            row = rows.parents[row]


@given(trees())
def test_the_path_is_the_one_that_a_walk_back_by_nanoseconds_finds(rows: Tree) -> None:
    walked = {moment: row for top, begin, end in top_windows(rows) for row, moment in walk(rows, top, begin, end)}
    found = {moment: row for row, begin, end in critical_path(rows) for moment in range(begin, end)}
    assert found == walked


def top_windows(rows: Tree) -> Iterator[tuple[int, int, int]]:
    """Back from the end: of the tops that run just then, the one that began first."""
    moment = rows.duration_ns
    while moment > 0:
        running = [top for top in rows.tops() if moment - 1 in moments(rows, top)]
        if not running:
            moment -= 1
            continue
        top = min(running, key=lambda top: (rows.begins[top], -rows.ends[top]))
        yield top, rows.begins[top], moment
        moment = rows.begins[top]


def walk(rows: Tree, row: int, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Back from `last`: the child that ends just there takes over, else the row has the nanosecond."""
    moment = last
    while moment > first:
        ended = [
            (rows.begins[child], place, child)
            for place, child in enumerate(rows.children(row))
            if min(rows.ends[child], last) == moment and max(rows.begins[child], first) < moment
        ]
        if ended:
            *_, child = min(ended)
            begin = max(rows.begins[child], first)
            yield from walk(rows, child, begin, moment)
            moment = begin
        else:
            moment -= 1
            yield row, moment


def test_a_chain_of_20_000_has_the_path_down_and_up_again() -> None:
    stretches = critical_path(tree(chain()))
    assert [stretch.row for stretch in stretches] == [*range(MANY), *range(MANY - 2, -1, -1)]


def test_the_path_goes_through_20_000_children() -> None:
    stretches = critical_path(tree(fan()))
    assert [stretch.row for stretch in stretches] == [row for child in range(1, MANY + 1) for row in (0, child)] + [0]
