"""A trace to rows in columns: runs, missing parents, and what is left out of the largest."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitrace.analysis.repeats import Run, runs
from minitrace.analysis.tree import Tree, tree
from minitrace.model import Event, Link, Span, Status, StatusCode, Trace
from minitrace.web import rows as rows_module
from minitrace.web.rows import CRITICAL, CUT, ERROR, MAX_TICKS, MISSING, OUTLIVES, RUN, SLOW, TIMELESS, Rows, rows
from tests.samples import MS, T0, TRACE, span, span_id


def rows_of(*spans: Span, with_runs: bool = True) -> Rows:
    found = tree(Trace(TRACE, spans))
    return rows(found, runs(found) if with_runs else ())


def drawn(found: Rows) -> str:
    """Names, indented; × for a run, ? for a missing parent, + for what was cut."""
    lines = []
    for row in range(len(found)):
        flags, more = found.flags[row], found.more.get(row, {})
        name = found.names[found.name[row]]
        text = f"×{more['run']['count']} {name}" if flags & RUN else "?" if flags & MISSING else name
        lines.append("  " * found.depth[row] + (f"+{more['cut']}" if flags & CUT else text))
    return "\n".join(lines)


REPEATED = [span("root", duration_ms=100), span("first", "root", start_ms=1)] + [
    span("query", "root", id=f"query {n}", start_ms=2 + n * 10, duration_ms=5) for n in range(5)
]


def test_repeated_siblings_become_the_rows_below_a_run_in_the_place_of_the_first() -> None:
    found = rows_of(*REPEATED, span("last", "root", start_ms=15))
    assert drawn(found) == "\n".join(["root", "  first", "  ×5 query", *["    query"] * 5, "  last"])
    assert list(found.size) == [9, 1, 6, 1, 1, 1, 1, 1, 1]
    assert found.more[2]["run"] == {"count": 5, "total": 25 * MS, "median": 5 * MS}
    assert (found.begin[2], found.length[2], found.own[2]) == (2 * MS, 45 * MS, 25 * MS)
    assert found.id(2) == span_id("query 0")


def test_a_run_below_a_repeated_span_is_one_level_deeper() -> None:
    inner = [span("get", "query 2", id=f"get {n}", start_ms=22 + n, duration_ms=1) for n in range(5)]
    found = rows_of(*REPEATED, *inner, span("row", "get 4", start_ms=26, duration_ms=1))
    deepest = ["    query", "      ×5 get", *["        get"] * 5, "          row"]
    assert drawn(found).splitlines()[5:] == [*deepest, "    query", "    query"]
    assert list(found.size) == [15, 1, 13, 1, 1, 8, 7, 1, 1, 1, 1, 2, 1, 1, 1]


def test_a_run_begins_with_the_first_of_its_spans_that_has_a_time() -> None:
    when = [span("query", "root", id=f"when {n}", start_ns=0, end_ns=0) for n in range(5)]
    found = rows_of(*REPEATED, *when)
    assert (found.begin[1], found.length[1], found.flags[1]) == (2 * MS, 45 * MS, RUN)
    assert found.more[1]["run"]["count"] == 10


def test_a_run_of_spans_without_a_time_has_none() -> None:
    when = [span("when", "root", id=f"when {n}", start_ns=0, end_ns=0) for n in range(5)]
    found = rows_of(span("root"), *when)
    assert (found.flags[1], found.begin[1], found.length[1]) == (RUN | TIMELESS, 0, 0)


def test_a_run_of_spans_of_centuries_fits_into_its_column() -> None:
    found = rows_of(span("root"), *(span("long", "root", id=str(n), start_ns=1, end_ns=2**63 - 2) for n in range(5)))
    assert (found.length[1], found.own[1]) == (2**63 - 3, 2**63 - 1)


def test_what_hangs_below_a_repeated_span_stays_below_it() -> None:
    found = rows_of(*REPEATED, span("row", "query 3", start_ms=33, duration_ms=1))
    assert drawn(found).endswith("    query\n      row\n    query")


def test_without_runs_every_row_is_a_span() -> None:
    found = rows_of(*REPEATED, with_runs=False)
    assert drawn(found).splitlines() == ["root", "  first", *["  query"] * 5]


def test_a_parent_that_several_spans_name_and_that_was_not_received_is_a_row() -> None:
    found = rows_of(span("a", "lost"), span("b", "lost", start_ms=1), span("c", "gone", start_ms=2))
    assert drawn(found) == "?\n  a\n  b\nc"
    assert found.id(0) == span_id("lost")
    assert (1 not in found.more, found.own[0]) == (True, 0)
    assert found.more[3]["badges"] == [f"parent {span_id('gone').hex()} not received"]


def test_orphans_that_repeat_below_one_missing_parent_are_a_run() -> None:
    spans = [span("job", "lost", id=f"job {n}", start_ms=n) for n in range(5)]
    found = rows_of(span("other", "lost", start_ms=9), *spans)
    assert drawn(found).splitlines() == ["×5 job", *["  job"] * 5, "other"]
    assert found.more[6]["badges"] == [f"parent {span_id('lost').hex()} not received"]


def test_a_cycle_of_parents_is_no_missing_one() -> None:
    spans = [span("a", "b"), span("b", "a", start_ms=1), span("c", "d"), span("d", "c", start_ms=1)]
    assert sorted(drawn(rows_of(*spans)).splitlines()) == ["  b", "  d", "a", "c"]


def test_flags_say_what_is_special_about_a_span() -> None:
    found = rows_of(
        span("root", duration_ms=100),
        span("bad", "root", duration_ms=90, status=Status(StatusCode.ERROR)),
        span("short", "root", start_ms=1, duration_ms=1),
        span("late", "root", start_ms=95, duration_ms=20),
        span("when", "root", start_ns=0, end_ns=0),
    )
    flags = {found.names[found.name[row]]: found.flags[row] for row in range(len(found))}
    assert flags["bad"] == ERROR | CRITICAL | SLOW
    assert flags["short"] == 0
    assert flags["late"] & OUTLIVES
    assert flags["when"] == TIMELESS
    assert not flags["root"] & (ERROR | OUTLIVES)


def test_a_trace_that_took_no_time_has_nothing_slow() -> None:
    assert list(rows_of(span("root", duration_ms=0)).flags) == [0]


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        ({"attributes": {"http.status_code": 404}}, {"pill": "404"}),
        ({"attributes": {"http.status_code": "x" * 99}}, {"pill": "x" * 24}),
        ({"attributes": {"rpc.grpc.status_code": 0}}, None),
        ({"events": [Event(T0, "e")]}, {"ticks": [(0, "e", 0)]}),
        ({"links": [Link(b"t" * 16, b"s" * 8)] * 2}, {"links": 2}),
        ({"end_ns": T0 - 1}, {"badges": ["ends 1 ns before it starts"]}),
    ],
)
def test_a_row_has_what_its_span_has_and_no_more(fields: dict[str, Any], more: dict[str, Any] | None) -> None:
    assert rows_of(span("root", **fields)).more.get(0) == more


def test_below_a_missing_parent_a_span_still_says_what_else_is_odd() -> None:
    found = rows_of(span("a", "lost"), span("b", "lost", start_ms=1, end_ns=T0))
    assert found.more == {2: {"badges": ["ends 1000000 ns before it starts"]}}


def test_events_links_and_a_status_are_what_few_rows_have() -> None:
    found = rows_of(
        span(
            "root",
            events=[Event(T0 + 3 * MS, "exception"), Event(0, "when")],
            links=[Link(b"t" * 16, b"s" * 8)],
            attributes={"http.response.status_code": 503},
        )
    )
    assert found.more == {0: {"ticks": [(3 * MS, "exception", 1)], "links": 1, "pill": "503"}}


def test_the_document_has_every_column_at_one_length() -> None:
    found = rows_of(*REPEATED)
    document = json.loads(found.json())
    columns = ("depth", "size", "service", "name", "kind", "begin", "length", "own", "flags")
    assert {len(document[column]) for column in columns} == {8}
    assert len(document["ids"]) == 16 * 8
    assert document["services"] == [["shop", 0, "shop"]]
    assert document["more"]["2"]["run"]["count"] == 5
    assert (document["trace"], document["total"], document["cut"]) == (TRACE.hex(), 7, 0)


def test_the_critical_path_is_in_the_document_as_steps_from_row_to_row() -> None:
    found = rows_of(span("root", duration_ms=10), span("a", "root", start_ms=2, duration_ms=5))
    assert list(found.critical) == [0, 0, 2 * MS, 0, 7 * MS, 10 * MS, 1, 2 * MS, 7 * MS]
    steps = [0, 0, 2 * MS, 0, 7 * MS, 3 * MS, 1, 0, 5 * MS]
    assert json.loads(found.json())["critical"] == steps


def test_the_document_ends_no_element_and_takes_any_text() -> None:
    found = rows_of(span("</pre><b>\ud800", id="a"))
    assert b"<" not in found.json()
    assert json.loads(found.json())["names"] == ["</pre><b>?"]


def test_a_deep_trace_is_cut_below_the_levels_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_ROWS", 3)
    found = rows_of(span("a"), span("b", "a"), span("c", "b"), span("d", "c"), span("e", "d"))
    assert drawn(found) == "a\n  b\n    c\n      +2"
    assert (found.cut, found.id(3), list(found.size)) == (2, span_id("c"), [4, 3, 2, 1])


def test_a_wide_trace_is_cut_after_the_first_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_ROWS", 3)
    spans = [span("a"), *(span(f"step {chr(97 + n)}", "a", start_ms=n) for n in range(4))]
    found = rows_of(*spans, with_runs=False)
    assert drawn(found) == "a\n  step a\n  step b\n  +2"


def test_what_is_left_out_is_counted_below_the_row_it_hangs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_ROWS", 4)
    found = rows_of(
        span("a"), span("b", "a"), span("c", "b"), span("d", "a", start_ms=1), span("e", "d"), span("f", "e"), span("g")
    )
    assert drawn(found) == "a\n  b\n    +1\n  d\n    +2\ng"
    assert [found.id(row) for row in (2, 4)] == [span_id("b"), span_id("d")]
    assert (found.cut, found.total) == (3, 7)


def test_a_run_that_is_cut_keeps_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_ROWS", 5)
    found = rows_of(*REPEATED)
    assert drawn(found) == "root\n  first\n  ×5 query\n    query\n    query\n    +3"
    assert found.more[2]["run"] == {"count": 5, "total": 25 * MS, "median": 5 * MS}
    assert (found.length[2], found.id(5), found.length[5]) == (45 * MS, span_id("query 0"), 0)


def test_more_tops_than_rows_are_cut_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_ROWS", 2)
    found = rows_of(span("a"), span("b", start_ms=1), span("c", "b"), span("d", start_ms=2), span("e", "d"))
    assert drawn(found) == "a\nb\n  +1\n+2"


def test_a_trace_with_as_many_rows_as_may_be_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_ROWS", 3)
    assert drawn(rows_of(span("a"), span("b", "a"), span("c", "b"))) == "a\n  b\n    c"


def test_the_critical_path_is_that_of_rows_that_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = [
        span("a", duration_ms=9),
        span("b", "a", start_ms=2, duration_ms=3),
        span("c", "b", start_ms=3, duration_ms=1),
    ]
    whole = [0, 0, 2, 0, 5, 9, 1, 2, 3, 1, 4, 5, 2, 3, 4]
    assert [ms * MS if n % 3 else ms for n, ms in enumerate(whole)] == list(rows_of(*spans).critical)
    monkeypatch.setattr(rows_module, "MAX_ROWS", 2)
    shown = [0, 0, 2, 0, 5, 9, 1, 2, 3, 1, 4, 5]
    assert [ms * MS if n % 3 else ms for n, ms in enumerate(shown)] == list(rows_of(*spans).critical)


def test_a_span_is_found_by_its_id_and_not_the_run_that_has_it_too() -> None:
    found = rows_of(*REPEATED)
    assert [found.find(span_id(name)) for name in ("root", "query 0", "query 4", "nobody")] == [0, 3, 7, None]


def test_of_spans_with_one_id_the_first_is_found() -> None:
    assert rows_of(span("a"), span("b", "a", id="x"), span("c", "a", id="x", start_ms=1)).find(span_id("x")) == 1


def test_an_id_across_two_others_is_not_found() -> None:
    found = Rows(TRACE, 0, 0, 3, ids=b"7" + b"8" * 15 + b"9" * 8, flags=array("q", [0, 0, 0]))
    assert found.find(b"88888888") == 1
    assert found.find(b"88889999") is None


def test_a_row_knows_what_it_hangs_below() -> None:
    found = rows_of(*REPEATED, span("last", start_ms=200))
    assert [found.parent(row) for row in range(len(found))] == [-1, 0, 0, 2, 2, 2, 2, 2, -1]
    assert list(found.children(0)) == [1, 2]


def test_only_a_subtree_is_a_trace_of_its_own_depth() -> None:
    outline = tree(Trace(TRACE, REPEATED))
    found = rows(outline, runs(outline), root=1)
    assert drawn(found) == "first"
    assert (list(found.depth), found.total) == ([0], 7)


def test_repetitions_within_a_subtree_are_runs() -> None:
    outline = tree(Trace(TRACE, [span("top"), span("root", "top", duration_ms=100), *REPEATED[1:]]))
    found = rows(outline, runs(outline), root=1)
    assert drawn(found).splitlines() == ["root", "  first", "  ×5 query", *["    query"] * 5]


def test_an_orphan_alone_says_that_its_parent_is_missing() -> None:
    outline = tree(Trace(TRACE, [span("a", "lost"), span("b", "lost", start_ms=1)]))
    found = rows(outline, root=1)
    assert (drawn(found), found.more[0]["badges"]) == ("b", [f"parent {span_id('lost').hex()} not received"])


def test_services_have_the_colours_that_they_are_given() -> None:
    outline = tree(
        Trace(TRACE, [span("a", service="web"), span("b", "a", service="db"), span("c", "b", service="new")])
    )
    found = rows(outline, slots={"db": 7, "web": 4})
    assert (found.services, list(found.service)) == ([("web", 4), ("db", 7), ("new", 2)], [0, 1, 2])


def test_a_span_that_was_moved_takes_its_events_along() -> None:
    spans = [
        span("call"),
        span("serve", "call", start_ms=50, events=[Event(T0 + 52 * MS, "e"), Event(T0 + 60 * MS, "x" * 300)]),
    ]
    found = rows(tree(Trace(TRACE, spans), {1: -48 * MS}))
    assert found.more[1] == {"ticks": [(4 * MS, "e", 0), (12 * MS, "x" * 200, 0)], "shift": -48 * MS}


def test_a_row_has_so_many_ticks_at_most() -> None:
    found = rows_of(span("root", events=[Event(T0 + n, "e") for n in range(MAX_TICKS + 1)]))
    assert len(found.more[0]["ticks"]) == MAX_TICKS


def test_a_span_is_slow_from_a_twentieth_of_the_trace_of_its_own() -> None:
    found = rows_of(
        span("root", duration_ms=100), span("a", "root", duration_ms=5), span("b", "root", start_ms=5, duration_ms=4.9)
    )
    assert [bool(flags & SLOW) for flags in found.flags] == [True, True, False]


def test_a_span_that_was_moved_says_by_how_much() -> None:
    assert rows(tree(Trace(TRACE, [span("a"), span("b", "a")]), {1: MS})).more == {1: {"shift": MS}}


def drawn_slowly(outline: Tree, some: list[Run], siblings: Iterable[int], depth: int = 0) -> Iterator[str]:
    """Rows with their runs, as plainly as can be."""
    run_of = {row: run for run in some for row in run.rows}
    for row in siblings:
        run = run_of.get(row)
        if run and row == run.rows[0]:
            yield "  " * depth + f"×{len(run.rows)} {run.label}"
        for member in [row] if run is None else run.rows if row == run.rows[0] else ():
            level = depth + (run is not None)
            yield "  " * level + outline.span(member).name
            yield from drawn_slowly(outline, some, outline.children(member), level + 1)


@given(st.lists(st.tuples(st.integers(-1, 30), st.sampled_from("ab")), min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_runs_stand_in_the_place_of_their_first_at_any_depth(shape: list[tuple[int, str]]) -> None:
    outline = tree(
        Trace(
            TRACE,
            [
                span(name, str(parent) if -1 < parent < n else "", id=str(n), start_ms=n)
                for n, (parent, name) in enumerate(shape)
            ],
        )
    )
    some = runs(outline, 2)
    assert drawn(rows(outline, some)).splitlines() == list(drawn_slowly(outline, some, outline.tops()))


parents = st.lists(st.integers(-1, 30), min_size=1, max_size=30)


@given(parents, st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_every_span_is_in_one_row_or_counted_as_cut(parents: list[int], most: int) -> None:
    spans = [
        span("x", str(parent) if -1 < parent != n else "", id=str(n), start_ms=n) for n, parent in enumerate(parents)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "MAX_ROWS", most)
        found = rows_of(*spans)
    shown = [row for row in range(len(found)) if not found.flags[row] & (RUN | MISSING | CUT)]
    groups = [row for row in range(len(found)) if found.flags[row] & (RUN | MISSING)]
    assert len(found) - sum(bool(flags & CUT) for flags in found.flags) <= most
    assert len({found.id(row) for row in shown}) == len(shown)
    assert sum(found.more[row]["cut"] for row in range(len(found)) if found.flags[row] & CUT) == found.cut
    assert len(spans) <= len(shown) + found.cut  # a run that was cut counts among what was cut
    assert len(groups) + len(shown) + found.cut >= len(spans)
    assert list(found.size) == [
        next((end for end in range(row + 1, len(found)) if found.depth[end] <= depth), len(found)) - row
        for row, depth in enumerate(found.depth)
    ]
