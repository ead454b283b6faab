"""A trace as text for people: its lines and columns, and what is left out of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.analysis.drawing import draw, plainer
from minitrace.analysis.repeats import runs
from minitrace.analysis.tree import Tree, pruned, tree
from minitrace.model import Resource, Span, Status, StatusCode, Trace
from tests.samples import TRACE, span, span_id

FAILED = Status(StatusCode.ERROR, "card declined")


def tree_of(spans: Sequence[Span]) -> Tree:
    return tree(Trace(TRACE, spans))


def shop() -> Tree:
    return tree_of(
        [
            span("GET /checkout", service="frontend", duration_ms=100),
            span("reserve", "GET /checkout", service="stock", start_ms=5, duration_ms=20),
            span("UPDATE", "reserve", service="stock", start_ms=7.5, duration_ms=10),
            span("POST /charge", "GET /checkout", service="payment", start_ms=30, duration_ms=70, status=FAILED),
        ]
    )


def test_a_tree_has_branches_services_where_they_change_and_durations_in_a_column() -> None:
    assert draw(shop(), width=60).splitlines() == [
        "frontend: GET /checkout      100 ms",
        "├── stock: reserve            20 ms",
        "│   └── UPDATE                10 ms",
        "└── ⨯ payment: POST /charge   70 ms",
    ]


def test_a_service_without_a_name_is_not_named_at_the_top() -> None:
    nameless = span("a", service="unknown_service:python3"), span("b", "a", service="unknown_service:python3")
    assert draw(tree_of([*nameless, span("c", "b")]), width=60).splitlines() == [
        "a                10 ms",
        "└── b            10 ms",
        "    └── shop: c  10 ms",
    ]


def test_bars_show_when_each_span_ran_to_the_half_of_a_cell() -> None:
    bars = [line[37:] for line in draw(shop(), width=77).splitlines()]
    assert bars == [
        "━" * 40,
        "  ━━━━━━━━",
        "   ━━━━",
        "            " + "━" * 28,
    ]


def test_a_moment_takes_half_a_cell_and_the_last_one_stays_inside() -> None:
    moments = [span(name, "root", start_ms=at, duration_ms=0) for name, at in (("half", 50), ("end", 100))]
    root, *lines = draw(tree_of([span("root", duration_ms=100), *moments]), width=100).splitlines()
    assert [line[len(root) - 60 :] for line in lines] == [" " * 30 + "╸", " " * 59 + "╺"]


def test_a_run_is_one_line_with_the_time_and_the_errors_of_all_its_spans() -> None:
    many = [span("GET x", "root", id=f"get {n}", start_ms=n * 10, duration_ms=5) for n in range(6)]
    below = [span("retry", "get 3", id="retry", start_ms=31, duration_ms=1, status=FAILED)]
    calls = tree_of([span("root", duration_ms=100), *many, *below])
    assert draw(calls, width=60, runs=runs(calls)).splitlines() == [
        "shop: root        100 ms",
        "└── ⨯1 ×6 GET x  Σ 30 ms",
    ]
    assert len(draw(calls, width=60).splitlines()) == 8


def test_lines_after_the_last_one_allowed_are_counted_with_all_spans_in_their_runs() -> None:
    many = [span("GET x", "root", id=f"get {n}", start_ms=n) for n in range(6)]
    below = [span("inner", "get 3", id="inner", start_ms=4)]
    last = span("last", "root", start_ms=9)
    calls = tree_of([span("root"), *many, *below, last])
    assert draw(calls, runs=runs(calls), most=1).splitlines()[1:] == ["… 8 more spans"]
    assert draw(calls, runs=runs(calls), most=2).splitlines()[2:] == ["… 1 more span"]


def test_what_is_too_deep_for_the_width_is_counted_where_it_would_stand() -> None:
    chain = [span("0"), *(span(str(n), str(n - 1)) for n in range(1, 20_000))]
    lines = draw(tree_of(chain), width=60).splitlines()
    assert lines[4].startswith(" " * 12 + "└── 4 ")
    assert lines[5] == " " * 16 + "└── … 19 995 spans below"
    assert len(lines) == 6


def test_a_parent_that_is_not_here_is_said() -> None:
    drawn = draw(tree_of([span("lost", "nobody")]), width=60)
    assert drawn == f"shop: lost [parent {span_id('nobody').hex()} not received]  10 ms"


def test_a_span_without_times_has_no_bar() -> None:
    drawn = draw(tree_of([span("root"), span("timeless", "root", start_ns=0, end_ns=0)]))
    assert drawn.splitlines()[0].endswith("━")
    assert drawn.splitlines()[1].endswith("0 ns")


def test_long_names_are_cut_and_the_error_still_stands() -> None:
    drawn = draw(tree_of([span("x" * 1000, status=FAILED)]), width=50)
    assert drawn == f"⨯ shop: {'x' * 34}…  10 ms"
    assert len(drawn) == 50


def test_wide_characters_take_two_cells_and_combining_ones_none() -> None:
    lines = draw(
        tree_of([span("root"), span("日本", "root", start_ms=1), span("e\u0301e\u0301", "root", start_ms=2)]), width=50
    ).splitlines()
    assert lines == ["shop: root  10 ms", "├── 日本    10 ms", "└── e\u0301e\u0301      10 ms"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb\tc\u2028d\x85e", "a b c d\\x85e"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\u202eb", "a\\u202eb"),
        ("", "(no name)"),
        (" \n ", "(no name)"),
    ],
)
def test_a_name_stands_on_its_line_and_controls_are_spelt_out(name: str, shown: str) -> None:
    assert draw(tree_of([span(name)]), width=60) == f"shop: {shown}  10 ms"


TEXTS = st.text(max_size=30)


@given(st.lists(st.tuples(TEXTS, TEXTS, st.integers(-1, 30)), min_size=1, max_size=30), st.integers(40, 130))
def test_any_tree_is_drawn_within_its_width_with_every_span_on_a_line_or_counted(
    rows: list[tuple[str, str, int]], width: int
) -> None:
    spans = [
        span(name, str(parent) if 0 <= parent < row else "", id=str(row), resource=Resource({"service.name": service}))
        for row, (name, service, parent) in enumerate(rows)
    ]
    lines = draw(tree_of(spans), width=width).splitlines()
    counted = [int(line.split("… ")[1].split()[0]) for line in lines if line.endswith(" below")]
    assert len(lines) - len(counted) + sum(counted) == len(spans)
    assert all(len(line) <= width for line in lines if line.isascii())


def test_what_was_cut_from_a_tree_is_counted_behind_the_name_it_was_below_however_long_that_is() -> None:
    rows = tree_of(
        [span("GET /" + "long" * 30), *(span(f"{n}", "GET /" + "long" * 30) for n in range(3)), span("other")]
    )
    assert draw(pruned(rows, [0]), width=40).splitlines() == [
        "shop: GET /longlonglo… (+3 spans)  10 ms",
        "… 1 more span",
    ]


def test_a_drawing_has_a_likeness_in_ascii() -> None:
    assert plainer("├── ×3 SELECT … ━╸ → ←  Σ 3 µs é") == "|-- x3 SELECT ... == -> <-  sum 3 us ?"
