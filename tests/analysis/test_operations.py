"""Sets of traces by operation path."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minitrace.analysis.breakdown import percentile
from minitrace.analysis.operations import DEEPEST, Path, changes, operations
from minitrace.analysis.timing import own_times
from minitrace.analysis.tree import Tree, tree
from minitrace.model import Status, StatusCode
from tests.analysis.alike import alike_trees
from tests.analysis.growing import MANY, chain, grown
from tests.samples import MS, span


def paying(*durations_ms: float) -> Tree:
    """A payment with so many charges, one after another."""
    charges = [
        span("charge", "pay", id=f"{n}", start_ms=10 * n, duration_ms=duration)
        for n, duration in enumerate(durations_ms)
    ]
    return grown(span("pay", duration_ms=100), *charges)


PAY = ("shop", "pay")
CHARGE: Path = (PAY, ("shop", "charge"))


def test_figures_are_by_path_from_the_top() -> None:
    found = operations([paying(1, 2, 3), paying(5), paying()])
    charge = found.figures[CHARGE]
    assert found.trace_count == 3
    assert list(found.figures) == [(PAY,), CHARGE]
    assert (charge.calls.low, charge.calls.p50, charge.calls.high) == (0, 1, 3)
    assert (charge.trace_count, charge.root_count, charge.call_count, charge.error_count) == (2, 3, 4, 0)
    assert (charge.p50_ns, charge.p95_ns) == (2 * MS, 5 * MS)
    assert found.figures[(PAY,)].own_p50_ns == 95 * MS


def test_calls_count_by_the_traces_of_the_same_top() -> None:
    other = grown(span("health"))
    assert operations([paying(1, 1, 1), paying(1), other, other]).figures[CHARGE].calls_per_trace == 2


def test_names_count_without_the_ids_in_them() -> None:
    found = operations([grown(span("pay"), span("pack 12", "pay"), span("pack 13", "pay"))])
    assert [(path[-1][1], figures.call_count) for path, figures in found.figures.items()] == [
        ("pay", 1),
        ("pack {id}", 2),
    ]


def test_of_few_traces_the_median_may_be_anywhere_and_of_many_close_by() -> None:
    few, many = (operations([paying(n + 1) for n in range(count)]).figures[CHARGE].duration_ns for count in (5, 100))
    assert (few.low, few.high) == (1 * MS, 5 * MS)
    assert (many.low, many.p50, many.high) == (38 * MS, 50 * MS, 64 * MS)


def test_changes_come_with_the_largest_impact_first() -> None:
    found = changes(operations([paying(5)]), operations([paying(5, 5, 5), grown(span("health"))]))
    assert [(change.name, change.impact_ns // MS) for change in found] == [("health", 10), ("pay", -10), ("charge", 10)]
    assert [change.a is None for change in found] == [True, False, False]


def test_no_traces_have_no_operations() -> None:
    assert operations([]).figures == {}


def test_what_is_deeper_than_paths_are_long_counts_together() -> None:
    found = operations([tree(chain())])
    assert sum(figures.call_count for figures in found.figures.values()) == MANY
    assert max(map(len, found.figures)) == DEEPEST


@given(st.lists(alike_trees(), max_size=4))
def test_operations_are_what_counting_one_by_one_gives(trees: list[Tree]) -> None:
    seen: dict[Path, list[tuple[int, int, int, bool]]] = {}
    for number, one in enumerate(trees):
        paths: list[Path] = []
        for row, own in enumerate(own_times(one)):
            above = paths[one.parents[row]] if one.parents[row] >= 0 else ()
            paths.append((*above, (one.span(row).service, one.span(row).name)))
            each = number, one.ends[row] - one.begins[row], own, one.span(row).is_error
            seen.setdefault(paths[-1], []).append(each)
    found = operations(trees).figures
    assert found.keys() == seen.keys()
    for path, figures in found.items():
        traces, durations, owns, failed = (list(column) for column in zip(*seen[path], strict=True))
        assert (figures.trace_count, figures.call_count) == (len(set(traces)), len(traces))
        assert (figures.p95_ns, figures.own_p50_ns) == (percentile(sorted(durations), 95), percentile(sorted(owns), 50))
        assert figures.duration_ns.low <= figures.p50_ns <= figures.duration_ns.high
        assert figures.error_count == sum(failed)


def test_errors_are_counted_by_calls_and_by_traces() -> None:
    failed = [span("charge", "pay", id=f"{n}", status=Status(StatusCode.ERROR)) for n in range(3)]
    charge = operations([grown(span("pay"), *failed), paying(1)]).figures[CHARGE]
    assert (charge.error_count, charge.failed_count) == (3, 1)


def test_many_calls_of_few_traces_make_no_median_certain() -> None:
    charge = operations([paying(*range(100))] * 4).figures[CHARGE]
    assert (charge.duration_ns.low, charge.duration_ns.high) == (0, 99 * MS)
