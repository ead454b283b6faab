from collections import Counter
from random import Random

import pytest

from minitrace.demo.services import Release, read_attributes
from minitrace.demo.shop import shop_trace
from minitrace.model import Kind, Span
from minitrace.otlp.decode import decode_traces
from minitrace.otlp.encode import encode_export

END = 1_764_000_000_000_000_000


@pytest.fixture(scope="module")
def requests() -> list[list[Span]]:
    rng = Random(7)
    return [shop_trace(rng, END) for _ in range(300)]


@pytest.fixture(scope="module")
def spans(requests: list[list[Span]]) -> list[Span]:
    return [span for request in requests for span in request]


def repeated_siblings(spans: list[Span]) -> int:
    """The largest number of spans with one name below one parent."""
    return max(Counter((span.trace_id, span.parent_id, span.name) for span in spans).values())


def test_a_seed_gives_the_same_spans_again() -> None:
    assert shop_trace(Random(5), END) == shop_trace(Random(5), END)
    assert shop_trace(Random(5), END) != shop_trace(Random(6), END)


def test_ids_are_unique(spans: list[Span]) -> None:
    assert len({span.span_id for span in spans}) == len(spans)


def test_nothing_happens_after_the_end_and_the_last_span_ends_there(requests: list[list[Span]]) -> None:
    for request in requests:
        assert max(span.end_ns for span in request) == END
        assert all(span.start_ns <= event.time_ns <= span.end_ns for span in request for event in span.events)


def test_every_parent_is_in_its_childs_trace(requests: list[list[Span]]) -> None:
    for request in requests:
        stored = {(span.trace_id, span.span_id) for span in request}
        assert all((span.trace_id, span.parent_id) in stored for span in request if span.parent_id)


def test_children_lie_within_their_parents_unless_a_queue_is_between(spans: list[Span]) -> None:
    by_id = {span.span_id: span for span in spans}
    for span in spans:
        parent = by_id.get(span.parent_id)
        if parent is None:
            continue
        if span.kind == Kind.CONSUMER and parent.kind == Kind.PRODUCER:
            assert span.start_ns > parent.end_ns
        else:
            assert parent.start_ns <= span.start_ns < span.end_ns <= parent.end_ns


def test_a_request_has_a_span_of_its_own_and_at_most_two_traces(requests: list[list[Span]]) -> None:
    assert {len({span.trace_id for span in request}) for request in requests} == {1, 2}
    assert all(not request[0].parent_id for request in requests)


def test_ten_services_in_seven_languages_take_part(spans: list[Span]) -> None:
    assert len({span.service for span in spans}) == 10
    assert len({span.resource.attributes["telemetry.sdk.language"] for span in spans}) == 7


def test_a_service_describes_itself_alike_in_all_its_spans(spans: list[Span]) -> None:
    assert len({id(span.resource) for span in spans}) == 10


def test_each_language_shows_a_stack_trace_of_several_lines(spans: list[Span]) -> None:
    exceptions = [
        (str(span.resource.attributes["telemetry.sdk.language"]), str(event.attributes["exception.stacktrace"]))
        for span in spans
        if span.is_error
        for event in span.events
        if event.name == "exception"
    ]
    assert {language for language, _ in exceptions} == {"python", "java", "nodejs"}
    assert all(stacktrace.count("\n") >= 8 for _, stacktrace in exceptions)


def test_errors_reach_the_span_the_customer_sees(requests: list[list[Span]]) -> None:
    answers = {request[0].attributes["http.response.status_code"] for request in requests if request[0].is_error}
    assert {402, 500} <= answers


def test_about_eight_in_a_hundred_requests_fail_somewhere(requests: list[list[Span]]) -> None:
    failed = sum(any(span.is_error for span in request) for request in requests)
    assert 0.04 < failed / len(requests) < 0.13


def test_about_ten_in_a_hundred_requests_ask_once_per_product(requests: list[list[Span]]) -> None:
    repeated = sum(repeated_siblings(request) >= 14 for request in requests)
    assert 0.05 < repeated / len(requests) < 0.16


def test_a_successful_checkout_has_thirty_to_sixty_spans(requests: list[list[Span]]) -> None:
    sizes = [
        len(request)
        for request in requests
        if request[0].name == "POST /checkout" and request[0].attributes["http.response.status_code"] == 201
    ]
    assert sizes
    assert all(30 <= size <= 60 for size in sizes)


def test_every_link_leads_to_a_producer_that_was_sent(requests: list[list[Span]]) -> None:
    targets = []
    for request in requests:
        by_id = {(span.trace_id, span.span_id): span for span in request}
        targets += [by_id[link.trace_id, link.span_id] for span in request for link in span.links]
    assert targets
    assert {target.kind for target in targets} == {Kind.PRODUCER}


def test_a_batch_has_several_links(spans: list[Span]) -> None:
    assert max(len(span.links) for span in spans) >= 4


def test_a_slow_query_takes_more_than_a_second_and_says_its_sql(spans: list[Span]) -> None:
    slow = [span for span in spans if span.duration_ns > 1_000_000_000 and "db.query.text" in span.attributes]
    assert slow
    assert all("JOIN" in str(span.attributes["db.query.text"]) for span in slow)


def test_a_language_model_counts_its_tokens(spans: list[Span]) -> None:
    chats = [span for span in spans if span.attributes.get("gen_ai.operation.name") == "chat"]
    assert any(isinstance(span.attributes.get("gen_ai.usage.input_tokens"), int) for span in chats)


def test_values_of_every_type_survive_the_wire(spans: list[Span]) -> None:
    export = decode_traces(encode_export(spans), is_json=False)
    by_id = {span.span_id: span for span in export.spans}
    assert [by_id[span.span_id] for span in spans] == spans
    assert {type(value) for span in spans for value in span.attributes.values()} == {str, bool, int, float, list}


def after(is_regressed: bool) -> list[Span]:
    rng, release = Random(7), Release(is_regressed, {"minitrace.run.id": "1f", "service.name": "not this"})
    return [span for _ in range(300) for span in shop_trace(rng, END, release)]


def test_after_a_bad_release_stock_is_asked_for_one_product_at_a_time_and_charges_are_slow() -> None:
    def figures(spans: list[Span]) -> tuple[float, int, int]:
        carts = {span.trace_id for span in spans if span.name == "GET /cart"}
        stock = sum(span.trace_id in carts and span.name == "SELECT stock" for span in spans)
        charges = sorted(span.duration_ns for span in spans if span.name == "INSERT charges")
        versions = {span.resource.attributes["service.version"] for span in spans}
        return stock / len(carts), charges[len(charges) // 2] // 1_000_000, len(versions & {"2.8.0", "5.1.0"})

    assert figures(after(is_regressed=False)) == (1, 2, 0)
    calls, charge_ms, newer = figures(after(is_regressed=True))
    assert 3 < calls < 4
    assert charge_ms > 150
    assert newer == 2


def test_every_service_says_what_the_environment_says_but_keeps_its_name() -> None:
    resources = {id(span.resource): span.resource.attributes for span in after(is_regressed=False)}
    assert len(resources) == 10
    assert {attributes["minitrace.run.id"] for attributes in resources.values()} == {"1f"}
    assert "not this" not in {attributes["service.name"] for attributes in resources.values()}


def test_attributes_of_the_environment_are_percent_encoded_pairs() -> None:
    assert read_attributes("team=a%20b, x=1=2,broken,=3,") == {"team": "a b", "x": "1=2"}
