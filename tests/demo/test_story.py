from contextlib import suppress
from random import Random

import pytest

from minitrace.demo.failures import Failure, card_declined
from minitrace.demo.services import CHECKOUT, EMAIL, FRONTEND, PAYMENT
from minitrace.demo.story import Story
from minitrace.model import Kind

END = 1_764_000_000_000_000_000


@pytest.fixture
def story() -> Story:
    return Story(Random(1))


def test_a_server_span_lies_inside_its_client_span_with_the_network_around_it(story: Story) -> None:
    with story.serve(FRONTEND, "GET", "/", "/"), story.call(CHECKOUT, "GET", "/v1/orders", "/v1/orders?page=2"):
        story.work(3)
    _, client, server = story.finish(END)
    assert (client.service, client.kind) == ("frontend", Kind.CLIENT)
    assert (server.service, server.kind) == ("checkout", Kind.SERVER)
    assert client.start_ns < server.start_ns < server.end_ns < client.end_ns
    assert server.parent_id == client.span_id
    assert server.attributes["url.query"] == "page=2"


def test_parallel_branches_start_together_and_the_slowest_ends_them(story: Story) -> None:
    with story.serve(FRONTEND, "GET", "/", "/"), story.span("all"):
        with story.parallel() as branch:
            with branch(), story.span("slow"):
                story.work(50)
            with branch(), story.span("quick"):
                story.work(1)
        with story.span("after"):
            story.work(1)
    spans = {span.name: span for span in story.finish(END)}
    assert spans["quick"].start_ns - spans["slow"].start_ns < 100_000
    assert spans["quick"].end_ns < spans["slow"].end_ns == spans["after"].start_ns


def test_a_failure_marks_every_span_it_passes_and_is_recorded_where_it_was_raised(story: Story) -> None:
    with (
        suppress(Failure),
        story.serve(FRONTEND, "POST", "/checkout", "/checkout"),
        story.call(PAYMENT, "POST", "/v1/charges", "/v1/charges"),
        story.span("charge card"),
    ):
        raise card_declined("ch_1")
    spans = story.finish(END)
    assert [(span.name, span.status.message, len(span.events)) for span in spans if span.is_error] == [
        ("POST /checkout", "payment answered 402: Your card has insufficient funds.", 0),
        ("POST /v1/charges", "payment answered 402: Your card has insufficient funds.", 0),
        ("POST /v1/charges", "Your card has insufficient funds.", 0),
        ("charge card", "Your card has insufficient funds.", 1),
    ]
    assert [span.attributes.get("http.response.status_code") for span in spans] == [402, 402, 402, None]
    assert [span.attributes["error.type"] for span in spans] == ["402", "402", *["CardDeclinedError"] * 2]


def test_a_message_is_consumed_below_its_producer_after_that_has_ended(story: Story) -> None:
    with story.serve(CHECKOUT, "POST", "/v1/orders", "/v1/orders"):
        message = story.publish("order.created", "ORD-1")
    with story.consume(EMAIL, message, after_ms=60):
        story.work(1)
    _, sent, processed = story.finish(END)
    assert (processed.trace_id, processed.parent_id) == (sent.trace_id, sent.span_id)
    assert processed.start_ns > sent.end_ns
    assert processed.attributes["messaging.kafka.offset"] == sent.attributes["messaging.kafka.offset"]


def test_a_message_consumed_apart_links_its_own_trace_to_the_producer(story: Story) -> None:
    with story.serve(CHECKOUT, "POST", "/v1/orders", "/v1/orders"):
        message = story.publish("order.created", "ORD-1")
    with story.consume_apart(EMAIL, message, after_ms=60):
        story.work(1)
    _, sent, processed = story.finish(END)
    assert processed.trace_id != sent.trace_id
    assert processed.parent_id == b""
    assert [(link.trace_id, link.span_id) for link in processed.links] == [(sent.trace_id, sent.span_id)]
