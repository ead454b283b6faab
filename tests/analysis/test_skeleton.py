"""A trace within a budget."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from minitrace.analysis.skeleton import skeleton
from minitrace.analysis.tree import Tree, tree
from minitrace.model import Event, Span, Status, StatusCode, Trace
from tests.samples import TRACE, span

FAILED = Status(StatusCode.ERROR)


def of(*spans: Span) -> Tree:
    return tree(Trace(TRACE, spans))


def declined(name: str, parent: str, **more: Any) -> Span:
    event = Event(0, "exception", {"exception.type": "CardError", "exception.message": "card declined"})
    return span(name, parent, service="payment", status=FAILED, events=[event], **more)


CHECKOUT = of(
    span("POST /checkout", duration_ms=1000, service="frontend"),
    *(span("SELECT stock", "POST /checkout", id=f"{n}", start_ms=10 * n, duration_ms=8) for n in range(14)),
    declined("POST /charge", "POST /checkout", start_ms=200, duration_ms=700),
    span("log", "POST /charge", start_ms=300, duration_ms=1, service="payment"),
)


def test_with_room_for_all_every_span_has_a_line_or_is_in_a_run() -> None:
    head, *lines = skeleton(CHECKOUT, 2000).splitlines()
    assert head.startswith("1 s · 70% in payment's own time")
    assert lines == [
        "frontend: POST /checkout  1 s",
        " shop: x14 SELECT stock  sum 112 ms",
        " ! payment: POST /charge  700 ms  CardError: card declined",
        "  log  1 ms",
    ]


def test_the_error_is_the_last_line_to_go() -> None:
    assert skeleton(CHECKOUT, 110).splitlines() == [
        "1 s",
        " ! payment: POST /charge  700 ms  CardError: card declined  (+1 span)",
        "(+15 spans elsewhere)",
    ]


def test_a_failed_span_of_a_run_is_shown_beside_the_others() -> None:
    siblings = [span("SELECT", "root", id=f"{n}", start_ms=n, duration_ms=1) for n in range(5)]
    failed = span("SELECT", "root", id="failed", start_ms=9, duration_ms=1, status=FAILED)
    lines = skeleton(of(span("root"), *siblings, failed), 1000).splitlines()
    assert lines[2:] == [" x5 SELECT  sum 5 ms", " ! SELECT  1 ms"]


def test_a_message_is_told_where_it_was_raised_and_not_by_those_who_heard_of_it() -> None:
    rows = of(
        span("root", status=Status(StatusCode.ERROR, "payment said: card declined")),
        declined("charge", "root"),
        span("POST gateway", "charge", service="payment", status=Status(StatusCode.ERROR, "402")),
    )
    assert skeleton(rows, 1000).splitlines()[1:] == [
        "! shop: root  10 ms",
        " ! payment: charge  10 ms  CardError: card declined",
        "  ! POST gateway  10 ms  402",
    ]


def test_one_of_many_failures_alike_is_enough_before_there_is_room() -> None:
    failures = [declined("charge", "root", start_ms=n) for n in range(3)]
    for number, one in enumerate(failures):
        one.span_id = bytes([number]) * 8
    rows = of(span("root"), *failures, span("rare", "root", status=FAILED))
    told = [line for line in skeleton(rows, 165).splitlines() if "!" in line]
    assert told == [" ! payment: charge  10 ms  CardError: card declined", " ! shop: rare  10 ms"]


def test_a_chain_of_20_000_spans_is_no_deep_indentation() -> None:
    chain = [span(f"{n}", f"{n - 1}" if n else "", duration_ms=5) for n in range(20_000)]
    chain[-1].status = FAILED
    text = skeleton(of(*chain), 400)
    assert "! shop: 19999" in text or "! 19999" in text
    assert len(text) <= 400


def test_no_spans_are_no_text() -> None:
    assert skeleton(of(), 100) == ""


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Traces of any shape, whose spans have few names and fail at times."""
    spans: list[Span] = []
    for number in range(draw(st.integers(0, 25))):
        parent = draw(st.integers(-1, number - 1))
        one = span(
            draw(st.sampled_from(["a", "SELECT stock", "ü" * 90, "", "q\nr"])),
            id=str(number),
            service=draw(st.sampled_from(["shop", "pay"])),
            start_ms=draw(st.integers(0, 50)),
            duration_ms=draw(st.integers(0, 50)),
            status=draw(st.sampled_from([Status(), Status(StatusCode.ERROR, "no " * 90)])),
        )
        one.parent_id = spans[parent].span_id if parent >= 0 else b""
        spans.append(one)
    return of(*spans)


@given(trees(), st.integers(0, 1500))
def test_it_is_never_longer_than_asked_for(rows: Tree, most: int) -> None:
    assert len(skeleton(rows, most)) <= most


@given(trees(), st.integers(300, 1500))
def test_every_span_is_told_or_counted_once(rows: Tree, most: int) -> None:
    lines = skeleton(rows, most).splitlines()[1:]
    told = [line for line in lines if not line.startswith("(+")]
    alike = sum(int(number) - 1 for line in told for number in re.findall(r"\bx(\d+) .*  sum ", line))
    counted = sum(int(number) for line in lines for number in re.findall(r"\(\+(\d+) spans?", line))
    assert len(told) + alike + counted == len(rows)


@given(trees(), st.integers(0, 1500))
def test_errors_are_kept_before_anything_else(rows: Tree, most: int) -> None:
    lines = skeleton(rows, most).splitlines()[1:]
    told = [line for line in lines if not line.startswith("(+")]
    failed = [row for row in range(len(rows)) if rows.span(row).is_error]
    if failed and told:
        assert any(line.lstrip().startswith("! ") for line in told)


def test_what_stands_above_a_failure_comes_before_what_was_slow() -> None:
    rows = of(
        span("root", duration_ms=1000),
        span("slow", "root", start_ms=1, duration_ms=900),
        span("step", "root", start_ms=950, duration_ms=10),
        span("broken", "step", start_ms=951, duration_ms=1, status=FAILED),
    )
    assert [line.split()[0] for line in skeleton(rows, 170).splitlines()[1:4]] == ["shop:", "step", "!"]


def test_a_run_says_how_many_of_it_failed() -> None:
    siblings = [span("SELECT", "root", id=f"{n}", start_ms=n, duration_ms=1) for n in range(9)]
    failed = [span("SELECT", "root", id=f"failed {n}", start_ms=20 + n, duration_ms=1, status=FAILED) for n in range(3)]
    assert " x11 SELECT  sum 11 ms, 2 failed" in skeleton(of(span("root"), *siblings, *failed), 200).splitlines()
