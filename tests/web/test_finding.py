"""Finding spans within a trace."""

from __future__ import annotations

import pytest

from minitrace.errors import DecodeError, TraceQLError
from minitrace.model import Event, Kind, Link, Resource, Scope, Span, Status, StatusCode
from minitrace.store.dictionary import AttributeKey
from minitrace.web.finding import find
from tests.samples import span, span_id

SHOP = [
    span("GET /cart", service="web", kind=Kind.SERVER, attributes={"http.response.status_code": 200}),
    span("charge", "GET /cart", service="payment", status=Status(StatusCode.ERROR, "card Declined")),
    span("SELECT", "charge", attributes={"db.query.text": "SELECT 1", "rows": [1, 2], "ok": True}),
    span("log", "charge", events=[Event(1, "Boom", {"exception.type": "ValueError"})]),
    span("other", "charge", links=[Link(b"t" * 16, b"s" * 8, attributes={"why": "retry"})]),
    span(
        "made", "charge", resource=Resource(), scope=Scope("my-lib"), attributes={"raw": b"\xff\xfe", "two words": "x"}
    ),
    span("hosted", "charge", resource=Resource({"service.name": "bank", "host.name": "node-7"})),
]


def found(text: str, spans: list[Span] = SHOP) -> set[str]:
    ids = find(spans, text)
    return {span.name for span in spans if span.span_id in ids}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cart", {"GET /cart"}),
        ("PAYMENT", {"charge"}),
        ("declined", {"charge"}),
        ("server", {"GET /cart"}),
        (span_id("log").hex(), {"log"}),
        ("select 1", {"SELECT"}),
        ("db.query", {"SELECT"}),
        ("[1, 2]", {"SELECT"}),
        ("ok=true", {"SELECT"}),
        ("boom", {"log"}),
        ("ValueError", {"log"}),
        ("retry", {"other"}),
        ("node-7", {"hosted"}),
        ("host.name=node", {"hosted"}),
        ("http.response.status_code=200", {"GET /cart"}),
        ("http.response.status_code>=200", {"GET /cart"}),
        ("http.response.status_code>200", set()),
        ("unknown_service", {"made"}),
        ("MY-LIB", {"made"}),
        ("//4=", {"made"}),
        ('"two words"=x', {"made"}),
        ("  boom ", {"log"}),
        ("nothing like it", set()),
        ("  ", set()),
    ],
)
def test_a_text_finds_spans_by_all_their_texts(text: str, names: set[str]) -> None:
    assert found(text) == names


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("{ status = error }", {"charge"}),
        ('{ name = "charge" } > { .ok = true }', {"SELECT"}),
        ("({ status = error })", {"charge"}),
        ('{ resource.host.name =~ "node.*" }', {"hosted"}),
        ("{ kind = server } | count() > 1", set()),
    ],
)
def test_traceql_finds_what_it_finds_anywhere(query: str, names: set[str]) -> None:
    assert found(query) == names


@pytest.mark.parametrize("text", ["{ status = ", "{ } | rate()", '{ name =~ "(" }', "name~" + "(" * 990])
def test_a_query_with_a_mistake_says_so(text: str) -> None:
    with pytest.raises(TraceQLError):
        find(SHOP, text)


def test_a_text_that_only_looks_like_a_condition_is_text() -> None:
    assert found('x="') == set()


def test_nobody_finds_a_novel() -> None:
    with pytest.raises(DecodeError):
        find(SHOP, "x" * 1001)
    assert find(SHOP, "x" * 1000) == set()


def test_all_conditions_must_hold_and_numbers_may_be_texts() -> None:
    spans = [span("a", attributes={"code": "0200", "ok": True}), span("b", attributes={"code": "200"})]
    assert found("code=0200 ok=true", spans) == set()  # the number 200, and no attribute is one
    keys = [AttributeKey("span", "code", "string", 2), AttributeKey("span", "ok", "bool", 1)]
    assert find(spans, "code=0200 ok=true", keys) == {span_id("a")}
    assert find(spans, "code=200 ok=true", keys) == set()


def test_spans_that_share_an_id_are_found_together() -> None:
    twins = [span("one", id="x"), span("two", id="x")]
    assert find(twins, "two") == {span_id("x")}
