"""What is said of two traces, and of two sets of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.analysis import contrasts
from minitrace.analysis.alignment import align
from minitrace.analysis.contrasts import differ
from minitrace.analysis.findings import FEW, MOST, Finding, findings
from minitrace.analysis.operations import changes, operations
from minitrace.analysis.tree import Tree, tree
from minitrace.model import Kind, Resource, Span, Status, StatusCode, Trace
from minitrace.present import THIN_SPACE
from tests.analysis.alike import alike_trees
from tests.analysis.growing import grown
from tests.analysis.planting import orders, repeated, slower
from tests.samples import span

FAILED = Status(StatusCode.ERROR)


def grow(spans: Sequence[Span]) -> Tree:
    return tree(Trace(spans[0].trace_id, spans))


def of_traces(a: Tree, b: Tree) -> list[Finding]:
    return findings(align(a, b))


def of_sets(a: Sequence[Tree], b: Sequence[Tree]) -> list[Finding]:
    return findings(changes(operations(a), operations(b)))


def texts(found: list[Finding]) -> list[str]:
    return [finding.text.replace(THIN_SPACE, " ") for finding in found]


def paying(*calls: tuple[str, float], **more: Any) -> Tree:
    """A payment with these calls one after another, of so many milliseconds, and a tenth of a second of its own."""
    began = 0.0
    spans = [span("pay", duration_ms=100 + sum(duration for _, duration in calls), **more)]
    for number, (name, duration) in enumerate(calls):
        spans.append(span(name, "pay", id=f"{number}", start_ms=began, duration_ms=duration, kind=Kind.CLIENT))
        began += duration
    return grown(*spans)


# The regressions of the demo

PLANTED = ["payment: INSERT charges", "inventory: UPDATE stock"]


def regressed(spans: list[Span]) -> list[Span]:
    """An order with a query of some 200 ms, and an N+1."""
    return repeated(slower(spans, "INSERT charges", 80), "UPDATE stock", 14)


def titles(found: list[Finding]) -> list[str]:
    return [": ".join(text.split(": ")[:2]) for text in texts(found)]


def test_planted_regressions_are_named_first_between_sets_of_the_demo_and_nothing_else_is() -> None:
    before = [grow(spans) for spans in orders(1, 40)]
    after = [grow(regressed(spans)) for spans in orders(2, 40)]
    found = of_sets(before, after)
    assert titles(found) == PLANTED
    assert [finding.kind for finding in found] == ["slower", "calls"]
    assert texts(found)[1] == "inventory: UPDATE stock: 4 → 17 calls a trace (40 and 40 traces)"


def test_planted_regressions_are_named_first_between_two_traces_of_the_demo() -> None:
    pairs = zip(orders(3, 20), orders(4, 20), strict=True)
    found = [titles(of_traces(grow(before), grow(regressed(after)))) for before, after in pairs]
    assert all(set(PLANTED) <= set(each) for each in found)
    assert sum(set(each[:2]) == set(PLANTED) for each in found) >= 19


def test_nothing_is_named_between_sets_of_the_demo_that_differ_by_chance() -> None:
    many = [grow(spans) for name in ("GET /cart", "GET /p/{sku}") for spans in orders(5, 120, name)]
    assert of_sets(many[::2], many[1::2]) == []


def test_between_two_traces_what_may_be_chance_comes_last_and_says_so() -> None:
    found = of_traces(
        paying(("ask", 20), ("bank", 100)),
        paying(("ask", 200), ("bank", 300)),
    )
    assert texts(found) == ["shop: ask: 20 → 200 ms", "shop: bank: 100 → 300 ms (may be chance)"]
    assert [finding.is_certain for finding in found] == [True, False]


def test_few_traces_say_how_few_they_are() -> None:
    a, b = [paying(("bank", 90 + n)) for n in range(3)], [paying(("bank", 250 + n)) for n in range(4)]
    assert texts(of_sets(a, b)) == ["shop: bank: 91 → 251 ms (only 3 and 4 traces: may be chance)"]


def test_medians_of_many_traces_may_differ_by_less() -> None:
    a, b = [paying(("bank", 90 + n)) for n in range(FEW)], [paying(("bank", 130 + n)) for n in range(FEW)]
    assert texts(of_sets(a, b)) == ["shop: bank: 94 → 134 ms (10 and 10 traces)"]
    assert of_sets(a[: FEW - 1], b) == []


# Causes and echoes


def test_a_parent_that_is_slow_because_of_its_child_is_not_named() -> None:
    def asked(duration: float) -> Tree:
        return grown(
            span("pay", duration_ms=duration + 20),
            span("ask", "pay", duration_ms=duration + 10),
            span("read", "ask", duration_ms=duration),
        )

    assert texts(of_traces(asked(10), asked(400))) == ["shop: read: 10 → 400 ms"]


def test_a_parent_that_is_slow_by_itself_is_named_with_its_own_time() -> None:
    a = grown(span("pay", duration_ms=20), span("read", "pay", duration_ms=10))
    b = grown(span("pay", duration_ms=400), span("read", "pay", duration_ms=10))
    assert texts(of_traces(a, b)) == ["shop: pay: own time 10 → 390 ms"]


def test_what_is_called_by_what_is_called_more_often_is_not_named() -> None:
    def asked(count: int) -> Tree:
        calls = [span("ask", "pay", id=f"ask{n}", start_ms=10 * n, duration_ms=9) for n in range(count)]
        reads = [span("read", f"ask{n}", id=f"read{n}", start_ms=10 * n, duration_ms=8) for n in range(count)]
        return grown(span("pay", duration_ms=10 * count + 10), *calls, *reads)

    assert texts(of_traces(asked(1), asked(14))) == ["shop: ask: 1 → 14 calls"]
    assert texts(of_sets([asked(1)] * 20, [asked(14)] * 20)) == ["shop: ask: 1 → 14 calls a trace (20 and 20 traces)"]


def test_an_error_is_named_where_it_began() -> None:
    def asked(status: Status) -> Tree:
        return grown(span("pay", status=status), span("ask", "pay", status=status), span("read", "ask", status=status))

    assert texts(of_traces(asked(Status()), asked(FAILED))) == ["fails only in B: shop: read"]
    good, bad = [asked(Status())] * 20, [asked(FAILED)] * 20
    assert texts(of_sets(good, good[:10] + bad[:10])) == [
        "shop: read: errors in 0% → 50% of the traces (20 and 20 traces)"
    ]
    assert of_sets(good, [*good, *bad[:1]]) == []


def test_the_own_time_of_a_loop_that_makes_more_calls_is_not_named() -> None:
    def asked(count: int) -> Tree:
        calls = [span("read", "pay", id=f"{n}", start_ms=10 * n, duration_ms=6) for n in range(count)]
        return grown(span("pay", duration_ms=10 * count), *calls)

    assert texts(of_traces(asked(1), asked(14))) == ["shop: read: 1 → 14 calls"]


def test_what_is_new_and_fails_is_named_once() -> None:
    retried = grown(span("pay"), span("retry", "pay", status=FAILED), span("read", "retry", duration_ms=5))
    assert texts(of_traces(grown(span("pay")), retried)) == ["fails only in B: shop: retry"]


def test_an_error_in_one_of_three_traces_may_be_chance() -> None:
    good, bad = grown(span("pay")), grown(span("pay", status=FAILED))
    assert texts(of_sets([good, good], [bad])) == [
        "shop: pay: errors in 0% → 100% of the traces (only 2 and 1 traces: may be chance)"
    ]


# What only one side has


def test_of_what_is_new_the_top_is_named_with_what_it_takes() -> None:
    new = grown(
        span("pay", duration_ms=100),
        span("ask", "pay", duration_ms=40),
        span("read", "ask", duration_ms=30),
        span("write", "pay", start_ms=40, duration_ms=2),
    )
    old = grown(span("pay", duration_ms=58))
    assert texts(of_traces(old, new)) == ["only in B: shop: ask and 1 other, 42 ms"]
    assert texts(of_traces(new, old)) == ["only in A: shop: ask and 1 other, 42 ms"]
    assert of_traces(old, new)[0].row == 1


def test_calls_that_are_new_are_counted() -> None:
    assert texts(of_traces(paying(), paying(*[("read", 2.0)] * 3))) == ["only in B: 3 × shop: read, 6 ms"]


def test_what_many_more_traces_have_is_named_with_the_shares() -> None:
    hit, miss = paying(), paying(("read", 30))
    found = of_sets([hit] * 16 + [miss] * 4, [hit] * 4 + [miss] * 16)
    assert texts(found) == ["shop: read: in 20% → 80% of the traces (20 and 20 traces)"]
    assert of_sets([hit] * 11 + [miss] * 9, [hit] * 9 + [miss] * 11) == []


def test_sets_that_were_asked_for_other_things_have_nothing_to_be_compared() -> None:
    assert of_sets([paying(("read", 30))] * 20, [grown(span("search"))] * 20) == []


# Words and limits


def test_a_new_version_is_told_once_a_service() -> None:
    a, b = (
        paying(("read", 2), resource=Resource({"service.name": "shop", "service.version": version}))
        for version in ("1.0", "1.1")
    )
    assert texts(of_traces(a, b)) == ["shop: service.version 1.0 → 1.1"]


@pytest.mark.parametrize(
    ("a_ms", "b_ms", "expected"),
    [
        (12, 210, "12 → 210 ms"),
        (0.9, 210, "900 µs → 210 ms"),
        (300, 70_000, "300 ms → 1 m 10 s"),
        (5_000, 70_000, "5 s → 1 m 10 s"),
    ],
)
def test_the_unit_is_said_once_where_it_is_the_same(a_ms: float, b_ms: float, expected: str) -> None:
    assert texts(of_traces(paying(("bank", a_ms)), paying(("bank", b_ms)))) == [f"shop: bank: {expected}"]


def test_at_most_five_are_named_those_that_explain_most() -> None:
    a = paying(*[(f"ask {letter}", 1) for letter in "abcdefg"])
    b = paying(*[(f"ask {letter}", 20.0 + 10 * n) for n, letter in enumerate("abcdefg")])
    assert [text[6:11] for text in texts(of_traces(a, b))] == ["ask g", "ask f", "ask e", "ask d", "ask c"]
    assert MOST == 5


def test_a_trace_and_no_trace_have_nothing_to_be_told() -> None:
    assert (findings([]), of_sets([], [])) == ([], [])
    assert texts(of_traces(grown(), paying())) == ["only in B: shop: pay, 100 ms"]


def test_shares_differ_by_chance_until_they_are_three_sigmas_apart() -> None:
    assert not differ(0.1, 100, 0.24, 100)  # 2.6 of them
    assert differ(0.1, 100, 0.3, 100)  # 3.5
    assert differ(0.0, 1, 1.0, 1)
    assert not differ(0.0, 0, 1.0, 7)


@given(alike_trees(), alike_trees())
def test_whatever_the_traces_findings_point_at_rows_that_differ(a: Tree, b: Tree) -> None:
    rows = align(a, b)
    for finding in findings(rows):
        assert rows[finding.row].a != rows[finding.row].b
    assert findings(align(a, a)) == []


@given(
    st.lists(st.lists(st.sampled_from("abcdef"), max_size=2, unique=True), min_size=1, max_size=30),
    st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=2, unique=True), min_size=1, max_size=30),
)
def test_what_is_left_out_as_rare_would_not_have_been_named(a: list[list[str]], b: list[list[str]]) -> None:
    compared = changes(*(operations([_calling(names) for names in each]) for each in (a, b)))
    found = findings(compared)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contrasts, "RARE", -1.0)
        assert findings(compared) == found


def test_what_few_traces_of_one_set_have_is_left_out() -> None:
    names = "ABCDEFGHIJKLMNOPQRST"
    many = [_calling([name]) for name in names]
    compared = changes(operations(many), operations(many[:10]))
    left = [compared[contrast.row].name for contrast in contrasts.contrasts(compared)]
    assert left == ["pay", *names[:10]]


def _calling(names: list[str]) -> Tree:
    """A payment with these calls; those in the second half of the alphabet failed, and call themselves again."""
    calls = [span(name, "pay", status=FAILED if name > "d" else Status()) for name in names]
    return grown(span("pay"), *calls, *(span(f"{name}2", name) for name in names if name > "d"))


@given(st.lists(alike_trees(), max_size=4), st.lists(alike_trees(), max_size=4))
def test_whatever_the_sets_findings_point_at_their_changes(a: list[Tree], b: list[Tree]) -> None:
    compared = changes(operations(a), operations(b))
    assert all(compared[finding.row].name in finding.text for finding in findings(compared))
    assert findings(changes(operations(a), operations(a))) == []


def test_what_became_quicker_is_named_too() -> None:
    slow, quick = ([paying(("bank", duration))] * 20 for duration in (100, 20))
    assert [(finding.kind, texts([finding])) for finding in of_sets(slow, quick)] == [
        ("faster", ["shop: bank: 100 → 20 ms (20 and 20 traces)"])
    ]


def test_what_a_few_more_traces_have_is_not_named() -> None:
    without, with_ = paying(), paying(("bank", 20))
    assert of_sets([without] * 400, [without] * 380 + [with_] * 20) == []
