"""The service map over the app."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from minitrace.model import Kind, Span, Status, StatusCode
from minitrace.store import crossing_sums, pieces
from minitrace.store.search import Search
from minitrace.store.store import Store
from minitrace.traceql.ast import Pipeline
from minitrace.traceql.parser import parse
from minitrace.web import map_graph, map_pages
from minitrace.web.layers import layout
from tests.samples import span
from tests.web.pagetext import Element, Page, get

TIMES = "from=2023-11-14T22:13:00Z&to=2023-11-14T22:14:00Z"
FAILED = Status(StatusCode.ERROR)


def checkout(trace: str = "1", status: Status = FAILED) -> list[Span]:
    """shop calls pay, which fails; pay asks its database; a message goes to mail, a call to a host."""
    orders = {"db.system.name": "postgresql", "db.namespace": "orders"}
    return [
        span("POST /checkout", trace=trace, kind=Kind.SERVER),
        span("POST", "POST /checkout", trace=trace, kind=Kind.CLIENT),
        span("charge", "POST", trace=trace, service="pay", kind=Kind.SERVER, status=status),
        span("INSERT", "charge", trace=trace, service="pay", kind=Kind.CLIENT, attributes=orders),
        span("send", "POST /checkout", trace=trace, kind=Kind.PRODUCER),
        span("deliver", "send", trace=trace, service="mail", kind=Kind.CONSUMER),
        span(
            "GET", "deliver", trace=trace, service="mail", kind=Kind.CLIENT, attributes={"http.url": "http://a.b/c?d"}
        ),
    ]


def titles(page: Page, kind: str) -> list[str]:
    """What the boxes, or the arrows, say of themselves."""
    return [
        " ".join(title.text.replace("\u2009", " ").split())
        for title in page.all("title")
        if title.parents[-1].attributes.get("class", "").split()[:1] == [kind]
    ]


def arrow(page: Page, start: str) -> Element:
    """The link of an arrow."""
    (title,) = [title for title in page.all("title") if title.text.startswith(start)]
    return title.parents[-1]


async def test_boxes_and_arrows_tell_rate_errors_and_p95(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(checkout())
    page = await get(client, f"/map?{TIMES}")
    assert set(titles(page, "box")) == {
        "shop: 1/min · p95 10.4 ms", "pay: 1/min · 100% failed · p95 10.4 ms", "mail: 1/min · p95 10.4 ms",
        "postgresql orders: 1/min · p95 10.4 ms", "a.b: 1/min · p95 10.4 ms",
    }  # fmt: skip
    assert set(titles(page, "call")) == {
        "shop to pay: 1 call, 1/min · 100% failed · p95 10.4 ms",
        "shop to mail: 1 message, 1/min · p95 10.4 ms",
        "pay to postgresql orders: 1 call, 1/min · p95 10.4 ms",
        "mail to a.b: 1 call, 1/min · p95 10.4 ms",
    }


async def test_a_service_that_serves_nothing_tells_what_it_starts(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("nightly", service="job")])
    assert titles(await get(client, f"/map?{TIMES}"), "box") == ["job: starts 1/min · p95 10.4 ms"]


@pytest.mark.parametrize("start", ["shop to pay", "shop to mail", "pay to postgresql orders", "mail to a.b"])
async def test_an_arrow_leads_to_the_traces_of_its_calls(client: httpx.AsyncClient, store: Store, start: str) -> None:
    await store.add([*checkout(), span("other", trace="2"), span("x", trace="3", service="pay", kind=Kind.CLIENT)])
    address = urlsplit(arrow(await get(client, f"/map?{TIMES}"), start).attributes["href"])
    asked = parse_qs(address.query)
    assert (address.path, asked["from"]) == ("/search", ["2023-11-14T22:13:00"])
    query = parse(asked["q"][0])
    assert isinstance(query.root, Pipeline)
    found = await store.search(Search(query.root))
    assert [match.summary.trace_id for match in found.matches] == [checkout()[0].trace_id]


async def test_a_focus_shows_what_is_near_and_its_card(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(checkout())
    page = await get(client, f"/map?focus=pay&{TIMES}")
    assert {title.split(":")[0] for title in titles(page, "box")} == {"shop", "pay", "postgresql orders"}
    links = [one.attributes["href"] for one in page.all("a") if one.text in ("Traces", "Rates and durations")]
    query = '{ resource.service.name = "pay" && (kind = server || kind = consumer) }'
    assert links[0].startswith(f"/search?{urlencode({'q': query})}&from=")
    assert links[1].startswith("/red?service=pay&from=2023-11-14T22%3A13%3A00")
    rates = await get(client, links[1])
    assert [one.text for one in rates.all("h1")] == ["pay"]
    (back,) = [one.attributes["href"] for one in rates.all("a") if one.text == "On the map"]
    assert set(titles(await get(client, back), "box")) == set(titles(page, "box"))


async def test_a_deeper_focus_shows_more(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(checkout())
    page = await get(client, f"/map?focus=database:postgresql+orders&depth=2&{TIMES}")
    assert {title.split(":")[0] for title in titles(page, "box")} == {"shop", "pay", "postgresql orders"}


async def test_a_focus_that_is_not_there_is_said(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(checkout())
    page = await get(client, f"/map?focus=bank&{TIMES}")
    assert "Nothing here is called bank" in page.text
    assert len(titles(page, "box")) == 5


async def test_the_tables_have_the_same_figures(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(checkout())
    page = await get(client, f"/map?view=table&{TIMES}")
    rows = ["".join(row.text.split()) for row in page.all("tr")]
    assert "pay1/min⨯100%10.4msTraces" in rows
    assert "shoppay11/min⨯100%10.4msTracesFailed" in rows
    assert "shopmailmessages11/min0%10.4msTracesSlowest" in rows


async def test_without_spans_it_says_what_would_be_drawn(client: httpx.AsyncClient) -> None:
    page = await get(client, "/map")
    assert "No service did anything in this time" in page.text


async def test_a_time_that_is_none_is_a_problem(client: httpx.AsyncClient) -> None:
    answer = await client.get("/map?from=yesterday", headers={"Accept": "text/html"})
    assert answer.status_code == 422
    assert "Write a date and a time" in answer.text


async def test_while_older_spans_are_counted_the_page_says_so_and_asks_again(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "SPANS_PER_PIECE", 4)
    monkeypatch.setattr(map_pages, "PATIENCE_S", 0)
    await store.add(checkout())
    first, second = [(await get(client, f"/map?{TIMES}")).text for _ in range(2)]
    assert "3 of 7 spans are counted so far" in first
    assert "counted so far" not in second


async def test_more_than_a_map_can_have_is_said_and_not_asked_for_again(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "SPANS_PER_PIECE", 4)
    monkeypatch.setattr(crossing_sums, "MOST_BYTES", 0)
    await store.add(checkout())
    page = await get(client, f"/map?{TIMES}")
    assert "Of 7 spans the newest 3 are on this map" in page.text.replace("\u2009", " ")
    assert "load delay" not in page.text


async def test_thousands_of_services_are_one_box_beside_the_busiest(client: httpx.AsyncClient, store: Store) -> None:
    hosts = [
        span(f"{n}", trace=f"{n}", service=f"s{n}", kind=Kind.CLIENT, attributes={"server.address": f"h{n}"})
        for n in range(3000)
    ]
    await store.add([*checkout("a"), *checkout("b"), *hosts])
    page = await get(client, f"/map?{TIMES}")
    boxes = titles(page, "box")
    assert len(boxes) == map_graph.MAX_BOXES + 1
    assert any(box.startswith("shop: ") for box in boxes)
    assert "the others as one" in page.text


async def test_an_arrow_to_thousands_of_services_leads_nowhere(client: httpx.AsyncClient, store: Store) -> None:
    called = [span(f"{n}", "shop", trace="a", service=f"s{n}", kind=Kind.SERVER) for n in range(2000)]
    await store.add([span("shop", trace="a", kind=Kind.SERVER), span("again", trace="a", kind=Kind.SERVER), *called])
    page = await get(client, f"/map?{TIMES}")
    assert arrow(page, "shop to the others: ").tag == "g"


def test_a_layout_of_the_most_that_is_drawn_has_all_of_it() -> None:
    names = [f"{n}" for n in range(map_graph.MAX_BOXES)]
    edges = [(names[n % 40], names[(n * 7 + 3) % 40]) for n in range(map_graph.MAX_ARROWS)]
    assert layout(names, edges).nodes.keys() == set(names)


async def test_where_arrows_tell_durations_they_lead_to_the_longest_traces(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add(checkout("a"))
    for metric, sort in (("rate", None), ("p95", ["-duration"])):
        call, *_ = (await get(client, f"/map?metric={metric}&{TIMES}")).all("a", class_="call")
        assert parse_qs(urlsplit(call.attributes["href"]).query).get("sort") == sort
