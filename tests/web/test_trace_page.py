"""A trace and its spans as pages, odd ones too."""

from __future__ import annotations

import math
from collections import Counter
from urllib.parse import quote, urlsplit

import httpx
import pytest

from minitrace.model import Event, Kind, Link, Resource, Scope, Span, Status, StatusCode
from minitrace.store.store import Store
from tests.samples import MS, T0, span, span_id, trace_id
from tests.web.pagetext import HTML, Element, Page, get, part, plain, url

FAILED = Status(StatusCode.ERROR, "card declined")


async def test_a_trace_shows_its_spans_as_a_tree(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(
        [
            span("checkout", trace="a", duration_ms=100, kind=Kind.SERVER),
            span("charge", "checkout", trace="a", service="payment", start_ms=25, duration_ms=50, status=FAILED),
        ]
    )
    page = await get(client, url("a"))
    rows = page.all("tr", class_="svc-0") + page.all("tr", class_="svc-1")
    assert [plain(row.text) for row in rows] == [
        "Level 0, shop checkoutserver 100 ms",
        "Level 1, payment charge⨯ error 50 ms",
    ]
    bars = [(r.attributes["x"], r.attributes["width"]) for r in page.all("rect", class_="span")]
    assert bars == [("0%", "100%"), ("25%", "50%")]
    assert page.one("title").text == "checkout · minitrace"
    assert f"{url('a')}?span={span_id('charge').hex()}#detail" in [
        a.attributes["href"] for a in page.all("a", class_="fault")
    ]


async def test_a_short_id_is_padded(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace=bytes(8) + b"\xab" * 8)])
    assert "checkout" in (await get(client, "/trace/" + "AB" * 8)).text


@pytest.mark.parametrize("path", ["/trace/nonsense", "/trace/" + "a" * 33, "/trace/" + "0" * 32, "/trace/x/span/y"])
async def test_a_bad_trace_id_is_told_what_one_looks_like(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers=HTML)
    assert (answer.status_code, "up to 32 hex digits" in answer.text) == (404, True)


async def test_a_trace_that_is_not_stored_is_a_404(client: httpx.AsyncClient) -> None:
    answer = await client.get("/trace/" + "ab" * 16, headers=HTML)
    assert (answer.status_code, "No span of trace" in answer.text) == (404, True)


def _odd(kind: str) -> list[Span]:
    if kind == "cycle":
        return [span("a", "b", trace=kind), span("b", "a", trace=kind), span("below", "a", trace=kind)]
    if kind == "own parent":
        return [span("a", "a", trace=kind)]
    if kind == "two roots":
        return [span("a", trace=kind), span("b", trace=kind)]
    if kind == "orphans":
        return [span("a", "lost", trace=kind), span("b", "lost", trace=kind)]
    if kind == "root and orphan":
        return [span("a", trace=kind), span("b", "lost", trace=kind)]
    if kind == "one id twice":
        return [span("a", trace=kind, id="x"), span("b", trace=kind, id="x"), span("c", "x", trace=kind)]
    times = {
        "ends before it starts": (T0, T0 - 5),
        "no times": (0, 0),
        "no end": (T0, 0),
        "beyond int64": (2**63, 2**64 - 1),
        "zero length": (T0, T0),
    }[kind]
    return [span("root", trace=kind), span("a", "root", trace=kind, start_ns=times[0], end_ns=times[1])]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("cycle", "its parents form a cycle, cut here"),
        ("own parent", "names itself as its parent"),
        ("two roots", "2 spans are roots."),
        ("orphans", "2 spans have no parent here."),
        ("one id twice", "2 spans share their id with another."),
        ("ends before it starts", "ends 5 ns before it starts"),
        ("no times", "has no start time"),
        ("no end", "has no end time"),
        ("beyond int64", "has a time after the year 2262"),
        ("zero length", ""),
    ],
)
async def test_every_span_of_an_odd_trace_is_shown_once(
    client: httpx.AsyncClient, store: Store, kind: str, said: str
) -> None:
    spans = _odd(kind)
    await store.add(spans)
    page = await get(client, url(kind))
    shown = Counter(row.attributes["data-span"] for row in page.all("tr") if "data-span" in row.attributes)
    assert shown == Counter(span.span_id.hex() for span in spans)
    assert said in page.text
    for span_ in spans:
        await get(client, f"{url(kind)}?span={span_.span_id.hex()}")


async def test_a_large_trace_comes_in_pages(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("root", trace="a"), *(span(f"op {n}", "root", trace="a", start_ms=n) for n in range(1200))])
    first = await get(client, url("a"))
    assert "Rows 1–1 000 of 1 201" in first.text
    (link,) = {a.attributes["href"] for a in first.all("a", rel="next")}
    second = await get(client, link)
    assert "Rows 1 001–1 201 of 1 201" in second.text
    selected = await get(client, f"{url('a')}?span={span_id('op 1100').hex()}")
    assert "op 1100" in selected.one("tr", aria_current="true").text


@pytest.mark.parametrize("page", ["0", "-1", "x", "99999999999999999999", "²"])
async def test_a_page_that_is_none_is_the_nearest(client: httpx.AsyncClient, store: Store, page: str) -> None:
    await store.add([span("checkout", trace="a")])
    assert "checkout" in (await get(client, f"{url('a')}?page={quote(page)}")).text


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
        "s textCopy string",
        "i 42Copy int",
        "d NaNCopy double",
        "b trueCopy bool",
        "raw AP8=Copy bytes",
        'list ["a", 1, Infinity]Copy array',
        'map {"k": null}Copy map',
        "host.name h1Copy string",
        "n 2Copy int",
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


async def test_a_parent_is_a_link_where_it_was_received(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("child", "parent", trace="a"), span("orphan", "lost", trace="a"), span("parent", trace="a")])
    parent, lost = span_id("parent").hex(), span_id("lost").hex()
    page = await get(client, f"{url('a')}/span/{span_id('child').hex()}")
    assert len(page.all("a", href=f"{url('a')}?span={parent}#detail")) == 1
    page = await get(client, f"{url('a')}/span/{span_id('orphan').hex()}")
    assert f"{lost} not received" in page.text


async def test_htmx_gets_the_span_alone(client: httpx.AsyncClient, store: Store) -> None:
    page = await get(client, await _rich(store), part("aside#detail"))
    assert (page.all("html"), page.all("h2")[0].text) == ([], "charge")


async def test_a_selected_span_stands_beside_its_trace(client: httpx.AsyncClient, store: Store) -> None:
    await _rich(store)
    page = await get(client, f"{url('a')}?span={span_id('charge').hex()}")
    assert page.one("tr", aria_current="true").attributes["data-span"] == span_id("charge").hex()
    assert page.one("aside", id="detail").text.count("card declined") == 1


async def test_spans_that_share_an_id_are_all_shown(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("one", trace="a", id="x"), span("two", trace="a", id="x")])
    page = await get(client, f"{url('a')}?span={span_id('x').hex()}")
    assert [h2.text for h2 in page.all("h2")] == ["one", "two"]
    assert "2 spans of this trace have this id." in page.text
    assert len(page.all("tr", aria_current="true")) == 2


@pytest.mark.parametrize("asked", ["ab" * 8, "nonsense", "<b>"])
async def test_a_span_that_is_not_there_is_said(client: httpx.AsyncClient, store: Store, asked: str) -> None:
    await store.add([span("one", trace="a")])
    page = await get(client, f"{url('a')}?span={quote(asked)}")
    assert f"This trace has no span {asked}." in page.text
    answer = await client.get(f"{url('a')}/span/{quote(asked)}", headers=HTML)
    assert (answer.status_code, f"This trace has no span {asked}." in Page(answer.text).text) == (404, True)


async def test_the_eleventh_service_has_stripes(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span(f"op {n}", trace="a", service=f"service {n}", start_ms=n) for n in range(11)])
    page = await get(client, url("a"))
    assert [row.attributes["data-span"] for row in page.all("tr", class_="striped")] == [span_id("op 10").hex()]
    assert "svc-0" in page.all("tr", class_="striped")[0].attributes["class"]


# The pin


def pin_of(page: Page) -> tuple[str, str, str]:
    button = page.one("button", name="pinned")
    return plain(button.text), button.attributes["value"], button.attributes["aria-pressed"]


async def test_a_trace_is_pinned_and_unpinned(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    page = await get(client, url("a"))
    form = page.one("form", class_="pinning")
    assert (form.attributes["action"], form.attributes["method"], pin_of(page)) == (
        f"{url('a')}/pin", "post", ("Pin", "1", "false"),
    )  # fmt: skip
    for pinned, button in (("1", ("Unpin", "0", "true")), ("0", ("Pin", "1", "false"))):
        here = f"{url('a')}?span={span_id('checkout').hex()}"
        answer = await client.post(form.attributes["action"], data={"pinned": pinned, "next": here})
        assert (answer.status_code, answer.headers["location"]) == (303, here)
        assert pin_of(await get(client, url("a"))) == button
        assert (await store.trace(trace_id("a"))).is_pinned is (pinned == "1")


async def test_htmx_gets_the_pin_alone(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    answer = await client.post(f"{url('a')}/pin", data={"pinned": "1"}, headers=part("div#pin"))
    page = Page(answer.text)
    assert (answer.status_code, page.elements[0].tag, pin_of(page)) == (200, "button", ("Unpin", "0", "true"))


@pytest.mark.parametrize("back", ["", "//evil.example", "https://evil.example/", "/\\evil.example"])
async def test_after_pinning_the_way_back_stays_here(client: httpx.AsyncClient, store: Store, back: str) -> None:
    await store.add([span("checkout", trace="a")])
    answer = await client.post(f"{url('a')}/pin", data={"pinned": "1", "next": back})
    assert (answer.status_code, answer.headers["location"]) == (303, url("a"))


@pytest.mark.parametrize(
    ("path", "pinned", "status"),
    [(url("a"), "2", 400), (url("a"), "", 400), (url("gone"), "1", 404), ("/trace/nonsense", "1", 404)],
)
async def test_what_cannot_be_pinned_is_said(
    client: httpx.AsyncClient, store: Store, path: str, pinned: str, status: int
) -> None:
    await store.add([span("checkout", trace="a")])
    assert (await client.post(f"{path}/pin", data={"pinned": pinned})).status_code == status
    assert (await client.get(f"{url('a')}/pin")).status_code == 405
    assert not (await store.trace(trace_id("a"))).is_pinned


async def test_a_pin_that_cannot_be_written_is_503(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    await store._in_writer(store._writer.connection.execute, "PRAGMA query_only = ON")
    answer = await client.post(f"{url('a')}/pin", data={"pinned": "1"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    await store._in_writer(store._writer.connection.execute, "PRAGMA query_only = OFF")
    assert (await client.post(f"{url('a')}/pin", data={"pinned": "1"})).status_code == 303


@pytest.mark.parametrize(
    ("kind", "marks"),
    [
        ("root and orphan", ["incomplete"]),
        ("orphans", ["incomplete"]),
        ("cycle", ["incomplete"]),
        ("two roots", []),
        ("no times", []),
    ],
)
async def test_a_trace_that_is_not_whole_is_marked(
    client: httpx.AsyncClient, store: Store, kind: str, marks: list[str]
) -> None:
    await store.add(_odd(kind))
    assert [mark.text for mark in (await get(client, url(kind))).all("span", class_="mark")] == marks
