"""The page of a trace without scripts, and what its modules ask for."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from minitrace.config import Config
from minitrace.live import Live
from minitrace.model import Event, Kind, Resource, Span, Status, StatusCode
from minitrace.store.store import Store
from minitrace.web import rows as rows_module
from minitrace.web import trace_pages
from minitrace.web.app import create_app
from tests.samples import MS, T0, TRACE, span, span_id, trace_id
from tests.web.pagetext import Element, Page, get, part, plain, url
from tests.web.test_trace_page import _odd

FAILED = Status(StatusCode.ERROR, "card declined")
SHOP = [
    span("checkout", trace="a", duration_ms=100, kind=Kind.SERVER),
    span("charge", "checkout", trace="a", service="payment", start_ms=25, duration_ms=50, status=FAILED),
    *(span("query", "checkout", trace="a", id=f"query {n}", start_ms=80 + n, duration_ms=1) for n in range(5)),
]


def rows(page: Page) -> list[Element]:
    return page.all("div", role="row")


async def test_a_trace_shows_its_spans_as_a_tree(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SHOP)
    page = await get(client, url("a"))
    assert [plain(row.text) for row in rows(page)] == [
        "▾shop checkoutserver 100 ms 25 ms untraced",
        "payment charge⨯ error 50 ms",
        "▸shop ×5 query Σ 5 ms",
    ]
    assert [row.attributes["aria-level"] for row in rows(page)] == ["1", "2", "2"]
    assert [row.attributes.get("aria-expanded") for row in rows(page)] == ["true", None, "false"]
    bars = [(bar.attributes["x"], bar.attributes["width"]) for bar in page.all("rect", class_="span")]
    assert bars == [("0%", "100%"), ("25%", "50%")]
    own = [(bar.attributes["x"], bar.attributes["width"]) for bar in page.all("rect", class_="own")]
    assert own == [("0%", "25%"), ("75%", "5%"), ("85%", "15%"), ("25%", "50%")]
    assert page.one("title").text == "checkout · minitrace"


async def test_the_verdict_stands_on_top_and_each_part_leads_to_what_it_says(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add(SHOP)
    verdict = (await get(client, url("a"))).one("p", class_="verdict")
    assert plain(verdict.text).startswith("100 ms · ")
    assert "1 error" in verdict.text
    page = await get(client, url("a"))
    leads = [a.attributes["href"] for a in page.all("a", class_="claim") if "error" in a.text]
    assert leads == [f"{url('a')}?span={span_id('charge').hex()}"]


async def test_filters_say_how_much_there_is_and_offer_what_there_is(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SHOP)
    page = await get(client, url("a"))
    assert [plain(label.text) for label in page.all("label", class_="toggle")][1:] == [
        "Errors 1",
        "Critical 7",
        "Slow 2",
    ]
    assert [kind.attributes["value"] for kind in page.all("input", name="without")] == ["unspecified", "server"]


async def test_a_link_keeps_all_services_that_are_hidden(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SHOP)
    page = await get(client, f"{url('a')}?hide=a&hide=b")
    assert (
        page.all("a", class_="open")[0].attributes["href"].endswith(f"?span={span_id('checkout').hex()}&hide=a&hide=b")
    )


async def test_a_run_is_unfolded_by_its_link(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SHOP)
    page = await get(client, url("a"))
    fold = page.all("a", class_="fold")[-1].attributes["href"]
    unfolded = await get(client, fold)
    assert len(rows(unfolded)) == 8
    again = unfolded.all("a", class_="fold")[-1].attributes["href"]
    assert again == url("a")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("show=errors", ["checkout", "charge"]),
        ("hide=shop", ["checkout", "charge"]),
        ("without=server&min=20ms", ["checkout", "charge"]),
        ("find=DECLINED&only=1", ["checkout", "charge"]),
        ("find=declined", ["checkout", "charge", "query"]),
        ("find=%7B+status+%3D+error+%7D&only=1", ["checkout", "charge"]),
        (f"root={span_id('charge').hex()}", ["charge"]),
        ("runs=0", ["checkout", "charge", *["query"] * 5]),
        ("depth=1", ["checkout"]),
    ],
)
async def test_every_view_state_works_without_scripts(
    client: httpx.AsyncClient, store: Store, query: str, names: list[str]
) -> None:
    await store.add(SHOP)
    page = await get(client, f"{url('a')}?{query}")
    assert [name.text for name in page.all("bdi", class_="name")] == names


async def test_a_match_is_marked_and_counted(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SHOP)
    page = await get(client, f"{url('a')}?find=declined")
    assert [row.attributes["data-span"] for row in page.all("div", class_="match")] == [span_id("charge").hex()]
    assert plain(page.one("output").text) == "1 found"
    assert plain((await get(client, f"{url('a')}?find=query")).one("output").text) == "5 found"  # the run is none


async def test_a_query_with_a_mistake_is_answered_beside_the_box(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SHOP)
    page = await get(client, f"{url('a')}?find=%7B+status+%3D")
    assert "expected" in page.one("p", id="find-problem").text
    assert len(rows(page)) == 3


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("cycle", "its parents form a cycle, cut here"),
        ("own parent", "names itself as its parent"),
        ("two roots", "2 spans are roots."),
        ("orphans", "missing parent"),
        ("root and orphan", "not received"),
        ("one id twice", "2 spans share their id with another."),
        ("ends before it starts", "ends 5 ns before it starts"),
        ("no times", "has no start time"),
        ("no end", "has no end time"),
        ("beyond int64", "has a time after the year 2262"),
        ("zero length", "0 ns"),
    ],
)
async def test_every_span_of_an_odd_trace_is_shown_once(
    client: httpx.AsyncClient, store: Store, kind: str, said: str
) -> None:
    spans = _odd(kind)
    await store.add(spans)
    page = await get(client, url(kind))
    shown = Counter(row.attributes["data-span"] for row in rows(page) if "missing" not in row.attributes["class"])
    assert shown == Counter(span.span_id.hex() for span in spans)
    assert said in plain(page.text)
    for span_ in spans:
        await get(client, f"{url(kind)}?span={span_.span_id.hex()}")


def long_trace() -> list[Span]:
    return [
        span("root", trace="a"),
        *(span(f"step {'x' * (n % 90)}{n}", "root", trace="a", id=str(n), start_ms=n) for n in range(250)),
    ]


async def test_a_large_trace_comes_in_pages(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(long_trace())
    first = await get(client, f"{url('a')}?runs=0")
    assert "Rows 1–100 of 251" in first.text
    (link,) = {a.attributes["href"] for a in first.all("a", rel="next")}
    assert "Rows 101–200 of 251" in (await get(client, link)).text
    selected = await get(client, f"{url('a')}?runs=0&span={span_id('240').hex()}")
    assert selected.one("div", aria_selected="true").attributes["data-span"] == span_id("240").hex()


@pytest.mark.parametrize("page", ["0", "-1", "x", "99999999999999999999", "²"])
async def test_a_page_that_is_none_is_the_nearest(client: httpx.AsyncClient, store: Store, page: str) -> None:
    await store.add([span("checkout", trace="a")])
    assert "checkout" in (await get(client, f"{url('a')}?page={quote(page)}")).text


async def test_a_selected_span_stands_beside_its_trace(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SHOP)
    page = await get(client, f"{url('a')}?span={span_id('charge').hex()}")
    assert page.one("div", aria_selected="true").attributes["data-span"] == span_id("charge").hex()
    assert page.one("aside", id="detail").text.count("card declined") == 1


async def test_the_eleventh_service_has_stripes(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span(f"op {n}", trace="a", service=f"service {n}", start_ms=n) for n in range(11)])
    (row,) = (await get(client, url("a"))).all("div", class_="striped")
    assert (row.attributes["data-span"], "svc-0" in row.attributes["class"]) == (span_id("op 10").hex(), True)


async def test_the_rows_of_a_small_trace_stand_in_the_page(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SHOP)
    page = await get(client, url("a"))
    assert json.loads(page.one("pre", id="rows").text) == (await client.get(f"{url('a')}/rows.json")).json()


async def test_the_rows_of_a_large_trace_are_asked_for(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_pages, "MOST_INLINE", 6)
    await store.add(SHOP)
    page = await get(client, f"{url('a')}?find=x&skew=raw&runs=0")
    assert page.all("pre", id="rows") == []
    assert page.one("link", rel="preload").attributes["href"] == f"{url('a')}/rows.json?runs=0&skew=raw"


async def test_rows_are_not_sent_twice_until_a_span_arrives(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SHOP)
    tag = (await client.get(f"{url('a')}/rows.json")).headers["etag"]
    again = await client.get(f"{url('a')}/rows.json", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    await store.add([span("late", "checkout", trace="a")])
    new = await client.get(f"{url('a')}/rows.json", headers={"If-None-Match": tag})
    assert (new.status_code, new.json()["total"]) == (200, 8)


async def test_rows_are_sent_again_where_other_spans_have_the_id_of_the_trace(
    client: httpx.AsyncClient, store: Store, tmp_path: Path
) -> None:
    await store.add([span("checkout", trace="a")])
    tag = (await client.get(f"{url('a')}/rows.json")).headers["etag"]
    async with await Store.open(tmp_path / "next.db") as other:
        await other.add([span("checkout", trace="a", start_ms=1)])
        app = create_app(Config(), store=other, live=Live())
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:4318") as after:
            again = await after.get(f"{url('a')}/rows.json", headers={"If-None-Match": tag})
    assert again.status_code == 200


async def test_what_was_cut_is_below_its_parent_alone(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "MAX_ROWS", 2)
    await store.add([span("a", trace="a"), span("b", "a", trace="a"), span("c", "b", trace="a")])
    page = await get(client, url("a"))
    assert "＋1 rows not shown" in page.text
    (more,) = (a.attributes["href"] for a in page.all("a", class_="open") if "not shown" in a.text)
    monkeypatch.setattr(trace_pages, "MOST_INLINE", 2)
    below = await get(client, more)
    assert [name.text for name in below.all("bdi", class_="name")] == ["b", "c"]
    assert below.all("pre", id="rows") == []  # the module would take them for the whole trace


async def test_rows_come_as_they_are_asked_for(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SHOP)
    counts = [
        len((await client.get(f"{url('a')}/rows.json?{query}")).json()["depth"])
        for query in ("", "runs=0", f"root={span_id('charge').hex()}")
    ]
    assert counts == [8, 7, 1]


async def test_rows_are_adjusted_unless_times_are_wanted_as_sent(client: httpx.AsyncClient, store: Store) -> None:
    host = Resource({"service.name": "bank"})
    call = span("call", trace="a", duration_ms=100, kind=Kind.CLIENT)
    serve = span("serve", "call", trace="a", start_ms=500, duration_ms=50, kind=Kind.SERVER, resource=host)
    await store.add([call, serve])
    answers = [(await client.get(f"{url('a')}/rows.json?{query}")).json() for query in ("", "skew=raw")]
    assert [answer["begin"][1] for answer in answers] == [25 * MS, 500 * MS]


async def test_the_page_of_a_subtree_has_the_rows_of_the_whole_trace(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SHOP)
    page = await get(client, f"{url('a')}?root={span_id('charge').hex()}")
    assert len(json.loads(page.one("pre", id="rows").text)["depth"]) == 8


async def test_finding_answers_with_ids_in_the_order_of_rows(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SHOP)
    found = (await client.get(f"{url('a')}/find", params={"q": "ch"})).json()
    assert found == {"ids": span_id("checkout").hex() + span_id("charge").hex()}


@pytest.mark.parametrize(("text", "said"), [("{ status = ", "expected"), ("x" * 1001, "at most 1000 characters")])
async def test_what_cannot_be_found_is_said(client: httpx.AsyncClient, store: Store, text: str, said: str) -> None:
    await store.add(SHOP)
    answer = await client.get(f"{url('a')}/find", params={"q": text})
    assert (answer.status_code, said in answer.json()["problem"]) == (422, True)
    assert ("^" in answer.json()["drawing"]) == text.startswith("{")


@pytest.mark.parametrize("path", ["rows.json", "find?q=a"])
async def test_a_trace_that_is_not_stored_is_a_404_everywhere(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(f"{url('gone')}/{path}")).status_code == 404


async def test_the_stream_tells_of_spans_of_this_trace_and_ends_with_the_server(store: Store) -> None:
    live = Live()
    await store.add(SHOP)
    news = trace_pages.news(store, live, trace_id("a"))
    assert (await anext(news)).startswith(":")
    message = asyncio.ensure_future(anext(news))
    await asyncio.sleep(0)
    live.publish([TRACE])
    live.publish([trace_id("a")])
    assert await message == 'event: changed\ndata: {"spans": 7}\n\n'
    live.close()
    assert [one async for one in news] == []


@pytest.mark.parametrize("changed", [TRACE, trace_id("gone")])
async def test_the_stream_says_nothing_of_other_traces_and_of_one_that_has_left(store: Store, changed: bytes) -> None:
    live = Live()
    await store.add([span("root")])
    news = trace_pages.news(store, live, trace_id("gone"))
    await anext(news)
    rest = asyncio.ensure_future(anext(news, "the end"))
    await asyncio.sleep(0)
    live.publish([changed])
    live.close()
    assert await rest == "the end"


async def test_htmx_gets_the_headline_alone(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SHOP)
    page = await get(client, url("a"), part("header#summary"))
    assert (page.all("html"), plain(page.one("h1").text)) == ([], "shop checkout")


async def test_events_and_gaps_are_drawn(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(
        [
            span("root", trace="a", duration_ms=1000, events=[Event(T0 + 500 * MS, "exception")]),
            span("first", "root", trace="a", duration_ms=100),
        ]
    )
    page = await get(client, url("a"))
    assert page.one("svg", class_="tick").attributes["class"] == "tick fault"
    assert plain(page.one("text", class_="gap").text) == "900 ms untraced"
    assert (await get(client, f"{url('a')}?gaps=0")).all("text", class_="gap") == []
