"""Addresses that narrow a search to a part of a chart."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.model import MAX_TIME_NS
from minitrace.traceql.ast import Binary, Duration, Field, Static
from minitrace.web.forms import read_form
from minitrace.web.refining import conditions
from minitrace.web.zoom import Zoom
from tests.samples import MS, T0
from tests.web.overviews import S, form


def asked(url: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def _limit(condition: Field) -> int:
    """The duration that a condition compares with."""
    assert isinstance(condition, Binary)
    assert isinstance(condition.right, Static)
    assert isinstance(condition.right.value, Duration)
    return condition.right.value


def test_a_time_is_added_to_what_is_asked() -> None:
    url = Zoom(form("{ .a = 1 }", sort="-duration")).to_time(T0, T0 + S)
    assert asked(url) == {
        "q": "{ .a = 1 }",
        "sort": "-duration",
        "from": "2023-11-14T22:13:20.000Z",
        "to": "2023-11-14T22:13:21.000Z",
    }


def test_durations_are_conditions_and_take_the_place_of_earlier_ones() -> None:
    url = Zoom(form("{ traceDuration >= 1ms && status = error && traceDuration < 5s }")).to_both(
        T0, T0, 20 * MS, 90 * MS
    )
    assert asked(url)["q"] == "{ status = error && traceDuration >= 20ms && traceDuration <= 90ms }"


def test_structure_stays_and_the_durations_stand_behind_it() -> None:
    url = Zoom(form("{ .a } >> { .b }")).to_both(T0, T0, MS, S)
    assert asked(url)["q"] == "{ .a } >> { .b } | { traceDuration >= 1ms && traceDuration <= 1s }"


def test_with_words_in_the_box_only_the_time_is_narrowed() -> None:
    zoom = Zoom(form("declined"))
    assert asked(zoom.to_both(T0, T0 + S, MS, S)).keys() == {"q", "from", "to"}
    assert zoom.around is None


def test_the_query_around_the_limits_is_the_query_when_they_are_filled_in() -> None:
    around = Zoom(form("{ status = error && traceDuration > 1s }")).around
    assert around == ("{ status = error && ", " }")


@given(st.integers(1, MAX_TIME_NS - 1), st.integers(0, 10**12), st.integers(0, 2**62), st.integers(0, 2**60))
def test_nothing_at_an_edge_is_lost(start: int, length: int, shortest: int, more: int) -> None:
    end, longest = min(start + length, MAX_TIME_NS - 2 * MS), shortest + more
    found = read_form(asked(Zoom(form()).to_both(start, end, shortest, longest)), T0)
    assert found.problems == {}
    assert found.start_ns is not None
    assert found.end_ns is not None
    assert start - MS < found.start_ns <= start
    assert end <= found.end_ns < end + MS
    low, high = map(_limit, conditions(found.query))
    assert low <= shortest
    assert longest <= high <= longest * 1.01 + 1


@pytest.mark.parametrize(
    ("q", "times", "reset"),
    [
        ("{ traceDuration >= 1ms }", {}, "/search"),
        ("{ traceDuration >= 1ms && .a }", {"from": "2023-11-14T22:13:20"}, "/search?q=%7B+.a+%7D"),
        ("", {"to": "2023-11-14T22:13:20", "since": "1h"}, "/search?since=1h"),
        ("declined", {"to": "2023-11-14T22:13:20"}, "/search?q=declined"),
    ],
)
def test_a_reset_takes_back_times_and_durations(q: str, times: dict[str, str], reset: str) -> None:
    assert Zoom(form(q, **times)).reset_url == reset


@pytest.mark.parametrize("q", ["", "{ duration > 1s }", "declined", "{ traceDuration != 1s }"])
def test_there_is_nothing_to_reset_where_nothing_is_limited(q: str) -> None:
    assert Zoom(form(q, since="1h")).reset_url is None


def test_with_words_in_the_box_a_field_of_the_heat_map_leads_to_its_time() -> None:
    assert asked(Zoom(form("declined")).to_both(T0, T0 + S, MS, 9 * MS)) == {
        "q": "declined",
        "from": "2023-11-14T22:13:20.000Z",
        "to": "2023-11-14T22:13:21.000Z",
    }
