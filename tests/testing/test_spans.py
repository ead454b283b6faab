"""Spans as a test reads them."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

import pytest

from minitrace import model
from minitrace.testing import Span, SpanList, Traces, TracesFailure
from minitrace.testing.capturing import Capture
from tests.samples import T0, span


@pytest.fixture
def traces() -> Traces:
    """A checkout with two children, from another process; and a job without a child."""
    own = Capture()
    resource = model.Resource({"service.name": "shop", "process.pid": 42})
    own.arrived(
        [
            span("charge", "checkout", start_ms=2, status=model.Status(2, "declined"), kind=model.Kind.CLIENT),
            span("reserve", "checkout", start_ms=1, attributes={"stock.id": 7}),
            span("checkout", resource=resource, kind=model.Kind.SERVER, duration_ms=20),
            span("job", trace="other", start_ms=9),
        ],
        "otlp",
    )
    return Traces(own)


def test_ids_are_hex_and_codes_are_words(traces: Traces) -> None:
    found = traces.one('{ name = "charge" }')
    assert (found.trace_id, found.span_id) == (span("charge").trace_id.hex(), span("charge").span_id.hex())
    assert found.parent_id == span("checkout").span_id.hex()
    assert (found.kind, found.status, found.status_message) == ("client", "error", "declined")
    assert (found.start_ns, found.duration) == (T0 + 2_000_000, timedelta(milliseconds=10))


def test_where_a_span_was_made_is_known(traces: Traces) -> None:
    found = traces.one("{ kind = server }")
    assert (found.service, found.scope, found.origin, found.pid) == ("shop", "tests", "otlp", 42)
    assert found.resource["process.pid"] == 42


def test_events_and_links_are_read() -> None:
    own = Capture()
    event = model.Event(T0, "exception", {"exception.type": "Declined"})
    own.arrived([span("s", events=[event], links=[model.Link(b"t" * 16, b"s" * 8, attributes={"n": 1})])], "otlp")
    found = Traces(own).one()
    assert (found.events[0].name, found.events[0]["exception.type"]) == ("exception", "Declined")
    assert (found.links[0].span_id, found.links[0].attributes) == ((b"s" * 8).hex(), {"n": 1})
    with pytest.raises(KeyError, match=r"event 'exception' has no attribute 'exception\.typ': did you mean"):
        found.events[0]["exception.typ"]


def test_children_and_parents_are_those_of_the_same_snapshot(traces: Traces) -> None:
    checkout = traces.one('{ name = "checkout" }')
    assert checkout.children.names == ["reserve", "charge"]
    assert checkout.children[0].parent is checkout
    assert checkout.parent is None
    assert checkout.children[0].children == []


def test_a_parent_that_did_not_arrive_is_none() -> None:
    own = Capture()
    own.arrived([span("charge", "checkout")], "otlp")
    found = Traces(own).one()
    assert found.parent is None
    assert found.parent_id is not None


def test_an_attribute_that_is_not_there_names_those_that_are(traces: Traces) -> None:
    found = traces.one('{ name = "reserve" }')
    assert found["stock.id"] == 7
    with pytest.raises(KeyError) as raised:
        found["stock_id"]
    assert str(raised.value) == "span 'reserve' has no attribute 'stock_id': did you mean 'stock.id'? It has stock.id"
    with pytest.raises(KeyError) as raised:
        traces.one('{ name = "job" }')["x"]
    assert str(raised.value) == "span 'job' has no attribute 'x'. It has none"


def test_attributes_cannot_be_changed(traces: Traces) -> None:
    with pytest.raises(TypeError):
        traces.one('{ name = "reserve" }').attributes["stock.id"] = 8  # type: ignore[index]


def test_a_kind_newer_than_we_are_is_unspecified() -> None:
    own = Capture()
    own.arrived([span("s", kind=9)], "otlp")
    assert Traces(own).one().kind == "unspecified"


def test_an_empty_list_shows_what_there_is_instead_of_what_its_query_asked_for(traces: Traces) -> None:
    assert repr(traces.find('{ name = "reserv" }')) == "SpanList([]), but closest names: reserve"
    assert repr(Traces(Capture()).find('{ name = "reserve" }')) == "SpanList([]), but no span was captured"
    assert repr(traces.find('{ name = "reserve" }').one().children) == "SpanList([])"


def test_a_span_shows_what_it_is(traces: Traces) -> None:
    assert repr(traces.find()) == "SpanList(['checkout', 'reserve', 'charge', 'job'])"
    assert repr(traces.find()[2]) == "<Span 'charge' client error 10 ms>"
    assert repr(traces.find()[3]) == "<Span 'job' unspecified 10 ms>"


def test_spans_can_be_compared_and_kept_in_sets(traces: Traces) -> None:
    assert traces.find() == traces.find()
    assert len({*traces.find(), *traces.find()}) == 4
    assert traces.find('{ name = "job" }') != traces.find('{ name = "charge" }')


def test_a_list_is_true_when_it_has_spans(traces: Traces) -> None:
    assert traces.find("{ status = error }")
    assert not traces.find("{ status = ok }")


def test_a_list_can_be_sliced_and_asked_again(traces: Traces) -> None:
    found = traces.find()
    assert found[1:].names == ["reserve", "charge", "job"]
    assert found[1:].find("{ status = error }").names == ["charge"]
    assert found[:2].find("{ status = error }").names == []
    assert found.find('{ name = "checkout" } > { }').names == ["reserve", "charge"]


def test_the_only_span_of_a_list(traces: Traces) -> None:
    assert traces.find("{ status = error }").one().name == "charge"
    with pytest.raises(TracesFailure, match="expected one span, found 2: reserve, charge"):
        traces.find('{ name = "checkout" } > { }').one()
    with pytest.raises(TracesFailure, match=r"expected one span, found none$"):
        traces.find("{ status = ok }").one()


def test_types_are_known_to_checkers(traces: Traces) -> None:
    assert_type(traces.find(), SpanList)
    assert_type(traces.find()[0], Span)
    assert_type(traces.find()[:1], SpanList)
    assert_type(traces.one("{ status = error }").parent, Span | None)
