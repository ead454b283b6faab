"""A trace to rows in columns: runs, missing parents, and what is left out of the largest."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitrace.analysis.repeats import runs
from minitrace.analysis.tree import tree
from minitrace.model import Event, Link, Span, Status, StatusCode, Trace
from minitrace.web import rows as rows_module
from minitrace.web.rows import CRITICAL, CUT, ERROR, MISSING, OUTLIVES, RUN, SLOW, TIMELESS, Rows, rows
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
    assert 1 not in found.more
    assert found.more[3]["badges"] == [f"parent {span_id('gone').hex()} not received"]


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


def test_only_a_subtree_is_a_trace_of_its_own_depth() -> None:
    outline = tree(Trace(TRACE, REPEATED))
    found = rows(outline, runs(outline), root=1)
    assert drawn(found) == "first"
    assert (list(found.depth), found.total) == ([0], 7)


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
