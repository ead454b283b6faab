"""A trace in one sentence: what is said, when, and which rows are meant."""

from __future__ import annotations

import pytest
from hypothesis import given

from minitrace.analysis import skew
from minitrace.analysis.repeats import Run
from minitrace.analysis.tree import Tree, tree
from minitrace.analysis.verdict import MOST_CLAIMS, Claim, verdict
from minitrace.model import Kind, Span, Status, StatusCode, Trace
from minitrace.present import THIN_SPACE
from tests.analysis.alike import alike_trees
from tests.analysis.growing import MANY, chain, fan, grown
from tests.samples import TRACE, span

FAILED = Status(StatusCode.ERROR)


def said(rows: Tree) -> str:
    """The sentence, with plain spaces."""
    return " · ".join(claim.text for claim in verdict(rows)).replace(THIN_SPACE, " ")


def the(kind: str, *spans: Span) -> Claim | None:
    """The claim of a kind about these spans, if there is one."""
    return next((claim for claim in verdict(grown(*spans)) if claim.kind == kind), None)


def text(kind: str, *spans: Span) -> str | None:
    claim = the(kind, *spans)
    return claim.text.replace(THIN_SPACE, " ") if claim else None


def queries(count: int, *, duration_ms: float = 1, start_ms: float = 0) -> list[Span]:
    """So many queries of the stock below "pay", all at once."""
    return [
        span(
            "SELECT",
            "pay",
            id=f"query {number}",
            start_ms=start_ms,
            duration_ms=duration_ms,
            kind=Kind.CLIENT,
            attributes={"db.query.text": "SELECT a FROM stock"},
        )
        for number in range(count)
    ]


def test_a_trace_is_told_in_one_sentence() -> None:
    rows = grown(
        span("pay", duration_ms=1_000),
        *queries(14, start_ms=10, duration_ms=100),
        span("charge", "pay", service="payment", start_ms=150, duration_ms=710, status=FAILED),
        span("send mail", "pay", start_ms=870, duration_ms=100),
    )
    assert said(rows) == "1 s · 71% in payment's own time · 14× SELECT stock (N+1?) · 1 error"


def test_an_empty_trace_is_told_in_none() -> None:
    assert verdict(grown()) == []


def test_of_one_span_its_duration_says_all() -> None:
    assert said(grown(span("pay", duration_ms=84))) == "84 ms"


def test_a_trace_without_times_says_so() -> None:
    assert said(grown(span("pay", start_ns=0, end_ns=0))) == "no times"


def test_a_trace_in_which_nothing_takes_time_says_so() -> None:
    assert said(grown(span("pay", duration_ms=0), *queries(5, duration_ms=0))) == "0 ns"


# Where the time went


def test_a_services_own_time_leads_to_the_row_that_spent_most_of_it() -> None:
    claim = the(
        "own",
        span("pay", duration_ms=100),
        span("charge", "pay", service="payment", start_ms=5, duration_ms=30),
        span("settle", "pay", service="payment", start_ms=40, duration_ms=50),
    )
    assert claim == Claim("own", "80% in payment's own time", 2, (1, 2))


def test_what_a_service_waits_for_is_not_its_own_time() -> None:
    assert text("own", span("pay"), span("SELECT", "pay", service="payment", kind=Kind.CLIENT)) == (
        "100% in payment's SELECT"
    )


def test_a_service_with_much_of_both_has_the_sum() -> None:
    spans = [
        span("pay", duration_ms=100),
        span("charge", "pay", service="payment", start_ms=0, duration_ms=50),
        span("SELECT", "charge", service="payment", kind=Kind.CLIENT, start_ms=0, duration_ms=25),
        span("audit", "pay", service="audit", start_ms=50, duration_ms=25),
    ]
    assert text("own", *spans) == "50% in payment"


def test_where_there_is_one_service_an_operation_is_named() -> None:
    assert text("own", span("pay", duration_ms=10), span("charge 7", "pay", duration_ms=8)) == "80% in charge {id}"


def test_an_operation_with_others_below_it_spent_the_time_itself() -> None:
    assert text("own", span("pay", duration_ms=10), span("charge", "pay", duration_ms=1)) == "90% in pay itself"


def test_what_is_not_on_the_critical_path_did_not_make_it_long() -> None:
    spans = [
        span("pay", duration_ms=100),
        span("long", "pay", service="payment", start_ms=0, duration_ms=100),
        *[span(f"aside {n}", "pay", service="aside", start_ms=5, duration_ms=90) for n in range(4)],
    ]
    assert text("own", *spans) == "100% in payment's own time"


def test_time_that_is_spread_evenly_is_nobodys() -> None:
    services = [span(f"{n}", "pay", service=f"{n}", start_ms=25 * n, duration_ms=25) for n in range(4)]
    assert the("own", span("pay", duration_ms=100), *services) is None


# What could be otherwise


def test_calls_that_could_run_together_say_what_that_would_save() -> None:
    calls = [
        span(f"get {name}", "pay", kind=Kind.CLIENT, start_ms=10 + 30 * n, duration_ms=30)
        for n, name in enumerate("abc")
    ]
    claim = the("sequence", span("pay", duration_ms=110), *calls)
    assert claim == Claim("sequence", f"3 calls one after another could save 60{THIN_SPACE}ms", 1, (1, 2, 3))


def test_a_repeat_leads_to_its_first_row() -> None:
    claim = the("repeat", span("pay"), *queries(5))
    assert claim == Claim("repeat", "5× SELECT stock (N+1?)", 1, (1, 2, 3, 4, 5))


def test_work_that_repeats_is_no_call() -> None:
    work = [span("pack", "pay", id=f"{n}", duration_ms=5) for n in range(5)]
    assert text("repeat", span("pay"), *work) == "5× pack"


@pytest.mark.parametrize(
    ("count", "duration_ms", "expected"),
    [(5, 9, None), (5, 10, "5× SELECT stock (N+1?)"), (9, 1, None), (10, 1, "10× SELECT stock (N+1?)")],
)
def test_a_repeat_is_told_from_a_twentieth_of_the_trace_or_ten_times(
    count: int, duration_ms: float, expected: str | None
) -> None:
    assert text("repeat", span("pay", duration_ms=1_000), *queries(count, duration_ms=duration_ms)) == expected


def test_of_several_repeats_the_one_with_the_largest_total_is_told() -> None:
    work = [span("pack", "pay", id=f"{n}", duration_ms=5) for n in range(5)]
    assert text("repeat", span("pay"), *work, *queries(10, duration_ms=1)) == "5× pack"


def test_runs_that_are_known_are_taken() -> None:
    rows = grown(span("pay", duration_ms=10))
    assert [claim.text for claim in verdict(rows, [Run(-1, (0,), "known", 10**9, 1, is_call=False)])][1:] == [
        "1× known"
    ]


def test_a_long_gap_is_told_with_the_row_that_is_silent() -> None:
    claim = the(
        "untraced",
        span("GET /cart/7", duration_ms=1_000),
        span("load", "GET /cart/7", service="cart", start_ms=100, duration_ms=800),
    )
    assert claim == Claim("untraced", f"200{THIN_SPACE}ms untraced in GET /cart/7", 0, (0,))


def test_of_several_rows_with_gaps_the_one_that_is_silent_longest_is_told() -> None:
    spans = [
        span("pay", duration_ms=1_000),
        span("load", "pay", service="cart", start_ms=100, duration_ms=900),
        span("read", "load", service="disk", start_ms=300, duration_ms=700),
    ]
    assert text("untraced", *spans) == "200 ms untraced in load"


def test_a_gap_is_not_told_again_as_own_time() -> None:
    assert said(grown(span("pay", duration_ms=1_000), span("charge", "pay", duration_ms=100))) == (
        "1 s · 90% in pay itself"
    )


# What went wrong


def test_an_error_is_told_where_it_began_and_with_its_echo() -> None:
    claim = the(
        "error",
        span("pay", status=FAILED),
        span("charge", "pay", status=FAILED),
        span("bank", "charge", status=FAILED),
    )
    assert claim == Claim("error", "1 error, seen in 3 spans", 2, (2,))


def test_an_error_with_none_right_above_it_has_its_echo_too() -> None:
    assert text("error", span("pay", status=FAILED), span("charge", "pay"), span("bank", "charge", status=FAILED)) == (
        "1 error, seen in 2 spans"
    )


def test_of_several_errors_the_one_that_reached_highest_is_the_first_to_look_at() -> None:
    claim = the(
        "error",
        span("pay", status=FAILED),
        span("cache", "pay", start_ms=1),
        span("redis", "cache", start_ms=1),
        span("GET", "redis", start_ms=1, status=FAILED),
        span("charge", "pay", start_ms=5, status=FAILED),
    )
    assert claim == Claim("error", "2 errors, seen in 3 spans", 4, (3, 4))


def test_of_errors_that_nobody_noticed_the_deepest_is_the_first_to_look_at() -> None:
    spans = [span("pay"), span("a", "pay", status=FAILED), span("b", "pay", start_ms=1), span("c", "b", status=FAILED)]
    assert the("error", *spans) == Claim("error", "2 errors", 3, (1, 3))


def test_a_root_that_has_not_come_is_told() -> None:
    assert the("missing", span("charge", "pay")) == Claim("missing", "root not received", 0, (0,))


def test_other_parents_that_have_not_come_are_counted() -> None:
    spans = [span("pay"), span("a", "x"), span("b", "x"), span("c", "y")]
    claim = the("missing", *spans)
    assert claim
    assert (claim.text, len(claim.rows)) == ("2 parents not received", 3)


def test_a_cycle_misses_no_parent() -> None:
    assert the("missing", span("pay"), span("a", "b"), span("b", "a")) is None


def test_where_spans_were_removed_no_parent_is_called_missing() -> None:
    rows = tree(Trace(TRACE, [span("charge", "pay")], removed_count=1))
    assert [claim.kind for claim in verdict(rows)] == ["duration"]


def test_a_clock_that_was_adjusted_is_told_with_the_row_that_moved() -> None:
    trace = Trace(
        TRACE,
        [
            span("POST /charge", kind=Kind.CLIENT, duration_ms=10),
            span("charge", "POST /charge", service="payment", kind=Kind.SERVER, start_ms=-50, duration_ms=8),
            span("SELECT", "charge", service="payment", start_ms=-49, duration_ms=5),
        ],
    )
    claims = verdict(tree(trace, skew.shifts(trace)))
    assert claims[-1] == Claim("skew", "clock of 1 service adjusted", 1, (1,))


# The whole


def test_names_in_it_are_cut() -> None:
    long = "x" * 1_000
    rows = grown(span("pay"), span(long, "pay", service=long))
    assert len(said(rows)) < 100


def test_at_most_six_claims_are_made_in_a_fixed_order() -> None:
    calls = [
        span(f"get {name}", "pay", kind=Kind.CLIENT, start_ms=100 * n, duration_ms=100) for n, name in enumerate("abc")
    ]
    late = span("charge", "pay", service="payment", start_ms=450, duration_ms=400, status=FAILED)
    orphan = span("lost", "absent", start_ms=0, duration_ms=1)
    rows = grown(span("pay", duration_ms=1_000), *calls, *queries(10), late, orphan)
    kinds = [claim.kind for claim in verdict(rows)]
    assert kinds == ["duration", "own", "sequence", "repeat", "untraced", "error"]
    assert len(kinds) == MOST_CLAIMS


@pytest.mark.parametrize("trace", [chain(), fan()], ids=["chain", "fan"])
def test_20_000_spans_in_a_row_or_side_by_side_are_told(trace: Trace) -> None:
    for one in trace.spans:
        one.status = FAILED
    assert next(claim.rows for claim in verdict(tree(trace)) if claim.kind == "error")[-1] == len(trace.spans) - 1
    assert len(trace.spans) in (MANY, MANY + 1)


@given(alike_trees())
def test_every_claim_leads_to_rows_that_are_there(rows: Tree) -> None:
    for claim in verdict(rows):
        assert claim.row in claim.rows or (claim.kind, claim.row) == ("duration", None)
        assert set(claim.rows) <= set(range(len(rows)))
