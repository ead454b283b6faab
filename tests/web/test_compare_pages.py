"""The pages that compare, over the app."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from minitrace.model import Resource, Span, Status, StatusCode
from minitrace.store.runs import RUN_ID, Run
from minitrace.store.store import Store
from minitrace.web import comparing
from tests.samples import T0, span, trace_id
from tests.web.pagetext import HTML, Page, get

A, B = trace_id("before").hex(), trace_id("after").hex()
BOTH = f"/compare?a={A}&b={B}"


def cart(trace: str, *, queries: int = 1, query_ms: float = 5, start_ms: float = 0, run: str = "") -> list[Span]:
    """A request with so many queries, each of so many milliseconds."""
    resource = Resource({"service.name": "shop"})
    if run:
        resource.attributes[RUN_ID] = run
    length = 20 + queries * query_ms
    root = span("GET /cart", trace=trace, id=f"{trace} root", start_ms=start_ms, duration_ms=length, resource=resource)
    return [
        root,
        *(
            span(
                "SELECT stock",
                f"{trace} root",
                trace=trace,
                id=f"{trace} {n}",
                start_ms=start_ms + 5 + n * query_ms,
                duration_ms=query_ms,
                attributes={"db.system.name": "sqlite", "db.query.text": f"SELECT * FROM stock WHERE id = {n}"},
                resource=resource,
            )
            for n in range(queries)
        ),
    ]


async def two_traces(store: Store) -> None:
    """A trace, and one with a repeated, slower query, something new and something gone."""
    before = cart("before")
    after = cart("after", queries=14, query_ms=9, start_ms=1000)
    before.append(span("GET /rates", "before root", trace="before", start_ms=12, duration_ms=4))
    after.append(span("GET /prices", "after root", trace="after", start_ms=1140, duration_ms=6))
    before[0].attributes["shop.version"], after[0].attributes["shop.version"] = "1.0", "1.1"
    await store.add([*before, *after])


async def problem(client: httpx.AsyncClient, path: str) -> str:
    """What a page says is wrong with the question."""
    answer = await client.get(path, headers=HTML)
    assert answer.status_code == 422
    return " ".join(Page(answer.text).one("div", class_="problem").text.split())


def names(page: Page) -> list[str]:
    """The rows of the table, with their signs."""
    return [" ".join(each.text.split()) for each in page.all("th", role="rowheader")]


async def test_without_sides_the_page_tells_the_ways(client: httpx.AsyncClient) -> None:
    page = await get(client, "/compare")
    ways = [each.text for each in page.all("h2") if not each.inside("dialog")]
    assert ways == ["Two traces", "Two searches", "Two runs"]


async def test_a_repeated_query_is_named_on_top_with_a_link_to_its_row(client: httpx.AsyncClient, store: Store) -> None:
    await two_traces(store)
    page = await get(client, BOTH)
    first = page.one("ol", class_="findings").text.split("\n")[1]
    assert "shop: SELECT stock: 1 → 14 calls" in " ".join(first.split())
    number = names(page).index(next(name for name in names(page) if "SELECT stock" in name))
    links = [link for link in page.all("a") if "SELECT stock: 1" in link.text]
    assert links[0].attributes["href"] == f"/compare?a={A}&b={B}&row={number}#row-{number}"
    assert page.all("tr", id=f"row-{number}")


async def test_rows_say_what_only_one_side_has(client: httpx.AsyncClient, store: Store) -> None:
    await two_traces(store)
    rows = " | ".join(names(await get(client, BOTH)))
    assert "− only in A shop GET /rates" in rows
    assert "＋ only in B shop GET /prices" in rows


async def test_calls_are_said_as_a_change(client: httpx.AsyncClient, store: Store) -> None:
    await two_traces(store)
    assert "1 → 14" in [each.text for each in (await get(client, BOTH)).all("td", class_="calls")]


async def test_the_other_metrics_are_links(client: httpx.AsyncClient, store: Store) -> None:
    await two_traces(store)
    page = await get(client, BOTH + "&metric=count")
    assert "+13 ×14" in [" ".join(each.text.split()) for each in page.all("td", class_="delta")]
    hrefs = {link.text: link.attributes["href"] for link in page.all("a")}
    assert hrefs["Own time"] == f"/compare?a={A}&b={B}&metric=self"


async def test_swap_turns_the_sides_round_and_keeps_the_view(client: httpx.AsyncClient, store: Store) -> None:
    await two_traces(store)
    page = await get(client, BOTH + "&metric=self&only=changed")
    assert page.one("a", class_="swap").attributes["href"] == f"/compare?a={B}&b={A}&metric=self&only=changed"


async def test_what_is_the_same_can_be_hidden(client: httpx.AsyncClient, store: Store) -> None:
    for name, start_ms in (("before", 0), ("after", 1000)):
        spans = cart(name, queries=1 if name == "before" else 3, start_ms=start_ms)
        steady = span("steady", f"{name} root", trace=name, id=f"{name} steady", start_ms=start_ms + 1, duration_ms=3)
        await store.add([*spans, steady])
    assert any("steady" in name for name in names(await get(client, BOTH)))
    page = await get(client, BOTH + "&only=changed")
    assert [name.partition(" level")[0] for name in names(page)] == ["shop GET /cart", "shop SELECT stock"]
    assert "1 row is about the same" in page.text


async def test_an_open_row_tells_its_attributes(client: httpx.AsyncClient, store: Store) -> None:
    await two_traces(store)
    page = await get(client, BOTH + "&row=0")
    assert [each.text for each in page.all("td", class_="value")] == ["1.0", "1.1"]


async def test_attributes_that_differ_have_a_view(client: httpx.AsyncClient, store: Store) -> None:
    await two_traces(store)
    page = await get(client, BOTH + "&view=attrs")
    assert [each.text for each in page.all("td", class_="value")][:2] == ["1.0", "1.1"]


async def test_both_traces_are_linked_with_their_figures(client: httpx.AsyncClient, store: Store) -> None:
    await two_traces(store)
    page = await get(client, BOTH)
    a, b = page.all("section", class_="side")
    assert "25 ms" in a.text.replace("\u2009", " ")
    assert "16 spans" in b.text.replace("\u2009", " ")
    assert {f"/trace/{A}", f"/trace/{B}", f"/why?trace={A}"} <= {link.attributes["href"] for link in page.all("a")}


async def test_the_same_trace_on_both_sides_is_said(client: httpx.AsyncClient, store: Store) -> None:
    await two_traces(store)
    page = await get(client, f"/compare?a={A}&b={A}")
    assert "This is the same trace on both sides." in page.text
    assert "No part of them differs" in page.text


async def test_typical_leads_to_the_median_trace(client: httpx.AsyncClient, store: Store) -> None:
    for n, query_ms in enumerate((5, 300, 7)):
        await store.add(cart(f"other {n}", query_ms=query_ms, start_ms=n * 1000))
    await store.add(cart("before", start_ms=9000))
    answer = await client.get(f"/compare?a={A}&b=typical&metric=self")
    wanted = trace_id("other 2").hex()
    assert (answer.status_code, answer.headers["location"]) == (303, f"/compare?a={A}&b={wanted}&metric=self")


async def test_without_another_trace_none_is_typical(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(cart("before"))
    assert "No other trace of this operation is stored yet" in await problem(client, f"/compare?a={A}&b=typical")


async def test_what_was_pasted_becomes_an_id(client: httpx.AsyncClient, store: Store) -> None:
    await two_traces(store)
    answer = await client.get(f"/compare?a={A}&b=" + quote(f"traceparent: 00-{B}-00f067aa0ba902b7-01"))
    assert (answer.status_code, answer.headers["location"]) == (303, f"/compare?a={A}&b={B}")


async def test_one_trace_offers_others_of_its_operation(client: httpx.AsyncClient, store: Store) -> None:
    await two_traces(store)
    await store.add([span("GET /other", trace="third")])
    page = await get(client, f"/compare?a={A}")
    choices = [link.attributes["href"] for link in page.all("a") if link.text == "Compare"]
    assert choices == ["/compare", f"/compare?a={A}&b={B}"]
    assert any(link.attributes["href"] == f"/compare?a={A}&b=typical" for link in page.all("a"))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (f"a=zzz&b={A}", "'zzz' names no trace"),
        (f"a={A}&b=" + "0" * 31 + "7", "No trace 00000000000000000000000000000007 is stored"),
        ("a=typical&b=typical", "Name a trace"),
        ("qa=%7B%20status%20%3D&qb=%7B%7D", "expected a value"),
        ("qa=%7B%7D", "Say what to compare it with"),
        ("ra=one&rb=two", "No run 'one' is kept"),
    ],
)
async def test_what_cannot_be_compared_is_said(client: httpx.AsyncClient, store: Store, query: str, said: str) -> None:
    await two_traces(store)
    assert said in await problem(client, f"/compare?{query}")
    answer = await client.get(f"/compare.json?{query}")
    assert answer.status_code == 422


async def _sets(store: Store) -> None:
    for n in range(12):
        await store.add(cart(f"a{n}", start_ms=n * 1000, run="one"))
        await store.add(cart(f"b{n}", queries=14, query_ms=9, start_ms=100_000 + n * 1000, run="two"))


async def test_two_searches_are_compared_by_operation(client: httpx.AsyncClient, store: Store) -> None:
    await _sets(store)
    qa, qb = quote("{ traceDuration < 50ms }"), quote("{ traceDuration > 50ms }")
    page = await get(client, f"/compare?qa={qa}&qb={qb}")
    assert "shop: SELECT stock: 1 → 14 calls a trace (12 and 12 traces)" in page.one("ol", class_="findings").text
    assert "1 → 14" in [" ".join(each.text.split()) for each in page.all("td", class_="number")]
    assert names(page)[0] == "shop SELECT stockbelow GET /cart"


async def test_two_runs_are_compared_by_operation(client: httpx.AsyncClient, store: Store) -> None:
    await _sets(store)
    for name, start_ns in (("one", T0), ("two", T0 + 100_000_000_000)):
        await store.begin_run(Run(name, "command", "pytest -x", "/home/me", start_ns, "c0ffee" * 6 + "1234", "main"))
    page = await get(client, "/compare?ra=one&rb=two")
    assert "SELECT stock: 1 → 14 calls a trace" in page.one("ol", class_="findings").text
    assert "at c0ffeec0 on main" in page.all("section", class_="side")[0].text


async def test_a_side_without_traces_is_said(client: httpx.AsyncClient, store: Store) -> None:
    await _sets(store)
    nothing = quote('{ name = "nothing" }')
    page = await get(client, f"/compare?qa={quote('{ }')}&qb={nothing}")
    assert "B has no trace." in page.text


async def test_a_side_says_why_it_is_not_all_traces(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _sets(store)
    monkeypatch.setattr(comparing, "MOST_TRACES", 5)
    page = await get(client, f"/compare?qa={quote('{ traceDuration < 50ms }')}&qb={quote('{ traceDuration > 50ms }')}")
    text = page.all("section", class_="side")[0].text.replace("\u2009", " ")
    assert "newest 5 traces" in text
    assert "more than 5 traces match; these are the newest" in text


async def test_programs_get_findings_sides_and_rows(client: httpx.AsyncClient, store: Store) -> None:
    await two_traces(store)
    answer = (await client.get(f"/compare.json?a={A}&b={B}")).json()
    assert answer["findings"][0] == "shop: SELECT stock: 1 → 14 calls"
    assert (answer["a"]["trace_id"], answer["b"]["span_count"], answer["row_count"]) == (A, 16, 4)
    select = next(row for row in answer["rows"] if row["label"] == "SELECT stock")
    assert (select["a"]["calls"], select["b"]["calls"], select["b"]["total_ns"]) == (1, 14, 126_000_000)


async def test_programs_compare_with_the_typical_trace_at_once(client: httpx.AsyncClient, store: Store) -> None:
    await two_traces(store)
    assert (await client.get(f"/compare.json?a={A}&b=typical")).json()["b"]["trace_id"] == B


async def test_programs_get_the_changes_between_sets(client: httpx.AsyncClient, store: Store) -> None:
    await _sets(store)
    answer = (await client.get(f"/compare.json?qa={quote('{ traceDuration < 50ms }')}&qb={quote('{ }')}")).json()
    assert (answer["a"]["trace_count"], answer["b"]["trace_count"]) == (12, 24)
    assert answer["changes"][0]["path"][-1] == {"service": "shop", "name": "SELECT stock"}


async def test_spans_that_arrive_later_are_compared_too(client: httpx.AsyncClient, store: Store) -> None:
    await two_traces(store)
    assert not any("late" in name for name in names(await get(client, BOTH)))
    await store.add([span("late", "after root", trace="after", start_ms=1100)])
    assert any("late" in name for name in names(await get(client, BOTH)))


async def test_errors_that_only_one_side_has_are_said(client: httpx.AsyncClient, store: Store) -> None:
    before, after = cart("before"), cart("after", start_ms=1000)
    after[1].status = Status(StatusCode.ERROR)
    await store.add([*before, *after])
    page = await get(client, BOTH)
    assert "⨯ 0 → 1 errors" in " ".join(names(page)[1].split())
    assert "fails only in B" in page.one("ol", class_="findings").text
