"""The panel of a span: what it shows, and where it leads."""

from __future__ import annotations

import json
import math
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

from minitrace.model import Attributes, Event, Kind, Link, Resource, Scope, Span, Status, StatusCode
from minitrace.otlp.decode import decode_traces
from minitrace.store.store import Store
from minitrace.web.details import MAX_EVENTS
from minitrace.web.span_pages import MAX_ALIKE
from tests.samples import MS, T0, record, span, span_id, trace_id
from tests.web.pagetext import HTML, Element, Page, get, part, plain, url

FAILED = Status(StatusCode.ERROR, "card declined")
STACK = """\
Traceback (most recent call last):
  File "/app/shop.py", line 3, in charge
    bank.ask()
  File "/venv/lib/python3.12/site-packages/bank/client.py", line 9, in ask
    raise Declined("no")
bank.Declined: no
"""


def of(name: str, trace: str = "a") -> str:
    """Where the span of that name is."""
    return f"{url(trace)}/span/{span_id(name).hex()}"


def asked_by(page: Page) -> list[str]:
    """The queries that links lead to."""
    hrefs = [urlsplit(a.attributes["href"]) for a in page.all("a")]
    return [parse_qs(href.query)["q"][0] for href in hrefs if href.path == "/search" and href.query]


def _rich_span() -> Span:
    return span(
        "charge",
        "checkout",
        trace="a",
        start_ms=12,
        duration_ms=40,
        kind=Kind.CLIENT,
        status=FAILED,
        attributes={
            "s": "text",
            "i": 42,
            "d": math.nan,
            "b": True,
            "raw": b"\x00\xff",
            "list": ["a", 1, math.inf],
            "map": {"k": None},
            "url": "https://evil.example/",
            "long": "y" * 3000,
        },
        events=[
            Event(T0 + 20 * MS, "retry", {"n": 2}),
            Event(T0 + 30 * MS, "exception", {"exception.stacktrace": "Traceback:\n  line 1"}, dropped_attributes=3),
        ],
        links=[Link(trace_id("other"), span_id("sent")), Link(b"\x99" * 16, b"\x98" * 8, trace_state="l=1")],
        trace_state="vendor=1",
        flags=0x101,
        dropped_attributes=1,
        dropped_events=2,
        dropped_links=3,
        resource=Resource({"service.name": "payment", "host.name": "h1"}),
        scope=Scope("tracer", "1.2"),
    )


async def _rich(store: Store) -> str:
    await store.add([span("checkout", trace="a", duration_ms=80), _rich_span(), span("sent", trace="other")])
    return f"{url('a')}/span/{span_id('charge').hex()}"


async def test_a_span_shows_all_it_carries(client: httpx.AsyncClient, store: Store) -> None:
    page = await get(client, await _rich(store))
    rows = {plain(row.text) for table in page.all("table", class_="attributes") for row in _rows(page, table)}
    assert rows >= {
        "s text+−Copy",
        "i 42 int+−Copy",
        "d NaN doubleCopy",
        "b true bool+−Copy",
        "raw AP8= bytesCopy",
        'list ["a", 1, Infinity] arrayCopy',
        'map {"k": null} mapCopy',
        "host.name h1+−Copy",
        "n 2 int+−Copy",
    }
    for text in (
        "⨯ error",
        "card declined",
        "40 ms 50% of trace",
        "+12 ms",
        "vendor=1",
        "0x101",
        "1 attribute dropped by the sender",
        "2 events dropped by the sender",
        "3 links dropped by the sender",
        "3 attributes dropped by the sender",
        "retry +8 ms",
        "tracer 1.2",
        "client",
        "Trace state l=1",
    ):
        assert text in page.text


def _rows(page: Page, table: Element) -> list[Element]:
    return [element for element in page.all("tr") if table in element.parents]


async def test_a_stack_trace_keeps_its_lines(client: httpx.AsyncClient, store: Store) -> None:
    page = await get(client, await _rich(store))
    assert "Traceback:\n  line 1" in [pre.text for pre in page.all("pre")]


async def test_a_long_value_is_folded(client: httpx.AsyncClient, store: Store) -> None:
    page = await get(client, await _rich(store))
    folded = page.one("details")
    assert (folded.text.count("y"), "3 000 characters" in plain(folded.text)) == (3200, True)


async def test_an_address_in_a_value_is_not_a_link(client: httpx.AsyncClient, store: Store) -> None:
    page = await get(client, await _rich(store))
    assert "https://evil.example/" in page.text
    assert all(urlsplit(a.attributes["href"]).netloc == "" for a in page.all("a"))


async def test_a_link_leads_to_its_trace_where_that_is_stored(client: httpx.AsyncClient, store: Store) -> None:
    page = await get(client, await _rich(store))
    hrefs = [a.attributes["href"] for a in page.all("a")]
    assert f"{url('other')}?span={span_id('sent').hex()}" in hrefs
    assert not any("99" * 16 in href for href in hrefs)
    assert f"{'99' * 16} {'98' * 8} not stored" in page.text


async def test_a_server_that_shares_its_clients_id_has_it_as_its_parent_and_is_that_of_what_it_did(
    client: httpx.AsyncClient, store: Store
) -> None:
    asks = span("asks", "root", id="x", trace="a", kind=Kind.CLIENT)
    answers = span("answers", "root", id="x", trace="a", kind=Kind.SERVER)
    await store.add([span("root", trace="a"), asks, answers, span("select", "x", trace="a")])

    async def parents(name: str) -> list[str]:
        page = await get(client, of(name))
        cells = page.all("div", class_="parent")
        return [link.text for link in page.all("a") if any(cell in link.parents for cell in cells)]

    assert await parents("select") == ["answers"]
    assert sorted(await parents("x")) == ["asks", "root"]


async def test_a_parent_is_a_link_where_it_was_received(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("child", "parent", trace="a"), span("orphan", "lost", trace="a"), span("parent", trace="a")])
    parent, lost = span_id("parent").hex(), span_id("lost").hex()
    page = await get(client, of("child"))
    assert page.one("a", href=f"{url('a')}?span={parent}#detail").text == "parent"
    page = await get(client, of("orphan"))
    assert f"{lost} not received" in page.text


async def test_htmx_gets_the_span_alone(client: httpx.AsyncClient, store: Store) -> None:
    page = await get(client, await _rich(store), part("aside#detail"))
    assert (page.all("html"), page.all("h2")[0].text) == ([], "charge")


async def test_spans_that_share_an_id_are_all_shown(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("one", trace="a", id="x"), span("two", trace="a", id="x")])
    page = await get(client, of("x"))
    assert [h2.text for h2 in page.all("h2") if not h2.inside("dialog")] == ["one", "two"]
    assert "2 spans of this trace have this id." in page.text


async def test_of_many_spans_that_share_an_id_the_first_are_shown(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span(f"op {n}", trace="a", id="x", start_ms=n) for n in range(MAX_ALIKE + 2)])
    page = await get(client, of("x"))
    assert len([h2 for h2 in page.all("h2") if not h2.inside("dialog")]) == MAX_ALIKE
    assert "12 spans of this trace have this id; the first 10 are shown." in page.text


@pytest.mark.parametrize("asked", ["ab" * 8, "nonsense", "<b>"])
async def test_a_span_that_is_not_there_is_said(client: httpx.AsyncClient, store: Store, asked: str) -> None:
    await store.add([span("one", trace="a")])
    page = await get(client, f"{url('a')}?span={quote(asked)}")
    assert f"This trace has no span {asked}." in page.text
    answer = await client.get(f"{url('a')}/span/{quote(asked)}", headers=HTML)
    assert (answer.status_code, f"This trace has no span {asked}." in Page(answer.text).text) == (404, True)


async def test_a_span_that_nobody_names_is_a_404(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("one", trace="a")])
    for path in (of("one", "b"), f"{of('two')}/otlp.json", "/trace/x/span/y/otlp.json"):
        assert (await client.get(path, headers=HTML)).status_code == 404


# Attributes lead to searches


async def test_each_value_leads_to_spans_with_it_and_to_those_without(client: httpx.AsyncClient, store: Store) -> None:
    attributes: Attributes = {"http.route": "/cart", "n": 2, "list": ["a"]}
    await store.add([span("get", trace="a", attributes=attributes), span("other", trace="b", attributes={"n": 3})])
    page = await get(client, of("get"))
    asked = asked_by(page)
    assert asked[:4] == [
        '{ span.http.route = "/cart" }',
        '{ span.http.route != "/cart" }',
        "{ span.n = 2 }",
        "{ span.n != 2 }",
    ]
    assert '{ resource.service.name = "shop" }' in asked
    found = await get(client, "/search?q=" + quote("{ span.n != 2 }"))
    assert "other" in found.text
    assert "get" not in [name.text for name in found.all("span", class_="name")]


@pytest.mark.parametrize("count", [7, 8])
async def test_many_attributes_have_a_field_to_look_through_them(
    client: httpx.AsyncClient, store: Store, count: int
) -> None:
    attributes: Attributes = {f"k{n}": n for n in range(count - 1)}  # and service.name
    await store.add([span("get", trace="a", attributes=attributes)])
    page = await get(client, of("get"))
    assert [field.attributes["placeholder"] for field in page.all("input", class_="sift")] == (
        ["Filter 8 attributes"] if count == 8 else []
    )


async def test_statements_and_documents_are_on_lines(client: httpx.AsyncClient, store: Store) -> None:
    statement = "SELECT sku, on_hand, reserved, place FROM stock WHERE sku = ?"
    attributes: Attributes = {"db.query.text": statement, "body": '{"a":1}', "short": "SELECT", "items": ["x" * 80] * 2}
    await store.add([span("get", trace="a", attributes=attributes)])
    shown = [pre.text for pre in (await get(client, of("get"))).all("pre")]
    assert shown == [
        "SELECT sku, on_hand, reserved, place\nFROM stock\nWHERE sku = ?",
        '{\n  "a": 1\n}',
        json.dumps(["x" * 80] * 2, indent=2),
    ]


# Exceptions


async def test_an_exception_comes_first_and_frames_of_libraries_are_told_apart(
    client: httpx.AsyncClient, store: Store
) -> None:
    thrown: Attributes = {"exception.type": "bank.Declined", "exception.message": "no", "exception.stacktrace": STACK}
    await store.add([span("charge", trace="a", events=[Event(T0, "exception", thrown)], status=FAILED)])
    page = await get(client, of("charge"))
    assert [plain(h3.text) for h3 in page.all("h3")][:2] == ["Events 1", "Attributes"]
    assert page.one("p", class_="thrown").text == "bank.Declined: no"
    (library,) = page.all("span", class_="library")
    assert library.text == "".join(STACK.splitlines(keepends=True)[3:5])
    assert plain(library.attributes["data-frames"]) == "1 frame"
    assert page.one("pre").text == STACK
    assert "checked" not in page.one("input", type="checkbox").attributes  # a short one is shown whole


async def test_a_stack_trace_that_says_what_was_thrown_is_not_said_twice(
    client: httpx.AsyncClient, store: Store
) -> None:
    thrown: Attributes = {"exception.type": "E", "exception.message": "no", "exception.stacktrace": "E: no\n  at x"}
    await store.add([span("charge", trace="a", events=[Event(T0, "exception", thrown)])])
    assert (await get(client, of("charge"))).all("p", class_="thrown") == []


async def test_of_many_events_the_first_are_shown(client: httpx.AsyncClient, store: Store) -> None:
    events = [Event(T0 + n, f"event {n}") for n in range(MAX_EVENTS + 3)]
    await store.add([span("busy", trace="a", events=events)])
    page = await get(client, of("busy"))
    assert len(page.all("h4")) == MAX_EVENTS
    assert "3 events more, see the OTLP JSON" in page.text


# Links, both ways


async def test_a_link_says_where_it_leads(client: httpx.AsyncClient, store: Store) -> None:
    links = [
        Link(trace_id("b"), span_id("sent")),
        Link(trace_id("a"), span_id("near")),
        Link(trace_id("b"), b"12345678"),
    ]
    await store.add(
        [span("got", trace="a", links=links), span("near", trace="a"), span("sent", trace="b", service="mq")]
    )
    page = await get(client, of("got"))
    assert plain(page.one("a", href=f"{url('b')}?span={span_id('sent').hex()}").text) == "mq sent"
    assert page.one("a", href=f"{url('a')}?span={span_id('near').hex()}#detail").attributes["data-span"]
    assert (
        page.one("a", href=f"{url('b')}?span={b'12345678'.hex()}").text == f"{trace_id('b').hex()} {b'12345678'.hex()}"
    )


async def test_a_span_shows_who_links_to_it(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(
        [span("sent", trace="b"), span("got", trace="a", start_ms=7, links=[Link(trace_id("b"), span_id("sent"))])]
    )
    page = await get(client, of("sent", "b"))
    link = page.one("a", href=f"{url('a')}?span={span_id('got').hex()}")
    assert plain(link.parents[-1].text) == "shop got +7 ms"


# Among its operation


async def test_a_span_is_compared_with_others_of_its_operation(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("charge", trace="a", duration_ms=300), span("once", trace="a")])
    await store.add([span("charge", trace=f"t{n}", duration_ms=10 + n) for n in range(20)])
    page = await get(client, of("charge"))
    assert "slower than all of the last 20 p50 19 ms · p95 28 ms" in page.text
    assert page.one("circle").attributes["cx"] == "100%"
    assert (await get(client, of("once"))).all("circle") == []


# To take along


async def test_a_span_is_taken_along_as_a_query_a_command_and_json(client: httpx.AsyncClient, store: Store) -> None:
    attributes: Attributes = {"http.request.method": "GET", "url.full": "http://pay/charge?a=b"}
    await store.add(
        [span("GET", trace="a", kind=Kind.CLIENT, attributes=attributes, status=FAILED), span("no", trace="a")]
    )
    page = await get(client, of("GET"))
    query = '{ resource.service.name = "shop" && name = "GET" && status = error }'
    assert page.one("a", id="alike-1").text == query == asked_by(page)[-1]
    assert page.one("code", id="curl-1").text == "curl 'http://pay/charge?a=b'"
    assert page.one("button", data_copy_url=f"{of('GET')}/otlp.json")
    assert (await get(client, of("no"))).all("code", id="curl-1") == []


async def test_the_otlp_json_of_a_span_is_that_span(client: httpx.AsyncClient, store: Store) -> None:
    answer = await client.get(f"{await _rich(store)}/otlp.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    (again,) = decode_traces(answer.content, is_json=True).spans
    assert (again.name, again.attributes["i"], len(again.events), len(again.links)) == ("charge", 42, 2, 2)
    assert answer.text.startswith('{\n  "resourceSpans"')


async def test_links_keep_how_the_trace_is_seen(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", trace="a"), span("b", "a", trace="a")])
    page = await get(client, f"{of('b')}?view=table&find=x&unknown=1&span={span_id('b').hex()}")
    assert page.one("a", class_="close").attributes["href"] == f"{url('a')}?view=table&find=x"
    (parent,) = page.all("a", data_span=span_id("a").hex())
    assert parent.attributes["href"] == f"{url('a')}?view=table&span={span_id('a').hex()}&find=x#detail"


async def test_a_span_leads_to_what_its_service_logged_meanwhile(client: httpx.AsyncClient, store: Store) -> None:
    """Also where it logged nothing itself: what it waits for may be said in no trace."""
    await store.add([span("charge", trace="a", service="pay", start_ms=10, duration_ms=30)])
    await store.add_logs([record(f"at {ms}", at_ms=ms, service="pay") for ms in (5, 15, 39, 45)])
    page = await get(client, of("charge"))
    (link,) = [link for link in page.all("a") if link.text == "Of pay meanwhile"]
    found = await get(client, link.attributes["href"])
    assert [one.text for one in found.all("summary") if one.text != "Exact times"] == ["at 39", "at 15"]
