"""The views of a trace besides its timeline, as pages."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from minitrace.analysis.tree import tree
from minitrace.model import Kind, LogRecord, Span, Status, StatusCode, Trace
from minitrace.otlp import json as otlp_json
from minitrace.otlp.encode import traces_data
from minitrace.store.store import Store
from minitrace.web.views import subtree
from tests.samples import TRACE, record, span, span_id
from tests.web.pagetext import Element, Page, get, part, plain, url

FAILED = Status(StatusCode.ERROR)
VIEWS = ("flame", "table", "stats", "services", "logs", "json")


def _checkout(trace: str = "a") -> list[Span]:
    return [
        span("checkout", trace=trace, duration_ms=100, kind=Kind.SERVER),
        span("charge", "checkout", trace=trace, service="payment", start_ms=10, duration_ms=60, status=FAILED),
        span("bank", "charge", trace=trace, service="bank", start_ms=20, duration_ms=40),
        span("cart", "checkout", trace=trace, start_ms=70, duration_ms=20, attributes={"http.route": "/cart"}),
        span("cart", "checkout", trace=trace, id="cart 2", start_ms=90, duration_ms=5, attributes={"http.route": "/"}),
    ]


async def _view(store: Store, client: httpx.AsyncClient, query: str) -> Page:
    await store.add(_checkout())
    return await get(client, f"{url('a')}?{query}")


def _asks(link: Element) -> dict[str, str]:
    """The parameters of a link's address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(link.attributes["href"]).query).items()}


def _rows(page: Page) -> list[str]:
    return [plain(row.text) for row in page.all("tr") if any(parent.tag == "tbody" for parent in row.parents)]


def _link(page: Page, text: str) -> Element:
    return next(link for link in page.all("a") if plain(link.text) == text)


@pytest.mark.parametrize("view", VIEWS)
async def test_links_of_a_view_keep_the_rest_of_the_address(store: Store, client: httpx.AsyncClient, view: str) -> None:
    page = await _view(store, client, f"view={view}&find=declined&skew=raw")
    inside = [
        link for link in page.all("a") if any("view" in p.attributes.get("class", "").split() for p in link.parents)
    ]
    kept = [link for link in inside if urlsplit(link.attributes["href"]).path == url("a")]
    assert kept or view in ("json", "logs")
    assert all(_asks(link)["skew"] == "raw" for link in kept)


@pytest.mark.parametrize("view", VIEWS)
async def test_hostile_telemetry_is_text_in_every_view(store: Store, client: httpx.AsyncClient, view: str) -> None:
    hostile = '"><script>alert(1)</script><b hx-get="/theme">\u202e'
    for trace, text in (("harmless", "x" * len(hostile)), ("hostile", hostile)):
        root = span(text, trace=trace, id="root", service=text, attributes={text: text, "key": text}, status=FAILED)
        await store.add(
            [root, span(text, "root", trace=trace, id="child", service=f"{text}2", attributes={"key": text})]
        )
    pages = [await get(client, f"{url(trace)}?view={view}&by=key&sort=name") for trace in ("harmless", "hostile")]
    shapes = [[element.shape for element in page.elements if element.tag != "option"] for page in pages]
    assert shapes[0] == shapes[1]
    assert "\u202e" not in "".join(text for text, _ in pages[1].texts)


async def test_a_frame_leads_closer_and_says_what_it_is(store: Store, client: httpx.AsyncClient) -> None:
    page = await _view(store, client, "view=flame")
    cart = next(link for link in page.all("a", class_="frame") if "cart" in link.text)
    assert _asks(cart) == {"view": "flame", "at": span_id("cart").hex()}
    assert plain(cart.text).startswith("shop cart ×2: 25 ms in all, 25 ms own, 25%")
    assert cart.attributes["class"] == "frame svc-0"


async def test_a_call_path_that_is_looked_at_has_a_way_back_and_its_slowest_span(
    store: Store, client: httpx.AsyncClient
) -> None:
    page = await _view(store, client, f"view=flame&at={span_id('cart 2').hex()}")
    assert len(page.all("a", class_="frame")) == 1
    assert _asks(_link(page, "Whole trace")) == {"view": "flame"}
    assert _asks(_link(page, "shop checkout")) == {"view": "flame", "at": span_id("checkout").hex()}
    slowest = _asks(_link(page, "The slowest of them, 20 ms"))
    assert slowest == {"view": "flame", "at": span_id("cart 2").hex(), "span": span_id("cart").hex()}


async def test_a_trace_that_took_no_time_says_so_instead_of_a_flame_graph(
    store: Store, client: httpx.AsyncClient
) -> None:
    await store.add([span("checkout", trace="a", duration_ms=0)])
    page = await get(client, f"{url('a')}?view=flame")
    assert "No span of this trace took any time" in page.text


async def test_a_row_of_the_table_has_a_span(store: Store, client: httpx.AsyncClient) -> None:
    page = await _view(store, client, "view=table")
    assert _rows(page)[1] == "10 ms payment charge 60 ms 20 ms 20% ⨯ error"
    assert _asks(_link(page, "charge")) == {"view": "table", "span": span_id("charge").hex()}


async def test_heads_of_the_table_sort_and_say_how_it_is_sorted(store: Store, client: httpx.AsyncClient) -> None:
    page = await _view(store, client, "view=table&sort=-own")
    assert [row.split()[3] for row in _rows(page)] == ["bank", "charge", "cart", "checkout", "cart"]
    assert [head.text.strip() for head in page.all("th", aria_sort="descending")] == ["Own time"]
    assert _asks(_link(page, "Own time"))["sort"] == "own"
    assert _asks(_link(page, "Duration"))["sort"] == "-duration"
    assert "sort" not in _asks(_link(page, "Start"))


async def test_the_selected_span_is_marked_in_the_table(store: Store, client: httpx.AsyncClient) -> None:
    page = await _view(store, client, f"view=table&span={span_id('bank').hex()}")
    assert [row.attributes["id"] for row in page.all("tr", aria_current="true")] == ["row-3"]


async def test_the_table_of_a_long_trace_has_pages(store: Store, client: httpx.AsyncClient) -> None:
    await store.add([span(f"step {n}", trace="a", start_ms=n) for n in range(450)])
    page = await get(client, f"{url('a')}?view=table&page=2")
    assert len(_rows(page)) == 200
    assert "201–400 of 450 spans" in page.text
    assert [_asks(link)["page"] for link in page.all("a", rel="next")] == ["3", "3"]


async def test_a_subtree_has_its_own_table_with_the_times_of_the_trace(store: Store, client: httpx.AsyncClient) -> None:
    page = await _view(store, client, f"view=table&root={span_id('charge').hex()}")
    assert [row.split()[:4] for row in _rows(page)] == [["10", "ms", "payment", "charge"], ["20", "ms", "bank", "bank"]]


async def test_a_clock_that_is_wrong_is_set_right_unless_the_address_says_raw(
    store: Store, client: httpx.AsyncClient
) -> None:
    serve = span("serve", "call", trace="a", service="far", kind=Kind.SERVER, start_ms=5000, duration_ms=50)
    await store.add([span("call", trace="a", kind=Kind.CLIENT, duration_ms=100), serve])
    assert _rows(await get(client, f"{url('a')}?view=table"))[1].startswith("25 ms far serve")
    assert _rows(await get(client, f"{url('a')}?view=table&skew=raw"))[1].startswith("5 s far serve")


def test_a_subtree_is_a_tree_of_its_own_with_the_times_of_the_whole() -> None:
    spans = [
        span("checkout", duration_ms=100),
        span("cart", "checkout", start_ms=5),
        span("charge", "checkout", start_ms=10),
        span("bank", "charge", start_ms=12),
        span("log", "charge", start_ns=0, end_ns=0),
    ]
    whole = tree(Trace(TRACE, spans), {1: 7, 3: 5})
    assert [node.span.name for node in whole.nodes] == ["checkout", "cart", "charge", "log", "bank"]
    part = subtree(whole, 2)
    assert [node.span.name for node in part.nodes] == ["charge", "log", "bank"]
    assert (part.parents, part.sizes, list(part.tops())) == ([-1, 0, 0], [3, 1, 1], [0])
    assert (part.begins, part.ends) == (whole.begins[2:], whole.ends[2:])
    assert (part.shifts, part.timeless) == ({1: 5}, frozenset({1}))
    assert (part.start_ns, part.duration_ns) == (whole.start_ns, whole.duration_ns)


async def test_groups_are_of_services_unless_the_address_says_otherwise(
    store: Store, client: httpx.AsyncClient
) -> None:
    page = await _view(store, client, "view=stats")
    assert _rows(page)[0].startswith("shop 3 40 ms 40% 125 ms 20 ms 100 ms")
    by_route = await get(client, f"{url('a')}?view=stats&by=http.route")
    assert [row.split()[0] for row in _rows(by_route)] == ["without", "/cart", "/"]


async def test_a_group_leads_to_its_spans_in_the_timeline_and_in_all_traces(
    store: Store, client: httpx.AsyncClient
) -> None:
    page = await _view(store, client, "view=stats&by=http.route&sort=key")
    query = '{ .http.route = "/" }'
    timelines = [link for link in page.all("a") if link.text == "In the timeline"]
    searches = [link for link in page.all("a") if link.text == "In all traces"]
    assert _asks(timelines[1]) == {"find": query}
    assert urlsplit(searches[1].attributes["href"]).path == "/search"
    assert _asks(searches[1]) == {"q": query}
    assert (await client.get(searches[1].attributes["href"])).status_code == 200


async def test_the_form_keeps_what_else_the_address_says(store: Store, client: httpx.AsyncClient) -> None:
    page = await _view(store, client, "view=stats&by=name&sort=-count&page=2&hide=cart&hide=bank&runs=0")
    hidden = [(field.attributes["name"], field.attributes["value"]) for field in page.all("input", type="hidden")]
    assert [pair for pair in hidden if pair[0] != "next"] == [
        ("view", "stats"), ("hide", "cart"), ("hide", "bank"), ("runs", "0"),
    ]  # fmt: skip


async def test_attributes_are_suggested_to_group_by(store: Store, client: httpx.AsyncClient) -> None:
    page = await _view(store, client, "view=stats")
    suggested = {option.attributes["value"] for option in page.all("option")}
    assert {"http.route", "service.name"} <= suggested


async def test_services_are_boxes_and_their_calls_arrows_and_rows(store: Store, client: httpx.AsyncClient) -> None:
    page = await _view(store, client, "view=services")
    boxes = page.all("a", class_="box")
    assert [_asks(box)["find"] for box in boxes] == [
        f'{{ resource.service.name = "{name}" }}' for name in ("shop", "payment", "bank")
    ]
    assert [plain(arrow.text) for arrow in page.all("g", class_="call")] == [
        "shop to payment: 1 call, 60 ms on average, 1 error",
        "payment to bank: 1 call, 40 ms on average",
    ]
    assert _rows(page) == ["shop payment 1 60 ms 60 ms ⨯ 1", "payment bank 1 40 ms 40 ms"]


async def test_a_trace_of_one_service_is_told_so(store: Store, client: httpx.AsyncClient) -> None:
    await store.add([span("checkout", trace="a"), span("cart", "checkout", trace="a")])
    page = await get(client, f"{url('a')}?view=services")
    assert "All spans of this trace are of one service, shop." in page.text
    assert _asks(_link(page, "statistics")) == {"view": "stats", "by": "name"}


async def test_a_short_trace_is_whole_as_json(store: Store, client: httpx.AsyncClient) -> None:
    page = await _view(store, client, "view=json")
    document = json.loads(page.one("pre", id="otlp").text)
    names = [
        one["name"]
        for resource in document["resourceSpans"]
        for scope in resource["scopeSpans"]
        for one in scope["spans"]
    ]
    assert sorted(names) == ["bank", "cart", "cart", "charge", "checkout"]
    assert _link(page, "Download it").attributes["href"] == f"{url('a')}/otlp.json?download=1"


@pytest.mark.parametrize("spans", [1, 2000])
async def test_of_a_long_trace_the_beginning_is_shown_as_json(
    store: Store, client: httpx.AsyncClient, spans: int
) -> None:
    text = "long " * (40_000 // spans)
    sent = [span(f"{n}", trace="a", attributes={"text": text}) for n in range(spans)]
    await store.add(sent)
    page = await get(client, f"{url('a')}?view=json")
    shown = page.one("pre", id="otlp").text
    whole = json.dumps(otlp_json.dump(traces_data(sent)), indent=2)
    lines = shown.removesuffix("\n…")
    assert whole.startswith(lines + "\n")
    assert 500 < len(lines) <= 100_000 < len(whole)
    assert _link(page, "Download all of it")


async def test_views_of_a_trace_that_is_not_stored_are_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{url('a')}?view=flame")).status_code == 404


def _said() -> list[LogRecord]:
    return [
        record("card declined", at_ms=15, trace="a", span="charge", service="payment", severity=17),
        record("asking the bank", at_ms=12, trace="a", span="charge", service="payment", severity=9),
        record("starting", at_ms=1, trace="a", severity=5),
        record("of another trace", at_ms=1, trace="b", span="charge"),
    ]


async def test_the_logs_of_a_trace_are_in_the_order_of_time_beside_their_spans(
    store: Store, client: httpx.AsyncClient
) -> None:
    await store.add_logs(_said())
    page = await _view(store, client, "view=logs")
    assert _said_in(page) == ["+1 ms debug starting", "+12 ms info asking the bank", "+15 ms ⨯ error card declined"]
    links = [link for link in page.all("a") if plain(link.text) == "span"]
    assert [_asks(link)["span"] for link in links] == [span_id("charge").hex()] * 2
    assert _asks(_link(page, "Logs 3")) == {"view": "logs"}


async def test_the_logs_of_a_trace_can_be_those_that_are_bad_enough(store: Store, client: httpx.AsyncClient) -> None:
    await store.add_logs(_said())
    page = await _view(store, client, "view=logs")
    assert _asks(_link(page, "Error and worse")) == {"view": "logs", "level": "error"}
    assert _said_in(await get(client, f"{url('a')}?view=logs&level=error")) == ["+15 ms ⨯ error card declined"]
    assert "level" not in _asks(_link(await get(client, f"{url('a')}?view=logs&level=error"), "Table"))


async def test_a_trace_without_logs_says_so(store: Store, client: httpx.AsyncClient) -> None:
    page = await _view(store, client, "view=logs")
    assert "No log record names this trace." in page.text
    assert [link.text for link in page.all("a") if link.text.startswith("Logs")] == ["Logs", "Logs"]


async def test_the_panel_of_a_span_has_its_own_logs(store: Store, client: httpx.AsyncClient) -> None:
    await store.add_logs(_said())
    await store.add(_checkout())
    panel = await get(client, f"{url('a')}/span/{span_id('charge').hex()}", part("aside#detail"))
    assert _said_in(panel) == ["+2 ms info asking the bank", "+5 ms ⨯ error card declined"]
    assert any("logs.css" in link.attributes["href"] for link in panel.all("link"))
    other = await get(client, f"{url('a')}/span/{span_id('bank').hex()}", part("aside#detail"))
    assert (_said_in(other), other.all("link")) == ([], [])


async def test_rows_have_a_tick_for_each_log_record_also_for_those_that_come_later(
    store: Store, client: httpx.AsyncClient
) -> None:
    async def ticks() -> list[object]:
        answer = await client.get(f"{url('a')}/rows.json", headers={"If-None-Match": tags[-1]} if tags else {})
        tags.append(answer.headers["etag"])
        return [more["ticks"] for more in answer.json()["more"].values() if "ticks" in more]

    tags: list[str] = []
    await store.add(_checkout())
    assert await ticks() == []
    await store.add_logs(_said())
    assert await ticks() == [[[12_000_000, "info: asking the bank", 0], [15_000_000, "error: card declined", 1]]]


def _said_in(page: Page) -> list[str]:
    """When each listed record was said, how bad it is, and what it says."""
    whens, levels = (page.all("span", class_=name) for name in ("when", "level"))
    texts = [one for one in page.all("summary") if one.inside("li")]
    return [
        " ".join(filter(None, (plain(when.text), plain(level.text), plain(text.text))))
        for when, level, text in zip(whens, levels, texts, strict=True)
    ]
