"""Facets: values with counts, each a link that asks for it, or no longer does."""

from __future__ import annotations

import pytest

from minitrace.model import Kind, StatusCode
from minitrace.store.facets import Facet
from minitrace.traceql.ast import Attribute, Intrinsic
from minitrace.web.facets import FacetLine, FacetList, facet_lists
from tests.web.overviews import SERVICE, facet, form, standing
from tests.web.pagetext import plain
from tests.web.test_zoom import asked

ROUTE = Attribute("span", "http.route")


def only(one: Facet, q: str = "") -> FacetList:
    (found,) = facet_lists([one], form(q))
    return found


def line(found: FacetList, text: str) -> FacetLine:
    (one,) = [one for one in (*found.lines, *found.rest) if plain(one.text) == text]
    return one


def test_a_value_leads_to_the_spans_that_have_it_and_to_those_that_do_not() -> None:
    cart = line(only(facet(SERVICE, {"cart": 4, "shop": 1})), "cart")
    assert asked(cart.url) == {"q": '{ resource.service.name = "cart" }'}
    assert asked(cart.without_url) == {"q": '{ resource.service.name != "cart" }'}
    assert not cart.is_wanted


def test_counts_are_drawn_in_proportion_to_the_commonest() -> None:
    found = only(facet(SERVICE, {"cart": 40, "shop": 10}))
    assert [(one.count, one.share) for one in found.lines] == [(40, 100), (10, 25)]


def test_what_is_asked_for_is_marked_and_a_click_takes_it_back() -> None:
    cart = line(only(facet(SERVICE, {"cart": 4}), '{ resource.service.name = "cart" && .a = 1 }'), "cart")
    assert cart.is_wanted
    assert asked(cart.url) == {"q": "{ .a = 1 }"}
    assert cart.without_url == ""


def test_what_is_asked_for_stays_when_no_span_has_it() -> None:
    found = only(facet(SERVICE, {}), '{ resource.service.name = "cart" }')
    assert found.lines == [FacetLine("cart", 0, 0, "/search", "", is_wanted=True)]


def test_what_is_excluded_stays_first_and_a_click_takes_it_back() -> None:
    found = only(facet(SERVICE, {"shop": 4}), '{ resource.service.name != "cart" }')
    assert [(one.text, one.is_unwanted) for one in found.lines] == [("cart", True), ("shop", False)]
    assert found.lines[0].url == "/search"


def test_conditions_on_another_field_do_not_mark_a_value() -> None:
    assert not line(only(facet(ROUTE, {"cart": 4}), '{ resource.service.name = "cart" }'), "cart").is_wanted


@pytest.mark.parametrize(
    ("field", "value", "text", "query"),
    [
        (Intrinsic("status"), StatusCode.ERROR, "error", "{ status = error }"),
        (Intrinsic("kind"), Kind.SERVER, "server", "{ kind = server }"),
        (Intrinsic("name"), "", "(empty)", '{ name = "" }'),
        (ROUTE, 500, "500", "{ span.http.route = 500 }"),
        (ROUTE, True, "true", "{ span.http.route = true }"),
        (ROUTE, "true", "true", '{ span.http.route = "true" }'),
        (ROUTE, None, "(none)", "{ span.http.route = nil }"),
    ],
)
def test_a_value_reads_as_people_say_it_and_is_asked_for_as_traceql_does(
    field: Attribute | Intrinsic, value: object, text: str, query: str
) -> None:
    one = line(only(facet(field, {value: 1})), text)
    assert asked(one.url) == {"q": query}
    assert line(only(facet(field, {value: 1}), query), text).is_wanted


def test_spans_of_no_service_are_asked_for_as_such() -> None:
    one = line(only(facet(SERVICE, {"unknown_service": 3})), "unknown_service")
    assert "!(" in asked(one.url)["q"]
    assert line(only(facet(SERVICE, {"unknown_service": 3}), asked(one.url)["q"]), "unknown_service").is_wanted


@pytest.mark.parametrize(("field", "value"), [(ROUTE, "x" * 2000), (ROUTE, float("nan")), (Intrinsic("kind"), 9)])
def test_a_value_that_no_address_can_hold_is_shown_without_a_link(field: Attribute | Intrinsic, value: object) -> None:
    (one,) = only(facet(field, {value: 1})).lines
    assert (one.url, one.without_url) == ("", "")


def test_the_commonest_six_are_shown_and_the_others_unfold() -> None:
    found = only(facet(ROUTE, {f"/{n}": 99 - n for n in range(9)}, more=4))
    assert [one.text for one in found.lines] == ["/0", "/1", "/2", "/3", "/4", "/5"]
    assert [one.text for one in found.rest] == ["/6", "/7", "/8"]
    assert found.more == 4


def test_a_facet_without_values_is_left_out_unless_somebody_pinned_it() -> None:
    lists = facet_lists(standing(facet(ROUTE, {}), services={"shop": 1}), form(pin="span.http.route,name"))
    assert [(one.title, one.unpin_url) for one in lists] == [
        ("Service", None),
        ("span.http.route", "/search"),
    ]


def test_unpinning_one_leaves_the_others() -> None:
    host = Attribute("resource", "host.name")
    pinned = standing(facet(ROUTE, {}), facet(host, {}))
    lists = facet_lists(pinned, form(pin="span.http.route,resource.host.name"))
    assert [asked(one.unpin_url or "") for one in lists] == [
        {"pin": "resource.host.name"},
        {"pin": "span.http.route"},
    ]


def test_what_is_asked_for_comes_first() -> None:
    found = only(facet(SERVICE, {"cart": 4, "shop": 1}), '{ resource.service.name = "shop" }')
    assert [one.text for one in found.lines] == ["shop", "cart"]
