"""What tests claim of spans: what holds, and what is said of what does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.analysis.drawing import cells
from minitrace.errors import TraceQLError
from minitrace.model import Event, Kind, Span, Status, StatusCode
from minitrace.testing import claims
from minitrace.testing.capturing import Circumstances, Request, Seen, Snapshot
from minitrace.testing.failures import Inconclusive, TracesFailure
from tests import hard
from tests.samples import MS, span

FAILED = Status(StatusCode.ERROR)
NOTHING_WRONG = Circumstances(True, False, 1, (), {}, 0, (), 0)
DB = "{ span.db.system.name != nil }"


def snapshot(*spans: Span, dropped: int = 0, open: tuple[str, ...] = ()) -> Snapshot:
    return Snapshot(tuple(Seen(span, "in-process", None) for span in spans), dropped, open, 1)


def select(n: int, parent: str = "GET /orders", statement: str = "", **more: Any) -> Span:
    text = statement or f"SELECT * FROM item WHERE id = {n}"
    attributes = {"db.system.name": "sqlite", "db.query.text": text}
    fields = {"start_ms": 10 + 3 * n, "duration_ms": 3, "kind": Kind.CLIENT, "attributes": attributes, **more}
    return span("SELECT", parent, id=f"{parent} {n}", **fields)


def raised(error: str, message: str, stack: str = "") -> list[Event]:
    said = {"exception.type": error, "exception.message": message, "exception.stacktrace": stack}
    return [Event(0, "exception", dict(said))]


def failure(claim: Any, *arguments: Any, **named: Any) -> list[str]:
    """The lines that a claim fails with."""
    with pytest.raises(TracesFailure) as failed:
        claim(*arguments, **named)
    assert not isinstance(failed.value, Inconclusive)
    return str(failed.value).splitlines()


ROOT = span("GET /orders", duration_ms=20, kind=Kind.SERVER)
ORDERS = snapshot(ROOT, *(select(n) for n in range(3)))
STACK = """Traceback (most recent call last):
  File "/app/shop/pay.py", line 42, in charge
    client.post("/charge")
  File "/venv/lib/python3.11/site-packages/httpx/_client.py", line 914, in send
    raise exc
httpx.ConnectError: refused"""
CHECKOUT = snapshot(
    span("POST /checkout", duration_ms=300, status=FAILED),
    span("charge", "POST /checkout", status=FAILED, start_ms=10, duration_ms=200),
    span("send", "charge", status=FAILED, events=raised("ConnectError", "refused", STACK), service="pay", start_ms=20),
    span("mail", "POST /checkout", status=Status(StatusCode.ERROR, "no route"), start_ms=250),
)


# Finding


def test_a_query_finds_each_span_once_in_order_of_start() -> None:
    found = claims.find(ORDERS, "{ } | by(name)")
    assert found == [ROOT, select(0), select(1), select(2)]


def test_series_are_nothing_that_a_test_can_find() -> None:
    with pytest.raises(TraceQLError, match="tests look at spans"):
        claims.find(ORDERS, "{ } | rate()")


def test_a_query_that_cannot_be_read_is_no_query_that_finds_nothing() -> None:
    with pytest.raises(TraceQLError, match="did you mean duration"):
        claims.none(ORDERS, "{ dration > 1s }")


def test_below_a_span_whose_parent_another_process_has_there_is_something() -> None:
    remote = snapshot(span("GET /hello", "the test"), span("SELECT", "GET /hello"))
    assert [one.name for one in claims.find(remote, '{ name = "GET /hello" } >> { }')] == ["SELECT"]
    assert [one.name for one in claims.find(remote, '{ nestedSetParent < 0 && rootName = "GET /hello" }')] == [
        "GET /hello"
    ]


# One


def test_the_only_span_is_given() -> None:
    assert claims.one(ORDERS, "{ kind = server }", NOTHING_WRONG) is ROOT


def test_none_where_one_was_expected_tells_near_misses_and_draws_the_trace() -> None:
    assert failure(claims.one, ORDERS, '{ name = "GET /order" }', NOTHING_WRONG)[:4] == [
        'expected one span for { name = "GET /order" }, found none',
        "  closest names: GET /orders",
        "trace 61207472  4 spans  20 ms  in-process",
        "  shop: GET /orders           20 ms  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━",
    ]


def test_several_where_one_was_expected_are_listed_with_what_tells_them_apart() -> None:
    assert failure(claims.one, ORDERS, DB, NOTHING_WRONG)[:4] == [
        "expected one span for { span.db.system.name != nil }, found 3",
        '  shop: SELECT  3 ms  span.db.query.text = "SELECT * FROM item WHERE id = 0"',
        '  shop: SELECT  3 ms  span.db.query.text = "SELECT * FROM item WHERE id = 1"',
        '  shop: SELECT  3 ms  span.db.query.text = "SELECT * FROM item WHERE id = 2"',
    ]


# Timeouts


def test_a_timeout_says_how_many_matched_and_which_spans_have_not_ended() -> None:
    waiting = snapshot(ROOT, select(0), open=("charge",))
    lines = claims.timed_out(waiting, DB, 2, 0.25, NOTHING_WRONG).splitlines()
    assert lines[0] == "1 of 2 spans matched { span.db.system.name != nil } within 0.25 s"
    assert "  1 span has not ended: charge" in lines


def test_a_timeout_without_any_span_says_why() -> None:
    request = Request("/v1/traces", 415, "send protobuf", 0)
    refused = Circumstances(True, False, 1, (), {}, 0, (request,), 0)
    assert claims.timed_out(snapshot(), '{ name = "job" }', 1, 5, refused).splitlines() == [
        'no span matched { name = "job" } within 5 s; no span was captured at all',
        "  1 request to the OTLP endpoint was refused; /v1/traces was answered 415: send protobuf",
    ]


def test_what_the_endpoint_refused_is_told_though_other_spans_came() -> None:
    refused = Circumstances(True, False, 1, (), {}, 0, (Request("/v1/traces", 415, "send protobuf", 0),), 0)
    assert "answered 415" in claims.timed_out(ORDERS, '{ name = "job" }', 1, 5, refused)


# None, and what is not known


def test_what_should_not_be_there_is_listed() -> None:
    claims.none(ORDERS, "{ status = error }")
    assert failure(claims.none, ORDERS, "{ kind = server }")[:2] == [
        "expected no span for { kind = server }, found 1",
        "  shop: GET /orders  20 ms",
    ]


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ({"open": ("charge", "render")}, "but 2 spans have not ended: charge, render"),
        ({"dropped": 7}, "but 7 spans were dropped"),
        ({"open": ("charge",), "dropped": 1}, "but 1 span has not ended: charge; 1 span was dropped"),
    ],
)
@pytest.mark.parametrize(
    "claim",
    [
        lambda spans: claims.none(spans, "{ status = error }"),
        lambda spans: claims.no_errors(spans, ignore=None),
        lambda spans: claims.no_n_plus_one(spans),
        lambda spans: claims.budget(spans, "{ }", max_ns=None, count=1, self_time=False),
    ],
)
def test_nothing_is_certain_of_what_is_not_there_while_spans_are_missing(
    claim: Any, missing: dict[str, Any], said: str
) -> None:
    claim(snapshot(ROOT))
    with pytest.raises(Inconclusive) as failed:
        claim(snapshot(ROOT, **missing))
    first = str(failed.value).splitlines()[0]
    assert first.startswith("INCONCLUSIVE: ")
    assert first.endswith(said)


def test_what_is_there_is_certain_though_spans_are_missing() -> None:
    failure(claims.none, snapshot(ROOT, open=("charge",)), "{ kind = server }")
    failure(claims.no_errors, snapshot(span("a", status=FAILED), dropped=1), ignore=None)


# Errors


def test_the_deepest_failure_comes_first_with_its_exception_and_those_above_it() -> None:
    assert failure(claims.no_errors, CHECKOUT, ignore=None)[:6] == [
        "expected no errors, found 4 failed spans with 2 causes: pay: send failed with ConnectError: refused",
        "  pay: send failed with ConnectError: refused",
        "    raised at /app/shop/pay.py:42 in charge",
        "    failed above it: shop: charge, shop: POST /checkout",
        "  shop: mail failed with no route",
        "    failed above it: shop: POST /checkout",
    ]


def test_a_failure_above_an_ignored_one_says_so() -> None:
    lines = failure(claims.no_errors, CHECKOUT, ignore='{ name = "send" || name = "mail" || name = "POST /checkout" }')
    assert lines[:3] == [
        "expected no errors, found 1 failed span: shop: charge failed without a message",
        "  shop: charge failed without a message",
        "    failed below it, and ignored: pay: send (ConnectError: refused)",
    ]


def test_failures_that_say_the_same_are_listed_once() -> None:
    again = [span("GET", "shop", id=f"{n}", start_ms=n, status=Status(StatusCode.ERROR, "503")) for n in range(3)]
    assert failure(claims.no_errors, snapshot(span("shop"), *again), ignore=None)[:2] == [
        "expected no errors, found 3 failed spans with 1 cause: shop: GET failed with 503",
        "  3 × shop: GET failed with 503",
    ]


def test_errors_that_are_ignored_are_none() -> None:
    claims.no_errors(CHECKOUT, ignore="{ status = error }")
    claims.no_errors(ORDERS, ignore=None)


def test_a_service_without_a_name_is_not_named() -> None:
    lines = failure(claims.no_errors, snapshot(span("a", service="unknown_service:python", status=FAILED)), ignore=None)
    assert lines[0] == "expected no errors, found 1 failed span: a failed without a message"


# N+1


@pytest.mark.parametrize(
    ("spans", "is_n_plus_one"),
    [
        ([select(n) for n in range(3)], True),
        ([select(n) for n in range(2)], False),
        ([select(n, parent=f"page {n}") for n in range(3)], False),  # three parents
        ([select(n, statement=f"SELECT * FROM table_{name}") for n, name in enumerate("abc")], False),  # 3 statements
        ([select(n, statement=f"SELECT * FROM t WHERE id IN ({', '.join('1' * n)})") for n in (1, 2, 3)], True),
        ([span(f"load {n}", "GET /orders") for n in range(3)], False),  # no calls
        (
            [
                span("GET", "GET /orders", id=f"{n}", kind=Kind.CLIENT,
                     attributes={"http.request.method": "GET", "url.full": f"http://users/users/{n}"})
                for n in range(3)
            ],
            True,
        ),
    ],
)  # fmt: skip
def test_three_alike_calls_below_one_span_are_an_n_plus_one(spans: list[Span], is_n_plus_one: bool) -> None:
    captured = snapshot(ROOT, *(span(f"page {n}", "GET /orders") for n in range(3)), *spans)
    if is_n_plus_one:
        failure(claims.no_n_plus_one, captured)
    else:
        claims.no_n_plus_one(captured)


def test_an_n_plus_one_is_told_with_its_count_its_time_and_the_first_and_last_statement() -> None:
    assert failure(claims.no_n_plus_one, ORDERS)[:5] == [
        "expected no N+1 (3 alike calls below one span), found 3 × SELECT item below shop: GET /orders",
        "  3 × SELECT item below shop: GET /orders, 9 ms in all",
        "    first SELECT * FROM item WHERE id = 0",
        "    last  SELECT * FROM item WHERE id = 2",
        "    one query can get them all: a join, or WHERE … IN (…)",
    ]


def test_calls_below_a_span_that_has_not_ended_are_an_n_plus_one_and_those_below_none_are_not() -> None:
    assert "below a span that was not captured" in failure(claims.no_n_plus_one, snapshot(*map(select, range(3))))[0]
    claims.no_n_plus_one(snapshot(*(select(n, parent="") for n in range(3))))


@pytest.mark.parametrize(
    ("statement", "remedy"),
    [
        ("SELECT now()", "    the same each time: ask once, and keep the answer"),
        ("SELECT * FROM item WHERE id = ?", "    one query can get them all: a join, or WHERE … IN (…)"),
        ("INSERT INTO item VALUES ($1)", "    one statement can write them all, or one batch of them"),
    ],
)
def test_the_remedy_is_one_for_the_statement(statement: str, remedy: str) -> None:
    calls = [select(n, statement=statement) for n in range(3)]
    assert failure(claims.no_n_plus_one, snapshot(ROOT, *calls))[2:4] == [f"    each {statement}", remedy]


def test_the_threshold_and_what_counts_can_be_chosen() -> None:
    claims.no_n_plus_one(ORDERS, threshold=4)
    claims.no_n_plus_one(ORDERS, query="{ kind = producer }")


# Budgets


def test_a_count_within_the_budget_holds_and_one_more_does_not() -> None:
    claims.budget(ORDERS, DB, max_ns=None, count=3, self_time=False)
    assert failure(claims.budget, ORDERS, DB, max_ns=None, count=2, self_time=False)[:2] == [
        "expected at most 2 spans for { span.db.system.name != nil }, found 3: 1 too many",
        "  3 × shop: SELECT item  9 ms",
    ]


def test_time_within_the_budget_holds_and_what_is_over_it_says_by_how_much_and_who_took_it() -> None:
    claims.budget(ORDERS, DB, max_ns=9 * MS, count=None, self_time=False)
    assert failure(claims.budget, ORDERS, DB, max_ns=7 * MS, count=None, self_time=False)[:3] == [
        "{ span.db.system.name != nil } took 9 ms, 2 ms more than the budget of 7 ms",
        "  3 × shop: SELECT item  9 ms",
        "  what ran at the same time counts once",
    ]


def test_time_that_spans_share_counts_once() -> None:
    at_once = snapshot(ROOT, *(select(n, start_ms=2 + n, duration_ms=10) for n in range(3)))
    claims.budget(at_once, DB, max_ns=12 * MS, count=None, self_time=False)
    failure(claims.budget, at_once, DB, max_ns=12 * MS - 1, count=None, self_time=False)
    claims.budget(ORDERS, "{ }", max_ns=20 * MS, count=None, self_time=False)  # parent and children


def test_self_time_leaves_out_what_children_cover() -> None:
    claims.budget(ORDERS, "{ kind = server }", max_ns=11 * MS, count=None, self_time=True)
    first = failure(claims.budget, ORDERS, "{ kind = server }", max_ns=10 * MS, count=None, self_time=True)[0]
    assert first == "{ kind = server } took 11 ms of its own, 1 ms more than the budget of 10 ms"


def test_a_budget_for_spans_that_are_not_there_does_not_hold() -> None:
    lines = failure(claims.budget, ORDERS, '{ span.db.system = "sqlite" }', max_ns=1, count=None, self_time=False)
    assert lines[0].startswith('no span matched { span.db.system = "sqlite" }, so there is no time to compare')
    assert lines[1] == "  no span has span.db.system: there is span.db.system.name"
    claims.budget(ORDERS, '{ span.db.system = "sqlite" }', max_ns=None, count=0, self_time=False)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), min_size=1, max_size=8), st.integers(0, 45))
def test_a_budget_is_kept_if_no_more_moments_are_covered(times: list[tuple[int, int]], limit_ms: int) -> None:
    spans = [span("work", id=str(n), start_ms=start, duration_ms=took) for n, (start, took) in enumerate(times)]
    covered_ms = len({ms for start, took in times for ms in range(start, start + took)})
    if covered_ms <= limit_ms:
        claims.budget(snapshot(*spans), "{ }", max_ns=limit_ms * MS, count=None, self_time=False)
    else:
        failure(claims.budget, snapshot(*spans), "{ }", max_ns=limit_ms * MS, count=None, self_time=False)


# All messages


@pytest.mark.parametrize("name", hard.TRACES)
def test_no_message_is_too_long_whatever_is_in_the_traces(name: str) -> None:
    spans = hard.TRACES[name]()
    hit = snapshot(*spans, open=("x" * 500,) * 30)
    query = "{ " + " || ".join(f'name = "{n} {"é" * 90}"' for n in range(40)) + " }"
    messages = [
        claims.timed_out(hit, query, 1, 5, NOTHING_WRONG),
        claims.timed_out(hit, "{ }", 10**6, 5, NOTHING_WRONG),
        "\n".join(failure(claims.none, hit, "{ }")),
        "\n".join(failure(claims.budget, hit, "{ }", max_ns=None, count=0, self_time=True)),
    ]
    for message in messages:
        lines = message.splitlines()
        assert len(lines) <= 60
        assert max(map(cells, lines)) <= 120
        assert any(line.startswith("trace ") for line in lines)
