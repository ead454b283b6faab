"""What the templates make of an overview."""

from __future__ import annotations

import re
from dataclasses import replace

from minitrace.store.dictionary import AttributeKey
from minitrace.store.overview import Cell, Overview
from minitrace.traceql.ast import Attribute
from minitrace.web.overview import shown
from minitrace.web.render import env
from tests.samples import MS, T0
from tests.web.overviews import facet, form, of_cells, of_points, point, standing
from tests.web.pagetext import Page

ROUTE = Attribute("span", "http.route")
HOSTILE = '"><img src=x onerror=alert(1)>\u202e'


def page(overview: Overview | None, q: str = "", *keys: AttributeKey, **values: str) -> Page:
    """The part of the page that shows an overview."""
    template = env.get_template("_overview.html")
    return Page(template.render(root="/base", slots={}, **shown(overview, form(q, **values), keys)))


def test_nothing_found_shows_no_charts() -> None:
    assert page(None).text == ""
    assert page(Overview(facets=standing())).all("svg") == []


def test_nothing_found_in_a_part_of_the_time_can_be_left() -> None:
    reset = page(Overview(facets=standing()), **{"from": "2023-11-14T22:13:20"}).one("a")
    assert (reset.text, reset.attributes["href"]) == ("Reset zoom", "/base/search")


def test_what_is_asked_for_can_be_taken_back_where_nothing_was_found() -> None:
    found = page(Overview(facets=standing()), '{ resource.service.name = "cart" }')
    assert found.one("a", class_="pick").attributes["href"] == "/base/search"


def test_an_overview_that_is_not_complete_says_so_and_so_do_its_facets() -> None:
    whole = replace(of_points(point("a"), point("b")), facets=standing(services={"shop": 2}))
    assert "Counts are of matching spans." in page(whole).text
    assert "not all" not in page(whole).text
    part = page(replace(whole, complete=False, reason="the query ran past 5 s"))
    assert "2 drawn, not all" in part.text
    assert "Counts are of matching spans, as far as they were counted." in part.text


def test_all_links_lead_below_the_path_that_we_are_mounted_at() -> None:
    whole = replace(of_cells(Cell(0, MS, 2 * MS, 9, 1)), facets=standing(facet(ROUTE, {"/": 1}), services={"shop": 2}))
    links = page(whole, pin="span.http.route").all("a")
    assert len(links) == 6  # a cell, two values, each with and without, and what unpins
    assert all(re.fullmatch(r"/base/search(\?.+)?", link.attributes["href"]) for link in links)


def test_telemetry_is_text_that_htmx_does_not_read() -> None:
    hostile = of_points(point("a", root=HOSTILE))
    hostile.facets = standing(facet(ROUTE, {HOSTILE: 1}), services={HOSTILE: 1})
    found = page(hostile)
    assert found.all("img") == []
    assert "\u202e" not in found.text
    assert "\\u202e" in found.text
    assert all(link.is_ignored_by_htmx for link in found.all("a"))


def test_a_drag_gets_what_stands_around_the_limits_of_the_duration() -> None:
    brush = page(of_points(point("a")), "{ .a = 1 }").one("mt-brush").attributes
    assert (brush["data-before"], brush["data-behind"]) == ("{ .a = 1 && ", " }")
    assert "data-before" not in page(of_points(point("a")), "declined").one("mt-brush").attributes


def test_an_attribute_can_be_pinned_with_all_else_that_is_asked() -> None:
    key = AttributeKey("span", "http.route", "string", 1)
    found = page(
        replace(of_points(point("a")), facets=standing(services={"shop": 1})), "{ .a }", key, pin="span.b", sort="name"
    )
    hidden = {one.attributes["name"]: one.attributes["value"] for one in found.all("input", type="hidden")}
    assert hidden == {"q": "{ .a }", "sort": "name", "pin": "span.b"}
    assert [one.attributes["value"] for one in found.all("option")] == ["span.http.route"]


def test_a_clock_that_was_never_set_does_not_stretch_the_time_axis() -> None:
    found = of_points(point("boot", at=5 * 1000 * MS), point("a", at=T0, errors=1), point("b", at=T0 + 1000 * MS))
    charts = shown(found, form())["charts"]
    assert (charts.times.start_ns, len(charts.scatter.dots), charts.undated_count) == (T0, 2, 1)
    assert [(round(bar.left), bar.error_height > 0) for bar in charts.histogram.bars] == [(0, True), (98, False)]
    assert "1 from before 2000, not drawn" in page(found).text


def test_clocks_that_were_all_never_set_are_drawn() -> None:
    charts = shown(of_points(point("boot", at=5), point("again", at=6)), form())["charts"]
    assert (len(charts.scatter.dots), charts.undated_count) == (2, 0)
