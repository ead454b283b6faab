"""Every link beside a figure of `/red` and `/map` finds as many spans as the figure says.

A search finds traces that overlap a time. Where a trace goes on beyond a step of 10 s, those for the step find it for
spans that started in another one, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from minitrace.model import Kind, Link, Span, Status, StatusCode
from minitrace.store.store import Store
from minitrace.web.times import parse_time
from tests.samples import span, span_id, trace_id
from tests.web.pagetext import Element, Page, get, plain

RANGE = {"from": "2023-11-14T22:13:00Z", "to": "2023-11-14T22:14:00Z"}  # a minute: so many are so many a minute
FAILED = Status(StatusCode.ERROR)
QUERY = {"db.system.name": "postgresql", "db.namespace": 'a "b" \\ ü'}
ODD = ['a "b" \\ ü', "line\nbreak", "{ true } || {", "<b>&amp;", "100%25", "a+b c", " outer "]


def shop(number: int, service: str = "shop", name: str = "GET /", *, is_failed: bool = False) -> list[Span]:
    """A trace that lies within 10 s: a service, another one that it calls, a database, a message."""
    fields: dict[str, Any] = {"trace": f"{number}", "start_ms": 5 + 7000 * (number % 4) + 10 * number}
    mail = {"messaging.system": "kafka", "messaging.destination.name": "mails"}
    return [
        span(name, id="1", service=service, kind=Kind.SERVER, status=FAILED if is_failed else Status(), **fields),
        span("call", "1", id="2", service=service, kind=Kind.CLIENT, duration_ms=7, **fields),
        span("charge", "2", id="3", service="pay", kind=Kind.SERVER, duration_ms=1 + 3 * number, **fields),
        span("INSERT", "3", id="4", service="pay", kind=Kind.CLIENT, attributes=QUERY, **fields),
        span("send", "3", id="5", service="pay", kind=Kind.PRODUCER, attributes=mail, **fields),
        span("receive", "5", id="6", service="mail", kind=Kind.CONSUMER, **fields),
    ]  # fmt: skip


async def found(client: httpx.AsyncClient, url: str) -> int:
    """How many spans a search finds that a link leads to."""
    address = urlsplit(url)
    assert address.path == "/search"
    asked = {name: values[0] for name, values in parse_qs(address.query).items()}
    times = {name: str(parse_time(asked[key])) for name, key in (("start", "from"), ("end", "to"))}
    page = await client.get(url, headers={"accept": "text/html"})
    assert page.status_code == 200
    answer = await client.get("/api/search", params={"q": asked["q"], "limit": 1000, "spss": 1, **times})
    return sum(one["matched"] for trace in answer.json()["traces"] for one in trace["spanSets"])


def rows(page: Page, label: str) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The rows of a table as they read, and the links in each by their texts."""
    for row in page.all("tr"):
        if any(one.attributes.get("aria-label") == label for one in row.parents) and not row.inside("thead"):
            inside = [one for one in page.elements if row in one.parents]
            cells = [plain(one.text) for one in inside if one.tag in ("td", "th")]
            yield cells, {plain(one.text): one.attributes["href"] for one in inside if one.tag == "a"}


def per_minute(text: str) -> int:
    number, _, unit = text.removeprefix("starts ").partition("/")
    return round(float(number) * {"s": 60, "min": 1, "h": 1 / 60}[unit])


async def check_red(client: httpx.AsyncClient, **asked: str) -> list[dict[str, str]]:
    """Follow all links of the page to searches; returns those of its table."""
    page = await get(client, f"/red?{urlencode({**RANGE, **asked})}")
    whole = per_minute(plain(page.all("dd")[0].text))
    (head,) = [one for one in page.all("a") if plain(one.text) == "Traces" and not one.inside("table")]
    assert await found(client, head.attributes["href"]) == whole
    cells = titled(page, "heat")
    assert sum([await check_cell(client, *cell) for cell in cells]) == whole
    bars = titled(page, "target")
    assert sum([await found(client, url) for _, url in bars]) == whole
    links = []
    for texts, own in rows(page, "Operations" if "service" in asked else "Services"):
        count = per_minute(texts[1])
        assert (await found(client, own["Traces"]), await found(client, own["Slowest"])) == (count, count)
        failed = await found(client, own["Errors"]) if "Errors" in own else 0
        assert texts[2] == (f"⨯ {failed / count:.0%}" if failed else "0%")
        links.append(own)
    return links


def titled(page: Page, shape: str) -> list[tuple[str, str]]:
    """Links of drawings around shapes of a class: what they say, where they lead."""
    shapes = [one for one in page.elements if one.attributes.get("class", "").startswith(shape)]
    around = [one.parents[-1] for one in shapes if one.parents and one.parents[-1].tag == "a"]
    return [(plain(one.text), one.attributes["href"]) for one in around]


async def check_cell(client: httpx.AsyncClient, text: str, url: str) -> int:
    count = await found(client, url)
    assert text.endswith(f": {count} span" + ("s" if count != 1 else ""))
    return count


async def test_links_of_rates_find_the_spans_of_their_figures(client: httpx.AsyncClient, store: Store) -> None:
    for number in range(12):
        await store.add(shop(number, is_failed=number % 3 == 0))
    for kind in ("", "out", "all"):
        services = await check_red(client, kind=kind)
        assert len(services) == (2 if kind == "out" else 3)
    await check_red(client, service="shop")
    await check_red(client, service="pay", operation="INSERT", kind="all")


async def test_links_find_what_has_odd_names(client: httpx.AsyncClient, store: Store) -> None:
    for number, name in enumerate(ODD):
        await store.add(shop(number, service=name, name=name))
    assert len(await check_red(client)) == len(ODD) + 2
    for name in ODD:
        (links,) = await check_red(client, service=name)
        operation = next(url for text, url in links.items() if "operation=" in url)
        assert per_minute(plain((await get(client, operation)).all("dd")[0].text)) == 1
    await check_map(client)


async def test_an_operation_without_a_name_is_found_and_leads_to_no_page(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add([*shop(1), *shop(2, name=""), *shop(3, name="  ")])
    links = await check_red(client, service="shop")
    assert [list(one) for one in links if "GET /" not in one] == [["Traces", "Slowest"]] * 2


async def check_map(client: httpx.AsyncClient, **asked: str) -> None:
    """Follow all links of the tables to searches, and of the drawing, which are the same."""
    page = await get(client, f"/map?{urlencode({**RANGE, 'view': 'table', **asked})}")
    for texts, links in rows(page, "Services, databases, queues and hosts"):
        if "Traces" in links and texts[1] != "–":
            assert await found(client, links["Traces"]) == per_minute(texts[1]), texts
    counts = []
    for texts, links in rows(page, "Calls and messages"):
        assert await found(client, links["Traces"]) == int(texts[2]), texts
        counts.append(int(texts[2]))
    drawing = await get(client, f"/map?{urlencode({**RANGE, **asked})}")
    arrows = drawing.all("a", class_="call")
    assert len(arrows) == len(counts)
    for arrow in arrows:
        assert await found(client, arrow.attributes["href"]) == said(arrow)


def said(arrow: Element) -> int:
    match = re.search(r": (\d+) (call|message)s?,", plain(arrow.text))
    assert match
    return int(match[1])


async def test_links_of_the_map_find_the_calls_of_their_figures(client: httpx.AsyncClient, store: Store) -> None:
    for number in range(12):
        await store.add(shop(number, is_failed=number % 3 == 0))
    await store.add([span("job", trace="20", service="cron"), span("step", "job", trace="20", service="cron")])
    await store.add([span("mail", "job", trace="20", service="mail", kind=Kind.SERVER)])  # no message
    await store.add([
        span("linked", trace="21", service="audit", kind=Kind.CONSUMER, links=[Link(trace_id("3"), span_id("5"))])
    ])  # fmt: skip
    await check_map(client)
    await check_map(client, focus="mail")
