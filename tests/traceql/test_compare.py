"""compare(): how some spans differ from the others."""

from __future__ import annotations

from typing import Any

import pytest

from minitrace.model import Span
from minitrace.traceql import compare
from minitrace.traceql.ast import Compare, SpansetFilter
from minitrace.traceql.compare import Comparison
from minitrace.traceql.metrics import metrics
from minitrace.traceql.parser import parse
from tests.samples import T0, span
from tests.traceql.building import SECOND, seconds, table, trace

TWO = seconds(0, 2)
SPANS = trace("""
a starts=100 status=error x=1
b starts=200 status=error x=2 event=retry event.n=1 event=retry event.n=1
c starts=1100 x=1 service=pay tags=["t"] link=other link.k=1
""")


def compared(spans: list[Span], arguments: str = "{ status = error }", pipeline: str = "{ }") -> dict[str, list[Any]]:
    """Samples by what they are of, such as ``selection name=a``."""
    series = table(metrics(parse(f"{pipeline} | compare({arguments})"), [spans], TWO))
    return {labels.removeprefix("__meta_type="): samples for labels, samples in series.items()}


def test_values_are_counted_for_the_selected_spans_and_for_the_others() -> None:
    series = compared(SPANS)
    assert series["selection span.x=1"] == [0, 1, 0]
    assert series["selection span.x=2"] == [0, 1, 0]
    assert series["baseline span.x=1"] == [0, 0, 1]
    assert series["baseline resource.service.name=pay"] == [0, 0, 1]
    assert series["selection status=error"] == [0, 2, 0]


def test_totals_are_of_all_spans_that_have_the_field() -> None:
    series = compared(SPANS)
    assert series["selection_total span.x=None"] == [0, 2, 0]
    assert series["baseline_total span.x=None"] == [0, 0, 1]
    assert series["baseline_total span.tags=None"] == [0, 0, 1]
    assert "selection_total span.tags=None" not in series


def test_fields_of_all_scopes_are_compared() -> None:
    names = {labels.split()[1].split("=")[0] for labels in compared(SPANS)}
    assert names == {
        "event.n",
        "event:name",
        "instrumentation:name",
        "instrumentation:version",
        "kind",
        "link.k",
        "name",
        "resource.service.name",
        "rootName",
        "rootServiceName",
        "span.tags",
        "span.x",
        "status",
    }


def test_a_value_that_two_events_of_a_span_share_counts_once() -> None:
    assert compared(SPANS)["selection event.n=1"] == [0, 1, 0]


def test_only_the_spans_of_the_pipeline_are_compared() -> None:
    series = compared(SPANS, pipeline="{ .x = 2 }")
    assert "selection span.x=2" in series
    assert not any("span.x=1" in labels for labels in series)


def test_only_the_most_frequent_values_are_kept_of_each_side() -> None:
    spans = [span("a", id=str(at), start_ms=1, attributes={"x": at % 4, "y": at}) for at in range(7)]
    series = compared(spans, "{ false }, 2")
    assert [labels for labels in series if " span.x=" in labels and "_total" not in labels] == [
        "baseline span.x=0",
        "baseline span.x=1",
    ]
    assert series["baseline_total span.x=None"] == [0, 7, 0]


def test_ten_values_are_kept_unless_the_query_says_how_many() -> None:
    spans = [span("a", id=str(at), start_ms=1, attributes={"x": at}) for at in range(20)]
    assert sum(labels.startswith("baseline span.x=") for labels in compared(spans)) == 10


def test_spans_outside_the_times_of_the_selection_are_baseline() -> None:
    series = compared(SPANS, f"{{ }}, 10, {T0 + SECOND // 10}, {T0 + SECOND}")
    assert series["selection_total name=None"] == [0, 1, 0]  # a starts at the first time, which is outside
    assert series["baseline_total name=None"] == [0, 1, 1]


def test_spans_outside_the_range_do_not_count() -> None:
    assert compared([span("a", start_ms=5000)]) == {}


def test_a_field_with_too_many_values_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "VALUES_COUNTED", 2)
    comparison = Comparison(Compare(SpansetFilter()), TWO)
    for value in (1, 2, 3, 3, 1):
        comparison.count("baseline", "span.x", value, 0)
    assert table(comparison.series()) == {
        "__meta_error=__too_many_values__ span.x=None": [0, 0, 0],
        "__meta_type=baseline span.x=1": [2, 0, 0],
        "__meta_type=baseline span.x=2": [1, 0, 0],
        "__meta_type=baseline_total span.x=None": [5, 0, 0],
    }
