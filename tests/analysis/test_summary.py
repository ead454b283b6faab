"""A trace as Markdown: what it says, and that telemetry stays text."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.analysis.drawing import one_line
from minitrace.analysis.repeats import runs
from minitrace.analysis.summary import MOST_ERRORS, code, fenced, summary
from minitrace.analysis.tree import tree
from minitrace.analysis.verdict import Claim, verdict
from minitrace.model import Event, Span, Status, StatusCode, Trace
from tests.samples import T0, TRACE, span

FAILED = Status(StatusCode.ERROR, "card declined")


def summary_of(*spans: Span, removed_count: int = 0) -> str:
    found = tree(Trace(TRACE, spans, removed_count=removed_count))
    return summary(found, runs=runs(found), claims=verdict(found))


def test_a_summary_has_title_verdict_facts_tree_and_errors() -> None:
    raised = Event(T0, "exception", {"exception.type": "CardError", "exception.message": "no\nfunds"})
    checkout = [
        span("GET /checkout", service="frontend", duration_ms=100),
        span("charge", "GET /checkout", service="payment", duration_ms=60, status=FAILED, events=[raised]),
    ]
    claims = [Claim("duration", "100\u2009ms", 0), Claim("error", "1 error", 1, (1,))]
    assert summary(tree(Trace(TRACE, checkout)), claims=claims) == "\n".join(
        [
            "### `frontend: GET /checkout`",
            "",
            "`100 ms` · `1 error`",
            "",
            "- Started 2023-11-14T22:13:20.000000Z",
            "- 2 spans: 1 of `frontend`, 1 of `payment`",
            f"- Trace `{TRACE.hex()}`",
            "",
            "```",
            "frontend: GET /checkout  100 ms  " + "━" * 60,
            "└── ⨯ payment: charge     60 ms  " + "━" * 36,
            "```",
            "",
            "Errors:",
            "",
            "- `payment: charge` `CardError`: `no funds`",
            "",
        ]
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "`shop: a` `card declined`"),
        ({"attributes": {"error.type": "timeout"}}, "`shop: a` `timeout`: `card declined`"),
        ({"status": Status(StatusCode.ERROR)}, "`shop: a`"),
        ({"events": [Event(T0, "exception", {"exception.type": n}) for n in "XY"]}, "`shop: a` `Y`: `card declined`"),
        ({"status": Status(StatusCode.ERROR, "m" * 1000)}, f"`shop: a` `{'m' * 299}…`"),
    ],
)
def test_an_error_says_its_type_and_message_as_far_as_they_are_known(fields: dict[str, Any], said: str) -> None:
    assert summary_of(span("a", **{"status": FAILED, **fields})).splitlines()[-1] == f"- {said}"


def test_only_the_first_errors_are_listed() -> None:
    spans = [span(f"s{chr(97 + n)}", status=FAILED) for n in range(MOST_ERRORS + 2)]
    lines = summary_of(*spans).splitlines()
    assert sum(line.endswith("`card declined`") for line in lines) == MOST_ERRORS
    assert lines[-1] == "- 2 more"


def test_a_trace_without_its_root_or_with_spans_removed_says_so() -> None:
    text = summary_of(span("lost", "nobody"), removed_count=3)
    assert text.startswith("### `root not received`\n")
    assert "- 3 spans removed to make room\n" in text


@given(st.text(st.sampled_from("`a \n<>[]()*_~|\\#@\u2028"), max_size=40))
def test_text_in_code_cannot_end_it(text: str) -> None:
    made = code(text)
    assert "\n" not in made
    fence, inner = re.fullmatch(r"(`+)(?!`)(.*)(?<!`)\1", made).groups()  # type: ignore[union-attr]
    assert fence not in re.findall("`+", inner)
    assert inner.strip() == one_line(text)


@given(st.lists(st.text(st.sampled_from("`a ~"), max_size=12), max_size=6).map("\n".join))
def test_text_in_a_fence_cannot_close_it(text: str) -> None:
    fence, *lines, end = fenced(text).split("\n")
    assert fence == end
    assert "\n".join(lines) == text
    assert all(fence not in line for line in lines)
