"""Why a trace is different from others of its root operation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.analysis.tree import Tree, tree
from minitrace.analysis.unusual import FEWEST, MOST_OTHERS_HAVE, Unusual, unusual
from minitrace.model import Attributes, Kind, Resource, Status, StatusCode, Trace
from minitrace.present import THIN_SPACE
from tests.analysis.alike import alike_trees
from tests.analysis.growing import grown, named
from tests.analysis.planting import orders, repeated, slower
from tests.samples import span

FAILED = Status(StatusCode.ERROR)
Call = tuple[str, float]


def paying(
    *calls: Call, attributes: Attributes | None = None, of_service: Attributes | None = None, **more: Any
) -> Tree:
    """A payment with these calls one after another, of so many milliseconds, and a tenth of a second of its own."""
    resource = Resource({"service.name": "shop", **(of_service or {})})
    began = 0.0
    total = 100 + sum(duration for _, duration in calls)
    spans = [span("pay", duration_ms=total, attributes=attributes or {}, resource=resource, **more)]
    for number, (name, duration) in enumerate(calls):
        call = span(
            name, "pay", id=f"{number}", start_ms=began, duration_ms=duration, kind=Kind.CLIENT, resource=resource
        )
        spans.append(call)
        began += duration
    return grown(*spans)


def texts(found: list[Unusual]) -> list[str]:
    return [reason.text.replace(THIN_SPACE, " ") for reason in found]


# What it did


def test_planted_regressions_are_why_an_order_of_the_demo_is_different() -> None:
    population = [tree(Trace(spans[0].trace_id, spans)) for spans in orders(1, 60)]
    spans = repeated(slower(orders(9, 1)[0], "INSERT charges", 80), "UPDATE stock", 14)
    subject = tree(Trace(spans[0].trace_id, spans))
    found = unusual(subject, population)
    assert named(subject, *[each.row or 0 for each in found[:2]]) == ["INSERT charges", "UPDATE stock"]
    assert [text.split(";")[0] for text in texts(found)[:2]] == [
        "payment: INSERT charges took 224 ms",
        "15 calls of inventory: UPDATE stock",
    ]


def test_hardly_anything_is_unusual_about_an_order_of_the_demo() -> None:
    trees = [tree(Trace(spans[0].trace_id, spans)) for spans in orders(2, 40)]
    reasons = [unusual(one, [other for other in trees if other is not one]) for one in trees[:20]]
    assert sum(not found for found in reasons) >= 15


def test_a_call_took_longer_than_with_others() -> None:
    population = [paying(("bank", 100 + n)) for n in range(20)]
    (reason,) = unusual(paying(("bank", 881)), population)
    assert texts([reason]) == ["shop: bank took 881 ms; usually 109 ms (of 20)"]
    assert (reason.kind, reason.row, reason.share) == ("time", 1, 0.0)
    assert [value.replace(THIN_SPACE, " ") for value in (reason.subject_value, reason.usual_value)] == [
        "881 ms",
        "109 ms",
    ]
    assert unusual(paying(("bank", 119)), population) == []


def test_a_call_took_far_less_than_with_others() -> None:
    assert texts(unusual(paying(("bank", 10)), [paying(("bank", 200))] * 10)) == [
        "shop: bank took 10 ms; usually 200 ms (of 10)"
    ]


def test_a_parent_is_not_blamed_for_its_child() -> None:
    def asked(duration: float) -> Tree:
        return grown(span("pay", duration_ms=duration + 10), span("ask", "pay", duration_ms=duration))

    assert texts(unusual(asked(500), [asked(20)] * 10)) == ["shop: ask took 500 ms; usually 20 ms (of 10)"]


def test_more_calls_than_with_others_are_counted_once_at_the_top() -> None:
    def asked(count: int) -> Tree:
        calls = [span("ask", "pay", id=f"ask{n}", start_ms=10 * n, duration_ms=10) for n in range(count)]
        reads = [span("read", f"ask{n}", id=f"read{n}", start_ms=10 * n, duration_ms=8) for n in range(count)]
        return grown(span("pay", duration_ms=10 * count + 10), *calls, *reads)

    (reason,) = unusual(asked(14), [asked(1)] * 9 + [asked(2)])
    assert texts([reason]) == ["14 calls of shop: ask; usually 1 (of 10)"]


def test_operations_that_are_missing_or_new_are_named_at_the_top() -> None:
    usual = grown(span("pay"), span("cache", "pay"), span("get", "cache"))
    other = grown(span("pay"), span("bank", "pay", duration_ms=2), span("ask", "bank"))
    found = unusual(other, [usual] * 9 + [other])
    assert texts(found) == ["no shop: cache; 90% of the others have it", "shop: bank, 2 ms; 10% of the others have it"]
    assert [(reason.kind, reason.row) for reason in found] == [("missing", 0), ("new", 1)]


def test_a_failure_is_named_where_it_began() -> None:
    def asked(status: Status) -> Tree:
        return grown(span("pay", status=status), span("ask", "pay", status=status))

    (reason,) = unusual(asked(FAILED), [asked(Status())] * 10)
    assert (texts([reason]), reason.row) == (["shop: ask failed; none of the others did"], 1)
    assert unusual(asked(FAILED), [asked(Status())] * 5 + [asked(FAILED)] * 5) == []


def test_what_is_new_and_fails_is_named_once() -> None:
    retry = span("retry", "pay", start_ms=10, status=FAILED)
    retried = grown(span("pay", duration_ms=20), retry, span("read", "retry", start_ms=12, duration_ms=5))
    assert texts(unusual(retried, [grown(span("pay"))] * 10)) == ["shop: retry failed; none of the others did"]


def test_what_a_trace_did_comes_before_what_it_has_unless_that_may_be_chance() -> None:
    population = [paying(("bank", 100 + n), of_service={"app.version": "2.3.0"}) for n in range(20)]
    kinds = {
        duration: [
            reason.kind
            for reason in unusual(paying(("bank", duration), of_service={"app.version": "2.3.1"}), population)
        ]
        for duration in (250, 881)
    }
    assert kinds == {250: ["attribute", "time"], 881: ["time", "attribute"]}


# Which values it has


def test_a_value_is_unusual_where_most_others_have_another_one() -> None:
    population = [paying(attributes={"tier": "gold"}) for _ in range(24)] + [paying(attributes={"tier": "trial"})]
    (reason,) = unusual(paying(attributes={"tier": "trial"}), population)
    assert texts([reason]) == ["shop: pay: tier = trial; 96% of the others have gold"]
    assert (reason.subject_value, reason.usual_value, reason.share, reason.row) == ("trial", "gold", 0.04, 0)


def test_what_a_service_says_of_itself_is_told_once() -> None:
    population = [paying(("read", 1), of_service={"app.version": "2.3.0"})] * 10
    subject = paying(("read", 1), of_service={"app.version": "2.3.1"})
    assert texts(unusual(subject, population)) == ["shop: app.version = 2.3.1; all others have 2.3.0"]


def test_a_value_that_others_do_not_have_and_one_that_is_missing() -> None:
    usual = [paying(attributes={"cache.hit": True})] * 10
    found = unusual(paying(attributes={"feature": "new"}), usual)
    assert texts(found) == [
        "shop: pay: feature = new; all others have none",
        "shop: pay: no cache.hit; all others have it",
    ]


def test_values_that_are_always_others_tell_nothing() -> None:
    population = [paying(attributes={"order": f"o-{n}", "thread.id": 7, "size": n % 2}) for n in range(20)]
    assert unusual(paying(attributes={"order": "o-77", "thread.id": 8, "size": 1}), population) == []


def test_a_quantity_is_unusual_far_from_the_others() -> None:
    population = [paying(attributes={"items": 1 + n % 9}) for n in range(40)]
    found = unusual(paying(attributes={"items": 412}), population)
    assert texts(found) == ["shop: pay: items = 412; usually 5, and 95% have up to 9"]
    assert unusual(paying(attributes={"items": 10}), population) == []


def test_a_value_that_is_handed_down_is_told_where_it_comes_first() -> None:
    def handed(tier: str) -> Tree:
        return grown(span("pay", attributes={"tier": tier}), span("ask", "pay", attributes={"tier": tier}))

    assert texts(unusual(handed("none"), [handed("gold")] * 8)) == ["shop: pay: tier = none; all others have gold"]


def test_a_path_that_no_other_trace_has_is_told() -> None:
    (reason,) = unusual(paying(("bank", 20), ("audit", 80)), [paying(("bank", 20))] * 8)
    assert texts([reason]) == ["shop: audit, 80 ms; none of the others has it"]


# Few others


@pytest.mark.parametrize(("count", "others"), [(0, "no other trace"), (1, "1 other trace"), (4, "4 other traces")])
def test_of_too_few_others_nothing_is_said(count: int, others: str) -> None:
    (reason,) = unusual(paying(("bank", 900)), [paying(("bank", 1))] * count)
    assert texts([reason]) == [f"{others} of this root operation: too few to say what is usual"]
    assert (reason.kind, reason.row) == ("few", None)


def test_a_trace_among_its_likes_has_nothing_unusual() -> None:
    assert unusual(paying(("bank", 20)), [paying(("bank", 20))] * FEWEST) == []
    assert unusual(grown(), [grown()] * FEWEST) == []


@given(alike_trees(), st.lists(alike_trees(), min_size=FEWEST, max_size=FEWEST + 2))
def test_whatever_the_traces_reasons_point_into_the_trace_and_the_weightiest_come_first(
    subject: Tree, population: list[Tree]
) -> None:
    found = unusual(subject, population)
    assert all(reason.row is None or 0 <= reason.row < len(subject) for reason in found)
    assert all(0 <= reason.share <= 1 - MOST_OTHERS_HAVE + 1e-9 for reason in found)
    assert [reason.weight for reason in found] == sorted([reason.weight for reason in found], reverse=True)


def test_what_only_most_others_have_is_not_missed() -> None:
    population = [paying(attributes={"tier": "gold"} if n < 17 else {}) for n in range(20)]
    assert unusual(paying(), population) == []


def test_numbers_of_few_kinds_are_codes_and_no_quantity() -> None:
    population = [paying(attributes={"size": 1 + n % 4}) for n in range(20)]
    assert unusual(paying(attributes={"size": 900}), population) == []


def test_a_quantity_that_some_others_exceed_is_not_unusual() -> None:
    population = [paying(attributes={"size": 1 + n if n < 18 else 500}) for n in range(20)]
    assert unusual(paying(attributes={"size": 400}), population) == []


def test_of_many_calls_at_one_place_the_first_ones_tell() -> None:
    def asking(**last: int) -> Tree:
        calls = [span("ask", "pay", id=f"{n}", start_ms=n, duration_ms=1) for n in range(20)]
        return grown(
            span("pay", duration_ms=100), *calls, span("ask", "pay", id="l", start_ms=30, attributes=dict(last))
        )

    assert unusual(asking(code=7), [asking(code=1)] * 20) == []


def test_at_most_twelve_reasons_are_given() -> None:
    population = [paying(attributes={f"key {n}": "usual" for n in range(20)})] * 20
    assert len(unusual(paying(attributes={f"key {n}": "other" for n in range(20)}), population)) == 12
