"""Why a trace is different, over the app."""

from __future__ import annotations

import httpx
import pytest

from minitrace.store.store import Store
from tests.samples import trace_id
from tests.web.pagetext import HTML, Page, get
from tests.web.test_compare_pages import cart

ODD = trace_id("odd").hex()


async def a_population(store: Store) -> None:
    """Twenty carts, and one with a query 14 times as often, and slower."""
    for n in range(20):
        await store.add(cart(f"usual {n}", start_ms=n * 1000))
    await store.add(cart("odd", queries=14, query_ms=50, start_ms=50_000))


async def test_what_is_unusual_is_said_with_links_to_spans(client: httpx.AsyncClient, store: Store) -> None:
    await a_population(store)
    page = await get(client, f"/why?trace={ODD}")
    reasons = [" ".join(each.text.split()) for each in page.all("th", role="rowheader")]
    assert any(reason.startswith("14 calls of shop: SELECT stock; usually 1") for reason in reasons)
    assert any("took 50 ms; usually 5 ms" in reason for reason in reasons)
    links = [link.attributes["href"] for link in page.all("a") if "SELECT stock" in link.text]
    assert links
    assert all(link.startswith(f"/trace/{ODD}?span=") for link in links)


async def test_it_says_how_many_others_there_were(client: httpx.AsyncClient, store: Store) -> None:
    await a_population(store)
    text = (await get(client, f"/why?trace={ODD}")).text
    assert "Held against the 20 other traces of its root operation (40 spans)" in text
    assert "By duration it is slower than all; p50 25 ms" in text


async def test_a_usual_trace_has_nothing_unusual(client: httpx.AsyncClient, store: Store) -> None:
    await a_population(store)
    assert "Nothing that it does" in (await get(client, f"/why?trace={trace_id('usual 3').hex()}")).text


async def test_too_few_others_are_said(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(cart("odd"))
    assert "too few to say what is usual" in (await get(client, f"/why?trace={ODD}")).text


@pytest.mark.parametrize(("asked", "said"), [("zzz", "names no trace"), ("7", "is stored")])
async def test_a_trace_that_is_not_there_is_said(client: httpx.AsyncClient, asked: str, said: str) -> None:
    answer = await client.get(f"/why?trace={asked}", headers=HTML)
    assert answer.status_code == 422
    assert said in Page(answer.text).one("div", class_="problem").text
    assert said in (await client.get(f"/why.json?trace={asked}")).json()["problem"]


async def test_without_a_trace_the_page_asks_for_one(client: httpx.AsyncClient) -> None:
    assert (await get(client, "/why")).one("input", name="trace").attributes["value"] == ""


async def test_programs_get_reasons_with_spans(client: httpx.AsyncClient, store: Store) -> None:
    await a_population(store)
    answer = (await client.get(f"/why.json?trace={ODD}")).json()
    assert answer["other_count"] == 20
    calls = next(reason for reason in answer["reasons"] if reason["kind"] == "calls")
    assert (calls["value"], calls["usual"], len(calls["span_id"])) == ("14", "1", 16)
    assert answer["findings"] == [reason["text"] for reason in answer["reasons"]]


async def test_a_trace_of_a_run_is_held_against_those_of_other_runs(client: httpx.AsyncClient, store: Store) -> None:
    for n in range(6):
        await store.add(cart(f"before {n}", start_ms=n * 1000, run="one"))
        await store.add(cart(f"after {n}", queries=14, start_ms=50_000 + n * 1000, run="two"))
    page = await get(client, f"/why?trace={trace_id('after 0').hex()}")
    assert "14 calls of shop: SELECT stock; usually 1" in page.text
    assert "the 6 other traces of its root operation in other runs" in page.text


async def test_with_too_few_traces_of_other_runs_all_are_compared_with(client: httpx.AsyncClient, store: Store) -> None:
    for n in range(6):
        await store.add(cart(f"after {n}", queries=14, start_ms=n * 1000, run="two"))
    await store.add(cart("before", start_ms=50_000, run="one"))
    answer = (await client.get(f"/why.json?trace={trace_id('after 0').hex()}")).json()
    assert (answer["other_count"], answer["of_other_runs"]) == (6, False)
