"""The page of rates, errors and durations, over the app."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote_plus, urlsplit

import httpx
import pytest

from minitrace.model import Kind, Span, Status, StatusCode
from minitrace.store.figures import Figures
from minitrace.store.orders import Order
from minitrace.store.red import RedAnswer, RedQuestion
from minitrace.store.store import Store
from minitrace.web.red_charts import charts, spark
from minitrace.web.red_form import STEPS_S, read_form, step_of
from tests.samples import T0, span, span_id, trace_id
from tests.web.pagetext import HTML, Page, get, part, plain

S = 1_000_000_000
RANGE = "from=2023-11-14T22:13:20Z&to=2023-11-14T22:23:20Z"  # ten minutes from T0
FAILED = Status(StatusCode.ERROR)


def served(n: int, name: str = "GET /cart", service: str = "cart", **fields: object) -> Span:
    """A span that a service answers a request with, n seconds after T0."""
    return span(name, trace=f"t{n}", id=f"{n}", service=service, start_ms=1000 * n, kind=Kind.SERVER, **fields)  # type: ignore[arg-type]


def rows(page: Page) -> list[str]:
    """The rows of the table, as they read."""
    return [" ".join(plain(cell.text) for cell in page.elements if row in cell.parents and cell.tag in ("th", "td"))
            for row in page.all("tr")[1:]]  # fmt: skip


def links(page: Page, row: int) -> dict[str, str]:
    """Where the links of a row of the table lead, by their texts."""
    (body,) = page.all("tbody")
    of_row = [one for one in page.elements if one.tag == "tr" and body in one.parents][row]
    return {plain(link.text): link.attributes["href"] for link in page.all("a") if of_row in link.parents}


async def cells(client: httpx.AsyncClient, address: str) -> list[tuple[str, str]]:
    """The parts of the heat map: what they say, and where they lead."""
    html = (await client.get(address)).text
    found = re.findall(r'<a tabindex="-1" href="([^"]+)"><title>([^<]+)</title><path class="heat', html)
    return [(title.replace("\u2009", " "), url.replace("&amp;", "&")) for url, title in found]


async def search_count(client: httpx.AsyncClient, url: str) -> int:
    answer = await client.get("/api/search", params={"q": parse_qs(urlsplit(url).query)["q"][0], "limit": "100"})
    return len(answer.json()["traces"])


# What is shown


async def test_services_are_listed_by_their_impact(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([served(1, duration_ms=10), served(2, service="pay", duration_ms=40), served(3, status=FAILED)])
    page = await get(client, f"/red?{RANGE}")
    assert rows(page) == [
        "pay 6/h 0% 41.6 ms 41.6 ms 41.6 ms 67%   Traces Slowest",
        "cart 12/h ⨯ 50% 10.4 ms 10.4 ms 10.4 ms 33%   Traces Slowest Errors",
    ]


async def test_a_service_lists_its_operations_and_an_operation_none(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([served(1), served(2, "GET /pay"), served(3, service="other")])
    page = await get(client, f"/red?service=cart&{RANGE}")
    assert [row.partition(" 6/h")[0] for row in rows(page)] == ["GET /cart", "GET /pay"]
    assert not (await get(client, f"/red?service=cart&operation=GET+/pay&{RANGE}")).all("table")


async def test_a_row_leads_one_step_deeper(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([served(1, "GET /a&b")])
    to_service = links(await get(client, f"/red?kind=all&{RANGE}"), 0)["cart"]
    to_operation = links(await get(client, to_service), 0)["GET /a&b"]
    asked = parse_qs(urlsplit(to_operation).query)
    assert (asked["service"], asked["operation"], asked["kind"]) == (["cart"], ["GET /a&b"], ["all"])
    assert (await get(client, to_operation)).one("h1").text == "GET /a&b"


@pytest.mark.parametrize(("kind", "rate"), [("", "6/h"), ("out", "12/h"), ("inner", "18/h"), ("all", "36/h")])
async def test_kinds_can_be_chosen(client: httpx.AsyncClient, store: Store, kind: str, rate: str) -> None:
    kinds = [Kind.SERVER, Kind.CLIENT, Kind.PRODUCER, *[Kind.INTERNAL] * 3]
    await store.add([span(f"{n}", kind=kind, start_ms=1000) for n, kind in enumerate(kinds)])
    assert rate in rows(await get(client, f"/red?kind={kind}&{RANGE}"))[0]


async def test_the_time_before_stands_beside(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([served(1), *(served(-n, duration_ms=50) for n in range(1, 4))])
    page = await get(client, f"/red?compare=1&{RANGE}")
    assert rows(page)[0].startswith("cart 6/h was 18/h 0% was 0% 10.4 ms was 49.5 ms")


async def test_without_spans_before_nothing_is_compared(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([served(1)])
    page = await get(client, f"/red?compare=1&{RANGE}")
    assert "No such span started in the time before" in page.text
    assert "was" not in rows(page)[0]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [("subject", ["a", "b", "c"]), ("-rate", ["b", "c", "a"]), ("-errors", ["c", "a", "b"]), ("p99", ["b", "a", "c"])],
)
async def test_the_table_is_sorted_by_a_column(
    client: httpx.AsyncClient, store: Store, sort: str, expected: list[str]
) -> None:
    await store.add(
        [
            served(1, service="a", duration_ms=20),
            *(served(n, service="b", duration_ms=1) for n in (2, 3)),
            served(4, service="c", duration_ms=90, status=FAILED),
        ]
    )
    found = rows(await get(client, f"/red?sort={sort}&{RANGE}"))
    assert [row[0] for row in found] == expected


async def test_an_empty_time_leads_to_a_longer_one(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([served(1)])
    page = await get(client, "/red")
    assert "No such span started in this time" in page.text
    assert page.all("a", href="/red?since=30d")


async def test_spans_of_other_kinds_are_offered(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", start_ms=1), span("b", start_ms=2)])
    page = await get(client, f"/red?service=shop&{RANGE}")
    assert "There are 2 of other kinds" in " ".join(page.text.split())


async def test_a_time_that_is_none_is_a_problem_at_its_field(client: httpx.AsyncClient) -> None:
    answer = await client.get("/red?from=yesterday", headers=HTML)
    assert (answer.status_code, "Write a date and a time" in answer.text) == (422, True)
    answer = await client.get("/red?from=2023-11-14T22:00Z&to=2023-11-14T21:00Z", headers=HTML)
    assert (answer.status_code, "This is not after the beginning." in answer.text) == (422, True)


async def test_htmx_gets_the_figures_alone_and_an_address(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([served(1)])
    answer = await client.get(f"/red?kind=all&compare=&since=1h&{RANGE}", headers=part("div#red"))
    assert ("<html" in answer.text, "cart" in answer.text) == (False, True)
    assert answer.headers["HX-Push-Url"].startswith("/red?kind=all&from=2023-11-14T22:13:20&to=")


async def test_what_is_beyond_those_told_apart_is_said(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minitrace.store.rolling.MAX_NAMES", 1)
    await store.add([served(n, f"GET /{n}") for n in range(1, 4)])
    page = await get(client, f"/red?service=cart&{RANGE}")
    assert "too many operations to tell all of them apart: 2 spans count as “other operations”" in page.text
    assert [row.partition("/h")[0] for row in rows(page)] == ["other operations 12", "GET /1 6"]


async def test_a_service_beyond_those_told_apart_can_be_searched_for(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minitrace.store.rolling.MAX_SERVICES", 1)
    await store.add([served(n, service=f"service {n}") for n in range(1, 4)])
    page = await get(client, f"/red?service=service+3&{RANGE}")
    assert "2 spans are of services beyond those that are told apart; this may be one of them" in page.text
    (link,) = [link for link in page.all("a") if link.text == "Search for its spans"]
    assert await search_count(client, link.attributes["href"]) == 1


# Where it leads


async def test_an_exemplar_leads_to_its_span(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([served(1), served(2, status=FAILED)])
    page = await get(client, f"/red?{RANGE}")
    for n in (1, 2):
        dot, in_list = page.all("a", href=f"/trace/{trace_id(f't{n}').hex()}?span={span_id(f'{n}').hex()}")
        assert (dot.inside("svg"), in_list.inside("ul")) == (True, True)


async def test_a_cell_of_the_heat_map_leads_to_the_spans_that_it_counts(
    client: httpx.AsyncClient, store: Store
) -> None:
    durations = [0, 0.000001, 0.5, 3, 3.1, 3.2, 40, 900]
    await store.add([served(n + 1, duration_ms=duration) for n, duration in enumerate(durations)])
    found = await cells(client, f"/red?service=cart&{RANGE}")
    counts = [int(title.rpartition(": ")[2].split()[0]) for title, _ in found]
    assert sum(counts) == len(durations)
    for (_, url), count in zip(found, counts, strict=True):
        assert await search_count(client, url) == count
        assert "from=2023-11-14T22:13:20.000Z&to=2023-11-14T22:13:30.000Z" in unquote_plus(url)


async def test_links_to_traces_ask_for_what_the_row_counts(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([served(1, 'GET "x"'), served(2, 'GET "x"', status=FAILED), served(3, "GET /y")])
    found = links(await get(client, f"/red?service=cart&{RANGE}"), 0)
    assert await search_count(client, found["Traces"]) == 2
    assert await search_count(client, found["Errors"]) == 1
    assert parse_qs(urlsplit(found["Slowest"]).query)["sort"] == [Order.LONGEST]


async def test_names_too_long_for_an_address_have_no_search(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([served(1, "x" * 5_000)])
    assert "Traces" not in links(await get(client, f"/red?service=cart&{RANGE}"), 0)


async def test_a_row_draws_the_slowest_span_over_time(client: httpx.AsyncClient, store: Store) -> None:
    """A spike of one service is seen among the others: every row has a scale of its own."""
    await store.add([served(n, duration_ms=400 if n == 65 else 10) for n in range(5, 600, 10)])
    html = (await client.get(f"/red?{RANGE}", headers=HTML)).text
    rate, slowest = re.findall(r'class="trend"><svg[^>]+><path d="([^"]+)"', html)
    assert set(re.findall(r"V(\d+)h", rate)) == {"0"}
    heights = re.findall(r"V(\d+)h", slowest)
    assert heights.count("0") == 1
    assert set(heights) == {"0", "98"}


async def test_metrics_that_were_sent_are_said_to_be_counted_alone(client: httpx.AsyncClient) -> None:
    assert "/v1/metrics" not in (await get(client, "/red")).text
    metrics = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "gauge": {"dataPoints": [{}, {}]}}]}]}]}
    assert (await client.post("/v1/metrics", json=metrics)).status_code == 200
    said = "2 data points came to /v1/metrics since the start: minitrace counts them, and stores none."
    assert said in plain((await get(client, "/red")).text)


# Its parts


@pytest.mark.parametrize(
    ("seconds", "step"), [(60, 10), (900, 20), (3600, 60), (21_600, 300), (86_400, 1800), (604_800, 10_800)]
)
def test_steps_are_round_and_few(seconds: int, step: int) -> None:
    assert step_of(seconds * S) == step * S


def test_any_range_has_few_steps() -> None:
    for days in (30, 365, 40_000):
        form = read_form({"from": "1970-01-02T00:00Z", "to": f"{1970 + days // 366 + 1}-01-02T00:00Z"}, T0)
        assert form.question.step_count <= 77
    assert list(STEPS_S) == sorted(STEPS_S)


def test_nothing_has_no_charts() -> None:
    assert charts(RedAnswer(RedQuestion(T0, T0 + S, S), Figures(), [Figures()], [])) is None


def test_a_rate_over_time_is_an_area() -> None:
    assert spark([1, 2, 0, 4]) == "M0 100V75h25.00V50h25.00V100h25.00V0h25.00V100z"
    assert spark([0, 0]) == ""
