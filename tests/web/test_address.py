"""The address of a trace's page, and those that are made from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from minitrace.web.address import PARAMETERS, Address
from minitrace.web.view import read_view

HERE = [("span", "00f0"), ("x", "abcdef"), ("hide", "web"), ("hide", "db"), ("view", "table")]


def test_parameters_stand_in_one_order_and_what_is_given_twice_as_it_came() -> None:
    assert Address("/trace/ab", HERE).url() == "/trace/ab?view=table&span=00f0&hide=web&hide=db&x=abcdef"


def test_what_is_not_known_or_empty_is_left_out() -> None:
    assert Address("/trace/ab", [("evil", "1"), ("find", ""), ("only", "1")]).url() == "/trace/ab?only=1"


@pytest.mark.parametrize(
    ("changes", "query"),
    [
        ({"view": None}, "?span=00f0&hide=web&hide=db&x=abcdef"),
        ({"hide": None, "x": None}, "?view=table&span=00f0"),
        ({"hide": "cache"}, "?view=table&span=00f0&hide=cache&x=abcdef"),
        ({"page": 2, "find": "a b"}, "?view=table&span=00f0&find=a%20b&hide=web&hide=db&x=abcdef&page=2"),
        (dict.fromkeys(("view", "span", "hide", "x")), ""),
    ],
)
def test_a_change_replaces_what_has_its_name_and_keeps_the_rest(changes: dict[str, str | None], query: str) -> None:
    assert Address("/trace/ab", HERE).url(**changes) == "/trace/ab" + query


def test_an_address_that_was_used_is_as_before() -> None:
    address = Address("/trace/ab", HERE)
    address.url(view=None, page=3)
    assert address.url() == Address("/trace/ab", HERE).url()


def test_commas_and_colons_are_read_by_people() -> None:
    assert (
        Address("/t").url(t="1ms,2ms", find="a:b", hide="a&b=c#d/e?")
        == "/t?find=a:b&hide=a%26b%3Dc%23d%2Fe%3F&t=1ms,2ms"
    )


def test_a_parameter_that_no_page_has_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Address("/t").url(veiw="table")


def test_of_a_parameter_given_twice_the_first_counts() -> None:
    address = Address("/t", [("find", "a"), ("find", "b")])
    assert (address.given("find"), address.given("span")) == ("a", "")


@given(st.lists(st.tuples(st.sampled_from(PARAMETERS), st.text(st.characters(codec="utf-8"), min_size=1)), max_size=6))
def test_whatever_the_values_a_link_to_the_same_page_is_read_as_this_one(pairs: list[tuple[str, str]]) -> None:
    address = Address("/t", pairs)
    again = QueryParams(address.url().partition("?")[2]).multi_items()
    assert again == address.pairs
    assert read_view(again) == read_view(pairs)
