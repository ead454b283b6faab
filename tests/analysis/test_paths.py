"""The flame graph: spans merged along the path by which they were reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hypothesis import given

from minitrace.analysis.paths import CallPath, paths
from minitrace.analysis.timing import own_times
from minitrace.analysis.tree import Tree, tree
from minitrace.model import Status, StatusCode
from tests.analysis.alike import alike_trees
from tests.analysis.growing import MANY, chain, fan, grown
from tests.samples import MS, span


def walk(path: CallPath, *above: tuple[str, str]) -> Iterator[tuple[tuple[tuple[str, str], ...], CallPath]]:
    """Every path with the services and names that lead to it."""
    for child in path.children:
        steps = (*above, (child.service, child.name))
        yield steps, child
        yield from walk(child, *steps)


def shape(path: CallPath) -> list[str]:
    return [f"{'  ' * (len(steps) - 1)}{found.name} ×{found.span_count}" for steps, found in walk(path)]


def test_alike_spans_are_merged_below_the_same_path_and_not_elsewhere() -> None:
    rows = grown(
        span("GET /cart", duration_ms=100),
        span("load", "GET /cart", id="one", start_ms=10, duration_ms=30),
        span("load", "GET /cart", id="two", start_ms=50, duration_ms=40),
        span("SELECT", "one", id="s1", start_ms=10, duration_ms=5),
        span("SELECT", "two", id="s2", start_ms=50, duration_ms=6),
        span("SELECT", "GET /cart", id="s3", start_ms=95, duration_ms=1),
    )
    assert shape(paths(rows)) == ["GET /cart ×1", "  load ×2", "    SELECT ×2", "  SELECT ×1"]


def test_the_same_name_in_another_service_is_another_path() -> None:
    rows = grown(span("pay"), span("save", "pay", id="1", service="shop"), span("save", "pay", id="2", service="bank"))
    assert [(path.service, path.span_count) for path in paths(rows).children[0].children] == [("shop", 1), ("bank", 1)]


def test_a_path_has_the_own_time_of_its_spans_and_all_below_in_its_total() -> None:
    rows = grown(
        span("pay", duration_ms=100),
        span("charge", "pay", start_ms=10, duration_ms=60),
        span("write", "charge", start_ms=20, duration_ms=15),
    )
    pay = paths(rows).children[0]
    assert (pay.own_ns, pay.total_ns) == (40 * MS, 100 * MS)
    assert (pay.children[0].own_ns, pay.children[0].total_ns) == (45 * MS, 60 * MS)


def test_children_come_with_the_largest_total_first() -> None:
    rows = grown(
        span("pay", duration_ms=100),
        span("small", "pay", start_ms=10, duration_ms=1),
        span("large", "pay", start_ms=20, duration_ms=50),
        span("middle", "pay", start_ms=80, duration_ms=10),
    )
    assert [path.name for path in paths(rows).children[0].children] == ["large", "middle", "small"]


def test_a_paths_row_is_its_slowest_span() -> None:
    rows = grown(
        span("pay"),
        span("get", "pay", id="1", start_ms=1, duration_ms=1),
        span("get", "pay", id="2", start_ms=3, duration_ms=3),
        span("get", "pay", id="3", start_ms=7, duration_ms=2),
    )
    assert paths(rows).children[0].children[0].row == 2


def test_errors_are_counted_where_they_happened() -> None:
    rows = grown(span("pay"), span("charge", "pay", status=Status(StatusCode.ERROR)))
    pay = paths(rows).children[0]
    assert (pay.error_count, pay.children[0].error_count) == (0, 1)


def test_tops_stand_side_by_side_below_the_trace() -> None:
    everything = paths(grown(span("pay", duration_ms=5), span("audit", duration_ms=4)))
    assert shape(everything) == ["pay ×1", "audit ×1"]
    assert (everything.row, everything.span_count, everything.total_ns) == (-1, 0, 9 * MS)


def test_a_chain_of_20_000_different_spans_is_a_path_as_deep() -> None:
    path, depth = paths(tree(chain())), 0
    while path.children:
        path, depth = path.children[0], depth + 1
    assert depth == MANY


def test_20_000_children_of_one_name_are_one_path() -> None:
    rows = tree(fan())
    for row in range(1, len(rows)):
        rows.span(row).name = "child"
    assert [path.span_count for path in paths(rows).children[0].children] == [MANY]


@given(alike_trees())
def test_each_path_counts_the_spans_that_are_reached_by_it(rows: Tree) -> None:
    steps: list[tuple[tuple[str, str], ...]] = []
    for row, parent in enumerate(rows.parents):
        own_step = (rows.span(row).service, rows.span(row).name)
        steps.append((*(steps[parent] if parent >= 0 else ()), own_step))
    assert {path: found.span_count for path, found in walk(paths(rows))} == Counter(steps)


@given(alike_trees())
def test_totals_are_the_sum_of_own_times(rows: Tree) -> None:
    everything = paths(rows)
    assert everything.total_ns == sum(own_times(rows))
    for _, path in walk(everything):
        assert path.total_ns == path.own_ns + sum(child.total_ns for child in path.children)
