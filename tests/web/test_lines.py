"""The page of rows that a template prints."""

from __future__ import annotations

import pytest

from minitrace.analysis.repeats import runs
from minitrace.analysis.tree import tree
from minitrace.model import Span, Status, StatusCode, Trace
from minitrace.web.lines import MAX_INDENT, PAGE_ROWS, Sheet, sheet
from minitrace.web.rows import rows
from minitrace.web.view import View
from tests.samples import MS, TRACE, span, span_id


def sheet_of(
    spans: list[Span],
    view: View = View(),  # noqa: B008 (frozen)
    page: int | None = None,
    selected: str = "",
) -> Sheet:
    found = tree(Trace(TRACE, spans))
    return sheet(rows(found, runs(found)), view, page, span_id(selected) or None)


LONG = [
    span("root", duration_ms=1000),
    *(span(f"step {'x' * n}", "root", id=f"step {n}", start_ms=n) for n in range(250)),
]


def test_rows_come_in_pages() -> None:
    first, last = sheet_of(LONG), sheet_of(LONG, page=3)
    assert (first.page, first.pages, first.seen, first.first, first.last) == (1, 3, 251, 1, PAGE_ROWS)
    assert (last.first, last.last, last.lines[-1].hex) == (201, 251, span_id("step 249").hex())


@pytest.mark.parametrize(("asked", "page"), [(0, 1), (99, 3), (2, 2)])
def test_a_page_that_is_none_is_the_nearest(asked: int, page: int) -> None:
    assert sheet_of(LONG, page=asked).page == page


def test_the_page_is_the_one_with_the_selected_span_unless_one_is_asked_for() -> None:
    assert sheet_of(LONG, selected="step 120").page == 2
    assert sheet_of(LONG, selected="step 120", page=1).page == 1
    assert sheet_of(LONG, selected="nobody").page == 1


def test_indents_end_somewhere() -> None:
    chain = [span(str(n), str(n - 1) if n else "") for n in range(40)]
    line = sheet_of(chain).lines[-1]
    assert (line.depth, line.indent) == (39, MAX_INDENT)


def test_a_folded_row_tells_of_errors_below_and_how_to_unfold_it() -> None:
    failed = Status(StatusCode.ERROR)
    spans = [span("root"), span("a", "root"), span("b", "a", status=failed), span("c", "a", status=failed)]
    folded = sheet_of(spans, View(depth=2)).lines[1]
    assert (folded.is_folded, folded.errors_below, folded.fold) == (True, 2, span_id("a").hex()[:8])
    toggled = frozenset({span_id("a").hex()[:8], "ffffffff"})
    unfolded = sheet_of(spans, View(depth=2, toggled=toggled)).lines[1]
    assert (unfolded.is_folded, unfolded.errors_below, unfolded.fold) == (False, 0, "ffffffff")


def test_below_a_root_depths_begin_anew() -> None:
    spans = [span("root"), span("a", "root"), span("b", "a")]
    assert [line.depth for line in sheet_of(spans, View(root=span_id("a"))).lines] == [0, 1]


def test_a_trace_whose_rows_are_all_filtered_has_an_empty_page() -> None:
    empty = sheet_of([span("root")], View(show=("errors",)))
    assert (empty.lines, empty.first, empty.last, empty.pages) == ([], 0, 0, 1)


def test_errors_below_a_folded_row_do_not_count_itself() -> None:
    failed = Status(StatusCode.ERROR)
    (line,) = sheet_of([span("a", status=failed), span("b", "a", status=failed)], View(depth=1)).lines
    assert (line.is_error, line.errors_below) == (True, 1)


def test_a_row_joins_those_that_are_toggled_in_order() -> None:
    spans = [span("root"), *(span("query", "root", id=f"query {n}", start_ms=n) for n in range(5))]
    key = "r" + span_id("query 0").hex()[:8]
    toggled = frozenset({"ffffffff", "00000000", "eeeeeeee"})
    lines = sheet_of(spans, View(toggled=toggled)).lines
    assert [line.fold for line in lines] == [
        ",".join(sorted([*toggled, span_id("root").hex()[:8]])), f"00000000,eeeeeeee,ffffffff,{key}",
    ]  # fmt: skip


def test_a_row_without_others_below_it_is_not_folded() -> None:
    (line,) = sheet_of([span("root")]).lines
    assert (line.has_children, line.fold) == (False, "")


def test_a_row_of_the_critical_path_says_so() -> None:
    spans = [span("root"), span("a", "root", duration_ms=9), span("b", "root", start_ms=1, duration_ms=1)]
    assert [line.is_critical for line in sheet_of(spans).lines] == [True, True, False]


def test_bars_and_labels_are_those_of_the_window() -> None:
    page = sheet_of([span("root", duration_ms=100)], View(window=(50 * MS, 250 * MS)))
    assert (page.lines[0].bar.span, page.labels[0], page.labels[-1]) == ((0, 25), "50\u2009ms", "250\u2009ms")
